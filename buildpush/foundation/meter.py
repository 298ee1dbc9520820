"""The bytes that a push moves and the time that it takes, added up over its threads."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

from buildpush.foundation.events import Traffic
from buildpush.foundation.interrupts import Lock

TrafficKind = Literal["read", "sent", "again", "mounted", "skipped"]
Activity = Literal["read", "compress", "hash", "wait", "send"]
ACTIVITIES: Final[tuple[Activity, ...]] = ("read", "compress", "hash", "wait", "send")


class Meter:
    """Counts bytes and seconds; shared by threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._bytes: defaultdict[TrafficKind, int] = defaultdict(int)
        self._seconds: defaultdict[Activity, float] = defaultdict(float)

    def count(self, what: TrafficKind, size: int) -> None:
        """Add *size* bytes to the count *what*."""
        with self._lock:
            self._bytes[what] += size

    def spend(self, work: Activity, seconds: float) -> None:
        """Add *seconds* of one thread to the time of *work*."""
        with self._lock:
            self._seconds[work] += seconds

    @contextmanager
    def timing(self, work: Activity) -> Iterator[None]:
        """Add the seconds that the block takes to the time of *work*."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.spend(work, time.perf_counter() - start)

    @property
    def traffic(self) -> Traffic:
        """The counts and times so far."""
        with self._lock:
            count = self._bytes
            seconds: dict[str, float] = {work: self._seconds[work] for work in ACTIVITIES}
            return Traffic(count["read"], count["sent"], count["again"], count["mounted"], count["skipped"], seconds)
