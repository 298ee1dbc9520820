"""Whether something is run: what has failed before it, and its own condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Final

from buildpush.expressions.evaluate import evaluate
from buildpush.expressions.facts import Facts
from buildpush.foundation.errors import ExpressionError, SecretError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.pipeline.deadlines import Deadline
from buildpush.pipeline.outcomes import Failure
from buildpush.settings.conditions import Condition
from buildpush.settings.failures import FailureStrategy

_COLUMN: Final = regex(r" \(column \d+\)\Z")
_NOUNS: Final = {"stageStatus": ("step", "stage"), "pipelineStatus": ("stage", "pipeline")}


@dataclass(frozen=True, slots=True)
class StatusSoFar:
    """What has happened before a step.

    Attributes:
        stage_failed: whether a step of the same stage has failed.
        pipeline_failed: whether anything has failed.
        reason: why nothing more is run; empty as long as something may be.
        strategies: failure strategies of everything around the step, the nearest first.
        deadlines: of everything around the step that has a time-out.
        runs: how many times the loops around it run it in all.
        place: identifiers of the stage and the groups that it is in.
        open: in a plan, conditions around it that only the run decides.
        passes: how often each group around it has been run before, the nearest last.
        before: failed attempts of steps when the groups around them were run before.
        branches: the branches that it is in: what each belongs to, and its number there.
    """

    stage_failed: bool = False
    pipeline_failed: bool = False
    reason: str = ""
    strategies: tuple[tuple[FailureStrategy, ...], ...] = ()
    deadlines: tuple[Deadline, ...] = ()
    runs: int = 1
    place: tuple[str, ...] = ("",)
    open: tuple[str, ...] = ()
    branches: tuple[tuple[object, int], ...] = ()
    passes: tuple[int, ...] = ()
    before: Mapping[tuple[str, ...], tuple[Failure, ...]] = field(default_factory=dict)

    def may_overlap(self, other: StatusSoFar) -> bool:
        """Return whether a step that is here may run at the same time as one that is at *other*."""
        pairs = zip(self.branches, other.branches, strict=False)
        mine, its = next(((mine, its) for mine, its in pairs if mine != its), ((None, 0), (None, 0)))
        return mine[0] is its[0] is not None


def reason_to_skip(condition: Condition, progress: StatusSoFar, facts: Facts) -> str:
    """Return why something is not run, for people; the empty text if it is.

    Args:
        condition: its own.
        progress: what has happened before it.
        facts: give values to the expressions in the condition.

    Raises:
        LaterError: in a plan, its value is known only after a step has run.
        ExpressionError: the condition cannot be evaluated; that never counts as true, nor as false.
    """
    return progress.reason or _by_status(condition, progress) or _by_expression(condition, facts)


def _by_status(condition: Condition, progress: StatusSoFar) -> str:
    failed = progress.stage_failed if condition.key == "stageStatus" else progress.pipeline_failed
    one, whole = _NOUNS[condition.key]
    if condition.status == "Success" and failed:
        return f"a {one} before it has failed"
    if condition.status == "Failure" and not failed:
        return f"its {condition.key} is Failure, and no {one} of the {whole} has failed before it"
    return ""


def _by_expression(condition: Condition, facts: Facts) -> str:
    if condition.text == "true":
        return ""
    if is_true(condition.text, facts, condition.where):
        return ""
    answer = evaluate(condition.text, facts, field="condition")
    value = f" ({answer})" if isinstance(answer, str) and answer not in {condition.text, "false"} else ""
    return f"its condition is false: {' '.join(condition.text.split())}{value}"


def is_true(text: str, facts: Facts, where: str) -> bool:
    """Return whether a condition holds.

    Args:
        text: the whole text is an expression, even if only names in it are between <+ and >.
        facts: give values to its names.
        where: its place.

    Raises:
        ExpressionError: it is neither true nor false.
    """
    try:
        return evaluate(f"<+({text}) ? true : false>", facts, field="condition") is True
    except (ExpressionError, SecretError) as error:
        message = f"condition: {_COLUMN.sub('', str(error.args[0]))}"
        raise type(error)(message, where=where, setting="when", hint=error.hint) from None
