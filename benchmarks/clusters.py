"""What a build in a Job costs: beside the same build here, beside ``kubectl cp``, and two hundred of them.

The cluster is that of the tests, on Debian as root. Ten thousand are simulated: an API server without a cluster
(:mod:`benchmarks.apiserver`) tells what a real one tells.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import buildpush
from benchmarks.partner import running_sandbox
from benchmarks.pushing import material
from benchmarks.pushing.figures import Entry, Figures
from benchmarks.turns import in_turns
from buildpush.sandbox import Sandbox
from tests.cluster import images
from tests.cluster.conftest import ADDRESS, KUBECONFIG, REGISTRY, kubectl, start

MANY, AT_ONCE = (10, 200), 20
SIMULATED, SIMULATED_AT_ONCE = (100, 1000, 10_000), 100
OVERHEAD, REQUESTS, MEMORY, STRAIGHT = 3.0, 10, 200e6, 1.1
_NAMESPACE, _WORK = "benchmark", "/work"
# Runs a file, and tells what that took of this process: processor, memory, and requests to the API.
_COUNTED = """
import gc, json, resource, sys, time
from urllib3.connectionpool import HTTPConnectionPool
from buildpush.cluster.api import Api
asked, address = 0, sys.argv.pop(1)
def counting(act, counts):
    def counted(self, *words, **options):
        global asked
        asked += counts(self)
        return act(self, *words, **options)
    return counted
HTTPConnectionPool.urlopen = counting(HTTPConnectionPool.urlopen, lambda pool: f"{pool.host}:{pool.port}" == address)
Api.execute = counting(Api.execute, lambda _: 1)
from buildpush.__main__ import SELDOM
from buildpush.cli import run_command
gc.set_threshold(*SELDOM)  # as the command has it
begun = time.perf_counter()
status = run_command(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)  # whose memory is at least that of the process that has started it
most = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(json.dumps({"status": status, "seconds": time.perf_counter() - begun, "requests": asked,
    "processor": used.ru_utime + used.ru_stime, "memory": most * 1024}))
"""


@dataclass(frozen=True)
class Ground:
    """Where is measured: a directory, the sandbox that is pushed to, and the image that the pods have."""

    directory: Path
    host: str
    username: str
    password: str
    image: str

    @property
    def login(self) -> dict[str, Any]:
        return {"registry": self.host, "username": self.username, "password": buildpush.Secret(self.password)}

    def settings(self, **more: object) -> dict[str, Any]:
        """Return those of a tiny image that buildah builds."""
        context = self.directory / "tiny"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /a\n", encoding="utf-8")
        return {
            "engine": "buildah",
            "context": str(context),
            "dockerfile": str(context / "Dockerfile"),
            "repo": f"{self.host}/docker-local/app",
            "insecure_registry": self.host,
            "executor_image": self.image,
            "publish_build_info": False,
            **more,
        }


def measure(kept: Figures, rounds: int, megabytes: int) -> None:
    """Print and keep all tables."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kept.add("simulated", "a simulated cluster", list(_simulated(directory)))
        if start().returncode:
            print("the cluster does not start: run nox -s cluster", file=sys.stderr)
            return
        os.environ["KUBECONFIG"] = str(KUBECONFIG)
        kubectl("create", "namespace", _NAMESPACE, check=False)
        stack.callback(kubectl, "delete", "namespace", _NAMESPACE, "--wait=false")
        box = stack.enter_context(Sandbox(host=ADDRESS))
        ground = Ground(directory, box.host, box.username, box.password.reveal(), _push_programs(directory))
        kept.add("one", "a cluster of one node", _one(ground, rounds))
        kept.add("context", "a cluster of one node", _context(ground, rounds, megabytes))
        kept.add("many", "a cluster of one node", list(_many(ground)))


def _push_programs(directory: Path) -> str:
    context = images.programs(directory / "programs")
    where = {"repo": f"{REGISTRY}/programs", "insecure_registry": REGISTRY, "publish_build_info": False}
    files = {"context": str(context), "dockerfile": str(context / "Dockerfile")}
    return f"{REGISTRY}/programs@{buildpush.run(**where, **files, tags=['benchmark'], engine='native').digest}"


