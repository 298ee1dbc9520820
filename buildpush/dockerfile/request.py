"""What an engine is asked to build, with everything decided."""

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
    """What the container of a step may do and use, for engines that start one.

    Attributes:
        user: number of the user that it runs as; ``None`` for the image's own.
        memory: bytes at most.
        cores: processor cores at most.
        privileged: whether it may do everything.
    """

    user: int | None = None
    memory: int | None = None
    cores: float | None = None
    privileged: bool = False


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """A request to an engine: everything in it is decided.

    Attributes:
        context: absolute directory.
        dockerfile: absolute file.
        references: what the image will be called; at least one.
        created: time of everything, in seconds since 1970, or ``None`` for the files' own times and now.
        build_secrets: id to value, for ``RUN --mount=type=secret``.
        pull_image: whether base images are pulled again even where the engine has them.
        add_hosts: name to address, for RUN.
        network: of RUN: default, none or host; empty for the engine's default.
        build_contexts: name to an absolute directory, or to an address that BuildKit knows, for ``--from=NAME``.
        ssh: ``ID``, ``ID=SOCKET`` or ``ID=KEY_FILE``, for ``RUN --mount=type=ssh``.
        ssh_key: the private key that is the default one there.
        proxies: variables that RUN sees; they are no part of the image, and their values stay off command lines.
        cache_from: where layers of earlier builds are looked for.
        cache_to: where layers are left for later builds.
        cache_repository: both at once, in a repository.
        cache_hours: how old a layer may be that is used from there; 0 for the engine's own limit.
        caching: both at once, in a local directory.
        mirrors: ``HOST`` or ``HOST/PATH`` that base images of Docker Hub are pulled from, the first that has one;
            empty for Docker Hub itself, which may also be the last of them.
        authorities: by host, with or without a port, or for ``EVERY_HOST``, PEM text of certificates to trust there.
        insecure: hosts, with or without a port, that may have any certificate, or no TLS.
        squash: whether all that the Dockerfile adds becomes one layer.
        ignore_paths: directories of the container that become no part of the image.
        optimize: whether cheaper snapshots of the file system are enough.
        container: what the engine's own container may do and use, if it starts one.
        archive: absolute path of the file that the image will be written to.
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
    ssh_key: Secret | None = None
    proxies: Mapping[str, str] = field(default_factory=dict)
    cache_from: tuple[CacheSpec, ...] = ()
    cache_to: tuple[CacheSpec, ...] = ()
    cache_repository: Repository | None = None
    cache_hours: int = 0
    caching: bool = False
    mirrors: tuple[str, ...] = ()
    authorities: Mapping[str, str] = field(default_factory=dict)
    insecure: frozenset[str] = frozenset()
    squash: bool = False
    ignore_paths: tuple[str, ...] = ()
    optimize: bool = False
    container: StepContainer = StepContainer()
    archive: Path | None = None
