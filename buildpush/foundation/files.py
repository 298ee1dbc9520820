"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final


@contextmanager
def replacement(path: Path, *, mode: int = 0o600, durable: bool = False) -> Iterator[IO[bytes]]:
    """Yield a new file that replaces *path* when the block ends without an error, and is removed otherwise.

    Args:
        path: its directory must exist.
        mode: permissions of the new file.
        durable: whether its bytes must be on disk before it replaces *path*.
    """
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        draft = Path(file.name)
        try:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
            draft.chmod(mode)
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


# What says that a name cannot be replaced or removed, although its file may be written.
_FIXED: Final = frozenset({errno.EACCES, errno.EBUSY, errno.EPERM, errno.EROFS})


def write_whole(path: Path, content: bytes, *, mode: int) -> None:
    """Write *content* to *path*, whole or not at all.

    Only a file that cannot be replaced, since it is mounted into a container (``/dev/termination-log``) or its
    directory belongs to others, is written in place: there, a disk that is full leaves half of it.
    """
    try:
        with replacement(path, mode=mode, durable=True) as file:
            file.write(content)
    except OSError as error:
        if not _is_fixed(path, error):
            raise
        path.write_bytes(content)


def remove_or_empty(path: Path) -> None:
    """Remove *path* if it is there; a file that cannot be removed is emptied."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        if not _is_fixed(path, error):
            raise
        path.write_bytes(b"")


def _is_fixed(path: Path, error: OSError) -> bool:
    return error.errno in _FIXED and path.is_file() and os.access(path, os.W_OK)


def is_one_name(directory: Path, one: str, other: str) -> bool:
    """Return whether two names in *directory* are one there, as where case does not matter; its file system is asked.

    Where nothing can be written, they are not. The directory may be missing; then the one above it is asked.
    """
    existing = next(place for place in (directory, *directory.absolute().parents) if place.is_dir())
    try:
        with tempfile.TemporaryDirectory(dir=existing, prefix=".buildpush-") as place:
            first = Path(place, one)
            first.parent.mkdir(parents=True, exist_ok=True)
            first.touch()
            return Path(place, other).exists()
    except OSError:
        return False


def is_there(path: Path) -> bool:
    """Return whether there is anything at *path*.

    From Python 3.14 on, ``Path.exists`` also denies it where that cannot be known.

    Raises:
        OSError: it cannot be known: the name is too long, or a directory above may not be entered.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False
    return True


def unwritable(path: Path, *, makes_directories: bool = False) -> str:
    """Return why no file can be written to *path*, or the empty text; links are followed.

    With *makes_directories*, it does not matter if directories above it are missing, since the writer makes them.
    """
    if path.is_dir():
        return "is a directory"
    if is_there(path) and not path.is_file():
        return "is a device, a pipe or a socket"
    directory = Path(os.path.realpath(path)).parent
    if makes_directories:
        existing = next(one for one in (directory, *directory.parents) if one.exists())
        return "" if existing.is_dir() else f"is below {existing}, which is not a directory"
    return "" if directory.is_dir() else "is in a directory that does not exist"
