"""Memory: what it keeps, and that nothing depends on it."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
import threading

import pytest

from buildpush.images.compression import BlobInfo, digest_of
from buildpush.images.references import Repository
from buildpush.registry import memory as room
from buildpush.registry.memory import Memory
from buildpush.registry.profile import UploadProfile

LAYER = BlobInfo(digest_of(b"plain"), 5, digest_of(b"packed"), 6, "sha1", "md5")


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
        memory.keep(BlobInfo(LAYER.diff_id, 5, LAYER.digest, 6), "isal 1")

        assert memory.find(LAYER.diff_id, "isal 1") == LAYER


def test_the_file_is_for_its_owner_only(tmp_path):
    with Memory(tmp_path / "m"):
        assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == 0o600


def test_a_damaged_file_is_begun_anew(tmp_path):
    (tmp_path / "m").write_bytes(b"this is no database" * 100)
    with Memory(tmp_path / "m") as memory:
        memory.keep(LAYER, "isal 1")
        assert memory.find(LAYER.diff_id, "isal 1") == LAYER


@pytest.mark.parametrize(
    "odd",
    [
        "CREATE TABLE facts (kind TEXT, key TEXT, value)",
        "CREATE TABLE facts (kind TEXT, key TEXT, value, kept INTEGER)",
        "CREATE VIEW facts AS SELECT 'a' AS kind, 'b' AS key, 'c' AS value, 1 AS kept",
    ],
)
def test_a_file_of_this_version_with_another_table_is_begun_anew(tmp_path, odd):
    """Every fact would be refused by it, and nothing would ever be remembered again."""
    with contextlib.closing(sqlite3.connect(tmp_path / "m")) as database:
        database.execute(odd)
        database.execute("PRAGMA user_version = 7")
    with Memory(tmp_path / "m") as memory:
        memory.keep(LAYER, "zlib 6")
        assert memory.find(LAYER.diff_id, "zlib 6") == LAYER
        assert memory.was_damaged
    with Memory(tmp_path / "m") as memory:
        assert memory.find(LAYER.diff_id, "zlib 6") == LAYER
        assert not memory.was_damaged


def test_a_file_of_a_later_version_is_begun_anew(tmp_path):
    database = sqlite3.connect(tmp_path / "m")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with Memory(tmp_path / "m") as memory:
        memory.keep(LAYER, "isal 1")
        assert memory.find(LAYER.diff_id, "isal 1") == LAYER
        assert not memory.was_damaged


def test_without_a_file_nothing_is_known_and_nothing_fails(tmp_path):
    with Memory(tmp_path / "no" / "directory") as memory:
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
                memory.keep(BlobInfo(digest_of(data), 1, digest_of(data), 1), "x")

        threads = [threading.Thread(target=work, args=(memory, at)) for at, memory in enumerate((one, two))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(one.find(digest_of(str(number).encode()), "x") for number in range(100))


HERE = Repository("registry.example", "app")
KINDS = ("layer", "home", "document", "scan")


def fill(memory, count: int) -> None:
    """Let *memory* keep so many of everything."""
    for number in range(count):
        data = f"{number:05}".encode()
        memory.keep(BlobInfo(digest_of(data), 1, digest_of(data), 1), "x")
        memory.keep_home(HERE, digest_of(data))
        memory.keep_document(data)
        memory.keep_diff_id(str(number), digest_of(data))


def age(path, seconds: int, *, yesterday: bool = True) -> None:
    """Let everything in the file be older, and its last pruning be of another day."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute(f"UPDATE facts SET kept = kept - {seconds}")
    if yesterday:
        database.execute("UPDATE facts SET value = value - 1 WHERE kind = 'pruning'")
    database.close()


def rows(path) -> list[int]:
    database = sqlite3.connect(path)
    count = "SELECT COUNT(*) FROM facts WHERE kind = ?"
    found = [database.execute(count, (kind,)).fetchone()[0] for kind in KINDS]
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


@pytest.mark.parametrize(
    ("asked", "days"),
    [
        *(("find", 90), ("find_blob", 90), ("find_home", 90), ("find_diff_id", 90), ("find_document", 90)),
        *(("take_session", 2), ("find_profile", 1)),
    ],
)
def test_each_kind_of_fact_is_good_for_its_days(tmp_path, asked, days):
    act, nothing = ASKED[asked]
    with filled(tmp_path / "m") as memory:
        age(tmp_path / "m", days * 86400 - 60)
        assert act(memory) != nothing
    with filled(tmp_path / "m") as memory:
        age(tmp_path / "m", days * 86400 + 60)
        assert act(memory) == nothing


