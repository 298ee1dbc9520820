"""The navigation beside every page, made from titles alone.

The theme asks for titles, and Sphinx copies the headings of all pages for each page before it leaves them out: that
was a quarter of the time of a build.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.builders import Builder


def titles(toc: nodes.bullet_list) -> nodes.bullet_list:
    """Return the contents of a page without its headings: its title, and the pages below it."""
    short = toc.deepcopy()
    for entry in short:
        below = list(entry.findall(addnodes.toctree))
        entry[1:] = [nodes.bullet_list("", *below)] if below else []
    return short


def use_titles(app: Sphinx, builder: Builder) -> None:
    """Let every page that is written take its navigation from the titles, which are found once."""
    env = builder.env
    short = {page: titles(toc) for page, toc in env.tocs.items()}

    def narrow(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
        make = context["toctree"]

        def toctree(**options: Any) -> str:
            whole = env.tocs
            env.tocs = short if options.get("titles_only") else whole
            try:
                return str(make(**options))
            finally:
                env.tocs = whole

        context["toctree"] = toctree

    app.connect("html-page-context", narrow, priority=400)  # before the theme, which asks


def setup(app: Sphinx) -> dict[str, bool]:
    """Use the titles."""
    app.connect("write-started", use_titles)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
