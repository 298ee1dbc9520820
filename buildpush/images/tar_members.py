"""Tars of others, read member by member, and blocks as a stream that can be read."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import field
from functools import partial
from typing import BinaryIO, cast

from buildpush.foundation.errors import BuildError
from buildpush.foundation.records import dataclass
from buildpush.images.decompression import decompressed, unreadable
from buildpush.images.pool import BLOCK

# Members that say something about the next one; Linux knows no path or attribute so long.
_WORDS = frozenset(
    {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE}
)


_LARGEST_WORDS = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Archive:
    """A tar that can be opened again and again; equal only to itself.

    Attributes:
        about: what it is, for messages.
        open: gives its bytes, compressed or not.
        identity: what no tar of other bytes has, such as a digest; empty where that is not known.
    """

    about: str
    open: Callable[[], AbstractContextManager[BinaryIO]] = field(repr=False)
    identity: str = ""


class Member(tarfile.TarInfo):
    """A member of somebody's tar: long names and pax records are read whole, so what is said in them has an end."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _WORDS and self.size > _LARGEST_WORDS:
            message = f"a name or record of {self.size} bytes"
            raise tarfile.ReadError(message)
        # The one place through which every header of the standard library goes.
        return cast("tarfile.TarInfo", super()._proc_member(tar))  # type: ignore[misc]


@contextmanager
def read_members(archive: Archive) -> Iterator[Iterator[tuple[int, tarfile.TarInfo, Callable[[], BinaryIO | None]]]]:
    """Give the members of *archive* with their ordinals, and for each a function that opens its bytes.

    A member's bytes can be read until the next one is asked for.

    Raises:
        BuildError: it is no tar, or breaks off.
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
        tar.members.clear()  # type: ignore[attr-defined]  # else every header stays in memory
        yield ordinal, member, partial(_extract, tar, member)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo) -> BinaryIO | None:
    return cast("BinaryIO | None", tar.extractfile(member))


class BlockReader(io.BufferedIOBase):
    """Blocks as a readable stream: ``read(n)`` gives *n* bytes, fewer only at the end.

    Args:
        blocks: closed together with the reader.
    """

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""

    def readable(self) -> bool:
        """Return true."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Return the next *size* bytes, all that are left where it is negative."""
        if size is None or size < 0:
            return b"".join([self._take(), *self._blocks])
        if (self._rest or self._next()) and len(self._rest) == size:
            return self._take()  # the usual case: a block for a block, nothing copied
        parts = []
        while size and (self._rest or self._next()):
            part, self._rest = self._rest[:size], self._rest[size:]
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def read1(self, size: int = -1) -> bytes:
        """Return up to *size* bytes."""
        return self.read(size)

    def close(self) -> None:
        """End the stream, and with it whatever the blocks are made from."""
        close = getattr(self._blocks, "close", None)
        if close:
            close()
        super().close()

    def _take(self) -> bytes:
        taken, self._rest = self._rest, b""
        return taken

    def _next(self) -> bool:
        self._rest = next(filter(None, self._blocks), b"")
        return bool(self._rest)
