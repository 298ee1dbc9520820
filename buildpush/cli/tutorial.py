"""The command that executes a tutorial: on a sandbox of its own, which ``--keep`` leaves running to look at."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from buildpush.cli import COMMANDS
from buildpush.cli.messages import print_line
from buildpush.cli.options import pair
from buildpush.cli.showing import with_display
from buildpush.display.words import colours_wanted, seconds_words
from buildpush.foundation.errors import SettingsError

if TYPE_CHECKING:
    from buildpush.notebooks import Executed
    from buildpush.sandbox import Sandbox

_OWN: Final = "connectors"  # the parameter of a tutorial that can use another Artifactory than its own sandbox
_WINDOWS: Final = ("DISPLAY", "WAYLAND_DISPLAY")


def make_tutorial() -> click.Command:
    """Return the command that executes a tutorial or another notebook."""
    options: list[click.Parameter] = [
        click.Argument(["tutorial"], metavar="[NAME]", default="01-first-push"),
        click.Option(
            ["-p", "--parameter"],
            multiple=True,
            metavar="SETTING=VALUE",
            help="A parameter of the notebook; may be repeated.",
        ),
        click.Option(["--output"], type=click.Path(path_type=Path), help="Where to write the executed notebook."),
        click.Option(["--keep"], is_flag=True, help="Open the pages of its sandbox at the end; Enter ends it."),
        click.Option(["--list", "listed"], is_flag=True, help="List the tutorials."),
    ]
    from buildpush import notebooks

    names = "\n".join(notebooks.names())
    text = f"{COMMANDS['tutorial'][0]}\n\nNAME is one of these, or its beginning:\n\n\b\n{names}"
    return click.Command("tutorial", callback=_tutorial, params=options, help=text)


def _tutorial(tutorial: str, parameter: tuple[str, ...], output: Path | None, *, keep: bool, listed: bool) -> None:
    from buildpush import notebooks
    from buildpush.notebooks.practice import practice

    if listed and (parameter or output or keep):
        message = "--list runs no notebook, so --parameter, --output and --keep have no effect"
        raise SettingsError(message, hint="leave out --list to run one")
    if listed:
        click.echo("\n".join(notebooks.names()))
        return
    parameters = dict(pair(text, "--parameter") for text in parameter)
    with ExitStack() as stack:
        box = None
        if keep:
            _check_keep(notebooks.find(tutorial), parameters)
            place = stack.enter_context(practice())
            box = place.sandbox
            parameters |= {_OWN: str(place.directory / place["connectors"]), "repository": place.repository}
        began = time.monotonic()
        executed, env = _execute(tutorial, parameters, output)
        _tell(tutorial, executed, time.monotonic() - began, env, parameters)
        if box:
            _show_pages(box, env)


def _execute(tutorial: str, parameters: Mapping[str, str], output: Path | None) -> tuple[Executed, Mapping[str, str]]:
    from buildpush import notebooks
    from buildpush.pipeline.context import RunContext

    try:
        with with_display(RunContext.default()) as context:
            context.state.sweep(context.log)
            done = notebooks.execute(tutorial, parameters, output, env=context.env, sink=context.log)
    except KeyboardInterrupt as interrupt:
        interrupt.add_note("the notebook was stopped with everything it started; nothing was written")
        raise
    return done, context.env


def _tell(
    tutorial: str, executed: Executed, seconds: float, env: Mapping[str, str], parameters: Mapping[str, str]
) -> None:
    """Say what has happened, and where to look and to go on."""
    from buildpush import notebooks

    notebook, names = notebooks.find(tutorial), notebooks.names()
    is_ours = notebook.stem in names
    print_line("")
    head = click.style(f"{notebook.stem} ran to its end in {seconds_words(seconds)}", bold=True, fg="green")
    click.echo(head, color=colours_wanted(env))
    click.echo(f"page      {executed.page}")
    click.echo(f"notebook  {executed.path}")
    if is_ours and _takes_connectors(notebook) and _OWN not in parameters:
        click.echo(f"look      buildpush tutorial {notebook.stem} --keep    opens the pages of its Artifactory")
    if is_ours and notebook.stem != names[-1]:
        click.echo(f"next      buildpush tutorial {names[names.index(notebook.stem) + 1]}")


def _takes_connectors(notebook: Path) -> bool:
    from buildpush import notebooks

    return any(one.name == _OWN for one in notebooks.parameters_of(notebook))


def _check_keep(notebook: Path, parameters: Mapping[str, str]) -> None:
    """Refuse ``--keep`` where there is nothing to keep, or nobody to end it."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        message = "--keep waits for Enter, and this is no terminal"
        raise SettingsError(message, hint="start buildpush sandbox, which runs until it is stopped")
    if parameters.get(_OWN) or not _takes_connectors(notebook):
        why = "another Artifactory is given" if parameters.get(_OWN) else "its sandboxes end with it"
        message = f"--keep has no effect on {notebook.stem}: {why}"
        raise SettingsError(message, hint="leave it out")


def _show_pages(box: Sandbox, env: Mapping[str, str]) -> None:
    """Open the pages of a sandbox, and wait for Enter."""
    pages = f"{box.url}/ui/"
    click.echo(f"pages     {pages}")
    if any(map(env.get, _WINDOWS)) or sys.platform in {"darwin", "win32"}:  # else, a browser would take the terminal
        import webbrowser

        webbrowser.open(pages)
    print_line("press Enter to end the sandbox")
    sys.stdin.readline()
