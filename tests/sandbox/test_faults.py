"""The sandbox misbehaves on request, and only then."""

import time

import pytest
import urllib3

from buildpush.foundation.errors import SettingsError
from buildpush.sandbox import Sandbox
from buildpush.sandbox.faults import Fault, Faults

APP = "docker-local/app"


def begin(client):
    return client.send("POST", f"/v2/{APP}/blobs/uploads/").headers["Location"]


def commit(client, location, data):
    separator = "&" if "?" in location else "?"
    return client.send("PUT", f"{location}{separator}digest={client.digest_of(data)}", body=data)


def token(client, box):
    return f"Bearer {client.send('GET', f'/v2/token?service={box.host}').json()['token']}"


@pytest.mark.sandbox
def test_an_answer_can_be_replaced(client, box):
    box.add_fault("GET", "^/v2/$", status=429, headers={"Retry-After": "3"}, body=b"slow down", times=2)
    for _ in range(2):
        answer = client.send("GET", "/v2/")
        assert (answer.status, answer.headers["Retry-After"], answer.data) == (429, "3", b"slow down")
    assert client.send("GET", "/v2/").status == 200


@pytest.mark.sandbox
def test_a_connection_can_end_before_anything_is_done(client, box):
    box.add_fault("PUT", "/manifests/", close=True)
    manifest = client.make_manifest(APP, b"layer")
    with pytest.raises(urllib3.exceptions.ProtocolError):
        client.put_manifest(APP, "1", manifest)
    assert box.digest(APP, "1") is None
    assert box.requests[-1].status == 0


@pytest.mark.sandbox
def test_an_answer_can_be_lost_after_everything_was_done(client, box):
    box.add_fault("PUT", "/blobs/uploads/", lose_answer=True)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        client.send("PUT", f"{begin(client)}?digest={client.digest_of(b'data')}", body=b"data")
    assert box.has_blob(client.digest_of(b"data"))


@pytest.mark.sandbox
def test_an_upload_that_broke_can_go_on_where_it_stopped(client, box):
    data = bytes(range(256)) * 4000
    location = begin(client)
    box.add_fault("PATCH", "/blobs/uploads/", after=300_000)
    with pytest.raises((urllib3.exceptions.ProtocolError, OSError)):
        client.send("PATCH", location, body=data)
    assert client.send("GET", location).headers["Range"] == "0-299999"
    rest = {"Content-Range": f"300000-{len(data) - 1}"}
    assert client.send("PATCH", location, body=data[300_000:], headers=rest).status == 202
    assert client.send("PUT", f"{location}?digest={client.digest_of(data)}").status == 201


@pytest.mark.sandbox
def test_a_download_can_break_on_the_way(client, box):
    blob = client.push_blob(APP, b"x" * 1000)
    box.add_fault("GET", "/blobs/", after=100)
    with pytest.raises(urllib3.exceptions.HTTPError):
        client.send("GET", f"/v2/{APP}/blobs/{blob['digest']}")
    assert client.send("GET", f"/v2/{APP}/blobs/{blob['digest']}").data == b"x" * 1000


@pytest.mark.sandbox
def test_an_answer_can_be_late(client, box):
    box.add_fault("*", "ping", delay=0.05)
    begun = time.monotonic()
    assert client.send("GET", "/artifactory/api/system/ping").status == 200
    assert time.monotonic() - begun >= 0.05


@pytest.mark.sandbox
def test_faults_can_be_called_off(client, box):
    box.add_fault("*", "", status=503, times=100)
    box.clear_faults()
    assert client.send("GET", "/v2/").status == 200


@pytest.mark.sandbox
def test_a_client_that_goes_away_leaves_what_it_sent(client, box):
    import socket

    location = begin(client)
    with socket.create_connection(("127.0.0.1", int(box.host.rpartition(":")[2]))) as rude:
        head = f"PATCH {location.removeprefix(box.url)} HTTP/1.1\r\nHost: {box.host}\r\n"
        head += f"Authorization: {client.basic}\r\nContent-Length: 100\r\n\r\n"
        rude.sendall(head.encode() + b"12345")
        until = time.monotonic() + 5
        while client.send("GET", location).headers["Range"] != "0-4" and time.monotonic() < until:
            pass
    assert client.send("GET", location).headers["Range"] == "0-4"
    answer = client.send("PUT", f"{location}?digest={client.digest_of(b'1234567')}", body=b"67")
    assert answer.status == 201


@pytest.mark.sandbox
def test_an_answer_can_say_how_long_to_wait(client, box):
    box.add_fault("GET", "^/v2/$", status=429, retry_after=2)
    assert client.send("GET", "/v2/").headers["Retry-After"] == "2"


