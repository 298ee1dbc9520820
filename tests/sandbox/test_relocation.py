"""Copies and moves of files and directories: where they arrive, with what, and what refuses them."""

import json

import pytest

from buildpush.sandbox import Sandbox

ROOT = "/artifactory"
API = "/artifactory/api"

pytestmark = pytest.mark.sandbox


def deploy(client, path, data=b"bytes"):
    assert client.send("PUT", f"{ROOT}/{path}", body=data).status == 201


def relocate(client, verb, source, to, more=""):
    return client.send("POST", f"{API}/{verb}/{source}?to={to}{more}")


def messages(answer):
    return [(one["level"], one["message"]) for one in answer.json()["messages"]]


def test_a_file_is_copied_with_its_properties(client, box):
    deploy(client, "generic-local/app/a.zip;qa=passed")
    answer = relocate(client, "copy", "generic-local/app/a.zip", "/docker-local/kept/b.zip")
    assert answer.status == 200
    [(level, text)] = messages(answer)
    assert (level, "1 artifacts and 0 folders were copied" in text) == ("INFO", True)
    assert (box.files("generic-local"), box.files("docker-local")) == (["app/a.zip"], ["kept/b.zip"])
    assert box.properties("docker-local", "kept/b.zip") == {"qa": ["passed"]}


def test_a_moved_file_is_as_old_as_it_was(connect):
    now = [1_790_000_000.0]
    with Sandbox(clock=lambda: now[0]) as box:
        client = connect(box)
        deploy(client, "generic-local/a;qa=passed")
        now[0] += 60
        assert relocate(client, "move", "generic-local/a", "/generic-local/b").status == 200
        assert relocate(client, "copy", "generic-local/b", "/generic-local/c").status == 200
        moved, copied = (client.send("GET", f"{API}/storage/generic-local/{name}").json() for name in "bc")
        assert moved["created"] == moved["lastModified"] == copied["lastModified"] == "2026-09-21T14:13:20.000Z"
        assert copied["created"] == "2026-09-21T14:14:20.000Z"
        assert box.files("generic-local") == ["b", "c"]
        assert box.properties("generic-local", "b") == {"qa": ["passed"]}
        assert box.properties("generic-local", "a") == {}


@pytest.mark.parametrize(
    ("to", "arrives"),
    [
        ("/generic-local/new", "new/1/a"),
        ("generic-local/new/", "new/1/a"),
        ("/generic-local/there", "there/app/1/a"),
        ("/generic-local", None),
        ("/docker-local", "app/1/a"),
        ("/docker", "app/1/a"),
    ],
)
def test_a_directory_is_copied_to_a_new_name_or_into_one_that_exists(client, box, to, arrives):
    deploy(client, "generic-local/app/1/a")
    client.send("PUT", f"{ROOT}/generic-local/app/empty/;kind=test")
    client.send("PUT", f"{ROOT}/generic-local/there/")
    answer = relocate(client, "copy", "generic-local/app", to)
    if arrives is None:
        assert answer.status == 400  # app is there already
        return
    assert answer.status == 200
    key = "generic-local" if "generic" in to else "docker-local"
    assert arrives in box.files(key)
    assert box.properties(key, f"{arrives.removesuffix('/1/a')}/empty") == {"kind": ["test"]}


def test_a_moved_directory_is_gone_where_it_was(client, box):
    deploy(client, "generic-local/app/1/a")
    deploy(client, "generic-local/app0")
    assert relocate(client, "move", "generic-local/app", "/generic-local/other").status == 200
    assert box.files("generic-local") == ["app0", "other/1/a"]
    assert client.send("GET", f"{API}/storage/generic-local/app").status == 404


def test_a_dry_run_says_the_same_and_does_nothing(client, box):
    deploy(client, "generic-local/app/1/a")
    dry = relocate(client, "move", "generic-local/app", "/docker-local/app", "&dry=1")
    assert (box.files("generic-local"), box.files("docker-local")) == (["app/1/a"], [])
    assert client.send("GET", f"{API}/storage/docker-local/app").status == 404
    assert messages(dry) == messages(relocate(client, "move", "generic-local/app", "/docker-local/app"))


