"""Which cells of an executed notebook hold a secret, in its file or in what a reader of its page sees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from buildpush.foundation.secrets import known_in
from buildpush.foundation.text import without_tags

if TYPE_CHECKING:
    from nbformat import NotebookNode


def in_cells(cells: list[NotebookNode]) -> list[int]:
    """Return the positions of the cells that hold a secret that this process has seen."""
    return [position for position, cell in enumerate(cells) if any(map(known_in, _readings(cell)))]


def in_json(text: str) -> list[int]:
    """Return the same for cells as JSON; called in a kernel, which may have secrets that no other process has."""
    import nbformat

    return in_cells([nbformat.from_dict(cell) for cell in json.loads(text)])  # type: ignore[no-untyped-call]


def in_page(page: str) -> bool:
    """Return whether a page holds a secret, even one that is split by tags."""
    return known_in(page) or known_in(without_tags(page))


def _readings(cell: NotebookNode) -> Iterator[str]:
    """Yield the texts of *cell* to search: as stored, as on its page, and all that it printed."""
    from buildpush.notebooks.page import html_of

    yield json.dumps(cell, ensure_ascii=False)
    yield without_tags(html_of(cell))
    outputs = cell.get("outputs", [])
    texts = [list(_texts(output)) for output in outputs]
    yield from (without_tags(text) for found in texts for text in found)
    # Text that is printed to two streams in turn is split by the other stream.
    for name in {output.get("name") for output in outputs}:
        yield "".join(
            text for output, found in zip(outputs, texts, strict=True) if output.get("name") == name for text in found
        )
    yield "".join(text for found in texts for text in found)


def _texts(output: NotebookNode) -> Iterator[str]:
    """Yield the text of an output, in each of its forms."""
    text = output.get("text", output.get("traceback"))
    for form in output.get("data", {"": text}).values():
        yield "".join(form) if isinstance(form, list) else form if isinstance(form, str) else json.dumps(form)
