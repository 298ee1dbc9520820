"""JSON of others is read in one way only, or refused."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush.foundation import strict_json

ROOT = Path(__file__).parent.parent / "buildpush"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES | st.text())
def test_what_is_written_reads_back(value):
    assert strict_json.parse(json.dumps(value)) == value
    assert strict_json.parse(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        *('{"a": 1, "a": 2}', "[1e999]", "[-1e999]", "[NaN]", "[Infinity]", "[-Infinity]", f"[{'9' * 21}]", "", "{"),
        *("[" * 100_000, '{"a":' * 100_000, f"[{'9' * 5000}]", "[1] 2", b"\xff", '{"a": 1}'.encode("utf-16"), b""),
    ],
)
def test_what_can_be_read_in_several_ways_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        strict_json.parse(text)


@given(st.binary() | st.text())
def test_anything_is_json_or_a_value_error(data):
    with suppress(ValueError):
        strict_json.parse(data)


@pytest.mark.parametrize("value", [-1, 1.0, True, 2**63, "1", None, [], float("inf")])
def test_these_count_nothing(value):
    assert not strict_json.is_count(value)


@pytest.mark.parametrize("value", [0, 1, 127, 2**63 - 1])
def test_whole_numbers_of_64_bits_count(value):
    assert strict_json.is_count(value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[NaN]", "NaN is not a JSON number"),
        ("[1e999]", "the number 1e999 is too large"),
        (f"[{'9' * 21}]", "the number 99999999999999999999… is too large"),
        ('{"b": 1, "a": 1, "a": 2}', "the name 'a' appears twice in one object"),
        ("[" * 100_000, "it is nested too deeply"),
    ],
)
def test_a_refusal_says_what_is_wrong(text, says):
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        strict_json.parse(text)


def test_a_number_of_20_digits_is_read():
    assert strict_json.parse(f"[{'9' * 20}]") == [10**20 - 1]


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_else_reads_json_without_a_reason(path):
    if {"sandbox", "notebooks"} & set(path.parts) or path.name == "strict_json.py":
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if "json.loads(" in line and "  # not strict: " not in line] == []
