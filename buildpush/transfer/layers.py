"""Layers for a file: each distinct one once, and checked against what its source promised."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, BinaryIO

from buildpush.foundation.errors import DigestError
from buildpush.images.compression import Compressed, Compressing
from buildpush.images.manifests import Descriptor, check_digests, diff_ids, with_diff_ids
from buildpush.images.model import Compression, Image, Layer
from buildpush.images.proof import check_diff_id, check_size_of, needs_own_check
from buildpush.images.references import Digest


def same_as(image: Image) -> list[int]:
    """Return for each layer the position of the first one that is equal to it."""
    first: dict[object, int] = {}
    known = [(layer.digest or layer.diff_id, layer.media_type) for layer in image.layers]
    return [first.setdefault(one if one[0] else at, at) for at, one in enumerate(known)]


def distinct(image: Image, positions: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
    """Yield each distinct layer once, in the order of the source."""
    wanted = set(positions)
    if not wanted:  # there is nothing to read
        return
    with _closed(image.blobs(sorted(wanted))) as found:
        for at, reader in found:
            yield at, reader
            wanted.discard(at)
    if wanted:
        message = f"the image's source gave no layer {min(wanted) + 1}"
        raise DigestError(message)


@contextmanager
def _closed(blobs: Iterator[tuple[int, BinaryIO]]) -> Iterator[Iterator[tuple[int, BinaryIO]]]:
    """Yield *blobs*, and close what they hold: the connection to a registry, or a file."""
    try:
        yield blobs
    finally:
        if isinstance(blobs, Generator):
            blobs.close()


def checked_reader(reader: BinaryIO, image: Image, at: int) -> BinaryIO:
    """Return a reader of the same bytes, which checks them against everything that is known of the layer."""
    layer, what = image.layers[at], f"layer {at + 1}/{len(image.layers)}"
    return check_diff_id(check_size_of(reader, layer, what), layer, what)


def write_through(compressing: Compressing, file: IO[bytes]) -> Compressed:
    """Write the output of *compressing*, and return its digests."""
    for block in compressing:
        file.write(block)
    if compressing.result is None:  # it has one after the last block
        raise AssertionError
    return compressing.result


def checked(layer: Layer, kind: Compression, found: Compressed) -> Compressed:
    """Return *found* with the diff ID of the layer, which is not the digest of bytes that were already compressed.

    Raises:
        DigestError: something is not what the source promised.
    """
    if layer.digest and kind == "none":
        check_digests([layer.digest], [found.digest], "the source's digests")
    if layer.compressed or needs_own_check(layer):  # it was checked against its diff ID while it was read
        return replace(found, diff_id=layer.diff_id or found.diff_id)
    check_digests([layer.diff_id or found.diff_id], [found.diff_id], "the source's diff IDs")
    return found


def checked_config(image: Image, found: Sequence[Digest]) -> bytes:
    """Return the configuration, with the diff IDs that were *found* where it names none.

    Raises:
        DigestError: it names others, or a compressed layer does not have one.
    """
    known = diff_ids(image.config)
    if known:
        check_digests(known, found, "the diff IDs in the configuration")
    if image.manifest or known:
        return image.config
    if any(layer.compressed and layer.diff_id is None for layer in image.layers):
        message = "a compressed layer came without its diff ID"
        raise DigestError(message, hint="the source has to name it for layers that are compressed already")
    return with_diff_ids(image.config, found)


def as_promised(layer: Layer) -> tuple[Compressed, Descriptor]:
    """Return the receipt of a layer that is not sent, according to the manifest."""
    if layer.digest is None or layer.size is None:
        raise AssertionError
    found = Compressed(layer.diff_id or layer.digest, 0, layer.digest, layer.size)
    return found, Descriptor(layer.media_type, layer.digest, layer.size)
