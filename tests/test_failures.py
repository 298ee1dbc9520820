"""What becomes of a step that fails: retries, what is ignored, what ends the run; nobody waits, no program is run."""

from __future__ import annotations

import io
import os
import threading
from dataclasses import replace
from datetime import timedelta
from typing import get_args

import pytest

from buildpush.advice.table import ROWS, advise
from buildpush.cli.ask import ask, ask_input
from buildpush.expressions.evaluate import NoInputError
from buildpush.foundation.documents import parse_yaml
from buildpush.foundation.errors import (
    AuthenticationError,
    BuildError,
    BuildInfoError,
    CancelledError,
    EngineMissingError,
    PushError,
    RegistryError,
    SettingsError,
    TimeOutError,
    UnreachableError,
)
from buildpush.foundation.events import Decision, Note, Retry
from buildpush.http.retry import RULES
from buildpush.pipeline.attempts import Attempts
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.deadlines import shorter
from buildpush.pipeline.failures import _BY_CLASS, error_types
from buildpush.pipeline.steps import Outcome, Walk
from buildpush.settings.failures import ErrorType
from buildpush.settings.tree import read_tree, with_steps
from buildpush.settings.written import written_at


def from_cause(error, cause):
    error.__cause__ = cause
    return error


BUSY = {"Connectivity", "RetryableTransientFailure"}


@pytest.mark.parametrize(
    ("error", "types"),
    [
        (AuthenticationError("x"), {"Authentication"}),
        (RegistryError("x", status=401), {"Authentication"}),
        (RegistryError("x", status=403), {"Authorization"}),
        (RegistryError("x", status=404), {"Unknown"}),
        *((RegistryError("x", status=status), BUSY) for status in RULES),
        (RegistryError("x", status=501), BUSY),
        (UnreachableError("x"), BUSY),
        (TimeOutError("x"), {"Timeout"}),
        (SettingsError("x"), {"ConfigurationFailure"}),
        (NoInputError("x"), {"InputTimeoutError", "ConfigurationFailure"}),
        (EngineMissingError("x"), {"InfrastructureFailure", "ConfigurationFailure"}),
        (BuildError("x"), {"Unknown"}),
        (ZeroDivisionError(), {"Unknown"}),
        (from_cause(BuildInfoError("x"), UnreachableError("y")), BUSY),
        (CancelledError("x"), set()),
    ],
)
def test_the_types_of_an_error(error, types):
    assert error_types(error) == types


# What has none of these here: nothing is verified, approved or checked against policies, and there are no delegates.
OF_HARNESS_ALONE = {"Verification", "ApprovalRejection", "PolicyEvaluationFailure"}
OF_DELEGATES = {"DelegateProvisioning", "DelegateRestart"}


def test_every_other_type_of_an_error_is_that_of_some_error():
    by_class = {kind for _, kinds in _BY_CLASS for kind in kinds}
    by_message = {row.type for row in ROWS}
    else_where = {"Unknown", "AllErrors", "Authorization", "UserMarkedFailure"}  # has tests of its own here
    assert set(get_args(ErrorType)) - by_class - by_message - else_where == OF_HARNESS_ALONE | OF_DELEGATES


STEP = "type: BuildAndPushDockerRegistry"


