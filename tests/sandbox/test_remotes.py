"""Remote repositories: what they do not have is fetched, kept in a cache, and checked; nothing is pushed to them."""

import errno
import hashlib
import json

import pytest

from buildpush.foundation.errors import SettingsError
from buildpush.sandbox import Sandbox
from buildpush.sandbox.remotes import image_at

pytestmark = pytest.mark.sandbox
ROOT = "/artifactory"
API = "/artifactory/api/repositories"
DAY = 24 * 3600


@pytest.fixture
def far():
    """Yield the sandbox that is fetched from."""
    with Sandbox() as far:
        yield far
        assert not far.failures


@pytest.fixture
def now():
    return [1_790_000_000.0]


@pytest.fixture
def near(far, now):
    """Yield a sandbox with a remote repository ``hub`` for the images of the other one."""
    url = f"{far.url}/artifactory/docker-local"
    with Sandbox(clock=lambda: now[0], remotes={"hub": url}, logins={"hub": (far.username, far.password)}) as near:
        yield near
        assert not near.failures


@pytest.fixture
def upstream(far, connect):
    return connect(far)


@pytest.fixture
def client(near, connect):
    return connect(near)


def requests_for(far, word):
    return [request for request in far.requests if word in request.path and request.method == "GET"]


def test_an_image_is_fetched_with_markers_for_blobs_that_nobody_asked_for(client, upstream, near):
    digest = upstream.push("docker-local/team/app", "1", b"a layer")
    answer = client.send("GET", "/v2/hub/team/app/manifests/1")
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (200, digest)
    files = near.files("hub-cache")
    assert "team/app/1/manifest.json" in files
    assert sum(path.endswith(".marker") for path in files) == 2
    layer = answer.json()["layers"][0]["digest"]
    assert client.send("GET", f"/v2/hub/team/app/blobs/{layer}").data == b"a layer"
    files = near.files("hub-cache")
    assert f"team/app/1/sha256__{layer.removeprefix('sha256:')}" in files
    assert sum(path.endswith(".marker") for path in files) == 1
    properties = near.properties("hub-cache", "team/app/1/manifest.json")
    assert (properties["docker.repoName"], properties["docker.manifest.digest"]) == (["team/app"], [digest])


def test_a_head_of_a_blob_fetches_it_as_jf_expects(client, upstream, near):
    upstream.push("docker-local/app", "1", b"a layer")
    layer = client.send("GET", "/v2/hub/app/manifests/1").json()["layers"][0]["digest"]
    assert client.send("HEAD", f"{ROOT}/api/docker/hub/v2/app/blobs/{layer}").status == 200
    assert near.has_blob(layer)


def test_an_image_of_an_index_is_fetched_by_its_digest_into_a_directory_of_its_own(client, upstream, near):
    digests = [upstream.push("docker-local/app", None, name) for name in (b"one", b"two")]
    index = upstream.make_index(*digests)
    media_type = json.loads(index)["mediaType"]
    assert upstream.put_manifest("docker-local/app", "1", index, media_type).status == 201
    assert client.send("GET", "/v2/hub/app/manifests/1").data == index
    assert client.send("GET", f"/v2/hub/app/manifests/{digests[0]}").status == 200
    files = near.files("hub-cache")
    assert "app/1/list.manifest.json" in files
    assert f"app/sha256__{digests[0].removeprefix('sha256:')}/manifest.json" in files
    assert client.send("GET", "/v2/hub/app/tags/list").json()["tags"] == ["1"]


def test_what_was_fetched_is_not_asked_for_again_until_it_is_old(client, upstream, far, near, now):
    first = upstream.push("docker-local/app", "1", b"first")
    client.send("GET", "/v2/hub/app/manifests/1")
    second = upstream.push("docker-local/app", "1", b"second")
    before = len(requests_for(far, "/manifests/"))
    assert client.send("GET", "/v2/hub/app/manifests/1").headers["Docker-Content-Digest"] == first
    assert len(requests_for(far, "/manifests/")) == before
    now[0] += DAY
    assert client.send("GET", "/v2/hub/app/manifests/1").headers["Docker-Content-Digest"] == second


def test_a_server_that_is_down_is_answered_for_from_the_cache(client, upstream, far, near, now):
    digest = upstream.push("docker-local/app", "1", b"a layer")
    layer = client.send("GET", "/v2/hub/app/manifests/1").json()["layers"][0]["digest"]
    client.send("GET", f"/v2/hub/app/blobs/{layer}")
    far.close()
    now[0] += DAY
    answer = client.send("GET", "/v2/hub/app/manifests/1")
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (200, digest)
    assert client.send("GET", f"/v2/hub/app/blobs/{layer}").data == b"a layer"
    assert client.send("GET", "/v2/hub/app/manifests/2").status == 404
    config = answer.json()["config"]["digest"]
    assert client.send("GET", f"/v2/hub/app/blobs/{config}").status == 404


