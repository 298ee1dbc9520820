"""A remote repository in front of another registry: a client gets through it what it would get there."""

import subprocess

import pytest

from buildpush.sandbox import Sandbox
from tests.registry.conftest import STARTS, serving
from tests.sandbox.conftest import Client

pytestmark = pytest.mark.engines


def skopeo(*argv):
    command = ["skopeo", "--insecure-policy", "copy", "--preserve-digests", *argv]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_skopeo_gets_an_image_of_docker_registry_through_the_sandbox(box, need, tmp_path):
    need("docker-registry", "skopeo")
    client = Client(box)
    digest = client.push("docker-local/team/app", "1", b"not really a layer", rootfs={"type": "layers", "diff_ids": []})
    client.close()
    login = f"{box.username}:{box.password.reveal()}"
    with serving(STARTS["docker-registry"](tmp_path), tmp_path / "log") as far:
        insecure = ("--src-tls-verify=false", "--dest-tls-verify=false")
        there = f"docker://{far}/team/app:1"
        skopeo(*insecure, "--src-creds", login, f"docker://{box.host}/docker-local/team/app:1", there)
        with Sandbox(remotes={"hub": f"http://{far}"}) as near:
            login = f"{near.username}:{near.password.reveal()}"
            here = f"docker://{near.host}/hub/team/app:1"
            skopeo(insecure[0], "--src-creds", login, here, f"dir:{tmp_path / 'out'}")
            assert near.digest("hub/team/app", "1") == digest
            assert not [path for path in near.files("hub-cache") if path.endswith(".marker")]
    assert (tmp_path / "out" / "manifest.json").read_bytes() == box.blob(digest)
