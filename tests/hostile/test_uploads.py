"""Uploads as they exist: whatever a registry makes of parts, the blob arrives, and little of it travels twice."""

from __future__ import annotations

import dataclasses
import math
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildpush.credentials.docker import Keychain
from buildpush.foundation.errors import DigestError, RegistryError, UnreachableError
from buildpush.foundation.events import Note, Retry
from buildpush.foundation.meter import Meter
from buildpush.http.client import Http
from buildpush.images.compression import BlobInfo, digest_of
from buildpush.images.references import Digest, Repository
from buildpush.registry.blobs import Bytes, mount
from buildpush.registry.client import Registry
from buildpush.registry.memory import Memory
from buildpush.registry.parts import Parts
from buildpush.registry.pull import pull
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
from tests.hostile.registry import HostileRegistry, Reply, fault
from tests.registry.conftest import Source

pytestmark = pytest.mark.sandbox

PART = 40_000
BYTES = random.Random(14).randbytes(12 * PART)
MOST = 1.4

BEHAVIOURS = {
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
        self.result: BlobInfo | None = None
        self.opened = 0

    def __iter__(self):
        self.opened += 1
        for at in range(0, len(self.data), self.block):
            yield self.data[at : at + self.block]
        digest = digest_of(self.data)
        self.result = BlobInfo(digest, len(self.data), digest, len(self.data))


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
@pytest.mark.parametrize("habit", BEHAVIOURS)
def test_bytes_sent_stay_within_bounds(serve, client, waits, habit, measured, size):
    server = serve(*BEHAVIOURS[habit]())
    registry, _ = client(server)
    sent(registry, server, BYTES[:size], measured=measured)
    server.settle()

    assert server.received <= most_bytes(habit, size)
    assert sum(waits) < 3


@pytest.mark.parametrize("measured", [True, False], ids=["measured", "unmeasured"])
@pytest.mark.parametrize("habit", BEHAVIOURS)
def test_what_was_learnt_of_a_host_costs_nothing_more(serve, http, tmp_path, waits, habit, measured):
    """Not in this run, and not in the next one."""
    server = serve(*BEHAVIOURS[habit]())
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
    habit=st.sampled_from(sorted(BEHAVIOURS)),
    measured=st.booleans(),
    limit=st.integers(2_000, 100_000),
)
def test_any_blob_in_any_parts_arrives_in_any_registry(size, part, habit, measured, limit):
    quirks = (limited_parts(limit),) if habit == "GHCR" else BEHAVIOURS[habit]()
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
    habit=st.sampled_from(sorted(set(BEHAVIOURS) - {"serverless", "no PATCH", "GHCR, and all parts", "least"})),
    every=st.integers(3, 5),
    keeps=st.sampled_from((0.0, 0.5, 1.0)),
)
def test_a_line_that_breaks_as_well_is_no_obstacle(size, habit, every, keeps):
    """Where parts are taken, that is: what goes in one go needs a line that lasts."""
    with HostileRegistry(breaking(every, keeps), *BEHAVIOURS[habit]()) as server, Http(sleep=lambda _: None) as http:
        sent(Registry(http, Keychain()), server, BYTES[:size])


def test_a_line_that_breaks_more_often_than_anything_is_tried_gets_there_with_progress(serve, client, waits):
    """Every part is cut in its middle, and half of it stays."""
    server = serve(breaking(1, 0.5))
    registry, _ = client(server)
    registry.learn(server.host, lambda profile: dataclasses.replace(profile, part=PART, fresh=True))
    sent(registry, server, BYTES, measured=False)

    assert len(waits) > 2 * registry.http.attempts
    assert max(waits) < 1  # each time it got further, so patience does not run out


