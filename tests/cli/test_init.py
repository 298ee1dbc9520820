"""The files of a first build: asked for, written, and accepted by check."""

from __future__ import annotations

import io
import json

import pytest

from buildpush.cli import run_command
from buildpush.reference.schema import schema

PLACES = {
    "github": ".github/workflows/image.yml",
    "gitlab": ".gitlab-ci.yml",
    "jenkins": "Jenkinsfile",
    "drone": ".drone.yml",
    "harness": "harness-run.yml",
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    directory = tmp_path / "My Shop"
    directory.mkdir()
    (directory / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    monkeypatch.chdir(directory)
    monkeypatch.setenv("JFROG_TOKEN", "t")
    return directory


def files(place):
    return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()} - {"Dockerfile"}


@pytest.mark.programs
@pytest.mark.parametrize("system", PLACES)
def test_check_accepts_what_is_written(place, capsys, system):
    assert run_command(["init", "--registry", "b.test", "--ci", system, "--username", "me", "--yes"]) == 0
    assert files(place) == {"step.yml", "connectors.yml", "step.schema.json", PLACES[system]}
    assert run_command(["check", "step.yml", "--connectors", "connectors.yml", "--engine", "native"]) == 0
    assert "b.test/docker-local/my-shop" in capsys.readouterr().out
    assert "acme" not in "".join((place / name).read_text() for name in files(place) - {"step.schema.json"})
    assert "username: me" in (place / "connectors.yml").read_text()


def test_the_ci_system_whose_files_are_there_is_offered(place):
    (place / "Jenkinsfile.old").touch()
    (place / ".github").mkdir()
    assert run_command(["init", "--registry", "b.test", "--yes"]) == 0
    assert PLACES["github"] in files(place)


def test_an_editor_finds_the_schema_of_the_step(place):
    assert run_command(["init", "--registry", "b.test", "--yes"]) == 0
    first = (place / "step.yml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=step.schema.json"
    assert json.loads((place / "step.schema.json").read_text()) == json.loads(json.dumps(schema("step")))


def test_a_schema_that_is_there_is_left_alone(place):
    (place / "step.schema.json").write_text("{}")
    assert run_command(["init", "--registry", "b.test", "--yes"]) == 0
    assert (place / "step.schema.json").read_text() == "{}"


@pytest.mark.parametrize(("system", "asks"), [("github", True), ("none", False)])
def test_what_comes_next_names_what_the_ci_system_has_to_have(place, capsys, system, asks):
    assert run_command(["init", "--registry", "b.test", "--ci", system, "--yes"]) == 0
    following = capsys.readouterr().err.partition("next:\n")[2]
    assert "buildpush check step.yml" in following
    assert ("JFROG_TOKEN as a secret" in following) is asks
    assert ("PIP_INDEX_URL" in following) is asks


def test_nothing_is_overwritten_and_then_nothing_is_written(place, capsys):
    (place / "step.yml").write_text("mine")
    assert run_command(["init", "--registry", "b.test", "--ci", "drone", "--yes"]) == 2
    assert files(place) == {"step.yml"}
    assert (place / "step.yml").read_text() == "mine"
    assert "step.yml is there already" in capsys.readouterr().err


def test_without_a_terminal_a_missing_flag_is_an_error(place, capsys):
    assert run_command(["init", "--registry", "b.test"]) == 2
    assert "--repo is not given, and nobody can be asked" in capsys.readouterr().err
    assert files(place) == set()


def test_the_registry_has_no_default_but_that_of_jfrogs_variable(place, capsys, monkeypatch):
    assert run_command(["init", "--yes"]) == 2
    assert "set JF_URL" in capsys.readouterr().err
    monkeypatch.setenv("JF_URL", "http://localhost:8181/artifactory")
    assert run_command(["init", "--yes"]) == 0
    assert "dockerRegistryUrl: http://localhost:8181\n" in (place / "connectors.yml").read_text()


class Typed(io.StringIO):
    def isatty(self):
        return True


def test_a_person_is_asked_three_questions(place, monkeypatch):
    monkeypatch.setattr("sys.stdin", Typed("b.test\nteam/shop\ngitlab\n"))
    monkeypatch.setattr("sys.stderr", shown := Typed())
    assert run_command(["init"]) == 0
    assert shown.getvalue().count("]: ") + shown.getvalue().count("io: ") == 3
    assert "repo: team/shop" in (place / "step.yml").read_text()
    assert files(place) == {"step.yml", "connectors.yml", "step.schema.json", ".gitlab-ci.yml"}


def test_a_name_that_is_none_is_refused_before_anything_is_written(place, capsys):
    assert run_command(["init", "--registry", "b.test", "--repo", "UPPER", "--yes"]) == 2
    assert "lower case" in capsys.readouterr().err
    assert files(place) == set()
