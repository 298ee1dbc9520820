"""The how-to pages: every line of ours is read as a command, a variable or a step, and what they promise holds."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from buildpush.cli import group, run_command
from buildpush.cli.options import flags_in
from buildpush.foundation.errors import SettingsError
from buildpush.sandbox import Sandbox
from buildpush.settings.declare import settings_of
from buildpush.settings.decode import decode
from buildpush.settings.model import BuildAndPush
from buildpush.settings.sources import read
from tests.sites import Site

ROOT = Path(__file__).parent.parent
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "how-to").glob("*.md"))}
FENCED = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| .* \| (.*) \|$", re.MULTILINE)
SETTINGS = {setting.name: setting for setting in settings_of(BuildAndPush)}


def blocks(page, *languages):
    return [text for language, text in FENCED.findall(PAGES[page]) if language in languages]


def commands(page):
    """Return the lines of the page that are commands of ours, with the variables in front of them."""
    lines = [line for text in blocks(page, "sh") for line in text.splitlines()]
    lines += re.findall(r"`((?:[A-Z_]+=\S+ )*buildpush [^`]+)`", PAGES[page])
    return [line for line in lines if re.match(r"(?:[A-Z_]+=\S+ )*buildpush ", line)]


def flags(page):
    """Return the flags of ``buildpush run`` that the page has beside the lines of another tool."""
    return [text for cell in ROW.findall(PAGES[page]) for text in re.findall(r"`(--[^`]+)`", cell)]


def keys(page):
    """Return the keys of a step that the page has beside those of another tool."""
    return [cell.strip("`") for cell in ROW.findall(PAGES[page]) if re.match(r"`\w+: [^`]+`$", cell)]


def parsed(words):
    """Return the context of the command that *words* are, as the command line reads it; nothing is run."""
    context = group.make_context("buildpush", list(words))
    while isinstance(context.command, click.Group):
        name, command, rest = context.command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)
    return context


def typed(directory, file=None, env=None, given=None):
    """Return the settings that a file, variables and flags set, by name, as the model of a step takes them."""
    (step,) = read(file, env=env or {}, flags=given or {}, keywords={}, cwd=directory, step=None).steps
    values = {name: text for name, text in step.settings.items() if "<+" not in str(text.value)}
    values = {name: decode(SETTINGS[name], text.value, text.origin) for name, text in values.items()}
    BuildAndPush(**{"repo": "acme/app", **values})  # refuses a value that it does not know
    return values


def settings_in(context):
    """Return the settings that a command line sets, by name, as text."""
    given = {name: value for name, value in context.params.items() if value not in {None, ()}}
    return flags_in({name: value for name, value in given.items() if name.startswith("setting_")})


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("page", "line"), [(page, line) for page in PAGES for line in commands(page)])
def test_a_command_on_a_page_is_read_by_the_command_line(page, line, here):
    words = shlex.split(line, comments=True)
    program = words.index("buildpush")
    env = dict(word.split("=", 1) for word in words[:program])
    if words[program + 1] == "--version":
        return
    context = parsed(words[program + 1 :])
    assert not env or typed(here, env=env)
    if given := settings_in(context):
        assert set(typed(here, given=given)) >= set(given)


@pytest.mark.parametrize(("page", "line"), [(page, line) for page in PAGES for line in flags(page)])
def test_the_flags_beside_those_of_another_tool_are_settings_with_such_values(page, line, here):
    context = parsed(["run", *shlex.split(line)])
    given = settings_in(context)
    assert given or context.params["digest_file"]
    assert set(typed(here, given=given)) >= set(given)


@pytest.mark.parametrize("line", keys("from-plugins-docker"))
def test_a_key_beside_one_of_the_plugin_is_a_setting_of_a_step(line, here):
    file = here / "step.yml"
    repo = "" if line.startswith("repo:") else "\n    repo: acme/app"
    file.write_text(f"step:\n  type: BuildAndPushDockerRegistry\n  spec:\n    {line}{repo}\n", encoding="utf-8")
    assert len(typed(here, file)) == (1 if line.startswith("repo:") else 2)


@pytest.mark.parametrize(("page", "text"), [(page, text) for page in PAGES for text in blocks(page, "yaml")])
def test_a_step_on_a_page_is_read_with_all_its_settings(page, text, here):
    if "\nstep:\n" not in f"\n{text}":
        assert page == "github-actions"  # the part of a workflow
        return
    file = here / "step.yml"
    file.write_text(text, encoding="utf-8")
    assert typed(here, file)


def test_a_flag_that_does_not_exist_would_be_found(here):
    with pytest.raises(click.NoSuchOption):
        parsed(["run", "--tagz", "1"])
    with pytest.raises(SettingsError):
        typed(here, given={"engine": "dokcer"})


# ---- what the pages promise


@pytest.mark.sandbox
def test_an_image_that_was_tested_as_a_file_has_the_same_digest_in_the_registry(here, box, monkeypatch, capsys):
    Site(here, box, monkeypatch)
    name = f"{box.host}/docker-local/app"
    assert run_command(["build", "--output", "oci-archive:image.tar", "--dockerfile", "Dockerfile"]) == 0
    digest = re.search(r"^digest +(\S+)", capsys.readouterr().out, re.MULTILINE)[1]
    assert run_command(["push", "oci-archive:image.tar", f"{name}:42"]) == 0
    assert run_command(["run", "--push-only", "--source-tar-path", "image.tar", "--repo", name, "--tags", "43"]) == 0
    assert box.digest("docker-local/app", "42") == box.digest("docker-local/app", "43") == digest


@pytest.mark.sandbox
def test_a_run_with_the_time_of_its_commit_is_repeated_where_tags_are_immutable(here, monkeypatch, capsys):
    with Sandbox(immutable=["docker-local"]) as box:
        Site(here, box, monkeypatch)
        words = ["run", "--repo", f"{box.host}/docker-local/app", "--tags", "42", "--dockerfile", "Dockerfile"]
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        assert run_command(words) == 0
        digest = box.digest("docker-local/app", "42")
        assert run_command(words) == 0
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000001")
        assert run_command(words) == 4
        assert box.digest("docker-local/app", "42") == digest
        assert digest in capsys.readouterr().err
