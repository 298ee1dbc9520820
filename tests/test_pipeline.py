"""The story of a run, where it does not go as usual."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from buildpush.foundation.errors import PushError, SettingsError, TimeOutError
from buildpush.foundation.interrupts import interrupt, pause, stoppable
from buildpush.foundation.limits import Watch, time_limit
from buildpush.foundation.state import State
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.run import run_steps
from buildpush.pipeline.runlog import RunLog
from buildpush.pipeline.summary import write_state
from buildpush.places import Here
from buildpush.settings.stepkinds import BUILD
from buildpush.settings.tree import Loaded, Step


def wait(seconds: float) -> None:
    threading.Event().wait(seconds)


@pytest.fixture
def context(tmp_path):
    return replace(RunContext.default(env={}, cwd=tmp_path), state=State(tmp_path / "state", tmp_path))


def test_a_timeout_ends_a_step_that_waits_even_where_ctrl_c_is_ignored():
    """A shell starts background jobs with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    begun = time.monotonic()
    try:
        with pytest.raises(TimeOutError, match=r"timeout of 0\.05s"), time_limit(timedelta(milliseconds=50)):
            wait(20)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - begun < 15


def test_what_ends_in_time_leaves_nothing_behind():
    before = signal.getsignal(signal.SIGALRM)
    there = set(threading.enumerate())
    with time_limit(timedelta(hours=1)):
        assert set(threading.enumerate()) - there
    assert signal.getsignal(signal.SIGALRM) is before
    assert not set(threading.enumerate()) - there


def test_an_alarm_of_the_program_that_calls_is_its_own():
    heard = []
    before = signal.signal(signal.SIGALRM, lambda *_: heard.append(1))
    try:
        with time_limit(timedelta(hours=1)):
            signal.raise_signal(signal.SIGALRM)
        with pytest.raises(TimeOutError), time_limit(timedelta(milliseconds=50)):
            pause(25)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert heard == [1]


@pytest.mark.programs
def test_a_timeout_ends_a_program_where_the_alarm_is_used_by_the_program_that_calls():
    before, begun = signal.signal(signal.SIGALRM, lambda *_: None), time.monotonic()
    try:
        with pytest.raises(TimeOutError), time_limit(timedelta(milliseconds=300)):
            Here(dict(os.environ)).run(["sleep", "25"])
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - begun < 20


def test_limits_that_share_a_watch_end_in_their_order_and_only_what_lasts():
    ended = []

    def lasts(seconds, watch):
        with suppress(TimeOutError), time_limit(timedelta(seconds=seconds), watch=watch):
            pause(25)
        ended.append(seconds)

    with Watch() as watch:
        threads = [threading.Thread(target=lasts, args=(seconds, watch)) for seconds in (0.6, 0.1, 0.3)]
        with time_limit(timedelta(hours=1), watch=watch), time_limit(timedelta(hours=2), watch=watch):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
    assert ended == [0.1, 0.3, 0.6]


def test_of_two_limits_around_a_block_the_one_that_is_reached_is_named():
    inner = timedelta(milliseconds=50)
    with (
        pytest.raises(TimeOutError, match="the inner"),
        time_limit(timedelta(hours=1)),
        time_limit(inner, what="the inner"),
    ):
        pause(25)


def test_what_a_block_holds_is_free_once_its_timeout_is_handled():
    """What waits for the garbage collector keeps its files and turns until then."""

    def late(held):
        with time_limit(timedelta(milliseconds=50)):
            held.append(weakref.ref(mine := {1}))
            pause(25)
            assert mine

    held = []
    gc.disable()
    try:
        with suppress(TimeOutError):
            late(held)
        assert held[0]() is None
    finally:
        gc.enable()


def test_an_error_before_the_timeout_stays_what_it_is():
    message = "refused"
    with pytest.raises(PushError, match="refused"), time_limit(timedelta(hours=1)):
        raise PushError(message)


def in_a_thread(act):
    """Return what *act* raises in a thread of its own, and how long that took."""
    raised = []

    def elsewhere():
        try:
            act()
        except BaseException as error:  # noqa: BLE001
            raised.append(error)

    begun = time.monotonic()
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(30)
    return (raised or [None])[0], time.monotonic() - begun


def test_a_timeout_ends_what_runs_in_any_thread():
    def late():
        with time_limit(timedelta(milliseconds=50)):
            pause(25)

    error, seconds = in_a_thread(late)
    assert isinstance(error, TimeOutError)
    assert seconds < 20


@pytest.mark.programs
def test_a_timeout_ends_a_program_that_another_thread_waits_for():
    def late():
        with time_limit(timedelta(milliseconds=300)):
            Here(dict(os.environ)).run(["sleep", "25"])

    error, seconds = in_a_thread(late)
    assert isinstance(error, TimeOutError)
    assert seconds < 20


def test_what_a_thread_does_in_time_is_not_interrupted_afterwards():
    def in_time():
        for _ in range(20):
            with suppress(TimeOutError), time_limit(timedelta(milliseconds=1)):
                time.sleep(0.001)
        pause(0.05)

    assert in_a_thread(in_time)[0] is None


def test_an_interrupt_calls_what_ends_a_wait_of_that_thread_alone():
    ready, woken, ended = threading.Event(), threading.Event(), []

    def waits():
        with stoppable(woken.set):
            ready.set()
            woken.wait()
            pause(5)

    def main():
        try:
            waits()
        except KeyboardInterrupt:
            ended.append("interrupted")

    thread = threading.Thread(target=main)
    with stoppable(lambda: ended.append("the wrong one")):
        thread.start()
        ready.wait()
        interrupt(thread.ident)
        thread.join()
    assert ended == ["interrupted"]


def test_an_unknown_output_is_refused_before_anything_is_built(context):
    with pytest.raises(SettingsError, match="does not say where"):
        run_steps(Loaded(()), context, push=False, output="tar:out")


def test_a_docker_archive_is_not_written_twice(context):
    (context.cwd / "Dockerfile").write_text("FROM scratch\n")
    steps = tuple(Step(name, name, BUILD.type, {}, "step.yml") for name in ("api", "web"))
    with pytest.raises(SettingsError, match="2 steps"):
        run_steps(Loaded(steps), context, push=False, output="docker-archive:out.tar")


def test_a_record_that_cannot_be_written_does_not_undo_a_push(context, tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "runs").write_text("")
    told = []
    context = replace(context, state=State(tmp_path / "state", tmp_path), log=RunLog(told.append))
    assert not write_state("push", "{}", context)
    assert "not recorded" in told[0].text
