"""``python -m benchmarks [start] [push] [docs]``: print figures; nothing is asserted."""

from __future__ import annotations

import argparse
import os
import platform

from benchmarks import docs, push, startup


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="start, push or docs; all if none is named")
    parser.add_argument("--rounds", type=int, default=15, help="of the starts; a third as many pushes")
    parser.add_argument("--megabytes", type=int, default=100, help="to build and push")
    wanted = parser.parse_args()
    parts = wanted.parts or ["start", "push", "docs"]
    if unknown := set(parts) - {"start", "push", "docs"}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} processors\n")
    if "start" in parts:
        startup.measure(wanted.rounds)
    if "push" in parts:
        push.measure(max(1, wanted.rounds // 3), wanted.megabytes)
    if "docs" in parts:
        docs.measure()


if __name__ == "__main__":
    main()
