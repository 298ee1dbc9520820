"""Looks for a blob in a repository, and mounts it there."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from buildpush.foundation.errors import AuthenticationError, ElsewhereError, RegistryError
from buildpush.foundation.records import dataclass
from buildpush.http.messages import Answer, Stream
from buildpush.images.compression import BlobInfo, Hashes
from buildpush.images.references import Digest, Repository
from buildpush.registry.client import Registry

_OK, _CREATED, _ACCEPTED, _NOT_FOUND, _METHOD_NOT_ALLOWED = 200, 201, 202, 404, 405
_BROKEN = 500  # and above


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob as the registry has it.

    Attributes:
        size: as the registry says; ``None`` where it does not.
        sha1: as Artifactory says, else ``None``.
        md5: likewise.
    """

    digest: Digest
    size: int | None
    sha1: str | None = None
    md5: str | None = None


class Bytes:
    """A small blob that is in memory."""

    def __init__(self, data: bytes, *, checksums: bool = False, algorithm: str = "sha256") -> None:
        self._data = data
        hashes = Hashes(checksums=checksums, algorithm=algorithm)
        hashes.update(data)
        self.length: int | None = len(data)
        self.known = BlobInfo(hashes.digest, len(data), hashes.digest, len(data), hashes.sha1, hashes.md5)
        self.result: BlobInfo | None = self.known

    def __iter__(self) -> Iterator[bytes]:
        yield self._data


def find(registry: Registry, repository: Repository, digest: Digest, size: int | None = None) -> StoredBlob | None:
    """Return the blob if *repository* has it; ``None`` if it does not, or if that cannot be found out.

    Args:
        registry: to ask.
        repository: where it may be.
        digest: of the blob.
        size: its size, if known: a server that answers 200 to everything sends another.

    Raises:
        UnreachableError: the registry does not answer; a silent store behind it counts as unknown.
    """
    if registry.is_hidden(repository):
        return None
    try:
        answer = registry.request(repository, "HEAD", f"blobs/{digest}")
        if answer.status == _METHOD_NOT_ALLOWED:  # request the bytes, and close the connection when they arrive
            with registry.open(repository, f"blobs/{digest}") as stream:
                return _read_blob(registry, repository, stream, digest, size)
    except AuthenticationError as error:
        registry.hide(repository, str(error))
        return None
    except ElsewhereError as error:
        registry.hide(repository, str(error))  # other blobs are in the same store, and each would take as long
        return None
    return _read_blob(registry, repository, answer, digest, size)


def _read_blob(
    registry: Registry, repository: Repository, answer: Answer | Stream, digest: Digest, size: int | None
) -> StoredBlob | None:
    """Return what an answer says about a blob; for an answer that says nothing, report a note."""
    if answer.status == _OK:
        return _describe_blob(answer, digest, size)
    if answer.status >= _BROKEN:  # after several tries, which other blobs would need as well
        registry.hide(repository, f"status {answer.status}")
    elif answer.status != _NOT_FOUND:  # the next one may be different: Xray blocks single blobs
        registry.note_once(repository, f"{repository} does not say whether it has {digest}: status {answer.status}")
    return None


def _describe_blob(answer: Answer | Stream, digest: Digest, expected: int | None) -> StoredBlob | None:
    headers = answer.headers
    header, length = headers.get("Docker-Content-Digest", str(digest)), headers.get("Content-Length", "")
    if header != str(digest) and header.startswith("sha256:"):  # a digest by another algorithm cannot be compared
        return None
    size = int(length) if length.isdecimal() else None
    if None not in {expected, size} and expected != size:
        return None
    return StoredBlob(digest, size, headers.get("X-Checksum-Sha1"), headers.get("X-Checksum-Md5"))


@dataclass(frozen=True, slots=True)
class MountResult:
    """The result of a mount.

    Attributes:
        done: whether the repository has the blob now.
        location: of an upload that the registry began instead.
    """

    done: bool
    location: str | None = None


def mount(registry: Registry, repository: Repository, digest: Digest, origin: Repository) -> MountResult:
    """Ask the registry to mount the blob from *origin*, another of its repositories; a refusal is not an error."""
    query = f"mount={quote(str(digest))}&from={quote(origin.path, safe='')}"
    try:
        answer = registry.request(
            repository,
            "POST",
            f"blobs/uploads/?{query}",
            also=f"repository:{origin.path}:pull",
            body=b"",
            repeatable=True,
        )
    except (
        AuthenticationError,
        RegistryError,
        ElsewhereError,
    ):  # such as a missing permission to read there: the bytes are sent instead
        return MountResult(done=False)
    if answer.status == _ACCEPTED and "Location" in answer.headers:
        registry.learn_part_size(answer, repository.host)
        location = registry.resolve_location(repository, answer, answer.headers["Location"])
        return MountResult(done=False, location=location)
    return MountResult(done=answer.status == _CREATED)
