"""Requests: what is repeated, how long is waited, where credentials go, what a broken line is called."""

from __future__ import annotations

import contextlib
import http.server
import io
import itertools
import re
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from types import SimpleNamespace

import pytest
import urllib3  # noqa: F401 - it tries a socket at its first import, which a fast test may not
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3 import exceptions as e

from buildpush.foundation.errors import (
    AuthenticationError,
    BuildError,
    CancelledError,
    RegistryError,
    SettingsError,
    UnreachableError,
)
from buildpush.foundation.events import Retry
from buildpush.foundation.secrets import MASK, Secret, redact
from buildpush.http import download as fetching
from buildpush.http import failures, retry, tls
from buildpush.http.client import Http, scheme_for
from buildpush.http.download import download
from buildpush.http.failures import Interruption
from buildpush.http.messages import Answer, Stream
from buildpush.http.proxies import Proxies, login
from buildpush.http.retry import LEAST, Retries, Timeouts, seconds_left, time_budget
from buildpush.http.tls import certificates_in
from buildpush.http.urls import Address, AddressError, check_redirect, is_loopback, origin
from buildpush.http.wires import PacedReader, TooSlowError, pools

sandbox = pytest.mark.sandbox
Handle = Callable[["Handler"], None]


@dataclass(frozen=True)
class Seen:
    command: str
    path: str
    headers: Message
    body: bytes


class Handler(http.server.BaseHTTPRequestHandler):
    """Does what the server's function says; keeps what it was asked."""

    protocol_version = "HTTP/1.1"
    server: Server

    wbufsize = 65536  # an answer is one packet, or the tests wait for delayed acknowledgements

    def handle_any(self):
        body = b"" if self.server.leaves_bodies else self._read_body()
        self.server.seen.append(Seen(self.command, self.path, self.headers, body))
        self.server.handle(self)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_CONNECT = handle_any  # noqa: N815

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *words):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    leaves_bodies = False

    def __init__(self, handle: Handle):
        super().__init__(("127.0.0.1", 0), Handler)
        self.handle = handle
        self.seen: list[Seen] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        pass


@contextlib.contextmanager
def serving(handle: Handle) -> Iterator[Server]:
    server = Server(handle)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def in_turn(*handles: Handle) -> Handle:
    waiting = list(handles)

    def handle(request):
        next_one = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        next_one(request)

    return handle


def status(number: int, **headers: str) -> Handle:
    return lambda request: request.answer(number, b"body", **headers)


OK = status(200)


def short(request):
    """Promise ten bytes, and give four."""
    request.send_response(200)
    request.send_header("Content-Length", "10")
    request.end_headers()
    request.wfile.write(b"half")
    request.close_connection = True


class Client(Http):
    """An Http that writes its waits down instead of waiting."""

    def __init__(self, **more):
        self.waits: list[float] = []
        self.events: list[object] = []
        more = {"sleep": self.waits.append, "sink": self.events.append, **more}
        super().__init__(**more)


@pytest.fixture
def client() -> Iterator[Client]:
    with Client() as one:
        yield one


@sandbox
def test_an_answer_has_status_headers_in_any_case_and_body(client):
    with serving(status(404, X_Name="v")) as server:
        answer = client.request("GET", f"{server.url}/a?b=c")

    assert (answer.status, answer.ok, answer.headers["x-NAME"], answer.body) == (404, False, "v", b"body")
    assert client.waits == []


@sandbox
@pytest.mark.parametrize("number", [408, 429, 500, 502, 503, 504, *range(520, 528)])
def test_a_passing_failure_is_asked_again(client, number):
    with serving(in_turn(status(number), status(number), OK)) as server:
        answer = client.request("GET", server.url)

    assert (answer.status, answer.attempts) == (200, 3)
    assert client.waits[0] == pytest.approx(0.25, rel=0.11)
    # A 429 makes the whole host wait, here again, for what is left and up to a tenth more.
    assert 0.45 <= client.waits[-1] <= 0.5 * 1.1 * 1.1
    assert [event.reason for event in client.events if isinstance(event, Retry)] == [f"status {number}"] * 2


@sandbox
def test_a_lasting_failure_is_answered_after_six_attempts(client):
    with serving(status(502)) as server:
        answer = client.request("PUT", server.url, body=b"x")

    assert (answer.status, answer.attempts, len(server.seen)) == (502, 6, 6)


@sandbox
@pytest.mark.parametrize(
    ("wish", "least", "most"), [("3", 3, 3.3), ("900", 60, 66), ("soon", 0.2, 0.3), ("0", 0.2, 0.3)]
)
def test_the_servers_wish_is_followed_within_limits(client, wish, least, most):
    with serving(in_turn(status(503, Retry_After=wish), OK)) as server:
        client.request("GET", server.url)

    assert least <= client.waits[0] <= most


@sandbox
@pytest.mark.parametrize(
    ("date", "least", "most"),
    [("Mon, 01 Jan 2001 00:00:07 GMT", 7, 7.7), ("Sun, 31 Dec 2000 23:59:00 GMT", 0.2, 0.3)],
)
def test_a_date_to_retry_at_is_read_by_the_servers_own_clock(client, date, least, most):
    def handle(request):
        request.send_response_only(503)
        request.send_header("Date", "Mon, 01 Jan 2001 00:00:00 GMT")
        request.send_header("Retry-After", date)
        request.send_header("Content-Length", "0")
        request.end_headers()

    with serving(in_turn(handle, OK)) as server:
        client.request("GET", server.url)

    assert least <= client.waits[0] <= most


@sandbox
def test_everybody_waits_for_a_host_that_said_too_many_and_not_to_the_same_moment():
    client = Client(clock=lambda: 100.0)
    with client, serving(in_turn(status(429, Retry_After="3"), OK, OK)) as server:
        client.request("GET", server.url)
        waited = len(client.waits)
        client.request("GET", server.url)
        client.request("GET", server.url)

    first, second = client.waits[waited:]
    assert all(3 <= seconds <= 3 * 1.1**2 for seconds in (first, second))
    assert first != second


