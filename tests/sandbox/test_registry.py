"""The registry does what the OCI distribution-spec asks for; one behaviour each."""

import hashlib
import json

import pytest

pytestmark = pytest.mark.sandbox

APP = "docker-local/app"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


def error_code(answer):
    errors = json.loads(answer.data)["errors"]
    assert len(errors) == 1
    return errors[0]["code"]


def begin(client, repository=APP):
    answer = client.send("POST", f"/v2/{repository}/blobs/uploads/")
    assert answer.status == 202
    return answer.headers["Location"]


# Ping and answers in general


def test_a_known_caller_is_told_that_this_is_a_registry(client):
    answer = client.send("GET", "/v2/")
    assert answer.status == 200
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert answer.headers["X-JFrog-Version"].startswith("Artifactory/")


def test_an_address_that_does_not_exist_is_answered_with_a_registry_error(client):
    answer = client.send("GET", "/v2/docker-local/app/nonsense")
    assert (answer.status, error_code(answer)) == (404, "NOT_FOUND")


def test_a_method_that_does_not_exist_is_answered_with_a_registry_error(client):
    answer = client.send("POST", f"/v2/{APP}/manifests/1")
    assert (answer.status, error_code(answer)) == (405, "UNSUPPORTED")


# Blobs


def test_a_blob_is_uploaded_in_one_stream_and_read_back(client, box):
    data = b"x" * 300_000
    location = begin(client)
    assert client.send("PATCH", location, body=data).status == 202
    answer = client.send("PUT", f"{location}?digest={client.digest_of(data)}")
    assert answer.status == 201
    assert answer.headers["Docker-Content-Digest"] == client.digest_of(data)
    assert client.send("GET", answer.headers["Location"]).data == data
    assert box.has_blob(client.digest_of(data))


def test_a_blob_is_uploaded_with_one_request(client):
    blob = client.push_blob(APP, b"small")
    assert client.send("HEAD", f"/v2/{APP}/blobs/{blob['digest']}").status == 200


def test_a_blob_is_uploaded_with_its_commit(client):
    location = begin(client)
    answer = client.send("PUT", f"{location}?digest={client.digest_of(b'at once')}", body=b"at once")
    assert answer.status == 201


def test_an_empty_blob_is_a_blob(client):
    blob = client.push_blob(APP, b"")
    answer = client.send("GET", f"/v2/{APP}/blobs/{blob['digest']}")
    assert (answer.status, answer.data) == (200, b"")


def test_a_body_of_unknown_length_is_taken(client):
    location = begin(client)
    assert client.send("PATCH", location, body=iter([b"one", b"two"])).headers["Range"] == "0-5"
    assert client.send("PUT", f"{location}?digest={client.digest_of(b'onetwo')}").status == 201


def test_a_compressed_body_is_stored_as_it_was_sent(client):
    """A server that undoes Content-Encoding would store other bytes than were promised."""
    location = begin(client)
    client.send("PATCH", location, body=b"\x1f\x8bnot gzip", headers={"Content-Encoding": "gzip"})
    digest = client.digest_of(b"\x1f\x8bnot gzip")
    assert client.send("PUT", f"{location}?digest={digest}").status == 201


def test_head_of_a_blob_names_its_checksums_and_size(client):
    blob = client.push_blob(APP, b"hello")
    headers = client.send("HEAD", f"/v2/{APP}/blobs/{blob['digest']}").headers
    assert headers["Docker-Content-Digest"] == blob["digest"]
    assert headers["Content-Length"] == "5"
    assert headers["X-Checksum-Sha256"] == blob["digest"].removeprefix("sha256:")
    assert headers["X-Checksum-Sha1"] == "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"
    assert headers["X-Checksum-Md5"] == "5d41402abc4b2a76b9719d911017c592"


def test_a_part_of_a_blob_can_be_read(client):
    blob = client.push_blob(APP, b"0123456789")
    answer = client.send("GET", f"/v2/{APP}/blobs/{blob['digest']}", headers={"Range": "bytes=3-6"})
    assert (answer.status, answer.data, answer.headers["Content-Range"]) == (206, b"3456", "bytes 3-6/10")


