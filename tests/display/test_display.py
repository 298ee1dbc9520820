"""What people see of events."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush import display
from buildpush.display import terminal
from buildpush.display.branches import BranchTable
from buildpush.display.notebook import Notebook
from buildpush.display.plain import Plain
from buildpush.display.terminal import Terminal
from buildpush.display.words import Sentences, bytes_words, seconds_words
from buildpush.foundation.events import (
    BranchState,
    Decision,
    Finished,
    FromBranch,
    Log,
    Note,
    Progress,
    Prompt,
    Retry,
    Started,
)
from buildpush.foundation.secrets import Secret
from buildpush.foundation.text import MARGIN

EVENTS = [
    (Started("push", "acme/app:1"), "push: acme/app:1"),
    (Started("push"), "push"),
    (Finished("push", 1.25, "2 layers"), "push: done in 1.2 s, 2 layers"),
    (Retry("layer 1", "503", 2.0, 1), "retry 1 of layer 1 in 2.0 s: 503"),
    (Decision("engine", "native", "no RUN"), "engine: native, because no RUN"),
    (Note("optimize is a hint"), "note: optimize is a hint"),
    (Log("Step 1/2"), "| Step 1/2"),
    (Progress("layer 1", 5, 10), ""),
    (Progress("layer 1", 2_500_000, None, "sent"), "layer 1: sent, 2.5 MB"),
    (Progress("layer 1", 0, None, "exists"), "layer 1: already there"),
]


@pytest.mark.parametrize(("event", "sentence"), EVENTS)
def test_every_event_has_its_sentence(event, sentence):
    assert Sentences().of(event) == sentence


def test_the_end_of_a_layer_is_said_once():
    sentences = Sentences()
    assert sentences.of(Progress("a", 1, 1, "sent"))
    assert not sentences.of(Progress("a", 1, 1, "sent"))


def shown_of(make, events) -> list[str]:
    stream = io.StringIO()
    sink = make(stream)
    for event in events:
        sink(event)
    if isinstance(sink, Terminal):
        sink.close()
    return [line for line in stream.getvalue().splitlines() if "retry" in line]


@pytest.mark.parametrize("make", [Plain, Terminal, lambda stream: Notebook(stream, lambda _text: None)])
def test_a_line_of_retries_is_shown_at_growing_distance_with_a_count(make):
    """Attempts begin anew after each progress, so that an odd registry gave hundreds of lines."""
    events = [
        Retry(f"PATCH https://a.io/uploads/{at:08x}-beef", f"reset behind {at} bytes", 1.0, at % 3 + 1)
        for at in range(600)
    ]
    lines = shown_of(make, events)
    assert len(lines) == 3 + 7
    assert [line.rpartition(" (")[2] for line in lines[3:]] == [
        f"{count} times so far)" for count in (5, 10, 20, 50, 100, 200, 500)
    ]


@given(st.lists(st.sampled_from(["layer a", "layer b", "token"]), max_size=200))
def test_no_retry_of_one_item_hides_that_of_another(items):
    sentences = Sentences()
    said = [bool(sentences.of(Retry(item, "went silent", 1.0, 1))) for item in items]
    for item in set(items):
        mine = [one for name, one in zip(items, said, strict=True) if name == item]
        assert all(mine[:3])
        assert mine.count(True) <= 3 + 3 * (1 + len(mine) // 10)


def test_foreign_lines_lose_control_characters_and_are_cut():
    assert Sentences().of(Log("\x1b[31mred\x1b[0m\x07\x1b[2J")) == "| red"
    assert len(Sentences().of(Note("x" * 100_000))) == 16 * 1024


@pytest.mark.parametrize(
    ("count", "words"), [(999, "999 B"), (1500, "1.5 kB"), (2_000_000, "2.0 MB"), (3_210_000_000, "3.21 GB")]
)
def test_bytes_are_said_in_decimal_units(count, words):
    assert bytes_words(count) == words


def test_seconds_over_a_minute_are_said_in_minutes():
    assert seconds_words(125) == "2 min 5 s"


def test_plain_lines_carry_the_time_and_no_secret():
    Secret("hunter2-hunter2")
    stream, now = io.StringIO(), iter([0.0, 1.5])
    Plain(stream, clock=lambda: next(now))(Log("password is hunter2-hunter2"))
    assert stream.getvalue() == "    1.5s  | password is ********\n"


def test_plain_says_where_a_long_layer_is_every_ten_seconds():
    now = 0.0
    stream = io.StringIO()
    plain = Plain(stream, clock=lambda: now)
    for second in range(25):
        now = float(second)
        plain(Progress("layer 1", second * 1_000_000, 30_000_000))
    assert stream.getvalue().splitlines() == [
        "   10.0s  sending layer 1: 10.0 MB of 30.0 MB, 1.0 MB/s, 20.0 s left",
        "   20.0s  sending layer 1: 20.0 MB of 30.0 MB, 1.0 MB/s, 10.0 s left",
    ]


def test_the_terminal_takes_its_bars_away_and_keeps_its_lines():
    stream = io.StringIO()
    terminal = Terminal(stream)
    terminal(Started("push", "acme/app:1"))
    terminal(Progress("layer 1", 1, 10))
    terminal(Progress("layer 1", 10, 10, "sent"))
    terminal(Note("[bold]markup is text[/bold]"))
    terminal.close()
    text = stream.getvalue()
    assert "push: acme/app:1" in text
    assert "note: [bold]markup is text[/bold]" in text


def test_no_bar_takes_more_than_a_line_of_a_narrow_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    terminal = Terminal(stream)
    terminal(Progress("layer 3/4 (COPY big1 /big1 # buildkit)", 16_800_000, 60_000_000))
    terminal._bars.refresh()
    shown = terminal._bars.console.render_lines(terminal._bars.get_renderable())
    terminal.close()

    assert len(shown) == 1
    assert "16.8/60.0 MB" in "".join(piece.text for piece in shown[0])


class Handle:
    def __init__(self, value):
        self.shown = [value]
        self.update = self.shown.append


class Tty(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "env", "kind"),
    [
        (Tty(), {"TERM": "xterm"}, Terminal),
        (Tty(), {"CI": "true"}, Plain),
        (Tty(), {"TERM": "dumb"}, Plain),
        (io.StringIO(), {}, Plain),
    ],
)
def test_a_terminal_gets_bars_and_everything_else_gets_lines(stream, env, kind):
    shown = display.choose(stream, env)
    shown.close()
    assert isinstance(shown, kind)


def test_a_terminal_gets_lines_without_the_extra_for_bars(monkeypatch):
    monkeypatch.setattr(terminal, "find_spec", lambda _name: None)
    assert isinstance(display.choose(Tty(), {"TERM": "xterm"}), Plain)


def test_no_name_or_reason_reaches_the_terminal_as_a_control_sequence():
    for event in (Decision("engine", "a\x1b[2J", "b\x9b31m"), Started("build", "c\r\x07"), Progress("d\x1b]0;e", 1)):
        said = Sentences().of(event)
        assert said.isprintable() or said == ""


BRANCHES = [
    FromBranch("push_0", BranchState("waiting")),
    FromBranch("push_1", BranchState("waiting")),
    FromBranch("push_0", BranchState("running")),
    FromBranch("push_0", Log("first\nsecond")),
    FromBranch("push_0", Progress("layer 1", 1, 10)),
    FromBranch("push_0", Progress("layer 1", 10, 10, "sent")),
    FromBranch("push_0", BranchState("succeeded", 2.0, "a.io/app:<1>")),
    FromBranch("push_1", BranchState("failed", 1.0)),
]
LINES = [
    "[push_0] | first",
    f"[push_0] {MARGIN}second",
    "[push_0] layer 1: sent, 10 B",
    "[push_0] succeeded in 2.0 s: a.io/app:<1>",
    "[push_1] failed in 1.0 s",
]


def shown_by(make):
    stream = io.StringIO()
    sink = make(stream)
    for event in BRANCHES:
        sink(event)
    sink.close()
    return stream.getvalue()


@pytest.mark.parametrize("make", [Plain, Terminal, lambda stream: Notebook(stream, Handle)])
def test_each_line_of_a_branch_has_its_name_in_front(make):
    shown = shown_by(make)
    is_line = [line in shown for line in LINES if make in {Plain, Terminal} or "layer" not in line]
    assert all(is_line)


def test_the_same_layer_of_two_branches_is_said_twice():
    sentences = Sentences()
    ends = [sentences.of(FromBranch(branch, Progress("layer 1", 1, 1, "sent"))) for branch in ("a", "b", "a")]
    assert ends == ["[a] layer 1: sent, 1 B", "[b] layer 1: sent, 1 B", ""]


def test_plain_shows_the_name_of_a_long_file_as_one_line_without_secrets():
    """A server may have named it."""
    Secret("hunter2-of-a-file")
    stream, now = io.StringIO(), 0.0
    plain = Plain(stream, clock=lambda: now)
    for now in (0.0, 10.0):
        plain(Progress("a\n##vso[task.x]\x1b[2J hunter2-of-a-file", int(now), 30))
    (line,) = stream.getvalue().splitlines()
    assert not [part for part in ("hunter2", "##vso", "\x1b") if part in line]


def test_plain_says_of_which_branch_a_long_layer_is():
    now = 0.0
    stream = io.StringIO()
    plain = Plain(stream, clock=lambda: now)
    for second in range(12):
        now = float(second)
        for branch in ("a", "b"):
            plain(FromBranch(branch, Progress("layer 1", second * 1_000_000, 30_000_000)))
    said = [line.split("s  ", 1)[1] for line in stream.getvalue().splitlines()]
    assert [line.partition(":")[0] for line in said] == ["[a] sending layer 1", "[b] sending layer 1"]


def test_a_terminal_shows_a_table_of_branches_that_stays(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    shown = shown_by(Terminal)
    assert re.search(r"push_0 +done +2\.0 s +a\.io/app:<1>", shown)
    assert re.search(r"push_1 +failed +1\.0 s", shown)


def test_a_terminal_shows_for_how_long_a_branch_runs(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    table = BranchTable(clock=iter([0.0, 5.0, 12.0]).__next__)
    table.add("a", BranchState("waiting"))
    table.add("a", BranchState("running"))
    assert list(table.rows()) == [("a", "running", "7.0 s", "")]


def test_a_notebook_shows_a_table_of_branches_that_stays_for_each_group_of_them():
    handles, now = [], [0.0]
    notebook = Notebook(io.StringIO(), lambda text: handles.append(Handle(text)) or handles[-1], clock=lambda: now[0])
    for event in [*BRANCHES, *BRANCHES]:
        now[0] += 0.5
        notebook(event)
    notebook.close()
    tables = [page for handle in handles if (page := handle.shown[-1]._repr_html_())]
    assert len(tables) == 2
    assert [re.sub("<[^>]+>", "", cell) for cell in tables[0].split("</td>")[:4]] == [
        "2 branches: 1 done, 1 failed, in 2.5 sbranchstatetimeimagepush_0",
        "done",
        "2.0 s",
        "a.io/app:&lt;1&gt;",
    ]
    assert tables[0] == tables[1]


def test_outside_of_branches_nothing_is_different():
    for event, sentence in EVENTS:
        assert Sentences().of(FromBranch("x", event)) == (f"[x] {sentence}" if sentence else "")


def test_nothing_moves_in_a_terminal_while_a_person_is_asked():
    terminal = Terminal(io.StringIO())
    for event in BRANCHES[:3]:
        terminal(event)
    terminal(FromBranch("push_0", Prompt(begins=True)))
    assert not terminal._live.is_started
    terminal(FromBranch("push_1", Note("goes on")))
    terminal(FromBranch("push_0", Prompt(begins=False)))
    assert terminal._live.is_started
    terminal.close()
