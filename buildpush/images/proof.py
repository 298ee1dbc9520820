"""Checks the size and the diff ID of layers while they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, BinaryIO, Final, NoReturn, cast

from buildpush.foundation.errors import DigestError
from buildpush.images.blocks import ForwardReader
from buildpush.images.decompression import HEAD, compression_of, decompressor, unreadable
from buildpush.images.model import Layer
from buildpush.images.references import Digest

# How much of one block is decompressed at once: a decompression bomb must not fill the memory.
_MOST: Final = 1024 * 1024


def check_diff_id(reader: BinaryIO, layer: Layer, what: str) -> BinaryIO:
    """Return a reader of the same bytes that checks a layer against its diff ID, where nothing else does."""
    if layer.diff_id is None or not needs_own_check(layer):
        return reader
    return cast("BinaryIO", DiffIdCheckingReader(reader, layer.diff_id, what))


def needs_own_check(layer: Layer) -> bool:
    """Return whether a layer's diff ID is not the sha256 of its bytes, which is computed in any case.

    A layer without a known diff ID belongs to an artifact, and may be anything.
    """
    algorithms = {one.algorithm for one in (layer.diff_id, layer.digest) if one}
    return layer.diff_id is not None and (layer.packed or algorithms != {"sha256"})


def check_size_of(reader: BinaryIO, layer: Layer, what: str) -> BinaryIO:
    """Return a reader of the same bytes that raises an error if the size of a layer is not what its source says."""
    return reader if layer.size is None else cast("BinaryIO", SizeCheckingReader(reader, layer.size, what))


class SizeCheckingReader(ForwardReader):
    """A reader of exactly as many bytes as expected, which reads at most one more.

    Args:
        reader: of the bytes.
        size: how many are expected.
        what: its name in errors.
    """

    def __init__(self, reader: BinaryIO, size: int, what: str) -> None:
        self._reader = reader
        self._size = size
        self._left = size
        self._what = what

    def read(self, size: int = -1, /) -> bytes:
        """Return up to *size* bytes, or all that are left if it is negative.

        Raises:
            DigestError: there are more or fewer than expected.
        """
        if size < 0:
            return self.readall()
        block = self._reader.read(min(size, self._left + 1))
        self._left -= len(block)
        if self._left < 0 or (self._left and size and not block):
            self._refuse()
        return block

    def _refuse(self) -> NoReturn:
        count = f"more than {self._size}" if self._left < 0 else self._size - self._left
        message = f"{self._what} has {count} bytes, but {self._size} were expected"
        raise DigestError(message, hint="the source has changed or is damaged: build or fetch the image again")


class DiffIdCheckingReader(ForwardReader):
    """A reader that passes compressed bytes on, and checks the digest of what they contain.

    Args:
        reader: of the bytes; as in Docker, their beginning decides how they are compressed, not the media type.
        diff_id: digest of the decompressed bytes; checked when their end is read.
        what: its name in errors.
    """

    def __init__(self, reader: BinaryIO, diff_id: Digest, what: str) -> None:
        self._reader = reader
        self._head: bytes | None = b""
        self._new_stream: Callable[[], Any] = _Uncompressed
        self._stream: Any = None
        self._hash = hashlib.new(diff_id.algorithm)
        self._diff_id = diff_id
        self._what = what

    def read(self, size: int = -1, /) -> bytes:
        """Return up to *size* bytes, or all that are left if it is negative.

        Raises:
            DigestError: they are damaged, or contain something else than *diff_id* says.
        """
        if size < 0:
            return self.readall()
        block = self._reader.read(size)
        if size:
            self._check_block(block)
        return block

    def _check_block(self, block: bytes) -> None:
        try:
            self._decompress(self._from_head(block)) if block else self._check()
        except unreadable() as error:
            self._refuse(f"is damaged: {error}", error)

    def _from_head(self, block: bytes) -> bytes:
        """Return *block*, or nothing until there are enough bytes to see how they are compressed."""
        if self._head is None:
            return block
        head = self._head + block
        if len(head) < HEAD and block:
            self._head = head
            return b""
        self._head = None
        kind = compression_of(head)
        self._new_stream = decompressor(kind) if kind in {"gzip", "zstd"} else _Uncompressed
        self._stream = self._new_stream()
        return head

    def _decompress(self, block: bytes) -> None:
        """Decompress *block*; another stream may begin where one ends."""
        while block:
            if self._stream.eof:
                self._stream = self._new_stream()
            self._hash.update(self._stream.decompress(block, _MOST))
            while not self._stream.eof and (rest := self._remaining()):
                self._hash.update(rest)
            block = self._stream.unused_data if self._stream.eof else b""

    def _remaining(self) -> bytes:
        """Return more of the last block, decompressed; nothing at its end."""
        tail = getattr(self._stream, "unconsumed_tail", None)
        if tail is None:  # a decompressor of zstd
            return b"" if self._stream.needs_input else cast("bytes", self._stream.decompress(b"", _MOST))
        return cast("bytes", self._stream.decompress(tail, _MOST)) if tail else b""

    def _check(self) -> None:
        self._decompress(self._from_head(b""))
        actual = f"{self._diff_id.algorithm}:{self._hash.hexdigest()}"
        if self._new_stream is not _Uncompressed and not self._stream.eof:
            self._refuse("ends too early")
        if actual != str(self._diff_id):
            self._refuse(f"has the diff ID {actual}, but {self._diff_id} was expected")

    def _refuse(self, words: str, cause: Exception | None = None) -> NoReturn:
        message = f"{self._what} {words}"
        raise DigestError(message, hint="it is damaged: save or build the image again") from cause


class _Uncompressed:
    """A decompressor for bytes that are not compressed, although their type says so."""

    eof = False
    unused_data = unconsumed_tail = b""

    @staticmethod
    def decompress(block: bytes, _most: int) -> bytes:
        return block
