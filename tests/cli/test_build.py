"""The command build: an image without a push."""

from __future__ import annotations

import json
import tarfile

import pytest

from buildpush.cli import run_command
from buildpush.transfer.oci_layout import open_layout
from tests.cli.conftest import STEP

pytestmark = pytest.mark.programs  # git is asked for the revision


def test_build_writes_a_layout_and_pushes_nothing(project, capsys):
    words = ["build", "step.yml", "--connectors", "connectors.yml", "--output", "oci:out"]
    assert run_command(words) == 0
    index = json.loads((project.directory / "out" / "index.json").read_text())
    assert f"digest  {index['manifests'][0]['digest']}\n" in capsys.readouterr().out
    assert not project.box.requests


def test_a_build_ends_before_its_push_begins(project, capsys):
    assert project.run() == 0
    shown = capsys.readouterr().err
    assert "| [stage 0] COPY" in shown
    assert shown.index("build: done") < shown.index("push: ") < shown.index("push: done")


@pytest.mark.parametrize("words", [[], ["--no-push"]])
def test_a_build_needs_no_login_and_no_connectors_file(project, monkeypatch, words):
    monkeypatch.delenv("BUILDPUSH_SECRET_SANDBOX_PASSWORD")
    assert run_command(["build", "step.yml", "--output", "oci:out", *words]) == 0
    assert (project.directory / "out" / "index.json").exists()


@pytest.mark.parametrize(("words", "suffix"), [(["--compression", "gzip"], "+gzip"), ([], "")])
def test_a_compression_that_is_said_counts_for_a_layout_also_where_it_is_the_default(project, words, suffix):
    assert run_command(["build", "step.yml", "--output", "oci:out", *words]) == 0
    assert (
        open_layout(project.directory / "out").layers[0].media_type == f"application/vnd.oci.image.layer.v1.tar{suffix}"
    )


@pytest.mark.parametrize(
    ("sink", "words"),
    [("oci:out", ["--media-types", "docker"]), ("docker-archive:out.tar", ["--compression", "zstd"])],
)
def test_what_an_output_has_no_room_for_is_refused_before_the_build(project, capsys, sink, words):
    assert run_command(["build", "step.yml", "--output", sink, *words]) == 2
    shown = capsys.readouterr().err
    assert "does not support" in shown
    assert "build:" not in shown


def test_what_a_file_wants_for_its_pushes_gets_a_note_where_there_is_no_room(project, capsys):
    project.write("step.yml", STEP.replace("envVariables:\n", "envVariables:\n      PLUGIN_MEDIA_TYPES: docker\n"))
    assert run_command(["build", "step.yml", "--output", "oci:out"]) == 0
    assert "'media_types', which has no effect" in capsys.readouterr().err


def test_a_build_needs_no_repo(project):
    assert run_command(["build", "--engine", "native", "--output", "docker-archive:out.tar"]) == 0
    assert (project.directory / "out.tar").exists()


def test_a_build_that_is_told_to_push_is_refused(project, capsys):
    assert run_command(["build", "step.yml", "--connectors", "connectors.yml", "--push"]) == 2
    shown = capsys.readouterr().err
    assert "--push: a build pushes nothing" in shown
    assert "use run" in shown


def test_an_output_of_no_known_kind_is_refused_before_the_build(project, capsys):
    assert run_command(["build", "step.yml", "--connectors", "connectors.yml", "--output", "zip:out"]) == 2
    shown = capsys.readouterr().err
    assert "oci:DIRECTORY" in shown
    assert "build:" not in shown


def test_a_docker_archive_is_written_for_docker_load(project):
    words = ["build", "step.yml", "--connectors", "connectors.yml", "--output", "docker-archive:image.tar"]
    assert run_command(words) == 0
    with tarfile.open(project.directory / "image.tar") as archive:
        assert "manifest.json" in archive.getnames()
