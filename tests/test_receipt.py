"""Receipts of what was pushed before: the same as the push itself gave."""

from __future__ import annotations

import io
import json

import pytest

from buildpush.credentials.docker import Credential, Keychain
from buildpush.foundation.errors import RegistryError
from buildpush.http.client import Http
from buildpush.images.compression import digest_of
from buildpush.images.model import DOCKER_CONFIG, OCI_MANIFEST, Image, Index, Layer, Platform
from buildpush.images.references import Reference, Tag
from buildpush.registry.client import Registry
from buildpush.registry.push import push
from buildpush.registry.receipt import receipt, receipt_of

pytestmark = pytest.mark.sandbox


@pytest.fixture
def registry(box):
    keychain = Keychain({box.host: Credential(box.username, box.password, "the test")}, env={}, home=None, place=None)
    with Http(insecure_hosts={box.host}) as http:
        yield Registry(http, keychain)


def image(architecture: str, content: bytes) -> Image:
    diff_id = digest_of(content)
    document = {"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": [str(diff_id)]}}

    def blobs(wanted):
        for at in sorted(wanted):
            yield at, io.BytesIO(content)

    config = json.dumps(document).encode()
    return Image(config, (Layer(diff_id=diff_id),), blobs, Platform("linux", architecture), True)


def facts(one):
    layers = [(layer.digest, layer.size, layer.media_type, layer.diff_id) for layer in one.layers]
    config = (one.config.digest, one.config.size, one.config.media_type)
    return one.digest, one.media_type, one.config_document, config, layers, one.platform


def test_an_image_gets_the_receipt_of_its_push(box, registry):
    name = Reference.parse(f"{box.host}/docker-local/app:1")
    pushed = push(image("amd64", b"one"), [name], registry)

    found = receipt(name, registry)

    assert facts(found) == facts(pushed)
    assert (found.references, found.manifest) == ((name,), pushed.manifest)
    assert {blob.fate for blob in (found.config, *found.layers)} == {"exists"}
    assert all(blob.sha1 is None and blob.md5 is None for blob in (found.config, *found.layers))


def test_an_index_gets_the_receipt_of_its_push(box, registry):
    name = Reference.parse(f"{box.host}/docker-local/app:1")
    pushed = push(Index((image("amd64", b"one"), image("arm64", b"two"))), [name], registry)

    found = receipt(name, registry)

    assert (found.digest, found.manifest, found.references) == (pushed.digest, pushed.manifest, (name,))
    assert [facts(one) for one in found.images] == [facts(one) for one in pushed.images]
    assert found.media_type == pushed.media_type
    assert [one.references for one in found.images] == [(), ()]


def test_the_type_of_the_configuration_is_what_the_manifest_says(box, registry):
    """Some tools put Docker's configuration into an OCI manifest."""
    name = Reference.parse(f"{box.host}/docker-local/app:1")
    plain = push(image("amd64", b"one"), [name], registry)
    manifest = json.loads(plain.manifest)
    manifest["config"]["mediaType"] = DOCKER_CONFIG
    mixed = json.dumps(manifest).encode()
    headers = {"Content-Type": OCI_MANIFEST}
    assert registry.request(name.repository, "PUT", "manifests/1", headers=headers, body=mixed).ok

    assert receipt(name, registry).config.media_type == DOCKER_CONFIG


def test_a_manifest_that_leaves_media_types_out_has_a_receipt_too(box, registry):
    """Old manifests do; a registry takes them."""
    name = Reference.parse(f"{box.host}/docker-local/app:1")
    pushed = push(image("amd64", b"one"), [name], registry)
    document = json.loads(pushed.manifest)
    for entry in (document["config"], *document["layers"]):
        del entry["mediaType"]
    bare = json.dumps(document).encode()
    headers = {"Content-Type": OCI_MANIFEST}
    registry.request(name.repository, "PUT", "manifests/2", headers=headers, body=bare)

    found = receipt(name.repository.tagged("2"), registry)

    assert (found.digest, found.layers[0].size) == (digest_of(bare), pushed.layers[0].size)


# ---- of what another program has pushed


def test_what_a_name_names_is_read_back_by_its_digest(box, registry):
    name = Reference.parse(f"{box.host}/docker-local/app:1")
    pushed = push(image("amd64", b"one"), [name], registry)
    assert facts(receipt_of(name, pushed.digest, registry, pytest.fail)) == facts(pushed)


def test_a_name_that_another_push_has_taken_meanwhile_is_a_note(box, registry):
    name = Reference.parse(f"{box.host}/docker-local/app:1")
    ours = push(image("amd64", b"one"), [name, name.repository.tagged(Tag("2"))], registry)
    push(image("amd64", b"two"), [name], registry)
    said = []
    found = receipt_of(name, ours.digest, registry, said.append)
    assert (found.digest, found.references) == (ours.digest, (name,))
    assert [str(one.text) for one in said] == [f"{name} was pushed as {ours.digest}, and names another image now"]


def test_an_image_that_is_gone_with_the_name_that_another_push_has_taken_is_told(box, registry):
    """Artifactory keeps no manifest that no tag names."""
    name = Reference.parse(f"{box.host}/docker-local/app:1")
    ours = push(image("amd64", b"one"), [name], registry)
    push(image("amd64", b"two"), [name], registry)
    with pytest.raises(RegistryError, match=f"{name} was said to be pushed as {ours.digest}") as caught:
        receipt_of(name, ours.digest, registry)
    assert caught.value.hint.startswith("another push may have taken the tag")


def test_a_name_that_names_nothing_is_no_success(box, registry, monkeypatch):
    monkeypatch.setattr(Http, "wait", lambda *_words: None)
    name = Reference.parse(f"{box.host}/docker-local/app:1")
    pushed = push(image("amd64", b"one"), [name], registry)
    with pytest.raises(RegistryError, match="app:2 cannot be read"):
        receipt_of(name.repository.tagged(Tag("2")), pushed.digest, registry)
