"""A small registry on loopback that is polite until it is given quirks: functions that answer in its place.

A quirk sees each request before the registry does. It answers itself, or returns ``None`` and leaves the request to
the next one, or asks ``registry.answer(request)`` for the usual answer and changes that. Quirks by name stand in
``quirks.py``. The sandbox has the manners that we thought of; this one has those that were met elsewhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import itertools
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from email.message import Message
from typing import Self
from urllib.parse import parse_qs, urlsplit

_BLOCK = 64 * 1024
_UPLOADS = re.compile(r"/v2/(?P<name>.+)/blobs/uploads/(?P<id>[^/]*)\Z")
_BLOBS = re.compile(r"/v2/(?P<name>.+)/blobs/(?P<digest>[a-z0-9]+:[0-9a-f]+)\Z")
_MANIFESTS = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)\Z")
_REFERRERS = re.compile(r"/v2/(?P<name>.+)/referrers/(?P<digest>[^/]+)\Z")
_TAGS = re.compile(r"/v2/(?P<name>.+)/tags/list\Z")


@dataclass(frozen=True)
class Reply:
    """What is sent back.

    Attributes:
        body: bytes, or blocks that are sent one by one, for as long as somebody reads them.
        interim: statuses that are sent before it, such as 103.
        raw: sent in place of all the rest, as it stands.
        close: whether the connection ends behind it.
        reset: whether the connection is reset instead of any answer.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] = b""
    interim: tuple[int, ...] = ()
    raw: bytes | None = None
    close: bool = False
    reset: bool = False

    def having(self, **headers: str) -> Reply:
        """Return the same reply with other headers: ``Docker_Upload_UUID`` stands for ``Docker-Upload-UUID``."""
        return replace(self, headers={**self.headers, **{name.replace("_", "-"): v for name, v in headers.items()}})

    def without(self, name: str) -> Reply:
        """Return the same reply without one header."""
        return replace(self, headers={key: v for key, v in self.headers.items() if key.lower() != name.lower()})


@dataclass
class Request:
    """What was asked; its body is read when somebody wants it, and counted."""

    method: str
    target: str
    headers: Message
    read: Callable[[], bytes] = field(repr=False)
    port: int = 0
    _body: bytes | None = field(default=None, repr=False)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def body(self) -> bytes:
        if self._body is None:
            self._body = self.read()
        return self._body

    @property
    def was_read(self) -> bool:
        return self._body is not None

    @property
    def is_upload(self) -> bool:
        return _UPLOADS.match(self.path) is not None

    @property
    def is_blob(self) -> bool:
        return _BLOBS.match(self.path) is not None

    @property
    def is_manifest(self) -> bool:
        return _MANIFESTS.match(self.path) is not None

    @property
    def part(self) -> tuple[int, int] | None:
        """First and last byte of ``Content-Range``."""
        first, dash, last = self.headers.get("Content-Range", "").partition("-")
        return (int(first), int(last)) if dash else None


Quirk = Callable[[Request, "HostileRegistry"], Reply | None]


def fault(status: int, code: str = "UNKNOWN", message: str = "no", detail: object = None) -> Reply:
    """Return an error document in the form of the distribution-spec."""
    document = {"errors": [{"code": code, "message": message, "detail": detail}]}
    return Reply(status, {"Content-Type": "application/json"}, json.dumps(document).encode())


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