class Run:
    """A walk whose step ``a`` fails with each of *failing* in turn, and then succeeds; *errors* are by step."""

    def __init__(self, text, *failing, answers=None, takes=0.0, errors=None, together=False):
        self.by_step = {name: [text and PushError(text) for text in texts] for name, texts in (errors or {}).items()}
        self.errors, self.ran, self.waited, self.heard = list(failing), [], [], []
        self.now, self.takes, self.left, self.all_began = 0.0, takes, [], None
        facts = RunContext.default(env={"B": "x"}, cwd="/").facts
        self.asked = []
        asked = None if answers is None else lambda _, words, __: (self.asked.append(words), answers.pop(0))[1]
        attempts = Attempts(self.act, facts, self.heard.append, self.wait, asked, self.clock)
        tree = with_steps(read_tree(parse_yaml(text, "p.yml")), with_control)
        self.walk = Walk(
            attempts, facts, pause=self.wait, clock=self.clock, run_branches=self.run_branches if together else None
        )
        self.outcomes = self.walk.over(tree)

    def clock(self):
        return self.now

    def run_branches(self, branches, _most):
        self.all_began = threading.Barrier(len(branches))
        threads = [threading.Thread(target=branch.run, args=(self.walk,)) for branch in branches]
        for act in (threading.Thread.start, threading.Thread.join):
            for thread in threads:
                act(thread)

    def wait(self, seconds):
        self.waited.append(seconds)
        self.now += seconds

    def act(self, step, deadline):
        self.ran.append(step.identifier)
        if self.all_began:
            self.all_began.wait(10)
        self.left.append(shorter(None, deadline, self.now))
        self.now += self.takes
        if (mine := self.by_step.get(step.identifier)) and (error := mine.pop(0)):
            return Outcome(step, "failed", error=error)
        if step.identifier.startswith("a") and self.errors:
            return Outcome(step, "failed", error=self.errors.pop(0))
        return Outcome(step, "succeeded")

    @property
    def statuses(self):
        return {outcome.step.identifier: outcome.status for outcome in self.outcomes}

    def heard_of(self, kind):
        return [event for event in self.heard if isinstance(event, kind)]


def with_control(step, _path):
    keys = {"when": "when", "strategy": "strategy", "failure_strategies": "failureStrategies"}
    written = {name: written_at(step.node, key) for name, key in keys.items()}
    return replace(step, settings={name: one for name, one in written.items() if one})


def steps(*actions):
    entries = ", ".join(f"{{onFailure: {{errors: {errors}, action: {action}}}}}" for errors, action in actions)
    return f"- step: {{{STEP}, identifier: a, failureStrategies: [{entries}]}}\n- step: {{{STEP}, identifier: z}}\n"


@pytest.mark.parametrize(
    ("action", "statuses"),
    [
        ("Ignore", {"a": "ignored", "z": "succeeded"}),
        ("MarkAsSuccess", {"a": "ignored", "z": "succeeded"}),
        ("MarkAsFailure", {"a": "failed", "z": "skipped"}),
        ("Abort", {"a": "failed", "z": "skipped"}),
        ("StageRollback", {"a": "failed", "z": "skipped"}),
        ("StepGroupRollback", {"a": "failed", "z": "skipped"}),
        ("PipelineRollback", {"a": "failed", "z": "skipped"}),
        ("ProceedWithDefaultValues", {"a": "failed", "z": "skipped"}),
    ],
)
def test_what_follows_an_action(action, statuses):
    run = Run(steps(("[AllErrors]", f"{{type: {action}}}")), PushError("gone"))
    assert run.statuses == statuses
    (decision,) = run.heard_of(Decision)
    assert f"{action} (p.yml:1:" in decision.reason
    assert ("rollback steps are not run here" in decision.reason) is ("Rollback" in action)


def test_a_failure_that_is_ignored_is_noted():
    run = Run(steps(("[AllErrors]", "{type: Ignore}")), PushError("gone"))
    assert [note.text for note in run.heard_of(Note)] == ["the step a failed, and the run continues: gone"]


def test_an_abort_skips_also_what_runs_after_failures():
    text = steps(("[AllErrors]", "{type: Abort}")).replace("identifier: z", "identifier: z, when: {stageStatus: All}")
    run = Run(text, PushError("gone"))
    assert run.outcomes[1].reason == "the step 'a' has aborted the run"


def test_an_abort_skips_what_stands_beside_and_the_iterations_to_come():
    looped = steps(("[AllErrors]", "{type: Abort}")).replace(
        "identifier: a", "identifier: a, strategy: {parallelism: 2}"
    )
    text = "- parallel:\n" + "".join(f"    {line}\n" for line in looped.splitlines())
    run = Run(text, PushError("gone"))
    assert (run.ran, run.statuses) == (["a_0"], {"a_0": "failed", "a_1": "skipped", "z": "skipped"})


FAIL_ALL = f"""\
- parallel:
    - step:
        {STEP}
        identifier: a
        strategy: {{parallelism: 3}}
        failureStrategies: [{{onFailure: {{errors: [AllErrors], action: ACTION}}}}]
    - step: {{{STEP}, identifier: beside}}
- step: {{{STEP}, identifier: next}}
- step: {{{STEP}, identifier: z, when: {{stageStatus: All}}}}
"""


