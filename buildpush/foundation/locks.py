"""Directories that only one process changes at a time, temporary directories, and private ones.

What is in a private directory is trusted, so no one else may write to it or replace it.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from buildpush.foundation import mounts
from buildpush.foundation.errors import SettingsError

try:
    import fcntl
except ImportError:  # Windows does not have it; there, the last writer wins
    fcntl = None  # type: ignore[assignment]


def private_directory(path: Path) -> None:
    """Make the directory *path*, and missing ones above it, for their owner only.

    ``parents=True`` would leave those above open to everybody.

    Raises:
        OSError: it cannot be made.
        SettingsError: others may change or replace it; see :func:`sharing_problem`.
    """
    for directory in (*reversed(path.parents), path):
        if directory.exists() and not directory.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory))
        directory.mkdir(mode=0o700, exist_ok=True)
    problem = sharing_problem(path)
    if problem:
        message = f"the directory {path} is not used: {problem}"
        hint = "name a directory that no one else may write to or rename, or set XDG_STATE_HOME to one"
        raise SettingsError(message, hint=hint)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)


def private_subdirectory(path: Path) -> None:
    """Make the parent of *path* private, as :func:`private_directory` does, and then *path*."""
    private_directory(path.parent)
    private_directory(path)


def sharing_problem(path: Path) -> str | None:
    """Return in words why others may change what is in *path*, or replace it; ``None`` if they may not.

    Links are followed, and the directories that hold them count as well. The owner of a directory above does not
    matter: in containers that is often an unknown user.
    """
    if os.name != "posix":
        return None
    facts, me = path.stat(), os.getuid()
    if facts.st_uid != me:
        return f"it belongs to someone else, user {facts.st_uid}"
    if facts.st_mode & 0o022:
        return f"others may write to it (mode {stat.S_IMODE(facts.st_mode):o})"
    return replacement_problem(path)


def replacement_problem(path: Path) -> str | None:
    """Return in words why others may replace *path* by something else; ``None`` if they may not."""
    for way in dict.fromkeys((path.absolute(), path.resolve())):
        for child, parent in pairwise((way, *way.parents)):
            if problem := _swapped(parent.stat().st_mode, child, parent):
                return problem
    return None


def rename_problem(directory: Path) -> str | None:
    """Return in words why others may rename *directory*, or what we make in it; ``None`` if they may not."""
    if os.name != "posix":
        return None
    mode = directory.stat().st_mode
    return _renamed(mode, directory) or replacement_problem(directory)


def _renamed(mode: int, directory: Path) -> str | None:
    if mode & 0o002 and not mode & stat.S_ISVTX:
        return f"everybody may rename what is in {directory} (mode {stat.S_IMODE(mode):o})"
    return None


def _swapped(mode: int, child: Path, parent: Path) -> str | None:
    if not mode & 0o002:
        return None
    if not mode & stat.S_ISVTX:
        return _renamed(mode, parent)
    owner = child.lstat().st_uid
    return None if owner in {os.getuid(), 0} else f"{child} belongs to someone else, user {owner}"


@contextmanager
def locked(directory: Path, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
    """Hold a lock on *directory*, and yield whether it is held; the system releases it when the process ends.

    Args:
        directory: or file; it must exist.
        shared: whether others may hold it, shared, at the same time.
        wait: whether to wait until it is free; otherwise ``False`` is yielded if another process holds it.

    Raises:
        OSError: the directory cannot be opened.
    """
    if fcntl is None:
        yield True
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        held = _try_lock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        yield held and _is_same(descriptor, directory)
    finally:
        os.close(descriptor)


@contextmanager
def temporary(parent: Path | str | None = None, *, what: str = "", tidy: bool = True) -> Iterator[Path]:
    """Yield a directory for this process's user only, which is removed afterwards.

    A later run removes what a killed run left. So the name contains our process ID, and we hold a lock while we use the
    directory: in another container, that ID may belong to another process, or to none.

    Args:
        parent: the directory to make it in; the system's temporary directory by default.
        what: an additional part of its name.
        tidy: whether it is an error if something in it cannot be removed.
    """
    owner = os.getpid()
    directory = Path(tempfile.mkdtemp(prefix=f"buildpush-{owner}-{what}", dir=parent))
    try:
        with locked(directory, shared=True):
            yield directory
    finally:  # a forked process that ends leaves it to its parent
        if os.getpid() == owner and not mounts.remove(directory) and tidy:
            message = "cannot be removed"
            raise OSError(errno.EBUSY, message, str(directory))


def _is_same(descriptor: int, path: Path) -> bool:
    """Return whether *path* is still what we opened: another process may have replaced it before we had the lock."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def hold(descriptor: int) -> None:
    """Hold a lock on a file that is open, and that no other process can have opened yet, until it is closed."""
    if fcntl is not None:
        _try_lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _try_lock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return False
    except OSError:  # a network file system without locks
        return True
    return True
