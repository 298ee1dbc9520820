"""Files that the sandbox sends: whole, in part, or not at all since the client has them; the journal has it so."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.sandbox

DATA = b"0123456789"
SHA1 = "87acec17cd9dcd20a716cc2cf67417b71c8a7016"
LATER, EARLIER = "Tue, 01 Jan 2999 00:00:00 GMT", "Mon, 01 Jan 2001 00:00:00 GMT"


@pytest.fixture(params=["a file", "a blob"])
def path(request, client):
    if request.param == "a blob":
        return f"/v2/docker-local/app/blobs/{client.push_blob('docker-local/app', DATA)['digest']}"
    path = "/artifactory/generic-local/a.bin"
    assert client.send("PUT", path, body=DATA).status == 201
    return path


def test_the_tag_of_a_file_is_its_sha1(client, path):
    assert client.send("GET", path).headers["ETag"] == SHA1


@pytest.mark.parametrize(
    ("headers", "status", "data"),
    [
        ({}, 200, DATA),
        ({"Range": "bytes=3-5"}, 206, b"345"),
        ({"Range": "bytes=8-50"}, 206, b"89"),
        ({"Range": "bytes=-2"}, 206, b"89"),
        ({"Range": "bytes=0-"}, 206, DATA),
        ({"Range": "bytes=3-5", "If-Range": SHA1}, 206, b"345"),
        ({"Range": "bytes=3-5", "If-Range": f'"{SHA1}"'}, 206, b"345"),
        ({"Range": "bytes=3-5", "If-Range": LATER}, 206, b"345"),
        ({"Range": "bytes=3-5", "If-Range": EARLIER}, 200, DATA),
        ({"Range": "bytes=3-5", "If-Range": '"of another file"'}, 200, DATA),
        ({"Range": "bytes=3-5", "If-Range": f'W/"{SHA1}"'}, 200, DATA),
        ({"Range": "bytes=50-", "If-Range": '"of another file"'}, 200, DATA),
        ({"Range": "bytes=10-"}, 416, b""),
        ({"Range": "bytes=50-"}, 416, b""),
        ({"Range": "bytes=5-3"}, 416, b""),
        ({"If-None-Match": SHA1}, 304, b""),
        ({"If-None-Match": f'"other", W/"{SHA1}"'}, 304, b""),
        ({"If-None-Match": "*"}, 304, b""),
        ({"If-None-Match": '"other"', "If-Modified-Since": LATER}, 200, DATA),
        ({"If-Modified-Since": LATER}, 304, b""),
        ({"If-Modified-Since": EARLIER}, 200, DATA),
    ],
)
def test_what_is_sent_and_what_the_journal_says_of_it(box, client, path, headers, status, data):
    answer = client.send("GET", path, headers=headers)
    assert (answer.status, answer.data) == (status, data)
    assert (box.requests[-1].status, box.requests[-1].sent) == (status, len(data))
    first = DATA.index(data)
    ranges = {206: f"bytes {first}-{first + len(data) - 1}/10", 416: "bytes */10"}
    assert answer.headers.get("Content-Range") == ranges.get(status)


def test_an_empty_file_is_sent_whole_and_has_no_range(client):
    path = "/artifactory/generic-local/empty"
    client.send("PUT", path, body=b"")
    assert (client.send("GET", path).status, client.send("GET", path, headers={"Range": "bytes=0-"}).status) == (
        200,
        416,
    )


def test_a_range_that_breaks_off_is_the_beginning_of_that_range(box, client, path):
    box.add_fault("GET", path, after=2)
    with pytest.raises(Exception, match="Connection broken") as caught:
        client.send("GET", path, headers={"Range": "bytes=3-8"})
    assert caught.value.args[1].partial == b"34"
    assert box.requests[-1].status == 0


def test_a_range_that_a_fault_changes_says_where_it_is(box, client, path):
    box.add_fault("GET", path, after=6)
    answer = client.send("GET", path, headers={"Range": "bytes=3-8"})
    assert (answer.status, answer.data, answer.headers["Content-Range"]) == (206, b"345678", "bytes 3-8/10")
