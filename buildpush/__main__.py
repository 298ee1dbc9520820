"""``python -m buildpush``, and the program ``buildpush``.

Ctrl-C while it still loads gives no traceback; a reader that ends early, such as ``head``, fails nothing.
"""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
from typing import TYPE_CHECKING, Final, NoReturn, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# Most objects of a run live until its end, one for every file of a context among them: a search for garbage after every
# 700 new objects, as Python does it, took a third of the time when nothing had changed.
SELDOM: Final = (100_000, 50, 50)
# The document of ``--json`` if even ``json`` is not loaded yet.
_INTERRUPTED: Final = (
    '{"error": {"family": "CancelledError", "message": "interrupted", "hint": null, "setting": null, "exit": 130}}\n'
)


class _StandardOutput(io.FileIO):
    """Standard output; from where its reader has ended, what is written is discarded."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write *data*, and return how many bytes were taken."""
        try:
            return super().write(data)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return super().write(data)


def _fill_closed_streams() -> None:
    """Open ``/dev/null`` for streams that were closed (``2>&-``); else the next open file would get their number."""
    streams = ((sys.stdin, "r"), (sys.stdout, "w"), (sys.stderr, "w"))
    opened = [open(os.devnull, mode) for stream, mode in streams if stream is None]  # noqa: PTH123, SIM115
    sys.stdin, sys.stdout, sys.stderr = (stream or opened.pop(0) for stream, _ in streams)


def _output(stream: TextIO) -> TextIO:
    """Return *stream*, standard output, without errors about its reader."""
    raw = _StandardOutput(stream.fileno(), "w", closefd=False)
    buffered = io.BufferedWriter(raw)
    return io.TextIOWrapper(buffered, stream.encoding, stream.errors, line_buffering=stream.isatty())


def _end(code: int) -> NoReturn:
    for one in (signal.SIGINT, signal.SIGTERM):  # nothing is left to interrupt
        signal.signal(one, signal.SIG_IGN)
    # Python takes note of an interrupt in an exec, as where a dataclass is made, and ends `python -m` by SIGINT in
    # place of the code; the next exec makes it forget that.
    exec("")  # noqa: S102
    sys.exit(code)


def main() -> NoReturn:
    """Load the command line and run it."""
    _fill_closed_streams()
    sys.stdout = _output(sys.stdout)
    if sys.argv[1:2] == ["__complete"]:
        from buildpush.completion import answer

        sys.stdout.write(answer(sys.argv[2:]))
        sys.exit()
    gc.set_threshold(*SELDOM)
    try:
        from buildpush.cli import run_command
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: nothing was done\n")
        sys.stdout.write(_INTERRUPTED if "--json" in sys.argv else "")
        _end(130)
    code = run_command(sys.argv[1:])
    gc.freeze()  # no search for garbage at the end either: the system frees all memory at exit
    _end(code)


if __name__ == "__main__":
    main()
