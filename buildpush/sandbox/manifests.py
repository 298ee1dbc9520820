"""The content of a manifest, which is checked when it is pushed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from buildpush.foundation.errors import BadNameError
from buildpush.foundation.records import dataclass
from buildpush.images.model import INDEX_TYPES, MANIFEST_TYPES
from buildpush.images.references import Digest
from buildpush.sandbox.answers import RequestRefusedError

SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"
LARGEST = 4 * 1024 * 1024
SINGLE, INDEX = "manifest.json", "list.manifest.json"


@dataclass(frozen=True, slots=True)
class ContentDescriptor:
    """A blob or manifest that a manifest names."""

    digest: Digest
    size: int
    media_type: str = ""
    platform: str = ""

    @property
    def elsewhere(self) -> bool:
        """Whether the bytes are never pushed, because clients fetch them from the layer's publisher."""
        return "nondistributable" in self.media_type or "foreign" in self.media_type


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """An image manifest, with config and layers, or an index, with children; *subject* need not exist.

    The index of a BuildKit cache names layers and a config where others have children.
    """

    media_type: str
    config: ContentDescriptor | None = None
    layers: tuple[ContentDescriptor, ...] = ()
    children: tuple[ContentDescriptor, ...] = ()
    subject: ContentDescriptor | None = None

    @property
    def filename(self) -> str:
        """The name of its file in Artifactory."""
        return INDEX if self.media_type in INDEX_TYPES else SINGLE

    @property
    def blobs(self) -> tuple[ContentDescriptor, ...]:
        """The blobs that must exist before it is accepted, config first."""
        config = (self.config,) if self.config else ()
        return tuple(part for part in config + self.layers if not part.elsewhere)


def read_manifest(body: bytes, content_type: str) -> StoredManifest:
    """Return the manifest in *body*.

    Args:
        body: as received.
        content_type: header of the request, which must agree with the document.

    Raises:
        RequestRefusedError: 400 ``MANIFEST_INVALID``, or 403 for Docker's schema 1, which Artifactory blocks.
    """
    document = _object(body)
    media_type = content_type.partition(";")[0].strip() or document.get("mediaType", "")
    if document.get("schemaVersion") == 1 or media_type.startswith(SCHEMA_1):
        raise RequestRefusedError(403, "MANIFEST_INVALID", "Docker image manifest schema 1 is blocked.")
    if media_type not in INDEX_TYPES | MANIFEST_TYPES:
        _refuse(f"media type {media_type!r} is not that of a manifest")
    if document.get("mediaType", media_type) != media_type:
        _refuse(f"the document says {document['mediaType']!r}, but the header {media_type!r}")
    if document.get("schemaVersion") != 2:  # noqa: PLR2004 - the only version there is
        _refuse("schemaVersion is not 2")
    if media_type in INDEX_TYPES:
        parts = _parts(document, "manifests")
        children = tuple(part for part in parts if part.media_type in {"", *INDEX_TYPES, *MANIFEST_TYPES})
        layers = tuple(part for part in parts if part not in children)
        return StoredManifest(media_type, layers=layers, children=children, subject=_subject(document))
    config, layers = _part(document.get("config"), "config"), _parts(document, "layers")
    return StoredManifest(media_type, config, layers, subject=_subject(document))


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        _refuse("the manifest is not JSON")
    if not isinstance(document, dict):
        _refuse("the manifest is not a JSON object")
    return document


def _parts(document: Mapping[str, Any], key: str) -> tuple[ContentDescriptor, ...]:
    listed = document.get(key)
    if not isinstance(listed, list):
        _refuse(f"{key!r} is not a list")
    return tuple(_part(value, f"{key}[{position}]") for position, value in enumerate(listed))


def _part(value: Any, where: str) -> ContentDescriptor:
    if not isinstance(value, dict) or not isinstance(value.get("size"), int):
        _refuse(f"{where} is not a descriptor with a size")
    try:
        digest = Digest(str(value.get("digest")))
    except BadNameError as error:
        _refuse(f"{where}: {error}")
    return ContentDescriptor(digest, value["size"], str(value.get("mediaType", "")), _platform(value.get("platform")))


def _subject(document: Mapping[str, Any]) -> ContentDescriptor | None:
    value = document.get("subject")
    return None if value is None else _part(value, "subject")


def _platform(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    return "/".join(str(value[key]) for key in ("os", "architecture", "variant") if value.get(key))


def _refuse(message: str) -> NoReturn:
    raise RequestRefusedError(400, "MANIFEST_INVALID", message)
