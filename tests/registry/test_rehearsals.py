"""What users rehearse in the sandbox, and what a push makes of it: the habits of registries, and faults by name."""

from __future__ import annotations

import random

import pytest

from buildpush.credentials.docker import Credential, Keychain
from buildpush.foundation.events import Note, Traffic
from buildpush.http.client import Http
from buildpush.images.references import Repository
from buildpush.registry.client import Registry
from buildpush.registry.pull import pull
from buildpush.registry.push import push
from buildpush.sandbox import NAMED, UPLOADS, Sandbox
from tests.registry.conftest import Source

pytestmark = pytest.mark.sandbox

LAYER = random.Random(9).randbytes(21_000_000)


@pytest.mark.parametrize("uploads", UPLOADS)
def test_a_push_arrives_whatever_the_habit_and_little_travels_twice(http, events, uploads):
    with Sandbox(uploads=uploads) as box:
        registry = Registry(http, Keychain({box.host: Credential(box.username, box.password, "test")}))
        name = Repository(box.host, "docker-local/app").tagged("1")
        pushed = push(Source(LAYER).image(), [name], registry, compression="none", checksums=False, sink=events.append)

        assert box.blob(pushed.layers[0].digest) == LAYER
        assert sum(one.received for one in box.requests) <= 1.4 * len(LAYER)
        assert next(event for event in events if isinstance(event, Traffic)).again <= 0.4 * len(LAYER)
        assert not box.failures


@pytest.mark.parametrize("name", NAMED)
def test_a_push_succeeds_under_each_fault_that_has_a_name(box, registry, repository, events, name):
    box.add_fault(name)
    pushed = push(Source(b"one" * 9000, b"two").image(), [repository.tagged("1")], registry, sink=events.append)

    assert box.digest("docker-local/app", "1") == str(pushed.digest)
    assert any(isinstance(event, Note) and "confirmed" in event.text for event in events) == (name != "cdn")


def test_a_robot_that_may_only_deploy_can_push_to_the_sandbox(box, http, repository, events):
    robot = box.add_account("robot", ["deploy"])
    registry = Registry(http, Keychain({box.host: Credential("robot", robot.password, "test")}), sink=events.append)
    registry.check_push(repository)
    pushed = push(Source(b"one").image(), [repository.tagged("1")], registry, sink=events.append)

    assert box.digest("docker-local/app", "1") == str(pushed.digest)
    assert sum(isinstance(event, Note) for event in events) == 2  # what is there is hidden, and so is the tag


def test_an_image_is_pulled_from_behind_a_cdn(box, registry, repository):
    push(Source(b"one" * 9000).image(), [repository.tagged("1")], registry, compression="none")
    box.add_fault("cdn")
    with Http(sleep=lambda _: None) as http:
        keychain = Keychain({box.host: Credential(box.username, box.password, "test")})
        image = pull(repository.tagged("1"), Registry(http, keychain))
        layers = [reader.read() for _, reader in image.blobs([0])]

    assert layers == [b"one" * 9000]
    assert sum("/store/" in one.path for one in box.requests) == 2  # the configuration, and the layer
