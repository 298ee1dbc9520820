"""The extension in a Sphinx project of the user's own, with pages in MyST or in reStructuredText."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from mdit_py_plugins.myst_role import myst_role_plugin

from buildpush.dockerfile import rules
from buildpush.expressions import methods
from buildpush.reference import cards
from buildpush.reference.cards import card_named
from buildpush.reference.facts import SECTIONS, sources
from buildpush.reference.markup import in_rst, tabs_in_rst
from buildpush.settings import plugin_variables

CONF = {
    "md": 'extensions = ["buildpush.sphinx_ext", "myst_parser"]\n',
    "rst": 'extensions = ["buildpush.sphinx_ext"]\n',
}
TABLES = ("settings-overview", "engines", "dockerfile-rules", "flags", "facts", "methods", "advice", "command-line")


def directive(kind, name, argument="", *options):
    if kind == "md":
        return "\n".join([f"```{{{name}}} {argument}", *options, "```", ""])
    return "\n".join([f".. {name}:: {argument}", *(f"   {option}" for option in options), ""])


def page(kind, title, *parts):
    head = f"# {title}\n" if kind == "md" else f"{title}\n{'=' * len(title)}\n"
    return "\n".join([head, *parts])


def settings(kind):
    """Return a page with every card, below one heading."""
    groups = [directive(kind, "settings", group, f":step: {step}") for step, group in cards.groups()]
    return page(kind, "Settings", *groups)


def tables(kind):
    return page(kind, "Tables", *(directive(kind, name) for name in TABLES))


def written(directory, kind, **pages):
    """Write a project with these pages."""
    (directory / "conf.py").write_text(CONF[kind] + 'project = "mine"\nexclude_patterns = ["out"]\n', encoding="utf-8")
    names = [name for name in pages if name != "index"]
    pages.setdefault("index", page(kind, "Mine", directive(kind, "toctree", "", "", *names)))
    for name, text in pages.items():
        (directory / f"{name}.{kind}").write_text(text, encoding="utf-8")
    return directory


def built(directory, builder="html"):
    """Build the project as a user would, with warnings as errors; return where the pages are."""
    command = [sys.executable, "-m", "sphinx", "-n", "-W", "--keep-going", "-q", "-b", builder, ".", "out"]
    ended = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return directory / "out"


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """Return the pages with everything, by markup; they were built without a warning."""
    places = {kind: tmp_path_factory.mktemp(kind) for kind in CONF}
    return {
        kind: built(written(place, kind, settings=settings(kind), tables=tables(kind)))
        for kind, place in places.items()
    }


def words_of(path):
    """Return the words of a page, without those around it."""
    main = path.read_text(encoding="utf-8").partition('role="main"')[2].partition('class="sphinxsidebar"')[0]
    return re.sub(r"<[^>]+>", " ", main).split()


@pytest.mark.programs
@pytest.mark.parametrize("kind", CONF)
def test_a_project_of_ones_own_shows_everything_and_links_to_it(sites, kind):
    text = (sites[kind] / "settings.html").read_text(encoding="utf-8")
    assert {card.anchor for card in cards.cards()} <= set(text.split('"'))
    assert 'href="settings.html#setting-tags"' in (sites[kind] / "tables.html").read_text(encoding="utf-8")


@pytest.mark.programs
@pytest.mark.parametrize("name", ["settings.html", "tables.html"])
def test_a_page_says_the_same_in_both_markups(sites, name):
    assert words_of(sites["rst"] / name) == words_of(sites["md"] / name)


@pytest.mark.programs
@pytest.mark.parametrize("kind", CONF)
def test_links_to_settings_that_are_not_shown_are_words(kind, tmp_path):
    text = page(kind, "Mine", directive(kind, "settings", "Image"))
    shown = (built(written(tmp_path, kind, index=text)) / "index.html").read_text(encoding="utf-8")
    assert 'id="setting-tags"' in shown
    assert 'href="#setting-registry"' not in shown
    assert ">registry<" in shown


@pytest.mark.programs
@pytest.mark.parametrize("kind", CONF)
def test_one_setting_stands_in_a_note_and_links_lead_there(kind, tmp_path):
    role = "{setting}`tags`" if kind == "md" else ":setting:`tags`"
    inner = directive(kind, "setting", "tags")
    note = f"````{{note}}\n{inner}````\n" if kind == "md" else ".. note::\n\n   " + inner
    again = directive(kind, "setting", "tags", ":no-index:")
    site = built(written(tmp_path, kind, index=page(kind, "Mine", note, "", f"See {role}.", "", again)))
    shown = (site / "index.html").read_text(encoding="utf-8")
    assert shown.count('id="setting-tags"') == 1
    assert 'href="#setting-tags"' in shown
    assert shown.count("Tags of the pushed image.") == 2


@pytest.mark.programs
def test_a_project_gets_the_style_of_the_cards_and_no_file_that_it_did_not_ask_for(tmp_path):
    site = built(written(tmp_path, "rst", index=page("rst", "Mine", directive("rst", "setting", "tags"))))
    assert "buildpush-settings.css" in (site / "index.html").read_text(encoding="utf-8")
    assert "dl.setting-facts" in (site / "_static" / "buildpush-settings.css").read_text(encoding="utf-8")
    assert not list(site.glob("*.json"))


@pytest.mark.programs
@pytest.mark.parametrize(
    ("configured", "text", "complaint"),
    [
        (
            "buildpush_write = ['steps.json']",
            "",
            "buildpush_write lists steps.json; the files it can list are settings",
        ),
        ("", directive("rst", "setting", "tagz"), "there is no setting 'tagz'; did you mean tags or target?"),
        ("", ":setting:`tagz`", "setting reference target not found: tagz"),
        ("", ":setting:`tags`", "setting reference target not found: tags"),
    ],
    ids=["file", "card", "link", "link to a card that is not shown"],
)
def test_a_mistake_of_the_project_is_named(configured, text, complaint, tmp_path):
    directory = written(tmp_path, "rst", index=page("rst", "Mine", text))
    with (directory / "conf.py").open("a", encoding="utf-8") as conf:
        conf.write(configured)
    command = [sys.executable, "-m", "sphinx", "-n", "-W", "-q", "-b", "html", ".", "out"]
    ended = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert complaint in ended.stderr


# ---- the two constructs

WORDS = [
    *(text for card in cards.cards() for text in (card.sentence, card.text) if text),
    *(rule.sentence for rule in rules.RULES),
    *rules.BUILDERS_WITHOUT.values(),
    *(row.verdict for rows in plugin_variables.SECTIONS.values() for row in rows),
    *(text for rows in SECTIONS.values() for name, row in rows.items() for text in (row.meaning, sources(name))),
    *methods.METHODS,
]
CONSTRUCTS = {"paragraph_open", "paragraph_close", "inline", "text", "softbreak", "code_inline", "myst_role"}


def constructs(text):
    """Return the constructs of MyST in a text, and the names of its roles."""
    tokens = MarkdownIt("commonmark").use(myst_role_plugin).parse(text)
    inner = [child for token in tokens for child in token.children or ()]
    return {token.type for token in (*tokens, *inner)}, {one.meta["name"] for one in inner if one.type == "myst_role"}


def test_words_that_become_rst_have_code_and_settings_and_no_third_construct():
    third = {text for text in WORDS if constructs(text)[0] - CONSTRUCTS or constructs(text)[1] - {"setting"}}
    assert not third


@pytest.mark.parametrize("text", ["*strong*", "- item", "[link](a.md)", "{ref}`a`", "a\n\n> b", "<b>"])
def test_a_third_construct_is_seen(text):
    kinds, roles = constructs(text)
    assert kinds - CONSTRUCTS or roles - {"setting"}


def test_markup_touches_letters_and_what_is_special_in_rst_is_plain():
    assert in_rst("a{setting}`tags`s, `x`es, A_ *b|") == r"a\ :setting:`tags`\ s, \ ``x``\ es, A\_ \*b\|"


def test_tabs_in_rst_hold_the_examples_line_by_line():
    text = tabs_in_rst(card_named("tags").examples)
    assert "   :sync-group: surface" in text
    for surface, example in card_named("tags").examples.items():
        assert f"   .. tab-item:: {surface}\n      :sync: {surface.lower()}\n" in text
        assert all(f"         {line}" in text for line in example.splitlines())


def test_the_style_of_the_cards_styles_nothing_else_of_a_site():
    text = (Path(cards.__file__).parent / "static" / "buildpush-settings.css").read_text(encoding="utf-8")
    selectors = [line.partition("{")[0] for line in text.splitlines() if "{" in line and not line.startswith("@")]
    ours = ("setting", "honoured-by", "engines-matrix")
    assert [one for one in selectors if not any(word in one for word in ours)] == []
