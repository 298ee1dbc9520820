"""Uploads over a bad line: what is sent again, what is not, and what is learnt."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import random
import socket
import socketserver
import threading
from functools import partial

import pytest
from urllib3 import HTTPHeaderDict

from buildpush.credentials.docker import Credential, Keychain
from buildpush.foundation.errors import AuthenticationError, DigestError, PushError, RegistryError, UnreachableError
from buildpush.foundation.events import Note, Retry, Traffic
from buildpush.http.messages import Answer
from buildpush.images.blocks import BLOCK
from buildpush.images.compression import Compressor, digest_of, library
from buildpush.images.references import Repository
from buildpush.registry import layers as room
from buildpush.registry.channel import offset_in
from buildpush.registry.client import Registry
from buildpush.registry.memory import Memory
from buildpush.registry.profile import LARGEST_PART, UploadProfile
from buildpush.registry.pull import pull
from buildpush.registry.push import push
from buildpush.registry.verdict import judge
from buildpush.sandbox import Sandbox

pytestmark = pytest.mark.sandbox

MEGA = 1_000_000
LARGE = random.Random(4).randbytes(9 * MEGA)
GONE = b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"gone"}]}'
IN_ONE_GO = partial(UploadProfile.with_way, way="patch")
SLACK = 200_000  # configuration, headers, what compression adds


@pytest.fixture
def small_parts(monkeypatch):
    """Let four parts of 2 MiB be under way, so that a small layer is many parts."""
    monkeypatch.setattr(room, "_UNDER_WAY", 4 * 1024 * 1024)


@pytest.fixture
def known(box, registry):
    """Let the host be one that took large parts before: an unknown one gets small ones first."""
    registry.learn(box.host, lambda profile: profile.after_part(LARGEST_PART, second=True))


@pytest.fixture
def memory(tmp_path):
    with Memory(tmp_path / "memory.sqlite") as one:
        yield one


def traffic(events) -> Traffic:
    return [event for event in events if isinstance(event, Traffic)][-1]


def reasons(events) -> list[str]:
    return [event.reason for event in events if isinstance(event, Retry)]


def patches(box):
    return [one for one in box.requests if one.method == "PATCH"]


def test_a_layer_travels_in_parts(known, box, registry, repository, source, small_parts):
    pushed = push(source(LARGE).image(), [repository.tagged("1")], registry)

    assert len(patches(box)) == 5 + 1  # 9 MB in parts of 2 MiB, and the configuration
    assert box.has_blob(pushed.layers[0].digest)


def test_after_a_cut_only_what_did_not_arrive_is_sent_again(known, box, registry, repository, source, events):
    layers = source(LARGE)
    box.add_fault("PATCH", "uploads", after=6 * MEGA)
    pushed = push(layers.image(), [repository.tagged("1")], registry, sink=events.append)

    moved = traffic(events)
    assert box.has_blob(pushed.layers[0].digest)
    assert layers.opened == [0]  # what was under way was still in memory
    assert 0 < moved.again <= 3 * MEGA + SLACK
    assert moved.sent - moved.again <= len(LARGE) + SLACK


def test_a_line_that_breaks_again_and_again_gets_there_as_long_as_it_gets_further(
    box, registry, repository, source, events, waits
):
    box.add_fault("PATCH", "uploads", after=50_000, times=8)  # less than the smallest part: each of them meets one
    pushed = push(source(LARGE).image(), [repository.tagged("1")], registry, sink=events.append)

    assert box.has_blob(pushed.layers[0].digest)
    assert sum(one.status == 0 for one in patches(box)) == 8 > registry.http.attempts
    assert max(waits) < 1  # each time it got further, so patience does not run out


def test_a_registry_that_forgot_the_upload_gets_it_anew_and_the_cost_is_told(
    known, box, registry, repository, source, small_parts, events
):
    layers = source(LARGE)
    box.add_fault("PATCH", "uploads", after=MEGA)
    box.add_fault("GET", "uploads", status=404, body=GONE)
    pushed = push(layers.image(), [repository.tagged("1")], registry, sink=events.append)

    assert box.has_blob(pushed.layers[0].digest)
    assert traffic(events).again > 0
    assert any("forgotten the upload" in reason and "sent again" in reason for reason in reasons(events))


def test_an_upload_that_has_expired_is_begun_anew(box, registry, repository, source, events):
    layers = source(LARGE)
    box.add_fault("PATCH", "uploads", status=404, body=GONE)
    pushed = push(layers.image(), [repository.tagged("1")], registry, sink=events.append)

    assert box.has_blob(pushed.layers[0].digest)
    assert any("sent again" in reason for reason in reasons(events))


def test_a_part_at_the_wrong_place_makes_us_ask_for_the_right_one(box, registry, repository, source, small_parts):
    box.add_fault("PATCH", "uploads", status=416)
    pushed = push(source(LARGE).image(), [repository.tagged("1")], registry)

    assert box.has_blob(pushed.layers[0].digest)


def test_a_refusal_in_every_way_is_an_error(box, registry, repository, source):
    box.add_fault("PATCH", "uploads", status=416, times=99)
    box.add_fault("PUT", "uploads", status=416, times=99)

    with pytest.raises(RegistryError, match="416"):
        push(source(LARGE).image(), [repository.tagged("1")], registry)
    assert len(patches(box)) <= 2 + 3  # two sizes of parts, and in one go


def test_a_registry_that_says_yes_to_parts_and_keeps_none_gets_the_blob_in_one_go(
    box, registry, repository, source, small_parts
):
    box.add_fault("PATCH", "uploads", status=202, headers={"Range": "0-0"}, times=3)
    pushed = push(source(LARGE).image(), [repository.tagged("1")], registry)

    assert box.has_blob(pushed.layers[0].digest)
    assert registry.profile(box.host).way == "patch"
    assert len(patches(box)) == 3 + 1 + 1  # in vain, in one go, and the configuration


def test_a_registry_that_says_yes_and_never_keeps_anything_is_an_error(box, registry, repository, source, small_parts):
    box.add_fault("PATCH", "uploads", status=202, headers={"Range": "0-0"}, times=99)

    with pytest.raises(PushError, match="layer 1/1"):
        push(source(LARGE).image(), [repository.tagged("1")], registry)
    assert len(patches(box)) <= 5
    assert box.digest("docker-local/app", "1") is None


class Hasty(socketserver.ThreadingTCPServer):
    """A proxy that answers the first PATCH before it has seen more of it than its headers."""

    daemon_threads = True

    def __init__(self, host, answer):
        self.upstream, self.answer = host.split(":"), [answer]
        super().__init__(("127.0.0.1", 0), HastyLine)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    @property
    def host(self):
        return f"127.0.0.1:{self.server_address[1]}"


class HastyLine(socketserver.BaseRequestHandler):
    def handle(self):
        with socket.create_connection(tuple(self.server.upstream)) as there:
            back = threading.Thread(target=self.pass_on, args=(there, self.request))
            back.start()
            while block := self.request.recv(4096):
                if block.startswith(b"PATCH") and self.server.answer:
                    path = block.split(b" ", 2)[1]
                    self.request.sendall(self.server.answer.pop() % path)
                    break
                there.sendall(block)
            there.shutdown(socket.SHUT_WR)
            back.join()

    def pass_on(self, source, sink):
        with contextlib.suppress(OSError):
            while block := source.recv(65536):
                sink.sendall(block)


@pytest.fixture
def hasty(box):
    claim = f"Range: 0-{LARGEST_PART - 1}".encode()
    answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n" + claim
    with Hasty(box.host, answer + b"\r\nLocation: %s\r\n\r\n") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_an_answer_that_comes_before_all_was_sent_is_not_believed(box, hasty, http, source):
    """It cannot be about bytes that never left: the registry is asked what it has."""
    keychain = Keychain({hasty.host: Credential(box.username, box.password, "test")})
    name = Repository(hasty.host, "docker-local/app").tagged("1")
    data = random.Random(6).randbytes(LARGEST_PART + MEGA)
    pushed = push(source(data).image(), [name], Registry(http, keychain), compression="none")

    assert not hasty.answer
    assert box.has_blob(pushed.layers[0].digest)
    large = [one.method for one in box.requests if "uploads/" in one.path and one.method != "POST"]
    assert large[:3] == ["GET", "PATCH", "PATCH"]


def test_a_blob_of_one_byte_arrives(box, registry, repository, source):
    """Of which a registry says that it has 0-0, as it does of nothing."""
    pushed = push(source(b"1").image(), [repository.tagged("1")], registry, compression="none")

    assert pushed.layers[0].size == 1
    assert box.has_blob(pushed.layers[0].digest)
    assert len(patches(box)) == 2


def test_an_offset_that_is_not_true_costs_the_blob_once_more(box, registry, repository, source, events):
    """The digest at the end tells; what is wrong is not tagged, and what can be mended is."""
    box.add_fault("PATCH", "uploads", after=6 * MEGA)
    box.add_fault("GET", "uploads", status=204, headers={"Range": "0-1999999"})
    pushed = push(source(LARGE).image(), [repository.tagged("1")], registry, sink=events.append)

    assert box.has_blob(pushed.layers[0].digest)


def test_a_token_that_ends_right_after_a_cut_is_renewed_all_the_same(box, registry, repository, source):
    challenge = {"WWW-Authenticate": f'Bearer realm="{box.url}/v2/token",service="{box.host}"'}
    box.add_fault("PATCH", "uploads", close=True)
    box.add_fault("PATCH", "uploads", status=401, headers=challenge)
    pushed = push(source(LARGE).image(), [repository.tagged("1")], registry)

    assert box.has_blob(pushed.layers[0].digest)


def test_a_digest_by_another_algorithm_is_held_to_as_well(box, registry, repository, source):
    box.add_fault("PUT", "manifests/1$", sha512=True)
    push(source(LARGE).image(), [repository.tagged("1")], registry)
    box.add_fault("PUT", "manifests/2$", status=201, headers={"Docker-Content-Digest": f"sha512:{'0' * 128}"})
    with pytest.raises(DigestError, match="names sha512:000"):
        push(source(LARGE).image(), [repository.tagged("2")], registry)
    box.add_fault("PUT", "manifests/3$", headers={"Docker-Content-Digest": "blake3:00"})
    push(source(LARGE).image(), [repository.tagged("3")], registry)


def test_after_a_cut_each_part_has_a_connection_of_its_own(known, box, registry, repository, source, small_parts):
    box.add_fault("PATCH", "uploads", after=MEGA)
    push(source(LARGE).image(), [repository.tagged("1")], registry)

    assert registry.profile(box.host).fresh


def test_a_limit_of_a_proxy_makes_parts_smaller(box, registry, repository, source):
    box.add_fault("PATCH", "uploads", status=413)
    pushed = push(source(LARGE).image(), [repository.tagged("1")], registry)

    assert box.has_blob(pushed.layers[0].digest)
    assert registry.profile(box.host).part == MEGA


def test_a_registry_that_takes_no_parts_gets_the_blob_in_one_go(
    box, registry, repository, source, small_parts, monkeypatch
):
    box.add_fault("PATCH", "uploads", status=411)
    pushed = push(source(LARGE).image(), [repository.tagged("1")], registry)

    assert box.has_blob(pushed.layers[0].digest)
    assert registry.profile(box.host).way == "patch"


def test_a_proxys_400_in_the_middle_does_not_turn_parts_off(box, registry, repository, source, small_parts):
    """It says nothing about parts when one was taken already; and what was confirmed is not sent again."""
    push(source(LARGE).image(), [repository.tagged("1")], registry)
    before = len(patches(box))
    box.add_fault("PATCH", "uploads", status=400)
    other = LARGE[::-1]
    pushed = push(source(other).image(), [repository.tagged("2")], registry)

    assert box.has_blob(pushed.layers[0].digest)
    assert registry.profile(box.host).way == "parts"
    assert len(patches(box)) - before <= 5 + 1 + 1


def test_a_busy_commit_of_a_blob_in_one_go_costs_no_second_sending(box, registry, repository, source, events):
    registry.learn(box.host, IN_ONE_GO)
    box.add_fault("PUT", "uploads", status=503)
    pushed = push(source(LARGE).image(), [repository.tagged("1")], registry, sink=events.append)

    assert box.has_blob(pushed.layers[0].digest)
    assert traffic(events).again == 0


def test_a_registry_that_is_busy_when_asked_for_the_offset_keeps_the_upload(
    box, registry, repository, source, small_parts, events
):
    box.add_fault("PATCH", "uploads", after=MEGA)
    box.add_fault("GET", "uploads", status=503, times=2)
    push(source(LARGE).image(), [repository.tagged("1")], registry, sink=events.append)

    assert traffic(events).again <= 2 * 2 * 1024 * 1024


def test_a_line_that_stays_broken_is_told_repository_by_repository(box, registry, repository, source):
    box.add_fault("PATCH", "uploads", close=True, times=99)
    names = [repository.tagged("1"), Repository(box.host, "docker-release/other").tagged("1")]

    with pytest.raises(UnreachableError, match="was not tried"):
        push(source(LARGE).image(), names, registry)


def test_plain_layers_must_be_what_the_configuration_says(box, registry, repository, source):
    """Their digest and their diff ID are of the same bytes, whoever computes them."""
    push(source(LARGE).image(), [repository.tagged("1")], registry, compression="none", checksums=False)
    image = pull(repository.tagged("1"), registry)
    wrong = dataclasses.replace(image.layers[0], diff_id=digest_of(b"else"))
    other = Repository(box.host, "docker-release/copy").tagged("1")

    with pytest.raises(DigestError, match="diff ID"):
        push(dataclasses.replace(image, layers=(wrong,)), [other], registry, checksums=False)


def test_what_is_learnt_of_a_host_is_known_to_the_next_run(http, keychain, box, memory):
    Registry(http, keychain, memory=memory).learn(box.host, lambda _: UploadProfile(MEGA, fresh=True))

    assert Registry(http, keychain, memory=memory).profile(box.host) == UploadProfile(MEGA, fresh=True)
    assert Registry(http, keychain).profile(box.host) == UploadProfile()


def test_a_run_goes_on_with_the_upload_of_one_that_failed(
    http, keychain, box, repository, source, small_parts, memory, events
):
    with pytest.raises(UnreachableError):
        push(failing(source(LARGE), 8 * MEGA), [repository.tagged("1")], Registry(http, keychain, memory=memory))
    assert len(patches(box)) >= 1
    registry = Registry(http, keychain, memory=memory, sink=events.append)
    pushed = push(source(LARGE).image(), [repository.tagged("1")], registry, sink=events.append)

    assert box.has_blob(pushed.layers[0].digest)
    assert traffic(events).sent <= len(LARGE) - 2 * 1024 * 1024 + SLACK
    assert [event.text for event in events if isinstance(event, Note) and "of an earlier run" in event.text]


def failing(layers, after: int):
    """Return the image of *layers*, whose source goes away after so many bytes."""
    image = layers.image()

    def blobs(wanted):
        for at, reader in layers(wanted):
            yield at, Breaking(reader, after)

    return image.__class__(image.config, image.layers, blobs)


class Breaking:
    """A reader that fails after *most* bytes, as when its source goes away."""

    def __init__(self, reader, most: int):
        self.reader, self.left = reader, most

    def read(self, size=-1):
        if self.left <= 0:
            message = "the source went away"
            raise UnreachableError(message)
        block = self.reader.read(size)
        self.left -= len(block)
        return block


def test_an_upload_of_a_running_process_is_left_alone(memory, box):
    repository = Repository(box.host, "docker-local/app")
    memory.keep_session(repository, "mark", "/v2/x")
    assert memory.take_session(repository, "mark") is None
    memory.leave_session(repository, "mark", "/v2/x")
    assert memory.take_session(repository, "mark") == "/v2/x"
    memory.forget_session(repository, "mark", "/v2/x")
    assert memory.take_session(repository, "mark") is None


def test_an_upload_that_is_not_what_it_seemed_is_sent_once_more(
    http, keychain, box, repository, source, small_parts, memory, events
):
    """Two layers may begin alike; what an earlier run left is then somebody else's beginning."""
    other = LARGE[: 3 * MEGA] + random.Random(5).randbytes(6 * MEGA)
    registry = Registry(http, keychain, memory=memory)
    with pytest.raises(UnreachableError):
        push(failing(source(LARGE), 8 * MEGA), [repository.tagged("1")], registry)
    pushed = push(source(other).image(), [repository.tagged("1")], registry, sink=events.append)

    assert box.has_blob(pushed.layers[0].digest)
    assert any("another digest" in reason for reason in reasons(events))


