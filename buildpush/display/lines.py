"""Events as JSON, one in each line, for programs that follow a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final, TextIO

from buildpush.display.branches import branch_of
from buildpush.foundation.controls import escaped
from buildpush.foundation.events import Event, Prompt
from buildpush.foundation.interrupts import Lock
from buildpush.foundation.regex import regex
from buildpush.foundation.secrets import redacted

VERSION: Final = 1
_CAPITAL: Final = regex(r"(?<!^)(?=[A-Z])")


def event_name(kind: type) -> str:
    """Return how events of that class are called in a line, such as ``branch_state``."""
    return _CAPITAL.sub("_", kind.__name__).lower()


class EventLines:
    """A sink that writes each event to *stream* at once; *now* gives the time."""

    def __init__(self, stream: TextIO, now: Callable[[], datetime]) -> None:
        self._stream = stream
        self._now = now
        self._lock = Lock()

    def __call__(self, event: Event) -> None:
        """Write the line of *event*; a question to a person has none."""
        branch, inner = branch_of(event)
        if not isinstance(inner, Prompt):
            self.write(event_name(type(inner)), **({"branch": branch} if branch else {}), **asdict(inner))

    def write(self, event: str, **facts: Any) -> None:
        """Write a line."""
        line = {"version": VERSION, "time": self._now().isoformat(timespec="milliseconds"), "event": event, **facts}
        text = escaped(json.dumps(redacted(line), ensure_ascii=False))
        with self._lock:
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()