@sandbox
def test_when_many_wait_for_a_silent_host_one_of_them_says_so():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        client = Client(clock=lambda: 100.0)
        client._hosts_that_answered.add(origin(url))
        client._hosts_reached.add(origin(url))

        together = threading.Barrier(4)  # else one quick thread may ask for all of them

        def ask(_number):
            together.wait()
            with pytest.raises(UnreachableError):
                client.request("GET", url)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(ask, range(4)))

    assert len(client.events) < 4 * 8
    assert len(client.waits) == 4 * 8


@sandbox
def test_a_post_is_not_sent_twice_unless_the_caller_allows_it(client):
    with serving(in_turn(status(503), OK)) as server:
        assert client.request("POST", server.url, body=b"x").status == 503
    with serving(in_turn(status(503), OK)) as server:
        assert client.request("POST", server.url, body=b"x", repeatable=True).status == 200


@sandbox
def test_a_reset_is_asked_again(client):
    with serving(in_turn(OK, Handler.reset, OK)) as server:
        client.request("GET", server.url)
        assert client.request("GET", server.url).status == 200

    assert len(client.waits) == 1


@sandbox
def test_a_stream_arrives_whole(client):
    with serving(OK) as server:
        client.request("PATCH", server.url, body=iter([b"ab", b"", b"c" * 100_000]))

    assert server.seen[0].body == b"ab" + b"c" * 100_000


@sandbox
def test_a_broken_stream_says_how_far_it_came(client):
    with serving(Handler.reset) as server:
        server.leaves_bodies = True
        with pytest.raises(Interruption) as caught:
            client.request("PATCH", server.url, body=(b"x" * 1_000_000 for _ in range(100)))

    assert 0 <= caught.value.sent < 100_000_000
    assert client.waits == []


@sandbox
def test_a_refusal_in_the_middle_of_a_stream_is_heard(client):
    """The reason is in the answer, not in the broken pipe."""

    def refuse(request):
        request.answer(413, b"too big", Connection="close")
        request.wfile.flush()
        request.connection.shutdown(socket.SHUT_WR)
        time.sleep(0.05)

    with serving(refuse) as server:
        server.leaves_bodies = True
        answer = client.request("PATCH", server.url, body=(b"x" * 65536 for _ in range(4)))

    assert (answer.status, answer.body) == (413, b"too big")


@sandbox
def test_a_failing_source_is_no_network_failure(client):
    def source():
        yield b"x"
        raise OSError(5, "Input/output error")

    with serving(OK) as server, pytest.raises(OSError, match="Input/output error"):
        client.request("PATCH", server.url, body=source())


@sandbox
def test_a_redirect_keeps_credentials_at_home(client):
    with serving(OK) as other, serving(OK) as home:
        home.handle = in_turn(status(307, Location="/next"), status(307, Location=f"{other.url}/away"))
        answer = client.request("GET", home.url, authorization="Basic c2VjcmV0")

    assert [one.headers.get("Authorization") for one in home.seen] == ["Basic c2VjcmV0"] * 2
    assert other.seen[0].headers.get("Authorization") is None
    assert answer.url == f"{other.url}/away"


@sandbox
def test_a_redirected_put_stays_a_put_and_a_see_other_becomes_a_get(client):
    with serving(in_turn(status(307, Location="/2"), status(303, Location="/3"), OK)) as server:
        client.request("PUT", server.url, body=b"x")

    assert [(one.command, one.body) for one in server.seen] == [("PUT", b"x"), ("PUT", b"x"), ("GET", b"")]


@sandbox
@pytest.mark.parametrize(
    ("number", "sent", "followed"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
        (301, "PUT", "PUT"),
        (302, "PUT", "PUT"),
        (303, "PUT", "GET"),
        (307, "PUT", "PUT"),
        (302, "HEAD", "HEAD"),
    ],
)
def test_what_a_redirect_makes_of_a_request_is_by_its_status(client, number, sent, followed):
    body = None if sent == "HEAD" else b"x"
    with serving(in_turn(status(number, Location="/2"), OK)) as server:
        client.request(sent, server.url, body=body, repeatable=True)

    assert [one.command for one in server.seen] == [sent, followed]
    assert server.seen[1].body == (b"x" if followed not in {"GET", "HEAD"} else b"")


@sandbox
def test_credentials_do_not_come_back_with_a_redirect_from_elsewhere(client):
    with serving(OK) as other, serving(OK) as home:
        home.handle = in_turn(status(302, Location=f"{other.url}/away"), OK)
        other.handle = status(302, Location=f"{home.url}/back")
        client.request("GET", home.url, authorization="Basic c2VjcmV0")

    assert [one.headers.get("Authorization") for one in home.seen] == ["Basic c2VjcmV0", None]


@sandbox
def test_a_redirected_request_that_may_be_sent_once_is_not_sent_again(client):
    with serving(in_turn(status(307, Location="/2"), status(503))) as server:
        assert client.request("POST", server.url, body=b"x").status == 503

    assert len(server.seen) == 2


@sandbox
def test_what_is_read_behind_a_redirect_has_the_same_limit(client):
    with (
        serving(in_turn(status(302, Location="/2"), OK)) as server,
        pytest.raises(RegistryError, match="larger than 3 bytes"),
    ):
        client.request("GET", server.url, most=3)


@sandbox
def test_an_answer_behind_a_redirect_is_opened_as_a_stream(client):
    with serving(in_turn(status(302, Location="/2"), OK)) as server, client.open("GET", server.url) as answer:
        assert isinstance(answer, Stream)


@sandbox
@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://example.org/"])
def test_a_redirect_out_of_the_web_is_refused(client, target):
    with serving(status(302, Location=target)) as server, pytest.raises(AddressError, match="neither http nor https"):
        client.request("GET", server.url)


def test_a_redirect_out_of_tls_is_refused():
    one = Address.parse("https://one.example/a")
    check_redirect(one, Address.parse("https://other.example/a"))
    for spelling in ("http://other.example/a", "HTTP://other.example/a", "http://one.example:443/a"):
        with pytest.raises(AddressError, match="without TLS: that is not safe"):
            check_redirect(one, one.join(spelling))


@sandbox
def test_redirects_can_be_left_alone_and_do_not_go_on_for_ever(client):
    with serving(status(302, Location="/again")) as server:
        assert client.request("GET", server.url, redirect=False).status == 302
        assert client.request("GET", server.url).status == 302
        assert len(server.seen) == 1 + 1 + 5