def test_a_blob_is_mounted_from_where_an_earlier_run_pushed_it(http, keychain, box, repository, source, memory):
    push(source(LARGE).image(), [repository.tagged("1")], Registry(http, keychain, memory=memory))
    other = Repository(box.host, "docker-release/app")
    box.add_fault("HEAD", "docker-release/app/blobs", status=404)
    layers = source(LARGE)
    pushed = push(layers.image(), [other.tagged("1")], Registry(http, keychain, memory=memory))

    assert pushed.layers[0].fate == "mounted"
    assert layers.opened == []


def remembered(memory, repository, data: bytes) -> None:
    """Let *memory* know what a layer becomes, and that *repository* has it."""
    compressing = Compressor(io.BytesIO(data), "gzip", 1, checksums=True)
    for _ in compressing:
        pass
    memory.keep(compressing.result, f"{library('gzip', 1)}, level 1, blocks of {BLOCK}")
    memory.keep_home(repository, compressing.result.digest)


@pytest.mark.parametrize("random_access", [False, True])
def test_an_upload_that_a_mount_began_is_gone_on_with(http, keychain, box, repository, source, memory, random_access):
    """The registry answers 202 where it cannot mount; a second POST would leave its upload behind."""
    remembered(memory, Repository(box.host, "docker-release/gone"), LARGE)
    image = source(LARGE).image(random_access=random_access)
    pushed = push(image, [repository.tagged("1")], Registry(http, keychain, memory=memory))

    posts = [one for one in box.requests if one.method == "POST" and "uploads" in one.path]
    assert ["mount" in one.query for one in posts] == [True, False]  # the layer's and the configuration's
    assert pushed.layers[0].fate == "sent"
    assert box.has_blob(pushed.layers[0].digest)


