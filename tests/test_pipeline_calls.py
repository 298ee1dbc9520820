"""Whole pipelines from Python: every run of every step has its receipt, and a call for one step takes one."""

from __future__ import annotations

import pytest

import buildpush
from buildpush.cli import run_command
from buildpush.foundation.errors import BuildPushError, SettingsError
from buildpush.foundation.events import Note
from buildpush.pipeline.attempts import Attempts
from tests.connectors import connector, connectors

PIPELINE = """
pipeline:
  identifier: two
  stages:
    - stage:
        identifier: build
        type: CI
        spec:
          execution:
            steps:
              - step:
                  type: BuildAndPushDockerRegistry
                  name: Services
                  identifier: services
                  strategy:
                    matrix:
                      service: [web, auth]
                  spec:
                    connectorRef: jfrog
                    repo: docker-local/<+matrix.service>
                    tags: ["1"]
                    dockerfile: Dockerfile
                    envVariables: {{PLUGIN_ENGINE: native, PLUGIN_PUBLISH_BUILD_INFO: "false"}}
              - step:
                  type: BuildAndPushDockerRegistry
                  name: Release
                  identifier: release
                  when: {{stageStatus: Success, condition: '<+variable.branch> == "main"'}}
                  spec: {{connectorRef: jfrog, repo: docker-local/{last}, tags: ["1"]}}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a /\n", encoding="utf-8")
    (tmp_path / "a").write_text("a", encoding="utf-8")
    (tmp_path / "pipeline.yml").write_text(PIPELINE.format(last="release"), encoding="utf-8")
    text = connectors(connector("https://registry.example", "robot", "env:PASSWORD"))
    (tmp_path / "connectors.yml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PASSWORD", "a-planted-password")
    return tmp_path


ARGUMENTS = {"connectors": "connectors.yml", "variables": {"branch": "dev"}}


def test_every_iteration_is_planned_and_every_skipped_step_is_listed(place):
    first, second, third = buildpush.check_pipeline("pipeline.yml", **ARGUMENTS)
    assert [str(plan.order.references[0].repository) for plan in (first, second)] == [
        "registry.example/docker-local/web",
        "registry.example/docker-local/auth",
    ]
    assert isinstance(third, buildpush.SkippedStep)


def test_a_plan_shows_a_failure_strategy_as_it_is_written(place):
    strategy = "failureStrategies: [{onFailure: {errors: [AllErrors], action: {type: Ignore}}}]"
    text = (place / "pipeline.yml").read_text(encoding="utf-8")
    (place / "pipeline.yml").write_text(text.replace("strategy:", f"{strategy}\n                  strategy:"))
    plan = str(buildpush.check_pipeline("pipeline.yml", **ARGUMENTS)[0])
    assert "failure_strategies = [{onFailure: {errors: [AllErrors], action: {type: Ignore}}}]" in plan


@pytest.mark.parametrize("call", [buildpush.run, buildpush.check, buildpush.build])
@pytest.mark.parametrize(("step", "says"), [("services", "has a strategy"), (None, "the file has 2 steps")])
def test_a_call_for_one_step_refuses_a_loop_and_a_whole_pipeline(place, call, step, says):
    with pytest.raises(SettingsError, match=says) as caught:
        call("pipeline.yml", step=step, connectors="connectors.yml")
    assert "run_pipeline" in caught.value.hint


@pytest.mark.sandbox
def test_a_pipeline_gives_one_receipt_for_each_run_and_each_skipped_step(place, served):
    result = buildpush.run_pipeline("pipeline.yml", **ARGUMENTS)

    assert [step.step for step in result] == ["Services_0", "Services_1", "Release"]
    assert [bool(step.skipped) for step in result] == [False, False, True]
    assert result[0].digest == served.digest("docker-local/web", "1")
    assert result.as_json()["steps"][1]["digest"] == served.digest("docker-local/auth", "1")


@pytest.mark.sandbox
def test_a_notebook_shows_a_row_for_each_run_with_text_that_stays_text(place, served):
    text = (place / "pipeline.yml").read_text(encoding="utf-8").replace("name: Release", "name: <b>Release</b>")
    (place / "pipeline.yml").write_text(text, encoding="utf-8")
    page = buildpush.run_pipeline("pipeline.yml", **ARGUMENTS)._repr_html_()

    assert page.count("<tr ") == 1 + 3
    assert "&lt;b&gt;Release" in page
    assert "<b>" not in page


@pytest.mark.sandbox
def test_the_error_of_a_pipeline_holds_the_receipts_until_then(place, served):
    text = (place / "pipeline.yml").read_text(encoding="utf-8").replace("docker-local/release", "no-such-key/release")
    (place / "pipeline.yml").write_text(text, encoding="utf-8")
    with pytest.raises(BuildPushError) as caught:
        buildpush.run_pipeline("pipeline.yml", connectors="connectors.yml", variables={"branch": "main"})

    assert "no-such-key" in str(caught.value)
    assert [step.step for step in caught.value.results] == ["Services_0", "Services_1", "Release"]
    assert [bool(step.failed) for step in caught.value.results] == [False, False, True]


SECRETIVE = """
pipeline:
  identifier: p
  variables: [{{name: tok, type: {type}, value: {value}}}]
  stages:
    - stage:
        identifier: s
        type: CI
        spec:
          execution:
            steps:
              - step:
                  type: BuildAndPushDockerRegistry
                  identifier: a
                  name: a
                  spec: {{repo: registry.example/a, tags: ["1"], labels: {{A: <+pipeline.variables.tok>}}}}
