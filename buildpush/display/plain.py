"""Events as plain timed lines, for logs: no colours, no control characters, nothing repeated."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TextIO

from buildpush.display.words import Sentences, bytes_words
from buildpush.events import Event, Progress
from buildpush.secrets import redact

# A layer that takes long says where it is this often, so that a CI system does not take silence for death.
SECONDS_BETWEEN_PROGRESS = 10.0


class Plain:
    """A sink that writes one line per event: ``  3.2s  pushed layer …``."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._start = clock()
        self._lock = threading.Lock()
        self._sentences = Sentences()
        self._spoken: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        """Write the event's line, if it has one."""
        with self._lock:
            line = self._progress(event) if isinstance(event, Progress) else self._sentences.of(event)
            if line:
                self._stream.write(f"{self._clock() - self._start:7.1f}s  {redact(line)}\n")
                self._stream.flush()

    def close(self) -> None:
        """Nothing is left open."""

    def _progress(self, event: Progress) -> str:
        if event.state not in {"sending", "pulling"}:
            return self._sentences.of(event)
        now = self._clock()
        if now - self._spoken.setdefault(event.item, now) < SECONDS_BETWEEN_PROGRESS:
            return ""
        self._spoken[event.item] = now
        of = f" of {bytes_words(event.total)}" if event.total else ""
        return f"{event.state} {event.item}: {bytes_words(event.done)}{of}"
