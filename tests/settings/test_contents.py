"""What a file holds, listed: each stage, group and step with its place, and whether it is run here."""

from __future__ import annotations

import json

import pytest

import buildpush
from buildpush.cli import run_command
from buildpush.foundation.errors import SourceError
from tests.settings.test_tree import PIPELINE


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yml").write_text(PIPELINE, encoding="utf-8")
    return "p.yml"


def test_all_that_is_in_a_file_is_listed_with_its_place(file):
    assert [(one.kind, one.identifier, one.type, one.depth, one.runs) for one in buildpush.list_pipeline(file)] == [
        ("pipeline", "shop", "", 0, True),
        ("stage", "api", "CI", 1, True),
        ("group", "images", "", 2, True),
        ("step", "test", "Run", 3, False),
        ("step", "build", "BuildAndPushDockerRegistry", 3, True),
        ("step", "back", "rollback BuildAndPushDockerRegistry", 3, False),
        ("stage", "web", "", 1, False),
        ("step", "", "stage of the template org.web", 2, False),
    ]
    assert buildpush.list_pipeline(file)[3].where == "p.yml:28:33"


def test_what_is_chosen_is_what_is_listed_as_run(file):
    (only,) = [
        one for one in buildpush.list_pipeline(file, stage="api", step="build") if one.kind == "step" and one.runs
    ]
    assert only.identifier == "build"


def test_a_file_of_which_nothing_is_run_is_listed_all_the_same(tmp_path):
    (tmp_path / "p.yml").write_text("steps: [{step: {type: Run, identifier: a}}]", encoding="utf-8")
    (only,) = buildpush.list_pipeline("p.yml", cwd=tmp_path)
    assert str(only) == "not run  step a (Run) p.yml:1:16"


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_command_lists_a_file_and_reads_no_setting(file, command, capsys):
    assert run_command([command, file, "--list"]) == 0
    out, err = capsys.readouterr()
    assert "run            step build (BuildAndPushDockerRegistry) p.yml:30:29\n" in out
    assert err.splitlines() == [
        "note: p.yml:35:60: the template org.web was not found: name the directory of its file with --templates"
    ]
    assert run_command([command, file, "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["contents"][4]["identifier"] == "build"


@pytest.mark.parametrize("more", [["--tags=1"], ["--var=a=b"], ["--no-push"]])
def test_a_list_is_refused_with_options_that_it_has_no_use_for(file, more, capsys):
    assert run_command(["run", file, "--list", *more]) == 2
    assert "beside --list, give only FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("chosen", "words", "way"),
    [
        ({"step": "test"}, r"p\.yml:28:33: Run 'Tests' .* is not run here", "--list"),
        ({"stage": "web"}, "nothing in the stage 'web' is run here, only stage of the template org.web", "templates="),
    ],
)
def test_what_is_not_run_here_cannot_be_chosen(file, chosen, words, way):
    with pytest.raises(SourceError, match=words) as caught:
        buildpush.load(file, **chosen)
    assert way in caught.value.hint


def test_a_step_whose_template_was_not_found_keeps_its_own_identifier(tmp_path):
    """Under the name of the template, neither --step nor an expression would find it."""
    web = "{step: {name: Web, identifier: web, template: {templateRef: org.push}}}"
    text = f"steps: [{web}, {{step: {{type: BuildAndPushDockerRegistry, identifier: api}}}}]"
    (tmp_path / "p.yml").write_text(text, encoding="utf-8")
    first, _ = buildpush.list_pipeline("p.yml", cwd=tmp_path)
    assert str(first) == "not run  step web (step of the template org.push) p.yml:1:16"
    with pytest.raises(SourceError, match=r"step of the template org\.push 'Web' .* is not run here") as caught:
        buildpush.load("p.yml", cwd=tmp_path, step="web")
    assert "templates" in caught.value.hint


def test_a_step_whose_template_was_not_found_may_have_no_name(tmp_path):
    (tmp_path / "p.yml").write_text("steps: [{step: {template: {templateRef: org.push}}}]", encoding="utf-8")
    (only,) = buildpush.list_pipeline("p.yml", cwd=tmp_path)
    assert str(only) == "not run  step org.push (template) p.yml:1:16"
