"""Authentication at Artifactory's REST interface: by password, access token or the old API key."""

from __future__ import annotations

from buildpush.credentials.docker import Credential


def authorization(credential: Credential | None) -> str | None:
    """Return the value of ``Authorization``, which is made for each request and never stored."""
    if credential is None or (credential.is_api_key and not credential.username):
        return None
    return credential.bearer or credential.basic


def api_key(credential: Credential | None) -> str | None:
    """Return the old API key that goes into a header of its own, because no user name came with it."""
    is_lonely = credential is not None and not credential.username and credential.is_api_key
    return credential.password.reveal() if credential and is_lonely else None


def who(credential: Credential | None) -> str:
    """Return the user and the source of a credential, for messages."""
    if credential is None:
        return "no credentials were given"
    return f"{f'user {credential.username!r}' if credential.username else 'the token'} from {credential.source}"
