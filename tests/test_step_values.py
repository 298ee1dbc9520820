"""What expressions know of the steps of a run: outputs and states, by the paths that Harness has for them."""

from __future__ import annotations

from dataclasses import replace

import pytest

import buildpush
from buildpush.cli import run_command
from buildpush.expressions.evaluate import AbsentError, LaterError, evaluate
from buildpush.foundation.documents import parse_yaml
from buildpush.foundation.errors import ExpressionError, PushError, TimeOutError
from buildpush.images.model import Platform, PushedBlob, PushedImage
from buildpush.images.references import Digest, Reference
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.outcomes import Failure, Outcome
from buildpush.pipeline.results import OF_PUSHES, RunResult
from buildpush.pipeline.step_values import StepValues
from buildpush.pipeline.steps import Walk
from buildpush.settings.tree import leaves, read_tree, with_steps

FILE = """\
pipeline:
  stages:
    - stage:
        identifier: build
        spec:
          execution:
            steps:
              - step: {type: BuildAndPushDockerRegistry, identifier: app}
              - parallel:
                  - stepGroup:
                      identifier: more
                      steps:
                        - step: {type: BuildAndPushDockerRegistry, identifier: side}
                        - step: {type: Run, identifier: test, name: Unit tests}
                  - step: {type: BuildAndPushDockerRegistry, identifier: beside}
              - step: {type: BuildAndPushDockerRegistry, identifier: looped, strategy: {parallelism: 2}}
              - step: {type: BuildAndPushDockerRegistry, identifier: last}
    - stage:
        identifier: scan
        template: {templateRef: org.scan}
"""
TREE = read_tree(parse_yaml(FILE, "p.yml"))
STEPS = {step.identifier: step for step, _ in leaves(TREE)}
DIGEST = Digest("sha256:" + "a" * 64)
BLOB = PushedBlob(digest=DIGEST, size=1, media_type="x", fate="sent")
IN_BUILD, IN_MORE = ("build",), ("build", "more")


def pushed(step="app"):
    references = tuple(Reference.parse(f"reg.example/team/{step}:{tag}") for tag in ("1", "latest"))
    image = PushedImage(b"{}", "x", DIGEST, references, BLOB, b"{}", (), Platform("linux", "amd64"))
    return Outcome(STEPS[step], "succeeded", RunResult(step=step, pushed=image))


@pytest.fixture
def values():
    found = StepValues(TREE)
    found.add(("build", "app"), pushed())
    found.add(("build", "more", "side"), pushed("side"))
    for number in (0, 1):
        found.add(("build", f"looped_{number}"), pushed("looped"))
    return found


def ask(values, expression, around=IN_BUILD):
    context = RunContext.default(env={}, cwd="/")
    facts = RunContext(**{**vars(context), "values": values}).facts
    return evaluate(f"<+{expression}>", facts.within(around=around))


@pytest.mark.parametrize(
    "path",
    [
        "steps.app",
        "execution.steps.app",
        "stage.spec.execution.steps.app",
        "pipeline.stages.build.spec.execution.steps.app",
    ],
)
@pytest.mark.parametrize("around", [IN_BUILD, IN_MORE])
def test_a_digest_is_known_by_each_path_to_its_step(values, path, around):
    assert ask(values, f"{path}.output.outputVariables.digest", around) == str(DIGEST)


@pytest.mark.parametrize(
    ("rest", "value"),
    [
        ("output.outputVariables.image", "reg.example/team/app:1"),
        ("output.outputVariables.tags", "1,latest"),
        ("output.outputVariables.digest.split(':')[0]", "sha256"),
        ("artifact_app.stepArtifacts.publishedImageArtifacts[1].tag", "latest"),
        ("artifact_app.stepArtifacts.publishedImageArtifacts[0].imageName", "reg.example/team/app"),
        ("status", "SUCCEEDED"),
        ("retryCount", 0),
    ],
)
def test_what_a_step_gives(values, rest, value):
    assert ask(values, f"steps.app.{rest}") == value


