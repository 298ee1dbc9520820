"""The settings about issues that the commits of a build are about, checked."""

from __future__ import annotations

from typing import Final, Protocol

from buildpush.artifactory.issues import SUMMARY, IssueSearch
from buildpush.expressions.patterns import JavaPattern, compile_pattern
from buildpush.foundation.errors import ExpressionError
from buildpush.settings.resolved import ResolveContext

_EXAMPLE: Final = "([A-Z]+-[0-9]+): (.+)"
_NEEDED: Final = {
    "issues_regexp": f"a pattern with a group for the key and one for the summary, such as {_EXAMPLE}",
    "issues_tracker": "the name of the tracker, such as JIRA",
}


OF_ISSUES: Final = (*_NEEDED, "issues_url")


class _IssueSettings(Protocol):
    @property
    def issues_tracker(self) -> str | None: ...
    @property
    def issues_regexp(self) -> str | None: ...
    @property
    def issues_url(self) -> str | None: ...


def issue_search(settings: _IssueSettings, ctx: ResolveContext) -> IssueSearch | None:
    """Return how issues are found, ``None`` if none of the settings about them is set.

    Raises:
        SettingsError: one that it takes is missing, or the pattern cannot be used.
    """
    values = {name: getattr(settings, name) for name in OF_ISSUES}
    given = [name for name, value in values.items() if value]
    if not given:
        return None
    if missing := next((name for name in _NEEDED if name not in given), None):
        message = f"{given[0]} is set, and {missing} is not"
        raise ctx.fail(message, given[0], f"set {missing} to {_NEEDED[missing]}, or leave out {given[0]}")
    return IssueSearch(values["issues_tracker"], _pattern(values["issues_regexp"], ctx), values["issues_url"] or "")


def _pattern(text: str, ctx: ResolveContext) -> JavaPattern:
    hint = f"write {_NEEDED['issues_regexp']}"
    try:
        pattern = compile_pattern(text)
    except ExpressionError as error:
        raise ctx.fail(str(error), "issues_regexp", error.hint or hint) from error
    if pattern.compiled.groups < SUMMARY:
        message = f"{text!r} has fewer than two groups"
        raise ctx.fail(message, "issues_regexp", hint)
    return pattern
