"""The types of images, their layers and their receipts; nothing here does any work."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import field, replace
from typing import BinaryIO, Literal

from buildpush.foundation.errors import BadNameError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.images.references import Digest, Reference, Repository

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"  # with .gzip where compressed

INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_INDEX})
MANIFEST_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})

_PLATFORM = regex(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?\Z")

_NONDISTRIBUTABLE = (".foreign.", ".nondistributable.")

Compression = Literal["gzip", "none", "zstd"]
MediaTypes = Literal["oci", "docker"]


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """Operating system, architecture and variant as Go names them, such as ``linux/arm64/v8``."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Parse ``os/architecture[/variant]``.

        Raises:
            BadNameError: *text* has another form.
        """
        if not _PLATFORM.match(text):
            message = f"{text!r} is not a platform"
            raise BadNameError(message, hint="write OS/ARCHITECTURE, such as linux/amd64", setting="platforms")
        os, architecture, *variant = text.split("/")
        return cls(os, architecture, *variant)

    @property
    def runs(self) -> bool:
        """Whether anything runs there: attestations, for example, have ``unknown/unknown``."""
        return self.os != "unknown"

    @property
    def label(self) -> str:
        """The platform in messages."""
        return str(self) if self.runs else "attestation"

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def is_nondistributable(media_type: str) -> bool:
    """Return whether layers of this type are fetched from their publisher, and are pushed only on request.

    Source: OCI image-spec 1.1, "Non-Distributable Layers"; Docker's "Image Manifest V 2, Schema 2".
    """
    return any(word in media_type for word in _NONDISTRIBUTABLE)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as its source describes it; what is not known yet is ``None``.

    Attributes:
        created_by: the instruction that made it, for progress and history.
        media_type: type of the bytes from the source's reader: ``OCI_LAYER`` for a plain tar,
            with ``+gzip`` or ``+zstd`` (Docker: ``.gzip``) for bytes that are compressed already.
        diff_id: digest of the plain tar.
        digest: digest of the bytes that the reader gives.
        size: number of bytes that the reader gives.
        repository: where the registry has these bytes already; a push to the same registry mounts them from there.
        urls: where its publisher offers these bytes, according to the manifest.
        distributed: whether it is pushed with the image, although its media type says that it must not be.
        learn: called with the diff ID after all bytes were read, so that the source need not read them next time.
    """

    created_by: str = ""
    media_type: str = OCI_LAYER
    diff_id: Digest | None = None
    digest: Digest | None = None
    size: int | None = None
    repository: Repository | None = None
    urls: tuple[str, ...] = ()
    distributed: bool = False
    learn: Callable[[Digest], None] | None = field(default=None, repr=False, compare=False)

    @property
    def compressed(self) -> bool:
        """Whether the reader gives compressed or encrypted bytes, which are sent unchanged."""
        return self.packed or self.media_type.endswith("+encrypted")

    @property
    def is_nondistributable(self) -> bool:
        """Whether the image is pushed without these bytes, which are fetched from their publisher."""
        return is_nondistributable(self.media_type) and not self.distributed

    @property
    def packed(self) -> bool:
        """Whether the reader gives compressed bytes whose decompressed form has the diff ID."""
        return self.media_type.endswith(("gzip", "zstd"))


Blobs = Callable[[Collection[int]], Iterator[tuple[int, BinaryIO]]]


@dataclass(frozen=True, slots=True)
class Image:
    """An image somewhere: in an engine's directory, an archive, the daemon, a registry.

    Attributes:
        config: the configuration document's bytes.
            Where a layer's diff ID is not known yet, its ``rootfs.diff_ids`` is empty and the push fills it in.
            Where ``late_config`` is set, it is ``{}``: see :meth:`with_config`.
        layers: base layer first.
        blobs: called with the positions of layers, yields ``(position, reader)`` in the source's own order; it
            can be called again. A reader is valid until the next one is requested.
        random_access: whether ``blobs`` may be called in parallel, once per layer.
        manifest: its bytes, if the image came with one; it is then sent unchanged.
        manifest_type: media type of ``manifest``.
        late_config: returns the configuration, for a source that has it only after the layers.
    """

    config: bytes
    layers: tuple[Layer, ...]
    blobs: Blobs = field(repr=False)
    platform: Platform = Platform("linux", "amd64")
    random_access: bool = True
    manifest: bytes | None = None
    manifest_type: str = OCI_MANIFEST
    late_config: Callable[[], bytes] | None = field(default=None, repr=False)

    def with_config(self) -> Image:
        """Return the same image with its configuration; cheap once the wanted layers have been read."""
        return self if self.late_config is None else replace(self, config=self.late_config(), late_config=None)


@dataclass(frozen=True, slots=True)
class Index:
    """Several images under one name, one per platform; *manifest* as for :class:`Image`."""

    images: tuple[Image, ...]
    manifest: bytes | None = None
    manifest_type: str = OCI_INDEX

    @staticmethod
    def of(images: Iterable[Image]) -> Image | Index:
        """Return the image if there is only one, else an index of all."""
        all_images = tuple(images)
        return all_images[0] if len(all_images) == 1 else Index(all_images)


Fate = Literal["sent", "mounted", "exists"]


@dataclass(frozen=True, slots=True)
class PushedBlob:
    """One blob as the registry has it now.

    Attributes:
        size: bytes in the registry.
        sha1: hexadecimal digits, or ``None`` where no build-info is written.
        md5: likewise.
        diff_id: of a layer; ``None`` for a config.
        fate: how it got there.
    """

    digest: Digest
    size: int
    media_type: str
    sha1: str | None = None
    md5: str | None = None
    diff_id: Digest | None = None
    fate: Fate = "sent"


@dataclass(frozen=True, slots=True)
class PushedImage:
    """A receipt: what the registry confirmed.

    Attributes:
        references: every tag that now names ``digest``.
        repository_key: Artifactory's key, from ``X-Artifactory-Docker-Registry``; ``None`` elsewhere.
        config_document: bytes of the configuration.
        layers: in manifest order; equal digests may repeat.
    """

    manifest: bytes = field(repr=False)
    media_type: str
    digest: Digest
    references: tuple[Reference, ...]
    config: PushedBlob
    config_document: bytes = field(repr=False)
    layers: tuple[PushedBlob, ...]
    platform: Platform
    repository_key: str | None = None

    @property
    def sent(self) -> int:
        """Bytes of layers and config that were sent."""
        return sum(blob.size for blob in {self.config, *self.layers} if blob.fate == "sent")


@dataclass(frozen=True, slots=True)
class PushedIndex:
    """A receipt for an index: its own manifest, and one receipt per image in it."""

    manifest: bytes = field(repr=False)
    media_type: str
    digest: Digest
    references: tuple[Reference, ...]
    images: tuple[PushedImage, ...]
    repository_key: str | None = None
