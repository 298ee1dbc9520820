"""Which layers of an image are its base image's, whoever has built it."""

from __future__ import annotations

import io
import json
import time
from dataclasses import replace
from functools import partial

import pytest

from buildpush.credentials.docker import Credential, Keychain
from buildpush.dockerfile.request import BuildRequest
from buildpush.foundation.events import Note
from buildpush.http.client import Http
from buildpush.http.retry import Retries
from buildpush.images.compression import digest_of
from buildpush.images.model import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Image, Index, Layer, Platform
from buildpush.images.references import Reference
from buildpush.pipeline import base_images
from buildpush.pipeline.base_images import find_base_layers
from buildpush.provenance.statement import PAYLOAD_TYPE, image_in_package_url, package_url
from buildpush.registry.client import Registry
from buildpush.registry.push import push
from buildpush.registry.receipt import receipt
from tests.artifactory.conftest import compact

pytestmark = pytest.mark.sandbox

BASE, OWN = (b"base layer 1\n" * 99, b"base layer 2\n" * 99), (b"own layer\n" * 99,)
NAME, DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
ARCHITECTURES = ("amd64", "arm64")


def blobs_of(contents, positions):
    for at in sorted(positions):
        yield at, io.BytesIO(contents[at])


def image(layers, architecture="amd64", labels=None) -> Image:
    ids = [digest_of(one) for one in layers]
    rootfs = {"type": "layers", "diff_ids": list(map(str, ids))}
    config = {"architecture": architecture, "os": "linux", "rootfs": rootfs, "config": {"Labels": labels or {}}}
    described = tuple(Layer(diff_id=one) for one in ids)
    return Image(compact(config), described, partial(blobs_of, layers), Platform("linux", architecture))


def for_each(layers, **more) -> Index:
    return Index(tuple(image([each + one.encode() for each in layers], one, **more) for one in ARCHITECTURES))


def own(layers, **more) -> Index:
    """Return an index of images with a layer of their own above *layers*."""
    return Index(tuple(image([*(each + one.encode() for each in layers), *OWN], one, **more) for one in ARCHITECTURES))


class Bench:
    """Images in the sandbox, and what is found out about them."""

    def __init__(self, box, http, directory) -> None:
        self.box, self.directory = box, directory
        login = Credential(box.username, box.password, "the test")
        self.keychain = Keychain({box.host: login}, env={}, home=None)
        self.registry = Registry(http, self.keychain)
        self.notes: list[str] = []

    def name(self, text: str) -> Reference:
        return Reference.parse(f"{self.box.host}/docker-local/{text}")

    def push(self, target, name="app:1", compression="gzip"):
        return push(target, [self.name(name)], self.registry, compression=compression)

    def request(self, text: str, **more) -> BuildRequest:
        (self.directory / "Dockerfile").write_text(text.replace("@", f"{self.box.host}/docker-local/"))
        return BuildRequest(self.directory, self.directory / "Dockerfile", (), **more)

    def find(self, pushed, **more):
        def sink(event):
            self.notes += [event.text] if isinstance(event, Note) else []

        return find_base_layers(pushed, self.registry, sink, **more)

    def asked(self) -> list[str]:
        return [one.path for one in self.box.requests if one.method == "GET" and "/v2/docker-local" in one.path]


@pytest.fixture
def bench(box, tmp_path):
    with Http(retries=Retries(attempts=2, base=0.01)) as http:
        yield Bench(box, http, tmp_path)


def digests(pushed, count):
    images = getattr(pushed, "images", (pushed,))
    return {layer.digest for one in images for layer in one.layers[:count]}


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
@pytest.mark.parametrize(("base", "app"), [(image(BASE), image((*BASE, *OWN))), (for_each(BASE), own(BASE))])
def test_layers_of_the_base_in_the_dockerfile_are_found_however_it_is_compressed(bench, base, app, compression):
    bench.push(base, "base:1", compression)
    pushed = bench.push(app)
    found = bench.find(pushed, request=bench.request("FROM @base:1 AS built\nFROM built\nCOPY a /a\n"))
    assert found == digests(pushed, 2)
    assert bench.notes == []


def test_no_layer_is_read_and_a_base_is_asked_for_once(bench):
    bench.push(image(BASE), "base:1")
    pushed = bench.push(image((*BASE, *OWN)))
    before = len(bench.asked())
    bench.find(pushed, request=bench.request("FROM @base:1\n"))
    read = bench.asked()[before:]
    assert [path.split("/")[-2] for path in read] == ["manifests", "blobs"]
    assert read[1].endswith(str(digest_of(image(BASE).config)))


def test_the_last_stage_of_the_target_counts_and_no_other(bench):
    bench.push(image(BASE), "base:1")
    pushed = bench.push(image((*BASE, *OWN)))
    text = "ARG B=nothing\nFROM @$B:1 AS a\nCOPY a /\nFROM @other:1 AS b\nCOPY --from=a /a /\n"
    assert bench.find(pushed, request=bench.request(text, target="a", build_args={"B": "base"})) == digests(pushed, 2)
    assert bench.find(pushed, request=bench.request(text, build_args={"B": "base"})) == frozenset()
    assert "other:1 cannot be fetched" in bench.notes[0]


