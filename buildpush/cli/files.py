"""Files that a command writes its results to: checked before anything is done, and written whole or added to."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TextIO

from buildpush.foundation.errors import BuildPushError, SettingsError
from buildpush.foundation.files import write_whole


def check_writable(path: Path) -> None:
    """Refuse a path that cannot be written to, before the run instead of after it.

    Raises:
        SettingsError: nothing can be written there.
    """
    existing = path if path.exists() else path.absolute().parent
    if path.is_dir() or not existing.exists() or not os.access(existing, os.W_OK):
        message = f"{path} cannot be written"
        raise SettingsError(message, hint="name a file in a directory that exists and is writable")


def write(path: Path, text: str) -> None:
    """Write *text* to *path*, whole or not at all; what is not a file, such as a pipe, is written to directly.

    Raises:
        BuildPushError: it cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            append(path, text)
            return
        write_whole(path.resolve(), text.encode(), mode=0o644)  # a link stays a link
    except OSError as error:
        raise _failure(path, error) from error


def opened(path: Path) -> TextIO:
    """Open *path* for text that is written while a command works; what a file held before is gone.

    Raises:
        SettingsError: nothing can be written there.
    """
    check_writable(path)
    try:
        return open(path, "w", encoding="utf-8", opener=_open_at_once)
    except OSError as error:
        message = f"{path} cannot be written: {_reason(path, error)}"
        raise SettingsError(message, hint="name a file, or a pipe that a program reads") from error


def append(path: Path, text: str) -> None:
    """Append *text* in one piece, since other processes may append to the same file.

    Raises:
        BuildPushError: it cannot be written.
    """
    try:
        with open(path, "ab", buffering=0, opener=_open_at_once) as file:
            file.write(text.encode())
    except OSError as error:
        raise _failure(path, error) from error


def _open_at_once(path: str, flags: int) -> int:
    """Open *path*; a pipe that no program reads is an error: the command does not wait for a reader."""
    handle = os.open(path, flags | os.O_NONBLOCK, 0o666)
    os.set_blocking(handle, True)  # a slow reader gets all of it
    return handle


def _failure(path: Path, error: OSError) -> BuildPushError:
    message = f"the image is pushed, but {path} cannot be written: {_reason(path, error)}"
    return BuildPushError(message)


def _reason(path: Path, error: OSError) -> str:
    is_pipe = error.errno == errno.ENXIO and path.is_fifo()
    return "no program reads this pipe" if is_pipe else error.strerror or str(error)
