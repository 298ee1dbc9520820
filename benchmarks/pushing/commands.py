"""Commands that are measured: seconds, processor seconds and memory of what they started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.pushing import measured

MEASURED = [sys.executable, "-I", "-S", measured.__file__]


@dataclass(frozen=True)
class Ran:
    """What one command, or several in a row, took."""

    seconds: float
    processor: float = 0.0  # seconds, of the client only
    kernel: float = 0.0  # seconds of these that the kernel worked for it
    peak: int = 0  # bytes of the largest process
    out: str = ""

    def __add__(self, other: Ran) -> Ran:
        return Ran(
            self.seconds + other.seconds,
            self.processor + other.processor,
            self.kernel + other.kernel,
            max(self.peak, other.peak),
            other.out,
        )


def run(argv: Sequence[str], env: Mapping[str, str]) -> Ran:
    """Run a command to its end.

    Raises:
        SystemExit: it failed; its words are shown, because a figure of a failure would mislead.
    """
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report"
        words = [*MEASURED, str(report), *argv]
        done = subprocess.run(words, env={**os.environ, **env}, capture_output=True, text=True, check=False)
        if done.returncode:
            message = f"{' '.join(argv)}\nended with {done.returncode}:\n{(done.stderr + done.stdout)[-3000:]}"
            raise SystemExit(message)
        return Ran(**json.loads(report.read_text(encoding="utf-8")), out=done.stdout)


def run_all(argvs: Sequence[Sequence[str]], env: Mapping[str, str]) -> Ran:
    """Run commands one after the other and add up what they took."""
    total = Ran(0.0)
    for argv in argvs:
        total += run(argv, env)
    return total
