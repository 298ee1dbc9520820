"""The walk over the tree of a file: one step after the other, as far as conditions and what has failed let it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final, Literal

from buildpush.expressions.facts import Facts
from buildpush.foundation.errors import BuildPushError, SettingsError
from buildpush.foundation.records import dataclass
from buildpush.pipeline.conditions import Progress, reason_to_skip
from buildpush.pipeline.results import RunResult
from buildpush.settings.conditions import Condition, read_condition
from buildpush.settings.tree import Element, Parallel, Pipeline, Stage, Step, StepGroup, leaves
from buildpush.settings.written import Origin, Written

_BEGUN: Final = Progress()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one step.

    Attributes:
        result: its receipt; a step that failed after its push has one as well.
        error: why it failed.
        reason: why it was skipped.
    """

    step: Step
    status: Literal["succeeded", "failed", "skipped"]
    result: RunResult | None = None
    error: Exception | None = None
    reason: str = ""

    @property
    def outputs(self) -> Mapping[str, str]:
        """What later steps may ask of it by name: the digest, and the first reference of the image."""
        if self.result is None or self.result.digest is None:
            return {}
        references = self.result.references
        return {"digest": self.result.digest} | ({"image": references[0]} if references else {})


@dataclass(frozen=True, slots=True)
class Walk:
    """The walk over the tree of a file.

    Attributes:
        run: runs one step.
        facts: of the run; they answer conditions.
        skip: hears of a step that is not run, and why.
        planned: whether nothing is done, so that what the outputs of steps will be is not known.
    """

    run: Callable[[Step], Outcome]
    facts: Facts
    skip: Callable[[Step, str], object] = lambda _step, _reason: None
    planned: bool = False

    def over(self, elements: Iterable[Element], progress: Progress = _BEGUN) -> list[Outcome]:
        """Run the steps below *elements* that are run here, and return what became of each."""
        outcomes: list[Outcome] = []
        for element in elements:
            outcomes += self._element(element, _after(outcomes, progress))
        return outcomes

    def _element(self, element: Element, progress: Progress) -> list[Outcome]:
        if isinstance(element, Parallel):  # one that fails says nothing about those beside it
            return [outcome for child in element.children for outcome in self._element(child, progress)]
        if isinstance(element, Step):
            return [self._step(element, progress)] if element.runs else []
        steps = tuple(step for step, _ in leaves((element,)) if step.runs)
        return self._branch(element, steps, progress) if steps else []

    def _step(self, step: Step, progress: Progress) -> Outcome:
        try:
            condition = read_condition(step.settings.get("when"), "stageStatus")
            reason = self._reason(condition, step, progress)
        except SettingsError as error:
            return Outcome(step, "failed", error=error)
        if not reason:
            return self.run(step)
        self.skip(step, reason)
        return Outcome(step, "skipped", reason=reason)

    def _branch(
        self, branch: Pipeline | Stage | StepGroup, steps: tuple[Step, ...], progress: Progress
    ) -> list[Outcome]:
        try:
            reason = self._reason(_condition(branch), steps[0], progress)
        except SettingsError as error:
            return [Outcome(steps[0], "failed", error=error)]
        if isinstance(branch, Stage):
            progress = replace(progress, stage_failed=False)
        if reason and not progress.reason:
            what = "stage" if isinstance(branch, Stage) else "group"
            name = branch.header.name or branch.header.identifier
            reason = f"the {what} {name!r} is skipped: {reason}" if name else f"its {what} is skipped: {reason}"
        return self.over(branch.children, replace(progress, reason=reason))

    def _reason(self, condition: Condition | None, step: Step, progress: Progress) -> str:
        """Return why what *condition* is of is skipped; *step* knows what the file says around it."""
        if condition is None:
            return progress.reason
        facts = self.facts.within(written=step.facts)
        return reason_to_skip(condition, progress, facts, planned=self.planned)


def _after(outcomes: Iterable[Outcome], progress: Progress) -> Progress:
    if any(outcome.status == "failed" for outcome in outcomes):
        return replace(progress, stage_failed=True, pipeline_failed=True)
    return progress


def _condition(branch: Pipeline | Stage | StepGroup) -> Condition | None:
    """Return the condition of *branch*; a pipeline has none."""
    if isinstance(branch, Pipeline):
        return None
    header = branch.header
    written = None
    if header.when:
        origin = Origin("file", header.node.where_key("when"), "", parts=dict(header.when.places()))
        written = Written(header.when.raw(), origin)
    return read_condition(written, "pipelineStatus" if isinstance(branch, Stage) else "stageStatus")


def attempt(step: Step, act: Callable[[Step], None], results: list[RunResult]) -> Outcome:
    """Let *act* do *step*, and return what became of it; *results* get its receipt from *act*, however it ends."""
    before = len(results)
    try:
        act(step)
    except Exception as error:  # noqa: BLE001 - an outcome holds whatever a step fails with; its reader raises it
        return Outcome(step, "failed", next(iter(results[before:]), None), error)
    return Outcome(step, "succeeded", next(iter(results[before:]), None))


def raise_failure(outcomes: Iterable[Outcome], results: Iterable[RunResult]) -> None:
    """Raise what the first step that failed has failed with; the error holds the *results* until then."""
    for outcome in outcomes:
        if isinstance(outcome.error, BuildPushError):
            outcome.error.results = tuple(results)
        if outcome.error:
            raise outcome.error
