"""Faults on request: the next answers are refused, broken, lost or falsified, to see how clients cope."""

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
        path: pattern to search for in the path and, if the pattern contains ``\?``, in the query behind it.
        status: answer with this and do nothing else.
        headers: of that answer; without *status*, they are added to the true answer, or replace its own.
        body: of that answer.
        retry_after: seconds to wait, which the answer gives in ``Retry-After``.
        skew: seconds by which the clock in the answer's ``Date`` is fast (negative: slow);
            ``Retry-After`` is then a date by that clock.
        delay: seconds to wait before anything is done.
        close: close the connection instead of answering, and do nothing.
        after: break the connection after this many bytes of the request's body were received (PATCH, PUT, POST), or
            of the answer were sent (GET).
        largest: answer 413 to a body of more bytes; the fault does not apply to smaller ones.
        lose_answer: do what was requested, but close the connection instead of answering.
        forget: answer as if the blob or manifest had been stored, but do not store it.
        expire: make the ``token`` or the ``upload`` of the request expire.
        offset: claim in the answer's ``Range`` that this many bytes more arrived than did (negative: fewer).
        sha512: give in ``Docker-Content-Digest`` the SHA-512 of the content instead of its SHA-256.
        overlook: parameter of the query to ignore; without ``mount``, an upload begins instead.
        elsewhere: ``HOST:PORT`` that the answer's ``Location`` names instead of the sandbox's;
            an upload continues there without credentials. With *status* 307, the request itself is redirected there.
        store: redirect a GET of a blob to a store at another address, as with a CDN; the address contains a
            signature, and must not be used together with credentials.
        every: apply only to every n-th request that matches.
        times: how many more requests it applies to; ``None`` for all.
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
        """Return whether the fault applies to a request, and count it; *length* is that of its body, if known."""
        if self.method not in {"*", method} or not self._matches(path, query):
            return False
        if self.largest is not None and length is not None and length <= self.largest:
            return False
        self._seen += 1
        if self._seen % self.every:
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def _matches(self, path: str, query: str) -> bool:
        # Only on demand: many patterns that are meant for the path would match the repository in a mount's query.
        with_query = r"\?" in self.path.pattern
        return bool(self.path.search(f"{path}?{query}" if with_query else path))

    def more_headers(self, now: float) -> dict[str, str]:
        """Return the headers that it sets in the answer; *now* is seconds since 1970."""
        headers = dict(self.headers)
        if self.skew is not None:
            headers["Date"] = formatdate(now + self.skew, usegmt=True)
        if self.retry_after is not None:
            dated = None if self.skew is None else formatdate(now + self.skew + self.retry_after, usegmt=True)
            headers["Retry-After"] = dated or f"{self.retry_after:g}"
        return headers


class Faults:
    """The planned faults; of those that match a request, the first applies."""

    def __init__(self) -> None:
        self._planned: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Plan a fault."""
        with self._lock:
            self._planned.append(fault)

    def take(self, method: str, path: str, query: str = "", length: int | None = None) -> Fault | None:
        """Return the fault that applies to this request, if any, and count it."""
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
