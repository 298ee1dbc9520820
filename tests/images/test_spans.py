"""Tars that can only be read forward, and parts of files."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush.foundation.errors import PushError
from buildpush.images.spans import Tar
from buildpush.images.tar_members import stream_members

FILES = {"a": b"first" * 300, "b/" + "long" * 40: b"", "c": b"x" * 512, "ü": b"last"}


def packed(files: dict[str, bytes], kind: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as tar:
        directory = tarfile.TarInfo("b")
        directory.type = tarfile.DIRTYPE
        tar.addfile(directory)
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def cut(data: bytes, size: int):
    return (data[at : at + size] for at in range(0, len(data), size))


@given(
    st.integers(1, 3000), st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]), st.sets(st.sampled_from("abcü"))
)
def test_members_come_whole_in_pieces_of_any_size(size, kind, unread):
    found = {}
    for member, reader in stream_members(cut(packed(FILES, kind), size), "it"):
        if member.name[0] not in unread:
            found[member.name] = reader.read()
    assert found == {name: data for name, data in FILES.items() if name[0] not in unread}


def test_a_member_that_was_read_in_part_is_left_behind():
    stream = stream_members(cut(packed(FILES), 100), "it")
    _, first = next(stream)
    assert first.read(7) == b"firstfi"
    next(stream)
    with pytest.raises(ValueError, match="had passed it"):
        first.read(1)


@pytest.mark.parametrize("length", [100, 1100, 1900])
def test_a_stream_that_breaks_off_is_an_error(length):
    members = stream_members(cut(packed(FILES)[:length], 64), "the export")
    with pytest.raises(PushError):
        [reader.read() for _, reader in members]


def test_what_is_no_tar_is_an_error():
    with pytest.raises(PushError, match="the export cannot be read as a tar"):
        list(stream_members(iter([b"{}" * 600]), "the export"))


@pytest.mark.parametrize(
    ("compress", "program"), [(gzip.compress, "gunzip"), (bz2.compress, "bunzip2"), (lzma.compress, "unxz")]
)
def test_a_compressed_archive_is_refused_with_what_to_do(tmp_path, compress, program):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(compress(packed(FILES)))
    with pytest.raises(PushError, match="is compressed with") as caught:
        Tar.at(path, "Docker archive", "")
    assert program in caught.value.hint


def test_a_link_leads_nowhere_but_to_another_member(tmp_path):
    path = tmp_path / "a.tar"
    (tmp_path / "secret").write_text("secret")
    with tarfile.open(path, "w") as tar:
        for name, target in (("up", "../secret"), ("absolute", str(tmp_path / "secret")), ("round", "round")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    for name in ("up", "absolute", "round", "../secret", str(tmp_path / "secret")):
        with pytest.raises(PushError, match="does not have the file"):
            Tar.at(path, "archive", "").document(name)