class HostileRegistry(http.server.ThreadingHTTPServer):
    """A registry that listens on loopback from the moment that it is made; use it in a ``with``.

    Args:
        quirks: asked in turn before the registry itself.
        address: another loopback address makes it another host.
        tls: speaks TLS with it.

    Attributes:
        blobs: by digest; every repository has all of them.
        manifests: by repository and tag or digest: media type and bytes.
        uploads: what was received of uploads that have not ended, by their name.
        requests: all that were made, in their order.
        received: bytes of bodies that were read.
        truth: digests of blobs and manifests that it confirmed with 201.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *quirks: Quirk, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        super().__init__((address, 0), _Handler)
        self.quirks = list(quirks)
        self.scheme = "https" if tls else "http"
        self.host = f"{address}:{self.server_port}"
        self.url = f"{self.scheme}://{self.host}"
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.requests: list[Request] = []
        self.received = 0
        self.truth: list[str] = []
        self.lock = threading.RLock()
        self._at_work = 0
        self._idle = threading.Condition(self.lock)
        self._names = itertools.count(1)
        if tls:
            # The handshake is each connection's own: one that never speaks must not hold up the others.
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """Say nothing: clients that break off are what is tested."""

    def settle(self) -> None:
        """Return once every request was read to its end: a refusal may be sent before."""
        with self._idle:
            assert self._idle.wait_for(lambda: not self._at_work, 10)

    def count(self, change: int) -> None:
        """Count the requests that are being answered."""
        with self._idle:
            self._at_work += change
            self._idle.notify_all()

    def asked(self, method: str, part_of_path: str = "") -> list[Request]:
        """Return the requests with that method whose path holds that text."""
        return [one for one in self.requests if one.method == method and part_of_path in one.path]

    def reply(self, request: Request) -> Reply:
        """Return the first answer that a quirk gives, or the registry's own."""
        for quirk in self.quirks:
            found = quirk(request, self)
            if found is not None:
                return found
        return self.answer(request)

    def answer(self, request: Request) -> Reply:
        """Answer as a polite registry does."""
        if request.path in {"/v2", "/v2/"}:
            return Reply(200, {"Docker-Distribution-API-Version": "registry/2.0"}, b"{}")
        with self.lock:
            for pattern, act in _ROUTES:
                if match := pattern.match(request.path):
                    return act(self, request, **match.groupdict())
        return fault(404, "NAME_UNKNOWN", "no such address")

    # Uploads

    def _upload(self, request: Request, name: str, id: str) -> Reply:  # noqa: A002 - as in the path
        if request.method == "POST" and not id:
            return self._begin(request, name)
        if id not in self.uploads:
            return fault(404, "BLOB_UPLOAD_UNKNOWN", "no such upload")
        if request.method == "GET":
            return self.progress(name, id, 204)
        if request.method == "DELETE":
            del self.uploads[id]
            return Reply(204)
        if request.method == "PATCH":
            return self._take_part(request, name, id)
        return self._end(request, name, id) if request.method == "PUT" else fault(405, "UNSUPPORTED")

    def _begin(self, request: Request, name: str) -> Reply:
        mounted = request.query.get("mount", "")
        if mounted in self.blobs:
            return self._confirmed(name, mounted)
        id = f"u{next(self._names)}"  # noqa: A001
        self.uploads[id] = bytearray()
        if "digest" in request.query:
            self.uploads[id] += request.body
            return self._end(request, name, id)
        return self.progress(name, id, 202)

    def progress(self, name: str, id: str, status: int) -> Reply:  # noqa: A002
        """Return what is told of an upload: its address, and how far it is."""
        last = max(0, len(self.uploads[id]) - 1)
        return Reply(status, {"Location": f"/v2/{name}/blobs/uploads/{id}", "Range": f"0-{last}"})

    def _take_part(self, request: Request, name: str, id: str) -> Reply:  # noqa: A002
        held = self.uploads[id]
        if request.part and request.part[0] != len(held):
            return replace(self.progress(name, id, 416), body=b"")
        held += request.body
        return self.progress(name, id, 202)

    def _end(self, request: Request, name: str, id: str) -> Reply:  # noqa: A002
        if request.body and "digest" in request.query and request.method == "PUT":
            self.uploads[id] += request.body
        digest, data = request.query.get("digest", ""), bytes(self.uploads[id])
        if digest != digest_of(data, digest.partition(":")[0] or "sha256"):
            return fault(400, "DIGEST_INVALID", f"{len(data)} bytes are not {digest}")
        self.blobs[digest] = data
        del self.uploads[id]
        return self._confirmed(name, digest)

    def _confirmed(self, name: str, digest: str) -> Reply:
        self.truth.append(digest)
        return Reply(201, {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest})

    # Blobs and manifests

    def _blob(self, request: Request, name: str, digest: str) -> Reply:
        if digest not in self.blobs:
            return fault(404, "BLOB_UNKNOWN", f"{name} has no {digest}")
        headers = {"Docker-Content-Digest": digest, "Content-Type": "application/octet-stream"}
        return Reply(200, headers, self.blobs[digest])

    def _manifest(self, request: Request, name: str, reference: str) -> Reply:
        if request.method == "PUT":
            return self._put_manifest(request, name, reference)
        if request.method == "DELETE":
            return Reply(202 if self.manifests.pop((name, reference), None) else 404)
        if (name, reference) not in self.manifests:
            return fault(404, "MANIFEST_UNKNOWN", f"{name} has no {reference}")
        media_type, data = self.manifests[name, reference]
        return Reply(200, {"Content-Type": media_type, "Docker-Content-Digest": digest_of(data)}, data)

    def _put_manifest(self, request: Request, name: str, reference: str) -> Reply:
        data = request.body
        lacking = self.lacking(name, data)
        if lacking:
            return fault(404, "MANIFEST_BLOB_UNKNOWN", f"no {lacking[0]}")
        entry = (request.headers.get("Content-Type", ""), data)
        self.manifests[name, reference] = self.manifests[name, digest_of(data)] = entry
        self.truth.append(digest_of(data))
        digest = digest_of(data)
        return Reply(201, {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest})

    def lacking(self, name: str, data: bytes) -> list[str]:
        """Return the digests that a manifest names and that are not here; layers of other places count as here."""
        document = json.loads(data)
        blobs = [document["config"], *document["layers"]] if "layers" in document else []
        missing = [one["digest"] for one in blobs if not one.get("urls") and one["digest"] not in self.blobs]
        children = [one["digest"] for one in document.get("manifests", ())]
        return missing + [one for one in children if (name, one) not in self.manifests]

    def _tags(self, request: Request, name: str) -> Reply:
        tags = sorted(reference for owner, reference in self.manifests if owner == name and ":" not in reference)
        return Reply(200, {"Content-Type": "application/json"}, json.dumps({"name": name, "tags": tags}).encode())

    def _referrers(self, request: Request, name: str, digest: str) -> Reply:
        return fault(404, "UNSUPPORTED", "no referrers here")


