"""The clients that people use push to the sandbox and pull from it, over plain HTTP."""

import json
import os
import shutil
import subprocess
import tarfile

import pytest

from buildpush.sandbox import Sandbox

pytestmark = pytest.mark.engines

DOCKERFILE = 'FROM scratch\nCOPY hello /hello\nLABEL team=web\nCMD ["/hello"]\n'
TEXT = "hello from the sandbox\n"


def run(*argv, check=True, **more):
    answer = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, **more)
    assert not check or answer.returncode == 0, f"{argv}\n{answer.stdout}\n{answer.stderr}"
    return answer


@pytest.fixture
def context(tmp_path):
    directory = tmp_path / "context"
    directory.mkdir()
    (directory / "Dockerfile").write_text(DOCKERFILE)
    (directory / "hello").write_text(TEXT)
    return directory


@pytest.fixture
def docker(box, context, need):
    """Yield the function that runs docker, logged in; the images it names by the sandbox's host go afterwards."""
    need("docker")

    def docker(*argv, **more):
        return run("docker", *argv, **more)

    docker("login", "--username", box.username, "--password-stdin", box.host, input=box.password.reveal())
    yield docker
    listed = docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    for image in listed:
        if image.startswith(f"{box.host}/"):
            docker("rmi", "--force", image)


@pytest.fixture
def layout(context, tmp_path, need):
    """Return an OCI layout made by hand, for clients that need no daemon."""
    need("skopeo")
    return _write_layout(tmp_path / "layout", context)


