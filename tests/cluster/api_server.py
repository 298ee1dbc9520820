"""What a server of tests answers in place of the API of a cluster, and the client that asks it."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import pytest

from buildpush.cluster.api import Api
from buildpush.cluster.kubeconfig import Access, ClusterUser
from buildpush.http.retry import Retries
from buildpush.places import Recorded
from tests.http.servers import Server

SOON = Retries(attempts=4, restart=3, base=0.01, cap=0.02, longest=0.05)
JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}}


def said(message, code=403, reason="Forbidden", **more):
    return json.dumps(
        {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "code": code, **more}
    )


def answer(status, document=None, **headers):
    text = document if isinstance(document, str) else json.dumps(document or {})
    return lambda request: request.answer(status, text.encode(), **headers)


def items(*documents, version="7"):
    return answer(200, {"metadata": {"resourceVersion": version}, "items": list(documents)})


def named(name, version="7", **labels):
    return {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": version, "labels": labels}}


def stream(*pieces, whole=True):
    """Answer with *pieces*, chunk by chunk; a stream that is not *whole* breaks after them."""

    def handle(request):
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for piece in pieces:
            data = piece if isinstance(piece, bytes) else piece.encode()
            request.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            request.wfile.flush()
        if whole:
            request.wfile.write(b"0\r\n\r\n")
        else:
            request.wfile.flush()
            request.close_connection = True

    return handle


def change(kind, document):
    return json.dumps({"type": kind, "object": document}) + "\n"


@contextmanager
def api(server: Server, user=None, place=None, sink=lambda _event: None, **options):
    access = Access(server.url, "ci", user=user or ClusterUser(), source="the test")
    with Api(access, place or Recorded(), {}, retries=SOON, sink=sink, **options) as opened:
        yield opened


def asked(server: Server) -> list[str]:
    return [f"{seen.command} {urlsplit(seen.path).path}" for seen in server.seen]


def query(seen) -> dict[str, list[str]]:
    return parse_qs(urlsplit(seen.path).query)


def eventually(condition):
    waiting = threading.Event()
    for _ in range(500):
        if condition():
            return
        waiting.wait(0.02)
    pytest.fail("it does not happen")
