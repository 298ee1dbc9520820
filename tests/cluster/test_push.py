"""Images that our own push sends from the cluster, behind an engine that only builds."""

from __future__ import annotations

import os

import pytest

from buildpush.foundation.errors import AuthenticationError, BuildError
from buildpush.foundation.events import Finished, Started
from tests.cluster.test_cluster import gone, images_of

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("cluster")]


def test_a_push_that_is_cut_and_then_refused_goes_on_where_it_was(step, box, pulled, namespace):
    step.settings.pop("receiver_image")  # the image that pushes can receive the context as well
    (step.directory / "a").write_bytes(os.urandom(3_000_000))
    box.add_fault("PATCH", "uploads", after=1_000_000)
    box.add_fault("PATCH", "uploads", status=503)
    result = step.run(**images_of(pulled, "kaniko"), pusher_image=pulled.python)
    assert box.digest("docker-local/app", "1") == result.digest
    (image,) = result.images
    sent = [one.received for one in box.requests if one.method == "PATCH" and "uploads" in one.path]
    assert sent[:2] == [1_000_000, 0]
    assert sum(sent) == image.layers[0].size + image.config.size  # nothing has arrived twice
    assert gone(namespace) == []


def test_buildah_hands_its_image_over_and_leaves_nothing(step, box, pulled, namespace):
    phases = []

    def sink(event):
        if isinstance(event, Started | Finished):
            phases.append((type(event), event.phase))

    result = step.run(**images_of(pulled, "buildah"), pusher_image=pulled.python, sink=sink)
    assert [box.digest("docker-local/app", tag) for tag in "12"] == [result.digest] * 2
    assert result.published.name
    at = phases.index((Started, "build"))
    inside = [(Started, "wait"), (Finished, "wait"), (Started, "push"), (Finished, "push")]
    assert phases[at : at + 6] == [(Started, "build"), *inside, (Finished, "build")]
    assert gone(namespace) == []


def test_a_build_that_fails_is_not_pushed(step, base, box, pulled, namespace):
    step.write(Dockerfile=f"FROM {base}\nRUN echo something && exit 3\n")
    with pytest.raises(BuildError, match=r"exit status 3"):
        step.run(**images_of(pulled, "buildah"), pusher_image=pulled.python)
    assert gone(namespace) == []


def test_a_push_whose_login_is_refused_says_so_and_what_to_do(step, box, pulled, namespace):
    box.add_fault("PUT", "/manifests/", status=401, times=None)
    with pytest.raises(AuthenticationError, match=f"the push from the cluster failed: {box.host} refuses") as caught:
        step.run(**images_of(pulled, "buildah"), pusher_image=pulled.python)
    assert "check user name and password" in caught.value.hint
    assert gone(namespace) == []
