"""Conditions, loops and failure strategies of whole files, as people run them, on a sandbox."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

import buildpush
from buildpush.cli import run_command
from buildpush.foundation.errors import SettingsError
from buildpush.pipeline import deadlines
from tests.sites import Site

pytestmark = pytest.mark.programs  # git is asked for the revision

STEP = """\
- step:
    type: BuildAndPushDockerRegistry
    name: {0}
    identifier: {0}
    spec: {{repo: {host}/docker-local/app, tags: ["{tag}"]}}
"""


class ControlledSite(Site):
    """A site with plain steps."""

    def step(self, name, more="", *, tag=None):
        """Return a step that pushes the tag of its name, with *more* lines."""
        text = STEP.format(name, host=self.box.host, tag=tag or name)
        return text + "".join(f"    {line}\n" for line in more.splitlines())


@pytest.fixture
def site(tmp_path, box, monkeypatch):
    return ControlledSite(tmp_path, box, monkeypatch)


SKIPPED = 'when: {condition: <+env.PLUGIN_ENGINE> == "buildx"}'
REASON = 'its condition is false: <+env.PLUGIN_ENGINE> == "buildx" (native == "buildx")'


def test_a_step_whose_condition_is_false_is_skipped_with_its_reason(site, capsys):
    site.write(site.step("a"), site.step("b", SKIPPED), site.step("c"))
    assert site.run("--json") == 0
    assert site.tags == ["a", "c"]
    shown = capsys.readouterr()
    assert [step["skipped"] for step in json.loads(shown.out)["steps"]] == [None, REASON, None]
    assert site.run() == 0
    assert f"step    b\nskipped {REASON}\n" in capsys.readouterr().out


def test_the_plan_shows_what_would_be_skipped(site, capsys):
    site.write(site.step("a"), site.step("b", SKIPPED), site.step("c", "when: {stageStatus: Failure}"))
    assert run_command(["check", "p.yml"]) == 0
    shown = capsys.readouterr().out
    assert f"skipped     {REASON}" in shown
    assert "skipped     its stageStatus is Failure, and no step of the stage has failed before it" in shown
    assert run_command(["check", "p.yml", "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert [step.get("skipped", "") for step in steps][:2] == ["", REASON]
    assert site.tags == []


def test_a_step_runs_after_a_failure_where_its_status_says_so(site, capsys):
    site.write(
        site.step("a").replace("tags:", "dockerfile: gone, tags:"),
        site.step("b"),
        site.step("c", "when: {stageStatus: Failure}"),
        site.step("d", "when: {stageStatus: All}"),
    )
    assert site.run("--json") == 2
    assert site.tags == ["c", "d"]
    document = json.loads(capsys.readouterr().out)
    assert document["steps"][1]["skipped"] == "a step before it has failed"
    assert "gone" in document["error"]["message"]


def test_a_bad_tag_of_a_later_step_stops_the_first_one(site, capsys):
    site.write(site.step("a"), site.step("b", tag="no tag"))
    assert site.run() == 2
    assert (site.tags, "p.yml:10:" in capsys.readouterr().err) == ([], True)


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize(
    ("later", "message"),
    [
        ("dockerfile: Broken, tags:", "Broken:1"),
        ("connectorRef: nowhere, tags:", "nowhere"),
        ("target: gone, tags:", "stage 'gone' is not in"),
    ],
)
def test_what_a_later_step_cannot_do_stops_the_first_one(site, capsys, command, later, message):
    (site.directory / "Broken").write_text("FORM scratch\n")
    site.write(site.step("a"), site.step("b").replace("tags:", later))
    assert run_command([command, "p.yml"]) != 0
    assert (site.tags, message in capsys.readouterr().err) == ([], True)


def test_a_bad_tag_of_a_step_that_is_skipped_stops_nothing(site):
    site.write(site.step("a"), site.step("b", SKIPPED, tag="no tag"))
    assert site.run() == 0
    assert site.tags == ["a"]


def test_a_call_of_a_program_gives_the_reason_as_its_result(site):
    site.write(site.step("b", SKIPPED))
    result = buildpush.run("p.yml")
    assert (result.skipped, result.digest, result.seconds) == (REASON, "", {})
    assert buildpush.check("p.yml").reason == REASON


LOOP = "strategy: {matrix: {os: [alpine, debian], arch: [a, b], exclude: [{os: debian, arch: b}], maxConcurrency: 1}}"


def test_a_matrix_pushes_every_combination_in_its_order(site, capsys):
    site.write(site.step("push", LOOP, tag="<+matrix.os>-<+matrix.arch>"))
    assert site.run("--json") == 0
    assert site.tags == ["alpine-a", "alpine-b", "debian-a"]
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert [step["step"] for step in steps] == ["push_0_0", "push_0_1", "push_1_0"]


def test_the_plan_shows_every_iteration(site, capsys):
    site.write(site.step("push", LOOP, tag="<+matrix.os>-<+matrix.arch>"))
    assert run_command(["check", "p.yml", "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert [step["references"][0].rpartition(":")[2] for step in steps] == ["alpine-a", "alpine-b", "debian-a"]


@pytest.mark.parametrize("command", ["run", "check"])
def test_iterations_that_push_the_same_reference_are_refused_before_anything_is_pushed(site, capsys, command):
    site.write(site.step("push", LOOP, tag="<+matrix.os>"))
    assert run_command([command, "p.yml"]) == 2
    shown = capsys.readouterr().err
    assert f"the iterations 'push_0_0' and 'push_0_1' both push {site.box.host}/docker-local/app:alpine" in shown
    assert "write <+matrix.os> or <+matrix.arch> into repo or tags" in shown
    assert site.tags == []


@pytest.mark.parametrize("command", ["run", "check"])
def test_parallel_steps_that_push_the_same_reference_are_refused_before_anything_is_pushed(site, capsys, command):
    inner = "".join(f"    {line}\n" for name in ("api", "web") for line in site.step(name, tag="1").splitlines())
    site.write(f"- parallel:\n{inner}")
    assert run_command([command, "p.yml"]) == 2
    shown = capsys.readouterr().err
    assert f"the parallel steps 'api' and 'web' both push {site.box.host}/docker-local/app:1" in shown
    assert site.tags == []


def test_steps_one_after_the_other_may_push_the_same_reference(site):
    inner = "".join(f"    {line}\n" for line in site.step("web", tag="2").splitlines())
    site.write(site.step("api", tag="1"), f"- parallel:\n{inner}", site.step("again", tag="1"))
    assert site.run() == 0
    assert site.tags == ["1", "2"]


def test_iterations_are_named_as_the_loop_says(site, capsys):
    loop = "strategy: {repeat: {items: [auth, web], nodeName: image <+repeat.item>, maxConcurrency: 1}}"
    site.write(site.step("push", loop, tag="<+repeat.item>"))
    assert site.run("--json") == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert [step["step"] for step in steps] == ["image auth", "image web"]


def test_a_call_of_a_program_takes_no_loop(site):
    site.write(site.step("push", LOOP, tag="<+matrix.os>"))
    with pytest.raises(SettingsError, match="has a strategy, which may run it several times"):
        buildpush.run("p.yml")


def test_an_archive_holds_no_second_iteration(site, capsys):
    site.write(site.step("push", LOOP, tag="<+matrix.os>-<+matrix.arch>"))
    assert run_command(["build", "p.yml", "--output", "docker-archive:a.tar"]) == 2
    assert "3 steps would write theirs to it" in capsys.readouterr().err


def test_a_variable_that_only_a_loop_asks_for_has_an_effect(site, capsys):
    loop = "strategy: {repeat: {items: '<+pipeline.variables.all.split(\",\")>', maxConcurrency: 1}}"
    site.write(site.step("push", loop, tag="<+repeat.item>"))
    assert site.run("--var", "all=x,y") == 0
    assert site.tags == ["x", "y"]
    assert "no effect" not in capsys.readouterr().err


IGNORE = "failureStrategies: [{onFailure: {errors: [AllErrors], action: {type: Ignore}}}]"


def test_a_failure_that_is_ignored_lets_the_run_go_on_and_is_shown(site, capsys):
    site.write(site.step("a", IGNORE).replace("tags:", "dockerfile: gone, tags:"), site.step("b"))
    assert site.run("--json") == 0
    assert site.tags == ["b"]
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert [bool(step["ignored"]) for step in steps] == [True, False]
    assert "'gone' does not exist" in steps[0]["ignored"]


def test_a_step_whose_push_is_refused_once_is_run_again(site, capsys):
    retry = "failureStrategies: [{onFailure: {errors: [AllErrors], action: {type: Retry, spec: {retryCount: 1}}}}]"
    site.write(site.step("a", retry), site.step("b"))
    site.box.add_fault("PUT", "/manifests/a", status=403, times=1)
    assert site.run() == 0
    assert site.tags == ["a", "b"]
    assert "step a" in capsys.readouterr().err
    site.write(site.step("c"))
    site.box.add_fault("PUT", "/manifests/c", status=403, times=1)
    assert site.run() != 0


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_wrong_failure_strategy_is_refused_before_anything_is_done(site, capsys, command):
    site.write(site.step("a"), site.step("b", IGNORE.replace("AllErrors", "AllErors")))
    assert run_command([command, "p.yml"]) == 2
    assert "did you mean 'AllErrors'?" in capsys.readouterr().err
    assert site.tags == []


def test_a_failure_strategy_of_a_single_step_is_read_before_it_runs(site, capsys):
    site.write(site.step("a", IGNORE.replace("type: Ignore", "type: RetryStepGroup, spec: {retryCount: 1}")))
    assert site.run() == 2
    assert "RetryStepGroup runs a step group again, but the step 'a' is in none" in capsys.readouterr().err
    assert site.tags == []


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize("asks", ["output.outputVariables.tag", "status"])
def test_a_step_that_asks_one_beside_it_is_refused_before_anything_is_pushed(site, capsys, command, asks):
    pair = site.step("api", tag="1") + site.step("web", tag=f"<+steps.api.{asks} ?? 'x'>")
    site.write("- parallel:\n", "".join(f"    {line}\n" for line in pair.splitlines()))
    assert run_command([command, "p.yml"]) == 2
    assert "'api' (p.yml:3:9) may run at the same time as this" in capsys.readouterr().err
    assert site.tags == []


def test_a_step_after_a_parallel_may_ask_each_in_it_and_an_iteration_the_one_before(site, capsys):
    pair = site.step("api", tag="1") + site.step("web", tag="2")
    inner = "".join(f"    {line}\n" for line in pair.splitlines())
    again = "strategy: {parallelism: 2, maxConcurrency: 1}"
    asks = "<+strategy.iteration == 0 ? 'x' : steps.last_0.output.outputVariables.tag + '0'>"
    site.write("- parallel:\n", inner, site.step("after", tag="<+steps.web.output.outputVariables.tag>3"))
    assert site.run() == 0
    assert site.tags == ["1", "2", "23"]
    site.write(site.step("last", again, tag=asks))
    assert site.run() == 0
    assert site.tags == ["1", "2", "23", "x", "x0"]


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize("other", ["a.tar", "./a.tar"])
def test_parallel_steps_that_write_the_same_archive_are_refused_before_anything_is_done(site, capsys, command, other):
    pair = site.step("api", tag="1").replace("tags:", "envVariables: {PLUGIN_TAR_PATH: a.tar}, tags:")
    pair += site.step("web", tag="2").replace("tags:", f"envVariables: {{PLUGIN_TAR_PATH: {other}}}, tags:")
    site.write("- parallel:\n", "".join(f"    {line}\n" for line in pair.splitlines()))
    assert run_command([command, "p.yml"]) == 2
    assert f"the parallel steps 'api' and 'web' both write {other}" in capsys.readouterr().err
    assert site.tags == []


def test_a_stage_that_takes_too_long_ends_the_step_under_way(site, capsys):
    steps = "".join(f"          {line}\n" for line in (site.step("a") + site.step("b")).splitlines())
    site.write("- stage:\n    name: slow\n    timeout: 10s\n    spec:\n      execution:\n        steps:\n", steps)
    site.box.add_fault("PUT", "/manifests/a", delay=60.0)
    assert site.run() == 124
    assert "the stage 'slow' took longer than its timeout of 10s" in capsys.readouterr().err
    assert site.tags == []


def test_each_attempt_of_a_step_of_a_file_without_a_timeout_has_the_time_of_harness(site, capsys, monkeypatch):
    assert timedelta(hours=10) == deadlines.DEFAULT_OF_STEP
    monkeypatch.setattr(deadlines, "DEFAULT_OF_STEP", timedelta(seconds=5))
    retry = "{type: Retry, spec: {retryCount: 1, retryIntervals: []}}"
    again = IGNORE.replace("AllErrors", "Timeout").replace("{type: Ignore}", retry)
    site.write(site.step("a", again), site.step("b", "timeout: 10m"))
    site.box.add_fault("PUT", "/manifests/a", delay=30.0, times=1)
    site.box.add_fault("PUT", "/manifests/b", delay=6.0, times=1)
    assert site.run() == 0
    assert "the step took longer than 5s, the limit of a step without a 'timeout'" in capsys.readouterr().err
    assert site.tags == ["a", "b"]


def test_a_stage_without_a_timeout_ends_after_that_of_harness(site, capsys, monkeypatch):
    assert timedelta(hours=24) == deadlines.DEFAULT_OF_STAGE
    monkeypatch.setattr(deadlines, "DEFAULT_OF_STAGE", timedelta(seconds=3))
    steps = "".join(f"          {line}\n" for line in (site.step("a", IGNORE) + site.step("b")).splitlines())
    site.write("- stage:\n    name: slow\n    spec:\n      execution:\n        steps:\n", steps)
    site.box.add_fault("PUT", "/manifests/a", delay=30.0)
    assert site.run() == 124
    assert "the stage 'slow' took longer than 3s, the limit of a stage without a 'timeout'" in capsys.readouterr().err
    assert site.tags == []


def test_a_step_of_flags_alone_has_no_limit(site, monkeypatch):
    monkeypatch.setattr(deadlines, "DEFAULT_OF_STEP", timedelta(milliseconds=1))
    assert run_command(["run", "--repo", "docker-local/app", "--tags", "a"]) == 0
    assert site.tags == ["a"]


INPUTS = "when: <+input>\nstrategy: <+input>\nfailureStrategies: <+input>"
GIVEN = {
    "JSON": (
        '{"stageStatus": "All", "condition": "<+matrix.os> != \'b\'"}',
        '{"matrix": {"os": ["a", "b", "c"]}}',
        '[{"onFailure": {"errors": ["AllErrors"], "action": {"type": "Ignore"}}}]',
    ),
    "YAML": (
        "{stageStatus: All, condition: <+matrix.os> != 'b'}",
        "matrix: {os: [a, b, c]}",
        "- onFailure: {errors: [AllErrors], action: {type: Ignore}}",
    ),
}


@pytest.mark.parametrize("form", GIVEN)
def test_an_input_that_is_all_of_a_condition_a_loop_or_a_strategy_is_given_as_json_or_yaml(site, form, capsys):
    when, loop, strategies = GIVEN[form]
    site.write(site.step("push", INPUTS, tag="<+matrix.os>").replace("tags:", "target: gone, tags:"))
    words = ("--var", f"when={when}", "--var", f"strategy={loop}", "--var", f"failureStrategies={strategies}")
    assert site.run("--json", *words) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert [(step["step"], bool(step["ignored"]), bool(step["skipped"])) for step in steps] == [
        ("push_0", True, False),
        ("push_1", False, True),
        ("push_2", True, False),
    ]


def test_an_input_of_a_stage_may_be_all_of_its_loop_and_empty(site):
    inner = "".join(f"            {line}\n" for line in site.step("push", tag="<+matrix.os ?? 'x'>").splitlines())
    head = "- stage:\n    identifier: s\n    strategy: <+input>\n    spec:\n      execution:\n        steps:\n"
    site.write(head, inner)
    assert site.run("--var", "strategy={matrix: {os: [a, b]}}") == 0
    assert site.tags == ["a", "b"]
    assert site.run("--var", "strategy=") == 0
    assert site.tags == ["a", "b", "x"]


@pytest.mark.parametrize("command", ["run", "check"])
def test_an_input_that_is_no_loop_is_refused_before_anything_is_done(site, capsys, command):
    site.write(site.step("a"), site.step("push", "strategy: <+input>"))
    assert run_command([command, "p.yml"]) == 2
    assert "hint: give --var strategy=VALUE" in capsys.readouterr().err
    assert run_command([command, "p.yml", "--var", "strategy=matrix: {a: ["]) == 2
    shown = capsys.readouterr().err
    assert "p.yml:11:5: strategy: the value of the expression is neither JSON nor YAML" in shown
    assert site.tags == []


def test_the_parts_of_a_condition_and_a_strategy_may_be_inputs(site):
    parts = (
        "when: {stageStatus: <+input>, condition: <+input>}\n"
        "failureStrategies: [{onFailure: {errors: <+input>, action: {type: <+input>}}}]"
    )
    site.write(site.step("a", parts).replace("tags:", "dockerfile: gone, tags:"))
    given = {
        "when.stageStatus": "All",
        "condition": "true",
        "failureStrategies.onFailure.errors": "[AllErrors]",
        "failureStrategies.onFailure.action.type": "Ignore",
    }
    assert site.run(*(word for name, value in given.items() for word in ("--var", f"{name}={value}"))) == 0


NEWER = """\
pipeline:
  inputs: {{fast: {{type: string, default: "false"}}}}
  stages:
    - name: s
      steps:
        - name: push
          uses: buildAndPushToDocker
          with: {{repo: {host}/docker-local/app, tags: ["${{{{ matrix.os }}}}"], caching: false, target: "{target}"}}
          {more}
