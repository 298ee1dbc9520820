"""One blob in a repository: is it there, can it be mounted, else send it."""

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
    """Return the blob if *repository* has it, ``None`` if not, or if we may not know that.

    Args:
        registry: to ask.
        repository: where it may be.
        digest: of the blob.
        size: that it has, if that is known: a page that says 200 to everything is no blob of that size.

    Raises:
        UnreachableError: the registry gives no answer; where it leads to a store that gives none, nothing is told.
    """
    if registry.is_hidden(repository):
        return None
    try:
        answer = registry.request(repository, "HEAD", f"blobs/{digest}")
        if answer.status == _METHOD_NOT_ALLOWED:  # ask for the bytes, and hang up when they come
            with registry.open(repository, f"blobs/{digest}") as stream:
                return _read_blob(registry, repository, stream, digest, size)
    except AuthenticationError as error:
        registry.hide(repository, str(error))
        return None
    except ElsewhereError as error:
        registry.hide(repository, str(error))  # the same store has the others, and each would be waited for
        return None
    return _read_blob(registry, repository, answer, digest, size)


def _read_blob(
    registry: Registry, repository: Repository, answer: Answer | Stream, digest: Digest, size: int | None
) -> Stored | None:
    """Return what an answer tells of a blob; where it tells nothing, that is noted."""
    if answer.status == _OK:
        return _stored(answer, digest, size)
    if answer.status >= _BROKEN:  # it was asked more than once by now, and each of the others would be
        registry.hide(repository, f"status {answer.status}")
    elif answer.status != _NOT_FOUND:  # the next one may be another matter: Xray forbids single ones
        registry.note_once(repository, f"{repository} does not say whether it has {digest}: status {answer.status}")
    return None


def _stored(answer: Answer | Stream, digest: Digest, wanted: int | None) -> Stored | None:
    headers = answer.headers
    says, length = headers.get("Docker-Content-Digest", str(digest)), headers.get("Content-Length", "")
    if says != str(digest) and says.startswith("sha256:"):  # one by another algorithm cannot be compared
        return None
    size = int(length) if length.isdecimal() else None
    if None not in {wanted, size} and wanted != size:
        return None
    return Stored(digest, size, headers.get("X-Checksum-Sha1"), headers.get("X-Checksum-Md5"))


@dataclass(frozen=True, slots=True)
class MountResult:
    """What became of the wish to take a blob over.

    Attributes:
        done: the repository has it.
        location: of an upload that the registry began instead.
    """

    done: bool
    location: str | None = None


def mount(registry: Registry, repository: Repository, digest: Digest, origin: Repository) -> MountResult:
    """Ask the registry to take the blob over from *origin*, another repository of its own; a refusal is no error."""
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
    except (AuthenticationError, RegistryError, ElsewhereError):  # no right to read there, say: the bytes are sent
        return MountResult(done=False)
    if answer.status == _ACCEPTED and "Location" in answer.headers:
        registry.heed(answer, repository.host)
        location = registry.following(repository, answer, answer.headers["Location"])
        return MountResult(done=False, location=location)
    return MountResult(done=answer.status == _CREATED)
