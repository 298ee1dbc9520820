"""The starter files of ``examples/ci``: each against its schema, and its command lines in a shell against a sandbox.

What the CI systems do around the lines is imitated here in the little that the files use: secrets, outputs, shells.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from buildpush.cli import run_command

pytestmark = pytest.mark.programs

ROOT = Path(__file__).parent.parent
STARTERS = ROOT / "examples" / "ci"
SCHEMAS = {
    "github-actions.yml": ("vendor.github-workflows",),
    "gitlab-ci.yml": ("vendor.gitlab-ci", "--data-transform", "gitlab-ci"),
    "drone.yml": ("vendor.drone-ci",),
}
# A key that each of these schemas knows, and the same misspelt.
MISSPELT = {"github-actions.yml": ("runs-on", "run-on"), "gitlab-ci.yml": ("reports", "report")}
MISSPELT["drone.yml"] = ("commands", "command")


def read(name):
    return YAML(typ="safe").load((STARTERS / name).read_text(encoding="utf-8"))


# ---- the schemas


def against_schema(name, path):
    """Return what check-jsonschema says about *path*; its copies of the schemas need no network."""
    command = [sys.executable, "-W", "ignore", "-m", "check_jsonschema", "--builtin-schema", *SCHEMAS[name], str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_starter_is_what_the_schema_of_its_system_asks_for(name):
    said = against_schema(name, STARTERS / name)
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_of_a_system_finds_a_misspelt_key_in_its_starter(name, tmp_path):
    text = (STARTERS / name).read_text(encoding="utf-8")
    (tmp_path / name).write_text(text.replace(*(f"{key}:" for key in MISSPELT[name])), encoding="utf-8")
    assert against_schema(name, tmp_path / name).returncode == 1


@pytest.mark.engines
def test_actionlint_finds_nothing_in_the_starter_for_github(need):
    need("actionlint")
    command = ["actionlint", str(STARTERS / "github-actions.yml")]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (0, "")


def test_every_starter_names_the_kind_of_system_that_reads_it():
    names = {path.name for path in STARTERS.iterdir()} - {"step.yml", "connectors.yml"}
    assert names == {*SCHEMAS, "Jenkinsfile", "harness-run.yml"} == {*SYSTEMS}


def test_a_pipeline_of_harness_with_the_starter_is_read_and_the_run_step_named_as_not_run(capsys):
    assert run_command(["check", str(STARTERS / "harness-run.yml"), "--list"]) == 0
    assert "not run" in capsys.readouterr().out


# ---- the command lines


class Shop:
    """A working directory of a CI system, and the shell that its lines run in."""

    def __init__(self, directory, env):
        self.directory, self.env = directory, env

    def run(self, script, *shell, **more):
        """Run *script*; return what it printed."""
        command = [*shell, script]
        env = {**self.env, **more}
        ran = subprocess.run(command, cwd=self.directory, env=env, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr + ran.stdout
        return ran.stdout

    def lines_of(self, name):
        """Return the file *name* as lines."""
        return (self.directory / name).read_text(encoding="utf-8").splitlines()


def github(shop, secret):
    outputs = shop.directory / "outputs"
    values = {"secrets.JFROG_TOKEN": secret}
    for step in read("github-actions.yml")["jobs"]["image"]["steps"]:
        if "run" in step:
            env = {name: values[of.strip("${} ")] for name, of in step.get("env", {}).items()}
            said = shop.run(step["run"], "bash", "-e", "-c", GITHUB_OUTPUT=str(outputs), **env)
        if "id" in step:
            given = (line.partition("=") for line in shop.lines_of("outputs"))
            values |= {f"steps.{step['id']}.outputs.{name}": value for name, _, value in given}
    return said


def gitlab(shop, secret):
    jobs = read("gitlab-ci.yml")
    shop.run("\n".join(jobs["push-image"]["script"]), "bash", "-e", "-c", JFROG_TOKEN=secret)
    dotenv = dict(line.split("=", 1) for line in shop.lines_of(jobs["push-image"]["artifacts"]["reports"]["dotenv"]))
    return shop.run("\n".join(jobs["use-image"]["script"]), "bash", "-e", "-c", **dotenv)


def jenkins(shop, secret):
    (script,) = re.findall(r"sh '''(.*?)'''", (STARTERS / "Jenkinsfile").read_text(encoding="utf-8"), re.DOTALL)
    temporary = shop.directory.with_name(f"{shop.directory.name}@tmp")
    return shop.run(script, "sh", "-xe", "-c", JFROG_TOKEN=secret, WORKSPACE_TMP=str(temporary))


def drone(shop, secret):
    (step,) = read("drone.yml")["steps"]
    assert step["environment"] == {"JFROG_TOKEN": {"from_secret": "jfrog_token"}}
    return shop.run("\n".join(step["commands"]), "sh", "-e", "-c", JFROG_TOKEN=secret)


def harness(shop, secret):
    spec = read("harness-run.yml")["step"]["spec"]
    assert spec["envVariables"] == {"JFROG_TOKEN": '<+secrets.getValue("jfrog_token")>'}
    (output,) = spec["outputVariables"]
    return shop.run(f'{spec["command"]}\necho "${output["name"]}"', "sh", "-c", JFROG_TOKEN=secret)


# Who runs it, and the variables that say the number of the run there.
SYSTEMS = {
    "github-actions.yml": (
        github,
        {"GITHUB_ACTIONS": "true", "GITHUB_RUN_NUMBER": "42", "GITHUB_REPOSITORY": "acme/app"},
    ),
    "gitlab-ci.yml": (gitlab, {"GITLAB_CI": "true", "CI_PIPELINE_IID": "42", "CI_PROJECT_PATH": "acme/app"}),
    "Jenkinsfile": (jenkins, {"JENKINS_URL": "https://ci.acme.test/", "BUILD_NUMBER": "42", "JOB_NAME": "app"}),
    "drone.yml": (drone, {"DRONE": "true", "DRONE_BUILD_NUMBER": "42", "DRONE_REPO": "acme/app"}),
    "harness-run.yml": (harness, {"HARNESS_BUILD_ID": "42", "HARNESS_PIPELINE_ID": "app", "DRONE_BUILD_NUMBER": "42"}),
}


@pytest.fixture
def shop(tmp_path, home, box):
    """Give a checkout that has the step, the connectors and a Dockerfile, with the address and user of the sandbox."""
    directory = tmp_path / "work"
    directory.mkdir()
    for name in ("step.yml", "connectors.yml"):
        text = (STARTERS / name).read_text(encoding="utf-8")
        (directory / name).write_text(text.replace("https://acme.jfrog.io", box.url).replace("ci-bot", box.username))
    (directory / "Dockerfile").write_text("FROM scratch\nCOPY page /page\n")
    (directory / "page").write_text("hello")
    # What the lines install is here already: pip sees it, and must ask no index.
    env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(home), "CI": "true"}
    return Shop(directory, env | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PIP_NO_INDEX": "1"})


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_lines_of_a_starter_push_an_image_and_tell_the_next_ones_its_digest(name, shop, box):
    run, variables = SYSTEMS[name]
    shop.env |= variables
    said = run(shop, box.password.reveal())
    assert box.tags("docker-local/app") == ["42"]
    assert box.digest("docker-local/app", "42") in said
