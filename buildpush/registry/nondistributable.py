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

# Maximum number of addresses of one layer that are tried; layers of Windows images have one.
_MOST: Final = 8

OpenReader = Callable[[], AbstractContextManager[BinaryIO]]


def with_nondistributable(target: Image | Index, registry: Registry, home: Repository | None = None) -> Image | Index:
    """Return *target* with all its layers included as ordinary ones.

    Args:
        target: from anywhere, or built on a base that has such layers.
        registry: client whose connections are used.
        home: repository that *target* comes from, if any, or else that of the layer: addresses may lead wherever its
            registry may redirect us.
    """
    if isinstance(target, Index):
        return replace(target, images=tuple(_with_all_layers(image, registry, home) for image in target.images))
    return _with_all_layers(target, registry, home)


def _with_all_layers(image: Image, registry: Registry, home: Repository | None) -> Image:
    nondistributable = {at for at, layer in enumerate(image.layers) if layer.is_nondistributable}
    if not nondistributable:
        return image

    def blobs(positions: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
        if others := [at for at in positions if at not in nondistributable]:
            yield from image.blobs(others)
        for at in sorted(nondistributable.intersection(positions)):
            with _open_layer(image, at, registry, home) as reader:
                yield at, reader

    layers = tuple(replace(layer, distributed=layer.is_nondistributable) for layer in image.layers)
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
    places: list[OpenReader] = [partial(_open_from_source, image, at)]
    places += [
        partial(_open_from_address, layer, url, registry, home or layer.repository) for url in layer.urls[:_MOST]
    ]
    with ExitStack() as stack:
        yield _open_first(
            places, stack, f"layer {at + 1}/{len(image.layers)}, which is not distributed with the image,"
        )


def _open_first(places: Sequence[OpenReader], stack: ExitStack, what: str) -> BinaryIO:
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
def _open_from_source(image: Image, at: int) -> Iterator[BinaryIO]:
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


def _open_from_address(
    layer: Layer, url: str, registry: Registry, home: Repository | None
) -> AbstractContextManager[BinaryIO]:
    """Return a reader of the layer at *url*, which is requested without credentials."""
    if layer.digest is None or layer.size is None:  # a manifest names both
        raise AssertionError
    http, address = registry.http, registry.http.connection_address(Address.parse(url))
    if home:
        http.check_redirect(http.connection_address(Address.parse(registry.base(home.host))), address)
    else:
        check_named("the image's manifest", address)

    def request(headers: Mapping[str, str]) -> AbstractContextManager[Stream | Answer]:
        return http.open("GET", str(address), headers=headers)

    descriptor = Descriptor(layer.media_type, layer.digest, layer.size)
    reader = Blob(request, http, descriptor, f"the layer {layer.digest} at {url_without_secrets(str(address))}")
    return cast("AbstractContextManager[BinaryIO]", reader)
