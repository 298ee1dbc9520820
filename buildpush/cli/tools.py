"""The commands around a run: sandbox, tutorial, schema, clean."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from buildpush.cli import COMMANDS
from buildpush.cli.messages import print_line, print_message
from buildpush.cli.options import choice_options, companions_of
from buildpush.display.words import bytes_words
from buildpush.foundation.text import one_line

if TYPE_CHECKING:
    from buildpush.sandbox import Line, Request, Sandbox


def make_sandbox() -> click.Command:
    """Return the command that runs the sandbox until it is interrupted."""
    from buildpush.sandbox import NAMED, UPLOADS

    options: list[click.Parameter] = [
        click.Option(["--port"], type=click.IntRange(0, 65535), default=8181, show_default=True, help="0: any free."),
        click.Option(
            ["--data"],
            type=click.Path(path_type=Path),
            help="Directory to keep everything in; without it nothing is kept.",
        ),
        click.Option(
            ["--uploads"],
            default=UPLOADS[0],
            show_default=True,
            metavar="HABIT",
            help=f"How uploads behave, as at: {', '.join(UPLOADS)}.",
        ),
        click.Option(
            ["--immutable"], multiple=True, metavar="KEY", help="Repository with immutable tags; may be repeated."
        ),
        click.Option(
            ["--remote", "remotes"],
            multiple=True,
            metavar="KEY=URL",
            help="Remote repository for the images of a registry or an Artifactory; may be repeated.",
        ),
        click.Option(
            ["--fault", "faults"],
            multiple=True,
            metavar="FAULT",
            help="Misbehave, as in 'PATCH /blobs/uploads/ status=503 times=3 retry-after=2', "
            f"or by name: {', '.join(NAMED)}; may be repeated.",
        ),
        click.Option(["--referrers/--no-referrers"], default=True, help="Answer the referrers API, or answer 404."),
        click.Option(["--tls"], is_flag=True, help="Speak TLS, by the certificate of a private authority."),
        click.Option(["--line"], metavar="LINE", help="Also listen behind a faulty line, as in reset-after=50MB."),
        click.Option(["-q", "--quiet"], is_flag=True, help="Do not print a line for each request."),
    ]
    return click.Command("sandbox", callback=_sandbox, params=options)


def _sandbox(
    port: int,
    data: Path | None,
    *,
    faults: tuple[str, ...],
    remotes: tuple[str, ...],
    line: str | None,
    quiet: bool,
    **rules: Any,
) -> None:
    from buildpush.foundation.state import State
    from buildpush.sandbox import read_faults, read_line, serve

    planned = [fault for text in faults for fault in read_faults(text)]
    settings = None if line is None else read_line(line)

    def announce(box: Sandbox) -> None:
        for fault in planned:
            box.add_fault(fault)
        _welcome(box, None if settings is None else box.add_line(**settings))

    rules["remotes"] = {key: url for key, _, url in (text.partition("=") for text in remotes)}
    State.default().sweep()
    # Ctrl-C is how a server is meant to end.
    with suppress(KeyboardInterrupt):
        serve(port, data, announce=announce, show=None if quiet else _show_request, **rules)


def _welcome(box: Sandbox, line: Line | None) -> None:
    """Print the address and the credentials of the sandbox; nothing else shows them."""
    rows = [
        ("registry", f"{box.host}/{box.repository}"),
        *([("by the line", f"{line.host}/{box.repository}")] if line else []),
        ("Artifactory", box.artifactory_url),
        ("pages", f"{box.url}/ui/"),
        *([("authority", str(box.authority))] if box.authority else []),
        ("user", box.username),
        ("password", box.password.reveal()),
        ("token", box.token.reveal()),
    ]
    click.echo("\n".join(f"{name:<12} {value}" for name, value in rows))
    print_line("press Ctrl-C to stop it")
    sys.stdout.flush()


def _show_request(request: Request) -> None:
    """Print one line: time, method, status, milliseconds, bytes of body or answer, path and query without secrets."""
    status = str(request.status or "---")
    colour = {"2": "green", "3": "cyan", "4": "yellow"}.get(status[0], "red")
    size = bytes_words(max(request.received, request.sent))
    address = one_line(str(request).removeprefix(f"{request.method} ").rpartition(" ")[0])
    head = f"{datetime.now().astimezone():%H:%M:%S}  {request.method:<6} {click.style(status, fg=colour)}"
    print_line(f"{head} {request.seconds * 1000:6.0f} ms {size:>9}  {address}")


def make_notebook() -> click.Command:
    """Return the command that writes a notebook."""
    file = click.Argument(["file"], type=click.Path(path_type=Path))
    words = "The notebook to write; default: beside FILE, with its name."
    output = click.Option(["--output"], type=click.Path(path_type=Path), help=words)
    text = f"{COMMANDS['notebook'][0]}\n\nExecute it with papermill or `buildpush tutorial`; the copy is the record."
    return click.Command("notebook", callback=_notebook, params=[file, *choice_options(), output], help=text)


def _notebook(file: Path, output: Path | None, **options: Any) -> None:
    from buildpush.notebooks.runbook import Runbook, write_runbook
    from buildpush.pipeline.context import RunContext
    from buildpush.pipeline.sections import sections_of
    from buildpush.settings.inputs import inputs_of
    from buildpush.settings.sources import read

    chosen = {name: options[name] for name in ("stage", "step")}
    files = {"templates": options["templates"] or "", "inputs": options["inputs"]}
    companions, context = companions_of(options), RunContext.default()
    loaded = read(file, env=context.env, flags={}, keywords={}, cwd=context.cwd, companions=companions, **chosen)
    sections = {section.name: [step.about for step in section.steps] for section in sections_of(loaded.tree)}
    choice = {name: value for name, value in chosen.items() if value is not None}
    target = output or file.with_suffix(".ipynb")
    write_runbook(Runbook(file, sections, inputs_of(loaded), **files, choice=choice), target)
    click.echo(f"notebook  {target}")
    for other in loaded.others:
        print_line(f"not run: {one_line(other)}")


def make_schema() -> click.Command:
    """Return the command that prints the schema."""
    document = click.Argument(
        ["document"], metavar="[DOCUMENT]", type=click.Choice(["project", "step"]), default="project"
    )
    text = "Print the JSON schema of buildpush.yaml (project), or of a file with a step (step), for editors."
    return click.Command("schema", callback=_schema, params=[document], help=text)


def _schema(document: Literal["project", "step"]) -> None:
    from buildpush.reference.schema import schema

    click.echo(json.dumps(schema(document), indent=2, ensure_ascii=False))


def make_clean() -> click.Command:
    """Return the command that removes what runs left behind."""
    everything = click.Option(
        ["--all", "everything"], is_flag=True, help="Also remove run records, counters and saved build-infos."
    )
    return click.Command("clean", callback=_clean, params=[everything])


def _clean(*, everything: bool) -> None:
    from buildpush.foundation.state import State

    state = State.default()
    notes: list[str] = []
    removed = state.sweep(lambda event: notes.append(getattr(event, "text", "")))
    for note in notes:
        print_message("note", note)
    for path in removed:
        click.echo(f"removed {path}")
    if not removed and not everything:
        click.echo("nothing was left; --all removes records, counters and saved build-infos too", err=True)
    if everything:
        state.clear()
        click.echo(f"removed {state.directory}")
