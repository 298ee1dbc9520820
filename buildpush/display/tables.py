"""How results show themselves: as HTML, Markdown and text, all with the same facts, escaped and without secrets.

All style is inline, and an attribute aligns each cell: of a notebook that is only opened, JupyterLab drops ``<style>``,
and it aligns cells to the right. No colour of text or background is set, so that any theme stays readable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, TypeVar

from buildpush.foundation.errors import BuildPushError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.foundation.text import one_line

T = TypeVar("T")
Shown = TypeVar("Shown", bound=type)

# Readable on white and on black; they stand beside the word that they repeat.
HUES: Final[Mapping[str, str]] = {"sent": "#2f8f83", "exists": "#8a8f98", "mounted": "#7a6fd0"}

_TABLE: Final = '<table style="border-collapse:collapse;border:0;margin:.3em 0 .9em;width:auto">'
_CELL: Final = (
    "text-align:{};vertical-align:top;padding:.25em 1.2em .25em 0;border:0;border-bottom:1px solid rgba(128,128,128,.3)"
)
_QUIET: Final = "opacity:.75;font-weight:normal;white-space:nowrap"
_BAR_EM: Final = 9
_LINK: Final = regex(r"https?://[^\s<>]+")
_NAME: Final = regex(r"(?=\S*[/:@_])\S+")  # a reference, digest, path or identifier
_MARKS: Final = regex(r"[\\|*_`~\[\]]")


@dataclass(frozen=True, slots=True)
class Cell:
    """A text, and a bar below it; *begin* and *share* are its place and length, each of 1.

    *is_part* is whether it shows what is left of 1 as well.
    """

    text: str
    share: float = 0.0
    begin: float = 0.0
    hue: str = HUES["sent"]
    is_part: bool = False

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of facts.

    Attributes:
        head: a heading for each column; without any, each row is a label and its value.
        numbers: the headings of columns that are aligned to the right.
    """

    rows: Sequence[Sequence[str | Cell]]
    head: tuple[str, ...] = ()
    caption: str = ""
    numbers: tuple[str, ...] = ()

    def side(self, column: int) -> str:
        """Return on which side the texts of a column begin."""
        return "right" if self.head and self.head[column] in self.numbers else "left"


def html_of(tables: Iterable[Table]) -> str:
    """Return *tables* as HTML."""
    return "".join(map(_html, tables))


def markdown_of(tables: Iterable[Table]) -> str:
    """Return *tables* as Markdown, as GitHub reads it."""
    return "\n\n".join(map(_markdown, tables))


def text_of(tables: Iterable[Table]) -> str:
    """Return *tables* as aligned text."""
    return "\n\n".join(map(_text, tables))


def shows_itself(cls: Shown) -> Shown:
    """Give *cls* the methods that notebooks ask for; its facts are what its ``tables()`` or ``rows()`` returns."""
    methods: dict[str, Callable[..., object]] = {
        "_repr_html_": lambda self: html_of(_tables_of(self)),
        "_repr_markdown_": lambda self: markdown_of(_tables_of(self)),
        "_repr_pretty_": lambda self, printer, _cycle: printer.text(text_of(_tables_of(self))),
    }
    for name, method in methods.items():
        setattr(cls, name, method)
    return cls


def _tables_of(shown: Any) -> tuple[Table, ...]:
    return tuple(shown.tables()) if hasattr(shown, "tables") else (Table(tuple(shown.rows())),)


@shows_itself
class Listing(tuple[T, ...]):
    """A tuple that shows itself: its members have ``cells()``, by heading, or are shown one after the other."""

    __slots__ = ()

    def tables(self) -> tuple[Table, ...]:
        """Return what is shown."""
        if not self:
            return (Table([("found", "nothing")]),)
        if not hasattr(self[0], "cells"):
            return tuple(table for one in self for table in _tables_of(one))
        cells = [one.cells() for one in self]  # type: ignore[attr-defined]  # as all its members have
        return (Table([tuple(row.values()) for row in cells], tuple(cells[0])),)


# Errors are below this room.
shows_itself(BuildPushError)


