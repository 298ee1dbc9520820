"""An order for one step, with nothing left to decide, and what is needed to make it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildpush.credentials.connectors import Connectors
from buildpush.credentials.docker import Credential
from buildpush.credentials.jfrog import ArtifactoryTarget, BuildIdentity
from buildpush.credentials.pairing import NamedHost, Nearness, host_of
from buildpush.credentials.vault import Vault
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import Secret
from buildpush.images.model import Compression, MediaTypes, Platform
from buildpush.images.references import Reference
from buildpush.provenance.attestations import Attestations

# A command that asks only for trust reads these modules, so what only annotations need is not imported at run time.
if TYPE_CHECKING:
    from buildpush.artifactory.issues import IssueSearch
    from buildpush.cluster.order import ClusterOrder
    from buildpush.dockerfile.request import BuildRequest
    from buildpush.expressions.facts import Facts
    from buildpush.settings.flows import ExistingImage
    from buildpush.settings.step_settings import CommonSettings
    from buildpush.settings.written import WrittenValue


@dataclass(frozen=True, slots=True)
class FilesToUpload:
    """Files that are no image, and where they go.

    Attributes:
        source: their pattern.
        target: repository and path in Artifactory.
        flat: whether they lose their directories.
        properties: of every file, as ``NAME=VALUE``.
        threads: how many are on their way at the same time.
    """

    source: str
    target: str
    flat: bool
    properties: tuple[str, ...]
    threads: int


@dataclass(frozen=True, slots=True)
class ResolvedStep:
    """An order for one step, with nothing left to decide.

    Attributes:
        request: to the engine; ``None`` for a step that builds nothing, or whose context only a run fetches.
        elsewhere: in a plan, the context that only a run fetches, for people; empty for a directory.
        source: the image that is pushed in place of a built one.
        tar: file, or directory of a layout, that the built image is written to.
        tar_kind: the transport of *tar*, such as ``oci``.
        upload: files that are uploaded; such a step has no image.
        load: whether the image is put into the Docker daemon.
        references: the names of the image.
        credentials: by registry host; hosts that are missing here are looked up in Docker's own configuration.
        unshared: hosts whose credential is not for other steps: it is for base images, or is in the environment.
        artifactory: where build-info goes; ``None`` where none is published.
        issues: how the issues of the build-info are found; ``None`` for none.
        set_names: settings that were set to another value than their default.
        nondistributable: whether layers that are usually fetched from their vendor are pushed too.
        schemes: by host, the scheme that its address is written with, which is obeyed.
        insecure: hosts that are reached with TLS and any certificate, or without TLS where they have none.
        retries: how often a request to its hosts is tried again; ``None`` for the usual number.
        authorities: by host, or for ``EVERY_HOST``, PEM text of certificates to trust there besides the system's.
        git_directory: whose history gives the revision; ``None`` for the working directory.
        revision: what CI variables, in the file or the environment, say of the revision: fields of ``Vcs``.
        fetch_limit: maximum size of a file from the web, if anything is built.
        receipts: files that the receipt is written to, by setting.
        attestations: what is stored beside the image.
        own_settings: values of the settings that only one engine acts on.
        cluster: where its Job runs; ``None`` for a build on this machine.
        offer: where its Job may run in the cluster of the pod that we run in, for a step that names no place.
        notes: which connectors and settings have no effect.
        sources: the sources of what was found, for ``check``: ``credentials``, ``artifactory``, ``build name`` and so
            on.
    """

    settings: CommonSettings
    references: tuple[Reference, ...]
    request: BuildRequest | None = None
    elsewhere: str = ""
    source: ExistingImage | None = None
    tar: Path | None = None
    tar_kind: str = "docker-archive"
    upload: FilesToUpload | None = None
    load: bool = False
    credentials: Mapping[str, Credential] = field(default_factory=dict)
    unshared: frozenset[str] = frozenset()
    artifactory: ArtifactoryTarget | None = None
    issues: IssueSearch | None = None
    build: BuildIdentity = field(default_factory=BuildIdentity)
    push: bool = True
    engine: str = "auto"
    set_names: frozenset[str] = frozenset()
    compression: Compression = "gzip"
    media_types: MediaTypes = "oci"
    nondistributable: bool = False
    platforms: tuple[Platform, ...] = ()
    schemes: Mapping[str, str] = field(default_factory=dict)
    insecure: frozenset[str] = frozenset()
    retries: int | None = None
    authorities: Mapping[str, str] = field(default_factory=dict)
    git_directory: Path | None = None
    revision: Mapping[str, str] = field(default_factory=dict)
    fetch_limit: int = 0
    receipts: Mapping[str, Path] = field(default_factory=dict)
    attestations: Attestations = Attestations()
    own_settings: Mapping[str, Any] = field(default_factory=dict)
    cluster: ClusterOrder | None = None
    offer: ClusterOrder | None = None
    notes: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def builds(self) -> bool:
        """Whether an image is built."""
        return self.request is not None or bool(self.elsewhere)

    @property
    def output_location(self) -> str | None:
        """The location that the built image is written to, such as ``docker-archive:PATH``."""
        return f"{self.tar_kind}:{self.tar}" if self.tar else None

    @property
    def for_engines(self) -> frozenset[str]:
        """The settings that were set and that an engine acts on, even if only one engine does."""
        from buildpush.settings.flows import engine_settings  # imported here, since only builds ask

        return engine_settings() & self.set_names


@dataclass(frozen=True, slots=True)
class ResolveContext:
    """What is needed to resolve one step."""

    cwd: Path
    facts: Facts
    vault: Vault
    connectors: Connectors
    written: Mapping[str, WrittenValue]

    @property
    def env(self) -> Mapping[str, str]:
        """The environment of the run."""
        return self.facts.env

    def where(self, name: str, *path: str | int) -> str | None:
        """Return the place that set *name*, ``None`` for a default."""
        return self.written[name].origin.at(*path) if name in self.written else None

    def source_of(self, name: str) -> str:
        """Return the place that set *name*, in words for a message."""
        return self.where(name) or "the default"

    def ambient(self, name: str, variable: str) -> bool:
        """Return whether *variable*, which belongs to another tool, set *name* in the environment."""
        origin = self.written[name].origin if name in self.written else None
        return origin is not None and origin.kind == "variable" and origin.variable == variable

    def nearness(self, name: str) -> Nearness:
        """Return how near the source of *name* is to the person who starts the run."""
        return Nearness.of(self.written[name].origin if name in self.written else None)

    def named_host(self, name: str, address: str) -> NamedHost:
        """Return the host of *address*, the value of *name*, and what set it."""
        return NamedHost(host_of(address), self.nearness(name), self.source_of(name))

    def secret(self, name: str, value: Secret | str) -> Secret:
        """Return the secret that a setting holds or refers to."""
        return value if isinstance(value, Secret) else self.vault.reference(value, self.where(name))

    def fail(self, message: str, name: str, hint: str | None = None) -> SettingsError:
        """Return the error about a setting, with the place that set it."""
        return SettingsError(message, hint=hint, setting=name, where=self.where(name))
