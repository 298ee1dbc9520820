"""The deadlines of stages and groups, and the time that they leave a step."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta

from buildpush.expressions.facts import Facts
from buildpush.foundation.errors import SourceError, TimeOutError
from buildpush.foundation.limits import duration_text, time_limit
from buildpush.foundation.records import dataclass
from buildpush.settings.evaluate import evaluate_raw
from buildpush.settings.kinds import duration_of
from buildpush.settings.written import WrittenValue


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment at which the time of a stage or group is over.

    Attributes:
        end: by the clock of the walk, in seconds.
        limit: the whole time.
        about: what it is for, such as ``the stage 'build'``.
    """

    end: float
    limit: timedelta
    about: str

    def error(self) -> TimeOutError:
        """Return the error of a step that it has ended."""
        message = f"{self.about} took longer than its timeout of {duration_text(self.limit)}"
        return TimeOutError(message, hint="raise its 'timeout'; what was confirmed is not sent again")


def nearest(deadlines: Sequence[Deadline]) -> Deadline | None:
    """Return the one that ends first."""
    return min(deadlines, key=lambda one: one.end, default=None)


def shorter(own: timedelta | None, deadline: Deadline | None, now: float) -> timedelta | None:
    """Return the time that a step has: its own, or what is left until *deadline*; ``None`` for any."""
    if deadline is None:
        return own
    left = timedelta(seconds=max(deadline.end - now, 0.001))
    return left if own is None else min(own, left)


def limited(own: timedelta | None, deadline: Deadline | None) -> AbstractContextManager[None]:
    """Return a context that ends a step after its own time, or at *deadline* if that comes first."""
    limit = shorter(own, deadline, time.monotonic())
    if deadline is None or limit == own:
        return time_limit(own)
    return time_limit(limit, what=deadline.about, whole=deadline.limit)


def read_limit(written: WrittenValue | None, facts: Facts) -> timedelta | None:
    """Return the ``timeout`` of a stage or group; ``None`` without one.

    Raises:
        SettingsError: it is not a duration.
    """
    if written is None:
        return None
    raw = evaluate_raw("timeout", written, facts)
    if raw == "":
        return None
    try:
        return duration_of(raw if isinstance(raw, str) else "")
    except ValueError as error:
        message, hint = f"timeout: {error}", "write it as 10m, 1h 30m or 45s"
        raise SourceError(message, where=written.origin.where, setting="timeout", hint=hint) from None
