"""What buildpush keeps on this machine, and how it is cleaned: one directory, readable by its owner only."""

# Flags of other programs in this module's texts: --install

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from buildpush.foundation import mounts
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.events import Note, Sink, ignore
from buildpush.foundation.locks import hold, locked, private_directory, rename_problem
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex

# The names of temporary directories contain the ID of their process, so that a later run recognises leftovers.
_TEMPORARY = regex(r"buildpush-(\d+)-")
_RUNS_KEPT = 200
_LOGS_KEPT = 50
_LONGEST_NAME = 120
_STATE_HINT = "set XDG_STATE_HOME to a directory that you may write to"
_PRIVATE_HINT = "set XDG_STATE_HOME to a directory that no one else may write to or rename"


class NoStateError(SettingsError):
    """The state directory as a whole cannot be used; a run prints this once, and then does without it silently."""


@dataclass(frozen=True, slots=True)
class State:
    """The state directory; its parts are made when they are first needed.

    Attributes:
        directory: absolute; the user's state directory by default.
        scratch: directory for temporary directories; the system's by default.
    """

    directory: Path
    scratch: Path

    @classmethod
    def default(cls, env: Mapping[str, str] | None = None) -> State:
        """Return the directories that ``XDG_STATE_HOME`` in *env*, or else the platform's conventions name.

        A user without a home has a state directory among the temporary ones.

        Raises:
            SettingsError: this is Windows, whose files have no owner, mode or lock of the kind that this relies on.
        """
        if sys.platform == "win32":
            message = "buildpush does not run on Windows itself"
            raise SettingsError(message, hint="install and run it in WSL, the Linux that Windows brings: wsl --install")
        scratch = Path(tempfile.gettempdir())
        named = Path((env or {}).get("XDG_STATE_HOME", ""))
        if named.is_absolute():
            return cls(named / "buildpush", scratch)
        import platformdirs

        directory = scratch / f"buildpush-state-{os.getuid()}"
        with suppress(RuntimeError):  # the user has no home
            path = Path(platformdirs.user_state_dir("buildpush"))
            directory = path if path.is_absolute() else directory  # older versions return ~ itself
        return cls(directory, scratch)

    @property
    def pending(self) -> Path:
        """Directory of build-infos that could not be published yet."""
        return self._part("pending")

    @property
    def builds(self) -> Path:
        """Directory of the builds that several commands collect, if none is named."""
        return self._part("builds")

    @property
    def memory(self) -> Path:
        """File that remembers what was pushed before."""
        return self._part("") / "memory.sqlite"

    @property
    def layers(self) -> Path:
        """Directory of layers that are kept between builds; made with the first layer."""
        return self.directory / "layers"

    def record(self, name: str, text: str) -> Path:
        """Write the record of one run and return its path; only the newest 200 are kept."""
        directory = self._part("runs")
        path = directory / f"{_plain(name)}.json"
        write_private(path, text)
        for old in sorted(directory.glob("*.json"))[:-_RUNS_KEPT]:
            old.unlink(missing_ok=True)
        return path

    def new_log(self, name: str) -> Path:
        """Return the path of a new log, which only its owner can read; only the newest 50 are kept."""
        directory = self._part("logs")
        for old in sorted(directory.glob("*.log"))[: 1 - _LOGS_KEPT]:
            old.unlink(missing_ok=True)
        path = directory / f"{_plain(name)}.log"
        path.touch(mode=0o600)
        return path

    def sweep(self, sink: Sink = ignore) -> list[Path]:
        """Remove the temporary directories of processes that have ended, and return their paths.

        Args:
            sink: gets a note for each one that cannot be removed completely, and one if temporary directories are not
                safe.
        """
        if problem := self._scratch_problem():
            sink(Note(problem))
        leftovers = [path for path in self.scratch.glob("buildpush-*-*") if _is_leftover(path)]
        return [path for path in leftovers if _remove_unless_used(path, sink)]

    def clear(self) -> None:
        """Remove everything in it: records, logs, counters, layers, the memory of pushes, pending build-infos."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _scratch_problem(self) -> str | None:
        problem = rename_problem(self.scratch) if self.scratch.is_dir() else None
        return (
            problem
            and f"temporary directories are not safe from other users: {problem};"
            " set TMPDIR to a directory that only you may write to"
        )

    def _part(self, part: str) -> Path:
        _private(self.directory, NoStateError)
        directory = self.directory / part if part else self.directory
        _private(directory, SettingsError)
        return directory


def _private(directory: Path, failure: type[SettingsError]) -> None:
    try:
        private_directory(directory)
    except OSError as error:
        message = f"the state directory {directory} cannot be made: {error.strerror}"
        raise failure(message, hint=_STATE_HINT) from error
    except SettingsError as error:
        raise failure(str(error), hint=_PRIVATE_HINT) from error


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[:_LONGEST_NAME]


def write_private(path: Path, text: str) -> None:
    """Write *text* to *path* for its owner only, whole or not at all, even if the machine stops in between."""
    os.close(write_held(path, text))


def write_held(path: Path, text: str) -> int:
    """Write *text* as :func:`write_private` does, and return the file, open and locked until it is closed."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        hold(handle)
        with os.fdopen(os.dup(handle), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
        _sync_names(path.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        os.close(handle)
        raise
    return handle


def _sync_names(directory: Path) -> None:
    """Make the names in *directory* survive a power cut, if the file system supports that."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _is_leftover(path: Path) -> bool:
    match = _TEMPORARY.match(path.name)
    try:
        ours = path.lstat().st_uid == os.getuid() and path.is_dir() and not path.is_symlink()
    except OSError:
        return False
    return match is not None and ours and not alive(int(match[1]))


def _remove_unless_used(path: Path, sink: Sink) -> bool:
    """Remove *path*, unless a process that we cannot see uses it, such as one in another container."""
    with suppress(OSError), locked(path, wait=False) as free:
        if not free:
            return False
        if mounts.remove(path):
            return True
        why = "something is mounted in it" if mounts.below(path) else "some of its files belong to other users"
        sink(Note(f"a run that was killed left {path}, which cannot be removed: {why}; run 'buildpush clean' as root"))
    return False


def alive(process: int) -> bool:
    """Return whether a process with that ID is running."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def process_identity(process: int | None = None) -> str:
    """Return what identifies a process, by default this one; its ID alone does not, since IDs are used again.

    In containers they always are: there, programs have the same small IDs in every run.
    """
    number = os.getpid() if process is None else process
    return f"{number} {_start_of(number)}"


def machine_identity() -> str:
    """Return what identifies the machine, and on it the container, whose processes see each other by their IDs."""
    import hashlib  # few runs need them
    import platform
    import uuid

    try:
        parts = _boot_id(), str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        parts = platform.node(), str(uuid.getnode())
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def is_process_running(identity: str) -> bool:
    """Return whether the process of that *identity*, as :func:`process_identity` returns it, is running."""
    number = identity.partition(" ")[0]
    return number.isdecimal() and alive(int(number)) and identity == process_identity(int(number))


def _start_of(process: int) -> str:
    """Return when a process started, in ticks since the machine's start, and the machine's boot ID; empty if unknown.

    Source: proc(5), the 22nd field of stat; the fields are counted after the program's name.
    """
    try:
        ticks = (
            Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
        )
        return f"{ticks} {_boot_id()}"
    except (OSError, IndexError):
        return ""


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
