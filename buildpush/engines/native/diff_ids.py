"""Keeps the diff IDs of layers from build to build, so that unchanged files are not read again.

A diff ID is used only if every file still has the same device, inode and size, and the same times, to the nanosecond,
of the last change of its bytes and of anything else about it. No program can set the latter time back.
"""

from __future__ import annotations

import hashlib
import marshal
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from buildpush.foundation.records import dataclass
from buildpush.images.model import Layer
from buildpush.images.tar import FORMAT, Entry, EntryContent, InTar, OnDisk, size_of

if TYPE_CHECKING:
    from buildpush.registry.memory import Memory

# A file that changes twice within its file system's time resolution has the same time; the coarsest, FAT's, is 2 s.
# Source: Git, Documentation/technical/racy-git.txt.
_TIME_RESOLUTION: Final = 2_000_000_000
# How many entries are turned into columns at once: all those of a large layer took ten megabytes.
_AT_ONCE: Final = 1024


@dataclass(frozen=True, slots=True)
class DiffIdCache:
    """What is known about layers before their files are read.

    Args:
        memory: keeps the diff IDs of layers from build to build; ``None`` for none.
        start: when this build began, before it looked at any file, in seconds since 1970.
        reuse: whether stored diff IDs are used; otherwise they are only renewed.
    """

    memory: Memory | None
    start: float
    reuse: bool = True

    def describe(self, layer: Layer, entries: Sequence[Entry]) -> Layer:
        """Return *layer*, made of *entries*, with its size and, if the files were read before, its diff ID."""
        layer = replace(layer, size=size_of(entries))
        key = fingerprint(entries, int(self.start * 1_000_000_000) - _TIME_RESOLUTION) if self.memory else None
        if self.memory is None or key is None:
            return layer
        diff_id = self.memory.find_diff_id(key) if self.reuse else None
        return replace(layer, diff_id=diff_id, learn=partial(self.memory.keep_diff_id, key))


def fingerprint(entries: Sequence[Entry], before: int) -> str | None:
    """Return a key for a layer, which changes whenever one of its files does.

    Args:
        entries: of the layer.
        before: nanoseconds since 1970; a file that changed at that time or later could change again without a new time.

    Returns:
        Hexadecimal digits; ``None`` where a change could go unnoticed.
    """
    digest = hashlib.sha256(marshal.dumps(FORMAT))
    for start in range(0, len(entries), _AT_ONCE):
        identity = _columns(entries[start : start + _AT_ONCE], before)
        if identity is None:
            return None
        digest.update(identity)
    return digest.hexdigest()


def _columns(entries: Sequence[Entry], before: int) -> bytes | None:
    """Return what identifies *entries*; ``None`` where nothing does so with certainty."""
    *columns, contents = zip(*entries, strict=True)
    files = [content for content in contents if type(content) is OnDisk]
    others = [
        (position, _identity(content)) for position, content in enumerate(contents) if type(content) is not OnDisk
    ]
    newest = max((file.changed for file in files), default=before - 1)
    # On Windows, a file's third time is that of its creation.
    if newest >= before or any(identity is None for _, identity in others) or os.name != "posix":
        return None
    # Without the path of a file and the number of its names.
    _, *stamps, _ = zip(*files, strict=True) if files else ((), ())
    # Marshal's format 2 has no references: equal values give equal bytes. Columns need no Python code for each entry.
    return marshal.dumps((columns, stamps, others), 2)


def _identity(content: EntryContent) -> object:
    """Return what identifies the bytes of something that is not a local file; ``None`` where nothing does."""
    if isinstance(content, InTar):
        return (content.archive.identity, content.ordinal) if content.archive.identity else None
    return content and hashlib.sha256(cast("bytes", content)).digest()
