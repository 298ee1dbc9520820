"""A receipt for an image that was pushed earlier, from what the registry has now."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from buildpush.foundation.errors import RegistryError
from buildpush.foundation.events import Sink, ignore
from buildpush.images.compression import digest_of
from buildpush.images.manifests import read_manifest
from buildpush.images.model import Image, Index, PushedBlob, PushedImage, PushedIndex
from buildpush.images.references import Digest, Reference
from buildpush.registry.client import REPOSITORY_KEY_HEADER, Registry
from buildpush.registry.naming import Naming
from buildpush.registry.pull import ACCEPT, pull

_NOT_FOUND: Final = 404


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


def receipt_of(name: Reference, digest: Digest, registry: Registry, sink: Sink = ignore) -> PushedImage | PushedIndex:
    """Return the receipt for *digest*, which another program has pushed as *name*.

    It is read back as after a push of our own: a name that names another image by now is a note.

    Raises:
        PushError: the registry does not have it, or *name* names nothing.
        AuthenticationError: the credentials are refused.
    """
    try:
        found = receipt(name.repository.at(digest), registry)
    except RegistryError as error:
        if error.status != _NOT_FOUND:
            raise
        message = f"{name} was said to be pushed as {digest}, and the registry does not have that: {error}"
        hint = "another push may have taken the tag since: give each push a tag of its own, or run it again"
        raise RegistryError(message, status=error.status, code=error.code, hint=hint) from error
    Naming(registry, sink).wait_until_shown(found.manifest, found.media_type, name)
    return replace(found, references=(name,))


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
