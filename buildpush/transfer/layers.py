"""Prepares layers for a file: each distinct one once, and checked against its digests."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, BinaryIO

from buildpush.foundation.errors import DigestError
from buildpush.images.compression import BlobInfo, Compressor
from buildpush.images.manifests import Descriptor, check_digests, diff_ids, with_diff_ids
from buildpush.images.model import Compression, Image, Layer
from buildpush.images.proof import check_diff_id, check_size_of, needs_own_check
from buildpush.images.references import Digest


def first_positions(image: Image) -> list[int]:
    """Return, for each layer, the position of the first one that equals it."""
    first: dict[object, int] = {}
    keys = [(layer.digest or layer.diff_id, layer.media_type) for layer in image.layers]
    return [first.setdefault(key if key[0] else at, at) for at, key in enumerate(keys)]


def distinct_layers(image: Image, positions: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
    """Yield each distinct layer once, in the order of the source."""
    missing = set(positions)
    if not missing:  # there is nothing to read
        return
    with _closing(image.blobs(sorted(missing))) as blobs:
        for at, reader in blobs:
            yield at, reader
            missing.discard(at)
    if missing:
        message = f"the image's source gave no layer {min(missing) + 1}"
        raise DigestError(message)


@contextmanager
def _closing(blobs: Iterator[tuple[int, BinaryIO]]) -> Iterator[Iterator[tuple[int, BinaryIO]]]:
    """Yield *blobs*, and close the connection or the file that they use."""
    try:
        yield blobs
    finally:
        if isinstance(blobs, Generator):
            blobs.close()


def checked_reader(reader: BinaryIO, image: Image, at: int) -> BinaryIO:
    """Return a reader of the same bytes that checks the layer's size and diff ID."""
    layer, what = image.layers[at], f"layer {at + 1}/{len(image.layers)}"
    return check_diff_id(check_size_of(reader, layer, what), layer, what)


def write_through(compressor: Compressor, file: IO[bytes]) -> BlobInfo:
    """Write the output of *compressor*, and return its digests."""
    for block in compressor:
        file.write(block)
    if compressor.result is None:  # it has one after the last block
        raise AssertionError
    return compressor.result


def check_layer(layer: Layer, kind: Compression, result: BlobInfo) -> BlobInfo:
    """Return *result* with the diff ID of the layer; for one that was compressed before, its source names that.

    Raises:
        DigestError: the bytes do not match a digest that the source names.
    """
    if layer.digest and kind == "none":
        check_digests([layer.digest], [result.digest], "the source's digests")
    if layer.compressed or needs_own_check(layer):  # its diff ID was checked while it was read
        return replace(result, diff_id=layer.diff_id or result.diff_id)
    check_digests([layer.diff_id or result.diff_id], [result.diff_id], "the source's diff IDs")
    return result


def final_config(image: Image, digests: Sequence[Digest]) -> bytes:
    """Return the configuration; where it names no diff IDs, with *digests* as these.

    Raises:
        DigestError: it names others, or a compressed layer does not have one.
    """
    existing = diff_ids(image.config)
    if existing:
        check_digests(existing, digests, "the diff IDs in the configuration")
    if image.manifest or existing:
        return image.config
    if any(layer.compressed and layer.diff_id is None for layer in image.layers):
        message = "a compressed layer came without its diff ID"
        raise DigestError(
            message, hint="use a source that names the diff IDs of its layers, such as a registry or an OCI layout"
        )
    return with_diff_ids(image.config, digests)


def unsent_layer(layer: Layer) -> tuple[BlobInfo, Descriptor]:
    """Return what the manifest says about a layer that is not sent."""
    if layer.digest is None or layer.size is None:
        raise AssertionError
    result = BlobInfo(layer.diff_id or layer.digest, 0, layer.digest, layer.size)
    return result, Descriptor(layer.media_type, layer.digest, layer.size)
