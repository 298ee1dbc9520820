"""Run numbers, counted on this machine if no CI system gives them: a locked file per project and pipeline."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.files import replacement
from buildpush.foundation.locks import private_subdirectory


class Counter:
    """The counters in one directory; processes that count at the same time wait for each other.

    Args:
        directory: made when the first number is taken.
        dry: only return what the next number would be.
    """

    def __init__(self, directory: Path, *, dry: bool = False) -> None:
        self.directory = directory
        self.dry = dry

    def take(self, *names: str) -> int:
        """Return the next number of the counter that *names* identify, beginning with 1.

        Raises:
            SettingsError: the directory cannot be written to, or the file does not contain a number.
        """
        path = self.directory / _file_name(names)
        try:
            if self.dry:
                return _read(path) + 1
            private_subdirectory(self.directory)
            with _locked(path):
                number = _read(path) + 1
                _write(path, number)
                return number
        except OSError as error:
            message = f"the run's number cannot be taken from {path}: {error.strerror}"
            hint = "set HARNESS_BUILD_ID, or XDG_STATE_HOME to a directory that you may write to"
            raise SettingsError(message, hint=hint) from error


def _file_name(names: tuple[str, ...]) -> str:
    """Return a readable file name that is unique to these *names*."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", names[-1]).strip("._")[:40] or "pipeline"
    return f"{readable}-{hashlib.sha256(chr(0).join(names).encode()).hexdigest()[:12]}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    import fcntl  # here, since Windows does not have it, and the modules of a run load there as well

    # The lock is a separate file, since the counter's file is replaced each time.
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _read(path: Path) -> int:
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return 0
    if not re.fullmatch(r"[0-9]{1,18}", text):
        message = f"the counter {path} does not contain a number"
        raise SettingsError(message, hint="write the last number into it, or remove the file to begin with 1 again")
    return int(text)


def _write(path: Path, number: int) -> None:
    with replacement(path, durable=True) as file:
        file.write(f"{number}\n".encode("ascii"))
