"""Compresses layers in blocks, and hashes them; the bytes do not depend on the number of threads.

Each MiB of tar is compressed by itself, so that threads can share the work. A gzip layer is one member, whose
deflate blocks end on a byte after each MiB; a zstd layer is one frame per MiB.
The same bytes, library, version and level give the same result.
"""

from __future__ import annotations

import hashlib
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from typing import Any, BinaryIO

from buildpush.foundation.errors import UnsupportedError
from buildpush.foundation.meter import Activity, Meter
from buildpush.foundation.records import dataclass
from buildpush.images.blocks import blocks
from buildpush.images.model import Compression
from buildpush.images.pool import InOrder, Pool, work_ahead
from buildpush.images.references import Digest

# No name, no time, no system: nothing that differs from run to run.  Source: RFC 1952, 2.3.
_GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_LAST_DEFLATE_BLOCK = b"\x03\0"
_HIGHEST_ISAL_LEVEL = 3


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """What is known of a blob: hashes and size of its bytes, and *diff_id* and *plain_size* of them decompressed."""

    diff_id: Digest
    plain_size: int
    digest: Digest
    size: int
    sha1: str | None = None
    md5: str | None = None


class Hashes:
    """Running hashes of a stream: the one of its digest, and sha1 and md5 if *checksums* are needed for Artifactory."""

    def __init__(self, *, checksums: bool = False, algorithm: str = "sha256") -> None:
        self.size = 0
        self._algorithm = algorithm
        self._digest = hashlib.new(algorithm)
        self._sha1 = hashlib.sha1(usedforsecurity=False) if checksums else None
        self._md5 = hashlib.md5(usedforsecurity=False) if checksums else None

    def update(self, block: bytes) -> None:
        """Add the next *block*."""
        for add in self.each:
            add(block)

    @property
    def each(self) -> tuple[Callable[[bytes], None], ...]:
        """The functions to call with the next block, one per hash, so that threads can share the work."""
        return (self._count, *(hash_.update for hash_ in (self._sha1, self._md5) if hash_))

    def _count(self, block: bytes) -> None:
        self.size += len(block)
        self._digest.update(block)

    @property
    def digest(self) -> Digest:
        """The digest of all bytes so far, such as ``sha256:…``."""
        return Digest(f"{self._algorithm}:{self._digest.hexdigest()}")

    @property
    def sha1(self) -> str | None:
        """Hexadecimal digits, or ``None`` if it is not computed."""
        return self._sha1.hexdigest() if self._sha1 else None

    @property
    def md5(self) -> str | None:
        """Hexadecimal digits, or ``None`` if it is not computed."""
        return self._md5.hexdigest() if self._md5 else None


def digest_of(data: bytes, algorithm: str = "sha256") -> Digest:
    """Return the digest of *data*; *algorithm* is sha256 or sha512."""
    return Digest(f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}")


def library(kind: Compression, level: int) -> str:
    """Return the name and version of the compressor, on which a layer's digest depends."""
    return _coding(kind, level).name


