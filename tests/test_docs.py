"""The documentation is built, and then asked questions."""

from __future__ import annotations

import json
import posixpath
import re
import runpy
from html.parser import HTMLParser

import pytest
from docutils import nodes
from docutils.utils import new_document
from sphinx.errors import ConfigError
from sphinx.util.inventory import InventoryFile

import buildpush
from buildpush.reference import cards
from buildpush.reference.cards import card_named
from tests.browser import BROWSER, page_in_browser
from tests.documentation import ROOT, WITHOUT_TEXT, copy_sources

pytestmark = [pytest.mark.programs, pytest.mark.xdist_group("site")]


class Page(HTMLParser):
    """Ids and links of one page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        said = dict(attrs)
        self.ids |= {said[name] for name in ("id", "name") if said.get(name)}
        self.links += [said[name] for name in ("href", "src") if said.get(name)]


@pytest.fixture(scope="module")
def pages(site):
    return {path.relative_to(site).as_posix(): Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


@pytest.fixture(scope="module")
def texts(site):
    return [path.read_text(encoding="utf-8") for path in site.rglob("*.html")]


def test_no_link_inside_the_site_is_dead(site, pages):
    dead = []
    for name, page in pages.items():
        for link in page.links:
            if re.match(r"[a-z]+:|//", link):
                continue
            path, _, anchor = link.partition("#")
            target = (site / name).parent / path.partition("?")[0] if path else site / name
            known = pages.get(target.resolve().relative_to(site.resolve()).as_posix())
            if not target.exists() or (known and anchor and anchor not in known.ids):
                dead.append(f"{name}: {link}")
    assert not dead


def test_every_page_is_in_the_navigation_beside_every_page(site, pages):
    written = {name for name in pages if name not in WITHOUT_TEXT}
    for name in pages:
        beside = (site / name).read_text(encoding="utf-8").partition('class="sidebar-tree"')[2].partition("</aside>")[0]
        linked = {(site / name).parent / link for link in Page(beside).links if link not in {"", "#"}}
        assert {path.resolve() for path in linked} >= {(site / one).resolve() for one in written - {name, "index.html"}}


def test_what_the_theme_leaves_out_for_those_who_read_by_ear_or_keyboard_is_there(site):
    for path in site.rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        assert "<pre>" not in page
        assert '<div class="table-wrapper' not in page
        assert page.count('role="heading"') == page.count('role="heading" aria-level="2"') > 0
        assert page.count("<aside") == page.count("<aside aria-label=") + page.count('aria-label="Pages"') == 2


def test_every_public_name_can_be_linked_to_by_other_projects_as_it_is_imported(site):
    with (site / "objects.inv").open("rb") as file:
        kinds = InventoryFile.load(file, "", posixpath.join)
    known = {name for kind, names in kinds.items() if kind.startswith("py:") for name in names}
    assert {f"buildpush.{name}" for name in buildpush.__all__ if name != "__version__"} <= known


@pytest.mark.parametrize("name", sorted({*buildpush.__all__} - {"__version__"}))
def test_every_public_name_has_its_own_sentence(name, texts):
    begin = rf'<dt[^>]* id="buildpush.{name}">(?:(?!<dd>).)*<dd>'
    found = [match for text in texts if (match := re.search(begin + r"<p>(.*?)</p>", text, re.DOTALL))]
    assert found
    assert not re.match("Represent a PEP|alias of", found[0][1])  # what Python and Sphinx say of any type


def test_every_setting_has_its_card_on_one_of_the_pages_by_group(pages):
    shown = [anchor for name, page in pages.items() if name.startswith("settings/") for anchor in page.ids]
    anchors = {card.anchor for card in cards.cards()}
    assert sorted(anchor for anchor in shown if anchor in anchors) == sorted(anchors)


def test_a_link_to_a_card_when_all_stood_on_one_page_leads_to_the_row_with_its_link(site):
    page = (site / "settings.html").read_text(encoding="utf-8")
    for card in cards.cards():
        row = page.partition(f'id="{card.anchor}"')[2].partition("</tr>")[0]
        assert re.search(rf'href="settings/[a-z-]+\.html#{card.anchor}"', row), card.name


def test_links_to_headings_when_all_cards_stood_on_one_page_still_lead_somewhere(pages):
    groups = {nodes.make_id(card.group) for card in cards.cards() if card.step == "build"}
    assert groups | {"the-publish-step", "the-upload-step", "the-upload-plugin"} <= pages["settings.html"].ids


def test_with_javascript_an_old_link_goes_on_to_the_card(site, tmp_path, need):
    need(BROWSER or "chromium")
    shown = page_in_browser(BROWSER, f"{(site / 'settings.html').as_uri()}#setting-publish-url", tmp_path)
    assert "<title>Settings of the publish step" in shown


def test_every_command_is_on_the_page_of_the_command_line(pages):
    from buildpush.cli import group

    names = [name for name in group.list_commands(None) if name != "build-info"]
    assert {f"command-{name}" for name in names} <= pages["command-line.html"].ids


def test_the_architecture_page_shows_the_tables_that_the_tests_keep(site):
    page = (site / "architecture.html").read_text(encoding="utf-8")
    for word in ("subprocess", "ruamel", "pipeline", "sphinx_ext", "sandbox"):
        assert f">{word}<" in page


def test_programs_find_cards_and_schemas_beside_the_pages(site):
    beside = json.loads((site / "settings.json").read_text(encoding="utf-8"))
    assert beside == [json.loads(json.dumps(card.as_json())) for card in cards.cards()]
    assert {"step.schema.json", "settings.schema.json"} <= {path.name for path in site.iterdir()}


def test_a_card_shows_every_spelling_of_its_setting(site):
    page = (site / "settings" / "build.html").read_text(encoding="utf-8")
    card = page.partition('id="setting-build-args"')[2].partition("</section>")[0]
    shown = card_named("build_args")
    for word in (shown.yaml, *shown.variables, *shown.flags, shown.kind, *shown.engines):
        assert word in card


def test_the_overview_is_complete_without_javascript(site):
    page = (site / "settings.html").read_text(encoding="utf-8")
    table = page.partition("settings-overview")[2].partition("</table>")[0]
    assert table.count("<tr") == len(cards.cards()) + 1
    assert "hidden" not in table


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda path: path.unlink(), "is missing: run `nox -s tutorials`"),
        (lambda path: path.write_text(path.read_text().replace("repository", "repo")), "is of an older notebook"),
        (lambda path: path.write_text(path.read_text().replace('"stream"', '"error"')), "ended with an error"),
    ],
    ids=["missing", "stale", "failed"],
)
def test_the_build_stops_unless_every_tutorial_was_executed_as_it_stands(spoil, complaint, tmp_path):
    copy_sources(tmp_path)
    executed = tmp_path / "docs" / "_executed" / "01-first-push.ipynb"
    notebook = json.loads(executed.read_text())
    notebook["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ""}]
    executed.write_text(json.dumps(notebook))
    spoil(executed)
    with pytest.raises(ConfigError, match=complaint):
        runpy.run_path(str(tmp_path / "conf.py"))["setup"](None)


def test_every_table_of_a_page_has_a_heading():
    """A row after an empty line is no row of the table above it, but text with bars."""
    for page in (ROOT / "docs").rglob("*.md"):
        for block in re.split(r"\n\s*\n", page.read_text(encoding="utf-8")):
            rows = [line for line in block.split("\n") if line.startswith("|")]
            has_heading = len(rows) > 1 and re.fullmatch(r"\|(?: ?:?-+:? ?\|)+", rows[1])
            assert has_heading or not rows, f"{page.name}: {rows[0]}"


def test_the_readme_shows_the_step_as_the_example_has_it():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    step = (ROOT / "examples" / "site" / "step.yml").read_text(encoding="utf-8")
    shown = readme.partition("```yaml\n")[2].partition("```")[0]
    assert shown in step


def test_links_to_a_sandbox_that_is_gone_are_text():
    document = new_document("try")
    link = '<td><a href="{0}">{0}</a></td>'
    for address in ("http://127.0.0.1:4711/ui/builds/a/1", "https://acme.jfrog.io/ui/builds/a/1"):
        document += nodes.raw("", link.format(address), format="html")
    runpy.run_path(str(ROOT / "conf.py"))["unlink_loopback"](None, document)
    shown = [raw.astext() for raw in document.findall(nodes.raw)]
    assert shown[0] == "<td><code>http://127.0.0.1:4711/ui/builds/a/1</code></td>"
    assert shown[1] == link.format("https://acme.jfrog.io/ui/builds/a/1")