def _one(ground: Ground, rounds: int) -> list[Entry]:
    """Build the same here and in a Job, in turns."""
    settings = ground.settings(namespace=_NAMESPACE, tags=["1"], **ground.login)

    def act(place: str) -> float:
        begun = time.perf_counter()
        buildpush.run(**settings, place=place)
        return time.perf_counter() - begun

    acts = {place: lambda _, place=place: act(place) for place in ("here", "kubernetes")}
    in_turns(acts, 1)  # the node pulls the image
    here, there = (in_turns(acts, rounds)[place] for place in acts)
    more = there.over(here)
    aim = f"at most {OVERHEAD:.0f} s more than here"
    return [
        Entry("a tiny image by buildah, here", here.median, spread=here.spread),
        Entry("a tiny image by buildah, in a Job", there.median, spread=there.spread),
        Entry("a Job takes longer by", more, aim=aim, kept=more <= OVERHEAD),
    ]


def _context(ground: Ground, rounds: int, megabytes: int) -> list[Entry]:
    """Bring the same directory into a pod as the context of a build and by ``kubectl cp``, in turns."""
    context = material.two_layers(ground.directory, megabytes)
    for odd in context.directory.rglob("*[[]*"):  # kubectl cp takes the names of files for patterns, and fails
        odd.unlink()
    with _pod(ground.image) as pod:
        acts = {"ours": lambda _: _send(context, pod), "kubectl cp": lambda _: _copy(context, pod)}
        figures = in_turns(acts, rounds)
    ours, theirs = figures.values()
    name, is_kept = f"a context of {megabytes} MB, read, packed, sent, checked, unpacked", theirs.ratio(ours) >= 1
    return [
        Entry(name, ours.median, spread=ours.spread, aim="as long as kubectl cp", kept=is_kept),
        Entry("the same directory by kubectl cp", theirs.median, spread=theirs.spread, ratio=theirs.ratio(ours)),
    ]


@contextmanager
def _pod(image: str) -> Iterator[str]:
    command, volume = ["sh", "-c", "sleep 7200"], {"name": "work", "mountPath": _WORK}
    container = {"name": "receive", "image": image, "command": command, "volumeMounts": [volume]}
    volumes = [{"name": "work", "emptyDir": {}}]
    spec = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 0}
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "sink"}, "spec": spec}
    kubectl("apply", "--namespace", _NAMESPACE, "--filename", "-", stdin=json.dumps(document))
    try:
        kubectl("wait", "--namespace", _NAMESPACE, "--for=condition=Ready", "pod/sink", "--timeout=60s")
        yield "sink"
    finally:
        kubectl("delete", "--namespace", _NAMESPACE, "pod/sink")


def _in_pod(pod: str, script: str) -> None:
    kubectl("exec", "--namespace", _NAMESPACE, pod, "--", "sh", "-c", script)


def _send(context: material.Context, pod: str) -> float:
    """Return the seconds from the digest that names the Job until the context is unpacked."""
    from buildpush.cluster.api import Api
    from buildpush.cluster.kubeconfig import find_access
    from buildpush.cluster.manifest import receiving
    from buildpush.dockerfile.request import BuildRequest
    from buildpush.engines.jobs.context import Packed
    from buildpush.images.references import Reference
    from buildpush.places import Here

    _in_pod(pod, f"rm -rf {_WORK}/*")
    access = find_access(os.environ, Path.home(), namespace=_NAMESPACE)
    request = BuildRequest(context.directory, context.dockerfile, (Reference.parse("a.test/b:1"),))
    with Api(access, Here(dict(os.environ)), os.environ) as api:
        begun = time.perf_counter()
        is_compressed = not api.is_on_this_machine
        blocks = Packed(request, lambda _: None).blocks(compressed=is_compressed)
        status, said = api.execute(pod, "receive", ["sh", "-c", receiving(_WORK, compressed=is_compressed)], blocks)
        seconds = time.perf_counter() - begun
    if status or "received" not in said:
        sys.exit(said)
    return seconds


def _copy(context: material.Context, pod: str) -> float:
    _in_pod(pod, f"rm -rf {_WORK}/*")
    begun = time.perf_counter()
    kubectl("cp", "--namespace", _NAMESPACE, str(context.directory), f"{pod}:{_WORK}/context")
    return time.perf_counter() - begun


def _many(ground: Ground) -> Iterator[Entry]:
    """Build images by a matrix, few and many."""
    env = {"KUBECONFIG": str(KUBECONFIG)}
    address = json.loads(kubectl("config", "view", "--output", "json"))["clusters"][0]["cluster"]["server"]
    for count in MANY:
        settings = ground.settings(namespace=_NAMESPACE)
        settings["repo"] = f"{settings['repo']}-<+matrix.n>"
        found = _run(ground, _file(ground, settings, count, AT_ONCE), env, address)
        yield from _entries(f"{count} images, {AT_ONCE} at once", count, found)


