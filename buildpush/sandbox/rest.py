"""Artifactory's REST interface below ``/artifactory/``: system and repositories."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from buildpush.sandbox import wire
from buildpush.sandbox.answers import REVISION, VERSION, RequestRefusedError
from buildpush.sandbox.entries import RepositoryEntry
from buildpush.sandbox.store import Store
from buildpush.sandbox.wire import BASE

LARGEST_METADATA = 1024 * 1024


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
            ("GET", "/api/repositories", self.repositories),
            ("GET", "/api/repositories/{repo}", self.repository),
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
        await wire.read_all(request, LARGEST_METADATA)
        return web.json_response({})

    async def uploads(self, _request: web.Request) -> web.Response:
        """Answer that large files are not uploaded in parts."""
        return web.json_response({"supported": False})

    async def unknown(self, request: web.Request) -> web.Response:
        """Refuse a path that the sandbox does not have."""
        raise RequestRefusedError(404, "NOT_FOUND", f"The sandbox has no {request.method} {request.path}")

    # Repositories

    async def repositories(self, request: web.Request) -> web.Response:
        """List the repositories that the caller may use."""
        who = wire.caller()
        seen = [one for one in self._store.repositories() if who.sees(one.key)]
        listed = [_show_repository(request, repository, "type") for repository in seen]
        return web.json_response([{**one, "type": one["type"].upper()} for one in listed])

    async def repository(self, request: web.Request) -> web.Response:
        """Describe one repository; an unknown key is a "Bad Request", as in Artifactory."""
        repository = self._store.repository(request.match_info["repo"])
        if repository is None or not wire.caller().sees(repository.key):
            raise RequestRefusedError(400, "BAD_REQUEST", "Bad Request")
        return web.json_response(_show_repository(request, repository, "rclass"))


def _show_repository(request: web.Request, repository: RepositoryEntry, kind: str) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if repository.rclass == "virtual":
        more = {"repositories": list(repository.members), "defaultDeploymentRepo": repository.deploy_to}
    return {
        "key": repository.key,
        kind: repository.rclass,
        "packageType": repository.package_type,
        "url": f"{wire.origin(request)}{BASE}/{repository.key}",
        "description": "",
        **more,
    }
