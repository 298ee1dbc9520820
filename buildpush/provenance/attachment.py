"""Documents about an image as artifacts of a registry: referrers, and the attestations of cosign's older tags.

Source: OCI image-spec 1.1, "Guidelines for Artifact Usage"; sigstore/cosign, ``specs/BUNDLE_SPEC.md`` and
``specs/ATTESTATION_SPEC.md``.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final

from buildpush.foundation.records import dataclass
from buildpush.images.compression import digest_of
from buildpush.images.manifests import Descriptor
from buildpush.images.model import OCI_CONFIG, OCI_MANIFEST, Image, Layer
from buildpush.images.references import Digest
from buildpush.images.referrers import NO_PLATFORM, Referrer, list_tag
from buildpush.provenance.envelope import BUNDLE_TYPE, ENVELOPE_TYPE, Envelope
from buildpush.provenance.keys import Signer
from buildpush.provenance.statement import PAYLOAD_TYPE, Statement, compact

EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"
CREATED: Final = "org.opencontainers.image.created"
# BuildKit's name for the type of a statement, and those of cosign.
PREDICATE_NOTE: Final = "in-toto.io/predicate-type"
BUNDLE_NOTES: Final = {"content": "dev.sigstore.bundle.content", "predicate": "dev.sigstore.bundle.predicateType"}

_EMPTY: Final = b"{}"
_SIGNATURE_NOTE: Final = "dev.cosignproject.cosign/signature"


@dataclass(frozen=True, slots=True)
class Content:
    """One document in an artifact."""

    media_type: str
    data: bytes
    annotations: Mapping[str, str]

    def document(self) -> dict[str, Any]:
        """Return its descriptor."""
        descriptor = Descriptor(self.media_type, digest_of(self.data), len(self.data)).document()
        return descriptor | ({"annotations": dict(self.annotations)} if self.annotations else {})


def signed_referrer(subject: Descriptor, statement: Statement, signer: Signer, created: str) -> Referrer:
    """Return a referrer of *subject* with *statement*, signed, as a bundle of Sigstore.

    Args:
        subject: manifest of an image or index.
        statement: about it.
        signer: signs it.
        created: time for the annotation, such as ``2026-10-01T12:00:48Z``.
    """
    content = Content(BUNDLE_TYPE, signed(statement, signer).bundle(signer.verifier.der), {})
    notes = {BUNDLE_NOTES["content"]: "dsse-envelope", BUNDLE_NOTES["predicate"]: statement.predicate_type}
    return _referrer(subject, content, notes | {CREATED: created})


def bare_referrer(subject: Descriptor, statement: Statement, created: str) -> Referrer:
    """Return a referrer of *subject* with *statement*, not signed, as BuildKit stores it."""
    notes = {PREDICATE_NOTE: statement.predicate_type}
    return _referrer(subject, Content(PAYLOAD_TYPE, statement.document(), notes), notes | {CREATED: created})


def signed(statement: Statement, signer: Signer) -> Envelope:
    """Return *statement* in an envelope with the signature of *signer*."""
    envelope = Envelope(statement.document())
    return Envelope(envelope.payload, signatures=(signer.sign(envelope.signed_bytes),))


def cosign_attestations(
    subject: Digest, statements: Sequence[Statement], signer: Signer, earlier: Sequence[Content] = ()
) -> Referrer:
    """Return the artifact with all attestations that cosign's tag for *subject* names: *earlier* ones, and ours.

    One that is equal to an *earlier* one is there once.
    """
    ours = [
        Content(
            ENVELOPE_TYPE,
            signed(statement, signer).document(),
            {_SIGNATURE_NOTE: "", "predicateType": statement.predicate_type},
        )
        for statement in statements
    ]
    contents = list({one.data: one for one in (*earlier, *ours)}.values())
    config = compact(
        {
            "architecture": "",
            "created": "0001-01-01T00:00:00Z",
            "history": [{"created": "0001-01-01T00:00:00Z"} for _ in contents],
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": [str(digest_of(one.data)) for one in contents]},
            "config": {},
        }
    )
    manifest = _manifest(Descriptor(OCI_CONFIG, digest_of(config), len(config)).document(), contents)
    return Referrer(_artifact(manifest, config, contents), subject, f"{list_tag(subject)}.att")


def _referrer(subject: Descriptor, content: Content, annotations: Mapping[str, str]) -> Referrer:
    config = Descriptor(EMPTY_TYPE, digest_of(_EMPTY), len(_EMPTY)).document() | {"data": "e30="}
    target = Descriptor(subject.media_type, subject.digest, subject.size).document()
    rest = {"subject": target, "annotations": dict(annotations)}
    return Referrer(
        _artifact(_manifest(config, [content], content.media_type) | rest, _EMPTY, [content]), subject.digest
    )


def _manifest(config: Mapping[str, Any], contents: Sequence[Content], kind: str = "") -> dict[str, Any]:
    head = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, **({"artifactType": kind} if kind else {})}
    return head | {"config": config, "layers": [one.document() for one in contents]}


def _artifact(manifest: Mapping[str, Any], config: bytes, contents: Sequence[Content]) -> Image:
    def blobs(positions: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
        for at in sorted(positions):
            yield at, io.BytesIO(contents[at].data)

    layers = tuple(Layer(media_type=one.media_type, digest=digest_of(one.data), size=len(one.data)) for one in contents)
    return Image(config, layers, blobs, NO_PLATFORM, manifest=compact(manifest), manifest_type=OCI_MANIFEST)
