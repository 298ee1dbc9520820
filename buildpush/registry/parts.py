"""A blob's bytes in parts: a part stays in memory until the registry has confirmed it."""

from __future__ import annotations

import hashlib
import itertools
from collections import deque
from collections.abc import Iterator
from typing import Protocol

from buildpush.http.messages import Piece
from buildpush.images.compression import BlobInfo

_FINGERPRINT_BYTES = 1024 * 1024


class Source(Protocol):
    """Bytes that can be sent; each iteration makes them again, and has a result at its end."""

    @property
    def result(self) -> BlobInfo | None:
        """Digest and size, after the last byte."""
        ...

    @property
    def length(self) -> int | None:
        """Number of bytes, if it is known in advance."""
        ...

    def __iter__(self) -> Iterator[bytes]: ...


class Parts:
    """A window that moves over a source's bytes.

    Args:
        source: iterated once, and again whenever bytes before the window are needed.

    Attributes:
        start: position of the window's first byte in the blob.
        size: bytes in the window.
        ended: whether the window reaches the end of the blob.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._begin()

    def _begin(self) -> None:
        self._blocks: Iterator[bytes] = iter(self.source)
        self._window: deque[memoryview] = deque()
        self.start = 0
        self.size = 0
        self.ended = False

    @property
    def end(self) -> int:
        """Position after the window's last byte."""
        return self.start + self.size

    @property
    def result(self) -> BlobInfo | None:
        """Digest and size of the blob, once the window has reached its end."""
        return self.source.result if self.ended else None

    def fill(self, wanted: int) -> int:
        """Read until the window has *wanted* bytes, at most a block more, or reaches the end; return its size."""
        while self.size < wanted and not self.ended:
            block = next(self._blocks, None)
            if block is None:
                self.ended = True
            elif block:
                self._window.append(memoryview(block))
                self.size += len(block)
        return self.size

    def is_within(self, most: int) -> bool:
        """Return whether the blob has at most *most* bytes."""
        length = self.source.length
        return length <= most if length is not None else self.fill(most + 1) <= most

    def next_part(self, most: int) -> int:
        """Return how many bytes the next part has; a source that knows its length need not be read for that."""
        length = self.source.length
        return min(most, length - self.start if length and length > self.start else self.fill(most))

    def first(self, most: int) -> Iterator[Piece]:
        """Yield up to *most* bytes from the window's start, reading as needed; they stay in the window."""
        count = 0
        for index in itertools.count():
            if count == most or self.fill(count + 1) == count:
                return
            piece = self._window[index][: most - count]
            count += len(piece)
            yield piece

    def move_to(self, position: int) -> None:
        """Move the window to *position*; to move back, the source is read again from its beginning."""
        if position < self.start:
            self.close()
            self._begin()
        while self.start < position and (self.size or self.fill(1)):
            self._drop(min(position - self.start, len(self._window[0])))

    def _drop(self, count: int) -> None:
        """Drop *count* bytes of the first block."""
        block = self._window.popleft()
        if count < len(block):
            self._window.appendleft(block[count:])
        self.start += count
        self.size -= count

    def fingerprint(self) -> str:
        """Return what identifies this blob before its end is known: its beginning, and its length if known."""
        digest = hashlib.sha256()
        for block in self.first(_FINGERPRINT_BYTES):
            digest.update(block)
        return f"{digest.hexdigest()} {self.source.length or ''}"

    def rest(self) -> Iterator[Piece]:
        """Yield everything from the window's start to the blob's end, and keep nothing of it in memory."""
        while self.size or self.fill(1):
            block = self._window[0]
            self._drop(len(block))
            yield block

    def close(self) -> None:
        """Close the source, which may have threads and open files."""
        self._window.clear()
        self.size = 0
        close = getattr(self._blocks, "close", None)
        if close:
            close()
