"""Pushing: what travels, what need not, what is promised, and what happens when the registry or the line misbehaves."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import threading
import time
from contextlib import nullcontext
from dataclasses import replace

import pytest

import buildpush.registry.push as pushing
from buildpush.credentials.docker import Credential, Keychain
from buildpush.foundation.errors import (
    AuthenticationError,
    CancelledError,
    DigestError,
    PushError,
    RegistryError,
    UnreachableError,
    UnsupportedError,
)
from buildpush.foundation.events import Note, Progress, Retry
from buildpush.foundation.secrets import Secret
from buildpush.images.compression import Compressor, digest_of
from buildpush.images.manifests import Descriptor, image_manifest
from buildpush.images.model import (
    DOCKER_CONFIG,
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_LAYER,
    Index,
    Layer,
    Platform,
)
from buildpush.images.references import Repository
from buildpush.registry import layers as room
from buildpush.registry.client import Registry
from buildpush.registry.memory import Memory
from buildpush.registry.pull import pull
from buildpush.registry.push import push

pytestmark = pytest.mark.sandbox

SMALL, OTHER = b"first layer " * 1000, b"second layer " * 500
LARGE = random.Random(3).randbytes(9_000_000)  # does not compress: larger than what is made before it is sent


def count(box, method: str, part: str = "") -> int:
    return sum(one.method == method and part in one.path for one in box.requests)


def retries(events) -> int:
    return sum(isinstance(event, Retry) for event in events)


def test_what_is_pushed_is_what_the_registry_has(box, registry, repository, source):
    """Exit 0 means: the digest printed is the one that the tag names."""
    pushed = push(source(SMALL, OTHER).image(), [repository.tagged("1")], registry)

    assert box.digest("docker-local/app", "1") == str(pushed.digest) == str(digest_of(pushed.manifest))
    manifest = json.loads(pushed.manifest)
    assert [gzip.decompress(box.blob(layer["digest"])) for layer in manifest["layers"]] == [SMALL, OTHER]
    assert box.blob(manifest["config"]["digest"]) == pushed.config_document


def test_the_receipt_tells_sizes_checksums_and_diff_ids(box, registry, repository, source):
    pushed = push(source(SMALL).image(), [repository.tagged("1")], registry)
    layer, stored = pushed.layers[0], box.blob(pushed.layers[0].digest)

    assert (layer.size, layer.fate, layer.diff_id) == (len(stored), "sent", digest_of(SMALL))
    assert (layer.sha1, layer.md5) == (hashlib.sha1(stored).hexdigest(), hashlib.md5(stored).hexdigest())
    assert pushed.config.sha1 == hashlib.sha1(pushed.config_document).hexdigest()
    assert (pushed.repository_key, pushed.platform) == ("docker-local", Platform("linux", "amd64"))
    assert pushed.sent == layer.size + pushed.config.size


def test_checksums_are_left_out_where_nobody_wants_build_info(registry, repository, source):
    for _ in range(2):
        pushed = push(source(SMALL).image(), [repository.tagged("1")], registry, checksums=False)
        assert (pushed.layers[0].sha1, pushed.config.md5) == (None, None)


def test_all_tags_are_one_upload(box, registry, repository, source):
    """Tags are names of one manifest; uploading twice would double the layers' traffic."""
    names = [repository.tagged(tag) for tag in ("1", "1.2", "latest")]
    pushed = push(source(SMALL).image(), names, registry)

    assert pushed.references == tuple(names)
    assert {box.digest("docker-local/app", tag) for tag in ("1", "1.2", "latest")} == {str(pushed.digest)}
    assert count(box, "PATCH") == 2  # layer and config


def test_missing_diff_ids_are_filled_in(registry, repository, source):
    pushed = push(source(SMALL, OTHER).image(told=False), [repository.tagged("1")], registry)

    assert json.loads(pushed.config_document)["rootfs"]["diff_ids"] == [str(digest_of(SMALL)), str(digest_of(OTHER))]


def test_a_tag_moves_only_after_every_blob(box, registry, repository, source):
    box.add_fault("PATCH", "uploads", status=403)
    with pytest.raises(RegistryError):
        push(source(SMALL, OTHER).image(), [repository.tagged("1")], registry)

    assert box.digest("docker-local/app", "1") is None
    assert count(box, "PUT", "manifests") == 0


