"""Reads tars that other programs wrote, forward and member by member."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import field
from functools import partial
from typing import BinaryIO, cast

from buildpush.foundation.errors import BuildError, PushError
from buildpush.foundation.records import dataclass
from buildpush.images.blocks import BLOCK, BlockReader, ForwardReader
from buildpush.images.decompression import decompressed, unreadable

# Types of members that only describe the next one; no path or attribute on Linux is longer than this limit.
_DESCRIBING_TYPES = frozenset(
    {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE}
)
_LARGEST_DESCRIPTION = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Archive:
    """A tar that can be opened repeatedly; equal only to itself.

    Attributes:
        about: what it is, for messages.
        open: returns its bytes, compressed or not.
        identity: identifies its bytes, such as a digest; empty where that is not known.
    """

    about: str
    open: Callable[[], AbstractContextManager[BinaryIO]] = field(repr=False)
    identity: str = ""


class Member(tarfile.TarInfo):
    """A member of a foreign tar: long names and pax records are read whole, so their size is limited."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _DESCRIBING_TYPES and self.size > _LARGEST_DESCRIPTION:
            message = f"a name or record of {self.size} bytes"
            raise tarfile.ReadError(message)
        # Every header that the standard library reads passes through here.
        return cast("tarfile.TarInfo", super()._proc_member(tar))  # type: ignore[misc]


@contextmanager
def read_members(archive: Archive) -> Iterator[Iterator[tuple[int, tarfile.TarInfo, Callable[[], BinaryIO | None]]]]:
    """Yield the members of *archive* with their ordinals, and for each a function that opens its bytes.

    A member's bytes can be read until the next one is requested.

    Raises:
        BuildError: it is not a tar, or is truncated.
    """
    with archive.open() as raw:
        try:
            with tarfile.open(fileobj=decompressed(raw), mode="r|", bufsize=BLOCK, tarinfo=Member) as tar:
                yield _number_members(tar)
        except unreadable() as error:
            message = f"{archive.about} cannot be read as a tar: {error}"
            raise BuildError(message) from error


def _number_members(tar: tarfile.TarFile) -> Iterator[tuple[int, tarfile.TarInfo, Callable[[], BinaryIO | None]]]:
    for ordinal, member in enumerate(tar):
        tar.members.clear()  # type: ignore[attr-defined]  # otherwise every header stays in memory
        yield ordinal, member, cast("Callable[[], BinaryIO | None]", partial(tar.extractfile, member))


def stream_members(pieces: Iterator[bytes], what: str) -> Iterator[tuple[tarfile.TarInfo, BinaryIO]]:
    """Yield the regular files of a tar that can only be read forward, each with a reader of its bytes.

    A reader is valid until the next file is requested; earlier files are not kept.

    Args:
        pieces: the tar's bytes, in pieces of any size.
        what: the tar's name, for messages.

    Raises:
        PushError: it is not a tar, or is truncated.
    """
    stream = BlockReader(pieces)
    try:
        with tarfile.open(fileobj=stream, mode="r:", tarinfo=Member) as tar:
            for member in tar:
                tar.members.clear()  # type: ignore[attr-defined]  # otherwise every header stays in memory
                if member.isreg() and not member.issparse():
                    yield member, cast("BinaryIO", _StreamMember(stream, member.size, what))
    except (tarfile.TarError, io.UnsupportedOperation) as error:
        message = f"{what} cannot be read as a tar: {error}"
        raise PushError(message) from error


class _StreamMember(ForwardReader):
    """A member of a tar that is read forward."""

    def __init__(self, stream: BlockReader, size: int, what: str) -> None:
        self._stream = stream
        self._end = stream.tell() + size
        self._what = what

    def read(self, size: int = -1, /) -> bytes:
        remaining = self._end - self._stream.tell()
        if remaining < 0:
            message = "a member of a stream was read after the stream had passed it"
            raise ValueError(message)
        count = remaining if size < 0 else min(size, remaining)
        block = self._stream.read(count)
        if len(block) < count:
            message = f"{self._what} ends too early"
            raise PushError(message, hint="run again")
        return block
