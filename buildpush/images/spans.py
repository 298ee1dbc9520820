"""Parts of files, read on their own: a whole file, or a member of a tar where it lies. Nothing is ever unpacked."""

from __future__ import annotations

import io
import os
import posixpath
import stat
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from buildpush.errors import PushError
from buildpush.images.tar import HEAD, compression_of

LARGEST_DOCUMENT = 16 * 1024 * 1024
_UNPACKERS = {"gzip": "gunzip", "bzip2": "bunzip2", "xz": "unxz", "zstd": "unzstd"}


@dataclass(frozen=True, slots=True)
class Span:
    """Where bytes lie in a file."""

    offset: int
    size: int


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the system says about a file that is read into an error that names it."""
    try:
        yield
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}"
        raise PushError(message) from error


def _refuse_special(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        message = f"{path} is no ordinary file"
        raise PushError(message, hint="layouts and archives are made of files; it may be a folder, FIFO or device")


class Slice(io.RawIOBase):
    """A part of a file, or all of it: any number of them may be open at once."""

    def __init__(self, path: Path, span: Span | None = None) -> None:
        self._path = path
        self._file = -1  # closing one that could not be opened is no mistake
        with reading(path):
            # Without waiting: a FIFO would have us wait for somebody to write, whatever signals come.
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
            about = os.fstat(self._file)
            _refuse_special(path, about.st_mode)
            whole = Span(0, about.st_size)
        self._at = (span or whole).offset
        self._end = self._at + (span or whole).size

    def readable(self) -> bool:
        """Return true."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, at most *size*; none at the end.

        Raises:
            PushError: the file ends before the part does.
        """
        if size < 0:
            return self.readall()
        left = self._end - self._at
        with reading(self._path):
            block = os.pread(self._file, min(size, left), self._at)
        if not block and left and size:
            message = f"{self._path} ends too early"
            raise PushError(message, hint="it is damaged, or was changed while it was read")
        self._at += len(block)
        return block

    def readinto(self, buffer: Any, /) -> int:
        """Fill *buffer* with the next bytes and return how many."""
        block = self.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        """Let go of the file."""
        if not self.closed and self._file >= 0:
            os.close(self._file)
        super().close()


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder with files in it."""

    path: Path

    def open(self, name: str) -> Slice:
        """Return a reader of the file *name*."""
        return Slice(self.path / name)

    def document(self, name: str) -> bytes:
        """Return the bytes of a small file.

        Raises:
            PushError: it is not there, or too large for a document.
        """
        path = self.path / name
        with reading(path):
            _check_size(path.stat().st_size, str(path))
        with self.open(name) as reader:
            return reader.read()


@dataclass(frozen=True, slots=True)
class Tar:
    """A tar file, its members found but not read.

    Attributes:
        path: not compressed.
        kind: what it should be, for messages.
        remedy: how to make a right one.
    """

    path: Path
    kind: str
    remedy: str
    members: Mapping[str, tarfile.TarInfo] = field(repr=False)

    @classmethod
    def at(cls, path: Path, kind: str, remedy: str) -> Tar:
        """Return the tar at *path*.

        Raises:
            PushError: it is none, or compressed.
        """
        with reading(path):
            _refuse_compressed(path)
            try:
                with tarfile.open(path, "r:") as archive:
                    members = {posixpath.normpath(member.name): member for member in archive}
            except tarfile.TarError as error:
                message = f"{path} is no {kind}: {error}"
                raise PushError(message, hint=remedy) from error
        return cls(path, kind, remedy, members)

    def span(self, name: str) -> Span:
        """Return where the file *name* lies; a link inside the tar is followed once, as older Dockers write them.

        Raises:
            PushError: there is no such file in it.
        """
        member = self.members.get(posixpath.normpath(name))
        if member is not None and member.issym():
            target = posixpath.join(posixpath.dirname(member.name), member.linkname)
            member = self.members.get(posixpath.normpath(target))
        if member is None or not member.isreg() or member.issparse():
            message = f"{self.path} is no {self.kind}: there is no file {name!r} in it"
            raise PushError(message, hint=self.remedy)
        return Span(member.offset_data, member.size)

    def open(self, name: str) -> Slice:
        """Return a reader of the member *name*."""
        return Slice(self.path, self.span(name))

    def document(self, name: str) -> bytes:
        """Return the bytes of a small member; errors are those of :meth:`Folder.document`."""
        span = self.span(name)
        _check_size(span.size, f"{self.path}: {name}")
        with Slice(self.path, span) as reader:
            return reader.read()


def _check_size(size: int, what: str) -> None:
    if size > LARGEST_DOCUMENT:
        message = f"{what} is larger than a document of an image can be"
        raise PushError(message)


def _refuse_compressed(path: Path) -> None:
    with path.open("rb") as file:
        kind = compression_of(file.read(HEAD))
    if kind:
        message = f"{path} is compressed with {kind}, and its layers could only be read one after the other"
        raise PushError(message, hint=f"unpack it first: {_UNPACKERS[kind]} < {path} > FILE.tar")


def members_of(pieces: Iterator[bytes], what: str) -> Iterator[tuple[tarfile.TarInfo, BinaryIO]]:
    """Give the regular files of a tar that can only be read forward, each with a reader of its bytes.

    A reader is good until the next file is asked for; nothing is kept of what was passed by.

    Args:
        pieces: the tar's bytes, in pieces of any size.
        what: the tar's name, for messages.

    Raises:
        PushError: it is no tar, or breaks off.
    """
    stream = _Forward(pieces)
    try:
        with tarfile.open(fileobj=cast("Any", stream), mode="r:") as tar:
            for member in tar:
                tar.members.clear()  # type: ignore[attr-defined]  # else every header stays in memory
                if member.isreg() and not member.issparse():
                    yield member, cast("BinaryIO", _Part(stream, member.size, what))
    except tarfile.TarError as error:
        message = f"{what} cannot be read as a tar: {error}"
        raise PushError(message) from error


class _Forward:
    """Pieces as a file that goes forward only."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")
        self._at = 0

    def tell(self) -> int:
        return self._at

    def read(self, size: int) -> bytes:
        """Return the next *size* bytes, fewer only at the end."""
        parts = list(self._take(size))
        return bytes(parts[0]) if len(parts) == 1 else b"".join(parts)

    def seek(self, position: int) -> None:
        if position < self._at:
            message = "a stream was to be read backwards"
            raise tarfile.StreamError(message)
        for _ in self._take(position - self._at):
            pass

    def _take(self, size: int) -> Iterator[memoryview]:
        while size > 0 and (self._rest or self._next()):
            part, self._rest = self._rest[:size], self._rest[size:]
            size -= len(part)
            self._at += len(part)
            yield part

    def _next(self) -> bool:
        self._rest = memoryview(next(filter(None, self._pieces), b""))
        return bool(self._rest)


class _Part(io.RawIOBase):
    """A member of a tar that is read forward."""

    def __init__(self, stream: _Forward, size: int, what: str) -> None:
        self._stream = stream
        self._end = stream.tell() + size
        self._what = what

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        left = self._end - self._stream.tell()
        if left < 0:
            message = "a member of a stream was to be read when it had passed by"
            raise ValueError(message)
        wanted = left if size < 0 else min(size, left)
        block = self._stream.read(wanted)
        if len(block) < wanted:
            message = f"{self._what} ends too early"
            raise PushError(message, hint="run again")
        return block

    def readinto(self, buffer: Any, /) -> int:
        block = self.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)
