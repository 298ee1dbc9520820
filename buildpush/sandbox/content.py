"""Contents on disk, each once, in a file named by its SHA-256; the index is in store.py."""

from __future__ import annotations

import errno
import hashlib
import os
import uuid
from collections.abc import Collection
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
    """Bytes that are still arriving: a growing file, and its checksums so far; an existing file is continued."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.fdopen(_private(path), "a+b", buffering=0)
        self.size = self._file.seek(0, os.SEEK_END)
        self._unread = self.size
        # Artifactory uses sha1 and md5 only as names, not for security.
        self._sums = (
            hashlib.sha256(),
            hashlib.sha1(usedforsecurity=False),
            hashlib.md5(usedforsecurity=False),
        )

    def write(self, chunk: bytes) -> None:
        """Append *chunk*; :meth:`add_up` and :meth:`add_up_md5` must be called next, from any thread."""
        if self._file.write(chunk) != len(chunk):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.size += len(chunk)

    def add_up(self, chunk: bytes) -> None:
        """Update all checksums but MD5 with *chunk*; about a millisecond per 800 kB."""
        for checksum in self._sums[:2]:
            checksum.update(chunk)

    def add_up_md5(self, chunk: bytes) -> None:
        """Update MD5 with *chunk*; that takes as long as the others together."""
        self._sums[2].update(chunk)

    def catch_up(self) -> None:
        """Update the checksums with what was in the file before; a second call does nothing."""
        with self.path.open("rb") as file:
            while self._unread and (block := file.read(min(BLOCK, self._unread))):
                self.add_up(block)
                self.add_up_md5(block)
                self._unread -= len(block)

    @property
    def is_open(self) -> bool:
        """Whether more may be written."""
        return not self._file.closed

    @property
    def is_behind(self) -> bool:
        """Whether :meth:`catch_up` has something to do."""
        return bool(self._unread)

    def let_go(self) -> None:
        """Close the file; it stays where it is."""
        self._file.close()

    def close(self) -> Checksums:
        """Return the checksums of everything written; the file stays where it is."""
        if self.is_behind:
            self.catch_up()
        self._file.close()
        sha256, sha1, md5 = (checksum.hexdigest() for checksum in self._sums)
        return Checksums(sha256, sha1, md5, self.size)

    def discard(self) -> None:
        """Delete the bytes, unless they were kept."""
        self._file.close()
        self.path.unlink(missing_ok=True)


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
        """Store arrived bytes under their SHA-256; the same bytes twice are one file."""
        checksums = incoming.close()
        target = self.path(checksums.sha256)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        incoming.path.replace(target)
        return checksums

    def add(self, data: bytes) -> Checksums:
        """Store bytes that are complete."""
        incoming = self.receive(uuid.uuid4().hex)
        try:
            incoming.write(data)
            incoming.add_up(data)
            incoming.add_up_md5(data)
            return self.keep(incoming)
        finally:
            incoming.discard()

    def sweep(self, stored: Collection[str], arriving: Collection[str]) -> None:
        """Delete every content that is not *stored*, and the bytes of uploads that are not *arriving*."""
        for paths, names in ((self._kept.glob("*/*"), stored), (self._incoming.iterdir(), arriving)):
            for path in paths:
                if path.name not in names:
                    path.unlink()
