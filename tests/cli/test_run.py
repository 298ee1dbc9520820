"""A run from the command line, on a sandbox."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time

import pytest

from buildpush import run
from buildpush.cli import run_command
from tests.cli.conftest import STEP

pytestmark = pytest.mark.programs  # git is asked for the revision


def test_a_run_pushes_every_tag_and_prints_what_the_registry_has(project, capsys):
    assert project.run() == 0
    shown = capsys.readouterr()
    digest = re.search(r"^digest +(\S+)$", shown.out, re.MULTILINE)[1]
    assert project.box.tags("docker-local/site") == ["7", "latest"]
    assert project.box.digest("docker-local/site", "7") == digest
    assert project.box.digest("docker-local/site", "latest") == digest


def test_a_run_publishes_a_build_that_names_the_pushed_files(project, capsys):
    assert project.run("--build-name", "shop", "--build-number", "7") == 0
    [build] = project.box.builds("shop")
    assert build["number"] == "7"
    assert {module["id"] for module in build["modules"]} == {"site:7", "site:latest"}
    listed = {f"{artifact['path']}" for module in build["modules"] for artifact in module["artifacts"]}
    assert listed <= set(project.box.files())
    url = re.search(r"^build +(\S+)$", capsys.readouterr().out, re.MULTILINE)[1]
    assert url.startswith(f"{project.box.url}/ui/builds/shop/7/")


def test_layers_of_the_base_image_are_dependencies_of_the_build(project):
    assert project.run("--build-name", "base", "--build-number", "1") == 0
    project.dockerfile(f"FROM {project.box.host}/docker-local/site:7\nCOPY step.yml /\n")
    words = ["--build-name", "shop", "--build-number", "7", "--repo", f"{project.box.host}/docker-local/shop"]
    assert project.run(*words, "--tags", "1") == 0
    [module] = project.box.builds("shop")[0]["modules"]
    [base] = project.box.builds("base")[0]["modules"][:1]
    layers = {artifact["sha256"] for artifact in base["artifacts"]} & {file["sha256"] for file in module["artifacts"]}
    assert {file["sha256"] for file in module["dependencies"]} == layers
    [dependency] = module["dependencies"]
    assert dependency["id"] == f"sha256__{dependency['sha256']}"
    assert dependency["sha1"]
    assert "dependencies" not in base


@pytest.mark.parametrize("flag", ["--build-arg", "--label"])
@pytest.mark.parametrize("command", ["run", "check"])
def test_a_known_secret_does_not_go_into_the_image(project, monkeypatch, capsys, command, flag):
    """A shell has put it there; it is as readable as one that an expression gives."""
    monkeypatch.setenv("PLUGIN_PASSWORD", "planted-in-image")
    monkeypatch.setenv("PLUGIN_USERNAME", "somebody")
    words = ["--repo", f"{project.box.host}/docker-local/site", flag, "T=planted-in-image"]
    assert run_command([command, *words]) == 2
    shown = capsys.readouterr().err
    assert "T holds a secret, which would be readable" in shown
    assert "planted" not in shown
    assert not project.box.requests


def test_a_user_without_a_home_can_push(project, monkeypatch, tmp_path, capsys):
    """In clusters a container often runs as a number that no file knows."""

    def nobody(number):
        raise KeyError(number)

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    assert project.run() == 0
    assert "remembered" not in capsys.readouterr().err
    assert not (tmp_path / "~").exists()
    assert (tmp_path / "scratch" / f"buildpush-state-{os.getuid()}").is_dir()


def test_a_state_directory_that_cannot_be_made_costs_a_note_only(project, monkeypatch, capsys):
    """One note: in a container that runs as any number, every run would tell the same four times."""
    project.write("file", "")
    monkeypatch.setenv("XDG_STATE_HOME", str(project.directory / "file"))
    assert project.run("--build-number", "7") == 0
    (told,) = [line for line in capsys.readouterr().err.splitlines() if str(project.directory / "file") in line]
    assert "note: nothing is kept on this machine" in told
    assert told.endswith("; set XDG_STATE_HOME to a directory that you may write to")


def test_a_memory_that_is_damaged_is_begun_anew_with_a_note(project, monkeypatch, capsys):
    monkeypatch.setenv("XDG_STATE_HOME", str(project.directory / "state"))
    (project.directory / "state" / "buildpush").mkdir(parents=True)
    project.write("state/buildpush/memory.sqlite", "no database " * 100)
    for noted in (1, 0):
        assert project.run() == 0
        assert capsys.readouterr().err.count("the memory of earlier pushes was damaged, and is replaced") == noted


def test_a_part_of_the_state_directory_that_cannot_be_made_has_a_note_of_its_own(project, monkeypatch, capsys):
    monkeypatch.setenv("XDG_STATE_HOME", str(project.directory / "state"))
    (project.directory / "state" / "buildpush").mkdir(parents=True)
    for part in ("logs", "runs"):
        project.write(f"state/buildpush/{part}", "a file, no folder")
    assert project.run("--build-number", "7") == 0
    shown = capsys.readouterr().err
    assert "note: the engine's log is not kept" in shown
    assert "note: the run is not recorded" in shown


def test_a_second_run_sends_no_layer_again(project, capsys):
    def sent():
        return [one for one in project.box.requests if one.method == "PATCH" and "/blobs/uploads/" in one.path]

    project.run()
    before = sent()
    assert project.run() == 0
    assert len(sent()) - len(before) <= 1  # the config carries the time of the build
    assert "already there" in capsys.readouterr().out


def test_a_run_without_build_info_says_why(project, capsys):
    project.write("step.yml", STEP.partition("      PLUGIN_PUBLISH")[0])
    assert project.run() == 0
    assert "build-info: not published, because" in capsys.readouterr().err


def test_two_steps_of_one_file_both_leave_their_build(project):
    second = (
        STEP.replace("step:", "- step:", 1).replace("\n  ", "\n    ").replace("identifier: push", "identifier: two")
    )
    first = STEP.replace("step:", "- step:", 1).replace("\n  ", "\n    ")
    project.write("step.yml", first + second.replace("docker-local/site", "docker-local/other"))
    assert project.run("--build-name", "shop", "--build-number", "7") == 0
    ids = {module["id"] for build in project.box.builds("shop") for module in build["modules"]}
    assert ids == {"site:7", "site:latest", "other:7", "other:latest"}


def test_a_result_in_python_is_no_wall_of_bytes(project):
    """The receipt holds manifest and configuration; who prints it wants neither."""
    result = run("step.yml", connectors="connectors.yml")
    assert b"schemaVersion" in result.images[0].manifest
    assert "schemaVersion" not in repr(result)
    assert "rootfs" not in repr(result)


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143)])
def test_an_interrupted_run_ends_within_five_seconds(project, number, code):
    project.box.add_fault("PATCH", r"/v2/.*", delay=8, times=1)
    words = [sys.executable, "-m", "buildpush", "run", "step.yml", "--connectors", "connectors.yml"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        for line in process.stderr:
            if b"push:" in line:
                break
        threading.Timer(0.3, process.send_signal, [number]).start()
        begun = time.monotonic()
        assert b"interrupted:" in process.stderr.read()
        assert process.wait(10) == code
        assert time.monotonic() - begun < 5
