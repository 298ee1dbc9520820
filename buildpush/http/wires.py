"""Connections that report themselves, tell slow from broken, and do not take half an answer for a whole one."""

from __future__ import annotations

import http.client
import io
import time
from collections.abc import Callable
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from buildpush.http.retry import LEAST

_LINE_ENDS = (b"\r\n", b"\n")
_SWITCHING, _FINAL = 101, 200
_MOST_INTERIM = 32


class TooSlowError(TimeoutError):
    """An answer arrives too slowly."""


class Paced(io.RawIOBase):
    """The bytes of a socket, as long as they arrive in time.

    Only the time spent waiting counts: for a slow reader the bytes are there already. The socket itself limits the wait
    for the first bytes.

    Args:
        raw: gives the bytes.
        silence: seconds in which there must be :data:`~buildpush.http.retry.LEAST` bytes.
        clock: gives seconds.
    """

    def __init__(self, raw: io.RawIOBase, silence: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._raw = raw
        self._silence = silence
        self._clock = clock
        self._begun = False
        self._waited = 0.0
        self._came = 0

    def readable(self) -> bool:
        """Return ``True``."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill *buffer* with the next bytes.

        Raises:
            TooSlowError: too few bytes arrived for too long.
        """
        before = self._clock()
        size = self._raw.readinto(buffer) or 0
        if self._begun:
            self._waited += self._clock() - before
        self._begun = True
        self._came += size
        if self._came >= LEAST:
            self._waited, self._came = 0.0, 0
        elif size and self._waited > self._silence:
            message = f"only {self._came} bytes came in {self._waited:.0f} s"
            raise TooSlowError(message)
        return size

    def fileno(self) -> int:
        """Return the socket's number."""
        return self._raw.fileno()

    def close(self) -> None:
        """Release the socket."""
        self._raw.close()
        super().close()


class _LineReader:
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
    """An answer with complete headers that arrives in time.

    Python's own accepts the headers of a broken connection, and waits anew for each byte.
    """

    silence = float("inf")

    def __init__(self, *words: Any, **named: Any) -> None:
        super().__init__(*words, **named)
        buffered: Any = self.fp
        self.fp = io.BufferedReader(Paced(buffered.detach(), self.silence))

    def _read_status(self) -> tuple[str, int, str]:
        """Read the first line of the answer: Python skips only 100, but 102 and 103 are interim answers as well.

        Source: RFC 9110, 15.2: a client must be able to read any number of interim answers.
        """
        for _ in range(_MOST_INTERIM):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if status >= _FINAL or status == _SWITCHING:
                return version, status, reason
            http.client.parse_headers(self.fp)
        message = f"no answer came after {_MOST_INTERIM} interim ones"
        raise http.client.RemoteDisconnected(message)

    def begin(self) -> None:
        """Read status and headers.

        Raises:
            http.client.RemoteDisconnected: the connection ended before they did.
        """
        lines = _LineReader(self.fp)
        self.fp = lines  # type: ignore[assignment]  # it has the methods that are used
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
        silence: seconds to wait for the next bytes to come or go, and for the least number of them.
    """

    def made(wire: HTTPConnection) -> None:
        # The time limit for connecting must not be the one for sending: a slow line is not a broken one.
        if wire.sock is not None:
            wire.sock.settimeout(silence)
        wired(wire)

    class Response(WholeResponse):
        pass

    Response.silence = silence

    def reporting(kind: Any) -> Any:
        class Wire(kind):  # type: ignore[misc]  # one of urllib3's two
            response_class = Response

            def connect(self) -> None:
                super().connect()
                made(self)

            def request(self, *words: Any, **named: Any) -> None:
                if self.sock is not None:
                    self.timeout = silence
                super().request(*words, **named)

        return Wire

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = reporting(HTTPConnection)

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = reporting(HTTPSConnection)

    return {"http": PlainPool, "https": SecurePool}
