"""Files that did not change are not read again; anything else is."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest

from buildpush.credentials.docker import Credential, Keychain
from buildpush.foundation.events import Event, Traffic
from buildpush.http.client import Http
from buildpush.images.blocks import BLOCK
from buildpush.images.compression import digest_of
from buildpush.images.references import Repository
from buildpush.images.tar import Entry, size_of, write
from buildpush.registry.client import Registry
from buildpush.registry.memory import Memory
from buildpush.registry.push import push

LATER = 3600  # files of a test are young; the build of an hour later trusts their times


@pytest.fixture
def memory(tmp_path):
    with Memory(tmp_path / "memory") as memory:
        yield memory


@pytest.fixture
def build(directory, memory):
    """Return a function that builds, reads every layer as a push does, and says what was known before."""

    def build(text="FROM scratch\nCOPY d /d\n", *, after=LATER, memory=memory, **changes):
        directory.dockerfile(text)
        engine = directory.engine(now=lambda: time.time() + after, memory=memory)
        with engine.build(directory.request(**changes)) as image:
            known = [layer.diff_id for layer in image.layers]
            for layer, raw in zip(image.layers, directory.bytes_of(image), strict=True):
                assert layer.diff_id in {None, digest_of(raw)}, "what is known is true"
                assert layer.compressed or layer.size == len(raw)
                if layer.learn:
                    layer.learn(digest_of(raw))
            assert bool(directory.config_of(image)["rootfs"]["diff_ids"]) == (None not in known)
        return [diff_id is not None for diff_id in known]

    return build


@pytest.fixture(autouse=True)
def files(directory):
    directory.write("d/a", "A")
    directory.write("d/b", "B")
    directory.write("d/e/f", "F")
    (directory.root / "d/link").symlink_to("a")


def test_what_was_read_before_is_known(build):
    assert build() == [False]
    assert build() == [True]


def test_only_the_layer_that_changed_is_read_again(directory, build):
    directory.write("e", "E")
    text = "FROM scratch\nCOPY d /d\nCOPY e /e\nCOPY <<X /x\ntext\nX\nWORKDIR /w\n"
    assert build(text) == [False, False, False, False]
    directory.write("e", "EE")
    assert build(text) == [True, False, True, True]
    assert build(text.replace("text", "next")) == [True, True, False, True]


def rewrite_with_its_old_times(directory):
    path = directory.root / "d/a"
    before = path.stat()
    path.write_text("Z")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # the file system's clock ticks every few milliseconds
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (before.st_mtime_ns, before.st_size)


@pytest.mark.parametrize(
    "change",
    [
        rewrite_with_its_old_times,
        lambda directory: directory.write("d/c", ""),
        lambda directory: (directory.root / "d/a").unlink(),
        lambda directory: (directory.root / "d/a").rename(directory.root / "d/c"),
        lambda directory: (directory.root / "d/a").chmod(0o600),
        lambda directory: (directory.root / "d/e").chmod(0o700),
        lambda directory: (directory.root / "d/b").replace(directory.root / "d/a"),
        lambda directory: ((directory.root / "d/link").unlink(), (directory.root / "d/link").symlink_to("b")),
        lambda directory: directory.write(".dockerignore", "d/b"),
    ],
)
def test_a_directory_in_which_anything_changed_is_read_again(directory, build, change):
    build()
    change(directory)
    assert build() == [False]
    assert build() == [True]


def test_a_large_layer_is_known_until_any_of_its_files_changes(directory, build):
    """Its entries are looked at a thousand at a time."""
    for number in range(2100):
        directory.write(f"d/many/{number:04}", "x")
    build()
    assert build() == [True]

    for number in ("0000", "1500", "2099"):
        directory.write(f"d/many/{number}", "y")
        assert build() == [False]


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("FROM scratch\nCOPY d /e\n", {}),
        ("FROM scratch\nCOPY --chown=1:2 d /d\n", {}),
        ("FROM scratch\nCOPY --chmod=700 d /d\n", {}),
        ("FROM scratch\nCOPY d /d\n", {"created": 1}),
    ],
)
def test_the_same_files_that_look_different_are_another_layer(build, text, changes):
    build()
    assert build(text, **changes) == [False]


def test_a_file_that_may_change_once_more_within_its_times_grain_is_read_again(build):
    """A file that was written a moment ago, and once more in that moment, would look as it did."""
    assert build(after=1) == [False]
    assert build(after=1) == [False]
    assert build() == [False]
    assert build(after=1) == [False], "nor is believed what was kept when the clock was ahead"


def test_no_cache_reads_everything_and_keeps_what_it_found(build):
    build()
    assert build(no_cache=True) == [False]
    assert build() == [True]


def test_no_cache_corrects_what_was_kept(directory, build, memory):
    class Wrong:
        find_diff_id = memory.find_diff_id

        def keep_diff_id(self, seen, _diff_id):
            memory.keep_diff_id(seen, digest_of(b"wrong"))

    build(memory=Wrong())
    with pytest.raises(AssertionError, match="what is known is true"):
        build()
    build(no_cache=True)
    assert build() == [True]


def test_without_a_memory_everything_is_read(build):
    assert build(memory=None) == [False]
    assert build(memory=None) == [False]


def test_files_of_a_base_image_are_known_by_its_digest(directory, build, make_base):
    directory.bases["base.test/b:1"] = make_base({"a": "A"}, kind="gzip")
    text = "FROM scratch\nCOPY --from=base.test/b:1 a /a\n"
    assert build(text) == [False]
    assert build(text) == [True]
    directory.bases["base.test/b:1"] = make_base({"a": "B"}, kind="gzip")
    assert build(text) == [False]


def test_files_of_what_has_no_digest_are_read_again(directory, build, make_base):
    image = make_base({"a": "A"})
    nameless = tuple(replace(layer, digest=None, diff_id=None) for layer in image.layers)
    directory.bases["base.test/b:1"] = replace(image, layers=nameless)
    text = "FROM scratch\nCOPY --from=base.test/b:1 a /a\n"
    assert build(text) == [False]
    assert build(text) == [False]


def test_an_unpacked_archive_is_read_again(directory, build):
    directory.write("t.tar", b"".join(write([Entry("x", "file", size=1, content=b"x")])))
    text = "FROM scratch\nADD t.tar /t/\n"
    assert build(text) == [False]
    assert build(text) == [False]


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, BLOCK])
@pytest.mark.parametrize("path", ["a", "a" * 99, "a" * 100, "a" * 101, "ü", "d" * 90 + "/" + "e" * 90])
def test_the_size_of_a_layer_is_known_before_it_is_read(path, size):
    entries = [
        Entry(path, "directory"),
        Entry(f"{path}/f", "file", size=size, content=bytes(size), modified=-1),
        Entry(f"{path}/g", "hard", target=f"{path}/f"),
        Entry(f"{path}/l", "link", target="t" * 120),
    ]
    assert size_of(entries) == sum(map(len, write(entries)))


@pytest.mark.sandbox
def test_what_did_not_change_is_pushed_without_reading_a_file(directory, box, memory):
    directory.dockerfile("FROM scratch\nCOPY d /d\n")
    repository = Repository(box.host, "docker-local/known")
    keychain = Keychain({box.host: Credential(box.username, box.password, "test")})
    engine = directory.engine(now=lambda: time.time() + LATER, memory=memory)
    events: list[Event] = []
    with Http() as http:
        registry = Registry(http, keychain, memory=memory)
        for tag in ("1", "2"):
            with engine.build(directory.request()) as image:
                push(image, [repository.tagged(tag)], registry, sink=events.append)

    first, second = (event for event in events if isinstance(event, Traffic))
    assert first.read
    assert second.read == 0
    assert box.digest(repository.path, "1") == box.digest(repository.path, "2")
