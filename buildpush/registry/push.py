"""One image or index into registries: every blob first, in parallel, the manifest last, a receipt at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, cast

from buildpush.errors import AuthenticationError, DigestError, PushError, RegistryError, UnreachableError
from buildpush.events import Note, Sink, ignore
from buildpush.http import Answer
from buildpush.images.compression import digest_of
from buildpush.images.manifests import (
    Descriptor,
    check_digests,
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
    INDEX_TYPES,
    MANIFEST_TYPES,
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
from buildpush.images.referrers import Referrer, list_tag, subject_of, with_listed
from buildpush.meter import Meter
from buildpush.registry.client import REPOSITORY_KEY_HEADER, Registry, refusal
from buildpush.registry.layers import Layers, Options, Work
from buildpush.registry.referrers import read_list

Receipt = TypeVar("Receipt", PushedImage, PushedIndex)

_NOT_ALLOWED = 405
# What registries answer to the wish to overwrite a tag that is immutable: Amazon's 400, Artifactory's 403 and 409,
# Harbor's 412.
_IMMUTABLE = frozenset({400, 403, 409, 412})


def _nobody(_receipt: PushedImage | PushedIndex) -> None:
    """Nobody wants to know."""


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
    before: Callable[[PushedImage | PushedIndex], None] = _nobody,
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
        referrers: what is said about *target*; all of it is there before a name moves.
        before: gets the receipt as it will be, once: every blob is there, and no manifest of *target* is sent yet.
            What it raises ends the push.
        sink: told how far each blob is.

    Raises:
        DigestError: bytes are not those that were promised; no tag was moved.
        RegistryError: the registry says no; the message says which tags were moved.
        UnreachableError: there is no answer any more.
        AuthenticationError: the credentials are refused.
        CancelledError: the push was interrupted.
    """
    layer_media_type(compression, media_types)  # refuses what does not go together, before anything is sent
    options = Options(compression, level, media_types, checksums)
    meter = Meter()
    try:
        with Layers(registry, options, sink, meter) as layers:
            delivery = _Delivery(registry, options, layers, sink, referrers, before=_once(before, references))
            if isinstance(target, Index):
                return delivery.index(target, references)
            return delivery.image(target, references)
    finally:
        sink(meter.traffic)


