"""What is no image in a registry: files, charts, signatures; read back, since clients end with 0 either way."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import tarfile

import pytest

pytestmark = pytest.mark.engines
SIGNATURE = "application/vnd.example.signature"


@pytest.fixture
def client(box, tmp_path):
    """Return a function that runs a client, which finds the login of the sandbox in Docker's configuration."""
    login = base64.b64encode(f"{box.username}:{box.password.reveal()}".encode()).decode()
    config = json.dumps({"auths": {box.host: {"auth": login}}})
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "registry.json").write_text(config)
    homes = {"HOME": tmp_path, "DOCKER_CONFIG": tmp_path, "HELM_REGISTRY_CONFIG": tmp_path / "registry.json"}
    env = {**os.environ, **{name: str(path) for name, path in homes.items()}}

    def run(*argv: object, cwd=tmp_path) -> str:
        words = list(map(str, argv))
        done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


def test_oras_gets_back_the_file_that_it_pushed_and_what_refers_to_it(box, need, client, tmp_path):
    need("oras")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    (tmp_path / "table.sig").write_text("signed")
    name = f"{box.host}/docker-local/data:1"
    client("oras", "push", "--plain-http", name, "table.csv:text/csv")
    client("oras", "attach", "--plain-http", "--artifact-type", SIGNATURE, name, "table.sig")

    found = json.loads(client("oras", "discover", "--plain-http", "--format", "json", name))
    listed = found.get("referrers") or found.get("manifests")
    assert [one["artifactType"] for one in listed] == [SIGNATURE]
    (tmp_path / "out").mkdir()
    client("oras", "pull", "--plain-http", name, cwd=tmp_path / "out")
    assert (tmp_path / "out" / "table.csv").read_text() == "a,b\n1,2\n"


def test_oras_copies_signatures_with_what_they_sign(box, need, client, tmp_path):
    need("oras")
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "a.sig").write_text("signed")
    name, copy = f"{box.host}/docker-local/data:1", f"{box.host}/docker-release/data:1"
    client("oras", "push", "--plain-http", name, "a.txt")
    client("oras", "attach", "--plain-http", "--artifact-type", SIGNATURE, name, "a.sig")
    client("oras", "copy", "--recursive", "--from-plain-http", "--to-plain-http", name, copy)

    assert box.digest("docker-release/data", "1") == box.digest("docker-local/data", "1")
    assert SIGNATURE in client("oras", "discover", "--plain-http", copy)


def test_regctl_copies_an_image_with_its_referrers_and_deletes_a_tag(box, need, client, tmp_path):
    need("oras", "regctl")
    (tmp_path / "a.txt").write_text("a")
    name, copy = f"{box.host}/docker-local/data", f"{box.host}/docker-release/data"
    client("oras", "push", "--plain-http", f"{name}:1", "a.txt")
    client("oras", "attach", "--plain-http", "--artifact-type", SIGNATURE, f"{name}:1", "a.txt")
    client("regctl", "registry", "set", box.host, "--tls", "disabled")
    client("regctl", "image", "copy", "--referrers", f"{name}:1", f"{copy}:1")
    client("regctl", "image", "copy", f"{name}:1", f"{copy}:2")

    assert client("regctl", "tag", "ls", copy).split() == ["1", "2"]
    listed = json.loads(client("regctl", "artifact", "list", f"{copy}:1", "--format", "{{json .Descriptors}}"))
    assert [one["artifactType"] for one in listed] == [SIGNATURE]
    client("regctl", "tag", "delete", f"{copy}:2")
    assert box.tags("docker-release/data") == ["1"]


def test_helm_gets_back_the_chart_that_it_pushed(box, need, client, tmp_path):
    need("helm")
    client("helm", "create", "shop")
    client("helm", "package", "shop")
    pushed = (tmp_path / "shop-0.1.0.tgz").read_bytes()
    client("helm", "push", "shop-0.1.0.tgz", f"oci://{box.host}/docker-local/charts", "--plain-http")
    (tmp_path / "out").mkdir()
    chart = f"oci://{box.host}/docker-local/charts/shop"
    client("helm", "pull", chart, "--version", "0.1.0", "--plain-http", cwd=tmp_path / "out")

    assert (tmp_path / "out" / "shop-0.1.0.tgz").read_bytes() == pushed
    assert "name: shop" in client("helm", "show", "chart", chart, "--plain-http")


def test_crane_moves_an_image_between_repositories_and_checks_it(box, need, client, tmp_path):
    need("crane")
    with tarfile.open(tmp_path / "layer.tar", "w") as tar:
        (tmp_path / "hello").write_text("hello\n")
        tar.add(tmp_path / "hello", "hello")
    name, copy = f"{box.host}/docker-local/hello:1", f"{box.host}/docker-release/hello:2"
    client("crane", "append", "--insecure", "--new_layer", "layer.tar", "--new_tag", name)
    client("crane", "copy", "--insecure", name, copy)
    client("crane", "validate", "--insecure", "--remote", copy)
    client("crane", "export", "--insecure", copy, "out.tar")

    with tarfile.open(tmp_path / "out.tar") as tar:
        assert tar.extractfile("hello").read() == b"hello\n"
    assert box.digest("docker-release/hello", "2") == box.digest("docker-local/hello", "1")


def test_oras_fetches_a_blob_by_its_digest(box, need, client, tmp_path):
    need("oras")
    content = os.urandom(300_000)
    (tmp_path / "a.bin").write_bytes(content)
    client("oras", "push", "--plain-http", f"{box.host}/docker-local/data:1", "a.bin")
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    out = tmp_path / "out.bin"
    client("oras", "blob", "fetch", "--plain-http", "--output", out, f"{box.host}/docker-local/data@{digest}")
    assert out.read_bytes() == content
