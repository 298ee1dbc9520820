"""The directory of a build: several add to it at once, nobody else reads it, and nothing of it is lost."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import stat
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from buildpush.artifactory import BuildInfo
from buildpush.artifactory.collection import BuildKey, Collection, collections_in, read
from buildpush.artifactory.document import Module
from buildpush.foundation.errors import SettingsError, SourceError

START = datetime(2026, 10, 1, 12, 0, 0, 123456, tzinfo=UTC)
KEY = BuildKey("app", "7")
SERVER = "https://h/artifactory/"


def info(*ids: str) -> BuildInfo:
    return BuildInfo(name="other", number="1", started=START, modules=tuple(Module(one) for one in ids))


def opened(directory, key=KEY, started=START) -> Collection:
    return Collection.open(directory, key, started)


def ids(*collections: Collection) -> list[str]:
    collected = read(collections)
    assert collected
    return [module.id for module in collected.pending.info.modules]


def test_all_that_is_added_is_one_build_with_one_start(tmp_path):
    first = opened(tmp_path)
    second = opened(tmp_path, started=START + timedelta(hours=1))
    first.add(info("b"), server=SERVER)
    second.add(info("a", "c"), server=SERVER)
    second.add(info("b"), server=SERVER)
    collected = read([first])
    pending = collected.pending
    assert (pending.info.name, pending.info.number, pending.info.project) == ("app", "7", "")
    assert pending.info.started == first.started == second.started == START.replace(microsecond=123000)
    assert (pending.server, pending.pushed) == (SERVER, True)
    assert ids(first) == ["a", "b", "c"]
    assert len(collected.files[0][1]) == 2


def test_a_push_of_unknown_outcome_makes_that_of_all_unknown(tmp_path):
    collection = opened(tmp_path)
    collection.add(info("a"), server=SERVER)
    collection.add(info("b"), server="https://other/artifactory/", pushed=False)
    pending = read([collection]).pending
    assert (pending.pushed, pending.server) == (False, "")


def test_directories_of_several_machines_are_one_build_with_the_earliest_start(tmp_path):
    here, there = opened(tmp_path / "1", started=START + timedelta(minutes=1)), opened(tmp_path / "2")
    here.add(info("a"))
    there.add(info("b"))
    there.add(info("a"))
    assert ids(here, there) == ids(there, here) == ["a", "b"]
    assert read([here, there]).pending.info.started == there.started


def test_builds_do_not_mix(tmp_path):
    keys = [KEY, BuildKey("app", "8"), BuildKey("app", "7", "web"), BuildKey("app 7", ""), BuildKey("ap", "p7")]
    others = [BuildKey("a_b", "c"), BuildKey("a", "b_c"), BuildKey("a/../b", "1")]
    for key in (*keys[:3], *others):
        opened(tmp_path, key).add(info(str(key)))
    assert [one.key for one in collections_in(tmp_path)] == sorted((*keys[:3], *others))
    assert ids(opened(tmp_path, others[0])) == ["a_b c"]
    assert all(len(key.directory) == 64 for key in keys)


@pytest.mark.parametrize("key", [BuildKey("", "1"), BuildKey(".a", "1"), BuildKey("a", ".1"), BuildKey("a", "1\n")])
def test_a_name_that_artifactory_refuses_gets_no_directory(tmp_path, key):
    with pytest.raises(SettingsError):
        opened(tmp_path / "new", key)
    assert not (tmp_path / "new").exists()


def test_it_is_for_its_owner_only(tmp_path):
    collection = opened(tmp_path / "builds")
    collection.add(info("a"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in collection.path.rglob("*")}
    assert set(modes.values()) == {0o600}
    assert [stat.S_IMODE(one.stat().st_mode) for one in (collection.path, tmp_path / "builds")] == [0o700, 0o700]


def test_a_directory_that_others_may_write_to_is_refused(tmp_path):
    collection = opened(tmp_path)
    collection.path.chmod(0o777)
    with pytest.raises(SettingsError, match="others may write to it"):
        collection.add(info("a"))


def test_what_is_added_after_the_reading_stays(tmp_path):
    collection = opened(tmp_path)
    collection.add(info("a"))
    collected = read([collection])
    collection.add(info("late"))
    assert collected.remove() == [collection]
    assert ids(collection) == ["late"]
    assert read([collection]).remove() == []
    assert list(tmp_path.iterdir()) == []
    assert collected.remove() == []


def test_one_that_was_removed_keeps_its_start_for_what_comes_late(tmp_path):
    collection = opened(tmp_path)
    collection.add(info("a"))
    read([collection]).remove()
    collection.add(info("late"))
    assert opened(tmp_path, started=START + timedelta(days=1)).started == collection.started


def test_an_empty_one_has_nothing_to_read(tmp_path):
    assert read([opened(tmp_path)]) is None
    assert read([]) is None
    assert list(collections_in(tmp_path / "none")) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "app", "number": "7", "started": "soon"}'])
def test_a_start_that_is_damaged_is_an_error_that_names_it(tmp_path, text):
    collection = opened(tmp_path)
    (collection.path / "started.json").write_text(text)
    with pytest.raises(SourceError, match="is not the start of a build") as error:
        opened(tmp_path)
    assert str(collection.path) in str(error.value.where)
    with pytest.raises(SourceError):
        list(collections_in(tmp_path))


def test_the_directory_of_another_build_is_not_taken_for_it(tmp_path):
    collection, other = opened(tmp_path), opened(tmp_path, BuildKey("app", "8"))
    shutil.copy(other.path / "started.json", collection.path / "started.json")
    with pytest.raises(SourceError):
        opened(tmp_path)


def test_a_module_that_is_damaged_is_an_error_that_names_it(tmp_path):
    collection = opened(tmp_path)
    file = collection.add(info("a"))
    file.write_text("{")
    with pytest.raises(SourceError) as error:
        read([collection])
    assert file.name in str(error.value.where)


def test_a_pipe_among_the_modules_is_an_error_and_not_waited_for(tmp_path):
    collection = opened(tmp_path)
    os.mkfifo(collection.add(info("a")).with_name("pipe.json"))
    with pytest.raises(SourceError, match="is not a file"):
        read([collection])


def test_the_drafts_of_a_process_that_was_killed_are_no_part_of_it(tmp_path):
    collection = opened(tmp_path)
    file = collection.add(info("a"))
    (collection.path / f".{file.name}.x1y2").write_text("{")
    assert ids(collection) == ["a"]
    assert read([collection]).remove() == []
    assert not collection.path.exists()


# ---- several processes


def add_many(directory, prefix: str, count: int) -> None:
    for number in range(count):
        opened(directory, started=datetime.now(UTC)).add(info(f"{prefix}{number}"))


def read_and_remove(directory, taken) -> None:
    """Publish what is there, again and again, as if the server took it."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        collected = read([opened(directory)])
        if collected:
            taken.put([module.id for module in collected.pending.info.modules])
            collected.remove()
            if any(module.id == "end" for module in collected.pending.info.modules):
                return