@sandbox
def test_the_authorization_is_asked_for_at_each_attempt(client):
    values = iter(["one", "two"])
    with serving(in_turn(status(503), OK)) as server:
        client.request("GET", server.url, authorization=lambda: next(values))

    assert [one.headers["Authorization"] for one in server.seen] == ["one", "two"]


@sandbox
def test_an_opened_answer_is_read_piece_by_piece(client):
    with serving(status(200)) as server, client.open("GET", server.url) as stream:
        assert isinstance(stream, Stream)
        assert (stream.read(2), stream.read(), stream.read(1)) == (b"bo", b"dy", b"")


@sandbox
def test_opening_what_is_not_there_gives_the_answer(client):
    with serving(status(404)) as server, client.open("GET", server.url) as answer:
        assert isinstance(answer, Answer)
        assert answer.status == 404


@sandbox
def test_a_body_that_ends_too_early_is_a_broken_connection(client):
    with serving(short) as server, client.open("GET", server.url) as stream:
        assert stream.read(4) == b"half"
        with pytest.raises(UnreachableError, match="broke"):
            stream.read(6)


@sandbox
def test_a_download_that_breaks_begins_anew(client, tmp_path):
    dated = status(200, Last_Modified="Wed, 21 Oct 2015 07:28:00 GMT")
    with serving(in_turn(short, dated)) as server:
        assert download(client, server.url, tmp_path / "file", most=9_000_000) == 1_445_412_480
    assert (tmp_path / "file").read_bytes() == b"body"
    assert len(client.waits) == 1


@sandbox
def test_a_download_has_a_limit_that_a_setting_moves(client, tmp_path):
    with serving(OK) as server:
        with pytest.raises(BuildError, match="is larger than 3 bytes") as caught:
            download(client, server.url, tmp_path / "file", most=3)
        download(client, server.url, tmp_path / "file", most=4)
    assert "fetch_limit" in caught.value.hint
    assert not client.waits


@sandbox
def test_a_download_that_is_refused_tells_no_password(client, tmp_path):
    with serving(status(403)) as server, pytest.raises(BuildError, match="status 403") as caught:
        download(client, server.url.replace("//", "//me:planted@"), tmp_path / "file", most=9)
    assert "planted" not in str(caught.value)
    assert not (tmp_path / "file").exists()


@sandbox
def test_headers_that_break_off_are_a_broken_connection_and_no_answer(client):
    def breaking(request):
        request.wfile.write(b"HTTP/1.1 201 Created\r\nDocker-Content-Digest: sha256:2514e7")
        request.close_connection = True

    with serving(in_turn(breaking, OK)) as server:
        assert client.request("GET", server.url).status == 200
    assert len(client.waits) == 1


@sandbox
def test_a_host_that_never_answered_is_given_up_soon(client):
    with serving(OK) as server:
        pass
    with pytest.raises(
        UnreachableError, match=r"no connection to 127.0.0.1:\d+: Connection refused \(tried 2 times"
    ) as caught:
        client.request("GET", server.url)
    assert "check host and port" in caught.value.hint


@sandbox
def test_a_host_that_answered_before_is_waited_for_as_long_as_a_restart_takes():
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    with Client(sleep=sleep, clock=lambda: now[0]) as client:
        with serving(OK) as server:
            client.request("GET", server.url, headers={"Connection": "close"})
        with pytest.raises(UnreachableError, match="tried 9 times"):
            client.request("GET", server.url)
        assert 55 < now[0] < 75
        for _ in range(10):  # and not for each request anew
            with pytest.raises(UnreachableError, match="tried 6 times"):
                client.request("GET", server.url)
        assert now[0] < 75 + 10 * 9


@sandbox
@pytest.mark.parametrize(("number", "attempts"), [(502, 9), (503, 9), (522, 9), (500, 6), (429, 6)])
def test_a_gateway_that_says_that_the_host_is_down_is_asked_as_long(client, number, attempts):
    with serving(in_turn(OK, status(number))) as server:
        client.request("GET", server.url)
        assert client.request("GET", server.url).attempts == attempts


@sandbox
def test_a_host_that_is_back_may_go_down_again():
    now = [0.0]
    steps = [OK, *[status(503)] * 8, OK, *[status(503)] * 8, OK]
    with (
        Client(sleep=lambda seconds: now.__setitem__(0, now[0] + seconds), clock=lambda: now[0]) as client,
        serving(in_turn(*steps)) as server,
    ):
        assert [client.request("GET", server.url).status for _ in range(3)] == [200, 200, 200]
    assert now[0] > 100


@sandbox
@pytest.mark.parametrize("header", ["Authorization", "X-JFrog-Art-Api"])
@pytest.mark.parametrize("token", ["a\r\nX-Other: b", "a\nb", "a\0b", "a\x1b[1m", "a\u20ac", "a\u00fc", "a\ud800"])
def test_a_token_that_no_header_can_have_is_refused_once_and_not_shown(header, token):
    events = []
    with Http(sink=events.append) as http, pytest.raises(AuthenticationError, match="the token or password") as caught:
        http.request("GET", "http://127.0.0.1:9/", headers={header: f"Bearer {token}"})
    assert events == []
    assert token not in f"{caught.value} {caught.value.hint}"


@sandbox
@given(st.lists(st.sampled_from([100, 102, 103, 104, 199]), max_size=8))
@settings(max_examples=25, deadline=None)
def test_interim_answers_are_read_over(interim):
    def handle(request):
        for number in interim:
            request.wfile.write(b"HTTP/1.1 %d Wait\r\nLink: </x>; rel=preload\r\n\r\n" % number)
        request.answer(200, b"body")

    with Http() as client, serving(handle) as server:
        for _ in range(2):  # on one connection
            answer = client.request("GET", server.url)
            assert (answer.status, answer.body) == (200, b"body")
        assert client.request("PUT", server.url, body=iter([b"a", b"b"])).status == 200


