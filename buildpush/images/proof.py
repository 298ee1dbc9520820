"""Compressed bytes whose digest nobody has said: what is in them is held against a diff ID while they pass."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any, BinaryIO, Final, NoReturn

from buildpush.errors import DigestError
from buildpush.images.references import Digest
from buildpush.images.tar import decompressor, unreadable

# What comes out of one block at once: a bomb must not fill the memory.
_MOST: Final = 1024 * 1024


class Proven(io.RawIOBase):
    """A reader of compressed bytes, which come out as they are.

    Args:
        reader: of the bytes.
        kind: gzip or zstd.
        diff_id: digest of what is in them; checked when their end is read.
        what: is called so in errors.
    """

    def __init__(self, reader: BinaryIO, kind: str, diff_id: Digest, what: str) -> None:
        self._reader = reader
        self._new: Callable[[], Any] = decompressor(kind)
        self._stream = self._new()
        self._hash = hashlib.new(diff_id.algorithm)
        self._diff_id = diff_id
        self._what = what

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Put the next bytes into *buffer*, and return how many.

        Raises:
            DigestError: they are damaged, or hold something else than was promised.
        """
        block = self._reader.read(len(buffer))
        buffer[: len(block)] = block
        try:
            self._take(block) if block else self._check()
        except unreadable() as error:
            self._refuse(f"is damaged: {error}", error)
        return len(block)

    def _take(self, block: bytes) -> None:
        """Take in what is in *block*; another stream may begin where one ends."""
        while block:
            if self._stream.eof:
                self._stream = self._new()
            self._hash.update(self._stream.decompress(block, _MOST))
            while not self._stream.eof and (rest := self._waiting()):
                self._hash.update(rest)
            block = self._stream.unused_data if self._stream.eof else b""

    def _waiting(self) -> bytes:
        """Return more of what is in the last block; nothing where all of it is out."""
        tail = getattr(self._stream, "unconsumed_tail", None)
        if tail is None:  # as zstd does it
            return b"" if self._stream.needs_input else self._stream.decompress(b"", _MOST)
        return self._stream.decompress(tail, _MOST) if tail else b""

    def _check(self) -> None:
        found = f"{self._diff_id.algorithm}:{self._hash.hexdigest()}"
        if not self._stream.eof:
            self._refuse("ends too early")
        if found != str(self._diff_id):
            self._refuse(f"holds {found}, but {self._diff_id} was promised")

    def _refuse(self, words: str, cause: Exception | None = None) -> NoReturn:
        message = f"{self._what} {words}"
        raise DigestError(message, hint="it is damaged: save or build the image again") from cause
