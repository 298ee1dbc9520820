"""Events in a notebook: plain lines, a table of parallel branches, and bars, which end as one sentence."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from buildpush.display.branches import HEADINGS, BranchTable, branch_of
from buildpush.display.tables import Cell, Table, html_of, text_of
from buildpush.display.transfers import Transfers
from buildpush.display.words import Sentences
from buildpush.foundation.errors import own_notes
from buildpush.foundation.events import Event, Finished, Progress, Started
from buildpush.foundation.interrupts import Lock

if TYPE_CHECKING:
    from typing import TextIO

SECONDS_BETWEEN_UPDATES = 0.25
SECONDS_BETWEEN_TABLES = 1.0


class Notebook:
    """A sink for a cell; *show* displays a value and returns its handle, as IPython's ``display`` does."""

    def __init__(
        self, stream: TextIO, show: Callable[[object], Any], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._show = show
        self._clock = clock
        self._last = 0.0
        self._lock = Lock()
        self._phase = ""
        self._sentences = Sentences()
        self._transfers, self._bars = Transfers(clock), None
        self._branches, self._table = BranchTable(clock), None
        self._last_table = 0.0

    def __call__(self, event: Event) -> None:
        """Write the event's line, or update what is displayed already."""
        with self._lock:
            branch, inner = branch_of(event)
            self._follow(branch, inner)
            if isinstance(inner, Progress):
                self._move(f"[{branch}] {inner.item}" if branch else inner.item, inner)
                return
            if isinstance(inner, Started | Finished):
                self._phase = inner.phase if isinstance(inner, Started) else ""
            if self._transfers.is_over:
                self._end_bars()
            if line := self._sentences.of(event):
                self._stream.write(f"{line}\n")

    def stands(self) -> str:
        """Return what has been done, for one who stops it, such as ``during push, 2 of 3 layers are there``."""
        phase = [f"during {self._phase}"] if self._phase else []
        return ", ".join([*phase, *([] if self._transfers.is_empty else [self._transfers.stands()])])

    def close(self) -> None:
        """Show a sentence in place of the bars; the lines above it stay."""
        with self._lock:
            self._end_bars()

    def _end_bars(self) -> None:
        if self._transfers.is_empty:
            return
        sentence = self._transfers.sentence()
        if self._bars is None:
            self._stream.write(f"{sentence}\n")
        else:
            self._bars.update(_Frame(sentence))
        self._transfers, self._bars = Transfers(self._clock), None

    def _move(self, name: str, event: Progress) -> None:
        self._transfers.add(name, event)
        if self._clock() - self._last >= SECONDS_BETWEEN_UPDATES and any(self._transfers.moving()):
            self._last = self._clock()
            self._bars = self._show_at(self._bars, _bars(self._transfers))

    def _follow(self, branch: str, event: Event) -> None:
        """Show a change of the branches at once, of many every second; what runs has a time, which is shown as well."""
        is_due = self._clock() - self._last_table >= SECONDS_BETWEEN_TABLES
        is_new = self._branches.add(branch, event) and (self._branches.is_over or not self._branches.are_many)
        if is_new or (is_due and not self._branches.is_over):
            self._last_table = self._clock()
            self._show_branches()

    def _show_branches(self) -> None:
        """Show the table; when all its branches have ended, it stays, and later branches get a new one."""
        table = Table(tuple(self._branches.rows()), HEADINGS, caption=self._branches.counts())
        self._table = self._show_at(self._table, _Frame(text_of([table]), table))
        if self._branches.is_over:
            self._branches.clear()
            self._table = None

    def _show_at(self, handle: Any, value: object) -> Any:
        """Show *value* by *handle*, or by a new one for ``None``, and return the handle."""
        if handle is None:
            return self._show(value)
        handle.update(value)
        return handle


class _Frame:
    """What is displayed until the next one takes its place: tables, or their words where HTML is not shown."""

    def __init__(self, words: str, *tables: Table) -> None:
        self._words, self._tables = words, tables

    def _repr_html_(self) -> str | None:
        return html_of(self._tables) or None

    def __repr__(self) -> str:
        return self._words


def _bars(transfers: Transfers) -> _Frame:
    """Return a row with a bar for each item that is on its way, and one for all if there are several."""
    numbers = ("done", "of", "speed", "left")
    in_all = transfers.in_all()
    paces = [*transfers.moving(), *([in_all] if transfers.are_several else [])]
    rows = [(Cell(one.name, one.share, is_part=True), *one.words()) for one in paces]
    return _Frame(in_all.sentence(), Table(rows, ("on its way", *numbers), numbers=numbers))


def shorten(interrupt: KeyboardInterrupt, stands: str, then: str) -> None:
    """Let a notebook show one line for *interrupt*, and no traceback: what has been done, and how to go on."""
    words = "; ".join(filter(None, [f"stopped {stands}".strip(), *own_notes(interrupt), then]))
    vars(interrupt)["_render_traceback_"] = lambda: [f"\x1b[31mKeyboardInterrupt\x1b[39m: {words}"]


def open_display(stream: TextIO, _env: Mapping[str, str]) -> Notebook | None:
    """Return the display for the running notebook, or ``None`` outside a notebook."""
    display = _display()
    return Notebook(stream, lambda value: display(value, display_id=True)) if display else None


def show(value: object) -> None:
    """Show *value* below the running cell; do nothing outside a notebook."""
    if display := _display():
        display(value)


def keep(metadata: Mapping[str, Any]) -> None:
    """Keep *metadata* in an output of the running cell that shows nothing; do nothing outside a notebook."""
    if display := _display():
        display({"text/plain": ""}, raw=True, metadata=metadata)


def _display() -> Callable[..., Any] | None:
    """Return IPython's ``display``, or ``None`` outside a notebook."""
    import sys

    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython import display

    return display.display
