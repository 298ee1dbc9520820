"""Measure several commands in turns, so that a busy moment of the machine hits them all."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Act = Callable[[int], float]


@dataclass(frozen=True)
class Figure:
    """Seconds of one thing, round by round."""

    name: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half of the distance between the quartiles, in seconds; 0 for a single round."""
        if len(self.seconds) < 2:  # noqa: PLR2004
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return (high - low) / 2

    def over(self, other: Figure) -> float:
        """Return the median of what it took longer than *other* in the same round."""
        return statistics.median(a - b for a, b in zip(self.seconds, other.seconds, strict=True))

    def ratio(self, other: Figure) -> float:
        """Return the median of the ratio to *other* in the same round."""
        return statistics.median(a / b for a, b in zip(self.seconds, other.seconds, strict=True))


def in_turns(acts: Mapping[str, Act], rounds: int) -> dict[str, Figure]:
    """Return a figure for each of *acts*; each gets the round's number and returns seconds."""
    names = list(acts)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        # Another one goes first in each round: being first or last is an advantage on some machines.
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            seconds[name].append(acts[name](number))
    return {name: Figure(name, tuple(values)) for name, values in seconds.items()}


def timed(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None) -> float:
    """Run a command and return its seconds.

    Raises:
        SystemExit: it failed; its words are shown, because a figure of a failure would mislead.
    """
    begun = time.perf_counter()
    done = subprocess.run(argv, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, check=False)
    seconds = time.perf_counter() - begun
    if done.returncode:
        words = (done.stderr or done.stdout).decode(errors="replace")[-2000:]
        message = f"{' '.join(argv)}\nended with {done.returncode}:\n{words}"
        raise SystemExit(message)
    return seconds


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:7.0f} ms"
