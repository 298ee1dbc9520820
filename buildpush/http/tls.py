"""Which certificates to trust over TLS."""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.regex import regex

# Source: SSL_CTX_load_verify_locations(3), CApath.
_HASHED_NAME = regex(r"[0-9a-f]{8}\.[0-9]+\Z")


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what identifies a file under all its names, or ``None`` if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def tls_context(
    ca_files: Sequence[Path], insecure: bool, authority: str = "", identity: Path | None = None
) -> ssl.SSLContext:
    """Return the context that trusts the system's certificates, *ca_files* and those in the PEM text *authority*.

    *identity* is a file with a certificate and its key, by which a server knows us.

    If *insecure*, the certificates of servers are not verified.

    Raises:
        SettingsError: a file of certificates cannot be read.
    """
    import urllib3

    if insecure:
        # urllib3 would warn at each connection, but the user has declared the host insecure.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unverified.check_hostname = False
        unverified.verify_mode = ssl.CERT_NONE
        return _with_identity(unverified, identity)
    import truststore

    context = _with_identity(truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT), identity)
    read: set[tuple[int, int] | None] = set()
    for path in ca_files:
        try:
            _trust(context, path, read)
        except OSError as error:  # a broken certificate is an OSError too
            message = f"the certificates in {path} cannot be read: {error.strerror or error}"
            hint = (
                "set SSL_CERT_FILE, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE or HARNESS_CA_PATH to a file of PEM certificates"
            )
            raise SettingsError(message, hint=hint) from error
    if authority:
        context.load_verify_locations(cadata=authority)
    return context


def _with_identity(context: ssl.SSLContext, identity: Path | None) -> ssl.SSLContext:
    if identity:
        try:
            context.load_cert_chain(identity)
        except (OSError, ValueError) as error:
            message = "the certificate by which a server should know us, or its key, cannot be used"
            raise SettingsError(message, hint="check that both are whole, in PEM, and belong together") from error
    return context


def authority_fault(text: str) -> str:
    """Return what is wrong with *text*, which should be certificates in PEM form; an empty text if nothing is."""
    if "PRIVATE KEY-----" in text:
        return "holds a private key"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError, TypeError):  # of text that is not ASCII, or empty
        return "holds no certificate that can be read"
    return ""


def _trust(context: ssl.SSLContext, path: Path, read: set[tuple[int, int] | None]) -> None:
    """Let *context* trust a file or a directory of certificates, except files that it has *read* already."""
    if not path.is_dir():
        context.load_verify_locations(path)
        read.add(_identity(path))
        return
    context.load_verify_locations(capath=path)  # files named by their hash are read when needed
    entries = sorted(path.iterdir())
    read |= {_identity(entry) for entry in entries if _HASHED_NAME.match(entry.name)}
    for file in entries:
        if _identity(file) not in read:
            with contextlib.suppress(OSError):  # the directory may have other files, as for Go and OpenSSL
                context.load_verify_locations(file)


def certificates_in(variables: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files and directories of certificates that variables name; missing directories are left out.

    Source: OpenSSL (``SSL_CERT_FILE``, ``SSL_CERT_DIR``, a list), requests (``REQUESTS_CA_BUNDLE``), curl,
    Harness.
    """
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HARNESS_CA_PATH")
    files = [Path(variables[name]) for name in names if variables.get(name)]
    directories = [Path(one) for one in variables.get("SSL_CERT_DIR", "").split(os.pathsep) if one]
    return tuple(dict.fromkeys([*files, *(one for one in directories if one.is_dir())]))