def test_a_step_of_a_group_is_known_by_the_path_of_the_group_and_inside_by_its_own_name(values):
    for around, path in ((IN_BUILD, "execution.steps.more.steps.side"), (IN_MORE, "steps.side")):
        assert ask(values, f"{path}.output.outputVariables.tag", around) == "1"
    with pytest.raises(ExpressionError, match="there is no step 'side' there") as caught:
        ask(values, "execution.steps.side.output.outputVariables.tag")
    assert "did you mean pipeline.stages.build.spec.execution.steps.more.steps.side?" in caught.value.hint


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("execution.steps.more.steps.test.output.outputVariables.ok", "Run 'Unit tests' (p.yml:14:33) is not run here"),
        ("pipeline.stages.scan.spec.execution.steps.deep.output.outputVariables.ok", "org.scan"),
        ("pipeline.stages.scan.status", "is not run here"),
    ],
)
def test_what_is_not_run_here_is_asked_with_the_variable_that_gives_it(values, path, says):
    with pytest.raises(ExpressionError) as caught:
        ask(values, f"{path} ?? 'x'")
    assert says in str(caught.value)
    assert caught.value.hint == f"give it with --var {path}=VALUE"


@pytest.mark.parametrize("path", ["pipeline.stages.build.spec.execution.steps.looped_0", "steps.looped_1"])
def test_an_iteration_of_a_loop_that_is_not_run_here_is_asked_with_the_variable_that_gives_it(path):
    """The step exists, and a choice of another one leaves it out: 'does not exist' would send people to look for it."""
    chosen = with_steps(TREE, lambda step, _: replace(step, runs=step.identifier == "last"))
    name = f"{path}.output.outputVariables.tag"
    with pytest.raises(ExpressionError, match=r"'looped' \(p.yml:16:23\) is not run here") as caught:
        ask(StepValues(chosen), name)
    assert caught.value.hint == f"give it with --var {name}=VALUE"


def test_a_name_that_only_begins_as_a_loop_does_is_no_iteration_of_it():
    chosen = with_steps(TREE, lambda step, _: replace(step, runs=False))
    with pytest.raises(ExpressionError, match="there is no step 'looped2' there"):
        ask(StepValues(chosen), "steps.looped2.output.outputVariables.tag")


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("steps.last.status", "'last' (p.yml:17:23) is not run before this"),
        ("steps.looped.status", "'looped' (p.yml:16:23) is run by a loop"),
        ("steps.app.output.outputVariables.digset", "has no output 'digset'"),
        ("steps.app.outputs.digest", "a step has output.outputVariables, status and retryCount"),
        ("pipeline.stages.biuld.spec.execution.steps.app.status", "there is no step 'app' there"),
    ],
)
def test_a_wrong_name_is_no_absent_value(values, expression, says):
    with pytest.raises(ExpressionError) as caught:
        ask(values, f"{expression} ?? 'x'")
    assert says in str(caught.value)
    assert not isinstance(caught.value, AbsentError)


def test_an_iteration_is_asked_by_its_own_identifier(values):
    assert ask(values, "steps.looped_1.output.outputVariables.tag") == "1"


IN_LOOPS = """\
pipeline:
  stages:
    - stage:
        identifier: s
        strategy: {parallelism: 2}
        spec:
          execution:
            steps:
              - step: {type: BuildAndPushDockerRegistry, identifier: app}
              - stepGroup:
                  identifier: g
                  strategy: {parallelism: 2}
                  steps:
                    - step: {type: BuildAndPushDockerRegistry, identifier: side}
                    - step: {type: BuildAndPushDockerRegistry, identifier: last}
"""


@pytest.mark.parametrize(
    "path",
    ["steps.app", "execution.steps.app", "pipeline.stages.s_{stage}.spec.execution.steps.app", "steps.side"],
)
def test_a_step_in_a_looped_stage_or_group_knows_those_beside_it_by_their_own_names(path):
    """A loop of a stage gives a suffix to the stage alone, in Harness as well."""
    tree = read_tree(parse_yaml(IN_LOOPS, "p.yml"))
    values, heard = StepValues(tree), []
    context = RunContext.default(env={}, cwd="/")
    facts = RunContext(**{**vars(context), "values": values}).facts

    def run(step, _progress):
        if step.identifier == "last":
            asked = path.format(stage=step.around[0][-1])
            around = facts.within(step.scope, step.facts, step.around)
            heard.append(evaluate(f"<+{asked}.output.outputVariables.image>", around))
        name = f"{step.identifier}-{'-'.join(step.around)}".lower()
        image = replace(pushed().result.pushed, references=(Reference.parse(f"reg.example/{name}:1"),))
        return Outcome(step, "succeeded", RunResult(step=step.name, pushed=image))

    Walk(run, facts, values=values).over(tree)
    places = ["s_0", "s_0", "s_1", "s_1"] if path.endswith("app") else ["s_0-g_0", "s_0-g_1", "s_1-g_0", "s_1-g_1"]
    assert heard == [f"reg.example/{path.rpartition('.')[2]}-{place}:1" for place in places]


