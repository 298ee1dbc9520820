"""The command that prints a shell's completion, and the table that the completion reads.

``python -m buildpush.cli.completion`` writes the table again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from buildpush.cli import COMMANDS, group
from buildpush.completion import HERE, SCRIPTS, TABLE
from buildpush.foundation.regex import regex

_SENTENCE: Final = regex(r"[.;:](?:\s|$)|\n\s*\n|\s*\[")
_KINDS: Final = {
    "step": "step",
    "stage": "stage",
    "setting_connector_ref": "connector",
    "connector_ref": "connector",
    "setting": "setting",
    "tutorial": "tutorial",
}
_METAVARS: Final = {"FILE": "path", "PATH": "path", "[FILE | LOG]": "path", "DIRECTORY": "directory"}


def make_completion() -> click.Command:
    """Return the command that prints the completion of a shell."""
    text = """Print the completion of commands, flags and values for SHELL.

    \b
    bash  buildpush completion bash > ~/.local/share/bash-completion/completions/buildpush
    zsh   buildpush completion zsh > "${fpath[1]}/_buildpush"
    fish  buildpush completion fish > ~/.config/fish/completions/buildpush.fish
    """
    shell = click.Argument(["shell"], metavar="SHELL", type=click.Choice(list(SCRIPTS)))
    return click.Command("completion", callback=_print_script, params=[shell], help=text)


def _print_script(shell: str) -> None:
    click.echo((HERE / SCRIPTS[shell]).read_text(encoding="utf-8"), nl=False)


def table_text() -> str:
    """Return the table, as JSON."""
    return json.dumps(_table(), ensure_ascii=False, separators=(",", ":")) + "\n"


def _table() -> dict[str, Any]:
    options: dict[str, int] = {}
    commands = {}
    for name, command in leaves(group):
        arguments = [_value(one) for one in command.params if isinstance(one, click.Argument)]
        entries = [_option(one) for one in command.params if isinstance(one, click.Option) and not one.hidden]
        keys = [json.dumps(entry, ensure_ascii=False) for entry in (*entries, _HELP)]
        places = [options.setdefault(key, len(options)) for key in keys]
        commands[name] = {"about": _sentence(command.help), "arguments": arguments, "options": places}
    return {
        "names": _names(commands),
        "commands": commands,
        "options": list(map(json.loads, options)),
        "words": _words(),
    }


def _names(commands: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Return the words that may come first, and those behind the name of a group, with their sentences."""
    names = {"": {name: _sentence(sentence) for name, (sentence, _) in COMMANDS.items()}}
    for name, command in commands.items():
        start, blank, word = name.partition(" ")
        if blank:
            names.setdefault(start, {})[word] = command["about"]
    names[""] |= {"--help": "Show the commands", "--version": "Show the version"}
    return names


_HELP: Final = {"flags": ["--help"], "about": "Show the options.", "values": 0, "kind": ""}


def leaves(command: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield each command that does something, with its name."""
    if not isinstance(command, click.Group):
        yield name, command
        return
    ctx = click.Context(command)
    for word in command.list_commands(ctx):
        if found := command.get_command(ctx, word):
            yield from leaves(found, f"{name} {word}".strip())


def _option(option: click.Option) -> dict[str, Any]:
    flags = [flag for flag in (*option.opts, *option.secondary_opts) if flag.startswith("--")]
    may_be_bare = (option.metavar or "").startswith("[")
    values = 0 if option.is_flag or may_be_bare else option.nargs
    return {"flags": flags, "about": _sentence(option.help), "values": values, **_value(option)}


def _value(parameter: click.Parameter) -> dict[str, Any]:
    """Return the kind of a value, and its choices if it has some."""
    metavar = parameter.metavar or ""
    if isinstance(parameter.type, click.Choice):
        return {"kind": "choice", "choices": list(map(str, parameter.type.choices))}
    if "|" in metavar and "FILE" not in metavar:
        return {"kind": "choice", "choices": metavar.split("|")}
    kind = _KINDS.get(str(parameter.name)) or _METAVARS.get(metavar)
    return {"kind": kind or ("path" if isinstance(parameter.type, click.Path) else "")}


def _sentence(text: str | None) -> str:
    """Return the beginning of *text* that a list has room for."""
    plain = (text or "").replace("{setting}", "").replace("`", "").removeprefix("(not yet) ")
    return " ".join(_SENTENCE.split(plain, maxsplit=1)[0].split())


def _words() -> Mapping[str, Mapping[str, str]]:
    """Return the words that arguments of each kind may be, with their sentences."""
    from buildpush import notebooks
    from buildpush.reference.cards import cards

    return {
        "setting": {card.name: _sentence(card.sentence) for card in cards()},
        "tutorial": dict.fromkeys(notebooks.names(), ""),
    }


if __name__ == "__main__":
    TABLE.write_text(table_text(), encoding="utf-8")
