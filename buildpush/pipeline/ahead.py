"""Checks before a run: what can be known of all steps is checked before the first of them does anything."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import field, replace
from pathlib import Path

from buildpush.expressions.evaluate import LaterError
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.records import dataclass
from buildpush.pipeline.conditions import StatusSoFar
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.fetched_contexts import STDIN
from buildpush.pipeline.loops import is_in_loop
from buildpush.pipeline.outcomes import Outcome
from buildpush.pipeline.record import Resumed
from buildpush.pipeline.runlog import RunLog
from buildpush.pipeline.step_values import StepValues
from buildpush.pipeline.steps import Walk, raise_failure
from buildpush.settings.evaluate import check_known, evaluate
from buildpush.settings.kinds import TRUE
from buildpush.settings.model import BuildAndPush
from buildpush.settings.step_settings import StepSettings
from buildpush.settings.tags import tags_without_git
from buildpush.settings.tree import Loaded, Step


def check_ahead(loaded: Loaded, context: RunContext, *, push: bool, earlier: Resumed | None = None) -> int:
    """Evaluate the conditions, loops and settings of every step that will run if all goes well; return their number.

    Args:
        loaded: the steps; a single one is checked as it runs.
        context: of the run; nothing of it changes.
        earlier: the run that is resumed, if any: what succeeded in it must be the same now.
        push: whether images are pushed; if not, steps that do not build do nothing.

    Raises:
        SettingsError: of the first step that cannot be run, or whose push another iteration would overwrite.
    """
    if len(loaded.steps) == 1 and not is_in_loop(loaded.tree):
        return 1
    values = StepValues(loaded.tree)
    dry = replace(context, dry=True, log=RunLog(), values=values)
    steps: list[Step] = []
    pushes = Pushes(dry.cwd)

    def check(step: Step, progress: StatusSoFar) -> Outcome:
        steps.append(step)
        if earlier and (result := earlier.result(step, (*step.around, step.identifier), dry.facts)):
            return Outcome(step, "succeeded", result)
        if push or (step.kind and step.kind.builds):
            try:
                pushes.add(step, evaluate(step, dry.facts, push=push), progress)
            except LaterError:
                check_known(step, dry.facts, push=push)
        return Outcome(step, "planned")

    with dry:
        walk = Walk(check, dry.facts, wait=lambda step, _: steps.append(step), values=values)
        raise_failure(walk.over(loaded.tree), ())
    _check_stdin(steps)
    return len(steps)


def refuse_push(loaded: Loaded) -> None:
    """Refuse a push that a flag or keyword of this call sets; one set in the file or a variable is meant for a run."""
    for written in (step.settings.get("push") for step in loaded.steps):
        if written and written.origin.kind in {"flag", "keyword"} and str(written.value).strip().lower() in TRUE:
            message = "a build pushes nothing"
            raise SettingsError(message, where=written.origin.where, hint="use run, which builds and pushes")


def _check_stdin(steps: Iterable[Step]) -> None:
    piped = [step for step in steps if "context" in step.settings and step.settings["context"].value == STDIN]
    if len(piped) > 1:
        message = f"{len(piped)} steps have standard input as their context, which can be read only once"
        raise SettingsError(message, hint="choose one with --step", setting="context", where=piped[1].where)


@dataclass(frozen=True, slots=True)
class Pushes:
    """The pushes and files of steps that may run at the same time: of two equal ones, one would be lost.

    Attributes:
        cwd: directory that relative paths start from.
    """

    cwd: Path
    _seen: dict[str, list[tuple[Step, StatusSoFar]]] = field(default_factory=dict)

    def add(self, step: Step, settings: StepSettings, progress: StatusSoFar) -> None:
        """Add what *step* pushes and writes.

        Raises:
            SettingsError: a step that may run at the same time pushes the same reference, or writes the same file.
        """
        if not isinstance(settings, BuildAndPush) or not progress.branches:
            return
        for tag in tags_without_git(settings) if settings.push else ():
            reference = f"{settings.registry} {settings.connector_ref} {settings.repo}:{tag}"
            if other := self._other(step, reference, progress):
                raise _overwriting(step, other, ("push", f"{settings.repo}:{tag}"), "tags")
        if settings.tar_path:
            path = os.path.realpath(self.cwd / settings.tar_path)
            if other := self._other(step, path, progress):
                raise _overwriting(step, other, ("write", settings.tar_path), "tar_path")

    def _other(self, step: Step, target: str, progress: StatusSoFar) -> Step | None:
        """Add *step* for *target*; return an earlier step with that target that may run at the same time, if any."""
        seen = self._seen.setdefault(target, [])
        seen.append((step, progress))
        return next((other for other, at in seen[:-1] if progress.may_overlap(at)), None)


def _overwriting(step: Step, other: Step, target: tuple[str, str], setting: str) -> SettingsError:
    """Return the error of *step*: *other* also pushes or writes *target*."""
    names = " or ".join(_names(step)) or "<+strategy.iteration>"
    what, hint = "iterations", f"write {names} into {'repo or tags' if setting == 'tags' else setting}"
    if step.where != other.where:
        own = "tag" if setting == "tags" else "file"
        what, hint = "parallel steps", f"give each a different {own}, or let them run one after the other"
    message = f"the {what} {other.name!r} and {step.name!r} both {target[0]} {target[1]}"
    where = step.settings[setting].origin.where if setting in step.settings else step.where
    return SettingsError(message, where=where, setting=setting, hint=hint)


def _names(step: Step) -> Iterable[str]:
    """Yield the expressions that differ between the iterations of a loop."""
    for loop in ("matrix", "repeat"):
        values = step.scope.get(loop)
        if isinstance(values, dict):
            yield from (f"<+{loop}.{name}>" for name in values)
