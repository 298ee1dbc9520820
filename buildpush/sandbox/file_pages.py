"""Pages of files: a repository as a tree, with the facts and properties of each file."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from aiohttp import web

from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.entries import FileEntry, RepositoryEntry
from buildpush.sandbox.html import Markup, code, element, facts, joined, link, table
from buildpush.sandbox.page import answer, hidden_where_secret, moment, size
from buildpush.sandbox.store import Store

_MOST = 1000  # rows of a page


class FilePages:
    """Handlers for the pages of directories and files."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """Return every route; GET includes HEAD."""
        return [web.get("/ui/files/{key}{_:/?}{path:.*}", self.item)]

    async def item(self, request: web.Request) -> web.Response:
        """Show a file, or what is in a directory."""
        key, path = request.match_info["key"], request.match_info["path"].strip("/")
        repository = self._store.repository(key)
        keys = repository.physical if repository else ()
        files = [entry for one in keys if path and (entry := self._store.file(one, path))]
        rows = [] if files else list(self._rows(key, keys, path))
        exists = repository and (not path or files or rows or any(self._store.directory(one, path) for one in keys))
        if repository is None or not exists:
            raise RequestRefusedError(404, "NOT_FOUND", f"There is no {path} in {key}.")
        return answer(
            path or key,
            element("h1", path.rpartition("/")[2] or key),
            element("p", _trail(key, path), class_="lead"),
            self._file(files[0]) if files else _table(repository, rows),
        )

    def _rows(self, key: str, keys: tuple[str, ...], path: str) -> Iterator[tuple[object, ...]]:
        """Yield the directories in *path*, then its files; of equal ones the first, as a virtual repository has it."""
        directories = {entry.name: entry for one in reversed(keys) for entry in self._store.directories_in(one, path)}
        files = {entry.name: entry for one in reversed(keys) for entry in self._store.files_in(one, path)}
        prefix = f"{path}/" if path else ""
        for name in sorted(directories):
            yield code(_link(key, f"{prefix}{name}", f"{name}/")), "", moment(directories[name].modified), ""
        for name in sorted(files):
            entry = files[name]
            checksum = code(entry.checksums.sha256[:12])
            yield (
                code(_link(key, f"{prefix}{name}", name)),
                size(entry.checksums.size),
                moment(entry.modified),
                checksum,
            )

    def _file(self, entry: FileEntry) -> Markup:
        sums = entry.checksums
        pairs: list[tuple[str, object]] = [
            ("Repository", entry.repo),
            ("Size", f"{size(sums.size)} ({sums.size} bytes)"),
            ("Media type", code(entry.media_type)),
            ("Deployed", f"{moment(entry.modified)} by {entry.modified_by}"),
            ("Address", code(f"/artifactory/{quote(entry.repo)}/{quote(entry.path)}")),
            ("SHA-256", code(sums.sha256)),
            ("SHA-1", code(sums.sha1)),
            ("MD5", code(sums.md5)),
        ]
        properties = self._store.properties(entry.repo, entry.path)
        shown = hidden_where_secret({key: ", ".join(values) for key, values in properties.items()}, "None.")
        cards = element("div", facts(pairs), class_="card"), element("h2", "Properties")
        return joined(*cards, element("div", shown, class_="card"))


def _table(repository: RepositoryEntry, rows: list[tuple[object, ...]]) -> Markup:
    more = element("p", f"{len(rows) - _MOST} more are not shown.", class_="empty") if rows[_MOST:] else None
    kind = repository.rclass if not repository.members else f"virtual: {', '.join(repository.members)}"
    head = element("p", f"{kind} repository, {repository.package_type}", class_="lead")
    return joined(head, table(("Name", "Size", "Changed", "SHA-256"), rows[:_MOST], "It is empty."), more)


def _trail(key: str, path: str) -> Markup:
    """Return links to the directories on the way to *path*."""
    names = path.split("/") if path else []
    above = (_link(key, "/".join(names[:depth]), names[depth - 1]) for depth in range(1, len(names)))
    return joined(*(joined(one, " / ") for one in (_link(key, "", key), *above))) if names else joined(key)


def _link(key: str, path: str, text: str) -> Markup:
    return link(f"/ui/files/{quote(key)}/{quote(path)}", text)
