"""``buildpush notebook FILE``: a pipeline file as a notebook that papermill runs."""

from __future__ import annotations

import os

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush import notebooks
from buildpush.cli import run_command
from buildpush.notebooks.parameters import parameters_of
from buildpush.notebooks.runbook import write_runbook
from tests.test_pipeline_calls import CONNECTORS

PIPELINE = """
pipeline:
  identifier: services
  variables:
    - {name: branch, type: String, value: <+input>.default("dev")}
  stages:
    - stage:
        identifier: build
        type: CI
        spec:
          execution:
            steps:
              - step: {type: Run, name: Tests, identifier: tests, spec: {command: make}}
              - step:
                  type: BuildAndPushDockerRegistry
                  name: All services_
                  identifier: services
                  strategy: {matrix: {service: [web, auth]}}
                  spec:
                    connectorRef: jfrog
                    repo: docker-local/<+matrix.service>
                    tags: <+input>
                    buildArgs: {GRAIN: <+input>}
                    envVariables: {PLUGIN_ENGINE: native, PLUGIN_PUBLISH_BUILD_INFO: "false"}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nARG GRAIN\nCOPY a /$GRAIN\n", encoding="utf-8")
    (tmp_path / "a").write_text("a", encoding="utf-8")
    (tmp_path / "pipeline.yml").write_text(PIPELINE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(place):
    assert run_command(["notebook", "pipeline.yml"]) == 0
    return place / "pipeline.ipynb"


def test_inputs_are_parameters_and_all_steps_are_one_run(place, capsys):
    notebook = written(place)
    names = [parameter.name for parameter in parameters_of(notebook)]
    assert names == ["file", "connectors", "secrets", "input_branch", "input_buildArgs_GRAIN", "input_tags"]
    cells = nbformat.read(notebook, 4).cells
    assert [cell.source for cell in cells if "run_pipeline" in cell.source] == [
        "result = buildpush.run_pipeline(file, **how)\nresult"
    ]
    assert "not run: Run 'Tests'" in capsys.readouterr().err
    assert r"All services\_" in "".join(cell.source for cell in cells)


@pytest.mark.parametrize("target", ["gone/out.ipynb", ".", "pipeline.yml", "link.yml", "a", "pipe", "record.ipynb"])
def test_a_notebook_that_cannot_be_written_is_an_error_with_a_hint(place, capsys, target):
    (place / "link.yml").symlink_to("pipeline.yml")
    (place / "record.ipynb").write_text('{"cells": [{"execution_count": 1}]}', encoding="utf-8")
    os.mkfifo(place / "pipe")
    assert run_command(["notebook", "pipeline.yml", "--output", target]) != 0
    assert (place / "pipeline.yml").read_text(encoding="utf-8") == PIPELINE
    assert (place / "a").read_text(encoding="utf-8") == "a"
    assert (place / "pipe").is_fifo()
    told = capsys.readouterr().err
    assert "cannot be written" in told
    assert "hint: name another file with --output" in told


def test_a_link_stays_and_a_notebook_that_was_not_run_is_written_again(place):
    (place / "link.ipynb").symlink_to("target.ipynb")
    for _ in range(2):
        assert run_command(["notebook", "pipeline.yml", "--output", "link.ipynb"]) == 0
    assert (place / "link.ipynb").is_symlink()
    assert parameters_of(place / "target.ipynb")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), unique=True, max_size=4), st.text())
def test_whatever_a_file_names_the_notebook_is_valid_and_its_cells_are_python(tmp_path_factory, names, text):
    target = tmp_path_factory.getbasetemp() / "generated.ipynb"
    text = text.encode("utf-8", "replace").decode()
    write_runbook(target.with_suffix(".yml"), dict.fromkeys(names, text), [text], target)
    notebook = nbformat.read(target, 4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            compile(cell.source, "cell", "exec")


@pytest.mark.programs
def test_the_executed_copy_is_the_record_of_the_run(place, box, monkeypatch):
    text = CONNECTORS.format(url=box.url, username=box.username)
    (place / "connectors.yml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("PASSWORD", box.password.reveal())
    parameters = {"connectors": "connectors.yml", "input_tags": "7", "input_buildArgs_GRAIN": "fine"}
    executed = notebooks.execute(written(place), parameters, place / "record.ipynb", env=os.environ)

    record = executed.path.read_text(encoding="utf-8")
    for service in ("web", "auth"):
        assert f"docker-local/{service}:7" in record
        assert box.digest(f"docker-local/{service}", "7")[:19] in record
