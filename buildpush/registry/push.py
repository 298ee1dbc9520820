"""One image or index into registries: every blob first, in parallel, the manifest last, a receipt at the end."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import BinaryIO, Self, TypeVar

from buildpush.errors import (
    AuthenticationError,
    BuildPushError,
    CancelledError,
    DigestError,
    PushError,
    RegistryError,
    UnreachableError,
)
from buildpush.events import Note, Progress, Sink, ignore
from buildpush.images.compression import BLOCK, Compressed, Compressing, digest_of, library
from buildpush.images.manifests import (
    Descriptor,
    check_digests,
    compression_of,
    diff_ids,
    image_manifest,
    index_manifest,
    layer_media_type,
    read_manifest,
    with_diff_ids,
)
from buildpush.images.model import (
    DOCKER_CONFIG,
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    Compression,
    Fate,
    Image,
    Index,
    Layer,
    MediaTypes,
    PushedBlob,
    PushedImage,
    PushedIndex,
)
from buildpush.images.references import Digest, Reference, Repository
from buildpush.registry.client import REPOSITORY_KEY_HEADER, Registry, refusal
from buildpush.registry.upload import Bytes, find, mount, send

Value = TypeVar("Value")
_NOT_ALLOWED = 405
# A compressed layer up to this size is made before it is sent, to ask whether the registry has it.
_SMALL = 4 * 1024 * 1024
_LONGEST_WORDS = 48


def push(
    target: Image | Index,
    references: Sequence[Reference],
    registry: Registry,
    *,
    compression: Compression = "gzip",
    level: int = 1,
    media_types: MediaTypes = "oci",
    checksums: bool = True,
    sink: Sink = ignore,
) -> PushedImage | PushedIndex:
    """Send *target*, let every reference name it, and return what the registry confirmed.

    Args:
        target: an image that came with a manifest is sent byte for byte.
        references: what it will be called; all tags of a repository come from one upload.
        registry: to send with.
        compression: of layers that are not compressed yet.
        level: of the compression.
        media_types: of the manifest, unless it came with one.
        checksums: whether sha1 and md5 are wanted, for build-info.
        sink: told how far each blob is.

    Raises:
        DigestError: bytes are not those that were promised; no tag was moved.
        RegistryError: the registry says no; the message says which tags were moved.
        UnreachableError: there is no answer any more.
        AuthenticationError: the credentials are refused.
        CancelledError: the push was interrupted.
    """
    layer_media_type(compression, media_types)  # refuses what does not go together, before anything is sent
    options = _Options(compression, level, media_types, checksums)
    with _Delivery(registry, options, sink) as delivery:
        if isinstance(target, Index):
            return delivery.index(target, references)
        return delivery.image(target, references)


@dataclass(frozen=True, slots=True)
class _Options:
    compression: Compression
    level: int
    media_types: MediaTypes
    checksums: bool

    @property
    def docker(self) -> bool:
        return self.media_types == "docker"


@dataclass(frozen=True, slots=True)
class _Parts:
    """An image whose blobs are all in one repository."""

    manifest: bytes
    media_type: str
    config: PushedBlob
    config_document: bytes
    layers: tuple[PushedBlob, ...]

    @property
    def digest(self) -> Digest:
        return digest_of(self.manifest)


@dataclass(frozen=True, slots=True)
class _Work:
    """One image on its way into one repository."""

    image: Image
    repository: Repository
    prefix: str
    diff_ids: tuple[Digest, ...]

    def item(self, at: int) -> str:
        """What a layer is called in messages."""
        said = " ".join(self.image.layers[at].created_by.split())
        words = f" ({said[:47]}…)" if len(said) > _LONGEST_WORDS else f" ({said})" if said else ""
        return f"{self.prefix}layer {at + 1}/{len(self.image.layers)}{words}"

    def kind(self, at: int, wanted: Compression) -> Compression:
        """How to compress a layer; not at all what is compressed, or must not change."""
        return "none" if self.image.manifest or self.image.layers[at].compressed else wanted

    def diff_id(self, at: int) -> Digest | None:
        """The diff ID of a layer, where its source or the configuration knows it."""
        known = self.image.layers[at].diff_id
        return known or (self.diff_ids[at] if at < len(self.diff_ids) else None)


class _Delivery:
    """One call of :func:`push`: its options, its threads, and what it has learnt about the layers."""

    def __init__(self, registry: Registry, options: _Options, sink: Sink) -> None:
        self._registry = registry
        self._options = options
        self._sink = sink
        self._stop = threading.Event()
        self._learnt: dict[tuple[int, int], Compressed] = {}
        self._homes: dict[Digest, Repository] = {}
        self._compressors = ThreadPoolExecutor(_cores(), "buildpush-compress")
        self._senders = ThreadPoolExecutor(registry.workers, "buildpush-send")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._stop.set()
        if error is not None and not isinstance(error, BuildPushError):
            # Ctrl-C, most likely: threads that wait for the network must not be waited for.
            self._registry.http.cancel()
        self._senders.shutdown(cancel_futures=True)
        self._compressors.shutdown(cancel_futures=True)

    def image(self, image: Image, references: Sequence[Reference]) -> PushedImage:
        receipts = []
        for repository, names in _by_repository(references).items():
            parts = self._parts(image, repository)
            key = self._name_all(parts.manifest, parts.media_type, names)
            receipts.append(_receipt(image, parts, names, key))
        return replace(receipts[0], references=tuple(references))

    def index(self, index: Index, references: Sequence[Reference]) -> PushedIndex:
        receipts = [
            self._index_in(index, repository, names) for repository, names in _by_repository(references).items()
        ]
        return replace(receipts[0], references=tuple(references))

    def _index_in(self, index: Index, repository: Repository, names: list[Reference]) -> PushedIndex:
        images = []
        for image in index.images:
            parts = self._parts(image, repository, f"{image.platform} ")
            name = repository.at(parts.digest)
            key = self._name_all(parts.manifest, parts.media_type, [name])
            images.append(_receipt(image, parts, [name], key))
        media_type = index.manifest_type if index.manifest else DOCKER_INDEX if self._options.docker else OCI_INDEX
        found = [Descriptor(one.media_type, one.digest, len(one.manifest), one.platform) for one in images]
        manifest = index.manifest or index_manifest(found, media_type)
        named = [one.digest for one in read_manifest(manifest, media_type).manifests]
        check_digests(named, [one.digest for one in images], "the digests in the index")
        key = self._name_all(manifest, media_type, names)
        return PushedIndex(manifest, media_type, digest_of(manifest), tuple(names), tuple(images), key)

    # Blobs

    def _parts(self, image: Image, repository: Repository, prefix: str = "") -> _Parts:
        """Bring all blobs of *image* into *repository*."""
        work = _Work(image, repository, prefix, diff_ids(image.config))
        layers = self._layers(work)
        if image.manifest:
            return self._unchanged(work, image.manifest, layers)
        found = [layer.diff_id for layer in layers if layer.diff_id]
        document = image.config if work.diff_ids else with_diff_ids(image.config, found)
        check_digests(work.diff_ids or found, found, "the diff IDs in the configuration")
        config = self._config(document, DOCKER_CONFIG if self._options.docker else OCI_CONFIG, work)
        media_type = DOCKER_MANIFEST if self._options.docker else OCI_MANIFEST
        manifest = image_manifest(_described(config), [_described(layer) for layer in layers], media_type)
        return _Parts(manifest, media_type, config, document, layers)

    def _unchanged(self, work: _Work, manifest: bytes, layers: tuple[PushedBlob, ...]) -> _Parts:
        """Bring in the rest of an image that came with its manifest."""
        named = read_manifest(manifest, work.image.manifest_type)
        if named.config is None:
            message = "an image's manifest names a configuration, this one is an index"
            raise DigestError(message)
        check_digests([one.digest for one in named.layers], [one.digest for one in layers], "the manifest's digests")
        check_digests([named.config.digest], [digest_of(work.image.config)], "the configuration's digest")
        config = self._config(work.image.config, named.config.media_type, work)
        return _Parts(manifest, work.image.manifest_type, config, work.image.config, layers)

    def _config(self, document: bytes, media_type: str, work: _Work) -> PushedBlob:
        source = Bytes(document, checksums=self._options.checksums)
        known = source.known
        if self._present(work.repository, known):
            return _pushed(known, media_type, "exists")
        send(self._registry, work.repository, source, what=f"{work.prefix}config", promised=known.digest)
        return _pushed(known, media_type, "sent")

    def _layers(self, work: _Work) -> tuple[PushedBlob, ...]:
        first_of: dict[object, int] = {}
        same_as = [first_of.setdefault(_identity(layer, at), at) for at, layer in enumerate(work.image.layers)]
        wanted = sorted(set(same_as))
        done = self._in_parallel(wanted, work) if work.image.random_access else self._in_turn(wanted, work)
        return tuple(done[at] for at in same_as)

    def _in_parallel(self, wanted: Collection[int], work: _Work) -> dict[int, PushedBlob]:
        return self._all({at: self._senders.submit(self._layer, work, at) for at in wanted})

    def _in_turn(self, wanted: Collection[int], work: _Work) -> dict[int, PushedBlob]:
        """Ask for all layers at once, then send the missing ones in the order in which their source gives them."""
        there = self._all({at: self._senders.submit(self._without_bytes, work, at) for at in wanted})
        done = {at: blob for at, blob in there.items() if blob}
        missing = [at for at in wanted if at not in done]
        for at, reader in work.image.blobs(missing) if missing else ():
            done[at] = self._all({at: self._senders.submit(self._travel, work, at, reader)})[at]
        if left := sorted(set(missing) - done.keys()):
            message = f"the image's source gave no layer {left[0] + 1}"
            raise DigestError(message)
        return done

    def _all(self, futures: Mapping[int, Future[Value]]) -> dict[int, Value]:
        """Return all results; the first failure ends the others."""
        finished, _ = wait(futures.values(), return_when=FIRST_EXCEPTION)
        failed = [error for future in finished if not future.cancelled() and (error := future.exception())]
        if failed:
            self._stop.set()
            raise next((error for error in failed if not isinstance(error, CancelledError)), failed[0])
        return {at: future.result() for at, future in futures.items()}

    def _layer(self, work: _Work, at: int) -> PushedBlob:
        return self._without_bytes(work, at) or self._travel(work, at, None)

    def _without_bytes(self, work: _Work, at: int) -> PushedBlob | None:
        """Return a layer that need not travel: the repository has it, or another one of the same registry."""
        known = self._known(work, at)
        if known is None:
            return None
        item, media_type, diff_id = work.item(at), self._media_type(work, at), work.diff_id(at) or known.diff_id
        if "nondistributable" in media_type or "foreign" in media_type:
            return _pushed(known, media_type, "exists", diff_id)
        if there := self._present(work.repository, known):
            self._homes.setdefault(known.digest, work.repository)
            self._sink(Progress(item, known.size, known.size, "exists"))
            return _pushed(there, media_type, "exists", diff_id)
        home = self._homes.get(known.digest) or work.image.layers[at].repository
        if home is None or home.host != work.repository.host or home == work.repository:
            return None
        if not mount(self._registry, work.repository, known.digest, home):
            return None
        self._sink(Progress(item, known.size, known.size, "mounted"))
        # Artifactory tells the checksums only when it is asked.
        return _pushed(self._present(work.repository, known) or known, media_type, "mounted", diff_id)

    def _known(self, work: _Work, at: int) -> Compressed | None:
        """Return what a layer will be in the registry, where that is known without reading it."""
        layer, diff_id = work.image.layers[at], work.diff_id(at)
        if learnt := self._learnt.get((id(work.image), at)):
            return learnt
        kind = work.kind(at, self._options.compression)
        if kind == "none":
            digest = layer.digest or (None if layer.compressed else diff_id)
            unknown = layer.compressed and diff_id is None and not work.image.manifest
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
        stored = find(self._registry, repository, known.digest)
        if stored is None or stored.size not in {known.size, None}:
            return None
        if not self._options.checksums:
            return replace(known, sha1=None, md5=None)
        return replace(known, sha1=stored.sha1 or known.sha1, md5=stored.md5 or known.md5)

    def _travel(self, work: _Work, at: int, reader: BinaryIO | None) -> PushedBlob:
        """Send a layer's bytes; *reader* gives them the first time, the image itself from then on."""
        kind = work.kind(at, self._options.compression)
        source = _LayerSource(self, work, at, kind, reader)
        if kind != "none" and (there := self._known_by_now(source, work, at)):
            return there
        promised = work.image.layers[at].digest if kind == "none" else None
        sent = send(self._registry, work.repository, source, what=source.item, promised=promised)
        sent = self._checked(sent, work, at)
        self._learn(sent, work, at)
        self._sink(Progress(source.item, sent.size, sent.size, "sent"))
        return _pushed(sent, self._media_type(work, at), "sent", sent.diff_id)

    def _learn(self, layer: Compressed, work: _Work, at: int) -> None:
        """Remember what a layer became, for the next repository of this push and for pushes to come."""
        self._learnt[id(work.image), at] = layer
        self._homes[layer.digest] = work.repository
        kind = work.kind(at, self._options.compression)
        if kind != "none" and self._registry.memory:
            self._registry.memory.keep(layer, self._made_by(kind))

    def _known_by_now(self, source: _LayerSource, work: _Work, at: int) -> PushedBlob | None:
        """Compress the beginning of a layer; if that was all of it, ask for it before it is sent."""
        found = source.look_ahead(_SMALL)
        there = self._present(work.repository, self._checked(found, work, at)) if found else None
        if there is None:
            return None
        self._learn(there, work, at)
        self._sink(Progress(source.item, there.size, there.size, "exists"))
        return _pushed(there, self._media_type(work, at), "exists", there.diff_id)

    def _checked(self, sent: Compressed, work: _Work, at: int) -> Compressed:
        """Return *sent* with the layer's diff ID, after comparing it with the one that was known before."""
        diff_id = work.diff_id(at)
        if not work.image.layers[at].compressed:
            check_digests([diff_id or sent.diff_id], [sent.diff_id], f"the diff ID of {work.item(at)}")
            return sent
        if diff_id is None and not work.image.manifest:
            message = f"the diff ID of {work.item(at)} is not known"
            raise DigestError(message, hint="the source must tell it for layers that are compressed already")
        return replace(sent, diff_id=diff_id or sent.diff_id)

    def _media_type(self, work: _Work, at: int) -> str:
        layer = work.image.layers[at]
        if work.image.manifest:
            return layer.media_type
        kind = compression_of(layer.media_type) if layer.compressed else self._options.compression
        return layer_media_type(kind, self._options.media_types)

    def _made_by(self, kind: Compression) -> str:
        return f"{library(kind, self._options.level)}, level {self._options.level}, blocks of {BLOCK}"

    def compressing(self, reader: BinaryIO, kind: Compression) -> Compressing:
        """Return what compresses *reader* with this push's options and threads."""
        options = self._options
        return Compressing(reader, kind, options.level, checksums=options.checksums, pool=self._compressors)

    def passed(self, item: str, done: int, total: int | None) -> None:
        """Tell how far *item* is; raise if the push was stopped."""
        if self._stop.is_set():
            message = "stopped"
            raise CancelledError(message)
        self._sink(Progress(item, done, total))

    # Names

    def _name_all(self, manifest: bytes, media_type: str, names: Sequence[Reference]) -> str | None:
        """Let every name stand for *manifest*, one by one; return Artifactory's repository key."""
        key: str | None = None
        named: list[Reference] = []
        failed: dict[Reference, PushError | AuthenticationError] = {}
        for name in names:
            try:
                key = self._name(manifest, media_type, name)
                named.append(name)
            except (PushError, AuthenticationError) as error:
                failed[name] = error
                if isinstance(error, AuthenticationError | UnreachableError):
                    break
        if failed:
            left = [name for name in names if name not in named and name not in failed]
            raise _partly(named, failed, left)
        return key

    def _name(self, manifest: bytes, media_type: str, name: Reference) -> str | None:
        digest, repository = digest_of(manifest), name.repository
        headers = {"Content-Type": media_type}
        answer = self._registry.request(repository, "PUT", f"manifests/{name.target}", headers=headers, body=manifest)
        if not answer.ok:
            raise refusal(answer, f"{name} was not taken")
        _check_answer(answer.headers, digest, name)
        return self._confirmed(digest, media_type, name)

    def _confirmed(self, digest: Digest, media_type: str, name: Reference) -> str | None:
        headers = {"Accept": media_type}
        answer = self._registry.request(name.repository, "HEAD", f"manifests/{name.target}", headers=headers)
        if answer.status == _NOT_ALLOWED:
            answer = self._registry.request(name.repository, "GET", f"manifests/{name.target}", headers=headers)
        if not answer.ok:
            raise refusal(answer, f"{name} was pushed and is not there")
        try:
            _check_answer(answer.headers, digest, name)
        except DigestError:
            # Somebody may have pushed the same tag in this moment; then ours is there under its digest.
            ours = self._registry.request(name.repository, "HEAD", f"manifests/{digest}", headers=headers)
            if not ours.ok:
                raise
            self._sink(Note(f"{name} was pushed as {digest}, and names another image by now"))
        return answer.headers.get(REPOSITORY_KEY_HEADER)


