"""The manual page: all commands and flags, in the form that man shows."""

from __future__ import annotations

import subprocess
import tomllib

import click
import pytest

from buildpush.cli import group, man
from buildpush.cli.completion import leaves


def test_the_manual_page_is_that_of_the_commands():
    assert man.PAGE.read_text(encoding="utf-8") == man.page(), "run: python -m buildpush.cli.man"


def test_the_wheel_has_the_page_where_man_looks():
    project = tomllib.loads((man.PAGE.parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert shared == {"docs/buildpush.1": "share/man/man1/buildpush.1"}


@pytest.mark.engines
def test_man_shows_every_command_and_every_flag_without_a_complaint(need):
    need("groff")
    words = ["groff", "-man", "-ww", "-Tutf8", "-P-cbou", str(man.PAGE)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    shown = done.stdout.replace("\u2212", "-").replace("\u2010", "-")
    for name, command in leaves(group):
        assert f"buildpush {name} " in shown
        for option in (one for one in command.params if isinstance(one, click.Option)):
            assert any(flag in shown for flag in option.opts), option.opts
    assert "A time limit was reached." in shown


def test_what_roff_would_obey_is_text():
    assert man._escaped(".TH \\x 'a' \"…") == "\\&.TH \\ex 'a' \\(dq\\[u2026]"
