"""A certificate for this machine, by an authority that nobody trusts yet, as in many companies.

It is made here, rather than by the program ``openssl``, so that it works the same where that is missing.
"""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.locks import temporary
from buildpush.foundation.state import write_private

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate, CertificateBuilder, Name

AUTHORITY: Final = "ca.pem"
_LASTS: Final = timedelta(days=30)


def make_certificate(directory: Path, host: str) -> ssl.SSLContext:
    """Write the certificate of a new authority to ``ca.pem`` in *directory*; return the context of a server by it.

    Its certificate is for *host*, ``localhost`` and the addresses of loopback.

    Raises:
        SettingsError: ``cryptography`` is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        message = "a sandbox with TLS needs the library cryptography"
        raise SettingsError(message, hint="install it with: pip install 'buildpush[sign]'") from error
    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "buildpush sandbox")])
    root = _signed(_begun(issuer, issuer, authority).add_extension(x509.BasicConstraints(True, None), True), authority)
    addresses = [x509.IPAddress(ipaddress.ip_address(one)) for one in {"127.0.0.1", "::1", host} if _is_address(one)]
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), *addresses])
    server = _signed(_begun(x509.Name([]), issuer, own).add_extension(names, True), authority)
    (directory / AUTHORITY).write_bytes(root.public_bytes(form.Encoding.PEM))
    key = own.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    return _context(key + server.public_bytes(form.Encoding.PEM))


def _begun(subject: Name, issuer: Name, key: EllipticCurvePrivateKey) -> CertificateBuilder:
    from cryptography import x509

    now = datetime.now(UTC)
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=1),
        not_valid_after=now + _LASTS,
    )


def _signed(builder: CertificateBuilder, key: EllipticCurvePrivateKey) -> Certificate:
    from cryptography.hazmat.primitives.hashes import SHA256

    return builder.sign(key, SHA256())


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _context(chain: bytes) -> ssl.SSLContext:
    """Return a server's context with the key and certificates in *chain*; OpenSSL reads them from a file only."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with temporary(what="sandbox-") as directory:
        write_private(directory / "server.pem", chain.decode())
        context.load_cert_chain(directory / "server.pem")
    return context
