"""Copies and moves of files and directories, inside a repository or to another."""

from __future__ import annotations

from functools import partial
from urllib.parse import quote

from aiohttp import web

from buildpush.foundation.records import dataclass
from buildpush.sandbox import wire
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.deploying import LOCAL, Deployer
from buildpush.sandbox.entries import DirectoryEntry, FileEntry
from buildpush.sandbox.paths import ItemPath, item_path, read_path
from buildpush.sandbox.storage import is_set
from buildpush.sandbox.store import Store
from buildpush.sandbox.wire import BASE

_DONE = {"copy": "copying", "move": "moving"}, {"copy": "copied", "move": "moved"}


@dataclass(frozen=True, slots=True)
class RelocationOrder:
    """What is to be copied, or moved if *moves*, from one path to another; both exist already or are made."""

    source: str
    path: str
    target: str
    to: str
    moves: bool

    def place(self, path: str) -> str:
        """Return where what is at *path*, at or below the source's, goes."""
        return (self.to + path[len(self.path) :]).strip("/")


class RelocationRoutes:
    """Handlers for copies and moves."""

    def __init__(self, store: Store, deployer: Deployer) -> None:
        self._store = store
        self._deployer = deployer

    def routes(self) -> list[web.RouteDef]:
        """Return every route."""
        return [web.post(f"{BASE}/api/{verb}/{{path:.+}}", partial(self.relocate, verb)) for verb in _DONE[0]]

    async def relocate(self, verb: str, request: web.Request) -> web.Response:
        """Copy or move a file, or a directory with everything below it."""
        source = item_path(request, f"{BASE}/api/{verb}/")
        order = self._order(source, _target(request), moves=verb == "move")
        with self._store.change(lasting=not is_set(request, "dry")):
            files, directories, errors = self.carry_out(order, fail_fast=is_set(request, "failFast"))
        between = f"{source.repo}:{source.path} to {order.target}:{order.to}"
        doing, done = (words[verb] for words in _DONE)
        counted = f"{files} artifacts and {directories} folders were {done}"
        messages = [{"level": "ERROR", "message": error} for error in errors]
        ended = "failed for some of it" if errors else "completed successfully"
        messages.append({"level": "INFO", "message": f"{doing} {between} {ended}, {counted}"})
        return web.json_response({"messages": messages}, status=409 if errors else 200)

    def _order(self, source: ItemPath, target: ItemPath, *, moves: bool) -> RelocationOrder:
        """Return what is asked for; what exists as a directory is a place to put the source into, as with ``cp``."""
        repo = self._deployer.repository(source.repo, (*LOCAL, "cache"))
        into = self._deployer.repository(target.repo)
        for right in ("read", "delete") if moves else ("read",):
            wire.require(right, f"{repo}/{source.path}")
        wire.require("deploy", f"{into}/{target.path}")
        is_file = self._store.file(repo, source.path)
        if repo != source.repo or not (is_file or self._store.directory(repo, source.path)):
            raise RequestRefusedError(404, "NOT_FOUND", f"Could not find item {source.repo}:{source.path}.")
        to = target.path
        if self._store.directory(into, to) or not to or (is_file and target.is_directory):
            to = f"{to}/{source.path.rpartition('/')[2]}".lstrip("/")
        if repo == into and f"{to}/".startswith(f"{source.path}/"):
            raise RequestRefusedError(400, "BAD_REQUEST", f"{into}:{to} is {repo}:{source.path}, or inside of it.")
        return RelocationOrder(repo, source.path, into, to, moves)

    def carry_out(self, order: RelocationOrder, *, fail_fast: bool) -> tuple[int, int, list[str]]:
        """Return how many files and directories were copied, and what was refused.

        Raises:
            RequestRefusedError: nothing could be copied, or with *fail_fast* not everything.
        """
        username, directories = wire.caller().username, self._directories(order)
        done, errors = 0, list[RequestRefusedError]()
        for directory in directories:
            self._store.make_directory(order.target, order.place(directory.path), username)
            properties = self._store.properties(directory.repo, directory.path)
            self._store.set_properties(order.target, order.place(directory.path), properties)
        for entry in self._files(order):
            try:
                self._deployer.relocate(entry, order.target, order.place(entry.path), moves=order.moves)
                done += 1
            except RequestRefusedError as refused:
                errors.append(refused)
        if errors and (fail_fast or not done):
            raise errors[0]
        if order.moves and not errors:
            self._store.remove_directory(order.source, order.path)
        return done, len(directories), [refused.message for refused in errors]

    def _files(self, order: RelocationOrder) -> list[FileEntry]:
        entry = self._store.file(order.source, order.path)
        return [entry] if entry else self._store.files(order.source, order.path)

    def _directories(self, order: RelocationOrder) -> list[DirectoryEntry]:
        top = self._store.directory(order.source, order.path)
        return [top, *self._store.directories(order.source, order.path)] if top else []


def _target(request: web.Request) -> ItemPath:
    if not request.query.get("to", "").strip("/"):
        raise RequestRefusedError(400, "BAD_REQUEST", "Say where to: ?to=/KEY/PATH")
    try:
        return read_path(quote(request.query["to"]))
    except UnicodeError as error:
        raise RequestRefusedError(400, "BAD_REQUEST", "Invalid path: it is not UTF-8.") from error
