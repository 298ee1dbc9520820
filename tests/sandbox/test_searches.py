"""Searches that are older than AQL, and the summary of the storage."""

import hashlib
import json
from urllib.parse import unquote

import pytest

API = "/artifactory/api"
BUILD = {"name": "hello", "started": "2026-10-01T12:00:00.123+0000"}

pytestmark = pytest.mark.sandbox


def deploy(client, path, data=b"data"):
    answer = client.send("PUT", f"/artifactory/generic-local/{path}", body=data)
    assert answer.status == 201, answer.data


@pytest.fixture
def files(client):
    """Deploy three files, of which two have properties."""
    deploy(client, "lib/App-1.0.zip;qa=ok,late;os=linux", b"one")
    deploy(client, "lib/old/app-0.9.zip;qa=no", b"two")
    deploy(client, "readme.txt", b"one")


def search(client, query, **headers):
    answer = client.send("GET", f"{API}/search/{query}", headers=headers)
    assert answer.status == 200, answer.data
    return answer.json()["results"]


def paths(client, query):
    prefix = f"{client.box.url}{API}/storage/"
    return [unquote(row["uri"].removeprefix(prefix)) for row in search(client, query)]


def message(answer):
    (error,) = answer.json()["errors"]
    return error["status"], error["message"]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("artifact?name=APP", "lib/App-1.0.zip lib/old/app-0.9.zip"),
        ("artifact?name=*.zip", ""),
        ("artifact?name=readme&repos=docker-local", ""),
        ("artifact?name=readme&repos=docker-local,generic-local", "readme.txt"),
        ("prop?qa=ok", "lib/App-1.0.zip"),
        ("prop?qa=no,late", "lib/App-1.0.zip lib/old/app-0.9.zip"),
        ("prop?qa", "lib/App-1.0.zip lib/old/app-0.9.zip"),
        ("prop?qa=*&os=lin*", "lib/App-1.0.zip"),
        ("prop?qa=no&os=linux", ""),
        (f"checksum?sha256={hashlib.sha256(b'two').hexdigest()}", "lib/old/app-0.9.zip"),
        (f"checksum?md5={hashlib.md5(b'one').hexdigest().upper()}", "lib/App-1.0.zip readme.txt"),
        (f"checksum?sha1={hashlib.sha1(b'none').hexdigest()}", ""),
    ],
)
def test_a_search_answers_the_addresses_of_files(client, query, found):
    assert sorted(paths(client, query)) == sorted(f"generic-local/{path}" for path in found.split())


@pytest.mark.usefixtures("files")
def test_a_header_asks_for_all_that_is_known_of_a_file(client):
    (row,) = search(client, "prop?qa=ok", **{"X-Result-Detail": "info, properties"})
    assert (row["path"], row["size"], row["properties"]) == (
        "/lib/App-1.0.zip",
        "3",
        {"os": ["linux"], "qa": ["ok", "late"]},
    )


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("generic-local:lib/*.zip", ["lib/App-1.0.zip"]),
        ("generic-local:*/*/app-?.9.zip", ["lib/old/app-0.9.zip"]),
        ("docker-local:lib/*", []),
    ],
)
def test_a_wildcard_of_a_pattern_stops_at_a_slash(client, pattern, found):
    answer = client.send("GET", f"{API}/search/pattern?pattern={pattern}").json()
    assert (answer["files"], answer["sourcePattern"]) == (found, pattern)


def test_files_are_found_by_the_time_they_were_made(client):
    deploy(client, "readme.txt")
    (row,) = search(client, "creation?from=1000&repos=generic-local")
    assert row["created"] > "2026"
    (row,) = search(client, "dates?from=1000&dateFields=lastModified,lastDownloaded&repos=generic-local")
    assert set(row) == {"uri", "lastModified"}
    answer = client.send("GET", f"{API}/search/creation?from=1000&to=2000")
    assert message(answer) == (404, "No results found.")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("artifact", "'name' is missing"),
        ("prop?repos=generic-local", "at least one property"),
        ("checksum", "at least one of sha256, sha1, md5"),
        ("creation", "'from' parameter cannot be empty!"),
        ("creation?from=today", "milliseconds since 1970"),
        (f"dates?from={'9' * 400}", "milliseconds since 1970"),
        ("dates?from=1&dateFields=born", "Date field name 'born' unknown!"),
        ("pattern?pattern=generic-local", "is not KEY:PATH"),
        ("pattern?pattern=generic-local:**/a", "'**' is not supported"),
    ],
)
def test_a_search_for_nothing_is_refused(client, query, words):
    status, text = message(client.send("GET", f"{API}/search/{query}"))
    assert (status, words in text) == (400, True), text


