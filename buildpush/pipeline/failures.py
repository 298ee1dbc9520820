"""What follows a failed step: its error types, the strategy that names one, and the action of that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from typing import Final, TypeAlias, get_args

from buildpush.advice.table import advice_named
from buildpush.expressions.evaluate import NoInputError
from buildpush.expressions.facts import Facts
from buildpush.foundation.errors import (
    AuthenticationError,
    BuildPushError,
    CancelledError,
    EngineMissingError,
    RegistryError,
    SettingsError,
    SourceError,
    TimeOutError,
    UnreachableError,
)
from buildpush.http.retry import RULES
from buildpush.settings.evaluate import evaluate_raw, evaluate_structure
from buildpush.settings.failures import (
    ACTIONS,
    NEWER,
    ErrorType,
    FailureAction,
    FailureStrategy,
    Verdict,
    read_strategies,
)
from buildpush.settings.tree import Step
from buildpush.settings.written import WrittenValue

AskPerson: TypeAlias = Callable[[str, Sequence[str], timedelta], str | None]

# What a person may answer, and what it means.
ANSWERS: Final[Mapping[str, Verdict]] = {row.answer: row.verdict for row in ACTIONS.values() if row.answer}
_ABOUT_FAILURES: Final = ("condition",)  # keys of what is evaluated when a step has failed
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_SERVER: Final = 500  # this and all above are errors of the server
_BY_CLASS: Final[tuple[tuple[type[Exception], frozenset[ErrorType]], ...]] = (
    (AuthenticationError, frozenset({"Authentication"})),
    (TimeOutError, frozenset({"Timeout"})),
    (UnreachableError, frozenset({"Connectivity", "RetryableTransientFailure"})),
    (NoInputError, frozenset({"InputTimeoutError", "ConfigurationFailure"})),
    (EngineMissingError, frozenset({"InfrastructureFailure", "ConfigurationFailure"})),
    (SettingsError, frozenset({"ConfigurationFailure"})),
)


def error_types(error: BaseException) -> frozenset[ErrorType]:
    """Return the types of *error* and of its cause; none for an interrupt, which no strategy handles."""
    for one in _causes(error):
        if isinstance(one, CancelledError):
            return frozenset()
        if isinstance(one, RegistryError) and (by_status := _by_status(one.status)):
            return by_status
        for kind, types in _BY_CLASS:
            if isinstance(one, kind):
                return types
    return _by_advice(error)


def _by_advice(error: BaseException) -> frozenset[ErrorType]:
    """Return the type that troubleshooting has for the message of *error*, such as that of a full disk."""
    names = (one.advice for one in _causes(error) if isinstance(one, BuildPushError) and one.advice)
    rows = (advice_named(name) for name in names)
    types = {kind for row in rows if row for kind in get_args(ErrorType) if kind == row.type}
    return frozenset(types or {"Unknown"})


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _by_status(status: int) -> frozenset[ErrorType]:
    if status in {_UNAUTHORIZED, _FORBIDDEN}:
        return frozenset({"Authentication" if status == _UNAUTHORIZED else "Authorization"})
    if status in RULES or status >= _SERVER:
        return frozenset({"Connectivity", "RetryableTransientFailure"})
    return frozenset()


def strategies(written: WrittenValue | None, facts: Facts) -> tuple[FailureStrategy, ...]:
    """Return the failure strategies in *written*, with expressions evaluated by *facts*.

    Raises:
        SettingsError: it is not a list of strategies, or holds an expression that cannot be evaluated.
    """
    if written is None:
        return ()
    newer = written.value.get(NEWER) if isinstance(written.value, dict) else None
    if isinstance(newer, str):
        whole = evaluate_structure(f"failureStrategies.{NEWER}", replace(written, value=newer), facts)
        whole = replace(whole, value={NEWER: whole.value})
    else:
        whole = evaluate_structure("failureStrategies", written, facts)
    return read_strategies(evaluate_raw("failureStrategies", whole, facts, raw_keys=_ABOUT_FAILURES), whole.origin)


def check_in_group(lists: Iterable[Sequence[FailureStrategy]], step: Step) -> None:
    """Refuse strategies that would run the group of *step* again, which is in no group.

    Raises:
        SourceError: there is one in *lists*.
    """
    for entry in chain.from_iterable(lists):
        action: FailureAction | None = entry.action
        while action:
            if action.type == "RetryStepGroup":
                message = (
                    f"RetryStepGroup runs a step group again, but the step {step.name or step.identifier!r} is in none"
                )
                hint = "write Retry, or put the step into a stepGroup"
                raise SourceError(message, where=action.where, setting="failure_strategies", hint=hint)
            action = action.then


def exit_code(error: BaseException) -> int:
    """Return the exit code of *error*, which is the value of ``<+step.exitCode>``."""
    return error.exit_code if isinstance(error, BuildPushError) else 1
