"""Where tokens are made: for the registry, for Artifactory, and by the platform's access service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from buildpush.foundation.records import dataclass
from buildpush.sandbox import wire
from buildpush.sandbox.accounts import TOKEN_SECONDS, Accounts
from buildpush.sandbox.answers import RequestRefusedError, forbidden
from buildpush.sandbox.entries import TokenEntry
from buildpush.sandbox.oidc import OidcProvider
from buildpush.sandbox.permissions import Caller
from buildpush.sandbox.tokens import ISSUER, USER_SCOPE, YEAR_SECONDS, IssuedToken
from buildpush.sandbox.wire import BASE

LARGEST = 64 * 1024
ACCESS = "/access/api/v1"
_SECURITY = f"{BASE}/api/security/token"
_REGISTRY = ("/v2/token", f"{BASE}/api/docker/{{key}}/v2/token")
_EXCHANGE = f"{ACCESS}/oidc/token"
# Requests whose callers may be unknown until the body was read: it has a refresh token, or a password.
_ASK_THEMSELVES = {
    *((method, path) for method in ("GET", "POST") for path in _REGISTRY),
    *(("POST", path) for path in (_SECURITY, f"{ACCESS}/tokens", _EXCHANGE)),
}


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a token has that the request does not say."""

    seconds: int
    scope: str


_OF_SECURITY = Defaults(3600, "member-of-groups:*")
_OF_ACCESS = Defaults(YEAR_SECONDS, USER_SCOPE)


class TokenRoutes:
    """Handlers that make, renew, list and revoke tokens."""

    def __init__(self, accounts: Accounts, providers: Mapping[str, OidcProvider]) -> None:
        self._accounts = accounts
        self._tokens = accounts.tokens
        self._providers = providers

    def routes(self) -> list[web.RouteDef]:
        """Return every route; GET includes HEAD."""
        handlers = (
            *(("GET", path, self.registry_token) for path in _REGISTRY),
            *(("POST", path, self.registry_token_by_form) for path in _REGISTRY),
            ("GET", f"{BASE}/api/security/encryptedPassword", self.encrypted_password),
            ("GET", _SECURITY, self.list),
            ("POST", _SECURITY, self.make_for_artifactory),
            ("POST", f"{_SECURITY}/revoke", self.revoke),
            ("GET", f"{ACCESS}/tokens", self.list),
            ("POST", f"{ACCESS}/tokens", self.make_for_platform),
            ("DELETE", f"{ACCESS}/tokens/revoke", self.revoke),
            ("DELETE", f"{ACCESS}/tokens/{{identifier}}", self.revoke),
            ("POST", _EXCHANGE, self.exchange),
        )
        return [web.route(*handler) for handler in handlers]

    async def encrypted_password(self, request: web.Request) -> web.Response:
        """Return the password that the caller sent, since there is no separate encrypted one."""
        password = self._accounts.sent_password(request.headers.get("Authorization"))
        if not password:
            raise RequestRefusedError(400, "BAD_REQUEST", "The request has no password")
        return web.Response(text=password)

    # For the registry

    async def registry_token(self, request: web.Request) -> web.Response:
        """Issue a registry token for a password or an access token."""
        who = self._authenticate(request)
        asked = [scope for value in request.query.getall("scope", []) for scope in value.split()]
        return self._registry_answer(request, who, asked, offline=request.query.get("offline_token") == "true")

    async def registry_token_by_form(self, request: web.Request) -> web.Response:
        """Issue a registry token as in OAuth 2, for a password or a refresh token in a form."""
        fields = await _fields(request)
        if fields.get("grant_type") == "refresh_token":
            who = self._accounts.by_identity_token(fields.get("refresh_token", ""))
        elif fields.get("grant_type") == "password":
            who = self._accounts.by_password(fields.get("username", ""), fields.get("password", ""))
        else:
            raise RequestRefusedError(400, "UNSUPPORTED", "grant_type must be password or refresh_token")
        offline = fields.get("access_type") == "offline"
        return self._registry_answer(request, who, fields.get("scope", "").split(), offline=offline)

    def _registry_answer(self, request: web.Request, who: Caller, scopes: list[str], *, offline: bool) -> web.Response:
        wire.current.get().caller = who
        key = request.match_info.get("key")
        token = self._accounts.registry_token(who, [_with_key(scope, key) for scope in scopes] if key else scopes)
        answer = {"token": token, "access_token": token, "expires_in": TOKEN_SECONDS, "scope": " ".join(scopes)}
        more = {"refresh_token": self._accounts.identity_token(who)} if offline else {}
        return web.json_response({**answer, **more})

    # For Artifactory and the platform

    async def make_for_artifactory(self, request: web.Request) -> web.Response:
        """Make or renew an access token: ``POST api/security/token``."""
        return await self._make(request, _OF_SECURITY)

    async def make_for_platform(self, request: web.Request) -> web.Response:
        """Make or renew an access token: ``POST access/api/v1/tokens``."""
        return await self._make(request, _OF_ACCESS)

    async def _make(self, request: web.Request, defaults: Defaults) -> web.Response:
        fields = await _fields(request)
        grant = fields.get("grant_type", "client_credentials")
        if grant == "refresh_token":
            return self._renewed(fields, defaults)
        if grant not in {"client_credentials", "password"}:
            raise RequestRefusedError(400, "BAD_REQUEST", f"The grant type {grant!r} is not supported")
        who = self._authenticate(request)
        username = fields.get("username", who.username)
        if username.lower() != who.username.lower():
            raise forbidden(who.username, "make a token for", username)
        issued = self._tokens.make(
            who.username,
            _seconds(fields.get("expires_in", str(defaults.seconds))),
            fields.get("scope") or defaults.scope,
            refreshable=fields.get("refreshable", "").lower() == "true",
            reference=fields.get("include_reference_token", "").lower() == "true",
            audience=fields.get("audience", "*@*"),
        )
        return web.json_response(issued.document())

    def _renewed(self, fields: Mapping[str, str], defaults: Defaults) -> web.Response:
        access = fields.get("access_token")
        issued = self._tokens.renew(fields.get("refresh_token", ""), access, default=defaults.seconds)
        wire.current.get().caller = self._accounts.caller(issued.entry.username)
        return web.json_response(issued.document())

    async def list(self, _request: web.Request) -> web.Response:
        """List the access tokens of the caller, without the tokens."""
        entries = self._tokens.of(wire.caller().username)
        return web.json_response({"tokens": [_show(entry) for entry in entries]})

    async def revoke(self, request: web.Request) -> web.Response:
        """Revoke an access token of the caller."""
        fields = await _fields(request)
        identifier = request.match_info.get("identifier") or fields.get("token_id")
        self._tokens.revoke(wire.caller().username, text=fields.get("token"), identifier=identifier)
        return web.Response(text="Token revoked")

    async def exchange(self, request: web.Request) -> web.Response:
        """Exchange the token of an identity provider for an access token."""
        fields = await _fields(request)
        provider = self._providers.get(fields.get("provider_name", ""))
        if provider is None:
            message = f"There is no identity provider {fields.get('provider_name', '')!r}"
            raise RequestRefusedError(400, "BAD_REQUEST", message)
        provider.check(fields.get("subject_token", ""), self._accounts.store.clock())
        who = self._accounts.caller(provider.username)
        if who is None:
            message = f"The provider is for the account {provider.username!r}, which does not exist"
            raise RequestRefusedError(403, "DENIED", message)
        wire.current.get().caller = who
        return web.json_response(_exchanged(self._tokens.make(who.username, provider.seconds)))

    def _authenticate(self, request: web.Request) -> Caller:
        """Return who sends the request, by its headers; a registry token cannot make further tokens.

        Raises:
            RequestRefusedError: 401, 403.
        """
        who = self._accounts.identify(request.headers.get("Authorization"), request.headers.get("X-JFrog-Art-Api"))
        wire.current.get().caller = who
        who = wire.caller()
        if who.registry_only:
            raise forbidden(who.username, "make a token with a token of the registry at", request.path)
        return who