def test_what_is_kept_again_within_a_day_is_not_written(tmp_path):
    with Memory(tmp_path / "m") as memory:
        memory.keep_home(HERE, LAYER.digest)
        before = memory._database.total_changes
        memory.keep_home(HERE, LAYER.digest)
        assert memory._database.total_changes == before
        memory.keep_home(APP, LAYER.digest)
        memory.keep_home(Repository(HERE.host, "other"), LAYER.digest)
        assert memory._database.total_changes == before + 2


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


def test_a_document_is_found_as_long_as_it_is_what_its_digest_promises(tmp_path):
    with Memory(tmp_path / "m") as memory:
        memory.keep_document(b"one")
        assert memory.find_document(digest_of(b"one")) == b"one"
        assert memory.find_document(digest_of(b"two")) is None
    with sqlite3.connect(tmp_path / "m") as database:
        database.execute("UPDATE facts SET value = ? WHERE kind = 'document'", (b"another",))
    database.close()
    with Memory(tmp_path / "m") as memory:
        assert memory.find_document(digest_of(b"one")) is None


def test_documents_of_a_mebibyte_are_kept_and_larger_ones_are_not(tmp_path):
    largest, larger = bytes(1024 * 1024), bytes(1024 * 1024 + 1)
    with Memory(tmp_path / "m") as memory:
        memory.keep_document(largest)
        memory.keep_document(larger)
        assert memory.find_document(digest_of(largest)) == largest
        assert memory.find_document(digest_of(larger)) is None


def test_what_a_layer_was_when_its_files_were_seen_is_known(tmp_path):
    with Memory(tmp_path / "m") as memory:
        memory.keep_diff_id("seen so", LAYER.diff_id)
        assert memory.find_diff_id("seen so") == LAYER.diff_id
        assert memory.find_diff_id("seen otherwise") is None


def test_only_the_pair_of_a_layer_that_was_seen_is_proven(tmp_path):
    with Memory(tmp_path / "m") as memory:
        memory.keep(LAYER, "isal 1")
        assert memory.proves(LAYER.diff_id, LAYER.digest)
        assert not memory.proves(LAYER.digest, LAYER.diff_id)
        assert not memory.proves(LAYER.diff_id, digest_of(b"other"))


def test_a_home_is_of_one_host(tmp_path):
    with Memory(tmp_path / "m") as memory:
        memory.keep_home(Repository("a.io", "team/app"), LAYER.digest)
        assert memory.find_home("a.io", LAYER.digest) == Repository("a.io", "team/app")
        assert memory.find_home("b.io", LAYER.digest) is None
        assert memory.find_home("a.io", LAYER.diff_id) is None


def test_an_upload_is_taken_by_one_and_only_after_it_was_left(tmp_path):
    app, other = Repository("a.io", "team/app"), Repository("a.io", "team/other")
    with Memory(tmp_path / "m") as memory:
        memory.keep_session(app, "mark", "https://a.io/up/1")
        assert memory.take_session(app, "mark") is None
        memory.leave_session(app, "mark", "https://a.io/up/2")
        assert memory.take_session(app, "mark") is None
        memory.leave_session(app, "mark", "https://a.io/up/1")
        assert memory.take_session(other, "mark") is None
        assert memory.take_session(app, "another mark") is None
        assert memory.take_session(app, "mark") == "https://a.io/up/1"
        assert memory.take_session(app, "mark") is None


def test_an_upload_that_ended_is_forgotten_and_a_newer_one_is_not(tmp_path):
    app = Repository("a.io", "team/app")
    with Memory(tmp_path / "m") as memory:
        memory.keep_session(app, "mark", "https://a.io/up/2")
        memory.leave_session(app, "mark", "https://a.io/up/2")
        memory.forget_session(app, "mark", "https://a.io/up/1")
        assert memory.take_session(app, "mark") == "https://a.io/up/2"
        memory.forget_session(app, "mark", "https://a.io/up/2")
        memory.leave_session(app, "mark", "https://a.io/up/2")
        assert memory.take_session(app, "mark") is None


def test_a_profile_is_of_one_host_and_one_of_another_version_is_none(tmp_path):
    profile = UploadProfile(part=100_000, fresh=True, way="put", taken=7, takes_parts=True, least=3, late=True)
    with Memory(tmp_path / "m") as memory:
        memory.keep_profile("a.io", profile)
        assert memory.find_profile("a.io") == profile
        assert memory.find_profile("b.io") is None
    with sqlite3.connect(tmp_path / "m") as database:
        database.execute("UPDATE facts SET value = ? WHERE kind = 'profile'", ('{"speed": 7}',))
    database.close()
    with Memory(tmp_path / "m") as memory:
        assert memory.find_profile("a.io") is None
    with sqlite3.connect(tmp_path / "m") as database:
        database.execute("UPDATE facts SET value = ? WHERE kind = 'profile'", ("{",))
    database.close()
    with Memory(tmp_path / "m") as memory:
        assert memory.find_profile("a.io") is None