def test_a_looped_step_that_is_asked_for_by_its_plain_name_has_its_iterations_named(values):
    with pytest.raises(ExpressionError) as caught:
        ask(values, "steps.looped.status")
    iterations = [f"pipeline.stages.build.spec.execution.steps.looped_{number}" for number in (0, 1)]
    assert caught.value.hint == f"write one of its iterations: {', '.join(iterations)}"


ERROR = PushError("the registry is gone")


@pytest.mark.parametrize(
    ("outcome", "state", "why"),
    [
        (Outcome(STEPS["app"], "skipped", reason="its condition is false"), "SKIPPED", "was skipped: its condition"),
        (Outcome(STEPS["app"], "failed", error=ERROR), "FAILED", "has failed"),
        (Outcome(STEPS["app"], "failed", error=TimeOutError("too long")), "EXPIRED", "has failed"),
        (Outcome(STEPS["app"], "failed", error=ERROR, aborts=True), "ABORTED", "has failed"),
        (Outcome(STEPS["app"], "ignored", RunResult(step="app")), "IGNORE_FAILED", "has failed"),
        (
            Outcome(STEPS["app"], "ignored", failures=(Failure("gone", (), "succeeded"),)),
            "SUCCEEDED",
            "has failed",
        ),
        (Outcome(STEPS["app"], "succeeded", RunResult(step="app")), "SUCCEEDED", "does not give it"),
    ],
)
def test_a_step_without_an_output_says_why_and_another_value_may_stand_for_it(outcome, state, why):
    values = StepValues(TREE)
    values.add(("build", "app"), outcome)
    assert ask(values, "execution.steps.app.currentStatus") == state
    with pytest.raises(AbsentError, match=why):
        ask(values, "steps.app.output.outputVariables.digest")
    assert ask(values, "steps.app.output.outputVariables.digest ?? 'none'") == "none"


def test_a_stage_and_the_pipeline_have_the_state_of_the_worst_step_so_far(values):
    assert [ask(values, f"stage.{name}") for name in ("currentStatus", "status")] == ["SUCCEEDED", "RUNNING"]
    values.add(("build", "beside"), Outcome(STEPS["beside"], "failed", error=ERROR))
    assert ask(values, "stage.liveStatus") == ask(values, "pipeline.currentStatus") == "FAILED"
    values.end(IN_BUILD)
    assert ask(values, "pipeline.stages.build.status") == "FAILED"
    assert ask(values, "execution.steps.more.status") == "RUNNING"


@pytest.mark.parametrize("path", ["steps.app.output.outputVariables.digest", "steps.app.status", "stage.currentStatus"])
def test_a_plan_has_no_value_and_takes_no_other_for_it(path):
    with pytest.raises(LaterError, match="is known"):
        ask(StepValues.planned(TREE), f"{path} ?? 'x'")


@pytest.mark.parametrize(
    "rest", ["output.outputVariables.tag", "artifact_app.stepArtifacts.publishedImageArtifacts[0].tag"]
)
def test_a_plan_knows_that_a_step_without_a_push_has_no_tag(rest):
    values = StepValues(TREE)
    values.add(("build", "app"), Outcome(STEPS["app"], "planned", lacks=OF_PUSHES))
    with pytest.raises(AbsentError, match=r"has no value: .* pushes nothing"):
        ask(values, f"steps.app.{rest}")
    assert ask(values, f"steps.app.{rest} ?? 'none'") == "none"
    with pytest.raises(LaterError):
        ask(values, "steps.app.output.outputVariables.IMAGE_TAR_PATH")