def asks_itself(request: web.Request) -> bool:
    """Return whether the handler of the request authenticates its caller."""
    resource = request.match_info.route.resource
    return resource is not None and (request.method, resource.canonical) in _ASK_THEMSELVES


def _with_key(scope: str, key: str) -> str:
    """Return a scope with the repository key, which is not part of a name below ``/artifactory/api/docker/KEY/``."""
    return scope.replace("repository:", f"repository:{key}/", 1)


def _exchanged(issued: IssuedToken) -> dict[str, Any]:
    kind = "urn:ietf:params:oauth:token-type:access_token"
    return {**issued.document(), "issued_token_type": kind, "username": issued.entry.username}


def _show(entry: TokenEntry) -> dict[str, Any]:
    shown = {
        "token_id": entry.identifier,
        "subject": f"{ISSUER}/users/{entry.username}",
        "issuer": ISSUER,
        "scope": entry.scope,
        "issued_at": int(entry.issued),
        "refreshable": entry.refresh_hash is not None,
    }
    return shown if entry.expires is None else {**shown, "expiry": int(entry.expires)}


def _seconds(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise RequestRefusedError(400, "BAD_REQUEST", f"expires_in is not a number: {text[:20]!r}") from error


async def _fields(request: web.Request) -> dict[str, str]:
    """Return the fields of a form or of a JSON object; a boolean is ``true`` or ``false``.

    Raises:
        RequestRefusedError: 400, the body is neither.
    """
    body = await wire.read_all(request, LARGEST)
    try:
        text = body.decode()
        document = json.loads(text) if text.lstrip().startswith(("{", "[")) else dict(parse_qsl(text))
        items = {key: value for key, value in document.items() if value is not None}
        return {key: value if isinstance(value, str) else json.dumps(value) for key, value in items.items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise RequestRefusedError(400, "BAD_REQUEST", "The body is neither a form nor a JSON object") from error
