"""The requests and answers, without secrets, for tests and people to read."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from queue import Full, Queue
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import MASK, redact

if TYPE_CHECKING:
    from aiohttp import web

    from buildpush.sandbox.wire import RequestState

MOST_REQUESTS = 20_000
# Parameters that cannot contain a secret; the values of all others are not recorded.
SHOWN_PARAMETERS = {
    "digest",
    "mount",
    "from",
    "n",
    "last",
    "scope",
    "service",
    "account",
    "client_id",
    "properties",
    "recursive",
    "project",
    "buildRepo",
    "started",
    "list",
    "deep",
    "listFolders",
    "recursiveProperties",
    "atomicProperties",
}


@dataclass(frozen=True, slots=True)
class Request:
    """One request and its answer.

    Attributes:
        path: decoded, without the query.
        query: parameters, with stars in place of values that may be secret.
        status: of the answer; 0 if the connection ended without one.
        username: the user who sent it, or ``""``.
        received: bytes of the body that arrived, for uploads and manifests.
        agent: the client's ``User-Agent``.
        seconds: until the answer was ready.
        sent: bytes of the answer's body.
    """

    method: str
    path: str
    query: Mapping[str, str]
    status: int
    username: str
    received: int
    agent: str
    seconds: float
    sent: int = 0

    def __str__(self) -> str:
        query = f"?{urlencode(self.query, safe=':/,*')}" if self.query else ""
        return f"{self.method} {self.path}{query} {self.status}"


class Journal:
    """The latest requests, oldest first; header values are never recorded.

    Attributes:
        failures: errors of the sandbox itself, each of which was answered with status 500.
    """

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self._requests: deque[Request] = deque(maxlen=MOST_REQUESTS)
        self._lock = threading.Lock()
        self._followers: list[Queue[Request]] = []

    def follow(self) -> Queue[Request]:
        """Return a queue of the requests from now on; it loses those that nobody takes in time."""
        self._followers.append(Queue(MOST_REQUESTS))
        return self._followers[-1]

    def write(self, request: web.Request, state: RequestState, status: int, seconds: float, sent: int) -> None:
        """Record one request."""
        entry = Request(
            request.method,
            request.path,
            {key: value if key in SHOWN_PARAMETERS else MASK for key, value in request.query.items()},
            status,
            state.caller.username if state.caller else "",
            state.received,
            request.headers.get("User-Agent", ""),
            seconds,
            sent,
        )
        with self._lock:
            self._requests.append(entry)
        for follower in self._followers:
            with suppress(Full):
                follower.put_nowait(_redacted(entry))

    def read(self) -> list[Request]:
        """Return the requests; secrets that this process knows become stars, wherever a client has put them."""
        with self._lock:
            requests = list(self._requests)
        return [_redacted(request) for request in requests]


def _redacted(request: Request) -> Request:
    query = {redact(key): redact(value) for key, value in request.query.items()}
    texts = (redact(request.path), query, request.status, redact(request.username))
    return Request(request.method, *texts, request.received, redact(request.agent), request.seconds, request.sent)
