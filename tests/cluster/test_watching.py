"""What is watched in a cluster: each change once, over streams that break and versions that expire."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest

from buildpush.cluster.api import JOBS, ExpiredError
from buildpush.cluster.watching import Watching, is_gone
from buildpush.foundation.errors import AuthenticationError, UnreachableError
from tests.cluster.api_server import (
    answer,
    api,
    change,
    eventually,
    items,
    named,
    query,
    said,
    stream,
)
from tests.http.servers import Handler, serving

pytestmark = pytest.mark.sandbox


def test_a_watch_yields_changes_until_the_server_ends_it():
    lines = [change("ADDED", named("a", "8")), change("BOOKMARK", {"metadata": {"resourceVersion": "9"}})]
    with serving(stream(*lines)) as server, api(server) as cluster:
        found = [(kind, one["metadata"]["resourceVersion"]) for kind, one in cluster.watch(JOBS, {"a": "b"}, "7")]
    assert found == [("ADDED", "8"), ("BOOKMARK", "9")]
    asked_for = query(server.seen[0])
    assert (asked_for["watch"], asked_for["resourceVersion"], asked_for["a"]) == (["true"], ["7"], ["b"])
    assert asked_for["allowWatchBookmarks"] == ["true"]


def test_lines_that_arrive_in_halves_are_whole_changes():
    line = change("ADDED", named("a")) + change("MODIFIED", named("b"))
    with serving(stream(*line)) as server, api(server) as cluster:  # byte by byte
        assert [one["metadata"]["name"] for _, one in cluster.watch(JOBS, {}, "7")] == ["a", "b"]


def test_a_change_arrives_before_the_next_one_is_sent():
    """A watch that waited for a full block would say nothing for minutes."""
    taken = threading.Event()

    def handle(request):
        stream(change("ADDED", named("a")), whole=False)(request)
        assert taken.wait(10)

    with serving(handle) as server, api(server) as cluster:
        changes = cluster.watch(JOBS, {}, "7")
        assert next(changes)[0] == "ADDED"
        taken.set()
        changes.close()


def test_a_version_that_is_no_longer_kept_is_told_by_an_event():
    gone = change("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})
    with serving(stream(gone)) as server, api(server) as cluster, pytest.raises(ExpiredError):
        list(cluster.watch(JOBS, {}, "7"))


def test_a_version_that_is_no_longer_kept_is_told_by_a_status():
    with (
        serving(answer(410, said("too old", 410, "Expired"))) as server,
        api(server) as cluster,
        pytest.raises(ExpiredError),
    ):
        list(cluster.watch(JOBS, {}, "7"))


@pytest.mark.parametrize(
    "line",
    [
        change("ERROR", {"kind": "Status", "code": 500, "message": "etcd has no leader"}),
        change("ERROR", None),
        "junk\n",
        "[]\n",
        '{"type": "ADDED"}\n',
        '{"type": "ADDED", "object": []}\n',
        '{"type": "ADDED", "object": {}}\n',
        '{"type": "ADDED", "object": {"metadata": {"resourceVersion": 7}}}\n',
        '{"type": "ADDED", "obj',
    ],
)
def test_a_broken_watch_is_no_change(line):
    with (
        serving(stream(change("ADDED", named("a")), line)) as server,
        api(server) as cluster,
        pytest.raises(UnreachableError, match="the cluster's watch"),
    ):
        list(cluster.watch(JOBS, {}, "7"))


def test_a_watch_that_breaks_is_told():
    with (
        serving(stream(change("ADDED", named("a")), '{"type"', whole=False)) as server,
        api(server) as cluster,
        pytest.raises(UnreachableError),
    ):
        list(cluster.watch(JOBS, {}, "7"))


class Story:
    """A server that answers the lists and watches of Jobs in turn; those of pods find nothing, and wait."""

    def __init__(self, *handles):
        self.handles = iter(handles)
        self.over = threading.Event()

    def __call__(self, request):
        if "/pods" in request.path:
            if "watch=true" in request.path:
                self.over.wait(20)
                stream()(request)
            else:
                items()(request)
            return
        handle = next(self.handles, None)
        if handle is None:
            self.over.wait(20)
            handle = stream()
        handle(request)

    @contextmanager
    def watched(self):
        with serving(self) as server:
            try:
                with api(server) as cluster:
                    watching = Watching(cluster, "r")
                    watching.start()
                    try:
                        yield watching, server
                    finally:
                        watching.stop()
                        self.over.set()
            finally:
                self.over.set()


def test_what_is_watched_is_kept_up_to_date():
    story = Story(
        items(named("a"), named("b")),
        stream(change("DELETED", named("b", "8")), change("ADDED", named("c", "9"))),
        stream(change("MODIFIED", {**named("c", "10"), "status": {"active": 1}})),
    )
    with story.watched() as (watching, server):
        eventually(lambda: (watching.job("c") or {}).get("status"))
        assert watching.job("a") == named("a")
        assert watching.job("b") is None
    versions = [query(seen).get("resourceVersion") for seen in server.seen if "/jobs" in seen.path]
    assert versions[:3] == [None, ["7"], ["9"]]  # the second watch goes on where the first one ended


def test_after_an_expired_version_everything_is_listed_again():
    gone = change("ERROR", {"code": 410, "message": "too old"})
    story = Story(items(named("a")), stream(gone), items(named("b"), version="20"))
    with story.watched() as (watching, _):
        eventually(lambda: watching.job("b"))
        assert watching.job("a") is None


def test_after_a_broken_watch_everything_is_listed_again(monkeypatch):
    monkeypatch.setattr("buildpush.cluster.watching._PAUSE_SECONDS", 0.01)
    story = Story(items(named("a")), stream("{", whole=False), items(named("a"), named("b")))
    with story.watched() as (watching, _):
        eventually(lambda: watching.job("b"))


def test_a_watch_that_ends_at_once_again_and_again_is_not_asked_without_a_pause(monkeypatch):
    monkeypatch.setattr("buildpush.cluster.watching._PAUSE_SECONDS", 0.2)
    story = Story(items(named("a")), *[stream()] * 1000)
    with story.watched() as (watching, server):
        eventually(lambda: watching.job("a"))
        threading.Event().wait(0.5)
        assert len([seen for seen in server.seen if "/jobs" in seen.path]) < 10


def test_a_right_that_is_missing_ends_the_watch():
    story = Story(answer(403, said("jobs.batch is forbidden: cannot list")))
    with story.watched() as (watching, _):
        eventually(lambda: watching._failure)
        with pytest.raises(AuthenticationError, match="the cluster refuses to list jobs"):
            watching.job("a")


def test_a_server_that_stays_away_ends_the_watch(monkeypatch):
    monkeypatch.setattr("buildpush.cluster.watching._PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("buildpush.cluster.watching._LONGEST_SECONDS", 0.1)
    story = Story(items(named("a")), *[Handler.reset] * 1000)
    with story.watched() as (watching, _):
        eventually(lambda: watching._failure)
        with pytest.raises(UnreachableError):
            watching.job("a")


def test_what_a_pod_said_last_is_kept_after_its_deletion():
    def pods(request):
        if "/jobs" in request.path:
            (stream() if "watch=true" in request.path else items())(request)
            return
        label = {"buildpush.dev/job": "a"}
        if "watch=true" not in request.path:
            items(named("a-x", **label))(request)
        else:
            gone = {**named("a-x", "8", **label), "status": {"phase": "Failed"}}
            stream(change("DELETED", gone))(request)

    with serving(pods) as server, api(server) as cluster:
        watching = Watching(cluster, "r")
        watching.start()
        eventually(lambda: is_gone(watching.pod("a")))
        assert watching.pod("a")["status"] == {"phase": "Failed"}
        watching.stop()
