"""Restores what a step of the resumed run, which is not run again, leaves to later steps."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from buildpush.foundation.errors import BuildPushError, SettingsError
from buildpush.foundation.events import Note
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.receipts import Delivery
from buildpush.pipeline.resolve import resolve_step
from buildpush.pipeline.results import RunResult
from buildpush.pipeline.run_builds import ServerBuild, build_of
from buildpush.pipeline.runlog import RunLog
from buildpush.pipeline.tools import open_artifactory
from buildpush.settings.resolved import ResolvedStep
from buildpush.settings.tree import Step

if TYPE_CHECKING:
    from buildpush.artifactory.pending import Pending


def recall(step: Step, result: RunResult, context: RunContext) -> None:
    """Give later steps the logins of *step*, and write its receipt files again from *result*."""
    name = step.name or step.identifier
    dry = replace(context, dry=True, log=RunLog())  # the logins are shared with the run
    try:
        with dry, ExitStack() as stack:
            order = resolve_step(step, dry, stack=stack)
    except BuildPushError as error:
        context.log(Note(f"the step {name} is not run again, and later steps do not have its logins: {error}"))
        return
    _resume_build(order, result, context)
    try:
        if order.push and (delivery := Delivery.of_record(result.earlier or {})):
            for note in context.receipts.write(order.receipts, delivery.with_registry(order.settings)):
                context.log(Note(note))
    except BuildPushError as error:
        context.log(Note(f"the step {name} is not run again, and its receipt files are not written: {error}"))


def _resume_build(order: ResolvedStep, result: RunResult, context: RunContext) -> None:
    """Let the build that the step published go on with its start and its modules.

    Raises:
        BuildPushError: Artifactory has them, and does not let us read them: they would be lost.
    """
    build = (result.earlier or {}).get("build") or {}
    if not build.get("started") or not order.artifactory:
        return
    from buildpush.artifactory.document import started_from
    from buildpush.artifactory.pending import Pending

    started = started_from(str(build["started"]))
    resumed = context.builds.resume(order, started) if started else None
    if not (started and resumed):
        return
    if pending := _unsent(order, started, context):
        resumed.earlier = pending
        with suppress(OSError, SettingsError):
            resumed.keep(context.state.pending)  # so that no other run finishes it
        return
    hosts = context.hosts_of(order)
    server = open_artifactory(order.artifactory, hosts.http, hosts.keychain, context.log)
    info = server.get_build(order.build.name, order.build.number, started, project=order.build.project)
    if info and info.started == started:
        resumed.earlier, resumed.is_published = Pending(info, server.url), True


def _unsent(order: ResolvedStep, started: datetime, context: RunContext) -> Pending | None:
    """Return what the earlier run has left of a build that it could not send."""
    from buildpush.artifactory.pending import left_behind

    try:
        directory = context.state.pending
    except SettingsError:  # without a state directory there is no file
        return None
    key = build_of(order)
    for _, pending in left_behind(directory):
        info = pending.info
        if key == ServerBuild(pending.server, info.project, info.name, info.number) and info.started == started:
            return pending
    return None
