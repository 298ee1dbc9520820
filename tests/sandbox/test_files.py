"""Files of every repository: deployed with checksums and properties, downloaded, deleted; odd paths end in 4xx."""

import contextlib
import hashlib
import http.client
import json
import sqlite3
import time
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildpush.sandbox import Sandbox
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.paths import read_path

ROOT = "/artifactory"
STORAGE = "/artifactory/api/storage"
FILE = "generic-local/app/1.0/app.zip"
DATA = b"twelve bytes"


def sums(data=DATA):
    return {kind: hashlib.new(kind, data).hexdigest() for kind in ("sha1", "md5", "sha256")}


def deploy(client, path=FILE, data=DATA, **headers):
    return client.send(
        "PUT", f"{ROOT}/{path}", body=data, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )


def message(answer):
    (error,) = answer.json()["errors"]
    assert error["status"] == answer.status
    return error["message"]


def describe(client, path=FILE):
    return client.send("GET", f"{STORAGE}/{path}").json()


# Deploying and downloading


@pytest.mark.sandbox
def test_a_file_is_deployed_and_downloaded_with_its_checksums(client):
    answer = deploy(client)
    document = answer.json()
    assert (answer.status, answer.headers["Location"]) == (201, document["uri"])
    assert (document["repo"], document["path"], document["size"]) == ("generic-local", "/app/1.0/app.zip", "12")
    assert (document["checksums"], document["mimeType"]) == (sums(), "application/zip")
    downloaded = client.send("GET", document["downloadUri"])
    assert downloaded.data == DATA
    assert downloaded.headers["X-Checksum-Sha1"] == sums()["sha1"]
    head = client.send("HEAD", document["downloadUri"])
    assert (head.status, head.headers["Content-Length"], head.headers["X-Checksum-Md5"]) == (200, "12", sums()["md5"])


@pytest.mark.sandbox
def test_a_range_of_a_file_is_downloaded(client):
    deploy(client)
    part = client.send("GET", f"{ROOT}/{FILE}", headers={"Range": "bytes=7-"})
    assert (part.status, part.data, part.headers["Content-Range"]) == (206, b"bytes", "bytes 7-11/12")
    assert client.send("GET", f"{ROOT}/{FILE}", headers={"Range": "bytes=12-"}).status == 416


@pytest.mark.sandbox
def test_a_file_that_a_browser_could_run_is_only_saved(client):
    deploy(client, "generic-local/page.html", b"<script>alert(1)</script>")
    headers = client.send("GET", f"{ROOT}/generic-local/page.html").headers
    assert headers["Content-Disposition"].startswith("attachment")
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("X_Checksum", "sha256"),
        ("X_Checksum", "sha1"),
        ("X_Checksum_Sha1", "sha1"),
        ("X_Checksum_Md5", "md5"),
        ("X_Checksum_Sha256", "sha256"),
    ],
)
def test_a_file_that_is_not_what_was_promised_is_a_conflict(client, box, header, kind):
    assert deploy(client, **{header: sums()[kind].upper()}).status == 201
    answer = deploy(client, "generic-local/other", b"other", **{header: sums()[kind]})
    assert (answer.status, kind in message(answer)) == (409, True)
    assert box.files("generic-local") == ["app/1.0/app.zip"]


@pytest.mark.sandbox
def test_a_checksum_of_no_known_length_is_refused(client, box):
    assert deploy(client, X_Checksum="abc").status == 400
    assert box.files("generic-local") == []


@pytest.mark.sandbox
def test_a_stored_content_is_deployed_by_its_checksums_alone(client):
    by_checksum = {"X_Checksum_Deploy": "true", "X_Checksum_Sha1": sums()["sha1"], "X_Checksum": sums()["sha256"]}
    answer = deploy(client, "generic-local/copy", b"", **by_checksum)
    assert (answer.status, sums()["sha1"] in message(answer)) == (404, True)
    deploy(client)
    assert deploy(client, "generic-local/copy", b"", **by_checksum).status == 201
    assert client.send("GET", f"{ROOT}/generic-local/copy").data == DATA
    contradicting = {**by_checksum, "X_Checksum_Sha1": sums(b"other")["sha1"]}
    assert deploy(client, "generic-local/copy", b"", **contradicting).status == 404
    assert deploy(client, "generic-local/copy", b"", X_Checksum_Deploy="true").status == 400


@pytest.mark.sandbox
def test_a_file_goes_through_a_virtual_repository_into_the_local_one(client, box):
    answer = deploy(client, "docker/notes.txt")
    assert (answer.status, answer.json()["repo"]) == (201, "docker-local")
    assert box.files("docker-local") == ["notes.txt"]


