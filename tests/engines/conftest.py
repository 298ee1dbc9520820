"""What the tests of engines share: a directory to build in, and images taken apart."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

try:
    from compression import zstd
except ImportError:
    from backports import zstd

from buildpush.dockerfile.request import BuildRequest
from buildpush.engines import Tools
from buildpush.engines.native import Native
from buildpush.foundation.errors import UnreachableError
from buildpush.foundation.secrets import Secret
from buildpush.images.decompression import decompressed
from buildpush.images.model import OCI_LAYER, Image, Layer, Platform
from buildpush.images.references import Digest, Reference
from buildpush.places import Recorded

REFERENCE = Reference.parse("127.0.0.1:5000/local/app:1")


CREATED = 1_700_000_000
BASE = "buildpush.test/base:1"


@dataclass
class Directory:
    """A context on disk, a native engine to build it, and images taken apart."""

    root: Path
    events: list[Any] = field(default_factory=list)
    bases: dict[str, Image] = field(default_factory=dict)

    def write(self, path: str, text: str | bytes = "", *, mode: int = 0o644) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        file.chmod(mode)
        return file

    def dockerfile(self, text: str) -> None:
        self.write("Dockerfile", text)

    def request(self, **changes: Any) -> BuildRequest:
        return BuildRequest(
            **{
                "context": self.root,
                "dockerfile": self.root / "Dockerfile",
                "references": (REFERENCE,),
                "created": CREATED,
                **changes,
            }
        )

    def everything(self, base: str) -> BuildRequest:
        """Return a request that only real builders honour: RUN on *base*, arguments, a label, the secret s3cr3t-run."""
        self.write("a", "hello")
        self.dockerfile(
            "ARG BASE\nFROM $BASE\nARG V\nCOPY a /a\n"
            "RUN --mount=type=secret,id=s cat /run/secrets/s > /got; cat /run/secrets/s; echo $V >> /got\n"
        )
        return self.request(
            build_args={"BASE": base, "V": "7"}, labels={"l": "m"}, build_secrets={"s": Secret("s3cr3t-run")}
        )

    def engine(self, **changes: Any) -> Native:
        usual = {"sink": self.events.append, "pull": self.pull, "platform": Platform("linux", "amd64")}
        return Native(Tools({}, Recorded(), **{**usual, "now": lambda: CREATED, **changes}))

    def pull(self, reference: Reference, _platform: Platform) -> Image:
        if str(reference) in self.bases:
            return self.bases[str(reference)]
        message = f"there is no {reference}"
        raise UnreachableError(message)

    @contextmanager
    def built(self, text: str | None = None, **changes: Any):
        """Build *text* natively."""
        if text is not None:
            self.dockerfile(text)
        with self.engine().build(self.request(**changes)) as image:
            yield image

    def tree(self, text: str | None = None, **changes: Any) -> dict[str, Thing]:
        with self.built(text, **changes) as image:
            return tree(image)

    def config(self, text: str, **changes: Any) -> dict[str, Any]:
        with self.built(text, **changes) as image:
            return config(image)

    def layers(self, text: str, **changes: Any) -> list[dict[str, Thing]]:
        with self.built(text, **changes) as image:
            return [members(layer_bytes(image, position)) for position in range(len(image.layers))]

    @staticmethod
    def config_of(image: Image) -> dict[str, Any]:
        return config(image)

    @staticmethod
    def files_of(image: Image) -> dict[str, Thing]:
        return tree(image)

    @staticmethod
    def bytes_of(image: Image) -> list[bytes]:
        return [layer_bytes(image, position) for position in range(len(image.layers))]


@dataclass(frozen=True)
class Thing:
    """A member of a layer."""

    kind: str
    mode: int
    owner: tuple[int, int]
    text: str

    def __repr__(self) -> str:
        return f"{self.kind} {self.mode:04o} {self.owner[0]}:{self.owner[1]} {self.text!r}"


@contextmanager
def running_daemon(directory: Path, driver: str):
    """Start a daemon with the store that Docker had by default until 29; give its address, or why there is none."""
    if os.geteuid() != 0:
        yield "a daemon needs root"
        return
    (directory / "daemon.json").write_text('{"features": {"containerd-snapshotter": false}}')
    # In a network of its own: a daemon takes the other one's bridge and rules away.
    argv = ["unshare", "--net", "dockerd", "--config-file", f"{directory}/daemon.json", "--storage-driver", driver]
    argv += ["--data-root", f"{directory}/data", "--exec-root", f"{directory}/exec", "--pidfile", f"{directory}/pid"]
    argv += ["--host", f"unix://{directory}/docker.sock", "--iptables=false", "--ip6tables=false"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        ready = _ready(process, directory)
        yield f"unix://{directory}/docker.sock" if ready else (directory / "log").read_text()[-2000:]
    finally:
        process.terminate()
        process.wait(60)
        # One that is stopped while a container runs leaves the container's network behind.
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            if line.split()[4].startswith(f"{directory}/"):
                subprocess.run(["umount", "--lazy", line.split()[4]], check=False)


def _ready(process, directory) -> bool:
    for _ in range(300):
        if process.poll() is not None:
            return False
        if "API listen on" in (directory / "log").read_text():
            return True
        time.sleep(0.2)
    return False


@pytest.fixture(scope="session")
def start_daemon():
    return running_daemon


@contextmanager
def buildkit(directory: Path):
    """Start a BuildKit that nothing else uses, and give the variables with which buildx builds with it."""
    address = f"unix://{directory}/s"
    with (directory / "log").open("wb") as log:
        argv = ["buildkitd", "--addr", address, "--root", f"{directory}/root"]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        for _ in range(150):
            if (directory / "s").exists():
                break
            time.sleep(0.1)
        env = {**os.environ, "BUILDX_CONFIG": f"{directory}/buildx", "BUILDX_BUILDER": "far"}
        create = ["docker", "buildx", "create", "--name", "far", "--driver", "remote", address]
        subprocess.run(create, env=env, check=True, capture_output=True)
        yield env
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="session")
def far(need, tmp_path_factory):
    need("docker", "buildx", "buildkitd")
    with buildkit(tmp_path_factory.mktemp("buildkit")) as env:
        yield env


@pytest.fixture(scope="session")
def contained(need, tmp_path_factory):
    """Start a BuildKit in a container, by buildx's driver docker-container, and give the variables for it."""
    need("docker", "buildx", "buildkitd", "buildctl", "runc")
    directory, name = tmp_path_factory.mktemp("contained"), "buildpush.test/buildkit:1"
    _write_buildkit(directory)
    subprocess.run(["docker", "build", "--tag", name, directory], check=True, capture_output=True)
    env = {**os.environ, "BUILDX_CONFIG": f"{directory}/buildx", "BUILDX_BUILDER": "contained"}
    create = ["docker", "buildx", "create", "--name", "contained", "--driver", "docker-container", "--bootstrap"]
    create += ["--driver-opt", f"image={name}", "--driver-opt", "network=host"]
    subprocess.run(create, env=env, check=True, capture_output=True)
    yield env
    for argv in (["docker", "buildx", "rm", "contained"], ["docker", "rmi", "--force", name]):
        subprocess.run(argv, env=env, check=True, capture_output=True)


