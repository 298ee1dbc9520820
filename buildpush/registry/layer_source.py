"""The bytes of a layer as the registry gets them: read, compressed, hashed, and checked."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from buildpush.foundation.cores import cores
from buildpush.foundation.errors import CancelledError, DigestError
from buildpush.foundation.events import Progress, Sink
from buildpush.foundation.meter import Meter
from buildpush.foundation.records import dataclass
from buildpush.foundation.text import quotation
from buildpush.images.blocks import BLOCK
from buildpush.images.compression import BlobInfo, Compressor, library
from buildpush.images.manifests import check_digests, diff_ids
from buildpush.images.model import Compression, Image, MediaTypes
from buildpush.images.pool import Pool
from buildpush.images.proof import check_diff_id, check_size_of, needs_own_check
from buildpush.images.references import Digest, Repository

if TYPE_CHECKING:
    from buildpush.registry.memory import Memory

# How many bytes of compressed layers are decompressed and checked in every image: about 50 ms of one core.
_VERIFIED_BYTES = 4 * 1024 * 1024
_LONGEST_WORDS = 48


@dataclass(frozen=True, slots=True)
class Options:
    """How to push: see :func:`buildpush.registry.push.push`."""

    compression: Compression
    level: int
    media_types: MediaTypes
    checksums: bool

    @property
    def docker(self) -> bool:
        """Whether the media types are Docker's."""
        return self.media_types == "docker"


@dataclass(frozen=True, slots=True)
class ImageUpload:
    """One image on its way into one repository."""

    image: Image
    repository: Repository
    prefix: str
    diff_ids: tuple[Digest, ...]

    def with_final_image(self) -> ImageUpload:
        """Return this with the configuration, which some sources have only after the layers were read."""
        image = self.image.with_config()
        return self if image is self.image else replace(self, image=image, diff_ids=diff_ids(image.config))

    def is_nondistributable(self, at: int) -> bool:
        """Whether a layer must not be distributed; with a new manifest it becomes an ordinary layer."""
        return bool(self.image.manifest) and self.image.layers[at].is_nondistributable

    def item(self, at: int) -> str:
        """The name of a layer in messages."""
        instruction = quotation(self.image.layers[at].created_by, _LONGEST_WORDS)
        words = f" ({instruction})" if instruction else ""
        return f"{self.prefix}layer {at + 1}/{len(self.image.layers)}{words}"

    def kind(self, at: int, wanted: Compression) -> Compression:
        """How to compress a layer; not at all if it is already compressed, or must not change."""
        return "none" if self.image.manifest or self.image.layers[at].compressed else wanted

    def seems_uncompressed(self, at: int) -> bool:
        """Whether a layer has a compressed media type, but its diff ID is the digest of its own bytes."""
        layer = self.image.layers[at]
        alike = layer.digest is not None and layer.digest == self.diff_id(at)
        return alike and layer.packed and not self.is_nondistributable(at)

    def small_layers(self) -> frozenset[int]:
        """The smallest layers, up to the total size that is decompressed in every image."""
        sizes = sorted((layer.size or 0, at) for at, layer in enumerate(self.image.layers) if layer.packed)
        sums = itertools.accumulate(size for size, _ in sizes)
        return frozenset(at for (_, at), sum_ in zip(sizes, sums, strict=True) if sum_ <= _VERIFIED_BYTES)

    def diff_id(self, at: int) -> Digest | None:
        """The diff ID of a layer, if its source or the configuration knows it."""
        known = self.image.layers[at].diff_id
        return known or (self.diff_ids[at] if at < len(self.diff_ids) else None)


