"""A Job whose build is interrupted, or that cannot be deleted: nothing is left that can be helped."""

from __future__ import annotations

import threading
import time

import pytest

from buildpush.cluster.watching import Watching
from buildpush.foundation.errors import ClusterError
from tests.cluster.fake_cluster import (
    BUILT,
    COMPLETE,
    broken,
)

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