@sandbox
def test_interim_answers_without_end_are_a_broken_connection(client):
    def handle(request):
        for _ in range(100):
            request.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        request.answer(200, b"body")

    with serving(handle) as server, pytest.raises(UnreachableError, match="interim"):
        client.request("GET", server.url)


def test_an_unknown_host_says_so(client, monkeypatch):
    def unknown(*_words, **_named):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(UnreachableError, match=r"the host registry\.invalid is not known"):
        client.request("GET", "https://registry.invalid/v2/")


@sandbox
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


@sandbox
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


@sandbox
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


@sandbox
def test_a_wait_that_is_longer_than_the_time_budget_is_not_begun(client):
    with serving(status(503)) as server, time_budget(0.6):
        assert client.request("GET", server.url).attempts == 3
    assert client.waits == [pytest.approx(0.25, rel=0.11), pytest.approx(0.5, rel=0.11)]


@sandbox
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


@sandbox
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


@sandbox
def test_a_host_without_tls_is_not_asked_again(client):
    with serving(OK) as server, pytest.raises(UnreachableError, match="does not speak TLS"):
        client.request("GET", server.url.replace("http:", "https:"))
    assert client.waits == []


def test_a_missing_certificate_file_is_named(tmp_path):
    with Http(ca_files=[tmp_path / "ca.pem"]) as client, pytest.raises(SettingsError, match=r"ca\.pem cannot be read"):
        client.request("GET", "https://registry.invalid/")


@sandbox
def test_cancelling_ends_a_request_under_way():
    """A worker that waits for a slow server must be gone within seconds of Ctrl-C."""
    quiet, raised = threading.Event(), []

    def work():
        try:
            client.request("GET", server.url)
        except CancelledError as error:
            raised.append(error)

    with Http() as client, serving(lambda _: quiet.wait(10)) as server:
        worker = threading.Thread(target=work)
        worker.start()
        while not server.seen:
            time.sleep(0.001)
        client.cancel()
        worker.join(2)
        quiet.set()
    assert len(raised) == 1


@sandbox
def test_cancelling_ends_a_wait():
    with Http(retries=Retries(base=60, cap=60)) as client, serving(status(503)) as server:
        timer = threading.Timer(0.05, client.cancel)
        timer.start()
        with pytest.raises(CancelledError):
            client.request("GET", server.url)
        timer.join()


@sandbox
def test_a_proxy_is_used_for_other_machines_only():
    with serving(OK) as proxy, Http(proxies={"HTTP_PROXY": proxy.url.replace("//", "//me:geheim-42@")}) as client:
        client.request("GET", "http://registry.example/v2/")
        with serving(OK) as server:
            client.request("GET", server.url)

    assert [one.path for one in proxy.seen] == ["http://registry.example/v2/"]
    assert proxy.seen[0].headers["Proxy-Authorization"] == "Basic bWU6Z2VoZWltLTQy"


@sandbox
def test_a_broken_proxy_is_named_without_its_password():
    with serving(OK) as proxy:
        address = proxy.url.replace("//", "//me:geheim-43@")
    with Client(proxies={"https_proxy": address}) as client, pytest.raises(UnreachableError) as caught:
        client.request("GET", "https://registry.example/v2/")

    assert "the proxy http://127.0.0.1" in str(caught.value)
    assert "geheim-43" not in str(caught.value)


