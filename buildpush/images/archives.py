"""Images in files: OCI image layouts and Docker archives, as source and as sink. Nothing is ever unpacked.

Source: OCI image-spec 1.1, "Image Layout"; moby, image/spec "Combined Image JSON + Filesystem Changeset Format".
"""

from __future__ import annotations

import errno
import io
import json
import os
import posixpath
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from buildpush.errors import BuildError, PushError
from buildpush.images.compression import Compressed, Compressing, digest_of
from buildpush.images.manifests import (
    Descriptor,
    Manifest,
    check_digests,
    compression_of,
    describe_layers,
    diff_ids,
    image_manifest,
    index_manifest,
    layer_media_type,
    platform_of,
    read_manifest,
    with_diff_ids,
)
from buildpush.images.model import (
    INDEX_TYPES,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Compression,
    Image,
    Index,
    Layer,
    Platform,
)
from buildpush.images.references import Digest, Reference

REF_NAME = "org.opencontainers.image.ref.name"
_LARGEST_DOCUMENT = 16 * 1024 * 1024
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}


def open_layout(folder: Path, name: str | None = None, *, keep_manifest: bool = True) -> Image | Index:
    """Return the image or index in an OCI image layout; its layers are read when they are wanted.

    Args:
        folder: with ``oci-layout`` and ``index.json``.
        name: tag or reference by which the layout lists it; not needed where there is only one.
        keep_manifest: whether it will be sent byte for byte; without it, a push may compress its layers.

    Raises:
        PushError: it is no layout, or has not exactly one image of that name.
    """
    listed = _read_json(folder / "index.json").get("manifests")
    entries = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    found = [one for one in entries if name is None or name in _names(one)]
    if len(found) != 1:
        names = ", ".join(sorted({word for one in entries for word in _names(one)})) or "none"
        message = f"{folder} has {len(found)} images" + (f" of the name {name!r}" if name else "")
        raise PushError(message, hint=f"name one; it has: {names}")
    wanted = read_manifest(_index_of(found[0])).manifests[0]
    return _from_layout(folder, wanted, keep_manifest)


def _index_of(entry: Mapping[str, Any]) -> bytes:
    """Return an index of one entry, to read the entry with the same care as everything else."""
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()


def _names(entry: Mapping[str, Any]) -> set[str]:
    notes = entry.get("annotations")
    found = notes if isinstance(notes, dict) else {}
    return {str(found[key]) for key in (REF_NAME, "io.containerd.image.name") if key in found}


def _from_layout(folder: Path, wanted: Descriptor, keep: bool) -> Image | Index:
    data = _small(folder, wanted.digest)
    manifest = read_manifest(data, wanted.media_type)
    if manifest.media_type in INDEX_TYPES:
        inner = [_from_layout(folder, one, keep) for one in manifest.manifests]
        images = tuple(image for image in inner if isinstance(image, Image))
        if len(images) != len(inner):
            message = f"{folder} has an index in an index, which is not supported"
            raise PushError(message)
        return Index(images, data if keep else None, manifest.media_type)
    return _layout_image(folder, manifest, data if keep else None, wanted.platform)


def _layout_image(folder: Path, manifest: Manifest, data: bytes | None, platform: Platform | None) -> Image:
    if manifest.config is None:
        message = f"{folder} has an image without configuration"
        raise PushError(message)
    config = _small(folder, manifest.config.digest)
    paths = [_blob(folder, one.digest) for one in manifest.layers]

    def blobs(wanted: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
        for at in sorted(wanted):
            with _Slice(paths[at], None) as reader:
                yield at, cast("BinaryIO", reader)

    layers = describe_layers(config, manifest)
    return Image(config, layers, blobs, platform or platform_of(config), True, data, manifest.media_type)


def _blob(folder: Path, digest: Digest) -> Path:
    return folder / "blobs" / digest.algorithm / digest.hex


def _small(folder: Path, digest: Digest) -> bytes:
    data = _read(_blob(folder, digest))
    if digest.algorithm == "sha256":
        check_digests([digest], [digest_of(data)], f"the files in {folder}")
    return data


def _read(path: Path) -> bytes:
    with _reading(path):
        if path.stat().st_size > _LARGEST_DOCUMENT:
            message = f"{path} is larger than a document of an image can be"
            raise PushError(message)
        return path.read_bytes()


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        message = f"{path} is not JSON"
        raise PushError(message) from error
    return document if isinstance(document, dict) else {}


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}"
        raise PushError(message) from error


