"""Requests about images: which one, whether the caller may, and what answers have in common."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from urllib.parse import quote

from aiohttp import web

from buildpush.foundation.errors import BadNameError
from buildpush.foundation.records import dataclass
from buildpush.images.references import Digest, Repository
from buildpush.sandbox import wire
from buildpush.sandbox.answers import RequestRefusedError, forbidden
from buildpush.sandbox.content import Checksums
from buildpush.sandbox.deploying import IMAGE_TYPES
from buildpush.sandbox.entries import FileEntry, RepositoryEntry
from buildpush.sandbox.layout import Target
from buildpush.sandbox.permissions import ACTION_RIGHTS, Caller
from buildpush.sandbox.store import Store

PREFIXES = ("/v2", "/artifactory/api/docker/{key}/v2")


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


class ImageRequests:
    """Finds the images that requests are about."""

    def __init__(self, store: Store, rules: RegistryRules) -> None:
        self._store = store
        self._rules = rules

    def target(self, request: web.Request, action: str) -> Target:
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


def read_digest(text: str) -> Digest:
    """Parse a digest.

    Raises:
        RequestRefusedError: 400, it is none.
    """
    try:
        return Digest(text)
    except BadNameError as error:
        raise RequestRefusedError(400, "DIGEST_INVALID", str(error)) from error


def check_digest(expected: Digest, arrived: str, *, size: int) -> None:
    """Refuse content whose hash, in hex, is not that of the digest."""
    if arrived != expected.hex:
        detail = {"promised": str(expected), "arrived": f"{expected.algorithm}:{arrived}", "size": size}
        raise RequestRefusedError(400, "DIGEST_INVALID", "provided digest did not match uploaded content", detail)


def remember_digest(store: Store, digest: Digest, checksums: Checksums) -> None:
    """Make a content known by the digest that its client uses."""
    if digest.algorithm != "sha256":
        store.put_digest(str(digest), checksums.sha256)


def location(request: web.Request, kind: str, last: str) -> str:
    """Return the absolute address of something in the image that the request is about."""
    base, _, _ = (
        request.path.rpartition("/blobs/") if "/blobs/" in request.path else request.path.rpartition("/manifests/")
    )
    return f"{wire.origin(request)}{quote(base)}/{kind}/{last}"


def created(request: web.Request, kind: str, digest: str) -> web.Response:
    """Return the answer that a blob or manifest is stored now."""
    headers = {"Location": location(request, kind, digest), "Docker-Content-Digest": digest}
    return web.Response(status=201, headers=headers)