@pytest.mark.parametrize(
    ("exempt", "url", "direct"),
    [
        ("", "https://a.example.org", False),
        ("example.org", "https://a.example.org", True),
        (".example.org", "https://a.example.org", True),
        ("*.example.org", "https://a.example.org", True),
        ("example.org", "https://badexample.org", False),
        ("other, a.example.org:8443", "https://a.example.org:8443", True),
        ("a.example.org:8443", "https://a.example.org", False),
        ("*", "https://a.example.org", True),
        ("10.0.0.0/8", "https://10.1.2.3:5000", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("fd00::/8", "https://[fd00::1]:5000", True),
        ("a.example.org:8443", "https://b.a.example.org:8443", True),
        (".example.org:8443", "https://a.example.org:8443", True),
        ("[fd00::1]", "https://[fd00::1]:5000", True),
        ("[fd00::1]:5000", "https://[fd00::1]:5000", True),
        ("[fd00::1]:5000", "https://[fd00::1]:5001", False),
        ("fd00::1", "https://[fd00::1]:5000", True),
        ("10.1.2.3:5000", "https://10.1.2.3:5000", True),
        ("10.1.2.3/8", "https://10.9.9.9", True),
        ("10.0.0.0/8:5000", "https://10.9.9.9:5000", True),
        (" , ,EXAMPLE.org ", "https://A.example.ORG", True),
        ("example.org.", "https://example.org", False),
        ("", "http://localhost:5000", True),
        ("", "http://127.0.0.1:5000", True),
        ("", "http://[::1]:5000", True),
    ],
)
def test_no_proxy_exempts_hosts_domains_and_networks(exempt, url, direct):
    proxies = Proxies({"HTTPS_PROXY": "proxy:3128", "HTTP_PROXY": "http://proxy:3128", "NO_PROXY": exempt})

    assert proxies.find(url) == (None if direct else "http://proxy:3128")


@pytest.mark.parametrize(
    ("variables", "plain", "secure"),
    [
        ({}, None, None),
        ({"HTTP_PROXY": "http://p:1"}, "http://p:1", None),
        ({"https_proxy": "http://p:1"}, None, "http://p:1"),
        ({"ALL_PROXY": "p:1"}, "http://p:1", "http://p:1"),
        ({"ALL_PROXY": "p:1", "HTTPS_PROXY": "https://q"}, "http://p:1", "https://q"),
        ({"HTTP_PROXY": "http://me:w@rd@p:1/path"}, "http://me:w@rd@p:1", None),
        ({"HTTP_PROXY": "", "http_proxy": "p:1"}, "http://p:1", None),
    ],
)
def test_each_scheme_has_its_proxy(variables, plain, secure):
    proxies = Proxies(variables)

    assert proxies.find("http://a.example.org/") == plain
    assert proxies.find("https://a.example.org/") == secure
    assert proxies.find("no address") is None


@pytest.mark.parametrize(
    ("proxy", "wanted"),
    [
        ("http://p:1", None),
        ("http://me:w%40rd:2@p:1", "me:w@rd:2"),
        ("http://me@p:1", "me:"),
        ("http://m%3A@p:1", "m::"),
    ],
)
def test_the_login_of_a_proxy_is_read_from_its_address(proxy, wanted):
    assert login(proxy) == wanted


def test_the_password_of_a_proxy_is_hidden_from_then_on():
    Proxies({"HTTPS_PROXY": "http://me:pl%40nted:45@p:1"})
    assert redact("it said pl@nted:45") == f"it said {MASK}"


@pytest.mark.parametrize("address", ["socks5://", "http://", ""])
@pytest.mark.parametrize(
    "rest", ["me:geheim-44@proxy:99999", "me:geheim-44@pro xy:3128", "me:geheim-44@[proxy", "me:g@"]
)
def test_an_address_that_no_proxy_has_is_refused_without_its_password(address, rest):
    with pytest.raises(SettingsError, match="not an http or https address") as caught:
        Proxies({"HTTPS_PROXY": address + rest}).find("https://r.io")
    assert "geheim" not in str(caught.value)


def test_a_proxy_of_an_unknown_kind_is_refused():
    with pytest.raises(SettingsError, match="socks5"):
        Proxies({"HTTPS_PROXY": "socks5://proxy:1080"}).find("https://r.io")


def test_a_proxy_that_cannot_be_used_stops_nothing_that_needs_none():
    proxies = Proxies({"ALL_PROXY": "socks5://proxy:1080", "HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".local"})

    assert proxies.find("https://r.io") == "http://proxy:3128"
    assert proxies.find("http://127.0.0.1:5000") is None
    assert proxies.find("http://registry.local") is None


def test_plain_http_is_for_this_machine_and_declared_hosts():
    with Http(insecure_hosts=frozenset({"old.example:8081", "old2.example"})) as client:
        names = ["127.0.0.1:5000", "localhost", "[::1]:5", "old.example:8081", "old2.example:1", "old.example", "r.io"]
        assert [scheme_for(name, client) for name in names] == ["http"] * 5 + ["https"] * 2


def test_an_origin_has_a_port_and_small_letters():
    assert (
        origin("https://Registry.example/v2/")
        == origin("https://registry.example:443")
        == "https://registry.example:443"
    )
    assert not is_loopback("127.0.0.1.example.org")


def test_a_page_where_json_was_expected_is_explained():
    with pytest.raises(RegistryError, match='answered with a web page, titled "Sign in"') as caught:
        Answer(200, {}, b"<html><title>Sign in</title>", "https://r.io/v2/?token=abc").json()
    assert "abc" not in str(caught.value)


def test_something_else_where_json_was_expected_is_explained():
    with pytest.raises(RegistryError, match="not JSON"):
        Answer(200, {}, b"welcome", "https://r.io/v2/").json()


def test_the_text_of_an_answer_is_short_and_hides_secrets():
    Secret("geheim-44")
    assert Answer(500, {}, b"geheim-44 " + b"x" * 5000, "").text().startswith("******** xxx")


@contextlib.contextmanager
def serving_tls(directory, name: str) -> Iterator[str]:
    with serving(OK) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / f"{name}.pem", directory / f"{name}.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        yield server.url.replace("http:", "https:")


@pytest.mark.programs
def test_a_private_authority_is_trusted_where_it_is_given(certificates):
    with serving_tls(certificates, "good") as url, Http(ca_files=[certificates / "ca.pem"]) as client:
        assert client.request("GET", url).body == b"body"


@pytest.mark.programs
@pytest.mark.parametrize(
    "name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HARNESS_CA_PATH", "SSL_CERT_DIR"]
)
def test_a_private_authority_is_trusted_by_each_of_the_usual_variables(certificates, tmp_path, name):
    (tmp_path / "ours.pem").write_bytes((certificates / "ca.pem").read_bytes())
    (tmp_path / "README").write_text("no certificate")
    value = f"/not/there:{tmp_path}" if name == "SSL_CERT_DIR" else str(tmp_path / "ours.pem")
    with serving_tls(certificates, "good") as url, Http(ca_files=certificates_in({name: value})) as client:
        assert client.request("GET", url).body == b"body"


@pytest.mark.programs
def test_an_authority_that_is_filed_by_its_hash_is_found(certificates, tmp_path):
    argv = ["openssl", "x509", "-noout", "-subject_hash", "-in", str(certificates / "ca.pem")]
    filed = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / f"{filed}.0").write_bytes((certificates / "ca.pem").read_bytes())
    with serving_tls(certificates, "good") as url, Http(ca_files=[tmp_path]) as client:
        assert client.request("GET", url).body == b"body"


def test_of_a_directory_only_what_is_not_filed_by_its_hash_is_read_at_once_and_nothing_twice(tmp_path):
    for name in ("a.pem", "b.pem", "c.pem"):
        (tmp_path / name).write_text(name)
    (tmp_path / "0123abcd.0").symlink_to("a.pem")
    (tmp_path / "fedcba98.12").write_text("")
    asked = []
    context = SimpleNamespace(load_verify_locations=lambda file=None, capath=None: asked.append((file, capath)))
    read = set()
    for path in (tmp_path / "c.pem", tmp_path):
        tls._trust(context, path, read)
    assert asked == [(tmp_path / "c.pem", None), (None, tmp_path), (tmp_path / "b.pem", None)]


@pytest.mark.programs
def test_an_unknown_authority_is_refused_at_once_with_a_hint(certificates):
    with (
        serving_tls(certificates, "good") as url,
        Client() as client,
        pytest.raises(UnreachableError, match="authority that is not trusted") as caught,
    ):
        client.request("GET", url)
    assert "SSL_CERT_FILE" in caught.value.hint
    assert client.waits == []


@pytest.mark.programs
def test_an_expired_certificate_is_said_so(certificates):
    with (
        serving_tls(certificates, "old") as url,
        Client(ca_files=[certificates / "ca.pem"]) as client,
        pytest.raises(UnreachableError, match="expired"),
    ):
        client.request("GET", url)


@pytest.mark.programs
def test_the_certificate_of_another_host_is_said_so(certificates):
    with (
        serving_tls(certificates, "good") as url,
        Client(ca_files=[certificates / "ca.pem"]) as client,
        pytest.raises(UnreachableError, match="of another host"),
    ):
        client.request("GET", url.replace("127.0.0.1", "localhost"))


@pytest.mark.programs
def test_a_host_declared_insecure_that_speaks_tls_sees_credentials_in_tls_only(certificates):
    """Its address says http, as that of every host declared insecure does until it is known what it speaks."""
    with serving_tls(certificates, "old") as url, Http(insecure_hosts=frozenset({"127.0.0.1"})) as client:
        for _ in range(2):
            answer = client.request("GET", url.replace("https:", "http:"), authorization="Basic c2VjcmV0")
            assert (answer.status, answer.url) == (200, f"{url}/")


@pytest.mark.programs
def test_a_host_that_was_not_declared_insecure_is_never_spoken_to_otherwise(certificates):
    with (
        serving_tls(certificates, "old") as url,
        Http(insecure_hosts=frozenset({"other.example"})) as client,
        pytest.raises(UnreachableError),
    ):
        client.request("GET", url, authorization="Basic c2VjcmV0")


@sandbox
def test_a_host_declared_insecure_without_tls_is_spoken_to_plainly_and_asked_once():
    client = Client(insecure_hosts=frozenset({"127.0.0.1"}))
    with client, serving(OK) as server:
        for _ in range(3):
            assert client.request("GET", server.url, authorization="Basic c2VjcmV0").status == 200

    assert [(one.command, one.headers.get("Authorization")) for one in server.seen] == [
        ("HEAD", None),
        *[("GET", "Basic c2VjcmV0")] * 3,
    ]
    assert client.waits == []


@sandbox
def test_what_answers_as_a_port_of_tls_does_is_not_spoken_to_plainly():
    with Client(insecure_hosts=frozenset({"127.0.0.1"})) as client, serving(status(400)) as server:
        with pytest.raises(UnreachableError):
            client.request("GET", server.url, authorization="Basic c2VjcmV0")
        assert not any(one.headers.get("Authorization") for one in server.seen)


@sandbox
def test_a_host_whose_address_says_plain_is_asked_for_nothing_else():
    with Client(plain_hosts=frozenset({"127.0.0.1"})) as client, serving(OK) as server:
        assert client.request("GET", server.url).status == 200
    assert [one.command for one in server.seen] == ["GET"]


@sandbox
@pytest.mark.parametrize("url", ["http://registry.example/v2/", "https://registry.example/v2/"])
@pytest.mark.parametrize(
    ("user", "says"), [("", "requires a user and password"), ("me:geheim-45@", "refuses its user and password")]
)
def test_a_login_that_the_proxy_wants_is_not_taken_for_the_registrys(url, user, says):
    def refuse(request):
        request.answer(407, b"", Proxy_Authenticate="Basic", Connection="close")

    with serving(refuse) as proxy:
        address = proxy.url.replace("//", f"//{user}")
        with (
            Client(proxies={"http_proxy": address, "https_proxy": address}) as client,
            pytest.raises(UnreachableError, match=rf"the proxy http://127.0.0.1:\d+ {says}") as caught,
        ):
            client.request("GET", url)
    assert "PROXY" in caught.value.hint
    assert "geheim" not in f"{caught.value} {caught.value.hint}"
    assert client.waits == []


@pytest.mark.programs
def test_a_host_declared_insecure_is_not_asked_for_its_certificate(certificates):
    with serving_tls(certificates, "old") as url, Http(insecure_hosts=frozenset({"127.0.0.1"})) as client:
        assert client.request("GET", url).status == 200


def test_certificates_that_are_none_are_named(tmp_path):
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    with Http(ca_files=[tmp_path / "ca.pem"]) as client, pytest.raises(SettingsError, match=r"ca\.pem cannot be read"):
        client.request("GET", "https://registry.invalid/")


# What no answer is called, and what is made of it


def cause(error: Exception, inner: BaseException) -> Exception:
    error.__cause__ = inner
    return error


EOF = "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol (_ssl.c:1006)"
EXPIRED = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)"
WRONG = "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"
ALERT = "[SSL: TLSV1_ALERT_INTERNAL_ERROR] tlsv1 alert internal error (_ssl.c:1006)"


