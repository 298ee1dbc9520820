"""What stays on the machine, and what does not."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from buildpush.errors import SettingsError
from buildpush.locks import locked, temporary
from buildpush.secrets import Secret
from buildpush.settings.counter import Counter
from buildpush.state import State, is_at_work, process_mark, write_private


@pytest.fixture
def state(tmp_path):
    (tmp_path / "scratch").mkdir()
    return State(tmp_path / "state", tmp_path / "scratch")


def test_the_sweep_removes_what_a_dead_process_left_and_nothing_else(state):
    dead = state.scratch / "buildpush-999999999-abc"
    mine = state.scratch / f"buildpush-{os.getpid()}-abc"
    other = state.scratch / "somebody-999999999-abc"
    for folder in (dead, mine, other):
        folder.mkdir()
    assert state.sweep() == [dead]
    assert not dead.exists()
    assert mine.exists()
    assert other.exists()


def test_the_sweep_leaves_alone_what_a_process_holds_that_is_not_seen(state):
    """In another container, a process may have any number."""
    unseen = state.scratch / "buildpush-999999999-abc"
    unseen.mkdir()
    with locked(unseen, shared=True):
        assert state.sweep() == []
    assert unseen.exists()
    assert state.sweep() == [unseen]


def test_a_temporary_folder_is_held_as_long_as_it_is_used(state):
    with temporary(state.scratch) as folder:
        gone = folder.rename(state.scratch / "buildpush-999999999-abc")
        assert state.sweep() == []
        gone.rename(folder)
    assert not folder.exists()


def test_a_record_is_private_and_holds_no_secret(state):
    Secret("hunter2-hunter2")
    path = state.record("2026-11-23 push/1", {"said": "hunter2-hunter2"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "hunter2" not in path.read_text(encoding="utf-8")


def test_only_the_newest_records_are_kept(state):
    for number in range(203):
        state.record(f"{number:04}", {})
    names = sorted(path.name for path in (state.folder / "runs").iterdir())
    assert len(names) == 200
    assert names[0] == "0003.json"


def test_a_file_is_written_whole_or_not_at_all(state, monkeypatch):
    target = state.pending / "build.json"
    write_private(target, "old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_private(target, "new")
    assert target.read_text(encoding="utf-8") == "old"
    assert [path.name for path in state.pending.iterdir()] == ["build.json"]


@pytest.mark.parametrize("part", ["counters", "runs", "pending"])
def test_the_state_folder_is_private_whatever_is_written_first(state, part):
    if part == "counters":
        Counter(state.folder / part).take("a")
    elif part == "runs":
        state.record("a", {})
    else:
        assert state.pending.is_dir()
    for folder in (state.folder, state.folder / part):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_clear_removes_everything(state):
    state.record("a", {})
    state.clear()
    assert not state.folder.exists()


def test_a_state_folder_that_cannot_be_made_is_a_settings_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError) as caught:
        State(tmp_path / "file" / "state", tmp_path).record("a", {})
    assert "XDG_STATE_HOME" in caught.value.hint


def test_a_folder_of_somebody_else_among_the_temporary_ones_is_not_used(tmp_path, monkeypatch):
    """What lies there is believed, so another user must not have put it there."""
    there = tmp_path / f"buildpush-state-{os.getuid()}"
    there.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: there.stat().st_uid + 1)
    with pytest.raises(SettingsError, match="belongs to somebody else"):
        _ = State(there, tmp_path).memory


def test_a_process_is_told_from_a_later_one_of_the_same_number():
    """In containers, programs have the same small numbers in every run."""
    mark = process_mark()
    assert is_at_work(mark)
    assert not is_at_work("")
    number, _, rest = mark.partition(" ")
    if rest:  # where the system says when a process began
        assert not is_at_work(f"{number} 1 another-machine")
