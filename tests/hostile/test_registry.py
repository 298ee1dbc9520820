"""The hostile registry itself: polite without quirks; a quirk answers in its place, and may break off in any way."""

from __future__ import annotations

import contextlib
import http.client
import socket

import pytest

from buildpush.registry.push import push
from tests.hostile.quirks import QUIRKS
from tests.hostile.registry import Reply, digest_of
from tests.registry.conftest import Source

pytestmark = pytest.mark.sandbox


def test_a_push_to_it_is_kept_byte_for_byte(serve, client):
    server = serve()
    registry, repository = client(server)
    pushed = push(Source(b"one" * 1000, b"two").image(), [repository.tagged("1")], registry)
    media_type, data = server.manifests["docker-local/app", "1"]
    assert (media_type, digest_of(data)) == (pushed.media_type, str(pushed.digest))
    assert not server.lacking("docker-local/app", data)


def test_a_manifest_whose_blobs_are_not_there_is_refused(serve):
    server = serve()
    body = b'{"config": {"digest": "sha256:00"}, "layers": []}'
    assert asked(server, "PUT", "/v2/a/manifests/1", body)[0] == 404
    assert not server.manifests


def test_a_quirk_answers_in_its_place(serve):
    server = serve(lambda request, _: Reply(418) if request.path == "/v2/" else None)
    assert asked(server, "GET", "/v2/")[0] == 418
    assert asked(server, "GET", "/v2/a/tags/list")[0] == 200


def test_what_it_reads_is_counted_and_what_a_quirk_refuses_is_read_afterwards(serve):
    server = serve(lambda request, _: Reply(413) if request.method == "PATCH" else None)
    with contextlib.closing(http.client.HTTPConnection(server.host)) as line:
        for _ in range(2):
            line.request("PATCH", "/v2/a/blobs/uploads/u1", b"x" * 100)
            assert line.getresponse().read() == b""
    server.settle()
    assert server.received == 200


def test_a_reset_is_a_reset(serve):
    server = serve(lambda *_: Reply(reset=True))
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        asked(server, "GET", "/v2/")


def test_interim_answers_come_before_the_answer(serve):
    server = serve(QUIRKS["each answer has an interim one before it: 103 Early Hints and 102 Processing"]())
    with socket.create_connection(server.server_address) as line:
        line.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        said = b"".join(iter(lambda: line.recv(4096), b""))
    assert [row.split()[1] for row in said.split(b"\r\n") if row.startswith(b"HTTP/")] == [b"103", b"102", b"200"]


def asked(server, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
    with contextlib.closing(http.client.HTTPConnection(server.host, timeout=10)) as line:
        line.request(method, target, body)
        answer = line.getresponse()
        return answer.status, answer.read()
