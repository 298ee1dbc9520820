"""The Docker daemon's images, with a daemon of paper and with real ones of both image stores."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import subprocess
import tarfile
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from docker.errors import APIError, NotFound

from buildpush.foundation.errors import DigestError, EngineMissingError, PushError
from buildpush.foundation.events import Note, Retry
from buildpush.images.compression import digest_of
from buildpush.images.model import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Index, Platform
from buildpush.images.references import Reference
from buildpush.registry.memory import Memory
from buildpush.transfer.daemon import CONTAINERD, Daemon, connect, open_daemon
from buildpush.transfer.docker_archive import open_docker_archive, write_docker_archive
from buildpush.transfer.oci import write_oci_archive
from buildpush.transfer.oci_layout import open_oci_archive

FIRST, SECOND = b"first " * 50_000, b"second " * 10
NAME = "app:1"


def document(value) -> bytes:
    return json.dumps(value).encode()


def config(*layers: bytes, architecture="amd64") -> bytes:
    ids = [str(digest_of(data)) for data in layers]
    return document({"os": "linux", "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": ids}})


def described(data: bytes, media_type: str, **more):
    return {"mediaType": media_type, "digest": str(digest_of(data)), "size": len(data), **more}


def manifest(settings: bytes, *layers: bytes) -> bytes:
    parts = {"config": described(settings, OCI_CONFIG), "layers": [described(one, OCI_LAYER) for one in layers]}
    return document({"schemaVersion": 2, "mediaType": OCI_MANIFEST, **parts})


def index(*entries) -> bytes:
    return document({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries)})


class Paper:
    """A daemon's client that knows one image and gives it out as Docker does: files by digest, in their order."""

    base_url, timeout = "http://paper", 1

    def __init__(self, identity: bytes, *blobs: bytes, layers=(), containerd=False, version="1.45"):
        self.blobs = blobs
        self.layers = layers
        self.identity = identity
        self.api = self
        self.api_version = version
        self.status = [CONTAINERD] if containerd else []
        self.exports = 0
        self.breaks: list[int] = []
        self.refusal = 200
        self.loaded = b""
        self.says: list[dict[str, str]] = [{"stream": "Loaded image: x"}]

    def info(self):
        return {"DriverStatus": self.status}

    def inspect_image(self, name):
        if name != NAME:
            raise NotFound(name, response=SimpleNamespace(status_code=404))
        listed = [str(digest_of(layer)) for layer in self.layers]
        about = {"Os": "linux", "Architecture": "arm64", "Variant": "v8"}
        return {"Id": str(digest_of(self.identity)), "RootFS": {"Layers": listed}, **about}

    def get(self, _url, **_):
        self.exports += 1
        end = self.breaks.pop(0) if self.breaks else None
        return SimpleNamespace(
            status_code=self.refusal,
            text='{"message": "no space left"}',
            iter_content=lambda size: self._pieces(self._export(), end),
            close=lambda: None,
        )

    def _export(self) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for data in sorted(self.blobs, key=digest_of):
                member = tarfile.TarInfo(f"blobs/sha256/{digest_of(data).hex}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        return buffer.getvalue()

    @staticmethod
    def _pieces(data, end):
        for at in range(0, len(data), 4096):
            if end is not None and at >= end:
                raise ConnectionResetError
            yield data[at : at + 4096]

    def load_image(self, data):
        self.loaded = b"".join(data)
        return iter(self.says)


def overlay(*layers: bytes, **more) -> Paper:
    settings = config(*layers)
    return Paper(settings, settings, *layers, layers=layers, **more)


def read_all(image) -> dict[int, bytes]:
    return {at: reader.read() for at, reader in image.blobs(range(len(image.layers)))}


@pytest.fixture
def memory(tmp_path):
    with Memory(tmp_path / "memory") as one:
        yield one


@pytest.fixture
def events():
    return []


@pytest.fixture
def daemon(tmp_path, events, memory):
    return lambda client: Daemon(client, tmp_path, memory, events.append)


def test_one_export_gives_layers_and_configuration(daemon):
    client = overlay(FIRST, SECOND)
    with daemon(client).image(NAME) as image:
        assert [layer.diff_id for layer in image.layers] == [digest_of(FIRST), digest_of(SECOND)]
        assert image.platform == Platform("linux", "arm64", "v8")
        assert not image.random_access
        assert read_all(image) == {0: FIRST, 1: SECOND}
        assert image.with_config().config == config(FIRST, SECOND)
    assert client.exports == 1


def test_the_configuration_is_remembered_so_that_the_next_time_nothing_is_exported(daemon):
    client = overlay(FIRST)
    for exports in (1, 1):
        with daemon(client).image(NAME) as image:
            assert image.with_config().config == config(FIRST)
        assert client.exports == exports


def test_only_wanted_layers_are_given_and_each_time_an_export_is_asked_for(daemon):
    client = overlay(FIRST, SECOND)
    with daemon(client).image(NAME) as image:
        for at, data in ((1, SECOND), (0, FIRST)):
            assert [(position, reader.read()) for position, reader in image.blobs([at])] == [(at, data)]
    assert client.exports == 2


def test_equal_layers_may_both_be_asked_for(daemon):
    with daemon(overlay(FIRST, FIRST)).image(NAME) as image:
        assert read_all(image) == {0: FIRST, 1: FIRST}


@pytest.mark.parametrize("end", [0, 4096, 200_000])
def test_an_export_that_breaks_is_asked_for_once_more_and_goes_on_where_it_was(daemon, events, end):
    client = overlay(FIRST, SECOND)
    client.breaks = [end]
    with daemon(client).image(NAME) as image:
        assert read_all(image) == {0: FIRST, 1: SECOND}
    assert client.exports == 2
    assert [event.what for event in events if isinstance(event, Retry)] == [f"the export of {NAME}"]


def test_an_export_that_breaks_twice_is_an_error(daemon):
    client = overlay(FIRST)
    client.breaks = [4096, 8192]
    with daemon(client).image(NAME) as image, pytest.raises(PushError, match="went away"):
        read_all(image)


def test_an_image_that_is_not_there_is_named(daemon):
    with pytest.raises(PushError, match="does not have the image other") as caught, daemon(overlay()).image("other"):
        pass
    assert caught.value.exit_code == 4


def test_a_daemon_with_a_full_disk_says_so(daemon):
    client = overlay(FIRST)
    client.refusal = 500
    with daemon(client).image(NAME) as image, pytest.raises(PushError, match="no space left"):
        read_all(image)


def test_a_layer_that_is_not_in_the_export_is_an_error(daemon):
    client = overlay(FIRST, SECOND)
    client.blobs = client.blobs[:2]
    with daemon(client).image(NAME) as image, pytest.raises(PushError, match="has no sha256") as caught:
        read_all(image)
    assert "docker save" in caught.value.hint


def test_a_configuration_that_is_not_what_its_name_says_is_not_taken(daemon):
    client = overlay(FIRST)
    client.blobs = (FIRST,)
    with daemon(client).image(NAME) as image, pytest.raises(PushError, match="has no sha256"):
        image.with_config()


def test_an_older_docker_is_asked_for_the_whole_archive(tmp_path, daemon):
    """Before Docker 25 only the end of the export tells which layer is which."""
    path = tmp_path / "old.tar"
    client = overlay(FIRST, version="1.41")
    with daemon(overlay(FIRST)).image(NAME) as image:
        write_docker_archive(image, path)
    client._export = path.read_bytes
    with daemon(client).image(NAME) as image:
        assert image.random_access
        assert read_all(image) == {0: FIRST}
    assert client.exports == 1


def test_a_full_disk_is_said_to_be_full(daemon, monkeypatch):
    class Full(io.BytesIO):
        def write(self, _part):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, *a, **k: Full() if self.name == "image.tar" else opened(self, *a, **k)
    )
    with pytest.raises(PushError, match="No space left") as caught, daemon(overlay(FIRST, version="1.41")).image(NAME):
        pass
    assert "TMPDIR" in caught.value.hint


