"""Finds the layers that an image has from its base image: proved by their diff IDs, never guessed.

The base is named by the Dockerfile, by OCI's annotations or labels, or by the provenance that BuildKit puts into an
index. Only its manifest and configuration are read; its diff IDs must be the first of the image, so compression does
not matter, and neither does a tag that has moved.
Source: OCI image-spec 1.1, "Annotations"; moby/buildkit, ``docs/attestations/slsa-definitions.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from buildpush.artifactory.layout import annotations_of, is_attestation
from buildpush.foundation import strict_json
from buildpush.foundation.errors import (
    AuthenticationError,
    BadNameError,
    BuildPushError,
    CancelledError,
    RegistryError,
    TimeOutError,
    UnreachableError,
)
from buildpush.foundation.events import Note, Sink
from buildpush.http.retry import time_budget
from buildpush.images.compression import digest_of
from buildpush.images.manifests import diff_ids
from buildpush.images.model import Image, Index, Platform, PushedImage, PushedIndex
from buildpush.images.references import Digest, Reference, references_in_mirrors
from buildpush.registry.pull import pull

# An image that others built has no Dockerfile here, and most have no provenance: what these need loads when they do.
if TYPE_CHECKING:
    from buildpush.dockerfile.request import BuildRequest
    from buildpush.dockerfile.stages import StageSource
    from buildpush.pipeline.built import Built
    from buildpush.pipeline.publication import Pushed
    from buildpush.registry.client import Registry

_NAME: Final = "org.opencontainers.image.base.name"
_DIGEST: Final = "org.opencontainers.image.base.digest"
_SUBJECT: Final = "vnd.docker.reference.digest"
_PROVENANCE: Final = "https://slsa.dev/provenance/"
_MOST: Final = 8  # images that are asked for, of those that a provenance names
_SECONDS: Final = 5.0  # in which a base must be read: it is worth no more of a delay
_SECONDS_IN_ALL: Final = 15.0
_TRY_LATER: Final = frozenset({429, *range(500, 600)})

Named = Iterator[tuple[Reference, Platform]]
Read = TypeVar("Read")


def find_base_layers(
    pushed: Pushed,
    registry: Registry,
    sink: Sink,
    *,
    built: Built | None = None,
    request: BuildRequest | None = None,
) -> frozenset[Digest]:
    """Return the digests of the layers in *pushed* that its base images have.

    What cannot be asked or proved is a note, and no error; so is a base that cannot be read within five seconds.

    Args:
        pushed: the receipt, or the future one.
        registry: asks every registry, with the credentials of the run.
        sink: gets one note if a base is not known.
        built: the same image, whose attestations the registry may not have yet.
        request: what it was built from, if that is known.

    Raises:
        CancelledError, TimeOutError: unchanged.
    """
    search = _Search(pushed, registry, built, request)
    images = [image for image in search.images if image.platform.runs and _ids(image)]
    with time_budget(_SECONDS_IN_ALL):
        counts = [search.count(image) for image in images]
    if unknown := [str(image.platform) for image, count in zip(images, counts, strict=True) if count is None]:
        about = f" for {', '.join(unknown)}" if isinstance(pushed, PushedIndex) else ""
        why = "; ".join(search.failures) or "neither a Dockerfile, nor an annotation, nor a provenance names it"
        text = f"the base image of {pushed.references[0]}{about} is not known, and no dependency of the build: {why}"
        sink(Note(text))
    found = zip(images, counts, strict=True)
    return frozenset(layer.digest for image, count in found for layer in image.layers[: count or 0])


class _Search:
    """The search for the bases of one image or index; each candidate is asked for once."""

    def __init__(self, pushed: Pushed, registry: Registry, built: Built | None, request: BuildRequest | None) -> None:
        self._pushed = pushed
        self._registry = registry
        self._built = built
        self._request = request
        self._notes = annotations_of(pushed) if isinstance(pushed, PushedIndex) else {}
        self._known: dict[tuple[Reference, Platform], Image | None] = {}
        self._given_up: set[Reference | str] = set()  # hosts that were repeatedly asked in vain, and what was refused
        self.images = pushed.images if isinstance(pushed, PushedIndex) else (pushed,)
        self.failures: dict[str, None] = {}

    def count(self, image: PushedImage) -> int | None:
        """Return how many of the first layers are the base's; ``None`` if that is not known."""
        base = _written_base(self._request, image.platform) if self._request else None
        if base and not (base.image or base.context):
            return 0  # FROM scratch
        ways: tuple[Callable[[PushedImage], Named], ...] = (self._annotated, self._attested)
        for named in (self._written(base, image), *(way(image) for way in ways)):
            counts = [self._proved(reference, platform, image) for reference, platform in named]
            if proved := [one for one in counts if one is not None]:
                return max(proved)
        return None

    def _proved(self, reference: Reference, platform: Platform, image: PushedImage) -> int | None:
        base = self._pull(reference, platform)
        if base is None:
            return None
        first = tuple(layer.diff_id for layer in base.layers)
        if digest_of(base.manifest or b"") == image.digest:
            self.failures[f"{reference} is the image itself"] = None
        elif None in first or _ids(image)[: len(first)] != first:
            self.failures[f"it does not begin with the layers of {reference}"] = None
        else:
            return len(first)
        return None

    def _pull(self, reference: Reference, platform: Platform) -> Image | None:
        key = reference, platform
        if key not in self._known:
            given_up = {reference, reference.repository.host} & self._given_up
            found = None if given_up else self._attempt(partial(pull, reference, self._registry, platform), reference)
            self._known[key] = found if isinstance(found, Image) else None
        return self._known[key]

    def _attempt(self, read: Callable[[], Read], reference: Reference) -> Read | None:
        try:
            with time_budget(_SECONDS):
                return read()
        except (CancelledError, TimeOutError):
            raise
        except BuildPushError as error:
            text = str(error)
            self.failures[text if str(reference) in text else f"{reference}: {text}"] = None
            if isinstance(error, UnreachableError) or (isinstance(error, RegistryError) and error.status in _TRY_LATER):
                self._given_up.add(reference.repository.host)
            elif isinstance(error, RegistryError | AuthenticationError):
                self._given_up.add(reference)
            return None

    # ---- what names a base

    def _written(self, base: StageSource | None, image: PushedImage) -> Named:
        if not (self._request and base and base.image):
            return
        platform = image.platform
        with suppress(BadNameError):
            platform = Platform.parse(base.platform) if base.platform else platform
        with suppress(BadNameError):
            for reference in references_in_mirrors(Reference.parse(base.image), self._request.mirrors):
                yield reference, platform

    def _annotated(self, image: PushedImage) -> Named:
        config = _dict(_parsed(image.config_document).get("config"))
        notes = {
            **_dict(config.get("Labels")),
            **(_dict(_parsed(self._pushed.manifest).get("annotations"))),
            **self._notes.get(str(image.digest), {}),
            **_dict(_parsed(image.manifest).get("annotations")),
        }
        name, digest = notes.get(_NAME), notes.get(_DIGEST)
        if isinstance(name, str) and name:
            with suppress(BadNameError):
                reference = Reference.parse(name)
                yield (replace(reference, digest=Digest(str(digest))) if digest else reference), image.platform

    def _attested(self, image: PushedImage) -> Named:
        for at, other in enumerate(self.images):
            notes = self._notes.get(str(other.digest), {})
            if is_attestation(notes) and notes.get(_SUBJECT) == str(image.digest):
                materials = self._attempt(partial(self._materials, at), self._attestation(at))
                yield from ((reference, image.platform) for reference in (materials or ())[:_MOST])

    def _materials(self, at: int) -> tuple[Reference, ...]:
        if isinstance(self._built, Index):
            return tuple(_materials(self._built.images[at]))
        return tuple(_materials(pull(self._attestation(at), self._registry, artifact=True)))

    def _attestation(self, at: int) -> Reference:
        return self._pushed.references[0].repository.at(self.images[at].digest)


