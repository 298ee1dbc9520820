"""A registry that gives other bytes than it promised: one byte too many at most is taken, and nobody asks again."""

from __future__ import annotations

import hashlib
import itertools
import json

import pytest

from buildpush.foundation.errors import DigestError, PushError, RegistryError
from buildpush.images.compression import digest_of
from buildpush.images.model import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Index,
    Platform,
)
from buildpush.images.references import Digest
from buildpush.registry.pull import pull
from buildpush.registry.push import push
from buildpush.transfer.oci import write_layout
from buildpush.transfer.oci_layout import open_layout
from tests.hostile.registry import Reply, fault
from tests.registry.conftest import Source

pytestmark = pytest.mark.sandbox

LAYER = b"layer" * 9
BLOCK = 64 * 1024
ENDLESS = 1_500_000_000


def endless(given):
    """Give bytes for as long as somebody reads them, and count them."""
    for _ in range(ENDLESS // BLOCK):
        given.append(BLOCK)
        yield bytes(BLOCK)


def pushed(serve, client, compression="none"):
    server = serve()
    registry, repository = client(server)
    push(Source(LAYER).image(), [repository.tagged("1")], registry, compression=compression)
    return server, registry, repository


def test_a_layer_without_an_end_is_left_after_one_byte_too_many(serve, client, tmp_path, waits):
    server, registry, repository = pushed(serve, client)
    image, given = pull(repository.tagged("1"), registry), []
    server.quirks.append(lambda request, _: Reply(200, {}, endless(given)) if request.is_blob else None)
    before = len(server.requests)
    with pytest.raises(DigestError, match="were expected"):
        write_layout(image, tmp_path / "copy")
    assert len(server.requests) == before + 1
    assert not waits
    assert sum(given) < 16 * 1024 * 1024, "what was on its way in buffers of the system"
    assert not (tmp_path / "copy").exists()


def is_document(request):
    return request.is_manifest or request.is_blob


@pytest.mark.parametrize("which", ["manifest", "config"])
def test_a_document_without_an_end_is_left(serve, client, which, waits):
    server, registry, repository = pushed(serve, client)
    given, media_type = [], server.manifests["docker-local/app", "1"][0]

    def act(request, _):
        wanted = request.is_manifest if which == "manifest" else request.is_blob
        return Reply(200, {"Content-Type": media_type}, endless(given)) if wanted else None

    server.quirks.append(act)
    with pytest.raises(PushError, match=r"larger than|were expected"):
        pull(repository.tagged("1"), registry)
    assert sum(given) < 48 * 1024 * 1024
    assert not waits


@pytest.mark.parametrize("extra", [b" ", b"", b"   "])
def test_a_document_of_another_size_is_refused(serve, client, extra):
    server, registry, repository = pushed(serve, client)
    config = json.loads(server.manifests["docker-local/app", "1"][1])["config"]
    data = server.blobs[config["digest"]]
    server.blobs[config["digest"]] = data + extra if extra else data[:-1]
    with pytest.raises(PushError, match=r"larger than|were expected"):
        pull(repository.tagged("1"), registry)


@pytest.mark.parametrize("text", ["1e999", "Infinity", "NaN", "-1", "1.0", "true", '"45"', "9" * 30, "{}"])
@pytest.mark.parametrize("key", ["config", "layers"])
def test_a_size_that_is_none_is_an_error_of_ours(serve, client, key, text):
    server, registry, repository = pushed(serve, client)
    media_type, data = server.manifests["docker-local/app", "1"]
    part = json.loads(data)[key]
    size = (part if key == "config" else part[0])["size"]
    server.manifests["docker-local/app", "1"] = (
        media_type,
        data.replace(b'"size":%d' % size, f'"size":{text}'.encode()),
    )
    with pytest.raises(PushError, match=r"size|JSON"):
        pull(repository.tagged("1"), registry)


def test_of_an_index_with_a_missing_image_another_one_can_be_had(serve, client):
    server = serve()
    registry, repository = client(server)
    platforms = [Platform("linux", "amd64"), Platform("linux", "arm64"), Platform("unknown", "unknown")]
    images = tuple(Source(str(one).encode()).image(platform=one) for one in platforms)
    receipt = push(Index(images), [repository.tagged("1")], registry)
    del server.manifests["docker-local/app", str(receipt.images[1].digest)]
    found = pull(repository.tagged("1"), registry, platforms[0])
    assert digest_of(found.manifest) == receipt.images[0].digest
    with pytest.raises(PushError):
        pull(repository.tagged("1"), registry)
    with pytest.raises(PushError, match="no image for linux/s390x") as caught:
        pull(repository.tagged("1"), registry, Platform("linux", "s390x"))
    assert caught.value.hint == "it has: linux/amd64, linux/arm64"
    with pytest.raises(PushError, match="lists an image for linux/arm64, but does not have it") as caught:
        pull(repository.tagged("1"), registry, platforms[1])
    assert caught.value.hint == "it has: linux/amd64"


def test_an_image_that_may_not_be_read_is_not_called_missing(serve, client):
    server = serve()
    registry, repository = client(server)
    receipt = push(Index((Source(LAYER).image(),)), [repository.tagged("1")], registry)
    child = str(receipt.images[0].digest)
    server.quirks.append(lambda request, _: fault(403, "DENIED") if child in request.path else None)
    with pytest.raises(RegistryError, match="403"):
        pull(repository.tagged("1"), registry, Platform("linux", "amd64"))


def test_an_image_by_sha512_arrives_as_such(serve, client, tmp_path):
    """Layers, configuration and the images of an index; the index itself goes by its tag."""
    server, name = serve(), lambda data: f"sha512:{hashlib.sha512(data).hexdigest()}"
    config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [name(LAYER)]}}).encode()

    def described(data, kind):
        return {"mediaType": kind, "digest": name(data), "size": len(data)}

    layers = [described(LAYER, OCI_LAYER)]
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": described(config, OCI_CONFIG),
        "layers": layers,
    }
    manifest = json.dumps(document).encode()
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [described(manifest, OCI_MANIFEST)]}
    layout = tmp_path / "blobs" / "sha512"
    layout.mkdir(parents=True)
    for data in (LAYER, config, manifest):
        (layout / hashlib.sha512(data).hexdigest()).write_bytes(data)
    (tmp_path / "index.json").write_text(json.dumps(index))
    (tmp_path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    server.quirks.append(by_sha512)
    registry, repository = client(server)
    receipt = push(open_layout(tmp_path), [repository.at(Digest(name(manifest)))], registry)
    assert receipt.manifest == manifest
    assert {name(LAYER), name(config)} <= set(server.blobs)
    found = pull(repository.at(Digest(name(manifest))), registry)
    assert [reader.read() for _, reader in found.blobs([0])] == [LAYER]
    server.blobs[name(LAYER)] = LAYER[::-1]
    with pytest.raises(DigestError, match="sha512"):
        write_layout(found, tmp_path / "copy")


def by_sha512(request, registry):
    """Take and give manifests by the digest in the path."""
    _, _, reference = request.path.partition("/manifests/")
    if not reference.startswith("sha512:"):
        return None
    if request.method == "PUT":
        registry.manifests["docker-local/app", reference] = (OCI_MANIFEST, request.body)
    there = registry.manifests.get(("docker-local/app", reference))
    if there is None:
        return fault(404, "MANIFEST_UNKNOWN")
    headers = {"Content-Type": there[0], "Docker-Content-Digest": reference}
    return Reply(201 if request.method == "PUT" else 200, headers, there[1])


def test_a_broken_line_is_not_mistaken_for_too_many_bytes(serve, client):
    """A registry without ranges gives everything once more."""
    server, registry, repository = pushed(serve, client)
    digest = f"sha256:{digest_of(LAYER).hex}"
    turns = itertools.count()

    def act(request, _):
        if not request.is_blob or digest not in request.path:
            return None
        if next(turns) == 0:
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LAYER)
            return Reply(raw=head + LAYER[:20], close=True)
        return Reply(200, {}, LAYER)

    image = pull(repository.tagged("1"), registry)
    server.quirks.append(act)
    assert [reader.read() for _, reader in image.blobs([0])] == [LAYER]


