"""Blobs of the registry at ``/v2/``: sent, mounted, and received in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from buildpush.images.references import Digest
from buildpush.sandbox import layout, wire
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.content import hash_file
from buildpush.sandbox.image_requests import (
    PREFIXES,
    ImageRequests,
    RegistryRules,
    check_digest,
    checksum_headers,
    created,
    location,
    read_digest,
    remember_digest,
)
from buildpush.sandbox.intake import keep, take_in
from buildpush.sandbox.remotes import Remotes
from buildpush.sandbox.sent_file import sent_file
from buildpush.sandbox.store import Store
from buildpush.sandbox.uploads import BEHAVIOURS, STATE, Uploads, UploadSession


class BlobRoutes:
    """Handlers for blobs and their uploads."""

    def __init__(self, store: Store, remotes: Remotes, rules: RegistryRules, requests: ImageRequests) -> None:
        self._store = store
        self._remotes = remotes
        self._rules = rules
        self._requests = requests
        self.uploads = Uploads(store, BEHAVIOURS[rules.uploads])

    def routes(self) -> list[web.RouteDef]:
        """Return every route; GET includes HEAD."""
        handlers = (
            ("POST", "/{name:.+}/blobs/uploads/", self.begin),
            ("POST", "/{name:.+}/blobs/uploads", self.begin),
            ("GET", "/{name:.+}/blobs/uploads/{upload}", self.progress),
            ("PATCH", "/{name:.+}/blobs/uploads/{upload}", self.append),
            ("PUT", "/{name:.+}/blobs/uploads/{upload}", self.commit),
            ("DELETE", "/{name:.+}/blobs/uploads/{upload}", self.cancel),
            ("GET", "/{name:.+}/blobs/{digest}", self.blob),
            ("DELETE", "/{name:.+}/blobs/{digest}", self.delete_blob),
        )
        return [web.route(method, prefix + path, act) for prefix in PREFIXES for method, path, act in handlers]

    async def blob(self, request: web.Request) -> web.StreamResponse:
        """Send a blob, or a range of it."""
        target = self._requests.target(request, "pull")
        digest = read_digest(request.match_info["digest"])
        await self._remotes.blob(target, digest)
        entry = layout.find_blob(self._store, digest, wire.caller())
        if entry is None:
            raise RequestRefusedError(404, "BLOB_UNKNOWN", "blob unknown to registry", {"blobSum": str(digest)})
        headers = {**checksum_headers(entry), "Content-Type": layout.BLOB_TYPE, "Docker-Content-Digest": str(digest)}
        return sent_file(request, self._store.content.path(entry.checksums.sha256), entry.checksums.sha1, headers)

    async def delete_blob(self, request: web.Request) -> web.Response:
        """Delete a blob that no manifest needs."""
        target = self._requests.target(request, "delete")
        layout.remove_blob(self._store, target, read_digest(request.match_info["digest"]))
        return web.Response(status=202)

    async def begin(self, request: web.Request) -> web.Response:
        """Begin an upload, mount a blob, or store one that is sent with this request."""
        target = self._requests.target(request, "push")
        mounted = wire.query(request, "mount")
        if mounted and (entry := layout.find_blob(self._store, read_digest(mounted), wire.caller())):
            layout.keep_blob(self._store, target, entry.checksums, wire.caller().username)
            return created(request, "blobs", mounted)
        promised = wire.query(request, "digest")
        expected = None if promised is None else read_digest(promised)
        upload = self.uploads.begin(target, wire.caller())
        if expected:
            await self._receive(request, upload)
            return await self._finish(request, upload, expected)
        answer = self._accepted(request, upload, 202)
        if self._rules.least_piece:
            answer.headers["OCI-Chunk-Min-Length"] = str(self._rules.least_piece)
        return answer

    async def progress(self, request: web.Request) -> web.Response:
        """Answer how much of an upload has arrived."""
        if not self.uploads.behaviour.reports_offset:
            raise RequestRefusedError(400, "NAME_INVALID", "the last part of the path is not a digest")
        upload = self._upload(request)
        await upload.settle()
        return self._accepted(request, self._upload(request), 204)

    async def append(self, request: web.Request) -> web.Response:
        """Accept the next piece of an upload."""
        async with self._piece(request) as upload:
            before = upload.incoming.size
            await self._receive(request, upload)
            upload.record_piece(before, self._rules.least_piece)
            piece = upload.incoming.size - before
            return self._accepted(request, upload, self.uploads.behaviour.piece_status, piece)

    async def commit(self, request: web.Request) -> web.Response:
        """Accept the last piece, if there is one, and finish an upload."""
        expected = read_digest(request.query.get("digest", ""))
        async with self._piece(request) as upload:
            await self._receive(request, upload)
            return await self._finish(request, upload, expected)

    async def cancel(self, request: web.Request) -> web.Response:
        """Cancel an upload."""
        self.uploads.end(self._upload(request))
        return web.Response(status=204)

    def _upload(self, request: web.Request) -> UploadSession:
        state = request.query.get(STATE)
        return self.uploads.find(request.match_info["upload"], self._requests.target(request, "push"), state)

    @asynccontextmanager
    async def _piece(self, request: web.Request) -> AsyncIterator[UploadSession]:
        """Yield the upload that the request's body belongs to, once no other request writes to it."""
        upload = self._upload(request)
        await upload.take_over(request)
        try:
            self._upload(request)  # it may have ended meanwhile
            self._check(request, upload)
            yield upload
        finally:
            upload.unlock()

    def _check(self, request: web.Request, upload: UploadSession) -> None:
        length = request.content_length if request.body_exists else 0
        try:
            self.uploads.check(upload, request.headers.get("Content-Range"), length)
        except RequestRefusedError as refused:
            refused.headers = self._upload_headers(request, upload)
            raise

    async def _receive(self, request: web.Request, upload: UploadSession) -> None:
        incoming = upload.incoming
        if incoming.is_behind:
            await asyncio.to_thread(incoming.catch_up)
        try:
            await take_in(incoming, wire.pieces(request))
        except ConnectionError:
            wire.break_connection(request)
        except OSError:
            self.uploads.end(upload)  # the content of the file is unknown
            raise
        finally:
            incoming.let_go()

    async def _finish(self, request: web.Request, upload: UploadSession, expected: Digest) -> web.Response:
        try:
            arrived = upload.incoming.close()
            other = None
            if expected.algorithm != "sha256":
                other = await asyncio.to_thread(hash_file, upload.incoming.path, expected.algorithm)
            check_digest(expected, other or arrived.sha256, size=arrived.size)
            if wire.is_stored():
                await self._keep(upload, expected)
        finally:
            self.uploads.end(upload)
        return created(request, "blobs", str(expected))

    async def _keep(self, upload: UploadSession, digest: Digest) -> None:
        """Keep what arrived, or free its bytes if that cannot be written down."""
        content = self._store.content
        checksums = await keep(content, upload.incoming)
        try:
            with self._store.change():
                layout.keep_blob(self._store, upload.target, checksums, wire.caller().username)
                remember_digest(self._store, digest, checksums)
                self._store.remove_upload(upload.identifier)
        except OSError:
            if not any(self._store.copies_anywhere(checksums.sha256)):
                content.remove(checksums.sha256)
            raise

    def _upload_headers(
        self, request: web.Request, upload: UploadSession, piece: int | None = None
    ) -> Mapping[str, str]:
        address = location(request, "blobs/uploads", upload.identifier)
        if self.uploads.behaviour.relative:
            address = address.removeprefix(wire.origin(request))
        if self.uploads.behaviour.state:
            address += f"?{STATE}={upload.state}"
        received = upload.range(self.uploads.behaviour.range, piece)
        return {"Location": address, "Range": received, "Docker-Upload-UUID": upload.identifier}

    def _accepted(
        self, request: web.Request, upload: UploadSession, status: int, piece: int | None = None
    ) -> web.Response:
        return web.Response(status=status, headers=self._upload_headers(request, upload, piece))
