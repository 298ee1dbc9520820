"""Messages on stderr: errors with a hint, notes, interruptions."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
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
    """Report a full disk; paths that the user named have become BuildPushErrors."""
    if error.filename is None:
        drop(sys.stdout)
    print_message("error", _unusable(error))


def _unusable(error: OSError) -> str:
    return f"{error.filename or 'the output'} cannot be used: {error.strerror or error}"


def error_json(error: BaseException, arguments: Sequence[str] = ()) -> dict[str, Any]:
    """Return an error of a command line with *arguments* as plain JSON types."""
    match error:
        case BuildPushError():
            about = type(error).__name__, str(error), error.hint, error.setting, error.exit_code
            more = {"pushed": list(error.pushed)} if error.pushed else {}
            return _error(*about) | more | ({"advice": error.advice} if error.advice else {})
        case click.ClickException():
            from buildpush.cli.misuse import sentence_and_hint

            return _error("SettingsError", *sentence_and_hint(error, [*arguments]), None, error.exit_code)
        case KeyboardInterrupt() | click.Abort():
            code = interrupt_code(error.__cause__ or error)
            return _error("CancelledError", "interrupted", None, None, code)
        case OSError():
            return _error("BuildPushError", _unusable(error), None, None, _UNEXPECTED)
        case _:
            text = with_margin(f"{type(error).__name__}: {error}")
            return _error("BuildPushError", text, None, None, _UNEXPECTED)


def _error(family: str, message: str, hint: str | None, setting: str | None, code: int) -> dict[str, Any]:
    return {"family": family, "message": message, "hint": hint, "setting": setting, "exit": code}
