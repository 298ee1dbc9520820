"""A secret is shown as stars, wherever it goes."""

from __future__ import annotations

import base64
import json
import pickle
from urllib.parse import quote

import pytest

from buildpush.errors import SettingsError
from buildpush.secrets import MASK, Secret, known_in, redact, redacted, remember_user_info

VALUE = 'p@ss "wörd"/+1'


def test_secrets_are_hidden_in_every_text_of_a_document():
    """A number stays one, so that the document stays what it is."""
    Secret("1234567")
    document = {"a 1234567": ["1234567", {"b": ("x1234567", 1234567, None, True)}]}
    assert redacted(document) == {f"a {MASK}": [MASK, {"b": [f"x{MASK}", 1234567, None, True]}]}


def test_basic_authentication_is_hidden_from_then_on():
    """A server, or a proxy in between, may echo the header that it got."""
    pair = Secret("p4ss-of-basic").basic("ci-bot")
    assert base64.b64decode(pair) == b"ci-bot:p4ss-of-basic"
    assert redact(f"400 Bad Request: Authorization: Basic {pair}") == f"400 Bad Request: Authorization: Basic {MASK}"


@pytest.mark.parametrize("shown", [str, repr, "{}".format, "{:>3}".format, lambda secret: f"{secret!s:10}"])
def test_a_secret_is_stars_in_every_form_of_text(shown):
    text = shown(Secret(VALUE))
    assert MASK in text
    assert VALUE not in text


@pytest.mark.parametrize(
    "form",
    [
        VALUE,
        base64.b64encode(VALUE.encode()).decode(),
        quote(VALUE, safe=""),
        json.dumps(VALUE)[1:-1],
    ],
)
def test_redact_finds_a_secret_in_the_forms_it_travels_in(form):
    Secret(VALUE)
    assert redact(f"before {form} after") == f"before {MASK} after"
    assert known_in(form)


def test_the_longer_of_two_secrets_is_hidden_whole():
    Secret("abcdef")
    Secret("abcdefghij")
    assert redact("abcdefghij") == MASK


def test_very_short_secrets_do_not_blacken_ordinary_text():
    Secret("ab")
    assert redact("about") == "about"


def test_a_secret_cannot_be_pickled():
    with pytest.raises(TypeError):
        pickle.dumps(Secret("hunter22"))


def test_equal_secrets_are_equal_and_only_secrets_are():
    assert Secret("hunter22") == Secret("hunter22", "elsewhere")
    assert Secret("hunter22") != "hunter22"
    assert len({Secret("hunter22"), Secret("hunter22")}) == 1


def test_reveal_gives_the_value():
    assert Secret("hunter22").reveal() == "hunter22"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:word@host/path", "https://********@host/path"),
        ("https://token@host", "https://********@host"),
        ("https://user:p@ss@host/", "https://********@host/"),
        ("https://user:sla/sh@host/", "https://********@host/"),
        ("ssh://git@host/a.git", "ssh://git@host/a.git"),
        ("ssh://git:word@host/a.git", "ssh://********@host/a.git"),
        ("see https://a:b@h/1 and https://c:d@h/2", "see https://********@h/1 and https://********@h/2"),
        ("https://host:8443/@scope/name", "https://host:8443/@scope/name"),
        ("https://host/name@1.2", "https://host/name@1.2"),
        ("git@host:a/b.git", "git@host:a/b.git"),
        ("mail me@example.com", "mail me@example.com"),
        ('{"url":"https://host","mail":"me@host"}', '{"url":"https://host","mail":"me@host"}'),
        ("oci://host:5000/a@sha256:0f", "oci://host:5000/a@sha256:0f"),
    ],
)
def test_the_user_part_of_a_url_is_stars(text, shown):
    assert redact(text) == shown


@pytest.mark.parametrize("text", ["see https://user:pass%2Fword@host/", "user:pass%2Fword@h.io/a/b"])
def test_the_password_of_a_url_is_hidden_wherever_else_it_turns_up(text):
    remember_user_info(text)
    assert redact("pass%2Fword and pass/word") == f"{MASK} and {MASK}"


@pytest.mark.parametrize("text", ["alpine:3.19@sha256:0f/a", "registry:5000/a@sha256:0f", "me@host/a", "a:b"])
def test_tags_and_ports_are_no_passwords(text):
    remember_user_info(text)
    assert redact(text) == text


def test_redacting_a_document_keeps_its_numbers():
    """A password of digits alone must not tear holes into sizes."""
    Secret("31415")
    assert redacted({"size": 31415, "a": ["31415", None, True]}) == {"size": 31415, "a": [MASK, None, True]}


def test_an_error_shows_no_secret_of_its_own_accord():
    """In Python and in notebooks it is shown by others."""
    Secret("planted-in-error")
    error = SettingsError("planted-in-error is wrong", hint="leave planted-in-error out")
    assert "planted" not in f"{error!r} {error} {error.hint}"


def test_each_line_of_a_secret_file_is_hidden_where_a_program_prints_it_alone():
    Secret("first-line-of-key\nsecond-line-of-key\nshort\n")
    assert redact("#7 0.1 second-line-of-key, short") == f"#7 0.1 {MASK}, short"