def test_after_a_mount_that_was_not_done_that_pair_is_not_tried_again(http, keychain, box, repository, source, memory):
    other = LARGE[::-1]
    for data in (LARGE, other):
        remembered(memory, Repository(box.host, "docker-release/gone"), data)
    registry = Registry(http, keychain, memory=memory, workers=1)
    push(source(LARGE, other).image(), [repository.tagged("1")], registry)

    assert sum("mount" in one.query for one in box.requests) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_mount_that_is_refused_is_an_upload_with_the_scope_of_here_alone(
    http, keychain, box, repository, source, memory, status
):
    remembered(memory, Repository(box.host, "docker-release/gone"), LARGE)
    challenge = {"WWW-Authenticate": f'Bearer realm="{box.url}/v2/token",service="{box.host}"'}
    box.add_fault("POST", "uploads", status=status, headers=challenge, times=2 if status == 401 else 1)
    pushed = push(source(LARGE).image(), [repository.tagged("1")], Registry(http, keychain, memory=memory))

    assert pushed.layers[0].fate == "sent"


def test_an_upload_address_on_another_host_sees_no_credentials(box, registry, repository, source):
    with Sandbox() as other:
        location = f"{other.url.replace('127.0.0.1', 'localhost')}/v2/docker-local/app/blobs/uploads/1"
        box.add_fault("POST", "uploads", status=202, headers={"Location": location}, times=9)
        with pytest.raises(AuthenticationError):
            push(source(LARGE).image(), [repository.tagged("1")], registry)

        assert other.requests
        assert {one.username for one in other.requests} == {""}


