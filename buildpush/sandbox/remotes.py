"""Remote repositories: what they do not have yet, or no longer for certain, is fetched into their cache.

A manifest lies where one that was pushed would; beside it, ``sha256__HEX.marker`` stands for each blob that was not
asked for yet.  What a server does not give now is answered from the cache.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from urllib.parse import quote, urlsplit

from aiohttp import ClientResponse

from buildpush.foundation.secrets import Secret
from buildpush.images.model import INDEX_TYPES, MANIFEST_TYPES
from buildpush.images.references import Digest
from buildpush.sandbox import layout, wire
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.content import Checksums
from buildpush.sandbox.deploying import IMAGE_TYPES
from buildpush.sandbox.entries import RepositoryEntry
from buildpush.sandbox.intake import keep, take_in
from buildpush.sandbox.layout import BLOB_TYPE, ManifestPush, Target
from buildpush.sandbox.manifests import LARGEST, StoredManifest, read_manifest
from buildpush.sandbox.paths import ItemPath
from buildpush.sandbox.store import Store
from buildpush.sandbox.upstream import UNREACHABLE, Login, fetch

MARKER = ".marker"
# Artifactory asks again for what may have changed after this time, unless it is told another.
CACHE_SECONDS = 7200
# There, images without a slash in their name are below library/.
_DOCKER_HUB = {"docker.io", "index.docker.io", "registry-1.docker.io"}
_MANIFESTS = ", ".join(sorted(INDEX_TYPES | MANIFEST_TYPES))
_OK = 200


class Remotes:
    """Fetches for the remote repositories.

    Attributes:
        logins: user and password at the servers, by repository key; they are shown nowhere and not stored.
    """

    def __init__(self, store: Store, logins: dict[str, Login]) -> None:
        self._store = store
        self.logins = logins

    def _of(self, key: str) -> list[RepositoryEntry]:
        """Return the remote repositories behind *key* that the caller may read: itself, or members."""
        repository = self._store.repository(key)
        keys = {key, *(repository.members if repository else ())}
        who = wire.caller()
        remote = [one for one in self._store.repositories() if one.key in keys and one.rclass == "remote"]
        return [one for one in remote if who.readable(one)]

    def _fresh(self, modified: float) -> bool:
        return self._store.clock() - modified < CACHE_SECONDS

    # Files

    async def file(self, item: ItemPath) -> None:
        """Fetch a file into the cache of the first remote repository that has it."""
        for remote in self._of(item.repo):
            if remote.package_type in IMAGE_TYPES or item.is_directory:
                continue
            (cache,) = remote.members
            cached = self._store.file(cache, item.path)
            if cached and self._fresh(cached.modified):
                return
            with suppress(*UNREACHABLE):
                async with fetch(f"{remote.url}/{quote(item.path)}", self.logins.get(remote.key)) as answer:
                    if answer.status == _OK:
                        checksums = await self._receive(answer, answer.headers.get("X-Checksum-Sha256"))
                        self._store.put(cache, item.path, checksums, _type(answer), wire.caller().username)
                        return

    async def _receive(self, answer: ClientResponse, sha256: str | None) -> Checksums:
        """Store what a server sends.

        Raises:
            ValueError: it is not what it should be.
        """
        incoming = self._store.content.receive(uuid.uuid4().hex)
        try:
            await take_in(incoming, _pieces(answer))
            if sha256 and incoming.close().sha256 != sha256:
                message = "the server sent other bytes than it said"
                raise ValueError(message)
            return await keep(self._store.content, incoming)
        finally:
            incoming.discard()

    # Images

    async def manifest(self, target: Target, reference: str) -> Target:
        """Fetch a manifest, and return the image as it is named in the cache."""
        found = layout.find_manifests(self._store, target, reference)
        remotes = self._of(target.repository.key)
        caches = {key for remote in remotes for key in remote.members}
        if any(entry.repo not in caches or ":" in reference or self._fresh(entry.modified) for entry in found):
            return target
        for remote in remotes:
            named = replace(target, image=image_at(remote.url, target.image))
            cached = layout.find_manifests(self._store, named, reference)
            if any(":" in reference or self._fresh(entry.modified) for entry in cached):
                return named
            if await self._fetch_manifest(remote, named, reference) or cached:
                return named
        return target

    async def _fetch_manifest(self, remote: RepositoryEntry, target: Target, reference: str) -> bool:
        address = f"{_registry(remote.url)}/v2/{target.image}/manifests/{reference}"
        with suppress(*UNREACHABLE, RequestRefusedError):
            async with fetch(address, self.logins.get(remote.key), _MANIFESTS) as answer:
                if answer.status != _OK:
                    return False
                body = await answer.content.read(LARGEST + 1)
                while len(body) <= LARGEST and (more := await answer.content.read(LARGEST)):
                    body += more
                manifest = read_manifest(body[: LARGEST + 1], _type(answer))
            if ":" in reference and reference != f"sha256:{hashlib.sha256(body).hexdigest()}":
                return False
            self._keep_manifest(remote, target, reference, (manifest, body))
            return True
        return False

    def _keep_manifest(
        self, remote: RepositoryEntry, target: Target, reference: str, fetched: tuple[StoredManifest, bytes]
    ) -> None:
        manifest, body = fetched
        (cache,), who = remote.members, wire.caller()
        push = ManifestPush(reference, manifest, self._store.content.add(body), who)
        directory = f"{target.image}/{reference.replace(':', '__')}"
        nothing = self._store.content.add(b"")
        with self._store.change():
            self._store.remove(self._store.files_in(cache, directory))
            path = f"{directory}/{manifest.filename}"
            self._store.put(cache, path, push.checksums, manifest.media_type, who.username)
            self._store.set_properties(cache, path, layout.manifest_properties(self._store, target, push))
            if manifest.subject:
                self._store.put_subject(str(manifest.subject.digest), push.checksums.sha256)
            for blob in manifest.blobs:
                marker = f"{directory}/{layout.blob_name(blob.digest)}{MARKER}"
                self._store.put(cache, marker, nothing, BLOB_TYPE, who.username)

    async def blob(self, target: Target, digest: Digest) -> None:
        """Fetch a blob, and put it in the place of its markers."""
        for remote in self._of(target.repository.key):
            (cache,) = remote.members
            image = image_at(remote.url, target.image)
            name = f"{layout.blob_name(digest)}{MARKER}"
            markers = [entry for entry in self._store.files(cache, image) if entry.name == name]
            stored = layout.find_blob(self._store, digest, wire.caller())
            if stored and not markers:
                return
            checksums = stored.checksums if stored else await self._fetch_blob(remote, image, digest)
            if checksums is None:
                continue
            paths = [marker.path.removesuffix(MARKER) for marker in markers]
            for path in paths or [f"{image}/{layout.UPLOADS}/{layout.blob_name(digest)}"]:
                self._store.put(cache, path, checksums, BLOB_TYPE, wire.caller().username)
                self._store.set_properties(cache, path, {"sha256": [checksums.sha256]})
            self._store.remove(markers)
            return

    async def _fetch_blob(self, remote: RepositoryEntry, image: str, digest: Digest) -> Checksums | None:
        address = f"{_registry(remote.url)}/v2/{image}/blobs/{digest}"
        with suppress(*UNREACHABLE):
            async with fetch(address, self.logins.get(remote.key)) as answer:
                if answer.status == _OK:
                    return await self._receive(answer, digest.hex)
        return None


def image_at(url: str, image: str) -> str:
    """Return the name of an image at a server: Docker's official images are below ``library/`` at Docker Hub."""
    return f"library/{image}" if urlsplit(url).hostname in _DOCKER_HUB and "/" not in image else image


def login(username: str, password: str) -> Login:
    """Return the user and password at a server; what prints them prints stars."""
    return username, Secret(password, "sandbox")


def _registry(url: str) -> str:
    """Return the address of a registry; that of an Artifactory may be given as in a browser."""
    base, artifactory, key = url.partition("/artifactory/")
    is_bare = artifactory and "/" not in key
    return f"{base}/artifactory/api/docker/{key}" if is_bare else url


def _type(answer: ClientResponse) -> str:
    return answer.headers.get("Content-Type", BLOB_TYPE).partition(";")[0].strip() or BLOB_TYPE


async def _pieces(answer: ClientResponse) -> AsyncIterator[bytes]:
    async for piece in answer.content.iter_any():
        yield piece
