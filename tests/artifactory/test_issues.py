"""Issues in messages of commits: what is found, what is masked, and what is too long."""

from __future__ import annotations

import time

import pytest

from buildpush.artifactory.document import AffectedIssue, Issues, Tracker
from buildpush.artifactory.issues import IssueSearch
from buildpush.expressions.patterns import compile_pattern
from buildpush.foundation.secrets import remember


def found(subjects, pattern=r"([A-Z]+-\d+): (.+)", url="", notes=None):
    said = [] if notes is None else notes
    return IssueSearch("JIRA", compile_pattern(pattern), url).issues(subjects, lambda note: said.append(note.text))


def test_the_first_issue_of_each_commit_is_listed_with_key_summary_and_page():
    issues = found(["SHOP-2: Sell pears, see SHOP-9: x", "Tidy up", "fix SHOP-1: Sell"], url="https://a.test/browse/")
    assert issues == Issues(
        Tracker("JIRA"),
        affected=(
            AffectedIssue("SHOP-2", "https://a.test/browse/SHOP-2", "Sell pears, see SHOP-9: x"),
            AffectedIssue("SHOP-1", "https://a.test/browse/SHOP-1", "Sell"),
        ),
    )


def test_an_issue_of_several_commits_is_listed_once_with_what_the_oldest_says():
    issues = found(["A-1: Mend", "A-2: Sell", "A-1: Buy"])
    assert [(one.key, one.summary) for one in issues.affected] == [("A-1", "Buy"), ("A-2", "Sell")]


@pytest.mark.parametrize("url", ["https://a.test/browse", "https://a.test/browse/"])
def test_a_slash_is_between_the_address_and_the_key(url):
    assert found(["A-1: b"], url=url).affected[0].url == "https://a.test/browse/A-1"


def test_a_group_without_a_text_gives_no_key_and_an_empty_summary():
    issues = found(["A-1", "only"], pattern=r"(?:([A-Z]-\d)|only)(!)?")
    assert issues.affected == (AffectedIssue("A-1"),)


def test_a_secret_is_masked_before_a_group_can_cut_it_in_two():
    remember("t0ken-A-1-planted")
    issues = found(["A-2: log in with t0ken-A-1-planted", "t0ken-A-1-planted"], pattern=r"([A-Z]-\d)\W+(.*)")
    assert [(one.key, "planted" in one.summary) for one in issues.affected] == [("A-2", False)]


def test_controls_in_a_message_are_not_kept():
    assert found(["A-1: b\x1b[31mc\x07"]).affected[0].summary == "bc"


def test_a_message_that_would_take_too_long_is_counted_and_not_searched():
    notes, began = [], time.monotonic()
    issues = found(["A-1: b", "-" * 60_000], pattern=r"(.*-.*-.*-.*-\d) (.*)", notes=notes)
    assert time.monotonic() - began < 5
    assert issues.affected == ()
    [note] = notes
    assert note.startswith("messages of commits that were not searched for issues: 1, too long for issues_regexp")
