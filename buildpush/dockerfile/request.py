"""What an engine is asked to build: nothing left to decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from buildpush.dockerfile.caches import CacheSpec
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import Secret
from buildpush.images.model import Platform
from buildpush.images.references import Reference, Repository


@dataclass(frozen=True, slots=True)
class StepContainer:
    """What the container of a step may, for engines that start one.

    Attributes:
        user: number of the user it runs as; ``None`` for the image's own.
        memory: bytes at most.
        cores: of processors at most.
        privileged: whether it may do everything.
    """

    user: int | None = None
    memory: int | None = None
    cores: float | None = None
    privileged: bool = False


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """An order for an engine: nothing in it is left to decide.

    Attributes:
        context: absolute directory.
        dockerfile: absolute file.
        references: what the image will be called; at least one.
        created: seconds since 1970 to stamp on everything, or ``None`` for the files' own times and now.
        build_secrets: id to value, for ``RUN --mount=type=secret``.
        pull_image: whether base images are asked for again even where the engine has them.
        add_hosts: name to address, for RUN.
        network: of RUN: default, none or host; empty for the engine's own way.
        build_contexts: name to an absolute directory, or to an address that BuildKit knows, for ``--from=NAME``.
        ssh: ``ID``, ``ID=SOCKET`` or ``ID=KEY_FILE``, for ``RUN --mount=type=ssh``.
        cache_from: where layers of earlier builds are looked for.
        cache_to: where layers are left for later builds.
        cache_repository: both at once, in a repository.
        caching: both at once, in a directory of this machine.
        mirror: ``HOST`` or ``HOST/PATH`` that base images of Docker Hub are pulled from; empty for Docker Hub itself.
        squash: whether all that the Dockerfile adds becomes one layer.
        optimize: whether cheaper snapshots of the file system will do.
        container: what the engine's own container may, if it starts one.
        archive: absolute file that the image is going to be written to.
    """

    context: Path
    dockerfile: Path
    references: tuple[Reference, ...]
    build_args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    platforms: tuple[Platform, ...] = ()
    build_secrets: Mapping[str, Secret] = field(default_factory=dict)
    no_cache: bool = False
    created: int | None = None
    pull_image: bool = False
    add_hosts: Mapping[str, str] = field(default_factory=dict)
    network: str = ""
    build_contexts: Mapping[str, str] = field(default_factory=dict)
    ssh: tuple[str, ...] = ()
    cache_from: tuple[CacheSpec, ...] = ()
    cache_to: tuple[CacheSpec, ...] = ()
    cache_repository: Repository | None = None
    caching: bool = False
    mirror: str = ""
    squash: bool = False
    optimize: bool = False
    container: StepContainer = StepContainer()
    archive: Path | None = None
