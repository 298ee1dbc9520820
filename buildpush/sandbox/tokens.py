"""Access tokens: made, renewed and revoked; only their hashes are stored."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Any

from buildpush.foundation.records import dataclass
from buildpush.sandbox import jwt
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.entries import TokenEntry
from buildpush.sandbox.store import Store

ISSUER = "jfac@sandbox"
USER_SCOPE = "applied-permissions/user"
MONTH_SECONDS = 30 * 24 * 3600
YEAR_SECONDS = 365 * 24 * 3600
LONGEST_SECONDS = 100 * YEAR_SECONDS
# Scopes that stand for all that the account may do; the sandbox has no groups.
_SCOPES = re.compile(r"(applied-permissions/user|member-of-groups:\S+|api:\*)( (member-of-groups:\S+|api:\*))*\Z")


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new access token, with what cannot be shown again.

    Attributes:
        token: a JWT.
        refresh: renews it, once.
        reference: a short text in its place.
    """

    entry: TokenEntry
    token: str
    refresh: str | None = None
    reference: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the answer to the client that requested it."""
        lifetime = None if self.entry.expires is None else round(self.entry.expires - self.entry.issued)
        more = {"expires_in": lifetime, "refresh_token": self.refresh, "reference_token": self.reference}
        return {
            "token_id": self.entry.identifier,
            "access_token": self.token,
            "scope": self.entry.scope,
            "token_type": "Bearer",
            **{key: value for key, value in more.items() if value is not None},
        }


class Tokens:
    """The access tokens of one sandbox."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # A token is known by its hash, so the key need not survive the process.
        self._key = secrets.token_bytes(32)

    def make(
        self,
        username: str,
        seconds: int = YEAR_SECONDS,
        scope: str = USER_SCOPE,
        *,
        refreshable: bool = False,
        reference: bool = False,
        audience: str = "*@*",
    ) -> IssuedToken:
        """Make a token; with 0 *seconds*, it does not expire.

        Raises:
            RequestRefusedError: 400, the sandbox does not have this scope or lifetime.
        """
        if not _SCOPES.match(scope):
            message = f"The scope {scope!r} is not one of {USER_SCOPE}, member-of-groups:GROUP and api:*"
            raise RequestRefusedError(400, "BAD_REQUEST", message)
        if not 0 <= seconds <= LONGEST_SECONDS:
            raise RequestRefusedError(400, "BAD_REQUEST", f"expires_in must be 0 to {LONGEST_SECONDS} seconds")
        now, identifier = self._store.clock(), secrets.token_hex(16)
        expiry = {"exp": int(now) + seconds} if seconds else {}
        claims = {"sub": f"{ISSUER}/users/{username}", "scp": scope, "aud": audience, "iss": ISSUER, "iat": int(now)}
        token = jwt.sign({**claims, **expiry, "jti": identifier}, self._key)
        texts = [secrets.token_urlsafe(32) if wanted else None for wanted in (refreshable, reference)]
        refresh_hash, reference_hash = (text and hash_of(text) for text in texts)
        hashes = (hash_of(token), refresh_hash, reference_hash)
        entry = TokenEntry(identifier, *hashes, username, scope, now, now + seconds if seconds else None)
        self._put(entry)
        return IssuedToken(entry, token, *texts)

    def find(self, text: str) -> TokenEntry | None:
        """Return the token or reference token, unless it has expired or was revoked."""
        entry = self._find("? IN (hash, reference_hash)", hash_of(text))
        is_over = entry is not None and entry.expires is not None and entry.expires < self._store.clock()
        return None if is_over else entry

    def renew(self, refresh: str, access: str | None, *, default: int) -> IssuedToken:
        """Replace a token by a new one, for as long; the old one and its refresh token end.

        Args:
            refresh: refresh token.
            access: the old token, if the client sends it.
            default: seconds that the new one is for, if the old one did not expire.

        Raises:
            RequestRefusedError: 400, they do not belong together; 401, the refresh token was used, or is unknown.
        """
        with self._store.change():
            entry = self._find("refresh_hash = ?", hash_of(refresh))
            if entry is None:
                raise RequestRefusedError(401, "UNAUTHORIZED", "Invalid refresh token: it is unknown or was used")
            if access is not None and hash_of(access) not in {entry.hashed, entry.reference_hash}:
                raise RequestRefusedError(400, "BAD_REQUEST", "The refresh token is of another access token")
            self._remove(entry)
            seconds = default if entry.expires is None else round(entry.expires - entry.issued)
            return self.make(
                entry.username, seconds, entry.scope, refreshable=True, reference=entry.reference_hash is not None
            )

    def revoke(self, username: str, *, text: str | None = None, identifier: str | None = None) -> None:
        """Revoke a token of an account, by itself or by its identifier, together with its refresh token.

        Raises:
            RequestRefusedError: 404, the account has no such token.
        """
        hashed = None if text is None else hash_of(text)
        for entry in self.of(username):
            if identifier == entry.identifier or (hashed and hashed in {entry.hashed, entry.reference_hash}):
                self._remove(entry)
                return
        raise RequestRefusedError(404, "NOT_FOUND", "Token not found")

    def of(self, username: str) -> list[TokenEntry]:
        """Return the tokens of an account, oldest first."""
        return self._select("username = ? ORDER BY issued, identifier", username)

    def _find(self, where: str, hashed: str) -> TokenEntry | None:
        return next(iter(self._select(where, hashed)), None)

    def _select(self, where: str, value: str) -> list[TokenEntry]:
        return [TokenEntry(*row) for row in self._store.rows(f"SELECT * FROM tokens WHERE {where}", value)]  # noqa: S608 - constants

    def _put(self, entry: TokenEntry) -> None:
        """Store a token, and forget those that have expired; one that can be renewed is kept for a month more."""
        now = self._store.clock()
        over = "expires < ? AND refresh_hash IS NULL OR expires < ?"
        self._store.rows(f"DELETE FROM tokens WHERE {over}", now, now - MONTH_SECONDS)  # noqa: S608 - a constant
        row = (entry.identifier, entry.hashed, entry.refresh_hash, entry.reference_hash, entry.username, entry.scope)
        self._store.rows("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *row, entry.issued, entry.expires)

    def _remove(self, entry: TokenEntry) -> None:
        self._store.rows("DELETE FROM tokens WHERE identifier = ?", entry.identifier)


def hash_of(secret: str) -> str:
    """Return the hash to store; a simple one is enough, because every secret here is long and random."""
    return hashlib.sha256(f"buildpush sandbox {secret}".encode(errors="surrogateescape")).hexdigest()
