"""Where the file may be that COPY names and the context does not have: near it, elsewhere in the context, or above."""

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
    """Return why a builder did not find *path* in *context*, as far as the files on this machine say; else ``None``."""
    try:
        ignore = dockerignore.read(context, dockerfile)
        is_there = (context / path).exists()
        pattern = ignore.by(path) if is_there and ignore.hides(path) else None
    except (BuildPushError, OSError, ValueError):
        return None
    if pattern:
        return f"{pattern.where}, {pattern.text!r}, hides it; add a line !{path} below"
    return None if is_there else near(context, path, ignore)


def near(context: Path, path: str, ignore: Ignore) -> str | None:
    """Return a hint with what *path* may have been meant to be; ``None`` where nothing is like it.

    Args:
        context: directory that COPY names files of; its first 10,000 entries are looked at.
        path: relative to it, without dots.
        ignore: what is left out of it.
    """
    names = list(islice(_alike(context, path, ignore), _MOST_NAMES))
    if names:
        return f"did you mean {' or '.join(names)}?"
    if (above := _above(context, path)) is not None:
        return f"{above} has it: choose that directory as the context"
    return None


def _alike(context: Path, path: str, ignore: Ignore) -> Iterator[str]:
    """Yield the paths that are like *path*, the most likely ones first, each once."""
    there, lower = list(islice(_entries(context), _MOST_ENTRIES)), path.lower()
    directory, _, name = path.rpartition("/")
    inside = [one for one in there if one.rpartition("/")[0] == directory]
    beside = [f"{directory}/{one}".lstrip("/") for one in nearest(name, [one.rpartition("/")[2] for one in inside])]
    kinds: tuple[Callable[[str], bool], ...] = (
        lambda one: one.lower() == lower,
        lambda one: lower.endswith(f"/{one.lower()}"),  # the path begins with the name of the context
        lambda one: one.lower().endswith(f"/{lower}"),  # the context is too high
        lambda one: one in beside,
    )
    found = [one for fits in kinds for one in there if fits(one)]
    found += nearest(path, [one for one in there if one.rpartition("/")[2].lower() == name.lower()], cutoff=0.0)
    yield from (one for one in dict.fromkeys(found) if not ignore.hides(one))


def _entries(context: Path) -> Iterator[str]:
    """Yield the paths of files and directories in *context*, those of upper directories first; links are not followed.

    Directories that cannot be read are passed over.
    """
    left = deque([""])
    while left:
        directory = left.popleft()
        for name, is_directory in _names(context / directory):
            path = f"{directory}/{name}".lstrip("/")
            yield path
            if is_directory and name not in _NOT_SEARCHED:
                left.append(path)


def _names(directory: Path) -> list[tuple[str, bool]]:
    with suppress(OSError, ValueError), os.scandir(directory) as listing:
        return sorted((item.name, item.is_dir(follow_symlinks=False)) for item in listing)
    return []


def _above(context: Path, path: str) -> Path | None:
    """Return the directory above *context*, but not the root of all, that has *path*."""
    with suppress(OSError, ValueError):
        return next((one for one in context.parents[:_LEVELS] if one.parent != one and (one / path).exists()), None)
    return None