def test_what_is_there_is_not_sent_again(box, registry, repository, source):
    push(source(SMALL, OTHER).image(told=False), [repository.tagged("1")], registry)
    sent = count(box, "PATCH")
    again = push(source(SMALL, OTHER).image(told=False), [repository.tagged("2")], registry)

    assert count(box, "PATCH") == sent
    assert [layer.fate for layer in (again.config, *again.layers)] == ["exists"] * 3
    assert again.layers[0].sha1 == hashlib.sha1(box.blob(again.layers[0].digest)).hexdigest()


def test_a_large_layer_is_remembered_and_neither_read_nor_sent_again(http, keychain, repository, source, tmp_path):
    """Compressor 1 GB to learn that it is there already would cost seconds."""
    first, second = source(LARGE), source(LARGE)
    with Memory(tmp_path / "memory.sqlite") as memory:
        registry = Registry(http, keychain, memory=memory)
        one = push(first.image(), [repository.tagged("1")], registry)
        two = push(second.image(), [repository.tagged("2")], registry)

    assert (first.opened, second.opened) == ([0], [])
    assert one.digest == two.digest
    assert two.layers[0].md5 == one.layers[0].md5


def test_what_memory_says_is_not_believed_when_the_registry_lost_it(http, keychain, box, source, tmp_path):
    layers = source(LARGE)
    with Memory(tmp_path / "memory.sqlite") as memory:
        registry = Registry(http, keychain, memory=memory)
        push(layers.image(), [Repository(box.host, "docker-local/app").tagged("1")], registry)
        box.add_fault("HEAD", "blobs", status=404, times=2)
        pushed = push(layers.image(), [Repository(box.host, "docker-local/app").tagged("1")], registry)

    assert pushed.layers[0].fate == "sent"
    assert layers.opened == [0, 0]


def test_equal_layers_travel_once(box, registry, repository, source):
    layers = source(SMALL, OTHER, SMALL)
    pushed = push(layers.image(), [repository.tagged("1")], registry)

    assert sorted(layers.opened) == [0, 1]
    assert pushed.layers[0] == pushed.layers[2]


def test_a_second_repository_gets_the_blobs_from_the_first(box, registry, repository, source):
    other = Repository(box.host, "docker-release/other")
    layers = source(LARGE)
    box.add_fault("HEAD", "docker-release/other/blobs", status=404)  # as where repositories do not see each other
    pushed = push(layers.image(), [repository.tagged("1"), other.tagged("2")], registry)

    assert box.digest("docker-release/other", "2") == box.digest("docker-local/app", "1") == str(pushed.digest)
    assert pushed.references == (repository.tagged("1"), other.tagged("2"))
    assert layers.opened == [0]


def test_a_base_layer_is_mounted_from_where_it_was_pulled(box, registry, repository, source, events):
    push(source(LARGE).image(), [repository.tagged("base")], registry)
    base = pull(repository.tagged("base"), registry)
    added = Layer("COPY new", size=len(SMALL))

    def blobs(wanted):
        for at in wanted:
            yield from base.blobs([at]) if at == 0 else iter([(1, io.BytesIO(SMALL))])

    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": []}}).encode()
    child = base.__class__(config, (*base.layers, added), blobs)
    # Named by its digest: the layers are asked for side by side, and the fault is meant for this one.
    box.add_fault("HEAD", f"docker-release/child/blobs/{base.layers[0].digest}", status=404)
    pushed = push(child, [Repository(box.host, "docker-release/child").tagged("1")], registry, sink=events.append)

    assert [layer.fate for layer in pushed.layers] == ["mounted", "sent"]
    assert pushed.layers[0].digest == base.layers[0].digest
    assert {event.state for event in events if isinstance(event, Progress)} >= {"mounted", "sent"}


def test_a_mount_that_is_refused_becomes_an_upload(box, registry, repository, source):
    push(source(SMALL).image(), [repository.tagged("base")], registry)
    base = pull(repository.tagged("base"), registry)
    box.add_fault("HEAD", "child/blobs", status=404, times=2)
    box.add_fault("POST", "child/blobs/uploads", status=404)
    pushed = push(base, [Repository(box.host, "docker-release/child").tagged("1")], registry)

    assert pushed.layers[0].fate == "sent"
    assert pushed.digest == digest_of(base.manifest)


