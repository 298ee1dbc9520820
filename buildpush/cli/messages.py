"""Messages on stderr: errors with a hint, notes, interruptions."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from contextlib import suppress
from typing import Any, TextIO

import click

from buildpush.display.words import colours_wanted
from buildpush.foundation.errors import BuildPushError, CancelledError
from buildpush.foundation.text import with_margin

_UNEXPECTED = 1
_TERMINATED = 143


def show_error(error: BuildPushError) -> None:
    """Write an error for people: what happened, what to do, and where to read more."""
    print_message("error", str(error))
    if error.hint:
        print_message("hint", error.hint)
    if error.setting:
        print_message("read", f"buildpush explain {error.setting}")
    if error.advice:
        print_message("read", f"buildpush explain {error.advice}")


def drop(stream: TextIO) -> None:
    """Discard what *stream* still buffers, so that it does not fail a second time when Python ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def interrupt_code(interrupt: BaseException) -> int:
    """Return the exit code of a run that Ctrl-C or SIGTERM ended."""
    return _TERMINATED if interrupt.args == (signal.SIGTERM,) else CancelledError.exit_code


def print_message(kind: str, text: str) -> None:
    """Write a line to stderr with its kind in front, such as ``error: ...``."""
    colour = {"error": "red", "interrupted": "yellow"}.get(kind, "cyan")
    head = click.style(f"{kind}:", fg=colour, bold=True)
    print_line(f"{head} {with_margin(text)}")


def print_line(text: str) -> None:
    """Write to stderr; if that fails, the command continues silently."""
    try:
        click.echo(text, err=True, color=colours_wanted(os.environ))
    except OSError:
        drop(sys.stderr)


def show_failure(error: BaseException, arguments: list[str]) -> int:
    """Print on stderr why a command failed, and return its exit code; no secret is printed, even after a bug."""
    match error:
        case click.exceptions.NoArgsIsHelpError():
            print_line(error.format_message())
        case click.ClickException():
            _show_misuse(error, arguments)
        case BuildPushError():
            show_error(error)
        case KeyboardInterrupt() | click.Abort():
            interrupt = error.__cause__ or error  # click wraps it in its own Abort
            words = ["nothing was tagged after this point; what was confirmed is not sent again"]
            print_message("interrupted", "; ".join(getattr(interrupt, "__notes__", None) or words))
            return interrupt_code(interrupt)
        case OSError():
            _show_unusable(error)
        case _:
            print_line(with_margin(f"bug:\n{traceback.format_exc()}"))
            print_message("error", "this is a bug in buildpush; please report it with the lines above")
    return getattr(error, "exit_code", _UNEXPECTED)


def _show_misuse(error: click.ClickException, arguments: list[str]) -> None:
    """Print click's error in our own words, with a hint."""
    from buildpush.cli.misuse import sentence_and_hint  # few commands are typed wrongly

    for kind, words in zip(("error", "hint"), sentence_and_hint(error, arguments), strict=True):
        print_message(kind, words)


def _show_unusable(error: OSError) -> None:
    """Report a full disk or a closed stdout; paths that the user named have become BuildPushErrors."""
    if error.filename is None:
        drop(sys.stdout)
    # The reader of our stdout may have ended, as `head` does: then nothing reads it.
    if not isinstance(error, BrokenPipeError):
        print_message("error", f"{error.filename or 'the output'} cannot be used: {error.strerror or error}")


def error_json(error: BaseException) -> dict[str, Any]:
    """Return an error as plain JSON types."""
    more: dict[str, Any] = {}
    facts: tuple[str, str | None, str | None, int]
    match error:
        case BuildPushError():
            facts = str(error), error.hint, error.setting, error.exit_code
            more = {"pushed": list(error.pushed)} if error.pushed else {}
            more |= {"advice": error.advice} if error.advice else {}
        case KeyboardInterrupt():
            facts = "interrupted", None, None, interrupt_code(error)
        case _:
            facts = with_margin(f"{type(error).__name__}: {error}"), None, None, _UNEXPECTED
    return dict(zip(("message", "hint", "setting", "exit"), facts, strict=True)) | more
