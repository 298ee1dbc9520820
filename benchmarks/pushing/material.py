"""Build contexts made of files of this machine: real ones compress, and differ in size, as those of an image do."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 1_000_000
SOURCE = Path("/usr")
LARGE = 256 * 1024  # bytes, from which a file counts as large
SHARE_OF_LARGE = 0.58  # of an image of two layers: one of large files, one of many small ones
SEED = 20


@dataclass(frozen=True)
class Context:
    """A directory with a Dockerfile that copies each of its parts into a layer."""

    directory: Path
    parts: tuple[str, ...]
    size: int  # bytes of all files

    @property
    def dockerfile(self) -> Path:
        return self.directory / "Dockerfile"


@dataclass(frozen=True)
class _File:
    path: str
    size: int


def two_layers(cache: Path, megabytes: int) -> Context:
    """Return a context of two layers: large files, and many small ones."""
    files = _files()
    chosen = {
        "large": _taken(_cycle([file for file in files if file.size >= LARGE]), SHARE_OF_LARGE * megabytes),
        "small": _taken(_cycle([file for file in files if file.size < LARGE]), (1 - SHARE_OF_LARGE) * megabytes),
    }
    return _made(cache / f"two-{megabytes}", chosen)


def many_layers(cache: Path, megabytes: int, layers: int) -> Context:
    """Return a context of layers of one size, each with files of every kind."""
    endless = _cycle(_files())
    chosen = {f"part{number:02}": _taken(endless, megabytes / layers) for number in range(layers)}
    return _made(cache / f"{layers}-layers-{megabytes}", chosen)


def small_files(cache: Path, count: int) -> Context:
    """Return a context of one layer of small files."""
    files = [file for file in _files() if file.size < LARGE][:count]
    return _made(cache / f"small-{count}", {"small": files})


def renew(context: Context, part: str, number: int) -> None:
    """Change one part: a small file in it is another one than before."""
    (context.directory / part / "changed").write_text(f"{number} {os.getpid()} {random.random()}\n", encoding="utf-8")


def _files() -> list[_File]:
    """Return readable files in an order that does not depend on the file system; of hard links, one."""
    found = {info.st_ino: _File(path, info.st_size) for path, info in _walk(str(SOURCE))}
    files = sorted(found.values(), key=lambda file: file.path)
    random.Random(SEED).shuffle(files)
    return files


def _walk(directory: str) -> Iterator[tuple[str, os.stat_result]]:
    for parent, directories, names in os.walk(directory):
        directories.sort()
        for name in sorted(names):
            path = f"{parent}/{name}"
            info = os.lstat(path)
            if stat.S_ISREG(info.st_mode) and info.st_size and os.access(path, os.R_OK):
                yield path, info


def _cycle(files: list[_File]) -> Iterator[_File]:
    if not files:
        message = f"there are no files in {SOURCE} to make an image of"
        raise SystemExit(message)
    return itertools.cycle(files)


def _taken(files: Iterator[_File], megabytes: float) -> list[_File]:
    """Take files up to a size; those that would be most of it are passed over."""
    taken, size, wanted = [], 0, megabytes * MEGABYTE
    while size < wanted:
        file = next(files)
        if file.size <= wanted / 4:
            taken.append(file)
            size += file.size
    return taken


def _made(directory: Path, chosen: dict[str, list[_File]]) -> Context:
    """Return the context in *directory*, which is made once: an unfinished one is begun anew."""
    context = Context(directory, tuple(chosen), sum(file.size for files in chosen.values() for file in files))
    if context.dockerfile.exists():
        return context
    shutil.rmtree(directory, ignore_errors=True)
    for part, files in chosen.items():
        (directory / part).mkdir(parents=True)
        _put(files, directory / part)
    context.dockerfile.write_text("FROM scratch\n" + copies(chosen), encoding="utf-8")
    return context


def copies(parts: Iterable[str]) -> str:
    """Return the instructions that copy parts of a context, one layer each."""
    return "".join(f"COPY {part} /{part}\n" for part in parts)


def _put(files: list[_File], directory: Path) -> None:
    placed: set[str] = set()
    for number, file in enumerate(files):
        target = directory / f"{number // 500:03}" / f"{number}-{Path(file.path).name}"
        target.parent.mkdir(exist_ok=True)
        _link_or_copy(file.path, target, again=file.path in placed)
        placed.add(file.path)


def _link_or_copy(source: str, target: Path, *, again: bool) -> None:
    """Link, which costs no room; a file that is there twice is copied, or it would be a hard link in the image too."""
    try:
        if not again:
            os.link(source, target)
            return
    except OSError:  # another file system, or not our file
        pass
    shutil.copy(source, target)