def test_a_blob_that_is_nowhere_is_unknown(client):
    answer = client.send("GET", f"/v2/{APP}/blobs/{client.digest_of(b'nowhere')}")
    assert (answer.status, error_code(answer)) == (404, "BLOB_UNKNOWN")


def test_a_blob_of_another_repository_exists_here_as_well(client):
    """Artifactory reports what the caller may read anywhere."""
    blob = client.push_blob("docker-release/other", b"shared")
    assert client.send("HEAD", f"/v2/{APP}/blobs/{blob['digest']}").status == 200


def test_a_blob_without_a_manifest_can_be_deleted(client):
    path = f"/v2/{APP}/blobs/{client.push_blob(APP, b'alone')['digest']}"
    assert client.send("DELETE", path).status == 202
    assert [client.send(method, path).status for method in ("HEAD", "DELETE")] == [404, 404]


def test_a_blob_that_an_image_needs_is_not_deleted(client):
    client.push(APP, "1", b"layer")
    path = f"/v2/{APP}/blobs/{client.digest_of(b'layer')}"
    answer = client.send("DELETE", path)
    assert (answer.status, error_code(answer)) == (403, "DENIED")
    assert client.send("GET", path).data == b"layer"


def test_a_blob_is_deleted_only_by_an_account_that_may(box, client, client_of):
    path = f"/v2/{APP}/blobs/{client.push_blob(APP, b'alone')['digest']}"
    assert client_of(box.add_account("ci", ["read", "deploy"])).send("DELETE", path).status == 403
    assert client.send("HEAD", path).status == 200


def sha512(data):
    return f"sha512:{hashlib.sha512(data).hexdigest()}"


def test_a_blob_has_the_digest_that_it_was_pushed_with(client, box):
    path = f"/v2/{APP}/blobs/{sha512(b'long')}"
    assert client.send("GET", path).status == 404
    answer = client.send("POST", f"/v2/{APP}/blobs/uploads/?digest={sha512(b'long')}", body=b"long")
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, sha512(b"long"))
    answer = client.send("GET", path)
    assert (answer.data, answer.headers["Docker-Content-Digest"]) == (b"long", sha512(b"long"))
    assert box.blob(sha512(b"long")) == box.blob(client.digest_of(b"long")) == b"long"


def test_bytes_with_another_sha512_are_refused(client):
    answer = client.send("POST", f"/v2/{APP}/blobs/uploads/?digest={sha512(b'meant')}", body=b"sent")
    assert (answer.status, error_code(answer)) == (400, "DIGEST_INVALID")
    assert answer.json()["errors"][0]["detail"]["arrived"] == sha512(b"sent")


def test_an_image_may_be_made_of_sha512(client):
    client.send("POST", f"/v2/{APP}/blobs/uploads/?digest={sha512(b'layer')}", body=b"layer")
    manifest = json.loads(client.make_manifest(APP, b"layer"))
    manifest["layers"][0]["digest"] = sha512(b"layer")
    body = json.dumps(manifest).encode()
    assert client.put_manifest(APP, sha512(body), body).headers["Docker-Content-Digest"] == sha512(body)
    child = {"mediaType": OCI_MANIFEST, "digest": sha512(body), "size": len(body)}
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child]}).encode()
    assert client.put_manifest(APP, "1", index, OCI_INDEX).status == 201
    assert client.send("GET", f"/v2/{APP}/manifests/{sha512(body)}").data == body


def test_a_blob_can_be_mounted(client, box):
    blob = client.push_blob("docker-release/other", b"shared")
    answer = client.send("POST", f"/v2/{APP}/blobs/uploads/?mount={blob['digest']}&from=docker-release/other")
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, blob["digest"])
    assert f"app/_uploads/{blob['digest'].replace(':', '__')}" in box.files("docker-local")


def test_a_mount_of_what_is_not_there_begins_an_upload(client):
    digest = client.digest_of(b"nowhere")
    answer = client.send("POST", f"/v2/{APP}/blobs/uploads/?mount={digest}&from=docker-release/other")
    assert answer.status == 202


# Uploads in pieces


