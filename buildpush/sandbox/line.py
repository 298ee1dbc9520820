"""A line that breaks on request: a TCP proxy between a client and any server, to rehearse network failures."""

# ruff: noqa: SLF001 - a line, its connections and their ends are one unit in three classes

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from buildpush.foundation.errors import SettingsError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

Number = TypeVar("Number", int, float)

BLOCK = 256 * 1024
# A slow line passes on the bytes of a twentieth of a second at a time.
BURSTS_PER_SECOND = 20
HIGHEST_PORT = 65535
SECONDS_BETWEEN_SAMPLES = 0.02
# Do not linger: closing the socket sends RST, and bytes that are still on their way are lost.
_NO_LINGER = struct.pack("ii", 1, 0)


class Line:
    """A TCP proxy on this machine that passes everything on, and breaks on request.

    All byte counts are per connection and start with its first byte, including HTTP headers.
    Several faults may be combined. To change one while the line is open, set the attribute of the same name.

    Args:
        upstream: ``HOST:PORT`` of the server that it leads to.
        port: to listen on, on loopback; 0 for a free one.
        reset_after: after this many bytes to the server, the client's connection is reset (RST).
            The server has received exactly these bytes, and its connection ends.
        stall_after: after this many bytes to the server, nothing passes any more in either direction;
            both connections stay open until the line is closed.
        truncate_after: after this many bytes of the server's answers to the client, both connections end.
        flip_at: position, from 0, of a byte to the server in which the lowest bit is flipped.
        bytes_per_second: limit for each connection, in each direction.
        times: how many connections are affected by a reset, stall, truncation or flipped bit; ``None`` for all.
        tunnel: whether it is a proxy for HTTPS, which clients find by ``HTTPS_PROXY``: each connection names its server
            (CONNECT), which need not be *upstream*, and keeps its name and certificate. Bytes count from there on.

    Attributes:
        connections: number of connections so far.
        sent: bytes passed on to the server so far, all connections together.
        received: bytes passed on to clients so far.
        history: pairs of seconds since the line was opened and ``sent`` at that moment, fifty a second at most.
        hits: pairs of seconds since the line was opened and what happened:
            ``reset``, ``stalled``, ``truncated``, ``flipped``.

    Raises:
        SettingsError: a number is negative, *upstream* is not an address, or the port is taken.
    """

    def __init__(
        self,
        upstream: str,
        *,
        port: int = 0,
        reset_after: int | None = None,
        stall_after: int | None = None,
        truncate_after: int | None = None,
        flip_at: int | None = None,
        bytes_per_second: float | None = None,
        times: int | None = None,
        tunnel: bool = False,
    ) -> None:
        self.tunnel = tunnel
        self._upstream = _address(upstream)
        self._port = port
        self.reset_after = _checked("reset_after", reset_after)
        self.stall_after = _checked("stall_after", stall_after)
        self.truncate_after = _checked("truncate_after", truncate_after)
        self.flip_at = _checked("flip_at", flip_at, least=0)
        self.bytes_per_second = _checked("bytes_per_second", bytes_per_second)
        self.times = _checked("times", times, least=0)
        self.connections = self.sent = self.received = 0
        self.history: list[tuple[float, int]] = []
        self.hits: list[tuple[float, str]] = []
        self._hit: set[_Relay] = set()
        self._open: set[_Relay] = set()
        self._accepting: set[asyncio.Task[object]] = set()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        listening = _listen(self._port)
        self.host = f"127.0.0.1:{listening.getsockname()[1]}"
        self._opened_at = time.monotonic()
        self._sample(0.0)
        ready: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listening, ready)), name="buildpush-line", daemon=True
        )
        self._thread.start()
        ready.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every connection and the thread; a second call does nothing."""
        if self._thread:
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()
            self._thread = None

    async def _serve(self, listening: socket.socket, ready: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing, self._empty = asyncio.Event(), asyncio.Event()
        # asyncio's own server loses connections that arrive while it is being closed.
        self._loop.add_reader(listening, self._accept, listening)
        ready.set_result(None)
        await self._closing.wait()
        self._loop.remove_reader(listening)
        listening.close()
        self._sample(self._seconds())
        await self._end()

    def _accept(self, listening: socket.socket) -> None:
        try:
            client, _address = listening.accept()
        except OSError:
            return  # the client has disconnected
        client.setblocking(False)
        connection = self._loop.connect_accepted_socket(lambda: _Relay(self).client, client)
        accepting = self._loop.create_task(connection)
        self._accepting.add(accepting)
        accepting.add_done_callback(self._accepting.discard)

    async def _end(self) -> None:
        """Close all connections, including those that are just being accepted."""
        if self._accepting:
            await asyncio.wait(self._accepting)
        for connection in list(self._open):
            connection.close()
        while self._open:
            self._empty.clear()
            await self._empty.wait()

    # Called by the connections

    def _seconds(self) -> float:
        return time.monotonic() - self._opened_at

    def _sample(self, seconds: float) -> None:
        self.history.append((seconds, self.sent))

    def _count(self, size: int, *, upwards: bool) -> None:
        if not upwards:
            self.received += size
            return
        self.sent += size
        seconds = self._seconds()
        if seconds - self.history[-1][0] >= SECONDS_BETWEEN_SAMPLES:
            self._sample(seconds)

    def _applies(self, connection: _Relay, what: str) -> bool:
        """Return whether a fault may happen to this connection, and count it if so."""
        if self.times is not None and connection not in self._hit and len(self._hit) >= self.times:
            return False
        self._hit.add(connection)
        seconds = self._seconds()
        self.hits.append((seconds, what))
        self._sample(seconds)
        return True


class _Relay:
    """The connection of a client to the line, and that of the line to the server."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.client = _End(self, upwards=True)
        self.server = _End(self, upwards=False)
        self.client.other, self.server.other = self.server, self.client

    def connect(self) -> None:
        """Connect to the server; nothing is read from the client before that."""
        self.line._open.add(self)
        self.line.connections += 1
        if self.line.tunnel:
            self.client.greeting = asyncio.get_running_loop().create_future()
        else:
            self.client.hold("connecting")
        # In Python 3.11.2, as in Debian 12, a transport begins to read right after this even if it was paused.
        asyncio.get_running_loop().call_soon(self.client.hold_again)
        self.connecting = asyncio.create_task(self._connect())
        self.connecting.add_done_callback(lambda _task: self.remove_if_closed())

    async def _connect(self) -> None:
        loop, client = asyncio.get_running_loop(), self.client
        try:
            upstream = _target(await client.greeting) if client.greeting else self.line._upstream
            await loop.create_connection(lambda: self.server, *upstream)
        except (OSError, SettingsError):
            client.reset()
        else:
            if client.greeting and client.is_open:
                client.transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            client.release("connecting")
            if not self.client.is_open:
                self.server.abort()

    def close(self) -> None:
        """Close both at once."""
        self.connecting.cancel()
        for end in (self.client, self.server):
            end.abort()

    def remove_if_closed(self) -> None:
        """Remove the connection from the line if both of its ends are closed."""
        if self.connecting.done() and not (self.client.is_open or self.server.is_open):
            self.line._open.discard(self)
            if not self.line._open:
                self.line._empty.set()

    def apply_faults(self, end: _End) -> None:
        """Apply the faults that are due after the bytes so far in the direction of *end*."""
        line = self.line
        if end is self.server:
            if end.count == line.truncate_after and line._applies(self, "truncated"):
                self._truncate()
        elif end.count == line.stall_after and line._applies(self, "stalled"):
            self.client.hold("stalled")
            self.server.hold("stalled")
        elif end.count == line.reset_after and line._applies(self, "reset"):
            self.client.reset()

    def _truncate(self) -> None:
        # Not closed while the client still sends: that would be a reset, and might lose the beginning of the answer.
        self.server.abort()
        self.client.ignores_input = True
        self.client.release("full")
        self.client.finish()


