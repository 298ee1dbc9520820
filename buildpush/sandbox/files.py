"""Files of every repository at ``/artifactory/KEY/PATH``: deployed, downloaded and deleted."""

from __future__ import annotations

import json
import mimetypes
import uuid
from collections.abc import Mapping

from aiohttp import web

from buildpush.sandbox import wire
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.content import Checksums, Incoming
from buildpush.sandbox.deploying import LOCAL, Deployer
from buildpush.sandbox.image_requests import checksum_headers
from buildpush.sandbox.intake import keep, take_in
from buildpush.sandbox.paths import ItemPath, item_path
from buildpush.sandbox.remotes import Remotes
from buildpush.sandbox.sent_file import sent_file
from buildpush.sandbox.storage import find_file, item_document
from buildpush.sandbox.store import Store
from buildpush.sandbox.wire import BASE

PREFIX = f"{BASE}/"
CREATED = "application/vnd.org.jfrog.artifactory.storage.ItemCreated+json"
# The types that come with Python: those of this machine would make the answer differ from others'.
_TYPES = mimetypes.MimeTypes()
_KINDS = {32: "md5", 40: "sha1", 64: "sha256"}
_HEADERS = {"X-Checksum-Sha256": "sha256", "X-Checksum-Sha1": "sha1", "X-Checksum-Md5": "md5"}


class FileRoutes:
    """Handlers for the paths of files."""

    def __init__(self, store: Store, deployer: Deployer, remotes: Remotes) -> None:
        self._store = store
        self._deployer = deployer
        self._remotes = remotes

    def routes(self) -> list[web.RouteDef]:
        """Return every route; GET includes HEAD. They match whatever no other route does."""
        handlers = (("GET", self.download), ("PUT", self.deploy), ("DELETE", self.delete))
        return [web.route(method, PREFIX + "{repo}/{path:.+}", act) for method, act in handlers]

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Send a file, or a range of it."""
        item = item_path(request, PREFIX)
        wire.require("read", str(item))
        await self._remotes.file(item)
        entry = find_file(self._store, item)
        if entry is None:
            raise RequestRefusedError(404, "NOT_FOUND", "File not found.")
        headers = {
            **checksum_headers(entry),
            "Content-Type": entry.media_type,
            # A browser must not show what anyone may have deployed: it would be a page of this server.
            "Content-Disposition": f"attachment; filename*=UTF-8''{checksum_headers(entry)['X-Artifactory-Filename']}",
        }
        return sent_file(request, self._store.content.path(entry.checksums.sha256), entry.checksums.sha1, headers)

    async def deploy(self, request: web.Request) -> web.Response:
        """Store a file that is sent, or one whose content is stored already; or make a directory."""
        item = item_path(request, PREFIX)
        repo = self._deployer.repository(item.repo)
        wire.require("deploy", f"{repo}/{item.path}")
        if "X-Explode-Archive" in request.headers:
            raise RequestRefusedError(400, "UNSUPPORTED", "The sandbox does not unpack archives.")
        promised = _promised(request)
        if item.is_directory:
            await _refuse_body(request)
            return self._deploy_directory(request, repo, item)
        if request.headers.get("X-Checksum-Deploy", "").lower() == "true":
            checksums = self._stored(promised)
        else:
            checksums = await self._receive(request, promised)
        return self._deploy_file(request, repo, item, checksums)

    def _deploy_directory(self, request: web.Request, repo: str, item: ItemPath) -> web.Response:
        with self._store.change():
            self._store.make_directory(repo, item.path, wire.caller().username)
            self._store.set_properties(repo, item.path, item.properties)
        return _created(item_document(self._store, request, repo, item.path))

    def _deploy_file(self, request: web.Request, repo: str, item: ItemPath, checksums: Checksums) -> web.Response:
        media_type = _TYPES.guess_type(item.path)[0] or "application/octet-stream"
        entry = self._store.new_entry(repo, item.path, checksums, media_type, wire.caller().username)
        self._deployer.put(entry, item.properties)
        return _created(item_document(self._store, request, repo, item.path))

    def _stored(self, promised: Mapping[str, str]) -> Checksums:
        """Return the checksums of a content that has the promised ones, in a file that the caller may read."""
        if not promised.keys() & {"sha1", "sha256"}:
            raise RequestRefusedError(400, "BAD_REQUEST", "X-Checksum-Deploy needs the SHA-1 or SHA-256 of the file.")
        who, entries = wire.caller(), self._store.files_with(promised)
        readable = next((entry for entry in entries if who.may("read", entry.repo)), None)
        if readable is None:
            raise RequestRefusedError(404, "NOT_FOUND", f"No stored file has the checksums {_written(promised)}.")
        return readable.checksums

    async def _receive(self, request: web.Request, promised: Mapping[str, str]) -> Checksums:
        """Store the body of a request.

        Raises:
            RequestRefusedError: 409, it does not have the checksums that the client promised.
        """
        incoming = self._store.content.receive(uuid.uuid4().hex)
        try:
            await take_in(incoming, wire.pieces(request))
            _check(incoming, promised)
            return await keep(self._store.content, incoming)
        finally:
            incoming.discard()

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a file, or a directory with everything below it."""
        item = item_path(request, PREFIX)
        repo = self._deployer.repository(item.repo, (*LOCAL, "cache"))
        wire.require("delete", f"{repo}/{item.path}")
        entry = None if item.is_directory else self._store.file(repo, item.path)
        if entry:
            self._store.remove([entry])
        elif self._store.directory(repo, item.path):
            self._store.remove_directory(repo, item.path)
        else:
            message = f"Could not locate artifact '{item}' (Nothing to delete)."
            raise RequestRefusedError(404, "NOT_FOUND", message)
        return web.Response(status=204)


def _promised(request: web.Request) -> dict[str, str]:
    """Return the checksums that the client sends with a file; ``X-Checksum`` is any, told by its length."""
    promised = {kind: request.headers[name].lower() for name, kind in _HEADERS.items() if name in request.headers}
    if "X-Checksum" in request.headers:
        value = request.headers["X-Checksum"].lower()
        if len(value) not in _KINDS:
            raise RequestRefusedError(400, "BAD_REQUEST", "X-Checksum is neither SHA-256, SHA-1 nor MD5.")
        promised[_KINDS[len(value)]] = value
    return promised


def _check(incoming: Incoming, promised: Mapping[str, str]) -> None:
    arrived = incoming.close()
    actual = {kind: getattr(arrived, kind) for kind in promised}
    if actual != promised:
        message = f"Checksum error: the client promised {_written(promised)}, but {_written(actual)} arrived."
        raise RequestRefusedError(409, "CONFLICT", message)


def _written(checksums: Mapping[str, str]) -> str:
    return ", ".join(f"{kind} {value}" for kind, value in sorted(checksums.items()))


async def _refuse_body(request: web.Request) -> None:
    async for piece in wire.pieces(request):
        if piece:
            raise RequestRefusedError(400, "BAD_REQUEST", "A path that ends with a slash is a directory's.")


def _created(document: Mapping[str, object]) -> web.Response:
    left_out = {"children", "lastModified", "modifiedBy", "lastUpdated"}
    body = json.dumps({key: value for key, value in document.items() if key not in left_out})
    return web.Response(status=201, text=body, headers={"Location": str(document["uri"])}, content_type=CREATED)
