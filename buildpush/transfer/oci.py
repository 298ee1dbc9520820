"""OCI image layouts as a source and a destination, as a directory and as a tar; ``oci_layout.py`` reads them.

Source: OCI image-spec 1.1, "Image Layout".
"""

from __future__ import annotations

import json
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, Protocol

from buildpush.foundation.events import Note
from buildpush.foundation.files import replacement
from buildpush.foundation.locks import locked, temporary
from buildpush.foundation.records import dataclass
from buildpush.images.compression import BlobInfo, Compressor, digest_of
from buildpush.images.manifests import (
    Descriptor,
    algorithms,
    check_digests,
    compression_of,
    image_manifest,
    index_manifest,
    layer_media_type,
    note_of_missing_layers,
    read_manifest,
)
from buildpush.images.model import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Compression, Image, Index, Platform
from buildpush.images.references import Digest, Reference
from buildpush.images.referrers import Referrer
from buildpush.images.spans import Directory
from buildpush.transfer import Location
from buildpush.transfer.destinations import referrers_with_progress, with_progress
from buildpush.transfer.driver import Clients, Driver, WriteOptions
from buildpush.transfer.layers import (
    check_layer,
    checked_reader,
    distinct_layers,
    final_config,
    first_positions,
    unsent_layer,
    write_through,
)
from buildpush.transfer.oci_layout import (
    REF_NAME,
    LayoutReader,
    blob_name,
    entries_of,
    is_referrer,
    names_of,
    read_layout,
    read_oci_archive,
)
from buildpush.transfer.parse import file_location
from buildpush.transfer.tar_file import END, header, member, new_file, padding, writing

_LAYOUT_FILE: Final = b'{"imageLayoutVersion":"1.0.0"}'
ReferenceOrTag = Reference | str


def write_layout(
    target: Image | Index,
    directory: Path,
    references: Sequence[ReferenceOrTag] = (),
    *,
    compression: Compression = "none",
    referrers: Sequence[Referrer] = (),
) -> Descriptor:
    """Write *target* into an OCI image layout and return what its ``index.json`` now names.

    Args:
        target: an image that came with a manifest is kept byte for byte.
        directory: created if it does not exist; other images in it stay.
        references: names under which it is listed; an older image with the same name is no longer listed.
        compression: of layers that are not compressed yet.
        referrers: of *target*; listed too.

    Raises:
        BuildError: the files cannot be written, such as on a full disk.
        DigestError: the source's bytes do not match their digests.
    """
    with writing(directory), _new_directory(directory), temporary(directory, what="layout-") as staging:
        files = _DirectoryWriter(staging)
        writer = _LayoutWriter(files, compression)
        descriptor, referrer_entries = writer.put(target), writer.put_referrers(referrers)
        files.document("oci-layout", _LAYOUT_FILE)
        with locked(directory):  # otherwise what another writer lists meanwhile would be lost
            _move_in(staging, directory)
            index = _index_document(_entries_to_keep(directory, references), descriptor, references, referrer_entries)
            _DirectoryWriter(directory).document("index.json", index)
    return descriptor


def _entries_to_keep(directory: Path, references: Sequence[ReferenceOrTag]) -> list[Mapping[str, Any]]:
    """Return the entries that stay when an image is added; one without names replaces those without names."""
    path, files = directory / "index.json", Directory(directory)
    old = entries_of(files.document("index.json"), str(path)) if path.exists() else []
    return old if references else [one for one in old if names_of(one) or is_referrer(one, files)]