class _End(asyncio.BufferedProtocol):
    """One end of a connection; what arrives here is sent from the other end."""

    other: _End

    def __init__(self, connection: _Relay, *, upwards: bool) -> None:
        self.connection = connection
        self.upwards = upwards
        self.count = 0
        self.is_open = self.ignores_input = self.ended = False
        self.greeting: asyncio.Future[bytes] | None = None  # the request for a tunnel
        self._request = b""
        self._held: set[str] = set()
        self._buffer = memoryview(bytearray(BLOCK))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self.transport = transport
        self.is_open = True
        transport.set_write_buffer_limits(high=BLOCK)
        if self.upwards:
            self.connection.connect()

    # What arrives

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return a buffer for no more bytes than may pass before the next fault is due."""
        del sizehint
        line = self.connection.line
        limits = (line.reset_after, line.stall_after) if self.upwards else (line.truncate_after,)
        room = [limit - self.count for limit in limits if limit is not None and limit > self.count]
        if line.bytes_per_second:
            room.append(max(int(line.bytes_per_second / BURSTS_PER_SECOND), 1))
        return self._buffer[: min([BLOCK, *room])]

    def buffer_updated(self, nbytes: int) -> None:
        if self.ignores_input:
            return
        line = self.connection.line
        data = self._buffer[:nbytes]
        if self.greeting and not self.greeting.done():
            self._greet(bytes(data))
            return
        if self.upwards and line.flip_at is not None:
            self._flip(data, line.flip_at - self.count)
        if not self.other.transport.is_closing():
            self.other.transport.write(bytes(data))
        self.count += nbytes
        line._count(nbytes, upwards=self.upwards)
        if line.bytes_per_second:
            self._rest(nbytes / line.bytes_per_second)
        self.connection.apply_faults(self)

    def _greet(self, data: bytes) -> None:
        """Take a part of the request for a tunnel; the client sends nothing more before it is answered."""
        self._request += data
        if self.greeting and b"\r\n\r\n" in self._request:
            self.hold("connecting")
            self.greeting.set_result(self._request)

    def _flip(self, data: memoryview, at: int) -> None:
        if 0 <= at < len(data) and self.connection.line._applies(self.connection, "flipped"):
            data[at] ^= 1

    def _rest(self, seconds: float) -> None:
        self.hold("slow")
        asyncio.get_running_loop().call_later(seconds, self.release, "slow")

    def eof_received(self) -> bool:
        self.ended = True
        if self.greeting and not self.greeting.done():
            self.transport.close()
        self.other.finish()
        if self.ignores_input or self.other.ended:
            self.transport.close()
            self.other.close()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self.greeting:
            self.greeting.cancel()
        if exc:
            self.other.reset()
        else:
            self.other.close()
        self.connection.remove_if_closed()

    # What leaves

    def pause_writing(self) -> None:
        self.other.hold("full")

    def resume_writing(self) -> None:
        self.other.release("full")

    # Reading pauses while there is any reason to

    def hold(self, reason: str) -> None:
        self._held.add(reason)
        if self.is_open:
            self.transport.pause_reading()

    def hold_again(self) -> None:
        """Pause reading again, if the transport has begun to read although it was paused."""
        if self.is_open and self._held:
            self.transport.resume_reading()
            self.transport.pause_reading()

    def release(self, reason: str) -> None:
        self._held.discard(reason)
        if self.is_open and not self._held:
            self.transport.resume_reading()

    # Ways to end

    def finish(self) -> None:
        """Signal the end of the data; the other direction stays open."""
        if self.is_open:
            self.transport.write_eof()

    def close(self) -> None:
        """Close once everything is sent."""
        if self.is_open and not self.ignores_input:
            self.transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self.is_open:
            self.transport.abort()

    def reset(self) -> None:
        """Close at once, and with RST instead of FIN."""
        if self.is_open:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self.transport.abort()


def _target(request: bytes) -> tuple[str, int]:
    """Return where a CONNECT request leads to."""
    method, target, *_ = [*request.decode("latin-1").split(), "", ""]
    if method != "CONNECT":
        message = f"a tunnel begins with CONNECT, not with {method!r}"
        raise SettingsError(message)
    return _address(target)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > HIGHEST_PORT:
        message = f"a line leads to HOST:PORT, not to {text!r}"
        raise SettingsError(message, hint="write it like 127.0.0.1:5000")
    return host.strip("[]"), int(port)


def _checked(name: str, value: Number | None, *, least: int = 1) -> Number | None:
    if value is not None and value < least:
        message = f"{name} of a line must be at least {least}, not {value}"
        raise SettingsError(message)
    return value


def _listen(port: int) -> socket.socket:
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Small, as between two machines: then clients cannot send much more than the line has passed on.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BLOCK)
        listening.bind(("127.0.0.1", port))
        listening.listen(128)
        listening.setblocking(False)
    except (OSError, OverflowError) as error:
        listening.close()
        message = f"the line cannot listen on 127.0.0.1:{port}: {getattr(error, 'strerror', None) or error}"
        raise SettingsError(message, hint="name another port, or 0 for any free one") from error
    return listening
