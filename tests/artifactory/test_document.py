"""The document as JSON and back."""

from __future__ import annotations

import json
import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush.artifactory.document import (
    AffectedIssue,
    Agent,
    Artifact,
    BuildInfo,
    Dependency,
    Issues,
    Module,
    Tracker,
    VcsEntry,
    check_identity,
    fields,
    milliseconds,
    started_from,
    started_text,
)
from buildpush.foundation.errors import SettingsError, SourceError

texts = st.text(max_size=20)
words = st.text(min_size=1, max_size=20)
hexes = st.text(string.hexdigits.lower(), max_size=8)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1971, 1, 1), datetime(9000, 1, 1), timezones=zones)  # noqa: DTZ001
properties = st.dictionaries(texts, words, max_size=3)
others = st.dictionaries(
    words.map(lambda word: f"x-{word}"), st.one_of(st.integers(), words, st.lists(words)), max_size=2
)

artifacts = st.builds(Artifact, words, texts, texts, hexes, hexes, hexes, texts, others)
dependencies = st.builds(Dependency, words, hexes, hexes, hexes, others)
modules = st.builds(
    Module,
    words,
    texts,
    properties,
    st.lists(artifacts, max_size=2).map(tuple),
    st.lists(dependencies, max_size=2).map(tuple),
    texts,
    others,
)
infos = st.builds(
    BuildInfo,
    name=words,
    number=words,
    started=moments,
    modules=st.lists(modules, max_size=2).map(tuple),
    agent=st.builds(Agent, words, texts),
    build_agent=st.builds(Agent, words, texts),
    duration_ms=st.integers(0, 10**9),
    properties=properties,
    artifactory_principal=texts,
    principal=texts,
    url=texts,
    vcs=st.lists(st.builds(VcsEntry, words, texts, texts, texts, others), max_size=2).map(tuple),
    project=texts,
    others=others,
)


@given(infos)
def test_a_document_that_is_read_back_is_the_same_build_info(info):
    assert BuildInfo.parse(json.loads(json.dumps(info.document()))) == info


@given(moments)
def test_a_start_is_written_in_utc_with_milliseconds_and_read_back(moment):
    text = started_text(moment)
    assert text.endswith("+0000")
    assert len(text) == len("2026-10-01T12:00:00.123+0000")
    assert abs(started_from(text) - moment) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "text",
    [
        "2026-10-01T12:00:00.123+0000",
        "2026-10-01T12:00:00.123Z",
        "2026-10-01T13:00:00.123+01:00",
        "2026-10-01T13:00:00.123456789+0100",
        "20261001T120000.123Z",
    ],
)
def test_every_iso_form_of_a_start_is_read(text):
    assert started_from(text) == datetime(2026, 10, 1, 12, 0, 0, 123000, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-10-01T12:00:00", "0001-01-01T00:00:00+14:00", "1790856000123"])
def test_what_is_no_moment_is_none(text):
    assert started_from(text) is None


def test_a_start_is_kept_in_utc_and_told_in_whole_milliseconds():
    moment = datetime(2026, 10, 1, 14, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=2)))
    info = BuildInfo(name="n", number="1", started=moment)
    assert info.started == datetime(2026, 10, 1, 12, 0, 0, 123_000, tzinfo=UTC)
    assert info.started.tzinfo is UTC
    assert (repr(info.timestamp), repr(milliseconds(moment))) == ("1790856000123", "1790856000123")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (" ", "is empty"),
        (".x", "begins with a dot, which Artifactory refuses"),
        ("a\nb", "contains a line break or another invisible character"),
    ],
)
@pytest.mark.parametrize("what", ["name", "number"])
def test_what_artifactory_would_refuse_as_a_name_or_number_is_refused_with_the_reason(what, text, problem):
    with pytest.raises(SettingsError) as error:
        check_identity(what, text)
    assert str(error.value).startswith(f"the build {what} {text!r} {problem}")
    assert error.value.setting == f"build_{what}"