# containerd's store keeps what a registry would have: manifests.


def stored(settings: bytes, *layers: bytes) -> Paper:
    return Paper(manifest(settings, *layers), manifest(settings, *layers), settings, *layers, containerd=True)


def test_an_image_of_containerds_store_comes_with_its_manifest(daemon):
    settings = config(FIRST, SECOND)
    client = stored(settings, FIRST, SECOND)
    with daemon(client).image(NAME) as image:
        assert image.manifest == manifest(settings, FIRST, SECOND)
        assert image.config == settings
        assert [layer.size for layer in image.layers] == [len(FIRST), len(SECOND)]
        assert read_all(image) == {0: FIRST, 1: SECOND}
    assert client.exports == 2  # one for the documents


def test_documents_of_containerds_store_are_remembered(daemon):
    client = stored(config(FIRST), FIRST)
    for _ in range(2):
        with daemon(client).image(NAME) as image:
            assert image.manifest
    assert client.exports == 1


def test_an_index_comes_with_its_attestation_from_one_more_export(daemon):
    settings, statement = config(FIRST), document({"_type": "https://in-toto.io/Statement/v0.1"})
    real, about = manifest(settings, FIRST), manifest(config(statement), statement)
    whole = index(
        described(real, OCI_MANIFEST, platform={"os": "linux", "architecture": "amd64"}),
        described(about, OCI_MANIFEST, platform={"os": "unknown", "architecture": "unknown"}),
    )
    client = Paper(whole, whole, real, about, settings, config(statement), statement, FIRST, containerd=True)
    with daemon(client).image(NAME) as found:
        assert isinstance(found, Index)
        assert found.manifest == whole
        assert [read_all(image) for image in found.images] == [{0: FIRST}, {0: statement}]
    assert client.exports == 2