def name(
    manifest: bytes, media_type: str, names: Sequence[Reference], registry: Registry, sink: Sink = ignore
) -> str | None:
    """Let *names* stand for a *manifest* whose blobs their repository has; return Artifactory's repository key.

    Raises:
        RegistryError: the registry says no; the message says which names stand for it now.
        UnreachableError: there is no answer any more.
        AuthenticationError: the credentials are refused.
    """
    options = Options("none", 1, "oci", checksums=False)
    with Layers(registry, options, sink, Meter()) as layers:
        return _Delivery(registry, options, layers, sink).names(manifest, media_type, names)


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
        before: Callable[[PushedImage | PushedIndex], None] = _nobody,
    ) -> None:
        self._registry = registry
        self._options = options
        self._layers = layers
        self._sink = sink
        self._referrers = referrers
        self._before = before
        self._listed: set[Digest] = set()  # by the registry itself, which says so

    def image(self, image: Image, references: Sequence[Reference]) -> PushedImage:
        receipts = _everywhere(references, lambda repository, names: self._image_in(image, repository, names))
        self._list_itself(image, receipts[0].manifest, references)
        return replace(receipts[0], references=tuple(references))

    def index(self, index: Index, references: Sequence[Reference]) -> PushedIndex:
        receipts = _everywhere(references, lambda repository, names: self._index_in(index, repository, names))
        self._list_itself(index, receipts[0].manifest, references)
        return replace(receipts[0], references=tuple(references))

    def _image_in(self, image: Image, repository: Repository, names: list[Reference], prefix: str = "") -> PushedImage:
        parts = self._parts(image, repository, prefix)
        receipt = _receipt(image, parts, names)
        self._before(receipt)
        self._bring_referrers(repository)
        return self._keyed(receipt)

    def _index_in(self, index: Index, repository: Repository, names: list[Reference], prefix: str = "") -> PushedIndex:
        # The blobs of all platforms first: only then is the receipt known, and no manifest is sent before that.
        every = [self._parts(image, repository, f"{prefix}{image.platform} ") for image in index.images]
        media_type = index.manifest_type if index.manifest else DOCKER_INDEX if self._options.docker else OCI_INDEX
        found = [
            Descriptor(parts.media_type, parts.digest, len(parts.manifest), image.platform)
            for image, parts in zip(index.images, every, strict=True)
        ]
        manifest = index.manifest or index_manifest(found, media_type)
        named = [one.digest for one in read_manifest(manifest, media_type).manifests]
        check_digests(named, [parts.digest for parts in every], "the digests in the index")
        images = tuple(
            _receipt(image, parts, [repository.at(parts.digest)])
            for image, parts in zip(index.images, every, strict=True)
        )
        receipt = PushedIndex(manifest, media_type, digest_of(manifest), tuple(names), images)
        self._before(receipt)
        keyed = tuple(self._keyed(image) for image in images)
        self._bring_referrers(repository)
        return self._keyed(replace(receipt, images=keyed))

    def _keyed(self, receipt: Receipt) -> Receipt:
        """Let its names stand for what is in *receipt*, and return it with Artifactory's repository key."""
        key = self.names(receipt.manifest, receipt.media_type, receipt.references)
        return replace(receipt, repository_key=key)

    def _bring_referrers(self, repository: Repository) -> None:
        """Bring in what is said about the image; a manifest may be there before its subject is."""
        alone = _Delivery(self._registry, self._options, self._layers, self._sink)
        try:
            for at, referrer in enumerate(self._referrers, 1):
                alone.referrer(referrer, repository, f"referrer {at}/{len(self._referrers)} ")
            alone.list_referrers([one for one in self._referrers if one.tag is None], repository)
        except (PushError, AuthenticationError) as error:
            message = f"the referrers did not all arrive in {repository}, so nothing was named there: {error}"
            raise _saying(message, error) from error

    def _list_itself(self, image: Image | Index, manifest: bytes, references: Sequence[Reference]) -> None:
        """Enter what was pushed into the list of its subject, if it has one and the registry keeps no such lists.

        Source: OCI distribution-spec 1.1, "Pushing Manifests with Subject".
        """
        subject = subject_of(manifest)
        for repository in _by_repository(references) if subject else ():
            self.list_referrers([Referrer(image, cast("Digest", subject))], repository)

    def referrer(self, referrer: Referrer, repository: Repository, prefix: str) -> None:
        """Bring one referrer in, under its digest or cosign's tag."""
        name = repository.tagged(Tag(referrer.tag)) if referrer.tag else repository.at(referrer.digest)
        before = self._names_now(referrer.image.manifest_type, name) if referrer.tag else None
        if isinstance(referrer.image, Index):
            self._index_in(referrer.image, repository, [name], prefix)
        else:
            self._image_in(referrer.image, repository, [name], prefix)
        if before not in {None, str(referrer.digest)}:
            self._sink(Note(f"{name} named {before} before, and names the source's {referrer.digest} now"))

    def list_referrers(self, referrers: Sequence[Referrer], repository: Repository) -> None:
        """Enter referrers into the lists that a registry does not keep itself: one tag for each subject."""
        left = [one for one in referrers if one.digest not in self._listed]
        for subject in dict.fromkeys(one.subject for one in left):
            name = repository.tagged(Tag(list_tag(subject)))
            mine = (one for one in left if one.subject == subject)
            if document := with_listed(read_list(name, self._registry), mine):
                self.names(document, OCI_INDEX, [name])

    def _parts(self, image: Image, repository: Repository, prefix: str = "") -> _Parts:
        """Bring all blobs of *image* into *repository*."""
        work = Work(image, repository, prefix, diff_ids(image.config))
        layers = self._layers.send(work)
        work = work.settled()
        image = work.image
        if image.manifest:
            return self._unchanged(work, image.manifest, layers)
        found = [layer.diff_id for layer in layers if layer.diff_id]
        document = image.config if work.diff_ids else with_diff_ids(image.config, found)
        check_digests(work.diff_ids or found, found, "the diff IDs in the configuration")
        config = self._layers.config(document, DOCKER_CONFIG if self._options.docker else OCI_CONFIG, work)
        media_type = DOCKER_MANIFEST if self._options.docker else OCI_MANIFEST
        manifest = image_manifest(_described(config), [_described(layer) for layer in layers], media_type)
        return _Parts(manifest, media_type, config, document, layers)

    def _unchanged(self, work: Work, manifest: bytes, layers: tuple[PushedBlob, ...]) -> _Parts:
        """Bring in the rest of an image that came with its manifest."""
        named = read_manifest(manifest, work.image.manifest_type)
        if named.config is None:
            message = "an image's manifest names a configuration, this one is an index"
            raise DigestError(message)
        check_digests([one.digest for one in named.layers], [one.digest for one in layers], "the manifest's digests")
        check_digests([named.config.digest], [digest_of(work.image.config)], "the configuration's digest")
        config = self._layers.config(work.image.config, named.config.media_type, work)
        return _Parts(manifest, work.image.manifest_type, config, work.image.config, layers)

    def names(self, manifest: bytes, media_type: str, names: Sequence[Reference]) -> str | None:
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
        if answer.ok:
            _check_answer(answer.headers, digest, name)
            if "OCI-Subject" in answer.headers:
                self._listed.add(digest)
        else:
            self._keeps(answer, digest, media_type, name)
        return self._confirmed(digest, media_type, name)

    def _keeps(self, answer: Answer, digest: Digest, media_type: str, name: Reference) -> None:
        """Accept a refusal where the name stands for the same image already, and may not be written again.

        Raises:
            RegistryError: it stands for another image, or for none.
        """
        no = refusal(answer, f"{name} was not taken")
        about_tag = name.tag and answer.status in _IMMUTABLE and not (no.code or "").startswith("MANIFEST_")
        says = self._names_now(media_type, name) if about_tag else None
        if says is None:
            raise no
        if says != str(digest):
            message = f"{name} names {says}, and may not name {digest} instead: {no}"
            hint = "the registry lets nobody overwrite this tag: choose another one"
            raise RegistryError(message, status=no.status, code=no.code, hint=hint)
        self._sink(Note(f"{name} was there already, the same, and may not be written again"))

    def _names_now(self, media_type: str, name: Reference) -> str | None:
        """Return the digest that *name* stands for, or ``None`` where there is none or nobody says."""
        headers = {"Accept": ", ".join(dict.fromkeys((media_type, *sorted(MANIFEST_TYPES | INDEX_TYPES))))}
        answer = self._registry.request(name.repository, "HEAD", f"manifests/{name.target}", headers=headers)
        return answer.headers.get("Docker-Content-Digest") if answer.ok else None

    def _whole(self, answer: Answer, name: Reference, headers: Mapping[str, str]) -> Answer:
        """Return the answer with the manifest itself."""
        if answer.body:
            return answer
        return self._registry.request(name.repository, "GET", f"manifests/{name.target}", headers=headers)

    def _confirmed(self, digest: Digest, media_type: str, name: Reference) -> str | None:
        headers = {"Accept": media_type}
        answer = self._registry.request(name.repository, "HEAD", f"manifests/{name.target}", headers=headers)
        if answer.status == _NOT_ALLOWED:
            answer = self._registry.request(name.repository, "GET", f"manifests/{name.target}", headers=headers)
        if not answer.ok:
            raise refusal(answer, f"{name} was pushed and is not there")
        if not answer.headers.get("Docker-Content-Digest"):  # the specification lets a registry keep it to itself
            answer = self._whole(answer, name, headers)
        try:
            _check_answer(answer.headers, digest, name)
            _check_body(answer, digest, name)
        except DigestError:
            # Somebody may have pushed the same tag in this moment; then ours is there under its digest.
            ours = self._registry.request(name.repository, "HEAD", f"manifests/{digest}", headers=headers)
            if not ours.ok:
                raise
            self._sink(Note(f"{name} was pushed as {digest}, and names another image by now"))
        return answer.headers.get(REPOSITORY_KEY_HEADER)


