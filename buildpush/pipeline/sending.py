"""Sends the builds that several steps of a run publish, at its end."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from buildpush.foundation.errors import BuildPushError, SettingsError
from buildpush.foundation.events import Note
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.finishing import as_pushed, finish_command, trust_flags
from buildpush.pipeline.run_builds import RunBuild
from buildpush.pipeline.tools import open_artifactory
from buildpush.settings.resolved import ResolvedStep

if TYPE_CHECKING:
    from buildpush.artifactory import Artifactory
    from buildpush.artifactory.pending import Pending


def send_builds(context: RunContext) -> BuildPushError | None:
    """Send the builds that wait, and return the first error; the others are notes.

    The results of the steps of a build that could not be sent do not name it any longer.
    """
    errors = [error for build in context.builds.take_deferred() if (error := _error_of(build, context))]
    for error in errors[1:]:
        context.log(Note(f"{error}; {error.hint}"))
    return errors[0] if errors else None


def _error_of(build: RunBuild, context: RunContext) -> BuildPushError | None:
    try:
        _send(build, context)
    except BuildPushError as error:
        _name_no_longer(build, context)
        return error
    finally:
        build.close()
    return None


def _name_no_longer(build: RunBuild, context: RunContext) -> None:
    started = build.pending.info.started if build.pending else None
    for at, result in enumerate(context.results):
        if result.published and result.published.started == started:
            context.results[at] = replace(result, published=None)


def _send(build: RunBuild, context: RunContext) -> None:
    from buildpush.artifactory import publish

    pending, order = build.pending, build.order
    if not pending or not order:
        return
    hosts, server = context.hosts_of(order), _server(order, context)
    info = pending.info
    for old, new in build.renamed:
        context.log(Note(f"several images of the build {info.name} {info.number} are named {old}: one is {new} there"))
    with context.log.phase("publish", f"{info.name} {info.number}"), hosts.interruptible():
        if not pending.pushed:
            info = as_pushed(info, server, hosts.registry, context.log)
        finish = finish_command(server, tuple(trust_flags(order, server.host)))
        publish(
            info,
            server,
            directory=context.pending,
            sink=context.log,
            finish=finish,
            fresh=pending.pushed,
            exists=order.build.exists,
        )
    build.close(remove=True)


def leave_builds(context: RunContext) -> None:
    """Leave the builds that wait to the next run, or to a command, which a note names."""
    for build in context.builds.take_deferred():
        if (pending := build.pending) and (order := build.order):
            build.close()
            words = f"the build-info {pending.info.name} {pending.info.number} is not published"
            context.log(Note(f"{words}; {_command_to_publish(build.path, pending, order, context)}"))


def _command_to_publish(path: Path | None, pending: Pending, order: ResolvedStep, context: RunContext) -> str:
    from buildpush.artifactory.pending import save

    try:
        path = path or save(pending, context.pending)
    except (OSError, SettingsError) as error:
        return f"it cannot be saved either: {error}"
    server = _server(order, context)
    command = finish_command(server, tuple(trust_flags(order, server.host)))
    return f"to publish what was pushed, run {shlex.join([*command, str(path)])}"


def _server(order: ResolvedStep, context: RunContext) -> Artifactory:
    hosts = context.hosts_of(order)
    assert order.artifactory  # noqa: S101 - the order publishes
    return open_artifactory(order.artifactory, hosts.http, hosts.keychain, context.log)
