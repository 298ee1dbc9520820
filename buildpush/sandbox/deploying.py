"""Files on their way into a repository, other than by the registry: what the repository asks of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from buildpush.sandbox import wire
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.entries import FileEntry
from buildpush.sandbox.manifests import INDEX, LARGEST, SINGLE, read_manifest
from buildpush.sandbox.store import Store

IMAGE_TYPES = ("docker", "oci")
LOCAL = ("local", "federated")


class Deployer:
    """Puts files into repositories, if the caller may.

    Args:
        store: has the repositories.
        immutable: keys of those in which a tag is not replaced.
    """

    def __init__(self, store: Store, immutable: Collection[str]) -> None:
        self._store = store
        self._immutable = immutable

    def repository(self, key: str, classes: Collection[str] = LOCAL) -> str:
        """Return the key of the repository, of one of these classes, that has what is deployed to *key*.

        Raises:
            RequestRefusedError: 404, there is none.
        """
        repository = self._store.repository(key)
        if repository and repository.deploy_to:
            repository = self._store.repository(repository.deploy_to)
        if repository is None or repository.rclass not in classes or repository.package_type == "buildinfo":
            message = f"Could not find a local repository named {key} to deploy to."
            raise RequestRefusedError(404, "NOT_FOUND", message)
        return repository.key

    def put(self, entry: FileEntry, properties: Mapping[str, Sequence[str]]) -> None:
        """Put a file whose content is stored.

        Raises:
            RequestRefusedError: 403, the caller may not; 409, another file or a directory is there and stays; 400, it
                has the name of an image's manifest, and is none.
        """
        wire.require("deploy", f"{entry.repo}/{entry.path}")
        repository = self._store.repository(entry.repo)
        if repository and repository.package_type in IMAGE_TYPES and entry.name in {SINGLE, INDEX}:
            entry = self._checked_manifest(entry)
        self._check_before(entry)
        with self._store.change():
            self._store.put_entry(entry)
            self._store.set_properties(entry.repo, entry.path, properties)

    def relocate(
        self, entry: FileEntry, repo: str, path: str, *, moves: bool, changes: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Copy or move a file with its properties, and *changes* of them; both are as old as the content.

        Raises:
            RequestRefusedError: as for :meth:`put`; 403, the caller may not remove the file, or set properties.
        """
        if moves:
            wire.require("delete", f"{entry.repo}/{entry.path}")
        if changes:
            wire.require("annotate", f"{repo}/{path}")
        copy = replace(entry, repo=repo, path=path)
        if not moves:
            copy = replace(copy, created=self._store.clock(), created_by=wire.caller().username)
        self.put(copy, {**self._store.properties(entry.repo, entry.path), **(changes or {})})
        if moves:
            self._store.remove([entry])

    def _checked_manifest(self, entry: FileEntry) -> FileEntry:
        path = self._store.content.path(entry.checksums.sha256)
        body = path.read_bytes() if entry.checksums.size <= LARGEST else b""
        manifest = read_manifest(body, entry.media_type if "vnd." in entry.media_type else "")
        if manifest.filename != entry.name:
            raise RequestRefusedError(400, "MANIFEST_INVALID", f"a {manifest.media_type} is not named {entry.name}")
        if manifest.subject:
            self._store.put_subject(str(manifest.subject.digest), entry.checksums.sha256)
        return replace(entry, media_type=manifest.media_type)

    def _check_before(self, entry: FileEntry) -> None:
        before = self._store.file(entry.repo, entry.path)
        if before is None or before.checksums == entry.checksums:
            return
        if entry.repo in self._immutable and entry.name in {SINGLE, INDEX}:
            message = f"'{entry.repo}:{entry.directory}' exists and may not be replaced."
            raise RequestRefusedError(409, "TAG_INVALID", message)
        wire.require("delete", f"{entry.repo}/{entry.path}")
