"""Guesses which file COPY means where the context does not have it: a similar name, another directory, or one above."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from buildpush.dockerfile import dockerignore
from buildpush.dockerfile.dockerignore import Ignore
from buildpush.foundation.errors import BuildPushError
from buildpush.foundation.spelling import nearest

_MOST_ENTRIES: Final = 10_000
_MOST_NAMES: Final = 3
_LEVELS: Final = 3
_NOT_SEARCHED: Final = frozenset({".git"})


def hint_for(context: Path, dockerfile: Path | None, path: str) -> str | None:
    """Return a hint why a builder did not find *path* in *context*, if the files on this machine explain it."""
    try:
        ignore = dockerignore.read(context, dockerfile)
        is_there = (context / path).exists()
        pattern = ignore.find_pattern(path) if is_there and ignore.hides(path) else None
    except (BuildPushError, OSError, ValueError):
        return None
    if pattern:
        return f"{pattern.where}, {pattern.text!r}, hides it; add a line !{path} below"
    return None if is_there else near(context, path, ignore)


def near(context: Path, path: str, ignore: Ignore) -> str | None:
    """Return a hint with the paths that *path* was probably meant to be; ``None`` where nothing is similar.

    Args:
        context: directory that COPY copies from; only its first 10,000 entries are read.
        path: relative to it, without dots.
        ignore: patterns of what is left out of it.
    """
    names = [_printable(one) for one in islice(_similar_paths(context, path, ignore), _MOST_NAMES)]
    if names:
        return f"did you mean {' or '.join(names)}?"
    if (above := _above(context, path)) is not None:
        return f"{above} has it: choose that directory as the context"
    return None


def _printable(path: str) -> str:
    """Return *path*, with escapes where it has characters that a message leaves out, such as a carriage return."""
    return path if path.isprintable() else ascii(path)


def _similar_paths(context: Path, path: str, ignore: Ignore) -> Iterator[str]:
    """Yield the paths that are similar to *path*, each once, the most likely first."""
    entries, lower = list(islice(_entries(context), _MOST_ENTRIES)), path.lower()
    directory, _, name = path.rpartition("/")
    siblings = [one for one in entries if one.rpartition("/")[0] == directory]
    similar_siblings = [
        f"{directory}/{one}".lstrip("/") for one in nearest(name, [one.rpartition("/")[2] for one in siblings])
    ]
    tests: tuple[Callable[[str], bool], ...] = (
        lambda one: one.lower() == lower,
        lambda one: lower.endswith(f"/{one.lower()}"),  # the path begins with the name of the context
        lambda one: one.lower().endswith(f"/{lower}"),  # the context is a directory above the one that is meant
        lambda one: one in similar_siblings,
    )
    paths = [one for test in tests for one in entries if test(one)]
    paths += nearest(path, [one for one in entries if one.rpartition("/")[2].lower() == name.lower()], cutoff=0.0)
    yield from (one for one in dict.fromkeys(paths) if not ignore.hides(one))


def _entries(context: Path) -> Iterator[str]:
    """Yield the paths of files and directories in *context*, those of upper directories first; links are not followed.

    Directories that cannot be read are skipped.
    """
    queue = deque([""])
    while queue:
        directory = queue.popleft()
        for name, is_directory in _names(context / directory):
            path = f"{directory}/{name}".lstrip("/")
            yield path
            if is_directory and name not in _NOT_SEARCHED:
                queue.append(path)


def _names(directory: Path) -> list[tuple[str, bool]]:
    with suppress(OSError, ValueError), os.scandir(directory) as listing:
        return sorted((item.name, item.is_dir(follow_symlinks=False)) for item in listing)
    return []


def _above(context: Path, path: str) -> Path | None:
    """Return the directory above *context*, except the root of the file system, that has *path*."""
    with suppress(OSError, ValueError):
        return next((one for one in context.parents[:_LEVELS] if one.parent != one and (one / path).exists()), None)
    return None