def test_nothing_is_pushed_to_a_remote_repository(client, near):
    blob = client.send("POST", "/v2/hub/app/blobs/uploads/")
    manifest = client.put_manifest("hub/app", "1", b"{}")
    texts = [one.json()["errors"][0] for one in (blob, manifest)]
    assert texts == [
        {"status": 400, "message": "Unable to upload blobs to a remote repository."},
        {"status": 400, "message": "Unable to upload a manifest to a remote repository."},
    ]
    assert client.send("PUT", f"{ROOT}/hub/file", body=b"").status == 404
    assert client.send("PUT", f"{ROOT}/hub-cache/file", body=b"").status == 404
    assert near.files("hub-cache") == []


def test_a_virtual_repository_fetches_through_its_remote_member_what_no_other_has(client, upstream, near):
    configuration = {"rclass": "virtual", "packageType": "docker", "repositories": ["docker-local", "hub"]}
    assert client.send("PUT", f"{API}/all", body=json.dumps(configuration).encode()).status == 200
    far_digest = upstream.push("docker-local/app", "1", b"far")
    near_digest = client.push("docker-local/app", "2", b"near")
    upstream.push("docker-local/app", "2", b"far too")
    for tag, digest in (("1", far_digest), ("2", near_digest)):
        assert client.send("GET", f"/v2/all/app/manifests/{tag}").headers["Docker-Content-Digest"] == digest
    layer = client.send("GET", "/v2/all/app/manifests/1").json()["layers"][0]["digest"]
    assert client.send("GET", f"/v2/all/app/blobs/{layer}").data == b"far"


def test_a_file_is_fetched_and_kept(client, upstream, far, near, now):
    upstream.send("PUT", f"{ROOT}/generic-local/a%20b/file.txt", body=b"far")
    configuration = {
        "rclass": "remote",
        "packageType": "generic",
        "url": f"{far.url}/artifactory/generic-local",
        "username": far.username,
        "password": far.password.reveal(),
    }
    assert client.send("PUT", f"{API}/files", body=json.dumps(configuration).encode()).status == 200
    shown = client.send("GET", f"{API}/files").data.decode()
    assert far.password.reveal() not in shown
    assert client.send("GET", f"{ROOT}/files/a%20b/file.txt").data == b"far"
    assert near.files("files-cache") == ["a b/file.txt"]
    assert client.send("GET", f"{ROOT}/files/none").status == 404
    far.close()
    now[0] += DAY
    assert client.send("GET", f"{ROOT}/files/a%20b/file.txt").data == b"far"
    assert client.send("DELETE", f"{ROOT}/files-cache/a%20b/file.txt").status == 204
    assert client.send("GET", f"{ROOT}/files/a%20b/file.txt").status == 404


def test_bytes_that_are_not_what_was_asked_for_are_not_kept(client, upstream, far, near):
    upstream.push("docker-local/app", "1", b"a layer")
    layer = client.send("GET", "/v2/hub/app/manifests/1").json()["layers"][0]["digest"]
    path = far._store.content.path(layer.removeprefix("sha256:"))
    path.write_bytes(b"forged!")
    assert client.send("GET", f"/v2/hub/app/blobs/{layer}").status == 404
    assert not near.has_blob(layer)
    assert not near.has_blob(f"sha256:{hashlib.sha256(b'forged!').hexdigest()}")


def test_a_redirect_to_another_host_gets_no_credentials(client, upstream, far, near):
    upstream.push("docker-local/app", "1", b"a layer")
    far.add_fault("GET", "/blobs/sha", store=True, times=None)
    layer = client.send("GET", "/v2/hub/app/manifests/1").json()["layers"][0]["digest"]
    assert client.send("GET", f"/v2/hub/app/blobs/{layer}").data == b"a layer"  # the store refuses credentials


def test_an_account_that_may_not_read_fetches_nothing(client, upstream, far, near, connect):
    upstream.push("docker-local/app", "1")
    limited = near.add_account("limited", repositories=["docker-local"])
    stranger = connect(near, limited.username, limited.password)
    assert stranger.send("GET", "/v2/hub/app/manifests/1").status == 403
    assert requests_for(far, "/manifests/1") == []
    allowed = near.add_account("allowed", repositories=["hub"])
    assert connect(near, allowed.username, allowed.password).send("GET", "/v2/hub/app/manifests/1").status == 200


def test_official_images_of_docker_hub_are_below_library():
    assert image_at("https://registry-1.docker.io", "busybox") == "library/busybox"
    assert image_at("https://registry-1.docker.io", "team/app") == "team/app"
    assert image_at("https://registry.example.com", "busybox") == "busybox"


@pytest.mark.parametrize(
    ("key", "url"),
    [("hub", "ftp://host"), ("docker-local", "http://host"), ("hub", "http://u:p@host"), ("", "http://h")],
)
def test_a_remote_repository_that_cannot_be_is_an_error(key, url):
    with pytest.raises(SettingsError, match="remote repository"), Sandbox(remotes={key: url}):
        pass


def test_a_full_disk_is_not_taken_for_a_server_that_is_down(client, upstream, monkeypatch):
    async def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    upstream.push("docker-local/app", "1", b"a layer")
    layer = client.send("GET", "/v2/hub/app/manifests/1").json()["layers"][0]["digest"]
    monkeypatch.setattr("buildpush.sandbox.remotes.Remotes._receive", full)
    assert client.send("GET", f"/v2/hub/app/blobs/{layer}").status == 507
