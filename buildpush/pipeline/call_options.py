"""Keywords that several public functions share, for those who check types; :mod:`buildpush.api` describes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from buildpush.pipeline.arguments import OptionalPath, Paths, TextList

if TYPE_CHECKING:
    from buildpush.foundation.events import Sink
    from buildpush.foundation.secrets import Secret
    from buildpush.images.model import Compression, MediaTypes


class ReadOptions(TypedDict, total=False):
    """Keywords of ``record``, described at :func:`push`: how registries that a stranger may name are reached."""

    connectors: OptionalPath
    connector_ref: str | None
    secrets: OptionalPath
    insecure_registry: TextList
    timeout: timedelta | str | None
    env: Mapping[str, str] | None
    cwd: OptionalPath
    sink: Sink | None


class HostOptions(ReadOptions, total=False):
    """Keywords of :func:`tag`, described at :func:`push`: how registries are reached, and what gets the events."""

    username: str | None
    password: Secret | str | None
    insecure: bool


class IndexOptions(HostOptions, total=False):
    """Keywords of :func:`merge`."""

    media_types: MediaTypes | None
    allow_nondistributable_artifacts: bool


class ImageOptions(IndexOptions, total=False):
    """Keywords of :func:`push` and :func:`copy`."""

    compression: Compression | None
    platform: str | None
    referrers: bool


class ServerOptions(TypedDict, total=False):
    """Keywords about an Artifactory, described at :func:`upload`."""

    artifactory_token: Secret | str | None
    username: str | None
    password: Secret | str | None
    insecure: bool
    pem_file_path: OptionalPath
    env: Mapping[str, str] | None
    cwd: OptionalPath
    sink: Sink | None


class BuildsOptions(ServerOptions, total=False):
    """Keywords of :func:`open_builds`."""

    project: str


class DownloadOptions(ServerOptions, total=False):
    """Keywords of :func:`download`, described at :func:`upload`."""

    flat: bool
    recursive: bool
    exclusions: TextList | str
    threads: int
    dry_run: bool
    artifactory_url: str | None
    timeout: timedelta | str | None


class UploadOptions(DownloadOptions, total=False):
    """Keywords of :func:`upload`."""

    props: TextList | str


class VerifyOptions(HostOptions, total=False):
    """Keywords of ``verify``."""

    keys: Paths
    artifactory_url: str | None
    artifactory_token: Secret | str | None
    build: tuple[str, str] | None


class PipelineOptions(TypedDict, total=False):
    """Keywords of :func:`check_pipeline`, described at :func:`run_pipeline`."""

    connectors: OptionalPath
    secrets: OptionalPath
    variables: Mapping[str, str] | None
    env: Mapping[str, str] | None
    cwd: OptionalPath
    stage: str | None
    step: str | None
    templates: OptionalPath
    inputs: Paths


class RunOptions(PipelineOptions, total=False):
    """Keywords of :func:`run_pipeline`."""

    record: OptionalPath
    resume: str | Path | bool
    strict: bool
    sink: Sink | None


class OpenRunOptions(RunOptions, total=False):
    """Keywords of :func:`open_run`."""

    expected: TextList
