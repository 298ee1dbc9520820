"""The manual page, made from the commands, their flags and the table of exit codes.

``python -m buildpush.cli.man`` writes it again; the wheel has it in ``share/man``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import click

from buildpush.cli import group
from buildpush.cli.completion import leaves
from buildpush.cli.options import SettingOption, StepCommand
from buildpush.foundation.regex import regex

_ROOT: Final = Path(__file__).parent.parent.parent
PAGE: Final = _ROOT / "docs" / "buildpush.1"
_MARKS: Final = regex(r"\{[\w:]+\}(?=`)|`")
_HEAD: Final = r""".\" Made by python -m buildpush.cli.man
.TH BUILDPUSH 1 "" "buildpush" "User commands"
.SH NAME
buildpush \- build a container image, push it to JFrog, publish its build\-info
.SH SYNOPSIS
.B buildpush
.I COMMAND
.RI [ OPTION ]...
"""
_VARIABLES: Final = (
    ("PLUGIN_*", "The settings of a step, as Harness and Drone give them to plugins."),
    ("JF_URL, JF_ACCESS_TOKEN, JF_USER, JF_PASSWORD", "Artifactory, and the login there."),
    ("DOCKER_CONFIG", "Directory of Docker's config.json, which has the logins of registries."),
    ("SSL_CERT_FILE, HTTPS_PROXY, NO_PROXY", "Certificates to trust, and proxies."),
    ("XDG_STATE_HOME", "Where records, logs and counters are kept, in the directory buildpush."),
    ("NO_COLOR, FORCE_COLOR", "Whether colours are printed."),
)


def page() -> str:
    """Return the page, in the form that ``man`` reads."""
    return "".join((_HEAD, *_description(), *_commands(), *_settings(), *_exit_status(), *_environment()))


def _description() -> Iterator[str]:
    yield f".SH DESCRIPTION\n{_text(group.help)}\n"


def _commands() -> Iterator[str]:
    yield ".SH COMMANDS\n"
    for name, command in leaves(group):
        ctx = click.Context(command, info_name=f"buildpush {name}")
        usage = " ".join(command.collect_usage_pieces(ctx))
        yield f'.SS "buildpush {name} {_escaped(usage)}"\n{_text(command.help)}\n'
        has_settings = isinstance(command, StepCommand)
        options = [one for one in command.params if isinstance(one, click.Option)]
        yield from _options((one for one in options if not (has_settings and isinstance(one, SettingOption))), ctx)
        if has_settings:
            yield ".PP\nAnd the flags of all settings, see SETTINGS.\n"


def _settings() -> Iterator[str]:
    yield ".SH SETTINGS\nThe commands run, build, check, explain and doctor have a flag for each setting.\n"
    run = dict(leaves(group))["run"]
    groups: dict[str, list[click.Option]] = {}
    for option in run.params:
        if isinstance(option, SettingOption):
            groups.setdefault(option.group, []).append(option)
    for name, options in groups.items():
        yield f".SS {_escaped(name)}\n"
        yield from _options(options, click.Context(run))


def _options(options: Iterable[click.Option], ctx: click.Context) -> Iterator[str]:
    for option in options:
        if record := option.get_help_record(ctx):
            yield f".TP\n.B {_escaped(record[0])}\n{_text(record[1])}\n"


def _exit_status() -> Iterator[str]:
    yield ".SH EXIT STATUS\n"
    for line in (_ROOT / "docs" / "errors.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 3 and cells[1].isdigit():  # noqa: PLR2004 - code, error, meaning
            yield f".TP\n.B {cells[1]}\n{_text(cells[3])}\n"


def _environment() -> Iterator[str]:
    yield ".SH ENVIRONMENT\n"
    for names, words in _VARIABLES:
        yield f".TP\n.B {_escaped(names)}\n{_text(words)}\n"


def _text(words: str | None) -> str:
    """Return paragraphs; what click is to leave as it is, keeps its lines."""
    parts = (part for part in _MARKS.sub("", words or "").strip().split("\n\n") if part)
    return "\n.PP\n".join(_kept(part) if "\b" in part else _escaped(" ".join(part.split())) for part in parts)


def _kept(part: str) -> str:
    lines = "\n".join(_escaped(line.rstrip()) for line in part.replace("\b", "").strip("\n").splitlines())
    return f".nf\n{lines}\n.fi"


def _escaped(text: str) -> str:
    """Return *text* as roff shows it: escaped are its own marks, and whatever is not ASCII."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    plain = "".join(mark if mark.isascii() else f"\\[u{ord(mark):04X}]" for mark in plain)
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
