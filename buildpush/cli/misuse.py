"""What is wrong with a command line, in our own words: click finds it, and says it in other ones."""

from __future__ import annotations

from typing import Final

import click

from buildpush.foundation.regex import regex
from buildpush.foundation.spelling import did_you_mean, now_called

_OF: Final = r"Invalid value for '(?P<name>.+?)': (?P<value>.+) is not "
_NUMBER: Final = r"-?[0-9.]+"
# What click says, what we say, and what to do; {path} is the command with its name, {usage} all that it takes.
_SENTENCES: Final = tuple(
    (regex(rf"{said}\Z"), words, hint)
    for said, words, hint in (
        (r"Missing argument '(?P<name>[^']+)'(?s:.*)", "no {name} given", "write {usage}"),
        (_OF + r"a valid (?:integer|float)(?: range)?", "{name}: {value} is not a number", "write one, such as 4"),
        (
            _OF + rf"in the range (?P<least>{_NUMBER})<=x<=(?P<most>{_NUMBER})",
            "{name}: {value} is out of range",
            "write a number from {least} to {most}",
        ),
        (_OF + rf"in the range x>=(?P<least>{_NUMBER})", "{name}: {value} is out of range", "write {least} or more"),
        (_OF + r"one of (?P<known>.+)", "{name}: {value} is not one of {known}", "write one of them"),
        (r"Option '(?P<name>.+)' requires an argument", "{name} is given without a value", "{path} --help shows it"),
        (
            r"Option '(?P<name>.+)' requires (?P<count>[0-9]+) arguments",
            "{name} takes {count} values",
            "{path} --help shows them",
        ),
        (r"Option '(?P<name>.+)' does not take a value", "{name} takes no value", "leave out = and what follows it"),
        (r"Got unexpected extra arguments? \((?P<value>.+)\)", "nothing takes the argument {value}", "write {usage}"),
        (r"No such command '(?P<name>.+)'", "there is no command {name!r}", "{path} --help lists them"),
    )
)


def sentence_and_hint(error: click.ClickException, arguments: list[str]) -> tuple[str, str]:
    """Return what is wrong and what to do, for the command line with *arguments*."""
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx else " ".join(["buildpush", *arguments[:1]])
    if isinstance(error, click.NoSuchOption):
        return _no_such_option(error, path)
    message = error.format_message().removesuffix(".")
    for pattern, words, hint in _SENTENCES:
        if match := pattern.match(message):
            facts = {**match.groupdict(), "path": path, "usage": _usage(ctx) or f"as {path} --help shows"}
            facts["known"] = (facts.get("known") or "").replace("'", "")
            facts["name"] = (facts.get("name") or "").strip("[].")
            return words.format(**facts), hint.format(**facts)
    return message[:1].lower() + message[1:], f"{path} --help lists its arguments"


def _no_such_option(error: click.NoSuchOption, path: str) -> tuple[str, str]:
    from buildpush.settings.declare import former_names, long_flag, settings_of
    from buildpush.settings.stepkinds import BUILD

    known = list(error.possibilities or ())
    if former := former_names(settings_of(BUILD.model), long_flag).get(error.option_name):
        return f"there is no option {error.option_name}", now_called(former)
    hint = did_you_mean(error.option_name, known, most=2) or f"{path} --help lists them"
    return f"there is no option {error.option_name}", hint


def _usage(ctx: click.Context | None) -> str:
    return " ".join([ctx.command_path, *ctx.command.collect_usage_pieces(ctx)[1:]]) if ctx else ""
