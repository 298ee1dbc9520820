"""The attempts of a step: it is run, and where it fails its failure strategies say what follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from buildpush.expressions.facts import Facts
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.events import Decision, Note, Retry, Sink
from buildpush.foundation.records import dataclass
from buildpush.pipeline.conditions import is_true
from buildpush.pipeline.failures import ANSWERS, PLAIN, ROLLBACKS, Ask, Verdict, error_types, exit_code
from buildpush.pipeline.steps import Failure, Outcome
from buildpush.settings.failures import Action, FailureStrategy, choose
from buildpush.settings.kinds import duration_text
from buildpush.settings.tree import Step

_WORDS: Final = {"failed": "failed", "ignored": "ignored", "succeeded": "marked as success", "aborted": "aborted"}


@dataclass(frozen=True, slots=True)
class Attempts:
    """Runs steps, and does about a failure what its strategies ask for.

    Attributes:
        run: runs a step once.
        facts: of the run; they answer the conditions of retries.
        log: hears of each decision.
        wait: waits some seconds.
        ask: asks a person; ``None`` where nobody can be asked.
    """

    run: Callable[[Step], Outcome]
    facts: Facts
    log: Sink
    wait: Callable[[float], object]
    ask: Ask | None = None

    def __call__(self, step: Step, lists: Sequence[Sequence[FailureStrategy]]) -> Outcome:
        """Run *step* until it succeeds, or what its strategies say ends it; the nearest of *lists* comes first."""
        failures: tuple[Failure, ...] = ()
        while True:
            outcome = self.run(step)
            if outcome.status != "failed" or outcome.error is None:
                return replace(outcome, failures=failures)
            verdict, reason = self._verdict(step, outcome.error, lists, failures)
            types = tuple(sorted(error_types(outcome.error)))
            failures += (Failure(str(outcome.error), types, verdict, reason),)
            if verdict != "again":
                return self._end(outcome, verdict, reason, failures)
            step = _again(step, len(failures))

    def _end(self, outcome: Outcome, verdict: Verdict, reason: str, failures: tuple[Failure, ...]) -> Outcome:
        if reason:
            self.log(Decision(f"step {_name(outcome.step)}", _WORDS[verdict], reason))
        if verdict in {"ignored", "succeeded"}:
            self.log(Note(f"the step {_name(outcome.step)} failed, and the run goes on: {outcome.error}"))
            return replace(outcome, status="ignored", reason=str(outcome.error), failures=failures)
        return replace(outcome, aborts=verdict == "aborted", failures=failures)

    def _verdict(
        self,
        step: Step,
        error: Exception,
        lists: Sequence[Sequence[FailureStrategy]],
        failures: tuple[Failure, ...],
    ) -> tuple[Verdict, str]:
        types = error_types(error)
        if not types:
            return "aborted", "it was interrupted"
        action = choose(lists, types)
        if action is None:
            return "failed", ""
        try:
            return self._act(action, step, error, sum(one.verdict == "again" for one in failures))
        except SettingsError as wrong:
            return "failed", str(wrong)

    def _act(self, action: Action, step: Step, error: Exception, retried: int) -> tuple[Verdict, str]:
        about = f"{action.type} ({action.where}) for {' and '.join(sorted(error_types(error)))}"
        if action.type == "Retry":
            return self._retry(action, step, error, retried)
        if action.type == "ManualIntervention":
            return self._intervention(action, step, error, retried)
        if action.type in ROLLBACKS:
            about += "; rollback steps are not run here"
        return PLAIN[action.type], about

    def _retry(self, action: Action, step: Step, error: Exception, retried: int) -> tuple[Verdict, str]:
        """Wait and begin again; when that is used up, or its condition is false, do what is to follow."""
        facts = self.facts.within({**step.scope, "step": {"exitCode": exit_code(error)}}, step.facts)
        is_wanted = not action.condition or is_true(action.condition, facts, action.where)
        if is_wanted and retried < action.retries:
            seconds = action.wait(retried + 1).total_seconds()
            self.log(Retry(f"step {_name(step)}", str(error), seconds, retried + 1))
            self.wait(seconds)
            return "again", f"Retry ({action.where}), {retried + 1} of {action.retries}"
        if action.then:
            return self._act(action.then, step, error, retried)
        why = f"{action.retries} retries have failed" if is_wanted else "its condition is false"
        return "failed", f"Retry ({action.where}): {why}"

    def _intervention(self, action: Action, step: Step, error: Exception, retried: int) -> tuple[Verdict, str]:
        """Ask a person, for as long as there is time; where nobody can be asked, the time is waited for."""
        limit = duration_text(action.timeout)
        if self.ask:
            answer = self.ask(f"the step {_name(step)} failed: {error}", tuple(ANSWERS), action.timeout)
        else:
            answer = None
            text = f"the step {_name(step)} failed, and nobody can be asked here: in {limit} the run goes on by itself"
            self.log(Note(text))
            self.wait(action.timeout.total_seconds())
        if answer:
            return ANSWERS[answer], f"ManualIntervention ({action.where}): the answer was {answer}"
        if action.then:
            return self._act(action.then, step, error, retried)
        return "failed", f"ManualIntervention ({action.where}): there was no answer for {limit}"


def _name(step: Step) -> str:
    return step.name or step.identifier


def _again(step: Step, retried: int) -> Step:
    """Return *step*, whose expressions know that it is run once more."""
    own = step.scope.get("step")
    known = own if isinstance(own, dict) else {}
    return replace(step, scope={**step.scope, "step": {**known, "retryCount": retried}})
