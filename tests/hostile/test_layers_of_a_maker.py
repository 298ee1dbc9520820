"""One layer that is not distributed with its image: where it is asked for, in which order, and what is said of it."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from buildpush.foundation.errors import DigestError, PushError, RegistryError
from buildpush.http.urls import AddressError
from buildpush.images.compression import digest_of
from buildpush.images.model import Image, Index, Layer, Platform
from buildpush.images.references import Repository
from buildpush.registry.nondistributable import with_nondistributable
from tests.hostile.registry import Reply, fault

pytestmark = pytest.mark.sandbox

FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
BASE, OWN = b"the base, compressed", b"ours, compressed"


class Source:
    """An image of two layers, the first of which is not distributed; its source has what is given."""

    def __init__(self, *urls: str, has=(OWN,)) -> None:
        self.urls, self.has, self.opened, self.closed = urls, has, [], 0

    def blobs(self, wanted):
        try:
            for at in sorted(wanted):
                self.opened.append(at)
                data = (BASE, OWN)[at]
                if data not in self.has:
                    message = "the source does not have it"
                    raise RegistryError(message, status=404)
                yield at, io.BytesIO(data)
        finally:
            self.closed += 1

    def image(self, architecture: str = "amd64") -> Image:
        layers = (
            Layer("base", FOREIGN, digest=digest_of(BASE), size=len(BASE), urls=self.urls),
            Layer("own", digest=digest_of(OWN), size=len(OWN)),
        )
        return Image(b"{}", layers, self.blobs, Platform("linux", architecture), True)


def read(image, wanted=(0, 1)) -> dict[int, bytes]:
    return {at: reader.read() for at, reader in image.blobs(wanted)}


@pytest.fixture
def maker(serve):
    """Return a server that gives the layer at one address, and what it refuses at others."""
    server = serve(lambda request, _: Reply(200, {}, BASE) if request.path == "/base" else None)
    server.quirks.append(lambda request, _: fault(403, "DENIED") if request.path == "/denied" else None)
    server.quirks.append(lambda request, _: Reply(200, {}, BASE[::-1]) if request.path == "/other" else None)
    return server


def test_every_image_of_an_index_gets_its_layers(maker, client):
    registry, home = client(maker)
    images = tuple(Source(f"{maker.url}/base").image(name) for name in ("amd64", "arm64"))
    whole = with_nondistributable(Index(images), registry, home)
    assert [str(image.platform) for image in whole.images] == ["linux/amd64", "linux/arm64"]
    for image in whole.images:
        assert [layer.is_nondistributable for layer in image.layers] == [False, False]
        assert [layer.distributed for layer in image.layers] == [True, False]
        assert read(image) == {0: BASE, 1: OWN}


def test_an_image_without_such_layers_stays_as_it_is(client, maker):
    registry, home = client(maker)
    plain = replace(Source().image(), layers=Source().image().layers[1:])
    assert with_nondistributable(plain, registry, home) is plain


def test_the_source_is_asked_before_any_address_and_let_go_of(client, maker):
    source = Source(f"{maker.url}/base", has=(BASE, OWN))
    registry, home = client(maker)
    assert read(with_nondistributable(source.image(), registry, home)) == {0: BASE, 1: OWN}
    assert source.opened == [1, 0]
    assert source.closed == 2
    assert maker.requests == []


def test_only_what_is_wanted_is_asked_for(client, maker):
    source = Source(f"{maker.url}/base")
    registry, home = client(maker)
    whole = with_nondistributable(source.image(), registry, home)
    assert read(whole, (1,)) == {1: OWN}
    assert (source.opened, maker.requests) == ([1], [])
    assert read(whole, (0,)) == {0: BASE}
    assert source.opened == [1, 0]


def test_the_first_address_that_has_it_is_taken(client, maker):
    source = Source(*(f"{maker.url}/{name}" for name in ("denied", "base", "never")))
    registry, home = client(maker)
    assert read(with_nondistributable(source.image(), registry, home), (0,)) == {0: BASE}
    assert [request.path for request in maker.requests] == ["/denied", "/base"]
    assert all(request.headers["Authorization"] is None for request in maker.requests)


def test_what_each_place_said_is_told_where_none_has_it(client, maker):
    source = Source(f"{maker.url}/denied")
    registry, home = client(maker)
    with pytest.raises(PushError, match=r"^layer 1/2, which is not distributed with the image, ") as caught:
        read(with_nondistributable(source.image(), registry, home))
    assert f"the source does not have it; the layer {digest_of(BASE)} at {maker.url}/denied " in str(caught.value)
    assert "403" in str(caught.value)


def test_eight_addresses_are_tried_and_no_more(client, maker):
    source = Source(*(f"{maker.url}/denied?{number}" for number in range(10)))
    registry, home = client(maker)
    with pytest.raises(PushError):
        read(with_nondistributable(source.image(), registry, home))
    assert len(maker.requests) == 8


def test_an_address_that_gives_something_else_is_the_last_one(client, maker):
    source = Source(f"{maker.url}/other", f"{maker.url}/base")
    registry, home = client(maker)
    with pytest.raises(
        DigestError, match=f"^the layer {digest_of(BASE)} at {maker.url}/other arrived with the digest "
    ):
        read(with_nondistributable(source.image(), registry, home))
    assert len(maker.requests) == 1


def test_a_source_that_gives_nothing_is_an_error_that_says_which(client, maker):
    registry, home = client(maker)
    image = replace(Source(f"{maker.url}/base").image(), blobs=lambda _: iter(()))
    with pytest.raises(DigestError, match=r"^the image's source gave no layer 1$"):
        read(with_nondistributable(image, registry, home), (0,))


def test_an_image_from_nowhere_leads_nowhere_near_us_and_one_from_a_registry_where_that_may(client, maker):
    source, (registry, home) = Source(f"{maker.url}/base"), client(maker)
    with pytest.raises(AddressError, match=r"^the image's manifest leads to "):
        read(with_nondistributable(source.image(), registry), (0,))
    image = source.image()
    known = replace(image, layers=(replace(image.layers[0], repository=home), image.layers[1]))
    assert read(with_nondistributable(known, registry), (0,)) == {0: BASE}
    with pytest.raises(AddressError):
        read(with_nondistributable(known, registry, Repository("registry.example", "app")), (0,))
