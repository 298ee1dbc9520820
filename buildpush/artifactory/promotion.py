"""Promotes a build: its files go to another repository, and it gets a status; what arrived is counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any, Final

from buildpush.artifactory.answers import Message
from buildpush.artifactory.client import Artifactory
from buildpush.artifactory.directories import is_same
from buildpush.artifactory.document import BuildInfo
from buildpush.display.tables import shows_itself
from buildpush.foundation.errors import BuildInfoError, SettingsError
from buildpush.foundation.events import Note, Sink, ignore
from buildpush.foundation.records import dataclass
from buildpush.foundation.text import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What a promotion does.

    Attributes:
        target: key of the repository that the files go to; ``""`` for a new status only.
        status: such as ``released``; any text. Without one, the history of the build gets no entry.
        source: key of the only repository that files are taken from; those in others stay, with a note.
        move: whether the files leave their repository; they are copied by default.
        dependencies: whether the files that the build used go as well.
        properties: set on the files in the target.
    """

    target: str = ""
    status: str = ""
    comment: str = ""
    source: str = ""
    move: bool = False
    dependencies: bool = False
    dry_run: bool = False
    properties: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def request(self, *, dry_run: bool, fail_fast: bool) -> dict[str, Any]:
        """Return the body of the request; with *fail_fast*, the server stops at a file that it does not find."""
        texts = {
            "status": self.status,
            "comment": self.comment,
            "sourceRepo": self.source,
            "targetRepo": self.target,
            "properties": {name: list(values) for name, values in self.properties.items()},
        }
        switches = {"copy": not self.move, "dependencies": self.dependencies, "dryRun": dry_run, "failFast": fail_fast}
        return {**{name: value for name, value in texts.items() if value}, **switches}


@shows_itself
@dataclass(frozen=True, slots=True)
class Promoted:
    """A build that was promoted, or, after a dry run, would be.

    Attributes:
        target: key of the repository that has the files now; the physical one behind a virtual one.
        files: how many of the build's files are there; ``None`` if the server does not list them.
        messages: of the server.
    """

    name: str
    number: str
    target: str
    status: str
    files: int | None
    messages: tuple[Message, ...]
    dry_run: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return {
            "name": self.name,
            "number": self.number,
            "target": self.target or None,
            "status": self.status or None,
            "files": self.files,
            "messages": [{"level": one.level, "message": one.text} for one in self.messages],
            "dryRun": self.dry_run,
        }

    def rows(self) -> list[tuple[str, str]]:
        """Return the facts as pairs of a label and a text."""
        return [("build", str(self)), *((one.level or "message", one.text) for one in self.messages)]

    def __str__(self) -> str:
        what = "would be promoted" if self.dry_run else "is promoted"
        target = f" to {self.target}" if self.target else ""
        status = f" with the status {self.status}" if self.status else ""
        count = "" if self.files is None else f": {self.files} files are there"
        return one_line(f"build {self.name} {self.number} {what}{target}{status}{count}")


def promote(
    client: Artifactory, name: str, number: str, promotion: Promotion, *, project: str = "", sink: Sink = ignore
) -> Promoted:
    """Promote the newest run of that number, and check that every file of it arrived.

    Before a move, the server is asked for a dry run: a move that stops half-way cannot be taken back.

    Raises:
        SettingsError: there is nothing to do, or no such run.
        BuildInfoError: the server refuses, or some of the files are not in the target afterwards.
    """
    if not promotion.target and not promotion.status:
        message = "a promotion needs a repository that the files go to, or a status"
        raise SettingsError(message, hint="name the repository, or add --status")
    info = _newest(client, name, number, project, sink)
    only = promotion.dry_run
    # The server does not find what is elsewhere; what should arrive is counted afterwards.
    all_there = not _left_out(info, promotion.source, sink)
    if promotion.move and not only:
        trial = promotion.request(dry_run=True, fail_fast=all_there)
        _check(client, client.promote(name, number, trial, project=project))
    messages = client.promote(name, number, promotion.request(dry_run=only, fail_fast=all_there), project=project)
    _check(client, messages)
    for one in messages if all_there else ():
        sink(Note(f"{client.host} says: {one.text}"))
    target = _physical(client, promotion.target)
    files = None if only or not target else _count(client, info, target, promotion.source, sink)
    return Promoted(name, number, target, promotion.status, files, messages, only)


def _newest(client: Artifactory, name: str, number: str, project: str, sink: Sink) -> BuildInfo:
    info = client.get_build(name, number, project=project)
    if info is None:
        message = f"{client.host} does not have the build {name} {number}"
        raise SettingsError(message, hint="buildpush build-info list shows what it has", setting="build_name")
    runs = [run for run in client.runs(name, project=project) if run.number == number]
    if len(runs) > 1:
        sink(Note(f"there are {len(runs)} runs with the number {number}; the one of {runs[0].started} is promoted"))
    return info


def _left_out(info: BuildInfo, source: str, sink: Sink) -> int:
    """Return how many files are in other repositories than *source*, and say so."""
    others = [file.repository for file in info.artifacts if source and file.repository not in ("", source)]
    if others:
        count = f"{len(others)} {'file' if len(others) == 1 else 'files'}"
        sink(Note(f"{count} in {', '.join(sorted(set(others)))}: not promoted, because only those in {source} are"))
    return len(others)


def _check(client: Artifactory, messages: Iterable[Message]) -> None:
    """Raise the errors among *messages*, which the server sends with status 200."""
    errors = [one.text for one in messages if one.level == "ERROR"]
    if errors:
        more = f" (and {len(errors) - 1} more)" if errors[1:] else ""
        message = f"{client.host} does not promote the build: {one_line(errors[0])}{more}"
        raise BuildInfoError(message)


def _physical(client: Artifactory, key: str) -> str:
    facts = client.repository(key) if key else None
    return (facts and facts.deploys_to) or key


def _count(client: Artifactory, info: BuildInfo, target: str, source: str, sink: Sink) -> int | None:
    """Return how many files of *info* are in *target*.

    Raises:
        BuildInfoError: not all of them.
    """
    moved = [file for file in info.artifacts if file.path and (not source or file.repository == source)]
    places = {file.path.rpartition("/")[0] for file in moved}
    lists = [client.files_below(target, directory) for directory in sorted(places)]
    if None in lists:
        sink(Note(f"{client.host} does not list the files of {target}, so those that arrived are not counted"))
        return None
    there = {file.path: file.facts for listed in lists for file in listed or ()}
    missing = [file for file in moved if file.path not in there or not is_same(file, there[file.path])]
    if missing:
        message = (
            f"{len(missing)} of {len(moved)} files of build {info.name} {info.number} are not in {target} after the "
            f"promotion: {', '.join(file.path for file in missing[:_SHOWN])}{' ...' if missing[_SHOWN:] else ''}"
        )
        hint = f"check that the files still exist, and the permission to deploy to {target}"
        raise BuildInfoError(message, hint=hint)
    return len(moved)


_SHOWN: Final = 3
