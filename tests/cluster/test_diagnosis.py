"""How each failure is told: the documents are as Kubernetes 1.34 sent them when it was provoked."""

from __future__ import annotations

import pytest

from buildpush.cluster import diagnosis
from buildpush.cluster.diagnosis import ended, failure, has_begun, is_over, last_container, runs, waiting

STAMP = "2026-11-28T09:00:00Z"


def pod(phase="Running", *, build=None, receive=None, push=None, conditions=(), deleted=False, **status):
    """Return a pod with the states of its containers."""
    containers = [{"name": "build", "image": "r.test/build:1", "state": build}] if build else []
    first = [{"name": "receive", "image": "r.test/receive:1", "state": receive}] if receive else []
    if push:
        first, containers = [*first, *containers], [{"name": "push", "image": "r.test/push:1", "state": push}]
    metadata = {"name": "buildpush-0-x7k2p", "labels": {"buildpush.dev/job": "buildpush-0"}}
    if deleted:
        metadata |= {"deletionTimestamp": STAMP, "deletionGracePeriodSeconds": 30}
    found = {"phase": phase, "conditions": list(conditions), **status}
    return {
        "metadata": metadata,
        "status": {**found, "containerStatuses": containers, "initContainerStatuses": first},
    }


def terminated(code, reason="Error", message="", **more):
    state = {"exitCode": code, "reason": reason, "startedAt": STAMP, "finishedAt": STAMP, **more}
    return {"terminated": {**state, **({"message": message} if message else {})}}


def waits(reason, message=""):
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


WAITS = waits("PodInitializing")
RUNNING = {"running": {"startedAt": STAMP}}
DONE = terminated(0, "Completed")
UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes are available: 1 Insufficient memory. preemption: not eligible",
}


def job(*conditions, **status):
    return {"metadata": {"name": "buildpush-0"}, "status": {**status, "conditions": list(conditions)}}


def failed(reason, message=""):
    found = {"status": "True", "reason": reason, "message": message}
    return job({"type": "FailureTarget", **found}, {"type": "Failed", **found})


GAVE_UP = failed("BackoffLimitExceeded", "Job has reached the specified backoff limit")


def event(reason, message):
    return {"reason": reason, "message": message, "type": "Warning", "involvedObject": {"name": "buildpush-0"}}


# ---- why it waits


@pytest.mark.parametrize(
    ("found", "reason", "hint", "final"),
    [
        (pod("Pending", conditions=[UNSCHEDULABLE]), "no node takes it: 0/1 nodes are available", "resources", False),
        (
            pod("Pending", receive=waits("ErrImagePull", "not found"), build=waits("PodInitializing")),
            "the image r.test/receive:1 cannot be pulled: not found",
            "image_pull_secrets",
            False,
        ),
        (
            pod("Pending", receive=DONE, build=waits("ImagePullBackOff", "Back-off pulling image")),
            "the image r.test/build:1 cannot be pulled: Back-off",
            "check the name of the image",
            False,
        ),
        (
            pod("Pending", receive=waits("InvalidImageName", "couldn't parse image")),
            "InvalidImageName: couldn't parse image",
            None,
            True,
        ),
        (
            pod(
                "Pending",
                receive=waits(
                    "CreateContainerConfigError", "container has runAsNonRoot and image will run as root (pod: x)"
                ),
            ),
            "CreateContainerConfigError: container has runAsNonRoot and image will run as root",
            "kaniko must run as root, which this cluster forbids: use engine: buildah, or native",
            True,
        ),
        (
            pod("Pending", receive=waits("CreateContainerConfigError", 'secret "buildpush-0" not found')),
            'CreateContainerConfigError: secret "buildpush-0" not found',
            None,
            True,
        ),
        (pod("Pending", receive=waits("ErrImageNeverPull")), "ErrImageNeverPull: ErrImageNeverPull", None, True),
    ],
)
def test_a_pod_says_why_it_waits(found, reason, hint, final):
    why = waiting(found, [])
    assert why.reason.startswith(reason)
    assert (hint or "") in (why.hint or "")
    assert why.final is final


