"""Connections that report themselves, tell slow from broken, and take no half answer for a whole one."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_LINE_ENDS = (b"\r\n", b"\n")


class _Lines:
    """A file that remembers the last line that was read from it."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.last = b""

    def readline(self, *words: Any) -> bytes:
        self.last = self.file.readline(*words)
        return self.last

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


class WholeResponse(http.client.HTTPResponse):
    """An answer whose headers have an end: Python's own takes those of a broken connection as they are."""

    def begin(self) -> None:
        """Read status and headers.

        Raises:
            http.client.RemoteDisconnected: the connection ended before they did.
        """
        lines = _Lines(self.fp)
        self.fp = lines  # type: ignore[assignment]  # it has what is asked of it
        super().begin()
        if self.fp is not None:
            self.fp = lines.file
        if lines.last not in _LINE_ENDS:
            message = "the answer broke off in its headers"
            raise http.client.RemoteDisconnected(message)


def pools(wired: Callable[[Any], None], silence: float) -> dict[str, Any]:
    """Return urllib3's pools with connections that report themselves to *wired* once they are made.

    Args:
        wired: called with each connection.
        silence: seconds to wait for the next bytes to come or go.
    """

    def made(wire: HTTPConnection) -> None:
        # The time limit for connecting must not be the one for sending: a slow line is no broken line.
        if wire.sock is not None:
            wire.sock.settimeout(silence)
        wired(wire)

    class Wire(HTTPConnection):
        response_class = WholeResponse

        def connect(self) -> None:
            super().connect()
            made(self)

        def request(self, *words: Any, **named: Any) -> None:
            if self.sock is not None:
                self.timeout = silence
            super().request(*words, **named)

    class SecureWire(HTTPSConnection):
        response_class = WholeResponse

        def connect(self) -> None:
            super().connect()
            made(self)

        def request(self, *words: Any, **named: Any) -> None:
            if self.sock is not None:
                self.timeout = silence
            super().request(*words, **named)

    class Pool(HTTPConnectionPool):
        ConnectionCls = Wire

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = SecureWire

    return {"http": Pool, "https": SecurePool}