@pytest.mark.parametrize(
    ("error", "says", "hint", "flags"),
    [
        (e.SSLError(EXPIRED), "r.io presents an expired certificate", "renew it, or correct this machine", "final"),
        (e.SSLError(WRONG), "r.io does not speak TLS", "only if the host is your own: set insecure", "final plain"),
        (e.SSLError("record layer failure"), "r.io does not speak TLS", "only if the host is your own", "final plain"),
        (e.SSLError(EOF), f"no secure connection to r.io: {EOF}", "a proxy may intercept it", "reached plain"),
        (
            e.SSLError(ConnectionResetError(104, "Connection reset by peer")),
            "no secure connection to r.io: Connection reset by peer",
            "a proxy may intercept it",
            "reached plain",
        ),
        (e.SSLError(ALERT), f"no secure connection to r.io: {ALERT}", "a proxy may intercept it", "reached"),
        (
            e.NameResolutionError("r.io", None, socket.gaierror(-2, "Name or service not known")),
            "the host r.io is not known",
            "check its spelling, DNS and VPN",
            "",
        ),
        (
            cause(e.NewConnectionError(None, "no"), ConnectionRefusedError(111, "Connection refused")),
            "no connection to r.io: Connection refused",
            "check host and port, that the server runs, and any proxy",
            "plain",
        ),
        (
            e.ConnectTimeoutError("timed out"),
            "no connection to r.io: timed out",
            "check host and port, that the server runs, and any proxy",
            "plain",
        ),
        (e.ReadTimeoutError(None, None, "x"), "r.io went silent", "it may be overloaded; or a proxy", "reached"),
        (TimeoutError("timed out"), "r.io went silent", "it may be overloaded; or a proxy holds", "reached"),
        (
            cause(e.ReadTimeoutError(None, None, "x"), TooSlowError("only 5 bytes came in 130 s")),
            "r.io answers too slowly: only 5 bytes came in 130 s",
            "it may be overloaded, or the line slow",
            "reached",
        ),
        (
            e.ProtocolError("Connection aborted.", ConnectionResetError(104, "Connection reset by peer")),
            "the connection to r.io broke: Connection reset by peer",
            None,
            "reached plain",
        ),
        (ValueError(), "the connection to r.io broke: ValueError", None, "reached plain"),
        (
            e.LocationParseError("x"),
            "the connection to r.io broke: Failed to parse: x",
            None,
            "final reached",
        ),
        (
            e.ProxyError("Cannot connect to proxy.", OSError("Tunnel connection failed: 503 Service Unavailable")),
            "the proxy http://p.io:3128 does not connect to r.io: Tunnel connection failed: 503 Service Unavailable",
            "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
            "plain",
        ),
        (
            e.ProxyError("Cannot connect to proxy.", OSError("Tunnel connection failed: 407 Proxy Auth")),
            "the proxy http://p.io:3128 requires a user and password (407)",
            "write USER:PASSWORD@ before the host in HTTPS_PROXY and HTTP_PROXY, or name the host in NO_PROXY",
            "final",
        ),
    ],
)
def test_why_no_answer_came_is_said_with_what_to_do_and_whether_to_ask_again(error, says, hint, flags):
    found = failures.failure_of(error, "https://r.io/v2/", "http://p.io:3128")

    assert str(found.error) == says
    assert found.error.hint == hint if hint is None else (found.error.hint or "").startswith(hint)
    assert [name for name in ("final", "reached", "plain") if getattr(found, name)] == flags.split()


