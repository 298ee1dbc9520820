"""Layers kept between builds in a directory of this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from buildpush.engines.docker.caching import LayerCaches
from buildpush.foundation.errors import SettingsError


def build(kept: LayerCaches, whose: str, size: int = 10) -> tuple[str, ...]:
    """Do what a build does: read what is there, write a whole cache; return where it read."""
    with kept.caches_of(whose) as (read, written):
        new = Path(written.field("dest"))
        new.mkdir(exist_ok=True)
        (new / "index.json").write_text("{}")
        (new / "blob").write_bytes(bytes(size))
    return tuple(spec.field("src") for spec in read)


def test_a_build_reads_what_the_last_one_of_its_repository_left(tmp_path):
    kept = LayerCaches(tmp_path)
    assert build(kept, "r.test/a") == ()
    (found,) = build(kept, "r.test/a")
    assert (Path(found) / "blob").exists()
    assert build(kept, "r.test/b") == ()


def test_a_build_replaces_what_was_kept(tmp_path):
    kept = LayerCaches(tmp_path)
    build(kept, "a", 1000)
    build(kept, "a", 10)
    assert [path.stat().st_size for path in tmp_path.rglob("blob")] == [10]


def fail(kept: LayerCaches) -> None:
    with kept.caches_of("a") as (_, written):
        Path(written.field("dest"), "blob").touch()
        message = "it broke"
        raise ValueError(message)


def test_a_build_that_fails_leaves_what_was_kept(tmp_path):
    kept = LayerCaches(tmp_path)
    build(kept, "a")
    with pytest.raises(ValueError, match="it broke"):
        fail(kept)
    assert len(list(tmp_path.iterdir())) == 1
    assert build(kept, "a") != ()


def test_nobody_else_can_read_what_is_kept(tmp_path):
    build(LayerCaches(tmp_path / "layers"), "a")
    assert (tmp_path / "layers").stat().st_mode & 0o777 == 0o700


def test_a_directory_that_cannot_be_made_is_an_error_with_the_setting(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError) as caught:
        build(LayerCaches(tmp_path / "file" / "layers"), "a")
    assert caught.value.setting == "caching"


def test_the_cache_that_was_not_used_for_longest_goes_first(tmp_path):
    kept = LayerCaches(tmp_path, largest=250)
    for age, name in enumerate(("old", "middle", "new")):
        build(kept, name, 100)
        newest = max(tmp_path.iterdir(), key=lambda path: path.stat().st_ctime_ns)
        os.utime(newest, (age, age))
    assert len(list(tmp_path.iterdir())) == 2
    assert (build(kept, "middle") != (), build(kept, "new") != ()) == (True, True)


def test_a_cache_that_nothing_was_written_to_is_no_error(tmp_path):
    """BuildKit writes none where a build has no layers of its own."""
    with LayerCaches(tmp_path / "not" / "there").caches_of("a") as (read, _):
        assert read == ()


def test_builds_of_one_repository_at_once_do_not_disturb_each_other(tmp_path):
    kept = LayerCaches(tmp_path, largest=1)
    build(LayerCaches(tmp_path), "a", 100)
    with kept.caches_of("a") as (read, first), kept.caches_of("a") as (_, second):
        assert first.field("dest") != second.field("dest")
        build(kept, "a", 100)  # a third one is done in the meantime
        assert (Path(read[0].field("src")) / "index.json").exists()
        assert Path(first.field("dest")).is_dir()
        assert Path(second.field("dest")).is_dir()