@pytest.mark.parametrize(
    ("action", "failing", "ran"),
    [
        ("{type: MarkAsFailure, spec: {failAll: true}}", 1, ["a_0", "z"]),
        ("{type: MarkAsFailure, spec: {failAll: false}}", 1, ["a_0", "a_1", "a_2", "beside", "z"]),
        ("{type: PipelineRollback, spec: {failAll: true}}", 1, ["a_0", "z"]),
        ("{type: Retry, spec: {retryCount: 1, failAll: true}}", 2, ["a_0", "a_0", "z"]),
        (
            "{type: Retry, spec: {retryCount: 1, failAll: true}}",
            1,
            ["a_0", "a_0", "a_1", "a_2", "beside", "next", "z"],
        ),
        (
            "{type: Retry, spec: {retryCount: 1, failAll: true, onRetryFailure: {action: {type: Ignore}}}}",
            2,
            ["a_0", "a_0", "a_1", "a_2", "beside", "next", "z"],
        ),
    ],
)
def test_with_fail_all_a_failure_skips_what_has_not_begun_beside_it(action, failing, ran):
    """What follows is run by its own condition, unlike after an abort."""
    run = Run(FAIL_ALL.replace("ACTION", action), *[PushError("gone")] * failing)
    assert run.ran == ran
    if "beside" not in ran:
        assert run.outcomes[1].reason == "the step 'a_0' beside it has failed, with fail-all"


def test_an_entry_of_the_newer_form_is_chosen_by_the_exit_code():
    text = f"- step: {{{STEP}, identifier: a, failureStrategies: {{on-failure: {{exitcode: 4, action: ignore}}}}}}"
    assert Run(text, PushError("gone")).statuses == {"a": "ignored"}
    assert Run(text, BuildError("gone")).statuses == {"a": "failed"}


def test_an_interrupt_is_ignored_by_no_strategy():
    run = Run(steps(("[AllErrors]", "{type: Ignore}")), CancelledError("stopped"))
    assert run.statuses == {"a": "failed", "z": "skipped"}


RETRY = "{type: Retry, spec: {retryCount: 3, retryIntervals: [10s, 1m]MORE}}"


def retry(more="", errors="[AllErrors]"):
    return steps((errors, RETRY.replace("MORE", more)))


def test_a_retry_waits_as_long_as_the_list_says_and_repeats_its_last_entry():
    run = Run(retry(), *(PushError(str(number)) for number in range(3)))
    assert (run.ran, run.waited) == (["a", "a", "a", "a", "z"], [10, 60, 60])
    assert run.statuses["a"] == "succeeded"
    assert [event.attempt for event in run.heard_of(Retry)] == [1, 2, 3]
    assert [one.verdict for one in run.outcomes[0].failures] == ["again"] * 3


@pytest.mark.parametrize(
    ("more", "status"), [("", "failed"), (", onRetryFailure: {action: {type: Ignore}}", "ignored")]
)
def test_what_follows_when_the_retries_are_used_up(more, status):
    run = Run(retry(more), *(PushError(str(number)) for number in range(4)))
    assert (len(run.ran), run.statuses["a"]) == (4 + (status == "ignored"), status)
    assert run.outcomes[0].failures[-1].error == "3"


@pytest.mark.parametrize(
    "first",
    [
        "{type: Retry, spec: {retryCount: 0, onRetryFailure: {action: {type: ACTION}}}}",
        "{type: ManualIntervention, spec: {timeout: 10m, onTimeout: {action: {type: ACTION}}}}",
    ],
)
@pytest.mark.parametrize(
    ("action", "state", "after"),
    [
        ("Ignore", "IGNORE_FAILED", "succeeded"),
        ("MarkAsSuccess", "SUCCEEDED", "succeeded"),
        ("MarkAsFailure", "FAILED", "skipped"),
        ("Abort", "ABORTED", "skipped"),
        ("StageRollback", "FAILED", "skipped"),
    ],
)
def test_what_follows_an_action_inside_another_one(first, action, state, after):
    run = Run(steps(("[AllErrors]", first.replace("ACTION", action))), PushError("gone"))
    assert (run.outcomes[0].state, run.statuses["z"]) == (state, after)


