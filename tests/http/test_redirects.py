"""Redirects: what is followed, and where credentials go."""

from __future__ import annotations

import pytest

from buildpush.foundation.errors import RegistryError
from buildpush.http.messages import Stream
from buildpush.http.urls import Address, AddressError, check_redirect
from tests.http.servers import OK, in_turn, serving, status


@pytest.mark.sandbox
def test_a_redirect_keeps_credentials_at_home(client):
    with serving(OK) as other, serving(OK) as home:
        home.handle = in_turn(status(307, Location="/next"), status(307, Location=f"{other.url}/away"))
        answer = client.request("GET", home.url, authorization="Basic c2VjcmV0")

    assert [one.headers.get("Authorization") for one in home.seen] == ["Basic c2VjcmV0"] * 2
    assert other.seen[0].headers.get("Authorization") is None
    assert answer.url == f"{other.url}/away"


@pytest.mark.sandbox
def test_a_redirected_put_stays_a_put_and_a_see_other_becomes_a_get(client):
    with serving(in_turn(status(307, Location="/2"), status(303, Location="/3"), OK)) as server:
        client.request("PUT", server.url, body=b"x")

    assert [(one.command, one.body) for one in server.seen] == [("PUT", b"x"), ("PUT", b"x"), ("GET", b"")]


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("number", "sent", "followed"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
        (301, "PUT", "PUT"),
        (302, "PUT", "PUT"),
        (303, "PUT", "GET"),
        (307, "PUT", "PUT"),
        (302, "HEAD", "HEAD"),
    ],
)
def test_what_a_redirect_makes_of_a_request_is_by_its_status(client, number, sent, followed):
    body = None if sent == "HEAD" else b"x"
    with serving(in_turn(status(number, Location="/2"), OK)) as server:
        client.request(sent, server.url, body=body, repeatable=True)

    assert [one.command for one in server.seen] == [sent, followed]
    assert server.seen[1].body == (b"x" if followed not in {"GET", "HEAD"} else b"")


@pytest.mark.sandbox
def test_credentials_do_not_come_back_with_a_redirect_from_elsewhere(client):
    with serving(OK) as other, serving(OK) as home:
        home.handle = in_turn(status(302, Location=f"{other.url}/away"), OK)
        other.handle = status(302, Location=f"{home.url}/back")
        client.request("GET", home.url, authorization="Basic c2VjcmV0")

    assert [one.headers.get("Authorization") for one in home.seen] == ["Basic c2VjcmV0", None]


@pytest.mark.sandbox
def test_a_redirected_request_that_may_be_sent_once_is_not_sent_again(client):
    with serving(in_turn(status(307, Location="/2"), status(503))) as server:
        assert client.request("POST", server.url, body=b"x").status == 503

    assert len(server.seen) == 2


@pytest.mark.sandbox
def test_what_is_read_behind_a_redirect_has_the_same_limit(client):
    with (
        serving(in_turn(status(302, Location="/2"), OK)) as server,
        pytest.raises(RegistryError, match="larger than 3 bytes"),
    ):
        client.request("GET", server.url, most=3)


@pytest.mark.sandbox
def test_an_answer_behind_a_redirect_is_opened_as_a_stream(client):
    with serving(in_turn(status(302, Location="/2"), OK)) as server, client.open("GET", server.url) as answer:
        assert isinstance(answer, Stream)


@pytest.mark.sandbox
@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://example.org/"])
def test_a_redirect_out_of_the_web_is_refused(client, target):
    with serving(status(302, Location=target)) as server, pytest.raises(AddressError, match="neither http nor https"):
        client.request("GET", server.url)


def test_a_redirect_out_of_tls_is_refused():
    one = Address.parse("https://one.example/a")
    check_redirect(one, Address.parse("https://other.example/a"))
    for spelling in ("http://other.example/a", "HTTP://other.example/a", "http://one.example:443/a"):
        with pytest.raises(AddressError, match="without TLS: that is not safe"):
            check_redirect(one, one.join(spelling))


@pytest.mark.sandbox
def test_redirects_can_be_left_alone_and_do_not_go_on_for_ever(client):
    with serving(status(302, Location="/again")) as server:
        assert client.request("GET", server.url, redirect=False).status == 302
        assert client.request("GET", server.url).status == 302
        assert len(server.seen) == 1 + 1 + 5
