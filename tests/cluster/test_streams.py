"""Bytes on their way into a container, by a WebSocket that keeps the rules of the API server, or breaks them."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.sync.server import serve

from buildpush.cluster.streams import Endpoint, LoginRefusedError, execute, require_library
from buildpush.foundation.errors import AuthenticationError, ClusterError, SettingsError, UnreachableError

pytestmark = pytest.mark.sandbox

V5 = "v5.channel.k8s.io"
SUCCESS = {"metadata": {}, "status": "Success"}
BLOCKS = [bytes([number]) * 128 * 1024 for number in range(16)]


def ended_with(status: int) -> dict:
    message = f"command terminated with non-zero exit code: exit status {status}"
    details = {"causes": [{"reason": "ExitCode", "message": str(status)}]}
    return {"metadata": {}, "status": "Failure", "message": message, "reason": "NonZeroExitCode", "details": details}


def receive(socket) -> bytes:
    """Return what comes on the channel of the standard input until it is closed."""
    received = bytearray()
    for message in socket:
        if message == bytes((255, 0)):
            return bytes(received)
        assert message[0] == 0
        received += message[1:]
    return bytes(received)


def answering(status, output=b"received\n"):
    def handle(socket):
        received = receive(socket)
        handle.digest = hashlib.sha256(received).hexdigest()
        if output:
            socket.send(b"\x01" + output)
        if status is not None:
            socket.send(b"\x03" + json.dumps(status).encode())

    return handle


@contextmanager
def endpoint(handle, protocols=(V5,), **options):
    """Serve *handle* as the API server does, and yield the endpoint, whose ``requests`` are those of the handshake."""
    requests = []

    def request(_connection, asked):
        requests.append(asked)

    options = {"process_request": request, **options}
    with serve(handle, "127.0.0.1", 0, subprotocols=list(protocols), compression=None, **options) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        try:
            yield (
                Endpoint(f"http://127.0.0.1:{port}", "api/v1/namespaces/ci/pods/p", "Bearer t0ken", None, None),
                requests,
            )
        finally:
            server.shutdown()
            thread.join()


def test_all_bytes_arrive_in_their_order_and_the_output_comes_back():
    handle = answering(SUCCESS)
    with endpoint(handle) as (at, _):
        assert execute(at, "receive", ["cat"], BLOCKS) == (0, "received\n")
    assert handle.digest == hashlib.sha256(b"".join(BLOCKS)).hexdigest()


def test_the_request_names_container_command_and_login():
    with endpoint(answering(SUCCESS)) as (at, requests):
        execute(at, "receive", ["sh", "-c", "cat & exit"], [])
    (asked,) = requests
    address = urlsplit(asked.path)
    assert address.path == "/api/v1/namespaces/ci/pods/p/exec"
    assert parse_qs(address.query) == {
        "container": ["receive"],
        "stdin": ["true"],
        "stdout": ["true"],
        "stderr": ["true"],
        "command": ["sh", "-c", "cat & exit"],
    }
    assert asked.headers["Authorization"] == "Bearer t0ken"


def test_nobody_sends_no_login():
    with endpoint(answering(SUCCESS)) as (at, requests):
        execute(replace(at, header=None), "receive", ["cat"], [])
    assert "Authorization" not in requests[0].headers


def test_the_login_is_not_shown():
    assert "t0ken" not in repr(Endpoint("https://one.test", "p", "Bearer t0ken", None, "http://u:t0ken@proxy.test"))


def test_an_exit_status_comes_back_with_what_was_printed():
    with endpoint(answering(ended_with(75), b"broken\n")) as (at, _):
        assert execute(at, "receive", ["sh"], BLOCKS[:1]) == (75, "broken\n")


def test_of_a_long_output_the_end_is_kept():
    def handle(socket):
        receive(socket)
        for _ in range(100):
            socket.send(b"\x02" + b"x" * 4096)
        socket.send(b"\x01the end")
        socket.send(b"\x03" + json.dumps(SUCCESS).encode())

    with endpoint(handle) as (at, _):
        status, text = execute(at, "receive", ["sh"], [])
    assert (status, len(text), text[-8:]) == (0, 65536, "xthe end")


def test_a_status_before_all_is_sent_counts():
    """The command may fail while its input still arrives: no disk, for example."""

    def handle(socket):
        next(iter(socket))
        socket.send(b"\x02no space left\n")
        socket.send(b"\x03" + json.dumps(ended_with(1)).encode())

    with endpoint(handle) as (at, _):
        assert execute(at, "receive", ["sh"], BLOCKS * 4) == (1, "no space left\n")


def in_the_middle(socket):
    for _ in range(3):
        socket.recv()
    socket.close_socket()


def closed_politely(socket):
    socket.recv()
    socket.close()


@pytest.mark.parametrize("handle", [in_the_middle, closed_politely, answering(None)])
def test_a_stream_without_a_status_is_never_a_success(handle):
    with (
        endpoint(handle) as (at, _),
        pytest.raises(UnreachableError, match="the stream to the container receive broke"),
    ):
        execute(at, "receive", ["cat"], BLOCKS)


@pytest.mark.parametrize("status", [b"", b"junk", b"[]", b"{}", b"null", b'{"status": "Failure", "details": []}'])
def test_a_status_that_says_nothing_is_never_a_success(status):
    def handle(socket):
        receive(socket)
        socket.send(b"\x03" + status)

    with endpoint(handle) as (at, _), pytest.raises((UnreachableError, ClusterError)):
        execute(at, "receive", ["cat"], [])


def test_a_container_that_cannot_run_it_is_told():
    failure = {"status": "Failure", "message": "container not found", "reason": "InternalError", "code": 500}
    with endpoint(answering(failure)) as (at, _), pytest.raises(ClusterError, match="cannot take it: container not"):
        execute(at, "receive", ["cat"], [])


def test_an_older_protocol_is_refused():
    """With it, the command would never see the end of what is sent."""
    with (
        endpoint(answering(SUCCESS), select_subprotocol=lambda _connection, _offered: "v4.channel.k8s.io") as (at, _),
        pytest.raises(ClusterError, match=r"does not speak v5.channel.k8s.io") as caught,
    ):
        execute(at, "receive", ["cat"], [])
    assert "newer cluster" in caught.value.hint


def test_no_protocol_is_refused():
    with (
        endpoint(answering(SUCCESS), select_subprotocol=lambda _connection, _offered: None) as (at, _),
        pytest.raises(ClusterError, match=r"does not speak v5.channel.k8s.io"),
    ):
        execute(at, "receive", ["cat"], [])


def refusing(status, reason="because"):
    def process_request(connection, _request):
        return connection.respond(HTTPStatus(status), json.dumps({"kind": "Status", "message": reason}))

    return process_request


@pytest.mark.parametrize(
    ("status", "error", "hint"),
    [
        (401, LoginRefusedError, "log in to the cluster again"),
        (403, AuthenticationError, "grant get and create on pods/exec"),
        (404, ClusterError, None),
        (400, ClusterError, None),
        (500, UnreachableError, None),
        (503, UnreachableError, None),
    ],
)
def test_a_refused_handshake_is_told_by_its_status(status, error, hint):
    with (
        endpoint(answering(SUCCESS), process_request=refusing(status)) as (at, _),
        pytest.raises(error, match="the cluster refuses a stream to the pod: because") as caught,
    ):
        execute(at, "receive", ["cat"], [])
    assert type(caught.value) is error
    assert (hint or "") in (caught.value.hint or "")


def test_a_refusal_without_a_reason_says_its_status():
    def page(connection, _request):
        return connection.respond(HTTPStatus.BAD_GATEWAY, "<html>proxy</html>")

    with endpoint(answering(SUCCESS), process_request=page) as (at, _), pytest.raises(UnreachableError, match="502"):
        execute(at, "receive", ["cat"], [])


def test_nobody_who_listens_is_told():
    with endpoint(answering(SUCCESS)) as (at, _):
        pass
    with pytest.raises(UnreachableError, match="the cluster opens no stream to the container receive"):
        execute(at, "receive", ["cat"], [])


def test_another_thread_can_end_the_stream():
    """Ctrl-C does so, while the server waits for bytes that do not come."""
    gone, ends = threading.Event(), []

    def blocks():
        yield b"x"
        ends[0]()
        yield b"y" * 1_000_000
        gone.set()

    with endpoint(receive) as (at, _), pytest.raises(UnreachableError):
        execute(at, "receive", ["cat"], blocks(), ends.append)
    assert not gone.is_set()


def test_a_file_that_cannot_be_read_is_told_and_ends_the_stream():
    def blocks():
        yield b"x"
        raise OSError(5, "Input/output error")

    with endpoint(receive) as (at, _), pytest.raises(OSError, match="Input/output error"):
        execute(at, "receive", ["cat"], blocks())


@pytest.mark.parametrize("module", ["websockets", "websockets.proxy"])
def test_a_library_that_is_missing_or_too_old_is_told_with_what_to_install(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingsError, match="needs the package websockets, version 15 or newer") as caught:
        require_library()
    assert caught.value.hint == 'pip install "buildpush[kubernetes]"'


def test_the_library_is_here():
    require_library()


def test_what_the_library_says_of_itself_is_printed_by_nobody(monkeypatch):
    """It logs its own errors with a traceback, which Python prints where a logger has no handler."""
    loggers = []

    def connect(*_words, logger, **_more):
        loggers.append(logger)
        raise OSError

    monkeypatch.setattr("websockets.sync.client.connect", connect)
    with pytest.raises(UnreachableError):
        execute(Endpoint("http://a.test", "p", None, None, None), "receive", ["cat"], [])
    (logger,) = loggers
    assert isinstance(logger.handlers[0], logging.NullHandler)
