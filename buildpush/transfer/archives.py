"""Images in files: OCI image layouts, as folder and as tar, and Docker archives; ``saving.py`` writes them.

Source: OCI image-spec 1.1, "Image Layout"; moby, image/spec "Combined Image JSON + Filesystem Changeset Format".
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from buildpush.foundation import strict_json
from buildpush.foundation.errors import BadNameError, PushError
from buildpush.images.compression import digest_of
from buildpush.images.manifests import (
    Descriptor,
    Manifest,
    check_digests,
    describe_layers,
    diff_ids,
    pick,
    platform_of,
    platforms_in,
    read_manifest,
)
from buildpush.images.model import (
    INDEX_TYPES,
    OCI_INDEX,
    OCI_LAYER,
    Image,
    Index,
    Layer,
    Platform,
)
from buildpush.images.references import Digest, Reference
from buildpush.images.referrers import NO_PLATFORM, Referrer, cosign_tags, gather, stands_beside, subject_of
from buildpush.images.spans import Folder, Tar

REF_NAME = "org.opencontainers.image.ref.name"
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}


def open_layout(
    folder: Path, name: str | None = None, platform: Platform | None = None, *, keep_manifest: bool = True
) -> Image | Index:
    """Return the image or index in an OCI image layout; its layers are read when they are wanted.

    Args:
        folder: with ``oci-layout`` and ``index.json``.
        name: tag or reference by which the layout lists it; not needed where there is only one.
        platform: which image of an index is wanted; ``None`` for the whole index, which has to be there then.
        keep_manifest: whether it will be sent byte for byte; without it, a push may compress its layers.

    Raises:
        PushError: it is no layout, has not exactly one image of that name, or none for the platform.
        DigestError: a document is not what its digest promises.
    """
    return _Source(Folder(folder), folder, keep_manifest).named(name, platform)


def open_oci_archive(path: Path, name: str | None = None, platform: Platform | None = None) -> Image | Index:
    """Return the image or index in a tar of an OCI image layout; arguments and errors as for :func:`open_layout`."""
    return _archive(path).named(name, platform)


def layout_referrers(folder: Path, target: Image | Index) -> tuple[Referrer, ...]:
    """Return what an OCI image layout has about *target*, at any depth.

    Raises:
        PushError: it is no layout, or a manifest in it cannot be used.
        DigestError: a document is not what its digest promises.
    """
    return _Source(Folder(folder), folder, keep=True).referrers(target)


def oci_archive_referrers(path: Path, target: Image | Index) -> tuple[Referrer, ...]:
    """Return what a tar of an OCI image layout has about *target*; errors as for :func:`layout_referrers`."""
    return _archive(path).referrers(target)


def _archive(path: Path) -> _Source:
    return _Source(Tar.at(path, "OCI archive", "make one with: skopeo copy SOURCE oci-archive:FILE"), path, keep=True)


class _Source:
    """A layout that is read: a folder, or a tar."""

    def __init__(self, files: Folder | Tar, path: Path, keep: bool) -> None:
        self._files = files
        self._path = path
        self._keep = keep

    def named(self, name: str | None, platform: Platform | None) -> Image | Index:
        entries = self._listed()
        found = [one for one in entries if name is None or name in names_of(one)]
        if name is None and len(found) > 1:
            found = entries = [one for one in entries if not is_referrer(one, self._files)]
        if len({str(one.get("digest")) for one in found}) != 1:  # one image may be listed under several names
            names = ", ".join(sorted({repr(word) for one in entries for word in names_of(one)})) or "none"
            message = f"{self._path} has {len(found)} images" + (f" of the name {name!r}" if name else "")
            raise PushError(message, hint=f"name one; it has: {names}")
        return self._read(read_manifest(_index_of(found[0])).manifests[0], platform)

    def referrers(self, target: Image | Index) -> tuple[Referrer, ...]:
        """Return all that is said about *target*."""
        listed = [(one, read_manifest(_index_of(one)).manifests[0]) for one in self._listed()]
        about = [(subject_of(self._document(one)), one) for _, one in listed]
        tags = {name: one for entry, one in listed for name in names_of(entry)}

        def find(subject: Digest) -> Iterator[Referrer]:
            for one in (one for named, one in about if named == subject):
                yield Referrer(self._read(replace(one, platform=NO_PLATFORM)), subject)
            for tag in filter(tags.__contains__, cosign_tags(subject)):
                yield Referrer(self._read(replace(tags[tag], platform=NO_PLATFORM)), subject, tag)

        return gather(target, find)

    def _listed(self) -> list[Mapping[str, Any]]:
        return entries_of(self._files.document("index.json"), f"{self._path}: index.json")

    def _read(self, wanted: Descriptor, platform: Platform | None = None) -> Image | Index:
        data = self._document(wanted)
        manifest = read_manifest(data, wanted.media_type)
        if manifest.media_type not in INDEX_TYPES:
            return self._image(manifest, data if self._keep else None, wanted.platform)
        there = [one for one in manifest.manifests if self._files.has(blob_name(one.digest))]
        if platform:
            return self._read(pick(manifest, platform, str(self._path), there))
        if len(there) < len(manifest.manifests):
            message = f"{self._path} does not have all images of its index, but only {len(there)}"
            raise PushError(message, hint=f"choose one with --platform: {platforms_in(there)}", setting="platforms")
        inner = [self._read(one) for one in manifest.manifests]
        images = tuple(image for image in inner if isinstance(image, Image))
        if len(images) != len(inner):
            message = f"{self._path} has an index in an index, which is not supported"
            raise PushError(message)
        return Index(images, data if self._keep else None, manifest.media_type)

    def _image(self, manifest: Manifest, data: bytes | None, platform: Platform | None) -> Image:
        if manifest.config is None:
            message = f"{self._path} has an image without configuration"
            raise PushError(message)
        config = self._document(manifest.config)
        names = [blob_name(one.digest) for one in manifest.layers]

        def blobs(wanted: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
            for at in sorted(wanted):
                with self._files.open(names[at]) as reader:
                    yield at, cast("BinaryIO", reader)

        layers = describe_layers(config, manifest)
        return Image(config, layers, blobs, platform or platform_of(config), True, data, manifest.media_type)

    def _document(self, wanted: Descriptor) -> bytes:
        data = self._files.document(blob_name(wanted.digest), wanted.size)
        found = digest_of(data, wanted.digest.algorithm)
        check_digests([wanted.digest], [found], f"the documents in {self._path}")
        return data


def entries_of(index: bytes, what: str) -> list[Mapping[str, Any]]:
    """Return what an ``index.json`` lists, as it stands there."""
    listed = _object(index, what).get("manifests")
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def is_referrer(entry: Mapping[str, Any], files: Folder | Tar) -> bool:
    """Return whether an entry of ``index.json`` is about another one; what cannot be read is about nothing."""
    if any(map(stands_beside, names_of(entry))):
        return True
    with suppress(PushError):
        digest = read_manifest(_index_of(entry)).manifests[0].digest
        return subject_of(files.document(blob_name(digest))) is not None
    return False


def _index_of(entry: Mapping[str, Any]) -> bytes:
    """Return an index of one entry, to read the entry with the same care as everything else."""
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()


def names_of(entry: Mapping[str, Any]) -> set[str]:
    """Return the tags or references by which an entry of ``index.json`` is known."""
    notes = entry.get("annotations")
    found = notes if isinstance(notes, dict) else {}
    return {str(found[key]) for key in (REF_NAME, "io.containerd.image.name") if key in found}


def blob_name(digest: Digest) -> str:
    """Return where a layout has a blob."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


