"""What a step more costs: ``check`` of a file with one step, and with a hundred.

Figures are seconds of the processor, the smallest ones, as in :mod:`benchmarks.startup`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import buildpush
from benchmarks.pushing.commands import run
from benchmarks.turns import in_turns

STEPS = 100
# A hundred steps take at most twice as long as one, and this much for each.
EACH = 0.005

_HEAD = """\
pipeline:
  identifier: many
  name: many
  stages:
    - stage:
        identifier: build
        name: build
        type: CI
        spec:
          execution:
            steps:
"""
_STEP = """\
              - step:
                  type: BuildAndPushDockerRegistry
                  identifier: push{number}
                  name: push{number}
                  spec:
                    repo: registry.example/team/app{number}
                    tags: ["1"]
"""


def measure(rounds: int) -> None:
    """Print what ``check`` takes of each file, in Python and as a command, beside the aim."""
    print(f"check of 1 and of {STEPS} steps, in turns, smallest of {rounds} rounds")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n", encoding="utf-8")
        files = {count: _file(directory, count) for count in (1, STEPS)}
        for way, check in (("buildpush.check_pipeline(FILE)", _call), ("buildpush check FILE", _command)):
            acts = {str(count): lambda _, file=file, check=check: check(file) for count, file in files.items()}
            in_turns(acts, 1)  # fills the caches
            figures = in_turns(acts, rounds)
            one, many = (min(figures[str(count)].seconds) for count in files)
            most = 2 * one + STEPS * EACH
            kept = "kept" if many <= most else "NOT kept"
            print(f"  {way:34}{one * 1000:6.0f} ms {many * 1000:6.0f} ms  aim {most * 1000:.0f} ms, {kept}")


def _file(directory: Path, count: int) -> Path:
    path = directory / f"{count}.yml"
    path.write_text(_HEAD + "".join(_STEP.format(number=number) for number in range(count)), encoding="utf-8")
    return path


def _call(file: Path) -> float:
    begun = time.process_time()
    buildpush.check_pipeline(file, cwd=file.parent)
    return time.process_time() - begun


def _command(file: Path) -> float:
    paths = ["--context", str(file.parent), "--dockerfile", str(file.parent / "Dockerfile")]
    return run([sys.executable, "-P", "-m", "buildpush", "check", str(file), *paths], {}).processor
