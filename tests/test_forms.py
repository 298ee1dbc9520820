import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from buildpush.artifactory import VcsEntry
from buildpush.artifactory.buildinfo import _clean
from buildpush.dockerfile.urls import printable_url
from buildpush.foundation.forms import clean_address, looks_secret
from buildpush.foundation.secrets import redact

PLANTED = "Pl4nted-T0ken"
_words = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
_schemes = st.sampled_from(["https://", "http://", "HTTPS://", "ssh://", "SSH://", "git+ssh://", "git://", ""])
_paths = st.lists(_words, max_size=3).map("/".join)
_odd = st.text("abAB01:@/?#[]\\ %&=._-\n\"'<>", max_size=30)


@st.composite
def planted_addresses(draw):
    """An address with the planted token as user, as password, in the query or in the fragment."""
    scheme, host, path = draw(_schemes), draw(_words) + ".test", draw(_paths)
    place = draw(st.sampled_from(["user", "password", "query", "fragment"]))
    mark = PLANTED + draw(st.sampled_from(["", "/", "?", "#", ":", "@", "%2F"])) + draw(_words)
    if place == "user":
        return f"{scheme}{PLANTED}@{host}{'/' if scheme else ':'}{path}.git"
    if place == "password":
        return f"{scheme}{draw(_words)}:{mark}@{host}{'/' if scheme else ':'}{path}"
    if place == "query":
        return f"{scheme or 'https://'}{host}/{path}.git?{draw(_words)}={PLANTED}"
    return f"{scheme or 'https://'}{host}/{path}.git#{draw(_words)}={PLANTED}"


@given(planted_addresses())
@example(f"a:{PLANTED}/a@a.test:x.git")
def test_no_part_of_an_address_shows_a_token(address):
    assert PLANTED not in clean_address(address)


# What an address is made of, in any order: what is taken away may leave another address behind.
_torn = st.lists(st.sampled_from(["http://", "git+ssh://", "git@", "b:", "@", "/", "x", ".git", '"', "#", "?", ":"]))


@given(st.one_of(planted_addresses(), _odd, st.tuples(_schemes, _odd).map("".join), _torn.map("".join)))
@example("ssh://git@host/x.git")
@example("https://a@b://c@h")
@example('git+ssh://.git"git@git+ssh://git@')
@example("http://git@.git@x:token=/git@")
def test_cleaning_an_address_twice_does_no_more_than_once(address):
    once = clean_address(address)
    assert clean_address(once) == once
    assert redact(once) == once


@given(st.one_of(_odd, st.tuples(_schemes, _odd).map("".join), _torn.map("".join)))
def test_redacting_a_text_twice_does_no_more_than_once(text):
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "address",
    [
        "ssh://git@host/x.git",
        "git+ssh://hg@host:2222/x",
        "SSH://git@host/x.git",
        "git@host:team/x.git",
        "git@[::1]:team/x.git",
        "git@host:team/x.git#main:sub",
        "https://host/x.git",
        "https://host:8443/x.git#release/1.0:docs",
        "/srv/git/x.git",
    ],
)
def test_an_address_without_secrets_stays_as_it_is(address):
    assert clean_address(address) == address
    assert redact(address) == address
    assert printable_url(address) == address
    assert _clean(VcsEntry(url=address)).url == address


@pytest.mark.parametrize(
    ("address", "clean"),
    [
        ("https://git@host/x.git", "https://host/x.git"),
        ("https://ghp_abcdefghijkl@host/x.git", "https://host/x.git"),
        ("https://user:pa/ss@host/x.git", "https://host/x.git"),
        ("https://to?ken@host/x.git", "https://host/x.git"),
        ("https://to#ken@host/x.git", "https://host/x.git"),
        ("ssh://git:word@host/x.git", "ssh://git@host/x.git"),
        ("https://a@b:p@ss@host/x", "https://host/x"),
        ("https://host/x@y", "https://host/x@y"),
        ("", ""),
        ("ssh://Pl4ntedTokenOfSomebody@host/x.git", "ssh://host/x.git"),
        ("token-of-somebody-else@host:x.git", "host:x.git"),
        ("https://host/x.git?token=a#main", "https://host/x.git#main"),
        ("https://host/x.git#access_token=a", "https://host/x.git"),
        ("https://host/x.git#ghp_abcdefghijkl", "https://host/x.git"),
        ("https://host/page#part", "https://host/page"),
    ],
)
def test_an_address_loses_what_may_be_a_secret(address, clean):
    assert clean_address(address) == clean
    assert redact(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        "//npm.test/:_authToken=abc",
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=abcd==",
        "SharedAccessSignature=sv=2020",
        "Authorization: Bearer abcdef123",
        "basic dXNlcjpwYXNz",
        "eyJhbGciOi.eyJzdWIi.c2ln",
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_abcdefghijklmnop",
        "github_pat_11ABCDEFG0",
        "glpat-abcdefghijkl",
        "https://user:word@host/",
        "https://token@host/",
        "https://store.test/blob?sig=abc",
        '{"password": "x"}',
        "--password=x",
        "DB_PASSWORD=x",
        "cmVmdGtuOjAxOjE3NjA0NTY3ODk6abcdef",
    ],
)
def test_a_secret_is_known_by_its_form(text):
    assert looks_secret(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "true",
        "/usr/bin:/bin",
        "https://host:8443/x?page=2",
        "git@host:team/x.git",
        "ssh://git@host/x.git",
        "2026-11-29",
        "monkey=banana",
        "a basic idea",
        "0123456789abcdef0123456789abcdef01234567",
        "token",
        "sk-ecdsa-sha2-nistp256",
    ],
)
def test_what_everybody_may_see_is_no_secret(text):
    assert not looks_secret(text)


def test_the_rest_of_a_text_stays_beside_an_address():
    text = "fetch ssh://git@host/x and https://a:b@host/y, mail me@host"
    assert redact(text) == "fetch ssh://git@host/x and https://********@host/y, mail me@host"
    assert re.search("a:b", redact(text)) is None
