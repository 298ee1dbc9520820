"""Files lie where Artifactory keeps them, with the properties that it sets."""

import json

import pytest

pytestmark = pytest.mark.sandbox

APP = "docker-local/team/app"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


def blobs_of(box, digest):
    manifest = json.loads(box.blob(digest))
    return [part["digest"].replace(":", "__") for part in (manifest["config"], *manifest["layers"])]


def test_a_blob_waits_among_the_uploads(client, box):
    blob = client.push_blob(APP, b"1")
    assert box.files() == [f"team/app/_uploads/{blob['digest'].replace(':', '__')}"]


def test_an_image_pushed_by_tag_lies_in_a_directory_of_that_name(client, box):
    digest = client.push(APP, "1")
    assert box.files() == sorted(f"team/app/1/{name}" for name in ("manifest.json", *blobs_of(box, digest)))


def test_an_image_pushed_by_digest_lies_in_a_directory_of_that_name(client, box):
    digest = client.push(APP, None)
    assert f"team/app/{digest}/manifest.json" in box.files()
    assert len(box.files()) == 3


def test_two_tags_are_two_directories_of_the_same_content(client, box):
    digest = client.push(APP, "1")
    assert client.push(APP, "2") == digest
    assert len(box.files()) == 6
    assert box.tags(APP) == ["1", "2"]


def test_a_manifest_has_the_properties_that_artifactory_sets(client, box):
    digest = client.push(APP, "1", labels={"team": "web"})
    assert box.properties("docker-local", "team/app/1/manifest.json") == {
        "artifactory.content-type": ["application/vnd.oci.image.manifest.v1+json"],
        "docker.label.team": ["web"],
        "docker.manifest": ["1"],
        "docker.manifest.digest": [digest],
        "docker.manifest.type": ["application/vnd.oci.image.manifest.v1+json"],
        "docker.repoName": ["team/app"],
        "sha256": [digest.removeprefix("sha256:")],
    }


def test_a_label_that_is_half_a_character_is_stored_as_a_question_mark(client, box):
    client.push(APP, "1", labels={"broken": "\ud800"})
    assert box.properties("docker-local", "team/app/1/manifest.json")["docker.label.broken"] == ["?"]


@pytest.mark.parametrize("config", [b"not json", b"[]", b'{"config": null}', b'{"config": {"Labels": []}}'])
def test_a_config_that_is_not_one_has_no_labels(client, box, config):
    manifest = json.loads(client.make_manifest(APP, b"layer"))
    manifest["config"].update(client.push_blob(APP, config))
    assert client.put_manifest(APP, "1", json.dumps(manifest).encode()).status == 201
    assert not any("label" in key for key in box.properties("docker-local", "team/app/1/manifest.json"))


def test_pushing_a_tag_again_replaces_its_files_and_properties(client, box):
    client.push(APP, "1", b"old")
    box._store.set_properties("docker-local", "team/app/1/manifest.json", {"build.name": ["old"]})
    digest = client.push(APP, "1", b"new")
    assert [path for path in box.files() if "/1/" in path] == sorted(
        f"team/app/1/{name}" for name in ("manifest.json", *blobs_of(box, digest))
    )
    assert "build.name" not in box.properties("docker-local", "team/app/1/manifest.json")


def test_pushing_the_same_again_changes_nothing(client, box):
    client.push(APP, "1")
    before = box.files()
    client.push(APP, "1")
    assert box.files() == before


def test_a_tag_that_is_called_like_a_part_of_another_image_leaves_that_alone(client, box):
    client.push("docker-local/team/app", "1")
    client.push("docker-local/team", "app")
    client.push("docker-local/team", "app", b"other")
    assert box.tags("docker-local/team/app") == ["1"]
    assert box.tags("docker-local/team") == ["app"]


def test_an_index_lies_alone_in_its_directory(client, box):
    digests = [client.push(APP, None, layer) for layer in (b"amd64", b"arm64")]
    assert client.put_manifest(APP, "1", client.make_index(*digests), OCI_INDEX).status == 201
    assert [path for path in box.files() if path.startswith("team/app/1/")] == ["team/app/1/list.manifest.json"]
    assert box.tags(APP) == ["1"]


def test_an_index_of_images_that_are_not_there_is_refused(client, box):
    digest = client.push("docker-local/other", None)
    answer = client.put_manifest(APP, "1", client.make_index(digest), OCI_INDEX)
    assert (answer.status, answer.json()["errors"][0]["code"]) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert box.digest(APP, "1") is None


def test_the_images_of_an_index_may_be_pushed_by_its_tag_in_turn(client, box):
    """Docker's containerd image store does that."""
    digests = [client.push(APP, "1", layer) for layer in (b"amd64", b"arm64", b"s390x")]
    index = client.make_index(*digests)
    assert client.put_manifest(APP, "1", index, OCI_INDEX).status == 201
    assert box.digest(APP, "1") == client.digest_of(index)
    for digest in digests:
        assert client.send("GET", f"/v2/{APP}/manifests/{digest}").status == 200
    assert len(box.files()) == 1 + 3 * 3


def test_a_plain_blob_is_not_taken_for_an_image_of_an_index(client, box):
    blob = client.push_blob(APP, client.make_manifest(APP, b"layer"))
    answer = client.put_manifest(APP, "1", client.make_index(blob["digest"]), OCI_INDEX)
    assert answer.status == 400


def test_what_goes_to_a_virtual_repository_lands_in_its_default(client, box):
    client.push("docker/app", "1")
    assert "app/1/manifest.json" in box.files("docker-local")
    head = client.send("HEAD", "/v2/docker/app/manifests/1")
    assert head.headers["X-Artifactory-Docker-Registry"] == "docker"


def test_a_virtual_repository_shows_what_its_members_have(client, box):
    digest = client.push("docker-release/app", "1")
    assert box.digest("docker/app", "1") == digest
    assert client.send("GET", "/v2/docker/app/tags/list").json()["tags"] == ["1"]


def test_the_box_gives_the_bytes_of_what_it_has(client, box):
    blob = client.push_blob(APP, b"bytes")
    assert box.blob(blob["digest"]) == b"bytes"
    with pytest.raises(KeyError):
        box.blob(client.digest_of(b"other"))
