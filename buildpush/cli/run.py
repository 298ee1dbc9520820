"""The commands that read a step: run, check, explain, build."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from buildpush.cli.messages import tell
from buildpush.cli.options import StepCommand, load
from buildpush.cli.report import check_receipts, check_stdout, document_out, file_json, reported, with_display
from buildpush.foundation.text import one_line, with_margin


def make_run() -> click.Command:
    """Return the command that does the main job."""
    more: list[click.Parameter] = [
        click.Option(["--json", "as_json"], is_flag=True, help="One JSON document on stdout."),
        click.Option(["--digest-file"], metavar="FILE", help="Write the digest there; - prints it alone to stdout."),
        click.Option(["--strict"], is_flag=True, help="Fail before the push instead of printing a note."),
    ]
    return StepCommand("run", _run, more)


def _run(**options: Any) -> None:
    as_json, digest_file, strict = options.pop("as_json"), options.pop("digest_file"), options.pop("strict")
    check_stdout(as_json=as_json, digest_file=digest_file)
    with document_out(as_json) as document:
        loaded, context = load(options)
        document.update(file_json(loaded))
        check_receipts(digest_file, context.env)
        from buildpush.pipeline.step import run_steps

        report = reported(context.results, document, as_json=as_json, digest_file=digest_file, env=context.env)
        with report, with_display(context) as context:
            run_steps(loaded, context, strict=strict)


def make_check() -> click.Command:
    """Return the command that prints the plan."""
    more: list[click.Parameter] = [
        click.Option(["--json", "as_json"], is_flag=True, help="One JSON document on stdout.")
    ]
    return StepCommand("check", _check, more)


def _check(**options: Any) -> None:
    as_json = options.pop("as_json")
    with document_out(as_json) as document:
        loaded, context = load(options)
        document.update(file_json(loaded))
        from buildpush.pipeline.plan import plan

        plans = [plan(step, context) for step in loaded.steps]
        document["steps"] = [each.as_json() for each in plans]
    if not as_json:
        click.echo("\n\n".join(str(each) for each in plans))
    for other in loaded.others:
        tell(f"not run: {one_line(other)}")
    for note in loaded.notes:
        tell(f"note: {with_margin(note)}")


def make_explain() -> click.Command:
    """Return the command that explains settings."""
    more: list[click.Parameter] = [
        click.Option(["--file"], type=click.Path(path_type=Path), help="The step or pipeline file."),
        click.Option(["--json", "as_json"], is_flag=True, help="One JSON document on stdout."),
    ]
    command = StepCommand("explain", _explain, more)
    command.help = "Show the card of SETTING, the value that a run would use, its source, and what it overrides."
    command.params[0] = click.Argument(["setting"], required=False)
    return command


def _explain(**options: Any) -> None:
    name, as_json = options.pop("setting"), options.pop("as_json")
    from buildpush.reference import explain

    loaded, context = load(options)
    context = replace(context, dry=True)
    context.vault.remember()
    if name is None:
        click.echo(explain.overview_json(loaded, context.facts) if as_json else explain.overview(loaded))
    else:
        explained = explain.as_json if as_json else explain.as_text
        click.echo(explained(name, loaded, context.facts))
    for note in loaded.notes:
        tell(f"note: {with_margin(note)}")


def make_build() -> click.Command:
    """Return the command that builds only."""
    more: list[click.Parameter] = [
        click.Option(
            ["--output"], metavar="DESTINATION", help="Where it goes, such as oci:DIRECTORY or docker-daemon:NAME:TAG."
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="One JSON document on stdout."),
    ]
    return StepCommand("build", _build, more)


def _build(**options: Any) -> None:
    output, as_json = options.pop("output"), options.pop("as_json")
    with document_out(as_json) as document:
        loaded, context = load(options)
        document.update(file_json(loaded))
        from buildpush.pipeline.step import run_steps

        report = reported(context.results, document, as_json=as_json, digest_file=None, env={})
        with report, with_display(context) as context:
            run_steps(loaded, context, push=False, output=output)
