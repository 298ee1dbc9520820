"""Documents beside an image in a registry: written before any tag names the image, and read back within limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from buildpush.foundation import strict_json
from buildpush.foundation.errors import PushError, RegistryError
from buildpush.foundation.events import Event, Note, Sink
from buildpush.images.manifests import Descriptor, check_size
from buildpush.images.model import Image, Index
from buildpush.images.references import Reference, Repository
from buildpush.images.referrers import Referrer, list_tag
from buildpush.provenance.attachment import Content, bare_referrer, cosign_attestations, signed_referrer
from buildpush.provenance.attestations import Attestations
from buildpush.provenance.statement import Statement
from buildpush.registry.client import Registry
from buildpush.registry.pull import pull
from buildpush.registry.push import push

# Larger than the SBOM of any image that has been seen, which is some megabytes.
LARGEST: Final = 32 * 1024 * 1024
_ATTEMPTS: Final = 3
_NOT_FOUND: Final = 404


def attach(
    subject: Descriptor,
    statements: Sequence[Statement],
    wanted: Attestations,
    repository: Repository,
    registry: Registry,
    *,
    created: str,
    sink: Sink,
) -> int:
    """Store *statements* beside *subject*, which need not be there yet; return the number of referrers.

    Raises:
        PushError: the registry does not accept one.
        UnreachableError: there is no answer.
        AuthenticationError: the credentials are refused.
    """
    notes = _notes_to(sink)
    for statement in statements:
        if wanted.signer:
            referrer = signed_referrer(subject, statement, wanted.signer, created)
        else:
            referrer = bare_referrer(subject, statement, created)
        push(referrer.image, [repository.at(referrer.digest)], registry, checksums=False, sink=notes)
    if wanted.signer and wanted.cosign_tag and statements:
        make = partial(cosign_attestations, subject.digest, statements, wanted.signer)
        _add_to_cosign_tag(repository.tagged(f"{list_tag(subject.digest)}.att"), make, registry, notes)
    return len(statements)


def _notes_to(sink: Sink) -> Sink:
    """Return a sink that passes on notes alone: a few small documents are no progress of the image."""

    def pass_on(event: Event) -> None:
        if isinstance(event, Note):
            sink(event)

    return pass_on


def _add_to_cosign_tag(
    name: Reference, make: Callable[[tuple[Content, ...]], Referrer], registry: Registry, sink: Sink
) -> None:
    """Add attestations to those that cosign's tag names; others who add at the same time lose nothing."""
    for _ in range(_ATTEMPTS):
        referrer = make(tagged_contents(name, registry))
        push(referrer.image, [name], registry, checksums=False, sink=sink)
        present = {one.data for one in tagged_contents(name, registry)}
        if present >= {one.data for one in contents(referrer.image)}:
            return
    message = f"others write {name} at the same time, and our attestations are not in it"
    raise PushError(message, hint="run the step again")


def tagged_contents(name: Reference, registry: Registry) -> tuple[Content, ...]:
    """Return what the artifact under the tag *name* holds; nothing if there is no such tag.

    Raises:
        PushError: it cannot be read, or is too large.
        AuthenticationError: it may not be read.
    """
    try:
        return contents(pull(name, registry, artifact=True))
    except RegistryError as error:
        if error.status == _NOT_FOUND:
            return ()
        raise


def contents(artifact: Image | Index) -> tuple[Content, ...]:
    """Return the documents in an artifact that came with its manifest.

    Raises:
        PushError: it is an index, or has more than :data:`LARGEST` bytes.
        DigestError: they do not match their digests.
    """
    if isinstance(artifact, Index) or sum(layer.size or 0 for layer in artifact.layers) > LARGEST:
        message = f"an attestation is an index, or larger than {LARGEST} bytes"
        raise PushError(message)
    entries = strict_json.parse(artifact.manifest or b"{}")["layers"]
    read = []
    for at, reader in artifact.blobs(range(len(artifact.layers))):
        layer, data = artifact.layers[at], reader.read()
        check_size(len(data), layer.size, "an attestation")
        notes = entries[at].get("annotations")
        annotations = {name: str(text) for name, text in notes.items()} if isinstance(notes, dict) else {}
        read.append(Content(layer.media_type, data, annotations))
    return tuple(read)
