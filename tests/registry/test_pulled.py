"""What we built and pushed is pulled by the clients that people have, and compared with the directory, file by file."""

import hashlib
import io
import json
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from buildpush.dockerfile.request import BuildRequest
from buildpush.engines import Tools
from buildpush.engines.native import Native
from buildpush.http.client import Http
from buildpush.images.decompression import decompressed
from buildpush.images.model import Platform
from buildpush.images.references import Repository
from buildpush.places import Recorded
from buildpush.registry.client import Registry
from buildpush.registry.push import push

pytestmark = pytest.mark.engines

DOCKERFILE = """\
FROM scratch
COPY mine /tree/mine
COPY --chown=1000:1001 theirs /tree/theirs
COPY mine/tool /tree/theirs/tool
CMD ["/tree/mine/tool"]
"""
MANY_BLOCKS = 5_000_000  # bytes: compressed on several threads, and joined
KINDS = {tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "link"}


def write(path, data=b"", mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


@pytest.fixture
def context(tmp_path) -> Path:
    root = tmp_path / "context"
    write(root / "Dockerfile", DOCKERFILE.encode())
    for side in ("mine", "theirs"):
        directory = root / side
        write(directory / "tool", b"#!/bin/sh\n", 0o755)
        write(directory / "setuid", b"x", 0o4755)
        write(directory / "secret", b"y", 0o600)
        write(directory / "empty")
        write(directory / "random", os.urandom(MANY_BLOCKS))
        write(directory / "words", side.encode() * MANY_BLOCKS)
        write(directory / "grüße 雪" / "file with spaces", b"z")
        write(directory / "/".join(["a long name of a folder"] * 9) / "deep", b"deep")
        (directory / "empty folder").mkdir(mode=0o700)
        (directory / "link").symlink_to("tool")
        (directory / "dangling").symlink_to("/nowhere/at/all")
        (directory / "same").hardlink_to(directory / "words")
    return root


def on_disk(context):
    """Return what the image must hold, as the directory says."""
    found = {}
    for side, owner in (("mine", (0, 0)), ("theirs", (1000, 1001))):
        for path in (context / side).rglob("*"):
            found[f"tree/{path.relative_to(context)}"] = (*of_file(path), owner)
    found["tree/theirs/tool"] = (*of_file(context / "mine" / "tool"), (0, 0))
    return found


def of_file(path):
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return "link", path.readlink().as_posix(), 0o777
    if stat.S_ISDIR(mode):
        return "directory", "", stat.S_IMODE(mode)
    return "file", hashlib.sha256(path.read_bytes()).hexdigest(), stat.S_IMODE(mode)


def in_tar(data, below=None):
    """Return the same of a tar, on top of *below*; a hard link is the file it names."""
    found = dict(below or {})
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            if member.islnk():
                found[name] = found[member.linkname.removeprefix("./")]
            elif name.startswith("tree/"):
                found[name] = (KINDS.get(member.type, "file"), *_content(tar, member), (member.uid, member.gid))
    return {name: thing for name, thing in found.items() if name not in {"tree/mine", "tree/theirs"}}


def _content(tar, member):
    if member.issym():
        return member.linkname, 0o777
    if member.isdir():
        return "", member.mode
    return hashlib.sha256(tar.extractfile(member).read()).hexdigest(), member.mode


@pytest.fixture(params=["gzip", "zstd", "none"])
def pushed(request, context, need, started) -> str:
    """Return the reference of the image in Debian's registry."""
    need("docker-registry")
    here, reference = Platform("linux", "amd64"), Repository(started("docker-registry"), "pulled").tagged("1")
    order = BuildRequest(context, context / "Dockerfile", (reference,), created=1_700_000_000)
    engine = Native(Tools({}, Recorded(), platform=here))
    with Http() as http, engine.build(order) as image:
        push(image, [reference], Registry(http), compression=request.param)
    return str(reference)


def run(*argv):
    done = subprocess.run(argv, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, f"{argv}\n{done.stderr.decode()}"
    return done.stdout


def test_docker_pulls_every_file(pushed, context, need):
    need("docker")
    run("docker", "pull", "--quiet", pushed)
    try:
        container = run("docker", "create", pushed).decode().strip()
        try:
            assert in_tar(run("docker", "export", container)) == on_disk(context)
        finally:
            run("docker", "rm", container)
    finally:
        run("docker", "rmi", "--force", pushed)


def test_skopeo_pulls_every_file(pushed, context, need, tmp_path):
    need("skopeo")
    pulled = tmp_path / "pulled"
    run(
        "skopeo",
        "--insecure-policy",
        "copy",
        "--src-no-creds",
        "--src-tls-verify=false",
        f"docker://{pushed}",
        f"dir:{pulled}",
    )
    found = {}
    for layer in json.loads((pulled / "manifest.json").read_text())["layers"]:
        with (pulled / layer["digest"].removeprefix("sha256:")).open("rb") as file:
            found = in_tar(decompressed(file).read(), found)
    assert found == on_disk(context)


def test_crane_pulls_every_file(pushed, context, need):
    need("crane")
    assert in_tar(run("crane", "export", pushed, "-")) == on_disk(context)