def test_of_a_proxy_that_nobody_named_only_its_refusal_is_told():
    found = failures.proxy_login_failure(None)

    assert str(found.error) == "a proxy in between requires a user and password (407)"
    assert found.final


@sandbox
def test_what_is_tried_once_does_not_say_how_often(client):
    with serving(Handler.reset) as server, pytest.raises(UnreachableError, match=r"reset by peer\Z"):
        client.request("POST", server.url)
    assert client.waits == []


@sandbox
def test_a_request_that_never_left_is_sent_again_though_it_may_be_sent_once(client):
    with serving(OK) as server:
        pass
    with pytest.raises(UnreachableError, match="tried 2 times"):
        client.request("POST", server.url, body=b"x")
    with pytest.raises(Interruption, match="Connection refused") as caught:
        client.request("PUT", server.url, body=iter([b"x"]))
    assert caught.value.sent == 0
    assert len(client.waits) == 1


@sandbox
def test_a_wait_for_a_silent_host_is_told_with_its_reason(client):
    with serving(in_turn(OK, Handler.reset, OK)) as server:
        client.request("GET", f"{server.url}/")
        client.request("GET", f"{server.url}/a?token=planted")

    [told] = client.events
    assert told.what == f"GET {server.url}/a"
    assert told.reason.startswith(f"the connection to {server.url.removeprefix('http://')} broke: ")
    assert (told.seconds, told.attempt) == (client.waits[0], 1)


@sandbox
@pytest.mark.parametrize(("attempts", "asked"), [(1, 1), (2, 3), (3, 5), (6, 9)])
def test_a_host_that_is_down_is_asked_no_more_often_than_the_settings_say(attempts, asked):
    with Client(retries=Retries(attempts)) as client, serving(in_turn(OK, status(503))) as server:
        client.request("GET", server.url)
        assert client.request("GET", server.url).attempts == asked


@sandbox
@pytest.mark.parametrize("number", [400, 502, 503, 504])
def test_a_gateway_that_answers_in_plain_does_not_make_a_host_plain(number):
    with Client(insecure_hosts=frozenset({"127.0.0.1"})) as client, serving(status(number)) as server:
        with pytest.raises(UnreachableError):
            client.request("GET", server.url, authorization="Basic c2VjcmV0")
        assert {one.command for one in server.seen} <= {"HEAD"}


def test_a_date_a_second_away_is_a_second():
    headers = {"Retry-After": "Mon, 01 Jan 2001 00:00:01 GMT", "Date": "Mon, 01 Jan 2001 00:00:00 GMT"}
    assert retry.retry_after(headers) == 1
    assert retry.retry_after({**headers, "Date": headers["Retry-After"]}) is None


def test_certificates_are_found_in_the_order_of_their_variables_and_once(tmp_path):
    ours, theirs = tmp_path / "a", tmp_path / "b"
    ours.mkdir()
    variables = {
        "SSL_CERT_FILE": "/x.pem",
        "REQUESTS_CA_BUNDLE": "/y.pem",
        "CURL_CA_BUNDLE": "/x.pem",
        "SSL_CERT_DIR": f":{ours}:{theirs}:",
        "OTHER": "/z.pem",
    }
    assert certificates_in(variables) == (Path("/x.pem"), Path("/y.pem"), ours)
    assert certificates_in({"SSL_CERT_FILE": ""}) == ()


def test_the_patience_with_a_new_connection_is_ten_seconds():
    """A host that does not answer at all is told soon; what thinks for long has been connected to."""
    timeout = Timeouts().now
    assert (timeout.connect_timeout, timeout.read_timeout) == (10.0, 120.0)


@sandbox
def test_two_hosts_that_are_silent_are_both_told():
    with serving(OK) as one, serving(OK) as other:
        urls = [f"{server.url}/" for server in (one, other)]
    with Client(clock=lambda: 100.0) as client:
        together = threading.Barrier(2)

        def ask(url):
            together.wait()
            with pytest.raises(UnreachableError):
                client.request("GET", url)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(ask, urls))

    assert {event.what for event in client.events} == {f"GET {url}" for url in urls}


@sandbox
def test_a_host_is_declared_insecure_with_its_port_as_well():
    with serving(OK) as server:
        host = server.url.removeprefix("http://")
        with Client(insecure_hosts=frozenset({host.upper()})) as client:
            assert client.request("GET", server.url).status == 200
    assert [one.command for one in server.seen] == ["HEAD", "GET"]


