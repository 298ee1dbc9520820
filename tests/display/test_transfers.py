"""How far layers and files are: each, and all together."""

from __future__ import annotations

import io
import threading

import pytest

from buildpush.display.notebook import Notebook, shorten
from buildpush.display.plain import Plain
from buildpush.display.terminal import Terminal
from buildpush.display.transfers import Pace, Transfers
from buildpush.foundation.events import Finished, Note, Progress, Started
from buildpush.foundation.secrets import Secret
from tests.display.test_tables import Reader

MB = 1_000_000


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def transfers(clock):
    return Transfers(clock)


def sending(number, done, total=30, state="sending"):
    return f"layer {number}/3", Progress(f"layer {number}/3", done * MB, total and total * MB, state)


def test_the_rate_is_that_of_the_last_seconds(transfers, clock):
    for second in range(20):
        clock.now = 100.0 + second
        transfers.add(*sending(1, second if second < 10 else 10 + 2 * (second - 10)))
    [pace] = transfers.moving()
    assert (pace.done, pace.rate) == (28 * MB, 2 * MB)
    assert pace.words() == ("28.0 MB", "30.0 MB", "2.0 MB/s", "1.0 s")


def test_an_item_that_begins_again_has_a_new_rate(transfers, clock):
    for second, done in enumerate([0, 10, 2, 3]):
        clock.now = 100.0 + second
        transfers.add(*sending(1, done))
    assert next(transfers.moving()).rate == MB


def test_all_together_counts_what_has_arrived_and_what_waits(transfers, clock):
    for number in (1, 2, 3):
        transfers.add(*sending(number, 0, state="waiting"))
    assert list(transfers.moving()) == []
    transfers.add(*sending(1, 10, 10, "sent"))  # 30 MB before they were compressed
    transfers.add(*sending(2, 0))
    clock.now += 2
    transfers.add(*sending(2, 4))
    assert transfers.in_all() == Pace("in all; 1 waits (30.0 MB)", 34 * MB, 90 * MB, 2 * MB)
    assert transfers.stands() == "1 of 3 layers is there"


def test_what_did_not_move_is_not_a_part_of_the_bytes(transfers):
    transfers.add(*sending(1, 30, state="exists"))
    transfers.add(*sending(2, 15))
    assert (transfers.in_all().done, transfers.in_all().total) == (15 * MB, 30 * MB)


def test_without_a_size_there_is_neither_a_share_nor_a_time(transfers, clock):
    transfers.add(*sending(1, 0, None))
    clock.now += 1
    transfers.add(*sending(1, 5, None))
    [pace] = transfers.moving()
    assert (pace.share, pace.words()) == (0.0, ("5.0 MB", "", "5.0 MB/s", ""))
    assert transfers.in_all().total is None


def test_the_end_is_one_sentence(transfers, clock):
    for number, state in ((1, "sent"), (2, "sent"), (3, "exists")):
        transfers.add(*sending(number, 0, state="waiting"))
        clock.now += 3
        transfers.add(*sending(number, 60, 60, state))
    assert transfers.is_over
    assert transfers.sentence() == "2 layers sent, 1 already there: 120.0 MB in 9.0 s (13.3 MB/s)"


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ({"a.tar": "received"}, "1 file received"),
        ({"a.tar": "unchanged", "b.tar": "unchanged"}, "2 files unchanged"),
        ({"layer 1/2": "mounted", "layer 2/2": "exists"}, "1 layer mounted, 1 already there"),
    ],
)
def test_the_sentence_names_what_it_counts(transfers, ends, words):
    for name, state in ends.items():
        transfers.add(name, Progress(name, 5, 5, state))
    assert transfers.sentence() == words


class Cell:
    """A cell of a notebook: what its handles show, in their order."""

    def __init__(self):
        self.shown = []

    def __call__(self, value):
        self.shown.append([value])
        return Handle(self.shown[-1])


class Handle:
    def __init__(self, values):
        self.update = values.append


def notebook_of(clock, events):
    cell, stream = Cell(), io.StringIO()
    notebook = Notebook(stream, cell, clock=clock)
    for event in events:
        notebook(event)
    return notebook, cell.shown, stream


