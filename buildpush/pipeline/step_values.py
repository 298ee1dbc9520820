"""The values of steps in expressions: their outputs and states, by their paths in Harness.

Paths and states are those of Harness, "Built-in and custom Harness variables reference"; a state is that of a node of
its pipelines: ``SUCCEEDED``, ``FAILED``, ``IGNORE_FAILED``, ``SKIPPED``, ``ABORTED``, ``EXPIRED`` or ``RUNNING``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NoReturn, TypeAlias

from buildpush.expressions.evaluate import AbsentError, LaterError
from buildpush.expressions.tree import Value
from buildpush.foundation.errors import ExpressionError
from buildpush.foundation.interrupts import Lock
from buildpush.foundation.records import dataclass
from buildpush.foundation.spelling import did_you_mean
from buildpush.images.references import Reference
from buildpush.pipeline.outcomes import Outcome
from buildpush.pipeline.results import OUTPUTS, RunResult
from buildpush.settings.tree import Element, Stage, Step, StepGroup, leaves

StepPath: TypeAlias = tuple[str, ...]  # identifiers of the stage, empty without one, of the groups, and of the step

_STATES: Final = frozenset({"status", "currentStatus", "liveStatus"})
_BY_WEIGHT: Final = ("ABORTED", "FAILED", "EXPIRED", "IGNORE_FAILED", "SUCCEEDED", "SKIPPED")
_STEPS: Final = ("stage", "spec", "execution", "steps")
_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_PUBLISHED: Final = ("stepArtifacts", "publishedImageArtifacts")


@dataclass(frozen=True, slots=True)
class _Query:
    """A path in an expression that is about a step, group or stage.

    Attributes:
        name: the whole path, as written.
        places: where the step may be, the nearest first.
        rest: the part of the path that follows it.
    """

    name: str
    places: tuple[StepPath, ...]
    rest: tuple[str, ...]


class StepValues:
    """The values of the steps of one run; the walk adds each outcome. Paths may be relative to where they are used."""

    def __init__(self, tree: tuple[Element, ...] = ()) -> None:
        self._steps = {(*place_of(path), step.identifier): step for step, path in leaves(tree) if not step.rollback}
        self._outcomes: dict[StepPath, Outcome] = {}
        self._loops: dict[StepPath, tuple[StepPath, ...]] = {place: (place,) for place in _loops_of(tree)}
        self._ended: frozenset[StepPath] = frozenset()
        self._concurrent: frozenset[StepPath] = frozenset()
        self._is_outline = False  # the tree has one iteration in place of each loop
        self._lock = Lock()  # steps may run at the same time; a reader sees all of a change or nothing

    @classmethod
    def planned(cls, tree: tuple[Element, ...], skipped: Mapping[str, str] = _NONE) -> StepValues:
        """Return the values of *tree* before a run; *skipped* says why a step is not run at all, by its ``where``."""
        values = cls(tree)
        values._is_outline = True
        for place, step in values._steps.items():
            reason = skipped.get(step.where, "")
            if step.runs:
                values.add(place, Outcome(step, "skipped" if reason else "planned", reason=reason))
        return values

    def add(self, place: StepPath, outcome: Outcome) -> None:
        """Add the outcome of the step at *place*, in place of an earlier attempt."""
        with self._lock:
            self._outcomes = {**self._outcomes, place: outcome}

    def loop(self, place: StepPath, iterations: Iterable[str]) -> None:
        """Record that the loop at *place* begins, and the identifiers of its iterations."""
        with self._lock:
            self._loops = {**self._loops, place: tuple((*place[:-1], one) for one in iterations)}

    def forget(self, outcomes: Iterable[Outcome]) -> dict[StepPath, Outcome]:
        """Remove *outcomes*, whose steps are run again with the groups around them, and return them by place."""
        dropped = set(map(id, outcomes))
        with self._lock:
            removed = {place: one for place, one in self._outcomes.items() if id(one) in dropped}
            self._outcomes = {place: one for place, one in self._outcomes.items() if place not in removed}
            self._ended -= {place[:end] for place in removed for end in range(len(place))}
        return removed

    def end(self, place: StepPath) -> None:
        """Record that nothing more is run in the stage or group at *place*; the empty place is the pipeline."""
        with self._lock:
            self._ended |= {place}

    def each_alone(self, acts: Iterable[Callable[[], object]]) -> None:
        """Call *acts* one after the other for a plan; as if they ran at the same time, none sees another's outcomes."""
        around, before = self._concurrent, frozenset(self._outcomes)
        for act in acts:
            self._concurrent = around | (frozenset(self._outcomes) - before)
            act()
        self._concurrent = around

    def __call__(self, path: tuple[str, ...], around: StepPath) -> Value:
        """Return the value of *path* as seen from *around*; ``None`` if it is not about a step.

        Raises:
            AbsentError: a step that was skipped, or has failed, does not have it.
            LaterError: in a plan, it is known only after a step has run.
            ExpressionError: there is no such step or output, or the step is not run here.
        """
        if path[:2] == ("strategy", "node") and path[3:] == ("currentStatus",):
            return self._of_loop(_Query(".".join(path), _around(path[2], around), path[3:]))
        query = _query(path, around)
        if query is None:
            return None
        place = next((place for place in query.places if self._is_known(place)), None)
        if place is None:
            self._refuse(query)
        if outcome := self._outcomes.get(place):
            if place in self._concurrent:
                message = f"{query.name} is not known: {outcome.step.about} may run at the same time as this"
                raise ExpressionError(message, hint="use a step that has ended by then: let one run after the other")
            return _of_step(query, outcome)
        if step := self._steps.get(place):
            self._refuse_step(query, step)
        return self._of_branch(query, place)

    def _is_known(self, place: StepPath) -> bool:
        return any(one[: len(place)] == place for one in (*self._steps, *self._outcomes))

    def _refuse(self, query: _Query) -> NoReturn:
        """Raise the error that says why *query* finds no step: it is not run here, or does not exist."""
        for place in query.places:
            for end in range(len(place) - 1, 0, -1):
                closed = self._steps.get((*place[:end], ""))
                if closed and not closed.runs:
                    self._refuse_step(query, closed)
            if step := self._in_loop(place):
                self._refuse_step(query, step)
        place = query.places[-1]
        what = f"step {place[-1]!r}" if place[1:] else f"stage {place[0]!r}"
        message = f"{query.name} does not exist: there is no {what} there"
        known = {_path(one): one for one in (*self._outcomes, *self._steps)}
        same = [path for path, one in known.items() if one[-1] == place[-1]]
        near = did_you_mean(_path(place), same or known, cutoff=0) if known else ""
        raise ExpressionError(message, hint="; ".join(filter(None, (near, _flag(query)))))

    def _in_loop(self, place: StepPath) -> Step | None:
        """Return a step of the loop that would have an iteration at *place* if it was run here."""
        for loop in self._loops:
            end = len(loop)
            if place[: end - 1] != loop[:-1] or not "".join(place[end - 1 : end]).startswith(f"{loop[-1]}_"):
                continue
            steps = [step for at, step in self._steps.items() if at[:end] == loop]
            if steps and not any(step.runs for step in steps):
                return steps[0]
        return None

    def _refuse_step(self, query: _Query, step: Step) -> NoReturn:
        """Raise the error that says why a step has no outcome: it is not run here, is run by a loop, or comes later."""
        if not step.runs:
            why = ": --step or --stage leaves it out" if step.kind else ""
            message = f"{query.name} is not known: {step.about} is not run here{why}"
            raise ExpressionError(message, hint=_flag(query))
        if places := [place for place, one in self._outcomes.items() if one.step.where == step.where]:
            message = f"{query.name} is not known: {step.about} is run by a loop"
            raise ExpressionError(message, hint=f"write one of its iterations: {', '.join(map(_path, places))}")
        message = f"{query.name} is not known: {step.about} is not run before this"
        raise ExpressionError(message, hint="use a step that comes before it")

    def _of_loop(self, query: _Query) -> Value:
        """Return the state of the nearest loop that *query* names: that of the worst step in its iterations so far."""
        place = next((place for place in query.places if place in self._loops), None)
        if place is None and self._is_outline:
            message = f"{query.name} is known only during the run"
            raise LaterError(message)
        if place is None:
            message = f"{query.name} does not exist: there is no loop {query.places[0][-1]!r} around this or before it"
            known = [one[-1] for one in self._loops]
            hint = did_you_mean(query.places[0][-1], known) or f"loops are {', '.join(known) or 'in none of the steps'}"
            raise ExpressionError(message, hint=hint)
        return self._of_branch(query, *self._loops[place])

    def _of_branch(self, query: _Query, *places: StepPath) -> Value:
        """Return the state of a stage, group or loop: that of the worst step in it so far, or that it is under way."""
        if len(query.rest) != 1 or query.rest[0] not in _STATES:
            return None
        place = places[0]
        outcomes = [one for at, one in self._outcomes.items() if any(at[: len(place)] == place for place in places)]
        steps = [step for at, step in self._steps.items() if at[: len(place)] == place]
        if steps and not any(step.runs for step in steps):
            self._refuse_step(query, steps[0])
        if any(outcome.status == "planned" for outcome in outcomes):
            message = f"{query.name} is known only during the run"
            raise LaterError(message)
        if query.rest == ("status",) and place not in self._ended:
            return "RUNNING" if outcomes else "NOT_STARTED"
        states = {outcome.state for outcome in outcomes}
        if place not in self._ended:
            states = states - {"SKIPPED"} or {"SUCCEEDED"}
        return next((state for state in _BY_WEIGHT if state in states), "SUCCEEDED")