@pytest.mark.parametrize(
    "found",
    [
        pod("Pending"),
        pod("Pending", receive=waits("ContainerCreating")),
        pod("Pending", receive=RUNNING, build=waits("PodInitializing")),
        pod("Running", receive=DONE, build=RUNNING),
        {"metadata": {"name": "x"}},
    ],
)
def test_a_pod_that_is_on_its_way_has_no_reason(found):
    assert waiting(found, []) is None


@pytest.mark.parametrize(
    ("message", "hint", "final"),
    [
        (
            'Error creating: pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1',
            "wait until other Jobs end, lower maxConcurrency",
            False,
        ),
        (
            'Error creating: pods "x" is forbidden: failed quota: q: must specify limits.memory for: build',
            "set resources.limits",
            True,
        ),
        (
            'Error creating: pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true',
            "kaniko must run as root",
            True,
        ),
        (
            'Error creating: pods "x" is forbidden: error looking up service account ci/builder: not found',
            "change the step or job_template as it says",
            True,
        ),
        (
            "Error creating: Internal error occurred: failed calling webhook: context deadline exceeded",
            "change the step or job_template as it says",
            False,
        ),
    ],
)
def test_without_a_pod_an_event_of_the_job_says_why(message, hint, final):
    why = waiting(None, [event("SuccessfulCreate", "y"), event("FailedCreate", message)])
    assert (why.reason, why.final) == (message, final)
    assert hint in why.hint


def test_without_a_pod_and_an_event_nothing_is_wrong_yet():
    assert waiting(None, []) is None


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("FailedMount", 'MountVolume.SetUp failed for volume "private": secret "buildpush-0" not found'),
        ("FailedCreatePodSandBox", "failed to reserve sandbox name"),
    ],
)
def test_a_pod_that_only_waits_is_explained_by_its_events(reason, message):
    found = pod("Pending", receive=waits("ContainerCreating"))
    assert waiting(found, [event("Pulled", "x"), event(reason, message)]).reason == f"{reason}: {message}"


def test_a_runtime_without_user_namespaces_is_not_waited_for():
    said = "can't set `spec.hostUsers: false`, runtime does not support user namespaces"
    why = waiting(pod("Pending", receive=waits("ContainerCreating")), [event("FailedCreatePodSandBox", said)])
    assert (why.reason, why.final) == (f"FailedCreatePodSandBox: {said}", True)
    assert "leave hostUsers out of job_template" in why.hint


def test_a_reason_becomes_an_error_with_its_hint():
    error = waiting(pod("Pending", conditions=[UNSCHEDULABLE]), []).error()
    assert str(error).startswith("the build cannot start in the cluster: no node takes it")
    assert error.hint.startswith("lower resources")


def test_what_a_cluster_says_is_one_line_without_controls():
    why = waiting(pod("Pending", receive=waits("InvalidImageName", "a\n\x1b[31mb")), [])
    assert why.reason == "InvalidImageName: a b"


def test_what_waits_is_named():
    why = waiting(pod("Pending", receive=DONE, build=DONE, push=waits("ErrImagePull", "not found")), [])
    assert str(why.error("push")).startswith("the push cannot start in the cluster: the image r.test/push:1")


# ---- why it has failed


KILLED = pod("Failed", receive=DONE, build=terminated(137, "OOMKilled"))


def test_lack_of_memory_names_the_limit():
    error = failure(KILLED, GAVE_UP, 64 * 1024**2)
    assert str(error) == "the build was killed for lack of memory: its limit is 67108864 bytes"
    assert (error.hint, error.setting) == ("raise resources.limits.memory", "resources")


def test_lack_of_memory_without_a_limit_is_that_of_the_node():
    error = failure(KILLED, GAVE_UP, None)
    assert str(error) == "the build was killed for lack of memory: the node has no more"
    assert error.hint == "set resources.requests.memory, or free the node"


def test_lack_of_memory_of_a_child_has_the_status_of_the_command():
    assert "lack of memory" in str(failure(pod("Failed", build=terminated(3, "OOMKilled")), GAVE_UP, 1))


def test_lack_of_memory_of_a_push_is_not_that_of_the_build():
    found = pod("Failed", receive=DONE, build=DONE, push=terminated(137, "OOMKilled"))
    assert str(failure(found, GAVE_UP, 1)).startswith("the push was killed for lack of memory: its limit is 1 bytes")


