"""What is stored, at ``/artifactory/api/storage/``: files, directories and their properties."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from aiohttp import web

from buildpush.sandbox import wire
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.entries import DirectoryEntry, FileEntry
from buildpush.sandbox.paths import ItemPath, item_path, read_properties
from buildpush.sandbox.store import Store
from buildpush.sandbox.wire import BASE

STORAGE, METADATA = f"{BASE}/api/storage/", f"{BASE}/api/metadata/"
Changes = Mapping[str, Sequence[str] | None]


class StorageRoutes:
    """Handlers for descriptions, lists and properties."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """Return every route; GET includes HEAD."""
        handlers = (
            ("GET", f"{STORAGE}{{path:.+}}", self.item),
            ("PUT", f"{STORAGE}{{path:.+}}", self.set_properties),
            ("DELETE", f"{STORAGE}{{path:.+}}", self.delete_properties),
            ("PATCH", f"{METADATA}{{path:.+}}", self.patch_properties),
        )
        return [web.route(method, path, act) for method, path, act in handlers]

    async def item(self, request: web.Request) -> web.Response:
        """Describe a file or directory, list what is below it, or show its properties."""
        item = item_path(request, STORAGE)
        wire.require("read", str(item))
        show = next((act for word, act in self._views() if word in request.query), self._describe)
        return web.json_response(show(request, item))

    def _views(self) -> tuple[tuple[str, Callable[[web.Request, ItemPath], dict[str, Any]]], ...]:
        return ("properties", self._properties), ("list", self._list)

    def _describe(self, request: web.Request, item: ItemPath) -> dict[str, Any]:
        entry = find_file(self._store, item)
        return file_document(request, entry) if entry else self._directory(request, item)

    # Directories

    def _directory(self, request: web.Request, item: ItemPath) -> dict[str, Any]:
        found = self._find_directories(item)
        children: dict[str, bool] = {}
        for key in found:
            children |= {entry.name: False for entry in self._store.files_in(key, item.path)}
            children |= {entry.name: True for entry in self._store.directories_in(key, item.path)}
        listed = [{"uri": f"/{name}", "folder": is_directory} for name, is_directory in sorted(children.items())]
        return {**directory_document(request, item, next(iter(found.values()))), "children": listed}

    def _find_directories(self, item: ItemPath) -> dict[str, DirectoryEntry | None]:
        """Return the directory in each repository that has it; the whole of a repository has no entry.

        Raises:
            RequestRefusedError: 404, no repository has it.
        """
        found = {key: self._store.directory(key, item.path) for key in readable(self._store, item.repo)}
        found = {key: entry for key, entry in found.items() if entry or not item.path}
        if not found:
            raise RequestRefusedError(404, "NOT_FOUND", "Unable to find item")
        return found

    def _list(self, request: web.Request, item: ItemPath) -> dict[str, Any]:
        """Return the list of files: directly in the directory, or to a depth."""
        if find_file(self._store, item):
            raise RequestRefusedError(400, "BAD_REQUEST", f"Expected a folder but found a file, at: {item}")
        deepest = _depth(request)
        entries: dict[str, FileEntry | DirectoryEntry] = {}
        for key in self._find_directories(item):
            for entry in self._entries(request, key, item.path, deepest):
                entries.setdefault(entry.path[len(item.path) :].lstrip("/"), entry)
        timed = is_set(request, "mdTimestamps")
        listed = [self._row(relative, entry, timed=timed) for relative, entry in sorted(entries.items())]
        return {"uri": _address(request), "created": write_time(self._store.clock()), "files": listed}

    def _entries(
        self, request: web.Request, key: str, directory: str, deepest: int
    ) -> Iterable[FileEntry | DirectoryEntry]:
        if deepest == 1:
            yield from self._store.files_in(key, directory)
            yield from self._store.directories_in(key, directory) if is_set(request, "listFolders") else ()
            return
        most = deepest + directory.count("/") if directory else deepest - 1
        below: list[FileEntry | DirectoryEntry] = [*self._store.files(key, directory)]
        below += self._store.directories(key, directory) if is_set(request, "listFolders") else []
        yield from (entry for entry in below if deepest <= 0 or entry.path.count("/") <= most)

    def _row(self, relative: str, entry: FileEntry | DirectoryEntry, *, timed: bool) -> dict[str, Any]:
        more: dict[str, Any] = {"size": -1, "folder": True}
        if isinstance(entry, FileEntry):
            sums = entry.checksums
            more = {"size": sums.size, "folder": False, "sha1": sums.sha1, "sha2": sums.sha256}
        changed = self._store.properties_changed(entry.repo, entry.path) if timed else None
        if changed is not None:
            more["mdTimestamps"] = {"properties": write_time(changed)}
        return {"uri": f"/{relative}", "lastModified": write_time(entry.modified), **more}

    # Properties

    def _properties(self, request: web.Request, item: ItemPath) -> dict[str, Any]:
        entry = find_file(self._store, item)
        repo = entry.repo if entry else next(iter(self._find_directories(item)))
        properties = self._store.properties(repo, item.path)
        requested = [key for key in request.query["properties"].split(",") if key]
        selected = {key: values for key, values in properties.items() if not requested or key in requested}
        if not selected:
            raise RequestRefusedError(404, "NOT_FOUND", "No properties could be found.")
        return {"properties": selected, "uri": _address(request)}

    async def set_properties(self, request: web.Request) -> web.Response:
        """Set properties that are given in the query."""
        if "properties" not in request.query:
            raise RequestRefusedError(400, "BAD_REQUEST", "Give the properties: ?properties=key=value;key=value")
        return self._change(request, STORAGE, read_properties(request.query["properties"]))

    async def delete_properties(self, request: web.Request) -> web.Response:
        """Delete properties."""
        keys = [key for key in request.query.get("properties", "").split(",") if key]
        if not keys:
            raise RequestRefusedError(400, "BAD_REQUEST", "Name the properties to delete: ?properties=key,key")
        return self._change(request, STORAGE, dict.fromkeys(keys))

    async def patch_properties(self, request: web.Request) -> web.Response:
        """Set properties that are given in the body; null deletes one."""
        body = await wire.read_all(request)
        try:
            properties = json.loads(body)["props"]
            json.dumps(properties, ensure_ascii=False).encode()  # a lone surrogate cannot be stored
            changes = {key: _values(value) for key, value in properties.items()}
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise RequestRefusedError(400, "BAD_REQUEST", 'The body is not {"props": {"key": "value"}}') from error
        return self._change(request, METADATA, changes)

    def _change(self, request: web.Request, prefix: str, changes: Changes) -> web.Response:
        """Change the properties of a file or directory, and of all below it unless the request says otherwise.

        Raises:
            RequestRefusedError: 404, the path does not exist, or the repository is virtual; 403.
        """
        item = item_path(request, prefix)
        wire.require("annotate", str(item))
        recursive = is_set(request, "recursive" if prefix == STORAGE else "recursiveProperties", default="1")
        with self._store.change():
            for path in self._changed(item, recursive=recursive):
                self._store.set_properties(item.repo, path, changes)
        return web.Response(status=204)

    def _changed(self, item: ItemPath, *, recursive: bool) -> list[str]:
        entries: list[FileEntry | DirectoryEntry | None]
        entries = [self._store.file(item.repo, item.path) or self._store.directory(item.repo, item.path)]
        if recursive and isinstance(entries[0], DirectoryEntry):
            entries += [*self._store.files(item.repo, item.path), *self._store.directories(item.repo, item.path)]
        paths = [entry.path for entry in entries if entry]
        if not paths:
            raise RequestRefusedError(404, "NOT_FOUND", f"Unable to find item '{item}'.")
        return paths


# Repositories and their entries


def readable(store: Store, key: str) -> tuple[str, ...]:
    """Return the keys of the repositories behind *key* that the caller may read, in the order of a search."""
    return wire.caller().readable(store.repository(key))


def find_file(store: Store, item: ItemPath) -> FileEntry | None:
    """Return the file at a path, which may be in a virtual repository."""
    entries = (store.file(key, item.path) for key in readable(store, item.repo))
    return None if item.is_directory else next((entry for entry in entries if entry), None)


# Documents


def item_document(store: Store, request: web.Request, repo: str, path: str) -> dict[str, Any]:
    """Return the description of an existing file or directory."""
    entry = store.file(repo, path)
    if entry:
        return file_document(request, entry)
    return directory_document(request, ItemPath(repo, path, True, {}), store.directory(repo, path))


def file_document(request: web.Request, entry: FileEntry) -> dict[str, Any]:
    """Return the description of a file."""
    sums = {"sha1": entry.checksums.sha1, "md5": entry.checksums.md5, "sha256": entry.checksums.sha256}
    return {
        "repo": entry.repo,
        "path": f"/{entry.path}",
        **_times(entry),
        "downloadUri": f"{wire.origin(request)}{BASE}/{_place(entry.repo, entry.path)}",
        "mimeType": entry.media_type,
        "size": str(entry.checksums.size),
        "checksums": sums,
        "originalChecksums": sums,
        "uri": f"{wire.origin(request)}{STORAGE}{_place(entry.repo, entry.path)}",
    }


def directory_document(request: web.Request, item: ItemPath, entry: DirectoryEntry | None) -> dict[str, Any]:
    """Return the description of a directory; the whole of a repository has no entry."""
    return {
        "repo": item.repo,
        "path": f"/{item.path}",
        **(_times(entry) if entry else {}),
        "uri": f"{wire.origin(request)}{STORAGE}{_place(item.repo, item.path)}".rstrip("/"),
    }


def _times(entry: FileEntry | DirectoryEntry) -> dict[str, str]:
    modified = write_time(entry.modified)
    return {
        "created": write_time(entry.created),
        "createdBy": entry.created_by,
        "lastModified": modified,
        "modifiedBy": entry.modified_by,
        "lastUpdated": modified,
    }


def _place(repo: str, path: str) -> str:
    return f"{repo}/{quote(path)}"


def _address(request: web.Request) -> str:
    return f"{wire.origin(request)}{request.rel_url.raw_path}"


def write_time(seconds: float) -> str:
    """Return a moment as Artifactory writes it: in UTC, with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# Requests


def _values(value: Any) -> list[str] | None:
    if value is None or (isinstance(value, list) and all(isinstance(one, str) for one in value)):
        return value
    if not isinstance(value, str | int | float):
        raise TypeError(value)
    return [value if isinstance(value, str) else json.dumps(value)]


def is_set(request: web.Request, name: str, default: str = "0") -> bool:
    """Return whether a flag of the query is on."""
    return request.query.get(name, default) not in {"0", "false"}


def _depth(request: web.Request) -> int:
    """Return how deep to list: 1 for what is directly in the directory, 0 for everything below it."""
    if not is_set(request, "deep"):
        return 1
    try:
        return int(request.query.get("depth", "0"))
    except ValueError as error:
        raise RequestRefusedError(400, "BAD_REQUEST", "depth is not a number") from error
