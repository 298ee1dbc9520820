"""Bytes that are read forward: a stream in blocks, and blocks as a stream."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

BLOCK: Final = 1024 * 1024
_EMPTY: Final = memoryview(b"")


def blocks(reader: BinaryIO, size: int = BLOCK) -> Iterator[bytes]:
    """Yield the bytes of *reader* in blocks of exactly *size* bytes; the last one may be shorter."""
    while block := reader.read(size):
        while len(block) < size and (more := reader.read(size - len(block))):
            block += more
        yield block


class ForwardReader(io.RawIOBase):
    """A base for readers, which define ``read``."""

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Put the next bytes into *buffer*, and return their number; errors are those of ``read``."""
        block = self.read(len(buffer)) or b""
        buffer[: len(block)] = block
        return len(block)


class BlockReader(ForwardReader):
    """Blocks as a readable stream: ``read(n)`` gives *n* bytes, fewer only at the end.

    Args:
        source: blocks of any size; closed together with the reader.
    """

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source
        self._rest = _EMPTY
        self._position = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next *size* bytes, or all that are left if it is negative."""
        parts = list(self._parts(size))
        if len(parts) != 1:
            return b"".join(parts)
        whole = parts[0].obj
        # Usually exactly one block is read, which is not copied.
        return whole if isinstance(whole, bytes) and len(whole) == len(parts[0]) else bytes(parts[0])

    def _parts(self, size: int | None) -> Iterator[memoryview]:
        remaining = None if size is None or size < 0 else size
        while remaining != 0 and (self._rest or self._fill()):
            part, self._rest = (
                (self._rest, _EMPTY) if remaining is None else (self._rest[:remaining], self._rest[remaining:])
            )
            self._position += len(part)
            remaining = None if remaining is None else remaining - len(part)
            yield part

    def _fill(self) -> bool:
        self._rest = memoryview(next(filter(None, self._source), b""))
        return bool(self._rest)

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._position

    def seek(self, position: int, whence: int = 0, /) -> int:
        """Skip to *position*, counted from the beginning.

        Raises:
            io.UnsupportedOperation: the stream is already past it.
        """
        if whence or position < self._position:
            message = "a stream cannot be read backwards"
            raise io.UnsupportedOperation(message)
        for _ in self._parts(position - self._position):
            pass
        return self._position

    def close(self) -> None:
        """Close the stream, and the source of its blocks."""
        close = getattr(self._source, "close", None)
        if close:
            close()
        super().close()
