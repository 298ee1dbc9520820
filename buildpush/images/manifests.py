"""The JSON documents of an image: manifest, index and configuration, read strictly and always written the same.

Source: OCI image-spec 1.1, "Image Manifest", "Image Index", "Image Configuration".
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from buildpush.foundation import strict_json
from buildpush.foundation.errors import BadNameError, DigestError, PushError, UnsupportedError
from buildpush.foundation.records import dataclass
from buildpush.images.model import (
    DOCKER_LAYER,
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_LAYER,
    OCI_MANIFEST,
    Compression,
    Image,
    Index,
    Layer,
    MediaTypes,
    Platform,
)
from buildpush.images.references import Digest, Repository

_SCHEMA = 2


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says about a blob or another manifest."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    urls: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the JSON object that a manifest has for it."""
        document: dict[str, Any] = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.platform:
            words = {"architecture": self.platform.architecture, "os": self.platform.os}
            document["platform"] = words | ({"variant": self.platform.variant} if self.platform.variant else {})
        return document


@dataclass(frozen=True, slots=True)
class Manifest:
    """A parsed manifest: an image's, with *config* and *layers*, or an index, with *manifests*."""

    media_type: str
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()


def read_manifest(data: bytes, media_type: str = "") -> Manifest:
    """Parse *data*.

    Args:
        data: the document.
        media_type: from the registry; one in the document takes precedence.

    Raises:
        PushError: it is not a manifest of a supported type.
    """
    document = _object(data, "manifest")
    declared = document.get("mediaType") or media_type.partition(";")[0].strip()
    kind = declared if isinstance(declared, str) else "unknown"
    if document.get("schemaVersion") != _SCHEMA or kind not in INDEX_TYPES | MANIFEST_TYPES:
        message = f"a manifest of type {kind or 'unknown'!r} is not supported"
        raise PushError(message, hint="Docker's old schema 1 is no longer supported: push the image again")
    if kind in INDEX_TYPES:
        return Manifest(kind, manifests=_descriptors(document, "manifests"))
    return Manifest(kind, _descriptor(document.get("config")), _descriptors(document, "layers"))


def image_manifest(config: Descriptor, layers: Sequence[Descriptor], media_type: str) -> bytes:
    """Return the manifest of one image: equal arguments give equal bytes."""
    parts = {"config": config.document(), "layers": [layer.document() for layer in layers]}
    return _json({"schemaVersion": _SCHEMA, "mediaType": media_type, **parts})


def index_manifest(images: Sequence[Descriptor], media_type: str) -> bytes:
    """Return the manifest of several images: equal arguments give equal bytes.

    Raises:
        PushError: a platform is not a string.
    """
    parts = [image.document() for image in images]
    return _json({"schemaVersion": _SCHEMA, "mediaType": media_type, "manifests": parts})


def layer_media_type(kind: Compression, media_types: MediaTypes) -> str:
    """Return the media type of a layer.

    Raises:
        UnsupportedError: Docker's media types do not include zstd.
    """
    if media_types == "oci":
        return OCI_LAYER + {"none": "", "gzip": "+gzip", "zstd": "+zstd"}[kind]
    if kind == "zstd":
        message = "Docker's media types do not include zstd"
        raise UnsupportedError(message, hint="use media types 'oci', or compression 'gzip'", setting="compression")
    return DOCKER_LAYER + (".gzip" if kind == "gzip" else "")


def compression_of(media_type: str) -> Compression:
    """Return how the bytes of a layer of this type are compressed."""
    if media_type.endswith("gzip"):
        return "gzip"
    return "zstd" if media_type.endswith("zstd") else "none"


def note_of_missing_layers(target: Image | Index) -> str:
    """Return a note about the layers of *target* that are not sent, because they must not be distributed."""
    images = target.images if isinstance(target, Index) else (target,)
    digests = {
        layer.digest for image in images if image.manifest for layer in image.layers if layer.is_nondistributable
    }
    if not digests:
        return ""
    subject = "a layer is" if len(digests) == 1 else f"{len(digests)} layers are"
    return f"{subject} left out, since layers of their type are not distributed; the manifest keeps their addresses"


def read_config(data: bytes) -> Mapping[str, Any]:
    """Return the configuration as read.

    Raises:
        PushError: it is not a JSON object.
    """
    return _object(data, "configuration")


