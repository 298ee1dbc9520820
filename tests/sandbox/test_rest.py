"""Artifactory's REST interface: system, repositories, files, properties, builds."""

import json

import pytest

from buildpush.sandbox.builds import read_started, write_started
from buildpush.sandbox.paths import read_properties

API = "/artifactory/api"
MANIFEST = "/docker-local/app/1/manifest.json"
BUILD = {"name": "hello", "number": "42", "started": "2026-10-01T12:00:00.123+0000", "modules": [{"id": "hello:1"}]}


def publish(client, query="", **changes):
    return client.send("PUT", f"{API}/build{query}", body=json.dumps({**BUILD, **changes}).encode())


def message(answer):
    (error,) = answer.json()["errors"]
    assert error["status"] == answer.status
    return error["message"]


# System


@pytest.mark.sandbox
def test_a_ping_needs_no_credentials(client):
    answer = client.send("GET", f"{API}/system/ping", authorization=None)
    assert (answer.status, answer.data) == (200, b"OK")


@pytest.mark.sandbox
def test_the_version_is_new_enough_for_build_info_of_images(client):
    assert client.send("GET", f"{API}/system/version").json()["version"] >= "7.33.3"


@pytest.mark.sandbox
def test_a_stranger_is_asked_for_a_password(client):
    answer = client.send("GET", f"{API}/system/version", authorization=None)
    assert (answer.status, message(answer)) == (401, "Authentication is required")
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="Artifactory Realm"'


@pytest.mark.sandbox
def test_what_the_sandbox_does_not_have_is_said_in_the_usual_form(client):
    answer = client.send("POST", f"{API}/search/nothing", body=b"items.find()")
    assert (answer.status, "/api/search/nothing" in message(answer)) == (404, True)


@pytest.mark.sandbox
def test_a_usage_report_is_taken(client):
    assert client.send("POST", f"{API}/system/usage", body=b"{}").status == 200


@pytest.mark.sandbox
def test_files_are_not_uploaded_in_parts(client):
    assert client.send("GET", f"{API}/v1/uploads/config").json() == {"supported": False}


# Repositories


@pytest.mark.sandbox
def test_a_local_repository_is_described(client):
    document = client.send("GET", f"{API}/repositories/docker-local").json()
    assert (document["key"], document["rclass"], document["packageType"]) == ("docker-local", "local", "docker")


@pytest.mark.sandbox
def test_a_virtual_repository_names_its_members_and_where_it_deploys(client):
    document = client.send("GET", f"{API}/repositories/docker").json()
    assert document["rclass"] == "virtual"
    assert document["repositories"] == ["docker-local", "docker-release"]
    assert document["defaultDeploymentRepo"] == "docker-local"


@pytest.mark.sandbox
def test_an_unknown_repository_is_a_bad_request(client):
    answer = client.send("GET", f"{API}/repositories/nowhere")
    assert (answer.status, message(answer)) == (400, "Bad Request")


@pytest.mark.sandbox
def test_repositories_are_listed_with_their_type(client):
    listed = {one["key"]: one["type"] for one in client.send("GET", f"{API}/repositories").json()}
    assert listed["docker"] == "VIRTUAL"
    assert listed["docker-local"] == listed["docker-release"] == listed["artifactory-build-info"] == "LOCAL"


# Files


@pytest.mark.sandbox
def test_a_file_is_downloaded_by_its_path_through_virtual_repositories_too(client, box):
    digest = client.push("docker-local/app", "1")
    for key in ("docker-local", "docker"):
        answer = client.send("GET", f"/artifactory/{key}/app/1/manifest.json")
        assert client.digest_of(answer.data) == digest
        assert answer.headers["X-Checksum-Sha256"] == digest.removeprefix("sha256:")


@pytest.mark.sandbox
def test_a_file_that_is_not_there_is_not_found(client):
    assert client.send("GET", "/artifactory/docker-local/app/1/manifest.json").status == 404
    assert client.send("GET", "/artifactory/nowhere/app").status == 404


@pytest.mark.sandbox
def test_a_file_is_described_with_its_checksums(client, box):
    digest = client.push("docker-local/app", "1")
    document = client.send("GET", f"{API}/storage{MANIFEST}").json()
    assert (document["repo"], document["path"]) == ("docker-local", "/app/1/manifest.json")
    assert document["checksums"]["sha256"] == digest.removeprefix("sha256:")
    assert document["size"] == str(len(box.blob(digest)))
    assert client.send("GET", document["downloadUri"]).status == 200
    assert client.send("GET", document["uri"]).json() == document