def test_an_intervention_after_retries_waits_a_day():
    more = ", onRetryFailure: {action: {type: ManualIntervention}}"
    run = Run(steps(("[AllErrors]", f"{{type: Retry, spec: {{retryCount: 0{more}}}}}")), PushError("gone"))
    assert (run.waited, run.statuses["a"]) == ([86400], "failed")


def test_a_retry_without_intervals_is_not_waited_for():
    run = Run(steps(("[AllErrors]", "{type: Retry, spec: {retryCount: 2, retryIntervals: []}}")), *map(PushError, "12"))
    assert (run.ran, run.waited) == (["a", "a", "a", "z"], [0, 0])


@pytest.mark.parametrize(("action", "statuses"), [("Ignore", ["ignored"] * 2), ("MarkAsFailure", ["failed"] * 2)])
def test_a_loop_has_failed_where_an_iteration_has_failed_and_is_not_ignored(action, statuses):
    text = steps(("[AllErrors]", f"{{type: {action}}}"))
    run = Run(text.replace("identifier: a", "identifier: a, strategy: {parallelism: 2}"), *map(PushError, "12"))
    assert [run.statuses["a_0"], run.statuses["a_1"]] == statuses
    assert run.statuses["z"] == ("succeeded" if action == "Ignore" else "skipped")


def test_each_iteration_has_retries_of_its_own():
    looped = retry().replace("identifier: a", "identifier: a, strategy: {repeat: {times: 2}}")
    run = Run(looped, errors={"a_0": ["1", "2", ""], "a_1": ["3", ""]})
    assert run.ran == ["a_0", "a_0", "a_0", "a_1", "a_1", "z"]
    assert run.waited == [10, 60, 10]


@pytest.mark.parametrize(("code", "attempts"), [("4", 2), ("5", 1)])
def test_a_retry_may_have_a_condition_on_the_exit_code(code, attempts):
    run = Run(retry(f", condition: '<+step.exitCode> == {code}'"), PushError("gone"))
    assert run.ran.count("a") == attempts


def test_an_error_that_no_entry_names_fails_the_step():
    run = Run(retry(errors="[Timeout]"), PushError("gone"))
    assert (run.ran, run.statuses["a"], run.heard) == (["a"], "failed", [])


GROUP = """\
- stage:
    identifier: s
    spec:
      execution:
        steps:
          - stepGroup:
              identifier: g
              steps:
                - step: {type: BuildAndPushDockerRegistry, identifier: a, failureStrategies: OWN}
              failureStrategies:
                - onFailure: {errors: [Timeout], action: {type: Ignore}}
          - step: {type: BuildAndPushDockerRegistry, identifier: z}
    failureStrategies:
      - onFailure: {errors: [AllErrors], action: {type: Abort}}
"""


@pytest.mark.parametrize(
    ("own", "error", "status"),
    [
        ("[]", TimeOutError("late"), "ignored"),
        ("[]", PushError("gone"), "failed"),
        ("[{onFailure: {errors: [AllErrors], action: {type: Ignore}}}]", PushError("gone"), "ignored"),
        ("[{onFailure: {errors: [Timeout], action: {type: MarkAsFailure}}}]", TimeOutError("late"), "failed"),
    ],
)
def test_the_step_comes_before_the_group_and_the_group_before_the_stage(own, error, status):
    run = Run(GROUP.replace("OWN", own), error)
    assert run.statuses["a"] == status


def test_expressions_in_strategies_are_evaluated():
    run = Run(steps(("[AllErrors]", '{type: \'<+<+env.B> == "x" ? "Ignore" : "Abort">\'}')), PushError("gone"))
    assert run.statuses["a"] == "ignored"


INTERVENTION = "{type: ManualIntervention, spec: {timeout: 10m, onTimeout: {action: {type: Ignore}}}}"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("retry", "SUCCEEDED"),
        ("ignore", "IGNORE_FAILED"),
        ("success", "SUCCEEDED"),
        ("fail", "FAILED"),
        ("abort", "ABORTED"),
        ("rollback", "FAILED"),
    ],
)
def test_a_person_decides(answer, status):
    run = Run(steps(("[AllErrors]", INTERVENTION)), PushError("gone"), answers=[answer])
    assert (run.outcomes[0].state, run.waited) == (status, [])
    assert run.asked == [("retry", "ignore", "success", "fail", "abort", "rollback")]
    (reason,) = [failure.reason for failure in run.outcomes[0].failures]
    assert f"the answer was {answer}" in reason
    assert ("rollback steps are not run here" in reason) is (answer == "rollback")


