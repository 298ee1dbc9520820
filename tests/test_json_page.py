"""The pages about events and JSON documents: what they list is what a run gives."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest

from buildpush.cli import run_command
from buildpush.foundation import events
from tests.sites import Site

pytestmark = pytest.mark.programs  # git is asked for the revision

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
EVENTS = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")


def keys(section, head="key"):
    """Return the keys that a table of a section lists."""
    text = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]
    table = text.partition(f"| {head} | holds |\n|---|---|\n")[2].partition("\n\n")[0]
    return {key for row in table.splitlines() for key in re.findall(r"`(\w+)`", row.split("|")[1])}


@pytest.fixture
def say(tmp_path, box, monkeypatch, capsys):
    """Return a function that gives the document of a command; the builds app 1 and 2 are there."""
    Site(tmp_path, box, monkeypatch)
    for name, value in {"URL": box.url, "USER": box.username, "PASSWORD": box.password.reveal()}.items():
        monkeypatch.setenv(f"JF_{name}", value)
    monkeypatch.setenv("PLUGIN_REPO", f"{box.host}/docker-local/app")
    for number in ("1", "2"):
        words = ["--tags", number, "--build-name", "app", "--build-number", number]
        assert run_command(["run", "--dockerfile", "Dockerfile", *words]) == 0
    (tmp_path / "log").write_text("no space left on device\n")
    record = {"version": 1, "buildpush": "0.1.0", "runs": []}
    (tmp_path / "done.ipynb").write_text(json.dumps({"cells": [], "metadata": {"buildpush": record}}))
    capsys.readouterr()

    def document(line):
        assert run_command([*line.split(), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return document


DOCUMENTS = {
    "check --dockerfile Dockerfile": ("check", "key"),
    "explain tags": ("explain", "key"),
    "explain <+pipeline.sequenceId>": ("explain", "key of an expression"),
    "explain advice-disk": ("explain", "key of an advice"),
    "doctor log": ("doctor", "key for a log"),
    "build-info list": ("build-info", "key of list"),
    "build-info list app": ("build-info", "key of list NAME"),
    "build-info diff app 2": ("build-info", "key of diff"),
    "build-info promote app 2 docker-release": ("build-info", "key of promote"),
    "build-info discard app --max-builds 1": ("build-info", "key of discard and delete"),
}


def test_the_documents_have_the_keys_that_the_page_lists(say, box):
    assert {line: set(say(line)) for line in DOCUMENTS} == {line: keys(*table) for line, table in DOCUMENTS.items()}
    (plan,) = say("check --dockerfile Dockerfile")["steps"]
    assert set(plan) == keys("check", "key of a plan")
    (finding,) = say("doctor log")["findings"]
    assert set(finding) == {"line", "text", "here"} | keys("explain", "key of an advice")
    assert set(say(f"verify {box.host}/docker-local/app:2")) == keys("verify")
    assert set(say("record done.ipynb")) == keys("record")


def test_the_checks_of_doctor_have_the_keys_of_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_command(["doctor", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert set(document) == keys("doctor")
    row = next(line for line in PAGE.splitlines() if line.startswith("| `checks` |"))
    assert {key for check in document["checks"] for key in check} <= set(re.findall(r"`(\w+)`", row))


def test_the_example_of_events_runs_and_each_phase_comes_as_the_page_says(tmp_path, box, monkeypatch):
    Site(tmp_path, box, monkeypatch)
    (tmp_path / "connectors.yml").write_text("connectors: []\n")
    (tmp_path / "step.yml").write_text(
        "step:\n  type: BuildAndPushDockerRegistry\n  spec:\n"
        f"    repo: {box.host}/docker-local/app\n    dockerfile: Dockerfile\n"
    )
    (example,) = re.findall(r"```python\n(.*?)```", EVENTS, re.DOTALL)
    (tmp_path / "example.py").write_text(example)
    seconds = runpy.run_path(str(tmp_path / "example.py"))["seconds"]
    phases = re.findall(r"^\| `(\w+)` \|", EVENTS, re.MULTILINE)
    assert list(seconds) == [phase for phase in phases if phase not in {"publish", "wait"}]
    assert box.tags("docker-local/app") == ["latest"]


def test_the_states_of_progress_on_the_page_are_those_under_way():
    (said,) = re.findall(r"is under way \(([^)]*)\)", EVENTS)
    assert set(re.findall(r"`(\w+)`", said)) == events.UNDER_WAY


def test_every_kind_of_event_says_what_it_is():
    kinds = runpy.run_path(str(ROOT / "docs" / "_extensions" / "events.py"))["kinds"]()
    assert len(kinds) > 8
    assert all(kind.__doc__ and not kind.__doc__.startswith(f"{kind.__name__}(") for kind in kinds)
