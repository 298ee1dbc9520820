"""The settings about issues: what cannot work is an error before anything is built."""

from __future__ import annotations

import pytest

from tests.settings.test_resolve import house  # noqa: F401  a fixture

GOOD = {"issues_tracker": "JIRA", "issues_regexp": r"([A-Z]+-\d+): (.+)"}


@pytest.mark.parametrize(
    ("said", "setting", "words", "hint"),
    [
        ({"issues_tracker": "JIRA"}, "issues_tracker", "issues_regexp is not", "set issues_regexp to a pattern"),
        ({"issues_regexp": "(a)(b)"}, "issues_regexp", "issues_tracker is not", "set issues_tracker to the name"),
        ({"issues_url": "https://a.test"}, "issues_url", "issues_regexp is not", "or leave out issues_url"),
        (GOOD | {"issues_regexp": "(a"}, "issues_regexp", "is not a pattern", "a group for the key"),
        (GOOD | {"issues_regexp": "[A-Z]+"}, "issues_regexp", "fewer than two groups", "a group for the key"),
        (GOOD | {"issues_regexp": "([A-Z]+)"}, "issues_regexp", "fewer than two groups", "a group for the key"),
        (GOOD | {"issues_regexp": "((a+)+)b"}, "issues_regexp", "may take for ever", "begin or end the repeated"),
        (GOOD | {"issues_regexp": "(a)(b)" * 60}, "issues_regexp", "at most 256 characters", "a group for the key"),
    ],
)
def test_what_cannot_find_issues_is_refused_with_what_to_do(house, said, setting, words, hint):  # noqa: F811
    error = house.refused(**said)
    assert (error.setting, error.where) == (setting, f"{setting}=")
    assert words in str(error)
    assert hint in error.hint


def test_a_pattern_a_tracker_and_an_address_become_one_search(house):  # noqa: F811
    search = house.resolve(**GOOD, issues_url="https://a.test/browse").issues
    assert (search.tracker, search.pattern.text, search.url) == ("JIRA", GOOD["issues_regexp"], "https://a.test/browse")


def test_without_these_settings_nothing_is_searched(house):  # noqa: F811
    assert house.resolve().issues is None
