"""A cluster that does what a test says, and keeps what it is asked."""

from __future__ import annotations

import queue
from dataclasses import dataclass

import pytest

from buildpush.cluster import jobs as module
from buildpush.cluster.api import EVENTS, JOBS, PODS, SECRETS
from buildpush.cluster.jobs import Cluster, JobResult
from buildpush.cluster.manifest import (
    JOB_LABEL,
    MACHINE_LABEL,
    PROCESS_NOTE,
    REQUEST_LABEL,
    RUN_LABEL,
    JobOptions,
    JobSpec,
    Limits,
    Run,
)
from buildpush.foundation.errors import UnreachableError
from buildpush.foundation.events import Note

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

    is_on_this_machine = False

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
        self.script = argv[2]
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

    def blocks(self, *, compressed):
        self.compressed = compressed
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


def broken():
    message = "the stream broke"
    raise UnreachableError(message)


def left(name, state=None, created="2026-11-28T09:00:01Z", process="", label="run-1", machine="here"):
    """Return a Job that an earlier run has left."""
    notes = {"annotations": {PROCESS_NOTE: process}} if process else {}
    labels = {RUN_LABEL: label, JOB_LABEL: name, REQUEST_LABEL: "abc", MACHINE_LABEL: machine}
    return {"metadata": {"name": name, "creationTimestamp": created, "labels": labels, **notes}, "status": state or {}}


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
