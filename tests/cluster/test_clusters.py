"""The clusters of a run: each is opened once, and whoever waits for it can be interrupted."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from buildpush.cluster.order import ClusterOrder
from buildpush.foundation.errors import UnreachableError
from buildpush.foundation.interrupts import interrupt
from buildpush.pipeline import clusters
from buildpush.pipeline.clusters import Clusters


class FakeCluster:
    def __init__(self):
        self.closed = self.swept = 0

    def sweep(self, sink):
        self.swept += 1

    def close(self):
        self.closed += 1


def test_a_cluster_is_opened_once_for_each_context_and_namespace(monkeypatch):
    monkeypatch.setattr(clusters, "_new_cluster", lambda *_words, **_more: FakeCluster())
    found, run = Clusters(), SimpleNamespace()
    first = found.open(ClusterOrder(context="a", namespace="b"), run)
    assert found.open(ClusterOrder(context="a", namespace="b", executor="x"), run) is first
    others = [found.open(order, run) for order in (ClusterOrder(context="a"), ClusterOrder(namespace="b"))]
    assert len({first, *others}) == 3
    found.close()
    found.close()
    assert [one.closed for one in (first, *others)] == [1, 1, 1]


def test_branches_that_come_at_the_same_time_open_a_cluster_once(monkeypatch):
    opened, together = [], threading.Barrier(8)

    def new(*_words, **_more):
        opened.append(FakeCluster())
        time.sleep(0.05)
        return opened[-1]

    def ask(_number):
        together.wait(10)
        return found.open(ClusterOrder(context="a"), SimpleNamespace())

    monkeypatch.setattr(clusters, "_new_cluster", new)
    found = Clusters()
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == set(opened)
    assert len(opened) == 1


def test_a_slow_login_keeps_neither_another_cluster_nor_an_interrupt_waiting(monkeypatch):
    begun, going_on, ended = threading.Event(), threading.Event(), []
    asking = threading.Semaphore(0)

    def new(order, *_words, **_more):
        if order.context == "slow":
            begun.set()
            assert going_on.wait(10)
        return FakeCluster()

    def ask():
        try:
            asking.release()
            found.open(ClusterOrder(context="slow"), SimpleNamespace())
        except KeyboardInterrupt:
            ended.append("interrupted")

    monkeypatch.setattr(clusters, "_new_cluster", new)
    found = Clusters()
    first, second = (threading.Thread(target=ask) for _ in range(2))
    first.start()
    assert begun.wait(10)
    second.start()
    assert all(asking.acquire(timeout=10) for _ in "12")
    assert found.open(ClusterOrder(context="fast"), SimpleNamespace())
    interrupt(second.ident)
    second.join(10)
    assert ended == ["interrupted"]
    going_on.set()
    first.join(10)
    assert found.open(ClusterOrder(context="slow"), SimpleNamespace())


def test_a_cluster_that_could_not_be_opened_is_tried_again_by_the_next(monkeypatch):
    answers = iter([UnreachableError("no answer"), FakeCluster()])

    def new(*_words, **_more):
        if isinstance(answer := next(answers), Exception):
            raise answer
        return answer

    monkeypatch.setattr(clusters, "_new_cluster", new)
    found = Clusters()
    with pytest.raises(UnreachableError):
        found.open(ClusterOrder(), SimpleNamespace())
    assert isinstance(found.open(ClusterOrder(), SimpleNamespace()), FakeCluster)


# ---- what killed runs have left


@pytest.mark.parametrize("resumes", [True, False])
def test_only_a_run_that_resumed_another_sweeps_at_its_end(monkeypatch, resumes):
    """Any other one has swept when it began."""
    monkeypatch.setattr(clusters, "_new_cluster", lambda *_words, **_more: FakeCluster())
    found = Clusters()
    found.resumes = resumes
    cluster = found.open(ClusterOrder(), SimpleNamespace())
    assert cluster.swept == 0
    found.sweep(pytest.fail)
    assert cluster.swept == int(resumes)


def test_a_cluster_that_cannot_be_swept_is_a_note(monkeypatch):
    def sweep(_sink):
        message = "no answer"
        raise UnreachableError(message)

    monkeypatch.setattr(clusters, "_new_cluster", lambda *_words, **_more: SimpleNamespace(sweep=sweep))
    found, said = Clusters(), []
    found.resumes = True
    found.open(ClusterOrder(), SimpleNamespace())
    found.sweep(said.append)
    assert [one.text for one in said] == ["Jobs that killed runs have left in the cluster are still there: no answer"]