def _write_buildkit(directory: Path) -> None:
    """Write the context of an image of BuildKit, of the programs that are here: no public registry may be reachable."""
    for program, called in {"buildkitd": "buildkitd", "buildctl": "buildctl", "runc": "buildkit-runc"}.items():
        path = shutil.which(program)
        _copy(path, directory / "root/bin" / called)
        ldd = subprocess.run(["ldd", path], capture_output=True, text=True, check=False)  # of a static one, an error
        for library in re.findall(r"(/\S+) \(0x", ldd.stdout):
            _copy(library, directory / f"root{library}")
    (directory / "root/tmp").mkdir()
    (directory / "Dockerfile").write_text('FROM scratch\nCOPY root /\nENV PATH=/bin\nENTRYPOINT ["buildkitd"]\n')


def _copy(source: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


@pytest.fixture(scope="session")
def kaniko_image(need, tmp_path_factory):
    """Return the name of an image of the executor that ``KANIKO_EXECUTOR`` names; no registry may be reachable."""
    executor = os.environ.get("KANIKO_EXECUTOR")
    if not executor:
        pytest.skip("needs kaniko: KANIKO_EXECUTOR names no executor")
    need("docker")
    directory, name = tmp_path_factory.mktemp("kaniko"), "buildpush.test/kaniko:1"
    shutil.copy(executor, directory / "executor")
    # The variables are those of the published image; without them kaniko does not know who it is.
    variables = "ENV HOME=/root USER=root PATH=/usr/local/bin:/kaniko"
    text = f"FROM scratch\nCOPY --chmod=755 executor /kaniko/executor\n{variables}\n"
    (directory / "Dockerfile").write_text(text)
    subprocess.run(["docker", "build", "--tag", name, directory], check=True, capture_output=True)
    digest = ["docker", "image", "inspect", "--format", "{{index .RepoDigests 0}}", name]
    yield subprocess.run(digest, check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run(["docker", "rmi", "--force", name], check=True, capture_output=True)


def config(image: Image) -> dict[str, Any]:
    return json.loads(image.config)


def layer_bytes(image: Image, position: int) -> bytes:
    for found, reader in image.blobs([position]):
        assert found == position
        return reader.read()
    raise AssertionError


def members(raw: bytes) -> dict[str, Thing]:
    """Return what a tar holds, by path, in its order."""
    found: dict[str, Thing] = {}
    with tarfile.open(fileobj=io.BytesIO(decompressed(io.BytesIO(raw)).read())) as tar:
        for member in tar:
            kind = {tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "link", tarfile.LNKTYPE: "hard"}.get(
                member.type, "file"
            )
            reader = tar.extractfile(member) if kind == "file" else None
            text = reader.read().decode("utf-8", "replace") if reader else member.linkname
            found[member.name] = Thing(kind, member.mode, (member.uid, member.gid), text)
    return found


def tree(image: Image) -> dict[str, Thing]:
    """Return the files of the whole image; a hard link as the file it is."""
    found: dict[str, Thing] = {}
    for position in range(len(image.layers)):
        for path, thing in members(layer_bytes(image, position)).items():
            whole = found[thing.text] if thing.kind == "hard" else thing
            if whole.kind == "directory" or found.get(path, whole).kind != "directory":
                found[path] = whole
    return found


@pytest.fixture
def directory(tmp_path):
    root = tmp_path / "context"
    root.mkdir()
    return Directory(root)


def base_image(files: dict[str, str], *, kind: str = "plain", program: Path | None = None, **extra: Any) -> Image:
    """Return an image of one layer, as a registry would give it; *program* is its busybox."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        if program:
            tar.add(program.resolve(), "bin/busybox")
        for path, text in files.items():
            member = tarfile.TarInfo(path.rstrip("/"))
            member.mtime = 5
            if path.endswith("/"):
                member.type, member.mode = tarfile.DIRTYPE, int(text or "755", 8)
                tar.addfile(member)
            elif text.startswith("->"):
                member.type, member.linkname = tarfile.SYMTYPE, text[2:]
                tar.addfile(member)
            elif text.startswith("=>"):
                member.type, member.linkname = tarfile.LNKTYPE, text[2:]
                tar.addfile(member)
            else:
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text.encode()))
    raw = buffer.getvalue()
    document = {"os": "linux", "architecture": "amd64", "config": extra, "history": [{"created_by": "base"}]}
    packed = {"plain": bytes, "gzip": gzip.compress, "zstd": zstd.compress}[kind](raw)
    digest = Digest("sha256:" + hashlib.sha256(packed).hexdigest())
    diff_id = Digest("sha256:" + hashlib.sha256(raw).hexdigest())
    media_type = OCI_LAYER + {"plain": "", "gzip": "+gzip", "zstd": "+zstd"}[kind]
    layer = Layer("base", media_type, diff_id, digest, len(packed))
    return Image(json.dumps(document).encode(), (layer,), lambda wanted: ((at, io.BytesIO(packed)) for at in wanted))


@pytest.fixture
def make_base():
    return base_image


@pytest.fixture
def busybox(need) -> Path:
    """Return a static busybox: it runs in an image without anything else."""
    found = next((path for path in (Path("/bin/busybox"), Path("/usr/bin/busybox")) if path.exists()), None)
    if found is None:
        need("busybox")
    return found


@pytest.fixture
def base(need, busybox):
    """Import a base image made of a static busybox, since no public registry may be reachable."""
    need("docker", "buildx")
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        tar.add(busybox.resolve(), "bin/busybox")
        for name in ("sh", "ls", "cat", "find", "false", "echo", "stat"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    subprocess.run(["docker", "import", "-", BASE], input=raw.getvalue(), check=True, capture_output=True)
    yield BASE
    subprocess.run(["docker", "rmi", "--force", BASE], check=True, capture_output=True)