def _simulated(directory: Path) -> Iterator[Entry]:
    """Run ever more iterations against a server that has no cluster; the growth has to be straight."""
    with running_sandbox() as box:
        ground = Ground(directory, box["host"], box["username"], box["password"], f"r.test/x@sha256:{'0' * 64}")
        settings, each = ground.settings(), []
        digest = str(buildpush.run(**{**settings, "engine": "native"}, **ground.login, tags=["1"]).digest)
        _push_copies(ground, max(SIMULATED))
        settings["repo"] = f"{settings['repo']}-<+matrix.n>"
        for count in SIMULATED:
            with _api_server(digest) as (address, env):
                found = _run(ground, _file(ground, settings, count, SIMULATED_AT_ONCE), env, address)
                with urlopen(f"{address}/requests") as answer:
                    found["requests"] = json.load(answer)["requests"]
            each.append(found["processor"] / count)
            yield from _entries(f"{count} iterations, {SIMULATED_AT_ONCE} at once", count, found)
    growth, (few, many) = each[-1] / each[-2], SIMULATED[-2:]
    aim = f"straight: at most {STRAIGHT} times"
    yield Entry(f"processor for each of {many} over that of {few}", growth, "times", aim=aim, kept=growth <= STRAIGHT)


def _push_copies(ground: Ground, count: int) -> None:
    """Have the image under *count* names, as if Jobs had pushed it: it is read from each afterwards."""
    login = base64.b64encode(f"{ground.username}:{ground.password}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Accept": "application/vnd.oci.image.manifest.v1+json"}
    address = f"http://{ground.host}/v2/docker-local/app{{}}/manifests/1"
    with urlopen(Request(address.format(""), headers=headers)) as answer:
        manifest, kind = answer.read(), answer.headers["Content-Type"]
    for number in range(count):
        one = Request(address.format(f"-{number}"), manifest, {**headers, "Content-Type": kind}, method="PUT")
        urlopen(one).close()


@contextmanager
def _api_server(digest: str) -> Iterator[tuple[str, dict[str, str]]]:
    argv = [sys.executable, "-m", "benchmarks.apiserver", digest]
    with (
        tempfile.TemporaryDirectory() as directory,
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
    ):
        address = process.stdout.readline().strip()
        path = Path(directory, "kubeconfig")
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        document = {
            "clusters": [{"name": "c", "cluster": {"server": address}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [context],
            "current-context": "c",
        }
        path.write_text(json.dumps(document), encoding="utf-8")
        path.chmod(0o600)
        try:
            yield address, {"KUBECONFIG": str(path)}
        finally:
            process.stdin.close()


def _file(ground: Ground, settings: Mapping[str, Any], count: int, at_once: int) -> Path:
    """Write a step that is built *count* times, and return its path."""
    rest = dict(settings)
    spec = {name: rest.pop(name) for name in ("context", "dockerfile", "repo")}
    spec["tags"] = rest.pop("tags", ["1"])
    spec["envVariables"] = {f"PLUGIN_{name.upper()}": str(value) for name, value in rest.items()}
    spec["envVariables"]["PLUGIN_PLACE"] = "kubernetes"
    strategy = {"matrix": {"n": list(range(count)), "maxConcurrency": at_once}}
    step = {"type": "BuildAndPushDockerRegistry", "name": "app", "identifier": "app", "strategy": strategy}
    path = ground.directory / f"{count}.yml"
    path.write_text(json.dumps({"step": {**step, "spec": spec}}), encoding="utf-8")
    return path


def _run(ground: Ground, file: Path, more: Mapping[str, str], address: str) -> dict[str, Any]:
    env = {**os.environ, **more, "PLUGIN_USERNAME": ground.username, "PLUGIN_PASSWORD": ground.password}
    env["PLUGIN_REGISTRY"] = ground.host
    argv = [sys.executable, "-c", _COUNTED, address.partition("://")[2], "run", str(file), "--quiet"]
    ran = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    found: dict[str, Any] = (
        json.loads(ran.stdout.splitlines()[-1]) if ran.stdout.strip() else {"status": ran.returncode}
    )
    if found["status"]:
        sys.exit(f"{file.name} ended with {found['status']}:\n{ran.stderr[-3000:]}")
    return found


def _entries(name: str, count: int, found: Mapping[str, Any]) -> Sequence[Entry]:
    each, memory = found["requests"] / count, float(found["memory"])
    return [
        Entry(name, found["seconds"], more={"seconds of the client's processor": found["processor"]}),
        Entry(f"{name}: requests for each", each, "requests", aim=f"under {REQUESTS} for each", kept=each < REQUESTS),
        Entry(f"{name}: memory of the client", memory, "bytes", aim="under 200 MB", kept=memory < MEMORY),
    ]
