"""Authentication at Artifactory's REST interface: by password, access token or the old API key."""

from __future__ import annotations

from typing import Final

from buildpush.credentials.docker import Credential

_API_KEY_START: Final = "AKCp8"
_API_KEY_LENGTH: Final = 73


def authorization(credential: Credential | None) -> str | None:
    """Return the value of ``Authorization``, made anew for every request and never stored."""
    if credential is None or (_has_api_key(credential) and not credential.username):
        return None
    if credential.kind != "access" or _has_api_key(credential):
        return credential.basic
    return f"Bearer {credential.password.reveal()}"


def api_key(credential: Credential | None) -> str | None:
    """Return the old API key that goes into a header of its own, because no user name came with it."""
    is_lonely = credential is not None and not credential.username and _has_api_key(credential)
    return credential.password.reveal() if credential and is_lonely else None


def who(credential: Credential | None) -> str:
    """Return the user and the source of a credential, for messages."""
    if credential is None:
        return "no credentials were given"
    return f"{f'user {credential.username!r}' if credential.username else 'the token'} from {credential.source}"


def _has_api_key(credential: Credential) -> bool:
    """Return whether this is an old API key and not an access token, by the rule of jfrog-client-go."""
    token = credential.password.reveal()
    return credential.kind == "access" and token.startswith(_API_KEY_START) and len(token) >= _API_KEY_LENGTH
