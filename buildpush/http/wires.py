"""Connections that report themselves, distinguish slow from broken, and refuse incomplete answers."""

from __future__ import annotations

import http.client
import io
import time
from collections.abc import Callable
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from buildpush.http.retry import LEAST, seconds_left

_LINE_ENDS = (b"\r\n", b"\n")
_SWITCHING, _FINAL = 101, 200
_MOST_INTERIM = 32


class TooSlowError(TimeoutError):
    """An answer arrives too slowly."""


class PacedReader(io.RawIOBase):
    """Reads the bytes of a socket, as long as they arrive in time.

    Only the time spent waiting for the network counts, not that between reads. The wait for the first bytes is limited
    by the socket itself.

    Args:
        raw: unbuffered reader of the socket.
        silence: seconds within which at least :data:`~buildpush.http.retry.LEAST` bytes must arrive, and all of them
            within the time budget, if there is one.
        clock: returns seconds.
    """

    def __init__(self, raw: io.RawIOBase, silence: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._raw = raw
        self._silence = silence
        self._clock = clock
        self._has_begun = False
        self._waited = 0.0
        self._count = 0

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
        if self._has_begun:
            self._waited += self._clock() - before
        self._has_begun = True
        self._count += size
        if self._count >= LEAST and seconds_left():
            self._waited, self._count = 0.0, 0
        elif size and (self._waited > self._silence or not seconds_left()):
            in_time = seconds_left() and f"only {self._count} bytes came in {self._waited:.0f} s"
            message = in_time or "the rest does not come in time"
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
    """A reader that remembers the last line that was read."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.last = b""

    def readline(self, *args: Any) -> bytes:
        self.last = self.file.readline(*args)
        return self.last

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


class WholeResponse(http.client.HTTPResponse):
    """An answer with complete headers that arrives in time.

    Python's class accepts incomplete headers of a broken connection, and waits the whole time limit for each byte.
    """

    silence = float("inf")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        buffered: Any = self.fp
        self.fp = io.BufferedReader(PacedReader(buffered.detach(), self.silence))

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
        self.fp = lines  # type: ignore[assignment]  # it has the methods that are needed
        super().begin()
        if self.fp is not None:
            self.fp = lines.file
        if lines.last not in _LINE_ENDS:
            message = "the answer broke off in its headers"
            raise http.client.RemoteDisconnected(message)


def pools(report: Callable[[Any], None], silence: float) -> dict[str, Any]:
    """Return urllib3's classes of pools, with connections that pass themselves to *report* once they are made.

    Args:
        report: called with each connection.
        silence: seconds to wait for the next bytes to arrive or to be sent, and for the least number of them.
    """

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = _wire_class(HTTPConnection, report, silence)

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = _wire_class(HTTPSConnection, report, silence)

    return {"http": PlainPool, "https": SecurePool}


def _wire_class(kind: Any, report: Callable[[Any], None], silence: float) -> Any:
    """Return a class of connections based on *kind*, one of urllib3's two; arguments are those of :func:`pools`."""

    class Wire(kind):  # type: ignore[misc]  # its base is known only at run time
        response_class = type("Response", (WholeResponse,), {"silence": silence})

        def connect(self) -> None:
            super().connect()
            # The time limit for connecting must not be the one for sending: a slow line is not a broken one.
            if self.sock is not None:
                self.sock.settimeout(silence)
            report(self)

        def request(self, *args: Any, **kwargs: Any) -> None:
            if self.sock is not None:
                self.timeout = silence
            super().request(*args, **kwargs)

    return Wire
