"""The commands that ``check`` shows are those that a build runs, and a shell takes them."""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest

from buildpush.credentials.docker import Credential
from buildpush.engines import Tools
from buildpush.engines.buildah import Buildah
from buildpush.engines.docker.buildx import Buildx
from buildpush.engines.docker.classic import Docker
from buildpush.engines.kaniko.kaniko import Kaniko
from buildpush.engines.native import Native
from buildpush.foundation.errors import BuildPushError
from buildpush.foundation.secrets import Secret
from buildpush.places import FILES, Command, CommandResult, Here, Recorded

REMOTE = "Name: far\nDriver: remote\nNodes:\nName: far0\nStatus: running\n"
ENGINES = {
    "buildx": lambda place, find, directory: Buildx(Tools({"HOME": "/h"}, place, find, layers=directory / "kept")),
    "buildah": lambda place, find, _directory: Buildah(Tools({"HOME": "/h"}, place, find)),
    "kaniko": lambda place, find, _directory: Kaniko(
        Tools({"HOME": "/h"}, place, find, settings={"kaniko_image": "a.test/kaniko@sha256:" + "1" * 64})
    ),
}


@pytest.mark.parametrize("name", ENGINES)
def test_a_build_runs_what_was_shown(directory, tmp_path, name):
    """But for the names of temporary directories and containers."""
    directory.dockerfile("FROM a.test/base\n")
    place = Recorded(lambda call: CommandResult(0, REMOTE if "inspect" in call.argv else ""))
    login = Credential("me", Secret("s3cr3t-login"), "a test")
    engine = ENGINES[name](place, lambda _host: login, tmp_path)
    request = directory.request(build_args={"V": "a, b\n'c'"}, labels={"l": "m"}, target=None)
    shown = engine.commands(request)
    before = len(place.calls)
    with pytest.raises(BuildPushError), engine.build(request):  # nothing has built anything
        pass
    ran = [call for call in place.calls[before:] if "build" in call.argv or "run" in call.argv]
    assert len(ran[0].argv) == len(shown[0].argv)
    differ = [(one, other) for one, other in zip(ran[0].argv, shown[0].argv, strict=True) if one != other]
    assert all("buildpush" in one for one, _ in differ), differ
    assert "s3cr3t" not in str(shown)
    assert "a, b" in str(shown[0])


def test_the_engine_native_runs_nothing(directory):
    assert Native(Tools({}, Recorded())).commands(directory.request()) == ()


def test_a_command_reads_as_a_shell_takes_it():
    command = Command(("a b", f"--x={FILES}/y", "$z"), {"V": "it's"})
    assert shlex.split(str(command)) == ["V=it's", "a b", "--x=private/y", "$z"]


@pytest.mark.engines
@pytest.mark.parametrize("name", ["docker", "buildah"])
def test_the_commands_can_be_pasted(need, directory, tmp_path, name):
    need("docker", "buildx", "buildah")
    env = dict(os.environ)
    engine = {"docker": Docker, "buildah": Buildah}[name](Tools(env, Here(env)))
    directory.write("a")
    directory.dockerfile("FROM scratch\nARG V\nCOPY a /a\nLABEL v=$V\n")
    (tmp_path / "private").mkdir()
    for command in engine.commands(directory.request(build_args={"V": "a, b\n'c'"})):
        subprocess.run(["sh", "-c", str(command)], cwd=tmp_path, check=True, capture_output=True)
    made = {"docker": "out/layout/index.json", "buildah": "out/image-0.tar"}[name]
    assert (tmp_path / made).exists()
