"""Misbehave on request: refuse, break, lose or falsify the next answers, to see how clients cope."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import field
from email.utils import formatdate

from buildpush.foundation.records import dataclass


@dataclass(slots=True)
class Fault:
    r"""What goes wrong with the next requests that match.

    Attributes:
        method: such as ``PATCH``; ``*`` for any.
        path: pattern that is searched in the path; also in the query behind it where the pattern has ``\?``.
        status: answer with this and do nothing else.
        headers: of that answer; without *status* they are added to the true answer, or replace its own.
        body: of that answer.
        retry_after: say in the answer's ``Retry-After`` to wait so many seconds.
        skew: let the clock in the answer's ``Date`` be so many seconds fast (negative: slow);
            ``Retry-After`` is then a date by that clock.
        delay: wait so many seconds first.
        close: end the connection instead of answering; nothing was done.
        after: break the connection once so many bytes of the request's body were taken (PATCH, PUT, POST), or
            so many bytes of the answer were sent (GET).
        largest: answer 413 to a body of more bytes; smaller ones are not hit.
        lose_answer: do what was asked, then end the connection instead of answering.
        forget: answer as if the blob or manifest had been kept, and keep nothing.
        expire: the ``token`` or ``upload`` of the request expires.
        offset: say in the answer's ``Range`` that so many bytes more arrived than did (negative: fewer).
        sha512: say in ``Docker-Content-Digest`` the SHA-512 of the content instead of its SHA-256.
        overlook: parameter of the query that is ignored: ``mount`` begins an upload instead.
        elsewhere: ``HOST:PORT`` that the answer's ``Location`` names instead of the sandbox's;
            an upload continues there without credentials. With *status* 307 the request itself is sent there.
        store: send a GET of a blob on to a store with an address of its own, as a CDN does: it is valid for some
            minutes, and not together with credentials.
        every: hit only every n-th request that matches.
        times: how many requests it still hits; ``None`` for all.
    """

    method: str
    path: re.Pattern[str]
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    retry_after: float | None = None
    skew: float | None = None
    delay: float = 0.0
    close: bool = False
    after: int | None = None
    largest: int | None = None
    lose_answer: bool = False
    forget: bool = False
    expire: str | None = None
    offset: int = 0
    sha512: bool = False
    overlook: str | None = None
    elsewhere: str | None = None
    store: bool = False
    every: int = 1
    times: int | None = 1
    _seen: int = field(default=0, init=False, repr=False)

    def hits(self, method: str, path: str, query: str, length: int | None) -> bool:
        """Return whether a request goes wrong, and count it; *length* is that of its body where it is known."""
        if self.method not in {"*", method} or not self._finds(path, query):
            return False
        if self.largest is not None and length is not None and length <= self.largest:
            return False
        self._seen += 1
        if self._seen % self.every:
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def _finds(self, path: str, query: str) -> bool:
        # Only on demand: the repository in a mount's query would be found by many a pattern meant for the path.
        asked = r"\?" in self.path.pattern
        return bool(self.path.search(f"{path}?{query}" if asked else path))

    def more_headers(self, now: float) -> dict[str, str]:
        """Return the headers that it sets in the answer; *now* is in seconds since 1970."""
        headers = dict(self.headers)
        if self.skew is not None:
            headers["Date"] = formatdate(now + self.skew, usegmt=True)
        if self.retry_after is not None:
            dated = None if self.skew is None else formatdate(now + self.skew + self.retry_after, usegmt=True)
            headers["Retry-After"] = dated or f"{self.retry_after:g}"
        return headers


class Faults:
    """The faults that are planned; the first that matches a request is used up first."""

    def __init__(self) -> None:
        self._planned: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Plan a fault."""
        with self._lock:
            self._planned.append(fault)

    def take(self, method: str, path: str, query: str = "", length: int | None = None) -> Fault | None:
        """Return the fault that hits this request, and count it."""
        with self._lock:
            for fault in self._planned:
                if fault.hits(method, path, query, length):
                    self._planned = [planned for planned in self._planned if planned.times != 0]
                    return fault
        return None

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._planned.clear()
