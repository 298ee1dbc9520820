"""A request: its caller, the address that the caller uses for the sandbox, and its body in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextvars import ContextVar

from aiohttp import web

from buildpush.foundation.records import dataclass
from buildpush.sandbox.answers import RequestRefusedError, forbidden
from buildpush.sandbox.faults import Fault
from buildpush.sandbox.permissions import Caller

# Where Artifactory is on the platform.
BASE = "/artifactory"
# Bytes of a request that is a document, and neither a file nor a build.
LARGEST_DOCUMENT = 1024 * 1024


@dataclass(slots=True)
class RequestState:
    """Facts about the request that is being answered.

    Attributes:
        caller: who sent it.
        received: bytes of its body so far.
        fault: the planned fault that applies to it.
    """

    caller: Caller | None = None
    received: int = 0
    fault: Fault | None = None


# Each connection has a task, so there is one request at a time in a context.
current: ContextVar[RequestState] = ContextVar("current")


def origin(request: web.Request) -> str:
    """Return the scheme and host that the client uses for the sandbox, also behind a proxy."""
    override = request.headers.get("X-JFrog-Override-Base-Url")
    if override:
        return override.rstrip("/")
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
    return f"{scheme}://{request.headers.get('X-Forwarded-Host', request.host)}"


def caller() -> Caller:
    """Return who sent the request that is being answered.

    Raises:
        RequestRefusedError: 401, the client is anonymous.
    """
    user = current.get().caller
    if user is None:
        raise RequestRefusedError(401, "UNAUTHORIZED", "Authentication is required")
    return user


def require(right: str, where: str) -> Caller:
    """Return the caller, whose account must have the right.

    Args:
        right: one of :data:`buildpush.sandbox.permissions.RIGHTS`.
        where: repository key, and the path in it, if there is one.

    Raises:
        RequestRefusedError: 401, 403.
    """
    user = caller()
    if not user.may(right, where.partition("/")[0]):
        raise forbidden(user.username, right, where)
    return user


async def pieces(request: web.Request) -> AsyncIterator[bytes]:
    """Yield the body as it arrives, and count it; a planned fault may break the connection.

    Raises:
        ConnectionError: the body ended too early.
        RequestRefusedError: 413, a planned fault does not allow a body of this size.
    """
    this = current.get()
    rest = this.fault.after if this.fault else None
    largest = this.fault.largest if this.fault else None
    async for piece in request.content.iter_any():
        data = piece if rest is None else piece[:rest]
        this.received += len(data)
        if largest is not None and this.received > largest:
            raise too_large(largest)
        yield data
        if rest is not None:
            rest -= len(data)
            if not rest:
                break_connection(request)


def query(request: web.Request, name: str) -> str | None:
    """Return a parameter of the query, unless a planned fault ignores it."""
    fault = current.get().fault
    return None if fault and fault.overlook == name else request.query.get(name)


def is_stored() -> bool:
    """Return whether the content of the request is stored, which a planned fault may prevent."""
    fault = current.get().fault
    return not (fault and fault.forget)


def too_large(largest: int) -> RequestRefusedError:
    """Return the answer to a body of more than *largest* bytes."""
    return RequestRefusedError(413, "SIZE_INVALID", f"The body has more than {largest} bytes.")


def break_connection(request: web.Request) -> None:
    """Close the connection without an answer.

    Raises:
        ConnectionResetError: always.
    """
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionResetError


async def read_all(request: web.Request, largest: int = LARGEST_DOCUMENT) -> bytes:
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
