"""Artifactory's REST interface for builds, below ``/artifactory/api/build``."""

from __future__ import annotations

from urllib.parse import quote

from aiohttp import web

from buildpush.sandbox import builds, wire
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.store import Store
from buildpush.sandbox.wire import BASE


class BuildRoutes:
    """Handlers that publish builds and look them up."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """Return every route; GET includes HEAD."""
        handlers = (
            ("PUT", "", self.put_build),
            ("GET", "", self.build_names),
            ("GET", "/{name}", self.build_numbers),
            ("GET", "/{name}/{number}", self.build),
        )
        return [web.route(method, f"{BASE}/api/build{path}", act) for method, path, act in handlers]

    def _build_repository(self, request: web.Request, right: str = "read") -> str:
        """Return the key of the repository of the builds, in which the caller must have this right."""
        query = request.query
        repo = builds.build_repository(self._store, query.get("project"), query.get("buildRepo"))
        wire.require(right, repo)
        return repo

    async def put_build(self, request: web.Request) -> web.Response:
        """Publish a build."""
        repo = self._build_repository(request, "publish")
        body = await wire.read_all(request, builds.LARGEST)
        sha256 = builds.keep_build(self._store, repo, body, wire.caller().username)
        return web.Response(status=204, headers={"X-Checksum-Sha256": sha256})

    async def build_names(self, request: web.Request) -> web.Response:
        """List the names of all builds."""
        latest: dict[str, int] = {}
        for build in self._store.builds(repo=self._build_repository(request)):
            latest.setdefault(build.name, build.started_ms)
        if not latest:
            raise RequestRefusedError(404, "NOT_FOUND", "No builds were found")
        listed = [
            {"uri": f"/{quote(name, safe='')}", "lastStarted": builds.write_started(milliseconds)}
            for name, milliseconds in latest.items()
        ]
        return web.json_response({"uri": f"{wire.origin(request)}{BASE}/api/build", "builds": listed})

    async def build_numbers(self, request: web.Request) -> web.Response:
        """List the runs of one build, newest first."""
        name = request.match_info["name"]
        runs = self._store.builds(name, repo=self._build_repository(request))
        if not runs:
            raise RequestRefusedError(404, "NOT_FOUND", f"No build was found for build name: {name}")
        listed = [
            {"uri": f"/{quote(build.number, safe='')}", "started": builds.write_started(build.started_ms)}
            for build in runs
        ]
        uri = f"{wire.origin(request)}{BASE}/api/build/{quote(name, safe='')}"
        return web.json_response({"uri": uri, "buildsNumbers": listed})

    async def build(self, request: web.Request) -> web.Response:
        """Show one run as it was stored."""
        name, number = request.match_info["name"], request.match_info["number"]
        started = request.query.get("started")
        run = builds.find_build(self._store, name, number, repo=self._build_repository(request), started=started)
        uri = f"{wire.origin(request)}{BASE}/api/build/{quote(name, safe='')}/{quote(number, safe='')}"
        return web.json_response({"uri": uri, "buildInfo": run.document})
