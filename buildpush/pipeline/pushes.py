"""What steps that may run at the same time push and write: of two equal ones, one would be lost."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import field
from pathlib import Path

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.records import dataclass
from buildpush.pipeline.conditions import StatusSoFar
from buildpush.settings.model import BuildAndPush
from buildpush.settings.step_settings import CommonSettings
from buildpush.settings.tags import tags_without_git
from buildpush.settings.tree import Step


@dataclass(frozen=True, slots=True)
class Pushes:
    """The pushes and files of steps that may run at the same time: of two equal ones, one would be lost.

    Attributes:
        cwd: directory that relative paths start from.
    """

    cwd: Path
    _seen: dict[str, list[tuple[Step, StatusSoFar]]] = field(default_factory=dict)

    def add(self, step: Step, settings: CommonSettings, progress: StatusSoFar) -> None:
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
