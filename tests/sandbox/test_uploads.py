"""Uploads that broke: what several registries make of them, and what outlives a restart."""

import hashlib
import socket
import time

import pytest
import urllib3

from buildpush.foundation.errors import SettingsError
from buildpush.sandbox import Line, Sandbox

pytestmark = pytest.mark.sandbox

APP = "docker-local/app"
LIMIT_SECONDS = 20
DATA = bytes(range(256)) * 4000


@pytest.fixture
def like(connect):
    """Yield a function that starts a sandbox with some way to deal with uploads, and gives a client for it."""
    started = []

    def like(uploads="artifactory", **rules):
        started.append(Sandbox(uploads=uploads, **rules).__enter__())
        return connect(started[-1])

    yield like
    for box in started:
        box.close()
        assert not box.failures


def begin(client):
    return client.send("POST", f"/v2/{APP}/blobs/uploads/").headers["Location"]


def commit(client, location, data=DATA, body=None):
    separator = "&" if "?" in location else "?"
    return client.send("PUT", f"{location}{separator}digest={client.digest_of(data)}", body=body)


def error_code(answer):
    return answer.json()["errors"][0]["code"]


def cut(client, location, after=300_000):
    client.box.add_fault("PATCH", "/blobs/uploads/", after=after)
    with pytest.raises((urllib3.exceptions.ProtocolError, OSError)):
        client.send("PATCH", location, body=DATA, headers={"Content-Range": f"0-{len(DATA) - 1}"})


@pytest.mark.parametrize("uploads", ["artifactory", "docker-registry", "crane"])
def test_pieces_arrive_whole_everywhere(like, uploads):
    client = like(uploads)
    location = begin(client)
    for first in range(0, len(DATA), 400_000):
        piece = DATA[first : first + 400_000]
        answer = client.send(
            "PATCH", location, body=piece, headers={"Content-Range": f"{first}-{first + len(piece) - 1}"}
        )
        assert answer.status in {202, 204}
        assert answer.headers["Range"] == f"0-{first + len(piece) - 1}"
        location = answer.headers["Location"]
    assert commit(client, location).status == 201
    assert client.box.blob(client.digest_of(DATA)) == DATA


@pytest.mark.parametrize("uploads", ["artifactory", "docker-registry"])
def test_an_upload_without_bytes_says_0_0_as_docker_registry_does(like, uploads):
    client = like(uploads)
    assert client.send("GET", begin(client)).headers["Range"] == "0-0"


def test_docker_registry_loses_an_upload_that_was_cut(like):
    client = like("docker-registry")
    location = begin(client)
    cut(client, location)
    answers = [client.send("GET", location), client.send("PATCH", location, body=b"x"), commit(client, location)]
    assert [answer.status for answer in answers] == [404] * 3
    assert error_code(answers[0]) == "BLOB_UPLOAD_INVALID"


def test_docker_registry_wants_the_newest_address(like):
    client = like("docker-registry")
    first = begin(client)
    newest = client.send("PATCH", first, body=b"one").headers["Location"]
    assert newest != first
    assert client.send("GET", newest).headers["Range"] == "0-2"
    assert (error_code(client.send("PATCH", first, body=b"two"))) == "BLOB_UPLOAD_INVALID"


def test_docker_registry_takes_a_gap_and_refuses_only_the_digest(like):
    client = like("docker-registry")
    answer = client.send("PATCH", begin(client), body=DATA[100:], headers={"Content-Range": f"100-{len(DATA) - 1}"})
    assert answer.status == 202
    assert error_code(commit(client, answer.headers["Location"])) == "DIGEST_INVALID"


def test_crane_keeps_what_was_cut_but_does_not_say_how_much(like):
    client = like("crane")
    location = begin(client)
    assert location.startswith("/v2/")
    cut(client, location)
    assert client.send("GET", location).status == 400
    gap = client.send("PATCH", location, body=b"x", headers={"Content-Range": "5-5"})
    assert gap.status == 416
    rest = {"Content-Range": f"300000-{len(DATA) - 1}"}
    assert client.send("PATCH", location, body=DATA[300_000:], headers=rest).status == 204
    assert commit(client, location).status == 201


