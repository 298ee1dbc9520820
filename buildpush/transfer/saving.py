"""Images saved in files: OCI image layouts, as folder and as tar, and Docker archives; ``archives.py`` reads them.

Source: OCI image-spec 1.1, "Image Layout"; moby, image/spec "Combined Image JSON + Filesystem Changeset Format".
"""

from __future__ import annotations

import errno
import json
import os
import tarfile
import tempfile
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol, cast

from buildpush.foundation.errors import BuildError, DigestError
from buildpush.foundation.locks import locked, temporary
from buildpush.images.compression import Compressed, Compressing, Hashes, blocks, digest_of
from buildpush.images.manifests import (
    Descriptor,
    algorithms,
    check_digests,
    compression_of,
    diff_ids,
    image_manifest,
    index_manifest,
    layer_media_type,
    read_manifest,
    with_diff_ids,
)
from buildpush.images.model import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Compression, Image, Index, Layer
from buildpush.images.proof import is_proven_apart, measured, proven
from buildpush.images.references import Digest, Reference
from buildpush.images.referrers import Referrer
from buildpush.images.spans import Folder
from buildpush.transfer.archives import REF_NAME, blob_name, entries_of, is_referrer, names_of

_MARK = b'{"imageLayoutVersion":"1.0.0"}'
_RECORD = 512
_END = bytes(2 * _RECORD)

Name = Reference | str


def write_layout(
    target: Image | Index,
    folder: Path,
    references: Sequence[Name] = (),
    *,
    compression: Compression = "none",
    level: int = 1,
    referrers: Sequence[Referrer] = (),
) -> Descriptor:
    """Write *target* into an OCI image layout and return what its ``index.json`` now names.

    Args:
        target: an image that came with a manifest is kept byte for byte.
        folder: made if it is not there; other images in it stay.
        references: names under which it is listed; an older image of the same name is no longer listed.
        compression: of layers that are not compressed yet.
        level: of the compression.
        referrers: what is said about *target*; listed too.

    Raises:
        BuildError: the files cannot be written, such as on a full disk.
        DigestError: the source's bytes are not those that it promised.
    """
    with _writing(folder), _made(folder), temporary(folder, what="layout-") as aside:
        sink = _Sink(_IntoFolder(aside), compression, level)
        wanted, beside = sink.put(target), sink.beside(referrers)
        _write_whole(aside / "oci-layout", _MARK)
        with locked(folder):  # else what another writer lists in this moment would be lost
            _move_in(aside, folder)
            _write_whole(folder / "index.json", _listed(_kept(folder, references), wanted, references, beside))
    return wanted


def _kept(folder: Path, references: Sequence[Name]) -> list[Mapping[str, Any]]:
    """Return what a layout lists besides an image of these names; what has no name makes room for one without."""
    path, files = folder / "index.json", Folder(folder)
    old = entries_of(files.document("index.json"), str(path)) if path.exists() else []
    return old if references else [one for one in old if names_of(one) or is_referrer(one, files)]


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make *folder*, and remove it if the block fails, and those above it that were not there; others stay."""
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # somebody else has put something in
            for one in new:
                one.rmdir()
        raise


def _move_in(aside: Path, folder: Path) -> None:
    """Put the files below *aside* into the same places below *folder*, when all of them are whole."""
    for path in sorted(one for one in aside.rglob("*") if one.is_file()):
        goal = folder / path.relative_to(aside)
        goal.parent.mkdir(parents=True, exist_ok=True)
        path.replace(goal)


def write_oci_archive(
    target: Image | Index,
    path: Path,
    references: Sequence[Name] = (),
    *,
    compression: Compression = "none",
    level: int = 1,
    referrers: Sequence[Referrer] = (),
) -> Descriptor:
    """Write *target* as a tar of an OCI image layout; the file is there whole or not at all.

    Arguments and errors are those of :func:`write_layout`; what was in *path* before is replaced.
    """
    with _replaced(path) as file:
        into = _IntoTar(file)
        into.document("oci-layout", _MARK)
        sink = _Sink(into, compression, level)
        wanted, beside = sink.put(target), sink.beside(referrers)
        into.document("index.json", _listed([], wanted, references, beside))
        file.write(_END)
    return wanted


class _Into(Protocol):
    """Where the files of a layout go."""

    def document(self, name: str, data: bytes) -> None: ...

    def layer(self, compressing: Compressing) -> Compressed: ...


class _IntoFolder:
    """Files in a folder that is gone if not all of them come."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def document(self, name: str, data: bytes) -> None:
        _write_whole(self._place(name), data)

    def layer(self, compressing: Compressing) -> Compressed:
        with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
            found = _through(compressing, file)
            file.flush()
        Path(file.name).chmod(0o644)
        Path(file.name).replace(self._place(blob_name(found.digest)))
        return found

    def _place(self, name: str) -> Path:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


