"""How the documentation is built: ``nox -s docs``, or ``sphinx-build -c . docs docs/_build/html``."""

from __future__ import annotations

import ast
import gc
import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ConfigError
from sphinx.ext.autodoc.mock import mock
from sphinx.util.docutils import SphinxDirective

from buildpush import __version__
from buildpush.artifactory.document import fields

ROOT = Path(__file__).parent
TUTORIALS = ROOT / "notebooks"
EXECUTED = ROOT / "docs" / "_executed"
FLOORS = ROOT / "tests" / "test_floors.py"
FIGURES = ROOT / "docs" / "performance.jsonl"

sys.path.insert(0, str(ROOT / "docs" / "_extensions"))

# Nothing is executed here, and what executes notebooks, or checks addresses in them, takes longer to load than a page
# to build.
with mock(["IPython", "jupyter_cache", "nbclient", "rfc3987_syntax"]):
    import myst_nb.sphinx_ext  # noqa: F401

project = "buildpush"
author = "the buildpush authors"
copyright = f"2026, {author}"
version = release = __version__
language = "en"
root_doc = "index"
exclude_patterns = ["_build"]

extensions = [
    "accessible",
    "buildpush.sphinx_ext",
    "events",
    "headline",
    "messages",
    "myst_nb",
    "navigation",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]

buildpush_write = ["settings.json", "step.schema.json", "settings.schema.json"]

# Papermill ran the notebooks before; the docs build runs nothing.
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3
myst_links_external_new_tab = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_use_unqualified_type_names = True
python_display_short_literal_types = True
# Types in signatures: those of other projects would need a network, those of inner rooms have no page.
INNER = r"aio\._R|display|settings|engines|registry|session|connection|places|http|artifactory|provenance"
nitpick_ignore_regex = [(r"py:.*", r"(?!buildpush\b).*"), (r"py:.*", rf"buildpush\.(?:{INNER})\b.*")]

html_theme = "furo"
html_title = "buildpush"
html_domain_indices = False  # a list of modules, with pictures that say "-"
html_static_path = ["docs/_static"]
html_css_files = ["buildpush.css"]
html_js_files = [("filter.js", {"defer": "defer"}), ("moved.js", {"defer": "defer"})]
html_favicon = "docs/_static/mark.svg"
html_theme_options = {
    "sidebar_hide_name": False,
    "light_logo": "mark.svg",
    "dark_logo": "mark.svg",
    "navigation_with_keys": True,
    "top_of_page_buttons": [],  # "View this page" stands outside of every landmark
    "light_css_variables": {
        "color-brand-primary": "#0b6b63",
        "color-brand-content": "#0b6b63",
        "color-brand-visited": "#0b6b63",
        "color-problematic": "#9a3412",
    },
    "dark_css_variables": {
        "color-brand-primary": "#5fd4c4",
        "color-brand-content": "#5fd4c4",
        "color-brand-visited": "#5fd4c4",
        "color-problematic": "#fdba74",
    },
}
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .go"
copybutton_copy_empty_lines = False  # where lines of output stood; the last would run what is pasted
copybutton_line_continuation_character = "\\"


def code_of(notebook: Path) -> list[str]:
    """Return the source of every code cell; the cell of parameters that papermill put in is left out."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [
        "".join(cell["source"])
        for cell in cells
        if cell["cell_type"] == "code" and "injected-parameters" not in cell["metadata"].get("tags", [])
    ]


def check_tutorials() -> None:
    """Stop unless every tutorial was executed as it stands now.

    Raises:
        ConfigError: one was not; the message says how to do it.
    """
    for notebook in sorted(TUTORIALS.glob("*.ipynb")):
        executed = EXECUTED / notebook.name
        if not executed.exists():
            message = f"{executed.relative_to(ROOT)} is missing: run `nox -s tutorials`, which executes the notebooks"
            raise ConfigError(message)
        if '"output_type": "error"' in executed.read_text(encoding="utf-8"):
            message = f"{executed.relative_to(ROOT)} ended with an error: see it, and run `nox -s tutorials` again"
            raise ConfigError(message)
        if code_of(executed) != code_of(notebook):
            message = f"{executed.relative_to(ROOT)} is of an older notebook: run `nox -s tutorials` again"
            raise ConfigError(message)


def literal(name: str) -> Any:
    """Return a literal of the test that keeps the floors."""
    for statement in ast.parse(FLOORS.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            return ast.literal_eval(statement.value)
    message = f"{FLOORS.relative_to(ROOT)} has no {name}"
    raise ConfigError(message)


class HouseDirective(SphinxDirective):
    """``{floors}`` and ``{doors}``: the two tables of ``tests/test_floors.py``, as tables."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        self.env.note_dependency(str(FLOORS))
        return [floors() if self.name == "floors" else doors()]


def floors() -> nodes.table:
    """Return the rooms, top floor first."""
    rows = [([str(number)], rooms) for number, rooms in reversed(list(enumerate(literal("FLOORS"), start=1)))]
    beside = [(["beside"], [room]) for room in literal("BESIDE")]
    return table(("Floor", "Rooms"), [*rows, *beside])


def doors() -> nodes.table:
    """Return which modules may import a library."""
    rows = [([library], sorted(modules)) for library, modules in literal("DOORS").items()]
    return table(("Library", "Only through"), rows)


def table(head: tuple[str, str], rows: Iterable[tuple[list[str], list[str]]]) -> nodes.table:
    """Return a table of two columns whose cells hold code words."""
    return table_of(head, [[words(cell) for cell in cells] for cells in rows], (1, 3))


