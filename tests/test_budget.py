"""Text that others wrote costs time in proportion to its length: no pattern of ours tries every end of every part.

Regular expressions take no lines of Python that could be counted, so a budget of the processor's time is set, many
times what is needed; what took quadratic or exponential time took minutes to years.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest

from buildpush.display.words import Sentences
from buildpush.dockerfile import outline
from buildpush.dockerfile import parse as dockerfile
from buildpush.dockerfile.durations import read_duration
from buildpush.dockerfile.lexer import heredoc_starts, read_heredoc_start
from buildpush.dockerfile.request import BuildRequest
from buildpush.dockerfile.rules import _writes
from buildpush.engines.docker.buildkit import failure
from buildpush.foundation.errors import BuildPushError
from buildpush.foundation.events import Log
from buildpush.foundation.secrets import redact
from buildpush.images.references import Reference
from buildpush.registry import auth, referrers
from buildpush.settings.kinds import bytes_of, duration_of

# A tracer, as for coverage, makes each line of Python cost several times as much.
SECONDS = 8.0 if sys.gettrace() is None else 32.0
MANY = 400_000
HEADER = 65_000  # the longest line of headers that is read


@pytest.fixture(autouse=True)
def budget():
    """End a test that takes more of the processor than its budget."""

    def spent(*_: object) -> None:
        message = f"more than {SECONDS:g} s of the processor"
        raise AssertionError(message)

    before = signal.signal(signal.SIGVTALRM, spent)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def parse(text: str) -> object:
    return dockerfile.parse(text.encode()[: dockerfile.LARGEST])


def parse_outline(text: str) -> object:
    return outline.parse_outline(text.encode()[: dockerfile.LARGEST], "Dockerfile")


def log_of(text: str) -> object:
    return failure(text, BuildRequest(dockerfile.Path("/"), dockerfile.Path("/Dockerfile"), ()))


def linked(text: str) -> object:
    return referrers._NEXT.search(text)


def said(text: str) -> object:
    return Sentences().of(Log(text))


CASES: list[tuple[Callable[[str], object], str]] = [
    (parse, "# syntax=a" + " " * MANY + "x"),
    (parse, "#" + " " * MANY + "syntax"),
    (parse, "FROM a\n" + "#a\n" * (MANY // 4)),
    (parse, "FROM a\nRUN \\" + " " * (MANY - 20) + "x"),
    (parse, "FROM a\nRUN <<" + " " * (MANY - 20) + "<"),
    (parse, "FROM a\nHEALTHCHECK --interval=" + "1" * (MANY - 60) + " CMD x"),
    (parse, "FROM a\nENV a=" + "\\" * (MANY - 60) + '"'),
    (parse, "FROM a\nCOPY " + "--x" * (MANY // 4) + " a b"),
    (parse, "FROM a\nRUN --mount=" + "'" * (MANY // 8)),
    (parse, "FROM " + "a" * (MANY - 60) + " AS " + "a-" * 10),
    (parse, "FROM a\nCMD [" + "[" * (MANY - 60)),
    (parse_outline, "FROM a\n" + "x <<E\n" * (MANY // 24)),
    (parse_outline, "FROM a\n" + "x <<E\n" * (MANY // 24) + "\tE\n"),
    (parse_outline, "FROM a\n" + "x <<E\nE\n" * (MANY // 32)),
    (parse, "FROM a\nCOPY " + "--exclude=a " * (MANY // 12) + " a b"),
    (parse_outline, "FROM a\nCOPY " + "--x" * (MANY // 4) + " a b"),
    (parse_outline, "FROM a\nCOPY " + "--x=a " * (MANY // 6) + " a b"),
    (heredoc_starts, "<<a " + "\\" * 5000 + '"'),
    (heredoc_starts, '<<a "' + "\\" * 59),
    (read_heredoc_start, "<<" + " " * MANY + "<"),
    (read_duration, "1" * MANY),
    (read_duration, "1." * (MANY // 2)),
    (read_duration, "1h" * (MANY // 2) + "x"),
    (duration_of, "1" * MANY),
    (duration_of, "1 h " * (MANY // 4) + "x"),
    (bytes_of, "1" * MANY + "x"),
    (auth.read_challenge, "Bearer realm=" + "a" * HEADER),
    (auth.read_challenge, "Bearer a=," + "a" * HEADER),
    (auth.read_challenge, "Bearer a=" + '"' + "\\" * HEADER),
    (auth.read_challenge, "," + " " * HEADER),
    (linked, "<" * HEADER),
    (linked, "<a>;" * (HEADER // 4)),
    (linked, "<a>" + " " * HEADER),
    (lambda text: _writes(text, "/data"), "rm " * (MANY // 3)),
    (lambda text: _writes(text, "/data"), ">" * MANY),
    (log_of, "a" * MANY),
    (log_of, "-" * MANY + "x"),
    (log_of, "a:1" * (MANY // 3)),
    (log_of, "dial tcp 127." * (MANY // 13)),
    (redact, "a:" * (MANY // 2)),
    (redact, "://" * (MANY // 3)),
    (redact, "://a:b" * (MANY // 6)),
    (said, "\x1b[" * (MANY // 2)),
    (said, "\x1b[" + "0" * MANY),
    (Reference.parse, "a" * MANY),
    (Reference.parse, "a.b/" + "a-" * (MANY // 2)),
    (Reference.parse, "a-" * (MANY // 2) + "!/b"),
]


@pytest.mark.parametrize(("read", "text"), CASES, ids=lambda value: repr(value[:24]) if isinstance(value, str) else "")
def test_odd_text_takes_time_in_proportion_to_its_length(read, text):
    with suppress(BuildPushError, ValueError):  # what it is, is said elsewhere; that it is said soon, here
        read(text)
