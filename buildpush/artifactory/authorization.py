"""Authentication at Artifactory's REST interface: by password, access token or the old API key."""

from __future__ import annotations

from buildpush.credentials.docker import Credential


def authorization(credential: Credential | None) -> str | None:
    """Return the value of ``Authorization``, which is computed for each request and never stored."""
    if credential is None or (credential.is_api_key and not credential.username):
        return None
    return credential.bearer or credential.basic


def key_header(credential: Credential | None) -> dict[str, str]:
    """Return the header for an old API key without a user name, which has its own; no header for others."""
    is_alone = credential is not None and not credential.username and credential.is_api_key
    return {"X-JFrog-Art-Api": credential.password.reveal()} if credential and is_alone else {}


def login_hint(credential: Credential | None) -> str:
    """Return what to do about an answer that does not accept *credential*."""
    if credential is None:
        return "set JF_URL and JF_ACCESS_TOKEN, or JF_URL, JF_USER and JF_PASSWORD"
    return "check that the token, or user and password, are correct, have not expired, and are for this host"


def who(credential: Credential | None) -> str:
    """Return in words the user and the source of a credential."""
    if credential is None:
        return "no credentials were given"
    return f"{f'user {credential.username!r}' if credential.username else 'the token'} from {credential.source}"
