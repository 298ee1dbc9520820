"""Makes the build-info of a push from its receipt, without any request.

Modules and files are those that ``jf`` writes (``jf docker push`` for one image, ``jf rt build-docker-create`` for an
index), in a fixed order, with two differences: a module's id includes the variant of its platform and, for an
attestation, the platform that it is about.
Source: jfrog/build-info-go, entities/buildinfo.go; jfrog/jfrog-cli-artifactory, artifactory/commands/container.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from buildpush.artifactory.client import Home
from buildpush.artifactory.document import (
    ENVIRONMENT_PREFIX,
    Agent,
    Artifact,
    BuildInfo,
    BuildRecord,
    Dependency,
    Module,
    VcsEntry,
)
from buildpush.foundation import strict_json
from buildpush.foundation.forms import clean_address
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import redact
from buildpush.images.model import PushedBlob, PushedImage, PushedIndex, is_nondistributable
from buildpush.images.references import Digest, Reference

__all__ = ["Agent", "Artifact", "BuildInfo", "BuildRecord", "Dependency", "Module", "VcsEntry", "describe"]


def describe(
    pushed: PushedImage | PushedIndex,
    record: BuildRecord,
    *,
    repository_key: str,
    prefix: str | None = None,
    base: Collection[Digest] = (),
) -> BuildInfo:
    """Return the build-info of *pushed*.

    One image gives a module per tag, because Artifactory keeps a directory per tag. Its id is ``name:tag``, or the full
    path with the tag if two ids would be equal.
    An index gives a module per tag for its own manifest, and one per platform, named after the first tag: the files of
    a platform exist only once, and Artifactory does not promote a file that is listed twice.
    ``record.module`` replaces ``name:tag``; with several tags, each then gets ``module:tag``.

    Args:
        pushed: what the registry confirmed; all references are in one Artifactory.
        record: what the receipt does not say.
        repository_key: key of the physical repository that has the files.
        prefix: what comes before the image's own path in the references: ``docker/`` in
            ``acme.jfrog.io/docker/team/app``, empty where the key is part of the host.
            By default it is the repository key, if the paths begin with that.
        base: digests of the layers that are known to come from the base image; they are dependencies as well.
            Without them, there are no dependencies: ``jf`` guesses them from the history, which makes builds depend
            on themselves.

    Returns:
        A build-info; where the receipt has no sha1 and md5, they are empty, and
        :func:`~buildpush.artifactory.publish` requests them from the server.
    """
    home = _Layout(repository_key, prefix, frozenset(base))
    names = _names(pushed.references, record.module, home)
    modules = _of_index(pushed, names, home) if isinstance(pushed, PushedIndex) else _of_image(pushed, names, home)
    return BuildInfo(
        name=record.name,
        number=record.number,
        started=record.started,
        modules=tuple(modules),
        agent=record.agent,
        build_agent=record.build_agent,
        duration_ms=record.duration_ms,
        properties=_environment(record.environment),
        artifactory_principal=record.artifactory_principal,
        principal=redact(record.principal),
        url=redact(record.url),
        vcs=tuple(_clean(vcs) for vcs in record.vcs),
        project=record.project,
    )


def moved_home(info: BuildInfo, reference: Reference, head: Artifact, home: Home) -> BuildInfo:
    """Return *info* with the image whose manifest is *head* moved to *reference* in the repository of *home*."""
    old, new = head.path.rsplit("/", 2)[0], reference.repository.path.removeprefix(home.prefix)

    def artifact(one: Artifact) -> Artifact:
        if one.repository != head.repository or not one.path.startswith(f"{old}/"):
            return one
        return replace(one, repository=home.repository_key, path=new + one.path.removeprefix(old))

    def module(one: Module) -> Module:
        parent = new + one.parent.removeprefix(old) if one.parent.startswith((f"{old}:", f"{old}@")) else one.parent
        return replace(one, artifacts=tuple(map(artifact, one.artifacts)), parent=parent)

    return replace(info, modules=tuple(map(module, info.modules)))


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the files of an image are in Artifactory."""

    key: str
    prefix: str | None
    base: frozenset[Digest]

    def path(self, reference: Reference) -> str:
        """Return the image's path inside the repository."""
        prefix = f"{self.key}/" if self.prefix is None else self.prefix
        return reference.repository.path.removeprefix(prefix)

    def artifact(self, directory: str, blob: PushedBlob) -> Artifact:
        name = f"sha256__{blob.digest.hex}"
        path = f"{directory}/{name}"
        return Artifact(name, path, self.key, blob.digest.hex, blob.sha1 or "", blob.md5 or "")

    def manifest(self, directory: str, name: str, content: bytes) -> Artifact:
        sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        sha256 = hashlib.sha256(content).hexdigest()
        return Artifact(name, f"{directory}/{name}", self.key, sha256, sha1, md5, type="json")

    def files(self, directory: str, image: PushedImage) -> tuple[Artifact, ...]:
        """Return the manifest, the config and each layer once, as Artifactory keeps them in *directory*."""
        manifest = self.manifest(directory, "manifest.json", image.manifest)
        return (manifest, *(self.artifact(directory, blob) for blob in _distributable((image.config, *image.layers))))

    def dependencies(self, image: PushedImage) -> tuple[Dependency, ...]:
        layers = (layer for layer in _distributable(image.layers) if layer.digest in self.base)
        return tuple(_dependency(layer) for layer in layers)


