"""A secret is shown as stars, wherever it goes."""

from __future__ import annotations

import base64
import json
import pickle
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildpush.foundation import secrets
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.secrets import (
    MASK,
    Secret,
    is_known,
    known_in,
    redact,
    redacted,
    remember_user_info,
    without_partial_secret,
    without_parts,
)

VALUE = 'p@ss "wörd"/+1'


@pytest.fixture(autouse=True, params=[1 << 30, 0], ids=["few", "many"])
def _looked_for(request, monkeypatch):
    """Run each test as if there were few secrets, and as if there were many: then they are looked for otherwise."""
    monkeypatch.setattr(secrets, "_MANY_FORMS", request.param)


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


@pytest.mark.parametrize(
    "written",
    [
        r"\x70\x34\x73\x73\x2d\xc3\xb6\x2d\xe2\x82\xac",
        r"\160\064\163\163\055\303\266\055\342\202\254",
        r"\x70\064\x73s-\303\xb6-\xe2\202\xac",
        r"\u0070\u0034\u0073\u0073\u002D\u00f6\u002d\u20AC",
        r"\U00000070\U00000034ss-\U000000f6-\U000020AC",
        "%70%34%73%73%2D%C3%B6%2d%e2%82%ac",
        "&#112;&#52;s&#x73;&#45;&ouml;&#X2d;&euro;",
        r"\p\4\s\s\-ö\-€",
        "p4ss-%F6-€",
        r"p4ss-\xf6-€",
        r"p4ss-\366-€",
    ],
)
def test_a_secret_is_found_where_each_of_its_characters_is_an_escape(written):
    Secret("p4ss-ö-€")
    assert redact(f"before {written} after") == f"before {MASK} after"
    assert is_known(written)


@pytest.mark.parametrize("written", [r"pq\ud83d\ude00rs", r"pq\U0001F600rs", r"pq\U0001f600\162s"])
def test_a_secret_with_a_character_beyond_16_bits_is_found(written):
    Secret("pq😀rs")
    assert redact(f"<{written}>") == f"<{MASK}>"


@pytest.mark.parametrize(
    "odd", [r"\UFFFFFFFF", r"\U00110000", r"\ud83d", r"\777", r"\xff", "%FF", "&#1114112;", "&nothing;"]
)
def test_an_escape_of_no_character_hides_nothing_and_breaks_nothing(odd):
    Secret("p4ss-beside")
    assert redact(f"{odd} p4ss-beside") == f"{odd} {MASK}"


def test_a_secret_is_found_within_a_quote_of_a_shell():
    Secret("it's-a-pass")
    assert redact("""'it'"'"'s-a-pass' and 'it'\\''s-a-pass'""") == f"'{MASK}' and '{MASK}'"


@pytest.mark.parametrize("deep", range(1, 5))
def test_a_secret_is_found_in_a_text_in_a_text(deep):
    Secret('a"b<c>d')
    written = 'a"b<c>d'
    for _ in range(deep):
        written = json.dumps(written)[1:-1]
    assert redact(f"x {written} y") == f"x {MASK} y"


def test_of_a_text_that_writes_several_secrets_all_are_hidden_and_the_rest_stays():
    Secret("first/one")
    Secret("second/one")
    text = "a=first%2Fone&b=2%25&c=second%2Fone&d=first%2fone"
    assert redact(text) == f"a={MASK}&b=2%25&c={MASK}&d={MASK}"


def test_a_password_with_colons_is_hidden_as_a_whole():
    remember_user_info("https://user:one:two:three@host/")
    assert redact("it is one:two:three") == f"it is {MASK}"
    assert redact("it is three") == "it is three"


def test_a_blank_in_a_form_is_a_plus():
    Secret("with blank")
    assert redact("q=with+blank") == f"q={MASK}"


def test_the_lines_of_a_secret_are_hidden_from_eight_characters_on():
    Secret("12345678\n  abcdefg  \n")
    assert redact("12345678 abcdefg") == f"{MASK} abcdefg"


def test_a_secret_of_four_characters_is_hidden():
    Secret("qzxv")
    assert redact("a qzxv") == f"a {MASK}"


def test_a_secret_of_stars_alone_hides_nothing():
    Secret("*****")
    assert not known_in("*****")


@pytest.mark.parametrize("text", ["planted-1", "planted%2D1", r"planted\x2d1"])
def test_only_a_text_that_is_a_secret_as_a_whole_is_one(text):
    Secret("planted-1")
    assert is_known(text)
    assert not is_known(f"{text} and more")


@pytest.mark.parametrize(("form", "shown"), [("{:>10}", f"  {MASK}"), ("{:12}", f"{MASK}    ")])
def test_stars_are_aligned_as_a_text_is(form, shown):
    assert form.format(Secret(VALUE)) == shown


def test_different_secrets_differ_and_hash_apart():
    assert Secret("hunter22") != Secret("hunter23")
    assert hash(Secret("hunter22")) != hash(Secret("hunter23"))


