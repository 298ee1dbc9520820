"""Artifactory's searches, below ``/artifactory/api/search``, and its summary of the storage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from aiohttp import web

from buildpush.sandbox import aql, builds, searches, wire
from buildpush.sandbox.answers import RequestRefusedError, forbidden
from buildpush.sandbox.aql_grammar import LONGEST
from buildpush.sandbox.aql_where import Clause
from buildpush.sandbox.entries import BuildEntry, FileEntry
from buildpush.sandbox.storage import file_document, write_time
from buildpush.sandbox.storage_summary import summary
from buildpush.sandbox.store import Store
from buildpush.sandbox.wire import BASE

# A character is at most four bytes; a longer text is answered as too long, and a much longer one is not read.
LARGEST_QUERY = 64 * LONGEST
_NO_RESULTS = "No results found."


class SearchRoutes:
    """Handlers that look for files and builds."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """Return every route."""
        handlers = (
            ("POST", "/search/aql", self.aql),
            ("GET", "/search/artifact", self.by_name),
            ("GET", "/search/prop", self.by_properties),
            ("GET", "/search/checksum", self.by_checksum),
            ("GET", "/search/creation", self.by_creation),
            ("GET", "/search/dates", self.by_dates),
            ("GET", "/search/pattern", self.by_pattern),
            ("POST", "/search/buildArtifacts", self.of_build),
            ("GET", "/builds/buildArtifacts/{name}/{number}/{repo}", self.listed_of_build),
            ("GET", "/storageinfo", self.summary),
            ("POST", "/storageinfo/calculate", self.calculate),
        )
        return [web.route(method, f"{BASE}/api{path}", act) for method, path, act in handlers]

    async def aql(self, request: web.Request) -> web.Response:
        """Answer a query in the Artifactory Query Language."""
        body = await wire.read_all(request, LARGEST_QUERY)
        try:
            text = body.decode() or request.query.get("query", "")
        except UnicodeDecodeError as error:
            raise RequestRefusedError(400, "BAD_REQUEST", "the query is not UTF-8") from error
        if not text.strip():
            raise RequestRefusedError(400, "BAD_REQUEST", "Bad Request")
        document = await asyncio.to_thread(aql.answer, self._store, text, wire.caller())
        return web.json_response(document)

    # By name, property, checksum

    async def by_name(self, request: web.Request) -> web.Response:
        """Find files by a part of their name."""
        return await self._answer(request, searches.by_name(request.query))

    async def by_properties(self, request: web.Request) -> web.Response:
        """Find files by their properties."""
        return await self._answer(request, searches.by_properties(request.query))

    async def by_checksum(self, request: web.Request) -> web.Response:
        """Find files by a checksum."""
        return await self._answer(request, searches.by_checksum(request.query))

    async def _find(self, request: web.Request, condition: Clause) -> list[FileEntry]:
        keys = request.query.get("repos")
        return await asyncio.to_thread(searches.find_files, self._store, wire.caller(), condition, keys)

    async def _answer(self, request: web.Request, condition: Clause) -> web.Response:
        found = await self._find(request, condition)
        details = {one.strip() for one in request.headers.get("X-Result-Detail", "").split(",")}
        return web.json_response({"results": [self._show(request, entry, details) for entry in found]})

    def _show(self, request: web.Request, entry: FileEntry, details: set[str]) -> dict[str, Any]:
        document = file_document(request, entry)
        shown = document if "info" in details else {"uri": document["uri"]}
        if "properties" in details:
            shown["properties"] = self._store.properties(entry.repo, entry.path)
        return shown

    # By date and pattern

    async def by_creation(self, request: web.Request) -> web.Response:
        """Find files that were made or changed in a time."""
        span = searches.date_span(request.query, self._store.clock())
        found = await self._find(request, searches.by_dates(span, ["created", "lastModified"]))
        times = [one.created if span[0] < one.created <= span[1] else one.modified for one in found]
        return _dated([_row(request, one, {"created": time}) for one, time in zip(found, times, strict=True)])

    async def by_dates(self, request: web.Request) -> web.Response:
        """Find files by the times that are named."""
        fields = searches.date_fields(request.query)
        span = searches.date_span(request.query, self._store.clock())
        found = await self._find(request, searches.by_dates(span, fields))
        columns = {field: column for field in fields if (column := searches.DATE_FIELDS[field])}
        times = [{field: getattr(one, column) for field, column in columns.items()} for one in found]
        return _dated([_row(request, one, these) for one, these in zip(found, times, strict=True)])

    async def by_pattern(self, request: web.Request) -> web.Response:
        """Find files by repository and path with wildcards."""
        pattern = request.query.get("pattern", "")
        key = pattern.partition(":")[0]
        condition = searches.by_pattern(pattern)
        found = await asyncio.to_thread(searches.find_files, self._store, wire.caller(), condition, key)
        uri = f"{wire.origin(request)}{BASE}/{quote(key)}"
        return web.json_response({"repoUri": uri, "sourcePattern": pattern, "files": [one.path for one in found]})

    # Of a build

    async def of_build(self, request: web.Request) -> web.Response:
        """Find the artifacts of a build that the body names; ``LATEST`` is its newest run."""
        asked = _read_build(await wire.read_all(request, LARGEST_QUERY))
        repo = builds.build_repository(self._store, asked.get("project"), asked.get("buildRepo"))
        found = await self._of_run(asked["buildName"], asked["buildNumber"], repo, asked.get("repos"))
        uris = [file_document(request, one)["downloadUri"] for one in found]
        return web.json_response({"results": [{"downloadUri": uri} for uri in uris]})

    async def listed_of_build(self, request: web.Request) -> web.Response:
        """List the artifacts of a build as JFrog's client asks for them."""
        asked = request.match_info
        found = await self._of_run(asked["name"], asked["number"], asked["repo"])
        return web.json_response([{"repo": one.repo, "path": one.directory or ".", "name": one.name} for one in found])

    async def _of_run(self, name: str, number: str, repo: str, keys: str | None = None) -> list[FileEntry]:
        wire.require("read", repo)
        run = self._run(name, number, repo)
        for marked in (True, False):
            condition = searches.of_build(run, marked=marked)
            if found := await asyncio.to_thread(searches.find_files, self._store, wire.caller(), condition, keys):
                return found
        raise RequestRefusedError(404, "NOT_FOUND", f"Could not find any build artifacts for build '{name}' #{number}.")

    def _run(self, name: str, number: str, repo: str) -> BuildEntry:
        if number != "LATEST":
            return builds.find_build(self._store, name, number, repo=repo)
        runs = self._store.builds(name, repo=repo)
        if not runs:
            raise RequestRefusedError(404, "NOT_FOUND", f"No build was found for build name: {name}")
        return runs[0]

    # The storage

    async def summary(self, _request: web.Request) -> web.Response:
        """Say how much is stored, and where."""
        _require_admin("read")
        return web.json_response(await asyncio.to_thread(summary, self._store))

    async def calculate(self, _request: web.Request) -> web.Response:
        """Accept to calculate the summary anew, which is done whenever it is asked for."""
        _require_admin("calculate")
        return web.Response(status=202)


