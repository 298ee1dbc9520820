"""Events in a notebook: plain lines and a table of parallel branches, which stay, and a line that is updated."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from buildpush.display.branches import HEADINGS, BranchTable, branch_of
from buildpush.display.words import Sentences, bytes_words
from buildpush.foundation.events import UNDER_WAY, Event, Progress
from buildpush.foundation.text import one_line

if TYPE_CHECKING:
    from typing import TextIO

SECONDS_BETWEEN_UPDATES = 0.25


class Notebook:
    """A sink for a cell; *show* displays a text and returns its handle, as IPython's ``display`` does."""

    def __init__(
        self, stream: TextIO, show: Callable[[str], Any], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._show = show
        self._handle: Any = None
        self._clock = clock
        self._last = 0.0
        self._sentences = Sentences()
        self._transfers: dict[str, Progress] = {}
        self._branches = BranchTable(clock)
        self._table: Any = None

    def __call__(self, event: Event) -> None:
        """Write the event's line, or update what is displayed already."""
        branch, inner = branch_of(event)
        if isinstance(inner, Progress):
            self._move(f"[{branch}] {inner.item}" if branch else inner.item, inner)
        elif self._branches.add(branch, inner):
            self._show_branches()
        line = self._sentences.of(event)
        if line:
            self._stream.write(f"{line}\n")

    def close(self) -> None:
        """Clear the line of progress; the lines above it stay."""
        self._transfers.clear()
        if self._handle is not None:
            self._update()

    def _show_branches(self) -> None:
        """Show the table; when all its branches have ended, it stays, and later branches get a new one."""
        self._table = self._show_at(self._table, _table(self._branches))
        if self._branches.is_over:
            self._branches.clear()
            self._table = None

    def _move(self, item: str, event: Progress) -> None:
        if event.state in UNDER_WAY:
            self._transfers[item] = event
        else:
            self._transfers.pop(item, None)
        if self._clock() - self._last >= SECONDS_BETWEEN_UPDATES and self._transfers:
            self._update()

    def _update(self) -> None:
        from html import escape

        self._last = self._clock()
        rows = [f"{escape(one_line(item))} {_share(event)}" for item, event in self._transfers.items()]
        text = f"<pre>{'<br>'.join(rows)}</pre>" if rows else ""
        self._handle = self._show_at(self._handle, text)

    def _show_at(self, handle: Any, text: str) -> Any:
        """Show *text* by *handle*, or by a new one for ``None``, and return the handle."""
        if handle is None:
            return self._show(text)
        handle.update(_Html(text))
        return handle


class _Html:
    """HTML, as a notebook displays it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def _repr_html_(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return ""


def _table(branches: BranchTable) -> str:
    from html import escape

    head = "".join(f"<th>{escape(word)}</th>" for word in HEADINGS)
    rows = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in branches.rows())
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _share(event: Progress) -> str:
    if not event.total:
        return bytes_words(event.done)
    return f"{event.done / event.total:4.0%} of {bytes_words(event.total)}"


def open_display(stream: TextIO, _env: Mapping[str, str]) -> Notebook | None:
    """Return the display for the running notebook, or ``None`` outside a notebook."""
    display = _display()
    return Notebook(stream, lambda text: display(_Html(text), display_id=True)) if display else None


def show(value: object) -> None:
    """Show *value* below the running cell; do nothing outside a notebook."""
    if display := _display():
        display(value)


def _display() -> Callable[..., Any] | None:
    """Return IPython's ``display``, or ``None`` outside a notebook."""
    import sys

    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython import display

    return display.display
