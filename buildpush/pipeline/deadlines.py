"""The deadlines of stages and groups, and the time that they leave a step."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from buildpush.expressions.facts import Facts
from buildpush.foundation.errors import SourceError, TimeOutError
from buildpush.foundation.limits import duration_text, time_limit
from buildpush.foundation.records import dataclass
from buildpush.settings.evaluate import evaluate_raw
from buildpush.settings.kinds import duration_of
from buildpush.settings.tree import Pipeline, Stage, Step, StepGroup
from buildpush.settings.written import WrittenValue, written_at

if TYPE_CHECKING:
    from buildpush.pipeline.context import RunContext

# Of what has no timeout, on build infrastructure of Kubernetes.
# Source: Harness, "Continuous Integration (CI) FAQs", on the default timeout.
DEFAULT_OF_STEP: Final = timedelta(hours=10)
DEFAULT_OF_STAGE: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment at which the time of a stage or group is over.

    Attributes:
        end: by the clock of the walk, in seconds.
        limit: the whole time.
        about: what it is for, such as ``the stage 'build'``.
        is_default: whether it is that of a stage without a ``timeout``.
    """

    end: float
    limit: timedelta
    about: str
    is_default: bool = False

    @property
    def words(self) -> str:
        """The whole time in words."""
        return _default("stage", self.limit) if self.is_default else f"its timeout of {duration_text(self.limit)}"

    def error(self) -> TimeOutError:
        """Return the error of a step that it has ended."""
        message = f"{self.about} took longer than {self.words}"
        return TimeOutError(message, hint="give it a longer 'timeout'; what was confirmed is not sent again")


def nearest(deadlines: Sequence[Deadline]) -> Deadline | None:
    """Return the one that ends first."""
    return min(deadlines, key=lambda one: one.end, default=None)


def shorter(own: timedelta | None, deadline: Deadline | None, now: float) -> timedelta | None:
    """Return the time that a step has: its own, or what is left until *deadline*; ``None`` for any."""
    if deadline is None:
        return own
    left = timedelta(seconds=max(deadline.end - now, 0.001))
    return left if own is None else min(own, left)


def limited(
    step: Step, own: timedelta | None, deadline: Deadline | None, context: RunContext
) -> AbstractContextManager[None]:
    """Return a context that ends *step* after its *own* time, or at *deadline* if that comes first.

    A step of a file that does not have a ``timeout`` has the time that Harness gives it.
    """
    words = ""
    if own is None and step.node:
        own, words = DEFAULT_OF_STEP, _default("step", DEFAULT_OF_STEP)
    limit = shorter(own, deadline, time.monotonic())
    if deadline is None or limit == own:
        return time_limit(limit, words=words, watch=context.watch)
    return time_limit(limit, what=deadline.about, words=deadline.words, watch=context.watch)


def _default(kind: str, limit: timedelta) -> str:
    return f"{duration_text(limit)}, the limit of a {kind} without a 'timeout'"


def deadline_of(element: Pipeline | Stage | StepGroup, about: str, facts: Facts, now: float) -> Deadline | None:
    """Return the deadline of *element*, which begins *now*; of those without a ``timeout``, only a stage has one.

    Raises:
        SettingsError: its ``timeout`` is not a duration.
    """
    limit = read_limit(written_at(element.header.node, "timeout"), facts)
    is_default = limit is None and isinstance(element, Stage)
    limit = DEFAULT_OF_STAGE if is_default else limit
    return Deadline(now + limit.total_seconds(), limit, about, is_default) if limit else None


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
