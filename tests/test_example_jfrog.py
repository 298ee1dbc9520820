"""The pipeline of ``examples/jfrog`` as a user types it: a fresh sandbox, a fresh directory, and the token alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import urllib3

pytestmark = pytest.mark.programs

ROOT = Path(__file__).parent.parent
COMMAND = ["examples/jfrog/pipeline.yml", "--connectors", "examples/jfrog/connectors.yml"]


@pytest.fixture
def sandbox():
    """Start the command ``buildpush sandbox``; give what it prints, by the first word of each row."""
    command = [sys.executable, "-m", "buildpush", "sandbox", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        rows = {}
        for line in process.stdout:
            name, _, value = line.rstrip().partition("  ")
            rows[name] = value.strip()
            if name == "token":
                break
        yield rows
        process.send_signal(2)
        process.stdout.read()


@pytest.fixture
def say(tmp_path, home, sandbox):
    """Return a function that types a command in a directory that holds nothing but the example."""
    shutil.copytree(ROOT / "examples" / "jfrog", tmp_path / "examples" / "jfrog")
    host = sandbox["registry"].partition("/")[0]
    for path in (tmp_path / "examples" / "jfrog").glob("*.yml"):
        path.write_text(path.read_text().replace("127.0.0.1:8181", host))

    def type_(*words):
        env = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT)}
        env["SANDBOX_TOKEN"] = sandbox["token"]
        command = [sys.executable, "-m", "buildpush", *words]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)

    return type_


def get(sandbox, path):
    headers = {"Authorization": f"Bearer {sandbox['token']}"}
    with urllib3.PoolManager(retries=False) as pool:
        answer = pool.request("GET", f"{sandbox['Artifactory']}{path}", headers=headers)
    assert answer.status == 200
    return answer.json()


def test_build_push_and_build_info_in_a_matrix_with_the_token_alone(sandbox, say):
    ran = say("run", *COMMAND)
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"_0\] succeeded in \S+ s: \S+/hello-english:1\n", ran.stderr)
    digests = re.findall(r"^digest +sha256:(\S+)", ran.stdout, re.MULTILINE)
    assert len(digests) == 4
    assert len(set(digests)) == 2
    for language in ("english", "german"):
        info = get(sandbox, f"api/build/hello-{language}/1")["buildInfo"]
        (module,) = info["modules"]
        manifest = next(one for one in module["artifacts"] if one["name"] == "manifest.json")
        assert module["id"] == f"hello-{language}:1"
        assert manifest["sha256"] in digests
        assert info["artifactoryPrincipal"] == "developer"
    assert sandbox["token"] not in ran.stdout + ran.stderr + json.dumps(get(sandbox, "api/build/hello-english/1"))


def test_the_plan_names_each_step_and_who_it_is(sandbox, say):
    checked = say("check", *COMMAND, "--json")
    assert checked.returncode == 0, checked.stderr
    plans = json.loads(checked.stdout)["steps"]
    assert [plan["credential"].partition(",")[0] for plan in plans] == ["developer", "a token"] * 2
    assert not [plan["sources"] for plan in plans if "Docker's" in str(plan["sources"])]


def test_without_the_token_the_error_says_which_variable_it_is(say, sandbox):
    sandbox["token"] = ""
    ran = say("run", *COMMAND)
    assert ran.returncode != 0
    assert "SANDBOX_TOKEN" in ran.stderr
