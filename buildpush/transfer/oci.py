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
from buildpush.images.compression import Compressed, Compressing, digest_of
from buildpush.images.manifests import (
    Descriptor,
    algorithms,
    check_digests,
    compression_of,
    image_manifest,
    index_manifest,
    layer_media_type,
    left_out,
    read_manifest,
)
from buildpush.images.model import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Compression, Image, Index, Platform
from buildpush.images.references import Digest, Reference
from buildpush.images.referrers import Referrer
from buildpush.images.spans import Directory
from buildpush.transfer import Location
from buildpush.transfer.destinations import watched, watched_referrers
from buildpush.transfer.driver import Clients, Driver, WriteOptions
from buildpush.transfer.layers import (
    as_promised,
    checked,
    checked_config,
    checked_reader,
    distinct,
    same_as,
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
        directory: made if it does not exist; other images in it stay.
        references: names under which it is listed; an older image with the same name is no longer listed.
        compression: of layers that are not compressed yet.
        referrers: of *target*; listed too.

    Raises:
        BuildError: the files cannot be written, such as on a full disk.
        DigestError: the source's bytes are not those that it promised.
    """
    with writing(directory), _made(directory), temporary(directory, what="layout-") as aside:
        files = _DirectoryWriter(aside)
        writer = _LayoutWriter(files, compression)
        wanted, beside = writer.put(target), writer.put_referrers(referrers)
        files.document("oci-layout", _LAYOUT_FILE)
        with locked(directory):  # otherwise what another writer lists meanwhile would be lost
            _move_in(aside, directory)
            index = _listed(_entries_to_keep(directory, references), wanted, references, beside)
            _DirectoryWriter(directory).document("index.json", index)
    return wanted


def _entries_to_keep(directory: Path, references: Sequence[ReferenceOrTag]) -> list[Mapping[str, Any]]:
    """Return what a layout lists besides an image with these names; an image without a name replaces one without."""
    path, files = directory / "index.json", Directory(directory)
    old = entries_of(files.document("index.json"), str(path)) if path.exists() else []
    return old if references else [one for one in old if names_of(one) or is_referrer(one, files)]


@contextmanager
def _made(directory: Path) -> Iterator[None]:
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


def _move_in(aside: Path, directory: Path) -> None:
    """Move the files below *aside* to the same places below *directory*, once all of them are complete."""
    for path in sorted(one for one in aside.rglob("*") if one.is_file()):
        target = directory / path.relative_to(aside)
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
        wanted, beside = writer.put(target), writer.put_referrers(referrers)
        files.document("index.json", _listed([], wanted, references, beside))
        file.write(END)
    return wanted


class _FileWriter(Protocol):
    """Where the files of a layout go."""

    def document(self, name: str, data: bytes) -> None: ...

    def layer(self, compressing: Compressing) -> Compressed: ...


class _DirectoryWriter:
    """Writes files into a directory, each whole or not at all."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def document(self, name: str, data: bytes) -> None:
        with replacement(self._path(name), mode=0o644) as file:
            file.write(data)

    def layer(self, compressing: Compressing) -> Compressed:
        with tempfile.NamedTemporaryFile(dir=self._directory, delete=False) as file:
            found = write_through(compressing, file)
            file.flush()
        Path(file.name).chmod(0o644)
        Path(file.name).replace(self._path(blob_name(found.digest)))
        return found

    def _path(self, name: str) -> Path:
        path = self._directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


class _TarWriter:
    """Members of a tar; one whose name and size are known only after its bytes gets its header then."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._names: set[str] = set()
        # skopeo makes directories without an entry owned by root, which an ordinary user may not.
        for directory in ("blobs/", "blobs/sha256/"):
            file.write(header(directory, 0, tarfile.DIRTYPE, 0o755))

    def document(self, name: str, data: bytes) -> None:
        if name not in self._names:
            self._names.add(name)
            self._file.write(member(name, data))

    def layer(self, compressing: Compressing) -> Compressed:
        begin = self._file.tell()
        # A name by sha512 is too long for a header of one record.
        unused = digest_of(b"", compressing.algorithm)
        self._file.write(bytes(len(header(blob_name(unused), 0))))
        found = write_through(compressing, self._file)
        name = blob_name(found.digest)
        if name in self._names:
            self._file.seek(begin)
            self._file.truncate()
            return found
        self._names.add(name)
        self._file.write(padding(found.size))
        end = self._file.tell()
        self._file.seek(begin)
        self._file.write(header(name, found.size))
        self._file.seek(end)
        return found


class _LayoutWriter:
    """Writes blobs into a layout, under the digests that they turn out to have."""

    def __init__(self, files: _FileWriter, compression: Compression) -> None:
        self._files = files
        self._compression = compression

    def put(self, target: Image | Index) -> Descriptor:
        return self._index(target) if isinstance(target, Index) else self._image(target)

    def put_referrers(self, referrers: Sequence[Referrer]) -> list[dict[str, Any]]:
        """Write the referrers of an image, and return how ``index.json`` lists them."""
        for one in referrers:
            self.put(one.image)
        return [one.descriptor() | ({"annotations": {REF_NAME: one.tag}} if one.tag else {}) for one in referrers]

    def _index(self, index: Index) -> Descriptor:
        named = (
            [one.digest for one in read_manifest(index.manifest, index.manifest_type).manifests]
            if index.manifest
            else []
        )
        images = [self._image(*one) for one in zip(index.images, algorithms(named), strict=False)]
        data = index.manifest or index_manifest(images, OCI_INDEX)
        media_type = index.manifest_type if index.manifest else OCI_INDEX
        if index.manifest:
            check_digests(named, [one.digest for one in images], "the digests in the index")
        return Descriptor(media_type, self._put(data), len(data))

    def _image(self, image: Image, algorithm: str = "sha256") -> Descriptor:
        positions = same_as(image)
        done = {at: as_promised(layer) for at, layer in enumerate(image.layers) if image.manifest and layer.stays}
        sent = [at for at in positions if at not in done]
        done |= {at: self._layer(image, at, reader) for at, reader in distinct(image, sent)}
        layers = [done[at] for at in positions]
        config = checked_config(image.with_config(), [layer.diff_id for layer, _ in layers])
        named = read_manifest(image.manifest, image.manifest_type).config if image.manifest else None
        digest = self._put(config, named.digest.algorithm if named else "sha256")
        described = Descriptor(OCI_CONFIG, digest, len(config))
        if image.manifest:
            _check_manifest(image, image.manifest, described, [one for _, one in layers])
            return Descriptor(
                image.manifest_type, self._put(image.manifest, algorithm), len(image.manifest), image.platform
            )
        data = image_manifest(described, [one for _, one in layers], OCI_MANIFEST)
        return Descriptor(OCI_MANIFEST, self._put(data), len(data), image.platform)

    def _layer(self, image: Image, at: int, reader: BinaryIO) -> tuple[Compressed, Descriptor]:
        layer = image.layers[at]
        kind: Compression = "none" if image.manifest or layer.compressed else self._compression
        algorithm = layer.digest.algorithm if layer.digest and kind == "none" else "sha256"
        found = self._files.layer(Compressing(checked_reader(reader, image, at), kind, 1, algorithm=algorithm))
        found = checked(layer, kind, found)
        actual = compression_of(layer.media_type) if layer.compressed else kind
        media_type = layer.media_type if image.manifest else layer_media_type(actual, "oci")
        return found, Descriptor(media_type, found.digest, found.size)

    def _put(self, data: bytes, algorithm: str = "sha256") -> Digest:
        digest = digest_of(data, algorithm)
        self._files.document(blob_name(digest), data)
        return digest


def _check_manifest(image: Image, manifest: bytes, config: Descriptor, layers: Sequence[Descriptor]) -> None:
    named = read_manifest(manifest, image.manifest_type)
    check_digests([one.digest for one in named.layers], [one.digest for one in layers], "the manifest's digests")
    if named.config:
        check_digests([named.config.digest], [config.digest], "the configuration's digest")


def _listed(
    old: Sequence[Mapping[str, Any]],
    wanted: Descriptor,
    references: Sequence[ReferenceOrTag],
    beside: Sequence[Mapping[str, Any]],
) -> bytes:
    """Return the new ``index.json``: the images with other names, then *wanted* and its referrers."""
    names = [one if isinstance(one, str) else str(one.tag or one) for one in references]
    mine = [wanted.document() | {"annotations": {REF_NAME: name}} for name in names] or [wanted.document()]
    new = [*mine, *beside]
    taken, digests = set().union(*map(names_of, new)), {one["digest"] for one in new}
    kept = [one for one in old if not names_of(one) & taken and (names_of(one) or one.get("digest") not in digests)]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*kept, *new]}
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
        if left := left_out(target):
            options.sink(Note(left))
        return self.writer(
            watched(target, options.sink),
            clients.cwd / destination.path,
            [destination.name] if destination.name else options.names,
            compression=options.packing.compression or "none",
            referrers=watched_referrers(options.referrers, options.sink),
        ).digest


LAYOUT: Final[Driver] = _OciDriver("oci", read_layout, write_layout)
ARCHIVE: Final[Driver] = _OciDriver("oci-archive", read_oci_archive, write_oci_archive)
