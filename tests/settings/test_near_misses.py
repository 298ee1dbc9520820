"""What is misspelt is refused or named: variables, keys of steps and of connectors, Python keywords."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest

import buildpush
from buildpush.credentials.connectors_file import _KEYS, read_connectors
from buildpush.foundation.errors import BuildPushError, SettingsError
from buildpush.settings.asked import check_variables
from buildpush.settings.declare import settings_of
from buildpush.settings.lookups import with_lookup_notes
from buildpush.settings.sources import read
from buildpush.settings.stepkinds import BUILD, kinds_by_model, models
from buildpush.settings.tree import Loaded, Step
from buildpush.settings.variables import known_variables
from buildpush.settings.written import Origin, WrittenValue

KNOWN = known_variables(*models())
SETTINGS = {setting.name: setting for model in models() for setting in settings_of(model)}


def near(name):
    """Return *name* with two letters exchanged, one left out, one too many."""
    return {name[:-2] + name[-1] + name[-2], name[:-1], f"{name}X"} - {name}


@pytest.mark.parametrize("name", sorted(name for name in KNOWN if name.startswith("PLUGIN_")))
def test_a_variable_that_is_nearly_one_of_ours_is_named(tmp_path, name):
    missed = near(name) - KNOWN.keys()
    notes = buildpush.load(cwd=tmp_path, env=dict.fromkeys(missed, "x"), repo="a.test/b/c").notes
    assert {one for one in missed if any(note.startswith(f"{one} has no effect") for note in notes)} == missed


def test_check_in_python_tells_of_such_a_variable(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    made = buildpush.check(cwd=tmp_path, env={"PLUGIN_TAGZ": "x"}, repo="a.test/b/c", engine="native")
    assert any("PLUGIN_TAGZ" in note for note in made.notes)


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_keyword_that_is_nearly_one_of_ours_is_refused(tmp_path, name):
    for missed in near(name) - SETTINGS.keys():
        with pytest.raises(BuildPushError, match=f"'{missed}'"):
            buildpush.load(cwd=tmp_path, env={}, **{missed: "x"})


@pytest.mark.parametrize("kind", kinds_by_model().values(), ids=lambda kind: kind.name)
def test_a_key_that_is_nearly_one_of_ours_is_refused_at_its_place(tmp_path, kind):
    keys = {setting.key for setting in settings_of(kind.model)}
    for setting in settings_of(kind.model):
        for missed in near(setting.variables[0] if setting.place == "env" else setting.key) - keys - KNOWN.keys():
            step = {"type": kind.type, "spec": {"envVariables": {}} | ({"image": kind.image} if kind.image else {})}
            home = {"step": step, "spec": step["spec"], "env": step["spec"]["envVariables"]}
            home["settings"] = step["spec"].setdefault("settings", {}) if kind.image else {}
            home[setting.place][missed] = "x"
            (tmp_path / "step.yml").write_text(json.dumps({"step": step}))
            with pytest.raises(BuildPushError, match=f"'{missed}'"):
                buildpush.load("step.yml", cwd=tmp_path, env={})


# ---- connectors

LOGIN = {"username": "ci", "passwordRef": "token"}
CONNECTOR = {
    "type": "DockerRegistry",
    "name": "a",
    "identifier": "a",
    "spec": {
        "dockerRegistryUrl": "https://a.test",
        "providerType": "Other",
        "auth": {"type": "UsernamePassword", "spec": LOGIN},
    },
}
OF_ARTIFACTORY = {
    **CONNECTOR,
    "type": "Artifactory",
    "spec": {"artifactoryServerUrl": "https://a.test", "auth": CONNECTOR["spec"]["auth"]},
}
PLACES = {
    "the connector": (),
    "DockerRegistry": ("spec",),
    "Artifactory": ("spec",),
    "auth": ("spec", "auth"),
    "auth.spec": ("spec", "auth", "spec"),
}
OTHERS = {
    "type": "Anonymous",
    "dockerRegistryUrl": "https://b.test",
    "artifactoryServerUrl": "https://b.test",
    "providerType": "Harbour",
    "auth": {"type": "Anonymous"},
    "spec": {},
    "usernameRef": "user",
    "tags": {"a": "b"},
}
_PEOPLE = "it is for people who read the file"
_OF_HARNESS = (
    "it says where in Harness the connector belongs; its scope counts only beside others of the same identifier"
)
QUIET = {
    "name": _PEOPLE,
    "description": _PEOPLE,
    "tags": _PEOPLE,
    "accountIdentifier": _OF_HARNESS,
    "ignoreTestConnection": "it is about a button of Harness, and nothing here tests a connection unasked",
}


def connectors_of(directory, entry, **top):
    path = directory / "connectors.yml"
    path.write_text(json.dumps({"connectors": [{"connector": entry}], "secrets": {"token": "env:T"}, **top}))
    [found] = read_connectors(path).entries
    return found.identifier, found.url, found.scope, found.password is None, found.username, found.notes


def unchanged(place):
    return OF_ARTIFACTORY if place == "Artifactory" else CONNECTOR


def changed(place, key, value):
    entry = copy.deepcopy(unchanged(place))
    home = entry
    for step in PLACES[place]:
        home = home[step]
    home[key] = value
    return entry


def is_silent(directory, place, key):
    try:
        before = connectors_of(directory, unchanged(place))
        return connectors_of(directory, changed(place, key, OTHERS.get(key, "other"))) == before
    except BuildPushError:
        return False


def test_every_field_of_a_connector_counts_or_is_refused_or_named(tmp_path):
    fields = [(place, key) for place, keys in _KEYS.items() for key in keys]
    silent = {key for place, key in fields if is_silent(tmp_path, place, key)}
    # That of a password is followed when it is needed.
    assert silent == QUIET.keys() | {"passwordRef"}


@pytest.mark.parametrize("place", PLACES)
def test_a_field_that_is_nearly_one_of_a_connector_is_refused(tmp_path, place):
    for missed in {missed for key in _KEYS[place] for missed in near(key)} - _KEYS[place]:
        with pytest.raises(BuildPushError, match=missed):
            connectors_of(tmp_path, changed(place, missed, "x"))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"connectors": {"connector": CONNECTOR}}, "connectors must be a list"),
        ({"connectors": [], "secrets": ["token"]}, "secrets must be a map"),
        ({"connectors": [{"connector": CONNECTOR, "secrets": {}}]}, "unknown key 'secrets' beside connector"),
        ({"connectors": [changed("auth", "type", "Anonymous")]}, "username has no effect"),
        ({"connectors": [changed("auth.spec", "usernameRef", "x")]}, "username and usernameRef are both given"),
    ],
)
def test_what_of_a_connectors_file_would_not_be_read_is_refused(tmp_path, document, words):
    path = tmp_path / "connectors.yml"
    path.write_text(json.dumps(document))
    with pytest.raises(BuildPushError, match=words):
        read_connectors(path)


# ---- places to look things up


def step_of(**settings):
    written = {name: WrittenValue(value, Origin("file", "step.yml", "")) for name, value in settings.items()}
    return Loaded((Step("a", "a", BUILD.type, written, "step.yml"),))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, {"connectors", "secrets"}),
        ({"tags": ["<+pipeline.variables.region>"]}, {"connectors", "secrets"}),
        ({"password": "secret:token"}, set()),
        ({"labels": {"a": '<+secrets.getValue("token")>'}}, set()),
        ({"connector_ref": "jfrog"}, set()),
    ],
)
def test_a_place_to_look_things_up_that_no_step_asks_is_named(tmp_path, settings, named):
    notes = with_lookup_notes(step_of(**settings), (), tmp_path, tmp_path / "connectors.yml").notes
    assert {one for one in ("connectors", "secrets") if any(f"{one} has" in note for note in notes)} == named


# ---- variables that nothing asks for

ASKING = """
pipeline:
  name: Site
  identifier: site
  variables:
    - {name: region, type: String, value: <+input>}
    - {name: stamp, type: String, value: "<+pipeline.variables.prefix>-1"}
  stages:
    - stage:
        identifier: build
        variables:
          - {name: heat, type: String, value: high}
        when: {pipelineStatus: Success, condition: <+pipeline.variables.go> == "yes"}
        spec:
          execution:
            steps:
              - step:
                  type: Run
                  identifier: test
                  spec: {command: "make <+stage.variables.goal>", shell: <+input>}
              - step:
                  type: BuildAndPushDockerRegistry
                  identifier: push
                  timeout: <+input>
                  spec:
                    repo: r.example.com/a
                    tags: ["<+codebase.shortCommitSha>", "<+input>"]
                    labels: {a: '<+pipeline.variables["odd-name"]>', b: <+test.get("x")>}
                    buildArgs: {FLOUR: <+input>.default(<+variable.account.flour>)}
                  strategy: {matrix: {os: <+input>}}
              - step:
                  type: BuildAndPushDockerRegistry
                  identifier: other
                  spec:
                    repo: <+execution.steps.test.output.outputVariables.image>
                    tags: [<+trigger.prNumber>]
                    envVariables: {PLUGIN_BUILD_ARGS: <+input>, PLUGIN_TARGET: <+pipeline.variables.target.trim()>}
    - stage:
        identifier: deploy
        spec:
          execution:
            steps:
              - step:
                  type: BuildAndPushDockerRegistry
                  identifier: last
                  spec: {repo: r, tags: ["<+pipeline.variables.<+matrix.os>>"], dockerfile: <+input>}
                  when: {stageStatus: Success, condition: stage.variables.late == "1"}
