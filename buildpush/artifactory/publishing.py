"""Publishes a build-info: sets the properties of the files, sends the document, and checks what arrived."""

from __future__ import annotations

import shlex
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from buildpush.artifactory.answers import FileFacts
from buildpush.artifactory.authorization import who
from buildpush.artifactory.buildinfo import describe
from buildpush.artifactory.client import Artifactory, RefusedError
from buildpush.artifactory.directories import Finding, Presence, is_same, with_actual_paths, with_checksums
from buildpush.artifactory.document import (
    Artifact,
    BuildInfo,
    BuildRecord,
    Module,
    check_identity,
)
from buildpush.artifactory.existing import IfExists, is_forbidden, make_room
from buildpush.artifactory.layout import Home, likely_home
from buildpush.artifactory.marking import AnnotationResult, annotate
from buildpush.artifactory.patience import PATIENCE, Sleep, ask_until, send_until_stored
from buildpush.artifactory.pending import Pending, save
from buildpush.foundation.errors import (
    BuildInfoError,
    BuildPushError,
    CancelledError,
    SettingsError,
    TimeOutError,
)
from buildpush.foundation.events import Note, Sink, ignore
from buildpush.foundation.parallel import in_parallel
from buildpush.foundation.records import dataclass
from buildpush.images.model import PushedImage, PushedIndex
from buildpush.images.references import Digest

FINISH: Final = ("buildpush", "build-info", "publish")


@dataclass(frozen=True, slots=True)
class Published:
    """A build-info that was published, and compared with what the server has.

    Attributes:
        url: of the page that shows it to people.
        project: key of the JFrog project that it belongs to; empty for none.
    """

    url: str
    name: str
    number: str
    started: datetime
    project: str = ""


def publish(
    info: BuildInfo,
    client: Artifactory,
    *,
    directory: Path | None,
    pushed: PushedImage | PushedIndex | None = None,
    sink: Sink = ignore,
    finish: Sequence[str] = FINISH,
    sleep: Sleep = time.sleep,
    fresh: bool = True,
    exists: IfExists = "add",
) -> Published:
    """Publish *info* and return where it can be seen.

    Every file that is still ours gets ``build.name``, ``build.number`` and ``build.timestamp``; checksums that the
    receipt does not have are requested from the server; then the document is sent, read back and compared.
    The same run can be published again, and replaces itself. A tag that now belongs to another image, a missing file,
    and an account that may not read give notes, not errors.

    Args:
        info: as :func:`describe` returns it, or as it was saved.
        client: the Artifactory that has the files.
        directory: where the document is saved if it cannot be published; ``None`` if the caller has it elsewhere.
        pushed: the image or index that was just pushed; it is an error if Artifactory has no repository for it.
        sink: gets notes about what differs from what was pushed and, if the run is cancelled, about where the document
            was saved.
        finish: the command that publishes it later, without the name of the file.
        sleep: waits for a number of seconds.
        fresh: whether the files were just pushed: then it waits for missing ones, and if none of them appears, they
            were pushed elsewhere, which is an error. Later, they may have been deleted.
        exists: what follows if there are other runs of that number.

    Raises:
        SettingsError: Artifactory would refuse the build's name or number.
        BuildInfoError: publishing failed, and the document was saved; the hint is the command that publishes it.
        CancelledError, TimeOutError: unchanged, after the document was saved.
    """
    check_identity("name", info.name)
    check_identity("number", info.number)
    try:
        if pushed:
            _locate(pushed, client)
        return _publish(info, client, sink, sleep, fresh=fresh, exists=exists)
    except (CancelledError, TimeOutError, KeyboardInterrupt):
        sink(Note(f"the build-info is not published; {_save_for_later(info, client, directory, finish)}"))
        raise
    except BuildPushError as error:
        raise _unpublished_error(error, info, client, directory, finish) from error


def _publish(
    info: BuildInfo, client: Artifactory, sink: Sink, sleep: Sleep, *, fresh: bool, exists: IfExists
) -> Published:
    annotated = annotate(info, client, sleep=sleep, waits=PATIENCE if fresh else ())
    if fresh and (missing := _missing(annotated)):
        raise _missing_error(missing, client)
    for text in _notes(annotated, client):
        sink(Note(text))
    whole = complete(with_actual_paths(info, annotated.findings), client, sink=sink)
    page = client.build_page(whole)  # this may need a request, so it comes before the document is sent
    make_room(whole, client, exists, sink)
    store(whole, client, sleep=sleep)
    compare(whole, client, sink=sink, sleep=sleep)
    return Published(page, whole.name, whole.number, whole.started, whole.project)


