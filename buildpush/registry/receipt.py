"""A receipt for an image that was pushed earlier, from what the registry has now."""

from __future__ import annotations

from dataclasses import replace

from buildpush.images.compression import digest_of
from buildpush.images.manifests import read_manifest
from buildpush.images.model import Image, Index, PushedBlob, PushedImage, PushedIndex
from buildpush.images.references import Reference
from buildpush.registry.client import REPOSITORY_KEY_HEADER, Registry
from buildpush.registry.pull import ACCEPT, pull


def receipt(reference: Reference, registry: Registry) -> PushedImage | PushedIndex:
    """Return what the registry has under *reference*, in the form of a push's receipt.

    No layer is read; sha1 and md5 are unknown; publishing asks Artifactory for them.

    Raises:
        PushError: it does not exist, is not an image, or cannot be fetched.
        AuthenticationError: the credentials are refused.
    """
    target = pull(reference, registry)
    found = _image(target, (reference,)) if isinstance(target, Image) else _index(target, reference)
    path, headers = f"manifests/{reference.target}", {"Accept": ACCEPT}
    answer = registry.request(reference.repository, "HEAD", path, actions="pull", headers=headers)
    return replace(found, repository_key=answer.headers.get(REPOSITORY_KEY_HEADER))


def _index(index: Index, reference: Reference) -> PushedIndex:
    manifest = index.manifest or b""
    inner = tuple(_image(image, ()) for image in index.images)
    return PushedIndex(manifest, index.manifest_type, digest_of(manifest), (reference,), inner)


def _image(image: Image, references: tuple[Reference, ...]) -> PushedImage:
    manifest = image.manifest or b""
    parsed = read_manifest(manifest, image.manifest_type)
    layers = tuple(
        PushedBlob(entry.digest, entry.size, entry.media_type, diff_id=layer.diff_id, fate="exists")
        for entry, layer in zip(parsed.layers, image.layers, strict=True)
    )
    media_type = parsed.config.media_type if parsed.config else ""
    config = PushedBlob(digest_of(image.config), len(image.config), media_type, fate="exists")
    return PushedImage(
        manifest=manifest,
        media_type=image.manifest_type,
        digest=digest_of(manifest),
        references=references,
        config=config,
        config_document=image.config,
        layers=layers,
        platform=image.platform,
    )
