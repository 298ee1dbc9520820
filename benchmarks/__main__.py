"""``python -m benchmarks [PART …]``: print figures; nothing is asserted."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
from compileall import compile_dir
from pathlib import Path

from benchmarks import builds, docs, index, serving, small, startup, steps
from benchmarks.pushing import before, registries, table
from benchmarks.pushing.figures import Figures

# A few minutes; the tables of the push and of the engines take half an hour each.
USUAL = ("start", "small", "docs", "steps")
HERE = Path(__file__).parents[1]
PARTS = (*USUAL, "build-info", "cluster", "push", "engines")


def main() -> None:
    # Registries and daemons that were started are ended in any case.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = _parser()
    wanted = parser.parse_args()
    parts = wanted.parts or USUAL
    if unknown := set(parts) - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    for checkout in filter(None, (HERE, wanted.before)):  # as installed; else each start would compile its modules
        compile_dir(checkout / "buildpush", quiet=2)
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} processors\n")
    if "start" in parts:
        startup.measure(wanted.rounds or 15, before=wanted.before, save=wanted.save)
    rounds, size = wanted.rounds or 5, wanted.size or 100
    for part, act in (
        ("small", lambda: small.measure(rounds, size)),
        ("docs", docs.measure),
        ("steps", lambda: steps.measure(rounds)),
    ):
        if part in parts:
            act()
    if "build-info" in parts:
        _build_info(rounds, size, wanted.save)
    if "cluster" in parts:
        _cluster(rounds, wanted.size or 1000, wanted.save)
    for part, rows in (("push", table.ROWS), ("engines", table.ENGINES)):
        if part in parts:
            usual = before.ROWS if wanted.before else rows
            chosen = [row for row in wanted.only or usual if row in rows]
            kinds = wanted.registry or list(registries.KINDS)
            wish = table.Wish(chosen, kinds, wanted.size or 1000, wanted.rounds or 3, wanted.save, wanted.before)
            table.measure(wish)


def _build_info(rounds: int, size: int, save: Path | None) -> None:
    """Print what build-info and uploads cost, how fast the sandbox serves, and how fast it finds."""
    kept = Figures()
    builds.measure(kept, rounds)
    serving.measure(kept, rounds, size)
    index.measure(kept, rounds)
    if save:
        save.write_text("\n".join(kept.lines(size, rounds)) + "\n", encoding="utf-8")


def _cluster(rounds: int, size: int, save: Path | None) -> None:
    """Print what builds in Jobs cost."""
    from benchmarks import clusters  # it needs what the tests of a cluster need

    kept = Figures()
    clusters.measure(kept, rounds, size)
    if save:
        save.write_text("\n".join(kept.lines(size, rounds)) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    words = f"{', '.join(PARTS)}; if none is named, {', '.join(USUAL)}"
    parser.add_argument("parts", nargs="*", metavar="PART", help=words)
    parser.add_argument(
        "--rounds", type=int, help="turns; 15 starts, 5 small pushes and checks, and 3 large pushes if not given"
    )
    parser.add_argument(
        "--size", type=int, metavar="MB", help="of the image; 100 for small, 1000 for push if not given"
    )
    parser.add_argument("--only", action="append", choices=[*table.ROWS, *table.ENGINES], help="row; may be repeated")
    parser.add_argument("--registry", action="append", choices=list(registries.KINDS), help="may be repeated")
    parser.add_argument(
        "--before", type=Path, metavar="CHECKOUT", help="compare push with an earlier checkout, not with other programs"
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the JSON lines, for the documentation")
    return parser


if __name__ == "__main__":
    main()
