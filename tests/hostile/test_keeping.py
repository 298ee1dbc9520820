"""Registries that would keep a client for ever: always a little, never all of it."""

from __future__ import annotations

import json

import pytest

from buildpush.foundation.errors import UnreachableError
from buildpush.http.retry import LEAST
from buildpush.registry.pull import pull
from tests.hostile.registry import Reply, digest_of

pytestmark = pytest.mark.sandbox

LAYER = bytes(range(256)) * 1024


def a_little(size: int):
    """Answer each question for a layer with *size* bytes of what is left, and end the connection."""

    def act(request, registry):
        data = registry.blobs.get(request.path.rpartition("/")[2], b"")
        if not request.is_blob or len(data) < len(LAYER):
            return None
        begin = int((request.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        head = f"HTTP/1.1 {206 if begin else 200} Partial\r\nContent-Length: {len(data) - begin}\r\n\r\n"
        return Reply(raw=head.encode() + data[begin : begin + size], close=True)

    return act


def stored(server) -> str:
    """Put an image with one layer into the registry, and return its tag."""
    config = json.dumps({"os": "linux", "architecture": "amd64"}).encode()
    kinds = {"config": "config.v1+json", "layers": "layer.v1.tar"}
    described = {
        kind: {"mediaType": f"application/vnd.oci.image.{kinds[kind]}", "digest": digest_of(data), "size": len(data)}
        for kind, data in (("config", config), ("layers", LAYER))
    }
    config_of = {**described, "layers": [described["layers"]]}
    document = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", **config_of}
    manifest = json.dumps(document).encode()
    server.blobs |= {digest_of(data): data for data in (config, LAYER)}
    server.manifests["docker-local/app", "1"] = (document["mediaType"], manifest)
    return "1"


def read(client, server) -> bytes:
    registry, repository = client(server)
    reader = next(pull(repository.tagged(stored(server)), registry).blobs([0]))[1]
    return b"".join(iter(lambda: reader.read(1000), b""))


def test_a_layer_that_breaks_off_after_a_little_each_time_keeps_nobody(serve, client, waits):
    with pytest.raises(UnreachableError):
        read(client, serve(a_little(4000)))
    assert len(waits) == 5


def test_a_layer_that_gets_further_each_time_arrives(serve, client):
    assert read(client, serve(a_little(LEAST // 2 * 3))) == LAYER