def test_an_image_with_a_manifest_is_sent_byte_for_byte(box, registry, repository, source):
    push(source(SMALL, OTHER).image(), [repository.tagged("1")], registry, media_types="docker")
    image = pull(repository.tagged("1"), registry)
    pushed = push(image, [Repository(box.host, "docker-release/copy").tagged("1")], registry, media_types="oci")

    assert pushed.manifest == image.manifest
    assert box.digest("docker-release/copy", "1") == box.digest("docker-local/app", "1")
    assert pushed.media_type == DOCKER_MANIFEST


def test_docker_media_types_are_for_old_servers(registry, repository, source):
    pushed = push(source(SMALL).image(), [repository.tagged("1")], registry, media_types="docker")
    manifest = json.loads(pushed.manifest)

    assert (manifest["mediaType"], manifest["config"]["mediaType"]) == (DOCKER_MANIFEST, DOCKER_CONFIG)
    assert manifest["layers"][0]["mediaType"] == "application/vnd.docker.image.rootfs.diff.tar.gzip"


def test_docker_media_types_and_zstd_do_not_go_together(box, registry, repository, source):
    with pytest.raises(UnsupportedError, match="zstd"):
        push(source(SMALL).image(), [repository.tagged("1")], registry, media_types="docker", compression="zstd")
    assert box.requests == []


@pytest.mark.parametrize(("kind", "suffix"), [("zstd", "+zstd"), ("none", ""), ("gzip", "+gzip")])
def test_layers_are_compressed_as_asked(registry, repository, source, kind, suffix):
    pushed = push(source(SMALL).image(), [repository.tagged("1")], registry, compression=kind)

    assert pushed.layers[0].media_type == OCI_LAYER + suffix
    assert (pushed.layers[0].digest == digest_of(SMALL)) is (kind == "none")


def test_compressed_layers_are_sent_as_they_are(box, registry, repository, source):
    packed = gzip.compress(SMALL, mtime=0)
    image = source(packed).image(told=False)
    layer = Layer("base", OCI_LAYER + "+gzip", diff_id=digest_of(SMALL), digest=digest_of(packed), size=len(packed))
    pushed = push(image.__class__(image.config, (layer,), image.blobs), [repository.tagged("1")], registry)

    assert box.blob(pushed.layers[0].digest) == packed
    assert json.loads(pushed.config_document)["rootfs"]["diff_ids"] == [str(digest_of(SMALL))]


def test_a_compressed_layer_of_unknown_content_is_refused(registry, repository, source):
    image = source(gzip.compress(SMALL)).image(told=False, media_type=OCI_LAYER + "+gzip")

    with pytest.raises(DigestError, match="diff ID of layer 1/1"):
        push(image, [repository.tagged("1")], registry)


def test_a_source_in_an_order_of_its_own_is_read_in_that_order(box, registry, repository, source):
    layers = source(SMALL, OTHER)
    image = layers.image()

    def backwards(wanted):
        for at in sorted(wanted, reverse=True):
            yield from image.blobs([at])

    pushed = push(
        image.__class__(image.config, image.layers, backwards, random_access=False), [repository.tagged("1")], registry
    )

    assert layers.opened == [1, 0]
    assert [layer.diff_id for layer in pushed.layers] == [digest_of(SMALL), digest_of(OTHER)]


@pytest.mark.parametrize("random_access", [True, False])
def test_a_source_that_keeps_a_layer_back_is_an_error(registry, repository, source, random_access):
    image = source(SMALL).image()
    lacking = image.__class__(image.config, image.layers, lambda _: iter(()), random_access=random_access)

    with pytest.raises(DigestError, match="gave no"):
        push(lacking, [repository.tagged("1")], registry)


def test_an_index_brings_its_images_and_is_named_last(box, registry, repository, source):
    images = (
        source(SMALL).image(platform=Platform("linux", "amd64")),
        source(OTHER).image(platform=Platform("linux", "arm64", "v8")),
    )
    pushed = push(Index(images), [repository.tagged("1"), repository.tagged("2")], registry)

    document = json.loads(box.blob(pushed.digest))
    assert box.digest("docker-local/app", "2") == str(pushed.digest)
    assert [entry["platform"] for entry in document["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux", "variant": "v8"},
    ]
    assert [str(one.digest) for one in pushed.images] == [entry["digest"] for entry in document["manifests"]]
    assert pushed.media_type == OCI_INDEX
    assert pushed.images[0].references == (repository.at(pushed.images[0].digest),)


