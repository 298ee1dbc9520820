"""In whose code a push spends its processor: samples of py-spy, which looks into the C libraries as well.

A sample counts for the innermost frame: a library or the kernel behind it, the Python of somebody else (the standard
library, urllib3, the start of Python), or ours. Threads that wait are not sampled.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.pushing import registries, trials
from benchmarks.pushing.figures import Entry
from benchmarks.pushing.ground import Ground, need_program
from benchmarks.pushing.registries import Target

RATE = 500  # samples in a second
OURS = "Python of buildpush"
THEIRS = "Python of others, and its start"
LIBRARIES = "C libraries and the kernel"
_PYTHON_FRAME = re.compile(r"\((?P<file>[^()]*\.py)(?::\d+)?\)\Z")
_FROZEN = re.compile(r"\(<frozen [^()]*>(?::\d+)?\)\Z")
_INTERPRETER = re.compile(r"\((?:[^()]*/)?(?:lib)?python[\d.]*(?:\.so[\d.]*)?\)\Z")


def measure(ground: Ground) -> list[Entry]:
    """Look on while we push and build, once each."""
    need_program("py-spy")
    commands: dict[str, Callable[[Target], Sequence[str]]] = {
        "gzip on the way": lambda to: ["push", f"oci:{ground.plain}", to.reference, "--compression", "gzip"],
        "compressed layers": lambda to: ["push", f"oci:{ground.packed}", to.reference],
        "build and push": lambda to: ["run", *trials.run_words(ground.context, to)],
    }
    found = [entry for name, words in commands.items() for entry in _shares(name, ground.kind, words)]
    return [*found, *_shares("nothing changed", ground.kind, commands["build and push"], again=True)]


def _shares(name: str, kind: str, words: Callable[[Target], Sequence[str]], *, again: bool = False) -> list[Entry]:
    with registries.KINDS[kind]() as target:
        if again:
            subprocess.run([*trials.OURS, *words(target)], check=True, capture_output=True, env=_env(target))
        counts = _sampled(words(target), target)
    whole = sum(counts.values()) or 1
    return [Entry(f"{name}: {who}", 100 * counts[who] / whole, "percent") for who in (LIBRARIES, THEIRS, OURS)]


def _env(target: Target) -> dict[str, str]:
    return {**os.environ, **target.env}


def _sampled(words: Sequence[str], target: Target) -> Counter[str]:
    with tempfile.TemporaryDirectory() as directory:
        stacks = Path(directory) / "stacks"
        said = ["py-spy", "record", "--native", "--rate", str(RATE), "--format", "raw", "--output", str(stacks), "--"]
        subprocess.run([*said, *trials.OURS, *words], check=True, capture_output=True, env=_env(target))
        counts: Counter[str] = Counter()
        for line in stacks.read_text(encoding="utf-8").splitlines():
            frames, _, count = line.rpartition(" ")
            counts[whose(frames.split(";"))] += int(count)
    return counts


def whose(frames: Sequence[str]) -> str:
    """Return in whose code a stack ends; the innermost frame is the last."""
    python = next((frame for frame in reversed(frames) if _PYTHON_FRAME.search(frame) or _FROZEN.search(frame)), "")
    innermost = frames[-1]
    if innermost != python and not _INTERPRETER.search(innermost):
        return LIBRARIES
    match = _PYTHON_FRAME.search(python)
    return OURS if match and re.match(r"(?:.*/)?buildpush/", match["file"]) else THEIRS
