"""Where Artifactory keeps images, and the files of one that was pushed, by its receipt."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from buildpush.artifactory.document import Artifact, Dependency
from buildpush.foundation import strict_json
from buildpush.foundation.records import dataclass
from buildpush.images.model import PushedBlob, PushedImage, PushedIndex, is_nondistributable
from buildpush.images.references import Digest, Reference, Repository


@dataclass(frozen=True, slots=True)
class Home:
    """Where Artifactory keeps the images of a repository.

    Attributes:
        repository_key: of the physical repository.
        prefix: what comes before the image's own path in a reference; see :func:`buildpush.artifactory.describe`.
    """

    repository_key: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the files of an image are in Artifactory; its attributes are arguments of ``describe``."""

    key: str
    prefix: str | None
    base: frozenset[Digest]

    def path(self, reference: Reference) -> str:
        """Return the image's path inside the repository."""
        prefix = f"{self.key}/" if self.prefix is None else self.prefix
        return reference.repository.path.removeprefix(prefix)

    def directory(self, reference: Reference, digest: Digest) -> str:
        """Return the directory of a manifest: that of its tag, or else of its digest."""
        return f"{self.path(reference)}/{reference.tag or digest}"

    def parent(self, reference: Reference) -> str:
        """Return how a platform names its index."""
        return f"{self.path(reference)}{tag_or_digest(reference)}"

    def artifact(self, directory: str, blob: PushedBlob) -> Artifact:
        """Return one blob in *directory*."""
        name = f"sha256__{blob.digest.hex}"
        path = f"{directory}/{name}"
        return Artifact(name, path, self.key, blob.digest.hex, blob.sha1 or "", blob.md5 or "")

    def manifest(self, directory: str, name: str, content: bytes) -> Artifact:
        """Return a manifest in *directory*."""
        sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        sha256 = hashlib.sha256(content).hexdigest()
        return Artifact(name, f"{directory}/{name}", self.key, sha256, sha1, md5, type="json")

    def files(self, directory: str, image: PushedImage) -> tuple[Artifact, ...]:
        """Return the manifest, the config and each layer once, as Artifactory keeps them in *directory*."""
        manifest = self.manifest(directory, "manifest.json", image.manifest)
        return (manifest, *(self.artifact(directory, blob) for blob in distributable((image.config, *image.layers))))

    def dependencies(self, image: PushedImage) -> tuple[Dependency, ...]:
        """Return the layers that are known to come from the base image."""
        layers = (layer for layer in distributable(image.layers) if layer.digest in self.base)
        return tuple(dependency_of(layer) for layer in layers)


def dependency_of(layer: PushedBlob) -> Dependency:
    """Return the dependency on *layer*."""
    return Dependency(f"sha256__{layer.digest.hex}", layer.digest.hex, layer.sha1 or "", layer.md5 or "")


def distributable(blobs: Iterable[PushedBlob]) -> list[PushedBlob]:
    """Return each blob once, without layers that may not be distributed, since those were not pushed."""
    each: dict[Digest, PushedBlob] = {}
    for blob in blobs:
        each.setdefault(blob.digest, blob)
    return [blob for blob in each.values() if not is_nondistributable(blob.media_type)]


def tag_or_digest(reference: Reference) -> str:
    """Return what comes after the image's name in *reference*, with its mark."""
    return f":{reference.tag}" if reference.tag else f"@{reference.digest}"


def annotations_of(index: PushedIndex) -> dict[str, dict[str, str]]:
    """Return the annotations of each manifest in an index, by its digest."""
    entries: list[dict[str, Any]] = strict_json.parse(index.manifest).get("manifests", [])
    return {entry["digest"]: entry.get("annotations") or {} for entry in entries}


def is_attestation(annotations: Mapping[str, str]) -> bool:
    """Return whether a manifest with these *annotations* in its index is about an image, and not one."""
    return annotations.get("vnd.docker.reference.type") == "attestation-manifest"


def homes_to_try(repository: Repository, named_key: str | None) -> list[tuple[str, str]]:
    """Return the possible repository keys, the most likely first, each with its prefix in the path.

    A JFrog registry has one of three forms: ``host/KEY/image``; ``KEY.host/image`` or ``name-KEY.jfrog.io/image``; and
    a port per key, where only the registry knows the key.
    """
    first, slash, _ = repository.path.partition("/")
    label = repository.host.partition(":")[0].partition(".")[0]
    keys = [(first, f"{first}/")] if slash else []
    keys += [(named_key, "")] if named_key and named_key != first else []
    keys += [(label, ""), (label.partition("-")[2], "")] if not named_key and not label.isdigit() else []
    return [(key, prefix) for key, prefix in keys if key]


def likely_home(repository: Repository, named_key: str | None) -> Home:
    """Return where *repository* probably is: under the key that the registry named, or the first part of its path."""
    key = named_key or repository.path.partition("/")[0]
    return Home(key, f"{key}/" if repository.path.startswith(f"{key}/") else "")
