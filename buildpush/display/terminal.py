"""Events in a terminal: lines that stay, and below them a table of parallel branches and a bar per layer."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, TextIO

from buildpush.display.branches import HEADINGS, BranchTable, branch_of
from buildpush.display.transfers import Transfers
from buildpush.display.words import Sentences
from buildpush.foundation.events import UNDER_WAY, Event, Log, Note, Progress, Prompt, Retry, Started
from buildpush.foundation.text import one_line

if TYPE_CHECKING:
    from rich.console import Group
    from rich.progress import TaskID
    from rich.text import Text


class Terminal:
    """A sink for people who watch a terminal."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
        from rich.progress import Progress as Bars
        from rich.table import Column

        self._branches, self._transfers = BranchTable(), Transfers()
        self._console = Console(file=stream, highlight=False)
        self._bars = Bars(
            # In a narrow terminal, the name of a layer is cut off, and no number wraps.
            TextColumn(
                "  {task.description}",
                markup=False,
                table_column=Column(no_wrap=True, overflow="ellipsis", min_width=14),
            ),
            BarColumn(bar_width=16),
            DownloadColumn(table_column=Column(no_wrap=True)),
            TransferSpeedColumn(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            console=self._console,
        )
        self._live = Live(get_renderable=self._below, console=self._console, transient=True, refresh_per_second=8)
        self._tasks: dict[str, TaskID] = {}
        self._sentences = Sentences()
        self._live.start()

    def __call__(self, event: Event) -> None:
        """Move a bar, or print the event's line above the bars."""
        branch, inner = branch_of(event)
        if isinstance(inner, Prompt):
            (self._live.stop if inner.begins else self._live.start)()
        if isinstance(inner, Progress):
            self._move(f"[{branch}] {inner.item}" if branch else inner.item, inner)
        line = self._sentences.of(event)
        if line:
            self._console.print(line, style=_style(inner), markup=False, soft_wrap=True)
        if self._branches.add(branch, inner) and self._branches.is_over:
            self._console.print(self._table())
            self._branches.clear()

    def close(self) -> None:
        """Remove the bars and leave the cursor where a prompt belongs."""
        self._live.stop()

    def _below(self) -> Group:
        from rich.console import Group

        return Group(self._table(), self._bars.get_renderable(), self._in_all())

    def _in_all(self) -> Text | str:
        """Return a line about all items together and those that wait, if there are several."""
        from rich.text import Text

        if not self._transfers.are_several:
            return ""
        return Text(f"  {self._transfers.in_all().sentence()}", no_wrap=True, overflow="ellipsis")

    def _table(self) -> Group:
        """Return the counts of the branches, above the rows: a terminal that is too low shows the beginning."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        counts, rows = self._branches.counts(), list(self._branches.rows())
        table = Table(*HEADINGS, box=None)
        for row in rows:
            table.add_row(*map(Text, row))
        return Group(*([Text(counts)] if counts else ()), *([table] if rows else ()))

    def _move(self, item: str, event: Progress) -> None:
        self._transfers.add(item, event)
        if self._transfers.is_over:
            self._transfers = Transfers()
        if event.state == "waiting":
            return
        if event.state not in UNDER_WAY:
            task = self._tasks.pop(item, None)
            if task is not None:
                self._bars.remove_task(task)
            return
        if item not in self._tasks:
            self._tasks[item] = self._bars.add_task(one_line(item), total=event.total)
        self._bars.update(self._tasks[item], completed=event.done, total=event.total)


def _style(event: Event) -> str:
    match event:
        case Started():
            return "bold"
        case Retry() | Note():
            return "yellow"
        case Log():
            return "dim"
        case _:
            return ""


def open_display(stream: TextIO, env: Mapping[str, str]) -> Terminal | None:
    """Return the display for a terminal; ``None`` for a log, a dumb terminal or a CI system, or without the extra."""
    plain = env.get("CI", "").lower() in {"true", "1"} or env.get("TERM") == "dumb"
    if plain or not stream.isatty() or find_spec("rich") is None:
        return None
    return Terminal(stream)
