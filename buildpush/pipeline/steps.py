"""The walk over the tree of a file: one step after the other, as far as conditions and what has failed let it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

from buildpush.advice.table import advise
from buildpush.expressions.facts import Facts
from buildpush.foundation.errors import BuildPushError, SettingsError
from buildpush.foundation.events import Note, Sink, ignore
from buildpush.foundation.records import dataclass
from buildpush.pipeline.conditions import StatusSoFar, reason_to_skip
from buildpush.pipeline.deadlines import Deadline, read_limit
from buildpush.pipeline.failures import Verdict, strategies
from buildpush.pipeline.loops import iterate, loop_of
from buildpush.pipeline.results import RunResult
from buildpush.settings.conditions import Condition, StatusKey, read_condition
from buildpush.settings.failures import ErrorType
from buildpush.settings.loops import MOST
from buildpush.settings.tree import Element, Parallel, Pipeline, Stage, Step, StepGroup, leaves
from buildpush.settings.written import WrittenValue, written_at

_BEGUN: Final = StatusSoFar()


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt of a step.

    Attributes:
        error: what it failed with.
        types: of the error, as failure strategies name them.
        verdict: what followed.
        reason: which strategy asked for that; empty without one.
    """

    error: str
    types: tuple[ErrorType, ...]
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one step.

    Attributes:
        status: ``ignored`` if it failed and a failure strategy lets the run go on.
        result: its receipt; a step that failed after its push has one as well.
        error: why it failed.
        reason: why it was skipped, or what it failed with when that is ignored.
        aborts: whether nothing is run after it.
        failures: its failed attempts.
    """

    step: Step
    status: Literal["succeeded", "failed", "ignored", "skipped"]
    result: RunResult | None = None
    error: Exception | None = None
    reason: str = ""
    aborts: bool = False
    failures: tuple[Failure, ...] = ()

    @property
    def outputs(self) -> Mapping[str, str]:
        """What later steps may ask of it by name: the digest, and the first reference of the image."""
        if self.result is None or self.result.digest is None:
            return {}
        references = self.result.references
        return {"digest": self.result.digest} | ({"image": references[0]} if references else {})


class TooManyRunsError(SettingsError):
    """Loops inside one another make more runs than anyone means; it ends the walk."""


@dataclass(frozen=True, slots=True)
class Walk:
    """The walk over the tree of a file.

    Attributes:
        run: runs one step, and does about a failure what the strategies around it ask for.
        facts: of the run; they answer conditions.
        skip: hears of a step that is not run, and why.
        planned: whether nothing is done, so that what the outputs of steps will be is not known.
        clock: gives seconds, for time-outs.
    """

    run: Callable[[Step, StatusSoFar], Outcome]
    facts: Facts
    skip: Callable[[Step, str], object] = lambda _step, _reason: None
    planned: bool = False
    clock: Callable[[], float] = time.monotonic

    def over(self, elements: Iterable[Element], progress: StatusSoFar = _BEGUN) -> list[Outcome]:
        """Run the steps below *elements* that are run here, and return what became of each."""
        outcomes: list[Outcome] = []
        for element in elements:
            outcomes += self._element(element, _after(outcomes, progress))
        return outcomes

    def _element(self, element: Element, progress: StatusSoFar) -> list[Outcome]:
        if isinstance(element, Parallel):  # one that fails says nothing about those beside it
            return self._beside(element.children, progress)
        step = next((step for step, _ in leaves((element,)) if step.runs), None)
        if step is None:
            return []
        loop = loop_of(element)
        try:
            if loop is None or isinstance(element, Pipeline):
                return self._once(element, step, progress)
            return self._loop(element, loop, step, progress)
        except TooManyRunsError:
            raise
        except SettingsError as error:
            return [Outcome(step, "failed", error=error)]

    def _beside(self, elements: Iterable[Element], progress: StatusSoFar) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for element in elements:
            outcomes += self._element(element, _unless_aborted(outcomes, progress))
        return outcomes

    def _loop(
        self, element: Step | Stage | StepGroup, loop: WrittenValue, step: Step, progress: StatusSoFar
    ) -> list[Outcome]:
        """Run every iteration of *element*; as those in parallel, they begin whatever became of the others."""
        facts = self._facts(step)
        if reason := self._reason_for_all(element, loop, facts, progress):
            return self._once(element, step, replace(progress, reason=reason))
        found, outcomes = iterate(element, loop, facts), list[Outcome]()
        progress = replace(progress, runs=progress.runs * len(found.elements))
        if progress.runs > MOST:
            message = f"this loop and those around it make {progress.runs:,} runs, and the most are {MOST:,}"
            raise TooManyRunsError(
                message, where=loop.origin.where, hint="write smaller loops: loops inside one another multiply"
            )
        for number, one in enumerate(found.elements):
            reason = _unless_aborted(outcomes, progress).reason
            if number >= found.queued and _failed(outcomes):
                reason = reason or "an iteration before it has failed, and onFailure is SkipQueued"
            first = next(step for step, _ in leaves((one,)) if step.runs)
            try:
                outcomes += self._once(one, first, replace(progress, reason=reason))
            except TooManyRunsError:
                raise
            except SettingsError as error:
                outcomes.append(Outcome(first, "failed", error=error))
        return outcomes

    def _reason_for_all(
        self, element: Step | Stage | StepGroup, loop: WrittenValue, facts: Facts, progress: StatusSoFar
    ) -> str:
        """Return why no iteration is run: what has failed before, or the condition of the loop itself."""
        own = condition_of(element)
        by_status = replace(own, text="true") if own else Condition("stageStatus", "All")
        reason = reason_to_skip(by_status, progress, facts)
        text = loop.value.get("when") if isinstance(loop.value, dict) else None
        if reason or text is None:
            return reason
        written = WrittenValue({"condition": text}, replace(loop.origin, where=loop.origin.at("when"), parts={}))
        return reason_to_skip(
            replace(read_condition(written, "stageStatus"), status="All"), progress, facts, planned=self.planned
        )

    def _once(self, element: Pipeline | Stage | StepGroup | Step, step: Step, progress: StatusSoFar) -> list[Outcome]:
        """Run *element*, the first step of which is *step*, if it is to be run."""
        condition = condition_of(element)
        reason = progress.reason
        if condition:
            reason = reason_to_skip(condition, progress, self._facts(step), planned=self.planned)
        if isinstance(element, Step):
            if not reason:
                own = strategies(element.settings.get("failure_strategies"), self._facts(element))
                return [self.run(element, replace(progress, strategies=(own, *progress.strategies)))]
            self.skip(element, reason)
            return [Outcome(element, "skipped", reason=reason)]
        if isinstance(element, Stage):
            progress = replace(progress, stage_failed=False)
        if reason and not progress.reason:
            reason = f"{_about(element)} is skipped: {reason}"
        if reason:
            return self.over(element.children, replace(progress, reason=reason))
        return self.over(element.children, self._inside(element, self._facts(step), progress))

    def _inside(self, element: Pipeline | Stage | StepGroup, facts: Facts, progress: StatusSoFar) -> StatusSoFar:
        """Return *progress* with the failure strategies and the deadline of *element*, which begins now."""
        own = strategies(written_at(element.header.node, "failureStrategies"), facts)
        limit = read_limit(written_at(element.header.node, "timeout"), facts)
        deadlines = progress.deadlines
        if limit is not None:
            deadlines += (Deadline(self.clock() + limit.total_seconds(), limit, _about(element)),)
        return replace(progress, strategies=(own, *progress.strategies), deadlines=deadlines)

    def _facts(self, step: Step) -> Facts:
        """Return the facts with what the file says around *step*."""
        return self.facts.within(step.scope, step.facts)


def _after(outcomes: Sequence[Outcome], progress: StatusSoFar) -> StatusSoFar:
    progress = _unless_aborted(outcomes, progress)
    return replace(progress, stage_failed=True, pipeline_failed=True) if _failed(outcomes) else progress


def _unless_aborted(outcomes: Iterable[Outcome], progress: StatusSoFar) -> StatusSoFar:
    step = next((outcome.step for outcome in outcomes if outcome.aborts), None)
    if step is None:
        return progress
    return replace(progress, reason=f"the step {step.name or step.identifier!r} has aborted the run")


def _failed(outcomes: Iterable[Outcome]) -> bool:
    return any(outcome.status == "failed" for outcome in outcomes)


def _about(branch: Pipeline | Stage | StepGroup) -> str:
    what = {Pipeline: "pipeline", Stage: "stage"}.get(type(branch), "group")
    name = branch.header.name or branch.header.identifier
    return f"the {what} {name!r}" if name else f"its {what}"


def condition_of(element: Pipeline | Stage | StepGroup | Step) -> Condition | None:
    """Return the condition of *element*; a pipeline has none.

    Raises:
        SourceError: what is written is none.
    """
    if isinstance(element, Pipeline):
        return None
    if isinstance(element, Step):
        return read_condition(element.settings.get("when"), "stageStatus")
    key: StatusKey = "pipelineStatus" if isinstance(element, Stage) else "stageStatus"
    return read_condition(written_at(element.header.node, "when"), key)


def attempt(step: Step, act: Callable[[Step], None], results: list[RunResult]) -> Outcome:
    """Let *act* do *step*, and return what became of it; *results* get its receipt from *act*, however it ends."""
    before = len(results)
    try:
        act(step)
    except Exception as error:  # noqa: BLE001 - an outcome holds whatever a step fails with; its reader raises it
        if isinstance(error, BuildPushError):
            advise(error, str(error).split("\n"))
        return Outcome(step, "failed", next(iter(results[before:]), None), error)
    return Outcome(step, "succeeded", next(iter(results[before:]), None))


def raise_failure(outcomes: Iterable[Outcome], results: Iterable[RunResult], log: Sink = ignore) -> None:
    """Raise what the first step that failed has failed with; *log* is told of the others.

    The error holds the *results* until then.
    """
    outcomes = tuple(outcomes)
    failed = [(outcome.step, outcome.error) for outcome in outcomes if outcome.status == "failed" and outcome.error]
    for step, error in failed[1:]:
        log(Note(f"the step {step.name or step.identifier} ({step.where}) has failed as well: {error}"))
    for step, _ in failed[:1] if len(outcomes) > 1 else ():  # its own error does not always name it
        log(Note(f"the step {step.name or step.identifier} ({step.where}) has failed"))
    for _, error in failed[:1]:
        if isinstance(error, BuildPushError):
            error.results = tuple(results)
        raise error
