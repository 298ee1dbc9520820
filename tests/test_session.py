"""The story of a step: its times, and who is told."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from buildpush.foundation.events import Progress
from buildpush.pipeline.session import Story


def test_the_sink_is_called_by_one_thread_at_a_time():
    """Displays and the sinks of callers keep dicts that they iterate over."""
    inside, overlaps = threading.Lock(), []

    def sink(_event):
        if not inside.acquire(blocking=False):
            overlaps.append(True)
            return
        threading.Event().wait(0.001)
        inside.release()

    story = Story(sink)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: story(Progress("layer", number)), range(40)))
    assert not overlaps


def test_a_phase_inside_another_counts_its_own_time():
    story = Story(lambda _: None)
    with story.phase("build"), story.phase("push"):
        threading.Event().wait(0.05)
    assert story.seconds["push"] >= 0.05
    assert story.seconds["build"] < story.seconds["push"]