@contextmanager
def _new_directory(directory: Path) -> Iterator[None]:
    """Make *directory*; if the block fails, remove it, and those above it that did not exist."""
    new = [one for one in (directory, *directory.parents) if not one.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # another process has written into it
            for one in new:
                one.rmdir()
        raise


def _move_in(staging: Path, directory: Path) -> None:
    """Move the files below *staging*, all of which are complete, to the same places below *directory*."""
    for path in sorted(one for one in staging.rglob("*") if one.is_file()):
        target = directory / path.relative_to(staging)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


def write_oci_archive(
    target: Image | Index,
    path: Path,
    references: Sequence[ReferenceOrTag] = (),
    *,
    compression: Compression = "none",
    referrers: Sequence[Referrer] = (),
) -> Descriptor:
    """Write *target* as a tar of an OCI image layout; the file is written whole or not at all.

    Arguments and errors are those of :func:`write_layout`; what was in *path* before is replaced.
    """
    with new_file(path) as file:
        files = _TarWriter(file)
        files.document("oci-layout", _LAYOUT_FILE)
        writer = _LayoutWriter(files, compression)
        descriptor, referrer_entries = writer.put(target), writer.put_referrers(referrers)
        files.document("index.json", _index_document([], descriptor, references, referrer_entries))
        file.write(END)
    return descriptor


class _FileWriter(Protocol):
    """Writes the files of a layout."""

    def document(self, name: str, data: bytes) -> None: ...

    def layer(self, compressor: Compressor) -> BlobInfo: ...


class _DirectoryWriter:
    """Writes files into a directory, each whole or not at all."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def document(self, name: str, data: bytes) -> None:
        with replacement(self._path(name), mode=0o644) as file:
            file.write(data)

    def layer(self, compressor: Compressor) -> BlobInfo:
        with tempfile.NamedTemporaryFile(dir=self._directory, delete=False) as file:
            result = write_through(compressor, file)
            file.flush()
        Path(file.name).chmod(0o644)
        Path(file.name).replace(self._path(blob_name(result.digest)))
        return result

    def _path(self, name: str) -> Path:
        path = self._directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


class _TarWriter:
    """Writes members of a tar; of a layer, whose name and size are not known before, the header comes last."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._names: set[str] = set()
        # skopeo gives directories that have no entry to root, which an ordinary user may not do.
        for directory in ("blobs/", "blobs/sha256/"):
            file.write(header(directory, 0, tarfile.DIRTYPE, 0o755))

    def document(self, name: str, data: bytes) -> None:
        if name not in self._names:
            self._names.add(name)
            self._file.write(member(name, data))

    def layer(self, compressor: Compressor) -> BlobInfo:
        start = self._file.tell()
        # A name by sha512 is too long for a header of one record.
        unused = digest_of(b"", compressor.algorithm)
        self._file.write(bytes(len(header(blob_name(unused), 0))))
        result = write_through(compressor, self._file)
        name = blob_name(result.digest)
        if name in self._names:
            self._file.seek(start)
            self._file.truncate()
            return result
        self._names.add(name)
        self._file.write(padding(result.size))
        end = self._file.tell()
        self._file.seek(start)
        self._file.write(header(name, result.size))
        self._file.seek(end)
        return result


class _LayoutWriter:
    """Writes blobs into a layout, under their digests."""

    def __init__(self, files: _FileWriter, compression: Compression) -> None:
        self._files = files
        self._compression = compression

    def put(self, target: Image | Index) -> Descriptor:
        return self._index(target) if isinstance(target, Index) else self._image(target)

    def put_referrers(self, referrers: Sequence[Referrer]) -> list[dict[str, Any]]:
        """Write the referrers of an image, and return how ``index.json`` lists them."""
        for referrer in referrers:
            self.put(referrer.image)
        return [
            referrer.descriptor() | ({"annotations": {REF_NAME: referrer.tag}} if referrer.tag else {})
            for referrer in referrers
        ]

    def _index(self, index: Index) -> Descriptor:
        expected = (
            [one.digest for one in read_manifest(index.manifest, index.manifest_type).manifests]
            if index.manifest
            else []
        )
        images = [self._image(*one) for one in zip(index.images, algorithms(expected), strict=False)]
        data = index.manifest or index_manifest(images, OCI_INDEX)
        media_type = index.manifest_type if index.manifest else OCI_INDEX
        if index.manifest:
            check_digests(expected, [one.digest for one in images], "the digests in the index")
        return Descriptor(media_type, self._put(data), len(data))

    def _image(self, image: Image, algorithm: str = "sha256") -> Descriptor:
        positions = first_positions(image)
        done = {
            at: unsent_layer(layer)
            for at, layer in enumerate(image.layers)
            if image.manifest and layer.is_nondistributable
        }
        needed = [at for at in positions if at not in done]
        done |= {at: self._layer(image, at, reader) for at, reader in distinct_layers(image, needed)}
        layers = [done[at] for at in positions]
        config = final_config(image.with_config(), [layer.diff_id for layer, _ in layers])
        expected = read_manifest(image.manifest, image.manifest_type).config if image.manifest else None
        digest = self._put(config, expected.digest.algorithm if expected else "sha256")
        descriptor = Descriptor(OCI_CONFIG, digest, len(config))
        if image.manifest:
            _check_manifest(image, image.manifest, descriptor, [one for _, one in layers])
            return Descriptor(
                image.manifest_type, self._put(image.manifest, algorithm), len(image.manifest), image.platform
            )
        data = image_manifest(descriptor, [one for _, one in layers], OCI_MANIFEST)
        return Descriptor(OCI_MANIFEST, self._put(data), len(data), image.platform)

    def _layer(self, image: Image, at: int, reader: BinaryIO) -> tuple[BlobInfo, Descriptor]:
        layer = image.layers[at]
        kind: Compression = "none" if image.manifest or layer.compressed else self._compression
        algorithm = layer.digest.algorithm if layer.digest and kind == "none" else "sha256"
        result = self._files.layer(Compressor(checked_reader(reader, image, at), kind, 1, algorithm=algorithm))
        result = check_layer(layer, kind, result)
        actual = compression_of(layer.media_type) if layer.compressed else kind
        media_type = layer.media_type if image.manifest else layer_media_type(actual, "oci")
        return result, Descriptor(media_type, result.digest, result.size)

    def _put(self, data: bytes, algorithm: str = "sha256") -> Digest:
        digest = digest_of(data, algorithm)
        self._files.document(blob_name(digest), data)
        return digest


def _check_manifest(image: Image, manifest: bytes, config: Descriptor, layers: Sequence[Descriptor]) -> None:
    parsed = read_manifest(manifest, image.manifest_type)
    check_digests([one.digest for one in parsed.layers], [one.digest for one in layers], "the manifest's digests")
    if parsed.config:
        check_digests([parsed.config.digest], [config.digest], "the configuration's digest")


def _index_document(
    old: Sequence[Mapping[str, Any]],
    descriptor: Descriptor,
    references: Sequence[ReferenceOrTag],
    referrer_entries: Sequence[Mapping[str, Any]],
) -> bytes:
    """Return the new ``index.json``: the images with other names, then *descriptor* and its referrers."""
    names = [one if isinstance(one, str) else str(one.tag or one) for one in references]
    own = [descriptor.document() | {"annotations": {REF_NAME: name}} for name in names] or [descriptor.document()]
    new = [*own, *referrer_entries]
    names_in_use, digests = set().union(*map(names_of, new)), {one["digest"] for one in new}
    remaining = [
        one for one in old if not names_of(one) & names_in_use and (names_of(one) or one.get("digest") not in digests)
    ]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*remaining, *new]}
    return json.dumps(document, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class _OciDriver:
    kind: str
    reader: Callable[[Path], LayoutReader]
    writer: Callable[..., Descriptor]

    def parse(self, text: str, /) -> Location | None:
        return file_location(self.kind, text)

    @contextmanager
    def open(self, source: Location, clients: Clients, platform: Platform | None) -> Iterator[Image | Index]:
        yield self.reader(clients.cwd / source.path).image(source.name or None, platform)

    def find_referrers(self, target: Image | Index, source: Location, clients: Clients) -> tuple[Referrer, ...]:
        return self.reader(clients.cwd / source.path).referrers(target)

    def check(self, destination: Location) -> None:
        """Accept every destination."""

    def write(self, target: Image | Index, destination: Location, clients: Clients, options: WriteOptions) -> Digest:
        if note := note_of_missing_layers(target):
            options.sink(Note(note))
        return self.writer(
            with_progress(target, options.sink),
            clients.cwd / destination.path,
            [destination.name] if destination.name else options.names,
            compression=options.packing.compression or "none",
            referrers=referrers_with_progress(options.referrers, options.sink),
        ).digest


LAYOUT: Final[Driver] = _OciDriver("oci", read_layout, write_layout)
ARCHIVE: Final[Driver] = _OciDriver("oci-archive", read_oci_archive, write_oci_archive)