def place_of(path: Iterable[Element], around: StepPath = ("",)) -> StepPath:
    """Return the place of the last branch in *path*, which begins at *around*; a group may have no identifier."""
    for branch in path:
        if isinstance(branch, Stage):
            around = (branch.header.identifier,)
        elif isinstance(branch, StepGroup) and branch.header.identifier:
            around = (*around, branch.header.identifier)
    return around


def _loops_of(tree: tuple[Element, ...]) -> Iterator[StepPath]:
    """Yield the places of the steps, groups and stages of *tree* that a loop runs."""
    for step, path in leaves(tree):
        if step.node and step.node.at("strategy"):
            yield (*place_of(path), step.identifier)
        for end, branch in enumerate(path, 1):
            if isinstance(branch, Stage | StepGroup) and branch.header.strategy and branch.header.identifier:
                yield place_of(path[:end])


def _around(identifier: str, around: StepPath) -> tuple[StepPath, ...]:
    """Return where something with that identifier may be, the nearest to *around* first; the last one is a stage."""
    return tuple((*around[:end], identifier) for end in range(len(around), -1, -1))


def _query(path: tuple[str, ...], around: StepPath) -> _Query | None:
    """Return *path* as a query; ``None`` if it is not about a step, group, stage or the run."""
    name, stage = ".".join(path), around[:1]
    if path[0] == "steps" and path[1:]:
        chain, rest = _chain(path[1:])
        return _Query(name, tuple((*around[:end], *chain) for end in range(len(around), 0, -1)), rest)
    if path[:2] == ("pipeline", "stages") and path[3:]:
        stage, path = path[2:3], ("stage", *path[3:])
    if path[0] == "execution":
        path = ("stage", "spec", *path)
    if path[:4] == _STEPS and path[4:]:
        chain, rest = _chain(path[4:])
        return _Query(name, ((*stage, *chain),), rest)
    place = {"stage": stage, "pipeline": ()}.get(path[0])
    is_state = place is not None and len(path) == len(("stage", "status")) and path[1] in _STATES
    return _Query(name, (place,), path[1:]) if is_state and place is not None else None


