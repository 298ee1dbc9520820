"""``failureStrategies``: the action that follows a failure.

Source: Harness, "Define a failure strategy for pipelines": error types, actions and their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Literal, NoReturn, TypeAlias, get_args

from buildpush.foundation.documents import Raw
from buildpush.foundation.errors import SourceError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.settings.kinds import duration_of
from buildpush.settings.words import nearest, reject
from buildpush.settings.written import Origin

ErrorType: TypeAlias = Literal[
    "Unknown",
    "AllErrors",
    "Authentication",
    "Authorization",
    "Connectivity",
    "Timeout",
    "Verification",
    "DelegateProvisioning",
    "DelegateRestart",
    "PolicyEvaluationFailure",
    "InputTimeoutError",
    "ApprovalRejection",
    "UserMarkedFailure",
    "InfrastructureFailure",
    "PluginImageFailure",
    "ResourceLimitsFailure",
    "ConfigurationFailure",
    "RetryableTransientFailure",
]
ActionType: TypeAlias = Literal[
    "Ignore",
    "MarkAsSuccess",
    "MarkAsFailure",
    "Abort",
    "Retry",
    "ManualIntervention",
    "StageRollback",
    "StepGroupRollback",
    "PipelineRollback",
    "ProceedWithDefaultValues",
    "RetryStepGroup",
]

DAY: Final = timedelta(days=1)
_ERRORS: Final[tuple[ErrorType, ...]] = get_args(ErrorType)
_ACTIONS: Final[tuple[ActionType, ...]] = get_args(ActionType)
_NUMBER: Final = regex(r"[0-9]{1,4}\Z")
_SPECS: Final = {
    "Retry": ("retryCount", "retryIntervals", "onRetryFailure", "condition"),
    "RetryStepGroup": ("retryCount", "retryIntervals"),
    "ManualIntervention": ("timeout", "onTimeout"),
}


@dataclass(frozen=True, slots=True)
class FailureAction:
    """What is done after a failure.

    Attributes:
        type: Harness' name of it.
        retries: how often the step, or its group, is run again.
        intervals: how long to wait before each time; the last one counts for all further ones.
        condition: an expression under which it is run again.
        timeout: how long a person has for an answer.
        then: what is done when the retries are used up, or there was no answer.
        where: its place.
    """

    type: ActionType
    retries: int = 0
    intervals: tuple[timedelta, ...] = ()
    condition: str = ""
    timeout: timedelta = DAY
    then: FailureAction | None = None
    where: str = ""

    def wait(self, attempt: int) -> timedelta:
        """Return how long to wait before the step is run for the *attempt*-th time again; it counts from 1."""
        return self.intervals[min(attempt, len(self.intervals)) - 1] if self.intervals else timedelta()


@dataclass(frozen=True, slots=True)
class FailureStrategy:
    """One entry of the list: its errors, and the action that follows them."""

    errors: frozenset[ErrorType]
    action: FailureAction


def choose(lists: Sequence[Sequence[FailureStrategy]], types: frozenset[ErrorType]) -> FailureAction | None:
    """Return what is done about an error of *types*: the first entry that names one, the nearest list first."""
    wanted = types | {"AllErrors"}
    return next((entry.action for entries in lists for entry in entries if entry.errors & wanted), None)


def read_strategies(raw: Raw, origin: Origin) -> tuple[FailureStrategy, ...]:
    """Return the strategies in ``failureStrategies``, with expressions evaluated except in conditions.

    Raises:
        SourceError: an unknown key, error type or action, or a wrong value.
    """
    return _StrategyReader(origin).strategies(raw)


class _StrategyReader:
    def __init__(self, origin: Origin) -> None:
        self.origin = origin

    def strategies(self, raw: Raw) -> tuple[FailureStrategy, ...]:
        if not raw:
            return ()
        if not isinstance(raw, list):
            self.fail("failureStrategies is a list", "begin each entry with - onFailure:")
        return tuple(self.strategy(entry, place) for place, entry in enumerate(raw))

    def strategy(self, raw: Raw, place: int) -> FailureStrategy:
        inner = self.map(
            self.map(raw, ("onFailure",), place).get("onFailure"), ("errors", "action"), place, "onFailure"
        )
        errors = inner.get("errors")
        if not isinstance(errors, list) or not errors:
            self.fail("errors is a list of error types", "write errors: [AllErrors]", place, "onFailure", "errors")
        types = frozenset(
            self.error(error, place, "onFailure", "errors", position) for position, error in enumerate(errors)
        )
        return FailureStrategy(types, self.action(inner.get("action"), place, "onFailure", "action"))

    def error(self, raw: Raw, *path: str | int) -> ErrorType:
        found = next((known for known in _ERRORS if raw == known), None)
        if found is None:
            self.unknown("error type", raw, _ERRORS, *path)
        return found

    def action(self, raw: Raw | None, *path: str | int, nested: bool = False) -> FailureAction:
        entries = self.map(raw, ("type", "spec"), *path)
        kind = next((known for known in _ACTIONS if entries.get("type") == known), None)
        if kind is None:
            self.unknown("action", entries.get("type") or "", _ACTIONS, *path, "type")
        where = self.origin.at(*path, "type")
        if nested and kind == "Retry":
            self.fail("a retry cannot follow a retry", "write Ignore, MarkAsSuccess, MarkAsFailure or Abort", *path)
        spec = self.map(entries.get("spec") or {}, _SPECS.get(kind, ()), *path, "spec")
        inside = (*path, "spec")
        if kind in {"Retry", "RetryStepGroup"}:
            return FailureAction(
                kind,
                retries=self.number(spec.get("retryCount"), *inside, "retryCount"),
                intervals=self.intervals(spec.get("retryIntervals"), *inside, "retryIntervals"),
                condition=str(spec.get("condition") or ""),
                then=self.follower(spec, "onRetryFailure", *inside),
                where=where,
            )
        if kind == "ManualIntervention":
            timeout = spec.get("timeout")
            if timeout is None and not nested:
                self.fail("ManualIntervention does not have a timeout", "write timeout: 1h below its spec", *path)
            limit = DAY if timeout is None else self.duration(timeout, *inside, "timeout")
            return FailureAction(kind, timeout=limit, then=self.follower(spec, "onTimeout", *inside), where=where)
        return FailureAction(kind, where=where)

    def follower(self, spec: dict[str, Raw], key: str, *path: str | int) -> FailureAction | None:
        if not spec.get(key):
            return None
        inner = self.map(spec[key], ("action",), *path, key)
        return self.action(inner.get("action"), *path, key, "action", nested=True)

    # ---- values

    def map(self, raw: Raw | None, keys: Sequence[str], *path: str | int) -> dict[str, Raw]:
        if not isinstance(raw, dict):
            name = next((str(part) for part in reversed(path) if isinstance(part, str)), "an entry of the list")
            self.fail(f"{name} is a map of {', '.join(keys) or 'keys'}", "look at the indentation", *path)
        for key in raw:
            if key not in keys:
                reject("key", key, keys, self.origin.at(*path, key))
        return raw

    def number(self, raw: Raw | None, *path: str | int) -> int:
        if not isinstance(raw, str) or not _NUMBER.match(raw):
            is_too_large = isinstance(raw, str) and raw.isdecimal()
            takes = "9999 is the most" if is_too_large else "takes a whole number"
            self.fail(f"{path[-1]} is {raw or 'missing'!r}, and {takes}", "such as 3", *path)
        return int(raw)

    def intervals(self, raw: Raw | None, *path: str | int) -> tuple[timedelta, ...]:
        if raw is None or raw == "":
            return ()
        if not isinstance(raw, list):
            self.fail(f"{path[-1]} takes a list", "write [10s, 1m]", *path)
        return tuple(self.duration(one, *path, place) for place, one in enumerate(raw))

    def duration(self, raw: Raw, *path: str | int) -> timedelta:
        try:
            return duration_of(raw if isinstance(raw, str) else "")
        except ValueError as error:
            self.fail(str(error), "write it as 10s, 10m or 1h 30m", *path)

    def unknown(self, what: str, raw: Raw, words: Sequence[str], *path: str | int) -> NoReturn:
        near = nearest(str(raw), words)
        hint = f"did you mean {near!r}?" if near else f"known are {', '.join(words)}"
        self.fail(f"{raw!r} is not the name of an {what}", hint, *path)

    def fail(self, message: str, hint: str, *path: str | int) -> NoReturn:
        raise SourceError(message, where=self.origin.at(*path), setting="failure_strategies", hint=hint)
