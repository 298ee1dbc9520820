"""Questions to a person in a terminal: what follows a failure, and inputs that are given during a run."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Final, TextIO

from buildpush.foundation.interrupts import SLICE_SECONDS, is_main
from buildpush.foundation.text import one_line, with_margin

if TYPE_CHECKING:
    from buildpush.expressions.facts import AskInput
    from buildpush.pipeline.failures import AskPerson

_LONG: Final = 1e9  # seconds


def asker() -> AskPerson | None:
    """Return the function that asks; ``None`` without a terminal to read from and to write to, and on Windows."""
    if os.name == "nt" or not _has_person():  # where a terminal cannot be waited for with a time limit
        return None
    return lambda question, answers, limit: ask(question, answers, limit, sys.stdin, sys.stderr)


def _has_person() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def input_asker() -> AskInput | None:
    """Return the function that asks for the value of an input, of each once; ``None`` without a terminal."""
    return cache(partial(ask_input, answer_in=sys.stdin, out=sys.stderr)) if _has_person() else None


def ask_input(field: str, limits: str, *, answer_in: TextIO, out: TextIO) -> str | None:
    """Return what a person types for the input of *field*; ``None`` for an empty line, and at the end of the input.

    Args:
        field: its name.
        limits: which values are allowed, as the file writes it.
        answer_in: a file of the system, such as a terminal.
        out: where the question goes.
    """
    print(f"{one_line(field or 'input')} = <+input>{one_line(limits)}? ", end="", file=out, flush=True)
    if not is_main():  # where an interrupt does not end the reading
        _has_line(answer_in, _LONG)
    return answer_in.readline().strip() or None


def ask(question: str, answers: Sequence[str], limit: timedelta, answer_in: TextIO, out: TextIO) -> str | None:
    """Return which of *answers* a person types; ``None`` at the end of the input, or of the time.

    Args:
        question: shown once, with the answers.
        answers: words; after any other word, the question is asked again.
        limit: how long a person has.
        answer_in: a file of the system, such as a terminal.
        out: where the question goes.
    """
    end = time.monotonic() + limit.total_seconds()
    print(with_margin(question), file=out)
    while (left := end - time.monotonic()) > 0:
        print(f"{', '.join(answers)}? ", end="", file=out, flush=True)
        if not _has_line(answer_in, left):
            break
        line = answer_in.readline()
        if not line:
            break
        if line.strip().lower() in answers:
            return line.strip().lower()
    print(file=out)
    return None


def _has_line(answer_in: TextIO, seconds: float) -> bool:
    """Wait until something is typed, *seconds* at most; an interrupt of this thread ends it."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([answer_in], [], [], min(left, SLICE_SECONDS))[0]:
            return True
    return False