def _missing(annotated: AnnotationResult) -> Artifact | None:
    """Return a file that cannot be missing after a push: tags may move, but not digests, and not all tags at once."""
    bare = [(file.repository, file.path) for file in annotated.bare]
    heads = [
        finding.expected.head
        for finding in annotated.findings
        if (
            (finding.actual.head.repository, finding.actual.head.path) in bare
            if finding.actual
            else finding.presence is Presence.NOTHING
        )
    ]
    lost = [finding for finding in annotated.findings if finding.presence is Presence.NOTHING and not finding.actual]
    platforms = [finding.expected.head for finding in lost if finding.expected.is_named_by_digest]
    blobs = [file for finding in annotated.findings for file in finding.absent]
    every = heads if len(heads) == len(annotated.findings) else []
    return next(iter((*every, *platforms, *blobs)), None)


def _notes(annotated: AnnotationResult, client: Artifactory) -> Iterator[str]:
    """Yield sentences about what differs from what was pushed."""
    for finding in annotated.findings:
        if finding.presence in {Presence.THEIRS, Presence.NOTHING}:
            yield _move_note(finding)
    hidden = [
        finding for finding in annotated.findings if finding.presence is Presence.UNKNOWN and finding.actual is None
    ]
    if hidden:
        places = ", ".join(finding.expected.place for finding in hidden[:3]) + (" ..." if hidden[3:] else "")
        yield (
            f"{client.host} does not show {places} to {who(client.credential)}: the build-info names the files "
            "at their expected paths, which could not be checked, and they get no properties"
        )
    if annotated.bare:
        places = ", ".join(f"{file.repository}/{file.path}" for file in annotated.bare[:3])
        yield f"{client.host} does not find {len(annotated.bare)} of the files, so they get no properties: {places}"


def _move_note(finding: Finding) -> str:
    place = finding.expected.place
    words = (
        f"{place} is now another image" if finding.presence is Presence.THEIRS else f"{place} does not exist any more"
    )
    if finding.actual:
        return f"{words}; ours is at {finding.actual.place}, and the build-info names that"
    return f"{words}, and ours was not found; the build-info has its checksums, but no path"


def expected_build_info(
    pushed: PushedImage | PushedIndex, record: BuildRecord, client: Artifactory, base: Collection[Digest] = ()
) -> BuildInfo:
    """Return the build-info of *pushed*; if Artifactory does not say where it is, its path is guessed.

    Raises:
        CancelledError, TimeOutError: unchanged.
    """
    try:
        home = _locate(pushed, client)
    except (CancelledError, TimeOutError):
        raise
    except BuildPushError:
        home = likely_home(pushed.references[0].repository, pushed.repository_key)
    return describe(pushed, record, repository_key=home.repository_key, prefix=home.prefix, base=base)


def _locate(pushed: PushedImage | PushedIndex, client: Artifactory) -> Home:
    return client.locate(pushed.references[0].repository, pushed.repository_key)


# ---- the steps


def complete(info: BuildInfo, client: Artifactory, *, sink: Sink = ignore) -> BuildInfo:
    """Return *info* with every checksum that can be found; only missing ones are requested from the server."""
    # The directories of several tags contain the same blobs, so each is looked up only at its first path.
    artifacts: dict[str, Artifact] = {}
    incomplete = [a for a in info.artifacts if a.sha256 and not (a.sha1 and a.md5)]
    for artifact in incomplete:
        if artifact.repository and artifact.path:
            artifacts.setdefault(artifact.sha256, artifact)
    results = in_parallel(partial(_facts, client=client), list(artifacts.values()))
    facts = {sha256: file for sha256, file in zip(artifacts, results, strict=True) if file}
    missing = {a.sha256 for a in incomplete} - facts.keys()
    if missing:
        sink(
            Note(f"the build-info has no sha1 and md5 of {len(missing)} of the files: {client.host} does not give them")
        )
    return replace(info, modules=tuple(with_checksums(module, facts) for module in info.modules))


