"""Where Artifactory keeps the files of an image that was pushed, by its receipt."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from buildpush.artifactory.document import Artifact, Dependency
from buildpush.foundation import strict_json
from buildpush.foundation.records import dataclass
from buildpush.images.model import PushedBlob, PushedImage, PushedIndex, is_nondistributable
from buildpush.images.references import Digest, Reference


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
