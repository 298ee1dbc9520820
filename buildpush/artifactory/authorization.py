"""Authentication at Artifactory's REST interface: by password, access token or the old API key."""

from __future__ import annotations

from buildpush.credentials.docker import Credential


def authorization(credential: Credential | None) -> str | None:
    """Return the value of ``Authorization``, which is computed for each request and never stored."""
    if credential is None or (credential.is_api_key and not credential.username):
        return None
    return credential.bearer or credential.basic


def api_key(credential: Credential | None) -> str | None:
    """Return the old API key without a user name, which is sent in its own header, or ``None``."""
    is_unnamed = credential is not None and not credential.username and credential.is_api_key
    return credential.password.reveal() if credential and is_unnamed else None


def who(credential: Credential | None) -> str:
    """Return in words the user and the source of a credential."""
    if credential is None:
        return "no credentials were given"
    return f"{f'user {credential.username!r}' if credential.username else 'the token'} from {credential.source}"
