"""Builds in Jobs of a real cluster, by an account that has no rights but those of the example."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import pytest

from buildpush.foundation.errors import AuthenticationError, BuildError, ClusterError, TimeOutError
from tests.cluster.conftest import kubectl, leftovers, restart_api_server, without_kubelet
from tests.cluster.images import ROOT
from tests.connectors import connector, connectors

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("cluster")]


def images_of(pulled, engine):
    return {
        "kaniko": {"engine": "kaniko", "kaniko_image": pulled.programs},
        "buildah": {"engine": "buildah", "executor_image": pulled.programs},
        "native": {"engine": "native", "executor_image": pulled.python},
    }[engine]


def gone(namespace):
    """Wait until nothing is left in *namespace*, and return what is left after that."""
    end = time.monotonic() + 90
    while (left := leftovers(namespace)) and time.monotonic() < end:
        time.sleep(0.5)
    return left


@pytest.mark.parametrize("engine", ["kaniko", "buildah", "native"])
def test_a_job_builds_pushes_and_leaves_nothing(engine, step, box, pulled, namespace):
    result = step.run(**images_of(pulled, engine))
    assert [box.digest("docker-local/app", tag) for tag in "12"] == [result.digest] * 2
    assert result.published.name
    assert [*result.seconds][-4:] == ["build", "wait", "push", "publish"]
    assert gone(namespace) == []


def test_a_build_that_fails_shows_its_log_and_leaves_nothing(step, base, pulled, namespace):
    step.write(Dockerfile=f"FROM {base}\nRUN echo something && exit 3\n")
    with pytest.raises(BuildError, match=r"exit status 3"):
        step.run(**images_of(pulled, "buildah"))
    assert gone(namespace) == []


def test_a_build_that_needs_more_memory_than_its_limit_says_which_limit(step, pulled, namespace):
    step.write(Dockerfile="FROM scratch\nCOPY a /a\n")
    template = step.directory.parent / "job.yaml"
    command = "[sh, -c, 'head -c 200000000 /dev/zero | sort']"
    template.write_text(f"spec: {{template: {{spec: {{containers: [{{name: build, command: {command}}}]}}}}}}")
    with pytest.raises(ClusterError, match="lack of memory: its limit is 20971520 bytes") as caught:
        step.run(**images_of(pulled, "buildah"), job_template=str(template), resources={"limits": {"memory": "20Mi"}})
    assert "resources.limits.memory" in caught.value.hint


def test_an_image_that_is_not_there_is_named(step, pulled, namespace):
    wrong = pulled.programs.replace("programs@", "nothing@")
    with pytest.raises(ClusterError, match="cannot be pulled") as caught:
        step.run(engine="buildah", executor_image=wrong, job_patience="30s")
    assert "nothing@" in str(caught.value)
    assert "image_pull_secrets" in caught.value.hint
    assert gone(namespace) == []


def test_a_job_that_no_node_takes_is_given_up_after_its_patience(step, pulled, namespace):
    with pytest.raises(ClusterError, match="no node takes it: 0/1 nodes"):
        step.run(**images_of(pulled, "buildah"), resources={"requests": {"memory": "900Gi"}}, job_patience="12s")


def test_a_full_quota_is_told_in_its_words(step, pulled, namespace):
    kubectl("create", "quota", "none", "--hard=pods=0", "--namespace", namespace)
    with pytest.raises(ClusterError, match="exceeded quota: none"):
        step.run(**images_of(pulled, "buildah"), job_patience="12s")


def test_limits_are_enough_for_a_quota_that_asks_for_them(step, box, pulled, namespace):
    kubectl("create", "quota", "limits", "--hard=limits.memory=2Gi", "--namespace", namespace)
    result = step.run(**images_of(pulled, "buildah"), resources={"limits": {"memory": "512Mi"}})
    assert box.digest("docker-local/app", "1") == result.digest


def test_a_policy_that_forbids_root_names_the_engine_that_needs_none(step, pulled, namespace):
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    with pytest.raises(ClusterError, match="PodSecurity") as caught:
        step.run(**images_of(pulled, "kaniko"))
    assert "native" in caught.value.hint


def test_native_builds_under_the_policy_restricted(step, box, pulled, namespace):
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    result = step.run(**images_of(pulled, "native"), run_as_user=1000)
    assert box.digest("docker-local/app", "1") == result.digest


def test_buildah_without_root_runs_commands_under_the_policy_baseline(step, box, base, pulled, namespace):
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=baseline")
    step.write(Dockerfile=f"FROM {base}\nCOPY a /a\nRUN chown 7:8 /a\n")
    result = step.run(**images_of(pulled, "buildah"), run_as_user=1000)
    assert box.digest("docker-local/app", "1") == result.digest


@pytest.mark.parametrize(
    ("changes", "kind", "hint"),
    [
        ("{hostUsers: false}", ClusterError, "leave hostUsers out"),
        (
            "{containers: [{name: build, securityContext: {seccompProfile: {type: RuntimeDefault}}}]}",
            BuildError,
            "needs newuidmap and newgidmap with file capabilities",
        ),
    ],
)
def test_buildah_that_gets_no_user_namespace_says_what_it_needs(step, pulled, namespace, changes, kind, hint):
    template = step.directory.parent / "job.yaml"
    template.write_text(f"spec: {{template: {{spec: {changes}}}}}\n")
    with pytest.raises(kind) as caught:
        step.run(**images_of(pulled, "buildah"), run_as_user=1000, job_template=str(template))
    assert hint in caught.value.hint


def test_a_field_that_no_job_has_is_refused_before_anything_runs(step, pulled, namespace):
    template = step.directory.parent / "job.yaml"
    template.write_text("spec: {template: {spec: {nodeSelectr: {disk: fast}}}}\n")
    with pytest.raises(ClusterError, match="nodeSelectr") as caught:
        step.run(**images_of(pulled, "buildah"), job_template=str(template))
    assert "job_template" in caught.value.hint
    assert gone(namespace) == []


def test_an_account_without_a_right_is_told_which(step, pulled, namespace):
    kubectl("delete", "rolebinding", "buildpush", "--namespace", namespace)
    with pytest.raises(AuthenticationError, match=r"cannot \w+ resource .jobs.") as caught:
        step.run(**images_of(pulled, "buildah"))
    assert "role.yaml" in caught.value.hint


def test_a_job_that_somebody_deletes_is_told_so(step, base, pulled, namespace):
    step.write(Dockerfile=f"FROM {base}\nRUN sleep 60\n")

    def delete():
        end = time.monotonic() + 60
        while not kubectl(
            "get", "pods", "--namespace", namespace, "--field-selector=status.phase=Running", "-o", "name"
        ):
            assert time.monotonic() < end
            time.sleep(0.5)
        kubectl("delete", "jobs", "--all", "--namespace", namespace)

    thread = threading.Thread(target=delete)
    thread.start()
    with pytest.raises(ClusterError, match=r"deleted|gone"):
        step.run(**images_of(pulled, "buildah"))
    thread.join()


def test_a_step_whose_time_is_over_leaves_no_job(step, base, pulled, namespace):
    step.write(Dockerfile=f"FROM {base}\nRUN sleep 60\n")
    with pytest.raises(TimeOutError):
        step.run(**images_of(pulled, "buildah"), timeout="10s")
    assert gone(namespace) == []


def test_a_build_that_the_cluster_ends_at_the_deadline_of_its_job_is_told_so(step, base, pulled, namespace):
    """Our own limit of the step is as long, and begins earlier."""
    step.write(Dockerfile=f"FROM {base}\nRUN sleep 60\n")
    template = step.directory.parent / "job.yaml"
    template.write_text("spec: {activeDeadlineSeconds: 5}\n")
    with pytest.raises(ClusterError, match="the cluster ended the build at its deadline") as caught:
        step.run(**images_of(pulled, "buildah"), job_template=str(template))
    assert caught.value.setting == "timeout"
    assert gone(namespace) == []


# Python's ssl leaves a socket to the collector whose peer resets it between the connection and the handshake.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_api_server_may_be_away_during_a_build(step, box, base, pulled, namespace):
    step.write(Dockerfile=f"FROM {base}\nRUN for i in $(seq 40); do echo line-$i; sleep 0.25; done\n")
    lines, thread = [], threading.Thread(target=restart_api_server)

    def sink(event):
        lines.append(getattr(event, "line", ""))
        if lines[-1] == "line-5":
            thread.start()

    result = step.run(**images_of(pulled, "buildah"), sink=sink)
    thread.join()
    assert box.digest("docker-local/app", "1") == result.digest
    numbers = [int(line.rpartition("-")[2]) for line in lines if line.startswith("line-")]
    assert numbers == list(range(1, 41))


def test_a_node_that_is_lost_is_told_and_given_up_after_the_patience(step, base, pulled, namespace):
    step.write(Dockerfile=f"FROM {base}\nRUN echo begun && sleep 90\n")
    said = []
    with ExitStack() as stack:

        def sink(event):
            said.append(getattr(event, "line", "") or getattr(event, "text", ""))
            if said[-1] == "begun":
                stack.enter_context(without_kubelet())

        with pytest.raises(ClusterError, match="the node of the build is lost") as caught:
            step.run(**images_of(pulled, "buildah"), job_patience="10s", sink=sink)
    assert "the node of the build does not answer; it is waited for" in said
    assert "--resume" in caught.value.hint


def test_a_token_that_is_refused_during_a_build_is_asked_for_again(
    step, box, base, member, pulled, namespace, tmp_path
):
    def token(name):
        return kubectl("create", "token", name, "--namespace", namespace).strip()

    kubectl("create", "serviceaccount", "first", "--namespace", namespace)
    role = ["--role=buildpush", "--serviceaccount", f"{namespace}:first", "--namespace", namespace]
    kubectl("create", "rolebinding", "first", *role)
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": "cat"}
    document = json.loads(member.read_text())
    document["users"] = [{"name": "member", "user": {"exec": {**plugin, "args": [str(member.parent / "credential")]}}}]
    member.write_text(json.dumps(document))

    def log_in(name):
        credential = {"kind": "ExecCredential", "apiVersion": plugin["apiVersion"], "status": {"token": token(name)}}
        (member.parent / "credential").write_text(json.dumps(credential))

    log_in("first")
    step.write(Dockerfile=SLOW.format(base=base))
    refused = []

    def sink(event):
        if getattr(event, "line", "") == "line-2":
            kubectl("delete", "serviceaccount", "first", "--namespace", namespace)  # its token is worth nothing now
            log_in("buildpush")
            refused.append(event)

    result = step.run(**images_of(pulled, "buildah"), sink=sink)
    assert refused
    assert box.digest("docker-local/app", "1") == result.digest
    assert gone(namespace) == []


SLOW = "FROM {base}\nRUN for i in $(seq 20); do echo line-$i; sleep 1; done\n"


def command(step, **settings):
    """Return the command that runs the step as a file, and its environment."""
    values = {**step.settings, **settings}
    spec = {name: values.pop(name) for name in ("context", "dockerfile", "repo", "tags")}
    known = {"PLUGIN_PASSWORD": values.pop("password").reveal(), "PLUGIN_REGISTRY": values.pop("registry")}
    spec["envVariables"] = {f"PLUGIN_{name.upper()}": str(value) for name, value in values.items()}
    body = {"type": "BuildAndPushDockerRegistry", "name": "app", "identifier": "app", "spec": spec}
    (step.directory.parent / "step.yml").write_text(json.dumps({"step": body}))
    words = [sys.executable, "-m", "buildpush", "run", "step.yml"]
    return words, {
        "cwd": step.directory.parent,
        "env": {**os.environ, **known},
        "text": True,
        "stderr": subprocess.STDOUT,
    }


def begin(step, **settings):
    """Start a run of the step in a process of its own, and return it once the build has printed some lines."""
    words, options = command(step, **settings)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, **options)
    said = ""
    for line in process.stdout:
        said += line
        if "line-3" in line:
            return process
    raise AssertionError(said)


def end(process, number):
    process.send_signal(number)
    with process:
        return process.stdout.read()


def test_ctrl_c_leaves_nothing(step, base, pulled, namespace):
    step.write(Dockerfile=SLOW.format(base=base))
    said = end(begin(step, **images_of(pulled, "buildah")), signal.SIGINT)
    assert "interrupted" in said
    assert gone(namespace) == []


def test_what_a_killed_run_leaves_is_swept_by_the_next(step, base, pulled, namespace):
    step.write(Dockerfile=SLOW.format(base=base))
    end(begin(step, **images_of(pulled, "buildah")), signal.SIGKILL)
    (left,) = [name for name in leftovers(namespace) if name.startswith("job")]
    step.write(Dockerfile="FROM scratch\nCOPY a /a\n")
    notes = []
    step.run(**images_of(pulled, "buildah"), sink=lambda event: notes.append(getattr(event, "text", "")))
    assert any(left.rpartition("/")[2] in note and "is deleted" in note for note in notes)
    assert gone(namespace) == []


def test_a_killed_run_goes_on_where_it_was(step, box, base, pulled, namespace):
    step.write(Dockerfile=SLOW.format(base=base))
    end(begin(step, **images_of(pulled, "buildah")), signal.SIGKILL)
    words, options = command(step, **images_of(pulled, "buildah"))
    said = subprocess.run([*words, "--resume"], stdout=subprocess.PIPE, check=False, **options).stdout
    assert "which an earlier run has left, goes on" in said
    assert "line-1\n" in said
    assert box.digest("docker-local/app", "2") in said
    assert gone(namespace) == []


def test_a_matrix_becomes_jobs_and_one_build(box, member, pulled, namespace, tmp_path):
    (tmp_path / "connectors.yml").write_text(connectors(connector(box.url, box.username, "env:PASSWORD")))
    words = [sys.executable, "-m", "buildpush", "run", "examples/matrix/pipeline.yml", "--place", "kubernetes"]
    words += ["--engine", "native", "--executor-image", pulled.python, "--connectors", str(tmp_path / "connectors.yml")]
    env = {**os.environ, "PASSWORD": box.password.reveal()}
    ran = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    (build,) = box.builds("hello")
    languages = ["english", "french", "german", "italian"]
    assert sorted(module["id"].partition(":")[0] for module in build["modules"]) == [
        f"hello-{name}" for name in languages
    ]
    assert gone(namespace) == []