@pytest.mark.sandbox
@pytest.mark.parametrize("key", ["nowhere", "artifactory-build-info"])
def test_a_repository_that_takes_no_files_is_not_found(client, key):
    answer = deploy(client, f"{key}/file")
    assert (answer.status, key in message(answer)) == (404, True)
    assert client.send("DELETE", f"{ROOT}/{key}/file").status == 404


@pytest.mark.sandbox
def test_a_file_that_breaks_off_leaves_nothing(client, box):
    box.add_fault("PUT", "/generic-local/", after=4)
    with pytest.raises(Exception, match=r"(?i)connection"):
        deploy(client)
    assert box.files("generic-local") == []
    until = time.monotonic() + 5  # the client may know of the break before the server does
    while list(box._store.content._incoming.iterdir()):
        assert time.monotonic() < until


@pytest.mark.sandbox
def test_an_archive_is_not_unpacked_in_silence(client):
    assert deploy(client, X_Explode_Archive="true").status == 400


# Properties


@pytest.mark.sandbox
def test_matrix_parameters_are_properties_of_the_file(client, box):
    assert deploy(client, f"{FILE};qa=passed;tag=a;tag=b;text=a+b%3B%2Cc%3Dd;build.name=x").status == 201
    assert box.properties("generic-local", "app/1.0/app.zip") == {
        "build.name": ["x"],
        "qa": ["passed"],
        "tag": ["a", "b"],
        "text": ["a b;,c=d"],
    }


@pytest.mark.sandbox
def test_a_file_that_is_replaced_loses_its_properties(client, box):
    deploy(client, f"{FILE};qa=passed")
    deploy(client)
    assert box.properties("generic-local", "app/1.0/app.zip") == {}


@pytest.mark.sandbox
@pytest.mark.parametrize("parameters", [";=b", ";%ff=1", ";a=%ff"])
def test_matrix_parameters_that_cannot_be_read_are_refused(client, box, parameters):
    assert deploy(client, f"{FILE}{parameters}").status == 400
    assert box.files("generic-local") == []


# Directories


@pytest.mark.sandbox
def test_a_directory_is_made_and_may_be_empty(client):
    answer = client.send("PUT", f"{ROOT}/generic-local/empty/inside/;kind=test")
    assert (answer.status, answer.json()["path"]) == (201, "/empty/inside")
    assert client.send("GET", f"{STORAGE}/generic-local/empty").json()["children"] == [
        {"uri": "/inside", "folder": True}
    ]
    shown = client.send("GET", f"{STORAGE}/generic-local/empty/inside?properties").json()
    assert shown["properties"] == {"kind": ["test"]}


@pytest.mark.sandbox
def test_a_directory_has_no_content(client):
    assert deploy(client, "generic-local/dir/").status == 400


@pytest.mark.sandbox
def test_a_file_and_a_directory_cannot_have_one_path(client, box):
    deploy(client)
    assert deploy(client, f"{FILE}/below").status == 409
    assert deploy(client, "generic-local/app/1.0").status == 409
    assert client.send("PUT", f"{ROOT}/{FILE}/").status == 409
    assert box.files("generic-local") == ["app/1.0/app.zip"]
    assert client.send("GET", f"{ROOT}/generic-local/app/1.0").status == 404


# Deleting


@pytest.mark.sandbox
def test_a_deleted_file_is_gone_and_its_directory_stays(client):
    deploy(client)
    assert client.send("DELETE", f"{ROOT}/{FILE}").status == 204
    assert client.send("GET", f"{ROOT}/{FILE}").status == 404
    answer = client.send("DELETE", f"{ROOT}/{FILE}")
    assert (answer.status, "Nothing to delete" in message(answer)) == (404, True)
    assert describe(client, "generic-local/app/1.0")["children"] == []


@pytest.mark.sandbox
@pytest.mark.parametrize("path", ["generic-local/app", "generic-local/app/"])
def test_a_directory_is_deleted_with_everything_below_it(client, box, path):
    deploy(client)
    deploy(client, "generic-local/app0")
    client.send("PUT", f"{STORAGE}/generic-local/app?properties=a=b")
    assert client.send("DELETE", f"{ROOT}/{path}").status == 204
    assert client.send("GET", f"{STORAGE}/generic-local/app").status == 404
    assert box.files("generic-local") == ["app0"]
    deploy(client)
    assert box.properties("generic-local", "app") == box.properties("generic-local", "app/1.0/app.zip") == {}


@pytest.mark.sandbox
def test_nothing_is_deleted_through_a_virtual_repository_but_where_it_deploys(client, box):
    deploy(client, "docker-release/notes.txt")
    assert client.send("DELETE", f"{ROOT}/docker/notes.txt").status == 404
    assert box.files("docker-release") == ["notes.txt"]


