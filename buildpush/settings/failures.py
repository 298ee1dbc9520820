"""``failureStrategies``, and ``on-failure`` of the newer form: the action that follows a failure.

Sources: Harness, "Define a failure strategy for pipelines": error types, actions and their order; Harness 3.0,
"On failure"; drone/go-convert, convert/v0tov1: which name of the newer form is which of the older one; Harness, "Fail
fast pipeline": ``failAll``; bradrydzewski/spec, ``schema/failure.ts``: ``exitcode``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import timedelta
from typing import Final, Literal, NoReturn, TypeAlias, get_args

from buildpush.foundation.documents import Raw, Trail, structure_of
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
Verdict: TypeAlias = Literal["failed", "ignored", "succeeded", "aborted", "again", "group again"]


@dataclass(frozen=True, slots=True)
class ActionRow:
    """One failure action, and what it does.

    Attributes:
        newer: its name in the newer form; empty if that does not have it.
        verdict: what becomes of the step.
        answer: the word by which a person chooses it; empty if that is not possible.
    """

    newer: str
    verdict: Verdict
    answer: str = ""

    @property
    def is_rollback(self) -> bool:
        """Whether it asks for rollback steps."""
        return self.answer == "rollback"


# A rollback has nothing to roll back here, and fails the stage.
ACTIONS: Final[Mapping[ActionType, ActionRow]] = {
    "Retry": ActionRow("retry", "again", "retry"),
    "Ignore": ActionRow("ignore", "ignored", "ignore"),
    "MarkAsSuccess": ActionRow("success", "succeeded", "success"),
    "MarkAsFailure": ActionRow("fail", "failed", "fail"),
    "Abort": ActionRow("abort", "aborted", "abort"),
    "ManualIntervention": ActionRow("manual-intervention", "failed"),
    "StageRollback": ActionRow("stage-rollback", "failed", "rollback"),
    "StepGroupRollback": ActionRow("", "failed", "rollback"),
    "PipelineRollback": ActionRow("pipeline-rollback", "failed", "rollback"),
    "ProceedWithDefaultValues": ActionRow("proceed-with-default", "failed"),
    "RetryStepGroup": ActionRow("retry-step-group", "group again"),
}
DAY: Final = timedelta(days=1)
_ERRORS: Final[tuple[ErrorType, ...]] = get_args(ErrorType)
_ENDS: Final = frozenset({"Ignore", "MarkAsSuccess", "MarkAsFailure", "Abort"})
_GO_ON: Final = frozenset({"Ignore", "MarkAsSuccess"})
_NUMBER: Final = regex(r"[0-9]{1,4}\Z")
_EXIT_CODE: Final = regex(r"[0-9]{1,3}\Z")
_EXIT_CODES: Final = ("exitcode", "exit-code")  # of the newer form
_EXIT_CODES_END: Final = 256
NEWER: Final = "on-failure"  # the key of strategies that are written in the newer form


@dataclass(frozen=True, slots=True)
class _Spelling:
    """The keys and names of strategies in one of the two forms of files.

    Attributes:
        errors: types by their names, as are *actions*.
        count: the key of the number of retries; *intervals* is that of the pauses.
        then: the key of the action after the last retry.
        after: the key of the action if no person answers.
        answers: the key of the actions that a person may choose from.
        fail_all: the key that says whether a failure ends more than its own step.
    """

    errors: Mapping[str, ErrorType] = field(default_factory=lambda: {name: name for name in _ERRORS})
    actions: Mapping[str, ActionType] = field(default_factory=lambda: {name: name for name in ACTIONS})
    count: str = "retryCount"
    intervals: str = "retryIntervals"
    then: str = "onRetryFailure"
    after: str = "onTimeout"
    answers: str = "availableActions"
    fail_all: str = "failAll"

    def keys(self, kind: ActionType) -> tuple[str, ...]:
        """Return the keys that the spec of an action of *kind* takes."""
        condition = ("condition",) if self is _OLDER else ()
        own = {
            "Retry": (self.count, self.intervals, self.then, *condition),
            "RetryStepGroup": (self.count, self.intervals),
            "ManualIntervention": ("timeout", self.after, self.answers),
        }.get(kind, ())
        return own if self is _NEWER or kind in _GO_ON else (*own, self.fail_all)


_OLDER: Final = _Spelling()
_NEWER: Final = _Spelling(
    errors={
        "all": "AllErrors",
        "unknown": "Unknown",
        "authentication": "Authentication",
        "authorization": "Authorization",
        "connectivity": "Connectivity",
        "timeout": "Timeout",
        "verification": "Verification",
        "delegate-provisioning": "DelegateProvisioning",
        "delegate-restart": "DelegateRestart",
        "policy-evaluation": "PolicyEvaluationFailure",
        "input-timeout": "InputTimeoutError",
        "approval-rejection": "ApprovalRejection",
        "user-mark-fail": "UserMarkedFailure",
    },
    actions={row.newer: name for name, row in ACTIONS.items() if row.newer},
    count="attempts",
    intervals="interval",
    then="failure-action",
    after="timeout-action",
    answers="available-actions",
    fail_all="fail-all",
)


@dataclass(frozen=True, slots=True)
class FailureAction:
    """What is done after a failure.

    Attributes:
        type: Harness' name of it.
        retries: how often the step, or its group, is run again.
        intervals: how long to wait before each time; the last one counts for all further ones.
        condition: an expression under which it is run again.
        timeout: how long a person has for an answer.
        answers: what a person may choose; everything if there are none.
        then: what is done when the retries are used up, or there was no answer.
        where: its place.
        fail_all: whether a failure that remains one also ends parallel steps that have not begun.
    """

    type: ActionType
    retries: int = 0
    intervals: tuple[timedelta, ...] = ()
    condition: str = ""
    timeout: timedelta = DAY
    answers: tuple[ActionType, ...] = ()
    then: FailureAction | None = None
    where: str = ""
    fail_all: bool = False

    def wait(self, attempt: int) -> timedelta:
        """Return how long to wait before retry number *attempt*, counted from 1."""
        return self.intervals[min(attempt, len(self.intervals)) - 1] if self.intervals else timedelta()


@dataclass(frozen=True, slots=True)
class FailureStrategy:
    """One entry of the list: its errors, and the action that follows them.

    Attributes:
        exit_codes: the exit codes that it applies to; without any, it applies to all.
    """

    errors: frozenset[ErrorType]
    action: FailureAction
    exit_codes: frozenset[int] = frozenset()

    def is_for(self, types: frozenset[ErrorType], code: int) -> bool:
        """Return whether it names one of *types*, and the exit code *code* if it names any."""
        return bool(self.errors & types) and (not self.exit_codes or code in self.exit_codes)


def choose(
    lists: Sequence[Sequence[FailureStrategy]], types: frozenset[ErrorType], code: int = 1
) -> FailureAction | None:
    """Return what is done about an error of *types*: the first entry that names one, the nearest list first."""
    return choose_named(lists, types | {"AllErrors"}, code)


def choose_named(
    lists: Sequence[Sequence[FailureStrategy]], types: frozenset[ErrorType], code: int = 1
) -> FailureAction | None:
    """Return the action of the first entry that names one of *types* itself, the nearest list first."""
    return next((entry.action for entries in lists for entry in entries if entry.is_for(types, code)), None)


def read_strategies(raw: Raw, origin: Origin) -> tuple[FailureStrategy, ...]:
    """Return the strategies in ``failureStrategies``, with expressions evaluated except in conditions.

    The value of the key :data:`NEWER` is in the newer form.

    Raises:
        SourceError: an unknown key, error type or action, or a wrong value.
    """
    if isinstance(raw, dict) and raw.keys() == {NEWER}:
        return _StrategyReader(origin, _NEWER).newer_strategies(raw[NEWER])
    return _StrategyReader(origin, _OLDER).strategies(raw)


class _StrategyReader:
    def __init__(self, origin: Origin, words: _Spelling) -> None:
        self.origin = origin
        self.words = words

    # ---- the older form

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
        types = self.errors(inner.get("errors"), place, "onFailure", "errors")
        return FailureStrategy(types, self.action(inner.get("action"), place, "onFailure", "action"))

    def action(self, raw: Raw | None, *path: str | int, nested: bool = False) -> FailureAction:
        entries = self.map(raw, ("type", "spec"), *path)
        kind = self.kind(entries.get("type") or "", *path, "type")
        return self.action_of(kind, entries.get("spec"), (*path, "type"), (*path, "spec"), nested=nested)

    # ---- the newer form

    def newer_strategies(self, raw: Raw) -> tuple[FailureStrategy, ...]:
        entries = raw if isinstance(raw, list) else [raw] if raw else []
        paths = [(NEWER, place) if isinstance(raw, list) else (NEWER,) for place, _ in enumerate(entries)]
        return tuple(self.newer_strategy(entry, *path) for entry, path in zip(entries, paths, strict=True))

    def newer_strategy(self, raw: Raw, *path: str | int) -> FailureStrategy:
        inner = self.map(raw, ("errors", "action", *_EXIT_CODES), *path)
        given = inner.get("errors")
        errors = self.items("all" if given is None or given == "" else given, *path, "errors")
        types = self.errors([errors] if isinstance(errors, str) else errors, *path, "errors")
        action = self.newer_action(inner.get("action") or "", *path, "action")
        return FailureStrategy(types, action, self.exit_codes(inner, *path))

    def exit_codes(self, entry: dict[str, Raw], *path: str | int) -> frozenset[int]:
        written = [key for key in _EXIT_CODES if entry.get(key)]
        if len(written) > 1:
            self.fail(f"{' and '.join(written)} mean the same", "keep one of them", *path, written[1])
        given = self.items(entry[written[0]], *path, written[0]) if written else []
        codes = given if isinstance(given, list) else [given]
        for code in codes:
            if not isinstance(code, str) or not _EXIT_CODE.match(code) or not 0 < int(code) < _EXIT_CODES_END:
                hint = "write exit codes of a failed step, such as [3, 124]"
                self.fail(f"{written[0]} has {code!r}, which is not an exit code", hint, *path, written[0])
        return frozenset(int(str(code)) for code in codes)

    def newer_action(self, raw: Raw, *path: str | int, nested: bool = False) -> FailureAction:
        """Read an action that is its name alone, its name with a spec below it, or ``type`` and ``spec``."""
        if isinstance(raw, str):
            return self.action_of(self.kind(raw, *path), None, path, path, nested=nested)
        entries = self.map(raw, (*self.words.actions, "type", "spec", self.words.fail_all), *path)
        action = self.long_action(entries, *path, nested=nested)
        fails_all = self.fails_all(entries, *path)
        if fails_all and action.type in _GO_ON:
            message = f"fail-all has no effect: after {self.name(action.type)} the run continues"
            self.fail(message, "leave it out, or write fail", *path, self.words.fail_all)
        return replace(action, fail_all=fails_all)

    def long_action(self, entries: dict[str, Raw], *path: str | int, nested: bool) -> FailureAction:
        names = [name for name in entries if name in self.words.actions]
        if beside := names if "type" in entries else [name for name in ("spec",) if name in entries]:
            self.fail(f"{beside[0]} has no effect here", "write type and spec, or the action's name", *path, beside[0])
        if "type" in entries:
            kind = self.kind(entries["type"], *path, "type")
            return self.action_of(kind, entries.get("spec"), (*path, "type"), (*path, "spec"), nested=nested)
        if len(names) != 1:
            self.fail(f"action is one action, and this has {' and '.join(names) or 'none'}", "keep one", *path)
        where = (*path, names[0])
        return self.action_of(self.words.actions[names[0]], entries[names[0]], where, where, nested=nested)

    # ---- both

    def errors(self, raw: Raw | None, *path: str | int) -> frozenset[ErrorType]:
        known, raw = self.words.errors, self.items(raw, *path)
        if not isinstance(raw, list) or not raw:
            every = next(name for name, kind in known.items() if kind == "AllErrors")
            self.fail("errors is a list of error types", f"write errors: [{every}]", *path)
        for place, name in enumerate(raw):
            if not isinstance(name, str) or name not in known:
                self.unknown("error type", name, tuple(known), *path, place)
        return frozenset(known[str(name)] for name in raw)

    def kind(self, raw: Raw, *path: str | int) -> ActionType:
        if not isinstance(raw, str) or raw not in self.words.actions:
            self.unknown("action", raw, tuple(self.words.actions), *path)
        return self.words.actions[str(raw)]

    def action_of(
        self, kind: ActionType, raw: Raw | None, place: Trail, inside: Trail, *, nested: bool
    ) -> FailureAction:
        """Return the action of *kind*, which is written at *place*, with the spec *raw*, which is at *inside*."""
        where, words = self.origin.at(*place), self.words
        if nested and kind == "Retry":
            names = ", ".join(name for name, one in words.actions.items() if one in _ENDS)
            self.fail("a retry cannot follow a retry", f"write one of {names}", *place)
        keys = words.keys(kind)
        spec = self.map(raw if raw and raw != "true" else {}, keys, *inside)
        fails_all = self.fails_all(spec, *inside)
        if kind in {"Retry", "RetryStepGroup"}:
            return FailureAction(
                kind,
                retries=self.number(spec.get(words.count), *inside, words.count),
                intervals=self.intervals(spec.get(words.intervals), *inside, words.intervals),
                condition=str(spec.get("condition") or ""),
                then=self.follower(spec, words.then, *inside),
                where=where,
                fail_all=fails_all,
            )
        if kind == "ManualIntervention":
            timeout = spec.get("timeout")
            if timeout is None and not nested:
                self.fail(f"{self.name(kind)} does not have a timeout", "write timeout: 1h below it", *place)
            limit = DAY if timeout is None else self.duration(timeout, *inside, "timeout")
            answers = self.answers(spec.get(words.answers), *inside, words.answers)
            then = self.follower(spec, words.after, *inside)
            return FailureAction(kind, timeout=limit, answers=answers, then=then, where=where, fail_all=fails_all)
        return FailureAction(kind, where=where, fail_all=fails_all)

    def fails_all(self, entries: dict[str, Raw], *path: str | int) -> bool:
        key = self.words.fail_all
        word = str(entries.get(key) or "false").lower()
        if word not in {"true", "false"}:
            self.fail(f"{key} is {word!r}", "write true or false", *path, key)
        return word == "true"

    def answers(self, raw: Raw | None, *path: str | int) -> tuple[ActionType, ...]:
        raw = self.items(raw or [], *path)
        if not isinstance(raw, list):
            self.fail(f"{path[-1]} takes a list", "name actions", *path)
        names = [next(iter(one), "") if isinstance(one, dict) else one for one in raw]  # {retry: {}} is as retry
        return tuple(self.kind(name, *path, place) for place, name in enumerate(names))

    def follower(self, spec: dict[str, Raw], key: str, *path: str | int) -> FailureAction | None:
        if not spec.get(key):
            return None
        if self.words is _NEWER:
            return self.newer_action(spec[key], *path, key, nested=True)
        inner = self.map(spec[key], ("action",), *path, key)
        return self.action(inner.get("action"), *path, key, "action", nested=True)

    def name(self, kind: ActionType) -> str:
        return next(name for name, one in self.words.actions.items() if one == kind)

    # ---- values

    def map(self, raw: Raw | None, keys: Sequence[str], *path: str | int) -> dict[str, Raw]:
        if not isinstance(raw, dict):
            name = next((str(part) for part in reversed(path) if isinstance(part, str)), "an entry of the list")
            self.fail(f"{name} is a map of {', '.join(keys) or 'keys'}", "look at the indentation", *path)
        for key in raw:
            if key not in keys:
                reject("key", key, keys, self.origin.at(*path, key))
        return raw

    def items(self, raw: Raw | None, *path: str | int) -> Raw | None:
        """Return *raw*; a list that an expression gives may be JSON or YAML."""
        try:
            return raw if raw is None else structure_of(raw, str(path[-1]))
        except SourceError as error:
            self.fail(f"{path[-1]} is not a list: {error}", "write it as JSON", *path)

    def number(self, raw: Raw | None, *path: str | int) -> int:
        if not isinstance(raw, str) or not _NUMBER.match(raw):
            is_too_large = isinstance(raw, str) and raw.isdecimal()
            takes = "9999 is the maximum" if is_too_large else "takes a whole number"
            self.fail(
                f"{path[-1]} is {repr(raw) if raw else 'missing'}, and {takes}", "write a number such as 3", *path
            )
        return int(raw)

    def intervals(self, raw: Raw | None, *path: str | int) -> tuple[timedelta, ...]:
        if raw is None or raw == "":
            return ()
        raw = self.items(raw, *path)
        if isinstance(raw, str) and self.words is _NEWER:
            return (self.duration(raw, *path),)
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
        hint = f"did you mean {near!r}?" if near else f"write one of {', '.join(words)}"
        self.fail(f"{raw!r} is not the name of an {what}", hint, *path)

    def fail(self, message: str, hint: str, *path: str | int) -> NoReturn:
        raise SourceError(message, where=self.origin.at(*path), setting="failure_strategies", hint=hint)
