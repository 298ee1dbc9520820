"""What a registry says of its no: Artifactory's reason, a redirect's target, a page, a password that is wrong."""

from __future__ import annotations

import json

import pytest
from urllib3 import HTTPHeaderDict

from buildpush.foundation.errors import AuthenticationError, BuildPushError
from buildpush.foundation.secrets import MASK, Secret
from buildpush.http import words
from buildpush.http.messages import Answer
from buildpush.http.words import error_in, is_page
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
FORBIDDEN = "the user may not have a permission, or the tag may not be overwritten"
READING = "the user may not have the permission to read, or a scan such as Xray's blocks it for a while"


@pytest.mark.parametrize(
    ("answer", "says", "hint"),
    [
        ((500, {}, b""), "status 500: no reason given", "the server, or a proxy"),
        ((500, {}, b"", "", 6), "status 500 after 6 attempts: no reason given", "the server, or a proxy"),
        ((429, {}, b"slow down"), "status 429: slow down", "the registry limits the rate of requests"),
        ((409, {}, fault(409, "DENIED", "").body), "status 409: DENIED", None),
        ((409, {}, b'{"errors": [{"message": "taken"}]}'), "status 409: taken", None),
        ((403, {}, b"no"), "status 403: no", FORBIDDEN),
        ((413, {}, b""), "status 413: no reason given", "a proxy in between limits the size of requests"),
        ((404, {}, b""), "status 404: no reason given", "check host and repository; some hosts require"),
        (
            (404, {}, fault(404, "NAME_UNKNOWN", "x").body),
            "status 404: NAME_UNKNOWN x",
            "the first part of the path is",
        ),
        ((404, {}, fault(404, "MANIFEST_UNKNOWN", "x").body), "404: MANIFEST_UNKNOWN x", "check repository and tag"),
        ((429, {}, fault(429, "TOOMANYREQUESTS", "x").body), "429: TOOMANYREQUESTS x", "the registry limits the rate"),
        ((502, {}, PAGE), 'status 502: answered with a web page, titled "Log in"', "a proxy or a login page answers"),
        ((307, {"Location": "/x?token=planted"}, b""), "status 307: it redirects to https://r.io/x", None),
        ((307, {"Location": "ftp://[x"}, b""), "status 307: it redirects to ftp://[x", None),
        ((307, {}, b"gone"), "status 307: gone", None),
    ],
)
def test_a_refusal_says_what_was_wanted_what_was_said_and_what_to_do(answer, says, hint):
    status, headers, body, *more = answer
    attempts = more[1] if more else 1
    error = refusal(Answer(status, HTTPHeaderDict(headers), body, "https://r.io/v2/", attempts), "it was not accepted")

    assert str(error).startswith("it was not accepted: status ")
    assert str(error).endswith(says)
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


# What is read in a body


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [
        (b"", None, ""),
        (b"plain  text\n", None, "plain text"),
        (b'{"errors":[{"code":"A","message":"m"}]}', "A", "m"),
        (b'{"errors":[{"code":"A","message":"m","detail":"m"}]}', "A", "m"),
        (b'{"errors":[{"code":"A","message":"m","detail":"d"}]}', "A", "m (d)"),
        (b'{"errors":[{"code":"A","detail":"d"}]}', "A", "d"),
        (b'{"error":"invalid_grant","error_description":"x"}', None, "x"),
        (b'{"error":"x"}', None, "x"),
        (b'{"details":"x"}', None, "x"),
        (b'{"reason":"x"}', None, "x"),
        (b'{"message":"m","error":"e","reason":"r","details":"x"}', None, "m"),
        (b'{"error":"e","reason":"r"}', None, "r"),
        (b'{"reason":"r","details":"x"}', None, "x"),
        (b'{"errors":[{"status":404,"message":"m"}]}', None, "m"),
        (b'{"code":404,"message":"m"}', "404", "m"),
        (b'{"code":"","message":"m"}', None, "m"),
        (b'{"code":0,"message":"m"}', "0", "m"),
        (b'{"code":null,"message":"m"}', None, "m"),
        (b'{"errors":[]}', None, '{"errors": []}'),
        (b'{"errors":{"code":"A"}}', None, '{"errors": {"code": "A"}}'),
        (b'{"errors":[{"code":"A"}]}', "A", ""),
        (b'{"errors":["x","y"]}', None, "x; y"),
        (b'{"errors":[{"message":"m"},{"message":"m"},{"message":"n"}]}', None, "m; n"),
        (b'{"errors":["1","2","3","4","5","6"]}', None, "1; 2; 3; 4; 5"),
        (b'{"a": 1}', None, '{"a": 1}'),
        (b"[1,2]", None, "[1, 2]"),
        (b"null", None, ""),
        (b'"x"', None, "x"),
        (b'{"message":{"a":["b"],"c":"d"}}', None, '{"a": ["b"], "c": "d"}'),
        (b'{"errors":[{"code":"A","message":"m","detail":{"Type":"r"}}]}', "A", 'm ({"Type": "r"})'),
        (b'{"errors":[{"code":"A","message":"m","detail":{}}]}', "A", "m"),
        (b'{"errors":[{"code":"A","message":"","detail":false}]}', "A", "false"),
        (b'{"code":"' + b"C" * 100 + b'"}', "C" * 63 + "…", ""),
        (b"<p>x</p>", None, "<p>x</p>"),
        (b"<htmlx>", None, "<htmlx>"),
        (b'{"message":"m\xc3\xa4"}', None, "mä"),
        (b'{"message":"a\\nb"}', None, "a b"),
        (b'{"errors":[{"message":"m"},{"code":"B","message":"n"}]}', None, "m; n"),
        (b'{"errors":[{"x":"y"}]}', None, '{"x": "y"}'),
        (b'{"message":"m","errors":null}', None, "m"),
    ],
)
def test_the_code_and_the_reason_are_found_in_any_of_the_usual_forms(body, code, reason):
    assert error_in(body) == (code, reason)
    assert not is_page(body)