def diff_ids(config: bytes) -> tuple[Digest, ...]:
    """Return the diff IDs that the configuration names; none where it names none yet, or is not an image's.

    Raises:
        PushError: they are not digests, or the JSON is ambiguous or unusable.
    """
    if not config.lstrip(b" \t\r\n\xef\xbb\xbf").startswith(b"{"):
        return ()  # an artifact's configuration may be anything
    document = read_config(config)
    rootfs = document.get("rootfs")
    listed = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    try:
        return tuple(Digest(str(text)) for text in listed or ())
    except (BadNameError, TypeError) as error:
        message = f"the image's configuration names invalid diff IDs: {error}"
        raise PushError(message) from error


def with_diff_ids(config: bytes, computed: Sequence[Digest]) -> bytes:
    """Return the configuration with the diff IDs that were *computed*; everything else stays in its order."""
    document = dict(read_config(config))
    document["rootfs"] = {"type": "layers", "diff_ids": [str(digest) for digest in computed]}
    return _json(document)


def describe_layers(config: bytes, manifest: Manifest, repository: Repository | None = None) -> tuple[Layer, ...]:
    """Return the layers of an image that is complete: in *repository*, or in a file.

    Raises:
        DigestError: configuration and manifest disagree about how many there are.
    """
    known, steps = diff_ids(config), _steps(config)
    if known and len(known) != len(manifest.layers):
        message = f"the configuration names {len(known)} layers, the manifest {len(manifest.layers)}"
        raise DigestError(message, hint="the image is damaged: build or fetch it again")
    return tuple(
        Layer(
            created_by=steps[at] if len(steps) == len(manifest.layers) else "",
            media_type=descriptor.media_type,
            diff_id=known[at] if known else None,
            digest=descriptor.digest,
            size=descriptor.size,
            repository=repository,
            urls=descriptor.urls,
        )
        for at, descriptor in enumerate(manifest.layers)
    )


def _steps(config: bytes) -> list[str]:
    """Return the instruction that made each layer, from the history; only for messages, so never an error."""
    try:
        entries = strict_json.parse(config)["history"]
        return [str(one.get("created_by", "")) for one in entries if not one.get("empty_layer")]
    except (ValueError, LookupError, TypeError, AttributeError):
        return []


def without_manifest(target: Image | Index) -> Image | Index:
    """Return *target* without its manifests: a push writes them anew, and compresses plain layers."""
    if isinstance(target, Image):
        return replace(target, manifest=None, manifest_type=OCI_MANIFEST)
    images = tuple(replace(image, manifest=None, manifest_type=OCI_MANIFEST) for image in target.images)
    return Index(images)


def pick(index: Manifest, platform: Platform, what: str, available: Sequence[Descriptor] | None = None) -> Descriptor:
    """Return the image for *platform*.

    Args:
        index: of several images.
        platform: the one to return.
        what: name of the place that has the index, for messages.
        available: the images that *what* has, if some may be missing.

    Raises:
        PushError: there is none; the hint lists the platforms that exist.
    """
    candidates = index.manifests if available is None else available
    at = choose([one.platform for one in index.manifests], platform)
    if at is not None and index.manifests[at] in candidates:
        return index.manifests[at]
    message = f"{what} has no image for {platform}"
    if at is not None:
        message = f"{what} lists an image for {platform}, but does not have it"
    raise PushError(message, hint=f"it has: {platforms_in(candidates)}", setting="platforms")


def platforms_in(images: Sequence[Descriptor]) -> str:
    """Return the platforms of *images* as text; an attestation, which cannot run, has none."""
    return (
        ", ".join(sorted({str(image.platform) for image in images if image.platform and image.platform.runs})) or "none"
    )


def choose(candidates: Sequence[Platform | None], platform: Platform) -> int | None:
    """Return which of *candidates* fits *platform*: its variant, or no variant, or any of the architecture."""
    fitting = {
        at: candidate.variant
        for at, candidate in enumerate(candidates)
        if candidate and (candidate.os, candidate.architecture) == (platform.os, platform.architecture)
    }
    for variant in (platform.variant, _COMMON_VARIANTS.get(platform.architecture, ""), ""):
        for at, candidate_variant in fitting.items():
            if candidate_variant == variant:
                return at
    return next(iter(fitting), None)