def test_of_an_index_that_is_not_all_there_the_rest_is_left_out_and_said(daemon, events):
    """`docker pull` fetches one platform and keeps the index of all."""
    settings = config(FIRST)
    real = manifest(settings, FIRST)
    whole = index(
        described(real, OCI_MANIFEST, platform={"os": "linux", "architecture": "amd64"}),
        described(b"elsewhere", OCI_MANIFEST, platform={"os": "linux", "architecture": "arm64"}),
    )
    with daemon(Paper(whole, whole, real, settings, FIRST, containerd=True)).image(NAME) as image:
        assert image.manifest == real
    assert [event.text for event in events if isinstance(event, Note)] == [
        "the daemon has only linux/amd64 of app:1: the rest is left out"
    ]


def test_an_index_of_which_nothing_is_there_is_an_error(daemon):
    whole = index(described(b"elsewhere", OCI_MANIFEST))
    with (
        pytest.raises(PushError, match="no image of the index"),
        daemon(Paper(whole, whole, containerd=True)).image(NAME),
    ):
        pass


def test_a_manifest_without_its_configuration_is_an_error(daemon):
    settings = config(FIRST)
    client = Paper(manifest(settings, FIRST), manifest(settings, FIRST), FIRST, containerd=True)
    with pytest.raises(PushError, match="no configuration"), daemon(client).image(NAME):
        pass


# The daemon as a sink.


def test_an_image_is_loaded_as_a_stream_under_its_name(tmp_path, daemon):
    client = overlay()
    with daemon(overlay(FIRST, SECOND)).image(NAME) as image:
        daemon(client).load(image, Reference.parse("new:2"))
    (tmp_path / "loaded.tar").write_bytes(client.loaded)
    found = open_docker_archive(tmp_path / "loaded.tar", "new:2")
    assert read_all(found) == {0: FIRST, 1: SECOND}


def test_what_the_daemon_does_not_take_is_an_error(daemon):
    client = overlay()
    client.says = [{"error": "no space left on device"}]
    with (
        daemon(overlay(FIRST)).image(NAME) as image,
        pytest.raises(PushError, match="rejects the image: no space left"),
    ):
        daemon(client).load(image, Reference.parse("new:2"))


def test_a_daemon_that_refuses_to_load_is_an_error(daemon):
    client = overlay()

    def refuse(_data):
        message = "read-only"
        raise APIError(message)

    client.load_image = refuse
    with daemon(overlay(FIRST)).image(NAME) as image, pytest.raises(PushError, match="refuses to load: read-only"):
        daemon(client).load(image, Reference.parse("new:2"))


