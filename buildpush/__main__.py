"""``python -m buildpush``, and the program ``buildpush``: Ctrl-C while it still loads is no traceback."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def _fill_closed_streams() -> None:
    """Lead what was closed (``2>&-``) into nothing; else the next file that is opened would be taken for it."""
    streams = ((sys.stdin, "r"), (sys.stdout, "w"), (sys.stderr, "w"))
    opened = [open(os.devnull, mode) for stream, mode in streams if stream is None]  # noqa: PTH123, SIM115
    sys.stdin, sys.stdout, sys.stderr = (stream or opened.pop(0) for stream, _ in streams)


def main() -> NoReturn:
    """Load the command line and run it."""
    _fill_closed_streams()
    try:
        from buildpush.cli import run_command
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: nothing was done\n")
        sys.exit(130)
    sys.exit(run_command(sys.argv[1:]))


if __name__ == "__main__":
    main()