def test_a_wish_for_large_parts_is_heeded_in_an_upload_that_a_mount_began(serve, client):
    server = serve(least_parts(PART))
    registry, repository = client(server)
    begun = mount(registry, repository, digest_of(b"absent"), Repository(server.host, "other/app"))
    send(registry, repository, Parts(Bytes(BYTES)), what="layer", location=begun.location, most=PART // 4)

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
        send(registry, repository, Parts(Bytes(BYTES)), what="layer", location=begun.location, most=PART)

    assert [one.target for one in server.asked("DELETE")] == [begun.location.removeprefix(server.url)]
    assert not server.uploads


def test_a_blob_that_is_not_what_was_promised_is_given_up_before_the_registry_takes_it(serve, client):
    server = serve()
    registry, repository = client(server)
    promised = Digest(f"sha256:{'0' * 64}")
    with pytest.raises(Exception, match="was expected"):
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

    assert not registry.profile(server.host).late


def test_a_push_to_a_registry_without_patch_is_complete(serve, client):
    server = serve(no_patch())
    registry, repository = client(server)
    pushed = push(Source(BYTES, b"small").image(), [repository.tagged("1")], registry, compression="none")

    assert not server.lacking("docker-local/app", pushed.manifest)
    assert registry.profile(server.host).way == "put"


def test_a_broken_put_begins_anew(serve, client):
    def broken(request, _):
        return Reply(reset=True) if request.method == "PUT" and request.is_upload and request.body else None

    server = serve(no_patch(), times(2, broken))
    registry, _ = client(server)
    sent(registry, server, BYTES, measured=False)


# What is told, what is asked, what is left behind


def answering(method: str, reply: Reply, count: int = 10**6):
    """Return a quirk that answers so many requests about uploads with *reply*."""
    return times(count, lambda request, _: reply if request.method == method and request.is_upload else None)


@pytest.mark.parametrize("habit", BEHAVIOURS)
def test_no_upload_is_left_behind(serve, client, habit):
    server = serve(*BEHAVIOURS[habit]())
    registry, _ = client(server)
    sent(registry, server, BYTES)
    sent(registry, server, BYTES[PART:], measured=False)

    assert not server.uploads


@pytest.mark.parametrize("status", [411, 415])
@pytest.mark.parametrize("size", [PART, 3 * PART])
def test_what_takes_no_patch_of_any_kind_gets_the_blob_with_the_end_of_its_upload(serve, client, waits, status, size):
    """A blob that is one part has been sent in one PATCH already."""
    server = serve(answering("PATCH", Reply(status, {"Retry-After": "7"})))
    registry, _ = client(server)
    sent(registry, server, BYTES[:size])

    assert len(server.asked("PATCH")) == (1 if size == PART else 2)
    assert [len(one.body) for one in server.asked("PUT")] == [size]
    assert len(waits) == len(server.asked("PATCH"))
    assert min(waits) >= 7


def test_a_blob_that_is_too_large_in_one_go_is_sent_in_parts(serve, client, waits):
    def limited(request, _):
        return (
            Reply(413, {"Retry-After": "7"})
            if int(request.headers.get("Content-Length", 0)) > len(BYTES) // 2
            else None
        )

    server = serve(limited)
    registry, _ = client(server)
    registry.learn(server.host, lambda profile: profile.with_way("patch"))
    sent(registry, server, BYTES, part=len(BYTES))

    assert len(server.asked("PATCH")[0].body) == len(BYTES)
    assert sum(len(one.body) for one in server.asked("PATCH")) == 2 * len(BYTES)
    assert len(waits) == 1
    assert waits[0] >= 7


def test_a_registry_that_is_busy_when_it_is_asked_how_far_it_is_says_when_to_come_back(serve, client, waits, events):
    server = serve(breaking(2, 0.5), answering("GET", Reply(503, {"Retry-After": "7"}), 10))
    registry, _ = client(server)
    registry.learn(server.host, lambda profile: profile.after_part(PART, second=True))
    sent(registry, server, BYTES[: 3 * PART])

    asked = [event for event in events if isinstance(event, Retry) and event.seconds >= 7]
    assert len(asked) == 10
    assert any("the registry does not say how much it has of layer" in event.reason for event in asked)
    assert not any("sent again" in event.reason for event in events)  # it keeps what it has


def test_that_an_upload_was_forgotten_is_told_with_what_it_costs(serve, client, events):
    server = serve(breaking(3, 0.5), answering("GET", fault(404, "BLOB_UPLOAD_UNKNOWN"), 1))
    registry, _ = client(server)
    registry.learn(server.host, lambda profile: profile.after_part(PART, second=True))
    sent(registry, server, BYTES[: 2 * PART] + BYTES[:PART])

    [told] = [event for event in events if isinstance(event, Retry) and "forgotten" in event.reason]
    assert (told.what, told.seconds, told.attempt) == ("layer", 0.0, 1)
    assert told.reason == f"the registry has forgotten the upload; {3 * PART:,} bytes are sent again"


@pytest.mark.parametrize("had", [0, PART])
def test_an_upload_of_an_earlier_run_is_told_where_it_has_something(serve, http, tmp_path, events, had):
    server = serve(answering("PUT", Reply(403)))
    repository = Repository(server.host, "a/b")
    with Memory(tmp_path / "m") as memory:
        with pytest.raises(RegistryError, match="403"):
            send(Registry(http, Keychain(), memory=memory), repository, Parts(Bytes(BYTES)), what="layer", most=PART)
        del next(iter(server.uploads.values()))[had:]
        server.quirks.clear()
        registry = Registry(http, Keychain(), memory=memory, sink=events.append)
        send(registry, repository, Parts(Bytes(BYTES)), what="layer", most=PART)

    notes = [event.text for event in events if isinstance(event, Note)]
    assert notes == (["layer continues after 40,000 bytes of an earlier run"] if had else [])
    assert len(server.asked("POST")) == 1


def test_what_is_always_at_the_wrong_place_is_tried_three_times_in_each_way(serve, client):
    server = serve(lambda request, _: Reply(416) if request.is_upload and request.method in {"PATCH", "PUT"} else None)
    registry, _ = client(server)
    registry.learn(server.host, lambda profile: profile.after_part(PART, second=True))
    with pytest.raises(RegistryError, match="416"):
        sent(registry, server, BYTES)

    assert [one.part for one in server.asked("PATCH")] == [(0, PART - 1)] * 3 + [None] * 3
    assert [len(one.body) for one in server.asked("PUT")] == [len(BYTES)] * 3


def test_a_registry_that_lost_some_of_an_upload_is_waited_for_as_it_wishes(serve, client, waits):
    """It refuses the part behind what it has, and says how far it is."""
    lost = []

    def forget(request, registry):
        if request.method != "PATCH" or not request.part or request.part[0] != 2 * PART or lost:
            return None
        lost.append(request)
        del registry.uploads[request.path.rpartition("/")[2]][PART:]
        return registry.answer(request).having(Retry_After="7")

    server = serve(forget)
    registry, _ = client(server)
    registry.learn(server.host, lambda profile: profile.after_part(PART, second=True))
    sent(registry, server, BYTES)

    assert len(waits) == 1
    assert waits[0] >= 7
    assert [one.part[0] // PART for one in server.asked("PATCH")][:5] == [0, 1, 2, 1, 2]


def swallowing(request, registry):
    """Read all of a PATCH, and reset the connection."""
    if request.method != "PATCH":
        return None
    _ = request.body
    return Reply(reset=True)


def test_what_is_there_in_spite_of_a_lost_answer_must_be_what_was_promised(serve, client):
    """In one go, all of it has left before anybody could compare."""
    server = serve(times(1, swallowing))
    server.blobs[str(digest_of(BYTES))] = BYTES
    registry, repository = client(server)
    registry.learn(server.host, lambda profile: profile.with_way("patch"))
    promised = Digest(f"sha256:{'0' * 64}")
    with pytest.raises(DigestError, match=f"{digest_of(BYTES)}, but {promised} was expected"):
        send(registry, repository, Parts(Bytes(BYTES)), what="layer", promised=promised)

    found = send(registry, repository, Parts(Bytes(BYTES)), what="layer", promised=digest_of(BYTES))
    assert found.digest == digest_of(BYTES)


@pytest.mark.parametrize("promised", [None, digest_of(BYTES)])
def test_what_is_there_in_spite_of_a_lost_answer_is_not_sent_again(serve, client, promised):
    server = serve(times(1, swallowing))
    server.blobs[str(digest_of(BYTES))] = BYTES
    registry, repository = client(server)
    registry.learn(server.host, lambda profile: profile.with_way("patch"))
    send(registry, repository, Parts(Bytes(BYTES)), what="layer", promised=promised)

    assert len(server.asked("PATCH")) == 1


def test_a_page_that_says_yes_to_everything_is_no_blob_of_that_size(serve, client):
    page = Reply(200, {"Content-Type": "text/html"}, b"<html>log in</html>")
    server = serve(times(1, swallowing), lambda request, _: page if request.method == "HEAD" else None)
    registry, _ = client(server)
    registry.learn(server.host, lambda profile: profile.with_way("patch"))
    sent(registry, server, BYTES)

    assert len(server.asked("PATCH")) > 1


@pytest.mark.parametrize(
    "confirm",
    [
        lambda reply: reply.without("Docker-Content-Digest"),
        lambda reply: dataclasses.replace(reply, status=200),
        lambda reply: reply.having(Docker_Content_Digest=f"sha512:{'0' * 128}"),
    ],
    ids=["201 and no digest", "200 and the digest", "a digest by another algorithm"],
)
def test_a_yes_that_is_201_or_names_a_digest_confirms_a_blob(serve, client, confirm):
    server = serve(lambda request, registry: confirm(registry.answer(request)) if request.method == "PUT" else None)
    registry, _ = client(server)
    sent(registry, server, BYTES)

    assert len(server.asked("PUT")) == 1
    assert not server.asked("HEAD")  # nobody needs to look whether it is there


def test_an_upload_of_an_earlier_run_that_has_more_than_the_blob_is_left(serve, http, tmp_path):
    server = serve(answering("PUT", Reply(403)))
    repository = Repository(server.host, "a/b")
    with Memory(tmp_path / "m") as memory:
        with pytest.raises(RegistryError, match="403"):
            send(Registry(http, Keychain(), memory=memory), repository, Parts(Bytes(BYTES)), what="layer", most=PART)
        next(iter(server.uploads.values())).extend(b"more")
        server.quirks.clear()
        send(Registry(http, Keychain(), memory=memory), repository, Parts(Bytes(BYTES)), what="layer", most=PART)

    assert server.blobs[str(digest_of(BYTES))] == BYTES
    assert len(server.asked("GET", "/uploads/")) == 1
    assert len(server.asked("POST")) == 2


@pytest.mark.parametrize(
    ("of_the_part", "progress"), [(False, 204), (False, 405), (True, 204)], ids=["both true", "405", "zot, true"]
)
def test_a_part_of_which_half_was_kept_is_gone_on_with_in_its_middle(serve, client, waits, of_the_part, progress):
    """What the registry tells is believed where it can be true."""

    def half(request, registry):
        if request.method == "GET" and progress != 204:
            return Reply(progress)
        if request.method != "PATCH":
            return None
        held, size = registry.uploads[request.path.rpartition("/")[2]], len(request.body)
        reply = registry.answer(request)
        if len(held) == 2 * PART:
            del held[3 * PART // 2 :]
            reply = registry.progress("a/b", request.path.rpartition("/")[2], 202)
        return reply.having(Range=f"0-{size - 1}") if of_the_part else reply

    server = serve(half)
    registry, _ = client(server)
    registry.learn(server.host, lambda profile: profile.after_part(PART, second=True))
    sent(registry, server, BYTES[: 3 * PART])

    assert sum(len(one.body) for one in server.asked("PATCH")) == 7 * PART // 2
    assert not waits
    assert registry.profile(server.host).late == of_the_part


def test_a_commit_that_is_cut_off_each_time_is_an_error_that_says_so(serve, client):
    server = serve(answering("PUT", Reply(reset=True)))
    registry, _ = client(server)
    with pytest.raises(UnreachableError, match=f"the connection to {server.host} broke"):
        sent(registry, server, BYTES)

    assert len(server.asked("PUT")) == registry.http.attempts


def test_the_time_that_a_registry_takes_to_confirm_is_told_as_waiting(serve, client):
    def slow(request, _):
        if request.method == "PUT":
            time.sleep(0.2)

    server, meter = serve(slow), Meter()
    registry, repository = client(server)
    send(registry, repository, Parts(Bytes(BYTES)), what="layer", meter=meter)

    assert meter.traffic.seconds["wait"] >= 0.2
    assert meter.traffic.seconds["send"] < 0.2
    assert (meter.traffic.sent, meter.traffic.again) == (len(BYTES), 0)


def test_of_a_put_that_failed_nobody_knows_what_was_kept(serve, client):
    """So another upload is begun."""

    def kept(request, registry):
        if request.method != "PUT" or not request.is_upload:
            return None
        registry.uploads[request.path.rpartition("/")[2]] += request.body[:PART]
        return Reply(503)

    server = serve(no_patch(), times(1, kept))
    registry, _ = client(server)
    registry.learn(server.host, lambda profile: profile.with_way("put"))
    sent(registry, server, BYTES)

    assert len(server.asked("POST")) == 2
    assert len(server.asked("PUT")) == 2


def test_a_part_that_was_taken_and_is_not_there_is_told(serve, client, events):
    server = serve(answering("PATCH", Reply(202, {"Range": "0-0"}), 1))
    registry, _ = client(server)
    registry.learn(server.host, lambda profile: profile.after_part(PART, second=True))
    sent(registry, server, BYTES)

    [told] = [event for event in events if isinstance(event, Retry)]
    assert told.reason == f"layer: {PART} bytes were sent, and {server.host} has 0"
    assert told.what == f"layer to {server.host}/a/b"


def test_a_yes_that_confirms_nothing_is_asked_for_once_more_and_is_an_error(serve, client):
    server = serve(answering("PUT", Reply(200, {"Content-Type": "text/html"}, b"<html>log in</html>")))
    registry, _ = client(server)
    with pytest.raises(
        RegistryError, match=f"{server.host} does not confirm layer: status 200, and no digest"
    ) as error:
        sent(registry, server, BYTES)

    assert error.value.status == 200
    assert len(server.asked("PUT")) == 2


def test_a_yes_that_confirms_nothing_is_waited_for_as_long_as_it_wishes(serve, client, waits):
    server = serve(answering("PUT", Reply(200, {"Retry-After": "7"}), 1))
    registry, _ = client(server)
    sent(registry, server, BYTES)

    assert 7 <= sum(waits) < 8


@pytest.mark.parametrize("status", [405, 416])
def test_what_is_sent_in_another_way_is_told_with_the_refusal(serve, client, events, status):
    server = serve(answering("PATCH", Reply(status), 1))
    registry, _ = client(server)
    sent(registry, server, BYTES)

    [told] = [event for event in events if isinstance(event, Retry)]
    assert f"layer was not accepted by {server.host}/a/b: status {status}" in told.reason


def test_of_a_first_part_that_is_refused_for_its_size_nobody_asks_where_it_is(serve, client):
    server = serve(limited_parts(PART // 4))
    registry, _ = client(server)
    sent(registry, server, BYTES)

    assert not server.asked("GET", "/blobs/uploads/")


def test_a_plain_layer_in_one_go_is_sent_with_its_length(serve, client):
    server = serve()
    registry, repository = client(server)
    registry.learn(server.host, lambda profile: profile.with_way("patch"))
    push(Source(BYTES).image(), [repository.tagged("1")], registry, compression="none")

    assert str(len(BYTES)) in [one.headers["Content-Length"] for one in server.asked("PATCH")]


def test_checksums_that_only_the_memory_knows_are_told(serve, http, tmp_path):
    server = serve()
    repository = Repository(server.host, "a/b")
    with Memory(tmp_path / "m") as memory:
        registry = Registry(http, Keychain(), memory=memory)
        first = push(Source(BYTES).image(), [repository.tagged("1")], registry, checksums=True).layers[0]
        again = push(pull(repository.tagged("1"), registry), [repository.tagged("2")], registry, checksums=True).layers[
            0
        ]

    assert None not in (first.sha1, first.md5)
    assert (again.fate, again.sha1, again.md5) == ("exists", first.sha1, first.md5)