def test_an_upload_can_be_asked_how_much_arrived(client):
    location = begin(client)
    client.send("PATCH", location, body=b"12345")
    answer = client.send("GET", location)
    assert (answer.status, answer.headers["Range"]) == (204, "0-4")
    assert answer.headers["Location"] == location


def test_an_upload_goes_on_where_it_stopped(client):
    location = begin(client)
    client.send("PATCH", location, body=b"123", headers={"Content-Range": "0-2"})
    answer = client.send("PATCH", location, body=b"45", headers={"Content-Range": "3-4"})
    assert (answer.status, answer.headers["Range"]) == (202, "0-4")
    assert client.send("PUT", f"{location}?digest={client.digest_of(b'12345')}").status == 201


@pytest.mark.parametrize("content_range", ["0-1", "9-10"])
def test_a_piece_out_of_order_is_refused_and_told_where_to_go_on(client, content_range):
    location = begin(client)
    client.send("PATCH", location, body=b"123")
    answer = client.send("PATCH", location, body=b"45", headers={"Content-Range": content_range})
    assert (answer.status, answer.headers["Range"], answer.headers["Location"]) == (416, "0-2", location)


@pytest.mark.parametrize("content_range", ["rubbish", "5-1", "0-1-2", f"0-{'9' * 40}"])
def test_a_content_range_that_cannot_be_read_is_refused(client, content_range):
    answer = client.send("PATCH", begin(client), body=b"45", headers={"Content-Range": content_range})
    assert (answer.status, error_code(answer)) == (400, "BLOB_UPLOAD_INVALID")


def test_a_piece_shorter_than_it_says_is_refused(client):
    answer = client.send("PATCH", begin(client), body=b"45", headers={"Content-Range": "0-9"})
    assert (answer.status, error_code(answer)) == (400, "SIZE_INVALID")


def test_a_cancelled_upload_is_gone(client):
    location = begin(client)
    assert client.send("DELETE", location).status == 204
    answer = client.send("PATCH", location, body=b"1")
    assert (answer.status, error_code(answer)) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_an_upload_belongs_to_the_image_it_was_begun_for(client):
    location = begin(client).replace("/app/", "/other/")
    answer = client.send("PATCH", location, body=b"1")
    assert (answer.status, error_code(answer)) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_a_wrong_digest_is_refused_and_leaves_nothing(client, box):
    location = begin(client)
    client.send("PATCH", location, body=b"what arrived")
    answer = client.send("PUT", f"{location}?digest={client.digest_of(b'what was meant')}")
    assert (answer.status, error_code(answer)) == (400, "DIGEST_INVALID")
    assert not box.has_blob(client.digest_of(b"what arrived"))
    assert box.files() == []


@pytest.mark.parametrize("digest", ["", "sha256:12", "md5:5d41402abc4b2a76b9719d911017c592", f"sha256:{'A' * 64}"])
def test_a_digest_that_is_none_is_refused(client, digest):
    answer = client.send("PUT", f"{begin(client)}?digest={digest}", body=b"1")
    assert (answer.status, error_code(answer)) == (400, "DIGEST_INVALID")


def test_the_upload_address_is_the_one_behind_which_a_proxy_stands(client):
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "acme.example.com"}
    answer = client.send("POST", f"/v2/{APP}/blobs/uploads/", headers=headers)
    assert answer.headers["Location"].startswith(f"https://acme.example.com/v2/{APP}/blobs/uploads/")
    answer = client.send("POST", f"/v2/{APP}/blobs/uploads/", headers={"X-JFrog-Override-Base-Url": "https://a.b/"})
    assert answer.headers["Location"].startswith(f"https://a.b/v2/{APP}/blobs/uploads/")


# Manifests


def test_a_manifest_comes_back_byte_for_byte(client):
    manifest = client.make_manifest(APP, b"layer")
    client.put_manifest(APP, "1", manifest)
    answer = client.send("GET", f"/v2/{APP}/manifests/1", headers={"Accept": OCI_MANIFEST})
    assert answer.data == manifest
    assert answer.headers["Content-Type"] == OCI_MANIFEST
    assert answer.headers["Docker-Content-Digest"] == client.digest_of(manifest)
    assert answer.headers["ETag"] == answer.headers["X-Checksum-Sha1"]


