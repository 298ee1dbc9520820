"""Registries that write addresses of others: nobody but the registry sees a credential."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildpush.foundation.errors import BuildPushError, RegistryError
from buildpush.foundation.events import Note
from buildpush.http.urls import AddressError
from buildpush.registry.pull import pull
from buildpush.registry.push import push
from buildpush.registry.referrers import find_referrers
from tests.hostile.registry import Reply
from tests.registry.conftest import Source

pytestmark = pytest.mark.sandbox

PASSWORD = "a-planted-password"
ELSEWHERE = "127.0.0.2"  # as much another host as any


def told(server) -> str:
    """Return all that a server was told, but for the bodies."""
    return "\n".join(f"{one.method} {one.target}\n{one.headers}" for one in server.requests)


def asks_for_a_token_at(realm: str):
    """Return the quirk that a token from *realm* is wanted."""

    def act(request, _registry):
        if request.headers.get("Authorization"):
            return None
        return Reply(401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'})

    return act


def makes_tokens(request, _registry):
    return Reply(body=json.dumps({"token": "a-token"}).encode()) if request.path != "/v2/" else None


def sends_on_to(location: str, *, when=lambda request: request.method == "GET" and request.path == "/v2/"):
    return lambda request, _registry: Reply(307, {"Location": location}) if when(request) else None


def wants_a_password(request, _registry):
    return None if request.headers.get("Authorization") else Reply(401, {"WWW-Authenticate": 'Basic realm="x"'})


def begins_at(location: str):
    """Return the quirk that every upload goes on at *location*."""
    return lambda request, _registry: Reply(202, {"Location": location}) if request.method == "POST" else None


def attempt(server, client) -> None:
    registry, repository = client(server)
    with contextlib.suppress(BuildPushError):
        registry.check_push(repository)
    with contextlib.suppress(BuildPushError):
        push(Source(b"one" * 1000).image(), [repository.tagged("1")], registry)


@pytest.fixture
def other(serve):
    return serve(makes_tokens, address=ELSEWHERE)


FORMS = [
    "http://{other}\\@{home}/x",
    "http://{other}\\.{home}/x",
    "http://{home}@{other}/x",
    "http://{home}:x@{other}/x",
    "//{other}\\@{home}/x",
    "http:\\\\{other}\\@{home}/x",
    "HTTP://{other}/x",
    "http://{other}#@{home}/x",
    "http://{other}?@{home}/x",
    "\thttp://{other}/x",
    "http://{other} @{home}/x",
]


@pytest.mark.parametrize("form", FORMS)
def test_a_realm_elsewhere_sees_no_password_however_it_is_written(serve, client, other, form):
    server = serve()
    server.quirks.append(asks_for_a_token_at(form.format(home=server.host, other=other.host)))
    attempt(server, client)
    assert "Authorization" not in told(other)


@pytest.mark.parametrize("form", FORMS)
def test_a_redirect_elsewhere_takes_no_password_along_however_it_is_written(serve, client, other, form):
    server = serve(wants_a_password)
    location = form.format(home=server.host, other=other.host)
    server.quirks.append(sends_on_to(location, when=lambda request: request.method in {"GET", "HEAD", "POST", "PUT"}))
    attempt(server, client)
    assert any(one.headers.get("Authorization") for one in server.requests)
    assert "Authorization" not in told(other)


@pytest.mark.parametrize("form", FORMS)
def test_an_upload_elsewhere_sees_no_password_and_nothing_is_deleted_there(serve, client, other, form):
    server = serve(wants_a_password)
    server.quirks.append(begins_at(form.format(home=server.host, other=other.host)))
    attempt(server, client)
    assert "Authorization" not in told(other)
    assert not other.asked("DELETE")


def test_an_address_that_two_parsers_read_in_two_ways_is_an_error_that_names_it(serve, client, other):
    server = serve()
    server.quirks.append(asks_for_a_token_at(f"http://{other.host}\\@{server.host}/token"))
    registry, repository = client(server)
    with pytest.raises(
        RegistryError, match=r"names a token server that cannot be used: .* is not an address: a backslash"
    ):
        registry.check_push(repository)
    server.quirks[:] = [begins_at(f"http://{other.host}\\@{server.host}/upload")]
    registry, repository = client(server)
    with pytest.raises(AddressError, match="is not an address: a backslash"):
        push(Source(b"one").image(), [repository.tagged("1")], registry)
    assert not other.requests


@pytest.mark.parametrize("realm", ["Artifactory Realm", "/token", "ftp://r.example/token", "https://", "https://[::1"])
def test_a_realm_that_is_no_address_is_an_error_that_says_so(serve, client, realm):
    registry, repository = client(serve(asks_for_a_token_at(realm)))
    with pytest.raises(
        RegistryError, match=r"names a token server that cannot be used: .* is not an address"
    ) as caught:
        registry.check_push(repository)
    assert caught.value.hint


def test_the_realm_of_a_password_is_a_name_and_nobody_is_asked_there(serve, client, other):
    def refuses(_request, _registry):
        return Reply(401, {"WWW-Authenticate": f'Basic realm="{other.url}/token"'})

    registry, repository = client(serve(refuses))
    with pytest.raises(BuildPushError, match="refuses the user name or password") as caught:
        registry.check_push(repository)
    assert not other.requests
    assert "token server" not in caught.value.hint


def uploads_at(other):
    """Return the quirk that uploads begin here and go on at another registry, as a CDN's do."""

    def act(request, registry):
        if request.method != "POST":
            return None
        usual = registry.answer(request)
        name = usual.headers["Location"].rpartition("/")[2]
        other.uploads[name] = bytearray()
        return usual.having(Location=f"{other.url}{usual.headers['Location']}")

    return act