def test_a_strategy_may_limit_what_a_person_chooses_from():
    limited = "{type: ManualIntervention, spec: {timeout: 10m, availableActions: [Retry, StageRollback, Abort]}}"
    run = Run(steps(("[AllErrors]", limited)), PushError("gone"), answers=["abort"])
    assert run.asked == [("retry", "rollback", "abort")]


MARKED = ("[UserMarkedFailure]", "{type: Ignore}")


def test_a_failure_that_a_person_marks_has_a_type_that_a_strategy_may_name():
    run = Run(steps(("[Unknown]", INTERVENTION), MARKED), PushError("gone"), answers=["fail"])
    assert run.statuses["a"] == "ignored"
    (failure,) = run.outcomes[0].failures
    assert failure.types == ("UserMarkedFailure",)
    assert "the answer was fail; Ignore (p.yml:1:" in failure.reason
    assert "for UserMarkedFailure" in failure.reason


def test_a_failure_that_a_person_marks_is_none_of_all_errors():
    """The entry for all errors is, as a rule, the one that has asked."""
    run = Run(
        steps(("[Unknown]", INTERVENTION), ("[AllErrors]", "{type: Ignore}")), PushError("gone"), answers=["fail"]
    )
    assert run.statuses["a"] == "failed"


def test_a_person_who_marks_a_failure_once_more_has_decided():
    run = Run(steps(("[Unknown, UserMarkedFailure]", INTERVENTION)), PushError("gone"), answers=["fail", "fail"])
    assert (run.statuses["a"], len(run.asked)) == ("failed", 2)


@pytest.mark.parametrize("answers", [[None], None])
def test_a_question_without_an_answer_has_a_type_that_a_strategy_may_name(answers):
    asked = "{type: ManualIntervention, spec: {timeout: 10m}}"
    late = ("[InputTimeoutError]", "{type: MarkAsSuccess}")
    run = Run(steps(("[Unknown]", asked), late), PushError("gone"), answers=answers and [None])
    assert run.outcomes[0].state == "SUCCEEDED"
    assert run.outcomes[0].failures[0].types == ("InputTimeoutError",)
    alone = Run(steps(("[Unknown]", asked)), PushError("gone"), answers=answers and [None])
    assert (alone.statuses["a"], alone.outcomes[0].failures[0].types) == ("failed", ("InputTimeoutError",))


def test_without_an_answer_the_action_for_it_follows():
    run = Run(steps(("[AllErrors]", INTERVENTION)), PushError("gone"), answers=[None])
    assert (run.statuses["a"], run.waited) == ("ignored", [])


def test_where_nobody_can_be_asked_the_time_is_waited_for():
    run = Run(steps(("[AllErrors]", INTERVENTION)), PushError("gone"))
    assert (run.statuses["a"], run.waited) == ("ignored", [600])
    assert "no one can be asked here: the run continues in 10m" in run.heard_of(Note)[0].text


@pytest.mark.parametrize(
    ("typed", "answer"), [("retry\n", "retry"), ("what\nABORT\n", "abort"), ("", None), ("what\n", None)]
)
def test_a_question_is_asked_until_it_is_answered(tmp_path, typed, answer):
    reading, writing = os.pipe()
    os.write(writing, typed.encode())
    os.close(writing)
    with os.fdopen(reading) as answer_in, (tmp_path / "out").open("w+") as out:
        assert ask("gone", ["retry", "abort"], timedelta(seconds=20), answer_in, out) == answer
        out.seek(0)
        assert out.read().startswith("gone\nretry, abort? ")


@pytest.mark.parametrize(("typed", "answer"), [("1.2\n", "1.2"), ("\n", None), ("", None)])
def test_an_input_is_asked_for_with_what_may_be_given(typed, answer):
    out = io.StringIO()
    assert ask_input("tags", ".regex([0-9.]+)", answer_in=io.StringIO(typed), out=out) == answer
    assert out.getvalue() == "tags = <+input>.regex([0-9.]+)? "


