"""The command that reads a log and says what its messages mean."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import click

from buildpush.cli import report
from buildpush.cli.messages import say
from buildpush.cli.options import JSON
from buildpush.foundation.errors import SourceError
from buildpush.foundation.text import one_line

_NOTHING_FOUND: Final = 1
_STDIN: Final = "-"


def make_doctor() -> click.Command:
    """Return the command that explains a log."""
    text = """Say what the messages in LOG mean, and what to do: one of any builder, plugin, registry or pipeline.

    LOG is a file, or - for standard input.
    The exit code is 0 where something was found, and 1 where nothing was.
    """
    return click.Command("doctor", callback=_doctor, params=[click.Argument(["log"]), JSON], help=text)


def _doctor(log: str, *, as_json: bool) -> int:
    from buildpush.advice.logs import findings
    from buildpush.pipeline.context import RunContext
    from buildpush.reference.troubleshooting import finding_json, finding_text

    RunContext.default().vault.remember()  # a log may hold a secret that this machine knows
    name = "standard input" if log == _STDIN else one_line(log)
    with _opened(log, name) as file:
        found = findings(file)
    if as_json:
        click.echo(report.as_json({"log": name, "findings": [finding_json(one) for one in found]}))
    elif found:
        click.echo("\n\n".join(finding_text(name, one) for one in found))
    if not found:
        say("note", f"no message that buildpush knows is in {name}")
    return 0 if found else _NOTHING_FOUND


@contextmanager
def _opened(log: str, name: str) -> Iterator[BinaryIO]:
    if log == _STDIN:
        yield sys.stdin.buffer
        return
    try:
        with Path(log).open("rb") as file:
            yield file
    except (OSError, ValueError) as error:
        message = f"the log {name} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise SourceError(message, hint="name the file of a log, or - for standard input") from error