def test_the_receipt_is_told_before_the_first_manifest_is_sent(box, registry, repository, source):
    """A record of it can be on disk before the registry knows the image."""
    told = []

    def before(receipt):
        told.append((receipt, count(box, "PUT", "manifests"), [box.has_blob(one.digest) for one in receipt.layers]))

    pushed = push(source(SMALL).image(), [repository.tagged("1"), repository.tagged("2")], registry, before=before)
    [(receipt, manifests, there)] = told
    assert (manifests, there) == (0, [True])
    assert receipt == replace(pushed, repository_key=None)


def test_the_receipt_of_an_index_is_told_before_the_first_of_its_images_is_named(box, registry, repository, source):
    told = []
    images = (source(SMALL).image(), replace(source(OTHER).image(), platform=Platform("linux", "arm64")))
    pushed = push(
        Index(images),
        [repository.tagged("1")],
        registry,
        before=lambda receipt: told.append((receipt, count(box, "PUT", "manifests"))),
    )
    [(receipt, manifests)] = told
    assert manifests == 0
    assert receipt.digest == pushed.digest
    assert [image.digest for image in receipt.images] == [image.digest for image in pushed.images]


def test_a_push_whose_receipt_cannot_be_kept_names_nothing(box, registry, repository, source):
    def before(_receipt):
        message = "the disk is full"
        raise PushError(message)

    with pytest.raises(PushError, match="disk is full"):
        push(source(SMALL).image(), [repository.tagged("1")], registry, before=before)
    assert count(box, "PUT", "manifests") == 0


def test_all_names_in_all_repositories_are_told_once(box, registry, repository, source):
    told, other = [], Repository(repository.host, "docker-local/other")
    names = [repository.tagged("1"), other.tagged("1")]
    push(source(SMALL).image(), names, registry, before=told.append)
    assert [receipt.references for receipt in told] == [tuple(names)]


def test_an_index_with_a_manifest_is_copied_byte_for_byte(box, registry, repository, source):
    images = (source(SMALL).image(), source(OTHER).image(platform=Platform("linux", "arm64")))
    first = push(Index(images), [repository.tagged("1")], registry, media_types="docker")
    copied = push(
        pull(repository.tagged("1"), registry), [Repository(box.host, "docker-release/x").tagged("1")], registry
    )

    assert (copied.manifest, copied.media_type) == (first.manifest, DOCKER_INDEX)


def test_an_index_that_names_other_images_is_refused(registry, repository, source):
    index = Index((source(SMALL).image(),), b'{"schemaVersion":2,"manifests":[]}')

    with pytest.raises(DigestError, match="digests in the index"):
        push(index, [repository.tagged("1")], registry)


def test_wrong_diff_ids_stop_the_push(box, registry, repository, source):
    """A daemon would refuse to pull such an image: better to say so here."""
    image = source(SMALL).image()
    wrong = image.config.replace(digest_of(SMALL).hex.encode(), b"0" * 64)
    layer = Layer("COPY", size=len(SMALL))

    with pytest.raises(DigestError, match="diff ID"):
        push(image.__class__(wrong, (layer,), image.blobs), [repository.tagged("1")], registry)
    assert box.digest("docker-local/app", "1") is None


def test_a_layer_that_is_not_what_its_source_promised_stops_the_push(box, registry, repository, source):
    image = source(gzip.compress(SMALL)).image(told=False)
    layer = Layer("base", OCI_LAYER + "+gzip", diff_id=digest_of(SMALL), digest=digest_of(b"else"), size=3)
    damaged = image.__class__(image.config, (layer,), image.blobs)

    with pytest.raises((DigestError, PushError)):
        push(damaged, [repository.tagged("1")], registry)
    assert count(box, "PUT", "uploads") == 0


def test_a_manifest_that_does_not_fit_its_layers_stops_the_push(registry, repository, source):
    push(source(SMALL).image(), [repository.tagged("1")], registry)
    image = pull(repository.tagged("1"), registry)
    other = push(source(OTHER).image(), [repository.tagged("2")], registry)
    mixed = image.__class__(image.config, image.layers, image.blobs, manifest=other.manifest)

    with pytest.raises(DigestError, match="manifest's digests"):
        push(mixed, [repository.tagged("3")], registry)


# The line and the registry misbehave