@pytest.mark.parametrize(
    ("body", "summary"),
    [
        (b"<html></html>", "a web page without text"),
        (b"<html><p>one</p><p>two</p></html>", 'a web page: "one two"'),
        (b" \n<!DOCTYPE html><title> </title><H1 class=a>Log &amp; in</H1 >", 'a web page, titled "Log & in"'),
        (b'<?xml version="1.0"?><!-- x --><!-- y --><body><title a="b">T</title></body>', 'a web page, titled "T"'),
        (b"<center><h1>502</h1></center>", 'a web page, titled "502"'),
    ],
)
def test_a_page_is_summed_up_by_its_title_or_its_words(body, summary):
    assert error_in(body) == (None, summary)
    assert is_page(body)


@pytest.mark.parametrize("entries", [100, 101])
def test_of_a_large_detail_the_first_hundred_entries_are_shown(entries):
    some, more = {str(at): at for at in range(min(entries, 100))}, list(range(min(entries, 100)))
    asked = {str(at): at for at in range(entries)}, list(range(entries))

    assert [words._words(value) for value in asked] == [json.dumps(some), json.dumps(more)]


def test_of_a_large_body_the_beginning_is_read():
    page = b"<html>" + b" " * words._MOST_READ + b"<title>late</title></html>"
    assert error_in(page) == (None, "a web page without text")
    assert is_page(page)
    assert error_in(b"x" * (words._MOST_READ + 1))[1] == error_in(b"x" * 5000)[1]
    assert len(error_in(b"x" * 5000)[1]) == 2048


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"at 100%", "at 100%"),  # what was cut nowhere ends as it does
        (b"a &amp", "a &amp"),
        ('{"message": {"a": "ä"}}'.encode(), '{"a": "ä"}'),
        (rb'{"message": {"a\nb": ["c\n\u001b[31md"]}}', '{"a b": ["c d"]}'),
        (b'{"detail": "d", "reason": "r"}', "r (d)"),
        (b'{"detail": "d", "reason": ["r"]}', '["r"] (d)'),
        (b'{"detail": "", "code": "A"}', ""),
        (b"<html><title>" + b"t" * 300 + b"</title>", 'a web page, titled "' + "t" * 199 + '…"'),
        (b"<html><p>" + b"p" * 300 + b"</p>", 'a web page: "' + "p" * 199 + '…"'),
    ],
)
def test_what_is_said_is_shown_as_it_is_meant(body, reason):
    assert error_in(body)[1] == reason


@pytest.mark.parametrize(
    "body",
    [
        b'{"errors": [{"code": "TOKEN_8f3kQ2vx", "message": "8f3kQ2vx... has expired", "detail": {"t": "8f3kQ2vxL"}}]}',
        b"the token 8f3kQ2vx\xe2\x80\xa6 has expired",
        b"<html><title>8f3kQ2vx</title>",
        b'{"message": "8f3kQ2vx' + b"x" * 5000 + b'"}',
    ],
    ids=["JSON", "text", "a page", "a long message"],
)
def test_what_a_server_shows_of_a_token_is_hidden(body):
    Secret("8f3kQ2vxLm5nPz7w")
    code, reason = error_in(body)
    assert "8f3kQ2vx" not in f"{code} {reason}"
    assert MASK in reason
