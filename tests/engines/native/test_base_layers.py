"""Whatever way a base image is packed, and wherever the image goes: each diff ID is that of its layer."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import tarfile
import time
from dataclasses import replace

import pytest

try:
    from compression import zstd
except ImportError:
    from backports import zstd

from buildpush.credentials.docker import Credential, Keychain
from buildpush.foundation.errors import DigestError
from buildpush.http.client import Http
from buildpush.images.compression import digest_of
from buildpush.images.references import Reference, Repository
from buildpush.registry.client import Registry
from buildpush.registry.memory import Memory
from buildpush.registry.push import push
from buildpush.transfer.daemon import open_daemon
from buildpush.transfer.docker_archive import write_docker_archive
from buildpush.transfer.oci import write_layout, write_oci_archive

BASE = "base.test/b:1"
NAME = Reference.parse("buildpush.test/bytes:1")
LATER = 3600  # files of a test are young; the build of an hour later trusts their times
KINDS = ("plain", "gzip", "zstd")


def unpacked(data: bytes) -> bytes:
    if data.startswith(b"\x1f\x8b"):
        return gzip.decompress(data)
    return zstd.decompress(data) if data.startswith(b"\x28\xb5\x2f\xfd") else data


def hexed(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def facts(config: bytes, layers: list[bytes]) -> tuple[list[str], list[str]]:
    """Return the diff IDs that a configuration says, and those that its layers have."""
    return json.loads(config)["rootfs"]["diff_ids"], [hexed(unpacked(data)) for data in layers]


def in_layout(read) -> tuple[list[str], list[str]]:
    """Read a layout with nothing of ours."""
    manifest = json.loads(read(json.loads(read("index.json"))["manifests"][0]["digest"]))
    for one in (manifest["config"], *manifest["layers"]):
        assert (len(read(one["digest"])), hexed(read(one["digest"]))) == (one["size"], one["digest"])
    return facts(read(manifest["config"]["digest"]), [read(one["digest"]) for one in manifest["layers"]])


def at(name: str) -> str:
    return f"blobs/{name.replace(':', '/')}" if ":" in name else name


def to_layout(image, tmp_path):
    directory = tmp_path / "layout"
    write_layout(image, directory, [NAME])
    return in_layout(lambda name: (directory / at(name)).read_bytes())


def to_oci_archive(image, tmp_path):
    write_oci_archive(image, tmp_path / "oci.tar", [NAME])
    with tarfile.open(tmp_path / "oci.tar") as tar:
        return in_layout(lambda name: tar.extractfile(at(name)).read())


def to_docker_archive(image, tmp_path):
    write_docker_archive(image, tmp_path / "docker.tar", [NAME])
    with tarfile.open(tmp_path / "docker.tar") as tar:
        (entry,) = json.load(tar.extractfile("manifest.json"))
        layers = [tar.extractfile(name).read() for name in entry["Layers"]]
        return facts(tar.extractfile(entry["Config"]).read(), layers)


FILES = {"oci": to_layout, "oci-archive": to_oci_archive, "docker-archive": to_docker_archive}


@pytest.fixture(params=["with state", "without state"])
def memory(request, tmp_path):
    if request.param == "without state":
        yield None
        return
    with Memory(tmp_path / "memory") as memory:
        yield memory


@pytest.fixture
def builds(directory, make_base, memory):
    """Return a function that gives the image of the first build, and of the second, each to somebody."""

    def build(kind, take, program=None):
        directory.write("a", "A")
        directory.bases[BASE] = make_base({"etc/": "", "etc/one": "1"}, kind=kind, program=program)
        directory.dockerfile(f"FROM {BASE}\nCOPY a /a\nWORKDIR /w\n")
        for _ in ("first", "second"):
            engine = directory.engine(now=lambda: time.time() + LATER, memory=memory)
            with engine.build(directory.request()) as image:
                take(image)
                for layer, raw in zip(image.layers, directory.bytes_of(image), strict=True):
                    if layer.learn:  # as a push does
                        layer.learn(digest_of(raw))

    return build


@pytest.mark.parametrize("sink", FILES)
@pytest.mark.parametrize("kind", KINDS)
def test_files_have_the_diff_ids_of_their_layers(builds, tmp_path, kind, sink):
    def check(image):
        said, found = FILES[sink](image, tmp_path)
        assert said == found
        assert len(said) == 3

    builds(kind, check)


@pytest.mark.sandbox
@pytest.mark.parametrize("kind", KINDS)
def test_a_registry_has_the_diff_ids_of_the_layers(builds, box, memory, kind):
    keychain = Keychain({box.host: Credential(box.username, box.password, "test")})
    repository = Repository(box.host, "docker-local/app")
    with Http() as http:
        registry = Registry(http, keychain, memory=memory)

        def check(image):
            pushed = push(image, [repository.tagged("1")], registry)
            blobs = [registry.request(repository, "GET", f"blobs/{layer.digest}").body for layer in pushed.layers]
            said, found = facts(pushed.config_document, blobs)
            assert said == found == [str(layer.diff_id) for layer in pushed.layers]

        builds(kind, check)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
@pytest.mark.parametrize("sink", FILES)
def test_a_base_image_that_lies_about_its_layer_is_refused_and_nothing_is_written(
    directory, make_base, tmp_path, kind, sink
):
    honest = make_base({"a": "1"}, kind=kind)
    lies = (digest_of(b"else"), honest.layers[0].digest)
    for diff_id in lies:
        directory.bases[BASE] = replace(honest, layers=(replace(honest.layers[0], diff_id=diff_id),))
        with directory.built(f"FROM {BASE}\nENV A=1\n") as image, pytest.raises(DigestError, match="has the diff ID"):
            FILES[sink](image, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.parent != directory.root] == []


@pytest.mark.engines
@pytest.mark.parametrize("kind", KINDS)
def test_a_daemon_loads_and_runs_the_first_build_of_an_image(builds, make_base, need, busybox, tmp_path, kind):
    need("docker")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    runs = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "/bin/busybox", str(NAME), "cat", "/a"]

    def check(image):
        with open_daemon(os.environ, scratch, None, lambda _event: None) as daemon:
            daemon.load(image, NAME)
        try:
            assert subprocess.run(runs, capture_output=True, text=True, check=True).stdout == "A"
        finally:
            subprocess.run(["docker", "image", "rm", "--force", str(NAME)], check=True, capture_output=True)
        write_docker_archive(image, tmp_path / "docker.tar", [NAME])
        try:
            subprocess.run(["docker", "load", "--input", tmp_path / "docker.tar"], check=True, capture_output=True)
            assert subprocess.run(runs, capture_output=True, text=True, check=True).stdout == "A"
        finally:
            subprocess.run(["docker", "image", "rm", "--force", str(NAME)], check=True, capture_output=True)

    builds(kind, check, busybox)


@pytest.mark.engines
@pytest.mark.parametrize("kind", KINDS)
def test_skopeo_takes_the_first_build_from_every_file(builds, need, tmp_path, kind):
    need("skopeo")

    def check(image):
        for sink, place in (("oci", "layout:1"), ("oci-archive", "oci.tar"), ("docker-archive", "docker.tar")):
            said, _ = FILES[sink](image, tmp_path)
            source, copied = f"{sink}:{tmp_path}/{place}", tmp_path / f"copy of {sink}"
            skopeo = ["skopeo", "--insecure-policy"]
            shown = subprocess.run([*skopeo, "inspect", "--config", source], check=True, capture_output=True).stdout
            assert json.loads(shown)["rootfs"]["diff_ids"] == said
            if kind == "zstd":  # which skopeo writes into no other file
                continue
            # The archive of Docker has plain layers: skopeo refuses what does not have its diff ID.
            subprocess.run([*skopeo, "copy", source, f"docker-archive:{copied}"], check=True, capture_output=True)
            copied.unlink()

    builds(kind, check)
