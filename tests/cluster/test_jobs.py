"""One Job from its creation to its deletion, in a cluster that does what the test says."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from buildpush.cluster.jobs import JobResult
from buildpush.cluster.manifest import (
    JobSpec,
    PodContainer,
)
from buildpush.foundation.errors import AuthenticationError, ClusterError, ContextError, UnreachableError
from buildpush.foundation.events import Finished, Note, Progress, Retry, Started
from tests.cluster.fake_cluster import (
    BUILT,
    COMPLETE,
    CONTENT,
    DONE,
    FAILED,
    RECEIVED,
    RECEIVES,
    RUNNING,
    SPEC,
    WAITS,
    broken,
    leave,
    left,
    status,
    terminated,
)


def test_a_job_is_made_given_its_secret_and_only_then_started(world):
    result = world.run()
    assert result == JobResult(0, "sha256:d")
    assert world.made == ["create jobs", "create secrets", "start", "send", "log", "delete 0"]
    assert world.api.kept["secrets"]["metadata"]["ownerReferences"][0]["uid"] == "u"
    assert world.api.kept["jobs"]["spec"]["suspend"] is True
    assert world.api.received == [CONTENT]
    assert world.lines == ["one", "two"]


def test_without_private_files_no_secret_is_made(world):
    world.run(JobSpec("i", ("a",), "r"))
    assert "create secrets" not in world.made


def test_the_progress_of_what_is_sent_is_told(world):
    world.run()
    done = [event.done for event in world.events if isinstance(event, Progress)]
    assert done == sorted(done)
    assert done[-1] == len(CONTENT)


def test_a_job_that_got_another_context_than_it_is_named_after_is_found_by_no_later_run(world):
    world.payload.act = lambda: setattr(world.payload, "has_changed", True)
    world.run()
    assert world.made[-4:] == ["send", "name after nothing", "log", "delete 0"]  # before it can begin to build


def test_what_cannot_be_read_while_it_is_sent_ends_the_stream_and_the_job(world):
    def fail():
        message = "b changed while it was read"
        raise ContextError(message)

    world.payload.act = fail
    with pytest.raises(ContextError, match="b changed while it was read"):
        world.run()
    assert world.made[-2:] == ["send", "delete 0"]
    assert "end" in world.api.acts


def test_a_job_waits_from_its_creation_until_it_builds(world):
    world.run()
    began, *between, ended = [one for one in world.events if not isinstance(one, Note)]
    assert began == Started("wait", world.api.names[0])
    assert all(isinstance(one, Progress) for one in between)
    assert (type(ended), ended.phase) == (Finished, "wait")
    assert ended.seconds > 0


def test_a_build_that_fails_has_its_status_and_its_message(world):
    world.api.after(
        "log", lambda: (world.api.pod(status("Failed", build=terminated(3, message="no"))), world.api.job(FAILED))
    )
    assert world.run() == JobResult(3, "no")
    assert world.made[-1] == "delete 0"


def test_what_is_watched_of_the_job_may_come_before_what_is_watched_of_its_pod(world):
    """There are two watches, and either may be late."""

    def late():
        world.api.job(COMPLETE)
        threading.Timer(0.15, world.api.pod, [BUILT]).start()

    world.api.after("log", late)
    assert world.run() == JobResult(0, "sha256:d")


def test_a_build_may_be_over_before_its_pod_is_seen_to_build(world):
    def send():
        world.api.job(COMPLETE)
        threading.Timer(0.15, world.api.pod, [BUILT]).start()
        return 0, "received"

    world.api.after("send", send)
    world.api.after("log", lambda: None)
    assert world.run() == JobResult(0, "sha256:d")
    assert world.lines == ["one", "two"]


def test_the_log_is_shown_as_it_arrives(world):
    seen = threading.Event()

    def log():
        assert seen.wait(10)
        world.api.pod(BUILT)

    world.api.after("log", log)
    world.lines = type("Lines", (list,), {"append": lambda self, line: (list.append(self, line), seen.set())})()
    world.run()
    assert world.lines == ["one", "two"]


# ---- another container pushes


PUSHED = replace(SPEC, push=PodContainer("r.test/push:1", ("push",), files={"login": "y"}))
PUSHES = {"receive": DONE, "build": DONE, "push": RUNNING}


def push_ends(api, code, message=""):
    state = status("Failed" if code else "Succeeded", **{**PUSHES, "push": terminated(code, "any", message)})
    return lambda: (api.pod(state), api.job(FAILED if code else COMPLETE))


@pytest.mark.parametrize(("code", "message"), [(0, "sha256:d"), (1, "refused")])
def test_the_log_of_the_push_follows_that_of_the_build_and_its_end_counts(world, code, message):
    building = status("Pending", receive=DONE, build=RUNNING, push=WAITS)
    world.api.after("send", lambda: (world.api.pod(building), RECEIVED)[1])
    world.api.after("log", lambda: world.api.pod(status(**PUSHES)))
    world.api.after("log of push", push_ends(world.api, code, message))
    assert world.run(PUSHED) == JobResult(code, message, "push")
    assert world.lines == ["one", "two", "three"]
    assert world.made[-3:] == ["log", "log of push", "delete 0"]


def test_a_push_may_be_over_before_the_build_is_seen_to_end(world):
    world.api.after("log", push_ends(world.api, 0, "sha256:d"))
    world.api.after("log of push", lambda: None)
    assert world.run(PUSHED) == JobResult(0, "sha256:d", "push")
    assert world.lines == ["one", "two", "three"]


def test_a_build_that_fails_is_not_pushed(world):
    state = status("Failed", receive=DONE, build=terminated(3, message="no"), push=WAITS)
    world.api.after("log", lambda: (world.api.pod(state), world.api.job(FAILED)))
    assert world.run(PUSHED) == JobResult(3, "no", "build")
    assert "log of push" not in world.made


def test_a_push_that_cannot_start_is_given_up_with_its_reason(world):
    state = {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
    world.api.after("log", lambda: world.api.pod(status("Pending", receive=DONE, build=DONE, push=state)))
    with pytest.raises(ClusterError, match="the push cannot start in the cluster: the image p cannot be pulled"):
        world.run(PUSHED)
    assert world.made[-1] == "delete 0"


def test_a_job_that_is_deleted_between_build_and_push_is_told_so(world):
    state = status("Pending", receive=DONE, build=DONE, push=WAITS)
    world.api.after("log", lambda: (world.api.pod(state), world.api.job(FAILED, "DELETED")))
    with pytest.raises(ClusterError, match="was deleted from the cluster"):
        world.run(PUSHED)


def test_a_build_whose_node_is_lost_ends_when_the_cluster_gives_its_pod_up(world):
    """Before its push, the pod is not ready, so that its silence is not seen; and its Job does not fail."""
    taint = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager", "message": "NoExecute"}
    state = status("Pending", receive=DONE, build=RUNNING, push=WAITS, conditions=[taint])
    world.api.after("log", lambda: world.api.pod(state, deletionTimestamp="2026-11-30T12:00:00Z"))
    with pytest.raises(ClusterError, match="the cluster ended the build: NoExecute") as caught:
        world.run(PUSHED)
    assert "--resume" in caught.value.hint


def test_a_resumed_run_goes_on_with_a_job_that_pushes(world):
    world.cluster.resumes = True
    leave(world, left("a"), pod=status(**PUSHES))
    world.api.after("log", lambda: None)
    world.api.after("log of push", push_ends(world.api, 0, "sha256:d"))
    assert world.run(replace(PUSHED, request="abc")) == JobResult(0, "sha256:d", "push")
    assert world.lines == ["one", "two", "three"]


def test_a_secret_is_made_for_the_push_alone_as_well(world):
    world.api.after("log", push_ends(world.api, 0))
    world.run(replace(PUSHED, files={}))
    assert list(world.api.kept["secrets"]["data"]) == ["push-file-0"]


# ---- streams that break


def test_a_stream_that_breaks_is_begun_again_with_a_new_job(world):
    usual = world.api.execute

    def once(*arguments):
        world.api.execute = usual
        list(arguments[3])
        world.api.acts.append("send")
        broken()

    world.api.execute = once
    assert world.run() == JobResult(0, "sha256:d")
    first = ["create jobs", "create secrets", "start", "send", "delete 0"]
    assert world.made == [*first, "create jobs", "create secrets", "start", "send", "log", "delete 1"]
    assert world.api.names[0] != world.api.names[1]
    (retry,) = [event for event in world.events if isinstance(event, Retry)]
    assert retry.reason == "the stream broke"


@pytest.mark.parametrize("end", [broken, lambda: (75, "broken\n"), lambda: (0, "")])
def test_what_does_not_arrive_whole_is_sent_three_times_and_no_more(world, end):
    world.api.after("send", end)
    with pytest.raises(UnreachableError):
        world.run()
    assert [act for act in world.made if act.startswith(("create jobs", "delete"))] == [
        act for number in range(3) for act in ("create jobs", f"delete {number}")
    ]


def test_what_did_not_arrive_says_what_the_receiver_needs(world):
    world.api.after("send", lambda: (127, "sh: gzip: not found\n"))
    with pytest.raises(UnreachableError, match="did not arrive whole: sh: gzip: not found") as caught:
        world.run()
    assert "receiver_image needs sh, gzip and tar" in caught.value.hint


def test_a_context_that_the_node_has_no_room_for_is_not_sent_again(world):
    world.api.after("send", lambda: (75, "tar: big: Cannot write: No space left on device\nbroken\n"))
    with pytest.raises(ClusterError, match="No space left") as caught:
        world.run()
    assert caught.value.hint.startswith("the node's disk is full: raise resources.requests")
    assert world.made.count("send") == 1


def test_a_stream_that_never_ends_is_ended_once_the_build_has_begun(world):
    """What is between us and the cluster may forget a connection that nothing is sent by, and tell neither end."""
    is_ended = threading.Event()
    execute = world.api.execute

    def hang(pod, container, argv, stdin, opened):
        opened(is_ended.set)
        execute(pod, container, argv, stdin, opened)
        assert is_ended.wait(5)
        broken()

    world.api.execute = hang
    assert world.run() == JobResult(0, "sha256:d")
    assert is_ended.is_set()
    assert world.lines == ["one", "two"]


def test_a_refusal_is_not_tried_again(world):
    def refuse():
        message = "grant exec"
        raise AuthenticationError(message)

    world.api.after("send", refuse)
    with pytest.raises(AuthenticationError, match="grant exec"):
        world.run()
    assert world.made[-2:] == ["send", "delete 0"]


def test_a_pod_that_ends_while_the_context_is_sent_says_why(world):
    def send():
        world.api.pod(status("Failed", receive=terminated(137, "OOMKilled")))
        threading.Event().wait(0.3)
        broken()

    world.api.after("send", send)
    with pytest.raises(ClusterError, match="killed for lack of memory: its limit is 1024 bytes"):
        world.run()
    assert world.made[-1] == "delete 0"


def test_a_stream_that_hangs_ends_with_its_pod(world):
    ended = threading.Event()

    def execute(_pod, _container, _argv, _stdin, opened):
        opened(ended.set)
        world.api.pod(RECEIVES, "DELETED", deletionTimestamp="t")
        assert ended.wait(10)
        broken()

    world.api.execute = execute
    with pytest.raises(ClusterError, match="the pod of the build was deleted"):
        world.run()


@pytest.mark.parametrize("is_here", [True, False])
def test_a_context_is_compressed_unless_the_cluster_is_on_this_machine(world, is_here):
    world.api.is_on_this_machine = is_here
    assert world.run().status == 0
    assert world.payload.compressed is not is_here
    assert ("gzip" in world.api.script) is not is_here
