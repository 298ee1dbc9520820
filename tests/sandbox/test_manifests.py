"""A manifest is read once, strictly."""

import json

import pytest

from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.manifests import read_manifest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
PART = {"mediaType": "x", "digest": f"sha256:{'a' * 64}", "size": 3}
IMAGE = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": PART, "layers": [PART]}


def read(document, content_type=OCI_MANIFEST):
    return read_manifest(json.dumps(document).encode(), content_type)


def test_an_image_names_config_and_layers():
    manifest = read(IMAGE)
    assert manifest.filename == "manifest.json"
    assert [part.size for part in manifest.blobs] == [3, 3]


def test_an_index_names_its_images_with_their_platforms():
    child = {**PART, "mediaType": OCI_MANIFEST}
    arm = {**child, "platform": {"os": "linux", "architecture": "arm", "variant": "v7"}}
    manifest = read({"schemaVersion": 2, "manifests": [arm, child]}, OCI_INDEX)
    assert manifest.filename == "list.manifest.json"
    assert [part.platform for part in manifest.children] == ["linux/arm/v7", ""]
    assert manifest.blobs == ()


def test_what_an_index_names_that_is_no_manifest_is_a_blob():
    """BuildKit writes its cache so: layers and a config where an image has its platforms."""
    manifest = read({"schemaVersion": 2, "manifests": [PART, {**PART, "mediaType": OCI_MANIFEST}]}, OCI_INDEX)
    assert (len(manifest.children), [part.media_type for part in manifest.blobs]) == (1, [PART["mediaType"]])


def test_parameters_of_the_content_type_do_not_matter():
    assert read(IMAGE, f"{OCI_MANIFEST}; charset=utf-8").media_type == OCI_MANIFEST


def test_without_a_content_type_the_document_says_it():
    assert read(IMAGE, "").media_type == OCI_MANIFEST


@pytest.mark.parametrize(
    "changes",
    [
        {"schemaVersion": 3},
        {"schemaVersion": None},
        {"mediaType": OCI_INDEX},
        {"config": None},
        {"config": "text"},
        {"config": {**PART, "size": "3"}},
        {"config": {**PART, "size": True, "digest": "x"}},
        {"config": {**PART, "digest": "sha256:12"}},
        {"layers": None},
        {"layers": {}},
        {"layers": [None]},
    ],
)
def test_a_document_that_breaks_the_rules_is_invalid(changes):
    with pytest.raises(RequestRefusedError) as caught:
        read({**IMAGE, **changes})
    assert (caught.value.status, caught.value.code) == (400, "MANIFEST_INVALID")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"[" * 100_000, b"\xff"])
def test_what_is_no_document_is_invalid(body):
    with pytest.raises(RequestRefusedError, match="MANIFEST_INVALID"):
        read_manifest(body, OCI_MANIFEST)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/vnd.oci.image.config.v1+json"])
def test_a_type_that_is_none_of_a_manifest_is_invalid(content_type):
    with pytest.raises(RequestRefusedError, match="not that of a manifest"):
        read({**IMAGE, "mediaType": content_type}, content_type)


@pytest.mark.parametrize(
    ("document", "content_type"),
    [
        ({"schemaVersion": 1}, "application/json"),
        ({"schemaVersion": 1}, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
    ],
)
def test_dockers_first_schema_is_blocked(document, content_type):
    with pytest.raises(RequestRefusedError) as caught:
        read(document, content_type)
    assert caught.value.status == 403
