"""The walk: in the order of the file, one after the other, as conditions and failures let it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from buildpush.expressions.evaluate import evaluate
from buildpush.foundation.documents import parse_yaml
from buildpush.foundation.errors import BuildPushError, PushError
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.results import RunResult
from buildpush.pipeline.steps import Outcome, Walk, attempt, raise_failure
from buildpush.settings.tree import leaves, read_tree, with_steps
from buildpush.settings.written import written_at

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


def facts(**env):
    return RunContext.default(env=env, cwd="/").facts


def walked(text=FILE, *, failing="", error=None, failed=(), **env):
    """Return each step that was walked with its status, or with the reason why it was skipped, and which were run."""
    ran = []

    def run(step, _lists):
        ran.append(step.identifier)
        return Outcome(step, "failed", error=error) if step.identifier == failing else Outcome(step, "succeeded")

    tree = with_steps(read_tree(parse_yaml(text, "p.yml")), with_control)
    outcomes = Walk(run, facts(**env), failed=failed).over(tree)
    return {outcome.step.identifier: outcome.reason or outcome.error or outcome.status for outcome in outcomes}, ran


def with_control(step, _path):
    """Return *step* with its own condition and loop, as the reader of settings gives them."""
    written = {key: written_at(step.node, key) for key in ("when", "strategy")}
    return replace(step, settings={key: one for key, one in written.items() if one})


def test_steps_run_in_the_order_in_which_they_stand():
    statuses, ran = walked()
    assert ran == list(statuses) == ["a", "b", "c", "d"]
    assert set(statuses.values()) == {"succeeded"}


def test_after_a_failure_the_rest_is_skipped():
    statuses, ran = walked(failing="a")
    assert ran == ["a"]
    assert set(list(statuses.values())[1:]) == {
        "its group is skipped: a step before it has failed",
        "a step before it has failed",
    }


def test_what_stands_beside_a_failure_in_parallel_is_run_and_what_follows_is_not():
    statuses, ran = walked(failing="b")
    assert ran == ["a", "b", "c"]
    assert statuses["d"] == "a step before it has failed"


BUILD = "type: BuildAndPushDockerRegistry"


@pytest.mark.parametrize(
    ("when", "after_success", "after_failure"),
    [
        ("", True, False),
        ("when: {stageStatus: Success}", True, False),
        ("when: {stageStatus: Failure}", False, True),
        ("when: {stageStatus: All}", True, True),
        ('when: {stageStatus: All, condition: <+env.B> == "main"}', True, True),
        ('when: {stageStatus: All, condition: <+<+env.B> != "main">}', False, False),
        ("when: {condition: false}", False, False),
        ("when: {stageStatus: Failure, condition: true}", False, True),
    ],
)
def test_a_step_runs_by_status_and_condition(when, after_success, after_failure):
    text = f"""\
- step: {{{BUILD}, identifier: first}}
- step:
    {BUILD}
    identifier: it
    {when}
"""
    for failing, expected in (("", after_success), ("first", after_failure)):
        assert ("it" in walked(text, failing=failing, B="main")[1]) is expected


@pytest.mark.parametrize(
    ("when", "after_success", "after_failure"),
    [
        ("stageStatus: Success", True, False),
        ("stageStatus: Failure", False, True),
        ("stageStatus: All", True, True),
        ("stageStatus: All, condition: '<+env.B> == 1'", False, False),
    ],
)
def test_a_group_runs_by_status_and_condition(when, after_success, after_failure):
    text = f"""\
- step: {{{BUILD}, identifier: first}}
- stepGroup:
    identifier: g
    when: {{{when}}}
    steps:
      - step: {{{BUILD}, identifier: it, when: {{stageStatus: All}}}}
"""
    for failing, expected in (("", after_success), ("first", after_failure)):
        assert ("it" in walked(text, failing=failing, B="main")[1]) is expected


STAGES = """\
pipeline:
  stages:
    - stage:
        identifier: one
        spec: {execution: {steps: [{step: {type: BuildAndPushDockerRegistry, identifier: a}}]}}
    - stage:
        identifier: two
        when: {pipelineStatus: RULE}
        spec:
          execution:
            steps:
              - step: {type: BuildAndPushDockerRegistry, identifier: b}
              - step: {type: BuildAndPushDockerRegistry, identifier: c, when: {stageStatus: Failure}}
