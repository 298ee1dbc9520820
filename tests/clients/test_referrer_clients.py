"""What other clients attach to an image is found again: they say nothing when they lose it."""

import json
import os
import subprocess

import pytest

from buildpush.images.model import OCI_MANIFEST

pytestmark = pytest.mark.engines

IMAGE = "docker-local/app"
SBOM = "application/vnd.example.sbom"


@pytest.fixture
def run(box, tmp_path):
    """Return a function that runs a client in a directory of its own, with a login for the sandbox."""
    auths = {box.host: {"username": box.username, "password": box.password.reveal()}}
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    env = {**os.environ, "DOCKER_CONFIG": str(tmp_path), "COSIGN_PASSWORD": ""}

    def run(*argv):
        done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


@pytest.fixture
def image(box, run, need, tmp_path):
    """Push an image with oras, and return its digest."""
    need("oras")
    (tmp_path / "layer").write_text("layer")
    run("oras", "push", "--plain-http", "--disable-path-validation", f"{box.host}/{IMAGE}:1", "layer")
    return box.digest(IMAGE, "1")


def test_oras_finds_what_it_attached(box, run, image, tmp_path):
    (tmp_path / "sbom.json").write_text('{"packages": []}')
    target = f"{box.host}/{IMAGE}@{image}"
    run("oras", "attach", "--plain-http", "--artifact-type", SBOM, target, "sbom.json")
    found = json.loads(run("oras", "discover", "--plain-http", "--format", "json", target))
    (referrer,) = found["referrers"]
    assert (referrer["artifactType"], referrer["mediaType"]) == (SBOM, OCI_MANIFEST)
    run("oras", "pull", "--plain-http", "--output", "out", f"{box.host}/{IMAGE}@{referrer['digest']}")
    assert (tmp_path / "out" / "sbom.json").read_text() == '{"packages": []}'
    # Where a list of referrers cannot be read, oras keeps one under a tag.
    assert box.tags(IMAGE) == ["1"]


@pytest.mark.parametrize(("cosign", "more"), [("cosign2", []), ("cosign3", ["--use-signing-config=false"])])
def test_cosign_verifies_what_it_signed(cosign, more, box, run, image, need):
    need(cosign)
    target = f"{box.host}/{IMAGE}@{image}"
    registry = ["--allow-http-registry", "--allow-insecure-registry"]
    run(cosign, "generate-key-pair")
    run(cosign, "sign", "--key", "cosign.key", "--tlog-upload=false", "--yes", *more, *registry, target)
    told = run(cosign, "verify", "--key", "cosign.pub", "--insecure-ignore-tlog", *registry, "--output", "json", target)
    (signature,) = json.loads(told)
    assert signature["critical"]["image"]["docker-manifest-digest"] == image


def test_crane_copies_and_validates_an_image(box, run, image, need, tmp_path):
    need("crane")
    run("crane", "copy", "--insecure", f"{box.host}/{IMAGE}:1", f"{box.host}/docker-release/app:2")
    assert box.digest("docker-release/app", "2") == image
    run("crane", "pull", "--insecure", "--format", "oci", f"{box.host}/docker-release/app:2", "out")
    assert (tmp_path / "out" / "blobs" / "sha256" / image.partition(":")[2]).exists()


def test_regctl_copies_an_image_with_its_referrers(box, run, image, need, tmp_path):
    need("regctl")
    (tmp_path / "note.txt").write_text("note")
    run("oras", "attach", "--plain-http", "--artifact-type", SBOM, f"{box.host}/{IMAGE}@{image}", "note.txt")
    run("regctl", "registry", "set", box.host, "--tls", "disabled")
    run("regctl", "image", "copy", "--referrers", f"{box.host}/{IMAGE}:1", f"{box.host}/docker-release/app:3")
    listed = json.loads(run("regctl", "artifact", "list", f"{box.host}/docker-release/app:3", "--format", "{{json .}}"))
    assert [one["artifactType"] for one in listed["descriptors"]] == [SBOM]
