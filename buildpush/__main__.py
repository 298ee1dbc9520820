"""``python -m buildpush``, and the program ``buildpush``: Ctrl-C while it still loads gives no traceback."""

from __future__ import annotations

import gc
import os
import sys
from typing import Final, NoReturn

# Most objects of a run live until its end, one for every file of a context among them: a search for garbage after every
# 700 new objects, as Python does it, took a third of the time when nothing had changed.
_SELDOM: Final = (100_000, 50, 50)


def _fill_closed_streams() -> None:
    """Open ``/dev/null`` for streams that were closed (``2>&-``); else the next open file would get their number."""
    streams = ((sys.stdin, "r"), (sys.stdout, "w"), (sys.stderr, "w"))
    opened = [open(os.devnull, mode) for stream, mode in streams if stream is None]  # noqa: PTH123, SIM115
    sys.stdin, sys.stdout, sys.stderr = (stream or opened.pop(0) for stream, _ in streams)


def main() -> NoReturn:
    """Load the command line and run it."""
    _fill_closed_streams()
    if sys.argv[1:2] == ["__complete"]:
        from buildpush.completion import answer

        sys.stdout.write(answer(sys.argv[2:]))
        sys.exit()
    gc.set_threshold(*_SELDOM)
    try:
        from buildpush.cli import run_command
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: nothing was done\n")
        sys.exit(130)
    code = run_command(sys.argv[1:])
    gc.freeze()  # no search for garbage at the end either: the system frees all memory at exit
    sys.exit(code)


if __name__ == "__main__":
    main()