def _json(data: bytes, what: str) -> Any:
    try:
        return strict_json.parse(data)
    except ValueError as error:
        message = f"{what} is not JSON that can be used: {error}"
        raise PushError(message) from error


def _object(data: bytes, what: str) -> Mapping[str, Any]:
    document = _json(data, what)
    return document if isinstance(document, dict) else {}


def open_docker_archive(path: Path, name: str | None = None) -> Image:
    """Return the image in a file that ``docker save`` wrote; its layers are read from there when they are wanted.

    Args:
        path: not compressed.
        name: reference of the image; not needed where the archive has only one.

    Raises:
        PushError: it is no such archive, or has not exactly one image of that name.
    """
    tar = Tar.at(path, "Docker archive", "make one with: docker save IMAGE --output FILE")
    document = _json(tar.document("manifest.json"), f"{path}: manifest.json")
    entries = [one for one in document if isinstance(one, dict)] if isinstance(document, list) else []
    wanted = _whole(name) if name else None
    found = [one for one in entries if wanted is None or wanted in map(_whole, _tags(one))]
    if len(found) != 1:
        names = ", ".join(tag for one in entries for tag in _tags(one)) or "none"
        message = f"{path} has {len(found)} images" + (f" of the name {name!r}" if name else "")
        raise PushError(message, hint=f"name one; it has: {names}")
    config = tar.document(str(found[0].get("Config")))
    listed = found[0].get("Layers")
    return _archived_image(tar, config, [str(one) for one in listed] if isinstance(listed, list) else [])


def archive_kind(path: Path) -> Literal["docker-archive", "oci-archive"]:
    """Return what kind of archive *path* is; one that is both, as newer Dockers write it, is Docker's.

    Raises:
        PushError: it is neither.
    """
    tar = Tar.at(path, "archive of an image", "make one with: docker save IMAGE --output FILE")
    if "manifest.json" in tar.members:
        return "docker-archive"
    if "index.json" in tar.members:
        return "oci-archive"
    message = f"{path} is a tar, but neither Docker's nor OCI's archive of an image"
    raise PushError(message, hint=tar.remedy)


def _tags(entry: Mapping[str, Any]) -> list[str]:
    listed = entry.get("RepoTags")
    return [str(one) for one in listed] if isinstance(listed, list) else []


def _whole(name: str) -> str:
    """Return a reference with all that Docker leaves out when it writes one."""
    try:
        return str(Reference.parse(name))
    except BadNameError:
        return name


def _archived_image(tar: Tar, config: bytes, names: Sequence[str]) -> Image:
    known = diff_ids(config)
    if len(known) != len(names):
        message = f"{tar.path}: the configuration names {len(known)} layers, the archive {len(names)}"
        raise PushError(message, hint="the archive is damaged: save the image again")
    layers = tuple(
        Layer(media_type=_type_of(tar, name), diff_id=diff_id, size=tar.span(name).size)
        for name, diff_id in zip(names, known, strict=True)
    )

    def blobs(wanted: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
        for at in sorted(wanted):
            with tar.open(names[at]) as reader:
                yield at, cast("BinaryIO", reader)

    return Image(config, layers, blobs, platform_of(config))


def _type_of(tar: Tar, name: str) -> str:
    with tar.open(name) as reader:
        kind = _MAGIC.get(reader.read(2), "")
    return f"{OCI_LAYER}+{kind}" if kind else OCI_LAYER
