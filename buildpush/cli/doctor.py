"""The command that says what would fail before it fails, and what the messages of a log mean."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from buildpush.cli.messages import print_message
from buildpush.cli.options import JSON, StepCommand, load
from buildpush.cli.report import new_document, show
from buildpush.foundation.errors import SettingsError, SourceError
from buildpush.foundation.text import one_line

_NOTHING_FOUND: Final = 1
_STDIN: Final = "-"
_STEP_FILES: Final = frozenset({".yml", ".yaml"})


def make_doctor() -> click.Command:
    """Return the command that explains a log, or checks what a run needs."""
    command = StepCommand("doctor", _doctor, [JSON])
    command.help = """Say what would fail before it fails, or what the messages in a log mean.

    Without an argument, check the engines and the free space on this machine.
    With a step file or pipeline (*.yml, *.yaml), also check its settings, and ask its hosts for the rights that its
    steps need, as before a build; nothing is built or pushed.
    With any other file, which is read as a log, or - for standard input, say what its messages mean and what to do;
    the exit code is then 1 if nothing was found.
    """
    command.params[0] = click.Argument(["file"], metavar="[FILE | LOG]", required=False)
    return command


def _doctor(**options: Any) -> int:
    file, as_json = options["file"], options.pop("as_json")
    if file is None or Path(file).suffix.lower() in _STEP_FILES:
        return _look(options, as_json=as_json)
    _refuse_others(options)
    return _explain(file, as_json=as_json)


def _look(options: dict[str, Any], *, as_json: bool) -> int:
    from buildpush.pipeline.diagnosis import diagnose

    is_about_steps = options["file"] is not None or _given(options)
    options["file"] = options["file"] and Path(options["file"])
    document = new_document(is_printed=as_json)
    loaded, context = load(options)
    codes = []
    document["checks"] = []
    for check in diagnose(loaded if is_about_steps else None, context):
        document["checks"].append(check.as_json())
        codes += [check.exit_code] if check.state == "failed" else []
        if not as_json:
            click.echo(str(check))
    return codes[0] if codes else 0


def _given(options: dict[str, Any]) -> list[str]:
    """Return the names of the options that were given."""
    return [name for name, value in options.items() if name != "file" and value is not None and value != ()]


def _refuse_others(options: dict[str, Any]) -> None:
    if given := _given(options):
        flag = "--" + given[0].removeprefix("setting_").replace("_", "-")
        message = f"{flag} has no effect on a log"
        raise SettingsError(message, hint="leave it out, or name a step file, which ends in .yml or .yaml")


def _explain(log: str, *, as_json: bool) -> int:
    from buildpush.advice.logs import findings
    from buildpush.pipeline.context import RunContext
    from buildpush.reference.troubleshooting import finding_json, finding_text

    context = RunContext.default()
    context.vault.remember()  # a log may hold a secret of this machine
    cwd = context.cwd
    name = "standard input" if log == _STDIN else one_line(log)
    with _opened(log, name) as file:
        matches = findings(file)
    if matches or as_json:
        document = {"log": name, "findings": [finding_json(one, cwd) for one in matches]}
        show(document, "\n\n".join(finding_text(name, one, cwd) for one in matches), as_json=as_json)
    if not matches:
        print_message("note", f"buildpush has no advice for any line of {name}")
    return 0 if matches else _NOTHING_FOUND


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