def test_lack_of_memory_of_a_build_is_told_although_another_container_waits_to_push():
    found = pod("Failed", receive=DONE, build=terminated(137, "OOMKilled"), push=WAITS)
    assert str(failure(found, GAVE_UP, 1)).startswith("the build was killed for lack of memory")


def test_a_push_that_fails_does_not_lack_the_memory_that_a_child_of_the_build_lacked():
    found = pod("Failed", receive=DONE, build=terminated(0, "OOMKilled"), push=terminated(1))
    assert failure(found, GAVE_UP, 1) is None


def test_lack_of_memory_while_the_context_is_received_counts_too():
    assert "lack of memory" in str(failure(pod("Failed", receive=terminated(137, "OOMKilled")), GAVE_UP, 1))


def test_a_build_that_ends_well_although_a_child_was_killed_has_ended_well():
    assert failure(pod("Succeeded", build=terminated(0, "OOMKilled")), job(), 1) is None


@pytest.mark.parametrize(
    ("found", "at", "message", "hint"),
    [
        (
            pod("Failed", build=terminated(128, "StartError", 'exec: "nope": executable file not found in $PATH')),
            GAVE_UP,
            'the container build cannot start: exec: "nope": executable file not found in $PATH',
            "check that the image r.test/build:1 is the one that the engine needs",
        ),
        (
            pod("Failed", receive=terminated(128, "StartError", 'exec: "sh": executable file not found')),
            GAVE_UP,
            'the container receive cannot start: exec: "sh"',
            "check that the image r.test/receive:1",
        ),
        (
            None,
            failed("DeadlineExceeded", "Job was active longer"),
            "the cluster ended the build at its deadline",
            "raise",
        ),
        (
            pod("Failed", build=terminated(137), deleted=True),
            failed("DeadlineExceeded", "Job was active longer"),
            "the cluster ended the build at its deadline",
            "raise timeout",
        ),
        (
            pod(
                "Failed", build=terminated(137), reason="DeadlineExceeded", message="Pod was active on the node longer"
            ),
            GAVE_UP,
            "the cluster ended the build at its deadline",
            "raise timeout",
        ),
        (
            pod("Failed", build=terminated(137), deleted=True),
            GAVE_UP,
            "the pod of the build was deleted",
            "buildpush run --resume starts it again",
        ),
        (pod("Running", build=RUNNING, deleted=True), GAVE_UP, "the pod of the build was deleted", "--resume"),
        (
            pod(
                "Failed",
                build=terminated(137),
                deleted=True,
                conditions=[
                    {
                        "type": "DisruptionTarget",
                        "status": "True",
                        "reason": "EvictionByEvictionAPI",
                        "message": "Eviction API: evicting",
                    }
                ],
            ),
            GAVE_UP,
            "the cluster ended the build: Eviction API: evicting",
            "--resume",
        ),
        (
            pod(
                "Running",
                build=RUNNING,
                deleted=True,
                conditions=[
                    {
                        "type": "DisruptionTarget",
                        "status": "True",
                        "reason": "DeletionByTaintManager",
                        "message": "Taint manager: deleting due to NoExecute taint",
                    }
                ],
            ),
            GAVE_UP,
            "the cluster ended the build: Taint manager: deleting",
            "--resume",
        ),
        (
            pod(
                "Failed",
                build=terminated(137),
                reason="Evicted",
                message="Pod ephemeral local storage usage exceeds the total limit of containers 10Mi.",
            ),
            GAVE_UP,
            "the node evicted the build: Pod ephemeral local storage usage exceeds",
            "job_template",
        ),
        (pod("Failed", build=RUNNING, reason="NodeLost"), GAVE_UP, "the node of the build is lost", "--resume"),
        (pod("Unknown", build=RUNNING), GAVE_UP, "the node of the build is lost", "--resume"),
        (None, None, "the Job of the build is gone from the cluster", "something deleted it"),
        (None, GAVE_UP, "the Job of the build is gone from the cluster", "something deleted it"),
    ],
)
def test_what_ended_a_build_is_told(found, at, message, hint):
    error = failure(found, at, None)
    assert str(error).startswith(message)
    assert hint in error.hint
    assert error.exit_code == 3


