"""Repositories: listed by class and type, made, changed and removed by who may do everything."""

import json

import pytest

ROOT = "/artifactory"
API = "/artifactory/api/repositories"

pytestmark = pytest.mark.sandbox


def make(client, key, method="PUT", /, **configuration):
    return client.send(method, f"{API}/{key}", body=json.dumps(configuration).encode())


def keys(client, query=""):
    return [one["key"] for one in client.send("GET", f"{API}{query}").json()]


def message(answer):
    (error,) = answer.json()["errors"]
    return error["message"]


@pytest.mark.parametrize("rclass", ["local", "federated"])
def test_a_repository_is_made_used_and_removed(client, box, rclass):
    assert make(client, "mine", rclass=rclass, packageType="generic", description="for me").status == 200
    shown = client.send("GET", f"{API}/mine").json()
    assert (shown["rclass"], shown["packageType"], shown["description"]) == (rclass, "generic", "for me")
    assert client.send("PUT", f"{ROOT}/mine/a", body=b"a").status == 201
    assert client.send("DELETE", f"{API}/mine").status == 200
    assert client.send("GET", f"{API}/mine").status == 400
    assert client.send("GET", f"{ROOT}/mine/a").status == 404
    assert make(client, "mine", rclass="local").status == 200
    assert box.files("mine") == []


@pytest.mark.parametrize("package_type", ["docker", "oci"])
def test_an_image_goes_into_a_repository_that_was_made_for_images(client, box, package_type):
    make(client, "images", rclass="local", packageType=package_type)
    digest = client.push("images/app", "1")
    assert box.digest("images/app", "1") == digest


def test_an_image_does_not_go_into_a_repository_for_files(client):
    assert client.send("POST", "/v2/generic-local/app/blobs/uploads/").status == 404


def test_a_virtual_repository_shows_its_members_and_deploys_to_one(client, box):
    for key in ("one", "two"):
        make(client, key, rclass="local", packageType="generic")
    configuration = {"rclass": "virtual", "packageType": "generic", "repositories": ["two", "one"]}
    assert make(client, "both", **configuration).status == 200
    for key in ("one", "two"):
        client.send("PUT", f"{ROOT}/{key}/same", body=key.encode())
    assert client.send("GET", f"{ROOT}/both/same").data == b"two"
    assert client.send("PUT", f"{ROOT}/both/new", body=b"").status == 404
    assert make(client, "both", "POST", defaultDeploymentRepo="one").status == 200
    assert client.send("PUT", f"{ROOT}/both/new", body=b"").status == 201
    assert box.files("one") == ["new", "same"]
    client.send("DELETE", f"{API}/one")
    shown = client.send("GET", f"{API}/both").json()
    assert (shown["repositories"], shown["defaultDeploymentRepo"]) == (["two"], None)


def test_repositories_are_listed_by_class_and_package_type(client):
    make(client, "far", rclass="remote", packageType="generic", url="http://127.0.0.1:9/files/")
    assert "far" in keys(client)
    assert "far-cache" not in keys(client)
    assert keys(client, "?type=remote") == ["far"]
    assert keys(client, "?type=virtual") == ["docker"]
    assert keys(client, "?type=local&packageType=generic") == ["generic-local"]
    assert keys(client, "?packageType=oci") == []
    assert client.send("GET", f"{API}/far").json()["url"] == "http://127.0.0.1:9/files"


@pytest.mark.parametrize(
    ("key", "configuration"),
    [
        ("new", {"rclass": "distribution"}),
        ("new", {}),
        ("new", {"rclass": "local", "packageType": "maven"}),
        ("new", {"rclass": "local", "key": "other"}),
        ("new", {"rclass": "local", "description": 1}),
        ("-new", {"rclass": "local"}),
        ("n" * 65, {"rclass": "local"}),
        ("Docker-Local", {"rclass": "local"}),
        ("new", {"rclass": "remote"}),
        ("new", {"rclass": "remote", "url": "file:///etc/passwd"}),
        ("new", {"rclass": "remote", "url": "http://user:word@127.0.0.1/"}),
        ("new", {"rclass": "remote", "url": "http://127.0.0.1:port/"}),
        ("new", {"rclass": "virtual", "repositories": ["docker-local"]}),
        ("new", {"rclass": "virtual", "repositories": "generic-local"}),
        ("new", {"rclass": "virtual", "packageType": "docker", "repositories": ["docker"]}),
        ("new", {"rclass": "virtual", "repositories": ["generic-local"], "defaultDeploymentRepo": "docker-local"}),
    ],
)
def test_a_configuration_that_means_nothing_is_refused(client, key, configuration):
    before = keys(client)
    answer = make(client, key, **configuration)
    assert answer.status == 400
    assert message(answer)
    assert keys(client) == before


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 100_000, b'{"rclass": "local", "description": "\\ud800"}'])
def test_a_configuration_that_cannot_be_read_is_refused(client, body):
    assert client.send("PUT", f"{API}/new", body=body).status == 400


def test_class_and_type_of_a_repository_stay(client):
    assert make(client, "generic-local", "POST", rclass="remote").status == 400
    assert make(client, "generic-local", "POST", packageType="docker").status == 400
    assert make(client, "generic-local", "POST", description="files").status == 200
    assert client.send("GET", f"{API}/generic-local").json()["description"] == "files"


def test_what_is_not_there_or_has_the_builds_is_not_changed(client):
    for key in ("nowhere", "artifactory-build-info"):
        assert make(client, key, "POST", description="x").status == 404
        assert client.send("DELETE", f"{API}/{key}").status == 404


def test_only_who_may_do_everything_administers(client_of, box):
    reader = client_of(box.add_account("reader", ["read", "deploy"]))
    limited = client_of(box.add_account("limited", repositories=["generic-local"]))
    for other in (reader, limited):
        assert make(other, "new", rclass="local").status == 403
        assert other.send("DELETE", f"{API}/generic-local").status == 403
    assert keys(limited) == ["generic-local"]
