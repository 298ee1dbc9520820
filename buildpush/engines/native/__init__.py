"""The engine that needs no daemon and no root: it builds Dockerfiles without RUN, making layers as they are sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import ClassVar

from buildpush.dockerfile import dockerignore, model
from buildpush.dockerfile import parse as dockerfile
from buildpush.dockerfile.platforms import machine
from buildpush.dockerfile.request import BuildRequest
from buildpush.engines import Tools
from buildpush.engines.bases import pulled_images
from buildpush.engines.native.build import NativeBuild, first_unsupported
from buildpush.engines.native.context import Context
from buildpush.engines.native.diff_ids import DiffIdCache
from buildpush.engines.native.downloads import Downloads
from buildpush.foundation.errors import ContextError, DockerfileError
from buildpush.foundation.events import Note, Sink
from buildpush.images.model import Image, Index, Platform
from buildpush.images.references import Reference
from buildpush.places import Command

ITSELF = "itself"


class Native:
    """Reads the Dockerfile and runs its instructions itself.

    Where there is no memory of earlier builds, all files are read each time.
    """

    name: ClassVar[str] = "native"
    flags: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "dockerfile": ITSELF,
            "context": ITSELF,
            "labels": ITSELF,
            "build_args": ITSELF,
            "target": ITSELF,
            "platforms": ITSELF,
            "no_cache": "itself, reading every file again",
            "pull_image": "itself, always",
            "mirror": "itself, pulling base images",
            "insecure_registry": "itself, pulling base images",
            "registry_certificate": "itself, pulling base images",
            "build_contexts": "itself, directories and images",
            "base_image_connector_refs": "itself, pulling base images",
        }
    )

    uses_our_connections: ClassVar[bool] = True

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def missing(self) -> str | None:
        """Return ``None``: it is always available."""
        return None

    def refuses(self, request: BuildRequest) -> str | None:
        """Return the first thing that it does not support, with its line, or ``None``."""
        file = dockerfile.read(request.dockerfile)
        return first_unsupported(file, request, self._tools.platform)

    def images(self, request: BuildRequest) -> tuple[Reference, ...]:
        """Return only base images: it reads Dockerfiles itself, without a frontend."""
        return pulled_images(request)

    def commands(self, _request: BuildRequest) -> tuple[Command, ...]:
        """Return nothing: no program is run."""
        return ()

    def builds_in_daemon(self) -> bool:
        """Return ``False``: it builds in this process."""
        return False

    def unsupported_features(self) -> frozenset[str]:
        """Return nothing: it refuses what it does not support."""
        return frozenset()

    @contextmanager
    def build(self, request: BuildRequest) -> Iterator[Image | Index]:
        """Build the Dockerfile; its files are read only when the image's blobs are.

        Raises:
            DockerfileError: it cannot be read, or has an instruction that this engine does not support.
            ContextError: a file is missing, hidden, or not allowed.
            BuildError: an instruction fails.
        """
        request = replace(request, build_args={**request.proxies, **request.build_args})
        file = dockerfile.read(request.dockerfile)
        _refuse(file, request, self._tools.platform)
        diff_ids = DiffIdCache(self._tools.memory, self._tools.now(), reuse=not request.no_cache)
        context = _context(request, self._tools.sink)
        platforms = request.platforms or (self._tools.platform or machine(),)
        with ExitStack() as stack:
            downloads = Downloads(self._tools, stack)
            build = partial(NativeBuild, file, request, context, self._tools, downloads, diff_ids=diff_ids)
            yield Index.of(build(platform).run() for platform in platforms)


def _context(request: BuildRequest, sink: Sink) -> Context:
    if not request.context.is_dir():
        message = f"the context {request.context} is not a directory"
        raise ContextError(message, hint="set 'context' to a directory", setting="context")
    ignore = dockerignore.read(request.context, request.dockerfile)
    if request.archive and request.archive.is_relative_to(request.context):  # written while layers are still read
        ignore = ignore.without(request.archive.relative_to(request.context).as_posix())
    return Context(request.context, ignore, request.created, lambda words: sink(Note(words)))


def _refuse(file: model.Dockerfile, request: BuildRequest, here: Platform | None) -> None:
    refusal = first_unsupported(file, request, here)
    if not refusal:
        return
    where, _, words = refusal.partition(": ")
    message = f"the engine native does not support this: {words}"
    raise DockerfileError(message, hint="use engine: docker", where=where, setting="engine")
