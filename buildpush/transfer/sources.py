"""Opens images and indexes at their sources, chooses a platform, and finds referrers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from buildpush.foundation.errors import PushError, SettingsError
from buildpush.images.manifests import choose
from buildpush.images.model import Image, Index, Platform
from buildpush.images.referrers import Referrer
from buildpush.images.spans import Tar
from buildpush.registry.nondistributable import with_nondistributable
from buildpush.transfer import TRANSPORTS, Location
from buildpush.transfer.driver import Clients


@contextmanager
def open_source(
    source: Location, clients: Clients, platform: Platform | None = None, *, nondistributable: bool = False
) -> Iterator[Image | Index]:
    """Yield the image or index at *source*; its layers are read when needed, while the context is open.

    Args:
        source: where it is.
        clients: those that can reach it.
        platform: which image of an index is wanted; ``None`` for the whole index.
        nondistributable: whether layers that are usually fetched from their publisher are included.

    Raises:
        PushError: it does not exist, or cannot be read.
        SettingsError: it is not for *platform*.
        EngineMissingError: there is no Docker daemon.
    """
    with source.transport.driver.open(source, clients, platform) as original:
        target = _image_for(platform, original, source) if platform else original
        yield with_nondistributable(target, clients.registry, source.repository) if nondistributable else target


def find_referrers(target: Image | Index, source: Location, clients: Clients) -> tuple[Referrer, ...]:
    """Return the referrers of *target* at *source*, which keeps referrers, at any depth.

    Raises:
        PushError: a list cannot be read, or a listed referrer does not exist.
    """
    return source.transport.driver.find_referrers(target, source, clients)


def archive_at(path: Path) -> Location:
    """Return the location of the archive *path*, whose contents say which kind it is.

    An archive of both kinds, as newer versions of Docker write it, counts as Docker's.

    Raises:
        PushError: it is not an archive of images.
    """
    tar = Tar.at(path, "archive of an image", "make one with: docker save IMAGE --output FILE")
    for row in TRANSPORTS.values():
        if row.member in tar.members:
            return Location(row.name, str(path))
    message = f"{path} is a tar, but neither a Docker archive nor an OCI archive"
    raise PushError(message, hint=tar.remedy)


def platforms_of(target: Image | Index) -> str:
    """Return the platforms of the images, in words."""
    images = target.images if isinstance(target, Index) else (target,)
    return ", ".join(sorted({str(image.platform) for image in images if image.platform.runs}))


def _image_for(platform: Platform, target: Image | Index, source: Location) -> Image:
    images = target.images if isinstance(target, Index) else (target,)
    at = choose([image.platform for image in images], platform)
    if at is None:
        message = f"{source} has no image for {platform}"
        raise SettingsError(message, hint=f"it has: {platforms_of(target)}", setting="platforms")
    return images[at]
