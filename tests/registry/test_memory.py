"""Memory: what it keeps, and that nothing depends on it."""

from __future__ import annotations

import sqlite3
import stat
import threading

from buildpush.images.compression import Compressed, digest_of
from buildpush.images.references import Repository
from buildpush.registry import memory as room
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


HERE = Repository("registry.example", "app")
TABLES = ("layers", "homes", "documents", "scans")


def fill(memory, count: int) -> None:
    """Let *memory* keep so many of everything."""
    for number in range(count):
        data = f"{number:05}".encode()
        memory.keep(Compressed(digest_of(data), 1, digest_of(data), 1), "x")
        memory.keep_home(HERE, digest_of(data))
        memory.keep_document(data)
        memory.keep_diff_id(str(number), digest_of(data))


def age(path, seconds: int, *, yesterday: bool = True) -> None:
    """Let everything in the file be older, and its last pruning be of another day."""
    database = sqlite3.connect(path, isolation_level=None)
    for table in TABLES:
        database.execute(f"UPDATE {table} SET kept = kept - {seconds}")
    if yesterday:
        database.execute("UPDATE prunings SET day = day - 1")
    database.close()


def rows(path) -> list[int]:
    database = sqlite3.connect(path)
    found = [database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in TABLES]
    database.close()
    return found


def test_what_was_not_kept_for_90_days_is_forgotten(tmp_path):
    with Memory(tmp_path / "m") as memory:
        fill(memory, 2)
    age(tmp_path / "m", 91 * 86400)
    with Memory(tmp_path / "m") as memory:
        assert rows(tmp_path / "m") == [0, 0, 0, 0]
        fill(memory, 2)
    age(tmp_path / "m", 89 * 86400)
    with Memory(tmp_path / "m"):
        assert rows(tmp_path / "m") == [2, 2, 2, 2]


def test_what_is_kept_again_is_young_again(tmp_path):
    with Memory(tmp_path / "m") as memory:
        fill(memory, 1)
        age(tmp_path / "m", 91 * 86400)
        fill(memory, 1)
    with Memory(tmp_path / "m"):
        assert rows(tmp_path / "m") == [1, 1, 1, 1]


def test_of_too_much_the_oldest_is_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_MANY", 3)
    monkeypatch.setattr(room, "_DOCUMENTS", 4 * 5 + 2)  # four of five bytes, and not a fifth
    with Memory(tmp_path / "m") as memory:
        fill(memory, 6)
    age(tmp_path / "m", 10)
    with Memory(tmp_path / "m") as memory:
        assert rows(tmp_path / "m") == [3, 3, 4, 3]
        memory.keep(LAYER, "isal 1")
    age(tmp_path / "m", 0)
    with Memory(tmp_path / "m") as memory:
        assert rows(tmp_path / "m")[0] == 3
        assert memory.find(LAYER.diff_id, "isal 1") == LAYER


def test_a_day_has_one_pruning(tmp_path):
    """It reads whole tables: a push of a small image must not pay for it each time."""
    with Memory(tmp_path / "m") as memory:
        fill(memory, 1)
    age(tmp_path / "m", 91 * 86400, yesterday=False)
    with Memory(tmp_path / "m"):
        assert rows(tmp_path / "m") == [1, 1, 1, 1]


def test_a_pruning_that_others_hold_up_costs_no_memory(tmp_path, monkeypatch):
    with Memory(tmp_path / "m") as memory:
        memory.keep(LAYER, "isal 1")
    monkeypatch.setattr(room, "_BEGIN_PRUNING", "this is no SQL")  # what a lock looks like from here: an error
    with Memory(tmp_path / "m") as memory:
        assert memory.find(LAYER.diff_id, "isal 1") == LAYER


def test_processes_that_open_it_at_once_prune_it_once_and_lose_nothing(tmp_path):
    with Memory(tmp_path / "m") as memory:
        fill(memory, 50)
    age(tmp_path / "m", 10)
    opened = []
    threads = [threading.Thread(target=lambda: opened.append(Memory(tmp_path / "m"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(memory.find_document(digest_of(b"00007")) for memory in opened)
    for memory in opened:
        memory.close()
    assert rows(tmp_path / "m") == [50, 50, 50, 50]
