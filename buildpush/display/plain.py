"""Events as plain lines with a time, for logs: no line is updated; colours are printed only where they are forced."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, TextIO

from buildpush.display.branches import BranchTable, branch_of
from buildpush.display.words import Sentences, bytes_words, colours_wanted, seconds_words
from buildpush.foundation.events import UNDER_WAY, BranchState, Event, Log, Note, Progress, Retry, Started
from buildpush.foundation.interrupts import Lock
from buildpush.foundation.text import one_line

# A layer that takes long reports its progress this often, so that a CI system does not end a silent step.
SECONDS_BETWEEN_PROGRESS = 10.0
# Bold, yellow and dim, as in a terminal.
_CODES: Final[Mapping[type, str]] = {Started: "1", Retry: "33", Note: "33", Log: "2"}


class Plain:
    """A sink that writes one line per event: ``  3.2s  pushed layer …``."""

    def __init__(
        self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic, has_colours: bool = False
    ) -> None:
        self._stream = stream
        self._has_colours = has_colours
        self._clock = clock
        self._start = clock()
        self._lock = Lock()
        self._sentences = Sentences()
        self._last: dict[str, tuple[float, int]] = {}
        self._branches, self._counted = BranchTable(clock), 0.0

    def __call__(self, event: Event) -> None:
        """Write the event's line, if it has one."""
        with self._lock:
            branch, inner = branch_of(event)
            if isinstance(inner, Progress) and inner.state in UNDER_WAY:
                line = self._progress(f"[{branch}] " if branch else "", inner)
            else:
                line = self._sentences.of(event)
            self._write(line, _CODES.get(type(inner), "") if self._has_colours else "")
            self._write(self._counts(branch, inner))

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def _write(self, line: str, code: str = "") -> None:
        if line:
            line = f"\x1b[{code}m{line}\x1b[0m" if code else line
            self._stream.write(f"{self._clock() - self._start:7.1f}s  {line}\n")
            self._stream.flush()

    def _counts(self, branch: str, event: Event) -> str:
        """Return how many branches are in which state, now and then when one begins or ends, and of many at the end."""
        was_over = self._branches.is_over
        if not self._branches.add(branch, event):
            return ""
        if self._branches.is_over:
            counts = self._branches.counts() if self._branches.are_many else ""
            self._branches.clear()
            return counts
        if was_over:
            self._counted = self._clock()
        if not isinstance(event, BranchState) or self._clock() - self._counted < SECONDS_BETWEEN_PROGRESS:
            return ""
        self._counted = self._clock()
        return self._branches.counts()

    def _progress(self, prefix: str, event: Progress) -> str:
        if event.state == "waiting":
            return ""
        now = self._clock()
        item = f"{prefix}{event.item}"
        before = self._last.setdefault(item, (now, event.done))
        if now - before[0] < SECONDS_BETWEEN_PROGRESS:
            return ""
        self._last[item] = (now, event.done)
        total = f" of {bytes_words(event.total)}" if event.total else ""
        rate = (event.done - before[1]) / (now - before[0])
        return one_line(f"{prefix}{event.state} {event.item}: {bytes_words(event.done)}{total}{_pace(event, rate)}")


def _pace(event: Progress, rate: float) -> str:
    """Return bytes per second and, if the size is known, the time that is left; empty if nothing was transferred."""
    if rate <= 0:
        return ""
    left = f", {seconds_words((event.total - event.done) / rate)} left" if event.total else ""
    return f", {bytes_words(int(rate))}/s{left}"


def open_display(stream: TextIO, env: Mapping[str, str]) -> Plain:
    """Return the display as plain lines, which fits every stream."""
    return Plain(stream, has_colours=colours_wanted(env) is True)
