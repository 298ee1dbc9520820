"""What a registry says of its no: Artifactory's reason, a redirect's target, a page, a password that is wrong."""

from __future__ import annotations

import json

import pytest
from urllib3 import HTTPHeaderDict

from buildpush.errors import AuthenticationError, BuildPushError
from buildpush.http import Answer
from buildpush.registry.client import refusal
from buildpush.registry.push import push
from tests.hostile.registry import Reply, fault
from tests.registry.conftest import Source

pytestmark = pytest.mark.sandbox


def refused(serve, client, reply: Reply) -> BuildPushError:
    """Return the error of a push whose upload is answered so."""
    server = serve(lambda request, _: reply if request.method == "POST" else None)
    registry, repository = client(server)
    with pytest.raises(BuildPushError) as caught:
        push(Source(b"bytes").image(), [repository.tagged("1")], registry)
    return caught.value


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        ("the repository is full", "the repository is full"),
        ({"reason": "quota", "left": 0}, '"reason": "quota"'),
        ([{"Type": "repository"}], '"Type": "repository"'),
        (["one", "two"], '"one", "two"'),
    ],
)
def test_the_detail_of_an_error_is_shown_whatever_its_form(serve, client, detail, shown):
    error = refused(serve, client, fault(400, "DENIED", "not now", detail))
    assert "DENIED not now" in str(error)
    assert shown in str(error)


@pytest.mark.parametrize("detail", [None, "", {}, []])
def test_a_detail_that_says_nothing_leaves_no_trace(serve, client, detail):
    assert str(refused(serve, client, fault(400, "DENIED", "not now", detail))).endswith("DENIED not now")


def test_a_redirect_that_never_ends_names_where_it_leads(serve, client):
    error = refused(serve, client, Reply(307, {"Location": "/elsewhere/v2/"}))
    assert "/elsewhere/v2/" in str(error)


def test_a_page_is_summed_up_by_its_title_and_explained(serve, client):
    page = b"<!DOCTYPE html><html><head><title>Sign in &amp; go on</title></head><body>" + b"<p>x</p>" * 5000
    error = refused(serve, client, Reply(400, {"Content-Type": "text/html"}, page))
    assert 'a web page, titled "Sign in & go on"' in str(error)
    assert "<p>" not in str(error)
    assert len(str(error)) < 300
    assert "proxy" in error.hint


def test_a_password_that_is_refused_is_said_to_be_wrong_and_where_it_is_from(serve, client):
    challenge = {"WWW-Authenticate": 'Basic realm="here"'}
    server = serve(lambda request, _: Reply(401, challenge, json.dumps({"errors": []}).encode()))
    registry, repository = client(server)
    with pytest.raises(AuthenticationError) as caught:
        push(Source(b"bytes").image(), [repository.tagged("1")], registry)
    assert "user name or password" in str(caught.value)
    assert "from test" in str(caught.value)


def test_a_right_that_is_missing_is_not_called_a_wrong_password(serve, client):
    error = refused(serve, client, fault(403, "DENIED", "no", "needs Deploy"))
    assert isinstance(error, AuthenticationError)
    assert "password" not in str(error)
    assert "needs Deploy" in str(error)


# The sentence itself

PAGE = b"<html><head><title>Log in</title></head></html>"
FORBIDDEN = "the user may lack a permission, or the tag may not be overwritten"
READING = "the user may lack the right to read, or a scan such as Xray's blocks it for a while"


@pytest.mark.parametrize(
    ("answer", "words", "hint"),
    [
        ((500, {}, b""), "status 500: without a reason", None),
        ((500, {}, b"", "", 6), "status 500 after 6 attempts: without a reason", None),
        ((409, {}, fault(409, "DENIED", "").body), "status 409: DENIED", None),
        ((409, {}, b'{"errors": [{"message": "taken"}]}'), "status 409: taken", None),
        ((403, {}, b"no"), "status 403: no", FORBIDDEN),
        ((413, {}, b""), "status 413: without a reason", "a proxy in between limits the size of requests"),
        ((404, {}, b""), "status 404: without a reason", "check host and repository; some hosts want"),
        (
            (404, {}, fault(404, "NAME_UNKNOWN", "x").body),
            "status 404: NAME_UNKNOWN x",
            "the first part of the path is",
        ),
        ((404, {}, fault(404, "MANIFEST_UNKNOWN", "x").body), "404: MANIFEST_UNKNOWN x", "check repository and tag"),
        ((429, {}, fault(429, "TOOMANYREQUESTS", "x").body), "429: TOOMANYREQUESTS x", "the registry limits how often"),
        ((502, {}, PAGE), 'status 502: answered with a web page, titled "Log in"', "a proxy or a login page answers"),
        ((307, {"Location": "/x?token=planted"}, b""), "status 307: it redirects to https://r.io/x", None),
        ((307, {"Location": "ftp://[x"}, b""), "status 307: it redirects to ftp://[x", None),
        ((307, {}, b"gone"), "status 307: gone", None),
    ],
)
def test_a_refusal_says_what_was_wanted_what_was_said_and_what_to_do(answer, words, hint):
    status, headers, body, *more = answer
    attempts = more[1] if more else 1
    error = refusal(Answer(status, HTTPHeaderDict(headers), body, "https://r.io/v2/", attempts), "it was not taken")

    assert str(error).startswith("it was not taken: status ")
    assert str(error).endswith(words)
    assert error.status == status
    assert (error.hint or "").startswith(hint or "")
    assert (error.hint is None) == (hint is None)


@pytest.mark.parametrize(("reading", "hint"), [(True, READING), (False, FORBIDDEN)])
def test_what_may_not_be_read_has_another_hint_than_what_may_not_be_written(reading, hint):
    assert refusal(Answer(403, {}, b"", "https://r.io/v2/"), "no", reading=reading).hint == hint
    assert refusal(Answer(404, {}, b"", "https://r.io/v2/"), "no", reading=reading).hint.startswith("check host")


@pytest.mark.parametrize("reply", [Reply(503), Reply(reset=True), Reply(405)], ids=["503", "reset", "405"])
def test_what_is_given_up_is_said_once(serve, client, waits, reply):
    """It does not matter whether anybody listens."""
    server = serve(lambda request, _: reply if request.method == "DELETE" else None)
    registry, repository = client(server)
    registry.check_push(repository)

    assert len(server.asked("DELETE")) == 1
    assert not waits
