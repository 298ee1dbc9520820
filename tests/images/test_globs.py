"""Shell patterns match what regular expressions match, in steps that do not explode."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from buildpush.dockerfile.globs import MOST_STEPS, Glob
from buildpush.dockerfile.variables import expand
from buildpush.foundation.errors import DockerfileError
from tests.images.steps import lines_run

PATTERNS = st.text("ab*?\n", max_size=7)
VALUES = st.text("ab\n", max_size=12)


def regular(pattern: str, star: str = ".*") -> re.Pattern[str]:
    """Return the regular expression that the pattern means: right, and as slow as it likes."""
    return re.compile("".join({"*": star, "?": "."}.get(char, re.escape(char)) for char in pattern))


@given(PATTERNS, VALUES)
@example("*a*a*b", "aab\nab")
@example("a*\nb", "a\naa\nb")
@example("", "a\n")
@example("*", "\n\na")
def test_all_matches_are_those_of_a_regular_expression(pattern, value):
    found = [match.span() for match in regular(pattern).finditer(value)]
    assert list(Glob.parse(pattern).matches(value)) == found


@given(PATTERNS, VALUES, st.booleans())
def test_the_match_at_the_beginning_is_that_of_a_regular_expression(pattern, value, longest):
    match = regular(pattern, ".*" if longest else ".*?").match(value)
    assert Glob.parse(pattern).match(value, 0, longest=longest) == (match.end() if match else None)


@pytest.mark.parametrize(
    "substitution",
    ["${a//*a*a*a*b/x}", "${a/*a*a*a*b/x}", "${a#*a*a*a*b}", "${a##*a*a*a*b}", "${a%b*a*a*a*}", "${a%%b*a*a*a*}"],
)
@pytest.mark.parametrize("value", ["a" * 40_000, "a\n" * 20_000, "ab" * 20_000])
def test_a_substitution_takes_steps_in_proportion_to_its_text(substitution, value):
    """As a regular expression the first of them took the age of the universe; lines of Python are counted."""
    pattern = substitution.replace("*a*a*a*", "*a" * 20 + "*")
    assert lines_run(lambda: expand(pattern, {"a": value}.get)) < 60 * len(value)


@given(st.text("ab*?", min_size=1, max_size=30))
def test_no_pattern_takes_more_steps_than_text_times_pattern(pattern):
    value = "ab" * 500
    assert lines_run(lambda: list(Glob.parse(pattern).matches(value))) < 40 * len(value)


def test_a_pattern_of_question_marks_that_would_take_minutes_is_refused():
    value = "a" * 100_000
    with pytest.raises(DockerfileError, match="takes more than"):
        expand("${a//" + "?" * (MOST_STEPS // 100_000 + 1) + "b/x}", {"a": value}.get)