"""


@pytest.mark.parametrize(
    ("rule", "failing", "ran"),
    [
        ("Success", "", ["a", "b"]),
        ("Success", "a", ["a"]),
        ("Failure", "", ["a"]),
        ("Failure", "a", ["a", "b"]),
        ("All", "a", ["a", "b"]),
        ("All", "b", ["a", "b", "c"]),
    ],
)
def test_a_stage_runs_by_what_became_of_the_pipeline_and_begins_with_a_status_of_its_own(rule, failing, ran):
    assert walked(STAGES.replace("RULE", rule), failing=failing)[1] == ran


def test_a_step_of_a_skipped_stage_says_why():
    statuses, _ = walked(STAGES.replace("RULE", "Failure"))
    whole = "its pipelineStatus is Failure, and no stage of the pipeline has failed before it"
    assert statuses["b"] == statuses["c"] == f"the stage 'two' is skipped: {whole}"


@pytest.mark.parametrize("when", ["{}", "{condition: true}", "{condition: '<+env.B> == \"main\"'}"])
def test_a_condition_without_a_status_runs_only_if_everything_before_has_succeeded(when):
    text = f"- step: {{{BUILD}, identifier: a}}\n- step: {{{BUILD}, identifier: b, when: {when}}}\n"
    assert walked(text, B="main")[1] == ["a", "b"]
    assert walked(text, failing="a", B="main")[1] == ["a"]


def test_a_false_condition_is_shown_with_its_values():
    statuses, _ = walked(f"- step: {{{BUILD}, identifier: a, when: {{condition: '<+env.B> == \"main\"'}}}}", B="dev")
    assert statuses == {"a": 'its condition is false: <+env.B> == "main" (dev == "main")'}


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("{condition: <+env.NONE> == 1}", "condition: the environment has no variable NONE"),
        ("{condition: <+env.B>}", "a condition must be true or false, not a text: 'dev'"),
        ("{stageStatus: Succes}", "stageStatus is 'Succes'"),
        ("{pipelineStatus: All}", "unknown key 'pipelineStatus'"),
        ("[Success]", "when is a map"),
        ("{condition: [a]}", "a condition is an expression"),
    ],
)
def test_a_condition_without_an_answer_is_an_error_with_its_place(when, message):
    statuses, ran = walked(f"- step: {{{BUILD}, identifier: a, when: {when}}}", B="dev")
    assert ran == []
    assert message in str(statuses["a"])
    assert str(statuses["a"]).startswith("p.yml:1:")


def test_a_stage_whose_condition_has_no_answer_fails():
    text = STAGES.replace("{pipelineStatus: RULE}", "{pipelineStatus: All, condition: <+env.NONE>}")
    statuses, ran = walked(text)
    assert ran == ["a"]
    assert "no variable NONE" in str(statuses["b"])


LOOPED = f"- step: {{{BUILD}, identifier: a, strategy: LOOP, when: WHEN}}\n- step: {{{BUILD}, identifier: z}}\n"


def looped(loop, when="{stageStatus: Success}", **how):
    return walked(LOOPED.replace("LOOP", loop).replace("WHEN", when), **how)


def test_the_iterations_of_a_step_have_the_names_that_harness_gives_them():
    assert looped("{matrix: {os: [x, y], arch: [p, q]}}")[1] == ["a_0_0", "a_0_1", "a_1_0", "a_1_1", "z"]
    assert looped("{repeat: {times: 2}}")[1] == looped("{parallelism: 2}")[1] == ["a_0", "a_1", "z"]


def test_an_iteration_that_fails_ends_what_follows_the_loop_but_no_other_iteration():
    statuses, ran = looped("{repeat: {items: [p, q]}}", failing="a_0")
    assert (ran, statuses["z"]) == (["a_0", "a_1"], "a step before it has failed")


@pytest.mark.parametrize(("at_once", "ran"), [("1", ["a_0"]), ("2", ["a_0", "a_1"]), ("3", ["a_0", "a_1", "a_2"])])
def test_iterations_that_have_not_begun_are_skipped_after_a_failure_where_the_loop_says_so(at_once, ran):
    loop = f"{{repeat: {{times: 3}}, onFailure: SkipQueued, maxConcurrency: {at_once}}}"
    statuses, found = looped(loop, failing="a_0")
    assert found == ran
    assert all("onFailure is SkipQueued" in statuses[f"a_{place}"] for place in range(int(at_once), 3))


def test_an_iteration_that_failed_in_an_earlier_run_begins_first_and_is_not_skipped_as_one_that_waits():
    loop = "{repeat: {times: 3}, onFailure: SkipQueued, maxConcurrency: 2}"
    statuses, found = looped(loop, failing="a_0", failed={("", "a_2")})
    assert found == ["a_0", "a_2"]
    assert "onFailure is SkipQueued" in statuses["a_1"]


def test_the_condition_of_each_iteration_knows_its_values():
    statuses, ran = looped("{matrix: {os: [x, y]}}", "{condition: <+matrix.os> == 'y'}")
    assert ran == ["a_1", "z"]
    assert statuses["a_0"] == "its condition is false: <+matrix.os> == 'y' (x == 'y')"


def test_a_condition_of_the_loop_skips_all_of_it():
    statuses, ran = looped("{repeat: {times: 2}, when: '<+env.B> == 1'}", B="2")
    assert ran == ["z"]
    assert statuses["a"] == "its condition is false: <+env.B> == 1 (2 == 1)"


def test_the_condition_of_a_loop_comes_before_its_iterations():
    """None of them could be made."""
    statuses, ran = looped("{matrix: {os: <+env.NONE>}, when: false}")
    assert (ran, statuses["a"]) == (["z"], "its condition is false: false")


def test_the_condition_of_a_loop_comes_before_that_of_each_iteration():
    statuses, _ = looped("{matrix: {os: [x]}, when: false}", "{condition: <+matrix.none>}")
    assert statuses["a"] == "its condition is false: false"


@pytest.mark.parametrize(
    ("loop", "asked", "values"),
    [
        ("{matrix: {svc: [{name: api, port: 80}, {name: web, port: 81}]}}", "matrix.svc.port", ["80", "81"]),
        ("{repeat: {items: [p, q, r], partitionSize: 2}}", "repeat.partition", [["p", "q"], ["r"]]),
        ("{repeat: {items: [p, q, r], start: 1}}", "repeat.item", ["q"]),
        ("{repeat: {items: [p, q], unit: Percentage, end: 50}}", "repeat.item", ["p"]),
        ("{parallelism: 2}", "strategy.iteration", [0, 1]),
        ("{repeat: {items: [x, y]}}", "strategy.item", ["x", "y"]),
        ("{parallelism: 2, maxConcurrency: 1}", "strategy.iterations", [2, 2]),
        ("{matrix: {os: [x], cpu: [p, q]}}", "strategy.identifierPostFix", ["_0_0", "_0_1"]),
    ],
)
def test_what_an_iteration_knows(loop, asked, values):
    heard = []

    def run(step, _progress):
        heard.append(evaluate(f"<+{asked}>", facts().within(step.scope, step.facts)))
        return Outcome(step, "succeeded")

    text = f"- step: {{{BUILD}, identifier: a, strategy: {loop}}}"
    Walk(run, facts()).over(with_steps(read_tree(parse_yaml(text, "p.yml")), with_control))
    assert heard == values


def test_a_loop_after_a_failure_is_not_even_expanded():
    text = f"- step: {{{BUILD}, identifier: y}}\n" + LOOPED.replace("LOOP", "{repeat: {items: <+env.NONE>}}")
    statuses, _ = walked(text.replace("WHEN", "{}"), failing="y")
    assert statuses["a"] == "a step before it has failed"


def test_items_may_come_from_an_expression():
    assert looped("{repeat: {items: '<+env.B.split(\",\")>'}}", B="p,q,r")[1] == ["a_0", "a_1", "a_2", "z"]


def test_a_loop_without_iterations_is_an_error_with_its_place():
    statuses, ran = looped("{matrix: {os: [x], exclude: [{os: x}]}}")
    assert (ran, str(statuses["a"])) == ([], "p.yml:1:70: matrix has no iterations")


NESTED = """\
- stage:
    identifier: s
    name: s
    strategy: {matrix: {os: [x, y], nodeName: on <+matrix.os>}}
    spec:
      execution:
        steps:
          - stepGroup:
              identifier: g
              strategy: {repeat: {items: [p, q], end: 1}}
              steps:
                - step:
                    type: BuildAndPushDockerRegistry
                    identifier: a
                    strategy: {matrix: {os: [m, n]}}
