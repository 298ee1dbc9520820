"""The plan of a whole file: the walk of a run, in which nothing is done."""

from __future__ import annotations

from dataclasses import field, replace
from functools import partial

from buildpush.expressions.evaluate import LaterError
from buildpush.foundation.errors import BuildPushError, SettingsError
from buildpush.foundation.records import dataclass
from buildpush.pipeline.conditions import StatusSoFar
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.failures import error_types, exit_code
from buildpush.pipeline.kept import KeptImages
from buildpush.pipeline.logins import Logins
from buildpush.pipeline.outcomes import Outcome
from buildpush.pipeline.plan import Plan, SkippedStep, plan
from buildpush.pipeline.pushes import Pushes
from buildpush.pipeline.record import Resumed
from buildpush.pipeline.results import OF_PUSHES
from buildpush.pipeline.step_values import StepValues
from buildpush.pipeline.steps import Walk, raise_failure
from buildpush.settings.evaluate import check_known, evaluate
from buildpush.settings.failures import choose
from buildpush.settings.model import BuildAndPush
from buildpush.settings.step_settings import CommonSettings
from buildpush.settings.tree import Loaded, Step

_MAY_BE_WRITTEN = frozenset({"context", "dockerfile", "build_contexts"})


def plan_steps(
    loaded: Loaded,
    context: RunContext,
    *,
    push: bool = True,
    earlier: Resumed | None = None,
    before_run: bool = False,
) -> tuple[Plan | SkippedStep, ...]:
    """Return what a run of *loaded* would do if every step succeeds, step by step.

    Args:
        loaded: the steps.
        context: of the run; nothing of it changes.
        push: whether images are pushed; if not, steps that do not build do nothing, and are left out.
        earlier: the run that is resumed, if any: what succeeded in it must be the same now.
        before_run: whether a run follows: what a failure strategy handles is left to it, and so are a Dockerfile and
            a context that cannot be used yet, which a cell of a notebook may write for example.

    Raises:
        BuildPushError: of the first step that cannot be run, or whose push another iteration would overwrite.
    """
    values = StepValues(loaded.tree)
    kept = KeptImages.of(loaded.steps)
    dry = replace(context, dry=True, kept_images=kept, logins=Logins(), values=values)
    planning = _Planning(dry, push, earlier, before_run, Pushes(dry.cwd))
    dry.vault.remember()
    walk = Walk(planning.add, dry.facts, planning.skip, wait=partial(planning.skip, waits=True), values=values)
    raise_failure(walk.over(loaded.tree), ())
    return tuple(planning.plans)


@dataclass(frozen=True, slots=True)
class _Planning:
    """The plans of the steps so far; the arguments are those of :func:`plan_steps`."""

    dry: RunContext
    push: bool
    earlier: Resumed | None
    before_run: bool
    pushes: Pushes
    plans: list[Plan | SkippedStep] = field(default_factory=list)

    def skip(self, step: Step, reason: str, *, waits: bool = False) -> None:
        """Add a step that is not run, or for which only the run can decide."""
        self.plans.append(SkippedStep(step, reason, self._take_notes(), waits=waits))

    def add(self, step: Step, progress: StatusSoFar) -> Outcome:
        """Add the plan of *step*, and return what later steps may know of it."""
        place = (*step.around, step.identifier)
        if self.earlier and (result := self.earlier.result(step, place, self.dry.facts)):
            self.skip(step, "it succeeded in the run that is resumed", waits=True)
            return Outcome(step, "succeeded", result)
        if self.push or (step.kind and step.kind.builds):
            return Outcome(step, "planned", lacks=self._plan(step, progress))
        return Outcome(step, "planned")

    def _plan(self, step: Step, progress: StatusSoFar) -> frozenset[str]:
        """Add the plan of *step*, or why there is none yet; return the outputs that it cannot have."""
        unknown = (f"it is not known yet whether it is run: {reason}" for reason in progress.open)
        notes = (*self._take_notes(), *unknown)
        try:
            one = plan(step, self.dry, push=self.push, shown=not self.before_run)
        except LaterError:
            reasons = dict.fromkeys(map(str, check_known(step, self.dry.facts, push=self.push).values()))
            self.plans.append(SkippedStep(step, "; ".join(reasons), notes, waits=True))
            return frozenset()
        except BuildPushError as error:
            if not self.before_run or not _is_left_to_run(error, progress):
                raise
            settings = evaluate(step, self.dry.facts, push=self.push)
            self.plans.append(SkippedStep(step, str(error), notes, waits=True))
        else:
            settings = one.order.settings
            self.plans.append(replace(one, notes=(*notes, *one.notes)))
            self.dry.kept_images.add_builder(one.order, step)
            self.dry.log.begin()
        self.pushes.add(step, settings, progress)
        return _missing_outputs(settings)

    def _take_notes(self) -> tuple[str, ...]:
        """Return the notes about the conditions and loops around a step, each once."""
        notes = tuple(self.dry.log.notes)
        self.dry.log.begin()
        return notes


def _is_left_to_run(error: BuildPushError, progress: StatusSoFar) -> bool:
    """Return whether a failure strategy handles *error*, or what it is about may be written until the step is run."""
    if isinstance(error, SettingsError) and error.setting in _MAY_BE_WRITTEN:
        return True
    return choose(progress.strategies, error_types(error), exit_code(error)) is not None


def _missing_outputs(settings: CommonSettings) -> frozenset[str]:
    """Return the outputs that a step with *settings* cannot have."""
    return OF_PUSHES if isinstance(settings, BuildAndPush) and not settings.push else frozenset()