def test_a_document_keeps_controls_that_hide_nothing():
    Secret("planted-2")
    assert redacted(["a\u200bb", "pl\u200banted-2"]) == ["a\u200bb", MASK]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("log p", "log "),
        ("log planted-", "log "),
        ("log planted-3", "log planted-3"),
        ("planted-", ""),
        ("p", ""),
        ("log xlanted", "log xlanted"),
        ("log pl%61nt", "log "),
        ("log planted%", "log "),
        (r"log planted\u00", "log "),
    ],
)
def test_a_text_that_was_cut_shows_no_beginning_of_a_secret(monkeypatch, text, kept):
    monkeypatch.setattr(secrets, "_known", secrets._KnownSecrets())
    Secret("planted-3")
    assert without_partial_secret(text) == kept


@pytest.mark.parametrize("written", ["{}", "<{}>", "<{}> <{}>"])
@pytest.mark.parametrize("spelt", [str, lambda text: quote(text, safe="")], ids=["as it is", "percent"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_of_secrets_that_overlap_no_part_is_shown(written, spelt, order):
    """None is a part of another, so whichever became stars first would leave a piece of its neighbour."""
    secrets_of_line = ("abc/def", "def/ghi/jkl", "jkl/mn")
    for place in order:
        Secret(secrets_of_line[place])
    assert redact(written.format(*[spelt("abc/def/ghi/jkl/mn")] * 2)) == written.format(MASK, MASK)


def test_of_a_secret_that_overlaps_itself_no_part_is_shown():
    Secret("xy/xy")
    assert redact("<xy/xy/xy> <xy%2Fxy%2fxy>") == f"<{MASK}> <{MASK}>"


def test_a_secret_is_remembered_without_a_copy_of_all_before_it():
    """A run of ten thousand steps has as many tokens."""
    before = secrets._known.forms
    Secret("the-token-of-a-step")
    assert secrets._known.forms is before
    assert "the-token-of-a-step" in before


parts = st.text("ab*/%21x", min_size=1, max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(parts, max_size=8), st.lists(parts, max_size=8))
def test_the_same_secrets_are_found_however_they_are_looked_for(known, pieces):
    found = secrets._KnownSecrets()
    found.add(set(known))
    found.add({one * 2 for one in known})
    text = "".join([*pieces, *known[:2], *pieces])
    for forms in (found.forms, found.plain):
        assert set(found.found(forms, text)) == {form for form in forms if form in text}


def test_a_line_is_read_as_fast_with_many_thousands_of_secrets(monkeypatch):
    monkeypatch.setattr(secrets, "_MANY_FORMS", 2)
    known = secrets._KnownSecrets()
    known.add({f"token-{number}-{number * 7919}" for number in range(20_000)})

    class Counted(str):
        __slots__ = ()
        asked = 0

        def __contains__(self, one):
            Counted.asked += 1
            return super().__contains__(one)

    assert known.found(known.forms, Counted("a line of a log with nothing in it " * 20)) == []
    assert Counted.asked == 0
    assert known.found(known.forms, "x token-19-150461 y") == ["token-19-150461"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(["ab/one", "cd/twoo", "ef/three", "cd/tw", "twoo"]))
def test_several_secrets_of_one_line_become_stars_each_in_its_place(names):
    for name in names:
        Secret(name)
    plain = " | ".join(names)
    assert redact(plain) == " | ".join([MASK] * 5)
    assert redact(plain.replace("/", "%2F")) == " | ".join([MASK] * 5)


@pytest.mark.parametrize("spelt", [str, lambda text: quote(text, safe="")], ids=["as it is", "percent"])
def test_secrets_that_touch_have_stars_of_their_own(spelt):
    Secret("one/touch")
    Secret("two/touch")
    assert redact(spelt("two/touchone/touch")) == MASK + MASK


def test_a_secret_of_equal_characters_leaves_none_of_them():
    Secret("qqqq")
    assert redact("<qqqqq>") == f"<{MASK}>"


TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjaS1ib3QifQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"the token {TOKEN[:18]}... has expired", f"the token {MASK}... has expired"),
        (f"the token …{TOKEN[-9:]} has expired", f"the token …{MASK} has expired"),
        (f"{TOKEN[:8]}…{TOKEN[-8:]}", f"{MASK}…{MASK}"),
        (f"<{TOKEN[30:50]}>", f"<{MASK}>"),
        (TOKEN[:8], MASK),
        (TOKEN[:7], TOKEN[:7]),
        ("eyJ2ZXIiOiIyIiwi is of somebody else", "eyJ2ZXIiOiIyIiwi is of somebody else"),
        ("the registry is gone", "the registry is gone"),  # a word, although a password has it too
        ("registry-9.test:5000 refuses it", "registry-9.test:5000 refuses it"),  # and so does a file of logins
    ],
)
def test_of_a_secret_that_a_server_cut_no_part_is_shown(monkeypatch, text, shown):
    monkeypatch.setattr(secrets, "_known", secrets._KnownSecrets())
    for value in (TOKEN, "my-registry-pa55word", '{"auths": {"registry-9.test:5000": {}}}'):
        Secret(value)
    assert without_parts(text) == shown
