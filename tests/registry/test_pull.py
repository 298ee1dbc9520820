"""Pulling: manifests at once, layers when they are read, whatever the line does meanwhile."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import threading
from contextlib import nullcontext

import pytest

from buildpush.foundation.errors import DigestError, PushError, RegistryError, UnreachableError
from buildpush.foundation.events import Retry
from buildpush.images.compression import digest_of
from buildpush.images.model import OCI_MANIFEST, Image, Index, Platform
from buildpush.images.references import Digest
from buildpush.registry.client import Registry
from buildpush.registry.pull import pull
from buildpush.registry.push import push

pytestmark = pytest.mark.sandbox

DATA = random.Random(5).randbytes(3_000_000)


def read_all(image) -> list[bytes]:
    return [gzip.decompress(reader.read()) for _, reader in image.blobs(range(len(image.layers)))]


def test_what_was_pushed_comes_back(registry, repository, source):
    pushed = push(source(DATA, b"x").image(), [repository.tagged("1")], registry)
    image = pull(repository.tagged("1"), registry)

    assert read_all(image) == [DATA, b"x"]
    assert (image.manifest, image.config) == (pushed.manifest, pushed.config_document)
    assert [layer.diff_id for layer in image.layers] == [digest_of(DATA), digest_of(b"x")]
    assert [layer.digest for layer in image.layers] == [layer.digest for layer in pushed.layers]
    assert {layer.repository for layer in image.layers} == {repository}


def test_layers_are_not_fetched_before_they_are_read(box, registry, repository, source):
    push(source(DATA).image(), [repository.tagged("1")], registry)
    image = pull(repository.tagged("1"), registry)
    before = len(box.requests)
    image.blobs([0])

    assert len(box.requests) == before


def test_layers_can_be_read_twice_and_in_small_pieces(registry, repository, source):
    push(source(DATA).image(), [repository.tagged("1")], registry)
    image = pull(repository.tagged("1"), registry)

    for _ in range(2):
        for _, reader in image.blobs([0]):
            assert reader.readable()
            assert gzip.GzipFile(fileobj=reader).read(10) == DATA[:10]
    buffer = bytearray(4)
    _, reader = next(image.blobs([0]))
    assert (reader.readinto(buffer), bytes(buffer[:2])) == (4, b"\x1f\x8b")


def test_a_broken_line_goes_on_where_it_was(box, registry, repository, source):
    push(source(DATA).image(), [repository.tagged("1")], registry)
    image = pull(repository.tagged("1"), registry)
    box.add_fault("GET", "blobs", after=1_000_000)

    assert read_all(image) == [DATA]


def test_a_line_that_stays_broken_is_given_up(box, registry, repository, source, waits):
    push(source(DATA).image(), [repository.tagged("1")], registry)
    image = pull(repository.tagged("1"), registry)
    box.add_fault("GET", "blobs", after=1000, times=99)

    with pytest.raises(UnreachableError):
        read_all(image)
    assert len(waits) == 5


class WithoutRanges(Registry):
    """Speaks to a server that does not know ranges, and so gives everything from the beginning."""

    def open(self, repository, path, *, headers=None):
        return super().open(repository, path)


def test_a_line_that_breaks_while_bytes_are_passed_over_is_gone_on_with(
    box, http, keychain, registry, repository, source
):
    push(source(DATA).image(), [repository.tagged("1")], registry)
    image = pull(repository.tagged("1"), WithoutRanges(http, keychain))
    for after in (2_000_000, 500_000, 1_500_000):
        box.add_fault("GET", "blobs", after=after)

    assert read_all(image) == [DATA]


def test_bytes_are_not_passed_over_for_ever(box, http, keychain, registry, repository, source, waits):
    push(source(DATA).image(), [repository.tagged("1")], registry)
    image = pull(repository.tagged("1"), WithoutRanges(http, keychain))
    box.add_fault("GET", "blobs", after=2_000_000)
    box.add_fault("GET", "blobs", after=500_000, times=99)
    before = len(box.requests)

    with pytest.raises(UnreachableError):
        read_all(image)
    assert len(box.requests) - before == 6
    assert len(waits) == 5


def test_a_layer_that_arrives_altered_is_an_error(box, registry, repository, source):
    push(source(DATA).image(), [repository.tagged("1")], registry)
    image = pull(repository.tagged("1"), registry)
    box.add_fault("GET", "blobs", status=200, body=b"something else")

    with pytest.raises(DigestError, match="arrived with the digest"):
        next(image.blobs([0]))[1].read()


def test_a_layer_that_is_gone_is_named(box, registry, repository, source):
    push(source(DATA).image(), [repository.tagged("1")], registry)
    image = pull(repository.tagged("1"), registry)
    box.add_fault("GET", "blobs", status=404)

    with pytest.raises(RegistryError, match=r"the layer sha256:\w+ of .* cannot be fetched"):
        next(image.blobs([0]))[1].read()


@pytest.mark.parametrize(
    ("wanted", "got"),
    [("linux/amd64", "linux/amd64"), ("linux/arm64", "linux/arm64/v8"), ("linux/arm/v6", "linux/arm/v6")],
)
def test_the_image_for_a_platform_is_chosen_from_an_index(registry, repository, source, wanted, got):
    names = ("linux/amd64", "linux/arm64/v8", "linux/arm/v6", "linux/arm/v7")
    images = tuple(source(name.encode()).image(platform=Platform.parse(name)) for name in names)
    push(Index(images), [repository.tagged("1")], registry)
    image = pull(repository.tagged("1"), registry, Platform.parse(wanted))

    assert isinstance(image, Image)
    assert read_all(image) == [got.encode()]
    assert image.platform == Platform.parse(got)


def test_without_a_platform_the_whole_index_comes(registry, repository, source):
    images = tuple(source(name).image(platform=Platform("linux", name.decode())) for name in (b"amd64", b"s390x"))
    push(Index(images), [repository.tagged("1")], registry)
    index = pull(repository.tagged("1"), registry)

    assert isinstance(index, Index)
    assert [str(image.platform) for image in index.images] == ["linux/amd64", "linux/s390x"]


def test_the_images_of_an_index_are_fetched_at_the_same_time(registry, repository, source, monkeypatch):
    """An index has up to ten of them, and two documents each: one after another, they are twenty round trips."""
    images = tuple(source(name).image(platform=Platform("linux", name.decode())) for name in (b"amd64", b"s390x"))
    push(Index(images), [repository.tagged("1")], registry)
    together, request = threading.Barrier(2, timeout=20), registry.request

    def meet(where, method, path, **more):
        if path.startswith("manifests/sha256:"):
            together.wait()
        return request(where, method, path, **more)

    monkeypatch.setattr(registry, "request", meet)
    assert len(pull(repository.tagged("1"), registry).images) == 2


def test_a_platform_that_is_not_there_is_named_with_those_that_are(registry, repository, source):
    push(Index((source(b"x").image(),)), [repository.tagged("1")], registry)

    with pytest.raises(PushError, match="no image for linux/s390x") as caught:
        pull(repository.tagged("1"), registry, Platform("linux", "s390x"))
    assert caught.value.hint == "it has: linux/amd64"


def test_a_variant_that_is_not_there_is_replaced_by_another(registry, repository, source):
    push(Index((source(b"x").image(platform=Platform("linux", "arm", "v6")),)), [repository.tagged("1")], registry)

    assert read_all(pull(repository.tagged("1"), registry, Platform("linux", "arm", "v7"))) == [b"x"]


def test_an_unknown_tag_is_named(registry, repository):
    with pytest.raises(RegistryError, match="app:none cannot be fetched") as caught:
        pull(repository.tagged("none"), registry)
    assert caught.value.status == 404


def test_a_digest_is_held_to_its_promise(box, registry, repository, source):
    pushed = push(source(b"x").image(), [repository.tagged("1")], registry)
    other = push(source(b"y").image(), [repository.tagged("2")], registry)
    media_type = {"Content-Type": pushed.media_type}
    box.add_fault("GET", "manifests", status=200, body=other.manifest, headers=media_type)

    with pytest.raises(DigestError, match="expected"):
        pull(repository.at(pushed.digest), registry)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"schemaVersion":1}', b'{"schemaVersion":2,"mediaType":"x/y"}'])
def test_what_is_no_manifest_is_refused(box, registry, repository, body):
    box.add_fault("GET", "manifests", status=200, body=body)

    with pytest.raises(PushError):
        pull(repository.tagged("1"), registry)


def test_a_configuration_that_arrives_altered_is_an_error(box, registry, repository, source):
    push(source(b"x").image(), [repository.tagged("1")], registry)
    box.add_fault("GET", "blobs", status=200, body=b"{}")

    with pytest.raises(DigestError, match="configuration"):
        pull(repository.tagged("1"), registry)


def test_a_configuration_of_unlikely_size_is_not_fetched(box, registry, repository, source):
    pushed = push(source(b"x").image(), [repository.tagged("1")], registry)
    document = json.loads(pushed.manifest)
    document["config"]["size"] = 10**9
    box.add_fault("GET", "manifests", status=200, body=json.dumps(document).encode())

    with pytest.raises(PushError, match="more than an image can need"):
        pull(repository.tagged("1"), registry)


def test_instructions_come_from_the_history(registry, repository, source):
    image = source(b"x").image()
    config = json.loads(image.config) | {"history": [{"created_by": "COPY a b"}, {"empty_layer": True}]}
    told = image.__class__(json.dumps(config).encode(), image.layers, image.blobs)
    push(told, [repository.tagged("1")], registry)

    assert pull(repository.tagged("1"), registry).layers[0].created_by == "COPY a b"


def test_a_token_that_ends_before_a_layer_is_read_is_renewed(box, registry, repository, source):
    push(source(DATA).image(), [repository.tagged("1")], registry)
    image = pull(repository.tagged("1"), registry)
    challenge = {"WWW-Authenticate": f'Bearer realm="{box.url}/v2/token",service="{box.host}"'}
    box.add_fault("GET", "blobs", status=401, headers=challenge)

    assert read_all(image) == [DATA]


def test_an_index_in_an_index_is_refused(box, registry, repository, source):
    pushed = push(Index((source(b"x").image(),)), [repository.tagged("1")], registry)
    inner = {"mediaType": pushed.media_type, "digest": str(pushed.digest), "size": len(pushed.manifest)}
    outer = {"schemaVersion": 2, "mediaType": pushed.media_type, "manifests": [inner]}
    box.add_fault("GET", "manifests/2", status=200, body=json.dumps(outer).encode())

    with pytest.raises(PushError, match="another index"):
        pull(repository.tagged("2"), registry)


def test_a_digest_by_sha512_is_held_to_as_well(box, registry, repository, source):
    push(source(b"one").image(), [repository.tagged("1")], registry)
    data = registry.request(repository, "GET", "manifests/1").body
    for digest, right in ((f"sha512:{hashlib.sha512(data).hexdigest()}", True), (f"sha512:{'0' * 128}", False)):
        box.add_fault("GET", "/manifests/", status=200, body=data, headers={"Content-Type": OCI_MANIFEST})
        with nullcontext() if right else pytest.raises(DigestError):
            pull(repository.at(Digest(digest)), registry)


def test_a_configuration_that_is_gone_is_named(box, registry, repository, source):
    push(source(b"x").image(), [repository.tagged("1")], registry)
    box.add_fault("GET", "blobs", status=404)

    with pytest.raises(RegistryError, match=f"the configuration of {repository} ") as caught:
        pull(repository.tagged("1"), registry)
    assert caught.value.status == 404


def test_who_may_not_read_is_told_what_is_needed_for_reading(box, registry, repository, source):
    push(source(b"x").image(), [repository.tagged("1")], registry)
    hints = set()
    for part in ("manifests", "blobs"):
        box.add_fault("GET", part, status=403)
        with pytest.raises(RegistryError) as caught:
            pull(repository.tagged("1"), registry)
        hints.add(caught.value.hint)
    image = pull(repository.tagged("1"), registry)
    box.add_fault("GET", "blobs", status=403)
    with pytest.raises(RegistryError) as caught:
        next(image.blobs([0]))[1].read()
    [hint] = {*hints, caught.value.hint}
    assert "read" in hint
    assert "push" not in hint


def test_who_reads_asks_for_no_right_to_write(box, http, keychain, registry, repository, source):
    push(Index((source(b"x").image(),)), [repository.tagged("1")], registry)
    before = len(box.requests)
    read_all(pull(repository.tagged("1"), Registry(http, keychain), Platform("linux", "amd64")))

    scopes = {request.query["scope"] for request in box.requests[before:] if "scope" in request.query}
    assert scopes == {f"repository:{repository.path}:pull"}


def test_a_manifest_that_does_not_say_its_type_has_that_of_the_answer(box, registry, repository, source):
    pushed = push(source(b"x").image(), [repository.tagged("1")], registry)
    document = json.loads(pushed.manifest)
    del document["mediaType"]
    body, headers = json.dumps(document).encode(), {"Content-Type": f"{OCI_MANIFEST}; charset=utf-8"}
    box.add_fault("GET", "manifests", status=200, body=body, headers=headers)

    assert pull(repository.tagged("1"), registry).manifest_type == OCI_MANIFEST


def test_a_layer_that_is_asked_for_again_says_why(box, registry, repository, source, events):
    pushed = push(source(DATA).image(), [repository.tagged("1")], registry)
    image = pull(repository.tagged("1"), registry)
    box.add_fault("GET", "blobs", after=1_000_000)
    read_all(image)

    [retry] = [event for event in events if isinstance(event, Retry)]
    assert (retry.what, retry.attempt) == (f"the layer {pushed.layers[0].digest}", 1)
    assert "broke" in retry.reason


def test_nothing_is_read_where_nothing_is_asked_for(box, registry, repository, source):
    push(source(DATA).image(), [repository.tagged("1")], registry)
    _, reader = next(pull(repository.tagged("1"), registry).blobs([0]))

    assert reader.read(0) == b""
    assert gzip.decompress(reader.read()) == DATA
    assert reader.read() == b""
