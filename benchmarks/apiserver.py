"""``python -m benchmarks.apiserver DIGEST``: an API server without a cluster, whose Jobs all end well at once.

It answers what buildpush asks for, and tells by its watches what a real cluster of 1.34 tells of a Job: so one can
measure the client with ten thousand of them. The first line that it prints is its address; it ends with its input.
"""

from __future__ import annotations

import base64
import hashlib
import json
import queue
import socket
import sys
import threading
from collections import deque
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Document = dict[str, Any]

_JOB = "buildpush.dev/job"
_ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
_TEXT = "2026-11-30T12:00:00.{:09}Z STEP {}\n"
_LINES = 20
_LAST_CHANGES = 2000  # that a watch may begin with, which begins after the list before it
# What a server writes beside each object about who has changed which field: a few kilobytes.
_FIELDS = [
    {"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {f"f:{n}": {} for n in range(150)}}
]


class Cluster:
    """Jobs and their pods, and who watches them."""

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self.requests = 0
        self._version = 0
        self._jobs: dict[str, Document] = {}
        self._watches: dict[str, list[queue.Queue[bytes]]] = {"jobs": [], "pods": []}
        self._last: deque[tuple[int, str, bytes]] = deque(maxlen=_LAST_CHANGES)
        self._lock = threading.Lock()

    def count(self) -> None:
        with self._lock:
            self.requests += 1

    def watch(self, kind: str, after: int) -> queue.Queue[bytes]:
        found: queue.Queue[bytes] = queue.Queue()
        with self._lock:
            for version, which, line in self._last:
                if which == kind and version > after:
                    found.put(line)
            self._watches[kind].append(found)
        return found

    def list(self) -> Document:
        return {"items": [], "metadata": {"resourceVersion": str(self._version)}}

    def create(self, document: Document) -> Document:
        name = document["metadata"]["name"]
        document["metadata"] |= {"uid": name, "managedFields": _FIELDS}
        self._jobs[name] = document
        self._tell("jobs", "ADDED", document)
        return document

    def start(self, name: str) -> Document:
        self._pod(name, "ADDED", {"phase": "Pending"})
        self._pod(name, "MODIFIED", _running("initContainerStatuses", "receive"))
        return self._jobs[name]

    def build(self, name: str) -> None:
        self._pod(name, "MODIFIED", _running("containerStatuses", "build"))

    def end(self, name: str) -> None:
        if name not in self._jobs:  # a log is asked for once more after its end, and the Job may be deleted by then
            return
        ended = {"terminated": {"exitCode": 0, "reason": "Completed", "message": self.digest}}
        self._pod(name, "MODIFIED", {"phase": "Succeeded", "containerStatuses": [{"name": "build", "state": ended}]})
        status = {"conditions": [{"type": "Complete", "status": "True"}]}
        self._tell("jobs", "MODIFIED", {**self._jobs[name], "status": status})

    def delete(self, name: str) -> None:
        self._tell("jobs", "DELETED", self._jobs[name])
        self._pod(name, "DELETED", {"phase": "Succeeded"})
        del self._jobs[name]

    def _pod(self, name: str, kind: str, status: Document) -> None:
        template = self._jobs[name]["spec"]["template"]
        metadata = {**template["metadata"], "name": f"{name}-pod", "managedFields": _FIELDS}
        self._tell("pods", kind, {"metadata": metadata, "spec": template["spec"], "status": status})

    def _tell(self, which: str, kind: str, document: Document) -> None:
        with self._lock:
            self._version += 1
            metadata = {**document["metadata"], "resourceVersion": str(self._version)}
            line = json.dumps({"type": kind, "object": {**document, "metadata": metadata}}).encode() + b"\n"
            self._last.append((self._version, which, line))
            for watch in self._watches[which]:
                watch.put(line)


def _allow(review: Document) -> Document:
    return {**review, "status": {"allowed": True}}


def _running(kind: str, name: str) -> Document:
    return {"phase": "Running", kind: [{"name": name, "state": {"running": {"startedAt": "2026-11-30T12:00:00Z"}}}]}


class Handler(BaseHTTPRequestHandler):
    """One connection of the client."""

    protocol_version = "HTTP/1.1"
    cluster: Cluster

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self) -> None:
        path, query = self._asked()
        if path[-1] == "requests":
            self._answer({"requests": self.cluster.requests})
        elif path[-1] == "exec":
            self._receive(path[-2])
        elif path[-1] == "log":
            self._log(path[-2])
        elif "watch" in query:
            self._watch(path[-1], int(query["resourceVersion"][0]))
        else:
            self._answer(self.cluster.list())

    def do_POST(self) -> None:
        path, _ = self._asked()
        document = json.loads(self._body())
        answers = {"jobs": self.cluster.create, "selfsubjectaccessreviews": _allow}
        self._answer(answers.get(path[-1], lambda one: one)(document), 201)

    def do_PATCH(self) -> None:
        path, _ = self._asked()
        self._body()
        self._answer(self.cluster.start(path[-1]))

    def do_DELETE(self) -> None:
        path, _ = self._asked()
        self._body()
        self.cluster.delete(path[-1])
        self._answer({})

    def _asked(self) -> tuple[list[str], dict[str, list[str]]]:
        address = urlsplit(self.path)
        path = address.path.split("/")
        if path[-1] != "requests":
            self.cluster.count()
        return path, parse_qs(address.query)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, document: Document, status: int = 200) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _send(self, block: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(block), block))

    def _watch(self, kind: str, after: int) -> None:
        lines = self.cluster.watch(kind, after)
        self._begin_stream()
        try:
            while True:
                self._send(lines.get())
        except OSError:
            self.close_connection = True

    def _log(self, pod: str) -> None:
        self._begin_stream()
        self._send("".join(_TEXT.format(number, number) for number in range(_LINES)).encode())
        self._send(b"")
        self.cluster.end(pod.removesuffix("-pod"))

    def _receive(self, pod: str) -> None:
        """Read what is sent into a container, as WebSocket, and say that it has arrived."""
        key = base64.b64encode(hashlib.sha1(self.headers["Sec-WebSocket-Key"].encode() + _ACCEPT).digest())
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", key.decode())
        self.send_header("Sec-WebSocket-Protocol", "v5.channel.k8s.io")
        self.end_headers()
        while self._message() != b"\xff\x00":
            pass
        for message in (b"\x01received\n", b"\x03" + json.dumps({"status": "Success", "metadata": {}}).encode()):
            self.wfile.write(bytes((0x82, len(message))) + message)
        self.wfile.write(b"\x88\x02\x03\xe8")
        self.cluster.build(pod.removesuffix("-pod"))
        with suppress(ConnectionResetError):
            self.rfile.read(8)  # the other side's close
        self.close_connection = True

    def _message(self) -> bytes:
        _, length = self.rfile.read(2)
        length &= 0x7F
        if length >= 126:  # noqa: PLR2004
            length = int.from_bytes(self.rfile.read(2 if length == 126 else 8))  # noqa: PLR2004
        mask, data = self.rfile.read(4), self.rfile.read(length)
        return bytes(byte ^ mask[place % 4] for place, byte in enumerate(data[:2])) + data[2:]


class Server(ThreadingHTTPServer):
    """Serves until the process ends."""

    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    Handler.cluster = Cluster(sys.argv[1])
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()
