"""Artifactory's REST interface below ``/artifactory/``: system, repositories, files and their properties."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from aiohttp import web

from buildpush.sandbox import wire
from buildpush.sandbox.answers import REVISION, VERSION, RequestRefusedError
from buildpush.sandbox.registry import checksum_headers
from buildpush.sandbox.store import FileEntry, RepositoryEntry, Store
from buildpush.sandbox.wire import BASE

LARGEST_METADATA = 1024 * 1024
# Values of a property are separated by commas, properties by semicolons; a backslash escapes the next character.
_ESCAPED = r"(?:\\.|[^\\{}])"
_PROPERTIES = re.compile(_ESCAPED.format(";|") + "+")
_VALUES = re.compile(_ESCAPED.format(",") + "+")


class RestRoutes:
    """Handlers for everything below ``/artifactory/`` but the registry, builds and tokens."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """Return every route; GET includes HEAD. The last ones match all other paths as files."""
        handlers = (
            ("GET", "/api/system/ping", self.ping),
            ("GET", "/api/system/version", self.version),
            ("POST", "/api/system/usage", self.usage),
            ("GET", "/api/repositories", self.repositories),
            ("GET", "/api/repositories/{repo}", self.repository),
            ("GET", "/api/storage/{repo}", self.item),
            ("GET", "/api/storage/{repo}/{path:.*}", self.item),
            ("PUT", "/api/storage/{repo}/{path:.+}", self.set_properties),
            ("DELETE", "/api/storage/{repo}/{path:.+}", self.delete_properties),
            ("PATCH", "/api/metadata/{repo}/{path:.+}", self.patch_properties),
            ("*", "/api/{rest:.*}", self.unknown),
            ("GET", "/{repo}/{path:.+}", self.download),
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

    # Files and their properties

    def _find(self, request: web.Request) -> FileEntry | None:
        """Return the file at the requested path, which may be in a virtual repository."""
        repository = self._store.repository(request.match_info["repo"])
        path = request.match_info["path"]
        entries = (self._store.file(key, path) for key in wire.caller().readable(repository))
        return next((entry for entry in entries if entry), None)

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Send a file."""
        wire.require("read", request.match_info["repo"])
        entry = self._find(request)
        if entry is None:
            raise RequestRefusedError(404, "NOT_FOUND", "File not found.")
        headers = {
            **checksum_headers(entry),
            "Content-Type": entry.media_type,
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(entry.name)}",
        }
        return web.FileResponse(self._store.content.path(entry.checksums.sha256), headers=headers)

    async def item(self, request: web.Request) -> web.Response:
        """Describe a file or directory, or show its properties."""
        wire.require("read", request.match_info["repo"])
        path = request.match_info.get("path", "").strip("/")
        entry = self._find(request) if path else None
        if "properties" in request.query:
            return self._show_properties(request, entry)
        if "list" in request.query:
            return web.json_response(self._list_files(request, path))
        if entry:
            return web.json_response(_show_file(request, entry))
        return web.json_response(self._show_directory(request, path))

    def _show_properties(self, request: web.Request, entry: FileEntry | None) -> web.Response:
        properties = self._store.properties(entry.repo, entry.path) if entry else {}
        requested = [key for key in request.query["properties"].split(",") if key]
        selected = {key: values for key, values in properties.items() if not requested or key in requested}
        if not selected:
            raise RequestRefusedError(
                404, "NOT_FOUND", "No properties could be found." if entry else "Unable to find item"
            )
        return web.json_response({"properties": selected, "uri": f"{wire.origin(request)}{quote(request.path)}"})

    def _below(self, request: web.Request, directory: str) -> list[FileEntry]:
        """Return every file below a directory, which may be in a virtual repository.

        Raises:
            RequestRefusedError: 404, there is no such directory.
        """
        repository = self._store.repository(request.match_info["repo"])
        keys = wire.caller().readable(repository)
        below = [file for physical in keys for file in self._store.files(physical, directory)]
        if repository is None or (directory and not below):
            raise RequestRefusedError(404, "NOT_FOUND", "Unable to find item")
        return below

    def _list_files(self, request: web.Request, directory: str) -> dict[str, Any]:
        """Return the list of files: all below the directory with ``deep=1``, else only those directly in it."""
        below = self._below(request, directory)
        deep = request.query.get("deep", "0") != "0"
        listed = [
            {
                "uri": file.path[len(directory) :] if directory else f"/{file.path}",
                "size": file.checksums.size,
                "lastModified": _time(file.modified),
                "folder": False,
                "sha1": file.checksums.sha1,
                "sha2": file.checksums.sha256,
            }
            for file in below
            if deep or file.directory == directory
        ]
        uri = f"{wire.origin(request)}{quote(request.path)}"
        return {"uri": uri, "created": _time(self._store.clock()), "files": listed}

    def _show_directory(self, request: web.Request, directory: str) -> dict[str, Any]:
        key = request.match_info["repo"]
        below = self._below(request, directory)
        rests = [file.path[len(directory) :].lstrip("/") for file in below]
        children = {rest.partition("/")[0]: "/" in rest for rest in rests}
        listed = [{"uri": f"/{name}", "folder": is_directory} for name, is_directory in sorted(children.items())]
        return {
            "repo": key,
            "path": f"/{directory}",
            "children": listed,
            "uri": f"{wire.origin(request)}{quote(request.path)}",
        }

    def _change(self, request: web.Request) -> list[FileEntry]:
        """Return the files whose properties the request changes: one, or all below a directory.

        Raises:
            RequestRefusedError: 404, the path does not exist, or the repository is virtual; 403.
        """
        repo, path = request.match_info["repo"], request.match_info["path"].strip("/")
        wire.require("annotate", f"{repo}/{path}")
        repository = self._store.repository(repo)
        entry = self._store.file(repo, path)
        recursive = request.query.get("recursive", request.query.get("recursiveProperties", "1")) != "0"
        below = self._store.files(repo, path) if recursive else []
        if repository is None or repository.rclass == "virtual" or not (entry or below):
            raise RequestRefusedError(404, "NOT_FOUND", f"Unable to find item '{repo}:{path}'.")
        return [entry] if entry else below

    def _apply(self, entries: list[FileEntry], changes: Mapping[str, list[str] | None]) -> web.Response:
        with self._store.change():
            for entry in entries:
                self._store.set_properties(entry.repo, entry.path, changes)
        return web.Response(status=204)

    async def set_properties(self, request: web.Request) -> web.Response:
        """Set properties that are given in the query."""
        if "properties" not in request.query:
            raise RequestRefusedError(
                400,
                "BAD_REQUEST",
                "The sandbox accepts files only through the registry; this needs ?properties=key=value",
            )
        changes: dict[str, list[str] | None] = {**read_properties(request.query["properties"])}
        return self._apply(self._change(request), changes)

    async def delete_properties(self, request: web.Request) -> web.Response:
        """Delete properties."""
        keys = [key for key in request.query.get("properties", "").split(",") if key]
        if not keys:
            raise RequestRefusedError(400, "BAD_REQUEST", "Name the properties to delete: ?properties=key,key")
        return self._apply(self._change(request), dict.fromkeys(keys))

    async def patch_properties(self, request: web.Request) -> web.Response:
        """Set properties that are given in the body; null deletes one."""
        body = await wire.read_all(request, LARGEST_METADATA)
        try:
            properties = json.loads(body)["props"]
            json.dumps(properties, ensure_ascii=False).encode()  # a lone surrogate cannot be stored
            changes = {str(key): None if value is None else [str(value)] for key, value in properties.items()}
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise RequestRefusedError(400, "BAD_REQUEST", 'The body is not {"props": {"key": "value"}}') from error
        return self._apply(self._change(request), changes)


