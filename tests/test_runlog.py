"""The log of a run: its times, and who hears it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from buildpush.foundation.errors import BuildError
from buildpush.foundation.events import Finished, Log, Note, Progress, Retry, Started
from buildpush.pipeline.runlog import RunLog


def test_the_sink_is_called_by_one_thread_at_a_time():
    """Displays and the sinks of callers keep dicts that they iterate over."""
    inside, overlaps = threading.Lock(), []

    def sink(_event):
        if not inside.acquire(blocking=False):
            overlaps.append(True)
            return
        threading.Event().wait(0.001)
        inside.release()

    log = RunLog(sink)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: log(Progress("layer", number)), range(40)))
    assert not overlaps


def test_a_phase_inside_another_counts_its_own_time():
    log = RunLog(lambda _: None)
    with log.phase("build"), log.phase("push"):
        threading.Event().wait(0.05)
    assert log.seconds["push"] >= 0.05
    assert log.seconds["build"] < log.seconds["push"]


def test_a_phase_that_an_engine_tells_of_is_not_counted_as_its_build():
    seen = []
    log, begun = RunLog(seen.append), time.monotonic()
    with log.phase("build"):
        threading.Event().wait(0.05)
        for event in (Started("wait", "job"), Finished("wait", 0.03), Started("push"), Finished("push", 0.01)):
            log(event)
    assert log.seconds["build"] + 0.04 <= time.monotonic() - begun
    with log.phase("push"):
        pass
    assert log.seconds["wait"] == 0.03
    assert log.seconds["push"] > 0.01
    assert seen[-3] == Finished("build", log.seconds["build"])


def test_a_build_that_fails_says_why_even_if_its_log_is_gone(tmp_path):
    """Other builds leave only the newest logs."""
    path = tmp_path / "engine.log"

    def build():
        with RunLog().engine_log(path.open("w", encoding="utf-8")):
            path.unlink()
            message = "no space"
            raise BuildError(message)

    with pytest.raises(BuildError, match="no space") as caught:
        build()
    assert caught.value.hint is None


def test_a_quiet_step_prints_neither_lines_of_the_engine_nor_progress_and_its_log_has_them(tmp_path):
    seen = []
    log = RunLog(seen.append)
    log.is_quiet = True
    with log.engine_log((tmp_path / "engine.log").open("w")):
        log(Log("step 1"))
        log(Progress("layer", 1))
        log(Note("a note"))
        log(Retry("push", "503", 1.0, 1))
    assert seen == [Note("a note"), Retry("push", "503", 1.0, 1)]
    assert (tmp_path / "engine.log").read_text() == "step 1\n"
    log.begin()
    log(Log("step 2"))
    assert seen[-1] == Log("step 2")
