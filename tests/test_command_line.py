"""What holds for all commands: a flag means the same everywhere, and every message has one voice."""

from __future__ import annotations

import io
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click
import pytest

from buildpush.cli import group, run_command
from buildpush.display.lines import EventLines, event_name
from buildpush.display.words import colours_wanted
from buildpush.foundation.events import BranchState, FromBranch, Note, Started
from buildpush.foundation.secrets import remember
from buildpush.images.compression import digest_of
from buildpush.images.model import Image, Layer, Platform
from buildpush.reference.sphinx import _paragraph
from buildpush.transfer.oci import write_layout


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


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        ("push", "no SOURCE given", "write buildpush push SOURCE REF..."),
        ("push a", "no REF given", "write buildpush push SOURCE REF..."),
        ("completion", "no SHELL given", "write buildpush completion SHELL"),
        ("sandbox --port x", "--port: 'x' is not a number", "write one, such as 4"),
        ("sandbox --port 99999", "--port: 99999 is out of range", "write a number from 0 to 65535"),
        ("build-info discard a --max-builds 0", "--max-builds: 0 is out of range", "write 1 or more"),
        ("schema x", "DOCUMENT: 'x' is not one of project, step", "write one of them"),
        ("run a b", "nothing takes the argument b", "write buildpush run [FILE]"),
        ("run --engine", "--engine is given without a value", "buildpush run --help shows it"),
        ("verify a --build b", "--build takes 2 values", "buildpush verify --help shows them"),
        ("run --json=1", "--json takes no value", "leave out = and what follows it"),
        ("rnu", "there is no command 'rnu'", "did you mean run?"),
        ("build-info shw", "there is no command 'shw'", "did you mean show?"),
        ("run --egine x", "there is no option --egine", "did you mean --engine"),
        ("--nope", "there is no option --nope", "buildpush --help lists them"),
        ("explain a b --file c", "FILE is given twice", "leave out --file"),
    ],
)
def test_a_wrong_command_line_is_said_in_the_words_of_all_messages(capsys, words, error, hint):
    assert run_command(words.split()) == 2
    shown = capsys.readouterr().err.splitlines()
    assert shown[0] == f"error: {error}"
    assert shown[1].startswith(f"hint: {hint}")


@pytest.fixture
def layout(tmp_path, monkeypatch):
    """Return the words that copy a layout to another one, and would show progress."""
    monkeypatch.chdir(tmp_path)
    data = b"layer"
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [str(digest_of(data))]}}
    layers = (Layer(diff_id=digest_of(data), size=len(data)),)
    platform = Platform("linux", "amd64")
    image = Image(
        json.dumps(config).encode(), layers, lambda wanted: ((at, io.BytesIO(data)) for at in wanted), platform
    )
    write_layout(image, tmp_path / "one", ("1",))
    return ["copy", "oci:one", "oci:two", "--insecure"]


def test_quiet_leaves_notes_errors_and_the_result(layout, capsys):
    assert run_command([*layout, "-q"]) == 0
    shown = capsys.readouterr()
    assert shown.err == "note: insecure has no effect: no registry is asked\n"
    assert "written" in shown.out
    assert run_command(layout) == 0
    assert "copy: done in" in capsys.readouterr().err


@pytest.mark.sandbox
def test_verbose_prints_each_request_without_its_query(box, layout, monkeypatch, capsys):
    monkeypatch.setenv("WORD", box.password.reveal())
    login = ["--username", box.username, "--password", "env:WORD"]
    target = f"{box.host}/docker-local/app:1"
    assert run_command(["push", "oci:one", target, *login, "-v"]) == 0
    shown = capsys.readouterr().err
    assert f"| PUT http://{box.host}/v2/docker-local/app/manifests/1: 201" in shown
    assert "?" not in shown
    assert run_command(["push", "oci:one", target, *login]) == 0
    assert "| PUT" not in capsys.readouterr().err


@pytest.mark.parametrize("source", ["one", "gone"])
def test_events_are_lines_of_json_and_the_last_says_how_it_ended(layout, tmp_path, source):
    code = run_command(["copy", f"oci:{source}", "oci:two", "--insecure", "--events", "events.jsonl"])
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert {line["version"] for line in lines} == {1}
    assert all(datetime.fromisoformat(line["time"]).tzinfo for line in lines)
    assert lines[0]["event"] == "note"
    assert lines[-1]["event"] == "end"
    assert (lines[-1]["error"] or {"exit": 0})["exit"] == code
    assert (code == 0) == (source == "one")


@pytest.mark.parametrize(
    ("file", "says"),
    [("-", "would mix with the result"), ("gone/e.jsonl", "cannot be written"), ("pipe", "no program")],
)
def test_events_that_cannot_be_written_are_refused_before_anything_is_done(layout, tmp_path, capsys, file, says):
    os.mkfifo(tmp_path / "pipe")
    assert run_command([*layout, "--events", file]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "two").exists()


def test_a_secret_is_in_no_event(tmp_path):
    remember("planted-7dbe2a")
    stream = io.StringIO()
    EventLines(stream, partial(datetime.now, UTC))(FromBranch("b", Note("it is planted-7dbe2a")))
    assert "planted" not in stream.getvalue()
    assert json.loads(stream.getvalue())["branch"] == "b"


def test_the_lines_of_events_on_the_page_are_such_lines():
    page = (Path(__file__).parent.parent / "docs" / "command-line.md").read_text(encoding="utf-8")
    section = page.partition("## Events as lines")[2].partition("\n## ")[0]
    shown = [json.loads(line) for line in section.partition("```json\n")[2].partition("```")[0].splitlines()]
    stream = io.StringIO()
    lines = EventLines(stream, lambda: datetime.fromisoformat(shown[0]["time"]))
    lines(Started("push", shown[0]["about"]))
    lines.write("end", error=None)
    written = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [list(line) for line in written] == [list(line) for line in shown]
    assert written[0] == shown[0]
    assert event_name(BranchState) == "branch_state"


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        ({}, None),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "0"}, None),
        ({"CLICOLOR_FORCE": "1"}, True),
        ({"CLICOLOR_FORCE": "0"}, None),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, None),
        ({"TERM": "dumb"}, False),
    ],
)
def test_colours_are_printed_as_the_usual_variables_say(env, wanted):
    assert colours_wanted(env) is wanted


def test_colours_that_are_forced_are_in_messages_and_in_lines(layout, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert run_command(["copy", "oci:gone", "oci:two"]) != 0
    shown = capsys.readouterr().err
    assert "\x1b[1mcopy" in shown
    assert "\x1b[31m\x1b[1merror:\x1b[0m" in shown


def test_lines_that_a_help_text_keeps_are_kept_on_the_page():
    found = _paragraph('\b\nbash  > "a"\nzsh   > b')
    assert (found.tagname, found.astext()) == ("literal_block", 'bash  > "a"\nzsh   > b')
    assert (_paragraph("One\n  --flag.").tagname, _paragraph("One\n  --flag.").astext()) == ("paragraph", "One --flag.")