def read_properties(text: str) -> dict[str, list[str]]:
    r"""Return the properties in ``key=value,value;key=value``; in values, a backslash escapes ``, \ | =``.

    Raises:
        RequestRefusedError: 400, a property has no ``=``.
    """
    properties: dict[str, list[str]] = {}
    for property_text in _PROPERTIES.findall(text):
        key, equals, values = property_text.partition("=")
        if not equals or not key:
            raise RequestRefusedError(400, "BAD_REQUEST", f"{property_text!r} is not key=value")
        properties.setdefault(key, []).extend(
            re.sub(r"\\(.)", r"\1", value) for value in _VALUES.findall(values) or [""]
        )
    return properties


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


def _show_file(request: web.Request, entry: FileEntry) -> dict[str, Any]:
    sums = {"sha1": entry.checksums.sha1, "md5": entry.checksums.md5, "sha256": entry.checksums.sha256}
    created, modified = _time(entry.created), _time(entry.modified)
    place = f"{entry.repo}/{quote(entry.path)}"
    return {
        "repo": entry.repo,
        "path": f"/{entry.path}",
        "created": created,
        "createdBy": entry.created_by,
        "lastModified": modified,
        "modifiedBy": entry.created_by,
        "lastUpdated": modified,
        "downloadUri": f"{wire.origin(request)}{BASE}/{place}",
        "mimeType": entry.media_type,
        "size": str(entry.checksums.size),
        "checksums": sums,
        "originalChecksums": sums,
        "uri": f"{wire.origin(request)}{BASE}/api/storage/{place}",
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
