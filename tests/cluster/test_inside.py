"""buildpush inside a pod: any user, no home, nothing to write to but a volume, and an end by the cluster."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import time
from contextlib import suppress

import pytest

from tests.cluster.conftest import ADDRESS, kubectl

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("cluster")]

ANYBODY = 1000700000  # as OpenShift chooses one for a namespace
RESTRICTED = {
    "runAsUser": ANYBODY,
    "runAsNonRoot": True,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}

MOUNTS = [{"name": "tmp", "mountPath": "/tmp"}]
TOLD = {"name": "PLUGIN_ARTIFACT_FILE", "value": "/dev/termination-log"}


@pytest.fixture
def pod(box, pulled, namespace):
    """Return a function that starts a script in a pod, and one that waits for its end and returns phase and log."""

    def start(script, *env, **more):
        variables = {
            "PLUGIN_REPO": f"{box.host}/docker-local/inside",
            "PLUGIN_REGISTRY": box.host,
            "PLUGIN_USERNAME": box.username,
            "PLUGIN_PASSWORD": box.password.reveal(),
            "PLUGIN_INSECURE_REGISTRY": box.host,
            "PLUGIN_TAGS": "1",
            "PLUGIN_CONTEXT": "/tmp/c",
            "PLUGIN_DOCKERFILE": "/tmp/c/Dockerfile",
        }
        files = "mkdir /tmp/c && cd /tmp/c && echo hello > a && printf 'FROM scratch\\nCOPY a /\\n' > Dockerfile"
        container = {
            "name": "main",
            "image": pulled.python,
            "command": ["sh", "-c", f"{files} && exec {script}"],  # it is the first process, as an entry point is
            "env": [*({"name": name, "value": value} for name, value in variables.items()), *env],
            "securityContext": RESTRICTED,
            "volumeMounts": MOUNTS,
            "resources": {"limits": {"cpu": "1", "memory": "192Mi"}},
        }
        spec = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 20,
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
            **more,
        }
        document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "inside"}, "spec": spec}
        kubectl("apply", "--namespace", namespace, "--filename", "-", stdin=json.dumps(document))

    def end():
        for _ in range(300):
            found = json.loads(kubectl("get", "pod", "inside", "--namespace", namespace, "--output", "json"))["status"]
            if found["phase"] in {"Succeeded", "Failed"}:
                return found, kubectl("logs", "inside", "--namespace", namespace)
            time.sleep(0.2)
        raise AssertionError(found)

    return start, end


class Relay(socketserver.BaseRequestHandler):
    """Passes a connection on to the API server, which listens on the loopback of the node only."""

    def handle(self):
        with socket.create_connection(("127.0.0.1", 16443)) as there:
            back = threading.Thread(target=self.copy, args=(there, self.request))
            back.start()
            self.copy(self.request, there)
            back.join()

    def copy(self, source, target):
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def api(node):
    """Yield the variables by which a pod finds the API server: the node has no proxy for addresses of services."""
    with socketserver.ThreadingTCPServer((ADDRESS, 0), Relay) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.server_address[1]
        yield [
            {"name": f"KUBERNETES_SERVICE_{name}", "value": str(value)}
            for name, value in {"HOST": ADDRESS, "PORT": port}.items()
        ]
        server.shutdown()
        thread.join()


def ended(status):
    """Return how the container ended."""
    return status["containerStatuses"][0]["state"]["terminated"]


def test_anybody_builds_and_pushes_without_a_home_and_with_a_root_that_is_read_only(pod, box):
    start, end = pod
    start("python3 -m buildpush run", TOLD)
    status, log = end()
    assert status["phase"] == "Succeeded", log
    assert box.digest("docker-local/inside", "1") in log
    assert "Traceback" not in log
    # Whoever made the pod reads there what was pushed.
    assert box.digest("docker-local/inside", "1") in ended(status)["message"]


@pytest.mark.parametrize(
    ("account", "place"),
    [("buildpush", "place: kubernetes, because the account"), ("default", "place: here, because")],
)
def test_auto_builds_in_a_job_of_the_own_cluster_if_the_account_may(pod, box, pulled, api, account, place):
    start, end = pod
    image = {"name": "PLUGIN_EXECUTOR_IMAGE", "value": pulled.programs}
    start("python3 -m buildpush run", image, *api, serviceAccountName=account, automountServiceAccountToken=True)
    status, log = end()
    assert status["phase"] == "Succeeded", log
    assert place in log, log
    assert box.digest("docker-local/inside", "1") in log


def test_the_end_by_the_cluster_leaves_no_tag_and_says_how_to_go_on(pod, box):
    box.add_fault("PUT", "/v2/docker-local/inside/manifests/1", delay=60, times=99)
    start, end = pod
    start("python3 -m buildpush run", activeDeadlineSeconds=12)
    status, log = end()
    assert (status["reason"], ended(status)["exitCode"]) == ("DeadlineExceeded", 143)
    assert "Traceback" not in log
    assert "interrupted" in log
