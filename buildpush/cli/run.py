"""The commands that read a step: run, plugin, check, explain, build."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from buildpush.cli.ask import asker, input_asker
from buildpush.cli.messages import print_line, print_message
from buildpush.cli.options import DIGEST_FILE, JSON, LIST, StepCommand, contents, load, load_plugin
from buildpush.cli.report import check_receipts, check_stdout, file_json, new_document, reporting, show
from buildpush.cli.showing import with_display
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.text import one_line

if TYPE_CHECKING:
    from buildpush.pipeline.context import RunContext
    from buildpush.settings.tree import Loaded

_LAST: Final = "last"


def make_run() -> click.Command:
    """Return the command that builds, pushes and publishes."""
    record = click.Option(["--record"], metavar="FILE", help="Write the record of the run there as well.")
    resume = click.Option(
        ["--resume"],
        metavar="[RECORD]",
        is_flag=False,
        flag_value=_LAST,
        help="Run again what did not succeed in the last run of FILE, or in the run of RECORD.",
    )
    return StepCommand("run", _run, [LIST, JSON, DIGEST_FILE, record, resume, _strict()])


def make_plugin() -> click.Command:
    """Return the command that takes the place of a plugin of Harness."""
    text = """Do what the variables PLUGIN_* say, in the place of one of Harness' plugins.

    With PLUGIN_REPO it builds and pushes, as docker, buildx, kaniko and buildah-docker do; with PLUGIN_DOCKER_IMAGE
    it publishes build-info of an image that is pushed already, as artifactory-publish-docker-buildinfo does.
    """
    like = click.Option(["--like"], metavar="PLUGIN", help="The plugin to imitate, such as docker or buildx.")
    return click.Command("plugin", callback=_plugin, params=[like, JSON, DIGEST_FILE, _strict()], help=text)


def _strict() -> click.Option:
    return click.Option(["--strict"], is_flag=True, help="Fail before the push instead of printing a note.")


def make_build() -> click.Command:
    """Return the command that builds only."""
    words = "Where to write the image, such as oci:DIRECTORY or docker-daemon:NAME:TAG."
    return StepCommand("build", _build, [click.Option(["--output"], metavar="DESTINATION", help=words), JSON])


def _run(**options: Any) -> None:
    if options.pop("listed"):
        _list(options)
        return
    record, resume = options.pop("record"), options.pop("resume")
    how = {"record": Path(record) if record else None, "resume": _resumed(resume)}
    as_json, digest_file, strict = options.pop("as_json"), options.pop("digest_file"), options.pop("strict")
    _read_and_run(partial(load, options), as_json, digest_file, strict, **how)


def _plugin(like: str | None, as_json: bool, digest_file: str | None, strict: bool) -> None:
    _read_and_run(partial(load_plugin, like), as_json, digest_file, strict)


def _read_and_run(
    read: Callable[[], tuple[Loaded, RunContext]], as_json: bool, digest_file: str | None, strict: bool, **how: Any
) -> None:
    check_stdout(as_json=as_json, digest_file=digest_file)
    document = new_document(is_printed=as_json)
    loaded, context = read()
    document.update(file_json(loaded))
    check_receipts(digest_file, context.env)
    report = reporting(context.results, document, as_json=as_json, digest_file=digest_file, env=context.env)
    _run_steps(loaded, context, report, strict=strict, **how)


def _resumed(resume: str | None) -> Path | bool:
    return resume == _LAST if resume in {None, _LAST} else Path(resume or "")


def _build(**options: Any) -> None:
    output, as_json = options.pop("output"), options.pop("as_json")
    document = new_document(is_printed=as_json)
    loaded, context = load(options)
    document.update(file_json(loaded))
    report = reporting(context.results, document, as_json=as_json, digest_file=None, env={})
    _run_steps(loaded, context, report, push=False, output=output)


def _run_steps(loaded: Loaded, context: RunContext, report: AbstractContextManager[None], **how: Any) -> None:
    from buildpush.pipeline.run import run_steps

    with report, with_display(context) as shown:
        run_steps(loaded, replace(shown, ask=asker(), ask_input=input_asker()), **how)


def _list(options: dict[str, Any]) -> None:
    """Print the contents of a file, as text or as JSON."""
    as_json = options.pop("as_json")
    entries, notes = contents(options)
    show({"contents": [one.as_json() for one in entries]}, "\n".join(map(str, entries)), as_json=as_json)
    for note in notes:
        print_message("note", note)


def make_check() -> click.Command:
    """Return the command that prints the plan."""
    return StepCommand("check", _check, [LIST, JSON])


def _check(**options: Any) -> None:
    if options.pop("listed"):
        _list(options)
        return
    as_json = options.pop("as_json")
    document = new_document(is_printed=as_json)
    loaded, context = load(options)
    document.update(file_json(loaded))
    from buildpush.pipeline.planning import plan_steps

    plans = plan_steps(loaded, context)
    document["steps"] = [each.as_json() for each in plans]
    if not as_json:
        click.echo("\n\n".join(str(each) for each in plans))
    for other in loaded.others:
        print_line(f"not run: {one_line(other)}")
    for note in loaded.notes:
        print_message("note", note)


def make_explain() -> click.Command:
    """Return the command that explains settings."""
    more: list[click.Parameter] = [
        click.Option(["--file"], type=click.Path(path_type=Path), help="The step or pipeline file."),
        JSON,
    ]
    command = StepCommand("explain", _explain, more)
    command.help = "Show the card of SETTING, the value that a run would use, its source, and what it overrides.\n\n"
    command.help += "For an expression, such as '<+codebase.branch>', show each part of it, its value and its source."
    command.params[0] = click.Argument(["setting"], required=False)
    command.params.insert(
        1, click.Argument(["path"], metavar="[FILE]", required=False, type=click.Path(path_type=Path))
    )
    return command


def _explain(**options: Any) -> None:
    name, as_json = options.pop("setting"), options.pop("as_json")
    if name and name.startswith("advice-"):
        _explain_advice(name, as_json=as_json)
        return
    path = options.pop("path")
    if path and options["file"]:
        message = "FILE is given twice"
        raise SettingsError(message, hint="leave out --file, or the second argument")
    options["file"] = options["file"] or path
    from buildpush.reference import explain
    from buildpush.settings.forms import without_braces

    name = without_braces(name) if name else name

    loaded, context = load(options, name or "")
    from buildpush.pipeline.loops import first_iterations
    from buildpush.pipeline.step_values import StepValues
    from buildpush.pipeline.steps import skipped_steps

    loaded = replace(loaded, tree=first_iterations(loaded.tree, context.facts))
    context.vault.remember()
    values = StepValues(loaded.tree)
    skipped = skipped_steps(loaded.tree, replace(context, dry=True, values=values).facts, values)
    context = replace(context, dry=True, values=StepValues.planned(loaded.tree, skipped))
    for step in (one for one in loaded.steps if one.where in skipped):
        print_message("note", f"the step {step.name or step.identifier!r} is skipped: {skipped[step.where]}")
    if name and "<+" in name:
        _explain_expression(name, loaded, context, as_json=as_json)
        return
    if name is None:
        show(explain.overview_json(loaded, context.facts), explain.overview(loaded), as_json=as_json)
    else:
        facts = context.facts
        show(explain.as_json(name, loaded, facts), explain.as_text(name, loaded, facts), as_json=as_json)
    for note in loaded.notes:
        print_message("note", note)


def _explain_advice(anchor: str, *, as_json: bool) -> None:
    from buildpush.reference import troubleshooting

    row = troubleshooting.find(anchor)
    show(troubleshooting.as_json(row), troubleshooting.as_text(row), as_json=as_json)


def _explain_expression(text: str, loaded: Loaded, context: RunContext, *, as_json: bool) -> None:
    """Show the value of an expression in the first step of *loaded*; its parts are shown even if it has no value."""
    from buildpush.reference.expression import Part, explain
    from buildpush.settings.step_facts import facts_of

    parts: list[Part] = []
    step = next(iter(loaded.steps), None)
    facts = facts_of(step, context.facts) if step else context.facts
    try:
        value = explain(text, facts, parts)
    finally:
        if parts and not as_json:
            click.echo("\n".join(map(str, parts)))
    document = {"expression": text, "value": value, "parts": [part.as_json() for part in parts]}
    show(document, f"value     {value}", as_json=as_json)
