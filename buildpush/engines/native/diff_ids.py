"""The diff ID of a layer when its files were last read, so that unchanged files are not read again.

It is used only if every file is the very same one: device, inode, size, and the times when its bytes and anything about
it changed, to the nanosecond. No program can set the latter back.
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
# How many entries are turned into columns at once: for all of a large layer that took ten megabytes.
_AT_ONCE: Final = 1024


@dataclass(frozen=True, slots=True)
class DiffIdCache:
    """The facts about layers that are known before they are read.

    Args:
        memory: keeps the diff IDs of layers from build to build; ``None`` for none.
        begun: when this build began, before it looked at a file: seconds since 1970.
        believed: whether stored facts are used; otherwise they are only renewed.
    """

    memory: Memory | None
    begun: float
    believed: bool = True

    def about(self, layer: Layer, entries: Sequence[Entry]) -> Layer:
        """Return *layer*, which holds *entries*, with its size and, if the files were read before, its diff ID."""
        layer = replace(layer, size=size_of(entries))
        seen = fingerprint(entries, int(self.begun * 1_000_000_000) - _TIME_RESOLUTION) if self.memory else None
        if self.memory is None or seen is None:
            return layer
        diff_id = self.memory.find_diff_id(seen) if self.believed else None
        return replace(layer, diff_id=diff_id, learn=partial(self.memory.keep_diff_id, seen))


def fingerprint(entries: Sequence[Entry], before: int) -> str | None:
    """Return a key of this layer that changes with every file in it.

    Args:
        entries: of the layer.
        before: nanoseconds since 1970; files that changed later could change again unnoticed.

    Returns:
        Hex; ``None`` where that is not certain.
    """
    digest = hashlib.sha256(marshal.dumps(FORMAT))
    for begin in range(0, len(entries), _AT_ONCE):
        seen = _columns(entries[begin : begin + _AT_ONCE], before)
        if seen is None:
            return None
        digest.update(seen)
    return digest.hexdigest()


def _columns(entries: Sequence[Entry], before: int) -> bytes | None:
    """Return what identifies *entries*; ``None`` where nothing does for certain."""
    *columns, contents = zip(*entries, strict=True)
    files = [content for content in contents if type(content) is OnDisk]
    others = [(position, _seen(content)) for position, content in enumerate(contents) if type(content) is not OnDisk]
    newest = max((file.changed for file in files), default=before - 1)
    # On Windows, a file's third time is that of its creation.
    if newest >= before or any(seen is None for _, seen in others) or os.name != "posix":
        return None
    # Without a file's path, and the number of its names.
    _, *stamps, _ = zip(*files, strict=True) if files else ((), ())
    # Format 2 has no references: equal values are equal bytes. Columns are made without a step for each entry.
    return marshal.dumps((columns, stamps, others), 2)


def _seen(content: EntryContent) -> object:
    """Return what identifies the bytes of something that is not a local file; ``None`` where nothing does."""
    if isinstance(content, InTar):
        return (content.archive.identity, content.ordinal) if content.archive.identity else None
    return content and hashlib.sha256(cast("bytes", content)).digest()
