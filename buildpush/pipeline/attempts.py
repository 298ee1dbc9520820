"""The attempts of a step: it is run, and its failure strategies decide what follows a failure."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from buildpush.expressions.facts import Facts
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.events import Decision, Note, Retry, Sink
from buildpush.foundation.limits import duration_text
from buildpush.foundation.records import dataclass
from buildpush.pipeline.conditions import StatusSoFar, is_true
from buildpush.pipeline.deadlines import Deadline, nearest, shorter
from buildpush.pipeline.failures import ANSWERS, AskPerson, error_types, exit_code
from buildpush.pipeline.outcomes import Failure, Outcome
from buildpush.settings.failures import ACTIONS, ErrorType, FailureAction, Verdict, choose, choose_named
from buildpush.settings.tree import Step

_WORDS: Final = {"failed": "failed", "ignored": "ignored", "succeeded": "marked as success", "aborted": "aborted"}


@dataclass(frozen=True, slots=True)
class _Decided:
    """What follows a failure, why, and how long to wait until the group of the step is run again.

    Attributes:
        types: of the error, where a person has changed them.
        fails_all: whether the failure ends what has not begun beside the step.
    """

    verdict: Verdict
    reason: str = ""
    wait: timedelta | None = None
    types: frozenset[ErrorType] = frozenset()
    fails_all: bool = False


_DEADLINE_REACHED: Final = _Decided("failed", "the time limit of the stage or group around it was reached")


@dataclass(frozen=True, slots=True)
class Attempts:
    """Runs steps, and handles their failures as their failure strategies say.

    Attributes:
        run: runs a step once, up to a deadline.
        facts: of the run; they answer the conditions of retries.
        log: gets each decision.
        wait: waits some seconds.
        ask: asks a person; ``None`` where there is no one to ask.
    """

    run: Callable[[Step, Deadline | None], Outcome]
    facts: Facts
    log: Sink
    wait: Callable[[float], object]
    ask: AskPerson | None = None
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    drop: Callable[[Outcome], object] = lambda _outcome: None

    def __call__(self, step: Step, progress: StatusSoFar) -> Outcome:
        """Run *step* until it succeeds, or its strategies or the deadlines around it end it."""
        began = self.now()
        return replace(self._until_done(step, progress), began=began)

    def _until_done(self, step: Step, progress: StatusSoFar) -> Outcome:
        failures: tuple[Failure, ...] = ()
        deadline = nearest(progress.deadlines)
        while True:
            began = self.now()
            if deadline and self._is_over(deadline):  # before it began, or while something was waited for
                return Outcome(step, "failed", error=deadline.error(), failures=failures)
            outcome = self.run(step, deadline)
            if outcome.status != "failed" or outcome.error is None:
                return replace(outcome, failures=failures)
            ended = self.now()
            if deadline and self._is_over(deadline):  # which no failure strategy follows
                decided = _DEADLINE_REACHED
            else:
                decided = self._verdict(step, outcome.error, progress, failures)
            types = tuple(sorted(decided.types or error_types(outcome.error)))
            code = exit_code(outcome.error)
            failures += (Failure(str(outcome.error), types, decided.verdict, decided.reason, began, ended, code),)
            if decided.verdict != "again":
                return self._end(outcome, decided, failures)
            self.drop(outcome)
            step = _again(step, len(failures))

    def _is_over(self, deadline: Deadline) -> bool:
        return self.clock() >= deadline.end

    def _wait(self, limit: timedelta, deadline: Deadline | None) -> None:
        """Wait as long as *limit*, but not beyond *deadline*, which keeps running."""
        left = limit if deadline is None else shorter(limit, deadline, self.clock())
        self.wait((left or limit).total_seconds())

    def _end(self, outcome: Outcome, decided: _Decided, failures: tuple[Failure, ...]) -> Outcome:
        verdict = decided.verdict
        if verdict == "group again":
            return replace(outcome, failures=failures, again=decided.wait)
        if decided.reason:
            self.log(Decision(f"step {_name(outcome.step)}", _WORDS[verdict], decided.reason))
        if verdict in {"ignored", "succeeded"}:
            self.log(Note(f"the step {_name(outcome.step)} failed, and the run continues: {outcome.error}"))
            return replace(outcome, status="ignored", reason=str(outcome.error), failures=failures)
        return replace(outcome, aborts=verdict == "aborted", fails_all=decided.fails_all, failures=failures)

    def _verdict(
        self,
        step: Step,
        error: Exception,
        progress: StatusSoFar,
        failures: tuple[Failure, ...],
    ) -> _Decided:
        types = error_types(error)
        if not types:
            return _Decided("aborted", "it was interrupted")
        action = choose(progress.strategies, types, exit_code(error))
        if action is None:
            return _Decided("failed")
        try:
            retried = sum(one.verdict == "again" for one in failures)
            return self._act(action, _Failed(step, error, types, retried, progress))
        except SettingsError as wrong:
            return _Decided("failed", str(wrong))

    def _act(self, action: FailureAction, failed: _Failed) -> _Decided:
        decided = self._decided(action, failed)
        return replace(decided, fails_all=True) if action.fail_all and decided.verdict == "failed" else decided

    def _decided(self, action: FailureAction, failed: _Failed) -> _Decided:
        about = f"{action.type} ({action.where}) for {' and '.join(sorted(failed.types))}"
        if action.type == "Retry":
            return self._retry(action, failed)
        if action.type == "RetryStepGroup":
            return self._retry_group(action, failed)
        if action.type == "ManualIntervention":
            return self._intervention(action, failed)
        row = ACTIONS[action.type]
        if row.is_rollback:
            about += "; rollback steps are not run here"
        return _Decided(row.verdict, about)

    def _retry(self, action: FailureAction, failed: _Failed) -> _Decided:
        """Wait and run the step again; when no retry is left, or the condition is false, take the action after that."""
        step, error, retried = failed.step, failed.error, failed.retried
        own = step.scope.get("step")
        about = {"retryCount": retried, **(own if isinstance(own, Mapping) else {}), "exitCode": exit_code(error)}
        facts = self.facts.within({**step.scope, "step": about}, step.facts, step.around)
        is_wanted = not action.condition or is_true(action.condition, facts, action.where)
        if is_wanted and retried < action.retries:
            wait = action.wait(retried + 1)
            self.log(Retry(f"step {_name(step)}", str(error), wait.total_seconds(), retried + 1))
            self._wait(wait, failed.deadline)
            return _Decided("again", f"Retry ({action.where}), {retried + 1} of {action.retries}")
        if action.then:
            return self._act(action.then, failed)
        why = f"{action.retries} retries have failed" if is_wanted else "its condition is false"
        return _Decided("failed", f"Retry ({action.where}): {why}")

    def _retry_group(self, action: FailureAction, failed: _Failed) -> _Decided:
        """Let the walk run the group again; when no retry is left, the step has failed."""
        retried = failed.progress.passes[-1]
        if retried >= action.retries:
            return _Decided("failed", f"RetryStepGroup ({action.where}): {action.retries} retries have failed")
        wait = action.wait(retried + 1)
        self.log(Retry(f"group of the step {_name(failed.step)}", str(failed.error), wait.total_seconds(), retried + 1))
        return _Decided("group again", f"RetryStepGroup ({action.where}), {retried + 1} of {action.retries}", wait)

    def _intervention(self, action: FailureAction, failed: _Failed) -> _Decided:
        """Ask a person until the timeout; where no one can be asked, wait that long."""
        name, limit = _name(failed.step), duration_text(action.timeout)
        about = f"ManualIntervention ({action.where})"
        if self.ask:
            left = shorter(action.timeout, failed.deadline, self.clock()) or action.timeout
            answer = self.ask(f"the step {name} failed: {failed.error}", _answers(action), left)
        else:
            answer = None
            text = f"the step {name} failed, and no one can be asked here: the run continues in {limit}"
            self.log(Note(text))
            self._wait(action.timeout, failed.deadline)
        if answer:
            return self._after_answer(answer, about, failed)
        if action.then:
            return self._act(action.then, failed)
        decided = _Decided("failed", f"{about}: there was no answer for {limit}")
        return self._with_type("InputTimeoutError", decided, failed)

    def _after_answer(self, answer: str, about: str, failed: _Failed) -> _Decided:
        more = "; rollback steps are not run here" if answer == "rollback" else ""
        decided = _Decided(ANSWERS[answer], f"{about}: the answer was {answer}{more}")
        return self._with_type("UserMarkedFailure", decided, failed) if answer == "fail" else decided

    def _with_type(self, kind: ErrorType, decided: _Decided, failed: _Failed) -> _Decided:
        """Return what follows now that the error is one of *kind*: only an entry that names this counts."""
        types: frozenset[ErrorType] = frozenset({kind})
        action = choose_named(failed.progress.strategies, types, exit_code(failed.error))
        if action is None or failed.types == types:
            return replace(decided, types=types)
        then = self._act(action, replace(failed, types=types))
        return replace(then, types=then.types or types, reason=f"{decided.reason}; {then.reason}")


@dataclass(frozen=True, slots=True)
class _Failed:
    """A step that has failed, the types of its error, how often it was run again, and what is around it."""

    step: Step
    error: Exception
    types: frozenset[ErrorType]
    retried: int
    progress: StatusSoFar

    @property
    def deadline(self) -> Deadline | None:
        """Until when it may be run again."""
        return nearest(self.progress.deadlines)


def _answers(action: FailureAction) -> tuple[str, ...]:
    """Return what a person may answer: all, or what *action* limits that to, each once."""
    found = [ACTIONS[one].answer for one in action.answers if ACTIONS[one].answer]
    return tuple(dict.fromkeys(found or ANSWERS))


def _name(step: Step) -> str:
    return step.name or step.identifier


def _again(step: Step, retried: int) -> Step:
    """Return *step* with the number of its retries known to its expressions."""
    own = step.scope.get("step")
    known = own if isinstance(own, dict) else {}
    return replace(step, scope={**step.scope, "step": {**known, "retryCount": retried}})
