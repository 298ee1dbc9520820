"""Uploads as they exist: whatever a registry makes of parts, the blob arrives, and little of it travels twice."""

from __future__ import annotations

import dataclasses
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildpush.http import Http
from buildpush.images.compression import Compressed, digest_of
from buildpush.images.references import Digest, Repository
from buildpush.registry.auth import Keychain
from buildpush.registry.blobs import Bytes, mount
from buildpush.registry.client import Registry
from buildpush.registry.memory import Memory
from buildpush.registry.parts import Parts
from buildpush.registry.push import push
from buildpush.registry.upload import send
from tests.hostile.quirks import (
    QUIRKS,
    least_parts,
    limited_parts,
    no_patch,
    one_patch,
    range_of_the_part,
    relative_location,
    stale_range,
    times,
)
from tests.hostile.registry import HostileRegistry, Reply
from tests.registry.conftest import Source

pytestmark = pytest.mark.sandbox

PART = 40_000
BYTES = random.Random(14).randbytes(12 * PART)
MOST = 1.4

HABITS = {
    "polite": lambda: (),
    "GHCR": lambda: (limited_parts(PART // 4),),
    "GHCR, and all parts": lambda: (limited_parts(0),),
    "serverless": lambda: (one_patch(),),
    "ECR, true": lambda: (stale_range(204),),
    "ECR, stale": lambda: (stale_range(None),),
    "ECR, 404": lambda: (stale_range(404),),
    "ECR, 405": lambda: (stale_range(405),),
    "zot": lambda: (range_of_the_part(),),
    "no PATCH": lambda: (no_patch(),),
    "least": lambda: (least_parts(PART // 3),),
    "relative": lambda: (relative_location(),),
    "no Location": lambda: (QUIRKS["there is no Location after a part"](),),
}
SIZES = (1, PART, PART + 1, 2 * PART, 3 * PART - 1, 7 * PART + 11)


class Unmeasured:
    """A blob that tells its length only behind its last byte, as one that is compressed on the way."""

    length = None

    def __init__(self, data: bytes, block: int = 7000):
        self.data, self.block = data, block
        self.result: Compressed | None = None
        self.opened = 0

    def __iter__(self):
        self.opened += 1
        for at in range(0, len(self.data), self.block):
            yield self.data[at : at + self.block]
        digest = digest_of(self.data)
        self.result = Compressed(digest, len(self.data), digest, len(self.data))


def sent(registry: Registry, server: HostileRegistry, data: bytes, *, part: int = PART, measured: bool = True) -> None:
    """Send a blob, and check that it arrived."""
    parts = Parts(Bytes(data) if measured else Unmeasured(data))
    result = send(registry, Repository(server.host, "a/b"), parts, what="layer", most=part)
    assert server.blobs[str(result.digest)] == data


def most_bytes(habit: str, size: int, part: int = PART) -> float:
    """Return what may travel: a proxy that knows no PATCH says so of the only one as well."""
    return (2 if habit == "no PATCH" and size <= part else MOST) * size + 1000


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("measured", [True, False], ids=["measured", "unmeasured"])
@pytest.mark.parametrize("habit", HABITS)
def test_bytes_sent_stay_within_bounds(serve, client, waits, habit, measured, size):
    server = serve(*HABITS[habit]())
    registry, _ = client(server)
    sent(registry, server, BYTES[:size], measured=measured)
    server.settle()

    assert server.received <= most_bytes(habit, size)
    assert sum(waits) < 3


@pytest.mark.parametrize("measured", [True, False], ids=["measured", "unmeasured"])
@pytest.mark.parametrize("habit", HABITS)
def test_what_was_learnt_of_a_host_costs_nothing_more(serve, http, tmp_path, waits, habit, measured):
    """Not in this run, and not in the next one."""
    server = serve(*HABITS[habit]())
    with Memory(tmp_path / "m") as memory:
        sent(Registry(http, Keychain(), memory=memory), server, BYTES, measured=measured)
        server.settle()
        before, waited = server.received, len(waits)
        for part in (PART, 2 * PART):
            sent(Registry(http, Keychain(), memory=memory), server, BYTES[part:], measured=measured)
    server.settle()

    assert server.received - before == 2 * len(BYTES) - 3 * PART
    assert len(waits) == waited


@settings(max_examples=150)
@given(
    size=st.integers(1, len(BYTES)),
    part=st.integers(5_000, 120_000),
    habit=st.sampled_from(sorted(HABITS)),
    measured=st.booleans(),
    limit=st.integers(2_000, 100_000),
)
def test_any_blob_in_any_parts_arrives_in_any_registry(size, part, habit, measured, limit):
    quirks = (limited_parts(limit),) if habit == "GHCR" else HABITS[habit]()
    with HostileRegistry(*quirks) as server, Http(sleep=lambda _: None) as http:
        sent(Registry(http, Keychain()), server, BYTES[:size], part=part, measured=measured)
        server.settle()

        # A part that the registry wants to be so large is not always what we would risk.
        wanted = PART // 3 if habit == "least" else 0
        assert server.received <= most_bytes(habit, size, max(part, wanted))


def breaking(every: int, keeps: float):
    """Return a quirk that resets the connection of each so-many-th PATCH, and keeps a share of its bytes."""
    seen = [0]

    def act(request, registry):
        if request.method != "PATCH":
            return None
        seen[0] += 1
        if seen[0] % every:
            return None
        body = request.body
        held = registry.uploads.get(request.path.rpartition("/")[2])
        if held is not None and (request.part or (len(held),))[0] == len(held):
            held += body[: math.ceil(len(body) * keeps)]
        return Reply(reset=True)

    return act


@settings(max_examples=80)
@given(
    size=st.integers(2 * PART, len(BYTES)),
    habit=st.sampled_from(sorted(set(HABITS) - {"serverless", "no PATCH", "GHCR, and all parts", "least"})),
    every=st.integers(3, 5),
    keeps=st.sampled_from((0.0, 0.5, 1.0)),
)
def test_a_line_that_breaks_as_well_is_no_obstacle(size, habit, every, keeps):
    """Where parts are taken, that is: what goes in one go needs a line that lasts."""
    with HostileRegistry(breaking(every, keeps), *HABITS[habit]()) as server, Http(sleep=lambda _: None) as http:
        sent(Registry(http, Keychain()), server, BYTES[:size])


def test_a_line_that_breaks_more_often_than_anything_is_tried_gets_there_with_progress(serve, client, waits):
    """Every part is cut in its middle, and half of it stays."""
    server = serve(breaking(1, 0.5))
    registry, _ = client(server)
    registry.learn(server.host, lambda habit: dataclasses.replace(habit, part=PART, fresh=True))
    sent(registry, server, BYTES, measured=False)

    assert len(waits) > 2 * registry.http.attempts
    assert max(waits) < 1  # each time it got further, so patience does not run out


def test_a_wish_for_large_parts_is_heeded_in_an_upload_that_a_mount_began(serve, client):
    server = serve(least_parts(PART))
    registry, repository = client(server)
    begun = mount(registry, repository, digest_of(b"absent"), Repository(server.host, "other/app"))
    send(registry, repository, Parts(Bytes(BYTES)), what="layer", begun=begun.location, most=PART // 4)

    assert len(server.asked("POST")) == 1
    assert {len(one.body) for one in server.asked("PATCH")[:-1]} == {PART}


def test_a_wish_for_large_parts_is_heeded_in_an_upload_of_an_earlier_run(serve, http, tmp_path):
    server = serve(least_parts(PART), times(9, lambda request, _: Reply(403) if request.method == "PUT" else None))
    repository = Repository(server.host, "a/b")
    with Memory(tmp_path / "m") as memory:
        begun = Registry(http, Keychain(), memory=memory)
        with pytest.raises(Exception, match="403"):
            send(begun, repository, Parts(Bytes(BYTES)), what="layer", most=PART // 4)
        held = server.uploads[next(iter(server.uploads))]
        del held[3 * PART :]  # as after a restart
        server.quirks.pop()
        seen = len(server.asked("PATCH"))
        send(Registry(http, Keychain(), memory=memory), repository, Parts(Bytes(BYTES)), what="layer", most=PART // 4)

    assert {len(one.body) for one in server.asked("PATCH")[seen:-1]} == {PART}
    assert server.asked("PATCH")[seen].part == (3 * PART, 4 * PART - 1)


def test_of_two_uploads_that_were_begun_the_one_that_is_not_wanted_is_given_up(serve, http, tmp_path):
    """An earlier run has sent more than nothing; the upload that a mount began has not."""
    server = serve()
    repository = Repository(server.host, "a/b")
    with Memory(tmp_path / "m") as memory:
        registry = Registry(http, Keychain(), memory=memory)
        server.quirks.append(lambda request, _: Reply(403) if request.method == "PUT" else None)
        with pytest.raises(Exception, match="403"):
            send(registry, repository, Parts(Bytes(BYTES)), what="layer", most=PART)
        server.quirks.clear()
        begun = mount(registry, repository, digest_of(b"absent"), Repository(server.host, "other/app"))
        send(registry, repository, Parts(Bytes(BYTES)), what="layer", begun=begun.location, most=PART)

    assert [one.target for one in server.asked("DELETE")] == [begun.location.removeprefix(server.url)]
    assert not server.uploads


def test_a_blob_that_is_not_what_was_promised_is_given_up_before_the_registry_takes_it(serve, client):
    server = serve()
    registry, repository = client(server)
    promised = Digest(f"sha256:{'0' * 64}")
    with pytest.raises(Exception, match="was promised"):
        send(registry, repository, Parts(Bytes(BYTES)), what="layer", promised=promised, most=PART)

    assert not server.asked("PUT")
    assert not server.uploads
    assert not server.blobs


def test_a_registry_that_keeps_no_second_part_and_never_says_so_gets_the_blob_in_one_go(serve, client):
    """What was believed is found out by the digest."""

    def act(request, registry):
        if request.method != "PATCH" or not request.part or not request.part[0]:
            return None
        held = registry.uploads[request.path.rpartition("/")[2]]
        _ = request.body
        return Reply(202, {"Range": f"0-{len(held) - 1}"})

    server = serve(act, stale_range(404))
    registry, _ = client(server)
    sent(registry, server, BYTES)

    assert not registry.habit(server.host).late


def test_a_push_to_a_registry_without_patch_is_complete(serve, client):
    server = serve(no_patch())
    registry, repository = client(server)
    pushed = push(Source(BYTES, b"small").image(), [repository.tagged("1")], registry, compression="none")

    assert not server.lacking("docker-local/app", pushed.manifest)
    assert registry.habit(server.host).way == "put"


def test_a_broken_put_begins_anew(serve, client):
    def broken(request, _):
        return Reply(reset=True) if request.method == "PUT" and request.is_upload and request.body else None

    server = serve(no_patch(), times(2, broken))
    registry, _ = client(server)
    sent(registry, server, BYTES, measured=False)
