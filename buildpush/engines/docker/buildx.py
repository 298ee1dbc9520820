"""The engine buildx: BuildKit wherever it runs, through the selected builder; with caches between builds.

Source: docker buildx build and docker buildx create, command line reference; each rule was tried with buildx 0.13, the
driver docker of Docker 26.1 and the driver remote of BuildKit 0.34.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType
from typing import ClassVar, Final

from buildpush.dockerfile.request import BuildRequest
from buildpush.engines import Tools
from buildpush.engines.bases import base_credentials
from buildpush.engines.docker.caching import LayerCaches
from buildpush.engines.docker.classic import Docker
from buildpush.engines.docker.cli import Builder, BuildxProgram, layout_output
from buildpush.engines.docker.frontend import Release, find_refusal
from buildpush.engines.refusal import require_here
from buildpush.engines.seam import OUT
from buildpush.foundation.errors import EngineMissingError
from buildpush.foundation.events import Note
from buildpush.foundation.locks import temporary
from buildpush.images.model import Image, Index
from buildpush.images.references import Reference
from buildpush.places import Command

REMEDIES: Final = "install docker buildx from your distribution; or use engine: docker, buildah or native"
_DOCKER: Final = "docker"


class Buildx:
    """Builds with buildx, which returns the image in an OCI layout of uncompressed layers; we push it.

    Where the builder is the Docker daemon itself, the engine Docker builds, with the caches that this one adds.
    Variables: ``BUILDX_BUILDER``, ``BUILDX_CONFIG`` and Docker's own have their meaning in buildx.
    """

    name: ClassVar[str] = "buildx"
    flags: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            **Docker.flags,
            "cache_from": "--cache-from",
            "cache_to": "--cache-to",
            "remote_cache_repo": "--cache-from, --cache-to",
            "caching": "--cache-from, --cache-to type=local",
        }
    )

    uses_our_connections: ClassVar[bool] = False

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._docker = Docker(tools)

    def missing(self) -> str | None:
        """Return why there is no builder, with the usual remedies, or ``None`` where there is one."""
        try:
            _, builder = self._selected
        except EngineMissingError as error:
            return f"{error}\n{error.hint}"
        return self._docker.missing() if builder.driver == _DOCKER else None

    @cached_property
    def _selected(self) -> tuple[BuildxProgram, Builder]:
        """Buildx and the selected builder; determined once, since each call of buildx takes a tenth of a second.

        Raises:
            EngineMissingError: there is none, or it does not answer.
        """
        program = BuildxProgram.find(self._tools)
        if program is None:
            message = "docker buildx is not on this machine"
            raise EngineMissingError(message, hint=REMEDIES, setting="engine")
        builder = program.builder()
        if (
            builder.driver == "remote" and builder.status == "inactive"
        ):  # other drivers start their builder when it is used
            message = f"the builder {builder.name} does not answer"
            hint = "start its buildkitd, or choose another builder: docker buildx use"
            raise EngineMissingError(message, hint=hint, setting="engine")
        return program, builder

    def refuses(self, request: BuildRequest) -> str | None:
        """Return the first flag that this BuildKit does not have; BuildKit itself reports all else."""
        return find_refusal(request, self._release)

    def _release(self) -> Release | None:
        try:
            _, builder = self._selected
        except EngineMissingError:
            return None
        return self._docker.release() if builder.driver == _DOCKER else Release.parse("BuildKit", builder.version)

    def images(self, request: BuildRequest) -> tuple[Reference, ...]:
        """Return the frontend's image and the base images, as the engine Docker does."""
        return self._docker.images(request)

    def commands(self, request: BuildRequest) -> tuple[Command, ...]:
        """Return the command lines, without the caches of ``caching``, whose directories are chosen when it builds."""
        require_here(self)
        program, builder = self._selected
        if builder.driver == _DOCKER:
            return self._docker.commands(request)
        return (program.command(request, base_credentials(request, self._tools.find), layout_output(request, OUT)),)

    def builds_in_daemon(self) -> bool:
        """Return whether the selected builder is the Docker daemon itself."""
        return self._selected[1].driver == _DOCKER

    def unsupported_features(self) -> frozenset[str]:
        """Return nothing: BuildKit supports everything."""
        return frozenset()

    @contextmanager
    def build(self, request: BuildRequest) -> Iterator[Image | Index]:
        """Build with the selected builder.

        Raises:
            EngineMissingError: buildx is not installed, or no builder answers.
            UnsupportedError: the builder is a Docker daemon that cannot do all that is asked for.
            BuildError: the build failed; with the last lines of its log.
        """
        require_here(self)
        with ExitStack() as stack:
            with self._caching(request) as with_caches:
                image = stack.enter_context(self._image(with_caches))
            yield image

    @contextmanager
    def _caching(self, request: BuildRequest) -> Iterator[BuildRequest]:
        """Yield the request with the local caches where they are wanted; a successful build renews them."""
        if request.caching and request.cache_repository:
            self._tools.sink(
                Note("caching keeps nothing on this machine: remoteCacheRepo takes precedence, as in Harness")
            )
        if not request.caching or request.cache_repository or not self._tools.layers:
            yield request
            return
        name = str(request.references[0].repository) if request.references else str(request.context)
        with LayerCaches(self._tools.layers).caches_of(name) as (read, written):
            yield replace(request, cache_from=(*request.cache_from, *read), cache_to=(*request.cache_to, written))

    @contextmanager
    def _image(self, request: BuildRequest) -> Iterator[Image | Index]:
        program, builder = self._selected
        if builder.driver == _DOCKER:
            with self._docker.build(request) as image:
                yield image
            return
        credentials = base_credentials(request, self._tools.find)
        with temporary(self._tools.scratch) as directory:
            yield program.into_layout(request, credentials, directory)
