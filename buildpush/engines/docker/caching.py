"""Layers that are kept between builds in local directories of limited size, one for each repository.

BuildKit adds to a local cache and removes nothing from it, so each build writes a new one, which replaces the old one
when it is complete.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from buildpush.dockerfile.caches import CacheSpec
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.locks import locked, private_subdirectory
from buildpush.foundation.records import dataclass
from buildpush.foundation.state import alive

# Maximum bytes of all caches together; the least recently used one is removed first.
LARGEST: Final = 10 * 1024**3


@dataclass(frozen=True, slots=True)
class LayerCaches:
    """The caches of this machine.

    Attributes:
        directory: contains one directory for each repository.
        largest: maximum bytes of all of them together.
    """

    directory: Path
    largest: int = LARGEST

    @contextmanager
    def caches_of(self, repository: str) -> Iterator[tuple[tuple[CacheSpec, ...], CacheSpec]]:
        """Yield the caches to read, none the first time, and the one to write, which is kept if all goes well.

        Args:
            repository: its name, or that of anything else whose builds share layers.

        Raises:
            SettingsError: the directory cannot be made.
        """
        self._make()
        name = hashlib.sha256(repository.encode()).hexdigest()[:32]
        old = self.directory / name
        new = Path(tempfile.mkdtemp(prefix=f"{name}.{os.getpid()}.", dir=self.directory))
        try:
            with _read(old) as read:
                yield read, CacheSpec("local", (("dest", str(new)), ("mode", "max")))
            if (new / "index.json").exists():
                _remove(old)
                _rename(new, old)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        self._shrink()

    def _make(self) -> None:
        try:
            private_subdirectory(self.directory)  # layers contain the files of the image, and of its earlier stages
        except OSError as error:
            message = f"the directory for layers, {self.directory}, cannot be made: {error.strerror}"
            hint = "set XDG_STATE_HOME to a directory that you may write to, or leave caching out"
            raise SettingsError(message, hint=hint, setting="caching") from error

    def _shrink(self) -> None:
        sizes = {path: _size(path) for path in self.directory.iterdir() if path.is_dir() and not _is_written(path)}
        for path in sorted(sizes, key=_last_use):
            if sum(sizes.values()) <= self.largest:
                return
            _remove(path)
            del sizes[path]


@contextmanager
def _read(cache: Path) -> Iterator[tuple[CacheSpec, ...]]:
    """Yield the cache to read, if it exists; it is not removed in the meantime."""
    if not (cache / "index.json").exists():
        yield ()
        return
    with locked(cache, shared=True):
        yield (CacheSpec("local", (("src", str(cache)),)),)


def _remove(cache: Path) -> None:
    """Remove a cache, unless another build reads it."""
    with suppress(OSError), locked(cache, wait=False) as alone:
        if alone:
            shutil.rmtree(cache, ignore_errors=True)


def _rename(new: Path, old: Path) -> None:
    """Rename *new* to *old*, unless another build still reads the old one, or has replaced it: its cache is as good."""
    with suppress(OSError):
        new.rename(old)


def _is_written(path: Path) -> bool:
    """Return whether the process whose ID is in the name of *path* still runs, and so writes to it."""
    process = path.suffixes[:1]
    return bool(process) and alive(int(process[0][1:] or 0))


def _last_use(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _size(path: Path) -> int:
    return sum(_bytes(Path(directory) / name) for directory, _, names in os.walk(path) for name in names)


def _bytes(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
