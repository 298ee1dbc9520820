"""The tree of a file: what is written around a step stays where it was written, each with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from buildpush.foundation.documents import parse_yaml
from buildpush.foundation.errors import SourceError
from buildpush.settings.sources import read
from buildpush.settings.tree import Loaded, Parallel, Pipeline, Stage, Step, StepGroup, leaves, read_tree, with_steps

PIPELINE = """\
pipeline:
  identifier: shop
  name: Shop
  orgIdentifier: retail
  projectIdentifier: web
  tags: {team: a}
  variables:
    - {name: region, type: String, value: eu}
    - {name: token, type: Secret, value: account.token}
  stages:
    - parallel:
        - stage:
            identifier: api
            type: CI
            when: {pipelineStatus: All}
            failureStrategies:
              - onFailure: {errors: [AllErrors], action: {type: Ignore}}
            timeout: 1h
            spec:
              platform: {os: Linux, arch: Arm64}
              infrastructure: {type: KubernetesDirect}
              execution:
                steps:
                  - stepGroup:
                      identifier: images
                      strategy: {repeat: {times: 2}}
                      steps:
                        - step: {type: Run, identifier: test, name: Tests}
                        - step:
                            type: BuildAndPushDockerRegistry
                            identifier: build
                            spec: {repo: host/app, tags: [1]}
                      rollbackSteps:
                        - step: {type: BuildAndPushDockerRegistry, identifier: back}
        - stage: {identifier: web, template: {templateRef: org.web}}
"""


def tree_of(text=PIPELINE):
    return read_tree(parse_yaml(text, "p.yml"))


def test_a_pipeline_keeps_its_shape():
    (pipeline,) = tree_of()
    assert isinstance(pipeline, Pipeline)
    (parallel,) = pipeline.children
    assert isinstance(parallel, Parallel)
    api, web = parallel.children
    assert isinstance(api, Stage)
    assert isinstance(web, Stage)
    (group,) = api.children
    assert isinstance(group, StepGroup)
    assert [step.identifier for step in group.children] == ["test", "build"]
    assert [step.identifier for step in group.rollback] == ["back"]


def test_variables_stay_whole_with_their_places():
    (pipeline,) = tree_of()
    assert [variable.raw() for variable in pipeline.header.variables] == [
        {"name": "region", "type": "String", "value": "eu"},
        {"name": "token", "type": "Secret", "value": "account.token"},
    ]
    assert [variable.where for variable in pipeline.header.variables] == ["p.yml:8:7", "p.yml:9:7"]


def test_what_rules_over_a_stage_and_a_group_is_kept_with_its_place():
    stage = tree_of()[0].children[0].children[0]
    header, group = stage.header, stage.children[0].header
    assert (header.when.raw(), header.when.where) == ({"pipelineStatus": "All"}, "p.yml:15:19")
    assert header.failure_strategies.items[0].at("onFailure", "action", "type").text == "Ignore"
    assert header.failure_strategies.where == "p.yml:17:15"
    assert (header.timeout.text, header.timeout.where) == ("1h", "p.yml:18:22")
    assert (group.strategy.raw(), group.strategy.where) == ({"repeat": {"times": "2"}}, "p.yml:26:33")


def test_a_stage_keeps_the_machine_that_it_asks_for():
    stage = tree_of()[0].children[0].children[0]
    assert stage.type == "CI"
    assert (stage.platform.at("arch").text, stage.platform.where) == ("Arm64", "p.yml:20:25")
    assert stage.infrastructure.at("type").text == "KubernetesDirect"


def test_every_step_is_a_leaf_with_all_that_it_stands_in():
    found = [(step.identifier, [type(branch).__name__ for branch in path]) for step, path in leaves(tree_of())]
    inside = ["Pipeline", "Parallel", "Stage", "StepGroup"]
    assert found == [("test", inside), ("build", inside), ("back", inside), ("", inside[:3])]


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("type: Run", ["Step"]),
        ("step: {type: Run}", ["Step"]),
        ("[{type: Run}, [{step: {type: Run}}]]", ["Step", "Step"]),
        ("steps: [{step: {type: Run}}, {parallel: [{type: Run}]}]", ["Step", "Parallel"]),
        ("stage: {spec: {execution: {steps: []}}}", ["Stage"]),
        ("stages: [{stage: {}}, {stage: {}}]", ["Stage", "Stage"]),
        ("stepGroup: {steps: [{type: Run}]}", ["StepGroup"]),
    ],
)
def test_a_file_may_begin_at_any_level(text, shape):
    assert [type(element).__name__ for element in tree_of(text)] == shape


def test_steps_are_changed_where_they_stand():
    seen = []

    def change(step, path):
        seen.append((step.identifier, len(path)))
        return Step("new", "", step.type, {}, step.where)

    changed = with_steps(tree_of(), change)
    assert seen == [("test", 4), ("build", 4), ("back", 4), ("", 3)]
    assert {step.identifier for step, _ in leaves(changed)} == {"new"}
    assert isinstance(changed[0].children[0].children[0].children[0], StepGroup)


def test_the_steps_of_a_loaded_file_are_the_leaves_of_its_tree_that_run(tmp_path):
    (tmp_path / "p.yml").write_text(PIPELINE)
    loaded = read(Path("p.yml"), env={}, flags={}, keywords={}, cwd=tmp_path, step="build")
    (step,) = loaded.steps
    assert (step.identifier, step.settings["repo"].value) == ("build", "host/app")
    assert step.facts["pipeline.variables.region"] == "eu"
    assert loaded.others == (
        "Run 'Tests' (p.yml:28:33)",
        "rollback BuildAndPushDockerRegistry 'back' (p.yml:34:33)",
        "stage of the template org.web 'web' (p.yml:35:18)",
    )
    assert isinstance(loaded.tree[0], Pipeline)


def test_without_a_file_the_tree_is_one_step(tmp_path):
    loaded = read(None, env={}, flags={"repo": "host/app"}, keywords={}, cwd=tmp_path, step=None)
    assert loaded.tree == loaded.steps == Loaded(loaded.steps).tree


TWO_STAGES = """\
pipeline:
  stages:
    - stage:
        identifier: oak
        spec: {execution: {steps: [{step: {type: BuildAndPushDockerRegistry, identifier: build, spec: {repo: h/oak}}}]}}
    - stage:
        name: The ash
        spec: {execution: {steps: [{step: {type: BuildAndPushDockerRegistry, identifier: build, spec: {repo: h/ash}}}]}}
