"""What one kind of source and destination does, and what it is given."""

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

Delivered = PushedImage | PushedIndex | Digest | None


@dataclass(frozen=True, slots=True)
class Clients:
    """What sources and destinations are reached with.

    Attributes:
        registry: client for all registries.
        daemon: connects to the Docker daemon, when it is first needed.
        cwd: directory that files and directories count from.
    """

    registry: Registry
    daemon: Callable[[], AbstractContextManager[Daemon]]
    cwd: Path


@dataclass(frozen=True, slots=True)
class Packing:
    """How what has no manifest yet is packed; what is compressed already stays as it is."""

    compression: Compression | None = None
    media_types: MediaTypes | None = None


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What an image is written with.

    Attributes:
        names: what it is called there, where the destination does not say it.
        packing: of layers and manifests that are not packed yet.
        referrers: what goes with it, to a destination that keeps referrers.
        sink: told how far each layer is.
    """

    names: Sequence[Reference | str] = ()
    packing: Packing = Packing()
    referrers: Sequence[Referrer] = ()
    sink: Sink = ignore


class Driver(Protocol):
    """Reads and writes at the locations of one kind."""

    def parse(self, text: str, /) -> Location | None:
        """Return the location that *text*, behind the kind and its colon, names; ``None`` where a part is missing."""

    def open(
        self, source: Location, clients: Clients, platform: Platform | None
    ) -> AbstractContextManager[Image | Index]:
        """Give what is there; of an index, the image for *platform* at least."""

    def find_referrers(self, target: Image | Index, source: Location, clients: Clients) -> tuple[Referrer, ...]:
        """Return what is said there about *target*, at any depth; asked only where referrers are kept."""

    def check(self, destination: Location) -> None:
        """Refuse, before anything is done, what cannot be a destination."""

    def write(self, target: Image | Index, destination: Location, clients: Clients, options: WriteOptions) -> Delivered:
        """Bring *target* there; return the receipt of a registry, or the digest of the manifest that was written."""
