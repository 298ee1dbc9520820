"""From a build-info to a published one: properties on the files, the document, and a look at what arrived."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from buildpush.artifactory.buildinfo import describe
from buildpush.artifactory.client import Artifactory, FileFacts, Home, RefusedError, likely_home
from buildpush.artifactory.document import Artifact, BuildInfo, BuildRecord, Dependency, Module, check_identity
from buildpush.errors import (
    AuthenticationError,
    BuildInfoError,
    BuildPushError,
    CancelledError,
    SettingsError,
    TimeOutError,
    UnreachableError,
)
from buildpush.events import Note, Sink, ignore
from buildpush.images.model import PushedImage, PushedIndex
from buildpush.images.references import Digest
from buildpush.secrets import redact
from buildpush.state import private_folder, write_private

WORKERS = 4
_FORBIDDEN, _SERVER_ERROR = 403, 500
FINISH = ("buildpush", "build-info", "publish")
# What was just pushed may take a moment to be found: 16 s in all.
PATIENCE = (0.25, 0.75, 1.0, 2.0, 4.0, 8.0)

Sleep = Callable[[float], None]
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Published:
    """A build-info that the server has, as it was read back.

    Attributes:
        url: page that shows it to people.
    """

    url: str
    name: str
    number: str
    started: datetime


def check_publish(client: Artifactory, name: str, number: str, *, project: str = "", sink: Sink = ignore) -> None:
    """Check before building what can be checked of a later :func:`publish`.

    Artifactory offers no way to ask an ordinary account for its right to publish; what is seen is that it takes the
    credentials, lets us read builds, and whether this name and number is there already.

    Raises:
        SettingsError: Artifactory would refuse the name or number, *again* is false and this number was published
            before, or what answers there is no Artifactory.
        AuthenticationError: the credentials are refused, or may not read builds.
        UnreachableError: there is no answer, or one that says the server is out of order.
    """
    check_identity("name", name)
    check_identity("number", number)
    try:
        runs = client.runs(name, project=project)
    except BuildInfoError as error:
        raise _beforehand(error) from error
    earlier = [run.started for run in runs if run.number == number]
    if earlier:
        times = f"{len(earlier)} times, last" if len(earlier) > 1 else "once,"
        text = f"build {name} {number} was published before ({times} at {earlier[0]}); this becomes one more run of it"
        sink(Note(text))


def _beforehand(error: BuildInfoError) -> BuildPushError:
    """Return *error* as what it is before anything is pushed, since its own class says that the image is there."""
    status = error.status if isinstance(error, RefusedError) else 0
    if status == _FORBIDDEN:
        return AuthenticationError(str(error), hint=error.hint, setting="artifactory_url")
    kind = UnreachableError if status >= _SERVER_ERROR else SettingsError
    hint = error.hint or "check the address of Artifactory; without build-info: publish_build_info: no"
    return kind(str(error), hint=hint, setting="artifactory_url")


def publish(
    info: BuildInfo,
    client: Artifactory,
    *,
    folder: Path,
    sink: Sink = ignore,
    finish: Sequence[str] = FINISH,
    sleep: Sleep = time.sleep,
) -> Published:
    """Publish *info* and return where it can be seen.

    Checksums that the receipt did not have are asked from the server; every file gets ``build.name``,
    ``build.number`` and ``build.timestamp``; then comes the document, which is read back and compared.
    The same run can be published again: it replaces itself.

    Args:
        info: as :func:`describe` gives it, or as it was saved.
        client: the Artifactory that has the files.
        folder: where the document is kept if it cannot be published.
        sink: told where the document was saved, if the run is cancelled.
        finish: the command that finishes it later, without the file's name.
        sleep: waits so many seconds.

    Raises:
        SettingsError: Artifactory would refuse the build's name or number.
        BuildInfoError: whatever went wrong, after the document was saved; the hint is the command that finishes it.
        CancelledError, TimeOutError: as they came, after the document was saved.
    """
    check_identity("name", info.name)
    check_identity("number", info.number)
    try:
        whole = complete(info, client, sleep=sleep)
        mark(whole, client, sleep=sleep)
        page = client.build_page(whole)  # may ask the server: not once it has the document
        store(whole, client)
        compare(whole, client, sleep=sleep)
        return Published(page, whole.name, whole.number, whole.started)
    except (CancelledError, TimeOutError, KeyboardInterrupt):
        sink(Note(f"the build-info is not published; {_way_on(info, folder, finish)}"))
        raise
    except BuildPushError as error:
        raise _unpublished(error, info, folder, finish) from error


def publish_push(
    pushed: PushedImage | PushedIndex,
    record: BuildRecord,
    client: Artifactory,
    *,
    folder: Path,
    base: Collection[Digest] = (),
    sink: Sink = ignore,
    finish: Sequence[str] = FINISH,
    sleep: Sleep = time.sleep,
) -> Published:
    """Find where Artifactory keeps *pushed*, describe it, and :func:`publish` that.

    Where the server cannot even be asked for the repository, the document is saved with the repository key that the
    registry named, or else the first part of the path.
    *base* is as for :func:`describe`; the other arguments are as for :func:`publish`.

    Raises:
        BuildInfoError, CancelledError, TimeOutError: as :func:`publish` does.
    """
    repository, told = pushed.references[0].repository, pushed.repository_key
    try:
        home = client.locate(repository, told)
    except (BuildPushError, KeyboardInterrupt) as error:
        info = _described(pushed, record, likely_home(repository, told), base)
        if isinstance(error, CancelledError | TimeOutError | KeyboardInterrupt):
            sink(Note(f"the build-info is not published; {_way_on(info, folder, finish)}"))
            raise
        raise _unpublished(error, info, folder, finish) from error
    info = _described(pushed, record, home, base)
    return publish(info, client, folder=folder, sink=sink, finish=finish, sleep=sleep)


def _described(
    pushed: PushedImage | PushedIndex, record: BuildRecord, home: Home, base: Collection[Digest]
) -> BuildInfo:
    return describe(pushed, record, repository_key=home.repository_key, prefix=home.prefix, base=base)


# ---- the four acts


def complete(info: BuildInfo, client: Artifactory, *, sleep: Sleep = time.sleep) -> BuildInfo:
    """Return *info* with every checksum; the server is asked only for those that are missing, once per digest.

    Raises:
        BuildInfoError: the server does not have a file, or has another one there.
    """
    # Folders of several tags hold the same blobs: the first place stands for all.
    asked: dict[str, Artifact] = {}
    for artifact in info.artifacts:
        if artifact.sha256 and not (artifact.sha1 and artifact.md5):
            asked.setdefault(artifact.sha256, artifact)
    wanted = list(asked.values())
    found = patiently(lambda artifact: client.file(artifact.repository, artifact.path), wanted, sleep)
    facts = {a.sha256: _checked(a, told, client) for a, told in zip(wanted, found, strict=True)}
    return replace(info, modules=tuple(_completed(module, facts) for module in info.modules))


def _checked(artifact: Artifact, facts: FileFacts | None, client: Artifactory) -> FileFacts:
    if facts is None:
        raise _not_there(artifact, client)
    if facts.sha256 != artifact.sha256:
        message = f"{client.host} has another file at {artifact.repository}/{artifact.path}: sha256 {facts.sha256}"
        raise BuildInfoError(message, hint="was the tag pushed by somebody else at the same time?")
    return facts


def _completed(module: Module, facts: dict[str, FileFacts]) -> Module:
    artifacts = tuple(_with_checksums(artifact, facts) for artifact in module.artifacts)
    dependencies = tuple(_with_checksums(dependency, facts) for dependency in module.dependencies)
    return replace(module, artifacts=artifacts, dependencies=dependencies)


_File = TypeVar("_File", Artifact, Dependency)


def _with_checksums(file: _File, facts: dict[str, FileFacts]) -> _File:
    told = facts.get(file.sha256)
    return replace(file, sha1=told.sha1, md5=told.md5) if told else file


def mark(info: BuildInfo, client: Artifactory, *, sleep: Sleep = time.sleep) -> None:
    """Set the three properties that tie a file to its build, on every file, folders left alone.

    Raises:
        BuildInfoError: the server does not have a file, or the account may not annotate it.
    """
    properties = {
        "build.name": info.name,
        "build.number": info.number,
        "build.timestamp": str(info.timestamp),
    }
    files = [artifact for artifact in info.artifacts if artifact.repository and artifact.path]
    found = patiently(lambda file: client.set_properties(file.repository, file.path, properties), files, sleep)
    for file, there in zip(files, found, strict=True):
        if not there:
            raise _not_there(file, client)


def store(info: BuildInfo, client: Artifactory) -> None:
    """Store the document; where the server says no, look first whether it has it all the same.

    Some servers answered 400 or 409 to a document that they kept.
    """
    try:
        client.put_build(info)
    except RefusedError as error:
        if error.status == _FORBIDDEN or _read_back(info, client) is None:
            raise


_FORBIDDEN = 403


def compare(info: BuildInfo, client: Artifactory, *, sleep: Sleep = time.sleep) -> None:
    """Read the run back and compare its modules, and the digests of their files.

    Raises:
        BuildInfoError: the server does not have the run, or has something else.
    """
    [stored] = patiently(lambda sent: _read_back(sent, client), [info], sleep)
    if stored is None:
        message = f"{client.host} took the build-info and does not have it"
        raise BuildInfoError(message)
    difference = first_difference(info.modules, stored.modules)
    if difference:
        message = f"{client.host} keeps another build-info than was sent: {difference}"
        raise BuildInfoError(message)


def _read_back(info: BuildInfo, client: Artifactory) -> BuildInfo | None:
    stored = client.get_build(info.name, info.number, info.started, project=info.project)
    # Some servers answer with the newest run where the one that was asked for is not there.
    return stored if stored and stored.timestamp == info.timestamp else None


def first_difference(sent: Sequence[Module], stored: Sequence[Module]) -> str | None:
    """Return in words the first difference between two lists of modules, whatever their order, or ``None``."""
    there = {module.id: module for module in stored}
    for module in sent:
        other = there.get(module.id)
        if other is None:
            return f"module {module.id} is missing"
        if _digests(other) != _digests(module):
            counts = f"{len(other.artifacts)} artifacts, sent were {len(module.artifacts)}"
            return f"module {module.id} does not have the same files ({counts})"
    return f"{len(stored)} modules instead of {len(sent)}" if len(stored) != len(sent) else None


def _digests(module: Module) -> list[tuple[str, str, str]]:
    artifacts = [("artifact", artifact.path, artifact.sha256) for artifact in module.artifacts]
    return sorted([*artifacts, *(("dependency", d.id, d.sha256) for d in module.dependencies)])


def _not_there(artifact: Artifact, client: Artifactory) -> BuildInfoError:
    message = f"{client.host} does not have {artifact.repository}/{artifact.path}, which was pushed"
    hint = "is it pushed to this Artifactory? A virtual repository must be given by the local one behind it"
    return BuildInfoError(message, hint=hint, setting="artifactory_url")


# ---- patience and parallelism


def patiently(ask: Callable[[T], R], things: Sequence[T], sleep: Sleep) -> list[R]:
    """Return what *ask* answers to each of *things*, in order; where it is nothing, ask again, for 16 s at most."""
    answers = side_by_side(ask, things)
    for seconds in PATIENCE:
        late = [place for place, answer in enumerate(answers) if not answer]
        if not late:
            break
        sleep(seconds)
        for place, answer in zip(late, side_by_side(ask, [things[place] for place in late]), strict=True):
            answers[place] = answer
    return answers


def side_by_side(act: Callable[[T], R], things: Sequence[T]) -> list[R]:
    """Return what *act* makes of each of *things*, in order, four at a time; the first error ends it."""
    if len(things) == 1:
        return [act(things[0])]
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="artifactory")
    patient = True
    try:
        return list(pool.map(act, things))
    except KeyboardInterrupt:
        patient = False  # the owner of the connections cuts the requests under way
        raise
    finally:
        pool.shutdown(wait=patient, cancel_futures=True)


# ---- what cannot be published is kept


def save(info: BuildInfo, folder: Path) -> Path:
    """Write *info* into *folder*, for its owner only, whole or not at all, and return the file.

    The same run always has the same file.
    """
    private_folder(folder)
    words = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{info.project or 'default'}-{info.name}-{info.number}")[:120]
    path = folder / f"{words}-{info.timestamp}.json"
    write_private(path, json.dumps(info.document(), indent=2) + "\n")
    return path


def _way_on(info: BuildInfo, folder: Path, finish: Sequence[str]) -> str:
    """Save *info* and return the command that finishes it."""
    try:
        return shlex.join([*finish, str(save(info, folder))])
    except OSError as error:
        return f"nor can it be saved in {folder}: {error.strerror}"


def _unpublished(error: BuildPushError, info: BuildInfo, folder: Path, finish: Sequence[str]) -> BuildInfoError:
    advice = f" ({error.hint})" if error.hint else ""
    message = f"the image is pushed, its build-info {info.name} {info.number} is not published: {error}{advice}"
    return BuildInfoError(redact(message), hint=_way_on(info, folder, finish), setting=error.setting)
