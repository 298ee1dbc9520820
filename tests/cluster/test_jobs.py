"""One Job from its creation to its deletion, in a cluster that does what the test says."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from buildpush.cluster import jobs as module
from buildpush.cluster.api import EVENTS, JOBS, PODS, SECRETS
from buildpush.cluster.jobs import Cluster, JobResult
from buildpush.cluster.manifest import (
    JOB_LABEL,
    MACHINE_LABEL,
    OURS,
    PROCESS_NOTE,
    REQUEST_LABEL,
    RUN_LABEL,
    JobOptions,
    JobSpec,
    Limits,
    PodContainer,
    Run,
)
from buildpush.cluster.watching import Watching
from buildpush.foundation.errors import AuthenticationError, ClusterError, ContextError, UnreachableError
from buildpush.foundation.events import Finished, Note, Progress, Retry, Started
from buildpush.foundation.state import process_identity

SPEC = JobSpec("r.test/build:1", ("build",), "r.test/receive:1", files={"login": "x"}, limits=Limits(memory=1024))
RUNNING, DONE = (
    {"running": {"startedAt": "2026-11-28T09:00:00Z"}},
    {"terminated": {"exitCode": 0, "reason": "Completed"}},
)
NAMES = {JOBS: "jobs", PODS: "pods", SECRETS: "secrets", EVENTS: "events"}


def terminated(code, reason="Error", message=""):
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


def status(phase="Running", *, receive=None, build=None, push=None, **more):
    first = [{"name": "receive", "image": "r", "state": receive}] if receive else []
    containers = [{"name": "build", "image": "b", "state": build}] if build else []
    if push:
        first, containers = [*first, *containers], [{"name": "push", "image": "p", "state": push}]
    return {"phase": phase, "initContainerStatuses": first, "containerStatuses": containers, **more}


RECEIVES = status("Pending", receive=RUNNING)
BUILDS = status(receive=DONE, build=RUNNING)
BUILT = status("Succeeded", receive=DONE, build=terminated(0, "Completed", "sha256:d"))
WAITS, RECEIVED = {"waiting": {"reason": "PodInitializing"}}, (0, "received\n")
COMPLETE = {"conditions": [{"type": "Complete", "status": "True"}]}
FAILED = {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}


class FakeApi:
    """An API that keeps what it is asked, and lets the test say what is seen after each act.

    What a method of the test's own does is called after the act of that name; by default, a build goes well.
    """

    def __init__(self):
        self.acts: list[str] = []
        self.names: list[str] = []
        self.received: list[bytes] = []
        self.events: list[dict] = []
        self.lines = [("t1", "one\n"), ("t2", "two\n")]
        self.kept: dict[str, dict] = {}
        self.changes = {JOBS: queue.Queue(), PODS: queue.Queue()}
        self.hooks: dict[str, list] = {}
        self.version = 1

    def after(self, act, *hooks):
        """Let *hooks* follow *act*, one each time and the last one always."""
        self.hooks[act] = list(hooks)

    def did(self, act, usual=lambda: None):
        self.acts.append(act)
        hooks = self.hooks.get(act)
        hook = (hooks.pop(0) if len(hooks) > 1 else hooks[0]) if hooks else usual
        return hook()

    # what is seen

    def see(self, path, state, kind="MODIFIED", **metadata):
        self.version += 1
        name = self.names[-1]
        labels = {RUN_LABEL: "run-0", JOB_LABEL: name}
        own = name if path == JOBS else f"{name}-pod"
        metadata = {"name": own, "labels": labels, "resourceVersion": str(self.version), **metadata}
        self.changes[path].put((kind, {"metadata": metadata, "status": state}))

    def pod(self, state, kind="MODIFIED", **metadata):
        self.see(PODS, state, kind, **metadata)

    def job(self, state, kind="MODIFIED"):
        self.see(JOBS, state, kind)

    # what is asked

    def create(self, path, document):
        if path == JOBS:
            self.names.append(document["metadata"]["name"])
        self.kept[NAMES[path]] = document
        self.did(f"create {NAMES[path]}", lambda: self.job({}) if path == JOBS else None)
        return {**document, "metadata": {**document["metadata"], "uid": "u"}}

    def patch(self, path, name, change):
        assert (path, name) == (JOBS, self.names[-1])
        if change == {"metadata": {"labels": {REQUEST_LABEL: None}}}:
            self.acts.append("name after nothing")
            return
        if "metadata" in change:
            self.acts.append(f"adopt for {change['metadata']['annotations'][PROCESS_NOTE]}")
            return
        assert change == {"spec": {"suspend": False}}
        self.did("start", lambda: self.pod(RECEIVES))

    def delete(self, path, name):
        assert path == JOBS
        self.did(f"delete {self.names.index(name)}")

    def list(self, path, query):
        if path == EVENTS:
            self.acts.append(f"events of {query['fieldSelector'].partition('=')[2].removeprefix(self.names[-1])}")
            return self.events, "1"
        return [], "1"

    def watch(self, path, _query, _version):
        while (change := self.changes[path].get()) is not None:
            if isinstance(change, Exception):
                raise change
            yield change

    def execute(self, pod, container, argv, stdin, opened):
        assert (pod, container, argv[:2]) == (f"{self.names[-1]}-pod", "receive", ["sh", "-c"])
        opened(lambda: self.acts.append("end"))

        def usual():
            self.received.append(b"".join(stdin))
            self.pod(BUILDS)
            return 0, "received\n"

        return self.did("send", usual)

    def log(self, pod, container, since=""):
        assert pod == f"{self.names[-1]}-pod"
        yield from [] if since else self.lines if container == "build" else [("t3", "three\n")]
        if not since:
            self.did("log" if container == "build" else "log of push", lambda: (self.pod(BUILT), self.job(COMPLETE)))

    def close(self):
        for changes in self.changes.values():
            changes.put(None)


class Context:
    """A context in three blocks; *act* is called before the last one."""

    def __init__(self):
        self.size, self.done, self.has_changed, self.act = len(CONTENT), 0, False, lambda: None

    def __iter__(self):
        third = len(CONTENT) // 3
        for place in (0, third, 2 * third):
            block = CONTENT[place : place + third]
            if place == 2 * third:
                self.act()
            self.done = place + len(block)
            yield block


@dataclass
class World:
    api: FakeApi
    cluster: Cluster
    payload: Context
    events: list
    lines: list
    patience: float = 0.6

    def run(self, spec=SPEC) -> JobResult:
        return self.cluster.run(
            spec, JobOptions(patience=self.patience), self.payload, show=self.lines.append, sink=self.events.append
        )

    @property
    def made(self):
        """What was asked for, without the ends of streams."""
        return [act for act in self.api.acts if act != "end" and not act.startswith("events")]

    def notes(self):
        return [event.text for event in self.events if isinstance(event, Note)]


CONTENT = bytes(range(256)) * 3 * 700


@pytest.fixture
def world(monkeypatch):
    for name, seconds in {
        "_LAST_WORDS_SECONDS": 0.5,
        "_PULL_SECONDS": 0.2,
        "_ASKS_WHY_SECONDS": 0.02,
        "_EVENTS_SECONDS": 0.05,
        "_SAYS_WHY_SECONDS": 0.1,
        "_END_SECONDS": 0.2,
    }.items():
        monkeypatch.setattr(module, name, seconds)
    monkeypatch.setattr("buildpush.cluster.logs._PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("buildpush.cluster.watching._PAUSE_SECONDS", 0.01)
    sleep = module.time.sleep
    monkeypatch.setattr(module.time, "sleep", lambda seconds: sleep(min(seconds, 0.02)))
    api = FakeApi()
    cluster = Cluster(api, Run("run-0", "here", "4711 1"))
    yield World(api, cluster, Context(), [], [])
    cluster.close()


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


def broken():
    message = "the stream broke"
    raise UnreachableError(message)


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


# ---- Ctrl-C


STEPS = ["create jobs", "create secrets", "start", "send", "log"]


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize("step", STEPS[:3])
def test_ctrl_c_deletes_what_was_made(world, step):
    world.api.after(step, interrupt)
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert world.made == [*STEPS[: STEPS.index(step) + 1], "delete 0"]


def test_what_is_seen_ends_the_wait_for_its_job_and_for_no_other(world):
    world.run()
    (watching,) = world.cluster._watches.values()
    began = time.monotonic()
    threading.Timer(0.05, watching.wake, ("one",)).start()
    watching.wait("one", 20)
    assert time.monotonic() - began < 10
    began = time.monotonic()
    watching.wait("other", 0.05)
    assert time.monotonic() - began > 0.04


def test_of_a_job_that_is_over_nothing_is_kept(world):
    world.run()
    (watching,) = world.cluster._watches.values()
    world.api.pod(BUILT, "DELETED")
    world.api.job(COMPLETE, "DELETED")
    time.sleep(0.05)
    assert (watching._jobs, watching._pods, watching._changed) == ({}, {}, {})


def interrupted_in(monkeypatch, world, act):
    """Raise Ctrl-C in the thread that waits, once *act* has begun."""
    usual = Watching.wait

    def wait(watching, name, seconds):
        if act in world.api.acts:
            monkeypatch.setattr(Watching, "wait", usual)
            raise KeyboardInterrupt
        usual(watching, name, seconds)

    monkeypatch.setattr(Watching, "wait", wait)


@pytest.mark.parametrize("act", ["start", "send", "log"])
def test_ctrl_c_while_it_waits_deletes_what_was_made(world, monkeypatch, act):
    going_on = threading.Event()

    def hang():
        going_on.wait(5)
        return 0, "received"

    if act == "start":
        world.api.after("start", lambda: None)
    if act == "send":
        world.api.after("send", hang)
    world.api.after("log", lambda: None)
    interrupted_in(monkeypatch, world, act)
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert world.made[-1] == "delete 0"
    if act == "send":
        assert "end" in world.api.acts  # the stream as well, whose thread would send on
    going_on.set()


def test_ctrl_c_while_it_is_deleted_deletes_it_nevertheless(world):
    world.api.after("delete 0", interrupt, lambda: None)
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert world.made[-2:] == ["delete 0", "delete 0"]


def test_a_second_ctrl_c_ends_at_once(world):
    world.api.after("delete 0", interrupt)
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert world.made[-2:] == ["delete 0", "delete 0"]


def test_a_job_that_cannot_be_deleted_is_a_note_and_not_a_failure(world):
    world.api.after("delete 0", broken)
    assert world.run().status == 0
    assert world.notes() == [
        f"the Job {world.api.names[0]} could not be deleted, and goes by itself after its end: the stream broke"
    ]


def test_a_creation_that_is_refused_is_told_and_leaves_nothing(world):
    def refuse():
        message = "no room"
        raise ClusterError(message)

    world.api.after("create secrets", refuse)
    with pytest.raises(ClusterError, match="no room"):
        world.run()
    assert world.made == ["create jobs", "create secrets", "delete 0"]


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


# ---- Jobs of earlier runs


def left(name, state=None, created="2026-11-28T09:00:01Z", process="", label="run-1", machine="here"):
    """Return a Job that an earlier run has left."""
    notes = {"annotations": {PROCESS_NOTE: process}} if process else {}
    labels = {RUN_LABEL: label, JOB_LABEL: name, REQUEST_LABEL: "abc", MACHINE_LABEL: machine}
    return {"metadata": {"name": name, "creationTimestamp": created, "labels": labels, **notes}, "status": state or {}}


BUILT_BEFORE = replace(SPEC, request="abc")


def leave(world, *found, pod=BUILDS):
    """Let the cluster have these Jobs, each with a pod in that state."""
    asked = []

    def list_(path, query):
        asked.append((path, query))
        if path == JOBS:
            return list(found), "1"
        selected = query["labelSelector"].partition("=")[2]
        names = [one["metadata"]["name"] for one in found]
        labels = {JOB_LABEL: selected if selected in names else names[-1]}
        metadata = {"name": f"{labels[JOB_LABEL]}-pod", "labels": labels, "resourceVersion": "1"}
        return ([{"metadata": metadata, "status": pod}] if pod else []), "1"

    world.api.list = list_
    world.api.names += [one["metadata"]["name"] for one in found]
    return asked


def test_a_resumed_run_goes_on_with_the_newest_job_of_its_request(world):
    world.cluster.resumes = True
    asked = leave(world, left("a"), left("b", created="2026-11-28T09:00:02Z"))
    assert world.run(BUILT_BEFORE) == JobResult(0, "sha256:d")
    assert world.made == ["adopt for 4711 1", "log", "delete 1"]  # or another run of this machine would sweep it
    assert world.lines == ["one", "two"]
    assert world.notes() == ["the Job b, which an earlier run has left, goes on"]
    assert asked[0] == (JOBS, {"labelSelector": f"{REQUEST_LABEL}=abc"})
    assert (JOBS, {"labelSelector": f"{RUN_LABEL}=run-1"}) in asked  # watched by the label of the run that made it


@pytest.mark.parametrize(
    ("state", "pod"), [(FAILED, BUILDS), ({}, RECEIVES), ({}, None)], ids=["failed", "without context", "without pod"]
)
def test_a_job_that_cannot_go_on_is_not_waited_for(world, state, pod):
    leave(world, left("a", state), pod=pod)
    assert world.cluster._find("abc") is None


def test_a_job_whose_run_is_still_at_work_is_left_to_it(world):
    leave(world, left("a", process=process_identity()))
    assert world.cluster._find("abc") is None


def test_a_resumed_run_without_a_job_to_go_on_with_makes_one(world):
    world.cluster.resumes = True
    assert world.run(BUILT_BEFORE).status == 0
    assert world.made[0] == "create jobs"


def test_without_resume_no_job_is_looked_for(world):
    asked = leave(world, left("a"), pod=None)
    world.api.names.clear()
    world.run(BUILT_BEFORE)
    assert (JOBS, {"labelSelector": f"{REQUEST_LABEL}=abc"}) not in asked
    assert world.made[0] == "create jobs"


def test_jobs_of_killed_runs_of_this_machine_are_swept(world):
    leave(world, left("dead", process="999999999 1"), left("alive", process=process_identity()), left("unknown"))
    world.cluster.sweep(world.events.append)
    assert world.made == ["delete 0"]
    assert world.notes() == ["the Job dead, which a killed run has left in the cluster, is deleted"]


def test_a_job_that_cannot_be_swept_is_a_note(world):
    leave(world, left("dead", process="999999999 1"))
    world.api.after("delete 0", broken)
    world.cluster.sweep(world.events.append)
    assert world.notes() == [
        "the Job dead, which a killed run has left in the cluster, is still there: the stream broke"
    ]


def test_jobs_of_other_machines_are_left_to_the_cluster(world):
    asked = leave(world, left("there", process="999999999 1", machine="other"))
    world.cluster.sweep()
    assert world.made == []
    assert asked == [(JOBS, {"labelSelector": OURS})]


@pytest.mark.parametrize(("age", "suspend", "acts"), [(2, True, ["delete 0"]), (2, False, []), (0, True, [])])
def test_a_job_that_was_never_started_is_deleted_by_any_machine_once_it_is_old(world, age, suspend, acts):
    created = (datetime.now(UTC) - timedelta(hours=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    job = left("half", process="999999999 1", machine="other", created=created)
    leave(world, {**job, "spec": {"suspend": suspend}})
    world.cluster.sweep()
    assert world.made == acts
