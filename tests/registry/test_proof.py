"""What a push proves of layers that come compressed, and what it takes on trust."""

from __future__ import annotations

import gzip
import io
import json
import random
from dataclasses import replace
from functools import partial

import pytest

try:
    from compression import zstd
except ImportError:
    from backports import zstd

from buildpush.foundation.errors import DigestError
from buildpush.images import proof
from buildpush.images.compression import digest_of
from buildpush.images.manifests import Descriptor, image_manifest
from buildpush.images.model import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Image, Layer
from buildpush.registry.client import Registry
from buildpush.registry.memory import Memory
from buildpush.registry.push import push

pytestmark = pytest.mark.sandbox

SMALL = b"some bytes of a tar " * 2000
LARGE = random.Random(11).randbytes(9_000_000)  # more than is looked at in every image
PACK = {"gzip": partial(gzip.compress, mtime=0), "zstd": zstd.compress}


def image(*plain: bytes, kind="gzip", diff_ids=None, manifest=True, digests=True) -> Image:
    """Return an image of compressed layers; *diff_ids* are what it says of them."""
    packed = [PACK[kind](data) for data in plain]
    said = diff_ids or [digest_of(data) for data in plain]
    config = json.dumps(
        {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": list(map(str, said))}}
    ).encode()
    parts = [Descriptor(f"{OCI_LAYER}+{kind}", digest_of(data), len(data)) for data in packed]
    layers = tuple(
        Layer("x", one.media_type, diff_id, one.digest if digests else None, one.size)
        for one, diff_id in zip(parts, said, strict=True)
    )
    document = image_manifest(Descriptor(OCI_CONFIG, digest_of(config), len(config)), parts, OCI_MANIFEST)
    return Image(
        config,
        layers,
        lambda wanted: ((at, io.BytesIO(packed[at])) for at in wanted),
        manifest=document if manifest else None,
    )


@pytest.fixture
def unpacked(monkeypatch):
    """Return a list that grows by one for each layer that is looked into."""
    found, before = [], proof.DiffIdCheckingReader.__init__

    def counting(self, *arguments):
        found.append(arguments[-1])
        before(self, *arguments)

    monkeypatch.setattr(proof.DiffIdCheckingReader, "__init__", counting)
    return found


def no_tag(box, repository) -> bool:
    return not any("manifests" in one.path and one.method == "PUT" for one in box.requests)


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("manifest", [True, False])
def test_a_layer_that_holds_something_else_is_refused_before_it_is_there(box, registry, repository, kind, manifest):
    lying = image(SMALL, kind=kind, diff_ids=[digest_of(b"else")], manifest=manifest)
    with pytest.raises(DigestError, match=r"layer 1/1 .* has the diff ID"):
        push(lying, [repository.tagged("1")], registry)
    assert no_tag(box, repository)
    assert registry.request(repository, "HEAD", f"blobs/{lying.layers[0].digest}").status == 404


@pytest.mark.parametrize("kind", PACK)
def test_what_no_engine_could_unpack_is_refused_though_the_registry_has_its_layers(box, registry, repository, kind):
    """The diff IDs of an image built with a compressed base were once those of the compressed bytes."""
    push(image(LARGE, kind=kind), [repository.tagged("1")], registry)
    before = len(box.requests)
    lying = image(LARGE, kind=kind, diff_ids=[digest_of(PACK[kind](LARGE))])
    with pytest.raises(DigestError, match="is the digest of its compressed bytes"):
        push(lying, [repository.tagged("2")], registry)
    assert not [one for one in box.requests[before:] if one.method == "PUT"]


def test_a_plain_layer_that_is_called_compressed_is_pushed_as_docker_takes_it(registry, repository):
    honest = image(SMALL)
    plain = Layer("x", f"{OCI_LAYER}+gzip", digest_of(SMALL), digest_of(SMALL), len(SMALL))
    misnamed = Image(honest.config, (plain,), lambda wanted: ((at, io.BytesIO(SMALL)) for at in wanted))
    assert push(misnamed, [repository.tagged("1")], registry).layers[0].digest == digest_of(SMALL)


def test_a_manifest_of_ours_is_proven_once_and_that_is_remembered(box, http, keychain, repository, unpacked, tmp_path):
    with Memory(tmp_path / "memory") as memory:
        registry = Registry(http, keychain, memory=memory)
        push(image(LARGE, manifest=False), [repository.tagged("1")], registry)
        assert len(unpacked) == 1
        elsewhere = repository.__class__(repository.host, "docker-local/other")
        box.add_fault("POST", "mount", times=9)
        push(image(LARGE, manifest=False), [elsewhere.tagged("1")], registry)
        assert len(unpacked) == 1


def test_of_a_manifest_of_others_only_what_is_small_is_unpacked(registry, repository, unpacked):
    push(image(LARGE, SMALL), [repository.tagged("1")], registry)
    assert [what.partition(" (")[0] for what in unpacked] == ["layer 2/2"]


def test_compressed_bytes_without_a_digest_are_always_unpacked(registry, repository, unpacked):
    push(image(LARGE, digests=False, manifest=False), [repository.tagged("1")], registry)
    assert len(unpacked) == 1


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("cut", [1, 1000, -1])
def test_a_layer_of_another_size_is_refused_before_it_is_there(box, registry, repository, kind, cut):
    honest = image(LARGE, kind=kind)
    layer = honest.layers[0]
    other = Image(
        honest.config, (Layer("x", layer.media_type, layer.diff_id, layer.digest, layer.size + cut),), honest.blobs
    )
    with pytest.raises(DigestError, match="were expected"):
        push(other, [repository.tagged("1")], registry)
    assert no_tag(box, repository)
    assert registry.request(repository, "HEAD", f"blobs/{layer.digest}").status == 404


def test_a_plain_layer_with_another_diff_id_is_refused_before_it_is_there(registry, box, repository, source):
    honest = source(LARGE).image()
    lying = replace(honest, layers=(replace(honest.layers[0], diff_id=digest_of(b"else")),), config=b"{}")
    with pytest.raises(DigestError, match="diff ID"):
        push(lying, [repository.tagged("1")], registry)
    assert not [one for one in box.requests if one.method == "PUT"]
