"""The sandbox misbehaves on request, and only then."""

import time

import pytest
import urllib3

from buildpush.sandbox.faults import Fault, Faults

APP = "docker-local/app"


def begin(client):
    return client.send("POST", f"/v2/{APP}/blobs/uploads/").headers["Location"]


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


def test_the_fault_that_was_planned_first_hits_first():
    import re

    faults = Faults()
    for status in (500, 503):
        faults.add(Fault("GET", re.compile("x"), status=status))
    assert faults.take("PUT", "/x") is None
    assert faults.take("GET", "/y") is None
    assert [faults.take("GET", "/x").status for _ in range(2)] == [500, 503]
    assert faults.take("GET", "/x") is None
