"""Layers of types that are not distributed: left out with a word about it, or taken along by switch.

An address in a manifest is a stranger's: it gets no credentials, leads nowhere near us, and gives what was promised.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile

import pytest

import buildpush
from buildpush.foundation.errors import DigestError, PushError, UnsupportedError
from buildpush.foundation.events import Note
from buildpush.http.urls import AddressError
from buildpush.images.model import DOCKER_CONFIG, DOCKER_MANIFEST
from buildpush.transfer.docker_archive import open_docker_archive
from buildpush.transfer.oci_layout import open_layout, open_oci_archive
from tests.hostile.registry import Reply, digest_of

pytestmark = pytest.mark.sandbox

FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
TYPES = [
    FOREIGN,
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
]
PLAIN = "application/vnd.docker.image.rootfs.diff.tar.gzip"
SWITCH = "allow_nondistributable_artifacts"
PATH = "/windows/base"


def tar(name: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        made.addfile(tarfile.TarInfo(name))
    return file.getvalue()


BASE, OWN = tar("base"), tar("own")


def packed(data: bytes, media_type: str = FOREIGN) -> bytes:
    return gzip.compress(data, mtime=0) if media_type.endswith("gzip") else data


@pytest.fixture
def windows(serve):
    """Return the function that starts a registry with an image whose base is not distributed."""

    def start(*, has=True, urls=(), media_type=FOREIGN, gives=None, system="linux"):
        server = serve()
        base, own = packed(BASE, media_type), packed(OWN)
        ids = [digest_of(BASE), digest_of(OWN)]
        rootfs = {"type": "layers", "diff_ids": ids}
        config = json.dumps({"os": system, "architecture": "amd64", "rootfs": rootfs}).encode()
        server.blobs |= {digest_of(config): config, digest_of(own): own}
        if has:
            server.blobs[digest_of(base)] = base
        own_url = f"{server.url}{PATH}"
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": DOCKER_MANIFEST,
                "config": {"mediaType": DOCKER_CONFIG, "digest": digest_of(config), "size": len(config)},
                "layers": [
                    {
                        "mediaType": media_type,
                        "digest": digest_of(base),
                        "size": len(base),
                        "urls": list(urls) or [own_url],
                    },
                    {"mediaType": PLAIN, "digest": digest_of(own), "size": len(own)},
                ],
            }
        ).encode()
        for name in ("1", digest_of(manifest)):
            server.manifests["src/app", name] = (DOCKER_MANIFEST, manifest)
        reply = gives or Reply(200, {}, base)
        server.quirks.append(lambda request, _: reply if request.path == PATH else None)
        server.base, server.document = digest_of(base), manifest
        return server

    return start


@pytest.fixture
def moved(tmp_path):
    """Return the function that copies in an empty directory, and gives the notes."""

    def moved(source, sink, **more):
        told = []
        buildpush.copy(source, sink, cwd=tmp_path, sink=told.append, **more)
        return [event.text for event in told if isinstance(event, Note)]

    return moved


@pytest.fixture
def origin(windows, moved):
    """Return the function that makes a source of a kind, which has the layer or not, and what holds it."""

    def origin(kind, *, has, **more):
        server = windows(has=has or kind != "docker", **more)
        source = f"docker://{server.host}/src/app:1"
        if kind != "docker":
            moved(source, f"{kind}:from", **({SWITCH: True} if has else {}))
            source = f"{kind}:from"
        return source, server

    return origin


def held(directory, sink, goal):
    """Return the manifest and the digests of the blobs that are in a sink."""
    if sink == "docker":
        return goal.manifests["dst/app", "1"][1], set(goal.blobs)
    read = open_layout if sink == "oci" else open_oci_archive
    files = (
        [path.name for path in (directory / "to" / "blobs").rglob("*")] if sink == "oci" else members(directory / "to")
    )
    return read(directory / "to").manifest, {f"sha256:{name}" for name in files}


def members(path):
    with tarfile.open(path) as archive:
        return [name.rpartition("/")[2] for name in archive.getnames()]


KEEPERS = ["docker", "oci", "oci-archive"]


@pytest.mark.parametrize("sink", KEEPERS)
@pytest.mark.parametrize("source", KEEPERS)
@pytest.mark.parametrize("has", [True, False])
def test_without_the_switch_the_layer_stays_behind_and_one_note_says_so(
    origin, serve, moved, tmp_path, source, sink, has
):
    place, server = origin(source, has=has)
    goal = serve()
    before = len(server.asked("GET", PATH))
    notes = moved(place, f"docker://{goal.host}/dst/app:1" if sink == "docker" else f"{sink}:to")
    manifest, blobs = held(tmp_path, sink, goal)
    assert manifest == server.document
    assert server.base not in blobs
    assert digest_of(packed(OWN)) in blobs
    assert len([note for note in notes if "not distributed" in note]) == 1
    assert len(server.asked("GET", PATH)) == before


@pytest.mark.parametrize("sink", KEEPERS)
@pytest.mark.parametrize("source", KEEPERS)
def test_with_the_switch_the_layer_comes_from_a_source_that_has_it(origin, serve, moved, tmp_path, source, sink):
    place, server = origin(source, has=True)
    goal = serve()
    notes = moved(place, f"docker://{goal.host}/dst/app:1" if sink == "docker" else f"{sink}:to", **{SWITCH: True})
    manifest, blobs = held(tmp_path, sink, goal)
    assert manifest == server.document
    assert server.base in blobs
    assert not server.asked("GET", PATH)
    assert not [note for note in notes if "not distributed" in note]


@pytest.mark.parametrize("sink", KEEPERS)
@pytest.mark.parametrize("media_type", TYPES)
def test_with_the_switch_the_layer_comes_from_its_address_where_the_source_has_it_not(
    windows, serve, moved, tmp_path, sink, media_type
):
    server, goal = windows(has=False, media_type=media_type), serve()
    place = f"docker://{goal.host}/dst/app:1" if sink == "docker" else f"{sink}:to"
    env = {"DOCKER_AUTH_CONFIG": json.dumps({"auths": {server.host: {"username": "u", "password": "planted-pass"}}})}
    moved(f"docker://{server.host}/src/app:1", place, env=env, **{SWITCH: True})
    manifest, blobs = held(tmp_path, sink, goal)
    assert manifest == server.document
    assert server.base in blobs
    [asked] = server.asked("GET", PATH)
    assert "Authorization" not in asked.headers, "an address is a stranger's, even at the registry's own host"


@pytest.mark.parametrize("has", [True, False])
def test_a_docker_archive_takes_the_layer_by_switch_and_is_refused_without(windows, moved, tmp_path, has):
    server = windows(has=has)
    source = f"docker://{server.host}/src/app:1"
    with pytest.raises(UnsupportedError, match="not distributed") as caught:
        moved(source, "docker-archive:to:app:1")
    assert "allow_nondistributable_artifacts" in caught.value.hint
    assert not (tmp_path / "to").exists()
    moved(source, "docker-archive:to:app:1", **{SWITCH: True})
    with tarfile.open(tmp_path / "to") as archive:
        layers = json.load(archive.extractfile("manifest.json"))[0]["Layers"]
        assert [gzip.decompress(archive.extractfile(name).read()) for name in layers] == [BASE, OWN]


def test_the_next_address_is_asked_where_one_does_not_have_the_layer(serve, moved, windows):
    other = serve(lambda request, _: Reply(200, {}, packed(BASE)) if request.path == "/there" else None)
    server, goal = windows(has=False, urls=[f"{other.url}/gone", f"{other.url}/there"]), serve()
    moved(f"docker://{server.host}/src/app:1", f"docker://{goal.host}/dst/app:1", **{SWITCH: True})
    assert server.base in goal.blobs


def endless():
    while True:
        yield bytes(65536)


LIES = {
    "other bytes": (Reply(200, {}, bytes(len(packed(BASE)))), DigestError, "arrived with the digest"),
    "too many": (Reply(200, {}, packed(BASE) + b"x"), DigestError, "were expected"),
    "no end": (Reply(200, {}, endless()), DigestError, "were expected"),
    "too few": (Reply(200, {}, packed(BASE)[:-1]), DigestError, "arrived with the digest"),
    "a redirect to this link": (
        Reply(302, {"Location": "http://169.254.169.254/latest/meta-data"}),
        AddressError,
        "169.254.169.254",
    ),
    "nothing": (Reply(404), PushError, "cannot be fetched from anywhere"),
    "a login": (Reply(401, {"WWW-Authenticate": 'Basic realm="x"'}), PushError, "cannot be fetched from anywhere"),
}


@pytest.mark.parametrize("sink", KEEPERS)
@pytest.mark.parametrize("lie", LIES)
def test_an_address_that_lies_is_an_error_before_a_name_moves(windows, serve, moved, tmp_path, sink, lie):
    reply, error, says = LIES[lie]
    server, goal = windows(has=False, gives=reply), serve()
    place = f"docker://{goal.host}/dst/app:1" if sink == "docker" else f"{sink}:to"
    with pytest.raises(error, match=says):
        moved(f"docker://{server.host}/src/app:1", place, **{SWITCH: True})
    assert not goal.manifests
    assert server.base not in goal.blobs
    assert not (tmp_path / "to").exists()
    assert all("Authorization" not in request.headers for request in server.asked("GET", PATH))


UNSAFE = [
    "http://example.com/base",
    "https://127.0.0.1:{port}/base",
    "https://2130706433:{port}/base",
    "https://[::ffff:10.0.0.1]/base",
    "https://10.0.0.1/base",
    "https://169.254.169.254/base",
    "https://localhost:{port}/base",
    "https://u:planted-pass@example.com/base",
    "https://example.com\\@127.0.0.1:{port}/base",
    "file:///etc/passwd",
    "//example.com/base",
]


@pytest.mark.parametrize("url", UNSAFE)
@pytest.mark.parametrize("kind", ["oci", "oci-archive"])
def test_an_image_in_a_file_leads_nowhere_near_us(origin, serve, moved, kind, url):
    near, goal = serve(), serve()
    place, _ = origin(kind, has=False, urls=[url.format(port=near.server_port)])
    with pytest.raises(AddressError) as caught:
        moved(place, f"docker://{goal.host}/dst/app:1", **{SWITCH: True})
    assert "planted-pass" not in str(caught.value)
    assert not near.requests
    assert not goal.manifests


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "file:///etc/passwd", "no address at all", ""])
def test_an_image_of_a_registry_leads_nowhere_where_that_one_may_not(windows, serve, moved, url):
    server, goal = windows(has=False, urls=[url]), serve()
    with pytest.raises(AddressError):
        moved(f"docker://{server.host}/src/app:1", f"docker://{goal.host}/dst/app:1", **{SWITCH: True})
    assert not goal.manifests


@pytest.mark.parametrize("urls", [None, 7, "https://example.com", [], [7, None], {"a": 1}])
def test_addresses_of_any_form_stop_no_copy_without_the_switch(windows, serve, moved, urls):
    server, goal = windows(), serve()
    document = json.loads(server.document)
    document["layers"][0]["urls"] = urls
    server.manifests["src/app", "1"] = (DOCKER_MANIFEST, json.dumps(document).encode())
    goal.quirks.append(lenient)
    moved(f"docker://{server.host}/src/app:1", f"docker://{goal.host}/dst/app:1")
    assert json.loads(goal.manifests["dst/app", "1"][1]) == document


def lenient(request, registry):
    """Take a manifest whatever is not there."""
    if request.method != "PUT" or not request.is_manifest:
        return None
    registry.manifests["dst/app", "1"] = (request.headers["Content-Type"], request.body)
    return Reply(201, {"Docker-Content-Digest": digest_of(request.body)})


@pytest.mark.parametrize("switch", [True, False])
def test_push_and_merge_take_the_switch(windows, serve, tmp_path, switch):
    server, goal = windows(has=False), serve()
    source, name = f"docker://{server.host}/src/app:1", f"{goal.host}/dst/app"
    told = []
    buildpush.merge(f"{name}:all", source, cwd=tmp_path, sink=told.append, **{SWITCH: switch})
    assert (server.base in goal.blobs) is switch
    goal.blobs.pop(server.base, None)
    buildpush.push(source, f"{name}:1", cwd=tmp_path, sink=told.append, **{SWITCH: switch})
    assert (server.base in goal.blobs) is switch
    notes = [event.text for event in told if isinstance(event, Note) and "not distributed" in event.text]
    assert len(notes) == (0 if switch else 2)
    assert goal.manifests["dst/app", "1"][1] == server.document


@pytest.mark.parametrize("switch", [True, False])
@pytest.mark.parametrize("wish", [{"compression": "gzip"}, {"media_types": "oci"}])
def test_a_manifest_that_alone_says_what_is_not_distributed_is_not_written_anew(windows, serve, moved, wish, switch):
    server, goal = windows(), serve()
    with pytest.raises(UnsupportedError, match="not distributed"):
        moved(f"docker://{server.host}/src/app:1", f"docker://{goal.host}/dst/app:1", **wish, **{SWITCH: switch})
    assert not goal.manifests


# Steps

VARIABLE = "PLUGIN_ALLOW_NONDISTRIBUTABLE_ARTIFACTS"


@pytest.fixture
def step(serve, tmp_path, monkeypatch):
    """Return the function that runs a step in an empty directory, and gives the registry it pushed to and its notes."""
    goal = serve()

    def run(**variables):
        monkeypatch.chdir(tmp_path)
        for name, value in {"REPO": f"{goal.host}/dst/app", "TAGS": "1", "ENGINE": "native", **variables}.items():
            monkeypatch.setenv(f"PLUGIN_{name}", value)
        told = []
        result = buildpush.run(sink=told.append)
        return goal, result, [event.text for event in told if isinstance(event, Note)]

    return run


@pytest.mark.parametrize("switch", [True, False])
def test_a_step_that_pushes_what_is_there_takes_the_layer_by_its_setting(origin, step, monkeypatch, switch):
    _, server = origin("oci-archive", has=True)
    if switch:
        monkeypatch.setenv(VARIABLE, "true")
    goal, _, notes = step(PUSH_ONLY="true", SOURCE_TAR_PATH="from")

    assert goal.manifests["dst/app", "1"][1] == server.document
    assert (server.base in goal.blobs) == switch
    assert any("not distributed" in text for text in notes) != switch


def test_a_file_that_a_step_pushes_leads_nowhere_near_us(origin, step, monkeypatch):
    origin("oci-archive", has=False)
    monkeypatch.setenv(VARIABLE, "true")
    with pytest.raises(AddressError, match="not safe"):
        step(PUSH_ONLY="true", SOURCE_TAR_PATH="from")


@pytest.mark.parametrize("kind", ["push", "tar"])
def test_a_step_that_builds_takes_the_layer_of_its_base_from_its_maker_by_its_setting(
    windows, step, tmp_path, monkeypatch, kind
):
    server = windows(has=False)
    (tmp_path / "Dockerfile").write_text(f"FROM {server.host}/src/app:1\nLABEL a=b\n")
    more = {"TAR_PATH": "made.tar", "DRY_RUN": "true"} if kind == "tar" else {}
    with pytest.raises(PushError):
        step(**more)
    monkeypatch.setenv(VARIABLE, "true")
    goal, result, _ = step(**more)

    if kind == "push":
        manifest = json.loads(goal.manifests["dst/app", "1"][1])
        assert not any(".foreign." in layer["mediaType"] for layer in manifest["layers"])
        assert server.base in goal.blobs
    else:
        assert result.output == f"docker-archive:{tmp_path / 'made.tar'}"
        assert digest_of(BASE) in {str(layer.diff_id) for layer in open_docker_archive(tmp_path / "made.tar").layers}


def test_a_build_without_a_push_takes_the_layer_by_its_keyword(windows, step, tmp_path, monkeypatch):
    server = windows(has=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text(f"FROM {server.host}/src/app:1\nLABEL a=b\n")
    with pytest.raises(PushError):
        buildpush.build(output="oci:to", engine="native")
    buildpush.build(output="oci:to", engine="native", **{SWITCH: True})
    assert digest_of(BASE) in {str(layer.diff_id) for layer in open_layout(tmp_path / "to").layers}
