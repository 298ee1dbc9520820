"""The log of a run: its times, and who hears it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from buildpush.foundation.events import Progress
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
