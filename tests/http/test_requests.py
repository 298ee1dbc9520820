"""Requests and answers: bodies, logins, interim answers, cancelling."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildpush.foundation.errors import AuthenticationError, CancelledError, UnreachableError
from buildpush.http.client import Http
from buildpush.http.failures import Interruption
from buildpush.http.messages import Answer, Stream
from buildpush.http.retry import Retries
from buildpush.http.urls import is_loopback, origin
from tests.http.servers import OK, Handler, in_turn, serving, short, status


@pytest.mark.sandbox
def test_an_answer_has_status_headers_in_any_case_and_body(client):
    with serving(status(404, X_Name="v")) as server:
        answer = client.request("GET", f"{server.url}/a?b=c")

    assert (answer.status, answer.ok, answer.headers["x-NAME"], answer.body) == (404, False, "v", b"body")
    assert client.waits == []


@pytest.mark.sandbox
def test_a_stream_arrives_whole(client):
    with serving(OK) as server:
        client.request("PATCH", server.url, body=iter([b"ab", b"", b"c" * 100_000]))

    assert server.seen[0].body == b"ab" + b"c" * 100_000


@pytest.mark.sandbox
def test_a_broken_stream_says_how_far_it_came(client):
    with serving(Handler.reset) as server:
        server.leaves_bodies = True
        with pytest.raises(Interruption) as caught:
            client.request("PATCH", server.url, body=(b"x" * 1_000_000 for _ in range(100)))

    assert 0 <= caught.value.sent < 100_000_000
    assert client.waits == []


@pytest.mark.sandbox
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


@pytest.mark.sandbox
def test_a_failing_source_is_no_network_failure(client):
    def source():
        yield b"x"
        raise OSError(5, "Input/output error")

    with serving(OK) as server, pytest.raises(OSError, match="Input/output error"):
        client.request("PATCH", server.url, body=source())


@pytest.mark.sandbox
def test_the_authorization_is_asked_for_at_each_attempt(client):
    values = iter(["one", "two"])
    with serving(in_turn(status(503), OK)) as server:
        client.request("GET", server.url, authorization=lambda: next(values))

    assert [one.headers["Authorization"] for one in server.seen] == ["one", "two"]


@pytest.mark.sandbox
def test_an_opened_answer_is_read_piece_by_piece(client):
    with serving(status(200)) as server, client.open("GET", server.url) as stream:
        assert isinstance(stream, Stream)
        assert (stream.read(2), stream.read(), stream.read(1)) == (b"bo", b"dy", b"")


@pytest.mark.sandbox
def test_opening_what_is_not_there_gives_the_answer(client):
    with serving(status(404)) as server, client.open("GET", server.url) as answer:
        assert isinstance(answer, Answer)
        assert answer.status == 404


@pytest.mark.sandbox
def test_a_body_that_ends_too_early_is_a_broken_connection(client):
    with serving(short) as server, client.open("GET", server.url) as stream:
        assert stream.read(4) == b"half"
        with pytest.raises(UnreachableError, match="broke"):
            stream.read(6)


@pytest.mark.sandbox
def test_headers_that_break_off_are_a_broken_connection_and_no_answer(client):
    def breaking(request):
        request.wfile.write(b"HTTP/1.1 201 Created\r\nDocker-Content-Digest: sha256:2514e7")
        request.close_connection = True

    with serving(in_turn(breaking, OK)) as server:
        assert client.request("GET", server.url).status == 200
    assert len(client.waits) == 1


@pytest.mark.sandbox
@pytest.mark.parametrize("header", ["Authorization", "X-JFrog-Art-Api"])
@pytest.mark.parametrize("token", ["a\r\nX-Other: b", "a\nb", "a\0b", "a\x1b[1m", "a\u20ac", "a\u00fc", "a\ud800"])
def test_a_token_that_no_header_can_have_is_refused_once_and_not_shown(header, token):
    events = []
    with Http(sink=events.append) as http, pytest.raises(AuthenticationError, match="the token or password") as caught:
        http.request("GET", "http://127.0.0.1:9/", headers={header: f"Bearer {token}"})
    assert events == []
    assert token not in f"{caught.value} {caught.value.hint}"


@pytest.mark.sandbox
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


@pytest.mark.sandbox
def test_interim_answers_without_end_are_a_broken_connection(client):
    def handle(request):
        for _ in range(100):
            request.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        request.answer(200, b"body")

    with serving(handle) as server, pytest.raises(UnreachableError, match="interim"):
        client.request("GET", server.url)


@pytest.mark.sandbox
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


@pytest.mark.sandbox
def test_cancelling_ends_a_wait():
    with Http(retries=Retries(base=60, cap=60)) as client, serving(status(503)) as server:
        timer = threading.Timer(0.05, client.cancel)
        timer.start()
        with pytest.raises(CancelledError):
            client.request("GET", server.url)
        timer.join()


def test_an_origin_has_a_port_and_small_letters():
    assert (
        origin("https://Registry.example/v2/")
        == origin("https://registry.example:443")
        == "https://registry.example:443"
    )
    assert not is_loopback("127.0.0.1.example.org")


@pytest.mark.sandbox
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