def test_layers_may_go_to_another_host_which_is_told_once_and_shown_nothing(serve, client, other, events):
    server = serve(wants_a_password)
    server.quirks.append(uploads_at(other))
    other.quirks.clear()
    other.blobs = server.blobs  # one store behind both
    registry, repository = client(server)
    pushed = push(Source(b"one" * 1000, b"two" * 2000).image(), [repository.tagged("1")], registry)

    assert str(pushed.digest) in server.truth
    assert "Authorization" not in told(other)
    assert {one.method for one in other.requests} == {"PATCH", "PUT"}
    notes = [one.text for one in events if isinstance(one, Note) and other.host in one.text]
    assert notes == [f"{server.host} redirects uploads of layers to {other.host}, which gets no credentials"]


def test_an_upload_elsewhere_that_is_not_wanted_is_left_alone(serve, client, other):
    server = serve(uploads_at(other))
    registry, repository = client(server)
    registry.check_push(repository)

    assert not other.requests
    assert [one.method for one in server.requests][-1] == "POST"


def test_nothing_is_deleted_where_a_redirect_leads(serve, client, other):
    server = serve(sends_on_to(f"{other.url}/x", when=lambda request: request.method == "DELETE"))
    registry, repository = client(server)
    registry.check_push(repository)

    assert server.asked("DELETE")
    assert not other.requests


# Anything at all

BEGINS = st.sampled_from(["http://", "HTTP://", "//", "http:\\\\", "\thttp://"])
HOSTS = st.permutations(["HOME", "OTHER"])
MARKS = ["\\@", "\\", "@", "%40", "%5c@", ":", ";@", "?@", "#@", "/@", " @", "\t@", "\\.", "[", "]@"]
MARK = st.sampled_from(MARKS) | st.lists(st.sampled_from(MARKS), max_size=3).map("".join)


@st.composite
def addresses(draw) -> str:
    """Return an address, more or less, that two parsers may read in two ways."""
    one, two = draw(HOSTS)
    return f"{draw(BEGINS)}{one}{draw(MARK)}{two}{draw(st.sampled_from(['', '/x', '/..', '?x', '#x']))}"


LEADS = {
    "realm": asks_for_a_token_at,
    "redirect": lambda text: sends_on_to(text, when=lambda request: request.method in {"GET", "POST"}),
    "upload": begins_at,
}


@pytest.mark.parametrize("lead", LEADS)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=addresses())
def test_no_other_host_ever_sees_a_password(serve, client, other, lead, pieces):
    server = serve() if lead == "realm" else serve(wants_a_password)
    text = pieces.replace("HOME", server.host).replace("OTHER", other.host)
    server.quirks.append(LEADS[lead](text))
    attempt(server, client)
    assert "Authorization" not in told(other)
    assert PASSWORD not in told(other)


def test_a_list_that_goes_on_at_another_host_is_refused(serve, client, other):
    empty = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []})

    def lists(request, _registry):
        if "/referrers/" not in request.path:
            return None
        headers = {"Content-Type": "application/vnd.oci.image.index.v1+json", "Link": f'<{other.url}/x>; rel="next"'}
        return Reply(200, headers, empty.encode())

    server = serve(lists)
    registry, repository = client(server)
    push(Source(b"one").image(), [repository.tagged("1")], registry)
    with pytest.raises(BuildPushError, match="another host"):
        find_referrers(pull(repository.tagged("1"), registry, artifact=True), repository, registry)
    assert not other.requests


def test_the_planted_password_is_found_where_it_is_shown(serve, client):
    """The search of the tests above finds something where there is something."""
    server = serve(wants_a_password)
    attempt(server, client)
    assert "Authorization" in told(server)
