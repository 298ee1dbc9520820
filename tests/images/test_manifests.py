"""The JSON documents of an image: read with care, written the same each time."""

from __future__ import annotations

import json

import pytest

from buildpush.foundation.errors import DigestError, PushError, UnsupportedError
from buildpush.images.manifests import (
    Descriptor,
    check_digests,
    compression_of,
    describe_layers,
    diff_ids,
    image_manifest,
    index_manifest,
    layer_media_type,
    platform_of,
    read_config,
    read_manifest,
    with_diff_ids,
)
from buildpush.images.model import (
    DOCKER_INDEX,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Platform,
    is_nondistributable,
)
from buildpush.images.references import Digest

ONE, TWO = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)
CONFIG, LAYER = Descriptor(OCI_CONFIG, ONE, 7), Descriptor(OCI_LAYER, TWO, 9)


def test_an_image_manifest_reads_back():
    data = image_manifest(CONFIG, [LAYER, LAYER], OCI_MANIFEST)
    manifest = read_manifest(data)

    assert (manifest.media_type, manifest.config, manifest.layers) == (OCI_MANIFEST, CONFIG, (LAYER, LAYER))
    assert data == image_manifest(CONFIG, [LAYER, LAYER], OCI_MANIFEST)


def test_an_index_reads_back():
    images = (
        Descriptor(OCI_MANIFEST, ONE, 7, Platform("linux", "amd64")),
        Descriptor(OCI_MANIFEST, TWO, 9, Platform("linux", "arm", "v7")),
    )

    assert read_manifest(index_manifest(images, OCI_INDEX)).manifests == images


def test_the_type_may_be_told_by_the_registry_only():
    assert (
        read_manifest(b'{"schemaVersion":2,"manifests":[]}', f"{DOCKER_INDEX}; charset=utf-8").media_type
        == DOCKER_INDEX
    )


@pytest.mark.parametrize(
    "document",
    [
        {"schemaVersion": 1, "mediaType": OCI_MANIFEST},
        {"schemaVersion": 2, "mediaType": "text/plain"},
        {"schemaVersion": 2, "mediaType": OCI_INDEX},
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [7]},
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{"digest": "x", "size": 1}]},
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{"digest": str(ONE), "size": "many"}]},
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{"digest": str(ONE), "size": 1, "platform": 7}]},
        {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []},
        [],
        "text",
    ],
)
def test_broken_manifests_are_refused(document):
    with pytest.raises(PushError):
        read_manifest(json.dumps(document).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_not_json_is_refused(data):
    for read in (read_manifest, read_config):
        with pytest.raises(PushError, match="not JSON"):
            read(data)


def test_missing_diff_ids_are_filled_in_and_the_rest_stays():
    config = b'{"architecture":"arm","os":"linux","x":1}'
    full = with_diff_ids(config, [ONE, TWO])

    assert diff_ids(full) == (ONE, TWO)
    assert list(json.loads(full)) == ["architecture", "os", "x", "rootfs"]


@pytest.mark.parametrize("config", [b"no json", b"[]", b"{}", b'{"rootfs":7}', b'{"rootfs":{"diff_ids":null}}'])
def test_other_configurations_name_no_diff_ids(config):
    """An artifact's configuration may be anything."""
    assert diff_ids(config) == ()


@pytest.mark.parametrize("listed", ["7", '["x"]'])
def test_broken_diff_ids_are_refused(listed):
    with pytest.raises(PushError, match="invalid diff IDs"):
        diff_ids(f'{{"rootfs":{{"diff_ids":{listed}}}}}'.encode())


def test_the_platform_comes_from_the_configuration():
    assert platform_of(b'{"os":"linux","architecture":"arm","variant":"v7"}') == Platform("linux", "arm", "v7")
    assert platform_of(b"{}") == Platform("linux", "amd64")


def test_an_image_without_layers_may_say_so_with_null():
    """As BuildKit writes it."""
    data = image_manifest(CONFIG, [], OCI_MANIFEST)
    assert b'"layers":[]' in data
    assert read_manifest(data.replace(b'"layers":[]', b'"layers":null')).layers == ()


def test_layers_are_described_with_their_instructions():
    manifest = read_manifest(image_manifest(CONFIG, [LAYER], OCI_MANIFEST))
    config = json.dumps(
        {
            "rootfs": {"diff_ids": [str(ONE)]},
            "history": [{"created_by": "ENV A=1", "empty_layer": True}, {"created_by": "COPY a b"}],
        }
    ).encode()
    (layer,) = describe_layers(config, manifest)

    assert (layer.created_by, layer.diff_id, layer.digest, layer.size) == ("COPY a b", ONE, TWO, 9)
    assert describe_layers(b'{"history":7}', manifest)[0].created_by == ""


def test_a_configuration_with_another_number_of_layers_is_refused():
    manifest = read_manifest(image_manifest(CONFIG, [LAYER, LAYER], OCI_MANIFEST))

    with pytest.raises(DigestError, match="names 1 layers, the manifest 2"):
        describe_layers(json.dumps({"rootfs": {"diff_ids": [str(ONE)]}}).encode(), manifest)


def test_media_types_follow_the_family():
    assert layer_media_type("gzip", "oci") == f"{OCI_LAYER}+gzip"
    assert layer_media_type("none", "docker") == "application/vnd.docker.image.rootfs.diff.tar"
    with pytest.raises(UnsupportedError):
        layer_media_type("zstd", "docker")
    assert [compression_of(one) for one in (OCI_LAYER, "x.tar.gzip", "x+zstd")] == ["none", "gzip", "zstd"]


def test_foreign_layers_are_not_distributed():
    assert is_nondistributable("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
    assert not is_nondistributable(OCI_LAYER)


def test_differing_digests_are_told():
    check_digests([ONE], [ONE], "they")
    with pytest.raises(DigestError, match=r"they do not match.*number 2"):
        check_digests([ONE, ONE], [ONE, TWO], "they")
    with pytest.raises(DigestError, match="2 and 1"):
        check_digests([ONE, ONE], [ONE], "they")


def test_a_size_below_zero_is_refused():
    descriptor = {"mediaType": OCI_MANIFEST, "digest": f"sha256:{'0' * 64}", "size": -1}
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor]}
    with pytest.raises(PushError, match="size is -1"):
        read_manifest(json.dumps(document).encode())
