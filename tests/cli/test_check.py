"""What a run would do: check and explain."""

from __future__ import annotations

import json
import re

import pytest

from buildpush.cli import run_command
from buildpush.foundation.state import State
from tests.cli.conftest import STEP

pytestmark = pytest.mark.programs  # git is asked for the revision


BASES = """\
FROM base.example/team/base:1 AS built
FROM scratch
COPY --from=built /a /
COPY --from=tools.example/tool:2 /b /
"""


def test_check_names_every_host_and_the_proxy_that_leads_there(project, monkeypatch, capsys):
    """No other address is ever asked, so a firewall can be opened for these."""
    project.dockerfile(f"{BASES}ADD https://me:planted@files.example/x https://files.example/y /\n")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:planted-in-proxy@proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "tools.example")
    words = ["step.yml", "--connectors", "connectors.yml", "--engine", "native"]
    assert run_command(["check", *words]) == 0
    shown = capsys.readouterr()
    assert [line.split()[1] for line in shown.out.splitlines() if line.startswith("host ")] == [
        f"http://{project.box.host}",
        f"{project.box.url}/artifactory/",
        "https://base.example",
        "https://tools.example",
        "https://files.example",
    ]
    assert (
        "base.example gives base.example/team/base:1, through the proxy http://********@proxy.example:3128" in shown.out
    )
    assert run_command(["check", *words, "--json"]) == 0
    [step] = json.loads(capsys.readouterr().out)["steps"]
    proxy = "http://********@proxy.example:3128"
    assert [host["proxy"] for host in step["hosts"]] == [None, None, proxy, None, proxy]


def test_check_shows_a_condition_that_holds_anyway_as_it_is_written(project, capsys):
    project.write("step.yml", STEP + "  when:\n    stageStatus: Success\n")
    assert run_command(["check", "step.yml", "--connectors", "connectors.yml"]) == 0
    assert "when = stageStatus=Success" in capsys.readouterr().out


def test_check_prints_the_plan_and_does_nothing(project, capsys):
    assert run_command(["check", "step.yml", "--connectors", "connectors.yml"]) == 0
    shown = capsys.readouterr().out
    assert "step.yml:8" in shown
    assert "engine" in shown
    assert f"{project.box.username}, from connector sandbox" in shown
    assert not project.box.requests
    assert not State.default().directory.exists()


def test_check_says_no_where_a_run_would(project, capsys):
    project.dockerfile("FROM scratch\nRUN make\n")
    assert run_command(["check", "step.yml", "--connectors", "connectors.yml"]) == 3
    assert "Dockerfile:2: the engine native does not support this: RUN" in capsys.readouterr().err


def test_explain_names_the_file_and_the_line(project, capsys):
    assert run_command(["explain", "tags", "--file", "step.yml"]) == 0
    assert "step.yml:8" in capsys.readouterr().out


def test_explain_names_the_variable_and_what_it_overrode(project, capsys, monkeypatch):
    monkeypatch.setenv("PLUGIN_TAGS", "9")
    assert run_command(["explain", "tags", "--file", "step.yml"]) == 0
    shown = capsys.readouterr().out
    assert "PLUGIN_TAGS" in shown
    assert re.search(r"overrode.*step\.yml:8", shown)


def test_explain_shows_the_value_that_a_run_would_use(project, capsys):
    flags = ["--tags", "<+pipeline.sequenceId>-<+env.COLOUR>"]
    project.monkeypatch.setenv("COLOUR", "blue")
    assert run_command(["explain", "tags", "--file", "step.yml", *flags]) == 0
    shown = capsys.readouterr().out
    assert "1-blue" in shown
    assert "<+env.COLOUR>" in shown
    assert "the flag --tags" in shown


def test_explain_without_a_name_lists_every_setting(capsys):
    assert run_command(["explain"]) == 0
    assert "build_args" in capsys.readouterr().out


def test_explain_of_an_unknown_setting_names_near_ones(capsys):
    assert run_command(["explain", "tagz"]) == 2
    assert "tags" in capsys.readouterr().err


def test_explain_says_what_is_not_there_yet(capsys):
    run_command(["explain", "enforce"])
    assert "nothing yet: setting it is" in capsys.readouterr().out