def test_crane_takes_a_stream_only_as_the_first_piece(like):
    client = like("crane")
    location = begin(client)
    assert client.send("PATCH", location, body=b"one").status == 204
    answer = client.send("PATCH", location, body=b"two")
    assert (answer.status, error_code(answer)) == (400, "BLOB_UPLOAD_INVALID")


def send(client, location, first, piece, *, ranged=True):
    headers = {"Content-Range": f"{first}-{first + len(piece) - 1}"} if ranged else {}
    return client.send("PATCH", location, body=piece, headers=headers)


def test_ghcr_takes_no_piece_of_more_than_4_mib_but_all_in_one(like):
    client = like("ghcr")
    large = bytes(4 * 1024 * 1024 + 1)
    location = begin(client)
    assert send(client, location, 0, large).status == 416
    assert send(client, location, 0, large[1:]).status == 202
    assert send(client, begin(client), 0, large, ranged=False).status == 202


def test_ecr_says_for_ever_that_it_has_the_first_piece(like):
    client = like("ecr")
    location = begin(client)
    said = [send(client, location, first, DATA[first : first + 1000]).headers["Range"] for first in (0, 1000, 2000)]
    assert said == ["0-999"] * 3
    assert client.send("GET", location).headers["Range"] == "0-999"
    assert commit(client, location, DATA[:3000]).status == 201


def test_zot_tells_of_the_last_piece_alone_until_it_is_asked(like):
    client = like("zot")
    location = begin(client)
    sizes = ((0, 1000), (1000, 500), (1500, 700))
    said = [send(client, location, first, DATA[first : first + size]).headers["Range"] for first, size in sizes]
    assert said == ["0-999", "0-499", "0-699"]
    assert client.send("GET", location).headers["Range"] == "0-2199"
    assert commit(client, location, DATA[:2200]).status == 201


def test_a_serverless_registry_takes_one_piece(like):
    client = like("serverless")
    location = begin(client)
    assert send(client, location, 0, DATA[:1000]).status == 202
    assert send(client, location, 1000, DATA[1000:2000]).status == 416
    assert commit(client, location, DATA[:1000]).status == 201


def test_only_the_last_piece_may_be_short_where_pieces_have_a_least_size(like):
    client = like(least_piece=1000)
    answer = client.send("POST", f"/v2/{APP}/blobs/uploads/")
    assert answer.headers["OCI-Chunk-Min-Length"] == "1000"
    location = answer.headers["Location"]
    assert client.send("PATCH", location, body=DATA[:1000]).status == 202
    assert client.send("PATCH", location, body=DATA[1000:1500]).status == 202
    answer = client.send("PATCH", location, body=DATA[1500:2000])
    assert (answer.status, error_code(answer)) == (400, "SIZE_INVALID")
    assert commit(client, location, DATA[:1500]).status == 201


def test_whoever_goes_on_need_not_wait_for_a_connection_that_stalled(like):
    client = like()
    location = begin(client)
    head = f"PATCH {location.removeprefix(client.box.url)} HTTP/1.1\r\nHost: {client.box.host}\r\n"
    head += f"Authorization: {client.basic}\r\nContent-Length: {len(DATA)}\r\n\r\n"
    arrived = 100_000 - len(head)
    with Line(client.box.host, stall_after=100_000) as line:
        host, _, port = line.host.rpartition(":")
        with socket.create_connection((host, int(port))) as stalled:
            stalled.sendall(head.encode() + DATA[:200_000])
            until = time.monotonic() + LIMIT_SECONDS
            while client.send("GET", location).headers["Range"] != f"0-{arrived - 1}" and time.monotonic() < until:
                pass
            rest = {"Content-Range": f"{arrived}-{len(DATA) - 1}"}
            assert client.send("PATCH", location, body=DATA[arrived:], headers=rest).status == 202
    assert commit(client, location).status == 201


