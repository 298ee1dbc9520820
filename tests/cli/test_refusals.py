"""What is refused, with which exit code, and what has happened by then."""

from __future__ import annotations

import errno
import json
import os
import re

import pytest

from buildpush.cli import run_command
from buildpush.foundation import documents
from buildpush.foundation.limits import _Limit
from buildpush.foundation.secrets import Secret
from buildpush.http import client, retry
from tests.cli.conftest import STEP

BUILD = {"name": "shop", "number": "7", "started": "2026-01-01T00:00:00.000+0000", "version": "1.0.1", "modules": []}


pytestmark = pytest.mark.programs  # git is asked for the revision


def test_two_steps_cannot_both_have_standard_input(project, capsys):
    item = "- " + STEP.replace("\n", "\n  ").rstrip(" ")
    project.write("step.yml", f"steps:\n{item}{item.replace('identifier: push', 'identifier: again')}")
    assert project.run("--context", "-") == 2
    assert "which can be read only once" in capsys.readouterr().err


def test_a_wrong_password_ends_before_the_build_and_says_where_it_came_from(project, capsys, monkeypatch):
    monkeypatch.setenv("BUILDPUSH_SECRET_SANDBOX_PASSWORD", "wrong-password-123")
    assert project.run() == 5
    shown = capsys.readouterr()
    assert project.box.host in shown.err
    assert "connector sandbox" in shown.err
    assert "build:" not in shown.err
    assert "wrong-password-123" not in shown.out + shown.err


def test_a_missing_secret_is_named_with_who_was_asked(project, capsys, monkeypatch):
    monkeypatch.delenv("BUILDPUSH_SECRET_SANDBOX_PASSWORD")
    assert project.run() == 2
    shown = capsys.readouterr().err
    assert "connectors.yml:12:26: there is no secret with the identifier given here" in shown
    assert "BUILDPUSH_SECRET_<ID> is not set" in shown


def test_a_password_in_place_of_its_identifier_is_shown_nowhere(project, capsys):
    text = (project.directory / "connectors.yml").read_text(encoding="utf-8")
    project.write("connectors.yml", text.replace("sandbox_password", "Hunter2plain"))
    assert project.run("--json") == 2
    assert run_command(["check", "step.yml", "--connectors", "connectors.yml"]) == 2
    shown = capsys.readouterr()
    assert "hunter2plain" not in (shown.out + shown.err).lower()
    assert "connectors.yml:12:26" in shown.err


@pytest.mark.parametrize("words", [["show", "shop", "7"], ["publish", "build.json"]])
@pytest.mark.parametrize("flag", ["--password", "--artifactory-token"])
def test_a_secret_typed_as_a_flag_is_refused_and_not_repeated(project, capsys, words, flag):
    project.write("build.json", json.dumps(BUILD))
    server = ["--artifactory-url", project.box.artifactory_url, "--username", "me"]
    assert run_command(["build-info", *words, *server, flag, "HmFf7plain"]) == 2
    shown = capsys.readouterr()
    assert f"{flag}: the secret is given as plain text" in shown.err
    assert "hmff7plain" not in (shown.out + shown.err).lower()
    assert not project.box.requests


def test_a_registry_that_goes_away_in_the_middle_moves_no_tag(project, capsys):
    fast = retry.Retries(attempts=2, base=0.01, cap=0.02)
    project.box.add_fault("PATCH", r"/v2/.*", status=500, times=1000)
    project.box.add_fault("POST", r"/v2/.*", status=500, times=1000)
    project.monkeypatch.setattr(client, "Retries", lambda: fast)
    assert project.run() == 4
    assert project.box.tags("docker-local/site") == []
    assert "error:" in capsys.readouterr().err


def test_a_refused_build_info_leaves_the_image_and_the_command_that_finishes_it(project, capsys, monkeypatch):
    project.box.add_fault("PUT", r"/artifactory/api/build.*", status=400, times=1000)
    assert project.run("--build-name", "shop", "--build-number", "7") == 6
    shown = capsys.readouterr().err
    assert project.box.tags("docker-local/site") == ["7", "latest"]
    project.box.clear_faults()
    words = re.search(r"buildpush (build-info publish .*)", shown)[1].strip().rstrip(".").split()
    assert project.box.username in words
    monkeypatch.setenv("FINISH", project.box.password.reveal())
    words += ["--password", "env:FINISH"]
    assert run_command([word.strip("'`") for word in words]) == 0
    assert [build["number"] for build in project.box.builds("shop")] == ["7"]


