"""Signed documents: DSSE envelopes, alone or in a bundle of Sigstore.

Source: secure-systems-lab/dsse, "protocol.md" and "envelope.md"; sigstore/protobuf-specs, ``sigstore_bundle.proto``.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Final

from buildpush.foundation import strict_json
from buildpush.foundation.errors import PushError
from buildpush.foundation.records import dataclass
from buildpush.provenance.statement import PAYLOAD_TYPE, compact, reason, typed

ENVELOPE_TYPE: Final = "application/vnd.dsse.envelope.v1+json"
BUNDLE_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
BUNDLE_PREFIX: Final = "application/vnd.dev.sigstore.bundle"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A document and its signatures."""

    payload: bytes
    payload_type: str = PAYLOAD_TYPE
    signatures: tuple[bytes, ...] = ()

    @property
    def signed_bytes(self) -> bytes:
        """The bytes that are signed: type and payload, each with its length."""
        kind = self.payload_type.encode()
        return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(self.payload), self.payload)

    def document(self, key_id: str = "") -> bytes:
        """Return the envelope as JSON; JFrog wants the alias of the key as *key_id*, cosign ignores it."""
        signatures = [{"keyid": key_id, "sig": _text(one)} for one in self.signatures]
        return compact({"payloadType": self.payload_type, "payload": _text(self.payload), "signatures": signatures})

    def bundle(self, public_key: bytes) -> bytes:
        """Return the bundle for a signature with a key; *public_key* is its public part as DER."""
        signatures = [{"sig": _text(one)} for one in self.signatures]
        envelope = {"payload": _text(self.payload), "payloadType": self.payload_type, "signatures": signatures}
        material = {"publicKey": {"hint": _text(hashlib.sha256(public_key).digest())}}
        return compact({"mediaType": BUNDLE_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope})

    @classmethod
    def parse(cls, data: bytes) -> Envelope:
        """Return the envelope in *data*, which may be a bundle around it.

        Raises:
            PushError: it is neither.
        """
        try:
            document = strict_json.parse(data)
            document = document.get("dsseEnvelope", document)
            signatures = tuple(_bytes(one["sig"]) for one in document["signatures"])
            return cls(_bytes(document["payload"]), typed(document["payloadType"], str), signatures)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            message = f"this is not a signed document: {reason(error)}"
            raise PushError(message) from error


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(value: Any) -> bytes:
    return base64.b64decode(typed(value, str), validate=True)
