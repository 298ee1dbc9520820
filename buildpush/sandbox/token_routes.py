"""Artifactory's REST interface for access tokens and passwords."""

from __future__ import annotations

from aiohttp import web

from buildpush.sandbox import wire
from buildpush.sandbox.accounts import YEAR_SECONDS, Accounts
from buildpush.sandbox.wire import BASE

LARGEST = 64 * 1024


class TokenRoutes:
    """Handlers that make access tokens."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def routes(self) -> list[web.RouteDef]:
        """Return every route; GET includes HEAD."""
        return [
            web.get(f"{BASE}/api/security/encryptedPassword", self.encrypted_password),
            web.post(f"{BASE}/api/security/token", self.token),
        ]

    async def encrypted_password(self, request: web.Request) -> web.Response:
        """Return the password that the caller sent, since there is no separate encrypted one."""
        return web.Response(text=self._accounts.sent_password(request.headers.get("Authorization")))

    async def token(self, request: web.Request) -> web.Response:
        """Make an additional access token."""
        await wire.read_all(request, LARGEST)
        token = self._accounts.make_token(wire.caller())
        answer = {
            "access_token": token,
            "expires_in": YEAR_SECONDS,
            "scope": "member-of-groups:*",
            "token_type": "Bearer",
        }
        return web.json_response(answer)