"""


@pytest.mark.parametrize(
    ("chosen", "repos"),
    [
        ({"stage": "oak"}, ["h/oak"]),
        ({"stage": "The ash"}, ["h/ash"]),
        ({"stage": "oak", "step": "build"}, ["h/oak"]),
        ({}, ["h/oak", "h/ash"]),
    ],
)
def test_a_stage_is_chosen_by_its_identifier_or_name(tmp_path, chosen, repos):
    (tmp_path / "p.yml").write_text(TWO_STAGES)
    more = {"step": None} | chosen
    loaded = read(Path("p.yml"), env={}, flags={}, keywords={}, cwd=tmp_path, **more)
    assert [step.settings["repo"].value for step in loaded.steps] == repos


@pytest.mark.parametrize(
    ("chosen", "message", "hint"),
    [
        ({"stage": "oka"}, "unknown stage 'oka'", "oak"),
        ({"step": "build"}, "two steps are called 'build'", "choose a stage as well"),
    ],
)
def test_a_choice_that_fits_nothing_or_too_much_is_refused(tmp_path, chosen, message, hint):
    (tmp_path / "p.yml").write_text(TWO_STAGES)
    with pytest.raises(SourceError, match=message) as caught:
        read(Path("p.yml"), env={}, flags={}, keywords={}, cwd=tmp_path, **{"step": None} | chosen)
    assert hint in caught.value.hint


def test_a_stage_needs_a_file(tmp_path):
    with pytest.raises(SourceError, match="the stage 'oak' is to be taken from a file"):
        read(None, env={}, flags={}, keywords={}, cwd=tmp_path, step=None, stage="oak")


STEP_A = "step: {type: Run, identifier: a, spec: {command: make}}"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"- {STEP_A}\n- {STEP_A}\n", "step"),
        (f"steps:\n- {STEP_A}\n- parallel:\n  - {STEP_A}\n", "step"),
        (f"steps:\n- stepGroup: {{identifier: g, steps: [{{{STEP_A}}}]}}\n- {STEP_A}\n", "step"),
        (f"stepGroup:\n  identifier: g\n  steps:\n  - {STEP_A}\n  - {STEP_A}\n", "step"),
        ("- stage: {identifier: a, spec: {}}\n- stage: {identifier: a, spec: {}}\n", "stage"),
    ],
)
def test_what_no_stage_or_pipeline_is_around_has_each_identifier_once(text, what):
    with pytest.raises(SourceError, match=rf"p\.yml:\d+:\d+: there is already a {what} 'a'") as caught:
        tree_of(text)
    assert re.match(r"give one of them another name; the first is in p\.yml:\d+:\d+", caught.value.hint)


def test_one_identifier_may_stand_in_two_stages_of_a_list():
    tree_of(
        "".join(f"- stage: {{identifier: {one}, spec: {{execution: {{steps: [{{{STEP_A}}}]}}}}}}\n" for one in "xy")
    )