@pytest.mark.parametrize(
    "fault", [{"after": 1_000_000}, {"close": True}, {"status": 503}, {"status": 429}, {"status": 404}]
)
def test_a_broken_upload_begins_anew(box, registry, source, events, fault):
    repository = Repository(box.host, "docker-local/app")
    layers = source(LARGE)
    box.add_fault("PATCH", "uploads", **fault)
    pushed = push(layers.image(), [repository.tagged("1")], registry)

    assert box.blob(pushed.layers[0].digest) == b"".join(Compressor(io.BytesIO(LARGE), "gzip"))
    assert retries(events) >= 1


@pytest.mark.parametrize("fault", [{"lose_answer": True}, {"close": True}, {"status": 502}, {"status": 500}])
def test_a_lost_confirmation_is_asked_for_before_failing(box, registry, repository, source, fault):
    """The registry may have everything although its answer never came."""
    layers = source(LARGE)
    box.add_fault("PUT", "uploads", **fault)
    push(layers.image(), [repository.tagged("1")], registry)

    assert layers.opened == [0]


def test_a_session_that_is_gone_is_replaced(box, registry, repository, source):
    body = b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"gone"}]}'
    box.add_fault("PUT", "uploads", status=404, body=body)
    pushed = push(source(SMALL).image(), [repository.tagged("1")], registry)

    assert box.has_blob(pushed.layers[0].digest)


def test_a_proxys_400_is_believed_the_second_time(box, registry, repository, source):
    box.add_fault("PATCH", "uploads", status=400, times=99)
    box.add_fault("PUT", "uploads", status=400, times=99)

    with pytest.raises(RegistryError, match="status 400"):
        push(source(SMALL).image(), [repository.tagged("1")], registry)
    assert count(box, "PATCH") == 2


def test_a_line_that_stays_broken_is_given_up_after_six_attempts(box, registry, repository, source):
    box.add_fault("PATCH", "uploads", close=True, times=99)

    with pytest.raises(UnreachableError, match="broke"):
        push(source(SMALL).image(), [repository.tagged("1")], registry)
    assert count(box, "PATCH") == 6


def test_a_registry_that_goes_away_in_the_middle_is_said_so(http, keychain, box, repository, source):
    registry = Registry(http, keychain)
    layers = source(SMALL)
    image = layers.image()

    def going(wanted):
        box.close()
        yield from image.blobs(wanted)

    with pytest.raises(UnreachableError, match="no connection"):
        push(image.__class__(image.config, image.layers, going), [repository.tagged("1")], registry)


def test_a_registry_that_computes_another_digest_stops_the_push(box, registry, repository, source):
    body = b'{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match"}]}'
    box.add_fault("PUT", "uploads", status=400, body=body)

    with pytest.raises(DigestError, match="another digest"):
        push(source(SMALL).image(), [repository.tagged("1")], registry)


def test_a_blob_that_was_altered_on_its_way_stops_the_push(box, registry, repository, source):
    box.add_fault("PUT", "uploads", status=201, headers={"Docker-Content-Digest": str(digest_of(b"else"))})

    with pytest.raises(DigestError, match="altered"):
        push(source(SMALL).image(), [repository.tagged("1")], registry)
    assert box.digest("docker-local/app", "1") is None


@pytest.mark.parametrize("status", [200, 201])
def test_a_registry_that_confirms_another_digest_is_an_error(box, registry, repository, source, status):
    box.add_fault("PUT", "manifests/1$", status=status, headers={"Docker-Content-Digest": str(digest_of(b"else"))})

    with pytest.raises(DigestError, match="was pushed"):
        push(source(SMALL).image(), [repository.tagged("1")], registry)


@pytest.mark.parametrize("body", [b'{"other":1}', None])
def test_a_registry_that_tells_no_digest_is_asked_for_the_manifest_itself(box, registry, repository, source, body):
    """The specification lets it keep the header to itself; then only the bytes say what the tag names."""
    box.add_fault("PUT", "manifests/1$", status=200)  # as a proxy's page; it says nothing
    box.add_fault("HEAD", "manifests/1$", status=200, headers={"Content-Length": "0"}, times=6)
    if body:
        box.add_fault("GET", "manifests/1$", status=200, body=body, times=6)
        box.add_fault("HEAD", "manifests/sha256", status=404, times=6)
    else:
        push(source(SMALL).image(), [repository.tagged("0")], registry)
        manifest = box.blob(box.digest("docker-local/app", "0"))
        box.add_fault("GET", "manifests/1$", status=200, body=manifest)
    with pytest.raises(DigestError, match="was pushed") if body else nullcontext():
        push(source(SMALL).image(), [repository.tagged("1")], registry)
    asked = [one.path.rpartition("/")[2] for one in box.requests if one.method == "GET" and "manifests" in one.path]
    assert asked == ["1"] * (6 if body else 1)


