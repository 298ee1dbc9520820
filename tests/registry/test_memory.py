"""Memory: what it keeps, and that nothing depends on it."""

from __future__ import annotations

import sqlite3
import stat
import threading

from buildpush.images.compression import Compressed, digest_of
from buildpush.registry.memory import Memory

LAYER = Compressed(digest_of(b"plain"), 5, digest_of(b"packed"), 6, "sha1", "md5")


def test_what_is_kept_is_found_again_after_a_restart(tmp_path):
    with Memory(tmp_path / "m") as memory:
        memory.keep(LAYER, "isal 1")
    with Memory(tmp_path / "m") as memory:
        assert memory.find(LAYER.diff_id, "isal 1") == LAYER
        assert memory.find_blob(LAYER.digest) == LAYER


def test_another_library_or_layer_is_another_thing(tmp_path):
    with Memory(tmp_path / "m") as memory:
        memory.keep(LAYER, "isal 1")

        assert memory.find(LAYER.diff_id, "isal 2") is None
        assert memory.find(digest_of(b"other"), "isal 1") is None
        assert memory.find_blob(LAYER.diff_id) is None


def test_checksums_once_known_stay_known(tmp_path):
    with Memory(tmp_path / "m") as memory:
        memory.keep(LAYER, "isal 1")
        memory.keep(Compressed(LAYER.diff_id, 5, LAYER.digest, 6), "isal 1")

        assert memory.find(LAYER.diff_id, "isal 1") == LAYER


def test_the_file_is_for_its_owner_only(tmp_path):
    with Memory(tmp_path / "m"):
        assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == 0o600


def test_a_damaged_file_is_begun_anew(tmp_path):
    (tmp_path / "m").write_bytes(b"this is no database" * 100)
    with Memory(tmp_path / "m") as memory:
        memory.keep(LAYER, "isal 1")
        assert memory.find(LAYER.diff_id, "isal 1") == LAYER


def test_a_file_of_a_later_version_is_begun_anew(tmp_path):
    database = sqlite3.connect(tmp_path / "m")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with Memory(tmp_path / "m") as memory:
        memory.keep(LAYER, "isal 1")
        assert memory.find(LAYER.diff_id, "isal 1") == LAYER


def test_without_a_file_nothing_is_known_and_nothing_fails(tmp_path):
    with Memory(tmp_path / "no" / "folder") as memory:
        memory.keep(LAYER, "isal 1")
        assert memory.find(LAYER.diff_id, "isal 1") is None
    memory.keep(LAYER, "isal 1")


def test_a_locked_file_is_left_alone(tmp_path, monkeypatch):
    with Memory(tmp_path / "m") as memory:
        memory.keep(LAYER, "isal 1")
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, **named: real(path, **(named | {"timeout": 0})))
    other = real(tmp_path / "m", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with Memory(tmp_path / "m") as memory:
        assert memory.find(LAYER.diff_id, "isal 1") is None
    other.close()
    with Memory(tmp_path / "m") as memory:
        assert memory.find(LAYER.diff_id, "isal 1") == LAYER


def test_threads_and_pushes_share_it(tmp_path):
    with Memory(tmp_path / "m") as one, Memory(tmp_path / "m") as two:

        def work(memory, first):
            for number in range(first, 100, 2):
                data = str(number).encode()
                memory.keep(Compressed(digest_of(data), 1, digest_of(data), 1), "x")

        threads = [threading.Thread(target=work, args=(memory, at)) for at, memory in enumerate((one, two))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(one.find(digest_of(str(number).encode()), "x") for number in range(100))