class _IntoTar:
    """Members of a tar; one whose name and size turn out behind its bytes gets its header then."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._names: set[str] = set()
        # skopeo makes folders that are not named root's, which an ordinary user may not.
        for folder in ("blobs/", "blobs/sha256/"):
            file.write(_header(folder, 0, tarfile.DIRTYPE, 0o755))

    def document(self, name: str, data: bytes) -> None:
        if name not in self._names:
            self._names.add(name)
            self._file.write(_header(name, len(data)) + data + _padding(len(data)))

    def layer(self, compressing: Compressing) -> Compressed:
        begin = self._file.tell()
        # A name by sha512 is longer than a header of one record can say.
        nobody = digest_of(b"", compressing.algorithm)
        self._file.write(bytes(len(_header(blob_name(nobody), 0))))
        found = _through(compressing, self._file)
        name = blob_name(found.digest)
        if name in self._names:
            self._file.seek(begin)
            self._file.truncate()
            return found
        self._names.add(name)
        self._file.write(_padding(found.size))
        end = self._file.tell()
        self._file.seek(begin)
        self._file.write(_header(name, found.size))
        self._file.seek(end)
        return found


def _header(name: str, size: int, kind: bytes = tarfile.REGTYPE, mode: int = 0o644) -> bytes:
    """Return a header whose length the name decides, whatever the size; equal images of one user make equal archives.

    The owner is who writes it: skopeo unpacks an OCI archive, and an ordinary user may not make files of root.
    """
    member = tarfile.TarInfo(name)  # time 0
    member.size, member.type, member.mode = size, kind, mode
    if hasattr(os, "getuid"):
        member.uid, member.gid = os.getuid(), os.getgid()
    return member.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % _RECORD)


class _Sink:
    """Puts blobs into a layout, under the digests that they turn out to have."""

    def __init__(self, into: _Into, compression: Compression, level: int) -> None:
        self._into = into
        self._compression = compression
        self._level = level

    def put(self, target: Image | Index) -> Descriptor:
        return self._index(target) if isinstance(target, Index) else self._image(target)

    def beside(self, referrers: Sequence[Referrer]) -> list[dict[str, Any]]:
        """Put what is said about an image, and return how ``index.json`` lists it."""
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
        same_as = _same_as(image)
        done = {at: _as_promised(layer) for at, layer in enumerate(image.layers) if image.manifest and layer.stays}
        sent = [at for at in same_as if at not in done]
        done |= {at: self._layer(image, at, reader) for at, reader in _distinct(image, sent)}
        layers = [done[at] for at in same_as]
        config = _config(image.settled(), [layer.diff_id for layer, _ in layers])
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
        found = self._into.layer(Compressing(_looked_at(reader, image, at), kind, self._level, algorithm=algorithm))
        found = _checked(layer, kind, found)
        shown = compression_of(layer.media_type) if layer.compressed else kind
        media_type = layer.media_type if image.manifest else layer_media_type(shown, "oci")
        return found, Descriptor(media_type, found.digest, found.size)

    def _put(self, data: bytes, algorithm: str = "sha256") -> Digest:
        digest = digest_of(data, algorithm)
        self._into.document(blob_name(digest), data)
        return digest


def _as_promised(layer: Layer) -> tuple[Compressed, Descriptor]:
    """Return what a layer is that stays where it is, as the manifest says it."""
    if layer.digest is None or layer.size is None:
        raise AssertionError
    found = Compressed(layer.diff_id or layer.digest, 0, layer.digest, layer.size)
    return found, Descriptor(layer.media_type, layer.digest, layer.size)


def _same_as(image: Image) -> list[int]:
    """Return for each layer the position of the first one that is equal to it."""
    first: dict[object, int] = {}
    known = [(layer.digest or layer.diff_id, layer.media_type) for layer in image.layers]
    return [first.setdefault(one if one[0] else at, at) for at, one in enumerate(known)]


def _distinct(image: Image, same_as: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
    """Give each distinct layer once, in the order of the source."""
    wanted = set(same_as)
    if not wanted:  # of none of them there is anything to read
        return
    with _closed(image.blobs(sorted(wanted))) as found:
        for at, reader in found:
            yield at, reader
            wanted.discard(at)
    if wanted:
        message = f"the image's source gave no layer {min(wanted) + 1}"
        raise DigestError(message)


@contextmanager
def _closed(blobs: Iterator[tuple[int, BinaryIO]]) -> Iterator[Iterator[tuple[int, BinaryIO]]]:
    """Give *blobs*, and let go of what they hold: the connection to a registry, or a file."""
    try:
        yield blobs
    finally:
        if isinstance(blobs, Generator):
            blobs.close()


def _through(compressing: Compressing, file: IO[bytes]) -> Compressed:
    for block in compressing:
        file.write(block)
    if compressing.result is None:  # it has one after the last block
        raise AssertionError
    return compressing.result


def _looked_at(reader: BinaryIO, image: Image, at: int) -> BinaryIO:
    """Return a reader of the same bytes, which holds them against all that is said of the layer."""
    layer, what = image.layers[at], f"layer {at + 1}/{len(image.layers)}"
    return proven(measured(reader, layer, what), layer, what)


def _checked(layer: Layer, kind: Compression, found: Compressed) -> Compressed:
    """Return *found* with the diff ID of the layer, which is not the digest of bytes that came compressed.

    Raises:
        DigestError: something is not what the source promised.
    """
    if layer.digest and kind == "none":
        check_digests([layer.digest], [found.digest], "the source's digests")
    if layer.compressed or is_proven_apart(layer):  # it was held against its diff ID while it passed
        return replace(found, diff_id=layer.diff_id or found.diff_id)
    check_digests([layer.diff_id or found.diff_id], [found.diff_id], "the source's diff IDs")
    return found


def _config(image: Image, found: Sequence[Digest]) -> bytes:
    """Return the configuration, with the diff IDs that were *found* where it names none.

    Raises:
        DigestError: it names others, or a compressed layer came without its own.
    """
    known = diff_ids(image.config)
    if known:
        check_digests(known, found, "the diff IDs in the configuration")
    if image.manifest or known:
        return image.config
    if any(layer.compressed and layer.diff_id is None for layer in image.layers):
        message = "a compressed layer came without its diff ID"
        raise DigestError(message, hint="the source must tell it for layers that are compressed already")
    return with_diff_ids(image.config, found)


def _check_manifest(image: Image, manifest: bytes, config: Descriptor, layers: Sequence[Descriptor]) -> None:
    named = read_manifest(manifest, image.manifest_type)
    check_digests([one.digest for one in named.layers], [one.digest for one in layers], "the manifest's digests")
    if named.config:
        check_digests([named.config.digest], [config.digest], "the configuration's digest")


def _listed(
    old: Sequence[Mapping[str, Any]],
    wanted: Descriptor,
    references: Sequence[Name],
    beside: Sequence[Mapping[str, Any]],
) -> bytes:
    """Return the new ``index.json``: what was there under other names, then *wanted* and what is said about it."""
    names = [one if isinstance(one, str) else str(one.tag or one) for one in references]
    mine = [wanted.document() | {"annotations": {REF_NAME: name}} for name in names] or [wanted.document()]
    new = [*mine, *beside]
    taken, digests = set().union(*map(names_of, new)), {one["digest"] for one in new}
    kept = [one for one in old if not names_of(one) & taken and (names_of(one) or one.get("digest") not in digests)]
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
    with _replaced(path) as file:
        for block in docker_archive(image, references, path.parent):
            file.write(block)


def docker_archive(image: Image, references: Sequence[Reference], scratch: Path) -> Iterator[bytes]:
    """Give the bytes of the archive that ``docker load`` reads.

    Args:
        image: its layers are given as its source gives them.
        references: what the image is called after loading.
        scratch: folder that a layer waits in whose size is not known before it was read; one at a time.

    Raises:
        DigestError: the source's bytes are not those that it promised.
    """
    same_as = _same_as(image)
    done: dict[int, tuple[Digest, Digest]] = {}
    there: set[Digest] = set()
    for at, reader in _distinct(image, same_as):
        looked_at = _looked_at(reader, image, at)
        done[at] = yield from _archived_layer(image.layers[at], looked_at, scratch, there)
    found = [done[at] for at in same_as]
    config = _config(image.settled(), [diff_id for _, diff_id in found])
    name = f"{digest_of(config).hex}.json"
    yield from _member(name, config)
    tags = [str(one) for one in references if one.tag]
    entry = {"Config": name, "RepoTags": tags, "Layers": [_layer_name(one) for one, _ in found]}
    yield from _member("manifest.json", json.dumps([entry], separators=(",", ":")).encode())
    yield _END


def _layer_name(digest: Digest) -> str:
    return f"{digest.hex}/layer.tar"


def _archived_layer(
    layer: Layer, reader: BinaryIO, scratch: Path, there: set[Digest]
) -> Generator[bytes, None, tuple[Digest, Digest]]:
    """Give header and bytes of a layer, and return digest and diff ID: at once where size and digest are known."""
    promised = layer.digest or (None if layer.compressed else layer.diff_id)
    if promised and layer.size is not None and promised.algorithm == "sha256":
        there.add(promised)
        yield _header(_layer_name(promised), layer.size)
        yield from _exactly(reader, layer.size, promised)
        found = _checked(layer, "none", Compressed(promised, layer.size, promised, layer.size))
        return promised, found.diff_id
    with tempfile.TemporaryFile(dir=scratch) as spool:  # a tar wants to know the size before the bytes
        algorithm = layer.digest.algorithm if layer.digest else "sha256"
        found = _through(Compressing(reader, "none", 0, algorithm=algorithm), spool)
        found = _checked(layer, "none", found)
        if found.digest not in there:  # equal layers are one file
            there.add(found.digest)
            spool.seek(0)
            yield _header(_layer_name(found.digest), found.size)
            yield from _exactly(cast("BinaryIO", spool), found.size, found.digest)
    return found.digest, found.diff_id


def _exactly(reader: BinaryIO, size: int, digest: Digest) -> Iterator[bytes]:
    """Give the bytes of a member, filled up to a whole record.

    Raises:
        DigestError: they are not those that *digest* promises.
    """
    hashes = Hashes(algorithm=digest.algorithm)
    for block in blocks(reader):
        hashes.update(block)
        yield block
    check_digests([digest], [hashes.digest], "the source's digests")
    yield _padding(size)


def _member(name: str, data: bytes) -> Iterator[bytes]:
    yield _header(name, len(data)) + data + _padding(len(data))


def _write_whole(path: Path, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(data)
            file.flush()
            Path(file.name).chmod(0o644)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def unfit(path: Path) -> str:
    """Return why no archive can be written to *path*, a link followed, or nothing."""
    if path.is_dir():
        return "is a folder"
    if path.exists() and not path.is_file():
        return "is a device, a pipe or a socket"
    return "" if Path(os.path.realpath(path)).parent.is_dir() else "lies in a folder that is not there"


@contextmanager
def _replaced(path: Path) -> Iterator[IO[bytes]]:
    """Give a new file that takes the place of *path*, or of the file that a link there names, when all went well."""
    path = Path(os.path.realpath(path))
    if state := unfit(path):
        message = f"{path} {state}"
        raise BuildError(message, hint="name a file in a folder that is there")
    with _writing(path), tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            yield file
            file.flush()
            Path(file.name).chmod(0o644)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "free some space, or write elsewhere" if error.errno in {errno.ENOSPC, errno.EDQUOT} else None
        message = f"{path} cannot be written: {error.strerror or error}"
        raise BuildError(message, hint=hint) from error
