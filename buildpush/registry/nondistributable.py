"""Layers of types that are not distributed, included on request: from the source, else from their publisher.

A manifest may come from anyone, and so may the addresses in it: they are checked by the one policy of
``http/urls.py``, get no credentials, and may give only the bytes that the manifest promises.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import BinaryIO, Final, cast

from buildpush.foundation.errors import DigestError, PushError
from buildpush.http.messages import Answer, Stream
from buildpush.http.urls import Address, AddressError, check_named, url_without_secrets
from buildpush.images.manifests import Descriptor
from buildpush.images.model import Image, Index, Layer
from buildpush.images.references import Repository
from buildpush.registry.client import Registry
from buildpush.registry.pull import Blob

# Addresses of one layer that are tried: Windows images have one.
_MOST: Final = 8

OpenReader = Callable[[], AbstractContextManager[BinaryIO]]


def with_nondistributable(target: Image | Index, registry: Registry, home: Repository | None = None) -> Image | Index:
    """Return *target* with all its layers as ordinary ones.

    Args:
        target: from anywhere, or built on a base that has such layers.
        registry: to ask with.
        home: where *target* comes from, if from a registry: the addresses may lead where that registry may lead. A
            layer that a registry is known to have comes from there, even if others do not.
    """
    if isinstance(target, Index):
        return replace(target, images=tuple(_whole(image, registry, home) for image in target.images))
    return _whole(target, registry, home)


def _whole(image: Image, registry: Registry, home: Repository | None) -> Image:
    ours = {at for at, layer in enumerate(image.layers) if layer.stays}
    if not ours:
        return image

    def blobs(wanted: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
        if others := [at for at in wanted if at not in ours]:
            yield from image.blobs(others)
        for at in sorted(ours.intersection(wanted)):
            with _open_layer(image, at, registry, home) as reader:
                yield at, reader

    layers = tuple(replace(layer, distributed=layer.stays) for layer in image.layers)
    return replace(image, layers=layers, blobs=blobs)


@contextmanager
def _open_layer(image: Image, at: int, registry: Registry, home: Repository | None) -> Iterator[BinaryIO]:
    """Yield a reader of a layer, from the first place that has it.

    Raises:
        PushError: no place has it; the message says why.
        DigestError: one has something else.
        AddressError: the manifest names an address that may not be followed.
    """
    layer = image.layers[at]
    places: list[OpenReader] = [partial(_in_source, image, at)]
    places += [partial(_at_address, layer, url, registry, home or layer.repository) for url in layer.urls[:_MOST]]
    with ExitStack() as stack:
        yield _first(places, stack, f"layer {at + 1}/{len(image.layers)}, which is not distributed with the image,")


def _first(places: Sequence[OpenReader], stack: ExitStack, what: str) -> BinaryIO:
    reasons: list[str] = []
    for place in places:
        try:
            reader = stack.enter_context(place())
            reader.read(0)  # sends the request; a refusal is an error here
        except (DigestError, AddressError):
            raise
        except PushError as error:
            reasons.append(str(error))
        else:
            return reader
    message = f"{what} cannot be fetched from anywhere: {'; '.join(reasons)}"
    raise PushError(message, hint="leave the layer out, as is usual, or take the image from a place that has all of it")


@contextmanager
def _in_source(image: Image, at: int) -> Iterator[BinaryIO]:
    blobs = image.blobs([at])
    try:
        for _, reader in blobs:
            yield reader
            return
        message = f"the image's source gave no layer {at + 1}"
        raise DigestError(message)
    finally:
        if isinstance(blobs, Generator):
            blobs.close()


def _at_address(
    layer: Layer, url: str, registry: Registry, home: Repository | None
) -> AbstractContextManager[BinaryIO]:
    """Return a reader of what is at *url*, requested without credentials."""
    if layer.digest is None or layer.size is None:  # a manifest names both
        raise AssertionError
    http, there = registry.http, registry.http.connection_address(Address.parse(url))
    if home:
        http.check_lead(http.connection_address(Address.parse(registry.base(home.host))), there)
    else:
        check_named("the image's manifest", there)

    def ask(headers: Mapping[str, str]) -> AbstractContextManager[Stream | Answer]:
        return http.open("GET", str(there), headers=headers)

    wanted = Descriptor(layer.media_type, layer.digest, layer.size)
    reader = Blob(ask, http, wanted, f"the layer {layer.digest} at {url_without_secrets(str(there))}")
    return cast("AbstractContextManager[BinaryIO]", reader)