@pytest.mark.sandbox
def test_an_answer_can_name_the_moment_by_a_clock_that_is_wrong(connect):
    with Sandbox(clock=lambda: 1_000_000_000.0) as box:
        box.add_fault("GET", "^/v2/$", status=503, retry_after=30, skew=-3600)
        headers = connect(box).send("GET", "/v2/").headers
    assert headers["Date"] == "Sun, 09 Sep 2001 00:46:40 GMT"
    assert headers["Retry-After"] == "Sun, 09 Sep 2001 00:47:10 GMT"


@pytest.mark.sandbox
def test_a_true_answer_can_have_false_headers(client, box):
    box.add_fault("HEAD", "/blobs/", headers={"Docker-Content-Digest": f"sha256:{'0' * 64}"})
    blob = client.push_blob(APP, b"data")
    answer = client.send("HEAD", f"/v2/{APP}/blobs/{blob['digest']}")
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (200, f"sha256:{'0' * 64}")


@pytest.mark.sandbox
def test_a_blob_can_be_confirmed_and_not_kept(client, box):
    box.add_fault("PUT", "/blobs/uploads/", forget=True)
    assert commit(client, begin(client), b"data").status == 201
    assert not box.has_blob(client.digest_of(b"data"))
    assert commit(client, begin(client), b"data").status == 201
    assert box.has_blob(client.digest_of(b"data"))


@pytest.mark.sandbox
def test_a_manifest_can_be_confirmed_and_not_kept(client, box):
    manifest = client.make_manifest(APP, b"layer")
    box.add_fault("PUT", "/manifests/", forget=True)
    assert client.put_manifest(APP, "1", manifest).status == 201
    assert box.digest(APP, "1") is None


