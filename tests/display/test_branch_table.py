"""The table of what runs at the same time, from two branches to thousands."""

from __future__ import annotations

import io
import re

import pytest

from buildpush.display.branches import MOST_ROWS, BranchTable
from buildpush.display.notebook import Notebook
from buildpush.display.plain import Plain
from buildpush.display.terminal import Terminal
from buildpush.foundation.events import BranchState, Finished, FromBranch, Started


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def states_of(table):
    return {name: state for name, state, *_ in table.rows()}


def begun(clock, *names):
    table = BranchTable(clock)
    for state in ("waiting", "running"):
        for name in names:
            table.add(name, BranchState(state))
    return table


def test_a_branch_is_shown_with_what_it_is_doing(clock):
    table = begun(clock, "a")
    seen = []
    events = (Started("resolve"), Finished("resolve", 1), Started("build"), Started("wait"), Finished("wait", 1))
    events += (Started("push"), Finished("push", 1), Finished("build", 1), Started("publish"))
    for event in events:
        assert table.add("a", event)
        seen.append(states_of(table)["a"])
    table.add("a", BranchState("succeeded", 2.0))
    doing = ["running", "running", "building", "waiting", "building", "pushing", "building", "running", "publishing"]
    assert seen == doing
    assert states_of(table) == {"a": "done"}


def test_a_phase_that_has_failed_is_over_when_it_is_begun_again(clock):
    table = begun(clock, "a")
    for event in (Started("build"), Started("wait"), Started("build")):
        table.add("a", event)
    assert states_of(table) == {"a": "building"}


def test_phases_outside_of_branches_change_no_table(clock):
    assert not begun(clock, "a").add("", Started("build"))


def test_the_counts_say_how_many_are_done_how_fast_and_how_long_it_takes(clock):
    table = begun(clock, "a", "b", "c", "d", "e")
    assert table.counts() == "5 branches: 5 running"
    table.add("e", BranchState("waiting"))
    table.add("a", Started("build"))
    clock.now = 30.0
    table.add("b", BranchState("succeeded", 30.0))
    table.add("c", BranchState("failed", 30.0))
    assert table.counts() == (
        "5 branches: 1 waiting, 1 running, 1 building, 1 done, 1 failed; 4 per minute, about 45.0 s left"
    )
    clock.now = 60.0
    for name in "ade":
        table.add(name, BranchState("succeeded", 30.0))
    assert table.counts() == "5 branches: 4 done, 1 failed, in 1 min 0 s"


def test_what_is_skipped_makes_no_rate(clock):
    table = begun(clock, "a", "b")
    clock.now = 30.0
    table.add("a", BranchState("skipped"))
    assert table.counts() == "2 branches: 1 running, 1 skipped"


def test_a_branch_with_others_inside_is_not_counted_beside_them(clock):
    table = begun(clock, "x", "y", "x/a", "x/b")
    assert table.counts() == "3 branches: 3 running"


def test_of_a_thousand_branches_those_are_named_that_have_failed_or_run(clock):
    table = begun(clock)
    for number in range(1000):
        table.add(f"n{number}", BranchState("waiting"))
    for number in range(15):
        table.add(f"n{number}", BranchState("succeeded", 1.0))
    for number in (20, 30):
        table.add(f"n{number}", BranchState("running"))
    table.add("n7", BranchState("failed", 1.0))
    assert [row[:2] for row in table.rows()] == [("n7", "failed"), ("n20", "running"), ("n30", "running")]
    assert table.counts() == "1,000 branches: 983 waiting, 2 running, 14 done, 1 failed"
    for number in range(100, 150):
        table.add(f"n{number}", BranchState("running"))
    rows = list(table.rows())
    assert len(rows) == MOST_ROWS + 1
    assert rows[-1][0] == "and 33 more"
    for number in range(200, 250):
        table.add(f"n{number}", BranchState("failed", 1.0))
    assert {row[1] for row in list(table.rows())[:-1]} == {"failed", "running"}  # neither hides the other


def many(count):
    yield from (FromBranch(f"n{number}", BranchState("waiting")) for number in range(count))
    for number in range(count):
        yield FromBranch(f"n{number}", BranchState("running"))
        yield FromBranch(f"n{number}", BranchState("failed" if number == 3 else "succeeded", 4.0))


def test_a_log_has_the_counts_every_ten_seconds_and_at_the_end(clock):
    stream = io.StringIO()
    plain = Plain(stream, clock=clock)
    for event in many(25):
        clock.now += 2.0 if event.event.state == "running" else 0
        plain(event)
    counts = [line for line in stream.getvalue().splitlines() if "branches:" in line]
    first = "   10.0s  25 branches: 20 waiting, 1 running, 3 done, 1 failed; 30 per minute, about 42.0 s left"
    assert counts[0] == first
    assert len(counts) == 6
    assert counts[-1] == "   50.0s  25 branches: 24 done, 1 failed, in 48.0 s"


def test_a_log_of_a_few_short_branches_has_no_counts(clock):
    stream = io.StringIO()
    plain = Plain(stream, clock=clock)
    for event in many(5):
        plain(event)
    assert "branches" not in stream.getvalue()


def test_a_notebook_shows_many_branches_once_a_second_and_their_end(clock):
    shown = []

    class Handle:
        def update(self, value):
            shown.append(repr(value))

    notebook = Notebook(io.StringIO(), lambda value: shown.append(repr(value)) or Handle(), clock=clock)
    for event in many(1000):
        clock.now += 0.01
        notebook(event)
    notebook.close()
    assert 30 < len(shown) < 60
    assert shown[-1].startswith("1,000 branches: 999 done, 1 failed, in ")
    assert max(page.count("\n") for page in shown[MOST_ROWS:]) <= MOST_ROWS + 2
    assert re.search(r"^n3 +failed +4\.0 s", shown[-1], re.MULTILINE)


def test_a_notebook_shows_for_how_long_a_branch_runs_while_others_report(clock):
    shown = []

    class Handle:
        def update(self, value):
            shown.append(repr(value))

    notebook = Notebook(io.StringIO(), lambda value: shown.append(repr(value)) or Handle(), clock=clock)
    notebook(FromBranch("a", BranchState("running")))
    clock.now = 8.0
    notebook(FromBranch("a", Finished("resolve", 1.0)))
    assert re.search(r"a +running +8\.0 s", shown[-1])
    notebook.close()


def test_a_terminal_has_the_counts_above_the_rows(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    stream = io.StringIO()
    terminal = Terminal(stream)
    for event in many(30):
        terminal(event)
    terminal.close()
    below = stream.getvalue()[stream.getvalue().rindex("30 branches: 29 done, 1 failed") :]
    assert re.search(r"n3 +failed +4\.0 s", below)
    assert "n4" not in below