def test_a_question_has_its_time(tmp_path):
    reading, writing = os.pipe()
    with os.fdopen(reading) as answer_in, (tmp_path / "out").open("w") as out:
        assert ask("gone", ["retry"], timedelta(milliseconds=20), answer_in, out) is None
    os.close(writing)


# Time-outs of what steps stand in; the clock is the test's own

TIMED = """\
- stage:
    identifier: s
    timeout: 1m
    spec:
      execution:
        steps:
          - stepGroup:
              identifier: g
              timeout: GROUP
              steps:
                - step: {type: BuildAndPushDockerRegistry, identifier: a, failureStrategies: OWN}
                - step: {type: BuildAndPushDockerRegistry, identifier: b}
          - step: {type: BuildAndPushDockerRegistry, identifier: c, when: {stageStatus: All}}
- stage:
    identifier: t
    when: {pipelineStatus: All}
    spec: {execution: {steps: [{step: {type: BuildAndPushDockerRegistry, identifier: z}}]}}
"""
IGNORE_ALL = "[{onFailure: {errors: [AllErrors], action: {type: Ignore}}}]"


def timed(*errors, group="30s", own="[]", **how):
    return Run(TIMED.replace("GROUP", group).replace("OWN", own), *errors, **how)


def test_a_step_has_what_is_left_of_the_time_around_it():
    run = timed(takes=20.0)
    assert run.ran == ["a", "b", "c", "z"]
    assert [left.total_seconds() for left in run.left] == [30, 10, 20, 86400]


def test_a_step_whose_time_is_over_before_it_begins_has_failed():
    run = timed(takes=35.0)
    assert (run.ran, run.statuses["b"]) == (["a", "c", "z"], "failed")
    assert str(run.outcomes[1].error) == "the group 'g' took longer than its timeout of 30s"


def test_a_stage_without_time_fails_and_the_next_one_begins_with_a_clock_of_its_own():
    run = timed(takes=70.0, group="2m")
    assert run.ran == ["a", "z"]
    assert str(run.outcomes[2].error) == "the stage 's' took longer than its timeout of 1m"


def test_a_failure_at_the_end_of_the_time_is_ignored_by_no_strategy():
    run = timed(TimeOutError("late"), takes=40.0, own=IGNORE_ALL)
    assert run.statuses["a"] == "failed"
    assert timed(TimeOutError("late"), takes=5.0, own=IGNORE_ALL).statuses["a"] == "ignored"


def test_waiting_for_a_retry_ends_with_the_time_of_the_group():
    own = "[{onFailure: {errors: [AllErrors], action: {type: Retry, spec: {retryCount: 3, retryIntervals: [1h]}}}}]"
    run = timed(PushError("gone"), own=own)
    assert (run.waited, run.ran.count("a"), run.statuses["a"]) == ([30], 1, "failed")
    assert "the group 'g' took longer" in str(run.outcomes[0].error)


def test_a_person_who_is_asked_does_not_stop_the_clock():
    own = f"[{{onFailure: {{errors: [AllErrors], action: {INTERVENTION}}}}}]"
    run = timed(PushError("gone"), own=own)
    assert run.waited == [30]


def test_the_time_of_a_pipeline_counts_for_all_its_stages():
    inner = "".join(f"    {line}\n" for line in TIMED.splitlines()).replace("GROUP", "2m").replace("OWN", IGNORE_ALL)
    run = Run(f"pipeline:\n  identifier: p\n  timeout: 50s\n  stages:\n{inner}", takes=20.0)
    assert [left.total_seconds() for left in run.left] == [50, 30, 10]
    assert run.statuses == {"a": "succeeded", "b": "succeeded", "c": "succeeded", "z": "failed"}
    assert str(run.outcomes[-1].error) == "the pipeline 'p' took longer than its timeout of 50s"


def test_an_empty_time_is_none():
    assert timed(takes=40.0, group='""').ran == ["a", "b", "z"]


@pytest.mark.parametrize("text", ["5s", "soon", "[1m]"])
def test_a_time_that_is_none_is_refused_with_its_place(text):
    error = timed(group=text).outcomes[0].error
    assert isinstance(error, SettingsError)
    assert error.where == "p.yml:9:15"


