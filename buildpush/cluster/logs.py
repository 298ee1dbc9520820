"""The log of a container, without loss or doubling, however often its stream breaks."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from buildpush.cluster.api import Api
from buildpush.foundation.errors import AuthenticationError, BuildPushError, UnreachableError
from buildpush.foundation.interrupts import start

# Until it is asked for again: twice as long each time, while nothing comes. Most logs end with their container, and
# that it has ended is known about a second later.
_PAUSE_SECONDS: Final = 2.0
_LONGEST_PAUSE: Final = 8.0
_LAST_ATTEMPTS: Final = 3  # after the container has ended


class LogStream:
    """Reads the log of one container in a thread of its own; the lines wait until they are taken.

    Each line has a time. A stream that breaks is asked for again from the time of its last line on, and what is not
    newer is dropped, since the server cuts at whole seconds.

    Args:
        api: of the cluster.
        pod: name of the pod.
        container: whose output is read.
        told: called when there is something to take, and at the end.
    """

    def __init__(self, api: Api, pod: str, container: str, told: Callable[[], object] = lambda: None) -> None:
        self._api, self._pod, self._container = api, pod, container
        self._told = told
        self._lines: deque[str] = deque()
        self._last, self._count = "", 0  # the time of the last line, and how many lines had that time
        self.refusal: AuthenticationError | None = None  # why there is no log, if this account may not read it
        self._half = ""  # of a line whose end has not come
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        start(self._thread)

    def take(self) -> list[str]:
        """Return the lines that have come since the last call."""
        lines = []
        while self._lines:
            lines.append(self._lines.popleft())
        return lines

    def end(self) -> None:
        """Say that the container has ended: once the stream ends, it is not asked for again."""
        self._ending.set()

    @property
    def is_over(self) -> bool:
        """Whether no further line will come."""
        return not self._thread.is_alive()

    def _follow(self) -> None:
        pause, attempts = _PAUSE_SECONDS, _LAST_ATTEMPTS
        while attempts:
            is_ending, before = self._ending.is_set(), (self._last, self._count)
            try:
                self._read()
            except UnreachableError:  # it broke
                attempts -= is_ending
                time.sleep(_PAUSE_SECONDS)
            except BuildPushError as error:  # there is no log yet, or no longer; a server that has just started refuses
                self.refusal = error if isinstance(error, AuthenticationError) else None
                attempts = 0 if is_ending else attempts
            else:
                self.refusal = None
                attempts = 0 if self._ending.is_set() else attempts
            pause = _PAUSE_SECONDS if before != (self._last, self._count) else min(2 * pause, _LONGEST_PAUSE)
            self._ending.wait(pause)
        if self._half:
            self._lines.append(self._half)
        self._told()

    def _read(self) -> None:
        mark, again = self._last, self._count
        for moment, text in self._api.log(self._pod, self._container, self._last):
            if moment < mark:
                continue
            if moment == mark and again:
                again -= 1
                continue
            self._half = "" if text.endswith("\n") else text
            if not self._half:
                self._count = self._count + 1 if moment == self._last else 1
                self._last = moment
                self._lines.append(text.removesuffix("\n"))
                self._told()
