"""Rows about what goes wrong: a line that resets every now and then, and ``kill -9`` in the middle."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable

from benchmarks.pushing import commands, registries, trials
from benchmarks.pushing.again import layers_of
from benchmarks.pushing.commands import Ran
from benchmarks.pushing.figures import Entry
from benchmarks.pushing.ground import Ground
from benchmarks.pushing.material import MEGABYTE
from benchmarks.pushing.registries import Target
from benchmarks.pushing.trials import OURS

RESETS = 20  # of a push that would not be broken, one after each twentieth of its bytes
MOST = {"sandbox": 1.1, "docker-registry": 1.4}  # times the size


def bad_line(ground: Ground) -> list[Entry]:
    """Push over a line that resets each connection after a twentieth of the bytes; nothing is compressed."""
    from buildpush.sandbox import Line

    after = ground.megabytes * MEGABYTE // RESETS
    with registries.KINDS[ground.kind]() as target, Line(target.host, reset_after=after) as line:
        ran = commands.run(_words(ground, target.through(line.host)), target.env)
    size = _size(ran)
    times = line.sent / size
    more = {
        "bytes sent": float(line.sent),
        "bytes of layers": float(size),
        "seconds": ran.seconds,
        "resets": float(len(line.hits)),
    }
    aim = f"at most {MOST[ground.kind]} times the size"
    return [
        Entry(
            f"sent, reset every {after // MEGABYTE} MB",
            times,
            "times",
            more=more,
            aim=aim,
            kept=times <= MOST[ground.kind],
        )
    ]


def killed(ground: Ground) -> list[Entry]:
    """Kill a push when half of its bytes are sent, and give the same command again; nothing is compressed."""
    from buildpush.sandbox import Line

    half = ground.context.size // 2
    with registries.KINDS[ground.kind]() as target, Line(target.host) as line:
        words = _words(ground, target.through(line.host))
        _kill(words, target, lambda: line.sent >= half)
        before = line.sent
        ran = commands.run(words, target.env)
        after = line.sent - before
    size = _size(ran)
    more = {"bytes before it": float(before), "bytes after it": float(after), "bytes of layers": float(size)}
    return [Entry("sent in all, killed in the middle", (before + after) / size, "times", more=more)]


def _words(ground: Ground, target: Target) -> list[str]:
    return [*OURS, "run", *trials.run_words(ground.context, target), "--compression", "none", "--json"]


def _kill(words: list[str], target: Target, due: Callable[[], bool]) -> None:
    with subprocess.Popen(
        words, env={**os.environ, **target.env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while not due() and process.poll() is None:
            time.sleep(0.01)
        process.kill()


def _size(ran: Ran) -> int:
    return sum(layer["size"] for layer in layers_of(ran))
