"""Finds the issues that messages of commits are about, as ``jf rt build-add-git`` does.

Source: jfrog/jfrog-cli-artifactory, artifactory/commands/buildinfo/addgit.go: one issue in each subject at most;
jfrog/build-info-go, build/build.go: one entry for each key, which is that of the oldest commit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from buildpush.artifactory.document import AffectedIssue, Issues, Tracker
from buildpush.expressions.patterns import JavaPattern
from buildpush.foundation.errors import ExpressionError
from buildpush.foundation.events import Note, Sink
from buildpush.foundation.records import dataclass
from buildpush.foundation.text import one_line

KEY: Final = 1
SUMMARY: Final = 2


@dataclass(frozen=True, slots=True)
class IssueSearch:
    """How issues are found.

    Attributes:
        tracker: name of the system that has the issues.
        pattern: its first group is the key of an issue, its second the summary.
        url: is put before the key, for the page of an issue; empty for none.
    """

    tracker: str
    pattern: JavaPattern
    url: str = ""

    def issues(self, subjects: Iterable[str], sink: Sink) -> Issues:
        """Return the issues in *subjects*, first lines of commits, newest first.

        An issue of several commits has the summary of the oldest; a note counts the lines that are too long to search.
        """
        found: dict[str, AffectedIssue] = {}
        too_long = 0
        for subject in map(one_line, subjects):  # whole, since a group may cut a secret in two
            try:
                match = next(self.pattern.find_all(subject), None)
            except ExpressionError:
                too_long += 1
                continue
            if match and match[KEY]:
                found[match[KEY]] = AffectedIssue(match[KEY], self._page(match[KEY]), match[SUMMARY] or "")
        if too_long:
            reason = "too long for issues_regexp; one with fewer * and + can search longer ones"
            sink(Note(f"messages of commits that were not searched for issues: {too_long}, {reason}"))
        return Issues(Tracker(self.tracker), affected=tuple(found.values()))

    def _page(self, key: str) -> str:
        return f"{self.url.removesuffix('/')}/{key}" if self.url else ""