class Compressor:
    """Compresses one layer, ahead of the code that iterates over it; *result* is known at the end.

    Args:
        reader: of the plain tar; it is read once, and in another thread if there is a *pool*.
        kind: ``gzip``, ``zstd`` or ``none``.
        level: of gzip, 0 to 3 use isal where it is installed; higher ones, and all without it, use zlib-ng or zlib.
        checksums: whether sha1 and md5 are computed.
        algorithm: of the digest; the diff ID of what is compressed here is always a sha256.
        pool: threads for compressing and hashing; without it everything is done in this thread, with the same result.
        meter: counts the bytes read, and the seconds of reading, compressing and hashing.
    """

    def __init__(
        self,
        reader: BinaryIO,
        kind: Compression,
        level: int = 1,
        *,
        checksums: bool = False,
        algorithm: str = "sha256",
        pool: Pool | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._reader = reader
        self._kind = kind
        self.algorithm = algorithm
        self._coding = _coding(kind, level)
        self._pool = pool
        self._meter = meter
        self._check = 0
        self._plain = Hashes()
        self._packed = Hashes(checksums=checksums, algorithm=algorithm)
        # The digest of uncompressed bytes is their diff ID as well.
        self._hashing_plain = () if kind == "none" else (self._in_order(self._take_plain),)
        self._hashing_packed = tuple(self._in_order(take) for take in self._packed.each)
        self.read = 0
        self.result: BlobInfo | None = None

    def __iter__(self) -> Iterator[bytes]:
        self._packed.update(self._coding.head)
        yield from filter(None, [self._coding.head])
        with closing(work_ahead(self._pool, self._work, self._blocks())) as packed_blocks:
            for number, block in enumerate(packed_blocks):
                for hashing in self._hashing_packed:
                    hashing.catch_up(number)
                yield block
        for hashing in (*self._hashing_plain, *self._hashing_packed):
            hashing.finish()
        tail = self._coding.tail(self._check, self.read)
        self._packed.update(tail)
        yield from filter(None, [tail])
        self.result = self._info()

    def _info(self) -> BlobInfo:
        packed = self._packed
        diff_id = packed.digest if self._kind == "none" else self._plain.digest
        return BlobInfo(diff_id, self.read, packed.digest, packed.size, packed.sha1, packed.md5)

    def _blocks(self) -> Iterator[bytes]:
        """Read a block; called in one thread."""
        source = blocks(self._reader)
        number = 0
        while True:
            with self._timing("read"):
                block = next(source, None)
            if block is None:
                return
            self._count(len(block))
            for hashing in self._hashing_plain:
                hashing.put(number, block)
                hashing.catch_up(number)
            yield block
            number += 1

    def _count(self, size: int) -> None:
        self.read += size
        if self._meter:
            self._meter.count("read", size)

    def _work(self, number: int, block: bytes) -> bytes:
        """Compress a block, and hash what can be hashed; called in any thread."""
        for hashing in self._hashing_plain:
            hashing.help()
        with self._timing("compress"):
            packed = self._coding.code(block)
        for hashing in self._hashing_packed:
            hashing.put(number, packed)
            hashing.help()
        return packed

    def _take_plain(self, block: bytes) -> None:
        self._plain.update(block)
        self._check = self._coding.crc32(block, self._check)

    def _in_order(self, take: Callable[[bytes], None]) -> InOrder:
        def hashed(block: bytes) -> None:
            with self._timing("hash"):
                take(block)

        return InOrder(hashed)

    def _timing(self, work: Activity) -> AbstractContextManager[None]:
        return self._meter.timing(work) if self._meter else nullcontext()


@dataclass(frozen=True, slots=True)
class _Coding:
    """How blocks are compressed.

    Attributes:
        name: of the library, with its version.
        head: bytes before the first block.
        code: returns a block compressed.
        crc32: of the plain bytes, for the tail.
        tail: returns the bytes after the last block, from the plain bytes' CRC-32 and size.
    """

    name: str
    head: bytes
    code: Callable[[bytes], bytes]
    crc32: Callable[[bytes, int], int]
    tail: Callable[[int, int], bytes]


def _coding(kind: Compression, level: int) -> _Coding:
    if kind == "gzip":
        return _gzip(level)
    return (
        _zstd_frames(level)
        if kind == "zstd"
        else _Coding("none", b"", lambda block: block, lambda *_: 0, lambda *_: b"")
    )


def _gzip(level: int) -> _Coding:
    name, module = _deflater(level)
    strength = level if name.startswith("isal") else max(level, 1)  # for the others, 0 means no compression at all

    def code(block: bytes) -> bytes:
        compressor = module.compressobj(strength, module.DEFLATED, -15)
        packed: bytes = compressor.compress(block)
        rest: bytes = compressor.flush(module.Z_SYNC_FLUSH)
        return packed + rest

    return _Coding(name, _GZIP_HEADER, code, module.crc32, _gzip_tail)


def _gzip_tail(check: int, size: int) -> bytes:
    return _LAST_DEFLATE_BLOCK + struct.pack("<II", check, size & 0xFFFFFFFF)


def _deflater(level: int) -> tuple[str, Any]:
    """Return the fastest library for *level* that is installed, with its name and version."""
    if 0 <= level <= _HIGHEST_ISAL_LEVEL:
        with suppress(ImportError):  # not every machine has a wheel
            import isal
            from isal import isal_zlib

            return f"isal {isal.__version__}", isal_zlib
    with suppress(ImportError):
        from zlib_ng import zlib_ng

        return f"zlib-ng {zlib_ng.ZLIBNG_RUNTIME_VERSION}", zlib_ng
    return f"zlib {zlib.ZLIB_RUNTIME_VERSION}", zlib


def _zstd_frames(level: int) -> _Coding:
    # One frame per block, as pzstd makes them: zstd's own threads would give other bytes than a single thread.
    zstd = _zstd()

    def code(block: bytes) -> bytes:
        packed: bytes = zstd.compress(block, level)
        return packed

    def tail(_check: int, size: int) -> bytes:
        return b"" if size else code(b"")

    return _Coding(f"zstd {zstd.zstd_version}", b"", code, lambda *_: 0, tail)


def _zstd() -> Any:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError as error:
        message = "this Python does not have zstd"
        raise UnsupportedError(message, hint="install backports.zstd", setting="compression") from error
    return zstd
