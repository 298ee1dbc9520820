"""What a request brings along: who sends it, under which address the sandbox is known to them, its body in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass

from aiohttp import web

from buildpush.sandbox.accounts import Caller
from buildpush.sandbox.answers import RefusedError, forbidden


@dataclass(slots=True)
class Visit:
    """What is known about the request that is being answered.

    Attributes:
        caller: who sends it.
        received: bytes of its body so far.
        break_after: a planned fault: break the connection once so many bytes of the body were taken.
    """

    caller: Caller | None = None
    received: int = 0
    break_after: int | None = None


# Each connection is a task of its own, so this is one visit at a time.
visit: ContextVar[Visit] = ContextVar("visit")

# A thread costs about 0.1 ms; for less than this, hashing in place is cheaper.
WORTH_A_THREAD = 128 * 1024


def origin(request: web.Request) -> str:
    """Return scheme and host under which the client knows the sandbox, also behind a proxy."""
    override = request.headers.get("X-JFrog-Override-Base-Url")
    if override:
        return override.rstrip("/")
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
    return f"{scheme}://{request.headers.get('X-Forwarded-Host', request.host)}"


def caller() -> Caller:
    """Return who sends the request that is being answered.

    Raises:
        RefusedError: 401, nobody in particular.
    """
    found = visit.get().caller
    if found is None:
        raise RefusedError(401, "UNAUTHORIZED", "Authentication is required")
    return found


def require(right: str, where: str) -> Caller:
    """Return the caller if their account has the right.

    Raises:
        RefusedError: 403.
    """
    found = caller()
    if not found.may(right):
        raise forbidden(found.username, right, where)
    return found


async def pieces(request: web.Request) -> AsyncIterator[bytes]:
    """Yield the body as it arrives, and count it; a planned fault breaks the connection on the way.

    Raises:
        ConnectionError: the body ended too early.
    """
    this = visit.get()
    left = this.break_after
    async for piece in request.content.iter_any():
        wanted = piece if left is None else piece[:left]
        this.received += len(wanted)
        yield wanted
        if left is not None:
            left -= len(wanted)
            if not left:
                break_connection(request)


def break_connection(request: web.Request) -> None:
    """End the connection without an answer.

    Raises:
        ConnectionResetError: always.
    """
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionResetError


async def read_all(request: web.Request, largest: int) -> bytes:
    """Return the whole body.

    Raises:
        RefusedError: 413, it has more than *largest* bytes.
    """
    body = bytearray()
    async for piece in pieces(request):
        body += piece
        if len(body) > largest:
            raise RefusedError(413, "SIZE_INVALID", f"The body has more than {largest} bytes.")
    return bytes(body)


async def take_in(work: Callable[[bytes], None], data: bytes) -> None:
    """Call *work* with *data*, in a thread where that is worth it; hashing lets other threads run."""
    if len(data) < WORTH_A_THREAD:
        work(data)
    else:
        await asyncio.to_thread(work, data)
