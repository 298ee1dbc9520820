"""What is on its way: how much of each item, how fast, for how long, and all of it together.

A thread may read it while another one adds to it: a copy is made at once, where a tuple of items may be interrupted.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Final

from buildpush.display.words import FATES, bytes_words, seconds_words
from buildpush.foundation.events import UNDER_WAY, Progress
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.foundation.text import one_line

_SECONDS_OF_RATE: Final = 5.0  # a rate is that of this time, so that it neither jumps nor lags
_MOVED: Final = frozenset({"sent", "written", "received"})
_LAYER: Final = regex(r"\blayer [0-9]+/[0-9]+")


@dataclass(frozen=True, slots=True)
class Pace:
    """How far something is; *total* may be unknown, and *rate*, in bytes per second, 0."""

    name: str
    done: int
    total: int | None
    rate: float

    @property
    def share(self) -> float:
        """How much of it is done, of 1; 0 if that is not known."""
        return min(self.done / self.total, 1.0) if self.total else 0.0

    def words(self) -> tuple[str, str, str, str]:
        """Return the bytes that are done, all of them, the rate, and the time that is left; empty where unknown."""
        left = seconds_words((self.total - self.done) / self.rate) if self.total and self.rate else ""
        rate = f"{bytes_words(int(self.rate))}/s" if self.rate else ""
        return bytes_words(self.done), bytes_words(self.total) if self.total else "", rate, left

    def sentence(self) -> str:
        """Return the same in one line."""
        done, size, rate, left = self.words()
        words = [f"{done} of {size}" if size else done, rate, left and f"{left} left"]
        return f"{self.name}: {', '.join(filter(None, words))}"


class _Item:
    """One layer or file that is not there yet."""

    def __init__(self) -> None:
        self.last = Progress("", 0, None, "waiting")
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, event: Progress, now: float) -> None:
        sample = (now, event.done)
        if event.done < self.last.done or not self._samples:  # it begins again
            self._samples = deque([sample])
        else:
            self._samples.append(sample)
        self.last = event
        while self._samples[-1][0] - self._samples[0][0] > _SECONDS_OF_RATE and len(self._samples) > 2:  # noqa: PLR2004 - both ends
            self._samples.popleft()

    @property
    def rate(self) -> float:
        (begun, before), (now, done) = self._samples[0], self._samples[-1]
        return (done - before) / (now - begun) if now > begun else 0.0


class Transfers:
    """The items of one push, upload or download."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._items: dict[str, _Item] = {}
        self._ends: Counter[str] = Counter()
        self._noun = "layer"
        self._moved = self._expected = 0
        self._begun: float | None = None
        self._ended = 0.0

    def add(self, name: str, event: Progress) -> None:
        """Store how far the item called *name* is."""
        now = self._clock()
        self._begun = now if self._begun is None else self._begun
        self._noun = "layer" if _LAYER.search(name) else "file"
        if event.state in UNDER_WAY:
            self._items.setdefault(name, _Item()).add(event, now)
            return
        item = self._items.pop(name, None)
        self._ends[event.state] += 1
        self._ended = now
        if event.state in _MOVED:
            self._moved += event.done
            self._expected += (item.last.total if item else None) or event.done  # before it was compressed

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been reported."""
        return self._begun is None

    @property
    def is_over(self) -> bool:
        """Whether everything has arrived."""
        return not self.is_empty and not self._items

    @property
    def are_several(self) -> bool:
        """Whether there are several, that have arrived, are on their way, or wait."""
        return len(self._items) + self._ends.total() > 1

    def moving(self) -> Iterator[Pace]:
        """Yield how far each item is that is on its way."""
        for name, item in self._items.copy().items():
            if item.last.state != "waiting":
                yield Pace(one_line(name), item.last.done, item.last.total, item.rate)

    def in_all(self) -> Pace:
        """Return how far all of them are together, with what waits in the name."""
        moving = list(self.moving())
        waiting = [item.last.total for item in self._items.copy().values() if item.last.state == "waiting"]
        totals = [self._expected, *(one.total for one in moving), *waiting]
        size = None if None in totals else sum(filter(None, totals))
        wait = ""
        if waiting:
            bytes_ = "" if None in waiting else f" ({bytes_words(sum(filter(None, waiting)))})"
            wait = f"; {len(waiting)} {'wait' if len(waiting) > 1 else 'waits'}{bytes_}"
        done = self._expected + sum(one.done for one in moving)
        return Pace(f"in all{wait}", done, size, sum(one.rate for one in moving))

    def stands(self) -> str:
        """Return how many are there, such as ``2 of 3 layers are there``."""
        there = self._ends.total()
        count = there + len(self._items)
        return f"{there} of {count} {self._noun}{'s' * (count > 1)} {'is' if there == 1 else 'are'} there"

    def sentence(self) -> str:
        """Return what has arrived, such as ``2 layers sent, 1 already there: 120.0 MB in 6.0 s (20.0 MB/s)``."""
        if self._items:
            return f"stopped: {self.stands()}"
        counts = [f"{count} {FATES.get(state, state)}" for state, count in self._ends.items()]
        first, _, rest = ", ".join(counts).partition(" ")
        words = f"{first} {self._noun}{'s' * (first != '1')} {rest}"
        seconds = self._ended - (self._begun or 0.0)
        if not self._moved or not seconds:
            return words
        rate = bytes_words(int(self._moved / seconds))
        return f"{words}: {bytes_words(self._moved)} in {seconds_words(seconds)} ({rate}/s)"