def test_head_of_a_manifest_names_the_repository_key(client):
    client.push(APP, "1")
    answer = client.send("HEAD", f"/v2/{APP}/manifests/1")
    assert (answer.status, answer.headers["X-Artifactory-Docker-Registry"]) == (200, "docker-local")


def test_a_manifest_is_found_by_its_digest(client):
    digest = client.push(APP, "1")
    assert client.send("GET", f"/v2/{APP}/manifests/{digest}").headers["Docker-Content-Digest"] == digest


def test_a_manifest_is_not_found_under_another_image(client):
    digest = client.push(APP, "1")
    answer = client.send("GET", f"/v2/docker-local/other/manifests/{digest}")
    assert (answer.status, error_code(answer)) == (404, "MANIFEST_UNKNOWN")


def test_a_manifest_without_its_blobs_is_refused_and_the_tag_stays(client, box):
    before = client.push(APP, "1")
    manifest = json.loads(client.make_manifest(APP, b"layer"))
    manifest["layers"][0]["digest"] = client.digest_of(b"never sent")
    answer = client.put_manifest(APP, "1", json.dumps(manifest).encode())
    assert (answer.status, error_code(answer)) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert json.loads(answer.data)["errors"][0]["detail"] == {"digest": client.digest_of(b"never sent")}
    assert box.digest(APP, "1") == before


def test_a_manifest_that_gets_a_size_wrong_is_refused(client):
    manifest = json.loads(client.make_manifest(APP, b"layer"))
    manifest["layers"][0]["size"] += 1
    answer = client.put_manifest(APP, "1", json.dumps(manifest).encode())
    assert (answer.status, error_code(answer)) == (400, "MANIFEST_INVALID")


def test_a_manifest_under_the_digest_of_another_is_refused(client):
    answer = client.put_manifest(APP, client.digest_of(b"other"), client.make_manifest(APP, b"layer"))
    assert (answer.status, error_code(answer)) == (400, "DIGEST_INVALID")


def test_a_layer_that_is_fetched_from_its_maker_need_not_be_there(client):
    manifest = json.loads(client.make_manifest(APP))
    kind = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    manifest["layers"] = [{"mediaType": kind, "digest": client.digest_of(b"windows"), "size": 7, "urls": ["https://x"]}]
    assert client.put_manifest(APP, "1", json.dumps(manifest).encode()).status == 201


def test_a_manifest_larger_than_four_mebibytes_is_refused(client):
    answer = client.put_manifest(APP, "1", b" " * (4 * 1024 * 1024 + 1))
    assert (answer.status, error_code(answer)) == (413, "SIZE_INVALID")


def test_a_manifest_of_a_type_that_the_client_does_not_accept_is_not_found(client):
    client.push(APP, "1")
    accept = "application/vnd.docker.distribution.manifest.v2+json"
    assert client.send("GET", f"/v2/{APP}/manifests/1", headers={"Accept": accept}).status == 404


def test_every_accept_header_counts(client):
    client.push(APP, "1")
    accept = f"text/plain, {OCI_MANIFEST};q=0.5"
    assert client.send("GET", f"/v2/{APP}/manifests/1", headers={"Accept": accept}).status == 200


def test_a_deleted_tag_is_gone(client, box):
    client.push(APP, "1")
    assert client.send("DELETE", f"/v2/{APP}/manifests/1").status == 202
    assert client.send("DELETE", f"/v2/{APP}/manifests/1").status == 404
    assert box.digest(APP, "1") is None


# Referrers


def put_referrer(client, subject, **more):
    manifest = {**json.loads(client.make_manifest(APP, b"signature")), "subject": subject, **more}
    body = json.dumps(manifest).encode()
    answer = client.put_manifest(APP, client.digest_of(body), body)
    assert (answer.status, answer.headers["OCI-Subject"]) == (201, subject["digest"])
    return client.digest_of(body)