# Source: containerd/platforms, "Normalization": arm64 means v8, arm means v7.
_COMMON_VARIANTS = {"arm64": "v8", "arm": "v7"}


def platform_of(config: bytes) -> Platform:
    """Return the platform that the configuration names; linux/amd64 where it names none."""
    document = read_config(config)
    words = [str(document.get(key) or "") for key in ("os", "architecture", "variant")]
    return Platform(words[0] or "linux", words[1] or "amd64", words[2])


def check_digests(expected: Sequence[Digest], actual: Sequence[Digest], what: str) -> None:
    """Compare the digests that a document lists with the actual ones.

    Raises:
        DigestError: they differ.
    """
    if tuple(expected) == tuple(actual):
        return
    at = next((i for i, pair in enumerate(zip(expected, actual, strict=False)) if pair[0] != pair[1]), None)
    difference = (
        f"{len(expected)} and {len(actual)}" if at is None else f"{expected[at]} and {actual[at]} (number {at + 1})"
    )
    message = f"{what} do not match the image's layers: {difference}"
    raise DigestError(message, hint="the image is damaged: build or fetch it again")


def algorithms(digests: Sequence[Digest]) -> Iterator[str]:
    """Yield the algorithms of the digests by which an index names its images; sha256 for images without one."""
    return itertools.chain((one.algorithm for one in digests), itertools.repeat("sha256"))


def check_size(actual: int, expected: int | None, what: str) -> None:
    """Compare the *actual* number of bytes with the *expected* one, if that is known.

    Raises:
        DigestError: they are more or fewer.
    """
    if expected not in {None, actual}:
        message = (
            f"{what} has {actual} bytes{' or more' if actual > (expected or 0) else ''}, but {expected} were expected"
        )
        raise DigestError(message, hint="the image is damaged: build or fetch it again")


def _json(document: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:  # half a surrogate pair, as foreign JSON may contain
        message = f"the manifest would contain text that is not Unicode: {error.object[error.start : error.end]!a}"
        raise PushError(message, hint="the image's configuration is damaged: build or fetch it again") from error


def read_json(data: bytes, what: str) -> Any:
    """Parse a JSON document of an image.

    Raises:
        PushError: it is not JSON, or is ambiguous; the message calls it *what*.
    """
    try:
        return strict_json.parse(data)
    except ValueError as error:
        message = f"{what} is not JSON that can be used: {error}"
        raise PushError(message) from error


def _object(data: bytes, what: str) -> Mapping[str, Any]:
    document = read_json(data, f"the image's {what}")
    if not isinstance(document, dict):
        message = f"the image's {what} is not a JSON object"
        raise PushError(message)
    return document


def _descriptors(document: Mapping[str, Any], key: str) -> tuple[Descriptor, ...]:
    values = document.get(key)
    if values is None and key in document:
        return ()  # as BuildKit writes an image without layers
    if not isinstance(values, list):
        message = f"the image's manifest has no list {key!r}"
        raise PushError(message)
    return tuple(_descriptor(value) for value in values)


def _descriptor(value: Any) -> Descriptor:
    try:
        platform = value.get("platform")
        words = [_text(platform, key) for key in ("os", "architecture", "variant")] if platform else None
        parsed = Platform(*words) if words else None
        return Descriptor(_text(value, "mediaType"), Digest(str(value["digest"])), _size(value), parsed, _urls(value))
    except (AttributeError, KeyError, TypeError, ValueError, BadNameError) as error:
        message = f"the image's manifest contains an invalid descriptor: {error}"
        raise PushError(message) from error


def _text(value: Mapping[str, Any], key: str) -> str:
    text = value.get(key)
    if not isinstance(text, str | None):
        message = f"its {key} is not a string"
        raise TypeError(message)
    return text or ""


def _urls(value: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the addresses of a descriptor; a bad one is an error only where it is used."""
    urls = value.get("urls")
    return tuple(one for one in urls if isinstance(one, str)) if isinstance(urls, list) else ()


def _size(value: Mapping[str, Any]) -> int:
    size = value["size"]
    if not strict_json.is_count(size):
        message = f"its size is {str(size)[:40]}"
        raise ValueError(message)
    return int(size)
