"""The layers and the configuration of an image on their way: what need not travel, what does, and what was learnt."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

from buildpush.foundation.errors import CancelledError, DigestError
from buildpush.foundation.events import Note, Progress, Sink
from buildpush.foundation.meter import Meter
from buildpush.foundation.records import dataclass
from buildpush.foundation.text import quotation
from buildpush.images.blocks import BLOCK
from buildpush.images.compression import Compressed, Compressing, library
from buildpush.images.decompression import HEAD
from buildpush.images.decompression import compression_of as compressed_with
from buildpush.images.manifests import check_digests, compression_of, diff_ids, layer_media_type
from buildpush.images.model import Compression, Fate, Image, Layer, MediaTypes, PushedBlob
from buildpush.images.pool import Pool
from buildpush.images.proof import check_diff_id, check_size_of, needs_own_check
from buildpush.images.references import Digest, Repository
from buildpush.registry.blobs import Bytes, Mount, find, mount
from buildpush.registry.client import Registry
from buildpush.registry.parts import Parts
from buildpush.registry.profile import LARGEST_PART
from buildpush.registry.upload import send

Value = TypeVar("Value")

# Parts that are under way, of all layers together: what memory is spent on, besides what is compressed ahead.
_UNDER_WAY = 16 * 1024 * 1024
_LONGEST_WORDS = 48
# Bytes of compressed layers that are unpacked of every image: about 50 ms of one core.
_LOOKED_AT = 4 * 1024 * 1024
# What the memory calls a layer that somebody else compressed.
_ELSEWHERE = "elsewhere"


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
class Work:
    """One image on its way into one repository."""

    image: Image
    repository: Repository
    prefix: str
    diff_ids: tuple[Digest, ...]

    def settled(self) -> Work:
        """Return it when its layers are there: some sources tell the configuration only behind them."""
        image = self.image.settled()
        return self if image is self.image else replace(self, image=image, diff_ids=diff_ids(image.config))

    def stays(self, at: int) -> bool:
        """Whether a layer may not be distributed; one that gets another manifest becomes one like others."""
        return bool(self.image.manifest) and self.image.layers[at].stays

    def item(self, at: int) -> str:
        """What a layer is called in messages."""
        said = quotation(self.image.layers[at].created_by, _LONGEST_WORDS)
        words = f" ({said})" if said else ""
        return f"{self.prefix}layer {at + 1}/{len(self.image.layers)}{words}"

    def kind(self, at: int, wanted: Compression) -> Compression:
        """How to compress a layer; not at all what is compressed, or must not change."""
        return "none" if self.image.manifest or self.image.layers[at].compressed else wanted

    def claims_to_be_plain(self, at: int) -> bool:
        """Whether a layer is called compressed, and its diff ID is the digest of the bytes as they are."""
        layer = self.image.layers[at]
        alike = layer.digest is not None and layer.digest == self.diff_id(at)
        return alike and layer.packed and not self.stays(at)

    def small(self) -> frozenset[int]:
        """The smallest layers, which are together as large as is looked at in every image."""
        sizes = sorted((layer.size or 0, at) for at, layer in enumerate(self.image.layers) if layer.packed)
        sums = itertools.accumulate(size for size, _ in sizes)
        return frozenset(at for (_, at), sum_ in zip(sizes, sums, strict=True) if sum_ <= _LOOKED_AT)

    def diff_id(self, at: int) -> Digest | None:
        """The diff ID of a layer, where its source or the configuration knows it."""
        known = self.image.layers[at].diff_id
        return known or (self.diff_ids[at] if at < len(self.diff_ids) else None)


class Layers:
    """The blobs of one push: its threads, and what it has learnt about the layers so far."""

    def __init__(self, registry: Registry, options: Options, sink: Sink, meter: Meter) -> None:
        self._registry = registry
        self._options = options
        self._sink = sink
        self._meter = meter
        self._at_once = 2
        self._refused: set[tuple[Repository, Repository]] = set()
        self._stop = threading.Event()
        self._learnt: dict[tuple[int, int], Compressed] = {}
        self._homes: dict[Digest, Repository] = {}
        self._mended: set[tuple[Repository, Digest]] = set()
        self._compressors = Pool(_cores())
        self._senders = ThreadPoolExecutor(registry.workers, "buildpush-send")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if error is not None:  # nobody waits for a layer of an image that will not be complete
            self._registry.http.cancel()
        self._senders.shutdown(cancel_futures=True)
        self._compressors.close()
        if isinstance(error, Exception) and not isinstance(error, CancelledError):
            self._registry.http.resume()

    def config(self, document: bytes, media_type: str, work: Work, algorithm: str = "sha256") -> PushedBlob:
        """Bring the configuration into the repository, under its digest by *algorithm*."""
        source = Bytes(document, checksums=self._options.checksums, algorithm=algorithm)
        known = source.known
        if self._present(work.repository, known):
            self._meter.count("skipped", known.size)
            return _pushed(known, media_type, "exists")
        self._send_config(source, work)
        return _pushed(known, media_type, "sent")

    def _send_config(self, source: Bytes, work: Work) -> Compressed:
        what, promised = f"{work.prefix}config", source.known.digest
        return send(self._registry, work.repository, Parts(source), what=what, promised=promised, meter=self._meter)

    def send(self, work: Work) -> tuple[PushedBlob, ...]:
        """Bring all layers into the repository; return them in the image's order.

        The registry is asked for all of them first; those that are missing travel at once where their source allows.
        """
        self._refuse_impossible(work)
        first_of: dict[object, int] = {}
        same_as = [first_of.setdefault(_identity(layer, at), at) for at, layer in enumerate(work.image.layers)]
        wanted = sorted(set(same_as))
        asked = self._all({at: self._senders.submit(self._without_bytes, work, at) for at in wanted})
        done = {at: blob for at, blob in asked.items() if isinstance(blob, PushedBlob)}
        begun = {at: blob.location for at, blob in asked.items() if isinstance(blob, Mount)}
        missing = [at for at in wanted if at not in done]
        self._at_once = max(2, min(len(missing), self._registry.workers))
        travel = self._in_parallel if work.image.random_access else self._in_turn
        done |= travel(missing, begun, work)
        return tuple(done[at] for at in same_as)

    def mend(self, work: Work, config: bytes, blobs: Sequence[PushedBlob]) -> None:
        """Send those of *blobs*, the configuration first, that the repository does not show, each once in a push.

        Raises:
            DigestError: a layer has become another by now, which the manifest does not name.
        """
        for at, blob in enumerate(blobs, -1):
            if (at >= 0 and work.stays(at)) or (work.repository, blob.digest) in self._mended:
                continue
            if find(self._registry, work.repository, blob.digest, blob.size) is None:
                self._mended.add((work.repository, blob.digest))
                what = f"{work.prefix}config" if at < 0 else work.item(at)
                self._sink(Note(f"{what} was confirmed and is not there any more: it is sent again"))
                again = (
                    self._send_config(Bytes(config, algorithm=blob.digest.algorithm), work)
                    if at < 0
                    else self._travel(work, at, None, None)
                )
                check_digests([blob.digest], [again.digest], f"the digest of {what}")

    def _refuse_impossible(self, work: Work) -> None:
        """Refuse layers that are compressed and say that they are not: their diff ID is the digest of these bytes.

        One that is only called compressed, as some tools do it, is what its diff ID says, and Docker takes it.
        """
        same = [at for at in range(len(work.image.layers)) if work.claims_to_be_plain(at)]
        for at, reader in work.image.blobs(same) if same else ():
            if compressed_with(reader.read(HEAD)):
                message = f"the diff ID of {work.item(at)} is the digest of its compressed bytes"
                raise DigestError(message, hint="no engine could unpack the image: build it again")

    def _in_parallel(
        self, missing: Collection[int], begun: Mapping[int, str | None], work: Work
    ) -> dict[int, PushedBlob]:
        return self._all({at: self._senders.submit(self._travel, work, at, None, begun.get(at)) for at in missing})

    def _in_turn(self, missing: Collection[int], begun: Mapping[int, str | None], work: Work) -> dict[int, PushedBlob]:
        """Send layers in the order in which their source gives them."""
        done: dict[int, PushedBlob] = {}
        for at, reader in work.image.blobs(missing) if missing else ():
            done |= self._all({at: self._senders.submit(self._travel, work, at, reader, begun.get(at))})
        if left := sorted(set(missing) - done.keys()):
            message = f"the image's source gave no layer {left[0] + 1}"
            raise DigestError(message)
        return done

    def _all(self, futures: Mapping[int, Future[Value]]) -> dict[int, Value]:
        """Return all results; the first failure ends the others."""
        try:
            finished, _ = wait(futures.values(), return_when=FIRST_EXCEPTION)
        except BaseException:
            # Ctrl-C or a time-out: threads that wait for the network must not be waited for.
            self._registry.http.cancel()
            raise
        failed = [error for future in finished if not future.cancelled() and (error := future.exception())]
        if failed:
            self._stop.set()
            raise next((error for error in failed if not isinstance(error, CancelledError)), failed[0])
        return {at: future.result() for at, future in futures.items()}

    def _without_bytes(self, work: Work, at: int) -> PushedBlob | Mount | None:
        """Return a layer that need not travel: the repository has it, or another one of the same registry.

        Returns:
            A mount that was not done may have begun an upload, in which the layer is to be sent.
        """
        known = self._known(work, at)
        if known is None:
            return None
        media_type, diff_id = self._media_type(work, at), work.diff_id(at) or known.diff_id
        if work.stays(at):
            return _pushed(known, media_type, "exists", diff_id)
        if there := self._present(work.repository, known):
            self._skipped(there, work, at)
            return _pushed(there, media_type, "exists", diff_id)
        mounted = self._mount(known, work, at)
        if mounted is None or not mounted.done:
            return mounted
        # Artifactory tells the checksums only when it is asked; what it took over is there, though it may show it late.
        there = (self._present(work.repository, known) if self._options.checksums else None) or known
        self._sink(Progress(work.item(at), known.size, known.size, "mounted"))
        self._meter.count("mounted", known.size)
        self._lies(known.digest, work.repository)
        return _pushed(there, media_type, "mounted", diff_id)

    def _skipped(self, there: Compressed, work: Work, at: int) -> None:
        """Take note of a layer that the repository has."""
        self._lies(there.digest, work.repository)
        self._sink(Progress(work.item(at), there.size, there.size, "exists"))
        self._meter.count("skipped", there.size)

    def _mount(self, known: Compressed, work: Work, at: int) -> Mount | None:
        """Ask for a blob from another repository of the same registry, where one is known to have it."""
        host, memory = work.repository.host, self._registry.memory
        home = self._homes.get(known.digest) or work.image.layers[at].repository
        if home is None or home.host != host:
            home = memory.find_home(host, known.digest) if memory else None
        if home is None or home == work.repository or (home, work.repository) in self._refused:
            return None
        mounted = mount(self._registry, work.repository, known.digest, home)
        if not mounted.done:  # it will not be another time either
            self._refused.add((home, work.repository))
        return mounted

    def _lies(self, digest: Digest, repository: Repository) -> None:
        """Remember that *repository* has the blob."""
        self._homes.setdefault(digest, repository)
        if self._registry.memory:
            self._registry.memory.keep_home(repository, digest)

    def _known(self, work: Work, at: int) -> Compressed | None:
        """Return what a layer will be in the registry, where that is known without reading it."""
        layer, diff_id = work.image.layers[at], work.diff_id(at)
        if learnt := self._learnt.get((id(work.image), at)):
            return learnt
        kind = work.kind(at, self._options.compression)
        if kind == "none":
            digest = layer.digest or (None if layer.compressed else diff_id)
            unknown = layer.compressed and diff_id is None and not work.image.manifest
            if digest and diff_id and not layer.compressed and digest.algorithm == diff_id.algorithm:
                check_digests([diff_id], [digest], f"the diff ID of {work.item(at)}")
            if digest is None or layer.size is None or unknown:
                return None
            return self._with_checksums(Compressed(diff_id or digest, 0, digest, layer.size))
        memory = self._registry.memory
        return memory.find(diff_id, self._made_by(kind)) if memory and diff_id else None

    def _with_checksums(self, known: Compressed) -> Compressed:
        memory = self._registry.memory
        found = memory.find_blob(known.digest) if memory and self._options.checksums else None
        return replace(known, sha1=found.sha1, md5=found.md5) if found else known

    def _present(self, repository: Repository, known: Compressed) -> Compressed | None:
        """Return *known* with what the registry says about it, or ``None`` if *repository* has it not."""
        stored = find(self._registry, repository, known.digest, known.size)
        if stored is None:
            return None
        if not self._options.checksums:
            return replace(known, sha1=None, md5=None)
        return replace(known, sha1=stored.sha1 or known.sha1, md5=stored.md5 or known.md5)

    def _travel(self, work: Work, at: int, reader: BinaryIO | None, begun: str | None) -> PushedBlob:
        """Send a layer's bytes; *reader* gives them the first time, the image itself from then on."""
        source = _LayerSource(self, work, at, work.kind(at, self._options.compression), reader)
        with closing(Parts(source)) as parts:
            return self._known_by_now(parts, work, at) or self._sent(source, parts, work, at, begun)

    def _sent(self, source: _LayerSource, parts: Parts, work: Work, at: int, begun: str | None) -> PushedBlob:
        kind = source.kind
        sent = send(
            self._registry,
            work.repository,
            parts,
            what=source.item,
            promised=work.image.layers[at].digest if kind == "none" else None,
            begun=begun,
            most=self._part(kind),
            meter=self._meter,
        )
        self._learn(sent, work, at)
        self._sink(Progress(source.item, sent.size, sent.size, "sent"))
        return _pushed(sent, self._media_type(work, at), "sent", sent.diff_id)

    def _part(self, kind: Compression) -> int:
        """Return how large a part may be: larger where nothing is compressed ahead."""
        return min(LARGEST_PART, (_UNDER_WAY if kind != "none" else 2 * _UNDER_WAY) // self._at_once)

    def _learn(self, layer: Compressed, work: Work, at: int) -> None:
        """Remember what a layer became, for the next repository of this push and for pushes to come."""
        self._learnt[id(work.image), at] = layer
        self._homes[layer.digest] = work.repository
        self._lies(layer.digest, work.repository)
        kind = work.kind(at, self._options.compression)
        if kind != "none" and self._registry.memory:
            self._registry.memory.keep(layer, self._made_by(kind))
        elif self.must_prove(work, at) and self._registry.memory:
            self._registry.memory.keep(layer, _ELSEWHERE)

    def _known_by_now(self, parts: Parts, work: Work, at: int) -> PushedBlob | None:
        """Make the first part of a layer; if that was all of it, ask for it before it is sent."""
        if self._known(work, at):  # it was asked for already
            return None
        parts.fill(self._part(work.kind(at, self._options.compression)))
        found = parts.result
        there = self._present(work.repository, found) if found else None
        if there is None:
            return None
        self._learn(there, work, at)
        self._skipped(there, work, at)
        return _pushed(there, self._media_type(work, at), "exists", there.diff_id)

    def checked(self, sent: Compressed, work: Work, at: int) -> Compressed:
        """Return *sent* with the layer's diff ID, after comparing it with the one that was known before."""
        diff_id, layer = work.diff_id(at), work.image.layers[at]
        if not layer.compressed and not needs_own_check(replace(layer, diff_id=diff_id)):
            if layer.learn:
                layer.learn(sent.diff_id)
            check_digests([diff_id or sent.diff_id], [sent.diff_id], f"the diff ID of {work.item(at)}")
            return sent
        if diff_id is None and not work.image.manifest:
            message = f"the diff ID of {work.item(at)} is not known"
            raise DigestError(message, hint="the source must tell it for layers that are compressed already")
        return replace(sent, diff_id=diff_id or sent.diff_id)

    def must_prove(self, work: Work, at: int) -> bool:
        """Return whether a layer's diff ID is held against what is in its compressed bytes, which costs time.

        It is where we are the first to say so in a manifest, or nobody says a digest of the bytes, and it was not done
        before. An image that came with its manifest is the word of somebody else: of that, what is small is looked at.
        """
        layer, diff_id, memory = work.image.layers[at], work.diff_id(at), self._registry.memory
        if not needs_own_check(replace(layer, diff_id=diff_id)):
            return False
        if not layer.packed:  # by the other algorithm
            return True
        if diff_id and layer.digest and memory and memory.proves(diff_id, layer.digest):
            return False
        return not (work.image.manifest and layer.digest) or at in work.small()

    def _media_type(self, work: Work, at: int) -> str:
        layer = work.image.layers[at]
        if work.image.manifest:
            return layer.media_type
        kind = compression_of(layer.media_type) if layer.compressed else self._options.compression
        return layer_media_type(kind, self._options.media_types)

    def _made_by(self, kind: Compression) -> str:
        return f"{library(kind, self._options.level)}, level {self._options.level}, blocks of {BLOCK}"

    def compressing(self, reader: BinaryIO, kind: Compression, algorithm: str) -> Compressing:
        """Return what compresses *reader* with this push's options and threads."""
        options = self._options
        return Compressing(
            reader,
            kind,
            options.level,
            checksums=options.checksums,
            algorithm=algorithm,
            pool=self._compressors,
            meter=self._meter,
        )

    def as_promised(self, work: Work, at: int) -> Compressed | None:
        """Return what a layer that is sent as it is will be, where its source says so and nobody wants checksums."""
        layer, diff_id = work.image.layers[at], work.diff_id(at)
        if self._options.checksums or layer.digest is None or layer.size is None or layer.digest.algorithm != "sha256":
            return None
        if not layer.compressed:  # then both are digests of the same bytes
            check_digests([diff_id or layer.digest], [layer.digest], f"the diff ID of {work.item(at)}")
        return Compressed(work.diff_id(at) or layer.digest, 0, layer.digest, layer.size)

    def read(self, reader: BinaryIO) -> bytes:
        """Return the next block of *reader*, and take note of it."""
        with self._meter.timing("read"):
            block = reader.read(BLOCK)
        self._meter.count("read", len(block))
        return block

    def passed(self, item: str, done: int, total: int | None) -> None:
        """Tell how far *item* is; raise if the push was stopped."""
        if self._stop.is_set():
            message = "stopped"
            raise CancelledError(message)
        self._sink(Progress(item, done, total))


class _LayerSource:
    """A layer's bytes as they will be in the registry: read, compressed and hashed anew at each iteration."""

    def __init__(self, layers: Layers, work: Work, at: int, kind: Compression, reader: BinaryIO | None) -> None:
        self._layers = layers
        self._work = work
        self._at = at
        self.kind = kind
        self._reader = reader
        self.item = work.item(at)
        self.length = work.image.layers[at].size if kind == "none" else None
        self.result: Compressed | None = None

    def __iter__(self) -> Iterator[bytes]:
        self.result = None
        if self.kind == "none" and (as_promised := self._layers.as_promised(self._work, self._at)):
            yield from self._as_it_is(as_promised)
            return
        total = self._work.image.layers[self._at].size
        with self._looked_at() as reader:
            digest = self._work.image.layers[self._at].digest if self.kind == "none" else None
            compressing = self._layers.compressing(reader, self.kind, digest.algorithm if digest else "sha256")
            for block in compressing:
                self._layers.passed(self.item, compressing.read, total)
                yield block
            found = compressing.result
        if found is None:  # it has one after the last block
            raise AssertionError
        self.result = self._layers.checked(found, self._work, self._at)

    def _as_it_is(self, promised: Compressed) -> Iterator[bytes]:
        """Give bytes whose digest is known: the registry computes it in any case, and nothing else wants it."""
        done = 0
        with self._looked_at() as reader:
            while block := self._layers.read(reader):
                done += len(block)
                self._layers.passed(self.item, done, promised.size)
                yield block
        self.result = promised

    @contextmanager
    def _looked_at(self) -> Iterator[BinaryIO]:
        """Give a reader that holds its bytes against what is said of them, before the last of them is sent."""
        layer = replace(self._work.image.layers[self._at], diff_id=self._work.diff_id(self._at))
        with self._opened() as reader:
            counted = check_size_of(reader, layer, self.item)
            proves = self._layers.must_prove(self._work, self._at)
            yield check_diff_id(counted, layer, self.item) if proves else counted

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        if self._reader is not None:
            reader, self._reader = self._reader, None
            yield reader
            return
        found = self._work.image.blobs([self._at])
        try:
            first = next(found, None)
            if first is None:
                message = f"the image's source gave no {self.item}"
                raise DigestError(message)
            yield first[1]
        finally:
            if isinstance(found, Generator):
                found.close()


def _pushed(found: Compressed, media_type: str, fate: Fate, diff_id: Digest | None = None) -> PushedBlob:
    return PushedBlob(found.digest, found.size, media_type, found.sha1, found.md5, diff_id, fate)


def _identity(layer: Layer, at: int) -> object:
    """What two layers must share to be sent once; a layer of which nothing is known is like no other."""
    known = layer.digest or layer.diff_id
    return (known, layer.media_type) if known else at


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
