"""Reads images from the export of a Docker daemon, which has layers and documents in an order of its own.

With the overlay2 store an image's ID is the digest of its configuration, with containerd's that of its manifest or
index. A layer of the overlay2 store is read from that store, as long as its files can be read.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import field
from typing import Any, BinaryIO, Final, cast

from buildpush.foundation.errors import PushError
from buildpush.foundation.events import Note, Sink
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.images.blocks import BlockReader, blocks
from buildpush.images.compression import digest_of
from buildpush.images.manifests import Manifest, describe_layers, diff_ids, platform_of, read_manifest
from buildpush.images.model import INDEX_TYPES, OCI_INDEX, OCI_MANIFEST, Image, Index, Layer, Platform
from buildpush.images.references import Digest
from buildpush.images.spans import LARGEST_DOCUMENT
from buildpush.images.tar_members import stream_members
from buildpush.registry.memory import Memory
from buildpush.transfer import overlay

_HEX: Final = regex(r"[0-9a-f]{64}")
_DAMAGED: Final = "the Docker daemon's store is damaged: pull or build the image again"


@dataclass(frozen=True, slots=True)
class Export:
    """The export of one image.

    Attributes:
        name: of the image, for messages.
        identity: image ID.
        pieces: yields the bytes of the export, from the beginning each time.
        memory: keeps documents for later exports.
        sink: gets a note about what the daemon does not have.
        documents: those that were found so far, by digest.
        needed: digests of documents that are still needed.
    """

    name: str
    identity: Digest
    pieces: Callable[[], Iterator[bytes]]
    memory: Memory | None
    sink: Sink
    documents: dict[Digest, bytes] = field(default_factory=dict)
    needed: set[Digest] = field(default_factory=set)

    def files(self) -> Generator[tuple[Digest, int, BinaryIO], None, None]:
        """Yield digest, size and reader of each file; the digest is from the file's name."""
        for member, reader in stream_members(self.pieces(), f"the export of {self.name}"):
            if match := _HEX.search(member.name):
                yield Digest(f"sha256:{match[0]}"), member.size, reader

    def layers(self, wanted: Mapping[Digest, int]) -> Generator[tuple[int, BinaryIO], None, None]:
        """Yield the wanted layers in the order of the export; then read on until every needed document is found."""
        remaining = dict(wanted)
        with closing(self.files()) as files:
            while remaining or self.needed:
                file = next(files, None)
                if file is None:
                    raise self._incomplete(remaining)
                digest, size, reader = file
                if digest in remaining:
                    yield remaining.pop(digest), reader
                elif digest in self.needed and size <= LARGEST_DOCUMENT:
                    self.add_document(digest, reader.read())

    def add_document(self, digest: Digest, data: bytes) -> None:
        """Keep a document if it matches its digest."""
        if digest_of(data) != digest:
            return
        self.documents[digest] = data
        self.needed.discard(digest)

    def has_document(self, digest: Digest) -> bool:
        """Return whether a document is known, from this export or an earlier one."""
        if digest not in self.documents and self.memory:
            document = self.memory.find_document(digest)
            if document is not None:
                self.documents[digest] = document
        return digest in self.documents

    def keep(self, digest: Digest) -> None:
        """Remember a document for later exports."""
        if self.memory:
            self.memory.keep_document(self.documents[digest])

    def _incomplete(self, remaining: Mapping[Digest, int]) -> PushError:
        lost = [*remaining, *self.needed]
        message = f"the export of {self.name} has no {lost[0]}"
        hint = "this Docker exports images in another form: run docker save, and push docker-archive:FILE"
        return PushError(message, hint=hint)