def test_a_tag_that_somebody_else_moved_meanwhile_is_a_note(box, registry, repository, source, events):
    """Two pushes of one tag at once both succeed; each says what it wrote."""
    box.add_fault("HEAD", "manifests/1$", status=200, headers={"Docker-Content-Digest": str(digest_of(b"else"))})
    push(source(SMALL).image(), [repository.tagged("1")], registry, sink=events.append)

    assert any(isinstance(event, Note) and "another image now" in event.text for event in events)


def test_some_tags_pushed_and_some_not_is_told_tag_by_tag(box, registry, repository, source):
    body = b'{"errors":[{"code":"DENIED","message":"the tag cannot be overwritten"}]}'
    box.add_fault("PUT", "manifests/2$", status=403, body=body)
    names = [repository.tagged(tag) for tag in ("1", "2", "3")]

    with pytest.raises(RegistryError) as caught:
        push(source(SMALL).image(), names, registry)
    assert (caught.value.status, caught.value.code) == (403, "DENIED")
    for words in (":1 is pushed", ":3 is pushed", ":2 failed", "cannot be overwritten"):
        assert words in str(caught.value)


@pytest.mark.parametrize("status", [400, 403, 409, 412])
def test_an_immutable_tag_that_names_the_same_image_is_a_success(box, registry, repository, source, status, events):
    one = push(source(SMALL).image(), [repository.tagged("1")], registry)
    box.add_fault("PUT", "manifests/1$", status=status)
    two = push(source(SMALL).image(), [repository.tagged("1")], registry, sink=events.append)

    assert one.digest == two.digest
    assert any(isinstance(event, Note) and "already names the same image" in event.text for event in events)


def test_an_immutable_tag_that_names_another_image_is_an_error_with_both_digests(box, registry, repository, source):
    one = push(source(SMALL).image(), [repository.tagged("1")], registry)
    box.add_fault("PUT", "manifests/1$", status=409)

    with pytest.raises(RegistryError, match="409") as caught:
        push(source(OTHER).image(), [repository.tagged("1")], registry)
    assert str(one.digest) in str(caught.value)
    assert str(caught.value).count("sha256:") == 2
    assert box.digest("docker-local/app", "1") == str(one.digest)


def test_a_registry_that_is_gone_is_not_asked_for_the_other_tags(box, registry, repository, source):
    box.add_fault("PUT", "manifests/2$", close=True, times=99)
    names = [repository.tagged(tag) for tag in ("1", "2", "3")]

    with pytest.raises(UnreachableError, match=":3 was not tried"):
        push(source(SMALL).image(), names, registry)


def test_a_registry_without_head_is_asked_with_get(box, registry, repository, source):
    push(source(SMALL).image(), [repository.tagged("1")], registry)
    box.add_fault("HEAD", ".", status=405, times=9)
    pushed = push(source(SMALL).image(), [repository.tagged("2")], registry)

    assert [layer.fate for layer in (pushed.config, *pushed.layers)] == ["exists"] * 2


def test_a_token_that_ends_during_a_push_is_renewed(box, registry, repository, source):
    challenge = f'Bearer realm="{box.url}/v2/token",service="{box.host}"'
    for method in ("PATCH", "PUT", "HEAD"):
        box.add_fault(method, "v2", status=401, headers={"WWW-Authenticate": challenge})

    assert push(source(LARGE).image(), [repository.tagged("1")], registry).layers[0].fate == "sent"


def test_a_stream_that_is_refused_twice_is_a_matter_of_credentials(box, registry, repository, source):
    challenge = {"WWW-Authenticate": f'Bearer realm="{box.url}/v2/token",service="{box.host}"'}
    box.add_fault("PATCH", "uploads", status=401, headers=challenge, times=99)

    with pytest.raises(AuthenticationError, match="from test"):
        push(source(SMALL).image(), [repository.tagged("1")], registry)
    assert count(box, "PATCH") == 2