def test_an_upload_goes_where_the_registry_sends_it_on_to(known, box, registry, repository, source):
    """Some registries redirect the bytes to a store of theirs."""
    session = registry.request(repository, "POST", "blobs/uploads/", body=b"").headers["Location"]
    box.add_fault("PATCH", "uploads", status=307, headers={"Location": session})
    pushed = push(source(LARGE).image(), [repository.tagged("1")], registry)

    assert box.has_blob(pushed.layers[0].digest)
    assert len(patches(box)) == 4  # sent on, taken, the layer's second part; and the configuration


@pytest.mark.parametrize("status", [307, 308])
def test_a_blob_in_one_go_is_read_once_more_for_where_the_registry_sends_it_on_to(
    box, registry, repository, source, events, status
):
    registry.learn(box.host, IN_ONE_GO)
    session = registry.request(repository, "POST", "blobs/uploads/", body=b"").headers["Location"]
    box.add_fault("PATCH", "uploads", status=status, headers={"Location": session})
    layers = source(LARGE)
    pushed = push(layers.image(), [repository.tagged("1")], registry, sink=events.append)

    assert box.has_blob(pushed.layers[0].digest)
    assert layers.opened == [0, 0]
    assert traffic(events).again >= len(LARGE)


def test_a_blob_in_one_go_that_is_sent_on_to_another_host_shows_it_no_credentials(box, registry, repository, source):
    registry.learn(box.host, IN_ONE_GO)
    with Sandbox() as other:
        address = other.host.replace("127.0.0.1", "localhost")
        box.add_fault("PATCH", "uploads", status=307, elsewhere=address, times=9)
        with pytest.raises(AuthenticationError):
            push(source(LARGE).image(), [repository.tagged("1")], registry)

        assert [one.method for one in other.requests] == ["PATCH"]
        assert {one.username for one in other.requests} == {""}
    assert not box.has_blob(digest_of(LARGE))