@pytest.mark.sandbox
@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT"])
def test_an_upload_can_expire(client, box, method):
    location = begin(client)
    box.add_fault(method, "/blobs/uploads/", expire="upload")
    for _ in range(2):
        answer = client.send(method, f"{location}?digest={client.digest_of(b'x')}", body=b"x")
        assert (answer.status, answer.json()["errors"][0]["code"]) == (404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.sandbox
def test_a_token_can_expire_in_the_middle_and_a_new_one_is_good(client, box):
    box.add_fault("GET", "^/v2/$", expire="token", every=3)
    first = token(client, box)
    assert [client.send("GET", "/v2/", authorization=first).status for _ in range(4)] == [200, 200, 401, 401]
    assert client.send("GET", "/v2/", authorization=token(client, box)).status == 200


@pytest.mark.sandbox
@pytest.mark.parametrize(("offset", "told"), [(5, "0-14"), (-5, "0-4"), (-50, "0-0")])
def test_an_offset_can_be_a_lie(client, box, offset, told):
    location = begin(client)
    client.send("PATCH", location, body=b"0123456789")
    box.add_fault("GET", "/blobs/uploads/", offset=offset)
    assert client.send("GET", location).headers["Range"] == told
    assert client.send("GET", location).headers["Range"] == "0-9"


@pytest.mark.sandbox
def test_a_digest_can_be_told_by_another_algorithm(client, box):
    import hashlib

    box.add_fault("*", "/blobs/", sha512=True, times=None)
    assert commit(client, begin(client), b"data").headers["Docker-Content-Digest"] == (
        f"sha512:{hashlib.sha512(b'data').hexdigest()}"
    )
    answer = client.send("GET", f"/v2/{APP}/blobs/{client.digest_of(b'data')}")
    assert answer.headers["Docker-Content-Digest"].startswith("sha512:")


@pytest.mark.sandbox
def test_a_mount_can_be_overlooked(client, box):
    blob = client.push_blob("docker-local/other", b"layer")
    mount = f"/v2/{APP}/blobs/uploads/?mount={blob['digest']}&from=docker-local/other"
    box.add_fault("POST", "/blobs/uploads/", overlook="mount")
    answer = client.send("POST", mount)
    assert (answer.status, commit(client, answer.headers["Location"], b"layer").status) == (202, 201)
    assert client.send("POST", mount).status == 201


@pytest.mark.sandbox
def test_only_mounts_can_be_refused(client, box):
    box.add_fault("POST", r"/uploads/\?mount=", status=404)
    assert client.send("POST", f"/v2/{APP}/blobs/uploads/").status == 202
    assert client.send("POST", f"/v2/{APP}/blobs/uploads/?mount={client.digest_of(b'x')}&from=a").status == 404


@pytest.mark.sandbox
@pytest.mark.parametrize("body", [b"x" * 1001, [b"x" * 600, b"x" * 600]])
def test_large_bodies_can_be_refused(client, box, body):
    box.add_fault("*", "/blobs/uploads/", largest=1000, times=None)
    location = begin(client)
    assert client.send("PATCH", location, body=b"x" * 1000).status == 202
    assert client.send("PATCH", location, body=body).status == 413


@pytest.mark.sandbox
def test_an_upload_can_go_on_at_another_host_without_credentials(client, box):
    line = box.add_line()
    box.add_fault("POST", "/blobs/uploads/", elsewhere=line.host)
    location = begin(client)
    assert location.startswith(f"http://{line.host}/v2/{APP}/blobs/uploads/")
    answer = client.send("PATCH", location, body=b"data", authorization=None)
    assert (answer.status, line.connections) == (202, 1)
    assert client.send("GET", location.replace("signature=", "signature=x"), authorization=None).status == 401
    answer = client.send("PUT", f"{location}&digest={client.digest_of(b'data')}", authorization=None)
    assert (answer.status, box.has_blob(client.digest_of(b"data"))) == (201, True)
    assert all("signature" not in str(request) or "*" in str(request) for request in box.requests)


@pytest.mark.sandbox
def test_a_piece_can_be_sent_to_another_host(client, box):
    line = box.add_line()
    location = begin(client)
    box.add_fault("PATCH", "/blobs/uploads/", status=307, elsewhere=line.host)
    answer = client.send("PATCH", location, body=b"data")
    assert (answer.status, answer.headers["Location"].startswith(f"http://{line.host}/v2/")) == (307, True)
    assert client.send("PATCH", answer.headers["Location"], body=b"data", authorization=None).status == 202


@pytest.mark.sandbox
def test_a_registry_can_be_without_head(client, box):
    box.add_fault("HEAD", "", status=405, times=None)
    assert [client.send("HEAD", "/v2/").status for _ in range(3)] == [405] * 3


@pytest.mark.sandbox
def test_a_refusal_can_be_lost_too(client, box):
    box.add_fault("GET", "/blobs/", lose_answer=True)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        client.send("GET", f"/v2/{APP}/blobs/{client.digest_of(b'nowhere')}")


@pytest.mark.sandbox
@pytest.mark.parametrize(("name", "blob", "manifest"), [("xray", 200, 403), ("deploy-only", 403, 403)])
def test_what_was_pushed_can_be_hidden(client, box, name, blob, manifest):
    box.add_fault(name)
    digest = client.push("docker-local/app", "1", b"layer")  # which is not hindered

    for method in ("GET", "HEAD"):
        assert client.send(method, "/v2/docker-local/app/manifests/1").status == manifest
        assert client.send(method, f"/v2/docker-local/app/blobs/{client.digest_of(b'layer')}").status == blob
    assert box.digest("docker-local/app", "1") == digest


@pytest.mark.sandbox
def test_blobs_can_come_from_a_store_that_takes_no_credentials(client, box):
    box.add_fault("cdn")
    said = client.push_blob("docker-local/app", b"layer")
    answer = client.send("GET", f"/v2/docker-local/app/blobs/{said['digest']}")
    there = answer.headers["Location"]

    assert answer.status == 307
    assert there.partition("/store/")[0] == box.url.replace("127.0.0.1", "localhost")
    assert client.send("GET", there, authorization=None).data == b"layer"
    assert client.send("GET", there).status == 400
    assert client.send("GET", there[:-1], authorization=None).status == 403
    assert client.send("GET", there.replace(said["digest"], client.digest_of(b"x")), authorization=None).status == 403
    signature = there.rpartition("=")[2]
    assert signature not in str(box.requests)


@pytest.mark.sandbox
def test_a_cdn_answers_520_now_and_then(client, box):
    box.add_fault("cdn")
    said = [client.send("HEAD", "/v2/docker-local/app/manifests/none").status for _ in range(18)]
    assert [at for at, status in enumerate(said, 1) if status == 520] == [9, 18]


@pytest.mark.sandbox
def test_faults_of_no_such_name_are_an_error_that_names_those_there_are(box):
    with pytest.raises(SettingsError, match="'x-ray'") as caught:
        box.add_fault("x-ray")
    assert "xray, deploy-only, cdn" in caught.value.hint


def test_the_fault_that_was_planned_first_hits_first():
    import re

    faults = Faults()
    for status in (500, 503):
        faults.add(Fault("GET", re.compile("x"), status=status))
    assert faults.take("PUT", "/x") is None
    assert faults.take("GET", "/y") is None
    assert [faults.take("GET", "/x").status for _ in range(2)] == [500, 503]
    assert faults.take("GET", "/x") is None
