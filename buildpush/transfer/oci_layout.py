"""Reads OCI image layouts, as a directory and as a tar; ``oci.py`` writes them.

Source: OCI image-spec 1.1, "Image Layout".
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from buildpush.foundation.errors import PushError
from buildpush.images.compression import digest_of
from buildpush.images.manifests import (
    Descriptor,
    Manifest,
    check_digests,
    describe_layers,
    pick,
    platform_of,
    platforms_in,
    read_json,
    read_manifest,
)
from buildpush.images.model import INDEX_TYPES, OCI_INDEX, Image, Index, Platform
from buildpush.images.references import Digest
from buildpush.images.referrers import NO_PLATFORM, Referrer, cosign_tags, gather, is_referrer_tag, subject_of
from buildpush.images.spans import Directory, Tar

REF_NAME: Final = "org.opencontainers.image.ref.name"


def open_layout(
    directory: Path, name: str | None = None, platform: Platform | None = None, *, keep_manifest: bool = True
) -> Image | Index:
    """Return the image or index in an OCI image layout; its layers are read when needed.

    Args:
        directory: with ``oci-layout`` and ``index.json``.
        name: tag or reference by which the layout lists it; not needed where there is only one.
        platform: which image of an index is wanted; ``None`` for the whole index, which has to be complete then.
        keep_manifest: whether it will be sent unchanged; without it, a push may compress its layers.

    Raises:
        PushError: it is not a layout, or does not have exactly one image with that name, or none for the platform.
        DigestError: a document does not match its digest.
    """
    return read_layout(directory, keep_manifest=keep_manifest).image(name, platform)


def open_oci_archive(path: Path, name: str | None = None, platform: Platform | None = None) -> Image | Index:
    """Return the image or index in a tar of an OCI image layout; arguments and errors as for :func:`open_layout`."""
    return read_oci_archive(path).image(name, platform)


def read_layout(directory: Path, *, keep_manifest: bool = True) -> LayoutReader:
    """Return the reader of a layout in a directory."""
    return LayoutReader(Directory(directory), directory, keep_manifest)


def read_oci_archive(path: Path) -> LayoutReader:
    """Return the reader of a layout in a tar.

    Raises:
        PushError: it is not one, or is compressed.
    """
    return LayoutReader(Tar.at(path, "OCI archive", "make one with: skopeo copy SOURCE oci-archive:FILE"), path)


class LayoutReader:
    """Reads a layout: a directory, or a tar."""

    def __init__(self, files: Directory | Tar, path: Path, keep_manifest: bool = True) -> None:
        self._files = files
        self._path = path
        self._keep_manifest = keep_manifest

    def image(self, name: str | None, platform: Platform | None) -> Image | Index:
        """Return the image or index with that name; errors are those of :func:`open_layout`."""
        entries = self._entries()
        matches = [one for one in entries if name is None or name in names_of(one)]
        if name is None and len(matches) > 1:
            matches = entries = [one for one in entries if not is_referrer(one, self._files)]
        if len({str(one.get("digest")) for one in matches}) != 1:  # one image may be listed under several names
            names = ", ".join(sorted({repr(word) for one in entries for word in names_of(one)})) or "none"
            message = f"{self._path} has {len(matches)} images" + (f" with the name {name!r}" if name else "")
            raise PushError(message, hint=f"name one; it has: {names}")
        return self._read(read_manifest(_index_of(matches[0])).manifests[0], platform)

    def referrers(self, target: Image | Index) -> tuple[Referrer, ...]:
        """Return the referrers of *target*, at any depth.

        Raises:
            PushError: a manifest cannot be used.
            DigestError: a document does not match its digest.
        """
        entries = [(one, read_manifest(_index_of(one)).manifests[0]) for one in self._entries()]
        subjects = [(subject_of(self._document(one)), one) for _, one in entries]
        tags = {name: one for entry, one in entries for name in names_of(entry)}

        def find(subject: Digest) -> Iterator[Referrer]:
            for one in (one for named, one in subjects if named == subject):
                yield Referrer(self._read(replace(one, platform=NO_PLATFORM)), subject)
            for tag in filter(tags.__contains__, cosign_tags(subject)):
                yield Referrer(self._read(replace(tags[tag], platform=NO_PLATFORM)), subject, tag)

        return gather(target, find)

    def _entries(self) -> list[Mapping[str, Any]]:
        return entries_of(self._files.document("index.json"), f"{self._path}: index.json")

    def _read(self, descriptor: Descriptor, platform: Platform | None = None) -> Image | Index:
        data = self._document(descriptor)
        manifest = read_manifest(data, descriptor.media_type)
        if manifest.media_type not in INDEX_TYPES:
            return self._image(manifest, data if self._keep_manifest else None, descriptor.platform)
        available = [one for one in manifest.manifests if self._files.has(blob_name(one.digest))]
        if platform:
            return self._read(pick(manifest, platform, str(self._path), available))
        if len(available) < len(manifest.manifests):
            message = f"{self._path} does not have all images of its index, but only {len(available)}"
            raise PushError(message, hint=f"choose one with --platform: {platforms_in(available)}", setting="platforms")
        inner = [self._read(one) for one in manifest.manifests]
        images = tuple(image for image in inner if isinstance(image, Image))
        if len(images) != len(inner):
            message = f"{self._path} has an index in an index, which is not supported"
            raise PushError(message)
        return Index(images, data if self._keep_manifest else None, manifest.media_type)

    def _image(self, manifest: Manifest, data: bytes | None, platform: Platform | None) -> Image:
        if manifest.config is None:
            message = f"{self._path} has an image without configuration"
            raise PushError(message)
        config = self._document(manifest.config)
        names = [blob_name(one.digest) for one in manifest.layers]

        def blobs(positions: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
            for at in sorted(positions):
                with self._files.open(names[at]) as reader:
                    yield at, cast("BinaryIO", reader)

        layers = describe_layers(config, manifest)
        return Image(config, layers, blobs, platform or platform_of(config), True, data, manifest.media_type)

    def _document(self, descriptor: Descriptor) -> bytes:
        data = self._files.document(blob_name(descriptor.digest), descriptor.size)
        actual = digest_of(data, descriptor.digest.algorithm)
        check_digests([descriptor.digest], [actual], f"the documents in {self._path}")
        return data


def entries_of(index: bytes, what: str) -> list[Mapping[str, Any]]:
    """Return what an ``index.json`` lists, unchanged."""
    document = read_json(index, what)
    entries = document.get("manifests") if isinstance(document, dict) else None
    return [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []


def is_referrer(entry: Mapping[str, Any], files: Directory | Tar) -> bool:
    """Return whether an entry of ``index.json`` refers to another one; false where it cannot be read."""
    if any(map(is_referrer_tag, names_of(entry))):
        return True
    with suppress(PushError):
        digest = read_manifest(_index_of(entry)).manifests[0].digest
        return subject_of(files.document(blob_name(digest))) is not None
    return False


def _index_of(entry: Mapping[str, Any]) -> bytes:
    """Return an index of one entry, to check the entry as strictly as everything else."""
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()


def names_of(entry: Mapping[str, Any]) -> set[str]:
    """Return the tags or references of an entry of ``index.json``."""
    annotations = entry.get("annotations")
    names = annotations if isinstance(annotations, dict) else {}
    return {str(names[key]) for key in (REF_NAME, "io.containerd.image.name") if key in names}


def blob_name(digest: Digest) -> str:
    """Return the path of a blob in a layout."""
    return f"blobs/{digest.algorithm}/{digest.hex}"
