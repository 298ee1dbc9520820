"""A request: its caller, the address by which the caller knows the sandbox, and its body in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextvars import ContextVar

from aiohttp import web

from buildpush.foundation.records import dataclass
from buildpush.sandbox.accounts import Caller
from buildpush.sandbox.answers import RequestRefusedError, forbidden
from buildpush.sandbox.faults import Fault


@dataclass(slots=True)
class Visit:
    """What is known about the request that is being answered.

    Attributes:
        caller: who sends it.
        received: bytes of its body so far.
        fault: that is planned for it.
    """

    caller: Caller | None = None
    received: int = 0
    fault: Fault | None = None


# Each connection is a task of its own, so this is one request at a time.
visit: ContextVar[Visit] = ContextVar("visit")


def origin(request: web.Request) -> str:
    """Return scheme and host of the sandbox as the client knows them, also behind a proxy."""
    override = request.headers.get("X-JFrog-Override-Base-Url")
    if override:
        return override.rstrip("/")
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
    return f"{scheme}://{request.headers.get('X-Forwarded-Host', request.host)}"


def caller() -> Caller:
    """Return who sends the request that is being answered.

    Raises:
        RequestRefusedError: 401, an anonymous client.
    """
    found = visit.get().caller
    if found is None:
        raise RequestRefusedError(401, "UNAUTHORIZED", "Authentication is required")
    return found


def require(right: str, where: str) -> Caller:
    """Return the caller if their account has the right.

    Raises:
        RequestRefusedError: 403.
    """
    found = caller()
    if not found.may(right):
        raise forbidden(found.username, right, where)
    return found


async def pieces(request: web.Request) -> AsyncIterator[bytes]:
    """Yield the body as it arrives, and count it; a planned fault breaks the connection on the way.

    Raises:
        ConnectionError: the body ended too early.
        RequestRefusedError: 413, a planned fault does not allow a body of this size.
    """
    this = visit.get()
    left = this.fault.after if this.fault else None
    largest = this.fault.largest if this.fault else None
    async for piece in request.content.iter_any():
        wanted = piece if left is None else piece[:left]
        this.received += len(wanted)
        if largest is not None and this.received > largest:
            raise too_large(largest)
        yield wanted
        if left is not None:
            left -= len(wanted)
            if not left:
                break_connection(request)


def query(request: web.Request, name: str) -> str | None:
    """Return a parameter of the query, unless a planned fault ignores it."""
    fault = visit.get().fault
    return None if fault and fault.overlook == name else request.query.get(name)


def keeps() -> bool:
    """Return whether the content of the request is stored; a planned fault prevents it."""
    fault = visit.get().fault
    return not (fault and fault.forget)


def too_large(largest: int) -> RequestRefusedError:
    """Return the answer to a body of more bytes."""
    return RequestRefusedError(413, "SIZE_INVALID", f"The body has more than {largest} bytes.")


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
        RequestRefusedError: 413, it has more than *largest* bytes.
    """
    body = bytearray()
    async for piece in pieces(request):
        body += piece
        if len(body) > largest:
            raise too_large(largest)
    return bytes(body)