def open_docker_archive(path: Path, name: str | None = None) -> Image:
    """Return the image in a file that ``docker save`` wrote; its layers are read from there when they are wanted.

    Args:
        path: not compressed.
        name: reference of the image; not needed where the archive has only one.

    Raises:
        PushError: it is no such archive, or has not exactly one image of that name.
    """
    with _reading(path):
        members = _members(path)
    entries = _json_list(_content(path, members, "manifest.json"), path)
    found = [one for one in entries if name is None or name in (one.get("RepoTags") or ())]
    if len(found) != 1:
        names = ", ".join(str(tag) for one in entries for tag in one.get("RepoTags") or ()) or "none"
        message = f"{path} has {len(found)} images" + (f" of the name {name!r}" if name else "")
        raise PushError(message, hint=f"name one; it has: {names}")
    config = _content(path, members, str(found[0].get("Config")))
    spans = [_span(path, members, str(layer)) for layer in found[0].get("Layers") or ()]
    return _archived_image(path, config, spans)


def _archived_image(path: Path, config: bytes, spans: Sequence[_Span]) -> Image:
    known = diff_ids(config)
    if len(known) != len(spans):
        message = f"{path}: the configuration names {len(known)} layers, the archive {len(spans)}"
        raise PushError(message, hint="the archive is damaged: save the image again")
    layers = tuple(
        Layer(media_type=_type_of(path, span), diff_id=diff_id, size=span.size)
        for span, diff_id in zip(spans, known, strict=True)
    )

    def blobs(wanted: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
        for at in sorted(wanted):
            with _Slice(path, spans[at]) as reader:
                yield at, cast("BinaryIO", reader)

    return Image(config, layers, blobs, platform_of(config))


@dataclass(frozen=True, slots=True)
class _Span:
    """Where the bytes of a member lie in its archive."""

    offset: int
    size: int


def _members(path: Path) -> dict[str, tarfile.TarInfo]:
    try:
        with tarfile.open(path, "r:") as archive:
            return {posixpath.normpath(member.name): member for member in archive}
    except tarfile.TarError as error:
        message = f"{path} is no Docker archive: {error}"
        raise PushError(message, hint="make one with: docker save IMAGE --output FILE") from error


def _span(path: Path, members: Mapping[str, tarfile.TarInfo], name: str) -> _Span:
    member = members.get(posixpath.normpath(name))
    if member is not None and member.issym():  # older Dockers link equal layers
        member = members.get(posixpath.normpath(posixpath.join(posixpath.dirname(member.name), member.linkname)))
    if member is None or not member.isreg():
        message = f"{path} is no Docker archive: there is no file {name!r} in it"
        raise PushError(message, hint="make one with: docker save IMAGE --output FILE")
    return _Span(member.offset_data, member.size)


def _content(path: Path, members: Mapping[str, tarfile.TarInfo], name: str) -> bytes:
    span = _span(path, members, name)
    if span.size > _LARGEST_DOCUMENT:
        message = f"{path}: {name} is larger than a document of an image can be"
        raise PushError(message)
    with _Slice(path, span) as reader:
        return reader.read()


def _json_list(data: bytes, path: Path) -> list[Mapping[str, Any]]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        message = f"{path}: manifest.json is not JSON"
        raise PushError(message) from error
    return [one for one in document if isinstance(one, dict)] if isinstance(document, list) else []


def _type_of(path: Path, span: _Span) -> str:
    with _Slice(path, span) as reader:
        kind = _MAGIC.get(reader.read(2), "")
    return f"{OCI_LAYER}+{kind}" if kind else OCI_LAYER


class _Slice(io.RawIOBase):
    """A part of a file, or all of it, read on its own: any number of them may be open at once."""

    def __init__(self, path: Path, span: _Span | None) -> None:
        self._path = path
        self._file = -1  # closing one that could not be opened is no mistake
        with _reading(path):
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            whole = _Span(0, os.fstat(self._file).st_size)
        self._at = (span or whole).offset
        self._end = self._at + (span or whole).size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return self.readall()
        left = self._end - self._at
        with _reading(self._path):
            block = os.pread(self._file, min(size, left), self._at)
        if not block and left and size:
            message = f"{self._path} ends too early"
            raise PushError(message, hint="it is damaged, or was changed while it was read")
        self._at += len(block)
        return block

    def readinto(self, buffer: Any, /) -> int:
        block = self.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        if not self.closed and self._file >= 0:
            os.close(self._file)
        super().close()


def write_layout(
    target: Image | Index,
    folder: Path,
    references: Sequence[Reference] = (),
    *,
    compression: Compression = "none",
    level: int = 1,
) -> Descriptor:
    """Write *target* into an OCI image layout and return what its ``index.json`` now names.

    Args:
        target: an image that came with a manifest is kept byte for byte.
        folder: made if it is not there; other images in it stay.
        references: names under which it is listed; an older image of the same name is no longer listed.
        compression: of layers that are not compressed yet.
        level: of the compression.

    Raises:
        BuildError: the files cannot be written, such as on a full disk.
        DigestError: the source's bytes are not those that it promised.
    """
    with _writing(folder):
        (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        put = _Sink(folder, compression, level)
        wanted = put.index(target) if isinstance(target, Index) else put.image(target)
        _write_whole(folder / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _write_whole(folder / "index.json", _listed(folder, wanted, references))
    return wanted


class _Sink:
    """Puts blobs into a layout, under the digests that they turn out to have."""

    def __init__(self, folder: Path, compression: Compression, level: int) -> None:
        self._folder = folder
        self._compression = compression
        self._level = level

    def index(self, index: Index) -> Descriptor:
        images = [self.image(image) for image in index.images]
        data = index.manifest or index_manifest(images, OCI_INDEX)
        return Descriptor(index.manifest_type if index.manifest else OCI_INDEX, self._put(data), len(data))

    def image(self, image: Image) -> Descriptor:
        layers = [self._layer(image, at, reader) for at, reader in _in_order(image)]
        found = [layer.diff_id for layer, _ in layers]
        known = diff_ids(image.config)
        config = image.config if image.manifest or known else with_diff_ids(image.config, found)
        described = Descriptor(OCI_CONFIG, self._put(config), len(config))
        data = image.manifest or image_manifest(described, [one for _, one in layers], OCI_MANIFEST)
        if image.manifest:
            named = [one.digest for one in read_manifest(data, image.manifest_type).layers]
            check_digests(named, [one.digest for _, one in layers], "the manifest's digests")
        media_type = image.manifest_type if image.manifest else OCI_MANIFEST
        return Descriptor(media_type, self._put(data), len(data), image.platform)

    def _layer(self, image: Image, at: int, reader: BinaryIO) -> tuple[Compressed, Descriptor]:
        layer = image.layers[at]
        kind: Compression = "none" if image.manifest or layer.compressed else self._compression
        with tempfile.NamedTemporaryFile(dir=self._folder / "blobs", delete=False) as file:
            try:
                compressed = _through(reader, kind, self._level, file)
                _check(layer, kind, compressed)
                file.flush()
                Path(file.name).chmod(0o644)
                Path(file.name).replace(_blob(self._folder, compressed.digest))
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        own = layer.media_type if image.manifest else None
        shown = compression_of(layer.media_type) if layer.compressed else kind
        return compressed, Descriptor(own or layer_media_type(shown, "oci"), compressed.digest, compressed.size)

    def _put(self, data: bytes) -> Digest:
        digest = digest_of(data)
        _write_whole(_blob(self._folder, digest), data)
        return digest


def _in_order(image: Image) -> Iterator[tuple[int, BinaryIO]]:
    """Give the layers, base layer first; from a source with an order of its own, each by a request of its own."""
    for at in range(len(image.layers)):
        yield from image.blobs([at])


def _through(reader: BinaryIO, kind: Compression, level: int, file: Any) -> Compressed:
    compressing = Compressing(reader, kind, level)
    for block in compressing:
        file.write(block)
    if compressing.result is None:  # it has one after the last block
        raise AssertionError
    return compressing.result


def _check(layer: Layer, kind: Compression, found: Compressed) -> None:
    if layer.digest and kind == "none":
        check_digests([layer.digest], [found.digest], "the source's digests")
    if layer.diff_id and not layer.compressed:
        check_digests([layer.diff_id], [found.diff_id], "the source's diff IDs")


def _listed(folder: Path, wanted: Descriptor, references: Sequence[Reference]) -> bytes:
    """Return the new ``index.json``: what was there under other names, then *wanted*."""
    names = [str(reference.tag or reference) for reference in references]
    path = folder / "index.json"
    old = _read_json(path).get("manifests") if path.exists() else None
    kept = [one for one in old if isinstance(one, dict)] if isinstance(old, list) else []
    kept = [one for one in kept if not _names(one) & set(names) and (names or _names(one))]
    new = [wanted.document() | {"annotations": {REF_NAME: name}} for name in names] or [wanted.document()]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*kept, *new]}
    return json.dumps(document, separators=(",", ":")).encode()


def write_docker_archive(image: Image, path: Path, references: Sequence[Reference] = ()) -> None:
    """Write *image* as ``docker load`` reads it; the file is there whole or not at all.

    Args:
        image: its layers are written as its source gives them.
        path: of the file; its folder must be there.
        references: what the image is called after loading.

    Raises:
        BuildError: the file cannot be written, such as on a full disk.
        DigestError: the source's bytes are not those that it promised.
    """
    with _writing(path), tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
                _fill(archive, image, path.parent, references)
            file.flush()
            Path(file.name).chmod(0o644)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _fill(archive: tarfile.TarFile, image: Image, folder: Path, references: Sequence[Reference]) -> None:
    found: list[Digest] = []
    names: list[str] = []
    for at, reader in _in_order(image):
        with tempfile.TemporaryFile(dir=folder) as spool:  # a tar wants to know the size before the bytes
            compressed = _through(reader, "none", 0, spool)
            _check(image.layers[at], "none", compressed)
            spool.seek(0)
            name = f"{compressed.digest.hex}/layer.tar"
            if name not in names:  # equal layers are one file
                _add(archive, name, compressed.size, cast("BinaryIO", spool))
            names.append(name)
            found.append(compressed.diff_id)
    config = image.config if diff_ids(image.config) else with_diff_ids(image.config, found)
    config_name = f"{digest_of(config).hex}.json"
    _add(archive, config_name, len(config), io.BytesIO(config))
    entry = {"Config": config_name, "RepoTags": [str(one) for one in references if one.tag], "Layers": names}
    manifest = json.dumps([entry], separators=(",", ":")).encode()
    _add(archive, "manifest.json", len(manifest), io.BytesIO(manifest))


def _add(archive: tarfile.TarFile, name: str, size: int, reader: BinaryIO) -> None:
    member = tarfile.TarInfo(name)  # time 0, root, 0644: equal images make equal archives
    member.size = size
    archive.addfile(member, reader)


def _write_whole(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(data)
    temporary.replace(path)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "free some space, or write elsewhere" if error.errno in {errno.ENOSPC, errno.EDQUOT} else None
        message = f"{path} cannot be written: {error.strerror or error}"
        raise BuildError(message, hint=hint) from error