class LayerSources:
    """Makes the bytes of layers, with the options and the threads of one push.

    Attributes:
        stop: set to end all readers.
    """

    def __init__(self, options: Options, memory: Memory | None, sink: Sink, meter: Meter) -> None:
        self.stop = threading.Event()
        self._options = options
        self._memory = memory
        self._sink = sink
        self._meter = meter
        self._pool = Pool(cores())

    def close(self) -> None:
        """End the threads."""
        self._pool.close()

    def compressor_key(self, kind: Compression) -> str:
        """Return the memory's key of this compression: library, version, level and size of blocks."""
        return f"{library(kind, self._options.level)}, level {self._options.level}, blocks of {BLOCK}"

    def compressor(self, reader: BinaryIO, kind: Compression, algorithm: str) -> Compressor:
        """Return the compressor of *reader* with this push's options and threads."""
        options = self._options
        return Compressor(
            reader,
            kind,
            options.level,
            checksums=options.checksums,
            algorithm=algorithm,
            pool=self._pool,
            meter=self._meter,
        )

    def known_result(self, work: ImageUpload, at: int) -> BlobInfo | None:
        """Return the result for a layer that is sent unchanged, if its source names it and no checksums are needed."""
        layer, diff_id = work.image.layers[at], work.diff_id(at)
        if self._options.checksums or layer.digest is None or layer.size is None or layer.digest.algorithm != "sha256":
            return None
        if not layer.compressed:  # then both are digests of the same bytes
            check_digests([diff_id or layer.digest], [layer.digest], f"the diff ID of {work.item(at)}")
        return BlobInfo(work.diff_id(at) or layer.digest, 0, layer.digest, layer.size)

    def read(self, reader: BinaryIO) -> bytes:
        """Return the next block of *reader*, and count it."""
        with self._meter.timing("read"):
            block = reader.read(BLOCK)
        self._meter.count("read", len(block))
        return block

    def report(self, item: str, done: int, total: int | None) -> None:
        """Report the progress of *item*; raise if the push was stopped."""
        if self.stop.is_set():
            message = "stopped"
            raise CancelledError(message)
        self._sink(Progress(item, done, total))

    def check_diff_id(self, sent: BlobInfo, work: ImageUpload, at: int) -> BlobInfo:
        """Return *sent* with the layer's diff ID, which must be the one that was known before."""
        diff_id, layer = work.diff_id(at), work.image.layers[at]
        if not layer.compressed and not needs_own_check(replace(layer, diff_id=diff_id)):
            if layer.learn:
                layer.learn(sent.diff_id)
            check_digests([diff_id or sent.diff_id], [sent.diff_id], f"the diff ID of {work.item(at)}")
            return sent
        if diff_id is None and not work.image.manifest:
            message = f"the diff ID of {work.item(at)} is not known"
            raise DigestError(
                message, hint="use a source that names the diff IDs of its layers, such as a registry or an OCI layout"
            )
        return replace(sent, diff_id=diff_id or sent.diff_id)

    def must_prove(self, work: ImageUpload, at: int) -> bool:
        """Return whether to check a layer's diff ID against its decompressed bytes, which costs time.

        We do where we are the first to write it into a manifest, or where the digest of the bytes is not known, unless
        it was done before. For an image that has a manifest, its author is responsible: only small layers are checked.
        """
        layer, diff_id, memory = work.image.layers[at], work.diff_id(at), self._memory
        if not needs_own_check(replace(layer, diff_id=diff_id)):
            return False
        if not layer.packed:  # its digest and its diff ID are by different algorithms
            return True
        if diff_id and layer.digest and memory and memory.proves(diff_id, layer.digest):
            return False
        return not (work.image.manifest and layer.digest) or at in work.small_layers()


class LayerSource:
    """A layer's bytes as they will be in the registry: read, compressed and hashed again at each iteration."""

    def __init__(
        self, sources: LayerSources, work: ImageUpload, at: int, kind: Compression, reader: BinaryIO | None
    ) -> None:
        self._sources = sources
        self._work = work
        self._at = at
        self.kind = kind
        self._reader = reader
        self.item = work.item(at)
        self.length = work.image.layers[at].size if kind == "none" else None
        self.result: BlobInfo | None = None

    def __iter__(self) -> Iterator[bytes]:
        self.result = None
        if self.kind == "none" and (known := self._sources.known_result(self._work, self._at)):
            yield from self._as_it_is(known)
            return
        total = self._work.image.layers[self._at].size
        with self._checked_reader() as reader:
            digest = self._work.image.layers[self._at].digest if self.kind == "none" else None
            compressor = self._sources.compressor(reader, self.kind, digest.algorithm if digest else "sha256")
            for block in compressor:
                self._sources.report(self.item, compressor.read, total)
                yield block
            result = compressor.result
        if result is None:  # it has one after the last block
            raise AssertionError
        self.result = self._sources.check_diff_id(result, self._work, self._at)

    def _as_it_is(self, known: BlobInfo) -> Iterator[bytes]:
        """Yield bytes whose digest is known, without hashing them: the registry checks it anyway."""
        done = 0
        with self._checked_reader() as reader:
            while block := self._sources.read(reader):
                done += len(block)
                self._sources.report(self.item, done, known.size)
                yield block
        self.result = known

    @contextmanager
    def _checked_reader(self) -> Iterator[BinaryIO]:
        """Yield a reader that checks the layer's size and diff ID before it returns the last bytes."""
        layer = replace(self._work.image.layers[self._at], diff_id=self._work.diff_id(self._at))
        with self._open() as reader:
            counted = check_size_of(reader, layer, self.item)
            proves = self._sources.must_prove(self._work, self._at)
            yield check_diff_id(counted, layer, self.item) if proves else counted

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        if self._reader is not None:
            reader, self._reader = self._reader, None
            yield reader
            return
        blobs = self._work.image.blobs([self._at])
        try:
            first = next(blobs, None)
            if first is None:
                message = f"the image's source gave no {self.item}"
                raise DigestError(message)
            yield first[1]
        finally:
            if isinstance(blobs, Generator):
                blobs.close()
