"""The table of the push: its rows, and what is asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.pushing import again, against, before, breaks, engines, floor, growth, profile, registries
from benchmarks.pushing.figures import Entry, Figures
from benchmarks.pushing.ground import Ground, Missing, need

Measure = Callable[[Ground], list[Entry]]

ROWS: dict[str, tuple[str, Measure]] = {
    "ceiling": ("what the registry takes at most", growth.ceilings),
    "floor": ("what libraries, kernel and registry need alone", floor.measure),
    "profile": ("in whose code the processor's time goes", profile.measure),
    "daemon": ("image of a Docker daemon, overlay2 store", against.of_a_daemon),
    "plain": ("OCI layout of uncompressed layers, gzip on the way", against.of_a_plain_layout),
    "packed": ("OCI layout of compressed layers", against.of_a_packed_layout),
    "tls": ("OCI layout of compressed layers, over TLS", against.over_tls),
    "build": ("build and push of a context that is only copied", against.of_a_build),
    "unchanged": ("nothing changed", again.unchanged),
    "changed": ("one small layer of 20 changed", again.one_of_twenty),
    "memory": ("peak memory", growth.memory),
    "size": ("growth with size", growth.by_size),
    "layers": ("growth with the number of layers", growth.by_layers),
    "line": ("a line that resets", breaks.bad_line),
    "killed": ("kill -9 in the middle, and the same command again", breaks.killed),
}
ENGINES: dict[str, tuple[str, Measure]] = {
    "engines": ("build and push of a context that is only copied", engines.copied),
    "engines-small": ("build and push of two thousand small files", engines.small_files),
    "engines-stages": ("build and push of ten stages", engines.staged),
    "engines-again": ("the same once more, nothing changed", engines.again),
}


@dataclass(frozen=True)
class Wish:
    """What is measured: rows and registries by name, megabytes, rounds, and where the lines of JSON are kept."""

    rows: Sequence[str]
    kinds: Sequence[str]
    megabytes: int = 1000
    rounds: int = 3
    save: Path | None = None
    before: Path | None = None  # an earlier checkout to compare with


def measure(wish: Wish) -> None:
    """Print every row as it comes, and one line of JSON per figure at the end."""
    print(
        f"{wish.megabytes} MB of this machine's files into registries on loopback, in turns, medians of {wish.rounds}"
    )
    figures = Figures()
    with ExitStack() as stack:
        ground = Ground(wish.megabytes, wish.rounds, _cache(), stack, before=wish.before)
        for name in wish.rows:
            for kind in wish.kinds:
                _row(ground, name, kind, figures)
    lines = figures.lines(wish.megabytes, wish.rounds)
    print("\n" + "\n".join(lines))
    if wish.save:
        kept = _kept(wish, lines[0]) if wish.save.exists() else []
        wish.save.write_text("\n".join([*lines, *kept]) + "\n", encoding="utf-8")


def _kept(wish: Wish, now: str) -> list[str]:
    """Return the lines of other rows that were measured under the same circumstances as *now*'s."""
    before, *lines = wish.save.read_text(encoding="utf-8").splitlines() if wish.save else [now]
    if not _alike(json.loads(before), json.loads(now)):
        return []
    return [line for line in lines if json.loads(line)["row"] not in wish.rows]


def _alike(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Return whether two runs were on one machine with the same programs, as far as both name them."""
    named = before["machine"].keys() & now["machine"].keys() - {"date"}
    same = all(before["machine"][name] == now["machine"][name] for name in named)
    return same and all(before[name] == now[name] for name in ("megabytes", "rounds"))


def _row(ground: Ground, name: str, kind: str, figures: Figures) -> None:
    title, act = (ROWS | ENGINES)[name]
    if ground.before:
        act = _beside(name, ground.before)
    print(f"\n{title}, to {kind}")
    ground.kind = kind
    try:
        need(registries.missing(kind))
        figures.add(name, kind, act(ground))
    except Missing as missing:
        print(f"  not measured: there is no {missing}")


def _beside(name: str, earlier: Path) -> Measure:
    return lambda ground: before.measure(ground, name, earlier)


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    directory = Path(home) / "buildpush-benchmarks"
    directory.mkdir(parents=True, exist_ok=True)
    return directory