def test_a_configuration_of_the_same_size_that_is_another_is_refused(serve, client):
    server, registry, repository = pushed(serve, client)
    config = json.loads(server.manifests["docker-local/app", "1"][1])["config"]
    server.blobs[config["digest"]] = server.blobs[config["digest"]][::-1]
    with pytest.raises(DigestError, match=f"the configuration of {repository}"):
        pull(repository.tagged("1"), registry)


def test_a_configuration_of_unlikely_size_is_called_one(serve, client):
    server, registry, repository = pushed(serve, client)
    media_type, data = server.manifests["docker-local/app", "1"]
    size = json.loads(data)["config"]["size"]
    server.manifests["docker-local/app", "1"] = (media_type, data.replace(b'"size":%d' % size, b'"size":99999999'))
    with pytest.raises(PushError, match=f"the configuration of {repository} has 99999999 bytes"):
        pull(repository.tagged("1"), registry)


def test_what_may_not_be_looked_at_is_not_named_among_what_is_there(serve, client):
    """Each question says which types are understood: to others, registries show older ones, or nothing."""
    server = serve()
    registry, repository = client(server)
    platforms = [Platform("linux", name) for name in ("amd64", "arm64", "s390x", "ppc64le")]
    images = tuple(Source(str(one).encode()).image(platform=one) for one in platforms)
    receipt = push(Index(images), [repository.tagged("1")], registry)
    gone, denied, refused, _ = (str(image.digest) for image in receipt.images)
    del server.manifests["docker-local/app", gone]
    asked = []

    def act(request, _):
        if request.is_manifest:
            asked.append(request.headers["Accept"])
        heads = request.method == "HEAD"
        return (
            fault(403)
            if heads and denied in request.path
            else fault(401)
            if heads and refused in request.path
            else None
        )

    server.quirks.append(act)
    with pytest.raises(PushError, match="lists an image for linux/amd64, but does not have it") as caught:
        pull(repository.tagged("1"), registry, platforms[0])
    assert caught.value.hint == "it has: linux/ppc64le"
    assert set(asked) == {", ".join(sorted(INDEX_TYPES | MANIFEST_TYPES))}