def _check_body(answer: Answer, digest: Digest, name: Reference) -> None:
    if answer.body and digest_of(answer.body) != digest:
        message = f"{name} names {digest_of(answer.body)}, but {digest} was pushed"
        raise DigestError(message, hint="a proxy in between changes what it passes on, or somebody pushed the same tag")


def _described(blob: PushedBlob) -> Descriptor:
    return Descriptor(blob.media_type, blob.digest, blob.size)


def _receipt(image: Image, parts: _Parts, names: Sequence[Reference]) -> PushedImage:
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


def _once(
    before: Callable[[PushedImage | PushedIndex], None], references: Sequence[Reference]
) -> Callable[[PushedImage | PushedIndex], None]:
    """Return *before* as each repository calls it: the first time counts, and the receipt has all names."""
    told: list[Digest] = []

    def tell(receipt: PushedImage | PushedIndex) -> None:
        if not told:
            told.append(receipt.digest)
            before(replace(receipt, references=tuple(references)))

    return tell


def _by_repository(references: Sequence[Reference]) -> dict[Repository, list[Reference]]:
    if not references:
        message = "a push needs at least one reference"
        raise PushError(message)
    found: dict[Repository, list[Reference]] = {}
    for reference in references:
        found.setdefault(reference.repository, []).append(reference)
    return found


def _everywhere(
    references: Sequence[Reference], deliver: Callable[[Repository, list[Reference]], Receipt]
) -> list[Receipt]:
    """Deliver to one repository after the other; where one fails, the error says what became of all names."""
    receipts: list[Receipt] = []
    done: list[Reference] = []
    for repository, names in _by_repository(references).items():
        try:
            receipts.append(deliver(repository, names))
        except (PushError, AuthenticationError) as error:
            left = [name for name in references if name not in done and name not in names]
            if done or left:
                raise _also(error, done, left) from error
            raise
        done += names
    return receipts


def _also(
    error: PushError | AuthenticationError, done: Sequence[Reference], left: Sequence[Reference]
) -> PushError | AuthenticationError:
    words = [str(error), *(f"{name} is pushed" for name in done), *(f"{name} was not tried" for name in left)]
    return _saying("; ".join(words), error, done)


def _check_answer(headers: Mapping[str, str], digest: Digest, name: Reference) -> None:
    says = headers.get("Docker-Content-Digest", str(digest))
    if says != str(digest) and says.startswith("sha256:"):  # a digest by another algorithm cannot be compared
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
    return _saying(message, errors[0], named)


def _saying(
    message: str, error: PushError | AuthenticationError, pushed: Sequence[Reference] = ()
) -> PushError | AuthenticationError:
    """Return the same error with other words, and with more names that stand for the image all the same."""
    if isinstance(error, RegistryError):
        said: PushError | AuthenticationError = RegistryError(
            message, status=error.status, code=error.code, hint=error.hint
        )
    else:
        said = type(error)(message, hint=error.hint)
    said.pushed = (*error.pushed, *map(str, pushed))
    return said