def table_of(head: Sequence[str], rows: Iterable[Sequence[nodes.Node]], widths: Sequence[int]) -> nodes.table:
    """Return a table of any cells."""
    group = nodes.tgroup("", *(nodes.colspec(colwidth=width) for width in widths), cols=len(widths))
    group += nodes.thead("", row(*map(text, head)))
    group += nodes.tbody("", *(row(*cells) for cells in rows))
    return nodes.table("", group)


def text(words: str) -> nodes.paragraph:
    """Return a paragraph of plain words."""
    return nodes.paragraph(words, words)


def row(*cells: nodes.Node) -> nodes.row:
    """Return a row of a table."""
    return nodes.row("", *(nodes.entry("", cell) for cell in cells))


def words(names: list[str]) -> nodes.paragraph:
    """Return names as code, side by side."""
    paragraph = nodes.paragraph()
    for name in names:
        paragraph += [nodes.literal(name, name), nodes.Text(" ")]
    return paragraph


class FiguresDirective(SphinxDirective):
    """``{figures} ROW``: what was measured for a row; without one, where that was; ``:of:`` names another table."""

    optional_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"of": str}  # type: ignore[misc]

    def run(self) -> list[nodes.Node]:
        """Return a table, or the words that there is nothing to show yet."""
        path = FIGURES.with_stem(f"{FIGURES.stem}-{of}") if (of := self.options.get("of")) else FIGURES
        self.env.note_dependency(str(path))
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if not self.arguments:
            found = [line for line in lines if "machine" in line]
            return [machine_table(found[0])] if found else [text("Not measured yet.")]
        found = [line for line in lines if line.get("row") == self.arguments[0]]
        return [figures_table(found)] if found else [text("Not measured here.")]


def machine_table(line: dict[str, Any]) -> nodes.table:
    """Return where it was measured, with what, and how often."""
    facts = line["machine"] | {"size": f"{line['megabytes']} MB", "rounds": str(line["rounds"])}
    return table_of(("What", "Which"), [[text(name), text(said)] for name, said in facts.items()], (1, 3))


def figures_table(lines: list[dict[str, Any]]) -> nodes.table:
    """Return a line for each thing that was done, a column for each registry."""
    registries = list(dict.fromkeys(line["registry"] for line in lines))
    by_name: dict[str, dict[str, dict[str, Any]]] = {}
    for line in lines:
        by_name.setdefault(line["name"], {})[line["registry"]] = line
    rows = [
        [text(name), *(figure(found.get(one)) for one in registries), text(next(iter(found.values())).get("aim", ""))]
        for name, found in by_name.items()
    ]
    return table_of(("What", *(f"to {one}" for one in registries), "Aim"), rows, (3, *(3 for _ in registries), 2))


def figure(line: dict[str, Any] | None) -> nodes.paragraph:
    """Return a figure, the ratio to ours, and what else is known of it."""
    if line is None:
        return text("")
    rest = [f"{line['ratio']:.1f} times as long"] if "ratio" in line else []
    rest += [] if line.get("kept", True) else ["aim missed"]
    rest += [told(name, value) for name, value in line.get("more", {}).items()]
    main = worded(line["value"], line["unit"])
    return nodes.paragraph("", "", nodes.strong(main, main), nodes.Text("".join(f", {words}" for words in rest)))


def told(name: str, value: float) -> str:
    """Return a fact in words; its name begins with its unit."""
    unit, _, about = name.partition(" ")
    return f"{worded(value, unit)} {about}".strip()


def worded(value: float, unit: str) -> str:
    """Return a figure for people."""
    if unit == "seconds":
        return f"{value:.1f} s" if abs(value) >= 1 else f"{value * 1000:.0f} ms"
    if unit == "bytes":
        return f"{value / 1e6:.1f} MB"
    return f"{value:.2f} times" if unit == "times" else f"{value:.0f} {unit}"


class FieldsDirective(SphinxDirective):
    """``{fields}``: every key of a build-info, and its meaning."""

    def run(self) -> list[nodes.Node]:
        """Return a table."""
        rows = [[words([path]), marked(meaning)] for path, meaning in fields()]
        return [table_of(("Key", "Meaning"), rows, (2, 3))]


def marked(sentence: str) -> nodes.paragraph:
    """Return a paragraph of words, those in backticks as code."""
    pieces = enumerate(sentence.split("`"))
    return nodes.paragraph(
        "", "", *(nodes.literal(one, one) if place % 2 else nodes.Text(one) for place, one in pieces)
    )


def unlink_loopback(app: Sphinx, document: nodes.document) -> None:
    """Show the addresses of a sandbox that is gone as text: nobody can follow them."""
    del app
    for raw in list(document.findall(nodes.raw)):
        shown = re.sub(r'<a href="http://(?:127\.0\.0\.1|localhost)[^"]*">(.*?)</a>', r"<code>\1</code>", raw.astext())
        if shown != raw.astext():
            raw[:] = [nodes.Text(shown)]


def link_pages(app: Sphinx, name: str, source: list[str]) -> None:
    """Let a notebook link to pages from where it lies in the project: it is executed into a directory of the pages."""
    del app
    if name.startswith(f"{EXECUTED.name}/"):
        source[0] = source[0].replace("](../docs/", "](../")


def setup(app: Sphinx) -> None:
    """Check that there is something to show, register the tables, and unlink what is gone."""
    check_tutorials()
    gc.disable()  # a fifth of the time went into a search for garbage among trees that a build needs to its end
    app.connect("doctree-read", unlink_loopback)
    app.connect("source-read", link_pages)
    app.add_directive("floors", HouseDirective)
    app.add_directive("doors", HouseDirective)
    app.add_directive("figures", FiguresDirective)
    app.add_directive("fields", FieldsDirective)