def test_a_blob_that_cannot_be_read_once_more_is_an_error_that_says_so(box, registry, repository, source):
    registry.learn(box.host, IN_ONE_GO)
    session = registry.request(repository, "POST", "blobs/uploads/", body=b"").headers["Location"]
    box.add_fault("PATCH", "uploads", status=307, headers={"Location": session})
    layers = source(LARGE)
    image = layers.image()
    once = dataclasses.replace(image, blobs=lambda wanted: iter(()) if layers.opened else layers(wanted))

    with pytest.raises(DigestError, match="the image's source gave no layer 1/1"):
        push(once, [repository.tagged("1")], registry)
    assert box.digest("docker-local/app", "1") is None


def test_a_registry_that_sends_a_blob_round_in_circles_is_an_error(box, registry, repository, source):
    registry.learn(box.host, IN_ONE_GO)
    session = registry.request(repository, "POST", "blobs/uploads/", body=b"").headers["Location"]
    box.add_fault("PATCH", "uploads", status=307, headers={"Location": session}, times=99)

    with pytest.raises(RegistryError, match="status 307"):
        push(source(LARGE).image(), [repository.tagged("1")], registry)
    assert len(patches(box)) == 5


@pytest.mark.parametrize("checksums", [True, False])
def test_a_source_that_is_shorter_than_it_promised_is_an_error_at_once(
    box, registry, repository, source, waits, checksums
):
    """In one go, the registry would wait for bytes that never come."""
    registry.learn(box.host, IN_ONE_GO)
    image = source(LARGE).image()
    longer = dataclasses.replace(image.layers[0], size=len(LARGE) + 1)

    with pytest.raises(DigestError, match="9000000 bytes, but 9000001 were expected"):
        push(
            dataclasses.replace(image, layers=(longer,)),
            [repository.tagged("1")],
            registry,
            compression="none",
            checksums=checksums,
        )
    assert waits == []
    assert box.digest("docker-local/app", "1") is None


