"""Whole files that would do something else than is written: each is refused, or says so, before anything moves."""

from __future__ import annotations

import json
import time

import pytest

import buildpush
from buildpush.foundation.errors import BuildPushError, SettingsError, SourceError
from buildpush.foundation.events import Finished, Note
from tests.connectors import connector, connectors

STEP = """\
- step:
    type: BuildAndPushDockerRegistry
    name: {name}
    identifier: {name}
    {more}
    spec: {{repo: registry.example/{repo}, tags: [{tag}], envVariables: {{PLUGIN_ENGINE: native{variables}}}}}
"""


def step(name="a", more="description: x", repo="a", tag="'1'", variables=""):
    return STEP.format(name=name, more=more, repo=repo, tag=tag, variables=variables)


def stage(name="s", steps="", **more):
    lines = "".join(f"    {key}: {value}\n" for key, value in more.get("stage", {}).items())
    inner = "".join(f"      {key}: {value}\n" for key, value in more.get("spec", {}).items())
    text = "\n".join(f"          {line}" for line in (steps or step()).splitlines())
    return (
        f"- stage:\n    identifier: {name}\n    type: CI\n{lines}    spec:\n{inner}"
        f"      execution:\n        steps:\n{text}\n"
    )


@pytest.fixture
def plan(tmp_path, monkeypatch):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a /\n", encoding="utf-8")
    (tmp_path / "a").write_text("a", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def planned(*stages, **options):
        lines = "\n".join(f"    {line}" for text in stages for line in text.splitlines())
        (tmp_path / "p.yml").write_text(f"pipeline:\n  identifier: p\n  stages:\n{lines}\n", encoding="utf-8")
        return buildpush.check_pipeline("p.yml", **options)

    return planned


def test_loops_in_loops_end_where_they_make_too_many_runs(plan):
    group = "- stepGroup:\n    identifier: g\n    strategy: {repeat: {times: 9}}\n    steps:\n"
    group += "".join(f"      {line}\n" for line in step(more="description: x", repo="a").splitlines())
    begun = time.process_time()
    with pytest.raises(SettingsError, match="make 81,000 runs") as caught:
        plan(
            stage(
                steps=group.replace("tags: ['1']", "tags: [x<+strategy.iteration>]"),
                stage={"strategy": "{repeat: {times: 9000}}"},
            )
        )
    assert "multiply" in caught.value.hint
    assert time.process_time() - begun < 20  # two seconds here


@pytest.mark.parametrize(
    ("variables", "tag", "same"),
    [
        (", PLUGIN_EXPAND_TAG: 'true'", "<+matrix.v>", True),
        ("", "<+matrix.v>", False),
    ],
)
def test_iterations_whose_tags_become_the_same_are_refused(plan, variables, tag, same):
    text = step(more="strategy: {matrix: {v: [1.2.3, 1.2.4]}}", tag=f"'{tag}'", variables=variables)
    if same:
        with pytest.raises(SettingsError, match=r"both push registry.example/a:1\b"):
            plan(stage(steps=text))
    else:
        assert len(plan(stage(steps=text))) == 2


@pytest.mark.programs
def test_iterations_that_differ_by_the_suffix_of_automatic_tags_are_planned(plan, monkeypatch):
    monkeypatch.setenv("DRONE_REPO_BRANCH", "main")
    monkeypatch.setenv("DRONE_COMMIT_REF", "refs/heads/main")
    more = "strategy: {matrix: {v: [arm, amd]}}"
    variables = ", PLUGIN_AUTO_TAG: 'true', PLUGIN_AUTO_TAG_SUFFIX: <+matrix.v>"
    text = step(more=more, variables=variables).replace("tags: ['1'], ", "tags: [latest], ")
    assert [str(one.order.references[0]).rpartition(":")[2] for one in plan(stage(steps=text))] == ["arm", "amd"]


@pytest.mark.parametrize(("value", "noted"), [("9.9", True), ("1.2.3", False), ("<+env.X>", False)])
def test_an_exclusion_that_excludes_nothing_is_noted(plan, value, noted):
    more = f"strategy: {{matrix: {{v: [1.2.3, 1.2.4], exclude: [{{v: '{value}'}}]}}}}"
    notes = plan(stage(steps=step(more=more, tag="<+matrix.v>")), env={"X": "1.2.4"})[0].notes
    assert any("excludes nothing" in note for note in notes) == noted


@pytest.mark.parametrize(
    "spec",
    [
        {"platform": "5"},
        {"platform": "[arm64]"},
        {"platform": "{arch: [arm64]}"},
        {"platform": "{os: {a: b}, arch: Arm64}"},
        {"infrastructure": "{useFromStage: nope}"},
        {"infrastructure": "{useFromStage: s}"},
    ],
)
def test_a_machine_that_cannot_be_told_is_refused(plan, spec):
    with pytest.raises(SourceError, match=r"p\.yml:\d+:\d+") as caught:
        plan(stage(spec=spec))
    assert caught.value.hint


@pytest.mark.parametrize(("value", "allowed"), [("a", True), ("zzz", False)])
def test_a_variable_takes_only_the_values_that_its_input_allows(plan, value, allowed):
    text = stage(steps=step(tag="x<+stage.variables.v>"))
    text = text.replace(
        "    type: CI\n",
        "    type: CI\n    variables: [{name: v, type: String, value: '<+input>.allowedValues(a,b)'}]\n",
        1,
    )
    if allowed:
        assert str(plan(text, variables={"v": value})[0].order.references[0]).endswith(":xa")
    else:
        with pytest.raises(SettingsError, match="zzz"):
            plan(text, variables={"v": value})


def test_a_step_of_one_stage_is_chosen_by_both_names(plan):
    stages = [stage("one"), stage("two", step(repo="b"))]
    with pytest.raises(SourceError, match="two steps are called"):
        plan(*stages, step="a")
    (only,) = plan(*stages, step="a", stage="two")
    assert str(only.order.references[0].repository) == "registry.example/b"
    assert str(buildpush.check("p.yml", step="a", stage="one").order.references[0].repository) == "registry.example/a"


def test_a_key_uses_beside_the_steps_makes_no_file_a_newer_one(plan):
    text = stage(steps=step(variables=", PLUGIN_BUILD_ARGS: 'A=${{ literal }}'"))
    (one,) = plan(text.replace("    type: CI\n", "    type: CI\n    tags: {uses: x}\n", 1))
    assert "${{ literal }}" in str(one)


def test_a_hint_names_no_flag_that_the_command_line_does_not_have(plan):
    plugin = (
        "- step: {type: Plugin, identifier: i, name: i, spec: {image: plugins/artifactory-publish-docker-buildinfo, "
    )
    plugin += "settings: {url: 'https://a.example/artifactory'}}}"
    with pytest.raises(BuildPushError) as caught:
        plan(stage(steps=plugin))
    assert "docker_image" in caught.value.hint
    assert "--docker-image" not in caught.value.hint


PUBLISHED = """\
- step:
    type: BuildAndPushDockerRegistry
    name: a
    identifier: a
    spec:
      connectorRef: jfrog
      repo: docker-local/a
      tags: ["1"]
      envVariables:
        PLUGIN_ENGINE: native
        PLUGIN_ARTIFACTORY_URL: "{url}/artifactory/"
        PLUGIN_ARTIFACT_FILE: out/artifact.json
"""


@pytest.fixture
def published(tmp_path, monkeypatch, box):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a /\n", encoding="utf-8")
    (tmp_path / "a").write_text("a", encoding="utf-8")
    (tmp_path / "out").mkdir()
    (tmp_path / "connectors.yml").write_text(
        connectors(connector(box.url, box.username, "env:PASSWORD")), encoding="utf-8"
    )
    (tmp_path / "p.yml").write_text(PUBLISHED.format(url=box.url), encoding="utf-8")
    monkeypatch.setenv("PASSWORD", box.password.reveal())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.programs
def test_a_receipt_that_cannot_be_written_keeps_no_build_info_from_being_published(published):
    def lose(event):
        if isinstance(event, Finished) and event.phase == "push":
            (published / "out").rmdir()
            (published / "out").touch()

    with pytest.raises(BuildPushError, match="is pushed, but") as caught:
        buildpush.run("p.yml", connectors="connectors.yml", sink=lose)
    assert caught.value.results[0].published


@pytest.mark.programs
def test_a_push_is_told_of_in_its_file_although_its_build_info_was_refused(published, box):
    box.add_fault("PUT", "/api/build", status=403)
    with pytest.raises(BuildPushError):
        buildpush.run("p.yml", connectors="connectors.yml")
    artifact = json.loads((published / "out/artifact.json").read_text(encoding="utf-8"))
    assert artifact["data"]["images"][0]["digest"] == box.digest("docker-local/a", "1")


@pytest.mark.sandbox
def test_the_step_whose_error_ends_a_run_of_several_is_named(published):
    text = PUBLISHED.replace("docker-local/a", "none-such/a").split("        PLUGIN_ARTIFACTORY_URL")[0]
    (published / "p.yml").write_text(
        text + text.replace("name: a", "name: b").replace("identifier: a", "identifier: b")
    )
    told = []
    with pytest.raises(BuildPushError, match="none-such"):
        buildpush.run_pipeline("p.yml", connectors="connectors.yml", sink=told.append)
    assert any("the step a (p.yml:2:5) has failed" in one.text for one in told if isinstance(one, Note))


def test_a_plan_shows_the_resources_of_a_container_as_they_are_written(plan):
    limits = "resources: {limits: {memory: 500Mi, cpu: 400m}}"
    (one,) = plan(stage(steps=step().replace("spec: {", f"spec: {{{limits}, ")))
    assert ("setting", "resources = {limits: {memory: 524288000, cpu: 0.4}}  [p.yml:15:26]") in list(one.rows())
