"""What the Sphinx directives share: small nodes, and the files that a page depends on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from buildpush.foundation.regex import regex
from buildpush.reference import cards

NOTHING = "\N{EN DASH}"


class Rendering(SphinxDirective):
    """What the directives share: small nodes, and the files a page depends on."""

    def depend(self) -> None:
        """Make Sphinx read this page again when a file that the cards are made from changes."""
        for path in (*cards.files(), *Path(__file__).parent.glob("*.py")):
            self.env.note_dependency(str(path))

    def link(self, name: str) -> nodes.paragraph:
        """Return a link to a card."""
        return self.prose(f"{{setting}}`{name}`")

    def prose(self, text: str) -> nodes.paragraph:
        """Return one paragraph in the page's markup."""
        parsed = self.parse_text_to_nodes(text)
        return next((node for node in parsed if isinstance(node, nodes.paragraph)), nodes.paragraph())

    def table(self, head: Sequence[str], rows: Iterable[Sequence[nodes.Node]], name: str) -> nodes.table:
        """Return a table; each cell is one node."""
        table = nodes.table(classes=[name])
        group = nodes.tgroup(cols=len(head))
        table += group
        group += [nodes.colspec(colwidth=1) for _ in head]
        group += nodes.thead("", _row([nodes.paragraph(word, word) for word in head]))
        body = nodes.tbody()
        group += body
        body += [_row(cells) for cells in rows]
        return table


def _row(cells: Iterable[nodes.Node]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", cell) for cell in cells))


def literals(words: Iterable[str], name: str = "") -> nodes.paragraph:
    """Return words as code, side by side."""
    paragraph = nodes.paragraph()
    for position, word in enumerate(words):
        if position:
            paragraph += nodes.Text(" ")
        paragraph += nodes.literal(word, word, classes=[name] if name else [])
    return paragraph if len(paragraph) else nodes.paragraph(NOTHING, NOTHING)


_MARKS: Final = regex(r"(`[^`]+`|\*\*[^*]+\*\*)")


def marked(entries: Iterable[str], name: str = "") -> nodes.paragraph:
    """Return entries side by side; text between backticks becomes code, and between pairs of stars strong."""
    paragraph = nodes.paragraph()
    for entry in entries:
        parts = [_marked_part(part) for part in _MARKS.split(entry) if part]
        paragraph += [nodes.inline("", "", *parts, classes=[name] if name else []), nodes.Text(" ")]
    return paragraph if len(paragraph) else nodes.paragraph(NOTHING, NOTHING)


def _marked_part(part: str) -> nodes.Node:
    if part.startswith("`"):
        return nodes.literal(part, part[1:-1])
    return nodes.strong(part, part[2:-2]) if part.startswith("**") else nodes.Text(part)
