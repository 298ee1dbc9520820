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
from buildpush.settings.model import STEP_KINDS, settings_of

ROOT = Path(buildpush.__file__).parent
# Flags of other programs and of a Dockerfile's instructions, where texts of ours hold them.
FOREIGN = {
    "engines/docker.py": {"--secret", "--load", "--use", "--builder", "--pull"},
    "engines/native/addition.py": {"--parents"},
    "engines/native/build.py": {"--from", "--keep-git-dir"},
    "engines/native/copying.py": {"--chmod", "--chown", "--checksum", "--parents"},
    "engines/native/downloads.py": {"--checksum"},
    "engines/native/selection.py": {"--parents", "--exclude"},
    "engines/native/instructions.py": {"--retries"},
    "images/dockerfile.py": {"--retries"},
    "images/advice.py": {"--mount", "--from", "--platform"},
    "images/stages.py": {"--from"},
    "notebooks/kernel.py": {"--log-level"},
    "settings/facts.py": {"--format"},
    "settings/resolve.py": {"--format"},
    "settings/model.py": {"--mount", "--from"},
}
# They write style sheets, or command lines of git, docker, buildx, buildah and kaniko.
SPEAKERS = {
    "engines/buildkit.py",
    "engines/buildah.py",
    "engines/program.py",
    "engines/kaniko.py",
    "engines/executor.py",
    "engines/registries.py",
    "places/container.py",
    "settings/git.py",
    "contexts.py",
    "notebooks/page.py",
    "sandbox/html.py",
}
MODULES = sorted(path for path in ROOT.rglob("*.py") if str(path.relative_to(ROOT)) not in SPEAKERS)


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
    assert named - FOREIGN.get(str(path.relative_to(ROOT)), set()) <= flags()


def test_every_setting_that_a_text_names_exists_and_does_something():
    known = {setting.name for model in STEP_KINDS.values() for setting in settings_of(model) if setting.honoured_by}
    named = {name for path in MODULES for text in texts(path) for name in re.findall(r"setting '(\w+)'", text)}
    assert named <= known
    assert named
