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
class _Reaction:
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


_DEADLINE_REACHED: Final = _Reaction("failed", "the time limit of the stage or group around it was reached")


@dataclass(frozen=True, slots=True)
class Attempts:
    """Runs steps, and handles their failures as their failure strategies say.

    Attributes:
        run: runs a step once, up to a deadline.
        facts: of the run; the conditions of retries are evaluated with them.
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
            if deadline and self._is_over(deadline):  # before the step began, or during a wait
                return Outcome(step, "failed", error=deadline.error(), failures=failures)
            outcome = self.run(step, deadline)
            if outcome.status != "failed" or outcome.error is None:
                return replace(outcome, failures=failures)
            ended = self.now()
            if deadline and self._is_over(deadline):  # no failure strategy handles that
                reaction = _DEADLINE_REACHED
            else:
                reaction = self._verdict(step, outcome.error, progress, failures)
            types = tuple(sorted(reaction.types or error_types(outcome.error)))
            code = exit_code(outcome.error)
            failures += (Failure(str(outcome.error), types, reaction.verdict, reaction.reason, began, ended, code),)
            if reaction.verdict != "again":
                return self._end(outcome, reaction, failures)
            self.drop(outcome)
            step = _again(step, len(failures))

    def _is_over(self, deadline: Deadline) -> bool:
        return self.clock() >= deadline.end

    def _wait(self, limit: timedelta, deadline: Deadline | None) -> None:
        """Wait as long as *limit*, but not beyond *deadline*, which keeps running."""
        left = limit if deadline is None else shorter(limit, deadline, self.clock())
        self.wait((left or limit).total_seconds())

    def _end(self, outcome: Outcome, reaction: _Reaction, failures: tuple[Failure, ...]) -> Outcome:
        verdict = reaction.verdict
        if verdict == "group again":
            return replace(outcome, failures=failures, again=reaction.wait)
        if reaction.reason:
            self.log(Decision(f"step {_name(outcome.step)}", _WORDS[verdict], reaction.reason))
        if verdict in {"ignored", "succeeded"}:
            self.log(Note(f"the step {_name(outcome.step)} failed, and the run continues: {outcome.error}"))
            return replace(outcome, status="ignored", reason=str(outcome.error), failures=failures)
        return replace(outcome, aborts=verdict == "aborted", fails_all=reaction.fails_all, failures=failures)

    def _verdict(
        self,
        step: Step,
        error: Exception,
        progress: StatusSoFar,
        failures: tuple[Failure, ...],
    ) -> _Reaction:
        types = error_types(error)
        if not types:
            return _Reaction("aborted", "it was interrupted")
        action = choose(progress.strategies, types, exit_code(error))
        if action is None:
            return _Reaction("failed")
        try:
            retry_count = sum(one.verdict == "again" for one in failures)
            return self._act(action, _FailedStep(step, error, types, retry_count, progress))
        except SettingsError as wrong:
            return _Reaction("failed", str(wrong))

    def _act(self, action: FailureAction, failed: _FailedStep) -> _Reaction:
        reaction = self._decided(action, failed)
        return replace(reaction, fails_all=True) if action.fail_all and reaction.verdict == "failed" else reaction

    def _decided(self, action: FailureAction, failed: _FailedStep) -> _Reaction:
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
        return _Reaction(row.verdict, about)

    def _retry(self, action: FailureAction, failed: _FailedStep) -> _Reaction:
        """Wait and run the step again; when no retry is left, or the condition is false, take the action after that."""
        step, error, retry_count = failed.step, failed.error, failed.retry_count
        own = step.scope.get("step")
        about = {"retryCount": retry_count, **(own if isinstance(own, Mapping) else {}), "exitCode": exit_code(error)}
        facts = self.facts.within({**step.scope, "step": about}, step.facts, step.around)
        is_due = not action.condition or is_true(action.condition, facts, action.where)
        if is_due and retry_count < action.retries:
            wait = action.wait(retry_count + 1)
            self.log(Retry(f"step {_name(step)}", str(error), wait.total_seconds(), retry_count + 1))
            self._wait(wait, failed.deadline)
            return _Reaction("again", f"Retry ({action.where}), {retry_count + 1} of {action.retries}")
        if action.then:
            return self._act(action.then, failed)
        why = f"{action.retries} retries have failed" if is_due else "its condition is false"
        return _Reaction("failed", f"Retry ({action.where}): {why}")

    def _retry_group(self, action: FailureAction, failed: _FailedStep) -> _Reaction:
        """Let the walk run the group again; when no retry is left, the step has failed."""
        retry_count = failed.progress.passes[-1]
        if retry_count >= action.retries:
            return _Reaction("failed", f"RetryStepGroup ({action.where}): {action.retries} retries have failed")
        wait = action.wait(retry_count + 1)
        self.log(
            Retry(f"group of the step {_name(failed.step)}", str(failed.error), wait.total_seconds(), retry_count + 1)
        )
        return _Reaction("group again", f"RetryStepGroup ({action.where}), {retry_count + 1} of {action.retries}", wait)

    def _intervention(self, action: FailureAction, failed: _FailedStep) -> _Reaction:
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
        reaction = _Reaction("failed", f"{about}: there was no answer for {limit}")
        return self._with_type("InputTimeoutError", reaction, failed)

    def _after_answer(self, answer: str, about: str, failed: _FailedStep) -> _Reaction:
        more = "; rollback steps are not run here" if answer == "rollback" else ""
        reaction = _Reaction(ANSWERS[answer], f"{about}: the answer was {answer}{more}")
        return self._with_type("UserMarkedFailure", reaction, failed) if answer == "fail" else reaction

    def _with_type(self, kind: ErrorType, reaction: _Reaction, failed: _FailedStep) -> _Reaction:
        """Return the reaction to an error that is now one of *kind*: only an entry that names this type is used."""
        types: frozenset[ErrorType] = frozenset({kind})
        action = choose_named(failed.progress.strategies, types, exit_code(failed.error))
        if action is None or failed.types == types:
            return replace(reaction, types=types)
        then = self._act(action, replace(failed, types=types))
        return replace(then, types=then.types or types, reason=f"{reaction.reason}; {then.reason}")


@dataclass(frozen=True, slots=True)
class _FailedStep:
    """A step that has failed, the types of its error, how often it was run again, and what is around it."""

    step: Step
    error: Exception
    types: frozenset[ErrorType]
    retry_count: int
    progress: StatusSoFar

    @property
    def deadline(self) -> Deadline | None:
        """The time until which it may be run again."""
        return nearest(self.progress.deadlines)


def _answers(action: FailureAction) -> tuple[str, ...]:
    """Return the answers that a person may choose from: those that *action* lists, or all."""
    answers = [ACTIONS[one].answer for one in action.answers if ACTIONS[one].answer]
    return tuple(dict.fromkeys(answers or ANSWERS))


def _name(step: Step) -> str:
    return step.name or step.identifier


def _again(step: Step, retry_count: int) -> Step:
    """Return *step* with the number of its retries known to its expressions."""
    own = step.scope.get("step")
    known = own if isinstance(own, dict) else {}
    return replace(step, scope={**step.scope, "step": {**known, "retryCount": retry_count}})
