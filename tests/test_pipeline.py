"""The story of a run, where it does not go as usual."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from buildpush.foundation.errors import PushError, SettingsError, TimeOutError
from buildpush.foundation.limits import time_limit
from buildpush.foundation.state import State
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.results import RunResult
from buildpush.pipeline.runlog import RunLog
from buildpush.pipeline.step import record_result, run_steps
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
        with pytest.raises(TimeOutError, match=r"0:00:00\.05"), time_limit(timedelta(milliseconds=50), print):
            wait(20)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - begun < 15


def test_what_ends_in_time_leaves_nothing_behind():
    before = signal.getsignal(signal.SIGALRM)
    there = set(threading.enumerate())
    with time_limit(timedelta(hours=1), print):
        pass
    assert signal.getsignal(signal.SIGALRM) is before
    assert not [each for each in set(threading.enumerate()) - there if isinstance(each, threading.Timer)]


def test_an_error_before_the_timeout_stays_what_it_is():
    message = "refused"
    with pytest.raises(PushError, match="refused"), time_limit(timedelta(hours=1), print):
        raise PushError(message)


def test_a_timeout_that_cannot_be_kept_is_not_ignored_silently():
    told = []

    def elsewhere():
        with time_limit(timedelta(hours=1), told.append):
            pass

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "'timeout' has no effect" in told[0].text


def test_an_unknown_output_is_refused_before_anything_is_built(context):
    with pytest.raises(SettingsError, match="does not say where"):
        run_steps(Loaded(()), context, push=False, output="tar:out")


def test_a_docker_archive_is_not_written_twice(context):
    steps = tuple(Step(name, name, BUILD.type, {}, "step.yml") for name in ("api", "web"))
    with pytest.raises(SettingsError, match="2 steps"):
        run_steps(Loaded(steps), context, push=False, output="docker-archive:out.tar")


def test_a_record_that_cannot_be_written_does_not_undo_a_push(context, tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "runs").write_text("")
    told = []
    context = replace(context, state=State(tmp_path / "state", tmp_path), log=RunLog(told.append))
    record_result(RunResult(step="push"), context)
    assert "not recorded" in told[0].text
