"""Misbehave on request: refuse, break or lose the next answers, so that clients can be seen to cope."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Fault:
    """What goes wrong with the next requests that match.

    Attributes:
        method: such as ``PATCH``; ``*`` for any.
        path: pattern that is searched in the path, without the query.
        status: answer with this and do nothing else.
        headers: of that answer.
        body: of that answer.
        close: end the connection instead of answering; nothing was done.
        after: break the connection once so many bytes of the request's body were taken (PATCH, PUT, POST), or
            so many bytes of the answer were sent (GET).
        lose_answer: do what was asked, then end the connection instead of answering.
        delay: wait so many seconds first.
        times: how many requests it still hits.
    """

    method: str
    path: re.Pattern[str]
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    close: bool = False
    after: int | None = None
    lose_answer: bool = False
    delay: float = 0.0
    times: int = 1


class Faults:
    """The faults that are planned; the first that matches a request is used up first."""

    def __init__(self) -> None:
        self._planned: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Plan a fault."""
        with self._lock:
            self._planned.append(fault)

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault that hits this request, and count it."""
        with self._lock:
            for fault in self._planned:
                if fault.method in {"*", method} and fault.path.search(path):
                    fault.times -= 1
                    self._planned = [planned for planned in self._planned if planned.times > 0]
                    return fault
        return None

    def clear(self) -> None:
        """Behave well from now on."""
        with self._lock:
            self._planned.clear()