_ROUTES = (
    (_UPLOADS, HostileRegistry._upload),
    (_BLOBS, HostileRegistry._blob),
    (_MANIFESTS, HostileRegistry._manifest),
    (_TAGS, HostileRegistry._tags),
    (_REFERRERS, HostileRegistry._referrers),
)


class _Handler(http.server.BaseHTTPRequestHandler):
    """One connection: reads requests, sends replies byte by byte as they say."""

    protocol_version = "HTTP/1.1"
    server: HostileRegistry
    wbufsize = _BLOCK
    timeout = 60

    def _any(self) -> None:
        request = Request(self.command, self.path, self.headers, self._body, self.client_address[1])
        self.server.count(1)
        try:
            self.server.requests.append(request)
            reply = self.server.reply(request)
            self._send(reply)
            if not request.was_read and not self.close_connection:
                _ = request.body  # so that the next request begins where this one ends
        finally:
            self.server.count(-1)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._count(b"".join(iter(self._chunk, b"")))
        wanted = int(self.headers.get("Content-Length") or 0)
        taken = bytearray()
        while len(taken) < wanted:
            block = self.rfile.read1(min(_BLOCK, wanted - len(taken)))
            if not block:
                self.close_connection = True
                break
            taken += self._count(block)
        return bytes(taken)

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0] or b"0", 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data

    def _count(self, data: bytes) -> bytes:
        with self.server.lock:
            self.server.received += len(data)
        return data

    def _send(self, reply: Reply) -> None:
        if reply.reset:
            return self._reset()
        for status in reply.interim:
            self.wfile.write(b"HTTP/1.1 %d Wait\r\n\r\n" % status)
        if reply.raw is not None:
            self.wfile.write(reply.raw)
        else:
            self._send_head(reply)
            self._send_body(reply)
        self.wfile.flush()
        self.close_connection = self.close_connection or reply.close
        return None

    def _send_head(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        given = {name.lower() for name in reply.headers}
        if isinstance(reply.body, bytes) and not given & {"content-length", "transfer-encoding"}:
            if reply.status != 204:
                self.send_header("Content-Length", str(len(reply.body)))
        elif not isinstance(reply.body, bytes) and "content-length" not in given:
            self.close_connection = True  # its end is the connection's
        if reply.close or self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _send_body(self, reply: Reply) -> None:
        if self.command == "HEAD":
            return
        for block in [reply.body] if isinstance(reply.body, bytes) else reply.body:
            self.wfile.write(block)
            self.wfile.flush()

    def finish(self):
        """Let go of both files of a connection, also where the client has hung up on one."""
        with contextlib.suppress(OSError):
            super().finish()
        self.rfile.close()

    def _reset(self) -> None:
        """End the connection as a crash does: with a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *words):
        """Say nothing."""
