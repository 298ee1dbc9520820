"""A person in a terminal is asked what follows a failure."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, TextIO

from buildpush.foundation.text import with_margin

if TYPE_CHECKING:
    from buildpush.pipeline.failures import AskPerson


def asker() -> AskPerson | None:
    """Return the function that asks; ``None`` without a terminal to read from and to write to, and on Windows."""
    if os.name == "nt":  # where a terminal cannot be waited for with a time limit
        return None
    if sys.stdin is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    return lambda question, answers, limit: ask(question, answers, limit, sys.stdin, sys.stderr)


def ask(question: str, answers: Sequence[str], limit: timedelta, answer_in: TextIO, out: TextIO) -> str | None:
    """Return which of *answers* a person types; ``None`` at the end of the input, or of the time.

    Args:
        question: shown once, with the answers.
        answers: words; what else is typed is asked for again.
        limit: how long a person has.
        answer_in: a file of the system, such as a terminal.
        out: where the question goes.
    """
    end = time.monotonic() + limit.total_seconds()
    print(with_margin(question), file=out)
    while (left := end - time.monotonic()) > 0:
        print(f"{', '.join(answers)}? ", end="", file=out, flush=True)
        if not select.select([answer_in], [], [], left)[0]:
            break
        line = answer_in.readline()
        if not line:
            break
        if line.strip().lower() in answers:
            return line.strip().lower()
    print(file=out)
    return None