"""


@pytest.mark.parametrize("kind", ["Secret", "secret", '"Secret "'])
@pytest.mark.parametrize("value", ['<+secrets.getValue("tok")>', "<+input>", "PLANTED", "<+input>.default(PLANTED)"])
@pytest.mark.parametrize("variables", [{}, {"tok": "PLANTED"}, {"pipeline.variables.tok": "PLANTED"}])
def test_what_is_given_for_a_secret_variable_is_never_shown(place, capsys, kind, value, variables):
    (place / "pipeline.yml").write_text(SECRETIVE.format(type=kind, value=value), encoding="utf-8")
    with pytest.raises(BuildPushError) as caught:
        buildpush.check_pipeline("pipeline.yml", variables=variables)
    assert "PLANTED" not in f"{caught.value} {caught.value.hint}".replace("BUILDPUSH_SECRET_", "")


def test_a_secret_variable_takes_the_id_of_another_secret(place, monkeypatch, capsys):
    (place / "pipeline.yml").write_text(SECRETIVE.format(type="Secret", value="<+input>"), encoding="utf-8")
    monkeypatch.setenv("BUILDPUSH_SECRET_OTHER", "a-planted-secret")
    assert run_command(["explain", "<+pipeline.variables.tok>", "pipeline.yml", "--var", "tok=other"]) == 0
    shown = capsys.readouterr()
    assert "********" in shown.out
    assert "a-planted-secret" not in shown.out + shown.err


@pytest.mark.parametrize(
    "variables",
    ["{PLUGIN_DRY_RUN: 'true'}", "5", "[5]", "[PLUGIN_DRY_RUN: 'true']", "[{key: A, value: b}]", "[{name: null}]"],
)
def test_variables_that_would_count_for_nothing_are_refused(place, variables):
    text = PIPELINE.format(last="release").replace("identifier: two", f"identifier: two\n  variables: {variables}")
    (place / "pipeline.yml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"pipeline\.yml:4:") as caught:
        buildpush.check_pipeline("pipeline.yml", **ARGUMENTS)
    assert "write a list of variables" in caught.value.hint


def test_the_plans_of_a_pipeline_have_the_notes_of_the_file(place):
    axis = "service: [web, auth]"
    text = PIPELINE.format(last="release").replace(axis, f"{axis}\n{' ' * 22}exclude: [{{service: gone}}]")
    (place / "pipeline.yml").write_text(text, encoding="utf-8")
    notes = buildpush.check_pipeline("pipeline.yml", **ARGUMENTS)[0].notes
    assert any("gone" in note for note in notes)


def test_items_in_json_keep_their_words(place):
    text = (place / "pipeline.yml").read_text(encoding="utf-8")
    matrix = "matrix:\n                      service: [web, auth]"
    text = text.replace(matrix, "repeat: {items: '[true, null, \"1.10\"]'}").replace(
        "<+matrix.service>", "x<+repeat.item>"
    )
    (place / "pipeline.yml").write_text(text, encoding="utf-8")
    plans = buildpush.check_pipeline("pipeline.yml", **ARGUMENTS)[:3]
    assert [str(plan.order.references[0].repository).rpartition("/")[2] for plan in plans] == [
        "xtrue",
        "xnull",
        "x1.10",
    ]


@pytest.mark.sandbox
def test_the_error_of_every_step_that_fails_is_told(place, served):
    text = PIPELINE.format(last="release").replace(
        "stageStatus: Success, condition: '<+variable.branch> == \"main\"'", "stageStatus: All"
    )
    text = text.replace("docker-local/<+matrix.service>", "no-such-key/<+matrix.service>").replace("/release", "/UPPER")
    (place / "pipeline.yml").write_text(text.replace("docker-local/UPPER", "none-such/release"), encoding="utf-8")
    told = []
    with pytest.raises(BuildPushError, match="no-such-key"):
        buildpush.run_pipeline("pipeline.yml", connectors="connectors.yml", sink=told.append)
    notes = [event.text for event in told if isinstance(event, Note)]
    assert any("the step Services_1 " in note and "has failed as well" in note for note in notes)
    assert any("the step Release " in note and "none-such" in note for note in notes)


RETRIED = """
- step:
    type: BuildAndPushDockerRegistry
    name: Release
    identifier: release
    failureStrategies:
      - onFailure:
          errors: [AllErrors]
          action: {{type: Retry, spec: {{retryCount: 2, retryIntervals: [10s]}}}}
    spec:
      connectorRef: jfrog
      repo: docker-local/release
      tags: ["1"]
      envVariables: {{PLUGIN_ENGINE: native, PLUGIN_ARTIFACTORY_URL: "{url}/artifactory/"}}
"""


@pytest.mark.programs
def test_a_step_that_is_tried_again_leaves_one_receipt(place, served, monkeypatch):
    """Its first attempt pushes, and fails as it publishes."""
    (place / "pipeline.yml").write_text(RETRIED.format(url=served.url), encoding="utf-8")
    waited = []
    monkeypatch.setattr(Attempts, "_wait", lambda *_: waited.append(1))
    served.add_fault("PUT", "/api/build", status=403, times=1)
    result = buildpush.run_pipeline("pipeline.yml", connectors="connectors.yml")
    assert [(step.step, bool(step.published)) for step in result] == [("Release", True)]
    assert waited == [1]
