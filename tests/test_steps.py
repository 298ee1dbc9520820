"""The walk: in the order of the file, one after the other; the first failure ends it, and what follows is skipped."""

from __future__ import annotations

import pytest

from buildpush.foundation.documents import parse_yaml
from buildpush.foundation.errors import BuildPushError, PushError
from buildpush.pipeline.results import RunResult
from buildpush.pipeline.steps import Outcome, attempt, raise_failure, walk
from buildpush.settings.tree import leaves, read_tree

FILE = """\
- step: {type: BuildAndPushDockerRegistry, identifier: a}
- parallel:
    - stepGroup:
        steps:
          - step: {type: BuildAndPushDockerRegistry, identifier: b}
          - step: {type: Run, identifier: test}
        rollbackSteps:
          - step: {type: BuildAndPushDockerRegistry, identifier: undo}
    - step: {type: BuildAndPushDockerRegistry, identifier: c}
- step: {type: BuildAndPushDockerRegistry, identifier: d}
"""


def walked(*, failing="", error=None):
    """Return identifier and status of every step that was walked, and which of them were run."""
    ran = []

    def run(step):
        ran.append(step.identifier)
        return Outcome(step, "failed", error=error) if step.identifier == failing else Outcome(step, "succeeded")

    outcomes = walk(read_tree(parse_yaml(FILE, "p.yml")), run)
    return {outcome.step.identifier: outcome.status for outcome in outcomes}, ran


def test_steps_run_in_the_order_in_which_they_stand():
    statuses, ran = walked()
    assert ran == list(statuses) == ["a", "b", "c", "d"]
    assert set(statuses.values()) == {"succeeded"}


def test_after_a_failure_the_rest_is_skipped():
    statuses, ran = walked(failing="b")
    assert ran == ["a", "b"]
    assert statuses == {"a": "succeeded", "b": "failed", "c": "skipped", "d": "skipped"}


def test_a_failure_inside_a_branch_ends_what_follows_the_branch():
    statuses, ran = walked(failing="c")
    assert ran == ["a", "b", "c"]
    assert statuses["d"] == "skipped"


STEP = next(leaves(read_tree(parse_yaml(FILE, "p.yml"))))[0]


def test_a_step_gives_its_receipt():
    results = [RunResult(step="earlier")]
    outcome = attempt(STEP, lambda step: results.append(RunResult(step=step.identifier)), results)
    assert (outcome.status, outcome.result.step, outcome.error) == ("succeeded", "a", None)


def test_a_step_that_fails_after_its_push_gives_receipt_and_error():
    results, error = [], PushError("the registry is gone")

    def act(step):
        results.append(RunResult(step=step.identifier))
        raise error

    outcome = attempt(STEP, act, results)
    assert (outcome.status, outcome.result.step, str(outcome.error)) == ("failed", "a", str(error))


def test_an_interrupt_passes_the_walk():
    def act(_step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(STEP, act, [])


def test_the_first_failure_is_raised_with_what_was_achieved():
    achieved = [RunResult(step="a")]
    outcomes = [Outcome(STEP, "succeeded"), Outcome(STEP, "failed", error=PushError("one")), Outcome(STEP, "skipped")]
    with pytest.raises(BuildPushError, match="one") as caught:
        raise_failure(outcomes, achieved)
    assert caught.value.results == tuple(achieved)


def test_an_error_that_nobody_foresaw_is_raised_as_it_is():
    with pytest.raises(ZeroDivisionError):
        raise_failure([attempt(STEP, lambda _step: 1 / 0, [])], [])


def test_a_step_without_a_push_has_no_outputs():
    assert Outcome(STEP, "succeeded", RunResult(step="a")).outputs == {}
