"""Compression of layers, hashed on the way: gzip in blocks, whose bytes do not depend on the number of threads; zstd.

A gzip layer is one member. Its deflate blocks are made from 1 MiB of tar each by a fresh compressor and end on a byte,
so that any thread can make any of them. Same bytes in, same library, version and level: same bytes out.
"""

from __future__ import annotations

import hashlib
import struct
import sys
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, BinaryIO

from buildpush.errors import UnsupportedError
from buildpush.images.model import Compression
from buildpush.images.references import Digest

BLOCK = 1024 * 1024
# No name, no time, no system: nothing that differs from run to run.  Source: RFC 1952, 2.3.
_GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_LAST_DEFLATE_BLOCK = b"\x03\0"
_HIGHEST_OF_ISAL = 3
# Blocks under way per layer: enough to keep a few cores busy, few enough to stay small.
_AHEAD = 6


@dataclass(frozen=True, slots=True)
class Compressed:
    """What went through: *digest*, *size*, *sha1* and *md5* of the compressed bytes, *diff_id* of the plain ones."""

    diff_id: Digest
    plain_size: int
    digest: Digest
    size: int
    sha1: str | None = None
    md5: str | None = None


class Hashes:
    """Running hashes of a stream: sha256, and sha1 and md5 where Artifactory's *checksums* are wanted."""

    def __init__(self, *, checksums: bool = False) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._sha1 = hashlib.sha1(usedforsecurity=False) if checksums else None
        self._md5 = hashlib.md5(usedforsecurity=False) if checksums else None

    def update(self, block: bytes) -> None:
        """Take the next *block* in."""
        self.size += len(block)
        self._sha256.update(block)
        if self._sha1 and self._md5:
            self._sha1.update(block)
            self._md5.update(block)

    @property
    def digest(self) -> Digest:
        """``sha256:…`` of all bytes so far."""
        return Digest(f"sha256:{self._sha256.hexdigest()}")

    @property
    def sha1(self) -> str | None:
        """Hex, or ``None`` if not asked for."""
        return self._sha1.hexdigest() if self._sha1 else None

    @property
    def md5(self) -> str | None:
        """Hex, or ``None`` if not asked for."""
        return self._md5.hexdigest() if self._md5 else None


def digest_of(data: bytes) -> Digest:
    """Return the sha256 digest of *data*."""
    return Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")


def blocks(reader: BinaryIO, size: int = BLOCK) -> Iterator[bytes]:
    """Give what *reader* holds in pieces of exactly *size* bytes, the last one shorter."""
    while block := reader.read(size):
        while len(block) < size and (more := reader.read(size - len(block))):
            block += more
        yield block


def library(kind: Compression, level: int) -> str:
    """Return name and version of what compresses: one of the things that decide about a layer's digest."""
    if kind == "none":
        return "none"
    if kind == "zstd":
        return f"zstd {_zstd().zstd_version}"
    return _deflate(level)[0]


def compress(reader: BinaryIO, kind: Compression, level: int = 1) -> Iterator[bytes]:
    """Give the compressed bytes of *reader*; see :class:`Compressing` for their hashes."""
    return iter(Compressing(reader, kind, level))


