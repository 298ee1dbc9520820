"""Which runs of a build are deleted: those that are named, or those that a rule does not keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from buildpush.foundation.records import dataclass
from buildpush.sandbox import builds
from buildpush.sandbox.answers import RequestRefusedError, forbidden
from buildpush.sandbox.bodies import flag, texts
from buildpush.sandbox.build_artifacts import BuildFiles
from buildpush.sandbox.entries import BuildEntry, FileEntry
from buildpush.sandbox.permissions import Caller
from buildpush.sandbox.store import Store

NO_LIMIT = -1


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """What is kept of a build's runs.

    Attributes:
        count: the newest ones; :data:`NO_LIMIT` for all.
        oldest_ms: those that began at this moment or later; ``None`` for all.
        exempt: numbers that are kept anyway, and do not use up *count*.
        artifacts: whether the files of a deleted run are deleted as well.
    """

    count: int
    oldest_ms: int | None
    exempt: tuple[str, ...]
    artifacts: bool

    def discarded(self, runs: Sequence[BuildEntry]) -> list[BuildEntry]:
        """Return the runs to delete, out of all, newest first; those with a promotion status are kept."""
        candidates = [run for run in runs if run.number not in self.exempt and not run.document.get("statuses")]
        recent = [run for run in candidates if self.oldest_ms is None or run.started_ms >= self.oldest_ms]
        kept = {_key(run) for run in (recent if self.count == NO_LIMIT else recent[: self.count])}
        return [run for run in candidates if _key(run) not in kept]


def _key(run: BuildEntry) -> tuple[str, int]:
    return run.number, run.started_ms


def read_rule(document: Mapping[str, Any]) -> RetentionRule:
    """Return the rule that a request asks for; ``count`` may be a text.

    Raises:
        RequestRefusedError: 400, a field cannot be used.
    """
    try:
        count = int(str(document.get("count", NO_LIMIT)))
    except ValueError:
        count = 0
    if not document or count == 0 or count < NO_LIMIT:
        raise RequestRefusedError(400, "BAD_REQUEST", "Max count retention needs to be a positive number")
    date = document.get("minimumBuildDate")
    oldest = date if isinstance(date, int) or date is None else builds.milliseconds(str(date))
    artifacts = flag(document, "deleteBuildArtifacts")
    return RetentionRule(count, oldest, texts(document, "buildNumbersNotToBeDiscarded"), artifacts)


def named_runs(runs: Iterable[BuildEntry], numbers: Iterable[str]) -> tuple[list[BuildEntry], list[str]]:
    """Return one run, the newest, for each time that its number is listed, and the numbers without a run."""
    left = list(runs)
    chosen, missing = [], []
    for number in numbers:
        run = next((one for one in left if one.number == number), None)
        if run is None:
            missing.append(number)
        else:
            left.remove(run)
            chosen.append(run)
    return chosen, missing


def delete_runs(store: Store, runs: Sequence[BuildEntry], who: Caller, *, artifacts: bool) -> None:
    """Delete runs, and on request the files that are marked as theirs.

    Raises:
        RequestRefusedError: 403, the account may not delete one of the files; nothing is deleted then.
    """
    files = [entry for run in runs for entry in _files_of(store, run, who)] if artifacts else []
    for entry in files:
        if not who.may("delete", entry.repo):
            raise forbidden(who.username, "delete", f"{entry.repo}:{entry.path}")
    with store.change():
        store.remove(files)
        for run in runs:
            builds.remove_build(store, run)


def _files_of(store: Store, run: BuildEntry, who: Caller) -> list[FileEntry]:
    files = BuildFiles(store, run, who)
    return [entry for entry in files.artifacts().entries if files.marked(entry, exactly=True)]
