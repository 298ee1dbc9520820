"""One blob on its way into a repository: is it there, can it be mounted, else send it, and ask before failing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from buildpush.errors import AuthenticationError, DigestError, PushError, UnreachableError
from buildpush.http import Answer, Interrupted, Stream
from buildpush.images.compression import Compressed, Hashes
from buildpush.images.references import Digest, Repository
from buildpush.registry.client import Registry, read_refusal, refusal

_BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _METHOD_NOT_ALLOWED = 400, 401, 403, 405
_OK, _CREATED, _ACCEPTED = 200, 201, 202
# Answers to a part of an upload after which a new upload may succeed where this one did not: the session is gone,
# the offset is not the one expected, or the server had a bad moment.
_WORTH_ANOTHER = frozenset({400, 404, 408, 416, 425, 429, 500, 502, 503, 504, 507})
_FINAL_CODES = frozenset({"NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNSUPPORTED", "DENIED"})


class Source(Protocol):
    """Bytes that can be sent: made anew at each iteration, described once they are through."""

    @property
    def result(self) -> Compressed | None:
        """What went through, after the last byte."""
        ...

    @property
    def length(self) -> int | None:
        """Number of bytes, where it is known before."""
        ...

    def __iter__(self) -> Iterator[bytes]: ...


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

    def __init__(self, data: bytes, *, checksums: bool = False) -> None:
        self._data = data
        hashes = Hashes(checksums=checksums)
        hashes.update(data)
        self.length: int | None = len(data)
        self.known = Compressed(hashes.digest, len(data), hashes.digest, len(data), hashes.sha1, hashes.md5)
        self.result: Compressed | None = self.known

    def __iter__(self) -> Iterator[bytes]:
        yield self._data


def find(registry: Registry, repository: Repository, digest: Digest) -> Stored | None:
    """Return the blob if *repository* has it, else ``None``."""
    answer = registry.request(repository, "HEAD", f"blobs/{digest}")
    if answer.status == _METHOD_NOT_ALLOWED:
        return _find_by_get(registry, repository, digest)
    return _stored(answer, digest) if answer.status == _OK else None


def _find_by_get(registry: Registry, repository: Repository, digest: Digest) -> Stored | None:
    """Ask for the bytes, and hang up when they come: for registries that do not know HEAD."""
    with registry.open(repository, f"blobs/{digest}") as answer:
        return _stored(answer, digest) if answer.status == _OK else None


def _stored(answer: Answer | Stream, digest: Digest) -> Stored | None:
    headers = answer.headers
    says, size = headers.get("Docker-Content-Digest", str(digest)), headers.get("Content-Length", "")
    if says != str(digest):
        return None
    return Stored(
        digest, int(size) if size.isdecimal() else None, headers.get("X-Checksum-Sha1"), headers.get("X-Checksum-Md5")
    )


def mount(registry: Registry, repository: Repository, digest: Digest, origin: Repository) -> bool:
    """Return whether the registry took the blob over from *origin*, another repository of its own."""
    query = f"mount={quote(str(digest))}&from={quote(origin.path, safe='')}"
    answer = registry.request(
        repository,
        "POST",
        f"blobs/uploads/?{query}",
        also=f"repository:{origin.path}:pull",
        body=b"",
        repeatable=True,
    )
    if answer.status == _ACCEPTED and "Location" in answer.headers:
        # It began an upload instead. The bytes are not at hand yet, so it is given up.
        registry.give_up(repository, answer.headers["Location"])
    return answer.status == _CREATED


def send(
    registry: Registry, repository: Repository, source: Source, *, what: str, promised: Digest | None = None
) -> Compressed:
    """Send *source* and return what the registry confirmed; a broken line begins it anew, after asking.

    Args:
        registry: to send to.
        repository: to send into.
        source: iterated once per attempt.
        what: the blob in words, for messages.
        promised: the digest that the bytes must have, if that is known.

    Raises:
        DigestError: the bytes have another digest than was promised, here or there.
        RegistryError: the registry says no.
        UnreachableError: the line broke once too often.
        AuthenticationError: the credentials are refused.
    """
    for attempt in range(1, registry.http.attempts + 1):
        try:
            return _send_once(registry, repository, source, what, promised)
        except _AgainError as again:
            result = source.result
            if result and _arrived(registry, repository, result.digest):
                return result
            if attempt == registry.http.attempts or (again.once and attempt > 1):
                raise again.error from again
            registry.http.wait(f"{what} to {repository}", str(again.error), attempt, again.answer)
    raise AssertionError  # the last attempt returns or raises


class _AgainError(Exception):
    """This upload has failed, another may succeed; *once* where that is worth one try only."""

    def __init__(
        self, error: PushError | AuthenticationError, answer: Answer | None = None, *, once: bool = False
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.answer = answer
        self.once = once


def _arrived(registry: Registry, repository: Repository, digest: Digest) -> bool:
    """Return whether the blob is there in spite of a failure; without an answer it is not."""
    try:
        return find(registry, repository, digest) is not None
    except UnreachableError:
        return False


def _send_once(
    registry: Registry, repository: Repository, source: Source, what: str, promised: Digest | None
) -> Compressed:
    location = _begin(registry, repository, what)
    location = _stream(registry, repository, location, source, what)
    result = source.result
    if result is None:  # a source that ended has a result
        raise AssertionError
    if promised and result.digest != promised:
        registry.give_up(repository, location)
        message = f"{what} has the digest {result.digest}, but {promised} was promised"
        raise DigestError(message, hint="the source has changed or is damaged: build or fetch the image again")
    _commit(registry, repository, location, result.digest, what)
    return result


def _begin(registry: Registry, repository: Repository, what: str) -> str:
    answer = registry.request(repository, "POST", "blobs/uploads/", body=b"", repeatable=True)
    if answer.status == _FORBIDDEN:
        raise registry.forbidden(repository, answer)
    if answer.status != _ACCEPTED or "Location" not in answer.headers:
        raise refusal(answer, f"{what} cannot be sent to {repository}")
    return registry.address(repository, answer.headers["Location"])


def _stream(registry: Registry, repository: Repository, location: str, source: Source, what: str) -> str:
    headers = {"Content-Type": "application/octet-stream"}
    if source.length is not None:
        headers["Content-Length"] = str(source.length)
    try:
        answer = registry.request(repository, "PATCH", location, headers=headers, body=iter(source))
    except Interrupted as error:
        raise _AgainError(error) from error
    if answer.status == _UNAUTHORIZED:  # there is a new token by now; the stream has to begin anew
        raise _AgainError(registry.login(repository.host).refused(answer), answer, once=True)
    if not answer.ok:
        raise _failed(answer, f"{what} was not taken by {repository}")
    return registry.address(repository, answer.headers.get("Location", location))


def _commit(registry: Registry, repository: Repository, location: str, digest: Digest, what: str) -> None:
    mark = "&" if "?" in location else "?"
    url = f"{location}{mark}digest={quote(str(digest), safe='')}"
    try:
        answer = registry.request(repository, "PUT", url, body=b"")
    except UnreachableError as error:
        raise _AgainError(error) from error
    if not answer.ok:
        raise _failed(answer, f"{what} was not confirmed by {repository}")
    says = answer.headers.get("Docker-Content-Digest", str(digest))
    if says != str(digest):
        message = f"{what} was altered on its way: {digest} was sent, {repository.host} has {says}"
        raise DigestError(message, hint="a proxy in between changes what it passes on")


def _failed(answer: Answer, what: str) -> Exception:
    code, says = read_refusal(answer)
    if code == "DIGEST_INVALID":
        message = f"{what}: the registry computed another digest: {says}"
        return DigestError(message, hint="a proxy in between changes what it passes on")
    error = refusal(answer, what)
    if answer.status not in _WORTH_ANOTHER or code in _FINAL_CODES:
        return error
    # A proxy answers 400 when an upload stalls; when it says so twice it means it.
    return _AgainError(error, answer, once=answer.status == _BAD_REQUEST)
