"""The newer form of files: what of it is read, and what has no effect or is refused."""

from __future__ import annotations

import pytest

import buildpush
from buildpush.foundation.errors import SettingsError, SourceError

FILE = """\
pipeline:
  id: mill
  PIPELINE
  stages:
    - name: saw
      STAGE
      steps:
        - name: Planks
          STEP
"""
GIVEN = "with: {repo: host.test/a, tags: [TAG], caching: false}"
USES = f"uses: buildAndPushToDocker\n          {GIVEN}"


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n", encoding="utf-8")

    def put(*, pipeline="name: Mill", stage="id: saw", step=USES, tag="a"):
        text = FILE.replace("PIPELINE", pipeline).replace("STAGE", stage).replace("STEP", step).replace("TAG", tag)
        (tmp_path / "p.yml").write_text(text, encoding="utf-8")

    return put


def plans(**options):
    return buildpush.check_pipeline("p.yml", env={"PLUGIN_ENGINE": "native"}, **options)


@pytest.mark.parametrize("key", ["template", "build", "action"])
def test_a_step_names_its_template_below_any_of_the_keys_for_that(write, key):
    write(step=f"{key}:\n            uses: buildAndPushToDocker@1.0.0\n            {GIVEN}")
    (plan,) = plans()
    assert str(plan.order.references[0]) == "host.test/a:a"


@pytest.mark.parametrize("key", ["clone", "policy", "change-advisor", "action"])
def test_a_step_of_another_kind_is_not_run(write, key):
    write(step=f"{USES}\n        - {key}: {{uses: other}}\n          name: More")
    assert [step.type for step in buildpush.load("p.yml").steps] == ["BuildAndPushDockerRegistry"]
    assert len(plans()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "pipeline: {stages: [{name: saw, steps: [{name: Planks, run: {script: make}}]}]}",
        "version: 1\nkind: pipeline\nspec: {stages: [{name: saw, steps: [{name: Planks, run-test: {script: make}}]}]}",
        "stages: [{name: saw, steps: [{group: {steps: [{name: Planks, background: {script: make}}]}}]}]",
    ],
)
def test_a_file_whose_steps_all_are_of_other_kinds_names_them(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"does not have a step that buildpush runs, only [a-z-]+ 'Planks'"):
        buildpush.load("p.yml")


def test_a_description_has_its_key(write):
    write(pipeline="desc: one", stage="desc: two", step=f"desc: three\n          {USES}", tag="<+stage.description>")
    (plan,) = plans()
    assert plan.step.settings["description"].value == "three"
    assert str(plan.order.references[0]) == "host.test/a:two"


def test_variables_of_a_stage_are_a_map(write):
    write(
        stage="variables: {tag: {type: string, value: b}, more: c}",
        tag="<+stage.variables.tag>-<+stage.variables.more>",
    )
    (plan,) = plans()
    assert str(plan.order.references[0]) == "host.test/a:b-c"


def test_the_env_of_a_step_is_its_variables_and_its_inputs_come_before_it(write):
    write(
        step=f"env: {{PLUGIN_TARGET: one, PLUGIN_TAR_PATH: x.tar}}\n          {USES}".replace("TAG", "a").replace(
            "caching: false", "caching: false, envvars: {PLUGIN_TARGET: two}"
        )
    )
    (step,) = buildpush.load("p.yml").steps
    assert {name: step.settings[name].value for name in ("target", "tar_path")} == {
        "target": "two",
        "tar_path": "x.tar",
    }
    assert step.settings["tar_path"].origin.where.startswith("p.yml:9:")
    write(step=f"env: $VARIABLES\n          {USES}")
    with pytest.raises(SourceError, match="env and envvars of a step must both be maps of variables"):
        buildpush.load("p.yml")


def test_steps_of_a_rollback_are_not_run(write):
    write(stage=f"rollback:\n        - name: Undo\n          {USES}")
    assert len(plans()) == 1


def test_a_pipeline_has_a_condition(write):
    write(pipeline="if: ${{ pipeline.variables.go == 'yes' }}\n  inputs: {go: {type: string, default: 'no'}}")
    (plan,) = plans()
    assert plan.reason.startswith("the pipeline 'mill' is skipped: its condition is false")
    (plan,) = plans(variables={"go": "yes"})
    assert plan.order.references


def test_a_condition_and_a_loop_of_a_pipeline_of_the_older_form_are_noted(write, tmp_path, capsys):
    """Harness has neither there: they were passed by without a word."""
    step = "{type: BuildAndPushDockerRegistry, identifier: a, spec: {repo: host.test/a, tags: [a]}}"
    inner = f"stages: [{{stage: {{identifier: s, spec: {{execution: {{steps: [{{step: {step}}}]}}}}}}}}]"
    for key in ("when: {pipelineStatus: Failure}", "strategy: {parallelism: 2}", "if: 'false'"):
        (tmp_path / "p.yml").write_text(f"pipeline:\n  identifier: p\n  {key}\n  {inner}\n", encoding="utf-8")
        loaded = buildpush.load("p.yml")
        assert len(plans()) == 1
        assert f"p.yml:3:3: {key.partition(':')[0]} has no effect here" in loaded.notes


def test_a_group_of_stages_has_no_condition(write, tmp_path):
    write()
    path = tmp_path / "p.yml"
    head, _, stages = path.read_text(encoding="utf-8").partition("  stages:\n")
    inner = "".join(f"    {line}\n" for line in stages.splitlines())
    path.write_text(f"{head}  stages:\n    - group:\n        if: false\n        stages:\n{inner}", encoding="utf-8")
    with pytest.raises(SourceError, match=r"p\.yml:6:9: unknown key 'if'"):
        buildpush.load("p.yml")


@pytest.mark.parametrize(
    ("validation", "tag", "message"),
    [
        ("{regex: '^[0-9]+$', message: digits}", "7", ""),
        ("{regex: '^[0-9]+$'}", "x", r"'x' for <\+input> does not match"),
        ("{min: 1}", "7", r"p\.yml:3:45: min of an input is not supported"),
    ],
)
def test_an_input_is_validated(write, validation, tag, message):
    write(pipeline=f"inputs: {{tag: {{type: string, validation: {validation}}}}}", tag="<+pipeline.variables.tag>")
    if message:
        with pytest.raises(SettingsError, match=message):
            plans(variables={"tag": tag})
    else:
        assert plans(variables={"tag": tag})[0].order.references[0].tag.text == tag


def test_the_nodes_of_a_runtime_say_the_platform(write):
    """An image for the platform of this machine was planned for nodes of another one."""
    write(stage="runtime: {kubernetes: {namespace: ci, node-selector: {kubernetes.io/arch: arm64}}}")
    (plan,) = plans()
    assert [str(platform) for platform in plan.order.request.platforms] == ["linux/arm64"]
    assert not buildpush.load("p.yml").notes
    write(stage="runtime: {kubernetes: {namespace: ci, node-selector: {disk: ssd}}}")
    assert not plans()[0].order.request.platforms


@pytest.mark.parametrize("place", ["stage", "step"])
def test_what_follows_a_failure_is_not_passed_by_when_it_is_misspelt(write, place):
    key = "on_failure: {errors: all, action: ignore}"
    write(**{place: key if place == "stage" else f"{key}\n          {USES}"})
    with pytest.raises(SourceError, match="unknown key 'on_failure'") as caught:
        buildpush.load("p.yml")
    assert caught.value.hint == "did you mean 'on-failure'?"