class _LayerSource:
    """A layer's bytes as they will be in the registry: read, compressed and hashed anew at each iteration."""

    def __init__(self, delivery: _Delivery, work: _Work, at: int, kind: Compression, reader: BinaryIO | None) -> None:
        self._delivery = delivery
        self._work = work
        self._at = at
        self._kind = kind
        self._reader = reader
        self._begun: Iterator[bytes] | None = None
        self.item = work.item(at)
        self.length = work.image.layers[at].size if kind == "none" else None
        self.result: Compressed | None = None

    def __iter__(self) -> Iterator[bytes]:
        begun, self._begun = self._begun, None
        return self._blocks() if begun is None else begun

    def look_ahead(self, most: int) -> Compressed | None:
        """Make up to *most* bytes, or a little more, for the next iteration; say what they are if that was all."""
        blocks, held, size = self._blocks(), [], 0
        for block in blocks:
            held.append(block)
            size += len(block)
            if size > most:
                break
        self._begun = chain(held, blocks)
        self.length = self.result.size if self.result else self.length
        return self.result

    def _blocks(self) -> Iterator[bytes]:
        self.result = None
        total = self._work.image.layers[self._at].size
        with self._opened() as reader:
            compressing = self._delivery.compressing(reader, self._kind)
            for block in compressing:
                self._delivery.passed(self.item, compressing.read, total)
                yield block
            self.result = compressing.result

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


