"""Bytes on disk, each content once, in a file named by its SHA-256; not what they are called."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Checksums:
    """What some bytes add up to: lower-case hex, and their number."""

    sha256: str
    sha1: str
    md5: str
    size: int

    @property
    def digest(self) -> str:
        """The form that manifests use: ``sha256:`` and hex."""
        return f"sha256:{self.sha256}"


class Incoming:
    """Bytes that are still arriving: a growing file and its checksums so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._file = path.open("wb", buffering=0)
        # sha1 and md5 are names that Artifactory gives, not protection.
        self._sums = (
            hashlib.sha256(),
            hashlib.sha1(usedforsecurity=False),
            hashlib.md5(usedforsecurity=False),
        )

    def write(self, chunk: bytes) -> None:
        """Append *chunk*; it takes about a millisecond per 300 kB."""
        self._file.write(chunk)
        self.size += len(chunk)
        for checksum in self._sums:
            checksum.update(chunk)

    def close(self) -> Checksums:
        """Return the checksums of everything written; the file stays where it is."""
        self._file.close()
        sha256, sha1, md5 = (checksum.hexdigest() for checksum in self._sums)
        return Checksums(sha256, sha1, md5, self.size)

    def discard(self) -> None:
        """Forget the bytes; does nothing after they were kept."""
        self._file.close()
        self.path.unlink(missing_ok=True)


class Content:
    """Every content once, below one folder.

    Args:
        folder: is made where it is missing; what had not arrived whole before the last stop is thrown away.
    """

    def __init__(self, folder: Path) -> None:
        self._kept = folder / "content"
        self._incoming = folder / "incoming"
        shutil.rmtree(self._incoming, ignore_errors=True)
        for made in (self._kept, self._incoming):
            made.mkdir(parents=True, exist_ok=True)

    def path(self, sha256: str) -> Path:
        """Return where the bytes with this SHA-256 are, or would be."""
        return self._kept / sha256[:2] / sha256

    def receive(self) -> Incoming:
        """Return a place for bytes that will arrive."""
        return Incoming(self._incoming / uuid.uuid4().hex)

    def keep(self, incoming: Incoming) -> Checksums:
        """Give arrived bytes their name; the same bytes twice are one file."""
        checksums = incoming.close()
        target = self.path(checksums.sha256)
        target.parent.mkdir(exist_ok=True)
        incoming.path.replace(target)
        return checksums

    def add(self, data: bytes) -> Checksums:
        """Keep bytes that are all there."""
        incoming = self.receive()
        try:
            incoming.write(data)
            return self.keep(incoming)
        finally:
            incoming.discard()

    def sweep(self, wanted: Collection[str]) -> None:
        """Delete every content that nothing names any more."""
        for path in self._kept.glob("*/*"):
            if path.name not in wanted:
                path.unlink()