# ---- whole files

CHAIN = """\
- step:
    type: BuildAndPushDockerRegistry
    identifier: app
    spec:
      repo: {host}/docker-local/app
      tags: ["1"]
      envVariables: {{PLUGIN_ENGINE: native}}
- step: {{type: Run, identifier: test, name: Unit tests}}
- step:
    type: BuildAndPushDockerRegistry
    identifier: child
    when: {{condition: {when}}}
    spec:
      repo: {host}/docker-local/child
      tags: ["{tag}"]
      envVariables: {{PLUGIN_ENGINE: native}}
"""
SHORT = "<+steps.app.output.outputVariables.digest.substring(7, 19)>"


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a /\n", encoding="utf-8")
    (tmp_path / "a").write_text("a", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(place, *, host="reg.example", when="<+steps.app.status> == 'SUCCEEDED'", tag=SHORT):
    (place / "p.yml").write_text(CHAIN.format(host=host, when=when, tag=tag), encoding="utf-8")


def login(box):
    known = {"PLUGIN_USERNAME": box.username, "PLUGIN_PASSWORD": box.password.reveal(), "PLUGIN_REGISTRY": box.host}
    return known | {"PLUGIN_INSECURE": "true"}


def test_a_plan_says_which_settings_and_conditions_are_known_later_and_why(place, capsys):
    write(place)
    assert run_command(["check", "p.yml"]) == 0
    plan = capsys.readouterr().out.split("\n\n")[1]
    assert "known after BuildAndPushDockerRegistry 'app' (p.yml:2:5) has run" in plan
    assert "later" in plan
    assert "it is not known yet whether it is run: p.yml:12:12: condition: steps.app.status is known after" in plan


def test_a_plan_checks_what_is_known_of_such_a_step(place, capsys):
    write(place, host="UPPER.example/x")
    (place / "p.yml").write_text(CHAIN.format(host="reg.example", when="true", tag=SHORT + " x"), encoding="utf-8")
    text = (place / "p.yml").read_text(encoding="utf-8").replace("docker-local/child", "docker-local/CHILD")
    (place / "p.yml").write_text(text, encoding="utf-8")
    assert run_command(["check", "p.yml"]) == 2
    assert "docker-local/CHILD" in capsys.readouterr().err


BESIDE = """\
pipeline:
  stages:
    - stage:
        identifier: first
        spec: {execution: {steps: [step: {type: BuildAndPushDockerRegistry, identifier: one, spec: {SPEC}}]}}
    - parallel:
        - stage:
            identifier: left
            spec: {execution: {steps: [step: {type: BuildAndPushDockerRegistry, identifier: two, spec: {SPEC}}]}}
        - stage:
            identifier: right
            spec:
              execution:
                steps:
                  - step:
                      type: BuildAndPushDockerRegistry
                      identifier: three
                      when: {condition: "<+pipeline.stages.ASKED.status> == 'SUCCEEDED'"}
                      spec: {repo: reg.example/three, tags: ["<+pipeline.stages.ASKED.output.outputVariables.tag>"]}
    - stage:
        identifier: last
        spec:
          execution:
            steps:
              - step:
                  type: BuildAndPushDockerRegistry
                  identifier: four
                  spec: {repo: reg.example/four, tags: ["<+pipeline.stages.left.STEPS.two.output.outputVariables.tag>"]}
"""


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_step_that_may_run_at_the_same_time_is_not_asked_for_what_it_has_come_to(place, capsys, command):
    """Whether it is known would be a matter of luck, and some images would be pushed by then."""
    text = BESIDE.replace("SPEC", "repo: reg.example/a, tags: [<+stage.identifier>]")
    text = text.replace("ASKED", "left.STEPS.two").replace("STEPS", "spec.execution.steps")
    (place / "p.yml").write_text(text, encoding="utf-8")
    assert run_command([command, "p.yml"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: p.yml:18:30: condition: pipeline.stages.left.spec.execution.steps.two.status is")
    assert "may run at the same time as this" in error
    assert "hint: use a step that has ended by then" in error


def test_what_ran_at_the_same_time_is_known_afterwards_and_what_was_before_in_each_branch(place, capsys):
    text = BESIDE.replace("SPEC", "repo: reg.example/a, tags: [<+stage.identifier>]")
    text = text.replace("ASKED", "first.STEPS.one").replace("STEPS", "spec.execution.steps")
    (place / "p.yml").write_text(text, encoding="utf-8")
    assert run_command(["check", "p.yml"]) == 0
    _, _, three, four = capsys.readouterr().out.split("\n\n")
    assert "is known after BuildAndPushDockerRegistry 'one'" in three
    assert "is known after BuildAndPushDockerRegistry 'two'" in four


CONDITIONAL = """
- step: {type: BuildAndPushDockerRegistry, identifier: never, name: never, WHEN, spec: {repo: reg.example/a, tags: [1]}}
- step: {type: BuildAndPushDockerRegistry, identifier: other, name: other, spec: {repo: reg.example/b, tags: [2]}}
"""
SKIPPED = "the step 'never' is skipped: its condition is false: <+step.name> == \"other\""


@pytest.mark.parametrize("words", [["tags", "--step", "never"], ["<+execution.steps.never.status>"], ["tags"]])
def test_explain_says_why_a_step_is_skipped(place, capsys, words):
    text = CONDITIONAL.replace("WHEN", "when: {condition: '<+step.name> == \"other\"', stageStatus: All}")
    (place / "p.yml").write_text(text, encoding="utf-8")
    assert run_command(["explain", words[0], "p.yml", *words[1:]]) == 0
    shown = capsys.readouterr()
    assert SKIPPED in shown.err
    assert ("value     SKIPPED" in shown.out) == ("status" in words[0])


def test_explain_says_that_an_option_leaves_a_step_out(place, capsys):
    (place / "p.yml").write_text(CONDITIONAL.replace("WHEN, ", ""), encoding="utf-8")
    asked = "<+execution.steps.never.output.outputVariables.digest>"
    assert run_command(["explain", asked, "p.yml", "--step", "other"]) == 2
    assert "is not run here: --step or --stage leaves it out" in " ".join(capsys.readouterr().err.split())
    assert run_command(["explain", asked, "p.yml"]) == 2
    assert "is known after" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["check", "run"])
def test_an_output_of_a_step_that_is_not_run_is_asked_before_anything_is_done(place, capsys, command):
    write(place, when="<+steps.test.output.outputVariables.ok> == 'yes'")
    assert run_command([command, "p.yml"]) == 2
    shown = capsys.readouterr().err
    assert "Run 'Unit tests' (p.yml:8:9) is not run here" in " ".join(shown.split())
    assert "give it with --var steps.test.output.outputVariables.ok=VALUE" in shown


@pytest.mark.parametrize("command", ["check", "run"])
def test_the_tag_of_a_step_that_pushes_nothing_is_asked_before_anything_is_done(place, capsys, command):
    build = "{type: BuildAndPushDockerRegistry, identifier: a, spec: {repo: h.test/d/a, tags: [x], envVariables: MORE}}"
    first = build.replace("MORE", "{PLUGIN_NO_PUSH: 'true', PLUGIN_TAR_PATH: a.tar}")
    later = build.replace("MORE", "{}").replace("[x]", "[<+steps.a.output.outputVariables.tag>]")
    later = later.replace("identifier: a", "identifier: b")
    (place / "p.yml").write_text(f"- step: {first}\n- step: {later}\n", encoding="utf-8")
    assert run_command([command, "p.yml"]) == 2
    assert "BuildAndPushDockerRegistry 'a' (p.yml:1:9) pushes nothing" in capsys.readouterr().err
    assert not (place / "a.tar").exists()


def test_a_plan_notes_a_name_without_a_value_in_a_condition(place, capsys):
    build = "{type: BuildAndPushDockerRegistry, identifier: a, spec: {repo: h.test/d/a, tags: [x]}, when: WHEN}"
    skipped = build.replace("WHEN", "{condition: '<+codebase.state> == \"open\"'}")
    run = build.replace("WHEN", "{condition: '<+codebase.prTitle> != \"x\"'}").replace("identifier: a", "identifier: b")
    (place / "p.yml").write_text(f"- step: {skipped}\n- step: {run}\n", encoding="utf-8")
    assert run_command(["check", "p.yml"]) == 0
    one, other = capsys.readouterr().out.split("\n\n")[:2]
    assert "note        codebase.state has no value" in one
    assert "note        codebase.prTitle has no value" in other
    assert "codebase.state" not in other


@pytest.mark.sandbox
def test_an_output_that_is_given_for_a_step_that_is_not_run_counts(place, box):
    write(place, host=box.host, when="<+steps.test.output.outputVariables.ok> == 'yes'", tag="2")
    answers = {"steps.test.output.outputVariables.ok": "no"}
    result = buildpush.run_pipeline("p.yml", env=login(box), variables=answers)
    assert [bool(step.skipped) for step in result] == [False, True]


@pytest.mark.sandbox
def test_the_digest_of_a_step_is_the_tag_of_a_later_one(place, box):
    write(place, host=box.host)
    first, second = buildpush.run_pipeline("p.yml", env=login(box))
    assert second.references[0].endswith(f":{first.digest[7:19]}")


# How a loop goes so far

LOOPS = """\
- stage:
    identifier: s
    strategy: {repeat: {times: 2, maxConcurrency: 1}}
    spec:
      execution:
        steps:
          - stepGroup:
              identifier: g
              strategy: {repeat: {times: 2, maxConcurrency: 1}}
              steps: [{step: {type: BuildAndPushDockerRegistry, identifier: a}}]
          - step: {type: BuildAndPushDockerRegistry, identifier: z}
- stage:
    identifier: t
    spec: {execution: {steps: [{step: {type: BuildAndPushDockerRegistry, identifier: last}}]}}
"""


def of_loops(*asked, fails=()):
    """Return what each step gets as answers to *asked*; the steps in *fails* fail, and the run goes on."""
    tree = read_tree(parse_yaml(LOOPS, "p.yml"))
    values = StepValues(tree)
    context = RunContext.default(env={}, cwd="/")
    facts = RunContext(**{**vars(context), "values": values}).facts
    answers = {}

    def run(step, progress):
        own = facts.within(step.scope, step.facts, progress.place)
        name = ".".join((*progress.place, step.identifier))
        answers[name] = [evaluate(f"<+{one} ?? 'none'>", own) for one in asked]
        error = PushError("x")
        return Outcome(step, "ignored", error=error) if name in fails else Outcome(step, "succeeded")

    Walk(run, facts, values=values).over(tree)
    return answers


def test_a_loop_says_how_its_iterations_go():
    answers = of_loops("strategy.currentStatus", fails=("s_0.g_0.a", "s_1.z"))
    states = {name: state for name, (state,) in answers.items()}
    assert states == {
        "s_0.g_0.a": "SUCCEEDED",
        "s_0.g_1.a": "IGNORE_FAILED",
        "s_0.z": "IGNORE_FAILED",
        "s_1.g_0.a": "SUCCEEDED",
        "s_1.g_1.a": "SUCCEEDED",
        "s_1.z": "IGNORE_FAILED",
        "t.last": "none",
    }


def test_a_loop_is_asked_by_its_identifier_from_where_it_is_near():
    answers = of_loops("strategy.node.s.currentStatus", fails=("s_1.g_0.a",))
    assert [state for (state,) in answers.values()] == ["SUCCEEDED"] * 4 + ["IGNORE_FAILED"] * 3
    assert of_loops("strategy.node.s.currentStatus")["t.last"] == ["SUCCEEDED"]


def test_the_state_of_a_loop_is_known_later_in_a_plan(values):
    planned = StepValues.planned(TREE)
    with pytest.raises(LaterError, match=r"strategy\.node\.looped\.currentStatus is known only during the run"):
        ask(planned, "strategy.node.looped.currentStatus")
    values.loop(("build", "looped"), ["looped_0", "looped_1"])
    assert ask(values, "strategy.node.looped.currentStatus") == "SUCCEEDED"


@pytest.mark.parametrize("name", ["lopped", "app"])
def test_a_loop_that_does_not_exist_is_an_error(values, name):
    with pytest.raises(ExpressionError, match=f"there is no loop '{name}'") as caught:
        ask(values, f"strategy.node.{name}.currentStatus")
    assert "looped" in caught.value.hint
