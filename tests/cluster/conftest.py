"""A real cluster of one node, which the project's own script starts: on Debian as root; elsewhere these tests skip."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import buildpush
from buildpush.sandbox import Sandbox
from tests.cluster import images
from tests.cluster.fake_cluster import world  # noqa: F401 - a fixture

SCRIPTS = Path(__file__).parents[2] / ".ci" / "kubernetes"
HOME = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "buildpush" / "cluster"
KUBECONFIG = HOME / "run" / "admin.kubeconfig"
ADDRESS = "10.199.0.1"
REGISTRY = f"{ADDRESS}:5000"


def kubectl(*words, stdin=None, check=True):
    """Run kubectl as the cluster's administrator, and return what it prints."""
    env = {"KUBECONFIG": str(KUBECONFIG), "KUBECACHEDIR": str(HOME / "kubectl"), "PATH": os.environ["PATH"]}
    program = str(HOME / "bin" / "kubectl")
    ran = subprocess.run([program, *words], env=env, input=stdin, capture_output=True, text=True, check=False)
    if check and ran.returncode:
        raise AssertionError(ran.stderr)
    return ran.stdout


def restart_api_server():
    """End the API server, and start it again a few seconds later, as an upgrade of the control plane does."""
    pid = HOME / "run" / "pids" / "kube-apiserver"
    os.kill(int(pid.read_text()), signal.SIGKILL)
    time.sleep(4)
    start()


@contextmanager
def without_kubelet():
    """End the kubelet, as a node that is lost does, for as long as the block takes; the containers run on."""
    os.kill(int((HOME / "run" / "pids" / "kubelet").read_text()), signal.SIGKILL)
    try:
        yield
    finally:
        start()


def start():
    """Start what does not run of the cluster, and return what the script says."""
    env = {**os.environ, "K": str(HOME)}
    return subprocess.run(["bash", str(SCRIPTS / "up.sh")], env=env, capture_output=True, text=True, check=False)


def give_up(reason):
    """Skip the test, on CI as well: as programs that are built from source, the cluster is there where it can be."""
    pytest.skip(reason)


@pytest.fixture(scope="session")
def node():
    """Start the cluster, if it is not running; it stays until ``.ci/kubernetes/down.sh``."""
    if not (HOME / "bin" / "hyperkube").exists() or os.geteuid():
        give_up("no cluster: as root on Debian, run .ci/kubernetes/up.sh")
    ran = start()
    if ran.returncode:
        give_up(f"the cluster does not start: {ran.stderr[-2000:]}")
    return KUBECONFIG


@dataclass(frozen=True)
class Pulled:
    """Images that the pods of tests are made of, pinned by their digests."""

    programs: str
    python: str


@pytest.fixture(scope="session")
def pulled(node, tmp_path_factory):
    """Push the images of the pods into the registry on the bridge, once."""
    names = {}
    for name, fill in (("programs", images.programs), ("python", images.python)):
        context = fill(tmp_path_factory.mktemp(name))
        result = buildpush.run(
            repo=f"{REGISTRY}/{name}",
            tags=["1"],
            context=str(context),
            dockerfile=str(context / "Dockerfile"),
            engine="native",
            insecure_registry=REGISTRY,
            publish_build_info=False,
        )
        names[name] = f"{REGISTRY}/{name}@{result.digest}"
        shutil.rmtree(context)
    return Pulled(**names)


@pytest.fixture
def box(node):
    """Yield a sandbox that the pods can reach."""
    with Sandbox(host=ADDRESS) as sandbox:
        yield sandbox


@pytest.fixture
def namespace(node, request):
    """Yield a namespace of the test's own, with the role of ``examples/kubernetes``, deleted afterwards."""
    name = f"t{os.getpid()}-{abs(hash(request.node.nodeid)) % 10**8}"
    kubectl("create", "namespace", name)
    try:
        role = (SCRIPTS.parents[1] / "examples/kubernetes/role.yaml").read_text()
        kubectl("apply", "--namespace", name, "--filename", "-", stdin=role)
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def member(namespace, tmp_path, monkeypatch):
    """Let the test act as the service account that has the role, and nothing more."""
    token = kubectl("create", "token", "buildpush", "--namespace", namespace, "--duration=1h").strip()
    document = json.loads(kubectl("config", "view", "--raw", "--output", "json"))
    document["users"] = [{"name": "member", "user": {"token": token}}]
    for context in document["contexts"]:
        context["context"] |= {"user": "member", "namespace": namespace}
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


@dataclass
class Step:
    """A step of a test: a context, and the settings of a build in the cluster."""

    directory: Path
    settings: dict

    def write(self, **files):
        for name, text in files.items():
            (self.directory / name.replace("__", "/")).write_text(text)
        return self

    def run(self, **more):
        return buildpush.run(**{**self.settings, **more})


@pytest.fixture
def step(box, member, pulled, tmp_path):
    """Return a step that is built in the cluster and pushed into the sandbox."""
    directory = tmp_path / "context"
    directory.mkdir()
    (directory / "a").write_text("hello")
    (directory / "Dockerfile").write_text("FROM scratch\nCOPY a /a\n")
    settings = {
        "place": "kubernetes",
        "context": str(directory),
        "dockerfile": str(directory / "Dockerfile"),
        "repo": f"{box.host}/docker-local/app",
        "tags": ["1", "2"],
        "username": box.username,
        "password": box.password,
        "registry": box.host,
        "insecure_registry": box.host,
        "receiver_image": pulled.programs,
        "publish_build_info": True,
        "artifactory_url": f"{box.url}/artifactory",
    }
    return Step(directory, settings)


def leftovers(namespace):
    """Return the Jobs, pods and Secrets that are in *namespace*."""
    names = kubectl("get", "jobs,pods,secrets", "--namespace", namespace, "--output", "name").split()
    return [name for name in names if "buildpush" in name]


@pytest.fixture
def base(box, pulled):
    """Return the name of a base image with a shell, in the sandbox."""
    name = f"{box.host}/docker-local/base:1"
    login = {"username": box.username, "password": box.password, "insecure": True, "insecure_registry": [REGISTRY]}
    buildpush.copy(f"docker://{pulled.programs}", f"docker://{name}", **login)
    return name
