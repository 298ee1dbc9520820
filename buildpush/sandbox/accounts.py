"""Accounts with their rights, passwords and tokens, which are stored as hashes and shown only when they are made."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import Secret
from buildpush.sandbox import jwt
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.entries import RepositoryEntry
from buildpush.sandbox.permissions import ACTION_RIGHTS, RIGHTS, Caller
from buildpush.sandbox.store import Store
from buildpush.sandbox.tokens import ISSUER, Tokens, hash_of

TOKEN_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class NewAccount:
    """A new account with its password and token, which cannot be shown again, since only their hashes are stored."""

    username: str
    password: Secret
    token: Secret


class Accounts:
    """The accounts of one sandbox.

    Attributes:
        tokens: their access tokens.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.tokens = Tokens(store)
        # Registry tokens live an hour, so their key need not survive the process.
        self._key = secrets.token_bytes(32)
        self._revoked: set[str] = set()

    def make(
        self, username: str, rights: Sequence[str] = RIGHTS, repositories: Collection[str] | None = None
    ) -> NewAccount:
        """Make an account, or a new password and token for it; earlier ones stay valid.

        Args:
            username: of the account.
            rights: any of :data:`buildpush.sandbox.permissions.RIGHTS`.
            repositories: keys of those that it is limited to; ``None`` for no limit.
        """
        password = secrets.token_urlsafe(24)
        with self.store.change():
            self._put(username, rights, repositories)
            self._put_credential(password, username, "password")
            token = self.tokens.make(username).token
        return NewAccount(username, Secret(password, "sandbox"), Secret(token, "sandbox"))

    def withdraw(self, authorization: str | None) -> None:
        """Make a registry token expire early; passwords and access tokens stay valid."""
        kind, _, token = (authorization or "").partition(" ")
        if kind.lower() == "bearer":
            self._revoked.add(hash_of(token.strip()))

    def sent_password(self, authorization: str | None) -> str:
        """Return the password in a Basic header that was checked before; empty if there is none."""
        kind, _, value = (authorization or "").partition(" ")
        return _read_basic(value)[1] if kind.lower() == "basic" else ""

    def registry_token(self, caller: Caller, scopes: Sequence[str]) -> str:
        """Return a token for ``/v2/`` that is valid for an hour and for *scopes*.

        Args:
            caller: who requests it, with a password or access token.
            scopes: such as ``repository:docker-local/app:pull,push``; without any, no limit, as in Artifactory. Those
                of one image are merged.
        """
        access = None if not scopes else _granted_access(caller, scopes)
        now = int(self.store.clock())
        claims = {"sub": f"{ISSUER}/users/{caller.username}", "iss": ISSUER, "iat": now, "exp": now + TOKEN_SECONDS}
        scope = {} if access is None else {"access": access}
        return jwt.sign({**claims, **scope, "aud": "registry", "jti": secrets.token_hex(16)}, self._key)

    def identity_token(self, caller: Caller) -> str:
        """Return a refresh token for the registry, as docker keeps it in place of a password."""
        token = secrets.token_urlsafe(32)
        self._put_credential(token, caller.username, "identity")
        return token

    def by_identity_token(self, token: str) -> Caller:
        """Return the account that a refresh token for the registry was made for.

        Raises:
            RequestRefusedError: 401, it is unknown.
        """
        owner = self._owner(token, "identity")
        return self._required(self.caller(owner) if owner else None)

    def by_password(self, username: str, password: str) -> Caller:
        """Return the account with this password or, as in Artifactory, with an access token in its place.

        Raises:
            RequestRefusedError: 401, it is another one's, or unknown.
        """
        return self._required(self._by_password(username, password))

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
            return self.by_password(*_read_basic(value))
        return self._required(None)

    def _required(self, caller: Caller | None) -> Caller:
        if caller is None:
            raise RequestRefusedError(401, "UNAUTHORIZED", "Bad credentials")
        return caller

    def _by_password(self, username: str, text: str) -> Caller | None:
        owner = self._owner(text, "password") or self._owner_of_token(text)
        return self.caller(username) if owner == username else None

    def _owner_of_token(self, text: str) -> str | None:
        token = self.tokens.find(text)
        return token.username if token else None

    def _by_token(self, text: str) -> Caller | None:
        if token := self.tokens.find(text):
            return self.caller(token.username)
        claims = self._verified_claims(text)
        if claims is None or claims["exp"] < self.store.clock():
            return None
        caller = self.caller(claims["sub"].rpartition("/")[2])
        access = claims.get("access")
        scopes = None if access is None else {grant["name"]: frozenset(grant["actions"]) for grant in access}
        return caller and replace(caller, scopes=scopes and self._with_members(scopes), registry_only=True)

    def _with_members(self, scopes: Mapping[str, frozenset[str]]) -> Mapping[str, frozenset[str]]:
        """Return the scopes with those of the members of virtual repositories."""
        widened = dict(scopes)
        for name, actions in scopes.items():
            key, _, image = name.partition("/")
            repository = self.store.repository(key) or RepositoryEntry(key)
            for member in repository.physical:
                own = f"{member}/{image}"
                allowed = actions if member == repository.deploy_to else actions - {"push"}
                widened[own] = widened.get(own, frozenset()) | allowed
        return widened

    def caller(self, username: str) -> Caller | None:
        """Return an account as it is now, or ``None`` if there is none with this name."""
        rows = self.store.rows("SELECT rights FROM accounts WHERE username = ?", username)
        return Caller(username, frozenset(rows[0][0].split()), self._limits(username)) if rows else None

    def _limits(self, username: str) -> Collection[str] | None:
        """Return the repositories that an account is limited to, virtual ones that show them, and their caches."""
        rows = self.store.rows("SELECT repo FROM limits WHERE username = ?", username)
        limits = frozenset(row[0] for row in rows)
        repositories = self.store.repositories() if limits else []
        showing = [one.key for one in repositories if limits.intersection(one.members)]
        caches = [key for one in repositories if one.rclass == "remote" and one.key in limits for key in one.members]
        return limits.union(showing, caches) or None

    def _put(self, username: str, rights: Sequence[str], repositories: Collection[str] | None) -> None:
        with self.store.change():
            self.store.rows("INSERT OR REPLACE INTO accounts VALUES (?, ?)", username, " ".join(rights))
            self.store.rows("DELETE FROM limits WHERE username = ?", username)
            for repo in repositories or ():
                self.store.rows("INSERT OR IGNORE INTO limits VALUES (?, ?)", username, repo)

    def _put_credential(self, secret: str, username: str, kind: str) -> None:
        row = (hash_of(secret), username, kind, self.store.clock())
        self.store.rows("INSERT OR REPLACE INTO credentials VALUES (?, ?, ?, ?)", *row)

    def _owner(self, secret: str, kind: str) -> str | None:
        """Return the account with this password or registry token, or ``None``."""
        query = "SELECT username FROM credentials WHERE hash = ? AND kind = ?"
        rows = self.store.rows(query, hash_of(secret), kind)
        return str(rows[0][0]) if rows else None

    def _verified_claims(self, token: str) -> dict[str, Any] | None:
        claims = jwt.verified(token, self._key)
        return None if hash_of(token) in self._revoked else claims


def _granted_access(caller: Caller, scopes: Iterable[str]) -> list[dict[str, Any]]:
    """Return the granted part of the requested scopes, one for each image; those that are for none are left out."""
    granted: dict[str, set[str]] = {}
    for scope in scopes:
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        if kind == "repository" and name:
            requested = set(ACTION_RIGHTS) if actions == "*" else set(actions.split(","))
            granted.setdefault(name, set()).update(requested & ACTION_RIGHTS.keys())
    return [
        {"type": "repository", "name": name, "actions": sorted(_allowed(caller, name, actions))}
        for name, actions in granted.items()
    ]


def _allowed(caller: Caller, name: str, actions: Iterable[str]) -> list[str]:
    key = name.partition("/")[0]
    return [action for action in actions if caller.may(ACTION_RIGHTS[action], key)]


def _read_basic(value: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    username, _, password = text.partition(":")
    return username, password
