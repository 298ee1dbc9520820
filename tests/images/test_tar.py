"""Layers are tars that any reader understands, written the same way every time."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import sys
import tarfile
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildpush.foundation.errors import BuildError
from buildpush.images.blocks import BLOCK, BlockReader
from buildpush.images.tar import Entry, InTar, in_order, write
from buildpush.images.tar_members import Archive, read_members


def read(raw: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(raw), errors="surrogateescape") as tar:
        return tar.getmembers()


def whole(*entries: Entry) -> bytes:
    return b"".join(write(entries))


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "a" * 100,
        "a" * 101,
        "d" * 60 + "/" + "e" * 60,
        "d" * 154 + "/" + "e" * 100,
        "d" * 200 + "/" + "e" * 101,
        "ünï/çødé",
        "e\u0301 and \u00e9",
        "caf\udce9",
        "new\nline",
        " blank ",
    ],
)
@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_any_name_comes_back(path, kind):
    target = path if kind == "link" else ""
    (found,) = read(whole(Entry(path, kind, target=target)))
    assert (found.name, found.linkname) == (path, target)


@pytest.mark.parametrize("number", [0, 1, 2_097_151, 2_097_152, 2**32 - 2])
def test_any_owner_comes_back(number):
    (found,) = read(whole(Entry("a", "file", uid=number, gid=number)))
    assert (found.uid, found.gid) == (number, number)


@pytest.mark.parametrize("modified", [-1, 0, 2**31, 2**33, 2**40])
def test_any_time_comes_back(modified):
    (found,) = read(whole(Entry("a", "file", modified=modified)))
    assert found.mtime == modified


def test_a_plain_name_needs_no_pax_header():
    assert len(whole(Entry("a", "directory"))) == 3 * 512


def test_a_size_over_eight_gibibytes_is_in_the_pax_header():
    from buildpush.images.tar import header

    raw = header(Entry("big", "file", size=9 * 2**30))
    assert tarfile.TarInfo.frombuf(raw[:512], "utf-8", "strict").type == tarfile.XHDTYPE
    assert f"size={9 * 2**30}\n".encode() in raw


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.text(min_size=1, max_size=120), st.binary(max_size=2000)), max_size=8))
def test_what_was_written_is_read_back(files):
    entries = [
        Entry(path, "file", size=len(content), content=content)
        for path, content in files
        if "\0" not in path and path.strip("/") == path and not any("\ud800" <= char <= "\udfff" for char in path)
    ]
    raw = whole(*entries)
    assert len(raw) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        found = [(member.name, tar.extractfile(member).read()) for member in tar]
    assert found == [(entry.path, entry.content) for entry in entries]


def test_blocks_are_a_mebibyte_each():
    content = os.urandom(3 * BLOCK + 5)
    sizes = [len(block) for block in write([Entry("a", "file", size=len(content), content=content)])]
    assert sizes == [BLOCK, BLOCK, BLOCK, 2048 - 1024 + 512 + 512]


def test_members_of_another_tar_follow_and_hard_links_come_last():
    raw = whole(Entry("one", "file", size=1, content=b"1"), Entry("two", "file", size=1, content=b"2"))
    archive = Archive("an archive", lambda: closing(io.BytesIO(raw)))
    found = whole(
        Entry("h", "hard", target="x/1"),
        Entry("x", "directory"),
        Entry("x/1", "file", size=1, content=InTar(archive, 0)),
        Entry("x/2", "file", size=1, content=InTar(archive, 1)),
        Entry("x/3", "file", size=1, content=InTar(archive, 1)),
        Entry("z", "file", size=1, content=b"z"),
    )
    with tarfile.open(fileobj=io.BytesIO(found)) as tar:
        texts = {member.name: tar.extractfile(member).read() for member in tar if member.isreg()}
        assert [member.name for member in tar][:2] == ["x", "z"]
        assert [member.name for member in tar][-1] == "h"
    assert texts == {"z": b"z", "x/1": b"1", "x/2": b"2", "x/3": b"2"}


def test_a_tar_that_is_not_what_it_was_is_an_error():
    raw = whole(Entry("one", "file", size=1, content=b"1"))
    archive = Archive("an archive", lambda: closing(io.BytesIO(raw)))
    for ordinal, size in ((0, 2), (5, 1)):
        with pytest.raises(BuildError, match="an archive has changed since"):
            whole(Entry("x", "file", size=size, content=InTar(archive, ordinal)))


@pytest.mark.parametrize("raw", [b"no tar" * 300, b"\x1f\x8b broken", b"\x28\xb5\x2f\xfd broken", b"BZh broken"])
def test_what_is_no_tar_is_an_error(raw):
    archive = Archive("a layer", lambda: closing(io.BytesIO(raw)))
    with pytest.raises(BuildError, match="a layer cannot be read"), read_members(archive) as found:
        list(found)


def test_a_compressed_tar_is_read_without_isal_too(monkeypatch):
    monkeypatch.setitem(sys.modules, "isal", None)
    raw = gzip.compress(whole(Entry("one", "file", size=1, content=b"1")))
    with read_members(Archive("a layer", lambda: closing(io.BytesIO(raw)))) as found:
        assert [member.name for _, member, _ in found] == ["one"]
    broken = Archive("a layer", lambda: closing(io.BytesIO(raw[:40])))
    with pytest.raises(BuildError, match="a layer cannot be read"), read_members(broken) as found:
        list(found)


@pytest.mark.parametrize("size", [1, 3, 5, 100])
def test_a_reader_gives_as_many_bytes_as_asked(size):
    with BlockReader(iter([b"abc", b"", b"defgh", b"i"])) as reader:
        parts = []
        while part := reader.read(size):
            parts.append(part)
    assert b"".join(parts) == b"abcdefghi"
    assert all(len(part) == size for part in parts[:-1])


def test_fixed_entries_give_the_bytes_they_always_gave():
    """Other bytes are other diff IDs, and every layer is sent again."""
    names = ["a", "a.d", "a.d/x", "n" * 120, "d" * 90 + "/" + "e" * 60, "ünï", "caf\udce9"]
    raw = whole(
        Entry("folder", "directory", 0o1755, 1, 2, 3),
        *(Entry(name, "file", 0o4644, 0, 2**22, -at, 3, content=b"abc") for at, name in enumerate(names)),
        Entry("link", "link", 0o777, target="t" * 101),
        Entry("hard", "hard", target="a"),
        Entry("large", "file", size=BLOCK, content=bytes(range(256)) * 4096),
    )
    assert hashlib.sha256(raw).hexdigest() == "8fb37ee65254e73eb15d6e335d2999ebcd3e0d991d1cce9a5573660c49c56963"


def test_a_file_that_fills_a_block_exactly_and_its_neighbours_are_all_there():
    for size in range(BLOCK - 1537, BLOCK + 1025, 511):
        contents = [os.urandom(size), b"x", os.urandom(511)]
        raw = whole(*(Entry(str(at), "file", size=len(text), content=text) for at, text in enumerate(contents)))
        with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
            assert [tar.extractfile(member).read() for member in tar] == contents


def test_paths_are_ordered_by_their_bytes():
    assert in_order(["é", "caf\udce9", "b", "a.b", "a/b"]) == ["a.b", "a/b", "b", "caf\udce9", "é"]
    assert in_order(["b", "a/b", "a.b"]) == ["a.b", "a/b", "b"]
