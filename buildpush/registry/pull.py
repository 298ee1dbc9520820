"""Pulls an image or index: its manifests and configuration at once, its layers when they are read."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any, BinaryIO, cast

from buildpush.foundation.errors import AuthenticationError, DigestError, PushError, RegistryError, UnreachableError
from buildpush.foundation.parallel import in_parallel
from buildpush.http.client import Http
from buildpush.http.messages import Answer, Stream
from buildpush.http.retry import LEAST
from buildpush.images.compression import digest_of
from buildpush.images.manifests import (
    Descriptor,
    Manifest,
    check_digests,
    check_size,
    describe_layers,
    pick,
    platform_of,
    read_manifest,
)
from buildpush.images.model import INDEX_TYPES, MANIFEST_TYPES, Image, Index, Platform
from buildpush.images.references import Digest, Reference, Repository, is_digest
from buildpush.images.referrers import NO_PLATFORM
from buildpush.registry.client import Registry, refusal

# What a registry may answer with.
ACCEPT = ", ".join(sorted(INDEX_TYPES | MANIFEST_TYPES))
# A registry has to accept manifests of 4 MiB; no real configuration or manifest is as large as this.
_LARGEST_DOCUMENT = 16 * 1024 * 1024
_PARTIAL, _NOT_FOUND = 206, 404

Ask = Callable[[Mapping[str, str]], AbstractContextManager[Stream | Answer]]


def pull(
    reference: Reference, registry: Registry, platform: Platform | None = None, *, artifact: bool = False
) -> Image | Index:
    """Return what *reference* names; its layers are fetched when they are read.

    Args:
        reference: fetched by its digest if it has one.
        registry: client to fetch with.
        platform: which image of an index is wanted; ``None`` for the whole index.
        artifact: whether it may be something else than an image, with any configuration.

    Raises:
        RegistryError: it does not exist, or may not be read.
        DigestError: the bytes do not match the digest.
        PushError: it is not an image, or has none for the platform.
        UnreachableError: there is no answer.
        AuthenticationError: the credentials are refused.
    """
    data, manifest = _manifest(reference, registry)
    if manifest.media_type not in INDEX_TYPES:
        return _image(reference.repository, registry, data, manifest, NO_PLATFORM if artifact else None)
    if platform:
        chosen = pick(manifest, platform, str(reference))
        data, manifest = _manifest_of_image(chosen, manifest, reference, registry, platform)
        return _image(reference.repository, registry, data, manifest, chosen.platform)
    return _index(reference.repository, registry, data, manifest)


def _manifest_of_image(
    descriptor: Descriptor, index: Manifest, reference: Reference, registry: Registry, platform: Platform
) -> tuple[bytes, Manifest]:
    """Return the manifest of one image of *index*; where it is missing, the error says which ones exist."""
    try:
        return _manifest(reference.repository.at(descriptor.digest), registry, descriptor.size)
    except RegistryError as error:
        if error.status != _NOT_FOUND:
            raise
        existing = [one for one in index.manifests if one != descriptor and _has(reference.repository, registry, one)]
        pick(index, platform, str(reference), existing)
        raise


def _has(repository: Repository, registry: Registry, descriptor: Descriptor) -> bool:
    """Return whether *repository* has a manifest, for the text of an error; it raises no error itself."""
    path, headers = f"manifests/{descriptor.digest}", {"Accept": ACCEPT}
    try:
        return registry.request(repository, "HEAD", path, actions="pull", headers=headers).ok
    except (PushError, AuthenticationError):
        return False


def _index(repository: Repository, registry: Registry, data: bytes, index: Manifest) -> Index:
    def image(descriptor: Descriptor) -> Image:
        inner, manifest = _manifest(repository.at(descriptor.digest), registry, descriptor.size)
        return _image(repository, registry, inner, manifest, descriptor.platform)

    return Index(tuple(in_parallel(image, index.manifests)), data, index.media_type)


def _manifest(reference: Reference, registry: Registry, size: int | None = None) -> tuple[bytes, Manifest]:
    """Return the manifest that *reference* names; if an index gives its size, it must have *size* bytes."""
    answer = fetch_manifest(reference, registry, size)
    return answer.body, read_manifest(answer.body, answer.headers.get("Content-Type", ""))


def fetch_manifest(reference: Reference, registry: Registry, size: int | None = None) -> Answer:
    """Return the answer with the manifest that *reference* names; its digests, and its *size* if given, are checked.

    Raises:
        RegistryError: it does not exist, or may not be read.
        DigestError: the bytes do not match the digest that is asked for, or that the registry names.
        UnreachableError: there is no answer.
        AuthenticationError: the credentials are refused.
    """
    path, headers = f"manifests/{reference.target}", {"Accept": ACCEPT}
    most = _max_size(size, f"the manifest of {reference}")
    answer = registry.request(reference.repository, "GET", path, actions="pull", headers=headers, most=most)
    if not answer.ok:
        raise refusal(answer, f"{reference} cannot be fetched", reading=True)
    header = answer.headers.get("Docker-Content-Digest", "")
    check_size(len(answer.body), size, f"the manifest of {reference}")
    expected = reference.digest or (Digest(header) if is_digest(header) else None)
    actual = digest_of(answer.body, expected.algorithm if expected else "sha256")
    if expected and expected != actual:
        message = f"the manifest of {reference} has the digest {actual}, but {expected} was expected"
        raise DigestError(message, hint="a proxy in between changes what it passes on")
    return answer


def _max_size(size: int | None, what: str) -> int:
    """Return how many bytes a document may have.

    Raises:
        PushError: *size* is larger than any real document.
    """
    if size is not None and size > _LARGEST_DOCUMENT:
        message = f"{what} has {size} bytes, more than an image can need"
        raise PushError(message)
    return _LARGEST_DOCUMENT if size is None else size


def _image(
    repository: Repository, registry: Registry, data: bytes, manifest: Manifest, platform: Platform | None
) -> Image:
    if manifest.config is None:
        message = f"an index of {repository} names another index, which is not supported"
        raise PushError(message)
    config = _small_blob(repository, registry, manifest.config)
    layers = describe_layers(config, manifest, repository)

    def blobs(positions: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
        for at in sorted(positions):
            with Blob.of(repository, registry, manifest.layers[at]) as reader:
                yield at, cast("BinaryIO", reader)

    return Image(config, layers, blobs, platform or platform_of(config), True, data, manifest.media_type)


def _small_blob(repository: Repository, registry: Registry, descriptor: Descriptor) -> bytes:
    most = _max_size(descriptor.size, f"the configuration of {repository}")
    answer = registry.request(repository, "GET", f"blobs/{descriptor.digest}", actions="pull", most=most)
    if not answer.ok:
        raise refusal(answer, f"the configuration of {repository} cannot be fetched", reading=True)
    check_size(len(answer.body), descriptor.size, f"the configuration of {repository}")
    actual = digest_of(answer.body, descriptor.digest.algorithm)
    check_digests([descriptor.digest], [actual], f"the configuration of {repository}")
    return answer.body


class Blob(io.RawIOBase):
    """A layer that is read over the network: continues where a broken connection ended, checks the digest at the end.

    If it is longer than promised, one more byte is read, and it is not requested again.

    Args:
        ask: sends the request with the given headers.
        http: says how often to retry.
        descriptor: has the digest and size that it must have.
        what: the layer, in messages.
    """

    def __init__(self, ask: Ask, http: Http, descriptor: Descriptor, what: str) -> None:
        self._ask = ask
        self._http = http
        self._descriptor = descriptor
        self._what = what
        self._hash = hashlib.new(descriptor.digest.algorithm)
        self._done = 0  # bytes
        self._open = ExitStack()
        self._stream: Stream | None = None
        self._breaks = 0
        self._since = 0  # bytes since the last break
        self._behind = 0  # bytes that the stream repeats, because its server does not support ranges

    @classmethod
    def of(cls, repository: Repository, registry: Registry, descriptor: Descriptor) -> Blob:
        """Return a reader of a blob in a repository."""

        def request(headers: Mapping[str, str]) -> AbstractContextManager[Stream | Answer]:
            return registry.open(repository, f"blobs/{descriptor.digest}", headers=headers)

        return cls(request, registry.http, descriptor, f"the layer {descriptor.digest} of {repository}")

    def readable(self) -> bool:
        """Return ``True``."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return up to *size* bytes, all of them if it is negative, none at the end; 0 only sends the request.

        Raises:
            RegistryError: the registry refuses.
            DigestError: they do not match the digest.
            UnreachableError: the connection broke again and again.
        """
        return self.readall() if size < 0 else self._next(size)

    def readinto(self, buffer: Any, /) -> int:
        """Fill *buffer* as :meth:`read` would, and return the number of bytes."""
        block = self._next(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        """Close the connection."""
        self._open.close()
        super().close()

    def _next(self, size: int) -> bytes:
        while True:
            try:
                stream = self._stream = self._stream or self._begin()
                self._catch_up(stream)
                block = stream.read(min(size, self._descriptor.size - self._done + 1))
            except UnreachableError as error:
                self._retry_after(error)
                continue
            self._hash.update(block)
            self._done += len(block)
            if self._done > self._descriptor.size:
                check_size(self._done, self._descriptor.size, self._what)
            if not block and size:
                self._check()
            self._since += len(block)
            if self._since >= LEAST:  # enough progress: a byte between breaks is not
                self._breaks = 0
            return block

    def _begin(self) -> Stream:
        done = self._done
        headers = {"Range": f"bytes={done}-"} if done else {}
        answer = self._open.enter_context(self._ask(headers))
        if isinstance(answer, Answer):
            raise refusal(answer, f"{self._what} cannot be fetched", reading=True)
        self._behind = 0 if answer.status == _PARTIAL else done
        return answer

    def _catch_up(self, stream: Stream) -> None:
        """Skip what was read before; the connection may break here as well."""
        while self._behind and (skipped := stream.read(min(self._behind, 1024 * 1024))):
            self._behind -= len(skipped)

    def _retry_after(self, error: UnreachableError) -> None:
        self._breaks, self._since = self._breaks + 1, 0
        if self._breaks >= self._http.attempts or self._stream is None:
            raise error
        self._open.close()
        self._stream = None
        self._http.wait(f"the layer {self._descriptor.digest}", str(error), self._breaks)

    def _check(self) -> None:
        actual = f"{self._descriptor.digest.algorithm}:{self._hash.hexdigest()}"
        if actual == str(self._descriptor.digest):
            return
        message = f"{self._what} arrived with the digest {actual}"
        raise DigestError(message, hint="a proxy in between changes what it passes on")