def test_referrers_are_listed_wherever_they_are_while_they_are_there(client, box):
    digest = client.push(APP, "1")
    subject = {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(box.blob(digest))}
    kinds = ("application/vnd.x", "application/vnd.y")
    pushed = [put_referrer(client, subject, artifactType=kind, annotations={"a": kind}) for kind in kinds]
    listed = client.send("GET", f"/v2/docker/app/referrers/{digest}").json()["manifests"]
    assert {(one["digest"], one["artifactType"], one["annotations"]["a"]) for one in listed} == {
        (one, kind, kind) for one, kind in zip(pushed, kinds, strict=True)
    }
    assert client.send("DELETE", f"/v2/{APP}/manifests/{pushed[0]}").status == 202
    listed = client.send("GET", f"/v2/{APP}/referrers/{digest}").json()["manifests"]
    assert [one["digest"] for one in listed] == pushed[1:]


@pytest.mark.parametrize("path", ["manifests/1", "referrers/{digest}"])
def test_manifests_and_lists_of_referrers_have_a_type_without_charset(client, path):
    """With a charset, oras and cosign see no signature, and say nothing."""
    digest = client.push(APP, "1")
    answer = client.send("GET", f"/v2/{APP}/{path.format(digest=digest)}")
    assert answer.headers["Content-Type"] == (OCI_INDEX if "referrers" in path else OCI_MANIFEST)


# Names, tags, catalog


@pytest.mark.parametrize(
    "name", ["docker-local/App", "docker-local/a//b", "docker-local/-a", "docker-local/" + "a" * 300]
)
def test_a_name_that_breaks_the_grammar_is_refused(client, name):
    answer = client.send("POST", f"/v2/{name}/blobs/uploads/")
    assert (answer.status, error_code(answer)) == (400, "NAME_INVALID")


@pytest.mark.parametrize("name", ["nowhere/app", "app", "docker-local", "artifactory-build-info/app"])
def test_a_name_in_no_docker_repository_is_unknown(client, name):
    answer = client.send("POST", f"/v2/{name}/blobs/uploads/")
    assert (answer.status, error_code(answer)) == (404, "NAME_UNKNOWN")


@pytest.mark.parametrize("tag", ["-1", "a" * 129, "a%20b"])
def test_a_tag_that_breaks_the_grammar_is_refused(client, tag):
    answer = client.put_manifest(APP, tag, client.make_manifest(APP, b"layer"))
    assert (answer.status, error_code(answer)) == (400, "TAG_INVALID")


def test_tags_are_listed_in_order(client):
    for tag in ("b", "a", "10", "9"):
        client.push(APP, tag)
    assert client.send("GET", f"/v2/{APP}/tags/list").json() == {"name": APP, "tags": ["10", "9", "a", "b"]}


def test_tags_come_in_pages(client):
    for tag in ("a", "b", "c"):
        client.push(APP, tag)
    answer = client.send("GET", f"/v2/{APP}/tags/list?n=2")
    assert answer.json()["tags"] == ["a", "b"]
    following = answer.headers["Link"].partition(">")[0].removeprefix("<")
    answer = client.send("GET", following)
    assert (answer.json()["tags"], "Link" in answer.headers) == (["c"], False)


@pytest.mark.parametrize("number", ["-1", "many"])
def test_a_page_size_that_is_none_is_refused(client, number):
    answer = client.send("GET", f"/v2/_catalog?n={number}")
    assert (answer.status, error_code(answer)) == (400, "PAGINATION_NUMBER_INVALID")


def test_an_image_without_tags_is_unknown(client):
    client.push(APP, None)
    answer = client.send("GET", f"/v2/{APP}/tags/list")
    assert (answer.status, error_code(answer)) == (404, "NAME_UNKNOWN")


def test_the_catalog_lists_images_with_their_repository_key(client):
    client.push("docker-local/team/app", "1")
    assert client.send("GET", "/v2/_catalog").json()["repositories"] == ["docker-local/team/app", "docker/team/app"]


def test_the_direct_address_has_the_key_in_its_path(client, box):
    base = "/artifactory/api/docker/docker-local/v2"
    assert client.send("GET", f"{base}/").status == 200
    answer = client.send("POST", f"{base}/app/blobs/uploads/?digest={client.digest_of(b'1')}", body=b"1")
    assert answer.headers["Location"] == f"{box.url}{base}/app/blobs/{client.digest_of(b'1')}"
    assert client.send("GET", answer.headers["Location"]).data == b"1"
