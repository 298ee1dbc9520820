"""The interface of a kind of source and destination, and its arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from buildpush.foundation.events import Sink, ignore
from buildpush.foundation.records import dataclass
from buildpush.images.model import Compression, Image, Index, MediaTypes, Platform, PushedImage, PushedIndex
from buildpush.images.references import Digest, Reference

if TYPE_CHECKING:
    from buildpush.images.referrers import Referrer
    from buildpush.registry.client import Registry
    from buildpush.transfer import Location
    from buildpush.transfer.daemon import Daemon

WriteResult = PushedImage | PushedIndex | Digest | None


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients with which sources and destinations are reached.

    Attributes:
        registry: client for all registries.
        daemon: connects to the Docker daemon; called when it is needed.
        cwd: directory that relative files and directories start from.
    """

    registry: Registry
    daemon: Callable[[], AbstractContextManager[Daemon]]
    cwd: Path


@dataclass(frozen=True, slots=True)
class Packing:
    """How an image without a manifest is packed; layers that are already compressed stay unchanged."""

    compression: Compression | None = None
    media_types: MediaTypes | None = None


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How, and under which names, an image is written.

    Attributes:
        names: of the image at a destination that does not name it.
        packing: of layers and manifests that are not packed yet.
        referrers: of the image, for a destination that keeps referrers.
        sink: gets the progress of each layer.
    """

    names: Sequence[Reference | str] = ()
    packing: Packing = Packing()
    referrers: Sequence[Referrer] = ()
    sink: Sink = ignore


class Driver(Protocol):
    """Reads and writes at the locations of one kind."""

    def parse(self, text: str, /) -> Location | None:
        """Parse *text*, which follows the kind and its colon; ``None`` where a part is missing."""

    def open(
        self, source: Location, clients: Clients, platform: Platform | None
    ) -> AbstractContextManager[Image | Index]:
        """Yield the image or index at *source*; of an index, at least the image for *platform*."""

    def find_referrers(self, target: Image | Index, source: Location, clients: Clients) -> tuple[Referrer, ...]:
        """Return the referrers of *target* there, at any depth; called only where referrers are kept."""

    def check(self, destination: Location) -> None:
        """Refuse, before anything is done, what cannot be a destination."""

    def write(
        self, target: Image | Index, destination: Location, clients: Clients, options: WriteOptions
    ) -> WriteResult:
        """Write *target* there; return the receipt of a registry, or the digest of the manifest that was written."""