# Of a build


def publish(client, number, *contents, **changes):
    artifacts = [{"name": text, "sha1": hashlib.sha1(text.encode()).hexdigest()} for text in contents]
    document = {**BUILD, "number": number, "modules": [{"id": "m", "artifacts": artifacts}], **changes}
    assert client.send("PUT", f"{API}/build", body=json.dumps(document).encode()).status == 204


@pytest.mark.usefixtures("files")
def test_the_artifacts_of_a_build_are_found_by_their_checksum(client):
    publish(client, "41", "two")
    publish(client, "42", "one", started="2026-10-02T12:00:00.123+0000")
    listed = f"{API}/builds/buildArtifacts/hello/41/artifactory-build-info"
    assert client.send("GET", listed).json() == [{"repo": "generic-local", "path": "lib/old", "name": "app-0.9.zip"}]
    body = json.dumps({"buildName": "hello", "buildNumber": "LATEST", "repos": ["generic-local"]}).encode()
    rows = client.send("POST", f"{API}/search/buildArtifacts", body=body).json()["results"]
    assert [row["downloadUri"].rpartition("/")[2] for row in rows] == ["App-1.0.zip", "readme.txt"]


@pytest.mark.usefixtures("files")
def test_copies_that_are_of_no_build_are_left_out_if_others_have_its_properties(client):
    publish(client, "42", "one")
    client.send("PUT", f"{API}/storage/generic-local/readme.txt?properties=build.name=hello;build.number=42")
    rows = client.send("GET", f"{API}/builds/buildArtifacts/hello/42/artifactory-build-info").json()
    assert [row["name"] for row in rows] == ["readme.txt"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"buildName":"hello"}', 400),
        (b'{"buildName":"hello","buildNumber":"1","mappings":[]}', 400),
        (b'{"buildName":"\\ud800","buildNumber":"1"}', 400),
        (b'{"buildName":"hello","buildNumber":"1","repos":[1]}', 400),
        (b'{"buildName":"hello","buildNumber":"1"}', 404),
        (b'{"buildName":"hello","buildNumber":"LATEST"}', 404),
    ],
)
def test_artifacts_of_no_build_are_an_error(client, body, status):
    assert client.send("POST", f"{API}/search/buildArtifacts", body=body).status == status


def test_a_build_whose_files_are_not_there_is_an_error(client):
    publish(client, "42", "nowhere")
    answer = client.send("GET", f"{API}/builds/buildArtifacts/hello/42/artifactory-build-info")
    assert answer.status == 404


# The storage


@pytest.mark.usefixtures("files")
def test_the_summary_counts_equal_contents_once(client):
    document = client.send("GET", f"{API}/storageinfo").json()
    binaries = document["binariesSummary"]
    assert (binaries["binariesCount"], binaries["artifactsCount"], binaries["binariesSize"]) == ("2", "3", "6 bytes")
    assert binaries["optimization"] == "66.67%"
    rows = {row["repoKey"]: row for row in document["repositoriesSummaryList"]}
    generic = rows["generic-local"]
    assert (generic["filesCount"], generic["foldersCount"], generic["usedSpaceInBytes"]) == (3, 2, 9)
    assert (rows["docker"]["repoType"], rows["TOTAL"]["itemsCount"]) == ("VIRTUAL", 5)
    assert document["fileStoreSummary"]["totalSpace"].endswith("B")
    assert client.send("POST", f"{API}/storageinfo/calculate").status == 202


def test_the_summary_is_for_administrators(box, client_of):
    other = client_of(box.add_account("reader", ["read"]))
    assert other.send("GET", f"{API}/storageinfo").status == 403
    assert other.send("POST", f"{API}/storageinfo/calculate").status == 403


@pytest.mark.usefixtures("files")
def test_an_account_finds_only_what_it_may_read(box, client_of):
    other = client_of(box.add_account("writer", ["deploy"]))
    assert search(other, "artifact?name=app") == []
