"""Accounts with their rights, passwords and tokens, which are stored as hashes and shown only when they are made."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import Secret
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.store import Store

RIGHTS = ("read", "deploy", "annotate", "delete", "publish")
# The right that each action in the scope of a registry token needs.
ACTION_RIGHTS = {"pull": "read", "push": "deploy", "delete": "delete"}
TOKEN_SECONDS = 3600
YEAR_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class NewAccount:
    """A new account with its password and token, which cannot be shown again, since only their hashes are stored."""

    username: str
    password: Secret
    token: Secret


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request.

    Attributes:
        rights: of the account.
        scopes: the actions that a registry token is limited to, by repository name; ``None`` for no limit.
    """

    username: str
    rights: frozenset[str]
    scopes: Mapping[str, frozenset[str]] | None = None

    def may(self, right: str) -> bool:
        """Return whether the account has this right."""
        return right in self.rights

    def covers(self, action: str, name: str) -> bool:
        """Return whether the token's scope allows *action* (pull, push, delete) on the repository *name*."""
        return self.scopes is None or action in self.scopes.get(name, frozenset())


class Accounts:
    """The accounts of one sandbox."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # Registry tokens live an hour, so their key need not survive the process.
        self._key = secrets.token_bytes(32)
        self._revoked: set[str] = set()

    def make(self, username: str, rights: Sequence[str] = RIGHTS) -> NewAccount:
        """Make an account, or a new password and token for it; earlier ones stay valid."""
        password = secrets.token_urlsafe(24)
        token = self._sign(self._claims(username, YEAR_SECONDS, scp="applied-permissions/user"))
        with self._store.change():
            self._store.put_account(username, " ".join(rights))
            self._store.put_credential(_hash(password), username, "password")
            self._store.put_credential(_hash(token), username, "token")
        return NewAccount(username, Secret(password, "sandbox"), Secret(token, "sandbox"))

    def withdraw(self, authorization: str | None) -> None:
        """Make a registry token expire early; passwords and access tokens stay valid."""
        kind, _, token = (authorization or "").partition(" ")
        if kind.lower() == "bearer":
            self._revoked.add(_hash(token.strip()))

    def sent_password(self, authorization: str | None) -> str:
        """Return the password in a Basic header that was checked before; empty if there is none."""
        kind, _, value = (authorization or "").partition(" ")
        return _read_basic(value)[1] if kind.lower() == "basic" else ""

    def make_token(self, caller: Caller) -> str:
        """Return an additional access token for the caller's account."""
        token = self._sign(self._claims(caller.username, YEAR_SECONDS, scp="applied-permissions/user"))
        self._store.put_credential(_hash(token), caller.username, "token")
        return token

    def registry_token(self, caller: Caller, scopes: Sequence[str]) -> str:
        """Return a token for ``/v2/`` that is valid for an hour and for *scopes*.

        Args:
            caller: who requests it, with a password or access token.
            scopes: such as ``repository:docker-local/app:pull,push``; without any, no limit, as in Artifactory.
        """
        granted = [_granted_access(caller, scope) for scope in scopes]
        access = [grant for grant in granted if grant]
        return self._sign(self._claims(caller.username, TOKEN_SECONDS, access=access if scopes else None))

    def identify(self, authorization: str | None, api_key: str | None = None) -> Caller | None:
        """Return who sends these headers, or ``None`` for an anonymous client.

        Args:
            authorization: value of the header ``Authorization``, Basic or Bearer.
            api_key: value of the header ``X-JFrog-Art-Api``, an access token.

        Raises:
            RequestRefusedError: 401, the credentials are wrong.
        """
        if api_key:
            return self._required(self._by_token(api_key))
        if not authorization:
            return None
        kind, _, value = authorization.partition(" ")
        if kind.lower() == "bearer":
            return self._required(self._by_token(value.strip()))
        if kind.lower() == "basic":
            return self._required(self._by_password(*_read_basic(value)))
        return self._required(None)

    def _required(self, caller: Caller | None) -> Caller:
        if caller is None:
            raise RequestRefusedError(401, "UNAUTHORIZED", "Bad credentials")
        return caller

    def _by_password(self, username: str, text: str) -> Caller | None:
        """Return the caller with this password or, as in Artifactory, with an access token in its place."""
        credential = self._store.credential(_hash(text))
        return self._caller(username) if credential and credential[0] == username else None

    def _by_token(self, text: str) -> Caller | None:
        credential = self._store.credential(_hash(text))
        if credential and credential[1] == "token":
            return self._caller(credential[0])
        claims = None if _hash(text) in self._revoked else self._verified_claims(text)
        if claims is None or claims["exp"] < self._store.clock():
            return None
        return self._caller(claims["sub"].rpartition("/")[2], claims.get("access"))

    def _caller(self, username: str, access: Sequence[Mapping[str, Any]] | None = None) -> Caller | None:
        rights = self._store.rights(username)
        if rights is None:
            return None
        scopes = None if access is None else {grant["name"]: frozenset(grant["actions"]) for grant in access}
        return Caller(username, frozenset(rights.split()), scopes)

    def _claims(self, username: str, seconds: int, **more: Any) -> dict[str, Any]:
        now = int(self._store.clock())
        standard = {"sub": f"jfac@sandbox/users/{username}", "iss": "jfac@sandbox", "iat": now, "exp": now + seconds}
        return {
            **standard,
            "jti": secrets.token_hex(16),
            **{key: value for key, value in more.items() if value is not None},
        }

    def _sign(self, claims: Mapping[str, Any]) -> str:
        """Return a JWT, because clients read ``sub`` and ``exp`` from it."""
        head = ".".join(_encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
        return f"{head}.{self._signature(head)}"

    def _signature(self, head: str) -> str:
        return _encode(hmac.digest(self._key, head.encode(), "sha256"))

    def _verified_claims(self, token: str) -> dict[str, Any] | None:
        head, _, signature = token.rpartition(".")
        if not hmac.compare_digest(self._signature(head).encode(), signature.encode()):
            return None
        claims: dict[str, Any] = json.loads(_decode(head.partition(".")[2]))
        # A signed access token is valid only as long as its hash is stored.
        return None if "scp" in claims else claims


def _granted_access(caller: Caller, scope: str) -> dict[str, Any] | None:
    """Return the granted part of a requested scope, or ``None`` if the scope is not for a repository."""
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    if kind != "repository" or not name:
        return None
    requested = set(ACTION_RIGHTS) if actions == "*" else set(actions.split(","))
    allowed = sorted(action for action in requested & ACTION_RIGHTS.keys() if caller.may(ACTION_RIGHTS[action]))
    return {"type": "repository", "name": name, "actions": allowed}


def _hash(secret: str) -> str:
    """Return the hash to store; a simple one is enough, because every secret here is long and random."""
    return hashlib.sha256(f"buildpush sandbox {secret}".encode(errors="surrogateescape")).hexdigest()


def _read_basic(value: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    username, _, password = text.partition(":")
    return username, password


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