def test_who_may_not_push_is_told_so(box, http, repository, source):
    reader = box.add_account("reader", ["read"])
    registry = Registry(http, Keychain({box.host: Credential("reader", reader.password, "connector jfrog")}))

    with pytest.raises(AuthenticationError, match="reader"):
        push(source(SMALL).image(), [repository.tagged("1")], registry)


def test_a_request_that_is_too_large_for_a_proxy_is_explained(box, registry, repository, source):
    box.add_fault("PATCH", "uploads", status=413)

    with pytest.raises(RegistryError, match="413") as caught:
        push(source(SMALL).image(), [repository.tagged("1")], registry)
    assert "proxy" in caught.value.hint


def test_a_push_without_a_name_is_refused(registry, source):
    with pytest.raises(PushError, match="at least one reference"):
        push(source(SMALL).image(), [], registry)


def test_one_failing_layer_ends_the_others(box, registry, repository, source):
    """Nobody wants to wait for gigabytes of an image that will not be complete."""
    released = threading.Event()

    class Slow(io.BytesIO):
        def read(self, size=-1, /):
            released.wait(5)
            return b"x" * size  # for ever

    def blobs(wanted):
        for at in wanted:
            if at == 0:
                yield at, Slow()
            else:
                released.set()
                message = "damaged"
                raise DigestError(message)

    image = source(SMALL, OTHER).image()
    layers = tuple(replace(layer, size=None) for layer in image.layers)
    with pytest.raises(DigestError, match="damaged"):
        push(image.__class__(image.config, layers, blobs), [repository.tagged("1")], registry)


def test_an_interruption_ends_every_worker_soon(box, registry, repository, source, monkeypatch):
    """Ctrl-C in a terminal or a notebook: everything has stopped within seconds."""
    begun, waits = threading.Event(), room.wait

    def interrupted(*words, **named):
        if not begun.is_set() and not asked:
            asked.append(True)
            return waits(*words, **named)  # until the registry has said what it has
        begun.wait(5)
        raise KeyboardInterrupt

    class Endless(io.BytesIO):
        def read(self, size=-1, /):
            begun.set()
            return b"x" * size

    asked = []
    image = source(LARGE).image()
    endless = image.__class__(image.config, image.layers, lambda _: iter([(0, Endless())]))
    monkeypatch.setattr(room, "wait", interrupted)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        push(endless, [repository.tagged("1")], registry)

    assert time.monotonic() - start < 5
    with pytest.raises(CancelledError):
        registry.http.request("GET", box.url)


def test_nothing_secret_is_in_an_error(box, http, repository, source):
    password = Secret("planted-password-1")
    registry = Registry(http, Keychain({box.host: Credential("u", password, "test")}))
    box.add_fault("GET", "token", status=401, body=b"planted-password-1 is wrong")

    with pytest.raises(AuthenticationError) as caught:
        push(source(SMALL).image(), [repository.tagged("1")], registry)
    assert "planted-password-1" not in f"{caught.value!s} {caught.value!r} {caught.value.hint}"


def test_layers_that_are_fetched_from_their_maker_are_not_sent(box, registry, repository, source):
    """Windows base layers: their licence forbids it, and the manifest says where they are."""
    layers = source(SMALL)
    image, digest = layers.image(), digest_of(SMALL)
    foreign = Descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", digest, len(SMALL))
    config = Descriptor(DOCKER_CONFIG, digest_of(image.config), len(image.config))
    manifest = image_manifest(config, [foreign], DOCKER_MANIFEST)
    layer = Layer("base", foreign.media_type, diff_id=digest, digest=digest, size=len(SMALL))
    whole = image.__class__(image.config, (layer,), layers, manifest=manifest, manifest_type=DOCKER_MANIFEST)
    push(whole, [repository.tagged("1")], registry)

    assert layers.opened == []
    assert not box.has_blob(digest)


def test_a_full_preflight_names_the_missing_permission(box, registry, repository):
    box.add_fault("POST", "uploads", status=403, body=b'{"errors":[{"code":"DENIED","message":"no deploy for you"}]}')

    with pytest.raises(AuthenticationError, match="no deploy for you") as caught:
        registry.check_push(repository)
    assert "'docker-local'" in caught.value.hint