def _written_base(request: BuildRequest, platform: Platform) -> StageSource | None:
    from buildpush.engines.bases import final_base

    return final_base(request, platform)


def _materials(attestation: Built) -> Iterator[Reference]:
    from buildpush.pipeline.attachments import contents
    from buildpush.provenance.attachment import PREDICATE_NOTE
    from buildpush.provenance.statement import Statement

    for content in contents(attestation):
        if content.annotations.get(PREDICATE_NOTE, "").startswith(_PROVENANCE):
            yield from _images_in(Statement.parse(content.data).predicate)


def _images_in(predicate: Mapping[str, Any]) -> Iterator[Reference]:
    """Yield the images that a provenance of SLSA v0.2 or v1 names, by their digests."""
    from buildpush.provenance.statement import image_in_package_url

    listed = predicate.get("materials") or _dict(predicate.get("buildDefinition")).get("resolvedDependencies")
    for one in listed if isinstance(listed, list) else ():
        entry = _dict(one)
        with suppress(BadNameError, ValueError):
            digest = Digest(f"sha256:{_dict(entry.get('digest')).get('sha256')}")
            yield image_in_package_url(str(entry.get("uri")), digest)


def _ids(image: PushedImage) -> tuple[Digest, ...]:
    """Return the diff IDs of the layers; none for what is no image."""
    try:
        found = diff_ids(image.config_document)
    except BuildPushError:
        return ()
    return found if len(found) == len(image.layers) else ()


def _parsed(document: bytes) -> Mapping[str, Any]:
    try:
        return _dict(strict_json.parse(document))
    except ValueError:
        return {}


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
