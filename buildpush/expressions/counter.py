"""Numbers that grow by one per run, where no CI system gives one: a locked file per project and pipeline."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.files import replacement
from buildpush.foundation.locks import private_part


class Counter:
    """The counters in one directory; processes that count at the same time wait for each other.

    Args:
        directory: made when a number is first taken.
        dry: only look at what the next number would be.
    """

    def __init__(self, directory: Path, *, dry: bool = False) -> None:
        self.directory = directory
        self.dry = dry

    def take(self, *names: str) -> int:
        """Return the next number of the counter of *names*, beginning with 1.

        Raises:
            SettingsError: the directory cannot be written to, or the file holds something else.
        """
        path = self.directory / _file_name(names)
        try:
            if self.dry:
                return _read(path) + 1
            private_part(self.directory)
            with _locked(path):
                number = _read(path) + 1
                _write(path, number)
                return number
        except OSError as error:
            message = f"the run's number cannot be taken from {path}: {error.strerror}"
            hint = "set HARNESS_BUILD_ID, or XDG_STATE_HOME to a directory that you may write to"
            raise SettingsError(message, hint=hint) from error


def _file_name(names: tuple[str, ...]) -> str:
    """Return a readable name that is unique to these *names*."""
    shown = re.sub(r"[^A-Za-z0-9._-]+", "_", names[-1]).strip("._")[:40] or "pipeline"
    return f"{shown}-{hashlib.sha256(chr(0).join(names).encode()).hexdigest()[:12]}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    # The lock is a file of its own, since the counter's file is replaced each time.
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
        message = f"the counter {path} does not hold a number"
        raise SettingsError(message, hint="write the last number into it, or remove the file to begin with 1 again")
    return int(text)


def _write(path: Path, number: int) -> None:
    with replacement(path, durable=True) as file:
        file.write(f"{number}\n".encode("ascii"))
