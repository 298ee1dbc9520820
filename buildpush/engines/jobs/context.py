"""The context of a build as one file that is sent into the cluster: what ``.dockerignore`` leaves out stays here.

In it, ``context/`` is the context and ``file/`` has the Dockerfile. An empty ``.dockerignore`` beside the Dockerfile
keeps the engine from leaving out more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

from buildpush.cluster.jobs import Payload
from buildpush.dockerfile import dockerignore
from buildpush.dockerfile.request import BuildRequest
from buildpush.engines.native.context import Context
from buildpush.foundation.errors import ContextError
from buildpush.images.blocks import BlockReader
from buildpush.images.compression import Compressor
from buildpush.images.tar import Entry, write

CONTEXT: Final = "context"
FILE: Final = "file/Dockerfile"
_NAME: Final = "context.tar.gz"


def pack(request: BuildRequest, directory: Path, note: Callable[[str], object]) -> Payload:
    """Write the context of *request* into a file in *directory*, and return it.

    Raises:
        ContextError: a file cannot be read, or changes meanwhile.
    """
    path = directory / _NAME
    packing = Compressor(cast("BinaryIO", BlockReader(write(_entries(request, note)))), "gzip")
    with path.open("xb") as file:
        file.writelines(packing)
    assert packing.result  # noqa: S101 - it is known at the end
    return Payload(path, packing.result.size, packing.result.digest.hex)


def content_digest(request: BuildRequest) -> str:
    """Return what identifies the context of *request* on every machine: its times do not count, as in BuildKit.

    Raises:
        ContextError: a file cannot be read, or changes meanwhile.
    """
    digest = hashlib.sha256()
    for block in write(entry._replace(modified=0) for entry in _entries(request, lambda _: None)):
        digest.update(block)
    return digest.hexdigest()


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
