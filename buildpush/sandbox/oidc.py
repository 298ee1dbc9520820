"""OIDC exchange: a token of an identity provider, such as that of a CI system, for an access token.

The provider's signature is checked with a key that the sandbox shares with it (HS256); real providers sign with RSA or
elliptic curves, and publish their keys. Issuer, audience, times and claims are checked as Artifactory does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import Secret
from buildpush.sandbox import jwt
from buildpush.sandbox.answers import RequestRefusedError


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """An identity provider that the sandbox trusts.

    Attributes:
        issuer: claim ``iss`` of its tokens.
        key: with which it signs them (HS256).
        username: the account that its tokens are exchanged for.
        audience: claim ``aud``; ``None`` for any.
        claims: further claims that a token must have, such as ``{"repository": "acme/*"}``; they may be
            patterns.
        seconds: that the access token is valid.
    """

    issuer: str
    key: Secret
    username: str = "developer"
    audience: str | None = None
    claims: Mapping[str, str] = dataclasses.field(default_factory=dict)
    seconds: int = 3600

    def check(self, token: str, now: float) -> None:
        """Check a token of the provider at a moment, in seconds since 1970.

        Raises:
            RequestRefusedError: 401, it is not the provider's, or not valid now; 403, its claims are other ones.
        """
        claims = jwt.verified(token, self.key.reveal().encode()) or {}
        fault = self._fault(claims, now)
        if fault:
            raise RequestRefusedError(401, "UNAUTHORIZED", f"The token of the provider is refused: {fault}")
        for key, pattern in self.claims.items():
            if not fnmatchcase(str(claims.get(key, "")), pattern):
                message = f"No identity mapping of the provider matches: the claim {key!r} is not {pattern!r}"
                raise RequestRefusedError(403, "DENIED", message)

    def _fault(self, claims: Mapping[str, Any], now: float) -> str:
        """Return what is wrong with the claims of a token, which are empty without a valid signature."""
        if claims.get("iss") != self.issuer:
            return "its signature or its issuer is not that of the provider"
        begin, end = claims.get("nbf", 0), claims.get("exp")
        if not isinstance(begin, (int, float)) or not isinstance(end, (int, float)) or not begin <= now < end:
            return "it is not valid now: see its claims nbf and exp"
        if self.audience is not None and self.audience not in _listed(claims.get("aud")):
            return f"its audience is not {self.audience!r}"
        return ""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
