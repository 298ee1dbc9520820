"""The place of a step that names none: inside a pod, a Job of the pod's own cluster, or else the pod itself."""

from __future__ import annotations

import pytest

import buildpush
from buildpush.cluster import kubeconfig
from buildpush.foundation.events import Decision
from buildpush.pipeline.clusters import Clusters

IMAGE = "r.test/buildah@sha256:" + 64 * "a"
KANIKO = {"kaniko_image": "r.test/kaniko@sha256:" + 64 * "a", "receiver_image": "r.test/busybox@sha256:" + 64 * "a"}


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """Return the function that plans a step in a pod whose cluster has *remarks* about Jobs of its account."""
    monkeypatch.setattr(kubeconfig, "has_own_cluster", lambda *_: True)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.chdir(tmp_path)

    def planned(*remarks, text="FROM scratch\n", **settings):
        monkeypatch.setattr(Clusters, "remarks", lambda *_: remarks)
        (tmp_path / "Dockerfile").write_text(text)
        return buildpush.check(**{"repo": "r.test/app", "tags": ["1"], "publish_build_info": False, **settings})

    return planned


def not_asked(*_):
    pytest.fail("a cluster was asked")


def place(plan):
    return plan.order.sources["place"]


@pytest.mark.parametrize(
    ("images", "engine"),
    [
        (KANIKO, "kaniko"),
        ({"executor_image": IMAGE}, "buildah"),
        ({**KANIKO, "executor_image": IMAGE}, "kaniko"),
        ({"executor_image": IMAGE, "engine": "auto"}, "buildah"),
    ],
)
def test_a_step_is_built_in_a_job_where_its_image_is_given_and_the_account_may(planned, images, engine):
    plan = planned(text="FROM a.test/b:1\nRUN true\n", **images)
    assert (plan.engine, plan.order.cluster) == (engine, plan.order.offer)
    assert place(plan).startswith("kubernetes, because the account of this pod may make Jobs")
    assert place(plan).endswith("set place: here")
    assert not [note for note in plan.notes if "without effect" in note]


def test_without_a_right_it_is_built_here_and_says_why(planned):
    resources = {"requests": {"memory": "1Gi"}}
    plan = planned("this account may not create secrets", executor_image=IMAGE, resources=resources)
    assert plan.order.cluster is None
    assert place(plan) == "here, because this account may not create secrets"
    assert "without effect, since the step is built here: executor_image, resources.requests" in plan.notes


def test_without_an_image_it_is_built_here_as_everywhere_and_no_cluster_is_asked(planned, monkeypatch):
    planned()
    monkeypatch.setattr(Clusters, "remarks", not_asked)
    plan = buildpush.check(repo="r.test/app", tags=["1"], publish_build_info=False)
    assert plan.order.cluster is None
    assert "executor_image" in place(plan)
    assert not [note for note in plan.notes if "without effect" in note]


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"platforms": ["linux/amd64", "linux/arm64"]}, "a Job builds for one platform"),
        ({"build_contexts": {"x": "."}}, "the context x is on this machine"),
    ],
)
def test_what_no_job_can_do_is_built_here(planned, settings, why):
    plan = planned("must not be said", executor_image=IMAGE, **settings)
    assert plan.order.cluster is None
    assert why in place(plan)


@pytest.mark.parametrize(
    "settings",
    [{"place": "here"}, {"engine": "native"}, {"compression": "zstd"}, {"push": False}],
    ids=str,
)
def test_who_chooses_has_the_choice(planned, monkeypatch, settings):
    planned()
    monkeypatch.setattr(Clusters, "remarks", not_asked)
    plan = buildpush.check(repo="r.test/app", tags=["1"], publish_build_info=False, executor_image=IMAGE, **settings)
    assert plan.order.offer is plan.order.cluster is None
    assert any("executor_image has no effect: place is not kubernetes" in note for note in plan.notes)


def test_outside_a_pod_no_cluster_is_asked(planned, monkeypatch):
    planned()
    monkeypatch.setattr(Clusters, "remarks", not_asked)
    monkeypatch.setattr(kubeconfig, "has_own_cluster", lambda *_: False)
    plan = buildpush.check(repo="r.test/app", tags=["1"], publish_build_info=False, executor_image=IMAGE)
    assert place(plan) == "here, because this is no pod with an account of its cluster"


@pytest.mark.sandbox
@pytest.mark.parametrize(("images", "choice"), [({"executor_image": IMAGE}, "kubernetes"), ({}, "here")], ids=str)
def test_a_run_decides_as_its_plan_does_and_says_it(planned, images, choice):
    """The Job itself is not made here: nothing answers where the image is to be pushed."""
    planned()
    heard = []
    with pytest.raises(buildpush.BuildPushError):
        buildpush.run(
            repo="127.0.0.1:1/app",
            tags=["1"],
            publish_build_info=False,
            push_retry=1,
            sink=heard.append,
            **images,
        )
    found = {one.what: one.choice for one in heard if isinstance(one, Decision)}
    assert found["place"] == choice
    assert found["engine"] == ("buildah" if images else "native")
