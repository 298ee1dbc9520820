"""BlobInfo layers of archives that say no digest of them: what is in them is checked while they pass."""

from __future__ import annotations

import gzip
import io
import random
import tracemalloc

import pytest

try:
    from compression import zstd
except ImportError:
    from backports import zstd

from buildpush.foundation.errors import DigestError
from buildpush.images.compression import digest_of
from buildpush.images.proof import DiffIdCheckingReader

DATA = random.Random(3).randbytes(300_000) + bytes(3_000_000)
PACKED = {
    "gzip": gzip.compress(DATA),
    "gzip, two members": gzip.compress(DATA[:1000]) + gzip.compress(DATA[1000:]),
    "zstd": zstd.compress(DATA),
    "plain, although it is called compressed": DATA,
    "zstd, two frames": zstd.compress(DATA[:1000]) + zstd.compress(DATA[1000:]),
}


def read(packed: bytes, data: bytes = DATA) -> bytes:
    return DiffIdCheckingReader(io.BytesIO(packed), digest_of(data), "the layer").read()


@pytest.mark.parametrize("kind", PACKED)
def test_bytes_come_out_as_they_are(kind):
    assert read(PACKED[kind]) == PACKED[kind]


@pytest.mark.parametrize("kind", PACKED)
def test_other_content_than_was_promised_is_refused(kind):
    with pytest.raises(DigestError, match="was expected"):
        read(PACKED[kind], b"else")


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("damage", [lambda data: data[:-200], lambda data: data[:500] + b"XX" + data[502:]])
def test_damage_is_refused(kind, damage):
    with pytest.raises(DigestError, match=r"ends too early|is damaged|was expected"):
        read(damage(PACKED[kind]))


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_what_unpacks_to_very_much_is_looked_through_in_bounded_memory(kind):
    data = bytes(60_000_000)
    packed = gzip.compress(data) if kind == "gzip" else zstd.compress(data)
    digest = digest_of(data)
    del data
    tracemalloc.start()
    DiffIdCheckingReader(io.BytesIO(packed), digest, "the layer").read()
    assert tracemalloc.get_traced_memory()[1] < 15_000_000
    tracemalloc.stop()
