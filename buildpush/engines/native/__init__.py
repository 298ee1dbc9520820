"""The engine that needs no daemon and no root: Dockerfiles without RUN, layers made while they are sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from buildpush.dockerfile import dockerignore
from buildpush.dockerfile import parse as dockerfile
from buildpush.dockerfile.platforms import machine
from buildpush.dockerfile.request import BuildRequest
from buildpush.engines.native.build import Build, Pull, Surroundings, refusal
from buildpush.engines.native.context import Context
from buildpush.engines.native.downloads import Downloads, Fetch, no_web
from buildpush.engines.native.known import DiffIds
from buildpush.foundation.errors import ContextError, DockerfileError
from buildpush.foundation.events import Note, Sink, ignore
from buildpush.images.model import Image, Index, Platform
from buildpush.places import Command

ITSELF = "itself"


class Native:
    """Reads the Dockerfile and does its instructions itself.

    Args:
        pull: gives an image of a registry, for FROM and ``--from``.
        sink: told what happens.
        here: platform to build for where the request names none.
        now: seconds since 1970, stamped on images whose request says no time.
        diff_ids: what layers were when their files were last read; without it, all is read each time.
        fetch: gets what ADD takes from the web.
        scratch: folder for what was fetched; the system's by default.
    """

    name: ClassVar[str] = "native"
    spells: ClassVar[Mapping[str, str]] = MappingProxyType(
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
            "build_contexts": "itself, folders and images",
            "base_image_connector_refs": "itself, pulling base images",
        }
    )

    def __init__(
        self,
        pull: Pull,
        sink: Sink = ignore,
        *,
        here: Platform | None = None,
        now: Callable[[], float] = time.time,
        diff_ids: DiffIds | None = None,
        fetch: Fetch = no_web,
        scratch: Path | None = None,
    ) -> None:
        self._around = Surroundings(pull, sink, here or machine(), now, diff_ids, fetch, scratch)

    def missing(self) -> str | None:
        """Return ``None``: it is always here."""
        return None

    def refuses(self, request: BuildRequest) -> str | None:
        """Return line and instruction of the first thing it does not do, or ``None``."""
        file = dockerfile.read(request.dockerfile)
        found = refusal(file, request, self._around.machine)
        return f"{file.where(found[0])}: {found[1]}" if found else None

    def commands(self, _request: BuildRequest) -> tuple[Command, ...]:
        """Return nothing: no program is run."""
        return ()

    def lacks(self) -> frozenset[str]:
        """Return nothing: what it does not do, it refuses."""
        return frozenset()

    @contextmanager
    def build(self, request: BuildRequest) -> Iterator[Image | Index]:
        """Carry out the Dockerfile; files are read when the image's blobs are.

        Raises:
            DockerfileError: it cannot be read, or holds an instruction that this engine does not do.
            ContextError: a file is missing, hidden, or not allowed.
            BuildError: an instruction cannot be carried out.
        """
        file = dockerfile.read(request.dockerfile)
        _refuse(file, request, self._around.machine)
        context = _context(request, self._around.sink)
        platforms = request.platforms or (self._around.machine,)
        around = self._around
        with Downloads(around.fetch, around.sink, around.scratch) as downloads:
            images = [Build(file, request, context, around, downloads).run(wanted) for wanted in platforms]
            yield images[0] if len(images) == 1 else Index(tuple(images))


def _context(request: BuildRequest, sink: Sink) -> Context:
    if not request.context.is_dir():
        message = f"the context {request.context} is not a folder"
        raise ContextError(message, hint="set 'context' to a folder", setting="context")
    ignore = dockerignore.read(request.context, request.dockerfile)
    if request.archive and request.archive.is_relative_to(request.context):  # written while layers are still read
        ignore = ignore.without(request.archive.relative_to(request.context).as_posix())
    return Context(request.context, ignore, request.created, lambda words: sink(Note(words)))


def _refuse(file: dockerfile.Dockerfile, request: BuildRequest, here: Platform) -> None:
    found = refusal(file, request, here)
    if not found:
        return
    line, words = found
    message = f"the engine native does not do this: {words}"
    raise DockerfileError(message, hint="use engine: docker", where=file.where(line), setting="engine")
