"""The registry at ``/v2/``: the OCI distribution-spec, with Artifactory's headers and storage layout.

The same handlers serve ``/artifactory/api/docker/KEY/v2/``, where the key is not part of the name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from email.utils import formatdate
from urllib.parse import quote, urlencode

from aiohttp import web

from buildpush.foundation.errors import BadNameError
from buildpush.images.model import OCI_INDEX
from buildpush.images.references import Digest, Tag
from buildpush.sandbox import layout, wire
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.image_requests import (
    PREFIXES,
    ImageRequests,
    RegistryRules,
    check_digest,
    checksum_headers,
    created,
    read_digest,
    remember_digest,
)
from buildpush.sandbox.layout import Target
from buildpush.sandbox.manifests import LARGEST, read_manifest
from buildpush.sandbox.remotes import Remotes
from buildpush.sandbox.store import Store

_KEY_HEADER = "X-Artifactory-Docker-Registry"
_PAGE = 1000
_REFERRERS_PAGE = 100


class RegistryRoutes:
    """Handlers for manifests and tags."""

    def __init__(self, store: Store, remotes: Remotes, rules: RegistryRules, requests: ImageRequests) -> None:
        self._store = store
        self._remotes = remotes
        self._rules = rules
        self._requests = requests

    def routes(self) -> list[web.RouteDef]:
        """Return every route; GET includes HEAD. The server answers requests that match none."""
        handlers = (
            ("GET", "/", self.ping),
            ("GET", "/_catalog", self.catalog),
            ("GET", "/{name:.+}/manifests/{reference}", self.manifest),
            ("PUT", "/{name:.+}/manifests/{reference}", self.put_manifest),
            ("DELETE", "/{name:.+}/manifests/{reference}", self.delete_manifest),
            ("GET", "/{name:.+}/tags/list", self.tags),
            *([("GET", "/{name:.+}/referrers/{digest}", self.referrers)] if self._rules.referrers else ()),
        )
        return [web.route(method, prefix + path, act) for prefix in PREFIXES for method, path, act in handlers]

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
        target = self._requests.target(request, "pull")
        tags = layout.tags(self._store, target)
        if not tags:
            raise RequestRefusedError(
                404, "NAME_UNKNOWN", "repository name not known to registry", {"name": target.name}
            )
        return _page(request, "tags", tags, {"name": target.name})

    async def manifest(self, request: web.Request) -> web.Response:
        """Send a manifest byte for byte."""
        target = self._requests.target(request, "pull")
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
            _KEY_HEADER: target.repository.key,
        }
        return web.Response(body=self._store.content.path(entry.checksums.sha256).read_bytes(), headers=headers)

    async def put_manifest(self, request: web.Request) -> web.Response:
        """Store a manifest whose blobs are all stored, and move its tag."""
        target = self._requests.target(request, "push")
        reference = _reference(request)
        body = await wire.read_all(request, LARGEST)
        manifest = read_manifest(body, request.headers.get("Content-Type", ""))
        checksums = self._store.content.add(body)
        digest = Digest(reference if ":" in reference else checksums.digest)
        check_digest(digest, hashlib.new(digest.algorithm, body).hexdigest(), size=len(body))
        self._check_immutable(target, reference, checksums.digest)
        push = layout.ManifestPush(reference, manifest, checksums, wire.caller())
        if wire.is_stored():
            layout.keep_manifest(self._store, target, push)
            remember_digest(self._store, digest, checksums)
        answer = created(request, "manifests", str(digest))
        if manifest.subject and self._rules.referrers:
            answer.headers["OCI-Subject"] = str(manifest.subject.digest)
        return answer

    async def referrers(self, request: web.Request) -> web.Response:
        """List the manifests whose subject is this digest."""
        target = self._requests.target(request, "pull")
        artifact_type, last = request.query.get("artifactType"), request.query.get("last", "")
        listed = layout.referrers(self._store, target, read_digest(request.match_info["digest"]))
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
        target = self._requests.target(request, "delete")
        manifests = layout.find_manifests(self._store, target, _reference(request))
        if not manifests:
            raise _unknown_manifest(target)
        for manifest in manifests:
            self._store.remove(self._store.files_in(manifest.repo, manifest.directory))
            self._store.prune(manifest.repo, manifest.directory)
        return web.Response(status=202)


def _reference(request: web.Request) -> str:
    text = request.match_info["reference"]
    if ":" in text:
        return str(read_digest(text))
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