@pytest.mark.parametrize(("condition", "attempts"), [("<+step.retryCount> < 2", 3), ("<+step.retryCount> == 9", 1)])
def test_a_condition_may_ask_how_often_the_step_was_tried_again(condition, attempts):
    run = Run(retry(f", condition: '{condition}'"), *[PushError("gone")] * 5)
    assert run.ran.count("a") == attempts


@pytest.mark.parametrize(
    ("message", "kind"), [("write /a: no space left on device", "ResourceLimitsFailure"), ("something else", "Unknown")]
)
def test_a_message_that_troubleshooting_knows_has_the_type_that_it_has_there(message, kind):
    error = PushError("the build has failed")
    advise(error, [message])
    assert error_types(error) == {kind}


# A step group that is run again as a whole

ALL = "[{onFailure: {errors: [AllErrors], action: ACTION}}]"
AGAIN = ALL.replace("ACTION", "{type: RetryStepGroup, spec: {retryCount: 2, retryIntervals: [10s, 1m]}}")


def grouped(inner, loop="", strategies=AGAIN, more=""):
    return f"""\
- stage:
    identifier: s
    spec:
      execution:
        steps:
          - step: {{{STEP}, identifier: first}}
          - stepGroup:
              identifier: g
              {loop}
              {more}
              failureStrategies: {strategies}
              steps: [{inner}]
          - step: {{{STEP}, identifier: z}}
"""


def one(identifier, more=""):
    return f"{{step: {{{STEP}, identifier: {identifier}{more}}}}}"


SIMPLE = f"{one('before')}, {one('a')}, {one('after')}"


def test_a_group_is_run_again_as_a_whole():
    run = Run(grouped(SIMPLE), PushError("1"), PushError("2"))
    assert run.ran == ["first", "before", "a", "before", "a", "before", "a", "after", "z"]
    assert run.waited == [10, 60]
    assert [outcome.step.identifier for outcome in run.outcomes] == ["first", "before", "a", "after", "z"]
    assert set(run.statuses.values()) == {"succeeded"}
    assert [(one.error, one.verdict) for one in run.outcomes[2].failures] == [
        ("1", "group again"),
        ("2", "group again"),
    ]
    assert [event.attempt for event in run.heard_of(Retry)] == [1, 2]


def test_a_group_whose_retries_are_used_up_has_failed():
    run = Run(grouped(SIMPLE), *map(PushError, "123"))
    assert run.ran == ["first", *["before", "a"] * 3]
    assert run.statuses == {
        "first": "succeeded",
        "before": "succeeded",
        "a": "failed",
        "after": "skipped",
        "z": "skipped",
    }
    assert run.outcomes[2].failures[-1].reason.endswith("2 retries have failed")


def test_the_strategy_of_the_step_may_ask_for_its_group():
    inner = f"{one('before')}, {one('a', f', failureStrategies: {AGAIN}')}"
    assert Run(grouped(inner, strategies="[]"), PushError("1")).ran == ["first", *["before", "a"] * 2, "z"]


def test_the_nearest_group_is_run_again():
    inner = f"{one('before')}, {{stepGroup: {{identifier: inner, steps: [{one('b')}, {one('a')}]}}}}"
    run = Run(grouped(inner), PushError("1"))
    assert run.ran == ["first", "before", "b", "a", "b", "a", "z"]


def test_a_group_in_a_group_that_is_run_again_has_all_its_retries():
    inner = f"{{stepGroup: {{identifier: inner, steps: [{one('a')}]}}}}, {one('a2')}"
    errors = {"a": ["1", "2", "", "3", "4", ""], "a2": ["5", ""]}
    run = Run(grouped(inner), errors=errors)
    assert run.ran == ["first", *["a"] * 3, "a2", *["a"] * 3, "a2", "z"]
    assert run.waited == [10, 60, 10, 10, 60]
    assert set(run.statuses.values()) == {"succeeded"}


def test_an_iteration_of_a_group_is_run_again_and_no_other_one():
    run = Run(grouped(SIMPLE, loop="strategy: {parallelism: 2}"), PushError("1"))
    assert run.ran == ["first", *["before", "a"] * 2, "after", "before", "a", "after", "z"]


def test_branches_in_the_group_are_run_again_with_it():
    inner = f"{{parallel: [{one('b')}, {one('a')}, {one('c')}]}}, {one('after')}"
    run = Run(grouped(inner), PushError("1"))
    assert run.ran == ["first", "b", "a", "b", "a", "c", "after", "z"]