@pytest.mark.parametrize(
    ("found", "at"),
    [
        (pod("Succeeded", receive=DONE, build=DONE), job({"type": "Complete", "status": "True"})),
        (pod("Failed", receive=DONE, build=terminated(1)), GAVE_UP),
        (pod("Failed", receive=DONE, build=terminated(137)), GAVE_UP),  # killed by itself
        (pod("Succeeded", build=DONE, deleted=True), GAVE_UP),  # it had ended before it was deleted
        (pod("Succeeded", build=DONE), failed("DeadlineExceeded")),
        (pod("Failed", receive=DONE, build=terminated(1), push=WAITS), GAVE_UP),
        (pod("Failed", receive=DONE, build=DONE, push=terminated(1)), GAVE_UP),
    ],
)
def test_what_the_build_itself_says_is_no_failure_of_the_cluster(found, at):
    assert failure(found, at, 1) is None


def test_a_condition_that_is_not_true_says_nothing():
    assert (
        failure(
            pod("Failed", build=terminated(1)),
            job({"type": "Failed", "status": "False", "reason": "DeadlineExceeded"}),
            1,
        )
        is None
    )


# ---- where it is


def test_how_a_container_ended_is_found():
    found = pod("Failed", receive=terminated(75), build=terminated(1, message="sha256:x"))
    assert (ended(found)["exitCode"], ended(found)["message"]) == (1, "sha256:x")
    assert ended(found, "receive")["exitCode"] == 75
    assert ended(None) is ended(pod("Running", build=RUNNING)) is ended(pod("Pending")) is None


@pytest.mark.parametrize(
    ("states", "name", "code"),
    [
        ({"build": RUNNING, "push": WAITS}, "push", None),
        ({"build": DONE, "push": WAITS}, "push", None),
        ({"build": DONE, "push": RUNNING}, "push", None),
        ({"build": DONE, "push": terminated(4)}, "push", 4),
        ({"build": DONE, "push": DONE}, "push", 0),
        ({"build": terminated(3), "push": WAITS}, "build", 3),
        ({"build": terminated(3)}, "build", 3),
        ({"build": RUNNING}, "build", None),
    ],
)
def test_the_work_ends_with_the_push_unless_the_build_has_failed(states, name, code):
    found = pod(receive=DONE, **states)
    assert (last_container(found), (ended(found) or {}).get("exitCode")) == (name, code)


def test_a_build_that_ended_well_is_not_yet_pushed():
    found = pod("Pending", receive=DONE, build=DONE, push=WAITS)
    assert (has_begun(found), has_begun(found, "push"), diagnosis.has_succeeded(found)) == (True, False, False)


def test_where_a_pod_is():
    receiving = pod("Pending", receive=RUNNING, build=waits("PodInitializing"))
    building = pod("Running", receive=DONE, build=RUNNING)
    built = pod("Running", receive=DONE, build=DONE)
    assert [runs(one, "receive") for one in (None, receiving, building)] == [False, True, False]
    assert [has_begun(one) for one in (None, receiving, building, built)] == [False, False, True, True]


@pytest.mark.parametrize(
    ("found", "at", "over"),
    [
        (None, None, False),
        (pod("Running", build=RUNNING), job(), False),
        (pod("Running", build=RUNNING), job({"type": "Suspended", "status": "True"}), False),
        (pod("Running", build=RUNNING), job({"type": "FailureTarget", "status": "True"}), False),
        (pod("Succeeded", build=DONE), job(), True),
        (pod("Failed", build=terminated(1)), None, True),
        (None, GAVE_UP, True),
        (None, job({"type": "Complete", "status": "True"}), True),
        (None, job({"type": "Complete", "status": "False"}), False),
    ],
)
def test_when_nothing_more_will_happen(found, at, over):
    assert is_over(found, at) is over


def test_a_document_without_a_status_is_no_fault():
    bare = {"metadata": {"name": "x"}}
    assert (is_over(bare, bare), ended(bare), runs(bare, "build")) == (False, None, False)
    assert diagnosis.failure(bare, bare, None) is None
