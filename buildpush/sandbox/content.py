"""Contents on disk, each once, in a file named by its SHA-256; the index is in store.py."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.locks import private_directory, sharing_problem
from buildpush.foundation.records import dataclass

BLOCK = 1024 * 1024


def hash_file(path: Path, algorithm: str) -> str:
    """Return the hash of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


@dataclass(frozen=True, slots=True)
class Checksums:
    """The checksums of some bytes, in lower-case hex, and their number."""

    sha256: str
    sha1: str
    md5: str
    size: int

    @property
    def digest(self) -> str:
        """The digest as in manifests: ``sha256:`` and hex."""
        return f"sha256:{self.sha256}"


def _private(path: Path) -> int:
    """Open a file that only its owner may read, whatever the umask is."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


class Incoming:
    """Bytes that are still arriving: a growing file, and its checksums so far; an existing file is continued.

    Attributes:
        acts: what is to be done with every list of pieces, in their order; each act may be done in a thread of its own.
            MD5 takes as long as the other hashes together.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file: int | None = _private(path)
        self._ended = False
        self.size = os.fstat(self._file).st_size
        self.let_go()
        self._unread = self.size
        # Artifactory uses sha1 and md5 only as names, not for security.
        sums = (hashlib.sha256(), hashlib.sha1(usedforsecurity=False), hashlib.md5(usedforsecurity=False))
        self._sums = sums
        self.acts: tuple[Callable[[Sequence[bytes]], None], ...] = (
            self._write,
            lambda pieces: _update(sums[:2], pieces),
            lambda pieces: _update(sums[2:], pieces),
        )

    def _write(self, pieces: Sequence[bytes]) -> None:
        # Locked: a closed descriptor may be another file's by the time it is written to.
        with self._lock:
            if self._ended:
                raise ConnectionResetError
            if self._file is None:
                self._file = _private(self.path)
            for piece in pieces:
                if os.write(self._file, piece) != len(piece):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self.size += len(piece)

    def catch_up(self) -> None:
        """Update the checksums with what was in the file before; a second call does nothing."""
        with self.path.open("rb") as file:
            while self._unread and (block := file.read(min(BLOCK, self._unread))):
                _update(self._sums, [block])
                self._unread -= len(block)

    @property
    def is_behind(self) -> bool:
        """Whether :meth:`catch_up` has something to do."""
        return bool(self._unread)

    def let_go(self) -> None:
        """Close the file until more arrives."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
            self._file = None

    def close(self) -> Checksums:
        """Return the checksums of everything written; the file stays where it is."""
        if self.is_behind:
            self.catch_up()
        self._ended = True
        self.let_go()
        sha256, sha1, md5 = (checksum.hexdigest() for checksum in self._sums)
        return Checksums(sha256, sha1, md5, self.size)

    def discard(self) -> None:
        """Delete the bytes, unless they were kept."""
        self._ended = True
        self.let_go()
        self.path.unlink(missing_ok=True)


def _update(checksums: Iterable[hashlib._Hash], pieces: Sequence[bytes]) -> None:
    for checksum in checksums:
        for piece in pieces:
            checksum.update(piece)


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class ContentStore:
    """Stores every content once, below one directory.

    Args:
        directory: made if it is missing.
        lasting: whether the data is kept; then no one else may write to the directory.

    Raises:
        OSError: the directory cannot be made.
        SettingsError: others may write to it.
    """

    def __init__(self, directory: Path, *, lasting: bool = True) -> None:
        self.lasting = lasting
        self._kept = directory / "content"
        self._incoming = directory / "incoming"
        problem = sharing_problem(directory) if lasting and directory.is_dir() else None
        if problem:
            message = f"the sandbox does not use the data directory {directory}: {problem}"
            raise SettingsError(message, hint="name a directory with --data that no one else may write to or rename")
        for path in (directory, self._kept, self._incoming):
            if not lasting:
                path.mkdir(mode=0o700, exist_ok=True)
            elif path != directory or not path.is_dir():  # the mode of an existing one is not changed
                private_directory(path)

    def path(self, sha256: str) -> Path:
        """Return where the bytes with this SHA-256 are, or would be."""
        return self._kept / sha256[:2] / sha256

    def receive(self, name: str) -> Incoming:
        """Return a file for arriving bytes, which are appended to those that arrived under the same name."""
        return Incoming(self._incoming / name)

    def keep(self, incoming: Incoming) -> Checksums:
        """Store arrived bytes under their SHA-256, where no power cut removes them; the same bytes are one file."""
        checksums = incoming.close()
        target = self.path(checksums.sha256)
        if self.lasting:
            _sync(incoming.path)
        try:
            incoming.path.replace(target)
        except FileNotFoundError:  # the first of its directory
            target.parent.mkdir(mode=0o700, exist_ok=True)
            incoming.path.replace(target)
            if self.lasting:
                _sync(self._kept)
        if self.lasting:
            _sync(target.parent)
        return checksums

    def add(self, data: bytes) -> Checksums:
        """Store bytes that are complete."""
        incoming = self.receive(uuid.uuid4().hex)
        try:
            for act in incoming.acts:
                act([data])
            return self.keep(incoming)
        finally:
            incoming.discard()

    def remove(self, sha256: str) -> None:
        """Delete a content that no file has."""
        self.path(sha256).unlink(missing_ok=True)

    def sweep(self, stored: Collection[str], arriving: Collection[str]) -> None:
        """Delete every content that is not *stored*, and the bytes of uploads that are not *arriving*."""
        for paths, names in ((self._kept.glob("*/*"), stored), (self._incoming.iterdir(), arriving)):
            for path in paths:
                if path.name not in names:
                    path.unlink()


def unusable(directory: Path, error: Exception) -> SettingsError:
    """Return the error of a data directory that cannot be read or written."""
    if "locked" in str(error):
        message = f"another sandbox uses the data directory {directory}"
        return SettingsError(message, hint="stop it, or name another directory with --data")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    message = f"the sandbox cannot use the data directory {directory}: {reason}"
    return SettingsError(message, hint="name a directory that you may write to with --data")
