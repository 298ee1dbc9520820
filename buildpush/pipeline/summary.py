"""The summary of a run: a row for each step with its outcome, including skipped and failed ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from buildpush.foundation.errors import BuildPushError, SettingsError
from buildpush.foundation.events import Note
from buildpush.foundation.files import unwritable, write_whole
from buildpush.foundation.records import dataclass
from buildpush.foundation.state import NoStateError
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.loops import is_in_loop
from buildpush.pipeline.outcomes import Outcome
from buildpush.pipeline.record import Resumed, RunRecord, failed_places, run_to_resume
from buildpush.pipeline.results import RunResult
from buildpush.pipeline.step_values import StepPath
from buildpush.settings.tree import Loaded, Step


@dataclass(frozen=True, slots=True)
class Summary:
    """Adds each outcome to the results, and to the record of the run.

    Attributes:
        record: of the run; ``None`` where none is kept.
        several: whether there are several steps: if a single one fails, its error says everything.
    """

    context: RunContext
    record: RunRecord | None = None
    several: bool = False

    def __call__(self, outcome: Outcome, place: StepPath) -> Outcome:
        """Add *outcome*, and return it with its result."""
        result = self._result(outcome)
        results = self.context.results
        if outcome.result and any(outcome.result is one for one in results):
            results[next(at for at, one in enumerate(results) if one is outcome.result)] = result
        elif outcome.status != "failed" or self.several:
            results.append(result)
        outcome = replace(outcome, result=result)
        if self.record:
            self.record.add(outcome, result, place)
        return outcome

    def _result(self, outcome: Outcome) -> RunResult:
        step, log = outcome.step, self.context.log
        is_about_it = outcome.began or outcome.status == "skipped"  # otherwise the log is about the step before
        facts: Mapping[str, Any] = log.facts() if is_about_it else {}
        result = outcome.result or RunResult(step=step.name or step.identifier, **facts)
        if outcome.status == "skipped":
            return replace(result, skipped=outcome.reason)
        if outcome.status == "ignored":
            result = replace(result, ignored=outcome.reason)
        if outcome.status == "failed":
            result = replace(result, failed=str(outcome.error))
        ended = self.context.now() if outcome.began else None
        return replace(result, failures=outcome.failures, began=outcome.began, ended=ended)

    def around(self, run: Callable[[], Outcome], step: Step, place: StepPath) -> Outcome:
        """Return the outcome of *run*; if the step is interrupted, the record keeps what it had achieved."""
        before = len(self.context.results)
        try:
            return run()
        except BaseException:
            if self.record:
                name = step.name or step.identifier
                achieved = self.context.results[before:]
                result = achieved[-1] if achieved else RunResult(step=name, **self.context.log.facts())
                self.record.interrupt(step, result, place)
            raise


class RecordFiles:
    """Writes the record of a run into the state directory, and to a file that the user named."""

    def __init__(self, context: RunContext, name: str, began: datetime, file: Path | None) -> None:
        self._context, self._file = context, file
        self._name = f"{began.strftime('%Y%m%dT%H%M%S.%f')}-{name}"
        self._is_there = True
        self._is_begun = False

    def __call__(self, text: str) -> None:
        """Write *text* in place of the one before; if that is impossible during the run, the run continues.

        Raises:
            BuildPushError: the file cannot be written, before anything is done.
        """
        if self._is_there:
            self._is_there = write_state(self._name, text, self._context)
        try:
            if self._file:
                write_record(self._file, text)
        except BuildPushError as error:
            if not self._is_begun:
                raise
            self._context.log(Note(str(error)))
        self._is_begun = True


def begin_record(loaded: Loaded, context: RunContext, file: Path | None) -> RunRecord:
    """Return the record of a run that begins now; it goes to *file* as well, if that is given."""
    began = context.now()
    name = loaded.file.stem if loaded.file else next((step.identifier for step in loaded.steps), "run")
    files = RecordFiles(context, name, began, context.cwd / file if file else None)
    record = RunRecord(loaded, context.facts, began, files)
    record.begin()
    return record


def find_earlier(resume: Path | bool, loaded: Loaded, context: RunContext) -> Resumed | None:
    """Return the run that is resumed: the last one of the file, or that of a record; ``None`` if none is."""
    if not resume:
        return None
    path = None if isinstance(resume, bool) else context.cwd / resume
    return run_to_resume(path, context.state.directory / "runs", loaded, context.facts)


def find_failed(earlier: Resumed | None, loaded: Loaded, context: RunContext) -> frozenset[StepPath]:
    """Return where an earlier run failed, which matters to loops only; none where that is not known."""
    with suppress(SettingsError):
        if is_in_loop(loaded.tree):
            return failed_places(earlier, context.state.directory / "runs", loaded, context.facts)
    return frozenset()


def write_state(name: str, text: str, context: RunContext) -> bool:
    """Write a record into the state directory, and return whether that was possible."""
    try:
        context.state.record(name, text)
    except NoStateError:
        return False  # a note has reported it
    except (OSError, SettingsError) as error:
        context.log(Note(f"the run is not recorded: {error}"))
        return False
    return True


def write_record(path: Path, text: str) -> None:
    """Write a record to a file that the user has named.

    Raises:
        BuildPushError: it cannot be written.
    """
    hint = "name a file in a directory that exists and is writable"
    if reason := unwritable(path):
        message = f"the record {path} cannot be written: it {reason}"
        raise BuildPushError(message, hint=hint)
    try:
        write_whole(path.resolve(), text.encode(), mode=0o600)  # a link stays a link
    except OSError as error:
        message = f"the record {path} cannot be written: {error.strerror}"
        raise BuildPushError(message, hint=hint) from error