def started(target, *arguments):
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    process.start()
    return process


def ended(*processes) -> None:
    for process in processes:
        process.join(60)
        assert process.exitcode == 0


@pytest.mark.programs
def test_two_processes_that_add_at_once_lose_nothing_and_agree_on_the_start(tmp_path):
    ended(*[started(add_many, tmp_path, prefix, 20) for prefix in "ab"])
    [collection] = collections_in(tmp_path)
    assert ids(collection) == sorted(f"{prefix}{number}" for prefix in "ab" for number in range(20))
    starts = {json.loads(file.read_text())["buildInfo"]["started"] for file in collection.path.glob("?*.json")
              if file.name != "started.json"}  # fmt: skip
    assert len(starts) == 1


@pytest.mark.programs
def test_what_is_published_while_others_add_is_taken_once_each(tmp_path):
    taken = multiprocessing.get_context("spawn").Queue()
    reader = started(read_and_remove, tmp_path, taken)
    ended(*[started(add_many, tmp_path, prefix, 10) for prefix in "ab"])
    opened(tmp_path).add(info("end"))
    found = []
    while "end" not in found:
        found += taken.get(timeout=60)
    ended(reader)
    assert sorted(found) == sorted([f"{prefix}{number}" for prefix in "ab" for number in range(10)] + ["end"])


@pytest.mark.programs
def test_one_that_is_killed_while_it_adds_leaves_whole_modules(tmp_path):
    process = started(add_many, tmp_path, "a", 10_000)
    while not any(len(ids(one) if read([one]) else []) > 5 for one in collections_in(tmp_path)):
        assert process.is_alive()
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    [collection] = collections_in(tmp_path)
    count = len(ids(collection))
    assert count > 5
    collection.add(info("b"))
    assert len(ids(collection)) == count + 1


def test_modules_of_one_id_are_joined(tmp_path):
    collection = opened(tmp_path)
    for name in ("x", "y"):
        collection.add(replace(info(), modules=(Module("m", properties={name: "1"}),)))
    [module] = read([collection]).pending.info.modules
    assert module.properties == {"x": "1", "y": "1"}
