"""JSON Web Tokens with a shared key (HS256): signed, read and verified.

Source: RFC 7519 and RFC 7515.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Mapping
from typing import Any

# In base64, only these characters become "-" or "_", which clients of JFrog cannot decode.
_PLAIN = str.maketrans({character: f"\\u{ord(character):04x}" for character in ">?~\x7f"})


def sign(claims: Mapping[str, Any], key: bytes) -> str:
    """Return a token with these claims, whose payload is the same in every base64 alphabet."""
    header = {"alg": "HS256", "typ": "JWT"}
    head = ".".join(_encode(json.dumps(part).translate(_PLAIN).encode()) for part in (header, claims))
    return f"{head}.{_signature(head, key)}"


def verified(token: str, key: bytes) -> dict[str, Any] | None:
    """Return the claims of a token that was signed with *key*; ``None`` for any other text."""
    head, _, signature = token.rpartition(".")
    if not hmac.compare_digest(_signature(head, key).encode(), signature.encode(errors="replace")):
        return None
    header, _, payload = head.partition(".")
    try:
        documents = json.loads(_decode(header)), json.loads(_decode(payload))
    except (ValueError, binascii.Error, RecursionError):
        return None
    if not all(isinstance(document, dict) for document in documents) or documents[0].get("alg") != "HS256":
        return None
    claims: dict[str, Any] = documents[1]
    return claims


def _signature(head: str, key: bytes) -> str:
    return _encode(hmac.digest(key, head.encode(errors="replace"), "sha256"))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