def test_a_notebook_shows_bars_by_one_handle_four_times_a_second_and_then_a_sentence(clock):
    notebook, shown, stream = notebook_of(clock, [])
    notebook(sending(2, 0, state="waiting")[1])
    for step in range(100):
        clock.now += 0.01
        notebook(sending(1, step / 10)[1])
    frames = list(shown[0])
    notebook(sending(1, 30, state="sent")[1])
    notebook(sending(2, 30, state="exists")[1])
    notebook(Finished("push", 1.0))
    notebook.close()
    assert len(shown) == 1
    assert 4 <= len(frames) <= 5
    rows = Reader(frames[-1]._repr_html_()).rows
    assert [row[0] for row in rows] == ["on its way", "layer 1/3", "in all; 1 waits (30.0 MB)"]
    assert [len(row) for row in rows] == [5, 5, 5]
    assert repr(shown[0][-1]) == "1 layer sent, 1 already there: 30.0 MB in 1.0 s (30.0 MB/s)"
    assert stream.getvalue() == "push: done in 1.0 s\n"


def test_one_item_alone_has_no_row_for_all(clock):
    _, shown, _ = notebook_of(clock, [sending(1, 5)[1]])
    assert [row[0] for row in Reader(shown[0][0]._repr_html_()).rows] == ["on its way", "layer 1/3"]
    assert repr(shown[0][0]) == "in all: 5.0 MB of 30.0 MB"


def test_a_notebook_shows_no_bars_where_nothing_moves(clock):
    _, shown, stream = notebook_of(clock, [sending(1, 5, state="exists")[1], Finished("push", 1.0)])
    assert shown == []
    assert stream.getvalue() == "1 layer already there\npush: done in 1.0 s\n"


def test_each_push_of_a_notebook_has_bars_of_its_own(clock):
    one = [sending(1, 5)[1], sending(1, 30, state="sent")[1], Note("between")]
    notebook, shown, _ = notebook_of(clock, one)
    clock.now += 1
    for event in one:
        notebook(event)
    assert [repr(values[-1]).partition(":")[0] for values in shown] == ["1 layer sent"] * 2


def test_a_notebook_that_is_stopped_says_what_stands(clock):
    events = [Started("push"), sending(1, 30, state="sent")[1], sending(2, 5)[1], sending(3, 0, state="waiting")[1]]
    notebook, shown, _ = notebook_of(clock, events)
    assert notebook.stands() == "during push, 1 of 3 layers is there"
    notebook.close()
    assert repr(shown[0][-1]) == "stopped: 1 of 3 layers is there"


def test_a_stop_is_one_line_with_the_tags_that_are_pushed_and_how_to_go_on():
    stop = KeyboardInterrupt()
    stop.add_note("h.test/app:1 is pushed")
    shorten(stop, "during push, 2 of 3 layers are there", "run the cell again")
    words = "stopped during push, 2 of 3 layers are there; h.test/app:1 is pushed; run the cell again"
    assert stop._render_traceback_() == [f"\x1b[31mKeyboardInterrupt\x1b[39m: {words}"]


def test_no_bar_has_a_secret_and_no_name_is_a_tag(clock):
    Secret("planted-in-a-bar")
    _, shown, _ = notebook_of(clock, [Progress("<b>planted-in-a-bar", 1, 2)])
    frame = shown[0][0]
    assert not [form for form in (frame._repr_html_(), repr(frame)) if "planted" in form or "<b>" in form]


def test_a_terminal_shows_all_together_and_what_waits(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    terminal = Terminal(io.StringIO())
    for number in (1, 2, 3):
        terminal(sending(number, 0, state="waiting")[1])
    terminal(sending(1, 12)[1])
    assert len(terminal._tasks) == 1
    assert str(terminal._in_all()).startswith("  in all; 2 wait (60.0 MB): 12.0 MB of 90.0 MB")
    for number in (1, 2, 3):
        terminal(sending(number, 30, state="sent")[1])
    assert terminal._in_all() == ""
    terminal.close()


def test_a_log_has_no_line_for_what_waits():
    stream = io.StringIO()
    Plain(stream)(sending(1, 0, state="waiting")[1])
    assert stream.getvalue() == ""


def test_one_thread_may_read_while_others_add(transfers):
    def add():
        for number in range(3000):
            transfers.add(f"layer {number}/9", Progress("x", number, 9000))

    threads = [threading.Thread(target=add) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        transfers.in_all()
    assert len(list(transfers.moving())) == 3000
