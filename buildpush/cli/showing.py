"""What is shown of a command while it works: flags of every command that does more than print."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from buildpush.cli.files import opened
from buildpush.cli.messages import drop, error_json, print_message
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.events import Event, FromBranch, Log, Note, Sink
from buildpush.foundation.secrets import redact
from buildpush.foundation.text import one_line

if TYPE_CHECKING:
    import logging

    from buildpush.display import Display
    from buildpush.pipeline.context import RunContext

_KEY: Final = "buildpush.shown"


class ShownOption(click.Option):
    """A flag about what is shown: :func:`with_display` reads it, and no command."""

    def __init__(self, flags: list[str], **more: Any) -> None:
        super().__init__(flags, expose_value=False, callback=keep, **more)


def keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Keep the value of a flag for :func:`with_display`."""
    ctx.meta.setdefault(_KEY, {})[str(parameter.name).removeprefix("setting_")] = value
    return value


def shown_options(*, has_quiet: bool = False) -> list[click.Parameter]:
    """Return the flags; *has_quiet* says that the command has ``--quiet`` already, as a setting."""
    quiet = ShownOption(["-q", "--quiet"], is_flag=True, help="Print only notes, errors and the result.")
    return [
        *([] if has_quiet else [quiet]),
        ShownOption(["-v", "--verbose"], is_flag=True, help="Print every request and its answer as well."),
        ShownOption(["--events"], metavar="FILE", help="Write each event there as well, as a line of JSON."),
    ]


@contextmanager
def with_display(context: RunContext) -> Iterator[RunContext]:
    """Give *context* a display on stderr, and what ``--events`` names, for as long as the block lasts."""
    from buildpush.display import SafeDisplay

    ctx = click.get_current_context(silent=True)
    shown: Mapping[str, Any] = ctx.meta.get(_KEY, {}) if ctx else {}
    with ExitStack() as stack:
        sinks: list[Sink] = []
        if shown.get("events"):
            sinks.append(stack.enter_context(_lines(shown["events"])))
        chosen = SafeDisplay(_display(context.env, is_quiet=bool(shown.get("quiet"))), partial(drop, sys.stderr))
        stack.callback(chosen.close)
        sinks.append(chosen)

        def show(event: Event) -> None:
            for sink in sinks:
                sink(event)

        if shown.get("verbose"):
            stack.enter_context(_requests(show))
        yield context.with_sink(show)


def _display(env: Mapping[str, str], *, is_quiet: bool) -> Display:
    from buildpush import display

    return NotesOnly() if is_quiet else display.choose(sys.stderr, env)


class NotesOnly:
    """A display that shows notes as the command line shows its own."""

    def __call__(self, event: Event) -> None:
        """Print the note, if *event* is one."""
        branch = ""
        if isinstance(event, FromBranch):
            branch, event = f"[{event.branch}] ", event.event
        if isinstance(event, Note):
            print_message("note", f"{branch}{event.text}")

    def close(self) -> None:
        """Do nothing: nothing is open."""


@contextmanager
def _lines(name: str) -> Iterator[Sink]:
    """Give what writes events to the file of that name; its last line says how the block ended."""
    from buildpush.display import SafeDisplay
    from buildpush.display.lines import EventLines

    if name == "-":
        message = "--events - would mix with the result on stdout"
        raise SettingsError(message, hint="name a file; /dev/stderr and /dev/fd/3 are some")
    lines = EventLines(opened(Path(name)), partial(datetime.now, UTC))
    ends = partial(print_message, "note", f"{name} cannot be written any more, so it does not have all events")
    written, error = SafeDisplay(lines, ends), None
    try:
        yield written
    except BaseException as raised:
        error = error_json(raised)
        raise
    finally:
        with suppress(OSError):  # it was said when it began
            lines.write("end", error=error)
        written.close()


@contextmanager
def _requests(show: Sink) -> Iterator[None]:
    """Show each request and its answer as a line, which the library that sends them logs."""
    import logging

    handler, log = logging.Handler(), logging.getLogger("urllib3.connectionpool")
    handler.emit = lambda record: show(Log(_request_words(record)))  # type: ignore[method-assign]
    before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before[0])
        log.propagate = before[1]


def _request_words(record: logging.LogRecord) -> str:
    """Return method, address and status of a request; what the library says otherwise is kept."""
    from buildpush.http.urls import url_without_secrets

    match record.args:
        case (scheme, host, port, method, path, _, status, *_):
            return f"{method} {url_without_secrets(f'{scheme}://{host}:{port}{path}')}: {status}"
        case _:
            return one_line(redact(record.getMessage()))
