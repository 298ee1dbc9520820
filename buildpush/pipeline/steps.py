"""The walk over the tree of a file: one step after the other, unless a condition or an earlier failure skips it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import field, replace
from functools import partial
from itertools import chain, count
from typing import Final

from buildpush.advice.table import advise
from buildpush.expressions.evaluate import LaterError
from buildpush.expressions.facts import Facts
from buildpush.foundation.errors import BuildPushError, SettingsError
from buildpush.foundation.events import Note, Sink, ignore
from buildpush.foundation.records import dataclass
from buildpush.pipeline.conditions import StatusSoFar, reason_to_skip
from buildpush.pipeline.deadlines import deadline_of, nearest, shorter
from buildpush.pipeline.failures import check_in_group, strategies
from buildpush.pipeline.loops import Iterations, iterate, loop_identifier, loop_of, whole_loop
from buildpush.pipeline.outcomes import Outcome
from buildpush.pipeline.results import RunResult
from buildpush.pipeline.step_values import StepPath, StepValues, place_of
from buildpush.settings.conditions import Condition, StatusKey, read_condition
from buildpush.settings.evaluate import evaluate_raw, evaluate_structure
from buildpush.settings.loops import MOST, when_key
from buildpush.settings.tree import Element, Parallel, Pipeline, Stage, Step, StepGroup, leaves
from buildpush.settings.written import WrittenValue, written_at

_BEGUN: Final = StatusSoFar()
_Conditional = Pipeline | Stage | StepGroup | Step
_Act = Callable[["Walk", Sequence["Outcome"]], list["Outcome"]]


class TooManyRunsError(SettingsError):
    """Nested loops make more runs than the maximum; this ends the walk."""


@dataclass(frozen=True, slots=True)
class Branch:
    """Steps that may run at the same time as those of other branches.

    Attributes:
        run: runs them on a walk, and returns their outcomes.
        is_first: whether they begin before those of other branches: they failed in an earlier run.
    """

    name: str
    run: Callable[[Walk], list[Outcome]]
    is_first: bool = False


@dataclass(frozen=True, slots=True)
class Walk:
    """The walk over the tree of a file.

    Attributes:
        run: runs one step, and handles a failure as the strategies around it say.
        facts: of the run; conditions are evaluated with them.
        skip: called with a step that is not run, and the reason.
        wait: called with a step of a plan for which only the run can decide, and the reason.
        values: gets each outcome; expressions about steps get their values there.
        run_branches: runs branches at the same time, at most the given number; without it, they run one by one.
        done: gets each outcome with its place, and returns it with its result.
        drop: called with an outcome that is discarded, because the group around it is run again.
        pause: waits some seconds, until a group is run again.
        clock: gives seconds, for time-outs.
        before: called with each element before its condition is evaluated; it may wait.
        failed: where an earlier run failed: the places of steps, and of what is around them.
    """

    run: Callable[[Step, StatusSoFar], Outcome]
    facts: Facts
    skip: Callable[[Step, str], object] = lambda _step, _reason: None
    wait: Callable[[Step, str], object] = lambda _step, _reason: None
    values: StepValues = field(default_factory=StepValues)
    run_branches: Callable[[Sequence[Branch], int | None], object] | None = None
    done: Callable[[Outcome, StepPath], Outcome] = lambda outcome, _place: outcome
    drop: Callable[[Outcome], object] = lambda _outcome: None
    pause: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.monotonic
    before: Callable[[Element], object] = lambda _element: None
    failed: Collection[StepPath] = frozenset()

    def over(self, elements: Iterable[Element], progress: StatusSoFar = _BEGUN) -> list[Outcome]:
        """Run the steps in *elements* that are run here, and return their outcomes."""
        outcomes: list[Outcome] = []
        for element in elements:
            if _begins_again(outcomes):
                break
            self.before(element)
            outcomes += self._element(element, _after(outcomes, progress))
        return outcomes

    def _element(self, element: Element, progress: StatusSoFar) -> list[Outcome]:
        if isinstance(element, Parallel):  # a failed one does not stop the others
            return self._parallel(element, progress)
        return self._safely(self._once_or_more, element, progress)

    def _once_or_more(self, element: _Conditional, step: Step, progress: StatusSoFar) -> list[Outcome]:
        loop = loop_of(element)
        if loop is None or isinstance(element, Pipeline):
            return self._once(element, step, progress)
        loop = whole_loop(loop, self._facts(step, progress))
        return self._loop(element, loop, step, progress) if loop.value else self._once(element, step, progress)

    def _safely(
        self,
        act: Callable[[_Conditional, Step, StatusSoFar], list[Outcome]],
        element: _Conditional,
        progress: StatusSoFar,
    ) -> list[Outcome]:
        """Let *act* run *element*, if it has a step to run; an error in its settings is a failed step."""
        step, path = next(((step, path) for step, path in leaves((element,)) if step.runs), (None, ()))
        if step is None:
            return []
        try:
            return act(element, step, progress)
        except TooManyRunsError:
            raise
        except LaterError as error:
            return self._later(element, str(error), progress)
        except SettingsError as error:
            there = replace(progress, place=place_of(path, progress.place))
            return [self._added(Outcome(step, "failed", error=error), there)]

    def _later(self, element: Element, reason: str, progress: StatusSoFar) -> list[Outcome]:
        """Report to the plan that only the run can decide how the steps in *element* are run."""
        outcomes = []
        for step, path in leaves((element,)):
            if step.runs:
                self.wait(step, reason)
                outcomes.append(
                    self._added(Outcome(step, "planned"), replace(progress, place=place_of(path, progress.place)))
                )
        return outcomes

    def _added(self, outcome: Outcome, progress: StatusSoFar) -> Outcome:
        place = (*progress.place, outcome.step.identifier)
        outcome = self.done(outcome, place)
        self.values.add(place, outcome)
        return outcome

    def _parallel(self, parallel: Parallel, progress: StatusSoFar) -> list[Outcome]:
        children = [child for child in parallel.children if any(step.runs for step, _ in leaves((child,)))]

        def act(number: int, walk: Walk, outcomes: Sequence[Outcome]) -> list[Outcome]:
            if _begins_again(outcomes):
                return []
            here = _in_branch(_unless_all_failed(outcomes, progress), parallel, number)
            return walk._element(children[number], here)

        return self._together([(_identifier(child), partial(act, number)) for number, child in enumerate(children)])

    def _together(
        self, acts: Sequence[tuple[str, _Act]], most: int | None = None, first: Collection[int] = ()
    ) -> list[Outcome]:
        """Call *acts* with the progress so far, at the same time, and return all outcomes in their order.

        Those at the places in *first* begin before the others.
        """
        outcomes: list[list[Outcome]] = [[] for _ in acts]

        def act(place: int, walk: Walk) -> list[Outcome]:
            outcomes[place] = acts[place][1](walk, list(chain.from_iterable(outcomes)))
            return outcomes[place]

        branches = [Branch(name, partial(act, place), place in first) for place, (name, _) in enumerate(acts)]
        if most == 1 or len(branches) == 1:
            for branch in branches:
                branch.run(self)
        elif self.run_branches is None:
            self.values.each_alone(partial(branch.run, self) for branch in branches)
        else:
            self.run_branches(branches, most)
        return list(chain.from_iterable(outcomes))

    def _loop(
        self, element: Step | Stage | StepGroup, loop: WrittenValue, step: Step, progress: StatusSoFar
    ) -> list[Outcome]:
        """Run every iteration of *element*; like parallel steps, they begin even if others have failed."""
        facts = self._facts(step, progress)
        if reason := self._reason_for_all(element, loop, facts, progress):
            return self._once(element, step, replace(progress, reason=reason))
        iterations = iterate(element, loop, facts)
        progress = replace(progress, runs=progress.runs * len(iterations.elements))
        if progress.runs > MOST:
            message = f"this loop and those around it make {progress.runs:,} runs, and the maximum is {MOST:,}"
            raise TooManyRunsError(message, where=loop.origin.where, hint="write smaller loops: nested loops multiply")

        names = [_identifier(one) for one in iterations.elements]
        around = () if isinstance(element, Stage) else progress.place
        self.values.loop((*around, loop_identifier(element)), names)
        if iterations.condition:
            return self._while(element, iterations, iterations.condition, step, progress)

        # What runs one by one keeps the order of the file.
        failed = self.failed if iterations.at_once != 1 else ()
        first = frozenset(number for number, name in enumerate(names) if (*around, name) in failed)
        begins = sorted(range(len(names)), key=lambda number: number not in first)
        turns = {number: turn for turn, number in enumerate(begins)}

        def act(number: int, walk: Walk, outcomes: Sequence[Outcome]) -> list[Outcome]:
            if _begins_again(outcomes):
                return []
            reason = _unless_all_failed(outcomes, progress).reason
            if turns[number] >= iterations.queued and _failed(outcomes):
                reason = reason or "an iteration before it has failed, and onFailure is SkipQueued"
            here = _in_branch(replace(progress, reason=reason), iterations, number)
            return walk._safely(walk._once, iterations.elements[number], here)

        acts = [(name, partial(act, number)) for number, name in enumerate(names)]
        return self._together(acts, iterations.at_once, first)

    def _while(
        self,
        element: Step | Stage | StepGroup,
        iterations: Iterations,
        condition: Condition,
        step: Step,
        around: StatusSoFar,
    ) -> list[Outcome]:
        """Run the iterations of *element* one after the other, as long as *condition* holds."""
        outcomes, begun = list[Outcome](), list[Element]()

        def act(element: _Conditional, step: Step, progress: StatusSoFar) -> list[Outcome]:
            reason, progress = self._reason(condition, step, progress)
            if reason:
                return []
            begun.append(element)
            return self._once(element, step, progress)

        for number, one in enumerate(iterations.elements, 1):
            more = self._safely(act, one, around)
            outcomes += more
            is_over = len(begun) < number or (number >= iterations.queued and _failed(more))
            if is_over or _begins_again(more) or any(outcome.aborts or outcome.fails_all for outcome in more):
                break
        reason = f"the condition of its loop is false before the first iteration: {' '.join(condition.text.split())}"
        return outcomes or self._once(element, step, replace(around, reason=reason))

    def _reason_for_all(
        self, element: Step | Stage | StepGroup, loop: WrittenValue, facts: Facts, progress: StatusSoFar
    ) -> str:
        """Return why no iteration is run: an earlier failure, or the condition of the loop itself."""
        own = condition_of(element, facts)
        by_status = replace(own, text="true") if own else Condition("stageStatus", "All")
        reason = reason_to_skip(by_status, progress, facts)
        key = when_key(loop.value) if isinstance(loop.value, dict) else ""
        if reason or not isinstance(loop.value, dict) or key not in loop.value:
            return reason
        where = replace(loop.origin, where=loop.origin.at(key), parts={})
        written = WrittenValue({"condition": loop.value[key]}, where)
        return reason_to_skip(replace(read_condition(written, "stageStatus"), status="All"), progress, facts)

    def _once(self, element: _Conditional, step: Step, progress: StatusSoFar) -> list[Outcome]:
        """Run *element*, whose first step is *step*, if it is to be run."""
        condition = condition_of(element, self._facts(step, progress))
        reason = progress.reason
        if condition:
            reason, progress = self._reason(condition, step, progress)
        if isinstance(element, Step):
            return [self._added(self._step(replace(element, around=progress.place), reason, progress), progress)]
        if isinstance(element, Stage):
            progress = replace(progress, stage_failed=False)
        progress = replace(progress, place=place_of((element,), progress.place))
        if reason and not progress.reason:
            reason = f"{_about(element)} is skipped: {reason}"
        run = self._group if isinstance(element, StepGroup) else self._children
        outcomes = run(element, step, reason, progress)
        self.values.end(() if isinstance(element, Pipeline) else progress.place)
        return outcomes

    def _children(
        self, element: Pipeline | Stage | StepGroup, step: Step, reason: str, progress: StatusSoFar
    ) -> list[Outcome]:
        if not reason:
            progress = self._inside(element, self._facts(step, progress), progress)
        return self.over(element.children, replace(progress, reason=reason))

    def _group(
        self, group: Pipeline | Stage | StepGroup, step: Step, reason: str, progress: StatusSoFar
    ) -> list[Outcome]:
        """Run what is in *group*, and all of it again as often as a failure in it requires."""
        for retried in count():
            here = replace(progress, passes=(*progress.passes, retried))
            outcomes = self._children(group, step, reason, here)
            if not _begins_again(outcomes):
                break
            for outcome in outcomes:
                self.drop(outcome)
            removed = self.values.forget(outcomes)
            failures = {place: outcome.failures for place, outcome in removed.items() if outcome.failures}
            progress = replace(progress, before={**progress.before, **failures})
            wait = max(outcome.again for outcome in outcomes if outcome.again is not None)
            left = shorter(wait, nearest(progress.deadlines), self.clock()) or wait
            self.pause(left.total_seconds())
        return [replace(outcome, again=None) if outcome.again is not None else outcome for outcome in outcomes]

    def _reason(self, condition: Condition, step: Step, progress: StatusSoFar) -> tuple[str, StatusSoFar]:
        """Return why something is not run; in a plan, what only the run can decide goes into the progress."""
        try:
            return reason_to_skip(condition, progress, self._facts(step, progress)), progress
        except LaterError as error:
            return "", replace(progress, open=(*progress.open, str(error)))

    def _step(self, step: Step, reason: str, progress: StatusSoFar) -> Outcome:
        if not reason:
            own = strategies(step.settings.get("failure_strategies"), self._facts(step, progress))
            progress = replace(progress, strategies=(own, *progress.strategies))
            if not progress.passes:
                check_in_group(progress.strategies, step)
            outcome = self.run(step, progress)
            before = progress.before.get((*progress.place, step.identifier), ())
            return replace(outcome, failures=(*before, *outcome.failures)) if before else outcome
        self.skip(step, reason)
        return Outcome(step, "skipped", reason=reason)

    def _inside(self, element: Pipeline | Stage | StepGroup, facts: Facts, progress: StatusSoFar) -> StatusSoFar:
        """Return *progress* with the failure strategies and the deadline of *element*, whose time limit starts now."""
        own = strategies(written_at(element.header.node, "failureStrategies"), facts)
        deadline = deadline_of(element, _about(element), facts, self.clock())
        deadlines = (*progress.deadlines, deadline) if deadline else progress.deadlines
        return replace(progress, strategies=(own, *progress.strategies), deadlines=deadlines)

    def _facts(self, step: Step, progress: StatusSoFar) -> Facts:
        """Return the facts for expressions of *step* at the place of *progress*."""
        return self.facts.within(step.scope, step.facts, progress.place)


def _after(outcomes: Sequence[Outcome], progress: StatusSoFar) -> StatusSoFar:
    progress = _unless_aborted(outcomes, progress)
    return replace(progress, stage_failed=True, pipeline_failed=True) if _failed(outcomes) else progress


def _unless_aborted(outcomes: Iterable[Outcome], progress: StatusSoFar) -> StatusSoFar:
    step = next((outcome.step for outcome in outcomes if outcome.aborts), None)
    if step is None:
        return progress
    return replace(progress, reason=f"the step {step.name or step.identifier!r} has aborted the run")


def _unless_all_failed(outcomes: Iterable[Outcome], progress: StatusSoFar) -> StatusSoFar:
    """Return the progress of what begins beside *outcomes*: with fail-all, a failure there ends it as an abort does."""
    outcomes = tuple(outcomes)
    progress = _unless_aborted(outcomes, progress)
    step = next((outcome.step for outcome in outcomes if outcome.fails_all), None)
    if progress.reason or step is None:
        return progress
    return replace(progress, reason=f"the step {step.name or step.identifier!r} beside it has failed, with fail-all")


def _begins_again(outcomes: Collection[Outcome]) -> bool:
    """Return whether the group around *outcomes* is run again."""
    return any(one.again is not None for one in outcomes) and not any(one.aborts for one in outcomes)


def _in_branch(progress: StatusSoFar, around: object, number: int) -> StatusSoFar:
    return replace(progress, branches=(*progress.branches, (around, number)))


def _identifier(element: Element) -> str:
    if isinstance(element, Step):
        return element.identifier
    if isinstance(element, Parallel):
        return "parallel"
    return element.header.identifier or _about(element)


def _failed(outcomes: Iterable[Outcome]) -> bool:
    return any(outcome.status == "failed" for outcome in outcomes)


def _about(branch: Pipeline | Stage | StepGroup) -> str:
    what = {Pipeline: "pipeline", Stage: "stage"}.get(type(branch), "group")
    name = branch.header.name or branch.header.identifier
    return f"the {what} {name!r}" if name else f"its {what}"


def condition_of(element: _Conditional, facts: Facts) -> Condition | None:
    """Return the condition of *element*, or ``None``. *facts* answer an expression that stands for all of it.

    Raises:
        SettingsError: the value of ``when`` is not a condition.
    """
    if isinstance(element, Pipeline) and element.header.when is None:
        return None
    name = "if" if isinstance(element, Pipeline) else "when"
    written = element.settings.get("when") if isinstance(element, Step) else written_at(element.header.node, name)
    key: StatusKey = "pipelineStatus" if isinstance(element, Pipeline | Stage) else "stageStatus"
    if written is None:
        return Condition(key)
    whole = evaluate_structure("when", written, facts)
    return read_condition(replace(whole, value=evaluate_raw("when", whole, facts, raw_keys=("condition",))), key)


def skipped_steps(tree: tuple[Element, ...], facts: Facts, values: StepValues) -> dict[str, str]:
    """Return why steps of *tree* are skipped even if all before them succeeds, by ``where``, as far as is known."""
    found: dict[str, str] = {}
    walk = Walk(
        lambda step, _: Outcome(step, "planned"),
        facts,
        lambda step, reason: found.setdefault(step.where, reason),
        values=values,
    )
    with suppress(BuildPushError):
        walk.over(tree)
    return found


def attempt(step: Step, act: Callable[[Step], None], results: list[RunResult]) -> Outcome:
    """Let *act* run *step*, and return the outcome; *act* adds the receipt to *results*, however it ends."""
    before = len(results)
    try:
        act(step)
    except Exception as error:  # noqa: BLE001 - an outcome holds whatever a step fails with; its reader raises it
        if isinstance(error, BuildPushError):
            advise(error, str(error).split("\n"))
        return Outcome(step, "failed", next(iter(results[before:]), None), error)
    return Outcome(step, "succeeded", next(iter(results[before:]), None))


def raise_failure(outcomes: Iterable[Outcome], results: Iterable[RunResult], log: Sink = ignore) -> None:
    """Raise the error of the first step that failed; *log* gets the others.

    The error gets the *results* so far.
    """
    outcomes = tuple(outcomes)
    failed = [(outcome.step, outcome.error) for outcome in outcomes if outcome.status == "failed" and outcome.error]
    for step, error in failed[1:]:
        log(Note(f"the step {step.name or step.identifier} ({step.where}) has failed as well: {error}"))
    for step, _ in failed[:1] if len(outcomes) > 1 else ():  # the error does not always name the step
        log(Note(f"the step {step.name or step.identifier} ({step.where}) has failed"))
    for _, error in failed[:1]:
        if isinstance(error, BuildPushError):
            error.results = tuple(results)
        raise error