class Compressing:
    """The compressed bytes of one layer, made as they are asked for; *result* says in the end what went through.

    Args:
        reader: gives the plain tar; it is read once, in the thread that iterates.
        kind: ``gzip``, ``zstd`` or ``none``.
        level: 0 to 3 is done by isal where it is there; higher ones, and all without it, by zlib.
        checksums: whether sha1 and md5 are wanted.
        pool: threads for compressing and hashing; without it all is done in line, with the same bytes.
    """

    def __init__(
        self,
        reader: BinaryIO,
        kind: Compression,
        level: int = 1,
        *,
        checksums: bool = False,
        pool: Executor | None = None,
    ) -> None:
        self._reader = reader
        self._kind = kind
        self._level = level
        self._pool = pool
        self._plain = Hashes()
        self._packed = Hashes(checksums=checksums)
        self.result: Compressed | None = None

    @property
    def read(self) -> int:
        """Bytes of the plain tar that were taken in so far."""
        return self._plain.size

    def __iter__(self) -> Iterator[bytes]:
        hashing = _InOrder(self._pool, self._packed.update)
        for block in self._compressed():
            hashing(block)
            yield block
        hashing.finish()
        packed = self._packed
        diff_id = packed.digest if self._kind == "none" else self._plain.digest
        self.result = Compressed(diff_id, self._plain.size, packed.digest, packed.size, packed.sha1, packed.md5)

    def _compressed(self) -> Iterator[bytes]:
        if self._kind == "gzip":
            return self._gzip()
        return self._counted() if self._kind == "none" else self._zstd()

    def _counted(self) -> Iterator[bytes]:
        for block in blocks(self._reader):
            self._plain.size += len(block)
            yield block

    def _gzip(self) -> Iterator[bytes]:
        _, deflate, crc32 = _deflate(self._level)
        hashing = _InOrder(self._pool, self._plain.update)
        check = 0

        def plain() -> Iterator[bytes]:
            nonlocal check
            for block in blocks(self._reader):
                hashing(block)
                check = crc32(block, check)
                yield block

        yield _GZIP_HEADER
        yield from _mapped(self._pool, deflate, plain())
        hashing.finish()
        yield _LAST_DEFLATE_BLOCK + struct.pack("<II", check, self._plain.size & 0xFFFFFFFF)

    def _zstd(self) -> Iterator[bytes]:
        # zstd's own threads would give other bytes than none: one stream, one thread.
        compressor = _zstd().ZstdCompressor(level=self._level)
        hashing = _InOrder(self._pool, self._plain.update)
        for block in blocks(self._reader):
            hashing(block)
            if packed := compressor.compress(block):
                yield packed
        hashing.finish()
        yield compressor.flush()


class _InOrder:
    """Calls *act* with one thing after the other, beside the caller: it is never more than one behind."""

    def __init__(self, pool: Executor | None, act: Callable[[bytes], None]) -> None:
        self._pool = pool
        self._act = act
        self._last: Future[None] | None = None

    def __call__(self, block: bytes) -> None:
        if self._pool is None:
            self._act(block)
            return
        self.finish()
        self._last = self._pool.submit(self._act, block)

    def finish(self) -> None:
        """Wait until the last one is done."""
        if self._last is not None:
            self._last.result()


def _mapped(pool: Executor | None, act: Callable[[bytes], bytes], source: Iterable[bytes]) -> Iterator[bytes]:
    """Give ``act(block)`` for each block in order, a few of them made ahead by *pool*."""
    if pool is None:
        yield from map(act, source)
        return
    waiting: deque[Future[bytes]] = deque()
    try:
        for block in source:
            waiting.append(pool.submit(act, block))
            if len(waiting) > _AHEAD or waiting[0].done():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _deflate(level: int) -> tuple[str, Callable[[bytes], bytes], Callable[[bytes, int], int]]:
    """Return the library's name, a function that makes a run of deflate blocks ending on a byte, and its crc32."""
    module, name = _isal() if 0 <= level <= _HIGHEST_OF_ISAL else (None, "")
    if module is None:
        module, name = zlib, f"zlib {zlib.ZLIB_RUNTIME_VERSION}"

    def deflate(block: bytes) -> bytes:
        compressor = module.compressobj(level, module.DEFLATED, -15)
        packed: bytes = compressor.compress(block)
        rest: bytes = compressor.flush(module.Z_SYNC_FLUSH)
        return packed + rest

    return name, deflate, module.crc32


def _isal() -> tuple[Any, str]:
    try:
        from importlib.metadata import version

        from isal import isal_zlib
    except ImportError:  # no wheel for this machine
        return None, ""
    return isal_zlib, f"isal {version('isal')}"


def _zstd() -> Any:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError as error:
        message = "zstd is not there in this Python"
        raise UnsupportedError(message, hint="install backports.zstd", setting="compression") from error
    return zstd
