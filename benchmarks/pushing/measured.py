"""``measured.py REPORT COMMAND…``: run a command, and write into REPORT what it took, as JSON.

A process of its own, and a small one: what a new process is told to have used at most begins with what its parent
used (Linux, ``ru_maxrss`` after ``exec``).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

KIBI = 1024


def main() -> None:
    report, *argv = sys.argv[1:]
    begun = time.perf_counter()
    process = os.posix_spawnp(argv[0], argv, os.environ)
    _, status, used = os.wait4(process, 0)
    seconds = time.perf_counter() - begun
    processor = {"processor": used.ru_utime + used.ru_stime, "kernel": used.ru_stime}
    facts = {"seconds": seconds, **processor, "peak": used.ru_maxrss * KIBI}
    Path(report).write_text(json.dumps(facts), encoding="utf-8")
    sys.exit(os.waitstatus_to_exitcode(status) % 256)


if __name__ == "__main__":
    main()
