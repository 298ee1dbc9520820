"""JSON of others, read key by key: what stands for nothing, and what an error says."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from buildpush.artifactory.reading import Reading, load_json
from buildpush.foundation.errors import SourceError

EMPTY = [("text", ""), ("number", 0), ("texts", {}), ("lists_of_texts", {}), ("list_of_texts", ())]


@pytest.mark.parametrize("document", [{}, {"key": None}])
@pytest.mark.parametrize(("way", "nothing"), EMPTY)
def test_what_is_missing_or_null_stands_for_nothing(document, way, nothing):
    assert getattr(Reading(document), way)("key") == nothing


@pytest.mark.parametrize("document", [{}, {"key": None}])
def test_an_object_or_a_list_that_is_missing_is_what_the_reader_says(document):
    assert Reading(document).one("key", lambda inner: inner.text("a"), "else") == "else"
    assert Reading(document).each("key", lambda inner: inner.text("a")) == ()


@pytest.mark.parametrize(
    ("way", "value"),
    [
        ("text", "a"),
        ("text", ""),
        ("number", 7),
        ("number", 0),
        ("texts", {"a": "b", "c": ""}),
        ("lists_of_texts", {"a": ("b", "c"), "d": ()}),
        ("list_of_texts", ("a", "b")),
    ],
)
def test_what_has_the_right_type_is_given_as_it_is(way, value):
    as_json = list(value) if isinstance(value, tuple) else value
    if way == "lists_of_texts":
        as_json = {name: list(texts) for name, texts in value.items()}
    assert getattr(Reading({"key": as_json}), way)("key") == value


@pytest.mark.parametrize(
    ("way", "value", "words"),
    [
        ("text", 1, "top.key should be a text, but is a number"),
        ("text", 1.5, "top.key should be a text, but is a number"),
        ("text", {}, "top.key should be a text, but is an object"),
        ("text", [], "top.key should be a text, but is a list"),
        ("text", False, "top.key should be a text, but is true or false"),
        ("number", "7", "top.key should be a whole number, but is '7'"),
        ("number", "", "top.key should be a whole number, but is empty"),
        ("number", 1.5, "top.key should be a whole number, but is a number"),
        ("texts", [], "top.key should be an object, but is a list"),
        ("texts", {"a": 1}, "top.key.a should be a text, but is a number"),
        ("lists_of_texts", "a", "top.key should be an object, but is 'a'"),
        ("lists_of_texts", {"a": "b"}, "top.key.a should be a list of texts, but is 'b'"),
        ("lists_of_texts", {"a": [1]}, "top.key.a should be a list of texts, but is a list"),
        ("list_of_texts", {"a": "b"}, "top.key should be a list of texts, but is an object"),
    ],
)
def test_what_has_another_type_is_named_with_its_place_and_what_it_is(way, value, words):
    with pytest.raises(SourceError) as caught:
        getattr(Reading({"key": value}, "top"), way)("key")
    assert str(caught.value) == words


def test_what_is_needed_is_an_error_where_it_is_missing_or_empty():
    for document, words in (({}, "missing"), ({"key": None}, "missing"), ({"key": ""}, "empty")):
        with pytest.raises(SourceError) as caught:
            Reading(document).text("key", needed=True)
        assert str(caught.value) == f"key should be a text, but is {words}"


def test_an_inner_object_is_named_by_its_key_and_an_entry_by_its_number():
    for act, words in (
        (lambda top: top.one("a", lambda inner: inner.text("b"), ""), "top.a.b should be a text, but is a number"),
        (lambda top: top.each("c", lambda inner: inner.text("d")), "top.c[1].d should be a text, but is a list"),
        (lambda top: top.each("a", lambda inner: inner.text("d")), "top.a should be a list, but is an object"),
        (lambda top: top.one("c", lambda inner: inner.text("d"), ""), "top.c should be an object, but is a list"),
    ):
        with pytest.raises(SourceError) as caught:
            act(Reading({"a": {"b": 1}, "c": [{"d": "x"}, {"d": []}]}, "top"))
        assert str(caught.value) == words


def test_a_long_text_is_quoted_in_part():
    with pytest.raises(SourceError) as caught:
        Reading({"key": "x" * 200}).number("key")
    assert str(caught.value) == f"key should be a whole number, but is '{'x' * 79}…'"


def test_others_are_the_keys_that_nobody_asked_for():
    reading = Reading({"a": "1", "b": 2, "c": ["3"], "d": {}, "e": [], "f": 6, "g": {"h": None}})
    reading.text("a")
    reading.number("b")
    reading.list_of_texts("c")
    reading.texts("d")
    reading.each("e", Reading.others)
    assert reading.others() == {"f": 6, "g": {"h": None}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[1,\n  2,,]", ":2:5: is not JSON: Expecting value"),
        (b'{"a": 1, "a": 2}', ": is not the JSON of a build-info: the name 'a' appears twice in one object"),
        (b"[NaN]", ": is not the JSON of a build-info: NaN is not a JSON number"),
    ],
)
def test_a_file_that_is_no_json_is_named_with_the_place(tmp_path, content, words):
    path = tmp_path / "b.json"
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        load_json(path)
    assert str(caught.value) == f"{path}{words}"


def test_a_file_of_64_mib_is_read_and_one_byte_more_is_refused(tmp_path):
    path = tmp_path / "b.json"
    with path.open("wb") as file:
        file.write(b"7")
        file.seek(64 * 1024 * 1024 - 1)
        file.write(b"\n")
    with pytest.raises(SourceError, match="is not JSON"):  # of zeros, and so it was looked at
        load_json(path)
    with path.open("ab") as file:
        file.write(b"\n")
    with pytest.raises(SourceError) as caught:
        load_json(path)
    assert str(caught.value) == f"{path}: is larger than 64 MiB: this is not a build-info"


def test_of_a_file_without_an_end_no_more_is_read_than_shows_that_it_is_too_large(monkeypatch):
    class Endless(io.BytesIO):
        def read(self, size=-1, /):
            return bytes(size)

    monkeypatch.setattr(Path, "open", lambda *_: Endless())
    with pytest.raises(SourceError, match="larger than 64 MiB"):
        load_json(Path("endless"))
