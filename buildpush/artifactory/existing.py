"""Runs of a build that have the number of the one that is to be published: refused, added to, or replaced."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal, TypeAlias

from buildpush.artifactory.answers import PublishedRun
from buildpush.artifactory.client import Artifactory, RefusedError
from buildpush.artifactory.document import BuildInfo, check_identity, milliseconds, started_from
from buildpush.artifactory.retention import delete
from buildpush.foundation.errors import BuildInfoError, BuildPushError, SettingsError, UnreachableError
from buildpush.foundation.events import Note, Sink, ignore

_FORBIDDEN: Final = 403
_SERVER_ERROR: Final = 500
# What follows if a build has runs of the same number: one more run, none, or one in place of them.
IfExists: TypeAlias = Literal["add", "refuse", "replace"]
_HINT: Final = "choose another build_number, or set build_exists to add or replace"


def check_publish(
    client: Artifactory,
    name: str,
    number: str,
    *,
    project: str = "",
    exists: IfExists = "add",
    started: datetime | None = None,
    sink: Sink = ignore,
) -> None:
    """Check in advance what can be checked for a later :func:`publish`.

    Artifactory offers no way to find out whether an ordinary account may publish. So only two things are checked:
    whether it accepts the credentials, and whether this name and number exist already. An account that may not read
    may still be able to publish.

    Args:
        client: the Artifactory.
        name: of the build.
        number: of the run.
        project: key of the JFrog project.
        exists: what follows if there are runs of that number.
        started: of the run itself, which may have been published before.
        sink: gets a note if there are.

    Raises:
        SettingsError: Artifactory would refuse the name or number, or the server is not an Artifactory; or there are
            runs of that number, or this cannot be found out, and *exists* is ``refuse``.
        AuthenticationError: the credentials are refused.
        UnreachableError: there is no answer, or the answer is an error of the server.
    """
    check_identity("name", name)
    check_identity("number", number)
    try:
        runs = client.runs(name, project=project)
    except BuildInfoError as error:
        if not is_forbidden(error):
            raise _as_early_error(error) from error
        unknown = f"{client.host} does not say whether build {name} {number} was published before: {error}"
        if exists == "refuse":
            raise SettingsError(unknown, hint=_HINT, setting="build_exists") from error
        sink(Note(unknown))
        return
    if found := _runs_before(runs, number, started):
        if exists == "refuse":
            message = f"build {name} {number} {found}"
            raise SettingsError(message, hint=_HINT, setting="build_exists")
        follows = "this becomes one more run of it" if exists == "add" else "this replaces it"
        sink(Note(f"build {name} {number} {found}; {follows}"))


def _runs_before(runs: Iterable[PublishedRun], number: str, started: datetime | None) -> str:
    """Return in words which of *runs* have that number, other than the one that began at *started*; empty for none."""
    ours = milliseconds(started) if started else None
    starts = [(run.started, started_from(run.started)) for run in runs if run.number == number]
    earlier = [text for text, start in starts if start is None or milliseconds(start) != ours]
    times = f"{len(earlier)} times, last" if len(earlier) > 1 else "once,"
    return f"was published before ({times} at {earlier[0]})" if earlier else ""


def _as_early_error(error: BuildInfoError) -> BuildPushError:
    """Return *error* with a class for the time before a push; its own class would mean that the image is pushed."""
    status = error.status if isinstance(error, RefusedError) else 0
    kind = UnreachableError if status >= _SERVER_ERROR else SettingsError
    hint = error.hint or "check the address of Artifactory, or set publish_build_info: no"
    return kind(str(error), hint=hint, setting="artifactory_url")


def make_room(info: BuildInfo, client: Artifactory, exists: IfExists, sink: Sink) -> None:
    """Refuse to add a run to others of its number, or delete those, if *exists* says so.

    They are deleted right before the document is sent, since a request for a number may delete any run that has it.

    Raises:
        BuildInfoError: there are others, and *exists* is ``refuse``; or they cannot be deleted.
    """
    if exists == "add":
        return
    found = _runs_before(client.runs(info.name, project=info.project), info.number, info.started)
    if found and exists == "refuse":
        message = f"build {info.name} {info.number} {found}"
        raise BuildInfoError(message, hint="to add it, set build_exists to add", setting="build_exists")
    if found:
        gone = delete(client, info.name, [info.number], project=info.project)
        runs = f"{len(gone)} runs" if len(gone) > 1 else "the run"
        sink(Note(f"{runs} of build {info.name} {info.number} before this {'are' if len(gone) > 1 else 'is'} deleted"))


def is_forbidden(error: BuildInfoError) -> bool:
    """Return whether the server refused because the account may not do it."""
    return isinstance(error, RefusedError) and error.status == _FORBIDDEN