@pytest.mark.sandbox
def test_a_directory_lists_its_children(client):
    client.push("docker-local/team/app", "1")
    client.push("docker-local/team/app", "2")
    assert client.send("GET", f"{API}/storage/docker-local").json()["children"] == [{"uri": "/team", "folder": True}]
    children = client.send("GET", f"{API}/storage/docker-local/team/app/1").json()["children"]
    assert {"uri": "/manifest.json", "folder": False} in children
    assert client.send("GET", f"{API}/storage/docker-local/team/app/3").status == 404


# Properties


@pytest.mark.sandbox
def test_properties_are_set_and_read(client, box):
    client.push("docker-local/app", "1")
    answer = client.send("PUT", f"{API}/storage{MANIFEST}?properties=build.name=a%20b%3Bbuild.number=1,2&recursive=0")
    assert (answer.status, answer.data) == (204, b"")
    shown = client.send("GET", f"{API}/storage{MANIFEST}?properties").json()["properties"]
    assert (shown["build.name"], shown["build.number"]) == (["a b"], ["1", "2"])
    assert client.send("GET", f"{API}/storage{MANIFEST}?properties=build.name").json()["properties"] == {
        "build.name": ["a b"]
    }


@pytest.mark.sandbox
def test_properties_of_a_directory_go_to_everything_below(client, box):
    client.push("docker-local/app", "1")
    assert client.send("PUT", f"{API}/storage/docker-local/app?properties=only=here&recursive=0").status == 204
    assert client.send("PUT", f"{API}/storage/docker-local/app/1?properties=stage=dev").status == 204
    assert box.properties("docker-local", "app") == {"only": ["here"]}
    assert box.properties("docker-local", "app/1") == {"stage": ["dev"]}
    assert all(box.properties("docker-local", path)["stage"] == ["dev"] for path in box.files())


@pytest.mark.sandbox
def test_properties_cannot_be_set_through_a_virtual_repository(client):
    client.push("docker-local/app", "1")
    answer = client.send("PUT", f"{API}/storage/docker/app/1/manifest.json?properties=a=b")
    assert answer.status == 404


@pytest.mark.sandbox
def test_properties_of_nothing_cannot_be_set(client):
    assert client.send("PUT", f"{API}/storage{MANIFEST}?properties=a=b").status == 404
    assert client.send("PUT", f"{API}/storage/docker-local/app?properties=a=b").status == 404


@pytest.mark.sandbox
def test_properties_are_patched_without_escaping(client, box):
    client.push("docker-local/app", "1")
    body = json.dumps({"props": {"a": "x;y=z,", "docker.manifest": None}}).encode()
    assert client.send("PATCH", f"{API}/metadata{MANIFEST}?recursiveProperties=0", body=body).status == 204
    properties = box.properties("docker-local", "app/1/manifest.json")
    assert properties["a"] == ["x;y=z,"]
    assert "docker.manifest" not in properties


@pytest.mark.sandbox
@pytest.mark.parametrize("body", [b"", b"[]", b'{"props": 1}', b'{"props": {"a": "\\ud800"}}', b"[" * 100_000])
def test_a_patch_that_cannot_be_read_is_refused(client, body):
    client.push("docker-local/app", "1")
    assert client.send("PATCH", f"{API}/metadata{MANIFEST}", body=body).status == 400


@pytest.mark.sandbox
def test_properties_are_taken_away(client, box):
    client.push("docker-local/app", "1")
    assert client.send("DELETE", f"{API}/storage{MANIFEST}?properties=sha256,docker.manifest").status == 204
    assert not {"sha256", "docker.manifest"} & box.properties("docker-local", "app/1/manifest.json").keys()
    assert client.send("DELETE", f"{API}/storage{MANIFEST}").status == 400


@pytest.mark.sandbox
def test_properties_need_the_right_to_annotate(client, client_of, box):
    client.push("docker-local/app", "1")
    pusher = client_of(box.add_account("pusher", ["read", "deploy"]))
    answer = pusher.send("PUT", f"{API}/storage{MANIFEST}?properties=a=b")
    assert (answer.status, "pusher" in message(answer)) == (403, True)


@pytest.mark.sandbox
@pytest.mark.parametrize("query", ["", "?properties=noequals", "?properties=%3Dvalue"])
def test_properties_that_cannot_be_read_are_refused(client, query):
    client.push("docker-local/app", "1")
    assert client.send("PUT", f"{API}/storage{MANIFEST}{query}").status == 400


@pytest.mark.parametrize(
    ("text", "properties"),
    [
        ("a=b", {"a": ["b"]}),
        ("a=b;c=d", {"a": ["b"], "c": ["d"]}),
        ("a=b|c=d", {"a": ["b"], "c": ["d"]}),
        ("a=b,c", {"a": ["b", "c"]}),
        ("a=", {"a": [""]}),
        ("a=b=c", {"a": ["b=c"]}),
        (r"a=b\,c", {"a": ["b,c"]}),
        (r"a=b\;c\=d\\e\|f", {"a": [r"b;c=d\e|f"]}),
    ],
)
def test_properties_are_written_as_key_equals_values(text, properties):
    assert read_properties(text) == properties


