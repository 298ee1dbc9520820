"""Files that are written whole, and those that can only be written in place."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from buildpush.cli.report import check_receipts
from buildpush.foundation.files import remove_or_empty, write_whole


@pytest.fixture(params=[errno.EBUSY, errno.EACCES, errno.EROFS])
def mounted(request, tmp_path, monkeypatch):
    """Return a file that can be written, but neither replaced nor removed, as one that is mounted into a container."""

    def refuse(path, *_words, **_more):
        raise OSError(request.param, "no", str(path))

    path = tmp_path / "termination-log"
    path.write_text("before, and longer than what comes")
    monkeypatch.setattr(Path, "replace", refuse)
    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda one, **more: refuse(one) if one == path else unlink(one, **more))
    return path


def test_a_file_that_cannot_be_replaced_is_written_in_place(mounted):
    write_whole(mounted, b"after", mode=0o644)
    assert mounted.read_bytes() == b"after"
    assert [one.name for one in mounted.parent.iterdir()] == ["termination-log"]


def test_a_file_that_cannot_be_removed_is_emptied(mounted):
    remove_or_empty(mounted)
    assert mounted.read_bytes() == b""


def test_the_digest_of_an_earlier_run_in_a_file_that_cannot_be_removed_is_emptied(mounted):
    check_receipts(str(mounted), {})
    assert mounted.read_bytes() == b""


def test_a_full_disk_is_no_reason_to_write_in_place(tmp_path, monkeypatch):
    def fail(*_words):
        raise OSError(errno.ENOSPC, "no space left")

    (tmp_path / "a").write_text("before")
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        write_whole(tmp_path / "a", b"after", mode=0o644)
    assert (tmp_path / "a").read_text() == "before"


def test_what_is_not_there_needs_no_removal(tmp_path):
    remove_or_empty(tmp_path / "none")
