"""How the program ends where it is interrupted early, or where nobody reads what it prints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from buildpush import cli
from buildpush.cli import report
from buildpush.cli.messages import error_json, show_failure

pytestmark = pytest.mark.programs

PROGRAM = (sys.executable, "-m", "buildpush")
# In an exec, as where a dataclass is made: python -m then ends itself by SIGINT, whatever code it is given.
INTERRUPTED = """\
import sys
class Interrupted:
    def find_spec(self, name, *_):
        if name == "buildpush.cli": exec("raise KeyboardInterrupt")
sys.meta_path.insert(0, Interrupted())
"""


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """Let each Python that is started be interrupted when it loads the command line."""
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), *sys.path)))


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_ctrl_c_while_the_program_loads_is_a_sentence_a_document_and_exit_130(interrupted, flags):
    ended = subprocess.run([*PROGRAM, "run", *flags], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "interrupted: nothing was done\n")
    assert (json.loads(ended.stdout) if flags else ended.stdout) == (
        {"error": error_json(KeyboardInterrupt())} if flags else ""
    )


def test_a_second_ctrl_c_takes_no_word_and_no_document_away(capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    def told_slowly(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return show_failure(*arguments)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(cli.group, "main", interrupted)
    monkeypatch.setattr(report, "show_failure", told_slowly)
    assert cli.run_command(["run", "--json"]) == 130
    shown = capsys.readouterr()
    assert json.loads(shown.out)["error"]["exit"] == 130
    assert shown.err.startswith("interrupted:")
    assert signal.getsignal(signal.SIGINT) is before


def run_unread(*words):
    """Run the program with a standard output whose reader has ended."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run([*PROGRAM, *words], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writer)


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_push_that_was_confirmed_succeeds_and_leaves_its_files_though_nobody_reads_on(project, monkeypatch, flags):
    monkeypatch.setenv("GITHUB_OUTPUT", str(project.directory / "output"))
    ended = run_unread("run", "step.yml", "--connectors", "connectors.yml", "--digest-file", "digest.txt", *flags)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr
    digest = project.box.digest("docker-local/site", "7")
    assert (project.directory / "digest.txt").read_text() == f"{digest}\n"
    assert f"digest={digest}\n" in (project.directory / "output").read_text()


def test_an_error_keeps_its_code_though_nobody_reads_its_document():
    ended = run_unread("run", "missing.yml", "--json")
    assert ended.returncode == 2
    assert ended.stderr.count("error:") == 1


@pytest.mark.parametrize("words", [("schema", "step"), ("--help",), ("explain", "--json")])
def test_what_only_prints_ends_silently_where_its_reader_does(words):
    ended = run_unread(*words)
    assert (ended.returncode, ended.stderr) == (0, "")