# Builds


@pytest.mark.sandbox
def test_a_published_build_is_shown_as_it_was_sent_with_the_senders_name(client, box):
    answer = publish(client, artifactoryPrincipal="somebody else", extra={"kept": True})
    assert (answer.status, answer.data) == (204, b"")
    shown = client.send("GET", f"{API}/build/hello/42").json()
    assert shown["buildInfo"] == {**BUILD, "extra": {"kept": True}, "artifactoryPrincipal": box.username}
    assert client.send("GET", shown["uri"]).json() == shown


@pytest.mark.sandbox
def test_a_build_lies_as_a_document_in_its_repository(client, box):
    sha256 = publish(client).headers["X-Checksum-Sha256"]
    assert box.files("artifactory-build-info") == ["hello/42-1790856000123.json"]
    assert json.loads(box.blob(f"sha256:{sha256}"))["name"] == "hello"


@pytest.mark.sandbox
def test_the_same_number_at_another_time_is_a_second_run(client, box):
    publish(client)
    publish(client, started="2026-10-02T12:00:00.000+0000", durationMillis=7)
    assert len(box.builds("hello")) == 2
    assert client.send("GET", f"{API}/build/hello/42").json()["buildInfo"]["durationMillis"] == 7
    asked = client.send("GET", f"{API}/build/hello/42?started=2026-10-01T12:00:00.123%2B0000").json()
    assert asked["buildInfo"]["started"] == BUILD["started"]


@pytest.mark.sandbox
def test_the_same_run_again_replaces_the_first(client, box):
    publish(client)
    publish(client, durationMillis=7)
    (document,) = box.builds("hello")
    assert document["durationMillis"] == 7


@pytest.mark.sandbox
def test_builds_are_listed_by_name_and_number_newest_first(client):
    publish(client)
    publish(client, number="43", started="2026-10-01T14:30:00.000+0200")
    publish(client, name="other/build")
    names = client.send("GET", f"{API}/build").json()["builds"]
    assert {one["uri"] for one in names} == {"/hello", "/other%2Fbuild"}
    numbers = client.send("GET", f"{API}/build/hello").json()["buildsNumbers"]
    assert numbers == [
        {"uri": "/43", "started": "2026-10-01T12:30:00.000+0000"},
        {"uri": "/42", "started": "2026-10-01T12:00:00.123+0000"},
    ]
    assert client.send("GET", f"{API}/build/other%2Fbuild/42").status == 200


@pytest.mark.sandbox
def test_a_build_that_is_not_there_is_not_found(client):
    assert message(client.send("GET", f"{API}/build")) == "No builds were found"
    assert "hello" in message(client.send("GET", f"{API}/build/hello"))
    assert "42" in message(client.send("GET", f"{API}/build/hello/42"))
    publish(client)
    assert client.send("GET", f"{API}/build/hello/42?started=2020-10-01T12:00:00.123%2B0000").status == 404
    assert client.send("GET", f"{API}/build/hello/42?started=yesterday").status == 400


@pytest.mark.sandbox
@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": None},
        {"name": "\ud800"},
        {"number": 42},
        {"started": "yesterday"},
        {"started": "2026-13-01T12:00:00.123+0000"},
        {"modules": {}},
        {"modules": [{}]},
    ],
)
def test_a_build_that_cannot_be_used_is_refused(client, box, changes):
    answer = publish(client, **changes)
    assert (answer.status, message(answer).startswith("Could not insert build")) == (400, True)
    assert box.builds() == []


@pytest.mark.sandbox
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"'])
def test_a_build_that_is_no_document_is_refused(client, body):
    assert client.send("PUT", f"{API}/build", body=body).status == 400


@pytest.mark.sandbox
@pytest.mark.parametrize("query", ["?project=acme", "?buildRepo=docker-local"])
def test_a_build_repository_that_does_not_exist_is_a_bad_request(client, query):
    answer = publish(client, query)
    assert (answer.status, "does not exist" in message(answer)) == (400, True)


@pytest.mark.sandbox
def test_publishing_needs_its_own_right(client_of, box):
    pusher = client_of(box.add_account("pusher", ["read", "deploy", "annotate"]))
    assert publish(pusher).status == 403


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2026-10-01T12:00:00.123+0000", 1790856000123),
        ("2026-10-01T14:00:00.123+02:00", 1790856000123),
        ("2026-10-01T12:00:00.123Z", 1790856000123),
        ("1970-01-01T00:00:00.000+0000", 0),
    ],
)
def test_a_start_time_means_milliseconds(text, milliseconds):
    assert read_started(text) == milliseconds


def test_a_start_time_is_listed_in_utc():
    assert write_started(1790856000023) == "2026-10-01T12:00:00.023+0000"