def _require_admin(act: str) -> None:
    caller = wire.caller()
    if not caller.is_admin:
        raise forbidden(caller.username, act, "storageinfo")


def _read_build(body: bytes) -> Mapping[str, str]:
    """Return what the body asks for, as texts.

    Raises:
        RequestRefusedError: 400, it is no such document, or asks for what the sandbox cannot do.
    """
    try:
        asked = json.loads(body)
        unknown = asked.keys() & {"mappings", "buildStatus"}
        repos = {"repos": ",".join(asked["repos"])} if "repos" in asked else {}
        texts = {key: str(asked[key]) for key in ("buildName", "buildNumber", "buildRepo", "project") if key in asked}
        json.dumps([texts, repos], ensure_ascii=False).encode()  # a lone surrogate is in no name
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RequestRefusedError(400, "BAD_REQUEST", 'The body is not {"buildName", "buildNumber"}') from error
    if unknown:
        raise RequestRefusedError(400, "BAD_REQUEST", f"The sandbox does not search by {', '.join(sorted(unknown))}")
    if not texts.keys() >= {"buildName", "buildNumber"}:
        raise RequestRefusedError(400, "BAD_REQUEST", "The parameters buildName and buildNumber are needed")
    return {**texts, **repos}


def _row(request: web.Request, entry: FileEntry, times: Mapping[str, float]) -> dict[str, str]:
    shown = {field: write_time(seconds) for field, seconds in times.items()}
    return {"uri": file_document(request, entry)["uri"], **shown}


def _dated(rows: list[dict[str, str]]) -> web.Response:
    if not rows:
        raise RequestRefusedError(404, "NOT_FOUND", _NO_RESULTS)
    return web.json_response({"results": rows})