def _html(table: Table) -> str:
    caption = f'<caption align="left" style="text-align:left;{_QUIET}">{_escaped(table.caption)}</caption>'
    head = _row(_html_cell(_escaped(name), table.side(at), "col") for at, name in enumerate(table.head))
    rows = (
        _row(
            _html_cell("<br>".join(map(_inner, values)), table.side(at), "" if at or table.head else "row")
            for at, values in enumerate(row)
        )
        for row in _grid(table)
    )
    return f"{_TABLE}{caption if table.caption else ''}{head if table.head else ''}{''.join(rows)}</table>"


def _row(cells: Iterable[str]) -> str:
    return f'<tr style="background:none">{"".join(cells)}</tr>'  # JupyterLab colours every second one


def _html_cell(inner: str, side: str, scope: str = "") -> str:
    """Return a cell, or the head of a row or column, which *scope* says."""
    tag, style, more = ("th", _QUIET, f' scope="{scope}"') if scope else ("td", "", "")
    style = f"{style};min-width:5em" if side == "right" else style  # or bars move with the numbers beside them
    return f'<{tag} align="{side}" style="{_CELL.format(side)};{style}"{more}>{inner}</{tag}>'


def _inner(value: str | Cell) -> str:
    """Return the text of a cell, and its bar below it: a column of bars alone is empty where styles are dropped."""
    text = one_line(str(value))
    safe = _escaped(text)
    if _LINK.fullmatch(text):
        safe = f'<a href="{safe}">{safe}</a>'
    elif _NAME.fullmatch(text):  # not <code>: it brings the look of its page
        safe = f'<span style="font-family:monospace">{safe}</span>'
    return f"{safe}{_bar(value)}" if isinstance(value, Cell) and (value.share or value.is_part) else safe


def _bar(cell: Cell) -> str:
    blank = f'<div style="display:inline-block;width:{cell.begin * _BAR_EM:.2f}em"></div>' if cell.begin else ""
    width = f"width:{max(cell.share * _BAR_EM, 0.15):.2f}em"
    style = f"display:inline-block;height:.45em;{width};background:{cell.hue};border-radius:.2em"
    track = f";width:{_BAR_EM}em;background:rgba(128,128,128,.25)" if cell.is_part else ""
    return f'<div style="white-space:nowrap;line-height:.5{track}">{blank}<div style="{style}"></div></div>'


def _markdown(table: Table) -> str:
    head = table.head or ("fact", "value")
    lines = [_marked(table.caption), ""] if table.caption else []
    lines += [_pipes(map(_marked, head)), _pipes(_RULES[table.side(at)] for at, _ in enumerate(head))]
    lines += [_pipes("<br>".join(_marked(str(value)) for value in values) for values in row) for row in _grid(table)]
    return "\n".join(lines)


_RULES: Final = {"left": "---", "right": "---:"}


def _pipes(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _marked(text: str) -> str:
    """Return *text* for a cell of Markdown, which shows it as it is."""
    text = one_line(text)
    if _LINK.fullmatch(text):
        return f"<{text.replace('|', '%7C')}>"
    return _MARKS.sub(r"\\\g<0>", text).replace("&", "&amp;").replace("<", "&lt;")


def _text(table: Table) -> str:
    rows = [[one_line(str(value)) for value in row] for row in ([table.head] if table.head else []) + [*table.rows]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [one_line(table.caption)] if table.caption else []
    for row in rows:
        cells = (f"{text:{_ALIGNED[table.side(at)]}{widths[at]}}" for at, text in enumerate(row))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


_ALIGNED: Final = {"left": "<", "right": ">"}


def _grid(table: Table) -> Iterator[list[list[str | Cell]]]:
    """Yield the rows as lists of cells, each with its values; equal labels in a row are one."""
    if table.head:
        yield from ([[value] for value in row] for row in table.rows)
        return
    for label, rows in groupby(table.rows, key=lambda row: str(row[0])):
        yield [[label], [row[1] for row in rows]]


def _escaped(text: str) -> str:
    from html import escape  # imported here, since a terminal needs none

    return escape(one_line(text))
