"""What holds for all commands: a flag means the same everywhere, and every message has one voice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import click
import pytest

from buildpush.cli import group


def commands(command: click.Command = group, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command that does something, with its name."""
    if not isinstance(command, click.Group):
        yield name, command
        return
    ctx = click.Context(command)
    for word in command.list_commands(ctx):
        yield from commands(command.get_command(ctx, word), f"{name} {word}".strip())


COMMANDS = dict(commands())


def test_a_flag_that_takes_a_value_takes_one_in_every_command():
    takes = defaultdict(lambda: defaultdict(list))
    for name, command in COMMANDS.items():
        for option in (one for one in command.params if isinstance(one, click.Option)):
            for flag in (*option.opts, *option.secondary_opts):
                takes[flag][0 if option.is_flag else option.nargs].append(name)
    assert {flag: dict(counts) for flag, counts in takes.items() if len(counts) > 1} == {}


def test_the_walk_finds_commands_of_groups():
    assert {"run", "build-info show", "sandbox"} <= COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_and_every_command_says_what_it_does(name):
    command = COMMANDS[name]
    assert command.help
    assert [one.name for one in command.params if isinstance(one, click.Option) and not one.help] == []
