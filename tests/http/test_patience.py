"""How long an answer is waited for."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush.foundation.errors import UnreachableError
from buildpush.http.client import Http
from buildpush.http.messages import Answer
from buildpush.http.retry import LEAST, Retries, Timeouts, seconds_left, time_budget
from buildpush.http.wires import PacedReader, TooSlowError, pools
from tests.http.servers import OK, Client, Handle, in_turn, serving, status


@pytest.mark.sandbox
def test_a_silent_host_is_given_up():
    quiet = threading.Event()
    with (
        Client(timeouts=Timeouts(silence=0.05), retries=Retries(attempts=1)) as client,
        serving(lambda _: quiet.wait(5)) as server,
    ):
        with pytest.raises(UnreachableError, match="went silent"):
            client.request("GET", server.url)
        quiet.set()


def dripping(head: bytes, rest: bytes, seconds: float = 0.03) -> Handle:
    """Return a handler that sends *head* at once, and *rest* byte by byte, each well before a silence is too long."""

    def handle(request):
        with contextlib.suppress(OSError):
            request.connection.sendall(head)
            for byte in rest:
                time.sleep(seconds)
                request.connection.sendall(bytes([byte]))
        request.close_connection = True

    return handle


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nContent-Type: application/json\r\n"


def asked(client: Http, url: str, *, streams: bool) -> bytes:
    if not streams:
        return client.request("GET", url).body
    with client.open("GET", url) as answer:
        return answer.read(1000)


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("head", "rest"),
    [
        (HEAD + b"\r\n", b"x" * 1000),
        (HEAD, b"X-More: " + b"x" * 1000),
        (b"", HEAD * 10),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1000),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000),
    ],
    ids=["the body", "the headers", "all of it", "chunks", "to the end of the connection"],
)
@pytest.mark.parametrize("streams", [True, False])
def test_an_answer_that_comes_by_a_byte_now_and_then_keeps_nobody(head, rest, streams):
    with (
        Client(timeouts=Timeouts(silence=0.3), retries=Retries(attempts=1)) as client,
        serving(dripping(head, rest)) as server,
        pytest.raises(UnreachableError, match=r"answers too slowly: only \d+ bytes came"),
    ):
        asked(client, server.url, streams=streams)


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("handle", "words"),
    [
        (lambda _: threading.Event().wait(3), "went silent"),
        (dripping(HEAD + b"\r\n", b"x" * 100), "answers too slowly"),
        (lambda request: request.reset(), r"broke: .*"),
    ],
    ids=["silence", "a byte now and then", "resets"],
)
def test_a_request_takes_no_longer_than_its_time_budget(handle, words):
    begun = time.monotonic()
    with Http(retries=Retries(base=0.05)) as client, serving(handle) as server, time_budget(0.3):
        with pytest.raises(UnreachableError, match=words):
            client.request("GET", server.url)
        assert time.monotonic() - begun < 2


@pytest.mark.sandbox
def test_a_wait_that_is_longer_than_the_time_budget_is_not_begun(client):
    with serving(status(503)) as server, time_budget(0.6):
        assert client.request("GET", server.url).attempts == 3
    assert client.waits == [pytest.approx(0.25, rel=0.11), pytest.approx(0.5, rel=0.11)]


@pytest.mark.sandbox
def test_a_host_that_asked_for_a_pause_is_not_asked_within_a_smaller_time_budget(client):
    with serving(in_turn(status(429, Retry_After="9"), OK)) as server:
        with time_budget(1):
            assert client.request("GET", server.url).status == 429
        client.request("GET", server.url)
        client.wait("a", "b", 1, Answer(429, {"Retry-After": "9"}, b"", server.url))
        with time_budget(1), pytest.raises(UnreachableError, match="does not answer in time"):
            client.request("GET", server.url)


def test_the_smallest_time_budget_counts_and_ends_with_its_block():
    with time_budget(5):
        with time_budget(9):
            assert seconds_left() <= 5
        with time_budget(-1):
            assert seconds_left() == 0
    assert seconds_left() == float("inf")


@pytest.mark.sandbox
def test_who_reads_slowly_is_not_taken_for_a_slow_host():
    with (
        Client(timeouts=Timeouts(silence=0.2), retries=Retries(attempts=1)) as client,
        serving(lambda request: request.answer(200, b"x" * 3000)) as server,
        client.open("GET", server.url) as answer,
    ):
        for _ in range(3):
            time.sleep(0.25)
            assert len(answer.read(1000)) == 1000


class Wire(io.RawIOBase):
    """Gives blocks, each after some seconds of a clock of its own."""

    def __init__(self, blocks):
        self.blocks, self.now = list(blocks), 0.0

    def readable(self):
        return True

    def readinto(self, buffer):
        if not self.blocks:
            return 0
        seconds, size = self.blocks.pop(0)
        self.now += seconds
        buffer[:size] = b"x" * size
        return size


def taken(wire: Wire) -> int:
    paced, size = PacedReader(wire, 120.0, lambda: wire.now), 0
    while came := paced.readinto(bytearray(LEAST)):
        size += came
    return size


BLOCKS = st.lists(st.tuples(st.floats(0, 119), st.integers(1, LEAST)), max_size=200)


@given(BLOCKS)
def test_waiting_ends_at_the_latest_when_two_silences_brought_less_than_the_least(blocks):
    wire = Wire(blocks)
    with contextlib.suppress(TooSlowError):
        taken(wire)
    done = blocks[: len(blocks) - len(wire.blocks)]
    assert sum(seconds for seconds, _ in done) <= 240 * (1 + sum(size for _, size in done) / LEAST) + 119


@given(st.lists(st.floats(0, 119), max_size=50), st.integers(LEAST, 10 * LEAST))
def test_a_line_that_brings_the_least_in_time_is_never_given_up(waits, size):
    blocks = [(seconds, min(size, LEAST)) for seconds in waits]
    assert taken(Wire(blocks)) == sum(size for _, size in blocks)


def test_the_patience_with_a_new_connection_is_ten_seconds():
    """A host that does not answer at all is told soon; what thinks for long has been connected to."""
    timeout = Timeouts().now
    assert (timeout.connect_timeout, timeout.read_timeout) == (10.0, 120.0)


@pytest.mark.parametrize(
    ("waited", "came", "slow"), [(10, 5, False), (10.1, 5, True), (99, LEAST, False), (99, 0, False)]
)
def test_a_wait_for_too_little_is_an_error_that_says_how_little(waited, came, slow):
    """The first bytes may take their time: the socket itself waits for them."""
    now = [0.0]
    steps = iter([(50.0, b"first"), (waited, b"x" * came)])

    class Slow(io.RawIOBase):
        def readinto(self, buffer):
            seconds, data = next(steps)
            now[0] += seconds
            buffer[: len(data)] = data
            return len(data)

    paced = PacedReader(Slow(), 10, lambda: now[0])
    assert paced.readinto(bytearray(LEAST)) == 5
    if not slow:
        assert paced.readinto(bytearray(LEAST)) == came
        return
    with pytest.raises(TooSlowError, match=rf"^only {5 + came} bytes came in 10 s$"):
        paced.readinto(bytearray(LEAST))


@pytest.mark.sandbox
def test_a_connection_waits_for_answers_as_long_as_it_is_told_and_not_as_for_the_connection(box):
    wired = []
    host, _, port = box.host.partition(":")
    wire = pools(wired.append, 7.5)["http"].ConnectionCls(host, int(port), timeout=1.0)
    wire.connect()
    assert wired == [wire]
    assert wire.sock.gettimeout() == 7.5
    assert wire.timeout == 1.0
    wire.request("GET", "/v2/", headers={"Authorization": "Bearer none"}, preload_content=True)
    assert wire.timeout == 7.5  # of sending, which is not the one of connecting
    assert wire.getresponse().status == 401
    wire.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_connection_that_is_there_sends_with_the_patience_for_answers(scheme):
    wire = pools(lambda _: None, 7.5)[scheme].ConnectionCls("r.example", timeout=1.0)
    wire.sock, there = socket.socketpair()
    with there:
        wire.request("GET", "/v2/", headers={"X-Mark": "here"})
        assert wire.timeout == 7.5
        assert b"X-Mark: here" in there.recv(4096)
    wire.close()
