"""Where Artifactory keeps the files of an image, and how they are found.

::

    IMAGE/_uploads/sha256__HEX         what no tag names yet, or any more; removed after a day
    IMAGE/TAG/manifest.json            pushed by tag, with its config and layers beside it as sha256__HEX
    IMAGE/TAG/list.manifest.json       an index pushed by tag, alone
    IMAGE/sha256:HEX/manifest.json     pushed by digest: one platform of an index
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from buildpush.foundation.records import dataclass
from buildpush.images.references import Digest
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.content import Checksums
from buildpush.sandbox.entries import FileEntry, RepositoryEntry
from buildpush.sandbox.manifests import INDEX, LARGEST, SINGLE, ContentDescriptor, StoredManifest, read_manifest
from buildpush.sandbox.permissions import Caller, image_of
from buildpush.sandbox.store import Store

UPLOADS = "_uploads"
BLOB_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Target:
    """The image that a request is about.

    Attributes:
        name: as in the request and in the scopes of tokens.
        repository: the repository in the request, which may be virtual.
        image: path of the image inside the repository.
    """

    name: str
    repository: RepositoryEntry
    image: str

    @property
    def deploy_to(self) -> str:
        """Key of the repository that stores what is pushed."""
        return self.repository.deploy_to or self.repository.key


@dataclass(frozen=True, slots=True)
class ManifestPush:
    """A manifest that is pushed: its tag or digest, its content, its own checksums, and who pushes it."""

    reference: str
    manifest: StoredManifest
    checksums: Checksums
    who: Caller


def blob_name(digest: Digest | str) -> str:
    """Return the file name of a blob; *digest* may be bare hex."""
    return f"sha256__{digest.hex if isinstance(digest, Digest) else digest}"


def find_blob(
    store: Store, digest: Digest, who: Caller | None = None, target: Target | None = None
) -> FileEntry | None:
    """Return a file with this content in any repository, or in any that *who* may read, or in the image *target*."""
    copies = store.copies_anywhere(sha256_of(store, digest))
    readable = (one for one in copies if who is None or _is_in(one, target) or who.may_read_file(one.repo, one.path))
    return next(readable, None)


def _is_in(entry: FileEntry, target: Target | None) -> bool:
    return target is not None and entry.repo == target.deploy_to and image_of(entry.path) == target.image


def sha256_of(store: Store, digest: Digest) -> str:
    """Return the hex SHA-256 of the content with this digest; empty if no content is known by it."""
    return digest.hex if digest.algorithm == "sha256" else store.sha256(str(digest))


def keep_blob(store: Store, target: Target, checksums: Checksums, username: str) -> None:
    """Store a blob that arrived with those that wait for their manifest."""
    path = _uploaded(target, checksums.sha256)
    store.put(target.deploy_to, path, checksums, BLOB_TYPE, username)
    store.set_properties(target.deploy_to, path, {"sha256": [checksums.sha256]})


def find_manifests(store: Store, target: Target, reference: str) -> list[FileEntry]:
    """Return the manifests that a tag or digest names, an index before a single image."""
    keys = target.repository.physical
    if ":" not in reference:
        paths = [f"{target.image}/{reference}/{name}" for name in (INDEX, SINGLE)]
        return [entry for key in keys for path in paths if (entry := store.file(key, path))]
    sha256 = sha256_of(store, Digest(reference))
    copies = (entry for key in keys for entry in store.copies(sha256, key, target.image))
    return [entry for entry in copies if _is_manifest_of(entry, target.image)]


def _is_manifest_of(entry: FileEntry, image: str) -> bool:
    return entry.name in {SINGLE, INDEX} and entry.directory.rpartition("/")[0] == image


def referrers(store: Store, target: Target, subject: Digest) -> list[dict[str, Any]]:
    """Return the descriptors of all manifests with that *subject*, sorted by digest."""
    everywhere = (find_manifests(store, target, f"sha256:{sha256}") for sha256 in store.subject_of(str(subject)))
    return [_descriptor(store, copies[0]) for copies in everywhere if copies]


def _descriptor(store: Store, entry: FileEntry) -> dict[str, Any]:
    document = json.loads(store.content.path(entry.checksums.sha256).read_bytes())
    kind = document.get("artifactType") or document.get("config", {}).get("mediaType")
    more = {"artifactType": kind, "annotations": document.get("annotations")}
    descriptor = {"mediaType": entry.media_type, "digest": entry.checksums.digest, "size": entry.checksums.size}
    return descriptor | {key: value for key, value in more.items() if value}


def tags(store: Store, target: Target) -> list[str]:
    """Return the image's tags, sorted."""
    keys = target.repository.physical
    return sorted({tag for key in keys for image, tag in images(store, key, target.image) if image == target.image})


def images(store: Store, key: str, below: str = "") -> Iterator[tuple[str, str]]:
    """Yield the image's path and the tag, for every tag in a repository, or below a directory of it."""
    for directory in store.holding((SINGLE, INDEX), key, below):
        image, _, tag = directory.rpartition("/")
        if image and ":" not in tag and not tag.startswith("sha256__"):
            yield image, tag


def remove_blob(store: Store, target: Target, digest: Digest) -> None:
    """Remove a blob that no manifest of the image needs.

    Raises:
        RequestRefusedError: 404, the image does not have it; 403, a manifest has it.
    """
    sha256 = sha256_of(store, digest)
    below = (entry for key in target.repository.physical for entry in store.copies(sha256, key, target.image))
    entries = [entry for entry in below if image_of(entry.path) == target.image]
    used = [entry.directory for entry in entries if entry.path != _uploaded(target, sha256)]
    if not entries:
        raise RequestRefusedError(404, "BLOB_UNKNOWN", "blob unknown to registry", {"digest": str(digest)})
    if used:
        message = f"{digest} is part of {used[0]}: delete that manifest first"
        raise RequestRefusedError(403, "DENIED", message, {"digest": str(digest)})
    store.remove(entries)


