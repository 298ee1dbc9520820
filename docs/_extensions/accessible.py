"""What the theme leaves to do for those who read pages by ear or by keyboard, done in the pages that were written.

Headings of the navigation get their level, code and tables that scroll are reached by Tab, the two sides have names,
and the page of the search has a title.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sphinx.application import Sphinx

CURES: Final = {
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    "<pre>": '<pre tabindex="0">',
    '<div class="cell_output ': '<div tabindex="0" class="cell_output ',
    '<div class="table-wrapper ': '<div tabindex="0" class="table-wrapper ',
    '\n<div id="search-results">': '\n<h1>Search</h1><div id="search-results">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="Pages">',
    '<aside class="toc-drawer': '<aside aria-label="On this page" class="toc-drawer',
}


def cured(page: str) -> str:
    """Return the text of a page with what was missing; a page that has it stays as it is."""
    for written, better in CURES.items():
        page = page.replace(written, better)
    return page


def cure(app: Sphinx, exception: Exception | None) -> None:
    """Write the pages again that miss something."""
    if exception is not None or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        written = path.read_text(encoding="utf-8")
        if (better := cured(written)) != written:
            path.write_text(better, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Cure the pages at the end of a build."""
    app.connect("build-finished", cure)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
