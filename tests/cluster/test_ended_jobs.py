"""A Job that never starts, or that something else ends: what is told, and when it is given up."""

from __future__ import annotations

import threading
import time

import pytest

from buildpush.cluster import jobs as module
from buildpush.cluster.api import EVENTS, PODS
from buildpush.foundation.errors import AuthenticationError, ClusterError
from tests.cluster.fake_cluster import (
    BUILDS,
    BUILT,
    COMPLETE,
    FAILED,
    RECEIVES,
    status,
    terminated,
)

# ---- states that never end


UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes are available",
}


def waits(reason, message=""):
    return status("Pending", receive={"waiting": {"reason": reason, "message": message}})


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (status("Pending", conditions=[UNSCHEDULABLE]), "no node takes it: 0/1 nodes are available"),
        (waits("ImagePullBackOff", "not found"), "the image r cannot be pulled: not found"),
        (waits("ContainerCreating"), "it waits, and nothing says why"),
    ],
)
def test_what_never_ends_is_given_up(world, state, message):
    world.api.after("start", lambda: world.api.pod(state))
    with pytest.raises(ClusterError, match=f"the build cannot start in the cluster: {message}") as caught:
        world.run()
    assert caught.value.hint
    assert world.made[-1] == "delete 0"


def test_what_is_wrong_for_good_is_told_at_once(world):
    world.patience = 600
    world.api.after("start", lambda: world.api.pod(waits("InvalidImageName", "wrong")))
    with pytest.raises(ClusterError, match="InvalidImageName: wrong"):
        world.run()


def test_a_job_without_a_pod_is_explained_by_its_events(world):
    world.api.after("start", lambda: None)
    world.api.events = [{"reason": "FailedCreate", "message": "exceeded quota: q"}]
    with pytest.raises(ClusterError, match="exceeded quota: q"):
        world.run()
    assert "events of " in world.api.acts  # of the Job itself, since there is no pod


def test_events_of_a_pod_are_asked_for_only_when_they_would_be_said(world, monkeypatch):
    monkeypatch.setattr(module, "_SAYS_WHY_SECONDS", 60)
    world.api.after("start", lambda: world.api.pod(status("Pending")))
    with pytest.raises(ClusterError, match="nothing says why"):
        world.run()
    assert not [act for act in world.api.acts if act.startswith("events")]


def test_events_are_asked_for_less_and_less_often(world):
    world.api.after("start", lambda: None)
    with pytest.raises(ClusterError):
        world.run()
    assert 2 <= world.api.acts.count("events of ") <= 5  # of 0.6 s, at 0.02, 0.07, 0.17, 0.37


def test_without_the_right_to_read_events_it_is_given_up_as_well(world):
    def refuse(path, _query):
        if path == EVENTS:
            message = "cannot list events"
            raise AuthenticationError(message)
        return [], "1"

    world.api.list = refuse
    world.api.after("start", lambda: None)
    with pytest.raises(ClusterError, match="nothing says why"):
        world.run()


def test_why_it_waits_is_a_note_and_said_once(world):
    def later():
        world.api.pod(status("Pending", conditions=[UNSCHEDULABLE]))
        threading.Timer(0.35, world.api.pod, [RECEIVES]).start()

    world.api.after("start", later)
    world.patience = 30
    assert world.run().status == 0
    assert world.notes() == ["the build waits in the cluster: no node takes it: 0/1 nodes are available"]


# ---- what ends it from outside


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (
            lambda api: api.pod(status("Failed", build=terminated(137)), "DELETED", deletionTimestamp="t"),
            "the pod of the build was deleted",
        ),
        (lambda api: api.job(FAILED, "DELETED"), "was deleted from the cluster"),
        (
            lambda api: api.job({"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]}),
            "the cluster ended the build at its deadline",
        ),
        (
            lambda api: (api.pod(status("Failed", build=terminated(137, "OOMKilled"))), api.job(FAILED)),
            "killed for lack of memory",
        ),
    ],
)
def test_what_ends_a_build_from_outside_is_told(world, end, message):
    world.api.after("log", lambda: end(world.api))
    with pytest.raises(ClusterError, match=message):
        world.run()
    assert world.made[-1] == "delete 0"


def test_a_job_that_is_seen_only_just_before_it_is_deleted_is_told(world):
    """The watch of Jobs may be later than that of pods; the build was waited for as long as its pod was there."""
    world.api.after("create jobs", lambda: None)
    world.api.after("log", lambda: (world.api.job({}), world.api.job(FAILED, "DELETED")))
    with pytest.raises(ClusterError, match="was deleted from the cluster"):
        world.run()


SILENT = {
    **BUILDS,
    "conditions": [{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "True"}],
}


def test_a_node_that_does_not_answer_is_waited_for(world):
    def hear_again():
        world.api.pod(SILENT)
        time.sleep(0.1)
        world.api.pod(BUILDS)
        time.sleep(0.7)  # longer than the patience
        world.api.pod(BUILT)
        world.api.job(COMPLETE)

    world.api.after("log", hear_again)
    assert world.run().status == 0
    assert world.notes() == ["the node of the build does not answer; it is waited for"]


@pytest.mark.parametrize("metadata", [{}, {"deletionTimestamp": "2026-11-30T12:00:00Z"}])
def test_a_node_that_is_silent_for_too_long_or_given_up_by_the_cluster_is_lost(world, metadata):
    world.api.after("log", lambda: world.api.pod(SILENT, **metadata))
    began = time.monotonic()
    with pytest.raises(ClusterError, match="the node of the build is lost") as caught:
        world.run()
    assert "--resume" in caught.value.hint
    assert world.made[-1] == "delete 0"
    assert bool(metadata) or time.monotonic() - began > world.patience


def test_a_watch_that_has_failed_ends_the_build(world):
    def log():
        message = "cannot watch"
        world.api.changes[PODS].put(AuthenticationError(message))

    world.api.after("log", log)
    with pytest.raises(AuthenticationError, match="cannot watch"):
        world.run()
    assert world.made[-1] == "delete 0"


def test_a_log_that_may_not_be_read_is_a_note_and_no_failure(world):
    def refuse(_pod, _container, _since=""):
        world.api.pod(BUILT)
        world.api.job(COMPLETE)
        message = "this account may not read the log"
        raise AuthenticationError(message, hint="grant it")
        yield

    world.api.log = refuse
    assert world.run().status == 0
    assert world.notes() == ["what the build says is not shown: this account may not read the log; grant it"]


def test_a_log_that_is_refused_by_a_server_that_has_just_started_is_asked_for_again(world):
    asked = []

    def log(_pod, _container, _since=""):
        asked.append(1)
        if len(asked) == 1:
            message = "it does not know the roles yet"
            raise AuthenticationError(message, hint="grant it")
        yield "t1", "one\n"
        world.api.pod(BUILT)
        world.api.job(COMPLETE)

    world.api.log = log
    assert world.run().status == 0
    assert (world.lines, world.notes()) == (["one"], [])


def test_a_log_that_does_not_end_is_not_waited_for_without_limit(world):
    still = threading.Event()

    def log():
        world.api.pod(BUILT)
        still.wait(30)

    world.api.after("log", log)
    assert world.run().status == 0
    assert world.lines == ["one", "two"]
    still.set()
