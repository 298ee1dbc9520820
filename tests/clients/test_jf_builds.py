"""What JFrog's own commands do with builds after they are published, and how they log in: results, not exit codes."""

from __future__ import annotations

import hashlib
import json
import time

import pytest
import urllib3

from buildpush.sandbox import Sandbox
from tests.clients.conftest import JFrog

pytestmark = pytest.mark.engines
OCI = "application/vnd.oci.image"


def push_image(box, name="docker-local/team/hello", tag="1"):
    """Push an image with one layer, and return its manifest."""
    headers = urllib3.make_headers(basic_auth=f"{box.username}:{box.password.reveal()}")

    def blob(data, kind):
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        url = f"{box.url}/v2/{name}/blobs/uploads/?digest={digest}"
        assert pool.request("POST", url, body=data, headers=headers).status == 201
        return {"mediaType": f"{OCI}.{kind}", "digest": digest, "size": len(data)}

    with urllib3.PoolManager(retries=False) as pool:
        config = blob(b'{"os": "linux", "architecture": "amd64", "config": {}}', "config.v1+json")
        manifest = {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": config}
        body = json.dumps({**manifest, "layers": [blob(b"layer", "layer.v1.tar")]}).encode()
        address = f"{box.url}/v2/{name}/manifests/{tag}"
        answer = pool.request("PUT", address, body=body, headers={**headers, "Content-Type": f"{OCI}.manifest.v1+json"})
        assert answer.status == 201
    return answer.headers["Docker-Content-Digest"]


@pytest.fixture
def publish(jf, box, tmp_path):
    """Return a function that records an image and publishes it as a run of the build ``shop``."""

    def publish(number, *options, name="shop"):
        digest = push_image(box)
        file = tmp_path / "image"
        file.write_text(f"{box.host}/docker-local/team/hello:1@{digest}\n")
        words = ("--image-file", file, f"--build-name={name}", f"--build-number={number}")
        jf.run("rt", "build-docker-create", "docker-local", *words)
        jf.run("rt", "build-publish", name, number, *options)
        return digest

    return publish


def numbers(box, name="shop"):
    return [build["number"] for build in box.builds(name)]


def test_overwrite_leaves_one_run_of_a_number(publish, box):
    publish("7")
    publish("7")
    publish("8")
    assert numbers(box) == ["8", "7", "7"]
    publish("7", "--overwrite")
    assert numbers(box) == ["7", "8"]
    assert len(box.files("artifactory-build-info")) == 2


@pytest.mark.parametrize("copy", [True, False])
def test_a_promoted_build_is_pulled_from_its_new_repository(publish, jf, box, copy):
    digest = publish("7")
    words = ("--status=released", "--comment=ready", "--props=stage=prod;by=a,b", f"--copy={copy}".lower())
    jf.run("rt", "build-promote", "shop", "7", "docker-release", *words)
    assert box.digest("docker-release/team/hello", "1") == digest
    assert box.digest("docker-local/team/hello", "1") == (digest if copy else None)
    properties = box.properties("docker-release", "team/hello/1/manifest.json")
    assert (properties["stage"], properties["by"], properties["build.name"]) == (["prod"], ["a", "b"], ["shop"])
    [status] = box.builds("shop")[0]["statuses"]
    assert (status["status"], status["comment"], status["repository"]) == ("released", "ready", "docker-release")


def test_a_dry_run_of_a_promotion_moves_nothing(publish, jf, box):
    digest = publish("7")
    jf.run("rt", "build-promote", "shop", "7", "docker-release", "--status=released", "--dry-run")
    assert box.digest("docker-local/team/hello", "1") == digest
    assert box.files("docker-release") == []
    assert "statuses" not in box.builds("shop")[0]


def test_a_build_that_lacks_a_file_is_not_promoted(publish, jf, box):
    publish("7")
    push_image(box, tag="2")
    box._store.remove([box._store.file("docker-local", "team/hello/1/manifest.json")])
    jf.run("rt", "build-promote", "shop", "7", "docker-release", fails=True)
    assert box.files("docker-release") == []


def test_a_build_with_a_slash_in_its_name_is_promoted(publish, jf, box):
    """jf escapes the slash of a name only here."""
    publish("7", name="team/shop")
    jf.run("rt", "build-promote", "team/shop", "7", "docker-release", "--status=released")
    assert box.builds("team/shop")[0]["statuses"][0]["status"] == "released"


def test_old_runs_are_discarded(publish, jf, box):
    for number in ("1", "2", "3", "4"):
        publish(number)
    jf.run("rt", "build-promote", "shop", "1", "docker-local", "--status=released")
    jf.run("rt", "build-discard", "shop", "--max-builds=1", "--exclude-builds=2")
    assert numbers(box) == ["4", "2", "1"]
    jf.run("rt", "build-discard", "shop", "--max-days=1")
    assert numbers(box) == ["4", "2", "1"]


def test_the_files_of_discarded_runs_are_deleted_on_request(publish, jf, box):
    publish("1")
    jf.run("rt", "build-publish", "shop", "2")
    jf.run("rt", "build-discard", "shop", "--max-builds=1", "--delete-artifacts")
    assert numbers(box) == ["2"]
    assert box.digest("docker-local/team/hello", "1") is None


@pytest.mark.parametrize("name", ["shop", "web shop", "a:b"])
def test_a_build_is_appended_with_the_checksums_of_its_document(publish, jf, box, name):
    publish("7", name=name)
    jf.run("rt", "build-append", "all", "1", name, "7")
    jf.run("rt", "build-publish", "all", "1")
    [module] = box.builds("all")[0]["modules"]
    assert (module["id"], module["type"]) == (f"{name}/7", "build")
    [document] = [path for path in box.files("artifactory-build-info") if "/7-" in path]
    entry = box._store.file("artifactory-build-info", document)
    assert (module["sha1"], module["md5"]) == (entry.checksums.sha1, entry.checksums.md5)


# Logins


@pytest.fixture
def earlier(need):
    """Yield a sandbox whose clock is an hour late, so that for jf its tokens are over at once."""
    need("jf")
    with Sandbox(clock=lambda: time.time() - 3700) as box:
        yield box
        assert not box.failures


def answers(box, path):
    """Return user, method and status of the requests for a path with this part."""
    return [(request.username, request.method, request.status) for request in box.requests if path in request.path]


def server_of(jf):
    [server] = json.loads((jf.home / "jfrog-cli.conf.v6").read_text())["servers"]
    return server


def test_a_password_is_exchanged_for_a_token_that_is_renewed(earlier, tmp_path):
    login = {"user": earlier.username, "password": earlier.password.reveal(), "tokenRefreshInterval": 60}
    jf = JFrog(earlier, tmp_path / "jf", **login)
    jf.run("rt", "build-publish", "shop", "1")
    assert numbers(earlier) == ["1"]
    made = answers(earlier, "/security/token")
    assert made[:2] == [("developer", "POST", 200)] * 2
    assert answers(earlier, "/api/build") == [("developer", "PUT", 204)]
    server = server_of(jf)
    assert server["accessToken"]
    assert server["artifactoryRefreshToken"]


def test_a_platform_token_is_renewed_where_it_was_made(earlier, tmp_path):
    headers = urllib3.make_headers(basic_auth=f"{earlier.username}:{earlier.password.reveal()}")
    with urllib3.PoolManager() as pool:
        body = json.dumps({"expires_in": 3600, "refreshable": True})
        made = pool.request("POST", f"{earlier.url}/access/api/v1/tokens", body=body, headers=headers).json()
    jf = JFrog(earlier, tmp_path / "jf", accessToken=made["access_token"], refreshToken=made["refresh_token"])
    jf.run("rt", "build-publish", "shop", "1")
    assert numbers(earlier) == ["1"]
    assert set(answers(earlier, "/access/api/v1/tokens")) == {("developer", "POST", 200)}
    assert server_of(jf)["refreshToken"] != made["refresh_token"]
