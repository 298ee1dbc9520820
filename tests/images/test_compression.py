"""BlobInfo layers: readable by everybody, and the same bytes for any number of threads."""

from __future__ import annotations

import gzip
import hashlib
import io
import platform
import random
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildpush.foundation.errors import UnsupportedError
from buildpush.foundation.meter import Meter
from buildpush.images import compression, pool
from buildpush.images.blocks import BLOCK, blocks
from buildpush.images.compression import Compressor, Hashes, digest_of, library
from buildpush.images.pool import Pool

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
    packed = b"".join(Compressor(io.BytesIO(data), "gzip", level))

    assert gzip.decompress(packed) == data
    assert packed[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


def near_borders():
    """Sizes are drawn around the borders of blocks, where something is most likely to go wrong."""
    sizes = st.builds(lambda blocks, more: max(0, blocks * BLOCK + more), st.integers(0, 3), st.integers(-2, 2))
    return st.builds(lambda size, piece: (piece * (size // len(piece) + 1))[:size], sizes, st.binary(min_size=1))


@settings(max_examples=60, deadline=None)
@given(
    data=near_borders(),
    kind=st.sampled_from(["gzip", "zstd", "none"]),
    level=st.sampled_from([0, 1, 2, 3, 6]),
    threads=st.integers(1, 4),
    most=st.integers(1000, 3_000_000),
)
def test_the_bytes_do_not_depend_on_threads_or_on_how_the_source_drips(data, kind, level, threads, most):
    alone = Compressor(io.BytesIO(data), kind, level, checksums=True)
    packed = b"".join(alone)
    with Pool(threads) as pool:
        beside = Compressor(Dripping(data, most), kind, level, checksums=True, pool=pool)
        assert b"".join(beside) == packed

    assert beside.result == alone.result
    assert unpack(packed, kind) == data


def unpack(packed: bytes, kind: str) -> bytes:
    if kind == "gzip":
        return gzip.decompress(packed)
    return compression._zstd().decompress(packed) if kind == "zstd" else packed


@pytest.mark.parametrize("kind", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("threads", [0, 3])
def test_everything_is_hashed_on_the_way(kind, threads):
    pool = Pool(threads) if threads else None
    compressing = Compressor(io.BytesIO(MIXED), kind, 1, checksums=True, pool=pool)
    assert compressing.result is None
    packed = b"".join(compressing)
    if pool:
        pool.close()

    result = compressing.result
    assert (result.diff_id, result.plain_size) == (digest_of(MIXED), len(MIXED))
    assert (result.digest, result.size) == (digest_of(packed), len(packed))
    assert (result.sha1, result.md5) == (hashlib.sha1(packed).hexdigest(), hashlib.md5(packed).hexdigest())
    assert compressing.read == len(MIXED)


def test_without_checksums_only_sha256_is_computed():
    compressing = Compressor(io.BytesIO(b"x"), "gzip")
    list(compressing)

    assert (compressing.result.sha1, compressing.result.md5) == (None, None)


def test_zstd_reads_back():
    zstd = compression._zstd()

    assert zstd.decompress(b"".join(Compressor(io.BytesIO(MIXED), "zstd", 3))) == MIXED
    assert library("zstd", 3).startswith("zstd ")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="recorded on x86_64, with AVX-512 and without")
def test_fixed_input_gives_the_bytes_it_always_gave():
    """When this fails a library changed: layers get other digests, and memory must not mix the versions."""
    if library("gzip", 1) != "isal 1.9.1":
        pytest.skip("recorded with isal 1.9.1")
    packed = b"".join(Compressor(io.BytesIO(MIXED), "gzip", 1))

    assert digest_of(packed).hex == "3401d9aed0bcc0e574c3655cf6851781f92c0f0b5d6653b404f636abead9ea3c"


@pytest.mark.parametrize("level", [0, 1, 6])
def test_without_isal_zlib_ng_does_it(monkeypatch, level):
    pytest.importorskip("zlib_ng")
    monkeypatch.setitem(sys.modules, "isal", None)

    packed = b"".join(Compressor(io.BytesIO(MIXED), "gzip", level))

    assert gzip.decompress(packed) == MIXED
    assert len(packed) < BLOCK * 1.1
    assert library("gzip", level).startswith("zlib-ng ")


@pytest.mark.parametrize("level", [0, 1, 6])
def test_without_both_zlib_does_it(monkeypatch, level):
    monkeypatch.setitem(sys.modules, "isal", None)
    monkeypatch.setitem(sys.modules, "zlib_ng", None)

    packed = b"".join(Compressor(io.BytesIO(MIXED), "gzip", level))

    assert gzip.decompress(packed) == MIXED
    assert len(packed) < BLOCK * 1.1
    assert library("gzip", level).startswith("zlib ")


def test_high_levels_are_not_isals():
    assert library("gzip", 9).startswith("zlib")
    assert library("none", 1) == "none"


def test_without_zstd_there_is_a_hint(monkeypatch):
    for name in ("backports", "backports.zstd", "compression"):
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(UnsupportedError, match="zstd"):
        list(Compressor(io.BytesIO(b"x"), "zstd", 3))


def test_a_failing_source_stops_it():
    class Failing(io.BytesIO):
        def read(self, size=-1, /):
            if self.tell() >= 2 * BLOCK:
                raise OSError(5, "Input/output error")
            return super().read(size)

    with Pool(2) as pool, pytest.raises(OSError, match="Input/output error"):
        list(Compressor(Failing(MIXED), "gzip", pool=pool))


def test_giving_up_in_the_middle_leaves_nothing_running():
    with Pool(1) as pool:
        stream = iter(Compressor(io.BytesIO(MIXED * 10), "gzip", pool=pool))
        next(stream)
        next(stream)
        stream.close()
        assert not [thread for thread in threading.enumerate() if thread.name == "buildpush-read"]


class Counted(bytes):
    """A block that knows how many of its kind are alive."""

    alive = 0
    most = 0
    lock = threading.Lock()

    @classmethod
    def made(cls, content: bytes) -> Counted:
        with cls.lock:
            cls.alive += 1
            cls.most = max(cls.most, cls.alive)
        return cls(content)

    def __del__(self):
        with Counted.lock:
            Counted.alive -= 1


class Endless:
    """A layer of *total* blocks; says how many were read, and tells when it is asked for number *mark*."""

    def __init__(self, total: int, mark: int = 0):
        self.total = total
        self.given = 0
        self.mark = mark
        self.marked = threading.Event()

    def read(self, size=-1, /):
        if self.given == self.total:
            return b""
        self.given += 1
        if self.given == self.mark:
            self.marked.set()
        return Counted.made(bytes(size))


@pytest.fixture
def counted():
    Counted.alive = Counted.most = 0
    return Counted


@pytest.mark.parametrize("kind", ["gzip", "none"])
def test_no_more_than_64_mib_are_in_flight_whatever_the_layers_size(counted, kind):
    with Pool(4) as pool:
        assert sum(map(bool, Compressor(Endless(200), kind, pool=pool))) >= 200

    assert counted.most <= 64
    assert counted.alive == 0


@pytest.mark.parametrize(("threads", "room"), [(1, 4), (2, 8), (4, 16), (64, 16)])
def test_a_consumer_that_stalls_finds_the_work_done_but_no_more_than_there_is_room_for(counted, threads, room):
    source = Endless(300, mark=room + 1)
    compressing = Compressor(source, "gzip", pool=(pool := Pool(threads)))
    stream = iter(compressing)
    next(stream)
    next(stream)

    assert source.marked.wait(60), "one block was taken, the room is filled again"
    pool.close()  # waits for what was begun
    assert source.given == room + 1
    assert counted.most <= 64
    stream.close()


def test_two_layers_share_the_room_and_none_waits_for_the_other(counted):
    with Pool(2, room=8) as pool:
        stalled = iter(Compressor(first := Endless(300, mark=9), "gzip", pool=pool))
        next(stalled)
        next(stalled)
        assert first.marked.wait(60)
        assert sum(map(bool, Compressor(Endless(50), "gzip", pool=pool))) >= 50

        assert counted.most <= 8 + 2 + 4
        stalled.close()


def test_the_meter_knows_what_was_read_and_where_the_time_went():
    meter = Meter()
    with Pool(2) as pool:
        list(Compressor(io.BytesIO(MIXED), "gzip", checksums=True, pool=pool, meter=meter))

    traffic = meter.traffic
    assert traffic.read == len(MIXED)
    assert {work for work, seconds in traffic.seconds.items() if seconds} == {"read", "compress", "hash"}


def test_blocks_are_full_but_for_the_last():
    assert [len(block) for block in blocks(Dripping(b"x" * 25, 3), 10)] == [10, 10, 5]


def test_running_hashes_know_the_size():
    hashes = Hashes(checksums=True)
    hashes.update(b"ab")
    hashes.update(b"c")

    assert (hashes.size, hashes.digest) == (3, digest_of(b"abc"))


def test_giving_up_does_not_wait_for_a_source_that_is_silent(monkeypatch):
    monkeypatch.setattr(pool, "_PATIENCE", 0.1)
    speaks = threading.Event()

    def silent():
        yield b"first"
        speaks.wait(30)

    with Pool(1) as threads:
        stream = pool.work_ahead(threads, lambda _number, block: block, silent())
        assert next(stream) == b"first"
        begun = time.monotonic()
        stream.close()
        assert time.monotonic() - begun < 5
        speaks.set()
