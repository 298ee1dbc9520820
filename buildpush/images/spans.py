"""Reads files and members of tars where they are; nothing is ever unpacked."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path

from buildpush.foundation.errors import PushError
from buildpush.foundation.records import dataclass
from buildpush.images.blocks import ForwardReader
from buildpush.images.decompression import HEAD, compression_of
from buildpush.images.manifests import check_size
from buildpush.images.tar_members import Member

_MAX_MEMBERS = 100_000
LARGEST_DOCUMENT = 16 * 1024 * 1024
_UNPACKERS = {"gzip": "gunzip", "bzip2": "bunzip2", "xz": "unxz", "zstd": "unzstd"}


@dataclass(frozen=True, slots=True)
class Span:
    """The position of some bytes in a file."""

    offset: int
    size: int


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn an error of the system while a file is read into one that names the file."""
    try:
        yield
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}"
        hint = "check the path, its permissions, and that nothing changes the image in the meantime"
        raise PushError(message, hint=hint) from error


def _refuse_special(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        message = f"{path} is not a regular file"
        raise PushError(message, hint="layouts and archives are made of files; it may be a directory, FIFO or device")


# Without blocking: a FIFO would make us wait for a writer, whatever signals arrive.
_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def _open_below(directory: Path, name: str) -> int:
    """Return a descriptor of the file *name* below *directory*; no link on the way is followed.

    Raises:
        PushError: there is a link on the way, or *name* leads outside.
        OSError: it does not exist, or cannot be opened.
    """
    *directories, last = name.split("/")
    if {"", ".", ".."} & {*directories, last}:
        message = f"{name!r} is not the name of a file in {directory}"
        raise PushError(message)
    parent = os.open(directory, _FLAGS | os.O_DIRECTORY)
    try:
        for one in directories:
            inner = os.open(one, _FLAGS | os.O_DIRECTORY | _NO_LINK, dir_fd=parent)
            os.close(parent)
            parent = inner
        return os.open(last, _FLAGS | _NO_LINK, dir_fd=parent)
    except OSError as error:
        if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
            raise
        message = f"{directory / name} is a link, or behind one, and links in a layout are not followed"
        raise PushError(message, hint=f"replace links with files: cp -rL {directory} COPY") from error
    finally:
        os.close(parent)


class Slice(ForwardReader):
    """Reads a part of a file, or all of it; any number of readers may be open at once.

    Args:
        path: of the file, or of a directory above it.
        span: which part.
        below: the file's name below the directory *path*, whose links are not followed.
    """

    def __init__(self, path: Path, span: Span | None = None, *, below: str = "") -> None:
        self._path = path / below
        self._file = -1  # close() is called even if it cannot be opened
        with reading(self._path):
            self._file = _open_below(path, below) if below else os.open(path, _FLAGS)
            status = os.fstat(self._file)
            _refuse_special(self._path, status.st_mode)
            whole = Span(0, status.st_size)
        self._at = (span or whole).offset
        self._end = self._at + (span or whole).size

    @property
    def left(self) -> int:
        """Bytes that were not read yet."""
        return self._end - self._at

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

    def close(self) -> None:
        """Close the file."""
        if not self.closed and self._file >= 0:
            os.close(self._file)
        super().close()


@dataclass(frozen=True, slots=True)
class Directory:
    """Reads files in a directory."""

    path: Path

    def open(self, name: str) -> Slice:
        """Return a reader of the file *name*."""
        return Slice(self.path, below=name)

    def has(self, name: str) -> bool:
        """Return whether something with that name exists."""
        return os.path.lexists(self.path / name)

    def document(self, name: str, size: int | None = None) -> bytes:
        """Return the bytes of a small file.

        Args:
            name: of the file.
            size: how many bytes it must have.

        Raises:
            PushError: it does not exist, is not a regular file, or is too large for a document.
            DigestError: it has another size.
        """
        with self.open(name) as reader:
            return _document(reader, size, str(self.path / name))


@dataclass(frozen=True, slots=True)
class Tar:
    """Reads members of a tar file, whose names and positions are read at once.

    Attributes:
        path: not compressed.
        kind: what it should be, for messages.
        remedy: how to make a valid one.
    """

    path: Path
    kind: str
    remedy: str
    members: Mapping[str, tarfile.TarInfo] = field(repr=False)

    @classmethod
    def at(cls, path: Path, kind: str, remedy: str) -> Tar:
        """Return the tar at *path*.

        Raises:
            PushError: it is not a tar, or is compressed.
        """
        with reading(path):
            _refuse_compressed(path)
            try:
                with tarfile.open(path, "r:", tarinfo=Member) as archive:
                    members = {posixpath.normpath(member.name): member for member in _limit_members(archive, path)}
            except tarfile.TarError as error:
                message = f"{path} is not a valid {kind}: {error}"
                raise PushError(message, hint=remedy) from error
        return cls(path, kind, remedy, members)

    def span(self, name: str) -> Span:
        """Return the position of the file *name*; one link in the tar is followed, as of older versions of Docker.

        Raises:
            PushError: the tar does not have such a file.
        """
        member = self.members.get(posixpath.normpath(name))
        if member is not None and member.issym():
            target = posixpath.join(posixpath.dirname(member.name), member.linkname)
            member = self.members.get(posixpath.normpath(target))
        if member is None or not member.isreg() or member.issparse():
            message = f"{self.path} is not a valid {self.kind}: it does not have the file {name!r}"
            raise PushError(message, hint=self.remedy)
        return Span(member.offset_data, member.size)

    def has(self, name: str) -> bool:
        """Return whether there is a member with that name."""
        return posixpath.normpath(name) in self.members

    def open(self, name: str) -> Slice:
        """Return a reader of the member *name*."""
        return Slice(self.path, self.span(name))

    def document(self, name: str, size: int | None = None) -> bytes:
        """Return the bytes of a small member; arguments and errors are those of :meth:`Directory.document`."""
        with self.open(name) as reader:
            return _document(reader, size, f"{self.path}: {name}")


def _document(reader: Slice, size: int | None, what: str) -> bytes:
    if max(reader.left, size or 0) > LARGEST_DOCUMENT:
        message = f"{what} is larger than a document of an image can be"
        raise PushError(message)
    check_size(reader.left, size, what)
    return reader.read()


def _limit_members(archive: tarfile.TarFile, path: Path) -> Iterator[tarfile.TarInfo]:
    """Yield the members of an archive of images; refuse more than any archive has, since each costs memory."""
    for number, member in enumerate(archive):
        if number == _MAX_MEMBERS:
            message = f"{path} has more than {_MAX_MEMBERS:,} files, which is more than any archive of images has"
            raise PushError(message)
        yield member


def _refuse_compressed(path: Path) -> None:
    with path.open("rb") as file:
        kind = compression_of(file.read(HEAD))
    if kind:
        message = f"{path} is compressed with {kind}, and its layers could only be read one after the other"
        raise PushError(message, hint=f"unpack it first: {_UNPACKERS[kind]} < {path} > FILE.tar")