@pytest.mark.parametrize(
    ("file", "code", "said"),
    [
        ("missing.yml", 2, "missing.yml"),
        ("other.yml", 2, "does not have a step"),
    ],
)
def test_a_file_without_a_step_of_ours_is_an_error(project, capsys, file, code, said):
    project.write("other.yml", "step:\n  type: Run\n  name: tests\n  identifier: tests\n  spec:\n    command: make\n")
    assert run_command(["run", file]) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--tags", "a b"], "is not a tag"),
        (["--tags", "-rf"], "is not a tag"),
        (["--repo", "docker-local/Site"], "lower case"),
        (["--label", "a=b\nc"], "line"),
        (["--dockerfile", "Nope"], "Nope"),
        (["--dockerfile", "../Dockerfile"], "Dockerfile"),
        (["--tags", "<+pipeline.sequenceIdd>"], "sequenceId"),
        (["--engine", "make"], "make"),
    ],
)
def test_bad_settings_are_exit_2_with_a_hint_and_touch_no_host(project, capsys, flags, said):
    assert project.run(*flags) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert "Traceback" not in shown
    assert not project.box.requests


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM scratch\nCOPPY a /a\n", "Dockerfile:2"),
        ("FROM scratch\nCOPY nope /a\n", "nope"),
        ("FROM scratch\nRUN make\n", "docker"),
    ],
)
def test_bad_dockerfiles_are_exit_3_and_name_the_line(project, capsys, text, said):
    project.dockerfile(text)
    assert project.run() == 3
    shown = capsys.readouterr().err
    assert said in shown
    assert project.box.tags("docker-local/site") == []


def test_a_copy_that_dockerignore_hides_says_so(project, capsys):
    project.write(".dockerignore", "public\n")
    assert project.run() == 3
    assert ".dockerignore" in capsys.readouterr().err


def test_a_link_that_leaves_the_context_is_refused(project, capsys):
    (project.directory / "public" / "out").symlink_to("/etc")
    project.dockerfile("FROM scratch\nCOPY public/out/passwd /p\n")
    assert project.run() == 3
    shown = capsys.readouterr().err
    assert "Dockerfile:2" in shown
    assert "public/out" in shown
    assert not project.box.tags("docker-local/site")


def test_a_dockerfile_outside_the_context_is_refused(project, capsys):
    (project.directory.parent / "Elsewhere").write_text("FROM scratch\n", encoding="utf-8")
    assert project.run("--dockerfile", "../Elsewhere") == 2
    assert "is outside the context" in capsys.readouterr().err
    assert not project.box.requests


def test_a_step_file_that_may_not_be_read_is_an_error(project, capsys, monkeypatch):
    """Root may read every file, so the system's answer is played."""

    def refused(path, _name):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(documents, "_open", refused)
    assert project.run() == 2
    shown = capsys.readouterr().err
    assert "step.yml" in shown
    assert "Permission denied" in shown


def test_a_missing_docker_socket_is_exit_2_with_remedies(project, capsys, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{project.directory}/nobody.sock")
    assert project.run("--engine", "docker") == 2
    assert "DOCKER_HOST" in capsys.readouterr().err


def test_strict_turns_a_note_into_a_refusal(project, capsys, monkeypatch):
    monkeypatch.setenv("PLUGIN_NO_SUCH_SETTING", "1")
    assert project.run("--strict") == 7
    assert not project.box.tags("docker-local/site")


def test_strict_refuses_a_trap_in_the_dockerfile_before_anything_is_built_or_asked(project, capsys):
    project.dockerfile("FROM scratch\nWORKDIR me\nCOPY public/ /www/\n")
    assert project.run("--strict") == 7
    shown = capsys.readouterr().err
    assert "Dockerfile:2: WorkdirRelativePath" in shown
    assert "build" not in [line.partition(":")[0] for line in shown.splitlines()]
    assert not project.box.requests


def test_a_trap_in_the_dockerfile_is_a_note_of_run_and_check(project, capsys):
    project.dockerfile("FROM scratch\nWORKDIR me\nCOPY public/ /www/\n")
    assert project.run("--json") == 0
    [step] = json.loads(capsys.readouterr().out)["steps"]
    assert any(note.startswith("Dockerfile:2: WorkdirRelativePath") for note in step["notes"])
    assert run_command(["check", "step.yml", "--connectors", "connectors.yml"]) == 0
    assert re.search(r"^note +Dockerfile:2: WorkdirRelativePath", capsys.readouterr().out, re.MULTILINE)


def test_a_dockerfile_that_asks_to_be_refused_is_exit_7(project, capsys):
    project.dockerfile("# check=error=true\nFROM scratch\nWORKDIR me\nCOPY public/ /www/\n")
    assert project.run() == 7
    assert "error=true" in capsys.readouterr().err
    assert not project.box.requests


def test_strict_refuses_an_engines_note_before_the_push(project, capsys):
    assert project.run("--strict", "--build-arg", "NOBODY=asks") == 7
    assert "NOBODY" in capsys.readouterr().err
    assert not project.box.tags("docker-local/site")


def test_a_time_out_is_exit_124_and_moves_no_tag(project, monkeypatch):
    """The shortest timeout that can be said is 10 s."""
    monkeypatch.setattr("buildpush.foundation.limits._Limit", lambda _seconds: _Limit(1.0))
    project.box.add_fault("POST", r"/v2/.*", delay=4, times=1)
    project.write("step.yml", STEP.replace("identifier: push\n", "identifier: push\n  timeout: 10s\n"))
    assert project.run() == 124
    assert project.box.tags("docker-local/site") == []


def test_a_mistake_of_ours_is_reported_without_its_secrets(capsys, monkeypatch):
    def fail(*_args, **_kwargs):
        raise ZeroDivisionError(Secret("planted-4711").reveal())

    monkeypatch.setattr("buildpush.reference.explain.overview", fail)
    assert run_command(["explain"]) == 1
    shown = capsys.readouterr().err
    assert "please report it" in shown
    assert "planted-4711" not in shown
