"""Writes images and indexes to destinations, checks what these support, and reports the progress of layers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from buildpush.foundation.errors import SettingsError, UnsupportedError
from buildpush.foundation.events import Note, Progress, Sink
from buildpush.foundation.files import unwritable
from buildpush.images.manifests import note_of_missing_layers
from buildpush.images.model import Image, Index
from buildpush.images.referrers import Referrer
from buildpush.transfer import Location
from buildpush.transfer.driver import Clients, Packing, WriteOptions, WriteResult
from buildpush.transfer.sources import platforms_of


def write(
    target: Image | Index, destination: Location, clients: Clients, options: WriteOptions | None = None
) -> WriteResult:
    """Write *target* to *destination*; return the receipt of a registry, or the digest of the manifest written.

    An image that came with a manifest keeps it where the destination keeps manifests.

    Raises:
        SettingsError: this destination cannot contain it.
        BuildError: a file cannot be written.
        PushError: the source cannot be read, or the destination does not accept it.
    """
    return destination.transport.driver.write(target, destination, clients, options or WriteOptions())


def check_destination(destination: Location) -> None:
    """Refuse, before anything is done, what cannot be a destination.

    Raises:
        SettingsError: it is an image ID or a digest, which is not a name; or no archive can be written there.
    """
    if destination.transport.member and (reason := unwritable(Path(destination.path))):
        message = f"the archive {destination.path!r} {reason}"
        raise SettingsError(message, hint="name a file in a directory that exists")
    destination.transport.driver.check(destination)


def check_packing(packing: Packing, destination: Location) -> None:
    """Refuse a setting of *packing* that this destination does not support.

    Raises:
        UnsupportedError: it names the setting.
    """
    for setting in unsupported_packing(packing, destination):
        message = f"{destination.kind}: does not support the setting {setting!r}"
        raise UnsupportedError(message, hint="leave it out, or write to a registry", setting=setting)


def unsupported_packing(packing: Packing, destination: Location) -> tuple[str, ...]:
    """Return the settings of *packing* that are set, and that this destination does not support."""
    honours = destination.transport.honours
    return tuple(
        name for name in ("compression", "media_types") if getattr(packing, name) is not None and name not in honours
    )


def single_image(target: Image | Index, destination: Location, sink: Sink) -> Image:
    """Return the one image of *target* for a destination without manifests; its layers report their progress.

    Raises:
        SettingsError: there are several.
        UnsupportedError: it is not complete.
    """
    kind, image = destination.kind, target
    if isinstance(image, Index):
        runnable = [one for one in image.images if one.platform.runs]
        if len(runnable) != 1:
            message = (
                f"only one image can be written to {kind}:, but this is an index of several: {platforms_of(target)}"
            )
            hint = "choose one with --platform, or write an oci-archive:FILE"
            raise SettingsError(message, hint=hint, setting="platforms")
        if len(image.images) > 1:
            sink(Note(f"the attestations of {runnable[0].platform} are left out: they cannot be written to {kind}:"))
        image = runnable[0]
    if note := note_of_missing_layers(image):
        message = f"only complete images can be written to {kind}:, but {note}"
        raise UnsupportedError(message, hint="use --allow-nondistributable-artifacts, or write an oci-archive:FILE")
    return _with_progress(image, f"{image.platform.label} " if isinstance(target, Index) else "", sink)


def with_progress(target: Image | Index, sink: Sink, prefix: str = "") -> Image | Index:
    """Return *target*, whose layers report their progress to *sink*."""
    if isinstance(target, Index):
        images = (_with_progress(image, f"{prefix}{image.platform.label} ", sink) for image in target.images)
        return replace(target, images=tuple(images))
    return _with_progress(target, prefix, sink)


def referrers_with_progress(referrers: Sequence[Referrer], sink: Sink) -> list[Referrer]:
    """Return *referrers*, whose layers report their progress to *sink*."""
    count = len(referrers)
    return [
        replace(referrer, image=with_progress(referrer.image, sink, f"referrer {at}/{count} "))
        for at, referrer in enumerate(referrers, 1)
    ]


def _with_progress(image: Image, prefix: str, sink: Sink) -> Image:
    def blobs(positions: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
        for at, reader in image.blobs(positions):
            item = f"{prefix}layer {at + 1}/{len(image.layers)}"
            counted = _ProgressReader(reader, item, image.layers[at].size, sink)
            yield at, cast("BinaryIO", counted)
            sink(Progress(item, counted.done, counted.done, "written"))

    return replace(image, blobs=blobs)


class _ProgressReader:
    """A reader that reports its progress."""

    def __init__(self, reader: BinaryIO, item: str, total: int | None, sink: Sink) -> None:
        self._reader = reader
        self._item = item
        self._total = total
        self._sink = sink
        self.done = 0

    def read(self, size: int = -1, /) -> bytes:
        block = self._reader.read(size)
        self.done += len(block)
        self._sink(Progress(self._item, self.done, self._total, "writing"))
        return block
