"""Checks before a run: what can be known of all steps is checked before the first of them does anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from buildpush.foundation.errors import SettingsError
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.fetched_contexts import STDIN
from buildpush.pipeline.loops import is_in_loop
from buildpush.pipeline.record import Resumed
from buildpush.pipeline.runlog import RunLog
from buildpush.settings.kinds import TRUE
from buildpush.settings.tree import Loaded, Step


def check_ahead(loaded: Loaded, context: RunContext, *, push: bool, earlier: Resumed | None = None) -> int:
    """Plan every step that will run if all goes well, and return their number.

    Args:
        loaded: the steps; a single one is checked as it runs.
        context: of the run; nothing of it changes.
        push: as for :func:`plan_steps`.
        earlier: as for :func:`plan_steps`.

    Raises:
        BuildPushError: of the first step that cannot be run, or whose push another iteration would overwrite.
    """
    if len(loaded.steps) == 1 and not is_in_loop(loaded.tree):
        return 1
    from buildpush.pipeline.plan import Plan  # a single step does without
    from buildpush.pipeline.planning import plan_steps

    with replace(context, log=RunLog()) as silent:
        plans = plan_steps(loaded, silent, push=push, earlier=earlier, before_run=True)
    context.builds.expect(
        one.order if isinstance(one, Plan) else None for one in plans if isinstance(one, Plan) or one.waits
    )
    steps = [one.step for one in plans if isinstance(one, Plan) or one.waits]
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
