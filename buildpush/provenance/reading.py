"""What documents beside an image say, and whether their signatures hold; everything in them is foreign."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from buildpush.foundation.errors import PushError
from buildpush.foundation.records import dataclass
from buildpush.images.references import Digest
from buildpush.provenance.attachment import Content
from buildpush.provenance.envelope import BUNDLE_PREFIX, ENVELOPE_TYPE, Envelope
from buildpush.provenance.keys import Verifier
from buildpush.provenance.statement import PAYLOAD_TYPE, SLSA, Statement

UNSIGNED: Final = "not signed"
UNCHECKED: Final = "signed, not checked"
OTHER_KEY: Final = "signed by another key"
_MOST: Final = 20  # signatures of one document that are looked at


@dataclass(frozen=True, slots=True)
class Attestation:
    """One document beside an image.

    Attributes:
        subject: what it is stored beside.
        place: ``referrer``, a tag, ``index`` for BuildKit's own, or ``evidence`` for JFrog's.
        digest: of the document.
        kind: its predicate type, or its media type if it is not a statement.
        signed_by: fingerprint of the key that was given and has signed it, or one of :data:`UNSIGNED`,
            :data:`UNCHECKED`, :data:`OTHER_KEY`.
        problem: why it proves nothing; empty if it is in order.
        statement: what it says; ``None`` if it could not be read, or is of another kind.
    """

    subject: Digest
    place: str
    digest: str
    kind: str
    signed_by: str = UNSIGNED
    problem: str = ""
    statement: Statement | None = None

    @property
    def verified(self) -> bool:
        """Whether a key that was given has signed it, and it is about the image."""
        return self.signed_by.startswith("sha256:") and not self.problem

    @property
    def is_provenance(self) -> bool:
        """Whether it is a provenance that we can compare with the build-info."""
        return self.kind == SLSA and self.statement is not None and not self.problem

    def find(self, *path: str | int) -> str:
        """Return the text at *path* in the predicate; empty if something else is there."""
        value: Any = self.statement.predicate if self.statement else None
        for name in path:
            try:
                value = value[name]
            except (LookupError, TypeError):
                return ""
        return value if isinstance(value, str) else ""


def read_attestation(
    content: Content, subject: Digest, place: str, digest: Digest, keys: Sequence[Verifier] = ()
) -> Attestation:
    """Return what *content*, which is stored beside *subject*, says, and whether one of *keys* has signed it."""
    kind, signed_by = content.media_type, UNSIGNED
    payload: bytes | None = content.data if kind == PAYLOAD_TYPE else None
    try:
        if kind == ENVELOPE_TYPE or kind.startswith(BUNDLE_PREFIX):
            envelope = Envelope.parse(content.data)
            signed_by = _signer(envelope, keys)
            payload = envelope.payload if envelope.payload_type == PAYLOAD_TYPE else None
        if payload is None:
            return Attestation(subject, place, str(digest), kind, signed_by)
        statement = Statement.parse(payload)
    except PushError as error:
        return Attestation(subject, place, str(digest), kind, signed_by, str(error))
    # BuildKit's names no image if the build gave it no name; what is not signed proves nothing anyway.
    names_none = signed_by == UNSIGNED and not statement.subjects
    problem = "" if names_none or statement.is_about(subject) else "it is about another image"
    return Attestation(subject, place, str(digest), statement.predicate_type, signed_by, problem, statement)


def _signer(envelope: Envelope, keys: Sequence[Verifier]) -> str:
    if not keys:
        return UNCHECKED
    data = envelope.signed_bytes
    signers = (key.fingerprint for key in keys for one in envelope.signatures[:_MOST] if key.verifies(one, data))
    return next(signers, OTHER_KEY if envelope.signatures else UNSIGNED)
