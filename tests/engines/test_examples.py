"""The examples are real things: each is built by the engine that its text names."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from buildpush.dockerfile.request import BuildRequest
from buildpush.engines import Tools
from buildpush.engines.docker.classic import Docker
from buildpush.engines.native import Native
from buildpush.images.references import Reference
from buildpush.places import Here, Recorded
from buildpush.transfer.docker_archive import write_docker_archive

EXAMPLES = Path(__file__).parents[2] / "examples"


def request(name: str, **changes) -> BuildRequest:
    directory = EXAMPLES / name
    return BuildRequest(directory, directory / "Dockerfile", (Reference.parse("127.0.0.1:1/a/b:1"),), **changes)


def test_the_site_is_its_pages_and_nothing_else(directory):
    with Native(Tools({}, Recorded())).build(request("site")) as image:
        found = directory.files_of(image)
    assert sorted(path for path, thing in found.items() if thing.kind == "file") == [
        "srv/site/index.html",
        "srv/site/style.css",
    ]


def test_the_service_needs_an_engine_that_runs_things():
    assert Native(Tools({}, Recorded())).refuses(request("service")) == "Dockerfile:8: RUN"


@pytest.mark.engines
def test_the_service_answers(base, tmp_path):
    env = dict(os.environ)
    reference = Reference.parse("buildpush.test/service:1")
    arguments = {"BASE": base, "VERSION": "7.1"}
    with Docker(Tools(env, Here(env))).build(request("service", build_args=arguments)) as image:
        write_docker_archive(image, tmp_path / "image.tar", [reference])
    run("load", "--input", str(tmp_path / "image.tar"))
    container = run("run", "--detach", "--rm", str(reference)).strip()
    try:
        assert '"version": "7.1"' in answer(container)
    finally:
        run("rm", "--force", container)
        run("rmi", "--force", str(reference))


def run(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


def answer(container: str) -> str:
    """Ask the service from inside its container, until it is up."""
    url = "http://127.0.0.1:8080/cgi-bin/status"
    for _ in range(50):
        asked = ["docker", "exec", container, "/bin/busybox", "wget", "-q", "-O", "-", url]
        found = subprocess.run(asked, capture_output=True, text=True, check=False)
        if found.returncode == 0:
            return found.stdout
        time.sleep(0.1)
    return found.stderr + run("logs", container)
