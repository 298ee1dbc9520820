"""A registry that gives other bytes than it promised: one byte too many at most is taken, and nobody asks again."""

from __future__ import annotations

import itertools
import json

import pytest

from buildpush.errors import DigestError, PushError
from buildpush.images.compression import digest_of
from buildpush.images.model import Index, Platform
from buildpush.images.saving import write_layout
from buildpush.registry.pull import pull
from buildpush.registry.push import push
from tests.hostile.registry import Reply
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
    with pytest.raises(DigestError, match="were promised"):
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
    with pytest.raises(PushError, match=r"larger than|were promised"):
        pull(repository.tagged("1"), registry)
    assert sum(given) < 48 * 1024 * 1024
    assert not waits


@pytest.mark.parametrize("extra", [b" ", b"", b"   "])
def test_a_document_of_another_size_is_refused(serve, client, extra):
    server, registry, repository = pushed(serve, client)
    config = json.loads(server.manifests["docker-local/app", "1"][1])["config"]
    data = server.blobs[config["digest"]]
    server.blobs[config["digest"]] = data + extra if extra else data[:-1]
    with pytest.raises(PushError, match=r"larger than|were promised"):
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
