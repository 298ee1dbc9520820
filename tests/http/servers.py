"""Servers that do what a test says, and a client that writes its waits down."""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message

from buildpush.http.client import Http

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

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = handle_any  # noqa: N815

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


@contextlib.contextmanager
def serving_tls(directory, name: str) -> Iterator[str]:
    with serving(OK) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / f"{name}.pem", directory / f"{name}.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        yield server.url.replace("http:", "https:")