def exported_image(export: Export, info: Mapping[str, Any]) -> Image:
    """Return an image of the overlay2 store, whose ID is the digest of its configuration."""
    known = layer_ids(info)
    config = export.documents[export.identity] if export.has_document(export.identity) else None
    if config is None:
        export.needed.add(export.identity)

    def blobs(positions: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
        yield from _layers_in_turn(export, {at: known[at] for at in positions})

    def late_config() -> bytes:
        if export.needed:  # no layer was read, or the export not up to its end
            for _ in export.layers({}):
                pass
        export.keep(export.identity)
        return export.documents[export.identity]

    layers = tuple(Layer(diff_id=digest) for digest in known)
    platform = _platform(info)
    if config is not None and diff_ids(config) == known:
        return Image(config, layers, blobs, platform, random_access=False)
    return Image(b"{}", layers, blobs, platform, random_access=False, late_config=late_config)


def overlay_image(export: Export, stored: overlay.StoredImage, info: Mapping[str, Any]) -> Image:
    """Return an image of the overlay2 store whose layers are read from its files."""
    layers = tuple(Layer(diff_id=digest) for digest in layer_ids(info))

    def blobs(positions: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
        for at in sorted(positions):
            with closing(BlockReader(_layer_blocks(export, stored.layers[at], layer_ids(info)[at]))) as reader:
                yield at, cast("BinaryIO", reader)

    return Image(stored.config, layers, blobs, _platform(info))


def _layer_blocks(export: Export, layer: overlay.StoredLayer, digest: Digest) -> Iterator[bytes]:
    """Yield a layer from the store; if a file is missing or may not be read, continue with the export."""
    done = 0
    try:
        for block in layer.blocks():
            yield block
            done += len(block)
    except overlay.StoreError as error:
        export.sink(Note(f"the rest of a layer of {export.name} is read from the daemon's export: {error}"))
        yield from _rest_of_layer(done, export, digest)


def _rest_of_layer(done: int, export: Export, digest: Digest) -> Iterator[bytes]:
    """Yield what the export has of a layer after its first *done* bytes."""
    with closing(export.layers({digest: 0})) as layers:
        for _, reader in layers:
            for block in blocks(reader):
                if done < len(block):
                    yield block[done:]
                done = max(0, done - len(block))


def _layers_in_turn(export: Export, wanted: Mapping[int, Digest]) -> Iterator[tuple[int, BinaryIO]]:
    """Yield the wanted layers; equal ones need an export each, since a stream is read only once."""
    remaining = dict(wanted)
    while remaining:
        first = {digest: at for at, digest in reversed(remaining.items())}
        yield from export.layers(first)
        remaining = {at: digest for at, digest in remaining.items() if first[digest] != at}


class ContainerdImage:
    """An image of containerd's store, whose ID is the digest of its manifest or index.

    The manifest says which blob is which, but may come after them: where it is not known from before, a first export is
    read for the documents alone.
    """

    def __init__(self, export: Export) -> None:
        self._export = export

    def target(self) -> Image | Index:
        """Return the image or index, or as much of it as the daemon has."""
        if self._missing():
            self._collect_documents()
        for digest in self._needed():
            if digest in self._export.documents:
                self._export.keep(digest)
        data, manifest = self._manifest(self._export.identity)
        if manifest.media_type not in INDEX_TYPES:
            return self._image(data, manifest, None)
        images = [
            self._image(*self._manifest(one.digest), one.platform)
            for one in manifest.manifests
            if one.digest in self._export.documents
        ]
        if len(images) == len(manifest.manifests):
            return Index(tuple(images), data, manifest.media_type)
        return self._part(images)

    def _part(self, images: Sequence[Image]) -> Image | Index:
        """Return what the daemon has of an index, which is then a different index."""
        available = tuple(image for image in images if image.platform.runs)
        if not available:
            message = f"the Docker daemon has no image of the index {self._export.name}"
            raise PushError(message, hint=f"run: docker pull {self._export.name}")
        platforms = ", ".join(str(image.platform) for image in available)
        self._export.sink(Note(f"the daemon has only {platforms} of {self._export.name}: the rest is left out"))
        return Index.of(available)

    def _needed(self) -> list[Digest]:
        """Return the digests of the image's documents, as far as the documents that are known name them."""
        digests, queue = [], [self._export.identity]
        while queue:
            digest = queue.pop()
            digests.append(digest)
            if self._export.has_document(digest):
                queue += self._digests_in(self._export.documents[digest])
        return digests

    def _digests_in(self, data: bytes) -> list[Digest]:
        try:
            manifest = _read(data)
        except PushError:
            return []  # a configuration, which names no documents
        return [one.digest for one in (*manifest.manifests, *((manifest.config,) if manifest.config else ()))]

    def _missing(self) -> list[Digest]:
        return [digest for digest in self._needed() if digest not in self._export.documents]

    def _collect_documents(self) -> None:
        """Keep every small document of an export, until none is missing."""
        with closing(self._export.files()) as files:
            for digest, size, reader in files:
                if size <= LARGEST_DOCUMENT and (head := reader.read(1)) == b"{":
                    self._export.add_document(digest, head + reader.read())
                    if not self._missing():
                        break

    def _manifest(self, digest: Digest) -> tuple[bytes, Manifest]:
        if digest not in self._export.documents:
            message = f"the export of {self._export.name} has no manifest {digest}"
            raise PushError(message, hint=_DAMAGED)
        data = self._export.documents[digest]
        return data, _read(data)

    def _image(self, data: bytes, manifest: Manifest, platform: Platform | None) -> Image:
        if manifest.config is None or manifest.config.digest not in self._export.documents:
            message = f"the export of {self._export.name} has no configuration"
            raise PushError(message, hint=_DAMAGED)
        config = self._export.documents[manifest.config.digest]

        def blobs(positions: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
            digests = {at: manifest.layers[at].digest for at in positions}
            small = {at: digest for at, digest in digests.items() if digest in self._export.documents}
            for at, digest in small.items():  # attestations are documents
                yield at, io.BytesIO(self._export.documents[digest])
            yield from _layers_in_turn(self._export, {at: digests[at] for at in digests.keys() - small.keys()})

        layers = describe_layers(config, manifest)
        actual = platform or platform_of(config)
        return Image(config, layers, blobs, actual, False, data, manifest.media_type)


def _read(data: bytes) -> Manifest:
    """Parse a manifest, even one without its own type, as OCI allows."""
    return read_manifest(data, OCI_INDEX if b'"manifests"' in data else OCI_MANIFEST)


def layer_ids(info: Mapping[str, Any]) -> tuple[Digest, ...]:
    """Return the diff IDs of an image's layers, as the daemon says."""
    return tuple(Digest(str(one)) for one in (info.get("RootFS") or {}).get("Layers") or ())


def _platform(info: Mapping[str, Any]) -> Platform:
    words = [str(info.get(key) or "") for key in ("Os", "Architecture", "Variant")]
    return Platform(words[0] or "linux", words[1] or "amd64", words[2])
