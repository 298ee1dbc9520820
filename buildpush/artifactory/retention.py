"""Deletes runs of a build, and says which are gone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from buildpush.artifactory.answers import PublishedRun
from buildpush.artifactory.client import Artifactory
from buildpush.artifactory.document import started_from, started_text
from buildpush.foundation.errors import BuildInfoError, SettingsError
from buildpush.foundation.events import Note, Sink, ignore
from buildpush.foundation.records import dataclass

_HINT = "the permissions Delete and Manage on builds are needed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Which runs stay.

    Attributes:
        count: the newest so many stay, besides those that were promoted; ``None`` for no limit.
        days: runs that started before so many days are deleted; ``None`` for no limit.
        keep: numbers of runs that stay in any case; they do not count.
        artifacts: whether the files of deleted runs are deleted as well.
    """

    count: int | None = None
    days: int | None = None
    keep: tuple[str, ...] = ()
    artifacts: bool = False

    def rule(self, now: datetime) -> dict[str, Any]:
        """Return the body of the request."""
        rule: dict[str, Any] = {"deleteBuildArtifacts": self.artifacts}
        if self.count is not None:
            rule["count"] = str(self.count)
        if self.days is not None:
            rule["minimumBuildDate"] = started_text(now - timedelta(days=self.days))
        if self.keep:
            rule["buildNumbersNotToBeDiscarded"] = list(self.keep)
        return rule

    def outdated(self, runs: Sequence[PublishedRun], now: datetime) -> list[PublishedRun]:
        """Return those of *runs*, newest first, that do not stay, as far as their numbers and starts say."""
        others = [run for run in runs if run.number not in self.keep]
        oldest = None if self.days is None else now - timedelta(days=self.days)

        def is_old(run: PublishedRun) -> bool:
            started = started_from(run.started)
            return oldest is not None and started is not None and started < oldest

        fresh = [run for run in others if not is_old(run)]
        surplus = [] if self.count is None else fresh[self.count :]
        return [run for run in others if run in surplus or is_old(run)]


def discard(
    client: Artifactory,
    name: str,
    retention: Retention,
    *,
    now: datetime,
    later: bool = False,
    project: str = "",
    sink: Sink = ignore,
) -> tuple[PublishedRun, ...]:
    """Delete the runs of build *name* that *retention* does not keep, and return those that are gone.

    The server keeps promoted runs, each with a note. With *later* it deletes them after its answer, so that what is
    returned may be incomplete.

    Raises:
        SettingsError: there is nothing to do, or no such build.
        BuildInfoError: the server refuses, or keeps runs that were not promoted.
    """
    if retention.count is None and retention.days is None:
        message = "without a number of runs or of days that stay, none can be discarded"
        raise SettingsError(message, hint="add --max-builds (count) or --max-days (days)")
    before = _runs(client, name, project)
    client.apply_retention(name, retention.rule(now), later=later, project=project)
    left = client.runs(name, project=project)
    outdated = [run for run in retention.outdated(before, now) if run in left]
    if later:
        sink(Note(f"{client.host} deletes runs of {name} after its answer; buildpush build-info list shows which stay"))
    elif outdated:
        doubtful = outdated if retention.count is None else left  # promoted runs do not use up the count
        promoted = [run for run in doubtful if _is_promoted(client, name, run, project)]
        others = [run for run in before if run not in promoted]
        _refuse_left(client, name, [run for run in retention.outdated(others, now) if run in left])
        for run in outdated:
            if run in promoted:
                sink(Note(f"run {run.number} of {name} stays, since it was promoted"))
    return tuple(run for run in before if run not in left)


def delete(
    client: Artifactory, name: str, numbers: Collection[str], *, artifacts: bool = False, project: str = ""
) -> tuple[PublishedRun, ...]:
    """Delete every run of build *name* that has one of *numbers*, and return those that are gone.

    Raises:
        SettingsError: there is no run with one of the numbers; then none is deleted.
        BuildInfoError: the server refuses, or some of the runs are still there.
    """
    before = _runs(client, name, project)
    unknown = sorted(set(numbers) - {run.number for run in before})
    if unknown:
        message = f"{client.host} has no run {', '.join(unknown)} of build {name}; nothing is deleted"
        raise SettingsError(message, hint=f"buildpush build-info list {name} shows its runs", setting="build_number")
    chosen = [run for run in before if run.number in numbers]
    client.delete_runs(name, [run.number for run in chosen], artifacts=artifacts, project=project)
    left = client.runs(name, project=project)
    _refuse_left(client, name, [run for run in chosen if run in left])
    return tuple(chosen)


def _runs(client: Artifactory, name: str, project: str) -> tuple[PublishedRun, ...]:
    runs = client.runs(name, project=project)
    if not runs:
        message = f"{client.host} does not have the build {name}"
        raise SettingsError(message, hint="buildpush build-info list shows what it has", setting="build_name")
    return runs


def _is_promoted(client: Artifactory, name: str, run: PublishedRun, project: str) -> bool:
    info = client.get_build(name, run.number, started_from(run.started), project=project)
    return bool(info and info.others.get("statuses"))


def _refuse_left(client: Artifactory, name: str, left: list[PublishedRun]) -> None:
    if left:
        numbers = ", ".join(run.number for run in left)
        message = f"{client.host} says that it deleted runs of {name}, but still has {numbers}"
        raise BuildInfoError(message, hint=_HINT)
