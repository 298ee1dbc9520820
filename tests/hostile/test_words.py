"""What a registry says of its no: Artifactory's reason, a redirect's target, a page, a password that is wrong."""

from __future__ import annotations

import json

import pytest

from buildpush.errors import AuthenticationError, BuildPushError
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
