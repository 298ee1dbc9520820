"""Docker with the store that it had before version 29, overlay2; the usual daemon of these tests has containerd's."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.engines
BUILD = ("--build-name=shop", "--build-number=7")


@pytest.fixture
def bridge(need, give_up):
    """Yield the name of a network bridge; a daemon without one removes that of the usual daemon, docker0."""
    need("ip")
    name = f"bp{os.getpid()}"
    made = subprocess.run(["ip", "link", "add", name, "type", "bridge"], capture_output=True, text=True, check=False)
    if made.returncode:
        give_up(f"no bridge can be made here: {made.stderr}")
    try:
        subprocess.run(["ip", "address", "add", "10.213.77.1/24", "dev", name], check=True)
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "link", "delete", name], check=True)


@pytest.fixture
def overlay(need, give_up, box, bridge, tmp_path, monkeypatch):
    """Yield a function that runs docker, logged in to the sandbox, with a daemon of its own."""
    need("docker", "dockerd", "ip")
    if os.geteuid() != 0:
        give_up("a daemon of its own needs root")
    socket, log = tmp_path / "d.sock", tmp_path / "log"
    argv = ["dockerd", "--storage-driver=overlay2", f"--bridge={bridge}", "--iptables=false", "--ip6tables=false"]
    argv += [f"--host=unix://{socket}", f"--data-root={tmp_path / 'data'}", f"--exec-root={tmp_path / 'exec'}"]
    (tmp_path / "daemon.json").write_text("{}")
    argv += [f"--pidfile={tmp_path / 'pid'}", f"--config-file={tmp_path / 'daemon.json'}"]
    login = base64.b64encode(f"{box.username}:{box.password.reveal()}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {box.host: {"auth": login}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{socket}")

    def docker(*words):
        return subprocess.run(["docker", *map(str, words)], capture_output=True, text=True, check=True).stdout

    with log.open("wb") as out, subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out) as process:
        try:
            if problem := _wait(process, log):
                give_up(f"dockerd does not start here with overlay2: {problem}")
            yield docker
        finally:
            process.terminate()


def _wait(process, log: Path) -> str:
    """Return why the daemon does not answer; empty if it does."""
    for _ in range(300):
        if "API listen on" in log.read_text():
            return ""
        if process.poll() is not None:
            break
        time.sleep(0.2)
    return log.read_text()[-500:] or "it is silent"


@pytest.fixture
def image(overlay, box, tmp_path):
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY hello /hello\n")
    (context / "hello").write_text("hello\n")
    name = f"{box.host}/docker-local/team/hello:1"
    overlay("build", "--tag", name, context)
    return name


def test_docker_with_overlay2_pulls_what_it_pushed(overlay, box, image):
    pushed = overlay("push", image)
    digest = box.digest("docker-local/team/hello", "1")
    assert digest in pushed
    before = overlay("image", "inspect", "--format", "{{json .RootFS.Layers}}", image)
    overlay("image", "rm", image)
    overlay("pull", image)
    assert overlay("image", "inspect", "--format", "{{json .RootFS.Layers}}", image) == before
    assert digest in overlay("image", "inspect", "--format", "{{json .RepoDigests}}", image)


def test_jf_pushes_pulls_and_publishes_by_the_images_own_id(overlay, box, image, jf):
    """It compares the daemon's id of the image with the configuration in Artifactory; only this store has that id."""
    jf.run("rt", "docker-push", image, "docker-local", "--skip-login", *BUILD)
    overlay("image", "rm", image)
    jf.run("rt", "docker-pull", image, "docker-local", "--skip-login", "--build-name=pulled", "--build-number=1")
    jf.run("rt", "build-publish", "shop", "7")
    jf.run("rt", "build-publish", "pulled", "1")

    [pushed], [pulled] = box.builds("shop"), box.builds("pulled")
    [module], [used] = pushed["modules"], pulled["modules"]
    sums = {file["sha256"] for file in module["artifacts"]}
    assert len(sums) == 3
    assert {file["sha256"] for file in used["dependencies"]} == sums
    assert module["properties"]["docker.image.id"] == overlay("image", "inspect", "--format", "{{.Id}}", image).strip()