def test_an_upload_goes_on_after_a_restart(tmp_path, connect):
    with Sandbox(tmp_path) as box:
        client = connect(box)
        path = begin(client).removeprefix(box.url)
        cut(client, path)
        password = box.password
    with Sandbox(tmp_path) as box:
        client = connect(box, password=password)
        assert client.send("GET", path).headers["Range"] == "0-299999"
        assert client.send("PATCH", path, body=DATA[300_000:]).status == 202
        assert commit(client, path).status == 201
        head = client.send("HEAD", f"/v2/{APP}/blobs/{client.digest_of(DATA)}").headers
    assert head["X-Checksum-Md5"] == hashlib.md5(DATA).hexdigest()
    assert head["X-Checksum-Sha1"] == hashlib.sha1(DATA).hexdigest()


def test_an_upload_that_ended_is_not_there_after_a_restart(tmp_path, connect):
    with Sandbox(tmp_path) as box:
        path = begin(connect(box)).removeprefix(box.url)
        assert commit(connect(box), path, b"data", body=b"data").status == 201
    with Sandbox(tmp_path) as box:
        assert connect(box).send("GET", path).status == 404
        assert list((tmp_path / "incoming").iterdir()) == []


def test_a_tag_cannot_be_moved_where_tags_are_immutable(like):
    client = like(immutable=["docker-release"])
    first = client.push("docker-release/app", "1", b"one")
    assert client.push("docker-release/app", "1", b"one") == first
    other = client.make_manifest("docker-release/app", b"two")
    answer = client.put_manifest("docker-release/app", "1", other)
    assert (answer.status, error_code(answer)) == (409, "TAG_INVALID")
    assert client.box.digest("docker-release/app", "1") == first
    assert client.push("docker-local/app", "1", b"one") != client.push("docker-local/app", "1", b"two")


def test_whoever_may_not_delete_may_not_move_a_tag(box, client, client_of):
    first = client.push(APP, "1", b"one")
    ci = client_of(box.add_account("ci", ["read", "deploy"]))
    answer = ci.put_manifest(APP, "1", ci.make_manifest(APP, b"two"))
    assert (answer.status, error_code(answer)) == (403, "DENIED")
    assert ci.push(APP, "1", b"one") == first
    assert ci.push(APP, "2", b"two") != first


def test_an_unknown_way_to_deal_with_uploads_is_an_error():
    with pytest.raises(SettingsError, match="'harbor'") as caught:
        Sandbox(uploads="harbor")
    assert "crane" in caught.value.hint


def test_an_immutable_repository_that_is_not_there_is_an_error():
    with pytest.raises(SettingsError, match="'nowhere'") as caught, Sandbox(immutable=["nowhere"]):
        pass
    assert "docker-release" in caught.value.hint


def test_an_upload_that_nobody_continues_ends_after_a_day(tmp_path, connect):
    now = [1_000_000_000.0]
    with Sandbox(tmp_path, clock=lambda: now[0]) as box:
        client = connect(box)
        abandoned, continued = begin(client), begin(client)
        for _ in range(2):
            now[0] += 20 * 3600
            client.send("PATCH", continued, body=b"more")
        begin(client)
        assert [client.send("GET", location).status for location in (abandoned, continued)] == [404, 204]
        assert len(list((tmp_path / "incoming").iterdir())) == 2


def test_there_are_only_so_many_unfinished_uploads(monkeypatch, connect):
    monkeypatch.setattr("buildpush.sandbox.uploads.MOST_UPLOADS", 3)
    now = [1_000_000_000.0]
    with Sandbox(clock=lambda: now[0]) as box:
        client = connect(box)
        first, *_ = [begin(client) for _ in range(3)]
        answer = client.send("POST", f"/v2/{APP}/blobs/uploads/")
        assert (answer.status, error_code(answer), answer.headers["Retry-After"]) == (429, "TOOMANYREQUESTS", "60")
        now[0] += 30
        client.send("PATCH", first, body=b"more")
        now[0] += 31
        begin(client)
        assert client.send("GET", first).status == 204