"""


def newer(site, more, target=""):
    text = NEWER.format(host=site.box.host, more=more, target=target)
    site.write(text.replace(', target: ""', ""))


def test_what_follows_a_failure_in_the_newer_form_may_be_an_input(site, capsys):
    newer(site, "strategy: {matrix: {os: [a]}}\n          on-failure: <+input>", target="gone")
    given = "failureStrategies.on-failure"
    for text in ('{"action": "ignore"}', "[{errors: all, action: {ignore: {}}}]"):
        assert site.run("--json", "--var", f"{given}={text}") == 0
        assert json.loads(capsys.readouterr().out)["steps"][0]["ignored"]
    assert site.run("--var", f"{given}=") == 3
    assert site.run("--var", f"{given}=[") == 2
    assert "neither JSON nor YAML" in capsys.readouterr().err
    assert site.run() == 2
    assert f"give --var {given}=VALUE" in capsys.readouterr().err


def test_fail_fast_may_be_an_expression(site, capsys):
    newer(site, 'strategy: {matrix: {os: [gone, docker-local]}, max-parallel: 1, fail-fast: "${{ inputs.fast }}"}')
    text = (
        (site.directory / "p.yml").read_text().replace(f"{site.box.host}/docker-local", f"{site.box.host}/<+matrix.os>")
    )
    (site.directory / "p.yml").write_text(text.replace('["${{ matrix.os }}"]', "[b]"))
    assert site.run("--var", "fast=true") == 4
    assert site.tags == []
    assert site.run("--var", "fast=maybe") == 2
    assert "fail-fast is 'maybe'" in capsys.readouterr().err
    assert site.run() == 4
    assert site.tags == ["b"]


def test_a_while_of_the_newer_form_runs_as_long_as_its_condition_holds(site, capsys):
    loop = "strategy: {while: {iterations: 4, condition: '<+strategy.iteration> != 2'}}"
    newer(site, loop)
    path = site.directory / "p.yml"
    path.write_text(path.read_text().replace("${{ matrix.os }}", "t${{ strategy.iteration }}"))
    assert run_command(["check", "p.yml"]) == 0
    shown = capsys.readouterr().out
    assert "app:t0" in shown
    assert "app:t2" not in shown
    assert site.run() == 0
    assert site.tags == ["t0", "t1"]


def test_a_while_runs_again_what_has_failed(site, capsys):
    condition = '<+strategy.iteration> == 0 || <+steps.push_0.status> == "FAILED"'
    newer(site, f"strategy: {{while: {{iterations: 3, condition: '{condition}'}}}}")
    path = site.directory / "p.yml"
    text = path.read_text().replace("${{ matrix.os }}", "t").replace("docker-local", "<+pipeline.variables.fast>")
    path.write_text(text)
    for repository, number in (("gone", 3), ("docker-local", 1)):
        assert site.run("--json", "--var", f"fast={repository}") == (4 if repository == "gone" else 0)
        assert len(json.loads(capsys.readouterr().out)["steps"]) == number


def test_a_while_may_ask_the_iteration_before_and_is_planned_up_to_its_limit(site, capsys):
    """Only the run knows the condition, and each iteration may push the same tag: none of them runs beside another."""
    condition = '<+strategy.iteration> == 0 || <+strategy.currentStatus> == "FAILED"'
    newer(site, f"strategy: {{while: {{iterations: 3, condition: '{condition}'}}}}")
    path = site.directory / "p.yml"
    path.write_text(path.read_text().replace("${{ matrix.os }}", "one"))
    assert run_command(["check", "p.yml"]) == 0
    shown = capsys.readouterr().out
    assert [f"push_{number} (p.yml" in shown for number in range(4)] == [True, True, True, False]
    assert shown.count("it is not known yet whether it is run: p.yml:9:45: condition: in strategy.currentStatus") == 2
    assert site.run("--json") == 0
    assert [step["step"] for step in json.loads(capsys.readouterr().out)["steps"]] == ["push_0"]
    assert site.tags == ["one"]


@pytest.mark.parametrize("text", ["for: {iterations: 2}", "parallelism: 2", '{"for": {"iterations": 2}}'])
def test_an_input_that_is_all_of_a_loop_of_the_newer_form_may_be_in_either_form(site, text, capsys):
    newer(site, "strategy: <+input>")
    path = site.directory / "p.yml"
    path.write_text(path.read_text().replace("${{ matrix.os }}", "${{ strategy.iteration }}"))
    assert site.run("--var", f"strategy={text}") == 0
    assert site.tags == ["0", "1"]
    assert site.run() == 2
    assert "give --var strategy=VALUE" in capsys.readouterr().err
    assert site.run("--var", "strategy=for: {iterations: many}") == 2
    assert "iterations is 'many'" in capsys.readouterr().err


def test_a_part_of_a_loop_of_the_newer_form_may_be_an_input(site):
    newer(site, "strategy: {matrix: <+input>, max-parallel: <+input>, if: <+input>}")
    given = {"strategy.matrix": '{"os": ["a"], "include": [{"os": "b"}]}', "strategy.max-parallel": "1"}
    given["condition"] = "true"
    assert site.run(*(word for name, value in given.items() for word in ("--var", f"{name}={value}"))) == 0
    assert site.tags == ["a", "b"]


def test_an_axis_that_only_some_entries_of_include_give_has_a_message_of_its_own(site, capsys):
    newer(site, "strategy: {matrix: {os: [a, b], include: [{os: a, tag: x}]}}")
    path = site.directory / "p.yml"
    text = path.read_text()
    path.write_text(text.replace("${{ matrix.os }}", "${{ matrix.tag }}"))
    assert site.run() == 2
    shown = capsys.readouterr().err
    assert "matrix.tag has no value in this iteration: only some entries of include give it" in shown
    assert "<+matrix.tag ?? 'x'>" in shown
    path.write_text(text.replace("${{ matrix.os }}", "${{ matrix.oss }}"))
    assert site.run() == 2
    shown = capsys.readouterr().err
    assert "matrix.oss has no value: the axes of the matrix are os, tag" in shown
    assert "did you mean os?" in shown
    path.write_text(text.replace("${{ matrix.os }}", "${{ matrix.tag ?? matrix.os }}"))
    assert site.run() == 0
    assert site.tags == ["b", "x"]


STAGE_AND_GROUP = """\
pipeline:
  stages:
    - name: s
      strategy:
        while: {{iterations: 3, condition: "<+strategy.iteration> == 0 || <+strategy.currentStatus> == 'X'"}}
      steps:
        - group:
            name: g
            strategy:
              while: {{iterations: 3, condition: "<+strategy.iteration> < 2 && <+strategy.currentStatus> != 'FAILED'"}}
            steps:
              - name: push
                uses: buildAndPushToDocker
                with: {{repo: {host}/docker-local/app, tags: ["t<+strategy.iteration>"], caching: false}}
"""


def test_a_while_of_a_stage_and_of_a_group_asks_for_its_own_iterations(site, capsys):
    site.write(STAGE_AND_GROUP.format(host=site.box.host))
    assert site.run("--json") == 0
    assert [step["step"] for step in json.loads(capsys.readouterr().out)["steps"]] == ["push_0_0", "push_0_1"]
    assert site.tags == ["t0", "t1"]
