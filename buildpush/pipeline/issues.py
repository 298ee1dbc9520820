"""The issues that the commits since the last published run of a build are about."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from buildpush.expressions.git import Git
from buildpush.foundation.errors import BuildPushError, CancelledError, SourceError, TimeOutError
from buildpush.foundation.events import Note, Sink
from buildpush.foundation.forms import clean_address
from buildpush.foundation.text import quotation

if TYPE_CHECKING:
    from buildpush.artifactory import Artifactory, BuildInfo
    from buildpush.artifactory.document import Issues
    from buildpush.artifactory.issues import IssueSearch
    from buildpush.credentials.jfrog import BuildIdentity

MOST_COMMITS: Final = 100  # as jf


def find_issues(
    search: IssueSearch | None, build: BuildIdentity, started: datetime, *, git: Git, server: Artifactory, sink: Sink
) -> Issues:
    """Return the issues of the commits up to the one that is built; if that is not possible, none, with a note.

    They begin after the revision that the last run of the build has for this repository; without one, there are at
    most 100.

    Args:
        search: how they are found; ``None`` for none.
        build: whose runs are read.
        started: of this run; an earlier part of it, which is published already, is not the last run.
        git: the repository of the sources.
        server: has the runs.
        sink: gets the note.
    """
    from buildpush.artifactory.document import Issues

    if search is None:
        return Issues()
    try:
        return search.issues(_subjects(git, _last_revision(git, build, started, server)), sink)
    except (CancelledError, TimeOutError):
        raise
    except BuildPushError as error:
        sink(Note(f"the build-info has no issues: {error}"))
        return Issues()


def _last_revision(git: Git, build: BuildIdentity, started: datetime, server: Artifactory) -> str:
    """Return the revision that the last run has for the repository of *git*; empty if there is none."""
    info = _last_run(build, started, server)
    revisions = [entry.revision for entry in info.vcs if _same(entry.url, git.url or "")] if info else []
    return next(filter(None, revisions), "")


def _last_run(build: BuildIdentity, started: datetime, server: Artifactory) -> BuildInfo | None:
    from buildpush.artifactory.document import milliseconds, started_from

    for run in server.runs(build.name, project=build.project):
        moment = started_from(run.started)
        is_replaced = build.exists == "replace" and run.number == build.number
        if moment and milliseconds(moment) != milliseconds(started) and not is_replaced:
            return server.get_build(build.name, run.number, moment, project=build.project)
    return None


def _same(one: str, other: str) -> bool:
    """Return whether both are addresses of one repository; ``jf`` adds ``.git``, and hides a user."""
    return clean_address(one).removesuffix(".git") == clean_address(other).removesuffix(".git")


def _subjects(git: Git, since: str) -> list[str]:
    """Return the first lines of the commits after *since*, newest first.

    Raises:
        SourceError: git is missing or fails, or it does not have all these commits.
    """
    if not git.revision:
        message = git.refusal or f"git knows no commit of {git.directory}"
        raise SourceError(message, where=None)
    if not git.has_commit(since) if since else git.is_shallow:
        what = f"the revision {quotation(since, 64)} of the last run" if since else "all commits"
        why = ", since its clone is shallow: fetch the whole history" if git.is_shallow else ""
        message = f"{git.directory} does not have {what}{why}"
        raise SourceError(message, where=None)
    subjects = git.subjects(since, MOST_COMMITS)
    if subjects is None:
        message = f"git cannot list the commits of {git.directory}"
        raise SourceError(message, where=None)
    return subjects
