"""What a message tells people to write exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import click
import pytest

import buildpush
from buildpush.cli import group
from buildpush.settings.declare import settings_of
from buildpush.settings.stepkinds import models

ROOT = Path(buildpush.__file__).parent
# A line of a module says so where its texts name flags of other programs, of CSS or of a Dockerfile's instructions.
FOREIGN = re.compile(r"^# Flags of other programs in this module's texts: (?P<flags>.+)$", re.MULTILINE)
MODULES = sorted(ROOT.rglob("*.py"))


def texts(path):
    """Yield every text of a module but for docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


@cache
def flags():
    """Return every flag of every command."""
    ours = {option for parameter in parameters(group) for option in (*parameter.opts, *parameter.secondary_opts)}
    return ours | {"--help"}


def parameters(command):
    yield from command.params
    if isinstance(command, click.Group):
        with click.Context(command) as context:
            for name in command.list_commands(context):
                yield from parameters(command.get_command(context, name))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_flag_that_a_text_names_is_one_of_ours(path):
    named = {flag for text in texts(path) for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)}
    said = FOREIGN.search(path.read_text(encoding="utf-8"))
    foreign = said["flags"].split() if said else []
    assert foreign == ["any"] or named - flags() <= set(foreign)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_names_foreign_flags_that_its_texts_do_not_have(path):
    said = FOREIGN.search(path.read_text(encoding="utf-8"))
    named = {flag for text in texts(path) for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)}
    assert said is None or set(said["flags"].split()) <= named | {"any"}


def test_every_setting_that_a_text_names_exists_and_does_something():
    known = {setting.name for model in models() for setting in settings_of(model) if setting.honoured_by}
    named = {name for path in MODULES for text in texts(path) for name in re.findall(r"setting '(\w+)'", text)}
    assert named <= known
    assert named