def test_a_base_that_depends_on_the_platform_is_that_of_each_platform(bench):
    for one in ARCHITECTURES:
        bench.push(image([each + one.encode() for each in BASE], one), f"base:{one}")
    pushed = bench.push(own(BASE))
    assert bench.find(pushed, request=bench.request("ARG TARGETARCH\nFROM @base:$TARGETARCH\n")) == digests(pushed, 2)


def test_an_image_from_scratch_has_no_base_and_no_note(bench):
    pushed = bench.push(image(OWN, labels={NAME: "127.0.0.1:1/never/asked:1"}))
    assert bench.find(pushed, request=bench.request("FROM scratch\nCOPY a /a\n")) == frozenset()
    assert bench.notes == []


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_registry_that_does_not_give_the_base_is_one_note(bench, status):
    bench.push(for_each(BASE), "base:1")
    pushed = bench.push(own(BASE))
    bench.box.add_fault("GET", "/v2/docker-local/base/manifests/", status=status, times=None)
    assert bench.find(pushed, request=bench.request("FROM @base:1\n")) == frozenset()
    [note] = bench.notes
    assert "the base image of" in note
    assert "linux/amd64, linux/arm64" in note


@pytest.mark.parametrize(("status", "requests"), [(403, 1), (404, 1), (500, 2)])
def test_a_base_that_is_not_given_is_not_asked_for_again_for_another_platform(bench, status, requests):
    pushed = bench.push(own(BASE))
    bench.box.add_fault("GET", "/v2/docker-local/base/manifests/", status=status, times=None)
    before = len(bench.asked())
    bench.find(pushed, request=bench.request("FROM @base:1\n"))
    assert len(bench.asked()) - before == requests  # the client makes two attempts here, where repeating may help


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429, "retry_after": 60}, {"delay": 2}, {"close": True}])
def test_a_base_that_cannot_be_read_at_once_is_a_note_and_no_delay(bench, monkeypatch, fault):
    monkeypatch.setattr(base_images, "_SECONDS", 0.3)
    pushed = bench.push(own(BASE))
    bench.box.add_fault("GET", "/v2/docker-local/base/manifests/", times=None, **fault)
    with Http(retries=Retries(base=0.05)) as patient:
        bench.registry = Registry(patient, bench.keychain)
        begun = time.monotonic()
        assert bench.find(pushed, request=bench.request("FROM @base:1\n")) == frozenset()
    assert time.monotonic() - begun < 1.5
    assert "the base image of" in bench.notes[0]


def test_all_bases_of_an_index_together_delay_a_push_no_longer_than_a_limit(bench, monkeypatch):
    monkeypatch.setattr(base_images, "_SECONDS_IN_ALL", 0.3)
    for one in ARCHITECTURES:
        bench.push(image([each + one.encode() for each in BASE], one), f"base:{one}")
    pushed = bench.push(own(BASE))
    bench.box.add_fault("GET", "/v2/docker-local/base/manifests/", times=None, delay=0.2)
    assert bench.find(pushed, request=bench.request("FROM @base:$TARGETARCH\n")) < digests(pushed, 2)
    assert "is not known" in bench.notes[0]


def test_a_host_without_an_answer_is_one_note(bench):
    pushed = bench.push(image((*BASE, *OWN)))
    assert bench.find(pushed, request=bench.request("FROM 127.0.0.1:1/team/base:1\n")) == frozenset()
    [note] = bench.notes
    assert "127.0.0.1:1/team/base:1: no connection" in note


def test_a_tag_that_has_moved_proves_nothing(bench):
    bench.push(image((b"another\n", BASE[0])), "base:1")
    pushed = bench.push(image((*BASE, *OWN)))
    assert bench.find(pushed, request=bench.request("FROM @base:1\n")) == frozenset()
    assert bench.notes[0].endswith(f"it does not begin with the layers of {bench.name('base:1')}")


@pytest.mark.parametrize("pinned", [True, False])
def test_labels_name_the_base_of_an_image_that_was_only_pushed(bench, pinned):
    base = bench.push(for_each(BASE), "base:1")
    more = {DIGEST: str(base.digest)} if pinned else {}
    if pinned:  # the tag has moved since, and another one keeps the base
        bench.push(for_each(BASE), "base:kept")
        bench.push(image(OWN), "base:1")
    bench.push(own(BASE, labels={NAME: str(bench.name("base:1")), **more}))
    pushed = receipt(bench.name("app:1"), bench.registry)
    assert bench.find(pushed) == digests(pushed, 2)
    assert bench.notes == []


def test_annotations_of_the_manifest_come_before_labels(bench):
    bench.push(image(BASE[:1]), "base:1")
    plain = image((*BASE, *OWN), labels={NAME: "127.0.0.1:1/never/asked:1"})
    sent = bench.push(plain, "parts:1")
    notes = {"annotations": {NAME: str(bench.name("base:1"))}}
    annotated = replace(
        receipt(bench.name("parts:1"), bench.registry), manifest=compact(json.loads(sent.manifest) | notes)
    )
    assert bench.find(annotated) == digests(sent, 1)


