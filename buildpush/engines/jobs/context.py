"""The context of a build, packed while it is sent into the cluster: what ``.dockerignore`` leaves out stays here.

In it, ``context/`` is the context and ``file/`` has the Dockerfile. An empty ``.dockerignore`` beside the Dockerfile
keeps the engine from leaving out more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Final, cast

from buildpush.cluster.manifest import WHOLE
from buildpush.dockerfile import dockerignore
from buildpush.dockerfile.request import BuildRequest
from buildpush.engines.native.context import Context
from buildpush.foundation.errors import ContextError
from buildpush.images.blocks import BlockReader
from buildpush.images.compression import Compressor
from buildpush.images.tar import Entry, size_of, write

CONTEXT: Final = "context"
FILE: Final = "file/Dockerfile"
# Not in a gzip, which has its own: there, the last entry may arrive before a checksum that is wrong.
_LAST: Final = Entry(WHOLE, "file", 0o644)


class Packed:
    """The context of *request* as a tar, made anew each time that its blocks are asked for.

    Attributes:
        digest: identifies it on every machine: its times do not count, as in BuildKit.
        size: bytes of the tar.
        done: how many of them are packed.
        has_changed: whether the files that are packed are no longer those of the digest.

    Args:
        request: the build.
        note: called with a sentence about what an image cannot contain.

    Raises:
        ContextError: a file cannot be read, or changes meanwhile.
    """

    def __init__(self, request: BuildRequest, note: Callable[[str], object]) -> None:
        entries = _without_times(_entries(request, note))
        digest = hashlib.sha256()
        for block in write(entries):
            digest.update(block)
        self._request, self._stamp = request, hash(entries)
        self.digest, self.size = digest.hexdigest(), size_of(entries)
        self.done, self.has_changed = 0, False

    def blocks(self, *, compressed: bool) -> Iterator[bytes]:
        """Yield the blocks of the tar, or of its gzip.

        Raises:
            ContextError: a file cannot be read, or changes meanwhile.
        """
        entries = list(_entries(self._request, lambda _: None))
        self.has_changed = hash(_without_times(entries)) != self._stamp
        yield from self._compressed(entries) if compressed else self._plain(entries)

    def _compressed(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        packing = Compressor(cast("BinaryIO", BlockReader(write(entries))), "gzip")
        for block in packing:
            self.done = packing.read
            yield block

    def _plain(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        self.done = 0
        for block in write([*entries, _LAST]):
            self.done = min(self.size, self.done + len(block))
            yield block


def _without_times(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(entry._replace(modified=0) for entry in entries)


def _entries(request: BuildRequest, note: Callable[[str], object]) -> Iterator[Entry]:
    ignore = dockerignore.read(request.context, request.dockerfile)
    context = Context(request.context, ignore, note=note)
    yield Entry(CONTEXT, "directory", 0o755)
    yield from context.below("", CONTEXT)
    yield Entry("file", "directory", 0o755)
    try:
        text = request.dockerfile.read_bytes()
    except OSError as error:
        message = f"{request.dockerfile.name} cannot be read: {error.strerror or error}"
        raise ContextError(message, setting="dockerfile") from error
    yield Entry(FILE, "file", 0o644, size=len(text), content=text)
    yield Entry(f"{FILE}.dockerignore", "file", 0o644)
