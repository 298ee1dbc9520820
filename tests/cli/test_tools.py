"""The commands beside a run, and the help."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import urllib3
from nbformat.v4 import new_notebook

from buildpush import notebooks
from buildpush.cli import run_command
from buildpush.engines import ENGINES
from buildpush.foundation.state import State
from buildpush.notebooks import tutorials

pytestmark = pytest.mark.programs  # git is asked for the revision


def test_a_bare_call_shows_the_help(capsys):
    run_command([])
    assert "Commands:" in capsys.readouterr().err


def test_a_published_build_can_be_shown(project, capsys, monkeypatch):
    project.run("--build-name", "shop", "--build-number", "7")
    capsys.readouterr()
    monkeypatch.setenv("JF_USER", project.box.username)
    monkeypatch.setenv("JF_PASSWORD", project.box.password.reveal())
    shown = ["build-info", "show", "shop", "7", "--artifactory-url", project.box.artifactory_url]
    assert run_command([*shown, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "shop"
    assert run_command(shown) == 0
    assert "module        site:7 (docker): 3 files\n" in capsys.readouterr().out


def test_a_sandbox_port_that_is_taken_is_exit_2(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run_command(["sandbox", "--port", str(taken.getsockname()[1])]) == 2
    assert "--port" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "title"), [([], "buildpush.yaml"), (["project"], "buildpush.yaml"), (["step"], "step file")]
)
def test_schema_is_json_of_the_file_that_is_asked_for(capsys, words, title):
    assert run_command(["schema", *words]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == title


def test_clean_says_what_it_removed(project, capsys):
    project.run()
    capsys.readouterr()
    assert run_command(["clean", "--all"]) == 0
    assert "removed" in capsys.readouterr().out
    assert not State.default().directory.exists()


def test_clean_says_that_nothing_was_left(capsys):
    assert run_command(["clean"]) == 0
    assert "nothing was left" in capsys.readouterr().err


def test_an_unknown_command_names_near_ones(capsys):
    assert run_command(["runn"]) == 2
    assert "did you mean run?" in capsys.readouterr().err


def test_an_unknown_flag_is_exit_2(capsys):
    assert run_command(["run", "--no-such-flag"]) == 2
    assert "no-such-flag" in capsys.readouterr().err


def test_version_names_the_package(capsys):
    assert run_command(["--version"]) == 0
    assert capsys.readouterr().out.startswith("buildpush ")


def test_the_help_offers_only_engines_that_are_there_and_marks_what_is_refused(capsys):
    run_command(["run", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for engine in ("buildah", "kaniko", "buildx"):
        assert (f"|{engine}" in shown) == (engine in ENGINES)
    assert "(not yet) A registry of Harness" in shown
    assert "[PLUGIN_TAGS; may be repeated, or separated by commas; default: latest]" in shown
    assert shown.index("Image:") < shown.index("--tags") < shown.index("Build:") < shown.index("--dockerfile")


def test_a_tutorial_ends_with_what_has_happened_and_where_to_look(tmp_path, capsys, monkeypatch):
    done = notebooks.Executed(tmp_path / "a.ipynb", tmp_path / "a.html")
    monkeypatch.setattr(notebooks, "execute", lambda *_, **__: done)
    assert run_command(["tutorial"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith("01-first-push ran to its end in ")
    assert [line.split()[0] for line in lines] == ["page", "notebook", "look", "next"]
    assert "buildpush tutorial 01-first-push --keep" in lines[2]
    assert lines[3].endswith("buildpush tutorial 02-one-setting-many-ways")
    assert run_command(["tutorial", "-p", "connectors=mine.yml"]) == 0
    assert "--keep" not in capsys.readouterr().out


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.sandbox
def test_a_sandbox_is_kept_until_enter_and_its_pages_are_opened(tmp_path, capsys, monkeypatch):
    """The notebook gets a file of connectors for it; what is pushed there can be looked at afterwards."""
    opened, given = [], {}

    def look(url):
        opened.append(urllib3.request("GET", url).status)

    def execute(_, parameters, *__, **more):
        given.update(more, file=Path(parameters["connectors"]).read_text(), repository=parameters["repository"])
        return notebooks.Executed(tmp_path / "a.ipynb", tmp_path / "a.html")

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", look)
    monkeypatch.setattr(notebooks, "execute", execute)
    monkeypatch.setattr("sys.stdin", Terminal("\n"))
    monkeypatch.setattr("sys.stderr", Terminal())
    assert run_command(["tutorial", "--keep"]) == 0
    assert opened == [200]
    assert "passwordRef" in given["file"]
    assert given["repository"] == "docker-local"
    address = capsys.readouterr().out.rpartition("pages     ")[2].strip()
    with pytest.raises(urllib3.exceptions.HTTPError):
        urllib3.request("GET", address, retries=False)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "this is no terminal"),
        (["alone.ipynb"], "--keep has no effect on alone: its sandboxes end with it"),
        (["-p", "connectors=mine.yml"], "another Artifactory is given"),
        (["--list"], "--keep have no effect"),
    ],
)
def test_keep_is_refused_where_it_would_have_no_effect(capsys, tmp_path, monkeypatch, words, says):
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    (tmp_path / "alone.ipynb").write_text(nbformat.writes(new_notebook(metadata=kernel)))
    monkeypatch.chdir(tmp_path)
    if words:
        monkeypatch.setattr("sys.stdin", Terminal())
        monkeypatch.setattr("sys.stderr", Terminal())
    assert run_command(["tutorial", *words, "--keep"]) == 2
    assert says in (sys.stderr.getvalue() if words else capsys.readouterr().err)


def test_a_tutorial_that_is_interrupted_says_what_is_left(capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(notebooks, "execute", interrupted)
    assert run_command(["tutorial"]) == 130
    shown = capsys.readouterr().err
    assert "nothing was written" in shown
    assert "sent again" not in shown


def test_the_help_of_tutorial_names_them(capsys):
    assert run_command(["tutorial", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in tutorials.names())


def test_a_sandbox_serves_until_it_is_interrupted(tmp_path):
    words = [sys.executable, "-m", "buildpush", "sandbox", "--port", "0", "--data", str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("token"):
                break
        process.send_signal(2)
        process.stdout.read()
        assert process.wait(10) == 0
    shown = [line for line in lines if not line.startswith("Ctrl-C")]
    assert [line.split()[0] for line in shown] == ["registry", "Artifactory", "pages", "user", "password", "token"]
