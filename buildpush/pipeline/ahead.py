"""What can be known of all steps is checked before the first of them does anything."""

from __future__ import annotations

from dataclasses import replace

from buildpush.pipeline.context import RunContext
from buildpush.pipeline.runlog import RunLog
from buildpush.pipeline.steps import Outcome, Walk, raise_failure
from buildpush.settings.evaluate import evaluate
from buildpush.settings.tree import Loaded, Step


def check_ahead(loaded: Loaded, context: RunContext, *, push: bool) -> None:
    """Evaluate the conditions and settings of every step that will run if all goes well.

    Args:
        loaded: the steps; a single one is checked as it runs.
        context: of the run; nothing of it changes.
        push: whether images are pushed; if not, other steps than those that build do nothing.

    Raises:
        SettingsError: of the first step that cannot be run.
    """
    if len(loaded.steps) == 1:
        return
    dry = replace(context, dry=True, log=RunLog())

    def check(step: Step) -> Outcome:
        if push or (step.kind and step.kind.builds):
            evaluate(step, dry.facts, push=push)
        return Outcome(step, "succeeded")

    with dry:
        raise_failure(Walk(check, dry.facts, planned=True).over(loaded.tree), ())
