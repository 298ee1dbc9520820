"""Which steps of a file are run: all that buildpush supports, or only one stage or step."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from buildpush.foundation.errors import SourceError
from buildpush.settings.stepkinds import BUILD, STEP_KINDS
from buildpush.settings.surroundings import stages_of
from buildpush.settings.tree import Element, Parent, Stage, Step, leaves, with_steps
from buildpush.settings.words import nearest, reject

_LISTED: Final = "buildpush check FILE --list shows which steps are run"


def check_runs(tree: tuple[Element, ...], file: Path, reasons: Sequence[str]) -> None:
    """Refuse a file in which nothing is run here; *reasons* say why templates were not replaced.

    Raises:
        SourceError: it has no step of a kind that buildpush runs.
    """
    steps = [step for step, _ in leaves(tree)]
    if any(step.runs for step in steps):
        return
    message = "it does not have a step that buildpush runs"
    hint = f"buildpush runs steps of type {BUILD.type}"
    if steps:
        message += f", only {', '.join(step.about for step in steps)}"
        hint = next(iter(reasons), hint)
        if any(nearest(step.type, (kind.type for kind in STEP_KINDS.values())) for step in steps):
            hint = f"did you mean type: {BUILD.type}?"
    raise SourceError(message, where=str(file), hint=hint)


def select(tree: tuple[Element, ...], file: Path, stage: str | None, step: str | None) -> tuple[Element, ...]:
    """Return *tree* with only *step*, or the steps of *stage*, marked as run here.

    Raises:
        SourceError: the stage or step is not in the file, is not run here, or two steps have the name.
    """
    if stage is not None:
        tree = _with_stage(tree, file, stage)
    return tree if step is None else _with_step(tree, file, step)


def _with_stage(tree: tuple[Element, ...], file: Path, name: str) -> tuple[Element, ...]:
    stages = [branch for _, path in leaves(tree) for branch in path if isinstance(branch, Stage)]
    if not any(_is_called(stage, name) for stage in stages):
        names = dict.fromkeys(stage.header.identifier or stage.header.name for stage in stages)
        reject("stage", name, names, str(file))
    inside = [step for step, path in leaves(tree) if _is_in(path, name)]
    if not any(step.runs for step in inside):
        message = f"nothing in the stage {name!r} is run here, only {', '.join(step.about for step in inside)}"
        raise SourceError(message, where=str(file), hint=_template_hint(inside) or _LISTED)

    def choose(step: Step, path: tuple[Parent, ...]) -> Step:
        return replace(step, runs=step.runs and _is_in(path, name))

    return with_steps(tree, choose)


def selected_stages(tree: tuple[Element, ...], name: str | None) -> dict[str, str]:
    """Return the value of ``pipeline.selectedStages``: a list of the identifiers of the stages that are run."""
    stages = (stage.header.identifier for stage in stages_of(tree) if name is None or _is_called(stage, name))
    quoted = ", ".join(json.dumps(identifier) for identifier in stages if identifier)
    return {"pipeline.selectedStages": f"<+[{quoted}]>"} if quoted else {}


def _is_in(path: Iterable[Parent], stage: str) -> bool:
    return any(isinstance(branch, Stage) and _is_called(branch, stage) for branch in path)


def _is_called(stage: Stage, name: str) -> bool:
    return name in {stage.header.identifier, stage.header.name}


def _with_step(tree: tuple[Element, ...], file: Path, name: str) -> tuple[Element, ...]:
    steps = [step for step, _ in leaves(tree)]
    chosen = [step for step in steps if step.runs and name in {step.identifier, step.name}]
    if not chosen:
        _refuse_other(steps, file, name)
    if len(chosen) > 1:
        message = f"two steps are called {name!r}, here and in {chosen[1].where}"
        raise SourceError(
            message, where=chosen[0].where, hint="choose a stage as well, or give each step its own identifier"
        )
    return with_steps(tree, lambda step, _: replace(step, runs=step is chosen[0]))


def _refuse_other(steps: list[Step], file: Path, name: str) -> None:
    """Refuse a step that is not run here, or that does not exist."""
    other = next((step for step in steps if name in {step.identifier, step.name}), None)
    if other is None:
        reject("step", name, [step.identifier for step in steps if step.runs], str(file))
    message = f"{other.about} is not run here"
    raise SourceError(message, where=other.where, hint=_template_hint([other]) or _LISTED)


def _template_hint(steps: Iterable[Step]) -> str:
    """Return the hint for steps whose template is in another file; nothing if none of *steps* has one."""
    is_elsewhere = any(step.node and step.node.at("template", "templateRef") for step in steps)
    return "name the directory of its template's file with --templates" if is_elsewhere else ""