@pytest.mark.parametrize(
    ("source", "to", "status"),
    [
        ("generic-local/nothing", "/generic-local/b", 404),
        ("nowhere/a", "/generic-local/b", 404),
        ("generic-local/a", "/nowhere/b", 404),
        ("generic-local/a", "/artifactory-build-info/b", 404),
        ("generic-local/a", "", 400),
        ("generic-local/a", "/generic-local/..%2Fdocker-local", 400),
        ("generic-local/a", "/generic-local/a", 400),
        ("generic-local/dir", "/generic-local/dir/below", 400),
        ("generic-local/a", "/generic-local/dir/file/below", 409),
        ("docker/a", "/generic-local/b", 404),
    ],
)
def test_what_cannot_be_relocated_is_refused_and_changes_nothing(client, box, source, to, status):
    deploy(client, "generic-local/a")
    deploy(client, "generic-local/dir/file")
    deploy(client, "docker-local/a")
    for verb in ("copy", "move"):
        assert relocate(client, verb, source, to).status == status
    assert (box.files("generic-local"), box.files("docker-local")) == (["a", "dir/file"], ["a"])


def test_what_is_in_the_way_stops_all_or_is_passed_over(client, box):
    for name in ("a", "b", "c"):
        deploy(client, f"generic-local/from/{name}")
    deploy(client, "generic-local/to/from/b/is-a-directory")
    before = box.files("generic-local")
    assert relocate(client, "move", "generic-local/from", "/generic-local/to", "&failFast=1").status == 409
    assert box.files("generic-local") == before
    answer = relocate(client, "move", "generic-local/from", "/generic-local/to", "&failFast=0")
    assert answer.status == 409
    assert [level for level, _ in messages(answer)] == ["ERROR", "INFO"]
    assert box.files("generic-local") == ["from/b", "to/from/a", "to/from/b/is-a-directory", "to/from/c"]


def test_each_side_needs_its_rights(client, client_of, box):
    deploy(client, "generic-local/a")
    deploy(client, "docker-local/b", b"other")
    pusher = client_of(box.add_account("pusher", ["read", "deploy"]))
    limited = client_of(box.add_account("limited", repositories=["docker-local"]))
    assert relocate(pusher, "move", "generic-local/a", "/docker-local/a").status == 403
    assert relocate(pusher, "copy", "generic-local/a", "/docker-local/b").status == 403
    assert relocate(limited, "copy", "generic-local/a", "/docker-local/a").status == 403
    assert relocate(limited, "copy", "docker-local/b", "/generic-local/b").status == 403
    assert relocate(pusher, "copy", "generic-local/a", "/docker-local/a").status == 200


def test_a_copied_image_is_pulled_by_its_new_name(client, box):
    digest = client.push("docker-local/team/app", "1")
    assert relocate(client, "copy", "docker-local/team/app/1", "/docker-release/team/app/2").status == 200
    assert box.digest("docker-release/team/app", "2") == digest
    manifest = client.send("GET", "/v2/docker-release/team/app/manifests/2").json()
    for part in (manifest["config"], *manifest["layers"]):
        assert client.send("GET", f"/v2/docker-release/team/app/blobs/{part['digest']}").status == 200


def test_what_is_no_manifest_gets_no_manifests_name_in_a_repository_for_images(client, box):
    client.push("docker-local/app", "1")
    deploy(client, "generic-local/manifest.json", b"{}")
    path = f"{ROOT}/docker-local/app/2/manifest.json"
    assert client.send("PUT", path, body=b"{}").status == 400
    assert relocate(client, "copy", "generic-local/manifest.json", "/docker-local/app/2/manifest.json").status == 400
    assert box.tags("docker-local/app") == ["1"]
    manifest = client.send("GET", f"{ROOT}/docker-local/app/1/manifest.json").data
    assert client.send("PUT", f"{ROOT}/docker-local/app/2/list.manifest.json", body=manifest).status == 400
    assert client.send("PUT", path, body=manifest).status == 201
    assert json.loads(client.send("GET", "/v2/docker-local/app/manifests/2").data) == json.loads(manifest)


def test_an_immutable_tag_is_replaced_in_no_way(connect):
    with Sandbox(immutable=["docker-release"]) as box:
        client = connect(box)
        first = client.push("docker-release/app", "1")
        client.push("docker-local/app", "1", b"another layer")
        manifest = client.send("GET", f"{ROOT}/docker-local/app/1/manifest.json").data
        assert client.send("PUT", f"{ROOT}/docker-release/app/1/manifest.json", body=manifest).status == 409
        file = "app/1/manifest.json"
        assert relocate(client, "copy", f"docker-local/{file}", f"/docker-release/{file}").status == 409
        assert box.digest("docker-release/app", "1") == first
