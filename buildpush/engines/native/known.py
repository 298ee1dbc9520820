"""What a layer was when its files were last read: so that files that did not change are not read again.

It is believed only if every file is the very same one: device, inode, size, and the times when its bytes and anything
about it changed, to the nanosecond. No program can set the latter back.
"""

from __future__ import annotations

import hashlib
import marshal
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol

from buildpush.images.model import Layer
from buildpush.images.references import Digest
from buildpush.images.tar import FORMAT, Entry, InTar, OnDisk, size_of

# A file that changes twice within its file system's grain has one time for both; the coarsest grain, FAT's, is 2 s.
# Source: Git, Documentation/technical/racy-git.txt.
_GRAIN: Final = 2_000_000_000


class DiffIds(Protocol):
    """Keeps the diff IDs of layers from build to build."""

    def find_diff_id(self, seen: str) -> Digest | None:
        """Return what was kept for *seen*."""
        ...

    def keep_diff_id(self, seen: str, diff_id: Digest) -> None:
        """Keep *diff_id* for *seen*."""
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """What is known about layers before they are read.

    Args:
        diff_ids: kept from build to build; ``None`` where nothing is.
        begun: when this build began, before it looked at a file: seconds since 1970.
        believed: whether what was kept is believed; otherwise it is only renewed.
    """

    diff_ids: DiffIds | None
    begun: float
    believed: bool = True

    def about(self, layer: Layer, entries: Sequence[Entry]) -> Layer:
        """Return *layer*, which holds *entries*, with its size and, where files were read before, its diff ID."""
        layer = replace(layer, size=size_of(entries))
        seen = fingerprint(entries, int(self.begun * 1_000_000_000) - _GRAIN) if self.diff_ids else None
        if self.diff_ids is None or seen is None:
            return layer
        diff_id = self.diff_ids.find_diff_id(seen) if self.believed else None
        return replace(layer, diff_id=diff_id, learn=partial(self.diff_ids.keep_diff_id, seen))


def fingerprint(entries: Sequence[Entry], before: int) -> str | None:
    """Return what no other layer has, nor this one after a file of it changed.

    Args:
        entries: of the layer.
        before: nanoseconds since 1970; files that changed later may change once more unseen.

    Returns:
        Hex; ``None`` where that cannot be said for sure.
    """
    rows = [_row(entry, before) for entry in entries]
    # On Windows a file's third time is that of its creation.
    if None in rows or os.name != "posix":
        return None
    # Format 2 knows no references: equal values are equal bytes.
    return hashlib.sha256(marshal.dumps((FORMAT, rows), 2)).hexdigest()


def _row(entry: Entry, before: int) -> tuple[object, ...] | None:
    content = entry.content
    if isinstance(content, OnDisk):
        return (*entry[:-1], *content[1:-1]) if content.changed < before else None
    if isinstance(content, InTar):
        return (*entry[:-1], content.archive.identity, content.ordinal) if content.archive.identity else None
    return (*entry[:-1], hashlib.sha256(content).digest() if content else b"")
