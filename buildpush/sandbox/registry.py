"""The registry at ``/v2/``: the OCI distribution-spec, with Artifactory's headers and storage layout.

The same handlers serve ``/artifactory/api/docker/KEY/v2/``, where the key is not part of the name.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from email.utils import formatdate
from urllib.parse import quote, urlencode

from aiohttp import web

from buildpush.foundation.errors import BadNameError
from buildpush.foundation.records import dataclass
from buildpush.images.model import OCI_INDEX
from buildpush.images.references import Digest, Repository, Tag
from buildpush.sandbox import layout, wire
from buildpush.sandbox.answers import RequestRefusedError, forbidden
from buildpush.sandbox.content import Checksums, hash_file
from buildpush.sandbox.deploying import IMAGE_TYPES
from buildpush.sandbox.entries import FileEntry, RepositoryEntry
from buildpush.sandbox.intake import keep, take_in
from buildpush.sandbox.layout import Target
from buildpush.sandbox.manifests import LARGEST, read_manifest
from buildpush.sandbox.permissions import ACTION_RIGHTS, Caller
from buildpush.sandbox.remotes import Remotes
from buildpush.sandbox.store import Store
from buildpush.sandbox.uploads import BEHAVIOURS, STATE, Uploads, UploadSession

REGISTRY_HEADER = "X-Artifactory-Docker-Registry"
PREFIXES = ("/v2", "/artifactory/api/docker/{key}/v2")
_PAGE = 1000
_REFERRERS_PAGE = 100


@dataclass(frozen=True, slots=True)
class RegistryRules:
    """How this registry differs from others.

    Attributes:
        uploads: the server whose handling of uploads it imitates; see :data:`buildpush.sandbox.uploads.BEHAVIOURS`.
        least_piece: bytes that every piece of an upload but the last must have.
        immutable: keys of repositories in which tags cannot be moved.
        referrers: whether it lists what refers to a manifest, as registries do since distribution-spec 1.1.
        challenge: who makes tokens, as answers without credentials say: the ``platform``, or the ``repository`` in the
            address, with the scope, as older versions do.
    """

    uploads: str = "artifactory"
    least_piece: int = 0
    immutable: Collection[str] = ()
    referrers: bool = True
    challenge: str = "platform"


def checksum_headers(entry: FileEntry) -> dict[str, str]:
    """Return the headers that Artifactory sends with every file."""
    return {
        "X-Checksum-Sha256": entry.checksums.sha256,
        "X-Checksum-Sha1": entry.checksums.sha1,
        "X-Checksum-Md5": entry.checksums.md5,
        "X-Artifactory-Filename": quote(entry.name),
    }


class RegistryRoutes:
    """Handlers for blobs, manifests and tags."""

    def __init__(self, store: Store, remotes: Remotes, rules: RegistryRules) -> None:
        self._store = store
        self._remotes = remotes
        self._rules = rules
        self.uploads = Uploads(store, BEHAVIOURS[rules.uploads])

    def routes(self) -> list[web.RouteDef]:
        """Return every route; GET includes HEAD. The server answers requests that match none."""
        handlers = (
            ("GET", "/", self.ping),
            ("GET", "/_catalog", self.catalog),
            ("POST", "/{name:.+}/blobs/uploads/", self.begin),
            ("POST", "/{name:.+}/blobs/uploads", self.begin),
            ("GET", "/{name:.+}/blobs/uploads/{upload}", self.progress),
            ("PATCH", "/{name:.+}/blobs/uploads/{upload}", self.append),
            ("PUT", "/{name:.+}/blobs/uploads/{upload}", self.commit),
            ("DELETE", "/{name:.+}/blobs/uploads/{upload}", self.cancel),
            ("GET", "/{name:.+}/blobs/{digest}", self.blob),
            ("DELETE", "/{name:.+}/blobs/{digest}", self.delete_blob),
            ("GET", "/{name:.+}/manifests/{reference}", self.manifest),
            ("PUT", "/{name:.+}/manifests/{reference}", self.put_manifest),
            ("DELETE", "/{name:.+}/manifests/{reference}", self.delete_manifest),
            ("GET", "/{name:.+}/tags/list", self.tags),
            *([("GET", "/{name:.+}/referrers/{digest}", self.referrers)] if self._rules.referrers else ()),
        )
        return [web.route(method, prefix + path, act) for prefix in PREFIXES for method, path, act in handlers]

    def challenge(self, request: web.Request, actions: str = "", **more: str) -> str:
        """Return the value of ``WWW-Authenticate``: where tokens are issued, and the scope for *actions*."""
        name, key = request.match_info.get("name", ""), request.match_info.get("key")
        if self._rules.challenge == "repository":
            actions = actions or "pull,push"
            key, _, name = (key, "", name) if key else name.partition("/")
        base = f"/artifactory/api/docker/{key}" if key else ""
        scope = {"scope": f"repository:{name}:{actions}"} if name and actions else {}
        words = {"realm": f"{wire.origin(request)}{base}/v2/token", "service": request.host, **scope, **more}
        return "Bearer " + ",".join(f'{key}="{value}"' for key, value in words.items())

    # What the request is about

    def _target(self, request: web.Request, action: str) -> Target:
        """Return the image in the request; refuse a caller who may not do *action* (pull, push, delete) with it."""
        name = request.match_info["name"]
        target = find_target(self._store, name, request.match_info.get("key"))
        who = wire.caller()
        right = ACTION_RIGHTS[action]
        where = target.deploy_to if action == "push" else target.repository.key
        if not who.covers(action, target.repository.key, target.image):
            actions = "pull,push" if action == "push" else action
            headers = {"WWW-Authenticate": self.challenge(request, actions, error="insufficient_scope")}
            raise RequestRefusedError(401, "UNAUTHORIZED", "the token's scope does not cover this", headers=headers)
        if not who.may(right, where):
            raise forbidden(who.username, right, f"{where}:{target.image}")
        if action == "push" and target.repository.rclass in {"remote", "cache"}:
            kind = "a manifest" if "reference" in request.match_info else "blobs"
            message = f"Unable to upload {kind} to a remote repository."
            raise RequestRefusedError(400, "UNSUPPORTED", message, as_rest=True)
        return replace(target, repository=_visible(who, target.repository))

    # Ping, catalog

    async def ping(self, _request: web.Request) -> web.Response:
        """Answer that this is a registry, and that the credentials are valid."""
        return web.json_response({})

    async def catalog(self, request: web.Request) -> web.Response:
        """List the names of all images."""
        key, who = request.match_info.get("key"), wire.caller()
        names = {
            f"{'' if key else f'{repository.key}/'}{image}"
            for repository in self._store.repositories()
            if key in {None, repository.key}
            for physical in who.readable(repository)
            for image, _tag in layout.images(self._store, physical)
            if who.covers("pull", repository.key, image)
        }
        return _page(request, "repositories", sorted(names), {})

    async def tags(self, request: web.Request) -> web.Response:
        """List the tags of an image."""
        target = self._target(request, "pull")
        tags = layout.tags(self._store, target)
        if not tags:
            raise RequestRefusedError(
                404, "NAME_UNKNOWN", "repository name not known to registry", {"name": target.name}
            )
        return _page(request, "tags", tags, {"name": target.name})

    # Blobs

    async def blob(self, request: web.Request) -> web.StreamResponse:
        """Send a blob, or a range of it."""
        target = self._target(request, "pull")
        digest = _digest(request.match_info["digest"])
        await self._remotes.blob(target, digest)
        entry = layout.find_blob(self._store, digest, wire.caller())
        if entry is None:
            raise RequestRefusedError(404, "BLOB_UNKNOWN", "blob unknown to registry", {"blobSum": str(digest)})
        headers = {**checksum_headers(entry), "Content-Type": layout.BLOB_TYPE, "Docker-Content-Digest": str(digest)}
        return web.FileResponse(self._store.content.path(entry.checksums.sha256), headers=headers)

    async def delete_blob(self, request: web.Request) -> web.Response:
        """Delete a blob that no manifest needs."""
        target = self._target(request, "delete")
        layout.remove_blob(self._store, target, _digest(request.match_info["digest"]))
        return web.Response(status=202)

    async def begin(self, request: web.Request) -> web.Response:
        """Begin an upload, mount a blob, or store one that is sent with this request."""
        target = self._target(request, "push")
        mounted = wire.query(request, "mount")
        if mounted and (entry := layout.find_blob(self._store, _digest(mounted), wire.caller())):
            layout.keep_blob(self._store, target, entry.checksums, wire.caller().username)
            return _created(request, "blobs", mounted)
        promised = wire.query(request, "digest")
        expected = None if promised is None else _digest(promised)
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
        return self._accepted(request, upload, 204)

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
        expected = _digest(request.query.get("digest", ""))
        async with self._piece(request) as upload:
            await self._receive(request, upload)
            return await self._finish(request, upload, expected)

    async def cancel(self, request: web.Request) -> web.Response:
        """Cancel an upload."""
        self.uploads.end(self._upload(request))
        return web.Response(status=204)

    def _upload(self, request: web.Request) -> UploadSession:
        state = request.query.get(STATE)
        return self.uploads.find(request.match_info["upload"], self._target(request, "push"), state)

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
            _check_digest(expected, other or arrived.sha256, size=arrived.size)
            if wire.is_stored():
                await self._keep(upload, expected)
        finally:
            self.uploads.end(upload)
        return _created(request, "blobs", str(expected))

    async def _keep(self, upload: UploadSession, digest: Digest) -> None:
        """Keep what arrived, or free its bytes if that cannot be written down."""
        content = self._store.content
        checksums = await keep(content, upload.incoming)
        try:
            with self._store.change():
                layout.keep_blob(self._store, upload.target, checksums, wire.caller().username)
                self._remember(digest, checksums)
                self._store.remove_upload(upload.identifier)
        except OSError:
            if not any(self._store.copies_anywhere(checksums.sha256)):
                content.remove(checksums.sha256)
            raise

    def _remember(self, digest: Digest, checksums: Checksums) -> None:
        """Make a content known by the digest that its client uses."""
        if digest.algorithm != "sha256":
            self._store.put_digest(str(digest), checksums.sha256)

    def _upload_headers(
        self, request: web.Request, upload: UploadSession, piece: int | None = None
    ) -> Mapping[str, str]:
        location = _location(request, "blobs/uploads", upload.identifier)
        if self.uploads.behaviour.relative:
            location = location.removeprefix(wire.origin(request))
        if self.uploads.behaviour.state:
            location += f"?{STATE}={upload.state}"
        received = upload.range(self.uploads.behaviour.range, piece)
        return {"Location": location, "Range": received, "Docker-Upload-UUID": upload.identifier}

    def _accepted(
        self, request: web.Request, upload: UploadSession, status: int, piece: int | None = None
    ) -> web.Response:
        return web.Response(status=status, headers=self._upload_headers(request, upload, piece))

    # Manifests

    async def manifest(self, request: web.Request) -> web.Response:
        """Send a manifest byte for byte."""
        target = self._target(request, "pull")
        reference = _reference(request)
        target = await self._remotes.manifest(target, reference)
        manifests = layout.find_manifests(self._store, target, reference)
        entry = next((entry for entry in manifests if _acceptable(request, entry.media_type)), None)
        if entry is None:
            raise _unknown_manifest(target)
        headers = {
            **checksum_headers(entry),
            "Content-Type": entry.media_type,
            "Docker-Content-Digest": reference if ":" in reference else entry.checksums.digest,
            "ETag": entry.checksums.sha1,
            "Last-Modified": formatdate(entry.modified, usegmt=True),
            "Content-Disposition": f'attachment; filename="{entry.name}"',
            REGISTRY_HEADER: target.repository.key,
        }
        return web.Response(body=self._store.content.path(entry.checksums.sha256).read_bytes(), headers=headers)

    async def put_manifest(self, request: web.Request) -> web.Response:
        """Store a manifest whose blobs are all stored, and move its tag."""
        target = self._target(request, "push")
        reference = _reference(request)
        body = await wire.read_all(request, LARGEST)
        manifest = read_manifest(body, request.headers.get("Content-Type", ""))
        checksums = self._store.content.add(body)
        digest = Digest(reference if ":" in reference else checksums.digest)
        _check_digest(digest, hashlib.new(digest.algorithm, body).hexdigest(), size=len(body))
        self._check_immutable(target, reference, checksums.digest)
        push = layout.ManifestPush(reference, manifest, checksums, wire.caller())
        if wire.is_stored():
            layout.keep_manifest(self._store, target, push)
            self._remember(digest, checksums)
        answer = _created(request, "manifests", str(digest))
        if manifest.subject and self._rules.referrers:
            answer.headers["OCI-Subject"] = str(manifest.subject.digest)
        return answer

    async def referrers(self, request: web.Request) -> web.Response:
        """List the manifests whose subject is this digest."""
        target = self._target(request, "pull")
        artifact_type, last = request.query.get("artifactType"), request.query.get("last", "")
        listed = layout.referrers(self._store, target, _digest(request.match_info["digest"]))
        descriptors = [
            one for one in listed if one["digest"] > last and artifact_type in {None, one.get("artifactType")}
        ]
        page, headers = descriptors[:_REFERRERS_PAGE], {"OCI-Filters-Applied": "artifactType"} if artifact_type else {}
        if len(descriptors) > len(page):
            query = {**request.query, "last": page[-1]["digest"]}
            headers["Link"] = f'<{quote(request.path)}?{urlencode(query)}>; rel="next"'
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": page}
        # Bytes, not text: aiohttp would add a charset, with which oras and cosign do not know the type.
        return web.Response(body=json.dumps(document).encode(), headers=headers, content_type=OCI_INDEX)

    def _check_immutable(self, target: Target, reference: str, digest: str) -> None:
        """Refuse to move an immutable tag, or any tag if the account may not delete images."""
        manifests = layout.find_manifests(self._store, target, reference)
        if not manifests or manifests[0].checksums.digest == digest:
            return
        name, who = f"{target.deploy_to}:{target.image}/{reference}", wire.caller()
        if target.deploy_to in self._rules.immutable:
            detail = {"tag": reference, "digest": manifests[0].checksums.digest}
            raise RequestRefusedError(409, "TAG_INVALID", f"{name} exists and may not be replaced", detail)
        if not who.may("delete", target.deploy_to):
            message = f"Not enough permissions to overwrite artifact '{name}' (user '{who.username}' needs DELETE)."
            raise RequestRefusedError(403, "DENIED", message)

    async def delete_manifest(self, request: web.Request) -> web.Response:
        """Delete a tag, or a digest and every tag that names it."""
        target = self._target(request, "delete")
        manifests = layout.find_manifests(self._store, target, _reference(request))
        if not manifests:
            raise _unknown_manifest(target)
        for manifest in manifests:
            self._store.remove(self._store.files_in(manifest.repo, manifest.directory))
            self._store.prune(manifest.repo, manifest.directory)
        return web.Response(status=202)


def _visible(who: Caller, repository: RepositoryEntry) -> RepositoryEntry:
    """Return the repository as *who* sees it: a virtual one has only the members that the account may read."""
    return replace(repository, members=(), behind=who.readable(repository)) if repository.members else repository


def find_target(store: Store, name: str, key: str | None = None) -> Target:
    """Return the image that *name* stands for.

    Args:
        store: has the repositories.
        name: path of the image; without *key*, it begins with the repository key.
        key: repository key, if it is in another part of the address.

    Raises:
        RequestRefusedError: 400, the name is malformed; 404, there is no such repository.
    """
    try:
        Repository("localhost", name)
    except BadNameError as error:
        raise RequestRefusedError(400, "NAME_INVALID", str(error), {"name": name}) from error
    first, _, rest = name.partition("/")
    repository: RepositoryEntry | None = store.repository(key or first)
    image = name if key else rest
    if repository is None or repository.package_type not in IMAGE_TYPES or not image:
        message = f"no docker repository has the key {(key or first)!r}" if image else "the image's name is missing"
        raise RequestRefusedError(404, "NAME_UNKNOWN", message, {"name": name})
    return Target(name, repository, image)


def _digest(text: str) -> Digest:
    try:
        return Digest(text)
    except BadNameError as error:
        raise RequestRefusedError(400, "DIGEST_INVALID", str(error)) from error


def _check_digest(expected: Digest, arrived: str, *, size: int) -> None:
    """Refuse content whose hash, in hex, is not that of the digest."""
    if arrived != expected.hex:
        detail = {"promised": str(expected), "arrived": f"{expected.algorithm}:{arrived}", "size": size}
        raise RequestRefusedError(400, "DIGEST_INVALID", "provided digest did not match uploaded content", detail)


def _reference(request: web.Request) -> str:
    text = request.match_info["reference"]
    if ":" in text:
        return str(_digest(text))
    try:
        return str(Tag(text))
    except BadNameError as error:
        raise RequestRefusedError(400, "TAG_INVALID", str(error)) from error


def _acceptable(request: web.Request, media_type: str) -> bool:
    listed = ",".join(request.headers.getall("Accept", ["*/*"]))
    accepted = {re.sub(r"\s*;.*", "", item.strip()) for item in listed.split(",")}
    return bool(accepted & {media_type, "*/*", "application/*"})


def _unknown_manifest(target: Target) -> RequestRefusedError:
    message = "The named manifest is not known to the registry."
    return RequestRefusedError(404, "MANIFEST_UNKNOWN", message, {"manifest": target.image})


def _location(request: web.Request, kind: str, last: str) -> str:
    """Return the absolute address of something in the image that the request is about."""
    base, _, _ = (
        request.path.rpartition("/blobs/") if "/blobs/" in request.path else request.path.rpartition("/manifests/")
    )
    return f"{wire.origin(request)}{quote(base)}/{kind}/{last}"


def _created(request: web.Request, kind: str, digest: str) -> web.Response:
    headers = {"Location": _location(request, kind, digest), "Docker-Content-Digest": digest}
    return web.Response(status=201, headers=headers)


def _page(request: web.Request, key: str, listed: list[str], more: Mapping[str, str]) -> web.Response:
    """Return one page of a list, with a link to the next one."""
    try:
        size = min(int(request.query.get("n", _PAGE)), _PAGE)
    except ValueError as error:
        raise RequestRefusedError(400, "PAGINATION_NUMBER_INVALID", "n is not a number") from error
    if size < 0:
        raise RequestRefusedError(400, "PAGINATION_NUMBER_INVALID", "n is negative")
    last = request.query.get("last", "")
    items = [item for item in listed if item > last]
    page, rest = items[:size], items[size:]
    headers = {}
    if rest and page:
        headers["Link"] = f'<{quote(request.path)}?last={quote(page[-1])}&n={size}>; rel="next"'
    return web.json_response({**more, key: page}, headers=headers)