def test_iterations_in_the_group_are_run_again_with_it():
    run = Run(grouped(f"{one('a', ', strategy: {parallelism: 2}')}, {one('after')}"), PushError("1"))
    assert run.ran == ["first", "a_0", "a_0", "a_1", "after", "z"]


def test_an_abort_beside_ends_the_group():
    """Its two branches are under way at the same time: the first asks for the group again, the second aborts."""
    aborts = ", failureStrategies: [{onFailure: {errors: [AllErrors], action: {type: Abort}}}]"
    text = grouped(f"{{parallel: [{one('a')}, {one('a2', aborts)}]}}, {one('after')}")
    run = Run(text, errors={"a": ["1"], "a2": ["2"]}, together=True)
    assert (sorted(run.ran), run.waited) == (["a", "a2", "first"], [])
    assert run.statuses == {"first": "succeeded", "a": "failed", "a2": "failed", "after": "skipped", "z": "skipped"}


def test_each_pass_of_a_group_has_the_whole_time_and_the_wait_counts_for_what_is_around_it():
    run = Run(grouped(SIMPLE, more="timeout: 30s"), PushError("1"), takes=10.0)
    assert [left.total_seconds() for left in run.left] == [86400, 30, 20, 30, 20, 10, 86400 - 70]


def test_a_retry_of_the_step_is_followed_by_one_of_the_group():
    group = "{type: RetryStepGroup, spec: {retryCount: 1}}"
    retried = f"{{type: Retry, spec: {{retryCount: 1, onRetryFailure: {{action: {group}}}}}}}"
    own = ALL.replace("ACTION", retried)
    run = Run(grouped(f"{one('before')}, {one('a')}", strategies=own), *map(PushError, "123"))
    assert run.ran == ["first", "before", "a", "a", "before", "a", "a", "z"]
    assert [one.verdict for one in run.outcomes[2].failures] == ["again", "group again", "again"]


@pytest.mark.parametrize("nested", [False, True])
def test_a_step_in_no_group_is_refused(nested):
    action = "{type: RetryStepGroup, spec: {retryCount: 1}}"
    if nested:
        action = f"{{type: ManualIntervention, spec: {{timeout: 10m, onTimeout: {{action: {action}}}}}}}"
    run = Run(steps(("[AllErrors]", action)))
    error = run.outcomes[0].error
    assert "RetryStepGroup runs a step group again, but the step 'a' is in none" in str(error)
    assert isinstance(error, SettingsError)
    assert (run.ran, error.where[:6]) == ([], "p.yml:")


WHILE = (
    f"- step: {{{STEP}, identifier: a, strategy: {{newer form: 'true', fail-fast: FAST, while: {{iterations: 3, "
    "condition: CONDITION}}}\n"
    f"- step: {{{STEP}, identifier: z, when: {{stageStatus: All}}}}\n"
)


@pytest.mark.parametrize(
    ("condition", "fast", "failing", "ran"),
    [
        ("'true'", False, 0, ["a_0", "a_1", "a_2", "z"]),
        ("'<+strategy.iteration> != 1'", False, 0, ["a_0", "z"]),
        ("'true'", False, 1, ["a_0", "a_1", "a_2", "z"]),
        ("'true'", True, 1, ["a_0", "z"]),
        ("'false'", False, 0, ["z"]),
    ],
)
def test_a_while_runs_one_more_as_long_as_its_condition_holds(condition, fast, failing, ran):
    text = WHILE.replace("CONDITION", condition).replace("FAST", str(fast).lower())
    run = Run(text, *[PushError("gone")] * failing)
    assert run.ran == ran
    if condition == "'false'":
        assert run.outcomes[0].reason == "the condition of its loop is false before the first iteration: false"


def test_a_condition_of_a_while_without_an_answer_fails_its_iteration_and_keeps_those_before():
    condition = "'<+strategy.iteration> == 0 || <+steps.b.status> == \"FAILED\"'"
    run = Run(WHILE.replace("CONDITION", condition).replace("FAST", "false"))
    assert run.statuses == {"a_0": "succeeded", "a_1": "failed", "z": "succeeded"}
    assert "steps.b.status has no value" in str(run.outcomes[1].error)