def _write_layout(directory, context):
    import gzip
    import hashlib

    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def keep(data, media_type):
        name = hashlib.sha256(data).hexdigest()
        (blobs / name).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data)}

    plain = directory / "layer.tar"
    with tarfile.open(plain, "w") as tar:
        tar.add(context / "hello", "hello")
    data = plain.read_bytes()
    plain.unlink()
    diff_ids = [f"sha256:{hashlib.sha256(data).hexdigest()}"]
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": keep(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [keep(gzip.compress(data), "application/vnd.oci.image.layer.v1.tar+gzip")],
    }
    child = keep(json.dumps(manifest).encode(), manifest["mediaType"])
    child["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [child]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return directory, child["digest"]


def test_docker_pushes_and_pulls_what_it_built(box, docker, context):
    image = f"{box.host}/docker-local/team/hello:1"
    docker("build", "--tag", image, str(context))
    pushed = docker("push", image).stdout
    digest = box.digest("docker-local/team/hello", "1")
    assert digest in pushed
    docker("rmi", image)
    docker("pull", image)
    container = docker("create", image).stdout.strip()
    try:
        copied = run("docker", "cp", f"{container}:/hello", "-").stdout
    finally:
        docker("rm", container)
    assert TEXT in copied


def test_dockers_wrong_password_is_refused(box, need):
    need("docker")
    answer = run(
        *("docker", "login", "--username", box.username, "--password-stdin", box.host), input="wrong", check=False
    )
    assert answer.returncode != 0
    assert "Bad credentials" in answer.stderr or "unauthorized" in answer.stderr


def test_docker_finds_its_layers_in_another_repository_of_the_sandbox(box, docker, context):
    # What no test pushed before: the daemon would look for it where that was.
    (context / "hello").write_text(os.urandom(8).hex())
    first, second = f"{box.host}/docker-local/one:1", f"{box.host}/docker-release/two:1"
    docker("build", "--tag", first, "--provenance=false", str(context), env={**os.environ, "DOCKER_BUILDKIT": "1"})
    docker("push", first)
    docker("tag", first, second)
    before = sum(request.received for request in box.requests if "/blobs/" in request.path)
    docker("push", second)
    after = sum(request.received for request in box.requests if "/blobs/" in request.path)
    assert before == after
    assert box.digest("docker-release/two", "1") == box.digest("docker-local/one", "1")


def test_buildx_pushes_an_index_of_two_platforms(box, docker, context, need):
    need("docker", "buildx")
    if "containerd" not in docker("info", "--format", "{{json .DriverStatus}}").stdout:
        pytest.skip("needs docker's containerd image store for several platforms")
    image = f"{box.host}/docker-local/multi:1"
    docker("buildx", "build", "--push", "--platform", "linux/amd64,linux/arm64", "--tag", image, str(context))
    assert "multi/1/list.manifest.json" in box.files()
    index = json.loads(box.blob(box.digest("docker-local/multi", "1")))
    assert {"amd64", "arm64"} <= {child["platform"]["architecture"] for child in index["manifests"]}


def test_skopeo_copies_in_across_and_out(box, layout, tmp_path):
    directory, digest = layout
    credentials = f"{box.username}:{box.password.reveal()}"
    skopeo = ("skopeo", "--insecure-policy", "copy")
    put = ("--dest-tls-verify=false", "--dest-creds", credentials)
    take = ("--src-tls-verify=false", "--src-creds", credentials)
    run(*skopeo, *put, f"oci:{directory}:1", f"docker://{box.host}/docker-local/hello:1")
    run(*skopeo, *take, *put, f"docker://{box.host}/docker/hello:1", f"docker://{box.host}/docker-release/hello:2")
    run(*skopeo, *take, f"docker://{box.host}/docker-release/hello:2", f"oci:{tmp_path / 'out'}:2")
    assert box.digest("docker-local/hello", "1") == box.digest("docker-release/hello", "2") == digest
    assert (tmp_path / "out" / "blobs" / "sha256" / digest.removeprefix("sha256:")).exists()


def test_skopeo_lists_inspects_and_deletes(box, layout):
    directory, digest = layout
    access = ("--tls-verify=false", "--creds", f"{box.username}:{box.token.reveal()}")
    image = f"docker://{box.host}/docker-local/hello"
    run(
        "skopeo",
        "--insecure-policy",
        "copy",
        "--dest-tls-verify=false",
        "--dest-creds",
        access[2],
        f"oci:{directory}:1",
        f"{image}:1",
    )
    assert json.loads(run("skopeo", "list-tags", *access, image).stdout)["Tags"] == ["1"]
    assert json.loads(run("skopeo", "inspect", *access, f"{image}:1").stdout)["Digest"] == digest
    run("skopeo", "delete", *access, f"{image}:1")
    assert box.files() == []


def test_buildah_pulls_and_pushes(box, layout, tmp_path, need):
    need("buildah")
    directory, _digest = layout
    storage = ("--storage-driver", "vfs", "--root", str(tmp_path / "root"), "--runroot", str(tmp_path / "run"))
    access = ("--tls-verify=false", "--creds", f"{box.username}:{box.password.reveal()}")
    image = f"{box.host}/docker-local/hello"
    run(
        "skopeo",
        "--insecure-policy",
        "copy",
        "--dest-tls-verify=false",
        "--dest-creds",
        access[2],
        f"oci:{directory}:1",
        f"docker://{image}:1",
    )
    run("buildah", *storage, "pull", *access, f"{image}:1")
    run("buildah", *storage, "push", *access, f"{image}:1", f"docker://{image}:2")
    assert box.tags("docker-local/hello") == ["1", "2"]
    run("buildah", *storage, "rmi", "--all", "--force")
    shutil.rmtree(tmp_path / "root", ignore_errors=True)


@pytest.mark.parametrize("uploads", ["artifactory", "docker-registry", "crane"])
def test_skopeo_pushes_by_a_line_whatever_the_way_to_deal_with_uploads(uploads, layout):
    directory, digest = layout
    with Sandbox(uploads=uploads) as box:
        line = box.add_line(bytes_per_second=1_000_000)
        credentials = f"{box.username}:{box.password.reveal()}"
        put = ("--dest-tls-verify=false", "--dest-creds", credentials)
        image = f"docker://{line.host}/docker-local/hello:1"
        run("skopeo", "--insecure-policy", "copy", *put, f"oci:{directory}:1", image)
        assert box.digest("docker-local/hello", "1") == digest
        assert line.sent > 0
        assert not box.failures