"""
ASKED = ("matrix.os", "stage.matrix.os", "repeat.item", "strategy.iteration", "strategy.iterations")
ASKED += ("strategy.identifierPostFix", "stage.identifier", "stage.name", "step.identifier")


def test_an_inner_matrix_does_not_hide_the_axes_of_the_loops_around_it():
    heard = []

    def run(step, _progress):
        names = ("matrix.os", "matrix.cpu", "matrix.both")
        around = facts().within(step.scope, step.facts)
        heard.append(tuple(evaluate(f"<+{name}>", around) for name in names))
        return Outcome(step, "succeeded")

    text = f"""\
- stepGroup:
    identifier: g
    strategy: {{matrix: {{os: [x], both: [outer]}}}}
    steps:
      - step: {{{BUILD}, identifier: a, strategy: {{matrix: {{cpu: [p, q], both: [inner]}}}}}}
"""
    Walk(run, facts()).over(with_steps(read_tree(parse_yaml(text, "p.yml")), with_control))
    assert heard == [("x", "p", "inner"), ("x", "q", "inner")]


def test_loops_within_loops_know_the_values_of_each():
    heard = []

    def run(step, _lists):
        around = facts().within(step.scope, step.facts)
        heard.append((step.identifier, *(evaluate(f"<+{name}>", around) for name in ASKED)))
        return Outcome(step, "succeeded")

    tree = with_steps(read_tree(parse_yaml(NESTED, "p.yml")), with_control)
    names = {"stage.identifier": "s", "stage.name": "s"}
    tree = with_steps(tree, lambda step, _: replace(step, facts={**names, **step.facts}))
    Walk(run, facts()).over(tree)
    assert heard == [
        ("a_0", "m", "x", "p", 0, 2, "_0", "s_0", "on x", "a_0"),
        ("a_1", "n", "x", "p", 1, 2, "_1", "s_0", "on x", "a_1"),
        ("a_0", "m", "y", "p", 0, 2, "_0", "s_1", "on y", "a_0"),
        ("a_1", "n", "y", "p", 1, 2, "_1", "s_1", "on y", "a_1"),
    ]


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