def keep_manifest(store: Store, target: Target, push: ManifestPush) -> None:
    """Put a manifest into its directory, and its blobs beside it; what was there before is moved to the uploads.

    Raises:
        RequestRefusedError: 400, a blob or a child manifest is missing or has another size.
    """
    directory = f"{target.image}/{push.reference}"
    with store.change():
        blobs = [_existing(store, target, part, push.who) for part in push.manifest.blobs]
        for child in push.manifest.children:
            _keep_child(store, target, directory, child, push.who)
        _set_aside(store, target, directory, push.checksums.sha256)
        for blob in blobs:
            _place_blob(store, target, directory, blob, push.who.username)
        path = f"{directory}/{push.manifest.filename}"
        store.put(target.deploy_to, path, push.checksums, push.manifest.media_type, push.who.username)
        store.set_properties(target.deploy_to, path, manifest_properties(store, target, push))
        if push.manifest.subject:
            store.put_subject(str(push.manifest.subject.digest), push.checksums.sha256)


def _uploaded(target: Target, sha256: str) -> str:
    return f"{target.image}/{UPLOADS}/{blob_name(sha256)}"


def _set_aside(store: Store, target: Target, directory: str, coming: str) -> None:
    """Move a directory's files to the uploads: docker pushes the images of an index one by one under its tag."""
    replaced = store.files_in(target.deploy_to, directory)
    for entry in replaced:
        sha256 = entry.checksums.sha256
        if sha256 != coming:
            store.put(entry.repo, _uploaded(target, sha256), entry.checksums, entry.media_type, entry.created_by)
    store.remove(replaced)


def sweep(store: Store, before: float) -> None:
    """Delete what nothing needs, and unfinished uploads and blobs without a manifest from before that moment."""
    files = (entry for repository in store.repositories() for entry in store.files(repository.key))
    uploaded = (entry for entry in files if entry.directory.endswith(f"/{UPLOADS}"))
    store.sweep(before, [entry for entry in uploaded if entry.modified < before])


def _existing(store: Store, target: Target, part: ContentDescriptor, who: Caller) -> Checksums:
    entry = find_blob(store, part.digest, who, target)
    if entry is None:
        detail = {"digest": str(part.digest)}
        raise RequestRefusedError(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", detail)
    if entry.checksums.size != part.size:
        message = f"{part.digest} has {entry.checksums.size} bytes, but the manifest says {part.size}"
        raise RequestRefusedError(400, "MANIFEST_INVALID", message)
    return entry.checksums


def _keep_child(store: Store, target: Target, directory: str, child: ContentDescriptor, who: Caller) -> None:
    """Make sure that one image of an index stays when the index is put into *directory*."""
    everywhere = find_manifests(store, target, str(child.digest))
    copies = [entry for entry in everywhere if entry.repo == target.deploy_to]
    if any(entry.directory != directory for entry in copies):
        return
    sha256 = sha256_of(store, child.digest)
    aside = store.file(target.deploy_to, _uploaded(target, sha256))
    entry = next(iter(copies), aside)
    if entry is None or entry.media_type == BLOB_TYPE:
        detail = {"digest": str(child.digest)}
        raise RequestRefusedError(400, "MANIFEST_BLOB_UNKNOWN", "manifest of the index unknown to registry", detail)
    manifest = read_manifest(store.content.path(sha256).read_bytes(), entry.media_type)
    keep_manifest(store, target, ManifestPush(str(child.digest), manifest, entry.checksums, who))
    store.remove([aside] if aside else [])
    store.remove(store.files_in(target.deploy_to, directory) if copies else [])


def _place_blob(store: Store, target: Target, directory: str, blob: Checksums, username: str) -> None:
    path = f"{directory}/{blob_name(blob.sha256)}"
    store.put(target.deploy_to, path, blob, BLOB_TYPE, username)
    store.set_properties(target.deploy_to, path, {"sha256": [blob.sha256]})
    waiting = store.file(target.deploy_to, _uploaded(target, blob.sha256))
    store.remove([waiting] if waiting else [])


def manifest_properties(store: Store, target: Target, push: ManifestPush) -> dict[str, list[str]]:
    """Return the properties that Artifactory gives to a manifest."""
    labels = _labels(store, push.manifest.config)
    return {
        "docker.manifest": [push.reference],
        "docker.manifest.digest": [push.checksums.digest],
        "docker.manifest.type": [push.manifest.media_type],
        "docker.repoName": [target.image],
        "sha256": [push.checksums.sha256],
        "artifactory.content-type": [push.manifest.media_type],
        **{f"docker.label.{key}": [value] for key, value in labels.items()},
    }


def _labels(store: Store, config: ContentDescriptor | None) -> dict[str, str]:
    """Return the image's labels, if its config has any."""
    if config is None or config.size > LARGEST:
        return {}
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        document = json.loads(store.content.path(sha256_of(store, config.digest)).read_bytes())
        return {_storable(key): _storable(value) for key, value in document["config"]["Labels"].items()}
    return {}


def _storable(value: object) -> str:
    """Return *value* as text that can be stored: JSON may contain a lone surrogate, but UTF-8 cannot."""
    return str(value).encode(errors="replace").decode()
