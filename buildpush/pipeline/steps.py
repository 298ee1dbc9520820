"""The walk over the tree of a file: one step after the other, in the order in which they stand; a failure ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from buildpush.foundation.errors import BuildPushError
from buildpush.foundation.records import dataclass
from buildpush.pipeline.results import RunResult
from buildpush.settings.tree import Element, Step


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one step.

    Attributes:
        result: its receipt; a step that failed after its push has one as well.
        error: why it failed.
    """

    step: Step
    status: Literal["succeeded", "failed", "skipped"]
    result: RunResult | None = None
    error: Exception | None = None

    @property
    def outputs(self) -> Mapping[str, str]:
        """What later steps may ask of it by name: the digest, and the first reference of the image."""
        if self.result is None or self.result.digest is None:
            return {}
        references = self.result.references
        return {"digest": self.result.digest} | ({"image": references[0]} if references else {})


def walk(elements: Iterable[Element], run: Callable[[Step], Outcome], *, skip: bool = False) -> list[Outcome]:
    """Run the steps below *elements* that are run here, and return what became of each.

    Args:
        elements: of the tree of a file.
        run: one step.
        skip: whether something before has failed, so that nothing is run any more.
    """
    outcomes: list[Outcome] = []
    for element in elements:
        if not isinstance(element, Step):
            outcomes += walk(element.children, run, skip=skip)
        elif element.runs:
            outcomes.append(Outcome(element, "skipped") if skip else run(element))
        skip = skip or any(outcome.status == "failed" for outcome in outcomes)
    return outcomes


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
