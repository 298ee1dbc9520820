"""The modules of one build, from several commands, jobs and machines: a directory that they are added to.

Each build has a directory of its own below the one that the user names (``--build-dir``). What is added is a file named
by its content, so directories from several machines are merged by reading them all.

::

    DIR/<hash of name, number, project>/started.json   the start of the build, written once
                                       /<hash>.json    what one command has added
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, Self

from buildpush.artifactory.document import BuildInfo, check_identity, started_from, started_text
from buildpush.artifactory.merging import renamed
from buildpush.artifactory.pending import Pending, load, merged
from buildpush.artifactory.reading import Reading, load_json
from buildpush.foundation.errors import SettingsError, SourceError
from buildpush.foundation.locks import locked, private_directory
from buildpush.foundation.records import dataclass
from buildpush.foundation.state import write_private

_STARTED: Final = "started.json"


class BuildKey(NamedTuple):
    """What identifies a build: its name and number, and the key of the JFrog project, or ``""``."""

    name: str
    number: str
    project: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.number}" + (f" of project {self.project}" if self.project else "")

    @property
    def directory(self) -> str:
        """The name of its directory."""
        return hashlib.sha256(json.dumps(self).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Collection:
    """The modules of one build, in a directory that is readable by its owner only.

    Attributes:
        path: of the directory.
        started: when the build began: the same for whatever is added.
    """

    key: BuildKey
    path: Path
    started: datetime

    @classmethod
    def open(cls, directory: Path, key: BuildKey, started: datetime) -> Self:
        """Return the collection of a build below *directory*; it is made if there is none.

        Args:
            directory: of the collections of all builds.
            key: of the build.
            started: of the build, if it has none yet.

        Raises:
            SettingsError: Artifactory would refuse the name or number, others may change the directory, or it cannot be
                made.
            SourceError: something else is in it.
        """
        check_identity("name", key.name)
        check_identity("number", key.number)
        path = directory / key.directory
        try:
            with _held(path):
                return cls(key, path, _started(path, key, started))
        except OSError as error:
            message = f"the directory {directory} cannot be written to: {error.strerror or error}"
            raise SettingsError(message, hint="name one that you may write to", setting="build_dir") from error

    def add(self, info: BuildInfo, *, server: str = "", pushed: bool = True) -> Path:
        """Add everything that *info* has, and return the file that has it; adding the same twice changes nothing.

        The name, number, project and start of *info* do not matter: it gets those of the collection.

        Args:
            info: the build-info.
            server: address of the Artifactory that has the files, if known.
            pushed: whether the registry confirmed the push; otherwise its outcome is unknown.

        Raises:
            OSError: it cannot be written.
        """
        name, number, project = self.key
        with _held(self.path):
            # The directory may have been published and removed since it was opened: it keeps its start.
            started = _started(self.path, self.key, self.started)
            ours = replace(info, name=name, number=number, project=project, started=started)
            text = json.dumps(Pending(ours, server, pushed).document(), indent=2) + "\n"
            file = self.path / f"{hashlib.sha256(text.encode()).hexdigest()}.json"
            write_private(file, text)
        return file

    def remove(self, files: Iterable[Path]) -> bool:
        """Remove *files*, which were published, and return whether the collection is empty now, and gone.

        What was added after they were read stays.
        """
        with _held(self.path):
            for file in files:
                file.unlink(missing_ok=True)
            is_empty = next(_files(self.path), None) is None
            if is_empty:
                shutil.rmtree(self.path)
        return is_empty


@dataclass(frozen=True, slots=True)
class Collected:
    """What the collections of one build had when they were read.

    Attributes:
        pending: everything in one build-info, with the earliest start.
        files: that it was read from, by collection.
        renamed: ids of modules that other images have as well, each with the new one.
    """

    pending: Pending
    files: tuple[tuple[Collection, tuple[Path, ...]], ...]
    renamed: tuple[tuple[str, str], ...] = ()

    def remove(self) -> list[Collection]:
        """Remove what was read, and return the collections that more was added to meanwhile."""
        return [collection for collection, files in self.files if not collection.remove(files)]


def read(collections: Iterable[Collection]) -> Collected | None:
    """Return what *collections*, all of one build, have; ``None`` if they are empty.

    Raises:
        SourceError: a file is damaged, or not a build-info.
    """
    files: list[tuple[Collection, tuple[Path, ...]]] = []
    every: list[Pending] = []
    for collection in collections:
        with _held(collection.path):
            found = tuple(_files(collection.path))
            every += [_load(file, collection.started) for file in found]
        files.append((collection, found))
    if not every:
        return None
    whole = merged(every)
    return Collected(whole, tuple(files), tuple(renamed([one.info for one in every], whole.info)))


def collections_in(directory: Path) -> Iterator[Collection]:
    """Yield the collections below *directory*, by name and number of their builds.

    Raises:
        SourceError: the start of one is damaged.
    """
    found = [_of(path.parent) for path in directory.glob(f"*/{_STARTED}")]
    yield from sorted(found, key=lambda one: one.key)


def _load(file: Path, started: datetime) -> Pending:
    if not file.is_file():  # a pipe would be waited for without end
        message = "is not a file"
        raise SourceError(message, where=str(file), hint="remove it: it is not from buildpush")
    pending = load(file)
    return replace(pending, info=replace(pending.info, started=started))


def _files(path: Path) -> Iterator[Path]:
    return (file for file in sorted(path.glob("*.json")) if file.name != _STARTED)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold the lock on the directory *path*, which is made if it is missing."""
    with ExitStack() as stack:
        while not _is_locked(path, stack):  # another process has just removed it
            pass
        yield


def _is_locked(path: Path, stack: ExitStack) -> bool:
    private_directory(path)
    try:
        return stack.enter_context(locked(path))
    except FileNotFoundError:
        return False


def _started(path: Path, key: BuildKey, started: datetime) -> datetime:
    """Return the start in the directory *path*, which becomes *started* if there is none."""
    file = path / _STARTED
    if not file.exists():
        document = dict(zip(("name", "number", "project"), key, strict=True)) | {"started": started_text(started)}
        draft = path / f".started-{os.getpid()}"
        write_private(draft, json.dumps(document) + "\n")
        try:
            os.link(draft, file)  # fails if there is one, also where file systems have no locks
        except FileExistsError:
            pass
        finally:
            draft.unlink(missing_ok=True)
    return _of(path).started


def _of(path: Path) -> Collection:
    """Return the collection whose directory is *path*."""
    file = path / _STARTED
    try:
        reading = Reading(load_json(file))
        key = BuildKey(reading.text("name"), reading.text("number"), reading.text("project"))
        started = started_from(reading.text("started"))
    except SourceError as error:
        raise _damaged(file) from error
    if started is None or key.directory != path.name:
        raise _damaged(file)
    return Collection(key, path, started)


def _damaged(file: Path) -> SourceError:
    message = "is not the start of a build that was collected here"
    return SourceError(message, where=str(file), hint="remove the directory, and collect the build again")