def _facts(artifact: Artifact, *, client: Artifactory) -> FileFacts | None:
    """Return the checksums of a file, if it is ours and may be read."""
    try:
        facts = client.file(artifact.repository, artifact.path)
    except RefusedError as error:
        if not is_forbidden(error):
            raise
        return None
    return facts if facts and is_same(artifact, facts) else None


def store(info: BuildInfo, client: Artifactory, *, sleep: Sleep = time.sleep) -> None:
    """Store the document; if that fails, check whether the server has it anyway, and send it again if not.

    Raises:
        RefusedError, UnreachableError: the last of three failures.
    """

    def is_there() -> bool:
        stored = _read_back(info, client)
        return stored is not None and first_difference(info.modules, stored.modules) is None

    send_until_stored(lambda: client.put_build(info), is_there, sleep)


def compare(info: BuildInfo, client: Artifactory, *, sink: Sink = ignore, sleep: Sleep = time.sleep) -> None:
    """Read the run back and compare its modules and the digests of their files; if it may not be read, print a note.

    Raises:
        BuildInfoError: the server does not have the run, or has something else.
    """
    try:
        [stored] = ask_until(lambda sent: [_read_back(one, client) for one in sent], [info], sleep)
    except RefusedError as error:
        if not is_forbidden(error):
            raise
        sink(Note(f"the build-info was accepted, but could not be read back and compared: {error}"))
        return
    if stored is None:
        message = f"{client.host} accepted the build-info but does not have it"
        raise BuildInfoError(message)
    difference = first_difference(info.modules, stored.modules)
    if difference:
        message = f"{client.host} has a different build-info than was sent: {difference}"
        raise BuildInfoError(message)


def _read_back(info: BuildInfo, client: Artifactory) -> BuildInfo | None:
    stored = client.get_build(info.name, info.number, info.started, project=info.project)
    # Some servers answer with the newest run if the requested one does not exist.
    return stored if stored and stored.timestamp == info.timestamp else None


def first_difference(sent: Sequence[Module], stored: Sequence[Module]) -> str | None:
    """Return in words the first difference between two lists of modules, in any order, or ``None``."""
    stored_modules = {module.id: module for module in stored}
    for module in sent:
        other = stored_modules.get(module.id)
        if other is None:
            return f"module {module.id} is missing"
        if _digests(other) != _digests(module):
            counts = f"{len(other.artifacts)} artifacts instead of {len(module.artifacts)}"
            return f"module {module.id} does not have the same files ({counts})"
    return f"{len(stored)} modules instead of {len(sent)}" if len(stored) != len(sent) else None


def _digests(module: Module) -> list[tuple[str, str, str]]:
    artifacts = [("artifact", artifact.path, artifact.sha256) for artifact in module.artifacts]
    return sorted([*artifacts, *(("dependency", d.id, d.sha256) for d in module.dependencies)])


def _missing_error(artifact: Artifact, client: Artifactory) -> BuildInfoError:
    message = f"{client.host} does not have {artifact.repository}/{artifact.path}, which was pushed"
    hint = "check that it is pushed to this Artifactory; if the repository is virtual, give the local one behind it"
    return BuildInfoError(message, hint=hint, setting="artifactory_url")


# ---- what cannot be published is saved


def _save_for_later(info: BuildInfo, client: Artifactory, directory: Path | None, finish: Sequence[str]) -> str:
    """Save *info* and return the command that publishes it, or why it cannot be saved."""
    if directory is None:
        return shlex.join(finish)
    try:
        return shlex.join([*finish, str(save(Pending(info, client.url), directory))])
    except (OSError, SettingsError) as error:
        return f"it cannot be saved either, in {directory}: {getattr(error, 'strerror', None) or error}"


def _unpublished_error(
    error: BuildPushError, info: BuildInfo, client: Artifactory, directory: Path | None, finish: Sequence[str]
) -> BuildInfoError:
    advice = f" ({error.hint})" if error.hint else ""
    are_images = any(module.type == "docker" for module in info.modules)
    done = "the image is pushed, but its" if are_images else "the files are uploaded, but their"
    message = f"{done} build-info {info.name} {info.number} is not published: {error}{advice}"
    return BuildInfoError(message, hint=_save_for_later(info, client, directory, finish), setting=error.setting)
