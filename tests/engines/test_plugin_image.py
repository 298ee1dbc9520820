"""The image of ``examples/plugin``, built by two engines, and run as Harness and Drone run a plugin."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

import buildpush
from tests.cluster.images import with_dependencies

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "examples" / "plugin" / "Dockerfile"

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Return the context of an image of the Python that is here: no public registry may be reachable."""
    directory = tmp_path_factory.mktemp("python")
    program, library = Path(sys.executable).resolve(), Path(sysconfig.get_path("stdlib"))
    skipped = shutil.ignore_patterns("site-packages", "test", "tests", "__pycache__", "config-*", "idlelib", "*.a")
    shutil.copytree(library, under(directory, library), ignore=skipped)
    copy(program, directory)
    for binary in (program, *library.glob("lib-dynload/*.so")):
        copy_libraries(binary, directory)
    link = under(directory, Path("/usr/bin/python3"))
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(program)
    (directory / "root/tmp").mkdir(exist_ok=True)
    (directory / "Dockerfile").write_text("FROM scratch\nCOPY root /\nENV PATH=/usr/bin\n")
    return directory


@pytest.fixture(scope="module")
def installed(tmp_path_factory, python):
    """Return a directory such as ``pip install --target`` makes, of what is installed here."""
    directory = tmp_path_factory.mktemp("installed")
    shutil.copytree(ROOT / "buildpush", directory / "buildpush", ignore=shutil.ignore_patterns("__pycache__"))
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for distribution in with_dependencies(wanted):
        for file in distribution.files or ():
            if file.parts[0] != ".." and "__pycache__" not in file.parts:
                target = directory / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file.locate(), target)
                if target.suffix == ".so":
                    copy_libraries(target, python)
    return directory


def under(directory, path):
    return directory / "root" / path.relative_to("/")


def copy(source, directory):
    target = under(directory, Path(source))
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def copy_libraries(binary, directory):
    listed = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False)
    for library in re.findall(r"(/\S+) \(0x", listed.stdout):
        if not under(directory, Path(library)).exists():
            copy(library, directory)


@pytest.fixture
def push(box, installed, python):
    """Return what builds a context and pushes it into the sandbox, below a name."""

    def push(name, context, **settings):
        login = {"username": box.username, "password": box.password, "registry": box.host}
        return buildpush.run(repo=f"{box.host}/docker-local/{name}", context=str(context), **login, **settings)

    push("python", python, dockerfile=str(python / "Dockerfile"), engine="native", tags=["1"])
    return push


@pytest.fixture
def image(request, push, box, installed, tmp_path):
    """Return the name that Docker knows the plugin by, and remove it in the end."""
    base = {"BASE": f"{box.host}/docker-local/python:1"}
    more = {"dockerfile": str(DOCKERFILE), "build_args": base, "tar_path": str(tmp_path / "image.tar")}
    result = push("plugins/buildpush", installed, engine=request.param, tags=["1"], **more)
    docker("load", "--input", str(tmp_path / "image.tar"))
    yield result.references[0]
    docker("rmi", "--force", result.references[0], base["BASE"])


def docker(*words):
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def run(image, tmp_path):
    """Return what runs the image in a workspace with variables alone, and returns how it ended."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")

    def run(**variables):
        given = [word for name, text in variables.items() for word in ("--env", f"{name}={text}")]
        words = ["docker", "run", "--rm", "--network=host", f"--volume={workspace}:/harness", "--workdir=/harness"]
        return subprocess.run([*words, *given, image], capture_output=True, text=True, check=False), workspace

    return run


@pytest.fixture(autouse=True)
def _needed(need):
    need("docker", "buildx")
    if sys.platform != "linux" or os.environ.get("DOCKER_HOST", "unix:").partition(":")[0] != "unix":
        pytest.skip("the daemon must be on this machine, to reach the sandbox")


@pytest.mark.parametrize("image", ["native", "docker"], indirect=True)
def test_the_image_builds_pushes_and_publishes_by_variables_alone(run, box):
    login = {"PLUGIN_USERNAME": box.username, "PLUGIN_PASSWORD": box.password.reveal()}
    app = f"{box.host}/docker-local/app"
    variables = {"PLUGIN_REPO": app, "PLUGIN_TAGS": "1,2", "PLUGIN_ARTIFACT_FILE": "artifact.json"}
    ran, workspace = run(**login, **variables, DRONE_OUTPUT="out.env")
    assert ran.returncode == 0, ran.stderr
    assert sorted(box.tags("docker-local/app")) == ["1", "2"]
    digest = box.digest("docker-local/app", "1")
    artifact = json.loads((workspace / "artifact.json").read_text())
    assert {one["digest"] for one in artifact["data"]["images"]} == {digest}
    assert f"digest={digest}\n" in (workspace / "out.env").read_text()
    variables = {
        "PLUGIN_DOCKER_IMAGE": f"{app}:1",
        "PLUGIN_URL": f"{box.url}/artifactory/",
        "PLUGIN_BUILD_NAME": "shop",
    }
    ran, _ = run(**login, **variables, PLUGIN_BUILD_NUMBER="7", DRONE_COMMIT_SHA="1" * 40)
    assert ran.returncode == 0, ran.stderr
    assert [(build["name"], build["number"]) for build in box.builds()] == [("shop", "7")]
    assert box.password.reveal() not in ran.stdout + ran.stderr
    ran, _ = run()
    assert (ran.returncode, "no variable says what to do" in ran.stderr) == (2, True)
