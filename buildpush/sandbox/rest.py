"""Artifactory's REST interface below ``/artifactory/``: system and repositories."""

from __future__ import annotations

from aiohttp import web

from buildpush.sandbox import wire
from buildpush.sandbox.answers import REVISION, VERSION, RequestRefusedError
from buildpush.sandbox.store import Store
from buildpush.sandbox.wire import BASE


class RestRoutes:
    """Handlers for the server itself and its repositories, and for the paths that the sandbox does not have."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """Return every route; GET includes HEAD. The last one matches all other paths below ``api``."""
        handlers = (
            ("GET", "/api/system/ping", self.ping),
            ("GET", "/api/system/version", self.version),
            ("POST", "/api/system/usage", self.usage),
            ("GET", "/api/v1/uploads/config", self.uploads),
            ("*", "/api/{rest:.*}", self.unknown),
        )
        return [web.route(method, BASE + path, act) for method, path, act in handlers]

    # System

    async def ping(self, _request: web.Request) -> web.Response:
        """Answer that the server is running; credentials are not checked."""
        return web.Response(text="OK")

    async def version(self, _request: web.Request) -> web.Response:
        """Return the version of Artifactory that is imitated."""
        return web.json_response(
            {"version": VERSION, "revision": REVISION, "addons": [], "license": "buildpush sandbox"}
        )

    async def usage(self, request: web.Request) -> web.Response:
        """Accept a usage report, and ignore it."""
        await wire.read_all(request)
        return web.json_response({})

    async def uploads(self, _request: web.Request) -> web.Response:
        """Answer that large files are not uploaded in parts."""
        return web.json_response({"supported": False})

    async def unknown(self, request: web.Request) -> web.Response:
        """Refuse a path that the sandbox does not have."""
        raise RequestRefusedError(404, "NOT_FOUND", f"The sandbox has no {request.method} {request.path}")
