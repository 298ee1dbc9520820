"""Provenance: from what, by whom and how an image was built, as a predicate of SLSA.

Source: slsa.dev, "Provenance" v1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from buildpush import __version__
from buildpush.dockerfile.request import BuildRequest
from buildpush.foundation.records import dataclass
from buildpush.images.model import Platform
from buildpush.images.references import Digest, Reference
from buildpush.provenance.statement import package_url

# A name, and no page: it says how to read the parameters, and docs/provenance.md explains them.
BUILD_TYPE: Final = "https://buildpush.example/build-types/dockerfile/v1"
LOCAL_BUILDER: Final = "https://buildpush.example/builders/local"


@dataclass(frozen=True, slots=True)
class SourceRevision:
    """The revision that was built: address of the git repository, full hash of the commit, branch; each if known."""

    url: str
    commit: str
    branch: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as SLSA's ResourceDescriptor."""
        url = self.url
        if "://" not in url and ":" in url:  # git@host:path, as git takes it
            host, _, path = url.partition(":")
            url = f"ssh://{host}/{path}"
        branch = f"@refs/heads/{self.branch}" if self.branch else ""
        known = {"digest": {"gitCommit": self.commit}} if self.commit else {}
        return {"uri": f"git+{url}{branch}", **known}


@dataclass(frozen=True, slots=True)
class BaseImage:
    """An image that the build began with; its digest is ``None`` where only the engine knows it."""

    reference: Reference
    platform: Platform | None = None
    digest: Digest | None = None

    def document(self) -> dict[str, Any]:
        """Return it as SLSA's ResourceDescriptor."""
        digest = self.digest or self.reference.digest
        known = {"digest": {digest.algorithm: digest.hex}} if digest else {}
        return {"uri": package_url(self.reference, self.platform), **known}


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRun:
    """One run of a build, besides what was requested.

    Attributes:
        engine: the one that built.
        platforms: those that were built.
        builder: identifies who runs builds, as a URI.
        started: as in the build-info.
        finished: when everything was in the registry but the names.
        source: revision of the context; ``None`` for a context outside git.
        bases: base images.
        url: page of the run at the CI system.
        build_info: address of the build-info, if there is to be one.
    """

    engine: str
    platforms: tuple[Platform, ...]
    builder: str
    started: datetime
    finished: datetime
    source: SourceRevision | None = None
    bases: tuple[BaseImage, ...] = ()
    url: str = ""
    build_info: str = ""


def provenance(request: BuildRequest, run: BuildRun) -> dict[str, Any]:
    """Return the predicate for an image that was built as *request* says; it has no secrets, only names of arguments.

    Build arguments are in it with their values, as they are in the history of the image.
    """
    source = run.source.document() if run.source else None
    file = request.dockerfile
    is_inside = file.is_relative_to(request.context)
    parameters = {
        **({"source": source} if source else {}),
        "dockerfile": file.relative_to(request.context).as_posix() if is_inside else file.name,
        "target": request.target or "",
        "platform": ",".join(map(str, run.platforms)),
        "buildArgs": dict(request.build_args),
        "labels": dict(request.labels),
    }
    definition = {
        "buildType": BUILD_TYPE,
        "externalParameters": parameters,
        "internalParameters": {
            "engine": run.engine,
            "dockerfileSha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        },
        "resolvedDependencies": [*([source] if source else []), *(base.document() for base in run.bases)],
    }
    return {"buildDefinition": definition, "runDetails": _details(run)}


def _details(run: BuildRun) -> Mapping[str, Any]:
    metadata = {"invocationId": run.url, "startedOn": moment_text(run.started), "finishedOn": moment_text(run.finished)}
    details: dict[str, Any] = {
        "builder": {"id": run.builder, "version": {"buildpush": __version__}},
        "metadata": {name: value for name, value in metadata.items() if value},
    }
    if run.build_info:
        details["byproducts"] = [{"name": "build-info", "uri": run.build_info, "mediaType": "application/json"}]
    return details


def moment_text(moment: datetime) -> str:
    """Return *moment* in UTC and whole seconds, as SLSA and OCI write it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
