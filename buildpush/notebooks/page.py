"""An executed notebook as one HTML page: no script, no request, readable on a telephone."""

# Flags of other programs in this module's texts: any

from __future__ import annotations

import html
from collections.abc import Mapping
from string import Template
from typing import TYPE_CHECKING, Any

from buildpush.foundation.controls import without_controls

if TYPE_CHECKING:
    from nbformat import NotebookNode

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>$title</title>
<style>
:root { color-scheme: light dark; --line: light-dark(#e2e5e8, #33383d); --soft: light-dark(#f6f8f9, #1d2125);
  --text: light-dark(#1b2228, #dfe4e8); --quiet: light-dark(#5b6670, #98a3ad); --accent: light-dark(#0b6b63, #5fd4c4); }
body { margin: 0 auto; max-width: 50rem; padding: 1.5rem 1rem 4rem; font: 16px/1.6 system-ui, sans-serif;
  color: var(--text); background: light-dark(#fff, #15181b); overflow-wrap: break-word; }
h1, h2, h3 { line-height: 1.25; margin: 2rem 0 .6rem; } h1 { margin-top: .5rem; }
a { color: var(--accent); }
pre, code { font: 13.5px/1.5 ui-monospace, Menlo, Consolas, monospace; }
pre { margin: 0; padding: .7rem .9rem; overflow-x: auto; }
p code, li code, td code { background: var(--soft); border-radius: .25rem; padding: .1rem .3rem; }
.in { background: var(--soft); border-left: 3px solid var(--accent); border-radius: .3rem; margin: .8rem 0 0; }
.in.given { border-color: #f59e0b; } .in.given::before { content: "given when it was run"; display: block;
  padding: .4rem .9rem 0; font-size: .8rem; color: var(--quiet); }
.out { border: 1px solid var(--line); border-top: 0; border-radius: 0 0 .3rem .3rem; margin-bottom: .8rem;
  overflow-x: auto; } .out > *:not(pre) { padding: .5rem .9rem; }
.out .error { color: light-dark(#9a3412, #fdba74); }
table { border-collapse: collapse; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); }
footer { margin-top: 3rem; font-size: .85rem; color: var(--quiet); }
$colours
</style>
</head>
<body>
$body
<footer>$footer</footer>
</body>
</html>
""")
_IMAGES = ("image/png", "image/jpeg")


def page_of(notebook: NotebookNode, name: str) -> str:
    """Return the page of an executed notebook called *name*."""
    from pygments.formatters import HtmlFormatter

    light = HtmlFormatter(style="friendly", nobackground=True).get_style_defs(".in")
    dark = HtmlFormatter(style="github-dark", nobackground=True).get_style_defs(".in")
    body = "\n".join(html_of(cell) for cell in notebook.cells)
    return _PAGE.substitute(
        title=html.escape(_title(notebook, name)),
        colours=f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}",
        body=body,
        footer=_footer(notebook, name),
    )


def _title(notebook: NotebookNode, name: str) -> str:
    first = notebook.cells[0].source.splitlines() if notebook.cells else []
    return str(first[0].lstrip("# ")) if first and first[0].startswith("# ") else name


def _footer(notebook: NotebookNode, name: str) -> str:
    ran = notebook.metadata.get("papermill", {})
    when = f", {ran['start_time'][:16].replace('T', ' ')} UTC" if ran.get("start_time") else ""
    return html.escape(f"{name}{when}, executed by papermill {ran.get('version', '')}")


def html_of(cell: NotebookNode) -> str:
    """Return what the page shows of one cell."""
    if cell.cell_type == "markdown":
        return _markdown(cell.source)
    given = " given" if "injected-parameters" in cell.metadata.get("tags", []) else ""
    outputs = "".join(_output(output) for output in cell.get("outputs", []))
    output = f'<div class="out">{outputs}</div>' if outputs else ""
    return f'<div class="in{given}">{_code(cell.source)}</div>{output}'


def _markdown(text: str) -> str:
    from markdown_it import MarkdownIt

    # papermill marks a failed cell with a line of HTML; as text it would only confuse.
    return str(MarkdownIt("commonmark", {"html": text.startswith("<span")}).enable("table").render(text))


def _code(source: str) -> str:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return str(highlight(source, PythonLexer(), HtmlFormatter()))


def _output(output: NotebookNode) -> str:
    if output.output_type == "stream":
        return _text("".join(output.text))
    if output.output_type == "error":
        return _text("\n".join(output.traceback), "error")
    return _data(output.data)


def _data(data: Mapping[str, Any]) -> str:
    """Return the richest form of a result that needs no script."""
    if "text/html" in data:
        return f"<div>{_joined(data['text/html'])}</div>"
    if "image/svg+xml" in data:
        return f"<div>{_joined(data['image/svg+xml'])}</div>"
    for kind in _IMAGES:
        if kind in data:
            return f'<div><img alt="" src="data:{kind};base64,{html.escape(data[kind].strip())}"></div>'
    if "text/markdown" in data:
        return f"<div>{_markdown(_joined(data['text/markdown']))}</div>"
    return _text(_joined(data.get("text/plain", "")))


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def _text(text: str, name: str = "") -> str:
    attribute = f' class="{name}"' if name else ""
    return f"<pre{attribute}>{html.escape(without_controls(text))}</pre>"
