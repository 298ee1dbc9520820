"""``buildpush notebook FILE``: a pipeline file as a notebook that papermill runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush import notebooks
from buildpush.cli import run_command
from buildpush.foundation.errors import BuildPushError
from buildpush.notebooks.parameters import parameters_of
from buildpush.notebooks.runbook import Runbook, write_runbook

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
              - step:
                  type: BuildAndPushDockerRegistry
                  name: Last
                  identifier: last
                  spec:
                    connectorRef: jfrog
                    repo: docker-local/last
                    tags: ["1"]
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


def cells_of(notebook):
    return {cell.id: cell for cell in nbformat.read(notebook, 4).cells}


def test_inputs_are_parameters_and_each_step_has_a_cell(place, capsys):
    notebook = written(place)
    names = [parameter.name for parameter in parameters_of(notebook)]
    places = ["file", "connectors", "secrets", "templates", "inputs", "resume"]
    assert names == [*places, "input_branch", "input_buildArgs_GRAIN", "input_tags"]
    cells = cells_of(notebook)
    assert [cell.source for name, cell in cells.items() if "step" in name and cell.cell_type == "code"] == [
        "run.step('services')",
        "run.step('last')",
    ]
    assert "not run: Run 'Tests'" in capsys.readouterr().err
    assert r"All services\_" in cells["step-1-text"].source


def test_a_stage_or_step_that_is_chosen_is_the_only_one_with_a_cell_and_is_run_alone(place):
    assert run_command(["notebook", "pipeline.yml", "--stage", "build", "--step", "last"]) == 0
    cells = cells_of(place / "pipeline.ipynb")
    assert cells["step-1"].source == "run.step('last')"
    assert "step-2" not in cells
    assert "    'stage': 'build',\n    'step': 'last',\n" in cells["inputs"].source


PARAMETERS = {"connectors": "connectors.yml", "input_tags": "7", "input_buildArgs_GRAIN": "fine"}


def shown(cell):
    """Return all that a cell shows, as a reader reads it."""
    texts = [output.get("text", "") for output in cell.outputs]
    texts += [str(text) for output in cell.outputs for text in output.get("data", {}).values()]
    return "\n".join([*texts, *(line for output in cell.outputs for line in output.get("traceback", ()))])


TEMPLATED = """
pipeline:
  identifier: templated
  stages:
    - stage:
        identifier: build
        type: CI
        spec:
          execution:
            steps:
              - step:
                  identifier: push
                  template:
                    templateRef: push
                    templateInputs: {type: BuildAndPushDockerRegistry, spec: {tags: <+input>, caching: <+input>}}
"""
TEMPLATE = """
template:
  identifier: push
  type: Step
  spec:
    type: BuildAndPushDockerRegistry
    spec:
      connectorRef: jfrog
      repo: docker-local/templated
      tags: <+input>
      caching: <+input>
      envVariables: {PLUGIN_ENGINE: native, PLUGIN_PUBLISH_BUILD_INFO: "false"}
"""
INPUT_SET = """
inputSet:
  identifier: nightly
  pipeline:
    identifier: templated
    stages:
      - stage:
          identifier: build
          type: CI
          spec:
            execution:
              steps:
                - step:
                    identifier: push
                    template:
                      templateInputs: {type: BuildAndPushDockerRegistry, spec: {tags: [nightly]}}
"""


@pytest.mark.programs
def test_templates_and_input_sets_are_parameters_with_what_was_given_and_count_in_the_run(place, served):
    (place / "templates").mkdir()
    (place / "templates" / "push.yml").write_text(TEMPLATE, encoding="utf-8")
    (place / "pipeline.yml").write_text(TEMPLATED, encoding="utf-8")
    (place / "nightly.yml").write_text(INPUT_SET, encoding="utf-8")
    more = ["--templates", "templates", "--inputs", "nightly.yml"]
    assert run_command(["notebook", "pipeline.yml", *more]) == 0
    parameters = {parameter.name: parameter.default for parameter in parameters_of(place / "pipeline.ipynb")}
    assert parameters["templates"] == "'templates'"
    assert parameters["inputs"] == "['nightly.yml']"
    assert [name for name in parameters if name.startswith("input_")] == ["input_caching"]
    values = {"connectors": "connectors.yml", "input_caching": "false"}
    executed = notebooks.execute(place / "pipeline.ipynb", values, place / "record.ipynb", env=os.environ)
    assert "docker-local/templated:nightly" in shown(cells_of(executed.path)["step-1"])


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
    asked, sections = dict.fromkeys(names, text), {name: [text] for name in names}
    runbook = Runbook(target.with_suffix(".yml"), sections, asked, text, [text], dict.fromkeys(["stage", "step"], text))
    write_runbook(runbook, target)
    notebook = nbformat.read(target, 4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            compile(cell.source, "cell", "exec")


@pytest.mark.programs
def test_the_executed_copy_is_the_record_of_the_run(place, served):
    executed = notebooks.execute(written(place), PARAMETERS, place / "record.ipynb", env=os.environ)

    cells = cells_of(executed.path)
    for service in ("web", "auth"):
        assert f"docker-local/{service}:7" in shown(cells["step-1"])
        assert served.digest(f"docker-local/{service}", "7")[:19] in shown(cells["step-1"])
    assert "docker-local/last:1" not in shown(cells["step-1"])
    assert "docker-local/last:1" in shown(cells["step-2"])
    assert served.digest("docker-local/last", "1") in shown(cells["receipts"])
    assert served.password.reveal() not in executed.path.read_text(encoding="utf-8")


@pytest.mark.programs
def test_a_failure_that_ends_the_run_stops_at_the_cell_of_its_step_which_shows_the_hint(place, served):
    text = PIPELINE.replace("docker-local/<+matrix.service>", "no-such-key/<+matrix.service>")
    (place / "pipeline.yml").write_text(text, encoding="utf-8")
    with pytest.raises(BuildPushError, match="no-such-key") as caught:
        notebooks.execute(written(place), PARAMETERS, place / "record.ipynb", env=os.environ)

    cells = cells_of(place / "record.ipynb")
    hint = "hint: the first part of the path is Artifactory's repository key"
    assert hint in f"hint: {caught.value.hint}"
    assert hint in shown(cells["step-1"])
    assert "skipped: " in shown(cells["step-1"])
    assert cells["step-2"].execution_count is None

    text = text.replace("no-such-key", "docker-local")
    (place / "pipeline.yml").write_text(text, encoding="utf-8")
    notebooks.execute(written(place), PARAMETERS | {"resume": True}, place / "resumed.ipynb", env=os.environ)
    assert "docker-local/web:7" in shown(cells_of(place / "resumed.ipynb")["step-1"])


@pytest.mark.programs
def test_an_interrupt_of_the_notebook_ends_the_run_and_moves_no_other_tag(place, served):
    served.add_fault("PUT", "/v2/docker-local/web/manifests/", delay=30, times=99)
    (place / "pipeline.yml").write_text(PIPELINE.replace("tags: <+input>", "tags: ['7']"), encoding="utf-8")
    words = [sys.executable, "-m", "buildpush", "tutorial", str(written(place))]
    words += ["-p", "connectors=connectors.yml", "-p", "input_buildArgs_GRAIN=fine"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in iter(process.stdout.readline, ""):
            if "[services_1] succeeded in " in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 130, rest
    assert served.tags("docker-local/web") == []
    assert served.tags("docker-local/last") == []
