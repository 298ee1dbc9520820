"""Recognises compressed streams, and reads their contents."""

from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
import sys
import tarfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, BinaryIO, cast

from buildpush.images.blocks import BLOCK, BlockReader


def unreadable() -> tuple[type[Exception], ...]:
    """Return what the standard library and the codecs raise for bytes that are not a tar, or for impossible times."""
    own: list[type[Exception]] = [zlib.error, _zstandard().ZstdError]
    with suppress(ImportError):
        from isal import isal_zlib

        own.append(cast("type[Exception]", isal_zlib.error))
    return (tarfile.TarError, EOFError, lzma.LZMAError, OSError, OverflowError, ValueError, *own)


def _zstandard() -> ModuleType:
    """Return the module of zstd: the standard library's, or its backport before Python 3.14."""
    return import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def decompressor(kind: str) -> Callable[[], Any]:
    """Return the factory of decompressors for a stream of *kind*, gzip or zstd."""
    if kind == "zstd":
        return cast("Callable[[], Any]", _zstandard().ZstdDecompressor)
    module: Any = zlib
    with suppress(ImportError):  # not every machine has a wheel
        from isal import isal_zlib as module  # twice as fast
    return partial(module.decompressobj, zlib.MAX_WBITS | 16)


HEAD = 6


_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


def compression_of(head: bytes) -> str | None:
    """Return ``gzip``, ``bzip2``, ``xz`` or ``zstd`` if *head*, the first 6 bytes, begins such a stream."""
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)


def decompressed(raw: BinaryIO) -> BinaryIO:
    """Return a reader of *raw*, which decompresses it if it begins as a compressed stream."""
    head = b""
    while len(head) < HEAD and (more := raw.read(HEAD - len(head))):
        head += more
    whole = cast("BinaryIO", BlockReader(itertools.chain([head], iter(partial(raw.read, BLOCK), b""))))
    kind = compression_of(head)
    if kind == "gzip":
        return cast("BinaryIO", _gzip_file()(fileobj=whole, mode="rb"))
    if kind == "zstd":
        return cast("BinaryIO", _zstandard().ZstdFile(whole))
    if kind == "bzip2":
        return cast("BinaryIO", bz2.BZ2File(whole))
    return cast("BinaryIO", lzma.LZMAFile(whole)) if kind == "xz" else whole


def _gzip_file() -> Any:
    try:
        from isal import igzip
    except ImportError:  # not every machine has a wheel
        return gzip.GzipFile
    return igzip.IGzipFile
