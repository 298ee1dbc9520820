"""Reads the image that an engine has built: which layers are its base image's, and all layers once."""

from __future__ import annotations

from collections.abc import Iterator

from buildpush.images.model import Image, Index, PushedIndex
from buildpush.images.references import Digest
from buildpush.pipeline.publication import Pushed

Built = Image | Index


def base_layers(image: Built, pushed: Pushed) -> Iterator[Digest]:
    """Yield the digests of layers that came from a registry unchanged: those of base images."""
    receipts = pushed.images if isinstance(pushed, PushedIndex) else (pushed,)
    for source, one in zip(_images(image), receipts, strict=True):
        for layer, blob in zip(source.layers, one.layers, strict=True):
            if layer.repository:
                yield blob.digest


def read_once(image: Built) -> None:
    """Read every layer once: an engine that makes layers on demand has built them only then."""
    for each in _images(image):
        for _, reader in each.blobs(range(len(each.layers))):
            while reader.read(1 << 20):
                pass


def _images(image: Built) -> tuple[Image, ...]:
    return image.images if isinstance(image, Index) else (image,)