def test_of_two_who_find_an_upload_at_once_one_gets_it(tmp_path, monkeypatch):
    app, got = Repository("a.io", "team/app"), []
    with Memory(tmp_path / "m") as memory, Memory(tmp_path / "m") as other:
        memory.keep_session(app, "mark", "https://a.io/up/1")
        memory.leave_session(app, "mark", "https://a.io/up/1")

        def ask_in_between(_owner):
            monkeypatch.setattr(room, "is_process_running", lambda _owner: False)
            got.append(other.take_session(app, "mark"))
            return False

        monkeypatch.setattr(room, "is_process_running", ask_in_between)
        assert memory.take_session(app, "mark") is None
        assert got == ["https://a.io/up/1"]


APP = Repository("a.io", "team/app")
# What is asked of a memory, and what it answers where nothing can be read or written any more.
ASKED = {
    "find": (lambda memory: memory.find(LAYER.diff_id, "isal 1"), None),
    "find_blob": (lambda memory: memory.find_blob(LAYER.digest), None),
    "proves": (lambda memory: memory.proves(LAYER.diff_id, LAYER.digest), False),
    "keep": (lambda memory: memory.keep(LAYER, "isal 1"), None),
    "find_home": (lambda memory: memory.find_home("a.io", LAYER.digest), None),
    "keep_home": (lambda memory: memory.keep_home(APP, LAYER.digest), None),
    "take_session": (lambda memory: memory.take_session(APP, "mark"), None),
    "keep_session": (lambda memory: memory.keep_session(APP, "mark", "https://a.io/up/1"), None),
    "leave_session": (lambda memory: memory.leave_session(APP, "mark", "https://a.io/up/1"), None),
    "forget_session": (lambda memory: memory.forget_session(APP, "mark", "https://a.io/up/1"), None),
    "find_profile": (lambda memory: memory.find_profile("a.io"), None),
    "keep_profile": (lambda memory: memory.keep_profile("a.io", UploadProfile()), None),
    "find_diff_id": (lambda memory: memory.find_diff_id("seen"), None),
    "keep_diff_id": (lambda memory: memory.keep_diff_id("seen", LAYER.diff_id), None),
    "find_document": (lambda memory: memory.find_document(digest_of(b"document")), None),
    "keep_document": (lambda memory: memory.keep_document(b"document"), None),
}


def filled(path) -> Memory:
    """Return a memory that has an answer to everything of ASKED."""
    memory = Memory(path)
    memory.keep_session(APP, "mark", "https://a.io/up/1")
    memory.leave_session(APP, "mark", "https://a.io/up/1")
    memory.keep(LAYER, "isal 1")
    memory.keep_home(APP, LAYER.digest)
    memory.keep_profile("a.io", UploadProfile())
    memory.keep_diff_id("seen", LAYER.diff_id)
    memory.keep_document(b"document")
    return memory


@pytest.mark.parametrize("asked", ASKED)
def test_a_table_that_goes_in_the_middle_of_a_run_is_as_good_as_empty(tmp_path, asked):
    act, nothing = ASKED[asked]
    with filled(tmp_path / "m") as memory:
        if asked.startswith(("find", "proves")):
            assert act(memory) != nothing
        other = sqlite3.connect(tmp_path / "m", isolation_level=None)
        for (table,) in other.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            other.execute(f"DROP TABLE {table}")
        other.close()
        assert act(memory) == nothing


@pytest.mark.parametrize("asked", ASKED)
def test_a_file_that_is_damaged_in_the_middle_of_a_run_is_as_good_as_empty(tmp_path, asked):
    act, nothing = ASKED[asked]
    with filled(tmp_path / "m") as memory:
        with (tmp_path / "m").open("r+b") as file:
            file.write(b"no database, and no page of one " * 4096)
        assert act(memory) == nothing


@pytest.mark.parametrize("asked", ASKED)
def test_a_memory_that_another_process_holds_in_the_middle_of_a_run_says_nothing_and_breaks_nothing(tmp_path, asked):
    act, nothing = ASKED[asked]
    with filled(tmp_path / "m") as memory:
        memory._database.execute("PRAGMA busy_timeout = 0")
        other = sqlite3.connect(tmp_path / "m", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        assert act(memory) == nothing
        other.execute("ROLLBACK")
        other.close()
        assert memory.find(LAYER.diff_id, "isal 1") == LAYER


def test_an_upload_is_nobodys_where_it_cannot_be_written_that_it_is_ours(tmp_path):
    """Who may read and not write must not go on with what another may take at the same time."""
    with filled(tmp_path / "m") as memory:
        memory._database.execute("PRAGMA query_only = ON")
        assert memory.take_session(APP, "mark") is None
        assert memory.find(LAYER.diff_id, "isal 1") == LAYER