def test_a_push_tells_what_it_moved(http, keychain, repository, source, memory, events):
    registry = Registry(http, keychain, memory=memory)
    layers = source(LARGE, b"small " * 1000)
    push(layers.image(), [repository.tagged("1")], registry, sink=events.append)
    push(layers.image(), [repository.tagged("2")], registry, sink=events.append)
    first, second = (event for event in events if isinstance(event, Traffic))

    assert len(LARGE) <= first.sent <= len(LARGE) + SLACK
    assert (first.again, first.skipped) == (0, 0)
    assert first.seconds["send"] > 0
    assert second.sent == 0
    assert second.skipped >= len(LARGE)


@pytest.mark.parametrize("least", [3_000_000, 20_000_000, "9" * 5000])
def test_parts_are_as_large_as_the_registry_wants_or_there_are_none(http, source, least):
    """Above the largest part that we hold, the blob goes in one PATCH; a wish that is no number is none."""
    data = random.Random(8).randbytes(24_000_000)
    piece = least if isinstance(least, int) else 0
    with Sandbox(least_piece=piece) as box:
        if not piece:
            box.add_fault("POST", "uploads", status=None, headers={"OCI-Chunk-Min-Length": least})
        registry = Registry(http, Keychain({box.host: Credential(box.username, box.password, "test")}))
        repository = Repository(box.host, "docker-local/app")
        pushed = push(source(data).image(), [repository.tagged("1")], registry, compression="none")
        assert box.has_blob(pushed.layers[0].digest)
        assert (len(patches(box)) == 2) == (piece == 20_000_000)  # of layer and configuration