GOOD = {"name": "n", "number": "1", "started": "2026-10-01T12:00:00.123+0000"}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"name": None}, "name should be a text, but is missing"),
        ({"name": ""}, "name should be a text, but is empty"),
        ({"number": 42}, "number should be a text, but is a number"),
        ({"started": None}, "started should be a text, but is missing"),
        ({"started": "noon"}, "started should be a time such as 2026-10-01T12:00:00.123.0000, but is 'noon'"),
        ({"modules": {}}, "modules should be a list, but is an object"),
        ({"modules": [[]]}, r"modules\[0\] should be an object, but is a list"),
        ({"modules": [{}]}, r"modules\[0\].id should be a text, but is missing"),
        ({"modules": [{"id": "m", "properties": {"a": 1}}]}, r"modules\[0\].properties.a should be a text"),
        ({"modules": [{"id": "m", "artifacts": [{"name": "a", "sha1": []}]}]}, r"modules\[0\].artifacts\[0\].sha1 "),
        ({"modules": [{"id": "m", "dependencies": ["d"]}]}, r"modules\[0\].dependencies\[0\] should be an object"),
        ({"durationMillis": True}, "durationMillis should be a whole number, but is true or false"),
        ({"agent": "jf"}, "agent should be an object"),
        ({"vcs": [{"url": 1}]}, r"vcs\[0\].url should be a text"),
    ],
)
def test_a_wrong_key_is_named_with_its_place(change, place):
    with pytest.raises(SourceError, match=place):
        BuildInfo.parse({**GOOD, **change})


@pytest.mark.parametrize("document", [None, [], "text", 1])
def test_what_is_no_object_is_no_build_info(document):
    with pytest.raises(SourceError, match="the document should be an object"):
        BuildInfo.parse(document)


def test_keys_that_are_not_known_are_kept():
    """A document of another tool is published whole: issues, statuses, excluded artifacts."""
    issues = {
        "tracker": {"name": "JIRA", "version": "9", "kind": "cloud"},
        "aggregateBuildIssues": True,
        "aggregationBuildStatus": "released",
        "affectedIssues": [{"key": "A-1", "url": "https://a.test/A-1", "summary": "s", "aggregated": True, "by": "me"}],
        "since": "7",
    }
    document = {**GOOD, "issues": issues, "statuses": [{"status": "released"}]}
    info = BuildInfo.parse(document)
    assert info.document() == document
    assert (info.issues.aggregate, info.issues.affected[0].summary) == (True, "s")


def test_an_issue_that_is_no_issue_is_an_error_that_names_its_place():
    with pytest.raises(SourceError, match=r"issues\.affectedIssues\[0\]\.aggregated should be true or false"):
        BuildInfo.parse({**GOOD, "issues": {"affectedIssues": [{"key": "A-1", "aggregated": "yes"}]}})


def test_null_is_as_good_as_missing():
    assert BuildInfo.parse({**GOOD, "modules": None, "agent": None, "url": None, "durationMillis": None}).modules == ()


def test_a_saved_file_is_loaded(tmp_path):
    path = tmp_path / "b.json"
    path.write_text(json.dumps(GOOD), encoding="utf-8")
    assert BuildInfo.load(path).name == "n"


def test_a_saved_answer_of_the_server_is_loaded(tmp_path):
    path = tmp_path / "b.json"
    path.write_text(json.dumps({"uri": "http://h/api/build/n/1", "buildInfo": GOOD}), encoding="utf-8")
    assert BuildInfo.load(path).number == "1"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "is not JSON"),
        (b"\xff\xfe{}", "is not the JSON of a build-info"),
        (b"[" * 200_000, "nested too deeply"),
        (b"{}", "this is not a build-info: name should be a text"),
        (b'{"buildInfo": {}}', "this is not a build-info: name should be a text"),
    ],
)
def test_a_file_that_is_no_build_info_is_an_error_that_names_it(tmp_path, content, words):
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=words) as caught:
        BuildInfo.load(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SourceError, match=r"none\.json: cannot be read: No such file"):
        BuildInfo.load(tmp_path / "none.json")


def test_a_huge_file_is_refused_before_it_is_understood(tmp_path):
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    with pytest.raises(SourceError, match="larger than 64 MiB"):
        BuildInfo.load(path)


def test_every_key_that_is_written_has_a_sentence():
    def paths(document, before=""):
        for key, value in document.items():
            yield f"{before}{key}"
            listed = value if isinstance(value, list) else [value]
            if key not in {"properties"}:
                yield from (path for one in listed if isinstance(one, dict) for path in paths(one, f"{before}{key}."))

    meanings = dict(fields())
    module = Module("a", artifacts=(Artifact("f", "p", "r", "1", "2", "3", "json"),), dependencies=(Dependency("d"),))
    info = BuildInfo(name="n", number="1", started=datetime.now(UTC), modules=(module,), vcs=(VcsEntry("u"),))
    issue = AffectedIssue("A-1", "https://a.test/A-1", "s", aggregated=True)
    info = replace(info, issues=Issues(Tracker("JIRA", "9"), True, "released", (issue,)))
    assert set(paths(info.document())) <= meanings.keys()
    assert all(meaning.endswith(".") for meaning in meanings.values())
