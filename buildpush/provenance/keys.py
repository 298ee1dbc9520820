"""Keys that sign and verify: ed25519 and P-256, as PEM or as cosign writes them; the door to ``cryptography``.

Source: sigstore/cosign, ``pkg/cosign/keys.go``; go-securesystemslib, ``encrypted/encrypted.go``.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from buildpush.foundation import strict_json
from buildpush.foundation.errors import SecretError, SettingsError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.provenance.secretbox import open_box

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey
    PublicKey = Ed25519PublicKey | EllipticCurvePublicKey

_COSIGN: Final = regex(r"-----BEGIN ENCRYPTED (?:SIGSTORE|COSIGN) PRIVATE KEY-----(.*?)-----END ENCRYPTED", re.DOTALL)
# More than any key file has asked for; 512 MiB for N = 524288.
_HIGHEST_COST: Final = 1 << 19
_USABLE: Final = "give an ed25519 or P-256 key as PEM, or a cosign.key"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key."""

    key: PublicKey

    @classmethod
    def load(cls, text: str) -> Verifier:
        """Return the public key in *text*, which is PEM.

        Raises:
            SettingsError: it is not one, or of another kind; or ``cryptography`` is not installed.
        """
        with _installed():
            from cryptography.exceptions import UnsupportedAlgorithm
            from cryptography.hazmat.primitives.serialization import load_pem_public_key
        try:
            key = load_pem_public_key(text.encode())
        except (ValueError, UnsupportedAlgorithm) as error:
            message = "the public key cannot be read: it is not a public key as PEM"
            raise SettingsError(message, hint="give the file that cosign names cosign.pub") from error
        return cls(_usable(key))

    @property
    def der(self) -> bytes:
        """The key as DER, whose sha256 names it in a bundle."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def fingerprint(self) -> str:
        """The sha256 of the key as DER, as ``sha256:`` and hex digits."""
        return f"sha256:{hashlib.sha256(self.der).hexdigest()}"

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Return whether *signature* is this key's, of *data*."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.hashes import SHA256

        try:
            if isinstance(self.key, Ed25519PublicKey):
                self.key.verify(signature, data)
            else:
                self.key.verify(signature, data, ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key, whose value nothing shows."""

    key: PrivateKey

    @classmethod
    def load(cls, text: str, password: str | None = None) -> Signer:
        """Return the private key in *text*, which is PEM, or a key of cosign.

        Raises:
            SecretError: it is not one, is of another kind, or does not have this password.
            SettingsError: ``cryptography`` is not installed.
        """
        with _installed():
            from cryptography.exceptions import UnsupportedAlgorithm
            from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key
        secret = None if password is None else password.encode()
        try:
            if match := _COSIGN.search(text):
                key = load_der_private_key(_decrypt(match[1], secret or b""), None)
            else:
                key = load_pem_private_key(text.encode(), secret)
        except (ValueError, TypeError, LookupError, AttributeError, MemoryError, UnsupportedAlgorithm) as error:
            message = f"the private key cannot be read{_why(error)}"
            raise SecretError(message, hint=f"{_USABLE}, and its password if it has one", setting="sign_key") from None
        return cls(_usable(key))

    @property
    def verifier(self) -> Verifier:
        """The public key that belongs to it."""
        return Verifier(self.key.public_key())

    def sign(self, data: bytes) -> bytes:
        """Return the signature of *data*."""
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.hashes import SHA256

        if isinstance(self.key, Ed25519PrivateKey):
            return self.key.sign(data)
        return self.key.sign(data, ECDSA(SHA256()))

    def __repr__(self) -> str:
        return f"Signer({self.verifier.fingerprint})"


def _why(error: Exception) -> str:
    """Return what a library says of a password; anything else might quote the key."""
    words = str(error).lower()
    return ": its password is missing or wrong" if "password" in words or "decrypt" in words else ""


def _decrypt(text: str, password: bytes) -> bytes:
    """Return the key in cosign's PEM, as DER."""
    from cryptography.hazmat.primitives.poly1305 import Poly1305

    document: Mapping[str, Any] = strict_json.parse(base64.b64decode(text))
    kdf, cipher = document["kdf"], document["cipher"]
    cost = {name: int(kdf["params"][key]) for name, key in (("n", "N"), ("r", "r"), ("p", "p"))}
    if (kdf["name"], cipher["name"]) != ("scrypt", "nacl/secretbox") or cost["n"] * cost["r"] > 8 * _HIGHEST_COST:
        raise ValueError
    salt, nonce, box = (base64.b64decode(one) for one in (kdf["salt"], cipher["nonce"], document["ciphertext"]))
    key = hashlib.scrypt(password, salt=salt, dklen=32, maxmem=1 << 30, **cost)
    return open_box(key, nonce, box, Poly1305.generate_tag)


def _usable(key: Any) -> Any:
    """Return *key* if it is of a kind that is used here."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    if isinstance(key, ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    message = "the key is neither ed25519 nor P-256"
    raise SecretError(message, hint=_USABLE, setting="sign_key")


@contextmanager
def _installed() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        message = "signatures need the package cryptography"
        raise SettingsError(message, hint="install it with: pip install 'buildpush[sign]'") from error
