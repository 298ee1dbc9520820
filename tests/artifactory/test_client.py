"""Addresses, credentials and words of an Artifactory; what it does is asked of the sandbox in test_publishing."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush.artifactory import Artifactory, BuildInfo
from buildpush.artifactory.addresses import base_url, property_query
from buildpush.artifactory.answers import message_of
from buildpush.artifactory.authorization import authorization, key_header, who
from buildpush.artifactory.layout import Home, likely_home
from buildpush.credentials.docker import Credential
from buildpush.foundation.errors import BuildInfoError, SettingsError
from buildpush.foundation.secrets import Secret
from buildpush.http.client import Http
from buildpush.http.messages import Answer
from buildpush.images.references import Repository


@pytest.fixture
def http():
    with Http(insecure_hosts=frozenset({"lab.local"})) as http:
        yield http


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ("https://acme.jfrog.io", "https://acme.jfrog.io/artifactory/"),
        ("https://acme.jfrog.io/", "https://acme.jfrog.io/artifactory/"),
        ("https://acme.jfrog.io/artifactory", "https://acme.jfrog.io/artifactory/"),
        ("https://acme.jfrog.io/artifactory/", "https://acme.jfrog.io/artifactory/"),
        (" https://acme.jfrog.io/artifactory/api/docker/x ", "https://acme.jfrog.io/artifactory/"),
        ("https://acme.jfrog.io/ui/builds?x=1#top", "https://acme.jfrog.io/artifactory/"),
        ("https://host/tools/artifactory/", "https://host/tools/artifactory/"),
        ("https://host/tools", "https://host/tools/artifactory/"),
        ("https://host/artifactory-eu", "https://host/artifactory-eu/artifactory/"),
        ("acme.jfrog.io", "https://acme.jfrog.io/artifactory/"),
        ("acme.jfrog.io/artifactory", "https://acme.jfrog.io/artifactory/"),
        ("localhost:8081", "http://localhost:8081/artifactory/"),
        ("127.0.0.1:8081/artifactory", "http://127.0.0.1:8081/artifactory/"),
        ("http://[::1]:8081/", "http://[::1]:8081/artifactory/"),
        ("lab.local", "http://lab.local/artifactory/"),
        ("https://lab.local", "https://lab.local/artifactory/"),
    ],
)
def test_every_way_to_write_the_address_leads_to_artifactory(http, given, understood):
    assert base_url(given, http) == understood


@pytest.mark.parametrize("text", ["", "ftp://host/", "https://", "https://[::1", "https:///artifactory", "file:///etc"])
def test_what_is_no_address_is_an_error_with_a_hint(http, text):
    with pytest.raises(SettingsError) as caught:
        base_url(text, http)
    assert caught.value.hint


def test_a_host_with_strange_characters_is_refused(http):
    for text in ("https://ho st/", "https://evil.example\\@acme.jfrog.io/", "https://ho%20st/"):
        with pytest.raises(SettingsError):
            base_url(text, http)


def test_an_address_with_a_password_is_refused_without_repeating_it(http):
    with pytest.raises(SettingsError) as caught:
        base_url("https://bot:open-sesame@acme.jfrog.io/", http)
    assert "open-sesame" not in f"{caught.value} {caught.value.hint}"


def test_credentials_do_not_travel_without_tls(http):
    with pytest.raises(SettingsError, match="without TLS"):
        base_url("http://acme.jfrog.io/", http)


def test_a_token_is_a_bearer():
    assert authorization(Credential("", Secret("jwt-like"), "test", "access")) == "Bearer jwt-like"


def test_user_and_password_are_basic():
    header = authorization(Credential("bot", Secret("pässword"), "test"))
    assert base64.b64decode(header.removeprefix("Basic ")) == "bot:pässword".encode()


def test_an_old_api_key_is_a_password_where_a_user_came_with_it():
    credential = Credential("bot", Secret("AKCp8" + "x" * 68), "test", "access")
    assert authorization(credential).startswith("Basic ")
    assert key_header(credential) == {}


def test_an_old_api_key_alone_has_a_header_of_its_own():
    credential = Credential("", Secret("AKCp8" + "y" * 68), "test", "access")
    assert authorization(credential) is None
    assert key_header(credential) == {"X-JFrog-Art-Api": "AKCp8" + "y" * 68}


def test_nobody_in_particular_sends_nothing():
    assert authorization(None) is None
    assert who(None) == "no credentials were given"


@pytest.mark.parametrize("kind", ["password", "identity", "access"])
def test_a_credential_shows_no_secret(kind):
    assert "hush-hush" not in repr(Credential("bot", Secret("hush-hush"), "JF_ACCESS_TOKEN", kind))


class Wire:
    """Answers every request with the same, and keeps what it was asked."""

    insecure_hosts = frozenset()

    def __init__(self, status: int = 200, body: bytes = b"{}", headers=None) -> None:
        self.answer = Answer(status, headers or {}, body, "https://h/artifactory/api")
        self.asked = []

    def request(self, method, url, **more):
        self.asked.append((method, url, more))
        return self.answer


def test_an_old_api_key_alone_is_sent_in_its_header():
    key, wire = "AKCp8" + "z" * 68, Wire()
    Artifactory("https://h", wire, Credential("", Secret(key), "test", "access")).file("k", "a")
    [(method, url, more)] = wire.asked
    assert (method, url) == ("GET", "https://h/artifactory/api/storage/k/a")
    assert (more["headers"], more["authorization"]()) == ({"X-JFrog-Art-Api": key}, None)


def test_a_token_is_sent_as_one():
    wire = Wire()
    Artifactory("https://h", wire, Credential("", Secret("jwt-like"), "test", "access")).file("k", "a")
    [(_, _, more)] = wire.asked
    assert (more["headers"], more["authorization"]()) == ({}, "Bearer jwt-like")


def test_an_answer_without_a_version_is_none():
    with pytest.raises(BuildInfoError, match="version should be a text, but is missing"):
        Artifactory("https://h", Wire()).version()


def test_a_build_info_is_sent_as_what_it_is():
    wire, info = Wire(), BuildInfo(name="n", number="1", started=datetime(2026, 10, 1, tzinfo=UTC), project="web")
    Artifactory("https://h", wire).put_build(info)
    [(method, url, more)] = wire.asked
    assert (method, url) == ("PUT", "https://h/artifactory/api/build?project=web")
    assert more["headers"] == {"Content-Type": "application/vnd.org.jfrog.artifactory+json"}
    assert json.loads(more["body"]) == info.document()


def test_host_and_platform_follow_from_the_address(http):
    client = Artifactory("https://host:8443/tools/artifactory/", http)
    assert client.host == "host:8443"
    assert client.platform_url == "https://host:8443/tools/"


@pytest.mark.parametrize(
    ("version", "page"),
    [
        ("6.23.1", "https://h/artifactory/webapp/#/builds/a%2Fb/7"),
        ("7.104.5", "https://h/ui/builds/a%2Fb/7/1790856000123/published?buildRepo=artifactory-build-info"),
        ("10.0.0", "https://h/ui/builds/a%2Fb/7/1790856000123/published?buildRepo=artifactory-build-info"),
    ],
)
def test_the_page_of_a_run_is_where_that_version_has_it(http, version, page):
    client = Artifactory("https://h", http)
    client._server_version = version
    started = datetime(2026, 10, 1, 12, 0, 0, 123456, tzinfo=UTC)
    assert client.build_page(BuildInfo(name="a/b", number="7", started=started)) == page


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"errors": [{"status": 403, "message": "not\\npermitted"}]}', "not permitted"),
        (b'{"errors": [{"message": "a"}, {"message": "b"}]}', "a; b"),
        (b'{"errors": [{"status": 400}]}', '{"status": 400}'),
        (b"<html>\n  Bad \x1b[31mgateway</html>", 'answered with a web page: "Bad gateway"'),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"[" * 100_000, "[" * 2047 + "…"),
        (b"", "no explanation"),
    ],
)
def test_a_servers_words_are_one_printable_line_of_limited_length(body, words):
    assert message_of(body) == words


def test_a_servers_words_hide_what_is_secret():
    Secret("echoed-token")
    assert message_of(json.dumps({"errors": [{"message": "bad echoed-token"}]}).encode()) == "bad ********"


@given(st.dictionaries(st.sampled_from(["build.name", "build.number"]), st.text(), min_size=1))
def test_property_values_arrive_whole_whatever_they_hold(properties):
    """As Artifactory reads them: the query is decoded once, then a backslash hides what follows it."""
    query = urlsplit(f"http://h/?properties={property_query(properties)}&recursive=0").query
    [text] = parse_qs(query, keep_blank_values=True, strict_parsing=True)["properties"]
    assert as_artifactory_reads(text) == properties


def test_only_the_marks_of_a_query_are_hidden_in_a_property():
    assert property_query({"build.name": "team/app-1.0 b"}) == "build.name=team%2Fapp-1.0%20b"
    assert property_query({"a": "1,2", "b": "x=y"}) == "a=1%5C%2C2%3Bb=x%5C%3Dy"


def as_artifactory_reads(text: str) -> dict[str, str]:
    pairs, word, name, marks = {}, "", None, iter(text)
    for mark in marks:
        if mark == "\\":
            word += next(marks)
        elif mark == "=" and name is None:
            name, word = word, ""
        elif mark in ";,|=":
            assert mark == ";"
            pairs[name], name, word = word, None, ""
        else:
            word += mark
    return {**pairs, name: word}


def test_an_echoed_header_shows_no_password():
    header = authorization(Credential("bot", Secret("hush-echoed-password"), "test"))
    assert message_of(f"cannot parse {header}".encode()) == "cannot parse Basic ********"


@pytest.mark.parametrize(
    ("path", "told", "home"),
    [
        ("docker/team/app", None, Home("docker", "docker/")),
        ("docker/team/app", "docker", Home("docker", "docker/")),
        ("team/app", "docker", Home("docker", "")),
        ("docker-old/app", "docker", Home("docker", "")),
        ("app", None, Home("app", "")),
    ],
)
def test_where_nobody_says_it_an_image_is_kept_where_the_registry_or_else_its_path_points(path, told, home):
    assert likely_home(Repository("h.example", path), told) == home