def test_a_commit_after_many_failures_names_the_last_reason(box, registry, repository, source):
    box.add_fault("PUT", "uploads", status=503, body=b"under maintenance", times=99)
    box.add_fault("HEAD", "blobs", status=404, times=99)

    with pytest.raises(RegistryError, match="under maintenance"):
        push(source(SMALL).image(), [repository.tagged("1")], registry)


def test_a_secret_that_a_registry_repeats_in_its_error_is_hidden(box, http, repository, source):
    password = Secret("planted-password-2")
    registry = Registry(http, Keychain({box.host: Credential("u", password, "test")}))
    body = json.dumps({"errors": [{"code": "UNKNOWN", "message": f"{'x' * 2040} planted-password-2"}]}).encode()
    box.add_fault("GET", "token", status=401, body=body)
    box.add_fault("POST", "uploads", status=418, body=body)

    with pytest.raises((PushError, AuthenticationError)) as caught:
        push(source(SMALL).image(), [repository.tagged("1")], registry)
    assert "planted" not in f"{caught.value!s} {caught.value!r} {caught.value.hint}"


def test_a_location_that_is_no_address_is_an_error_with_a_hint(box, registry, repository, source):
    box.add_fault("POST", "uploads", status=202, headers={"Location": "http://[bad"})

    with pytest.raises(UnreachableError, match="is not an address"):
        push(source(SMALL).image(), [repository.tagged("1")], registry)


def test_a_failed_layer_does_not_wait_for_one_whose_host_is_silent(box, registry, repository, source):
    """What cannot become complete must not cost minutes; and the client can be used afterwards."""
    image = source(SMALL, LARGE).image()
    box.add_fault("PATCH", "uploads", delay=20)
    box.add_fault("PATCH", "uploads", status=403)
    start = time.monotonic()
    with pytest.raises(RegistryError, match="403"):
        push(image, [repository.tagged("1")], registry)

    assert time.monotonic() - start < 10
    assert registry.http.request("GET", f"{box.url}/artifactory/api/system/ping").ok


# What is told of names


def test_one_name_that_is_refused_is_that_error_and_no_list(box, registry, repository, source):
    box.add_fault("PUT", "manifests/1", status=422, body=b'{"errors":[{"code":"UNSUPPORTED","message":"no"}]}')
    with pytest.raises(RegistryError) as caught:
        push(source(SMALL).image(), [repository.tagged("1")], registry)

    assert str(caught.value) == f"{repository.tagged('1')} was not accepted: status 422: UNSUPPORTED no"
    assert caught.value.pushed == ()


@pytest.mark.parametrize(
    ("tags", "notes"),
    [
        ([], []),
        (["1"], ["r.io/a/b:1 is pushed"]),
        (["1", "2"], ["r.io/a/b:1, r.io/a/b:2 are pushed"]),
        (["1", "2", "3"], ["r.io/a/b:1, r.io/a/b:2, r.io/a/b:3 are pushed"]),
    ],
)
def test_an_interrupt_says_which_tags_stand_for_the_image_all_the_same(tags, notes):
    repository, interrupt = Repository("r.io", "a/b"), KeyboardInterrupt()
    names = [repository.tagged(tag) for tag in tags]
    pushing._note_pushed_tags(interrupt, [*names, repository.at(digest_of(b"x"))])

    assert getattr(interrupt, "__notes__", []) == notes
    assert getattr(interrupt, "pushed", ()) == tuple(map(str, names))


def test_an_interrupt_remembers_the_tags_of_every_repository():
    interrupt = KeyboardInterrupt()
    names = [Repository("r.io", path).tagged("1") for path in ("a/b", "a/c")]
    for name in names:
        pushing._note_pushed_tags(interrupt, [name])

    assert interrupt.pushed == tuple(map(str, names))


def test_an_index_is_told_with_all_its_names_and_its_layers_by_platform(registry, repository, source, events):
    images = tuple(source(SMALL, OTHER).image(platform=Platform("linux", one)) for one in ("amd64", "arm64"))
    names = [repository.tagged("1"), Repository(repository.host, "docker-release/app").tagged("2")]
    pushed = push(Index(images), names, registry, sink=events.append)

    assert pushed.references == tuple(names)
    items = {event.item for event in events if isinstance(event, Progress)}
    assert items == {f"linux/{one} layer {at}/2 (COPY {at - 1})" for one in ("amd64", "arm64") for at in (1, 2)}
