"""A file of variables is read as Harness' plugins read it, and is the weakest of all that is around a step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import buildpush
from buildpush.credentials.vault import Vault
from buildpush.expressions.facts import Counter, Facts, Git
from buildpush.foundation.errors import SettingsError, SourceError, UnsupportedError
from buildpush.foundation.secrets import Secret
from buildpush.places import CommandResult, Recorded
from buildpush.settings.env_file import variables_in
from buildpush.settings.evaluate import evaluate
from buildpush.settings.sources import read

LINES = {
    "A=1": "1",
    "export A=1": "1",
    "A: 1": "1",
    "A = 1  ": "1",
    "A=": "",
    "A= # nothing": "",
    "A=1 # one": "1",
    "A=1#2": "1#2",
    "A=#1": "#1",
    "A='1 # 2' # three": "1 # 2",
    r"A='a\nb $HOME'": r"a\nb $HOME",
    r'A="a\nb \"c\" \\"': 'a\nb "c" \\',
    'A="a\nb"': "a\nb",
    "A=a=b": "a=b",
    r"A=a\$B": "a$B",
    "A=pa$sword": "pa$sword",
    "A=1\r\n": "1",
    "B=1\nA=${B}2$B": "121",
    "\n# first\n\n  A=1": "1",
}


@pytest.mark.parametrize("text", LINES)
def test_a_line_is_read_as_the_plugins_read_it(text):
    assert variables_in(text, ".env", [])["A"][0] == LINES[text]


BAD = {
    "A=1\nhunter2": ("this line does not set a variable", 2),
    "A=1\n-A=hunter2": ("this line does not set a variable", 2),
    "\nA='hunter2": ("a quotation mark is not closed", 2),
    'A="hunter2" more': ("there is text after", 1),
    "A=hunter2\nB=hunter2$HUNTER": ("no line above sets", 2),
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_line_is_an_error_with_its_place_and_without_its_text(text):
    message, line = BAD[text]
    with pytest.raises(SourceError, match=message) as caught:
        variables_in(text, ".env", [])
    assert caught.value.where == f".env:{line}"
    assert "hunter2" not in f"{caught.value} {caught.value.hint}".lower()


def test_a_variable_that_is_set_twice_is_named():
    notes = []
    assert variables_in("A=1\n\nA=2", ".env", notes) == {"A": ("2", ".env:3")}
    assert notes == [".env:1: A has no effect: .env:3 sets it again"]


# ---- what it sets


def load(directory, env_file, *, env=None, stage=None, **variables):
    (directory / "build.env").write_text(env_file)
    spec = {"repo": "h.test/a/b", "envVariables": {"PLUGIN_ENV_FILE": "build.env", **variables}}
    step = {"type": "BuildAndPushDockerRegistry", "spec": spec}
    around = [{"name": name, "value": text} for name, text in (stage or {}).items()]
    document = {"stage": {"variables": around, "spec": {"execution": {"steps": [{"step": step}]}}}}
    (directory / "stage.yml").write_text(json.dumps(document))
    return read(Path("stage.yml"), env=env or {}, flags={}, keywords={}, cwd=directory, step=None)


def typed(loaded, directory, env=None):
    vault = Vault(env or {}, directory, None, {})
    git = Git(Recorded(lambda _: CommandResult(128)), directory)
    facts = Facts(env or {}, git, Counter(directory / "state", dry=True), 0.0, vault.secret)
    return evaluate(loaded.steps[0], facts)


def test_it_is_weaker_than_the_step_the_stage_and_the_environment(tmp_path):
    lines = "PLUGIN_TAGS=file\nPLUGIN_TARGET=file\nPLUGIN_CONTEXT=file\nPLUGIN_DOCKERFILE=file"
    around = {"env": {"PLUGIN_CONTEXT": "env"}, "stage": {"PLUGIN_TARGET": "stage"}, "PLUGIN_TAGS": "step"}
    settings = typed(load(tmp_path, lines, **around), tmp_path)
    found = (settings.tags, settings.target, settings.context, settings.dockerfile)
    assert found == (("step",), "stage", "env", "file")


def test_its_password_is_a_secret_with_a_place(tmp_path):
    loaded = load(tmp_path, "# login\nPLUGIN_USERNAME=ci\nPLUGIN_PASSWORD=a-planted-word")
    written = loaded.steps[0].settings["password"]
    assert isinstance(written.value, Secret)
    assert (written.value.source, written.origin.where) == ("build.env:3", "build.env:3")
    assert "a-planted-word" not in repr(written)


def test_a_build_secret_and_a_build_argument_are_found_in_it(tmp_path):
    lines = "TOKEN=a-planted-token\nGRAIN=fine\nOTHER=1"
    more = {"PLUGIN_SECRETS_FROM_ENV": "tok=TOKEN", "PLUGIN_BUILD_ARGS_FROM_ENV": "GRAIN"}
    loaded = load(tmp_path, lines, **more)
    settings = typed(loaded, tmp_path)
    assert settings.env_docker_secrets["tok"].reveal() == "a-planted-token"
    assert settings.build_args["GRAIN"] == "fine"
    [note] = [note for note in loaded.notes if "build.env" in note]
    assert note.startswith("build.env:3: OTHER has no effect")


def test_it_is_read_without_a_step_file(tmp_path):
    (tmp_path / "build.env").write_text("PLUGIN_REPO=h.test/a/b\nPLUGIN_TAGS=1,2\n")
    env = {"PLUGIN_ENV_FILE": "build.env", "PLUGIN_TAGS": "3"}
    loaded = read(None, env=env, flags={}, keywords={}, cwd=tmp_path, step=None)
    settings = typed(loaded, tmp_path)
    assert (settings.repo, settings.tags) == ("h.test/a/b", ("3",))


def test_it_may_be_named_by_the_stage(tmp_path):
    loaded = load(tmp_path, "PLUGIN_TAGS=file", stage={"PLUGIN_ENV_FILE": "build.env"}, PLUGIN_ENV_FILE="")
    assert typed(loaded, tmp_path).tags == ("file",)


def test_a_var_that_names_another_file_is_refused_as_that_was_not_read(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    load(tmp_path, "", stage={"PLUGIN_ENV_FILE": "build.env"}, PLUGIN_ENV_FILE="")
    with pytest.raises(SettingsError, match=r"was read as env_file, and not the 'other\.env'") as caught:
        buildpush.check("stage.yml", cwd=tmp_path, env={}, variables={"PLUGIN_ENV_FILE": "other.env"}, engine="native")
    assert "--env-file" in caught.value.hint or "env_file=" in caught.value.hint


def test_what_it_sets_has_the_verdicts_of_variables(tmp_path):
    with pytest.raises(UnsupportedError, match="PLUGIN_BAKE_FILE") as caught:
        load(tmp_path, "\nPLUGIN_BAKE_FILE=x")
    assert caught.value.where == "build.env:2"
    with pytest.raises(SourceError, match="unknown variable 'PLUGIN_TGAS'"):
        load(tmp_path, "PLUGIN_TGAS=x")
    notes = load(tmp_path, "PLUGIN_COMPRESS=true\nPLUGIN_URL=https://h.test").notes
    assert any(note.startswith("build.env:1: PLUGIN_COMPRESS has no effect") for note in notes)
    assert any(note.startswith("build.env:2: PLUGIN_URL has no effect") for note in notes)


def test_a_password_in_a_file_of_the_environment_does_not_follow_a_host_of_the_step_file(tmp_path):
    """Whoever wrote the step file did not name the file of variables, and must not get what is in it."""
    (tmp_path / "my.env").write_text("PLUGIN_USERNAME=ci\nPLUGIN_PASSWORD=a-planted-word")
    step = {"type": "BuildAndPushDockerRegistry", "spec": {"repo": "evil.test/a"}}
    (tmp_path / "step.yml").write_text(json.dumps({"step": step}))
    env = {"PLUGIN_ENV_FILE": "my.env"}
    loaded = read(Path("step.yml"), env=env, flags={}, keywords={}, cwd=tmp_path, step=None)
    assert loaded.steps[0].settings["password"].origin.kind == "variable"


@pytest.mark.parametrize(
    ("path", "message"), [("nowhere.env", "cannot be read"), ("<+env.X>.env", "before expressions have a value")]
)
def test_a_file_of_variables_that_cannot_be_read_is_an_error(tmp_path, path, message):
    with pytest.raises(SettingsError, match=message):
        load(tmp_path, "", PLUGIN_ENV_FILE=path)
