"""The outcome of a step, and its outputs for later steps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from buildpush.foundation.errors import TimeOutError
from buildpush.foundation.records import dataclass
from buildpush.pipeline.results import RunResult, time_text
from buildpush.settings.failures import ErrorType, Verdict
from buildpush.settings.tree import Step


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt of a step.

    Attributes:
        error: what it failed with.
        types: of the error, as failure strategies name them.
        verdict: what followed.
        reason: the strategy that decided it; empty without one.
        began: when the attempt began.
        ended: when it failed.
        exit_code: of the error.
    """

    error: str
    types: tuple[ErrorType, ...]
    verdict: Verdict
    reason: str = ""
    began: datetime | None = None
    ended: datetime | None = None
    exit_code: int = 1

    def as_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON types."""
        times = {"began": time_text(self.began), "ended": time_text(self.ended)}
        facts = {"types": list(self.types), "verdict": self.verdict, "reason": self.reason or None}
        return {**times, "error": self.error, "exit": self.exit_code, **facts}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one step.

    Attributes:
        status: ``ignored`` if it failed and a failure strategy lets the run go on; ``planned`` where nothing is run.
        result: its receipt; a step that failed after its push has one as well.
        error: why it failed.
        reason: why it was skipped, or what it failed with when that is ignored.
        aborts: whether nothing is run after it.
        fails_all: whether branches and iterations beside it that have not begun are skipped, as a strategy asks.
        failures: its failed attempts.
        began: when its first attempt began; ``None`` if nothing was tried.
        again: how long to wait until the group around it is run again; ``None`` if it is not.
        lacks: of a planned step, the outputs that its settings rule out.
    """

    step: Step
    status: Literal["succeeded", "failed", "ignored", "skipped", "planned"]
    result: RunResult | None = None
    error: Exception | None = None
    reason: str = ""
    aborts: bool = False
    fails_all: bool = False
    failures: tuple[Failure, ...] = ()
    began: datetime | None = None
    again: timedelta | None = None
    lacks: frozenset[str] = frozenset()

    @property
    def outputs(self) -> Mapping[str, str]:
        """The outputs for later steps, by name."""
        return self.result.outputs if self.result else {}

    @property
    def state(self) -> str:
        """The status in expressions, as Harness spells it."""
        if self.aborts:
            return "ABORTED"
        if self.status == "failed":
            return "EXPIRED" if isinstance(self.error, TimeOutError) else "FAILED"
        if self.status == "ignored":
            return "SUCCEEDED" if self.failures and self.failures[-1].verdict == "succeeded" else "IGNORE_FAILED"
        return self.status.upper()
