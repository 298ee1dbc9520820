"""Every block of code on a page: read by what it is for, or listed here with the reason why not."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from buildpush.credentials.connectors_file import read_connectors
from buildpush.foundation import events
from buildpush.settings.sources import read
from tests.cluster.test_inside import MOUNTS, RESTRICTED, TOLD
from tests.test_how_to import ROOT, here, parsed, settings_in, typed  # noqa: F401  here is a fixture
from tests.test_typed_examples import PAGES as TYPED

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "settings").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [
    (page.relative_to(ROOT).as_posix(), language, text)
    for page in PAGES
    for language, text in BLOCK.findall(page.read_text(encoding="utf-8"))
]
# What is not ours is not parsed here; each has the reason why it is right.
OTHERS = {
    "python3": "CI makes its environment by this line",
    "export": "a variable of the shell",
    "pip": "CI installs by it; tests/engines/test_plugin_image.py tries the image with the plugin",
    "papermill": "tests/test_notebooks.py and tests/test_runbook.py run notebooks by it",
    "cosign": "tests/clients verifies by it",
    "kubectl": "tests/cluster applies the role by it",
    "docker": "tests/clients pushes to a sandbox by it",
}


def of(*languages):
    return [(page, text) for page, language, text in BLOCKS if language in languages]


def commands():
    """Yield the page and the words of each command in the blocks, without prompts, comments and continued lines."""
    for page, text in of("sh", "shell", "console"):
        lines = text.replace("\\\n", "").splitlines()
        if any(line.startswith("$ ") for line in lines):
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        for line in lines:
            inner = re.sub(r"^\w+=\$\((.*)\)$", r"\1", line)
            yield from ((page, part.partition(" > ")[0]) for part in inner.split(" && ") if part)


COMMANDS = list(commands())
OURS = [(page, line) for page, line in COMMANDS if re.match(r"(?:[A-Z_]+=\S+ +)*(?:\.venv/bin/)?buildpush ", line)]
FOREIGN = [(page, line) for page, line in COMMANDS if (page, line) not in OURS]


def test_there_is_no_language_on_the_pages_that_nobody_reads():
    """A text is a drawing, or what a program printed."""
    assert {language for _, language, _ in BLOCKS} <= {"sh", "shell", "console", "python", "yaml", "json", "text"}
    assert len(OURS) > 40


@pytest.mark.parametrize(("page", "line"), OURS)
def test_a_command_is_read_by_the_command_line(page, line, here):  # noqa: F811
    words = shlex.split(line, comments=True)
    program = next(at for at, word in enumerate(words) if word.endswith("buildpush"))
    env = dict(word.split("=", 1) for word in words[:program])
    if words[program + 1 :] == ["plugin"]:
        assert typed(here, env=env)
        return
    if given := settings_in(parsed(words[program + 1 :])):
        assert set(typed(here, given=given)) >= set(given)


def test_a_command_of_another_program_is_one_that_a_test_runs_or_a_session_of_nox():
    sessions = re.findall(r"^@nox.session.*\ndef (\w+)", (ROOT / "noxfile.py").read_text(), re.MULTILINE)
    for page, line in FOREIGN:
        words = shlex.split(line)
        program = Path(words[0]).name
        if program == "nox":
            assert words[words.index("-s") + 1] in sessions, page
        else:
            assert program in OTHERS, f"{page}: nobody reads {line}"


@pytest.mark.parametrize(("page", "text"), of("yaml"))
def test_yaml_is_read_with_all_its_settings(page, text, here):  # noqa: F811
    file = here / "step.yml"
    if text.startswith(("connectors:", "image:", "spec:\n  template:", "securityContext:")) or "type: Plugin" in text:
        return  # below
    if re.match(r"\w+:", text) and not text.startswith("step:"):  # a part of a step
        text = f"step:\n  type: BuildAndPushDockerRegistry\n  spec:\n    repo: a/b\n{textwrap.indent(text, ' ' * 4)}"
    file.write_text(text, encoding="utf-8")
    steps = read(file, env={}, flags={}, keywords={}, cwd=here, step=None).steps
    assert steps
    assert all(step.settings for step in steps)


def test_the_connectors_are_read(here):  # noqa: F811
    (text,) = [text for _, text in of("yaml") if text.startswith("connectors:")]
    file = here / "connectors.yml"
    file.write_text(text, encoding="utf-8")
    assert read_connectors(file, "jfrog")


def test_the_container_of_a_pod_is_the_one_that_a_test_runs():
    (text,) = [text for _, text in of("yaml") if text.startswith("securityContext:")]
    container = YAML(typ="safe").load(text)
    assert container["securityContext"].items() <= RESTRICTED.items()
    assert container["volumeMounts"] == MOUNTS
    assert container["env"] == [TOLD]


def test_the_settings_of_a_step_of_harness_with_the_plugin_are_variables_that_it_reads(here):  # noqa: F811
    (text,) = [text for _, text in of("yaml") if "type: Plugin" in text]
    given = re.findall(r"^ {6}(\w+): (.*)$", text, re.MULTILINE)
    env = {f"PLUGIN_{name.upper()}": value.strip("[]") for name, value in given if "<+" not in value}
    assert len(typed(here, env=env)) == len(env) == 3


def test_the_job_of_gitlab_has_a_command_of_ours():
    (job,) = [text for _, text in of("yaml") if text.startswith("image:")]
    (line,) = re.findall(r"- (buildpush .*)", job)
    assert parsed(shlex.split(line)[1:])


def test_lines_of_json_are_events():
    kinds = {kind.lower() for kind in vars(events)}
    for _, text in of("json"):
        for line in text.splitlines():
            assert json.loads(line)["event"] in kinds | {"end"}


def test_python_is_asked_of_a_type_checker():
    with_python = {page for page, language, _ in BLOCKS if language == "python"}
    assert with_python <= {page.relative_to(ROOT).as_posix() for page in TYPED}