def _chain(path: tuple[str, ...]) -> tuple[StepPath, tuple[str, ...]]:
    """Return the identifiers at the beginning of ``GROUP.steps.STEP.output.x``, and what follows them."""
    chain: StepPath = path[:1]
    rest = path[1:]
    while rest[:1] == ("steps",) and rest[1:]:
        chain, rest = (*chain, rest[1]), rest[2:]
    return chain, rest


def _path(place: StepPath) -> str:
    steps = f"execution.steps.{'.steps.'.join(place[1:])}"
    return f"pipeline.stages.{place[0]}.spec.{steps}" if place[0] else steps


def _flag(query: _Query) -> str:
    return f"give it with --var {query.name}=VALUE"


# ---- one step


def _of_step(query: _Query, outcome: Outcome) -> Value:
    rest = query.rest
    if not (_is_output(rest) or rest[:1] == ("retryCount",) or (len(rest) == 1 and rest[0] in _STATES)):
        message = f"{query.name} does not exist: a step has output.outputVariables, status and retryCount"
        raise ExpressionError(message, hint=f"outputs are {', '.join(OUTPUTS)}")
    if rest[:2] == ("output", "outputVariables") and rest[2:] and rest[2] not in OUTPUTS:
        message = f"{query.name} does not exist: {outcome.step.about} has no output {rest[2]!r}"
        raise ExpressionError(message, hint=did_you_mean(rest[2], OUTPUTS) or f"it has {', '.join(OUTPUTS)}")
    if outcome.status == "planned" and not _is_missing(rest, outcome):
        message = f"{query.name} is known after {outcome.step.about} has run"
        raise LaterError(message)
    if rest[0] == "retryCount":
        return sum(failure.verdict == "again" for failure in outcome.failures)
    if rest[0] in _STATES:
        return outcome.state
    value: Value = _published(outcome.result)
    if not rest[0].startswith("artifact_"):
        value = outcome.outputs.get(rest[2]) if rest[2:] else dict(outcome.outputs)
    if not value:
        message = f"{query.name} has no value: {outcome.step.about} {_why_none(outcome)}"
        raise AbsentError(message, hint=_flag(query))
    return value


def _is_missing(rest: Sequence[str], outcome: Outcome) -> bool:
    """Return whether *outcome* of a plan says that the step will not have the output that *rest* names."""
    name = "image" if rest[0].startswith("artifact_") else "".join(rest[2:3])
    return _is_output(rest) and name in outcome.lacks


def _is_output(rest: Sequence[str]) -> bool:
    if rest and rest[0].startswith("artifact_"):
        return tuple(rest[1:3]) == _PUBLISHED
    return tuple(rest[:2]) == ("output", "outputVariables")


def _why_none(outcome: Outcome) -> str:
    if outcome.status == "skipped":
        return f"was skipped: {outcome.reason}"
    if outcome.status == "planned":
        return "pushes nothing"
    return "does not give it" if outcome.status == "succeeded" else "has failed"


def _published(result: RunResult | None) -> list[dict[str, str]]:
    """Return the images that a step has pushed, with Harness' names for their parts."""
    return list(_images(result)) if result else []


def _images(result: RunResult) -> Iterator[dict[str, str]]:
    for reference in map(Reference.parse, result.references):
        yield {"imageName": str(reference.repository), "tag": str(reference.tag or ""), "digest": result.digest}
