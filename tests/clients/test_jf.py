"""JFrog's own commands against the sandbox; their results are checked, because they end with 0 while they lose data."""

from __future__ import annotations

import base64
import json
import os
import subprocess

import pytest

pytestmark = pytest.mark.engines
BUILD = ("--build-name=shop", "--build-number=7")


@pytest.fixture
def image(box, need, tmp_path, monkeypatch):
    """Yield the name of an image of the Docker daemon that is not in the sandbox yet; docker is logged in."""
    need("docker")
    login = base64.b64encode(f"{box.username}:{box.password.reveal()}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {box.host: {"auth": login}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    name = f"{box.host}/docker-local/team/hello:1"
    # Without attestations: jf looks for the files of a single image.
    argv = ["docker", "build", "--tag", name, tmp_path / "context"]
    bare = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    subprocess.run(argv, check=True, capture_output=True, env={**os.environ, **bare})
    yield name
    subprocess.run(["docker", "image", "rm", "--force", name], check=False, capture_output=True)


def modules(box):
    [build] = box.builds("shop")
    return build["modules"]


def test_jf_finds_the_sandbox(jf):
    assert jf.run("rt", "ping").stdout.strip() == "OK"


def test_jf_pushes_an_image_and_publishes_its_build_info(jf, box, image):
    jf.run("rt", "docker-push", image, "docker-local", "--skip-login", "--validate-sha", *BUILD)
    jf.run("rt", "build-publish", "shop", "7")

    [module] = modules(box)
    assert module["artifacts"][0]["name"] == "manifest.json"
    assert len(module["artifacts"]) == 3
    for artifact in module["artifacts"]:
        assert box.properties("docker-local", artifact["path"])["build.number"] == ["7"]


def test_jf_pulls_what_it_pushed(jf, box, image):
    jf.run("rt", "docker-push", image, "docker-local", "--skip-login")
    subprocess.run(["docker", "image", "rm", image], check=True, capture_output=True)
    jf.run("rt", "docker-pull", image, "docker-local", "--skip-login")
    found = subprocess.run(
        ["docker", "image", "inspect", image, "--format", "{{json .RepoDigests}}"], check=True, capture_output=True
    )
    assert box.digest("docker-local/team/hello", "1") in found.stdout.decode()


def test_jf_records_revision_and_environment(jf, box, tmp_path):
    clone = tmp_path / "clone"
    clone.mkdir()
    words = ["-c", "user.name=a", "-c", "user.email=a@b.test", "-c", "init.defaultBranch=main"]
    for argv in (
        ["init"],
        ["remote", "add", "origin", "https://git.test/shop.git"],
        ["commit", "--allow-empty", "-m", "Begin"],
    ):
        subprocess.run(["git", *words, *argv], cwd=clone, check=True, capture_output=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=clone, check=True, capture_output=True, text=True).stdout
    jf.run("rt", "build-add-git", "shop", "7", cwd=clone)
    jf.run("rt", "build-collect-env", "shop", "7")
    jf.run("rt", "build-publish", "shop", "7")

    [build] = box.builds("shop")
    assert build["vcs"] == [
        {"url": "https://git.test/shop.git", "revision": head.strip(), "branch": "main", "message": "Begin"}
    ]
    assert build["properties"]["buildInfo.env.CI"] == "true"


def test_jf_promotes_an_image_by_its_tag(jf, box, image):
    jf.run("rt", "docker-push", image, "docker-local", "--skip-login")
    digest = box.digest("docker-local/team/hello", "1")
    words = ("team/hello", "docker-local", "docker-release", "--source-tag=1", "--target-tag=stable", "--copy")
    jf.run("rt", "docker-promote", *words)
    assert box.digest("docker-release/team/hello", "stable") == box.digest("docker-local/team/hello", "1") == digest