def _dependency(layer: PushedBlob) -> Dependency:
    return Dependency(f"sha256__{layer.digest.hex}", layer.digest.hex, layer.sha1 or "", layer.md5 or "")


def _distributable(blobs: Iterable[PushedBlob]) -> list[PushedBlob]:
    """Return each blob once, without layers that may not be distributed, since those were not pushed."""
    each: dict[Digest, PushedBlob] = {}
    for blob in blobs:
        each.setdefault(blob.digest, blob)
    return [blob for blob in each.values() if not is_nondistributable(blob.media_type)]


def _names(references: tuple[Reference, ...], module: str, home: _Layout) -> dict[Reference, str]:
    """Return a different module id for each reference."""
    each = tuple(dict.fromkeys(references))
    if module:
        return {r: module if len(each) == 1 else f"{module}{_tag_or_digest(r)}" for r in each}
    short = {r: f"{r.repository.name}{_tag_or_digest(r)}" for r in each}
    count = Counter(short.values())
    return {r: name if count[name] == 1 else f"{home.path(r)}{_tag_or_digest(r)}" for r, name in short.items()}


def _tag_or_digest(reference: Reference) -> str:
    return f":{reference.tag}" if reference.tag else f"@{reference.digest}"


def _directory(reference: Reference, digest: Digest, home: _Layout) -> str:
    """Return the directory in which Artifactory keeps a manifest: that of its tag, or else of its digest."""
    return f"{home.path(reference)}/{reference.tag or digest}"


def _of_image(image: PushedImage, names: Mapping[Reference, str], home: _Layout) -> Iterator[Module]:
    for reference, name in names.items():
        yield Module(
            id=name,
            properties={"docker.image.id": str(image.config.digest), "docker.image.tag": str(reference)},
            artifacts=home.files(_directory(reference, image.digest, home), image),
            dependencies=home.dependencies(image),
        )


def _of_index(index: PushedIndex, names: Mapping[Reference, str], home: _Layout) -> Iterator[Module]:
    for reference, name in names.items():
        directory = _directory(reference, index.digest, home)
        yield Module(
            id=name,
            properties={"docker.image.tag": str(reference)},
            artifacts=(home.manifest(directory, "list.manifest.json", index.manifest),),
        )
    if names:
        yield from _platforms(index, *next(iter(names.items())), home)


def _platforms(index: PushedIndex, reference: Reference, name: str, home: _Layout) -> Iterator[Module]:
    annotations = _annotations(index.manifest)
    platforms = [_platform_name(image, index, annotations) for image in index.images]
    for image, platform in zip(index.images, platforms, strict=True):
        # Two manifests for one platform are allowed; ids must differ, or Artifactory merges the modules.
        label = platform if platforms.count(platform) == 1 else f"{platform}/{image.digest.hex[:12]}"
        yield Module(
            id=f"{label}/{name}",
            artifacts=home.files(f"{home.path(reference)}/{image.digest}", image),
            dependencies=home.dependencies(image),
            parent=f"{home.path(reference)}{_tag_or_digest(reference)}",
        )


_SUBJECT = "vnd.docker.reference.digest"


def _platform_name(image: PushedImage, index: PushedIndex, annotations: Mapping[str, Mapping[str, str]]) -> str:
    notes = annotations.get(str(image.digest), {})
    if notes.get("vnd.docker.reference.type") != "attestation-manifest":
        return image.platform.label
    platforms = {str(other.digest): str(other.platform) for other in index.images}
    return f"attestations/{platforms.get(notes.get(_SUBJECT, ''), 'unknown')}"


def _annotations(manifest: bytes) -> dict[str, dict[str, str]]:
    """Return the annotations of each manifest in an index, by its digest."""
    entries: list[dict[str, Any]] = strict_json.parse(manifest).get("manifests", [])
    return {entry["digest"]: entry.get("annotations") or {} for entry in entries}


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    # Secrets are masked already where the variables are collected, but a caller of the library may pass other ones.
    return {f"{ENVIRONMENT_PREFIX}{name}": redact(value) for name, value in sorted(environment.items())}


def _clean(vcs: VcsEntry) -> VcsEntry:
    return VcsEntry(redact(clean_address(vcs.url)), vcs.revision, redact(vcs.branch), redact(vcs.message))
