"""Whole pipelines from Python: every run of every step has its receipt, and a call for one step takes one."""

from __future__ import annotations

import pytest

import buildpush
from buildpush.foundation.errors import BuildPushError, SettingsError

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
CONNECTORS = """
connectors:
  - connector:
      identifier: jfrog
      type: DockerRegistry
      spec:
        dockerRegistryUrl: {url}
        providerType: Other
        auth: {{type: UsernamePassword, spec: {{username: "{username}", passwordRef: password}}}}
secrets: {{password: env:PASSWORD}}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a /\n", encoding="utf-8")
    (tmp_path / "a").write_text("a", encoding="utf-8")
    (tmp_path / "pipeline.yml").write_text(PIPELINE.format(last="release"), encoding="utf-8")
    text = CONNECTORS.format(url="https://registry.example", username="robot")
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
@pytest.mark.parametrize(("step", "says"), [("services", "is run by a strategy"), (None, "the file has 2 steps")])
def test_a_call_for_one_step_refuses_a_loop_and_a_whole_pipeline(place, call, step, says):
    with pytest.raises(SettingsError, match=says) as caught:
        call("pipeline.yml", step=step, connectors="connectors.yml")
    assert "run_pipeline" in caught.value.hint


@pytest.fixture
def served(place, box, monkeypatch):
    text = CONNECTORS.format(url=box.url, username=box.username)
    (place / "connectors.yml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("PASSWORD", box.password.reveal())
    return box


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

    assert page.count("<tr>") == 1 + 3
    assert "&lt;b&gt;Release" in page
    assert "<b>" not in page


@pytest.mark.sandbox
def test_the_error_of_a_pipeline_holds_the_receipts_until_then(place, served):
    text = (place / "pipeline.yml").read_text(encoding="utf-8").replace("docker-local/release", "no-such-key/release")
    (place / "pipeline.yml").write_text(text, encoding="utf-8")
    with pytest.raises(BuildPushError) as caught:
        buildpush.run_pipeline("pipeline.yml", connectors="connectors.yml", variables={"branch": "main"})

    assert "no-such-key" in str(caught.value)
    assert [step.step for step in caught.value.results] == ["Services_0", "Services_1"]
