"""Images in a registry as a source and a destination."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from buildpush.foundation.errors import BadNameError
from buildpush.images.model import Image, Index, Platform, PushedImage, PushedIndex
from buildpush.images.references import Reference
from buildpush.images.referrers import Referrer
from buildpush.registry.pull import pull
from buildpush.registry.push import push
from buildpush.registry.referrers import find_referrers
from buildpush.transfer import Location
from buildpush.transfer.driver import Clients, Driver, WriteOptions
from buildpush.transfer.parse import reference_of


class _RegistryDriver:
    def parse(self, text: str, /) -> Location | None:
        return Location("docker", reference=reference_of(text[2:])) if text.startswith("//") else None

    @contextmanager
    def open(self, source: Location, clients: Clients, platform: Platform | None) -> Iterator[Image | Index]:
        yield pull(_reference(source), clients.registry, platform)

    def find_referrers(self, target: Image | Index, source: Location, clients: Clients) -> tuple[Referrer, ...]:
        return find_referrers(target, _reference(source).repository, clients.registry)

    def check(self, destination: Location) -> None:
        """Refuse a digest: it follows from the contents, and cannot be chosen as a name.

        Raises:
            BadNameError: it has one.
        """
        name = _reference(destination)
        if name.digest:
            message = f"{name} names an image by its digest, and cannot be written to"
            raise BadNameError(message, hint=f"write a tag, such as {name.repository}:{name.tag or 'TAG'}")

    def write(
        self, target: Image | Index, destination: Location, clients: Clients, options: WriteOptions
    ) -> PushedImage | PushedIndex:
        return push(
            target,
            [_reference(destination)],
            clients.registry,
            compression=options.packing.compression or "gzip",
            media_types=options.packing.media_types or "oci",
            checksums=False,
            referrers=options.referrers,
            sink=options.sink,
        )


DRIVER: Final[Driver] = _RegistryDriver()


def _reference(location: Location) -> Reference:
    if location.reference is None:
        raise AssertionError
    return location.reference
