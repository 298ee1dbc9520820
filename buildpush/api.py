"""What importers and notebooks call: a step file, keywords, or both in, or an image that is there; a result out.

Each function loads what it needs: who only pushes waits neither for the settings nor for the engines.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildpush.foundation.errors import SettingsError
from buildpush.pipeline.context import RunContext

if TYPE_CHECKING:
    from datetime import timedelta

    from buildpush.foundation.events import Sink
    from buildpush.foundation.secrets import Secret
    from buildpush.pipeline.plan import Plan
    from buildpush.pipeline.results import RunResult
    from buildpush.settings.tree import Loaded, Step

Name = str | Path | None


def load(
    file: Name = None,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Name = None,
    step: str | None = None,
    **settings: Any,
) -> Loaded:
    """Return the steps of *file* with everything that was said about them, and who said it.

    Args:
        file: a step file or pipeline; without one, the keywords make a step.
        env: variables to read instead of the process's own.
        cwd: folder that relative paths start from; the process's own if not given.
        step: identifier of the only step that is wanted.
        settings: settings by their Python names; they beat variables, and those the file.

    Raises:
        SettingsError: something cannot be read or is said twice; the message says where.
    """
    from buildpush.settings.sources import read

    context = _context(env, cwd, None, None, None)
    return read(_path(file), env=context.env, flags={}, keywords=settings, cwd=context.cwd, step=step)


def run(
    file: Name = None,
    *,
    connectors: Name = None,
    secrets: Name = None,
    variables: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Name = None,
    step: str | None = None,
    strict: bool = False,
    sink: Sink | None = None,
    **settings: Any,
) -> RunResult:
    """Build, push and publish one step, and return what the registry and Artifactory confirmed.

    Args:
        file: as for :func:`load`.
        connectors: file of connectors and secret references.
        secrets: folder with one file per secret.
        variables: what expressions may ask for.
        env: as for :func:`load`.
        cwd: as for :func:`load`.
        step: as for :func:`load`.
        strict: fail where a note would be given.
        sink: told what happens; in a notebook the cell shows it, elsewhere nothing does.
        settings: as for :func:`load`.

    Raises:
        BuildPushError: the first thing that failed.
        KeyboardInterrupt: the cell or program was interrupted; the run has cleaned up after itself.
    """
    from buildpush.pipeline.step import run_steps

    loaded = load(file, env=env, cwd=cwd, step=step, **settings)
    _one(loaded)
    with _watched(_context(env, cwd, connectors, secrets, variables), sink) as context:
        return run_steps(_noting(loaded, context), context, strict=strict)[0]


def build(
    file: Name = None,
    *,
    output: str | None = None,
    connectors: Name = None,
    secrets: Name = None,
    variables: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Name = None,
    step: str | None = None,
    sink: Sink | None = None,
    **settings: Any,
) -> RunResult:
    """Build one step without a push, into *output* (any destination of :func:`copy`) if it is given.

    Arguments and errors are those of :func:`run`.
    """
    from buildpush.pipeline.step import run_steps

    loaded = load(file, env=env, cwd=cwd, step=step, **settings)
    _one(loaded)
    with _watched(_context(env, cwd, connectors, secrets, variables), sink) as context:
        return run_steps(_noting(loaded, context), context, push=False, output=output)[0]


def push(
    source: str,
    *references: str,
    compression: str | None = None,
    media_types: str | None = None,
    platform: str | None = None,
    referrers: bool = False,
    allow_nondistributable_artifacts: bool = False,
    connectors: Name = None,
    connector_ref: str | None = None,
    secrets: Name = None,
    username: str | None = None,
    password: Secret | str | None = None,
    insecure: Sequence[str] = (),
    timeout: timedelta | str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Name = None,
    sink: Sink | None = None,
) -> RunResult:
    """Push the image or index at *source*, and let every one of *references* name it.

    What came with a manifest arrives byte for byte, unless *compression* or *media_types* changes it.

    Args:
        source: such as ``docker-daemon:app:1``; see :func:`copy`.
        references: ``HOST/REPOSITORY:TAG``; all tags of a repository come from one upload.
        compression: ``gzip``, ``zstd`` or ``none``, for layers that are not compressed yet.
        media_types: ``oci`` or ``docker``, of the manifest.
        platform: ``OS/ARCHITECTURE`` of the only image of an index that is wanted.
        referrers: whether what is said about the image goes with it: signatures, SBOMs, attestations.
        allow_nondistributable_artifacts: whether layers go along whose media type says that they are fetched from their
            maker, such as those of Windows; without it the manifest alone names them.
        connectors: file of connectors; each counts for its own host.
        connector_ref: the only connector to use.
        secrets: folder with one file per secret.
        username: at the registry that is written to.
        password: a ``Secret``, or where it is: ``env:NAME``, ``file:PATH``.
        insecure: hosts spoken to with TLS and no look at the certificate, or without TLS where they speak none.
        timeout: after which the call is ended, such as ``10m``; in another thread than the main one, it ends requests.
        env: variables to read instead of the process's own.
        cwd: folder that files and folders count from.
        sink: told what happens; in a notebook the cell shows it, elsewhere nothing does.

    Raises:
        TimeOutError: *timeout* was reached; the message says which references stand.
        BuildPushError: the first thing that failed; the message says which references stand.
        KeyboardInterrupt: the cell or program was interrupted.
    """
    from buildpush.pipeline import images as moving
    from buildpush.pipeline.options import CopyOptions

    options = CopyOptions(
        compression=compression,
        media_types=media_types,
        platform=platform,
        referrers=referrers,
        allow_nondistributable_artifacts=allow_nondistributable_artifacts,
        connector_ref=connector_ref,
        username=username,
        password=password,
        insecure=insecure,
        timeout=timeout,
    )
    with _watched(_context(env, cwd, connectors, secrets, None), sink) as context:
        return moving.push(source, references, options, context)


def copy(
    source: str,
    goal: str,
    *,
    compression: str | None = None,
    media_types: str | None = None,
    platform: str | None = None,
    referrers: bool = False,
    allow_nondistributable_artifacts: bool = False,
    connectors: Name = None,
    connector_ref: str | None = None,
    secrets: Name = None,
    username: str | None = None,
    password: Secret | str | None = None,
    insecure: Sequence[str] = (),
    timeout: timedelta | str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Name = None,
    sink: Sink | None = None,
) -> RunResult:
    """Copy the image or index at *source* to *goal*.

    Both are one of ``docker://HOST/REPOSITORY:TAG``, ``docker-daemon:IMAGE``, ``docker-archive:FILE[:REFERENCE]``,
    ``oci:DIRECTORY[:TAG]`` and ``oci-archive:FILE[:TAG]``.
    The other arguments and the errors are those of :func:`push`.
    """
    from buildpush.pipeline import images as moving
    from buildpush.pipeline.options import CopyOptions

    options = CopyOptions(
        compression=compression,
        media_types=media_types,
        platform=platform,
        referrers=referrers,
        allow_nondistributable_artifacts=allow_nondistributable_artifacts,
        connector_ref=connector_ref,
        username=username,
        password=password,
        insecure=insecure,
        timeout=timeout,
    )
    with _watched(_context(env, cwd, connectors, secrets, None), sink) as context:
        return moving.copy(source, goal, options, context)


def merge(
    reference: str,
    *sources: str,
    media_types: str | None = None,
    allow_nondistributable_artifacts: bool = False,
    connectors: Name = None,
    connector_ref: str | None = None,
    secrets: Name = None,
    username: str | None = None,
    password: Secret | str | None = None,
    insecure: Sequence[str] = (),
    timeout: timedelta | str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Name = None,
    sink: Sink | None = None,
) -> RunResult:
    """Make one index of the images at *sources*, one for each platform, and let *reference* name it.

    *sources* are written as for :func:`copy`; *media_types* are ``oci`` or ``docker``, of the index.
    The other arguments and the errors are those of :func:`push`.
    """
    from buildpush.pipeline import images as moving
    from buildpush.pipeline.options import CopyOptions

    options = CopyOptions(
        media_types=media_types,
        allow_nondistributable_artifacts=allow_nondistributable_artifacts,
        connector_ref=connector_ref,
        username=username,
        password=password,
        insecure=insecure,
        timeout=timeout,
    )
    with _watched(_context(env, cwd, connectors, secrets, None), sink) as context:
        return moving.merge(reference, sources, options, context)


def tag(
    reference: str,
    *tags: str,
    connectors: Name = None,
    connector_ref: str | None = None,
    secrets: Name = None,
    username: str | None = None,
    password: Secret | str | None = None,
    insecure: Sequence[str] = (),
    timeout: timedelta | str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Name = None,
    sink: Sink | None = None,
) -> RunResult:
    """Give the image or index that *reference* names more *tags* in its repository; no blob moves.

    The other arguments and the errors are those of :func:`push`.
    """
    from buildpush.pipeline import images as moving
    from buildpush.pipeline.options import CopyOptions

    options = CopyOptions(
        connector_ref=connector_ref, username=username, password=password, insecure=insecure, timeout=timeout
    )
    with _watched(_context(env, cwd, connectors, secrets, None), sink) as context:
        return moving.tag(reference, tags, options, context)


def check(
    file: Name = None,
    *,
    connectors: Name = None,
    secrets: Name = None,
    variables: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Name = None,
    step: str | None = None,
    **settings: Any,
) -> Plan:
    """Return what :func:`run` would do with the same arguments; nothing is done and no host is asked."""
    from dataclasses import replace

    from buildpush.pipeline.plan import plan

    context = _context(env, cwd, connectors, secrets, variables)
    loaded = _noting(load(file, env=env, cwd=cwd, step=step, **settings), context)
    made = plan(_one(loaded), context)
    return replace(made, notes=(*loaded.notes, *made.notes))


def _noting(loaded: Loaded, context: RunContext) -> Loaded:
    from buildpush.settings.lookups import noting

    return noting(loaded, context.variables, context.secrets_directory, context.connectors_file)


def _one(loaded: Loaded) -> Step:
    if len(loaded.steps) == 1:
        return loaded.steps[0]
    names = ", ".join(step.identifier for step in loaded.steps)
    message = f"the file has {len(loaded.steps)} steps, and one is wanted"
    raise SettingsError(message, hint=f"add step= with one of {names}")


def _path(name: Name) -> Path | None:
    return None if name is None else Path(name)


def _context(
    env: Mapping[str, str] | None,
    cwd: Name,
    connectors: Name,
    secrets: Name,
    variables: Mapping[str, str] | None,
) -> RunContext:
    folder = _path(cwd)
    return RunContext.default(
        env=env,
        cwd=folder.absolute() if folder else None,
        connectors=_path(connectors),
        secrets=_path(secrets),
        variables=variables,
    )


@contextmanager
def _watched(context: RunContext, sink: Sink | None) -> Iterator[RunContext]:
    from buildpush.display.notebook import in_ipython
    from buildpush.foundation.events import ignore

    shown = None if sink else in_ipython(sys.stdout)
    try:
        yield context.watched(sink or shown or ignore)
    finally:
        if shown:
            shown.close()
