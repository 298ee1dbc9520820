"""What the Sphinx directives share: small nodes, and the files that a page depends on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from docutils import nodes
from docutils.parsers.rst.states import RSTState
from sphinx.util.docutils import SphinxDirective

from buildpush.foundation.regex import regex
from buildpush.reference import cards
from buildpush.reference.domain import OURS
from buildpush.reference.markup import in_rst

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

    @property
    def is_rst(self) -> bool:
        """Whether the page, or the part of it with the directive, is reStructuredText; else it is MyST."""
        return isinstance(self.state, RSTState)

    def parsed(self, text: str) -> list[nodes.Node]:
        """Return words from the code, which are in MyST, as nodes; links in them may lead to what is not shown."""
        self.env.ref_context[OURS] = True
        parsed = self.parse_text_to_nodes(in_rst(text) if self.is_rst else text)
        del self.env.ref_context[OURS]
        return parsed

    def prose(self, text: str) -> nodes.paragraph:
        """Return the first paragraph of such words."""
        return next((node for node in self.parsed(text) if isinstance(node, nodes.paragraph)), nodes.paragraph())

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
