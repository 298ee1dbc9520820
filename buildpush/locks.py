"""Folders that are somebody's: changed by one at a time, or temporary; among threads, and processes of this machine."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from buildpush import mounts

try:
    import fcntl
except ImportError:  # Windows has none; there, who writes last wins
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(folder: Path, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
    """Hold a lock on *folder*, and give whether it is held; the system lets go of it with the process.

    Args:
        folder: or file; must be there.
        shared: others may hold it shared as well.
        wait: until it can be had; otherwise ``False`` is given where others hold it.

    Raises:
        OSError: the folder cannot be opened.
    """
    if fcntl is None:
        yield True
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        taken = _taken(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        yield taken and _is_there(descriptor, folder)
    finally:
        os.close(descriptor)


@contextmanager
def temporary(parent: Path | str | None = None, *, what: str = "", tidy: bool = True) -> Iterator[Path]:
    """Give a folder for this process's user only, which is gone afterwards.

    A later run sweeps what a killed one left: the name carries our number, and we hold a lock while we use the folder,
    because in another container there may be another process of our number, or none.

    Args:
        parent: where it lies; among the system's temporary folders by default.
        what: more of its name.
        tidy: whether it is an error if something in it cannot be removed.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"buildpush-{os.getpid()}-{what}", dir=parent))
    try:
        with locked(folder, shared=True):
            yield folder
    finally:
        if not mounts.remove(folder) and tidy:
            message = "cannot be removed"
            raise OSError(errno.EBUSY, message, str(folder))


def _is_there(descriptor: int, path: Path) -> bool:
    """Return whether *path* is still what was opened: another may have taken its place before the lock was had."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def hold(descriptor: int) -> None:
    """Hold a lock on a file that is open, and that nobody else knows yet, until it is closed."""
    if fcntl is not None:
        _taken(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _taken(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return False
    except OSError:  # a network file system that knows no locks
        return True
    return True
