"""What the programs that a run starts can see: none of our variables, and no secret that they do not need."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from buildpush.cli import run_command

pytestmark = pytest.mark.programs

PROGRAMS = ("docker", "docker-buildx", "buildx", "buildah", "git", "docker-credential-planted")
PLANTED = {
    "PLUGIN_PASSWORD": "planted-password",
    "PLUGIN_USERNAME": "planted-user",
    "JF_ACCESS_TOKEN": "planted-jfrog",
    "BUILDPUSH_SECRET_UNUSED": "planted-unused",
    "DOCKER_AUTH_CONFIG": '{"auths": {"planted.test": {"auth": "cGxhbnRlZDpwbGFudGVk"}}}',
}
# A helper may log in with whatever its user has set for it; an engine may not see these.
FOR_HELPERS = {"SOME_TOKEN": "planted-of-somebody", "APP_SECRET": "planted-for-the-build", "COPY": "planted-unused"}


@pytest.fixture
def dumps(tmp_path, monkeypatch) -> Path:
    """Stand in a directory with a Dockerfile; every program there leaves its environment behind, and fails."""
    directory, found = tmp_path / "bin", tmp_path / "dumps"
    directory.mkdir()
    found.mkdir()
    for name in PROGRAMS:
        into = f"{found}/{name}.$$"
        lines = ["#!/bin/sh", f"/usr/bin/env > {into}", f"/usr/bin/tr '\\0' ' ' < /proc/$$/cmdline >> {into}", "exit 1"]
        (directory / name).write_text("\n".join(lines))
        (directory / name).chmod(0o755)
    for name, value in (PLANTED | FOR_HELPERS).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/config.json").write_text(json.dumps({"credsStore": "planted"}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM 127.0.0.1:1/planted/base\nRUN --mount=type=secret,id=app true\n")
    return found


def test_programs_see_no_secret_of_ours(dumps):
    words = ["--repo", "127.0.0.1:1/docker-local/app", "--env-docker-secret", "app=APP_SECRET"]
    for engine in ("docker", "buildx", "buildah", "auto"):
        run_command(["build", *words, "--engine", engine])
        run_command(["check", *words, "--engine", engine])
    run_command(["build", "--context", "https://127.0.0.1:1/x.git", "--engine", "native"])
    seen = {path: path.read_text() for path in dumps.iterdir()}
    assert {path.name.rpartition(".")[0] for path in seen} >= {"docker", "buildah", "git", "docker-credential-planted"}
    for path, text in seen.items():
        logs_in = path.name.startswith(("docker-credential", "git"))
        hidden = PLANTED if logs_in else PLANTED | FOR_HELPERS
        assert not [name for name in hidden if f"\n{name}=" in f"\n{text}"], path.name
        assert not [value for value in PLANTED.values() if value in text.replace("COPY=planted-unused", "")], path.name
