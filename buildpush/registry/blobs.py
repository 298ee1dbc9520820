"""One blob in a repository: whether it exists there, and whether it can be mounted."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from buildpush.foundation.errors import AuthenticationError, ElsewhereError, RegistryError
from buildpush.foundation.records import dataclass
from buildpush.http.messages import Answer, Stream
from buildpush.images.compression import Compressed, Hashes
from buildpush.images.references import Digest, Repository
from buildpush.registry.client import Registry

_OK, _CREATED, _ACCEPTED, _NOT_FOUND, _METHOD_NOT_ALLOWED = 200, 201, 202, 404, 405
_BROKEN = 500  # and above


@dataclass(frozen=True, slots=True)
class Stored:
    """A blob as the registry has it.

    Attributes:
        size: as the registry says; some do not.
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
        self.known = Compressed(hashes.digest, len(data), hashes.digest, len(data), hashes.sha1, hashes.md5)
        self.result: Compressed | None = self.known

    def __iter__(self) -> Iterator[bytes]:
        yield self._data


def find(registry: Registry, repository: Repository, digest: Digest, size: int | None = None) -> Stored | None:
    """Return the blob if *repository* has it, ``None`` if not, or if we may not know.

    Args:
        registry: to ask.
        repository: where it may be.
        digest: of the blob.
        size: that it has, if that is known: a page that answers 200 to everything does not have that size.

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
        registry.hide(repository, str(error))  # the others are in the same store, and each would be waited for
        return None
    return _read_blob(registry, repository, answer, digest, size)


def _read_blob(
    registry: Registry, repository: Repository, answer: Answer | Stream, digest: Digest, size: int | None
) -> Stored | None:
    """Return what an answer says about a blob; where it says nothing, add a note."""
    if answer.status == _OK:
        return _stored(answer, digest, size)
    if answer.status >= _BROKEN:  # it was asked several times, and would be for each of the others
        registry.hide(repository, f"status {answer.status}")
    elif answer.status != _NOT_FOUND:  # the next one may be different: Xray blocks single blobs
        registry.note_once(repository, f"{repository} does not say whether it has {digest}: status {answer.status}")
    return None


def _stored(answer: Answer | Stream, digest: Digest, wanted: int | None) -> Stored | None:
    headers = answer.headers
    says, length = headers.get("Docker-Content-Digest", str(digest)), headers.get("Content-Length", "")
    if says != str(digest) and says.startswith("sha256:"):  # a digest by another algorithm cannot be compared
        return None
    size = int(length) if length.isdecimal() else None
    if None not in {wanted, size} and wanted != size:
        return None
    return Stored(digest, size, headers.get("X-Checksum-Sha1"), headers.get("X-Checksum-Md5"))


@dataclass(frozen=True, slots=True)
class MountResult:
    """The result of a mount.

    Attributes:
        done: whether the repository has it.
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
    ):  # such as no permission to read there: the bytes are sent
        return MountResult(done=False)
    if answer.status == _ACCEPTED and "Location" in answer.headers:
        registry.heed(answer, repository.host)
        location = registry.following(repository, answer, answer.headers["Location"])
        return MountResult(done=False, location=location)
    return MountResult(done=answer.status == _CREATED)