@pytest.mark.parametrize("labels", [None, {NAME: "A B"}, {NAME: "127.0.0.1:1/a", DIGEST: "sha256:no"}, {DIGEST: "x"}])
def test_without_a_usable_name_the_base_is_not_known(bench, labels):
    pushed = bench.push(image((*BASE, *OWN), labels=labels))
    assert bench.find(pushed) == frozenset()
    assert "nor a provenance names it" in bench.notes[0]


def test_an_image_is_not_its_own_base(bench):
    pushed = bench.push(image((*BASE, *OWN), labels={NAME: str(bench.name("app:1"))}))
    assert bench.find(pushed) == frozenset()
    assert bench.notes[0].endswith("is the image itself")


def attested(subject, predicate, kind="https://slsa.dev/provenance/v0.2"):
    """Return an image with its attestation, as BuildKit stores them."""
    statement = {"_type": "https://in-toto.io/Statement/v0.1", "subject": [], "predicateType": kind}
    data = compact({**statement, "predicate": predicate})
    config = compact({"architecture": "unknown", "os": "unknown", "rootfs": {"diff_ids": [str(digest_of(data))]}})
    layer = {"mediaType": PAYLOAD_TYPE, "digest": str(digest_of(data)), "size": len(data)}
    layer["annotations"] = {"in-toto.io/predicate-type": kind}
    config_entry = {"mediaType": OCI_CONFIG, "digest": str(digest_of(config)), "size": len(config)}
    head = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config_entry}
    layers = (Layer(media_type=PAYLOAD_TYPE, digest=digest_of(data), size=len(data), diff_id=digest_of(data)),)
    beside = Image(
        config,
        layers,
        partial(blobs_of, [data]),
        Platform("unknown", "unknown"),
        True,
        compact({**head, "layers": [layer]}),
    )
    notes = {"vnd.docker.reference.type": "attestation-manifest"}
    notes["vnd.docker.reference.digest"] = str(digest_of(subject.manifest))
    entries = [
        {
            "mediaType": OCI_MANIFEST,
            "digest": str(digest_of(one.manifest)),
            "size": len(one.manifest),
            "platform": {"os": one.platform.os, "architecture": one.platform.architecture},
            **({"annotations": notes} if one is beside else {}),
        }
        for one in (subject, beside)
    ]
    manifest = compact({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
    return Index((subject, beside), manifest)


def with_manifest(target: Image, contents) -> Image:
    """Return *target* as an engine gives it: with its manifest, and plain layers."""
    layers = [{"mediaType": OCI_LAYER, "digest": str(digest_of(one)), "size": len(one)} for one in contents]
    config = {"mediaType": OCI_CONFIG, "digest": str(digest_of(target.config)), "size": len(target.config)}
    manifest = compact({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers})
    described = tuple(
        Layer(digest=digest_of(one), size=len(one), diff_id=digest_of(one), media_type=OCI_LAYER) for one in contents
    )
    return replace(target, layers=described, manifest=manifest)


@pytest.mark.parametrize("version", ["v0.2", "v1"])
@pytest.mark.parametrize("already", [True, False])
def test_the_provenance_of_buildkit_names_the_base_and_the_longest_counts(bench, version, already):
    short, base = bench.push(image(BASE[:1]), "short:1"), bench.push(image(BASE), "base:1")
    other = bench.push(image(OWN), "frontend:1")
    listed = [
        {"uri": "git+https://git.test/a", "digest": {"sha1": "0" * 40}},
        {"uri": "pkg:docker/[", "digest": {"sha256": "0"}},
        "nothing",
        *(
            {
                "uri": f"pkg:docker/{one.references[0].repository}@1?platform=linux%2Famd64",
                "digest": {"sha256": one.digest.hex},
            }
            for one in (other, base, short)
        ),
    ]
    predicate = {"materials": listed} if version == "v0.2" else {"buildDefinition": {"resolvedDependencies": listed}}
    contents = (*BASE, *OWN)
    index = attested(with_manifest(image(contents), contents), predicate, f"https://slsa.dev/provenance/{version}")
    pushed = bench.push(index)
    more = {"built": index} if already else {}
    assert bench.find(pushed, **more) == {layer.digest for layer in pushed.images[0].layers[:2]}
    assert bench.notes == []


@pytest.mark.parametrize("predicate", [{}, {"materials": 1}, {"materials": [{"uri": 1}]}, {"buildDefinition": []}])
def test_a_provenance_that_names_no_image_proves_nothing(bench, predicate):
    pushed = bench.push(attested(with_manifest(image(OWN), OWN), predicate))
    assert bench.find(pushed) == frozenset()
    assert len(bench.notes) == 1


@pytest.mark.parametrize("text", ["docker.io/library/alpine:3", "ghcr.io/a/b:1", "127.0.0.1:5000/a/b/c:1"])
def test_a_purl_is_read_as_it_was_written(text):
    reference, digest = Reference.parse(text), digest_of(b"any")
    url = package_url(reference, Platform("linux", "arm64", "v8"))
    assert image_in_package_url(url, digest) == reference.repository.at(digest)
