"""What stays on the machine, and what does not."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush.engines.docker.caching import LayerCaches
from buildpush.expressions.counter import Counter
from buildpush.foundation import locks
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.locks import locked, private_directory, temporary
from buildpush.foundation.state import State, is_process_running, process_identity, write_private


@pytest.fixture
def state(tmp_path):
    (tmp_path / "scratch").mkdir()
    return State(tmp_path / "state", tmp_path / "scratch")


def test_the_sweep_removes_what_a_dead_process_left_and_nothing_else(state):
    dead = state.scratch / "buildpush-999999999-abc"
    mine = state.scratch / f"buildpush-{os.getpid()}-abc"
    other = state.scratch / "somebody-999999999-abc"
    for directory in (dead, mine, other):
        directory.mkdir()
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


def test_a_temporary_directory_is_held_as_long_as_it_is_used(state):
    with temporary(state.scratch) as directory:
        gone = directory.rename(state.scratch / "buildpush-999999999-abc")
        assert state.sweep() == []
        gone.rename(directory)
    assert not directory.exists()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@contextmanager
def mounted(source, target):
    """Let *target* show *source*, and take away whatever is left of it."""
    target.mkdir(parents=True)
    subprocess.run(["mount", "--bind", str(source), str(target)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(target)], check=False, stderr=subprocess.DEVNULL)


@pytest.mark.programs
@needs_root
@pytest.mark.parametrize("name", ["a", "a b", "a\\b", "ä"])
def test_the_sweep_takes_mounts_away_and_deletes_nothing_through_them(state, tmp_path, name):
    ours, theirs = state.scratch / "buildpush-999999999-abc", tmp_path / "theirs"
    ours.mkdir()
    (theirs / "inner").mkdir(parents=True)
    (theirs / "kept").write_text("")
    other = tmp_path / "other"
    other.mkdir()
    (other / "kept").write_text("")
    with mounted(theirs, ours / name), mounted(theirs, ours / "twice"):
        subprocess.run(["mount", "--bind", str(other), str(ours / name / "inner")], check=True)
        assert state.sweep() == [ours]
    assert not ours.exists()
    assert sorted(path.name for path in theirs.iterdir()) == ["inner", "kept"]
    assert (other / "kept").exists()


@pytest.mark.programs
@needs_root
def test_what_cannot_be_unmounted_is_left_alone_with_a_note(state, tmp_path, monkeypatch):
    ours, theirs = state.scratch / "buildpush-999999999-abc", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    (theirs / "kept").write_text("")
    (ours / "a").write_text("")
    monkeypatch.setattr("buildpush.foundation.mounts.unmount", lambda _directory: None)
    told = []
    with mounted(theirs, ours / "m"):
        assert state.sweep(told.append) == []
    assert (theirs / "kept").exists()
    [note] = told
    assert str(ours) in note.text
    assert "something is mounted in it" in note.text


@pytest.mark.programs
@needs_root
def test_a_temporary_directory_is_never_deleted_through_a_mount(state, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "kept").write_text("")
    with temporary(state.scratch) as directory, mounted(theirs, directory / "m"):
        subprocess.run(["mount", "--bind", str(theirs), str(directory / "m")], check=True)
    assert not directory.exists()
    assert (theirs / "kept").exists()


def test_a_temporary_directory_that_stays_is_an_error_unless_it_may(state, monkeypatch):
    monkeypatch.setattr("buildpush.foundation.mounts.remove", lambda _directory: False)
    with temporary(state.scratch, tidy=False):
        pass
    with pytest.raises(OSError, match="cannot be removed"), temporary(state.scratch):
        pass


def test_a_record_is_private(state):
    path = state.record("2026-11-23 push/1", "{}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_only_the_newest_records_are_kept(state):
    for number in range(203):
        state.record(f"{number:04}", "{}")
    names = sorted(path.name for path in (state.directory / "runs").iterdir())
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
def test_the_state_directory_is_private_whatever_is_written_first(state, part):
    if part == "counters":
        Counter(state.directory / part).take("a")
    elif part == "runs":
        state.record("a", "{}")
    else:
        assert state.pending.is_dir()
    for directory in (state.directory, state.directory / part):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_clear_removes_everything(state):
    state.record("a", "{}")
    state.clear()
    assert not state.directory.exists()


def test_a_state_directory_that_cannot_be_made_is_a_settings_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError) as caught:
        State(tmp_path / "file" / "state", tmp_path).record("a", "{}")
    assert "XDG_STATE_HOME" in caught.value.hint


def test_a_directory_of_somebody_else_among_the_temporary_ones_is_not_used(tmp_path, monkeypatch):
    """What lies there is believed, so another user must not have put it there."""
    there = tmp_path / f"buildpush-state-{os.getuid()}"
    there.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: there.stat().st_uid + 1)
    with pytest.raises(SettingsError, match="belongs to someone else"):
        _ = State(there, tmp_path).memory


USES = {
    "memory": lambda state: state.memory,
    "pending": lambda state: state.pending,
    "records": lambda state: state.record("a", "{}"),
    "logs": lambda state: state.new_log("a"),
    "counters": lambda state: Counter(state.directory / "counters").take("a"),
    "layers": lambda state: LayerCaches(state.layers).caches_of("a/b").__enter__(),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o707, 0o1777])
def test_a_state_directory_that_others_may_write_to_is_refused_everywhere(state, use, mode):
    """What lies there is believed: addresses of uploads, layers, numbers."""
    state.directory.mkdir()
    state.directory.chmod(mode)
    with pytest.raises(SettingsError, match="others may write to it") as caught:
        USES[use](state)
    assert "XDG_STATE_HOME" in caught.value.hint
    assert list(state.directory.iterdir()) == []


@pytest.mark.parametrize("use", USES)
def test_a_state_directory_of_somebody_else_is_refused_everywhere(state, use, monkeypatch):
    state.directory.mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: state.directory.stat().st_uid + 1)
    with pytest.raises(SettingsError, match="belongs to someone else"):
        USES[use](state)


@pytest.mark.parametrize("use", USES)
def test_a_state_directory_that_everybody_may_rename_is_refused_everywhere(tmp_path, use):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    with pytest.raises(SettingsError, match="everybody may rename what is in"):
        USES[use](State(tmp_path / "shared" / "state", tmp_path))


MODES = st.sampled_from([0o700, 0o750, 0o755, 0o770, 0o775, 0o707, 0o777, 0o1777, 0o1755])


@given(st.lists(MODES, min_size=1, max_size=3), MODES, st.booleans(), MODES)
def test_a_private_directory_is_ours_alone_or_refused(above, mode, linked, beside):
    """Whoever may write to it, or to one above it whose entries anybody may rename, may choose what we believe."""
    with tempfile.TemporaryDirectory() as name:
        parents = [Path(name)]
        for _ in above:
            parents.append(parents[-1] / "a")
            parents[-1].mkdir()
        directory = parents[-1] / "state"
        directory.mkdir()
        way = directory
        if linked:
            (Path(name) / "links").mkdir()
            way = Path(name) / "links" / "state"
            way.symlink_to(directory)
            (Path(name) / "links").chmod(beside)
        directory.chmod(mode)
        for parent, one in zip(parents[1:], above, strict=True):
            parent.chmod(one)
        renamed = [one & 0o002 and not one & 0o1000 for one in (*above, *([beside] if linked else []))]
        if mode & 0o022 or any(renamed):
            with pytest.raises(SettingsError):
                private_directory(way)
        else:
            private_directory(way)
            assert stat.S_IMODE(directory.stat().st_mode) & 0o777 == 0o700


def test_what_is_kept_is_private_whatever_the_umask_says(state):
    before = os.umask(0)
    try:
        for use in USES.values():
            use(state)
    finally:
        os.umask(before)
    for path in (state.directory, *state.directory.rglob("*")):
        assert not path.stat().st_mode & 0o077, path


def test_temporary_directories_that_others_may_rename_are_told(tmp_path):
    """There they are used all the same: in a hardened pod there is no better place."""
    told = []
    (tmp_path / "scratch").mkdir()
    state = State(tmp_path / "state", tmp_path / "scratch")
    state.sweep(told.append)
    assert told == []
    state.scratch.chmod(0o777)
    state.sweep(told.append)
    assert "TMPDIR" in told[0].text
    state.scratch.chmod(0o1777)
    state.sweep(told.append)
    assert len(told) == 1


def test_a_process_is_told_from_a_later_one_of_the_same_number():
    """In containers, programs have the same small numbers in every run."""
    identity = process_identity()
    assert is_process_running(identity)
    assert not is_process_running("")
    number, _, rest = identity.partition(" ")
    if rest:  # where the system says when a process began
        assert not is_process_running(f"{number} 1 another-machine")


class Owned:
    """A directory of somebody."""

    def __init__(self, owner: int) -> None:
        self.owner = owner

    def lstat(self) -> os.stat_result:
        return os.stat_result((0o40755, 0, 0, 1, self.owner, 0, 0, 0, 0, 0))

    def __str__(self) -> str:
        return "/tmp/theirs"


def test_among_the_temporary_directories_one_of_somebody_else_may_be_replaced(monkeypatch):
    me, sticky = 1000, 0o41777
    monkeypatch.setattr(os, "getuid", lambda: me)
    said = locks._swapped(sticky, Owned(me + 1), Path("/tmp"))
    assert said == f"/tmp/theirs belongs to someone else, user {me + 1}"
    assert locks._swapped(sticky, Owned(me), Path("/tmp")) is None
    assert locks._swapped(sticky, Owned(0), Path("/tmp")) is None
    assert locks._swapped(0o41755, Owned(me + 1), Path("/")) is None
    assert locks._swapped(0o40777, Owned(me), Path("/tmp")) == "everybody may rename what is in /tmp (mode 777)"


@pytest.mark.parametrize("replaced", [True, False])
def test_a_lock_on_what_is_gone_by_now_is_none(tmp_path, monkeypatch, replaced):
    """Whoever held it before may have removed it, and another may have put something else there."""
    path = tmp_path / "file"
    path.touch()
    plain = locks._try_lock

    def taken(descriptor, how):
        path.rename(tmp_path / "before")
        if replaced:
            path.touch()
        return plain(descriptor, how)

    monkeypatch.setattr(locks, "_try_lock", taken)
    with locks.locked(path) as held:
        assert not held


def test_a_lock_that_others_hold_is_not_waited_for_where_nobody_wants_to(tmp_path):
    with locks.locked(tmp_path) as first, locks.locked(tmp_path, wait=False) as second:
        assert (first, second) == (True, False)
    with locks.locked(tmp_path, shared=True) as first, locks.locked(tmp_path, shared=True, wait=False) as second:
        assert (first, second) == (True, True)
    with locks.locked(tmp_path, wait=False) as again:
        assert again


def test_a_file_that_is_held_is_not_free_before_it_is_closed(tmp_path):
    path = tmp_path / "file"
    with path.open("w") as file:
        locks.hold(file.fileno())
        with locks.locked(path, wait=False) as free:
            assert not free
    with locks.locked(path, wait=False) as free:
        assert free


def test_a_file_system_that_knows_no_locks_lets_everybody_go_on(tmp_path, monkeypatch):
    def unknown(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", unknown)
    with locks.locked(tmp_path) as held:
        assert held


def test_a_private_directory_behind_a_file_is_an_error_of_the_system_that_names_the_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError) as caught:
        private_directory(tmp_path / "file" / "below")
    assert (caught.value.errno, caught.value.strerror) == (errno.ENOTDIR, "Not a directory")
    assert caught.value.filename == str(tmp_path / "file")


def test_a_directory_in_which_everybody_may_rename_is_named(tmp_path):
    tmp_path.chmod(0o777)
    assert locks.rename_problem(tmp_path) == f"everybody may rename what is in {tmp_path} (mode 777)"
