"""With --json, every command prints one document, also when it fails."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click
import pytest

from buildpush.cli import group, run_command
from buildpush.foundation import errors

pytestmark = pytest.mark.sandbox

IMAGE = "{host}/docker-local/app:1 --username nobody --password env:WRONG"
SERVER = "--artifactory-url http://{host}/artifactory --username nobody --password env:WRONG"
# A command line for each command with --json, and the family of its failure.
FAILURES = {
    "run": ("run missing.yml", "SourceError"),
    "plugin": ("plugin --like nothing", "SourceError"),
    "check": ("check missing.yml", "SourceError"),
    "explain": ("explain nothing-like-it", "SettingsError"),
    "build": ("build --context missing", "SettingsError"),
    "push": (f"push oci:missing {IMAGE}", "AuthenticationError"),
    "copy": ("copy oci:missing oci:copied", "PushError"),
    "merge": (f"merge {IMAGE} oci:missing", "AuthenticationError"),
    "tag": (f"tag {IMAGE} 2", "AuthenticationError"),
    "upload": (f"upload missing generic-local/ {SERVER}", "SettingsError"),
    "download": (f"download generic-local/ {SERVER}", "AuthenticationError"),
    "verify": (f"verify {IMAGE}", "AuthenticationError"),
    "record": ("record missing.ipynb", "SourceError"),
    "build-info publish": ("build-info publish missing.json", "SourceError"),
    "build-info add": ("build-info add missing.json --build-name app --build-number 1", "SourceError"),
    "build-info collect": (f"build-info collect app:1 --build-name app {SERVER}", "SettingsError"),
    "build-info show": (f"build-info show app 1 {SERVER}", "AuthenticationError"),
    "build-info list": ("build-info list", "SettingsError"),
    "build-info diff": (f"build-info diff app 1 {SERVER}", "AuthenticationError"),
    "build-info promote": (f"build-info promote app 1 docker-release {SERVER}", "AuthenticationError"),
    "build-info discard": (f"build-info discard app {SERVER}", "SettingsError"),
    "build-info delete": (f"build-info delete app 1 {SERVER}", "AuthenticationError"),
    "doctor": ("doctor missing.log", "SourceError"),
}


def commands(of: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name in of.list_commands(click.Context(of)):
        command = of.get_command(click.Context(of), name)
        yield from commands(command, f"{name} ") if isinstance(command, click.Group) else [(f"{path}{name}", command)]


def test_every_command_with_json_is_made_to_fail_below():
    takes_json = {path for path, command in commands(group) if any("--json" in one.opts for one in command.params)}
    assert takes_json == set(FAILURES)


@pytest.fixture
def failed(tmp_path, box, monkeypatch, capsys):
    """Return a function that gives the error in the document of a command line that fails, and its stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WRONG", "a wrong password")

    def document(words):
        code = run_command([*(word.format(host=box.host) for word in words), "--json"])
        shown = capsys.readouterr()
        error = json.loads(shown.out)["error"]
        assert error["exit"] == code != 0
        return error, shown.err

    return document


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_one_document_that_says_what_stderr_says(failed, name):
    line, family = FAILURES[name]
    error, said = failed(line.split())
    assert error["family"] == family
    assert f"error: {error['message']}" in said
    assert (f"hint: {error['hint']}" in said) == (error["hint"] is not None)
    assert (f"read: buildpush explain {error['setting']}" in said) == (error["setting"] is not None)
    assert issubclass(getattr(errors, family), errors.BuildPushError)


@pytest.mark.parametrize("name", FAILURES)
def test_a_command_that_is_typed_wrongly_is_told_in_the_document(failed, name):
    error, _ = failed([*name.split(), "--zyxw"])
    assert error == {
        "family": "SettingsError",
        "message": "there is no option --zyxw",
        "hint": error["hint"],
        "setting": None,
        "exit": 2,
    }
    assert "--help lists them" in error["hint"]


def test_an_error_that_is_none_of_ours_has_the_same_keys(failed, monkeypatch):
    def fail(*_args, **_kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr("buildpush.reference.explain.overview", fail)
    error, said = failed(["explain"])
    assert "please report it" in said
    assert error == {
        "family": "BuildPushError",
        "message": "ZeroDivisionError: ",
        "hint": None,
        "setting": None,
        "exit": 1,
    }


def test_without_json_a_failure_prints_nothing_on_stdout(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command(["doctor", "missing.log"]) == 2
    assert capsys.readouterr().out == ""
