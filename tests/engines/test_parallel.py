"""Builds of several engines at the same time, in one pipeline, on a sandbox."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time

import pytest

import buildpush

STEP = """\
    - step:
        type: BuildAndPushDockerRegistry
        name: {name}
        identifier: {name}
        {more}
        spec:
          repo: {host}/docker-local/app
          tags: ["{tag}"]
          dockerfile: Dockerfile.{engine}
          buildArgs: {{N: "{tag}"}}
          envVariables: {{PLUGIN_ENGINE: {engine}}}
"""
ENGINES = {"docker": "docker", "native": "git", "buildah": "buildah"}


@pytest.fixture
def site(tmp_path, box, monkeypatch):
    """A directory with a Dockerfile for each engine, and the login to the sandbox in the environment."""
    (tmp_path / "a").write_text("hello")
    for engine in ENGINES:
        (tmp_path / f"Dockerfile.{engine}").write_text("FROM scratch\nARG N\nCOPY a /a\nLABEL n=$N\n")
    monkeypatch.setenv("PLUGIN_USERNAME", box.username)
    monkeypatch.setenv("PLUGIN_PASSWORD", box.password.reveal())
    monkeypatch.setenv("PLUGIN_REGISTRY", box.host)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def step(box, name, engine, more="description: one", tag=None):
    return STEP.format(name=name, host=box.host, tag=tag or name, engine=engine, more=more)


@pytest.mark.engines
def test_engines_build_at_the_same_time_what_they_build_alone(site, box, need):
    need("docker", "buildah")
    (site / "p.yml").write_text(
        "- parallel:\n" + "".join(step(box, f"{engine}{number}", engine) for engine in ENGINES for number in "12")
    )
    together = buildpush.run_pipeline("p.yml")
    names = [f"{engine}{number}" for engine in ENGINES for number in "12"]
    assert [one.step for one in together.steps] == names
    assert sorted(box.tags("docker-local/app")) == sorted(names)
    for one in together.steps:
        assert box.digest("docker-local/app", one.step) == str(one.digest)
        assert box.has_blob(one.pushed.config.digest)
        engine = one.step[:-1]
        (site / "one.yml").write_text(step(box, one.step, engine))
        assert buildpush.run_pipeline("one.yml").steps[0].digest == one.digest


@pytest.mark.engines
@pytest.mark.parametrize("engine", ["docker", "buildah"])
def test_an_interrupt_ends_the_builds_of_all_branches(site, box, need, engine):
    need(engine, "busybox")
    text = 'FROM scratch\nCOPY busybox /bin/busybox\nARG N\nRUN ["/bin/busybox", "sleep", "300"]\n'
    (site / f"Dockerfile.{engine}").write_text(text)
    shutil.copy("/bin/busybox", site / "busybox")
    (site / "p.yml").write_text("- parallel:\n" + "".join(step(box, name, engine) for name in ("api", "web")))
    words = [sys.executable, "-m", "buildpush", "run", "p.yml"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if all(any(f"[{name}]" in one and "sleep" in one for one in lines) for name in ("api", "web")):
                break
        time.sleep(1)
        begun = time.monotonic()
        process.send_signal(2)
        rest = process.stdout.read()
        assert process.wait(60) == 130, "".join(lines) + rest
    assert time.monotonic() - begun < 30
    assert "Traceback" not in rest
    assert box.tags("docker-local/app") == []