"""
ASKED_FOR = [
    *("region", "pipeline.variables.region", "prefix", "go", "goal", "heat", "timeout", "tags", "buildArgs.FLOUR"),
    *("account.flour", "variable.account.flour", "odd-name", "test.x", "strategy.matrix.os", "buildArgs", "target"),
    *("execution.steps.test.output.outputVariables.image", "matrix.os", "dockerfile", "late", "shell"),
    *("codebase.commitSha", "codebase.shortCommitSha", "codebase.prNumber", "trigger.prNumber"),
    *("pipeline.triggerType", "pipeline.name", "pipeline.sequenceId", "stage.variables.late"),
]
NOT_ASKED_FOR = {
    "regoin": "did you mean region?",
    "codebase.commitSah": "did you mean codebase.commitSha",
    "codebase.repoUrl": "",
    "buildArgs.FLUOR": "did you mean buildArgs.FLOUR?",
    "stage.variables.region2": "did you mean stage.variables.",
    "branch": "",
    "trim": "",
    "zzzzzz": "give one of ",
}


def asking(tmp_path, text=ASKING, **chosen):
    (tmp_path / "step.yml").write_text(text)
    return read(Path("step.yml"), env={}, flags={}, keywords={}, cwd=tmp_path, **{"step": None, **chosen})


@pytest.mark.parametrize("name", ASKED_FOR)
def test_a_variable_that_anything_in_the_file_asks_for_is_fine(tmp_path, name):
    text = ASKING.replace("value: high", "value: <+input>") if name == "heat" else ASKING
    if "late" in name:
        check_variables(asking(tmp_path, text, stage="build"), [name])
    else:
        check_variables(asking(tmp_path, text), [name])
    check_variables(asking(tmp_path, text, step="other"), [name])


@pytest.mark.parametrize(("name", "hint"), NOT_ASKED_FOR.items())
def test_a_variable_that_nothing_asks_for_is_refused(tmp_path, name, hint):
    text = ASKING.replace("<+pipeline.variables.<+matrix.os>>", "x")
    with pytest.raises(SettingsError, match=re.escape(f"nothing uses the variable '{name}'")) as caught:
        check_variables(asking(tmp_path, text), ["region", name])
    assert hint in caught.value.hint


def test_where_the_name_is_computed_any_variable_may_be_asked_for(tmp_path):
    check_variables(asking(tmp_path), ["zzzzzz", "pipeline.variables.z"])
    with pytest.raises(SettingsError):
        check_variables(asking(tmp_path), ["codebase.z"])


def test_settings_outside_the_file_and_other_texts_ask_as_well(tmp_path):
    loaded = step_of(tags=["<+pipeline.variables.a>"], auto_label="true")
    check_variables(loaded, ["a", "codebase.repoUrl"])
    check_variables(loaded, ["b"], "<+pipeline.variables.b>")
    with pytest.raises(SettingsError, match=r"'codebase.branch'"):
        check_variables(loaded, ["codebase.branch"])
