"""The request to an engine, with everything decided."""

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
        user: number of the user that it runs as; ``None`` for the one of the image.
        memory: maximum bytes.
        cores: maximum number of processor cores.
        privileged: whether it has all privileges.
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
        created: time of all files and of the image, in seconds since 1970; ``None`` for their real times.
        build_secrets: id to value, for ``RUN --mount=type=secret``.
        pull_image: whether base images are pulled again even where the engine has them.
        add_hosts: name to address, for RUN.
        network: of RUN: default, none or host; empty for the engine's default.
        build_contexts: name to an absolute directory, or to an address that BuildKit supports, for ``--from=NAME``.
        ssh: ``ID``, ``ID=SOCKET`` or ``ID=KEY_FILE``, for ``RUN --mount=type=ssh``.
        ssh_key: a private key, which is the one with the ID ``default``.
        proxies: variables for RUN; they are not part of the image, and their values are on no command line.
        cache_from: where layers of earlier builds are looked for.
        cache_to: where layers are stored for later builds.
        cache_repository: repository of a cache that is both read and written.
        cache_hours: maximum age of a layer that is used from that repository; 0 for the engine's own limit.
        caching: whether a cache in a local directory is both read and written.
        mirrors: ``HOST`` or ``HOST/PATH`` from which base images of Docker Hub are pulled, tried in this order;
            Docker Hub itself is used only if it is one of them, or if there are none.
        authorities: by host, with or without a port, or for ``EVERY_HOST``, PEM text of certificates to trust there.
        insecure: hosts, with or without a port, that may have any certificate, or no TLS.
        tls: hosts whose address is written with ``https``, which counts on this machine.
        squash: whether all that the Dockerfile adds becomes one layer.
        ignore_paths: directories of the container that are left out of the image.
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
    tls: frozenset[str] = frozenset()
    squash: bool = False
    ignore_paths: tuple[str, ...] = ()
    optimize: bool = False
    container: StepContainer = StepContainer()
    archive: Path | None = None
