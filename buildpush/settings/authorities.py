"""Certificates of authorities that settings name, read and checked."""

from __future__ import annotations

from buildpush.credentials.vault import LARGEST
from buildpush.settings.flows import relative_hint
from buildpush.settings.resolved import ResolveContext


def authority_in(path: str, name: str, ctx: ResolveContext) -> str:
    """Return the certificates in the file *path* that the setting *name* gives, as PEM text.

    Raises:
        SettingsError: they cannot be read.
    """
    try:
        text = (ctx.cwd / path).read_bytes()[:LARGEST].decode("ascii", "replace")
    except OSError as error:
        message = f"{name} {path!r} cannot be read: {error.strerror}"
        raise ctx.fail(message, name, relative_hint(ctx.cwd)) from error
    return checked_authority(text, name, ctx)


def checked_authority(text: str, name: str, ctx: ResolveContext) -> str:
    """Return the PEM *text* that the setting *name* gives, if it can be trusted.

    Raises:
        SettingsError: it cannot.
    """
    from buildpush.http.tls import authority_fault

    if fault := authority_fault(text):
        message = f"{name} {fault}"
        raise ctx.fail(message, name, "give the PEM text of the authority's certificate, and nothing else")
    return text
