"""Pushes one image or index: every blob first, in parallel, and the manifest last; returns a receipt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from buildpush.foundation.errors import (
    AuthenticationError,
    CancelledError,
    DigestError,
    ElsewhereError,
    PushError,
    RegistryError,
    UnreachableError,
)
from buildpush.foundation.events import Note, Sink, ignore
from buildpush.foundation.meter import Meter
from buildpush.foundation.records import dataclass
from buildpush.images.compression import digest_of
from buildpush.images.manifests import (
    Descriptor,
    algorithms,
    check_digests,
    diff_ids,
    image_manifest,
    index_manifest,
    layer_media_type,
    note_of_missing_layers,
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
    Image,
    Index,
    MediaTypes,
    PushedBlob,
    PushedImage,
    PushedIndex,
)
from buildpush.images.references import Digest, Reference, Repository, Tag
from buildpush.images.referrers import Referrer, extend_list, list_tag, subject_of
from buildpush.registry.client import Registry
from buildpush.registry.layer_source import ImageUpload, Options
from buildpush.registry.layers import Layers
from buildpush.registry.naming import Naming
from buildpush.registry.referrers import read_list

Receipt = TypeVar("Receipt", PushedImage, PushedIndex)
Before = Callable[[PushedImage | PushedIndex], None]
PushFailure = PushError | AuthenticationError


def _ignore_receipt(_receipt: PushedImage | PushedIndex) -> None:
    """Report nothing."""


def _resend_nothing() -> None:
    """Send nothing: no blobs are at hand."""


def push(
    target: Image | Index,
    references: Sequence[Reference],
    registry: Registry,
    *,
    compression: Compression = "gzip",
    level: int = 1,
    media_types: MediaTypes = "oci",
    checksums: bool = True,
    referrers: Sequence[Referrer] = (),
    before: Before = _ignore_receipt,
    sink: Sink = ignore,
) -> PushedImage | PushedIndex:
    """Send *target*, write its manifest under every reference, and return what the registry confirmed.

    Args:
        target: an image that came with a manifest is sent byte for byte.
        references: its names; all tags of a repository share one upload.
        registry: to send with.
        compression: of layers that are not compressed yet.
        level: of the compression.
        media_types: of the manifest, unless it came with one.
        checksums: whether sha1 and md5 are needed, for build-info.
        referrers: of *target*; all of them are sent before any name changes.
        before: called once with the future receipt, when every blob is there, and no manifest of *target* is sent yet.
            An error in it ends the push.
        sink: gets the progress of each blob.

    Raises:
        DigestError: bytes do not match their digest; no tag was changed.
        RegistryError: the registry refuses; the message says which tags were changed.
        UnreachableError: the registry stopped answering.
        AuthenticationError: the credentials are refused.
        CancelledError: the push was interrupted.
    """
    layer_media_type(compression, media_types)  # refuses incompatible options, before anything is sent
    options = Options(compression, level, media_types, checksums)
    meter = Meter()
    try:
        with Layers(registry, options, sink, meter) as layers:
            delivery = _Delivery(registry, options, layers, sink, referrers, before=_call_once(before, references))
            if note := note_of_missing_layers(target):
                sink(Note(note))
            if isinstance(target, Index):
                return delivery.index(target, references)
            return delivery.image(target, references)
    finally:
        sink(meter.traffic)


def name(
    manifest: bytes, media_type: str, names: Sequence[Reference], registry: Registry, sink: Sink = ignore
) -> str | None:
    """Write *manifest*, whose blobs are in its repository, under all *names*; return Artifactory's repository key.

    Raises:
        RegistryError: the registry refuses; the message says which names were written.
        UnreachableError: the registry stopped answering.
        AuthenticationError: the credentials are refused.
    """
    options = Options("none", 1, "oci", checksums=False)
    with Layers(registry, options, sink, Meter()) as layers:
        return _Delivery(registry, options, layers, sink).names(manifest, media_type, names)


@dataclass(frozen=True, slots=True)
class _UploadedImage:
    """An image whose blobs are all in one repository."""

    manifest: bytes
    media_type: str
    config: PushedBlob
    config_document: bytes
    layers: tuple[PushedBlob, ...]
    work: ImageUpload

    @property
    def digest(self) -> Digest:
        return digest_of(self.manifest)


class _Delivery:
    """One call of :func:`push`."""

    def __init__(
        self,
        registry: Registry,
        options: Options,
        layers: Layers,
        sink: Sink,
        referrers: Sequence[Referrer] = (),
        *,
        before: Before = _ignore_receipt,
    ) -> None:
        self._registry = registry
        self._options = options
        self._layers = layers
        self._sink = sink
        self._referrers = referrers
        self._before = before
        self._naming = Naming(registry, sink)

    def image(self, image: Image, references: Sequence[Reference]) -> PushedImage:
        receipts = _deliver_to_each(references, lambda repository, names: self._image_in(image, repository, names))
        self._list_itself(image, receipts[0].manifest, references)
        return replace(receipts[0], references=tuple(references))

    def index(self, index: Index, references: Sequence[Reference]) -> PushedIndex:
        receipts = _deliver_to_each(references, lambda repository, names: self._index_in(index, repository, names))
        self._list_itself(index, receipts[0].manifest, references)
        return replace(receipts[0], references=tuple(references))

    def _image_in(self, image: Image, repository: Repository, names: list[Reference], prefix: str = "") -> PushedImage:
        parts = self._parts(image, repository, prefix)
        receipt = _receipt(image, parts, names)
        self._before(receipt)
        self._send_referrers(repository)
        return self._name_with_key(receipt, self._resender(parts))

    def _index_in(self, index: Index, repository: Repository, names: list[Reference], prefix: str = "") -> PushedIndex:
        # The blobs of all platforms first: only then is the receipt known, and no manifest is sent before that.
        uploads = [self._parts(image, repository, f"{prefix}{image.platform.label} ") for image in index.images]
        media_type = index.manifest_type if index.manifest else DOCKER_INDEX if self._options.docker else OCI_INDEX
        descriptors = [
            Descriptor(parts.media_type, parts.digest, len(parts.manifest), image.platform)
            for image, parts in zip(index.images, uploads, strict=True)
        ]
        manifest = index.manifest or index_manifest(descriptors, media_type)
        expected = [one.digest for one in read_manifest(manifest, media_type).manifests]
        digests = [digest_of(parts.manifest, how) for parts, how in zip(uploads, algorithms(expected), strict=False)]
        check_digests(expected, digests, "the digests in the index")
        images = tuple(
            _receipt(image, parts, [repository.at(digest)])
            for image, parts, digest in zip(index.images, uploads, digests, strict=True)
        )
        receipt = PushedIndex(manifest, media_type, digest_of(manifest), tuple(names), images)
        self._before(receipt)

        def name_images() -> tuple[PushedImage, ...]:
            return tuple(
                self._name_with_key(image, self._resender(parts)) for image, parts in zip(images, uploads, strict=True)
            )

        named_images = name_images()
        self._send_referrers(repository)
        return self._name_with_key(replace(receipt, images=named_images), name_images)

    def _resender(self, parts: _UploadedImage) -> Callable[[], None]:
        return partial(self._layers.resend_lost, parts.work, parts.config_document, (parts.config, *parts.layers))

    def _name_with_key(self, receipt: Receipt, resend_lost: Callable[[], object]) -> Receipt:
        """Write what is in *receipt* under its names, and return it with Artifactory's repository key."""
        key = self.names(receipt.manifest, receipt.media_type, receipt.references, resend_lost)
        return replace(receipt, repository_key=key)

    def _send_referrers(self, repository: Repository) -> None:
        """Send the referrers of the image; a manifest may exist before its subject does."""
        alone = _Delivery(self._registry, self._options, self._layers, self._sink)
        try:
            for at, referrer in enumerate(self._referrers, 1):
                alone.referrer(referrer, repository, f"referrer {at}/{len(self._referrers)} ")
            alone.list_referrers([one for one in self._referrers if one.tag is None], repository)
        except (PushError, AuthenticationError) as error:
            message = f"not all referrers arrived in {repository}, so no tag was written there: {error}"
            raise _with_names(error, [message]) from error

    def _list_itself(self, image: Image | Index, manifest: bytes, references: Sequence[Reference]) -> None:
        """Add what was pushed to the list of its subject, if it has one and the registry keeps no such lists.

        Source: OCI distribution-spec 1.1, "Pushing Manifests with Subject".
        """
        subject = subject_of(manifest)
        if subject is None:
            return
        for repository in _by_repository(references):
            try:
                self.list_referrers([Referrer(image, subject)], repository)
            except (PushError, AuthenticationError) as error:  # the image is pushed anyway
                message = f"nothing was added to the list of referrers of {repository.at(subject)}: {error}"
                self._sink(Note(message))

    def referrer(self, referrer: Referrer, repository: Repository, prefix: str) -> None:
        """Send one referrer, under its digest or cosign's tag."""
        name = repository.tagged(Tag(referrer.tag)) if referrer.tag else repository.at(referrer.digest)
        answer = self._naming.find_name(referrer.image.manifest_type, name) if referrer.tag else None
        before = answer.headers.get("Docker-Content-Digest") if answer else None
        if isinstance(referrer.image, Index):
            self._index_in(referrer.image, repository, [name], prefix)
        else:
            self._image_in(referrer.image, repository, [name], prefix)
        if before not in {None, str(referrer.digest)}:
            self._sink(Note(f"{name} named {before} before, and now names the source's {referrer.digest}"))

    def list_referrers(self, referrers: Sequence[Referrer], repository: Repository) -> None:
        """Add referrers to the lists that a registry does not keep itself: one tag for each subject."""
        unlisted = [referrer for referrer in referrers if referrer.digest not in self._naming.listed]
        for subject in dict.fromkeys(referrer.subject for referrer in unlisted):
            name = repository.tagged(Tag(list_tag(subject)))
            new = (referrer for referrer in unlisted if referrer.subject == subject)
            entries = self._read_entries(name)
            if entries is None:  # what others have listed there must not be lost
                self._sink(Note(f"the list of referrers {name} may not be read, so nothing was added to it"))
            elif document := extend_list(entries, new):
                self.names(document, OCI_INDEX, [name])

    def _read_entries(self, name: Reference) -> list[dict[str, Any]] | None:
        """Return what is in the list *name*, or ``None`` where it may not be read."""
        try:
            return read_list(name, self._registry)
        except ElsewhereError:
            return None

    def _parts(self, image: Image, repository: Repository, prefix: str = "") -> _UploadedImage:
        """Send all blobs of *image* to *repository*."""
        work = ImageUpload(image, repository, prefix, diff_ids(image.config))
        layers = self._layers.send(work)
        work = work.with_final_image()
        image = work.image
        if image.manifest:
            return self._unchanged(work, image.manifest, layers)
        known = [layer.diff_id for layer in layers if layer.diff_id]
        document = image.config if work.diff_ids else with_diff_ids(image.config, known)
        check_digests(work.diff_ids or known, known, "the diff IDs in the configuration")
        config = self._layers.config(document, DOCKER_CONFIG if self._options.docker else OCI_CONFIG, work)
        media_type = DOCKER_MANIFEST if self._options.docker else OCI_MANIFEST
        manifest = image_manifest(_descriptor(config), [_descriptor(layer) for layer in layers], media_type)
        return _UploadedImage(manifest, media_type, config, document, layers, work)

    def _unchanged(self, work: ImageUpload, manifest: bytes, layers: tuple[PushedBlob, ...]) -> _UploadedImage:
        """Send the rest of an image that came with its manifest."""
        parsed = read_manifest(manifest, work.image.manifest_type)
        if parsed.config is None:
            message = "the manifest of an image is an index, which has no configuration"
            raise DigestError(message)
        check_digests([one.digest for one in parsed.layers], [one.digest for one in layers], "the manifest's digests")
        algorithm = parsed.config.digest.algorithm
        actual = digest_of(work.image.config, algorithm)
        check_digests([parsed.config.digest], [actual], "the configuration's digest")
        config = self._layers.config(work.image.config, parsed.config.media_type, work, algorithm)
        return _UploadedImage(manifest, work.image.manifest_type, config, work.image.config, layers, work)

    def names(
        self,
        manifest: bytes,
        media_type: str,
        names: Sequence[Reference],
        resend_lost: Callable[[], object] = _resend_nothing,
    ) -> str | None:
        """Write *manifest* under every name, one by one; return Artifactory's repository key."""
        key: str | None = None
        named: list[Reference] = []
        failed: dict[Reference, PushFailure] = {}
        for name in names:
            try:
                key = self._naming.write(manifest, media_type, name, resend_lost) or key
                named.append(name)
            except (PushError, AuthenticationError) as error:
                failed[name] = error
                if isinstance(error, AuthenticationError | UnreachableError):
                    break
            except (KeyboardInterrupt, CancelledError) as interrupt:
                _note_pushed_tags(interrupt, named)
                raise
        if failed:
            untried = [name for name in names if name not in named and name not in failed]
            first, *others = failed.values()
            if not (named or untried or others):
                raise first
            raise _with_names(first, [f"{name} failed: {error}" for name, error in failed.items()], named, untried)
        return key