@pytest.mark.sandbox
def test_a_deleted_tag_leaves_no_empty_directories(client):
    digest = client.push("docker-local/team/app", "1")
    client.push("docker-local/team/app", "2")
    assert client.send("DELETE", f"/v2/docker-local/team/app/manifests/{digest}").status == 202
    assert [one["uri"] for one in describe(client, "docker-local/team/app")["children"]] == ["/_uploads"]


# Rights


@pytest.mark.sandbox
def test_each_act_needs_its_own_right(client, client_of, box):
    reader = client_of(box.add_account("reader", ["read"]))
    pusher = client_of(box.add_account("pusher", ["read", "deploy"]))
    answer = deploy(reader)
    assert (answer.status, "reader" in message(answer)) == (403, True)
    assert deploy(pusher).status == 201
    assert deploy(pusher).status == 201  # the same bytes
    answer = deploy(pusher, data=b"other")
    assert (answer.status, "delete" in message(answer).lower()) == (403, True)
    assert pusher.send("DELETE", f"{ROOT}/{FILE}").status == 403
    assert pusher.send("GET", f"{ROOT}/{FILE}").data == DATA


@pytest.mark.sandbox
def test_a_content_that_one_may_not_read_cannot_be_deployed_by_its_checksum(client, client_of, box):
    deploy(client, "docker-local/secret")
    limited = client_of(box.add_account("limited", repositories=["generic-local"]))
    answer = deploy(limited, FILE, b"", X_Checksum_Deploy="true", X_Checksum=sums()["sha256"])
    assert answer.status == 404
    assert deploy(limited, "docker-local/other").status == deploy(limited, "docker/other").status == 403
    assert limited.send("GET", f"{ROOT}/docker-local/secret").status == 403


# Times and users


@pytest.mark.sandbox
def test_a_file_says_who_made_it_and_who_changed_it_last(connect):
    now = [1_790_000_000.5]
    with Sandbox(clock=lambda: now[0]) as box:
        first, second = connect(box), box.add_account("second")
        deploy(first)
        now[0] += 60
        deploy(connect(box, second.username, second.password), data=b"other")
        document = describe(first)
        assert (document["created"], document["createdBy"]) == ("2026-09-21T14:13:20.500Z", "developer")
        assert (document["lastModified"], document["modifiedBy"]) == ("2026-09-21T14:14:20.500Z", "second")
        directory = describe(first, "generic-local/app")
        assert (directory["created"], directory["createdBy"]) == ("2026-09-21T14:13:20.500Z", "developer")


# Lists


def listed(client, path, query):
    answer = client.send("GET", f"{STORAGE}/{path}?list&{query}")
    assert answer.status == 200
    return {one["uri"]: one for one in answer.json()["files"]}


@pytest.mark.sandbox
def test_files_are_listed_to_a_depth_with_and_without_directories(client):
    for path in ("a/b/c/deep", "a/b/middle", "a/top", "a0"):
        deploy(client, f"generic-local/{path}")
    assert set(listed(client, "generic-local/a", "")) == {"/top"}
    assert set(listed(client, "generic-local/a", "listFolders=1")) == {"/top", "/b"}
    assert set(listed(client, "generic-local/a", "deep=1")) == {"/top", "/b/middle", "/b/c/deep"}
    assert set(listed(client, "generic-local/a", "deep=1&depth=2&listFolders=1")) == {
        "/top",
        "/b",
        "/b/middle",
        "/b/c",
    }
    assert set(listed(client, "generic-local", "deep=1&depth=2")) == {"/a0", "/a/top"}
    directory = listed(client, "generic-local/a", "listFolders=1")["/b"]
    assert (directory["size"], directory["folder"], "sha1" in directory) == (-1, True, False)
    assert listed(client, "generic-local/a", "")["/top"]["sha2"] == sums()["sha256"]
    assert client.send("GET", f"{STORAGE}/generic-local?list&deep=1&depth=x").status == 400
    assert client.send("GET", f"{STORAGE}/generic-local/a0?list").status == 400
    assert client.send("GET", f"{STORAGE}/generic-local/nothing?list").status == 404


@pytest.mark.sandbox
def test_a_list_says_when_properties_were_set(connect):
    now = [1_790_000_000.0]
    with Sandbox(clock=lambda: now[0]) as box:
        client = connect(box)
        deploy(client)
        assert "mdTimestamps" not in listed(client, "generic-local", "deep=1&mdTimestamps=1")["/app/1.0/app.zip"]
        now[0] += 60
        client.send("PUT", f"{STORAGE}/{FILE}?properties=a=b")
        row = listed(client, "generic-local", "deep=1&mdTimestamps=1")["/app/1.0/app.zip"]
        assert row["mdTimestamps"] == {"properties": "2026-09-21T14:14:20.000Z"}
        assert row["lastModified"] == "2026-09-21T14:13:20.000Z"