@pytest.mark.parametrize(
    ("says", "offset"),
    [
        ("0-0", 0),
        ("0-1", 2),
        ("bytes=0-99", 100),
        ("bytes 0-99", 100),
        (" 0-99 ", 100),
        ("0-999999999999999999", 10**18),
        ("0-1000000000000000000", None),
        ("1-99", None),
        ("0-99/100", None),
        ("0--1", None),
        ("x0-99", None),
        ("", None),
        (None, None),
    ],
)
def test_what_an_upload_has_is_read_from_its_range(says, offset):
    headers = HTTPHeaderDict({} if says is None else {"range": says})
    assert offset_in(Answer(204, headers, b"", "https://r.io/")) == offset


@pytest.mark.parametrize(
    ("status", "code", "begun", "wanted"),
    [
        *[(status, None, True, (False, None, False, False)) for status in (408, 425, 499, 500, 502, 503, 504, 507)],
        *[(status, "DENIED", True, (False, None, False, False)) for status in (500, 520, 527)],
        (429, None, True, (False, None, True, False)),
        (416, None, True, (False, 3, False, True)),
        (404, None, True, (True, None, False, False)),
        (400, None, True, (False, 2, False, True)),
        (400, None, False, (True, 2, False, True)),
        *[(status, None, True, None) for status in (401, 403, 405, 409, 413, 501, 519, 528)],
        *[
            (404, code, True, None)
            for code in ("NAME_UNKNOWN", "NAME_INVALID", "SIZE_INVALID", "UNSUPPORTED", "DENIED")
        ],
    ],
)
def test_which_refusals_of_an_upload_are_worth_another_try(status, code, begun, wanted):
    """How: whether the upload is lost, how often, whether nothing of it was taken, whether another way may help."""
    error, answer = RegistryError("no", status=status, code=code), Answer(status, {}, b"", "https://r.io/")
    found = judge(error, answer, progress=begun)

    if wanted is None:
        assert found is error
    else:
        assert (found.lost, found.tries, found.certain, found.other_way) == wanted
        assert (found.error, found.answer) == (error, answer)
