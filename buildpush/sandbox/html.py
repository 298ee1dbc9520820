"""Builds HTML: everything but elements is escaped, and known secrets become stars."""

# Flags of other programs in this module's texts: any

from __future__ import annotations

from html import escape

from buildpush.foundation.secrets import redact

VOID = frozenset({"meta", "link", "br"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, /, *children: object, **attributes: str) -> Markup:
    """Return an element; ``class_`` becomes ``class``, and children that are ``None`` are left out."""
    words = "".join(f' {key.rstrip("_").replace("_", "-")}="{_text(value)}"' for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{name}{words}>")
    return Markup(f"<{name}{words}>{joined(*children)}</{name}>")


def joined(*children: object) -> Markup:
    """Return pieces of content joined."""
    return Markup("".join(_text(child) for child in children if child is not None))


def _text(child: object) -> str:
    return child if isinstance(child, Markup) else escape(redact(str(child)))


def link(address: str, text: object) -> Markup:
    """Return a link; without one, only the text, if the address is neither ours nor on the web."""
    if not address.startswith(("/", "http://", "https://")):
        return joined(text)
    return element("a", text, href=address)


def table(head: tuple[str, ...], rows: list[tuple[object, ...]], empty: str) -> Markup:
    """Return a table that scrolls on narrow screens, or the sentence *empty* if it has no rows."""
    if not rows:
        return element("p", empty, class_="empty")
    top = element("tr", *(element("th", name, scope="col") for name in head))
    body = joined(*(element("tr", *(element("td", cell) for cell in row)) for row in rows))
    inner = element("table", element("thead", top), element("tbody", body))
    return element("div", inner, class_="scroll", tabindex="0", role="region", aria_label=" ".join(head))


def facts(pairs: list[tuple[str, object]]) -> Markup:
    """Return a list of names and values, without empty values."""
    filled = [(name, value) for name, value in pairs if value is not None and value != ""]
    return element("dl", *(joined(element("dt", name), element("dd", value)) for name, value in filled))


def code(text: object) -> Markup:
    """Return text in a fixed-width font that may break anywhere."""
    return element("code", text)


def page(title: str, *content: object) -> str:
    """Return a complete page."""
    navigation = element(
        "nav",
        element("a", "buildpush ", element("span", "sandbox"), href="/ui/", class_="brand"),
        element("a", "Repositories", href="/ui/repositories/"),
        element("a", "Builds", href="/ui/builds/"),
    )
    head = joined(
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("link", rel="icon", href="data:,"),
        element("title", f"{title} · buildpush sandbox"),
        Markup(f"<style>{STYLE}</style>"),
    )
    body = element("body", element("header", navigation), element("main", *content))
    return f"<!doctype html>{element('html', element('head', head), body, lang='en')}"


STYLE = """
:root{--ink:#1b2430;--soft:#5b6777;--line:#dfe4ea;--paper:#fff;--ground:#f5f7f9;--accent:#0b6e4f;--tint:#e6f3ee;
--shade:#0003}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaef;--soft:#9aa6b5;--line:#2b3440;--paper:#171d25;--ground:#10151b;
--accent:#5fd0a5;--tint:#18352b;--shade:#fff3}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
header{background:var(--paper);border-bottom:1px solid var(--line)}
nav,main{max-width:64rem;margin:0 auto;padding:0 1.25rem}
nav{display:flex;flex-wrap:wrap;gap:.25rem 1.2rem;align-items:center;min-height:3.5rem}
nav a{color:var(--soft);text-decoration:none;padding:.4rem 0}nav a:hover{color:var(--accent)}
.brand{font-weight:650;color:var(--ink);margin-right:auto}.brand span{color:var(--accent)}
main{padding-top:1.75rem;padding-bottom:4rem}
h1{font-size:1.7rem;line-height:1.25;margin:0 0 .35rem;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:2.25rem 0 .75rem}h3{font-size:1rem;margin:1.5rem 0 .5rem;overflow-wrap:anywhere}
p{margin:.25rem 0 1rem}.lead,.empty{color:var(--soft)}
a{color:var(--accent);text-underline-offset:.2em}
.card{background:var(--paper);border:1px solid var(--line);border-radius:.6rem;padding:1rem 1.25rem;margin:0 0 1rem}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:.6rem;background:
linear-gradient(90deg,var(--paper) 40%,transparent) left/3rem 100% no-repeat local,
linear-gradient(270deg,var(--paper) 40%,transparent) right/3rem 100% no-repeat local,
linear-gradient(90deg,var(--shade),transparent) left/.9rem 100% no-repeat,
linear-gradient(270deg,var(--shade),transparent) right/.9rem 100% no-repeat,var(--paper)}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.55rem .9rem;vertical-align:top}
th{font-size:.8rem;font-weight:600;color:var(--soft);white-space:nowrap}
tbody tr{border-top:1px solid var(--line)}
code,pre{font:.86em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
code{overflow-wrap:anywhere}td{min-width:4.5rem}td:has(code){min-width:9.5rem}
@media(min-width:40.01rem){td{overflow-wrap:anywhere}}
.card>h3:first-child{margin-top:0}.card dl{margin:.2rem 0}
pre{margin:0;padding:.9rem 1.1rem;overflow-x:auto;background:var(--tint);border-radius:.6rem}
dl{display:grid;grid-template-columns:fit-content(45%) minmax(0,1fr);gap:.4rem 1.5rem;margin:0}
dt{color:var(--soft);overflow-wrap:anywhere}dd{margin:0;overflow-wrap:anywhere;white-space:pre-line}
details{margin:.9rem 0}summary{cursor:pointer;color:var(--accent);margin-bottom:.5rem}
.tag{display:inline-block;background:var(--tint);color:var(--accent);border-radius:.4rem;
padding:.05rem .5rem;margin:.1rem .3rem .1rem 0}
a.tag{text-decoration:none}a.tag:hover{text-decoration:underline}
@media(max-width:40rem){td code{overflow-wrap:normal;white-space:nowrap}nav{font-size:.9rem;gap:.25rem .75rem}
nav,main{padding-left:1rem;padding-right:1rem}dl{grid-template-columns:minmax(0,1fr);gap:.1rem}dd{margin-bottom:.6rem}
main{padding-top:1.25rem}h1{font-size:1.4rem}}
"""
