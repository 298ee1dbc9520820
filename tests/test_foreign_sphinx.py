"""The extension in a Sphinx project of the user's own, with pages in MyST or in reStructuredText."""

from __future__ import annotations

import re
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from mdit_py_plugins.myst_role import myst_role_plugin
from sphinx.cmd.build import build_main

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


def ended(directory):
    """Build the project as ``sphinx-build`` does, with warnings as errors; return its exit code and its warnings."""
    told = StringIO()
    with redirect_stderr(told):
        code = build_main(["-n", "-W", "--keep-going", "-q", "-b", "html", str(directory), str(directory / "out")])
    return code, re.sub(r"\x1b\[[0-9;]*m", "", told.getvalue())


def built(directory):
    """Build the project without a warning; return where the pages are."""
    assert ended(directory) == (0, "")
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


@pytest.fixture(scope="module")
def small_sites(tmp_path_factory):
    """Return the page with a card in a note, a link to it, and the card again, by markup."""
    shown = {}
    for kind in CONF:
        role = "{setting}`tags`" if kind == "md" else ":setting:`tags`"
        inner = directive(kind, "setting", "tags")
        note = f"````{{note}}\n{inner}````\n" if kind == "md" else ".. note::\n\n   " + inner
        again = directive(kind, "setting", "tags", ":no-index:")
        text = page(kind, "Mine", note, "", f"See {role}.", "", again)
        shown[kind] = built(written(tmp_path_factory.mktemp(kind), kind, index=text)) / "index.html"
    return shown


@pytest.mark.programs
@pytest.mark.parametrize("kind", CONF)
def test_links_to_settings_that_are_not_shown_are_words(kind, small_sites):
    shown = small_sites[kind].read_text(encoding="utf-8")
    assert "setting-repo" not in shown
    assert ">repo<" in shown


@pytest.mark.programs
@pytest.mark.parametrize("kind", CONF)
def test_one_setting_stands_in_a_note_and_links_lead_there(kind, small_sites):
    shown = small_sites[kind].read_text(encoding="utf-8")
    assert shown.count('id="setting-tags"') == 1
    assert 'href="#setting-tags"' in shown
    assert shown.count("Tags of the pushed image.") == 2


@pytest.mark.programs
@pytest.mark.parametrize("kind", CONF)
def test_a_project_gets_the_style_of_the_cards_and_no_file_that_it_did_not_ask_for(kind, small_sites):
    assert "buildpush-settings.css" in small_sites[kind].read_text(encoding="utf-8")
    site = small_sites[kind].parent
    assert "dl.setting-facts" in (site / "_static" / "buildpush-settings.css").read_text(encoding="utf-8")
    assert not list(site.glob("*.json"))


@pytest.mark.programs
def test_every_mistake_of_a_page_is_named(tmp_path):
    text = page("rst", "Mine", directive("rst", "setting", "tagz"), "", "See :setting:`tagz` and :setting:`tags`.")
    code, told = ended(written(tmp_path, "rst", index=text))
    assert code != 0
    for complaint in (
        "there is no setting 'tagz'; did you mean tags or target?",
        "setting reference target not found: tagz",
        "setting reference target not found: tags",
    ):
        assert complaint in told


@pytest.mark.programs
def test_a_file_that_is_not_made_here_is_named(tmp_path):
    directory = written(tmp_path, "rst", index=page("rst", "Mine"))
    with (directory / "conf.py").open("a", encoding="utf-8") as conf:
        conf.write("buildpush_write = ['steps.json']\n")
    code, told = ended(directory)
    assert code != 0
    assert "buildpush_write lists steps.json; the files it can list are settings" in told


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