# Paths


@pytest.mark.parametrize(
    "raw",
    [
        "generic-local/../docker-local/file",
        "generic-local/%2e%2e/file",
        "generic-local/a/./b",
        "generic-local/a%2Fb",
        "generic-local/a%00b",
        "generic-local/a%0Ab",
        "generic-local/a%5Cb",
        "generic-local/%ff",
        "generic-local/" + "n" * 256,
        "generic-local/" + "%C3%A9" * 128,
        "generic-local/" + "a/" * 513,
        "generic-local/what%3F",
        "generic-local/*",
    ],
)
def test_a_path_that_no_file_may_have_is_refused(raw):
    with pytest.raises(RequestRefusedError) as caught:
        read_path(raw)
    assert caught.value.status == 400


def test_a_path_is_taken_apart_before_it_is_decoded():
    item = read_path("repo/a%3Bb/c%25;k=v;k=w%3B")
    assert (item.repo, item.path, item.properties) == ("repo", "a;b/c%", {"k": ["v", "w;"]})
    assert read_path("repo//a///b").path == "a/b"


PARTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["..", ".", "", "%2e%2e", "%2F", "%00", "%", "%zz", "é", "e\u0301", "\u202e", "a;b=c", "a?b"]),
    st.sampled_from(["app", "app/1", "app/1/2", "file.txt"]),
)


@pytest.fixture
def send_raw(box, client):
    """Return a function that sends a path as it is: other clients would take out dots before they send it."""
    host, _, port = box.host.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)

    def send(method, path, body=None):
        connection.request(method, path, body, {"Authorization": client.basic})
        answer = connection.getresponse()
        return answer.status, answer.read()

    yield send
    connection.close()


@pytest.mark.sandbox
def test_every_path_is_refused_or_can_be_read_back(send_raw, box):
    @settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(PARTS, min_size=1, max_size=4), st.sampled_from(["", ";a=b", "/"]), st.booleans(), st.binary())
    def attempt(parts, end, escaped, data):
        path = "/".join(parts)
        raw = quote(path, safe="/") if escaped else quote(path, safe="/%;=.")
        url = f"{ROOT}/generic-local/{raw}{end}"
        status, body = send_raw("PUT", url, data)
        assert 200 < status < 500, (url, body)
        if status == 201 and "size" in json.loads(body):
            shown = json.loads(body)
            assert send_raw("GET", url) == (200, data)
            assert send_raw("GET", shown["downloadUri"].removeprefix(box.url)) == (200, data)
            assert json.loads(send_raw("GET", shown["uri"].removeprefix(box.url))[1])["path"] == shown["path"]
            assert shown["path"].removeprefix("/") in box.files("generic-local")
        assert send_raw("GET", f"{ROOT}/api/storage/generic-local/{raw}")[0] < 500
        assert send_raw("DELETE", url)[0] < 500

    attempt()
    assert not box.failures


@pytest.mark.sandbox
def test_names_that_only_look_alike_are_two_files(client):
    names = [unicodedata.normalize(form, "é.txt") for form in ("NFC", "NFD")]
    for name in names:
        assert deploy(client, f"generic-local/{quote(name)}", name.encode()).status == 201
    for name in names:
        assert client.send("GET", f"{ROOT}/generic-local/{quote(name)}").data == name.encode()


@pytest.mark.sandbox
def test_properties_may_be_lists_in_a_patch(client, box):
    deploy(client)
    body = json.dumps({"props": {"tag": ["a", "b"]}})
    assert client.send("PATCH", f"/artifactory/api/metadata/{FILE}", body=body).status == 204
    assert box.properties("generic-local", "app/1.0/app.zip") == {"tag": ["a", "b"]}
    body = json.dumps({"props": {"tag": {"a": 1}}})
    assert client.send("PATCH", f"/artifactory/api/metadata/{FILE}", body=body).status == 400


@pytest.mark.sandbox
def test_the_data_of_an_earlier_version_get_directories_and_users(connect, tmp_path):
    with Sandbox(tmp_path / "data") as box:
        deploy(connect(box), f"{FILE};qa=passed")
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "index.sqlite")) as index:
        index.executescript(
            "ALTER TABLE files DROP COLUMN modified_by; ALTER TABLE properties DROP COLUMN changed;"
            "DROP TABLE directories;"
        )
    with Sandbox(tmp_path / "data") as box:
        client = connect(box)
        assert describe(client)["modifiedBy"] == "developer"
        assert client.send("GET", f"{STORAGE}/generic-local/app").json()["children"] == [
            {"uri": "/1.0", "folder": True}
        ]
        assert box.properties("generic-local", "app/1.0/app.zip") == {"qa": ["passed"]}
