"""Compressed layers: readable by everybody, and the same bytes for any number of threads."""

from __future__ import annotations

import gzip
import hashlib
import io
import platform
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildpush.errors import UnsupportedError
from buildpush.images import compression
from buildpush.images.compression import BLOCK, Compressing, Hashes, blocks, compress, digest_of, library

MIXED = random.Random(7).randbytes(BLOCK) + b"layer" * 500_000


class Dripping(io.BytesIO):
    """Gives fewer bytes than asked for, as pipes and sockets do."""

    def __init__(self, data: bytes, most: int):
        super().__init__(data)
        self.most = most

    def read(self, size=-1, /):
        return super().read(min(size, self.most))


@pytest.mark.parametrize("data", [b"", b"x", b"x" * BLOCK, MIXED], ids=["empty", "one", "block", "mixed"])
@pytest.mark.parametrize("level", [0, 1, 2, 3, 6])
def test_gzip_reads_back(data, level):
    packed = b"".join(compress(io.BytesIO(data), "gzip", level))

    assert gzip.decompress(packed) == data
    assert packed[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


@settings(max_examples=25, deadline=None)
@given(
    seeds=st.lists(st.tuples(st.binary(min_size=1, max_size=64), st.integers(1, 60_000)), max_size=6),
    threads=st.integers(1, 5),
    most=st.integers(1000, 3_000_000),
)
def test_the_bytes_do_not_depend_on_threads_or_on_how_the_source_drips(seeds, threads, most):
    data = b"".join(piece * times for piece, times in seeds)
    with ThreadPoolExecutor(threads) as pool:
        beside = b"".join(Compressing(Dripping(data, most), "gzip", 1, pool=pool))

    assert beside == b"".join(compress(io.BytesIO(data), "gzip", 1))
    assert gzip.decompress(beside) == data


@pytest.mark.parametrize("kind", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("threads", [0, 3])
def test_everything_is_hashed_on_the_way(kind, threads):
    pool = ThreadPoolExecutor(threads) if threads else None
    compressing = Compressing(io.BytesIO(MIXED), kind, 1, checksums=True, pool=pool)
    assert compressing.result is None
    packed = b"".join(compressing)
    if pool:
        pool.shutdown()

    result = compressing.result
    assert (result.diff_id, result.plain_size) == (digest_of(MIXED), len(MIXED))
    assert (result.digest, result.size) == (digest_of(packed), len(packed))
    assert (result.sha1, result.md5) == (hashlib.sha1(packed).hexdigest(), hashlib.md5(packed).hexdigest())
    assert compressing.read == len(MIXED)


def test_without_checksums_only_sha256_is_computed():
    compressing = Compressing(io.BytesIO(b"x"), "gzip")
    list(compressing)

    assert (compressing.result.sha1, compressing.result.md5) == (None, None)


def test_zstd_reads_back():
    zstd = compression._zstd()

    assert zstd.decompress(b"".join(compress(io.BytesIO(MIXED), "zstd", 3))) == MIXED
    assert library("zstd", 3).startswith("zstd ")


def test_fixed_input_gives_the_bytes_it_always_gave():
    """When this fails a library changed: layers get other digests, and memory must not mix the versions."""
    processor = Path("/proc/cpuinfo").read_text() if platform.machine() == "x86_64" else ""
    if library("gzip", 1) != "isal 1.9.1" or "avx512bw" not in processor:
        pytest.skip("recorded with isal 1.9.1 on a processor with AVX-512")
    packed = b"".join(compress(io.BytesIO(MIXED), "gzip", 1))

    assert digest_of(packed).hex == "3401d9aed0bcc0e574c3655cf6851781f92c0f0b5d6653b404f636abead9ea3c"


def test_without_isal_zlib_does_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "isal", None)

    assert gzip.decompress(b"".join(compress(io.BytesIO(MIXED), "gzip", 1))) == MIXED
    assert library("gzip", 1).startswith("zlib ")


def test_high_levels_are_zlibs():
    assert library("gzip", 9).startswith("zlib ")
    assert library("none", 1) == "none"


def test_without_zstd_there_is_a_hint(monkeypatch):
    for name in ("backports", "backports.zstd", "compression"):
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(UnsupportedError, match="zstd"):
        list(compress(io.BytesIO(b"x"), "zstd", 3))


def test_a_failing_source_stops_it():
    class Failing(io.BytesIO):
        def read(self, size=-1, /):
            if self.tell() >= 2 * BLOCK:
                raise OSError(5, "Input/output error")
            return super().read(size)

    with ThreadPoolExecutor(2) as pool, pytest.raises(OSError, match="Input/output error"):
        list(Compressing(Failing(MIXED), "gzip", pool=pool))


def test_giving_up_in_the_middle_leaves_nothing_running():
    with ThreadPoolExecutor(1) as pool:
        stream = iter(Compressing(io.BytesIO(MIXED * 10), "gzip", pool=pool))
        next(stream)
        next(stream)
        stream.close()


def test_blocks_are_full_but_for_the_last():
    assert [len(block) for block in blocks(Dripping(b"x" * 25, 3), 10)] == [10, 10, 5]


def test_running_hashes_know_the_size():
    hashes = Hashes(checksums=True)
    hashes.update(b"ab")
    hashes.update(b"c")

    assert (hashes.size, hashes.digest) == (3, digest_of(b"abc"))
