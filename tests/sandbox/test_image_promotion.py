"""Docker promotion: an image goes to another repository or tag, whole, or not at all."""

import json

import pytest

from buildpush.sandbox import Sandbox

pytestmark = pytest.mark.sandbox
API = "/artifactory/api/docker"
SAME = {"targetRepo": "docker-release", "dockerRepository": "team/app"}


def promote(client, key="docker-local", **document):
    return client.send("POST", f"{API}/{key}/v2/promote", body=json.dumps(document).encode())


def message(answer):
    (error,) = answer.json()["errors"]
    assert error["status"] == answer.status
    return error["message"]


@pytest.mark.parametrize("copy", [True, False])
def test_a_tag_goes_to_another_repository(client, box, copy):
    digest = client.push("docker-local/team/app", "1")
    client.push("docker-local/team/app", "2")
    answer = promote(client, **SAME, tag="1", copy=copy)
    assert (answer.status, answer.data) == (200, b"Promotion ended successfully")
    assert box.digest("docker-release/team/app", "1") == digest
    assert box.tags("docker-local/team/app") == (["1", "2"] if copy else ["2"])
    manifest = client.send("GET", "/v2/docker-release/team/app/manifests/1").json()
    for part in (manifest["config"], *manifest["layers"]):
        assert client.send("GET", f"/v2/docker-release/team/app/blobs/{part['digest']}").status == 200


def test_a_tag_gets_another_name_and_its_properties_say_so(client, box):
    digest = client.push("docker-local/team/app", "1")
    more = {"targetDockerRepository": "shop", "targetTag": "stable"}
    assert promote(client, **SAME, tag="1", copy=True, **more).status == 200
    assert box.digest("docker-release/shop", "stable") == digest
    properties = box.properties("docker-release", "shop/stable/manifest.json")
    assert (properties["docker.repoName"], properties["docker.manifest"]) == (["shop"], ["stable"])
    assert promote(client, targetRepo="docker-local", dockerRepository="team/app", tag="1", targetTag="2").status == 200
    assert box.tags("docker-local/team/app") == ["2"]


def test_all_tags_go_if_none_is_named(client, box):
    for tag in ("1", "2"):
        client.push("docker-local/team/app", tag)
    assert promote(client, **SAME).status == 200
    assert (box.tags("docker-local/team/app"), box.tags("docker-release/team/app")) == ([], ["1", "2"])


def test_an_index_goes_with_its_images(client, box):
    digests = [client.push("docker-local/team/app", None, name) for name in (b"one", b"two")]
    index = client.make_index(*digests)
    client.put_manifest("docker-local/team/app", "1", index, json.loads(index)["mediaType"])
    assert promote(client, **SAME, tag="1", copy=True).status == 200
    for digest in digests:
        assert client.send("GET", f"/v2/docker-release/team/app/manifests/{digest}").status == 200


def put_index(client, tag, *names):
    """Push an index of images of their own content, and return their digests."""
    digests = [client.push("docker-local/team/app", None, name) for name in names]
    index = client.make_index(*digests)
    assert client.put_manifest("docker-local/team/app", tag, index, json.loads(index)["mediaType"]).status == 201
    return digests


def test_an_index_that_is_moved_takes_the_images_that_no_other_index_has(client, box):
    one, both = put_index(client, "1", b"one", b"both")
    put_index(client, "2", b"both")
    assert promote(client, **SAME, tag="1").status == 200
    for key, there in (("docker-local", [both]), ("docker-release", [one, both])):
        found = [client.send("GET", f"/v2/{key}/team/app/manifests/{digest}").status for digest in (one, both)]
        assert found == [200 if digest in there else 404 for digest in (one, both)]
    assert not [path for path in box.files("docker-local") if one in path]


def test_an_index_that_gets_another_tag_keeps_its_images(client, box):
    (one,) = put_index(client, "1", b"one")
    same = {**SAME, "targetRepo": "docker-local"}
    assert promote(client, **same, tag="1", targetTag="2").status == 200
    assert box.tags("docker-local/team/app") == ["2"]
    assert client.send("GET", f"/v2/docker-local/team/app/manifests/{one}").status == 200


def test_what_was_at_the_target_is_replaced_whole(client, box):
    single = client.push("docker-local/team/app", "1")
    children = [client.push("docker-release/team/app", None, b"child")]
    index = client.make_index(*children)
    client.put_manifest("docker-release/team/app", "1", index, json.loads(index)["mediaType"])
    assert promote(client, **SAME, tag="1", copy=True).status == 200
    assert box.digest("docker-release/team/app", "1") == single


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"targetRepo": ""}, 400),
        ({"dockerRepository": None}, 400),
        ({"tag": 1}, 400),
        ({"targetRepo": "docker-local"}, 400),
        ({"targetRepo": "docker-local", "targetTag": "1"}, 400),
        ({"dockerRepository": "../other"}, 400),
        ({"targetRepo": "nowhere"}, 404),
        ({"dockerRepository": "team/none"}, 404),
        ({"tag": "9"}, 404),
    ],
)
def test_what_cannot_be_promoted_is_refused_and_stays(client, box, changes, status):
    client.push("docker-local/team/app", "1")
    answer = promote(client, **{**SAME, "tag": "1", **changes})
    assert answer.status == status
    assert message(answer)
    assert box.tags("docker-local/team/app") == ["1"]
    assert box.files("docker-release") == []


def test_a_body_that_cannot_be_read_is_refused(client):
    for body in (b"", b"[]", b"[" * 10_000):
        assert client.send("POST", f"{API}/docker-local/v2/promote", body=body).status == 400


def test_rights_and_immutable_tags_count(client_of, connect):
    with Sandbox(immutable=["docker-release"]) as box:
        client = connect(box)
        client.push("docker-local/team/app", "1", b"new")
        pusher = box.add_account("pusher", ["read", "deploy"])
        assert promote(connect(box, pusher.username, pusher.password), **SAME, tag="1").status == 403
        before = client.push("docker-release/team/app", "1", b"old")
        assert promote(client, **SAME, tag="1", copy=True).status == 409
        assert box.digest("docker-release/team/app", "1") == before
