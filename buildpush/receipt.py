"""A receipt for an image that somebody pushed earlier, as the registry tells it now."""

from __future__ import annotations

import hashlib
import json

from buildpush.images.model import Image, Index, PushedBlob, PushedImage, PushedIndex
from buildpush.images.references import Digest, Reference
from buildpush.registry.client import Registry
from buildpush.registry.pull import pull


def receipt(reference: Reference, registry: Registry) -> PushedImage | PushedIndex:
    """Return what the registry has under *reference*, as a push of it would have confirmed it.

    No layer is read; sha1 and md5 stay unknown, and publishing asks Artifactory for them.

    Raises:
        PushError: it is not there, is no image, or cannot be had.
        AuthenticationError: the credentials are refused.
    """
    found = pull(reference, registry)
    if isinstance(found, Image):
        return _image(found, (reference,))
    return _index(found, reference)


def _index(index: Index, reference: Reference) -> PushedIndex:
    manifest = index.manifest or b""
    inner = tuple(_image(image, ()) for image in index.images)
    return PushedIndex(manifest, index.manifest_type, _digest(manifest), (reference,), inner)


def _image(image: Image, references: tuple[Reference, ...]) -> PushedImage:
    manifest = image.manifest or b""
    written = json.loads(manifest)
    layers = tuple(
        PushedBlob(Digest(entry["digest"]), entry["size"], entry["mediaType"], diff_id=layer.diff_id, fate="exists")
        for entry, layer in zip(written["layers"], image.layers, strict=True)
    )
    config = PushedBlob(_digest(image.config), len(image.config), written["config"]["mediaType"], fate="exists")
    return PushedImage(
        manifest=manifest,
        media_type=image.manifest_type,
        digest=_digest(manifest),
        references=references,
        config=config,
        config_document=image.config,
        layers=layers,
        platform=image.platform,
    )


def _digest(content: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")
