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
from buildpush.pipeline.run_builds import RunBuild, ServerBuild, build_of
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
    _resume_build(order, context)
    try:
        if order.push and (delivery := Delivery.of_record(result.earlier or {})):
            for note in context.receipts.write(order.receipts, delivery.with_registry(order.settings)):
                context.log(Note(note))
    except BuildPushError as error:
        context.log(Note(f"the step {name} is not run again, and its receipt files are not written: {error}"))


def run_build(order: ResolvedStep, started: datetime, context: RunContext) -> RunBuild:
    """Return the build that the step of *order* publishes, which goes on with what a run that is resumed had of it.

    *started* is its start if neither an earlier step nor that run gives one: steps may begin in another order than
    they did then, so any of them may be the first.

    Raises:
        BuildPushError: Artifactory has its modules, and does not let us read them: they would be lost.
    """
    _resume_build(order, context)
    return context.builds.of(order, started)


def _resume_build(order: ResolvedStep, context: RunContext) -> None:
    """Let the build of *order* go on with the start and the modules that it has in the run that is resumed."""
    with context.builds.resuming:
        if started := context.builds.resumes(order):
            build = RunBuild(started, is_deferred=True, order=order)
            build.earlier, build.is_published = _earlier(order, started, context)
            if not build.is_published:
                with suppress(OSError, SettingsError):
                    build.keep(context.state.pending)  # so that no other run finishes it
            context.builds.resume(order, build)


def _earlier(order: ResolvedStep, started: datetime, context: RunContext) -> tuple[Pending | None, bool]:
    """Return what the earlier run had of a build, if anything, and whether it is published."""
    from buildpush.artifactory.pending import Pending

    if pending := _unsent(order, started, context):
        return pending, False
    assert order.artifactory  # noqa: S101 - the order publishes
    hosts = context.hosts_of(order)
    server = open_artifactory(order.artifactory, hosts.http, hosts.keychain, context.log)
    info = server.get_build(order.build.name, order.build.number, started, project=order.build.project)
    if info and info.started == started:
        return Pending(info, server.url), True
    name = f"the build-info {order.build.name} {order.build.number}"
    context.log(Note(f"{name} of the earlier run is neither on this machine nor in Artifactory: it begins anew"))
    return None, False


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