def _descriptor(blob: PushedBlob) -> Descriptor:
    return Descriptor(blob.media_type, blob.digest, blob.size)


def _receipt(image: Image, parts: _UploadedImage, names: Sequence[Reference]) -> PushedImage:
    return PushedImage(
        parts.manifest,
        parts.media_type,
        parts.digest,
        tuple(names),
        parts.config,
        parts.config_document,
        parts.layers,
        image.platform,
    )


def _call_once(before: Before, references: Sequence[Reference]) -> Before:
    """Return *before* for calls from each repository: only the first call counts, and its receipt has all names."""
    digests: list[Digest] = []

    def call(receipt: PushedImage | PushedIndex) -> None:
        if not digests:
            digests.append(receipt.digest)
            before(replace(receipt, references=tuple(references)))

    return call


def _by_repository(references: Sequence[Reference]) -> dict[Repository, list[Reference]]:
    if not references:
        message = "a push needs at least one reference"
        raise PushError(message)
    groups: dict[Repository, list[Reference]] = {}
    for reference in references:
        groups.setdefault(reference.repository, []).append(reference)
    return groups


def _deliver_to_each(
    references: Sequence[Reference], deliver: Callable[[Repository, list[Reference]], Receipt]
) -> list[Receipt]:
    """Push to one repository after the other; where one fails, the error says what happened to all names."""
    receipts: list[Receipt] = []
    done: list[Reference] = []
    for repository, names in _by_repository(references).items():
        try:
            receipts.append(deliver(repository, names))
        except (PushError, AuthenticationError) as error:
            untried = [name for name in references if name not in done and name not in names]
            if done or untried:
                raise _with_names(error, [str(error)], done, untried) from error
            raise
        except (KeyboardInterrupt, CancelledError) as interrupt:
            _note_pushed_tags(interrupt, done)
            raise
        done += names
    return receipts


def _note_pushed_tags(interrupt: BaseException, done: Sequence[Reference]) -> None:
    """Add to an interrupt, which may be that of a time limit, which tags were written before it."""
    tags = [str(name) for name in done if name.tag]
    if tags:
        interrupt.add_note(f"{', '.join(tags)} {'is' if len(tags) == 1 else 'are'} pushed")
        vars(interrupt)["pushed"] = (*getattr(interrupt, "pushed", ()), *tags)


def _with_names(
    error: PushFailure, words: Sequence[str], pushed: Sequence[Reference] = (), untried: Sequence[Reference] = ()
) -> PushFailure:
    """Return the same error with a text about what happened to all names, and with the names that are pushed."""
    names = [*(f"{name} is pushed" for name in pushed), *(f"{name} was not tried" for name in untried)]
    message = "; ".join([*words, *names])
    if isinstance(error, RegistryError):
        renamed: PushFailure = RegistryError(message, status=error.status, code=error.code, hint=error.hint)
    else:
        renamed = type(error)(message, hint=error.hint)
    renamed.pushed = (*error.pushed, *map(str, pushed))
    return renamed
