"""Pushes the layers and the configuration of an image: what the registry does not have is sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from contextlib import closing
from dataclasses import replace
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

from buildpush.foundation.errors import CancelledError, DigestError
from buildpush.foundation.events import Note, Progress, Sink
from buildpush.foundation.interrupts import SLICE_SECONDS
from buildpush.foundation.meter import Meter
from buildpush.foundation.workers import Workers
from buildpush.images.compression import BlobInfo
from buildpush.images.decompression import HEAD
from buildpush.images.decompression import compression_of as compressed_with
from buildpush.images.manifests import check_digests, compression_of, layer_media_type
from buildpush.images.model import Compression, Fate, Layer, PushedBlob
from buildpush.images.references import Digest, Repository
from buildpush.registry.blobs import Bytes, MountResult, find, mount
from buildpush.registry.client import Registry
from buildpush.registry.layer_source import ImageUpload, LayerSource, LayerSources, Options
from buildpush.registry.parts import Parts
from buildpush.registry.profile import LARGEST_PART
from buildpush.registry.upload import send

FutureValue = TypeVar("FutureValue")

# Bytes of the parts in flight, of all layers together; what is compressed ahead takes memory as well.
_UNDER_WAY = 16 * 1024 * 1024
# The memory's key of a layer that another program compressed.
_COMPRESSED_ELSEWHERE = "elsewhere"


class Layers:
    """The blobs of one push: its threads, and what it has learnt about the layers so far."""

    def __init__(self, registry: Registry, options: Options, sink: Sink, meter: Meter) -> None:
        self._registry = registry
        self._options = options
        self._sink = sink
        self._meter = meter
        self._at_once = 2
        self._refused: set[tuple[Repository, Repository]] = set()
        self._results: dict[tuple[int, int], BlobInfo] = {}
        self._homes: dict[Digest, Repository] = {}
        self._resent: set[tuple[Repository, Digest]] = set()
        self._sources = LayerSources(options, registry.memory, sink, meter)
        self._senders = Workers(registry.workers, "buildpush-send")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._sources.stop.set()
            if error is not None:  # an image that will not be complete does not need its other layers
                self._registry.http.cancel()
            self._senders.shutdown(cancel_futures=True)
        finally:  # an interrupt may come while that waits
            self._sources.close()
        if isinstance(error, Exception) and not isinstance(error, CancelledError):
            self._registry.http.resume()

    def config(self, document: bytes, media_type: str, work: ImageUpload, algorithm: str = "sha256") -> PushedBlob:
        """Send the configuration to the repository, under its digest by *algorithm*."""
        source = Bytes(document, checksums=self._options.checksums, algorithm=algorithm)
        known = source.known
        if self._present(work.repository, known):
            self._meter.count("skipped", known.size)
            return _pushed_blob(known, media_type, "exists")
        self._send_config(source, work)
        return _pushed_blob(known, media_type, "sent")

    def _send_config(self, source: Bytes, work: ImageUpload) -> BlobInfo:
        what, promised = f"{work.prefix}config", source.known.digest
        return send(self._registry, work.repository, Parts(source), what=what, promised=promised, meter=self._meter)

    def send(self, work: ImageUpload) -> tuple[PushedBlob, ...]:
        """Send all layers to the repository; return them in the image's order.

        The registry is asked for all of them first; the missing ones are sent in parallel if their source allows it.
        """
        self._refuse_impossible(work)
        first_of: dict[object, int] = {}
        same_as = [first_of.setdefault(_identity(layer, at), at) for at, layer in enumerate(work.image.layers)]
        distinct = sorted(set(same_as))
        results = self._all({at: self._senders.submit(self._avoid_sending, work, at) for at in distinct})
        done = {at: blob for at, blob in results.items() if isinstance(blob, PushedBlob)}
        uploads = {at: blob.location for at, blob in results.items() if isinstance(blob, MountResult)}
        missing = [at for at in distinct if at not in done]
        for at in missing:
            self._sink(Progress(work.item(at), 0, work.image.layers[at].size, "waiting"))
        self._at_once = max(2, min(len(missing), self._registry.workers))
        if work.image.random_access:
            done |= self._all(
                {at: self._senders.submit(self._send_layer, work, at, None, uploads.get(at)) for at in missing}
            )
        else:
            done |= self._in_turn(missing, uploads, work)
        return tuple(done[at] for at in same_as)

    def resend_lost(self, work: ImageUpload, config: bytes, blobs: Sequence[PushedBlob]) -> None:
        """Send those of *blobs* again, configuration first, that the repository has lost, each once per push.

        Raises:
            DigestError: a layer has changed in the meantime, so that the manifest does not name it.
        """
        for at, blob in enumerate(blobs, -1):
            if (at >= 0 and work.is_nondistributable(at)) or (work.repository, blob.digest) in self._resent:
                continue
            if find(self._registry, work.repository, blob.digest, blob.size) is None:
                self._resent.add((work.repository, blob.digest))
                what = f"{work.prefix}config" if at < 0 else work.item(at)
                self._sink(Note(f"{what} was confirmed but has disappeared: it is sent again"))
                again = (
                    self._send_config(Bytes(config, algorithm=blob.digest.algorithm), work)
                    if at < 0
                    else self._send_layer(work, at, None, None)
                )
                check_digests([blob.digest], [again.digest], f"the digest of {what}")

    def _refuse_impossible(self, work: ImageUpload) -> None:
        """Refuse layers whose diff ID is the digest of their compressed bytes: no engine could unpack them.

        Some tools give an uncompressed layer the media type of a compressed one; Docker accepts it, as its diff ID is
        right.
        """
        suspects = [at for at in range(len(work.image.layers)) if work.seems_uncompressed(at)]
        for at, reader in work.image.blobs(suspects) if suspects else ():
            if compressed_with(reader.read(HEAD)):
                message = f"the diff ID of {work.item(at)} is the digest of its compressed bytes"
                raise DigestError(message, hint="no engine could unpack the image: build it again")

    def _in_turn(
        self, missing: Collection[int], uploads: Mapping[int, str | None], work: ImageUpload
    ) -> dict[int, PushedBlob]:
        """Send layers in the order in which their source gives them."""
        done: dict[int, PushedBlob] = {}
        for at, reader in work.image.blobs(missing) if missing else ():
            done |= self._all({at: self._senders.submit(self._send_layer, work, at, reader, uploads.get(at))})
        if lost := sorted(set(missing) - done.keys()):
            message = f"the image's source gave no layer {lost[0] + 1}"
            raise DigestError(message)
        return done

    def _all(self, futures: Mapping[int, Future[FutureValue]]) -> dict[int, FutureValue]:
        """Return all results; the first failure stops the others."""
        try:
            finished = _wait_for_all(futures.values())
        except BaseException:
            # Ctrl-C or a time-out: do not wait for threads that wait for the network.
            self._registry.http.cancel()
            raise
        failed = [error for future in finished if not future.cancelled() and (error := future.exception())]
        if failed:
            self._sources.stop.set()
            raise next((error for error in failed if not isinstance(error, CancelledError)), failed[0])
        return {at: future.result() for at, future in futures.items()}

    def _avoid_sending(self, work: ImageUpload, at: int) -> PushedBlob | MountResult | None:
        """Return a layer that need not be sent, since this repository has it, or can mount it from another one.

        Returns:
            The layer; the result of a refused mount, which may have begun an upload for it; or ``None``.
        """
        known = self._known(work, at)
        if known is None:
            return None
        media_type, diff_id = self._media_type(work, at), work.diff_id(at) or known.diff_id
        if work.is_nondistributable(at):
            return _pushed_blob(known, media_type, "exists", diff_id)
        if present := self._present(work.repository, known):
            self._count_skipped(present, work, at)
            return _pushed_blob(present, media_type, "exists", diff_id)
        mounted = self._mount(known, work, at)
        if mounted is None or not mounted.done:
            return mounted
        # Artifactory gives the checksums only on request; a mounted blob exists, though it may be visible late.
        present = (self._present(work.repository, known) if self._options.checksums else None) or known
        self._sink(Progress(work.item(at), known.size, known.size, "mounted"))
        self._meter.count("mounted", known.size)
        self._remember_home(known.digest, work.repository)
        return _pushed_blob(present, media_type, "mounted", diff_id)

    def _count_skipped(self, blob: BlobInfo, work: ImageUpload, at: int) -> None:
        """Record a layer that the repository has."""
        self._remember_home(blob.digest, work.repository)
        self._sink(Progress(work.item(at), blob.size, blob.size, "exists"))
        self._meter.count("skipped", blob.size)

    def _mount(self, known: BlobInfo, work: ImageUpload, at: int) -> MountResult | None:
        """Mount a blob from another repository of the same registry, if one is known to have it."""
        host, memory = work.repository.host, self._registry.memory
        home = self._homes.get(known.digest) or work.image.layers[at].repository
        if home is None or home.host != host:
            home = memory.find_home(host, known.digest) if memory else None
        if home is None or home == work.repository or (home, work.repository) in self._refused:
            return None
        mounted = mount(self._registry, work.repository, known.digest, home)
        if not mounted.done:  # a later attempt would fail as well
            self._refused.add((home, work.repository))
        return mounted

    def _remember_home(self, digest: Digest, repository: Repository) -> None:
        """Remember that *repository* has the blob."""
        self._homes.setdefault(digest, repository)
        if self._registry.memory:
            self._registry.memory.keep_home(repository, digest)

    def _known(self, work: ImageUpload, at: int) -> BlobInfo | None:
        """Return what a layer will be in the registry, if that is known without reading it."""
        layer, diff_id = work.image.layers[at], work.diff_id(at)
        if result := self._results.get((id(work.image), at)):
            return result
        kind = work.kind(at, self._options.compression)
        if kind == "none":
            digest = layer.digest or (None if layer.compressed else diff_id)
            unknown = layer.compressed and diff_id is None and not work.image.manifest
            if digest and diff_id and not layer.compressed and digest.algorithm == diff_id.algorithm:
                check_digests([diff_id], [digest], f"the diff ID of {work.item(at)}")
            if digest is None or layer.size is None or unknown:
                return None
            return self._with_checksums(BlobInfo(diff_id or digest, 0, digest, layer.size))
        memory = self._registry.memory
        return memory.find(diff_id, self._sources.compressor_key(kind)) if memory and diff_id else None

    def _with_checksums(self, known: BlobInfo) -> BlobInfo:
        memory = self._registry.memory
        blob = memory.find_blob(known.digest) if memory and self._options.checksums else None
        return replace(known, sha1=blob.sha1, md5=blob.md5) if blob else known

    def _present(self, repository: Repository, known: BlobInfo) -> BlobInfo | None:
        """Return *known* with what the registry says about it, or ``None`` if *repository* does not have it."""
        stored = find(self._registry, repository, known.digest, known.size)
        if stored is None:
            return None
        if not self._options.checksums:
            return replace(known, sha1=None, md5=None)
        return replace(known, sha1=stored.sha1 or known.sha1, md5=stored.md5 or known.md5)

    def _send_layer(self, work: ImageUpload, at: int, reader: BinaryIO | None, location: str | None) -> PushedBlob:
        """Send a layer's bytes, from *reader* at the first attempt, and from the image itself after that."""
        source = LayerSource(self._sources, work, at, work.kind(at, self._options.compression), reader)
        with closing(Parts(source)) as parts:
            return self._find_small(parts, work, at) or self._send_bytes(source, parts, work, at, location)

    def _send_bytes(
        self, source: LayerSource, parts: Parts, work: ImageUpload, at: int, location: str | None
    ) -> PushedBlob:
        kind = source.kind
        sent = send(
            self._registry,
            work.repository,
            parts,
            what=source.item,
            promised=work.image.layers[at].digest if kind == "none" else None,
            location=location,
            most=self._part(kind),
            meter=self._meter,
        )
        self._remember(sent, work, at)
        self._sink(Progress(source.item, sent.size, sent.size, "sent"))
        return _pushed_blob(sent, self._media_type(work, at), "sent", sent.diff_id)

    def _part(self, kind: Compression) -> int:
        """Return how large a part may be: larger where nothing is compressed ahead."""
        return min(LARGEST_PART, (_UNDER_WAY if kind != "none" else 2 * _UNDER_WAY) // self._at_once)

    def _remember(self, layer: BlobInfo, work: ImageUpload, at: int) -> None:
        """Remember the result of a layer, for the next repository of this push and for later pushes."""
        self._results[id(work.image), at] = layer
        self._homes[layer.digest] = work.repository
        self._remember_home(layer.digest, work.repository)
        kind = work.kind(at, self._options.compression)
        if kind != "none" and self._registry.memory:
            self._registry.memory.keep(layer, self._sources.compressor_key(kind))
        elif self._sources.must_prove(work, at) and self._registry.memory:
            self._registry.memory.keep(layer, _COMPRESSED_ELSEWHERE)

    def _find_small(self, parts: Parts, work: ImageUpload, at: int) -> PushedBlob | None:
        """Read the first part of a layer; if that is all of it, ask whether the registry has it before sending it."""
        if self._known(work, at):  # the registry was asked already
            return None
        parts.fill(self._part(work.kind(at, self._options.compression)))
        result = parts.result
        present = self._present(work.repository, result) if result else None
        if present is None:
            return None
        self._remember(present, work, at)
        self._count_skipped(present, work, at)
        return _pushed_blob(present, self._media_type(work, at), "exists", present.diff_id)

    def _media_type(self, work: ImageUpload, at: int) -> str:
        layer = work.image.layers[at]
        if work.image.manifest:
            return layer.media_type
        kind = compression_of(layer.media_type) if layer.compressed else self._options.compression
        return layer_media_type(kind, self._options.media_types)


def _wait_for_all(futures: Collection[Future[FutureValue]]) -> set[Future[FutureValue]]:
    """Wait until one has failed or all have ended, and return those that have ended; an interrupt ends the wait."""
    while True:
        done, waiting = wait(futures, timeout=SLICE_SECONDS, return_when=FIRST_EXCEPTION)
        if not waiting or any(future.cancelled() or future.exception() for future in done):
            return done


def _pushed_blob(blob: BlobInfo, media_type: str, fate: Fate, diff_id: Digest | None = None) -> PushedBlob:
    return PushedBlob(blob.digest, blob.size, media_type, blob.sha1, blob.md5, diff_id, fate)


def _identity(layer: Layer, at: int) -> object:
    """The key of a layer, so that equal layers are sent once; a layer without a known digest equals no other."""
    known = layer.digest or layer.diff_id
    return (known, layer.media_type) if known else at