def test_a_daemon_that_is_not_there_is_said_to_be_missing(tmp_path):
    with (
        pytest.raises(EngineMissingError, match="does not exist") as caught,
        open_daemon({"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}, tmp_path, None, print),
    ):
        pass
    assert "start Docker" in caught.value.hint


# From here on, the real things.


@pytest.fixture(scope="session")
def old_store(tmp_path_factory, start_daemon):
    with start_daemon(Path(tmp_path_factory.mktemp("dockerd")), "vfs") as host:
        yield host


@pytest.fixture(params=["containerd", "graphdriver"])
def host(request, need):
    """Return the address of a daemon of each image store."""
    need("docker", "dockerd", "unshare")
    if request.param == "containerd":
        said = subprocess.run(["docker", "info"], capture_output=True, text=True, check=True).stdout
        if CONTAINERD[1] not in said:
            pytest.skip("this daemon has the other store")
        return os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    found = request.getfixturevalue("old_store")
    if not found.startswith("unix://"):
        pytest.fail(f"a second daemon does not start: {found}")
    return found


def docker(host, *argv, **more):
    return subprocess.run(["docker", "--host", host, *argv], check=True, capture_output=True, **more).stdout


@pytest.fixture
def built(host, tmp_path):
    """Build a small image with the daemon, and yield its name."""
    context = tmp_path / "context"
    context.mkdir()
    (context / "a").write_bytes(os.urandom(300_000))
    (context / "b").write_text("b")
    (context / "Dockerfile").write_text("FROM scratch\nCOPY a /a\nCOPY b /b\nCOPY b /c\nLABEL x=y\n")
    name = f"buildpush.test/built:{os.getpid()}"
    docker(host, "build", "--quiet", "--tag", name, str(context))
    yield name
    docker(host, "rmi", "--force", name)


@pytest.mark.engines
def test_a_real_image_comes_out_as_docker_has_it(host, built, tmp_path, memory):
    identity = docker(host, "inspect", "--format", "{{.Id}}", built).decode().strip()
    with closing(connect({"DOCKER_HOST": host}, tmp_path)) as client:
        with Daemon(client, tmp_path, memory).image(built) as found:
            written = write_oci_archive(found, tmp_path / "a.tar", ["x"])
        with Daemon(client, tmp_path, memory).image(identity) as again:
            assert isinstance(again, Index) == isinstance(found, Index)
    copy = open_oci_archive(tmp_path / "a.tar", "x")
    image = copy.images[0] if isinstance(copy, Index) else copy
    assert identity in {str(written.digest), str(digest_of(image.config))}
    assert json.loads(image.config)["config"]["Labels"] == {"x": "y"}


@pytest.mark.engines
def test_a_real_image_goes_out_and_in_again(host, built, tmp_path):
    """The daemon takes what we stream to it, compressed layers and plain ones, and knows it by the same layers."""
    layers = "{{json .RootFS.Layers}}"
    name = f"buildpush.test/loaded:{os.getpid()}"
    with closing(connect({"DOCKER_HOST": host}, tmp_path)) as client:
        daemon = Daemon(client, tmp_path)
        with daemon.image(built) as found:
            daemon.load(found.images[0] if isinstance(found, Index) else found, Reference.parse(name))
    try:
        assert docker(host, "inspect", "--format", layers, name) == docker(host, "inspect", "--format", layers, built)
    finally:
        docker(host, "rmi", "--force", name)


@pytest.mark.engines
def test_a_load_that_fails_in_the_middle_leaves_nothing(host, tmp_path, built):
    name = f"buildpush.test/broken:{os.getpid()}"
    with closing(connect({"DOCKER_HOST": host}, tmp_path)) as client:
        broken = _broken(tmp_path)
        with pytest.raises(DigestError):
            Daemon(client, tmp_path).load(broken, Reference.parse(name))
        assert name not in str([image.tags for image in client.images.list()])


def _broken(directory):
    """Return an image whose layer is not what it promises."""
    with Daemon(overlay(FIRST), directory).image(NAME) as image:
        write_docker_archive(image, directory / "whole.tar")
    data = (directory / "whole.tar").read_bytes()
    (directory / "broken.tar").write_bytes(re.sub(rb"first ", b"worst ", data))
    return open_docker_archive(directory / "broken.tar")
