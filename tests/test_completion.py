"""What a Tab offers: commands, flags and values, from a table that is read before any library is loaded."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from buildpush.cli import completion as making
from buildpush.completion import HERE, SCRIPTS, TABLE, answer
from tests.test_start import HEAVY, loaded

STEP = "- step:\n    identifier: image\n    type: X\n- step:\n    identifier: 'second'\n"


def offered(*words, shell="fish"):
    """Return what is offered for the last of *words*."""
    return [line.partition("\t")[0] for line in answer([shell, *words]).splitlines()]


def test_the_table_that_shells_read_is_that_of_the_commands():
    assert TABLE.read_text(encoding="utf-8") == making.table_text(), "run: python -m buildpush.cli.completion"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["bui"], ["build", "build-info"]),
        (["--v"], ["--version"]),
        (["build-info", "s"], ["show"]),
        (["run", "--engine", "b"], ["buildx", "buildah"]),
        (["run", "--engine=b"], ["--engine=buildx", "--engine=buildah"]),
        (["run", "--media-types", ""], ["oci", "docker"]),
        (["build-info", "publish", "--build-exists", "re"], ["refuse", "replace"]),
        (["run", "--resu"], ["--resume"]),
        (["run", "--resume", "st"], ["@path"]),
        (["run", ""], ["@path"]),
        (["run", "--secrets="], ["@directory"]),
        (["run", "--repo", "a"], []),
        (["verify", "r.io/a:1", "--build", "a", ""], []),
        (["explain", "tar_"], ["tar_path", "tar_format"]),
        (["tutorial", "01"], ["01-first-push"]),
        (["schema", "s"], ["step"]),
        (["completion", ""], ["bash", "fish", "zsh"]),
        (["nonsense", "a"], []),
        ([], ["run"]),
    ],
)
def test_what_may_come_next_is_offered(words, found):
    assert (offered(*words) if words else offered()[:1]) == found


def test_steps_stages_and_connectors_are_those_of_the_files_that_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "step.yml").write_text(STEP)
    (tmp_path / "c.yml").write_text("connectors:\n  - connector:\n      identifier: jfrog\n")
    assert offered("run", "step.yml", "--step", "") == ["image", "second"]
    assert offered("run", "--connectors", "c.yml", "--connector-ref", "j") == ["jfrog"]
    assert offered("run", "--connectors=c.yml", "--connector-ref=j") == ["--connector-ref=jfrog"]
    assert offered("run", "gone.yml", "--step", "") == []


def test_bash_gets_what_follows_its_last_word_break():
    assert offered("run", "--engine", "=", "n", shell="bash") == ["native"]
    assert offered("run", "--engine", "=", shell="bash")[0] == "auto"


@pytest.mark.programs
def test_a_tab_loads_no_library():
    code = "from buildpush.completion import answer; answer(sys.argv[1:])"
    found = loaded(code, "bash", "run", "--engine", "b")
    assert not found & HEAVY
    assert {name for name in found if name.startswith("buildpush")} == {"buildpush", "buildpush.completion"}


@pytest.fixture
def project(tmp_path):
    """Return a directory with a step, and a program called buildpush on the path."""
    (tmp_path / "step.yml").write_text(STEP)
    program = tmp_path / "bin" / "buildpush"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m buildpush "$@"\n')
    program.chmod(0o755)
    return tmp_path


def around(project):
    env = {"PATH": f"{project / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(HERE.parent.parent), "TERM": "dumb"}
    return {"cwd": project, "env": {**os.environ, **env}}


def said(project, *argv):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, **around(project))
    assert not done.stderr
    return done.stdout.split()


BASH = """
source {script}
offer() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _buildpush; echo "${{COMPREPLY[@]}}"; }}
offer buildpush run --engine = n
offer buildpush run step.yml --step ""
"""
FISH = """
source {script}
complete -C "buildpush run --engine=n"
complete -C "buildpush run step.yml --step s"
complete -C "buildpush run --record=st"
"""


@pytest.mark.engines
@pytest.mark.parametrize(
    ("shell", "text", "found"),
    [
        (["bash", "-c"], BASH, ["native", "second"]),
        (["fish", "-c"], FISH, ["--engine=native", "second", "--record=step.yml"]),
    ],
)
def test_real_shells_complete(need, project, shell, text, found):
    need(shell[0])
    words = said(project, *shell, text.format(script=HERE / SCRIPTS[shell[0]]))
    assert [word for word in found if word not in words] == []


@pytest.mark.engines
def test_zsh_completes_what_is_typed(need, project):
    """Only a shell that has a terminal completes."""
    need("zsh")
    script = f"autoload -Uz compinit; compinit -u -D; source {HERE / SCRIPTS['zsh']}; PS1=; print rea''dy"
    with terminal(project, "zsh", "-f", "-i") as typed:
        typed(f"{script}\n", "ready")
        typed("buildpush run --engine=n\t", "--engine=native")
        typed("\x15buildpush run step.yml --step s\t", "second")
        typed("\x15buildpush run --record=st\t", "--record=step.yml")


@contextmanager
def terminal(project, *argv):
    """Give a function that types into a program, and waits until it has shown a text."""
    master, slave = os.openpty()
    child = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, **around(project))
    os.close(slave)

    def typed(keys, wanted):
        os.write(master, keys.encode())
        seen, end = "", time.monotonic() + 60
        while wanted not in seen:
            assert select.select([master], [], [], end - time.monotonic())[0], f"{wanted} is not in {seen!r}"
            seen += os.read(master, 1 << 16).decode(errors="replace")

    try:
        yield typed
    finally:
        child.kill()
        child.wait()
        os.close(master)


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_command_prints_what_a_shell_loads(shell, capsys):
    from buildpush.cli import run_command

    assert run_command(["completion", shell]) == 0
    assert capsys.readouterr().out == (HERE / SCRIPTS[shell]).read_text()


def test_the_table_has_no_words_of_markup():
    assert "{setting}" not in json.dumps(json.loads(TABLE.read_bytes()))