def _described(blob: PushedBlob) -> Descriptor:
    return Descriptor(blob.media_type, blob.digest, blob.size)


def _receipt(image: Image, parts: _Parts, names: Sequence[Reference], key: str | None) -> PushedImage:
    return PushedImage(
        parts.manifest,
        parts.media_type,
        parts.digest,
        tuple(names),
        parts.config,
        parts.config_document,
        parts.layers,
        image.platform,
        key,
    )


def _by_repository(references: Sequence[Reference]) -> dict[Repository, list[Reference]]:
    if not references:
        message = "a push needs at least one reference"
        raise PushError(message)
    found: dict[Repository, list[Reference]] = {}
    for reference in references:
        found.setdefault(reference.repository, []).append(reference)
    return found


def _identity(layer: Layer, at: int) -> object:
    """What two layers must share to be sent once; a layer of which nothing is known is like no other."""
    known = layer.digest or layer.diff_id
    return (known, layer.media_type) if known else at


def _check_answer(headers: Mapping[str, str], digest: Digest, name: Reference) -> None:
    says = headers.get("Docker-Content-Digest", str(digest))
    if says != str(digest):
        message = f"{name} names {says}, but {digest} was pushed"
        raise DigestError(message, hint="a proxy in between changes what it passes on, or somebody pushed the same tag")


def _partly(
    named: Sequence[Reference], failed: Mapping[Reference, PushError | AuthenticationError], left: Sequence[Reference]
) -> PushError | AuthenticationError:
    """Return the first error, saying of every name what became of it."""
    errors = list(failed.values())
    if not named and not left and len(errors) == 1:
        return errors[0]
    words = [f"{name} failed: {error}" for name, error in failed.items()]
    words += [f"{name} is pushed" for name in named] + [f"{name} was not tried" for name in left]
    message = "; ".join(words)
    first = errors[0]
    if isinstance(first, RegistryError):
        return RegistryError(message, status=first.status, code=first.code, hint=first.hint)
    return type(first)(message, hint=first.hint)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