@pytest.mark.parametrize(
    ("declared", "url", "plain", "wanted"),
    [
        ("r.io", "http://r.io/v2/", False, "https://r.io/v2/"),
        ("r.io", "http://r.io:8080/v2/", False, "https://r.io:8080/v2/"),
        ("r.io:80", "http://r.io/v2/", False, "https://r.io:80/v2/"),
        ("r.io", "http://r.io/v2/", True, "http://r.io/v2/"),
        ("r.io", "http://r.io/v2/", None, "https://r.io/v2/"),
        ("r.io", "https://r.io/v2/", True, "https://r.io/v2/"),
        ("r.io:81", "http://r.io/v2/", False, "http://r.io/v2/"),
    ],
)
def test_where_a_host_declared_insecure_is_spoken_to(monkeypatch, declared, url, plain, wanted):
    with Http(insecure_hosts=frozenset({declared})) as client:
        monkeypatch.setattr(client, "_is_plain", lambda *_: plain)
        assert str(client.connection_address(Address.parse(url))) == wanted


def test_the_proxy_of_an_address_is_told():
    with Http(proxies={"HTTPS_PROXY": "http://p.io:3128", "NO_PROXY": "direct.io"}) as client:
        found = [client.proxy_for(url) for url in ("https://r.io/", "https://direct.io/", "http://r.io/")]
    assert found == ["http://p.io:3128", None, None]


# What is fetched from the web


@sandbox
def test_a_download_that_breaks_each_time_is_given_up_after_six_attempts(client, tmp_path):
    with serving(short) as server, pytest.raises(UnreachableError, match="broke"):
        download(client, f"{server.url}/a?token=planted", tmp_path / "file", most=99)

    assert len(server.seen) == 6
    assert [event.what for event in client.events] == [f"{server.url}/a"] * 5
    assert [event.attempt for event in client.events] == [1, 2, 3, 4, 5]
    assert all("broke" in event.reason for event in client.events)


@sandbox
@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 2 * 1024 * 1024 + 1])
def test_a_download_of_any_size_is_whole_where_it_is_allowed(client, tmp_path, size):
    data = bytes(range(251)) * (size // 251 + 1)
    with serving(lambda request: request.answer(200, data[:size])) as server:
        assert download(client, server.url, tmp_path / "file", most=size) == 0
        assert (tmp_path / "file").read_bytes() == data[:size]
        if size:
            with pytest.raises(BuildError) as caught:
                download(client, server.url, tmp_path / "other", most=size - 1)
            assert str(caught.value) == f"{server.url} is larger than {size - 1:,} bytes"
            assert (tmp_path / "other").stat().st_size <= size - 1
            assert caught.value.setting == "fetch_limit"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Thu, 01 Jan 1970 00:00:05 GMT", 5),
        ("Wed, 31 Dec 1969 23:59:59 GMT", 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("yesterday", 0),
        ("", 0),
        ("Thu, 01 Jan 99999 00:00:00 GMT", 0),
    ],
)
def test_when_a_file_was_last_changed_is_read_where_it_is_a_time(text, seconds):
    assert fetching._time_of_change(text) == seconds


@sandbox
def test_a_download_that_is_refused_says_the_status_and_what_to_do(client, tmp_path):
    with serving(status(404)) as server, pytest.raises(BuildError) as caught:
        download(client, f"{server.url}/a", tmp_path / "file", most=9)

    assert str(caught.value) == f"{server.url}/a cannot be fetched: status 404"
    assert caught.value.hint == "check the address; a file that requires a login cannot be added from the web"
    assert client.waits == []


# What a wire does


@sandbox
@pytest.mark.parametrize(("count", "answered"), [(0, True), (31, True), (32, False), (33, False)])
def test_so_many_interim_answers_are_read_over(client, count, answered):
    def handle(request):
        request.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * count)
        request.answer(200, b"body")

    with serving(handle) as server:
        if answered:
            assert client.request("POST", server.url).body == b"body"
            return
        with pytest.raises(UnreachableError, match="no answer came after 32 interim ones"):
            client.request("POST", server.url)


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


def test_a_paced_file_is_the_file_behind_it():
    with socket.socket() as sock:
        raw = sock.makefile("rb", buffering=0)
        paced = PacedReader(raw, 10)
        assert paced.readable()
        assert paced.fileno() == sock.fileno()
        paced.close()
        assert raw.closed
        assert paced.closed


@pytest.mark.sandbox
def test_a_host_that_was_declared_insecure_and_not_spoken_to_is_known(box):
    name, _, port = box.host.rpartition(":")
    with Http(insecure_hosts=frozenset({box.host, "Elsewhere.test", name, f"127.0.0.2:{port}"})) as http:
        http.request("GET", f"{box.url}/v2/")
        assert http.unused_insecure_hosts == (f"127.0.0.2:{port}", "elsewhere.test")


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


def test_a_paced_file_counts_what_waits_and_what_came_from_the_second_wait_on():
    """Between the least number of bytes and the next there is time for a silence once more."""

    class Slow(io.RawIOBase):
        def __init__(self, *sizes):
            self.sizes = iter(sizes)

        def readinto(self, buffer):
            size = next(self.sizes)
            buffer[:size] = bytes(size)
            return size

    def paced(*sizes, step=10.0):
        ticks = itertools.count(0, step)
        return PacedReader(Slow(*sizes), 20.0, lambda: next(ticks))

    def read(file, times):
        for _ in range(times):
            file.readinto(bytearray(LEAST))

    read(paced(1, 1, 1), 3)  # the first wait is not counted, and two are as long as may be waited
    with pytest.raises(TooSlowError, match="only 4 bytes came in 30 s"):
        read(paced(1, 1, 1, 1), 4)
    read(paced(1, LEAST - 1, 1, 1), 4)
    with pytest.raises(TooSlowError, match="only 3 bytes came in 30 s"):
        read(paced(1, LEAST - 1, 1, 1, 1), 5)
    read(paced(1, 1, 1, 0), 4)  # the end is no slow answer


def test_the_page_names_the_statuses_that_are_tried_again():
    page = (Path(__file__).parents[1] / "docs" / "push.md").read_text(encoding="utf-8")
    named = page.partition("After a status of ")[2].partition(" the request is repeated")[0]
    spans = [list(map(int, part.split(" to "))) for part in re.split(", | or ", named)]
    assert {status for span in spans for status in range(span[0], span[-1] + 1)} == retry.RULES.keys()
