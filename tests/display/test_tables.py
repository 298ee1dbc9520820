"""What notebooks show of results: the same facts in each form, and nothing that a page or a theme breaks."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from buildpush.artifactory.answers import Message, NamedBuild, PublishedRun
from buildpush.artifactory.difference import BuildDifference, Change
from buildpush.artifactory.document import Artifact, BuildInfo, Module
from buildpush.artifactory.promotion import Promoted
from buildpush.display.tables import Cell, Listing, Table, html_of, markdown_of, text_of
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.secrets import MASK, Secret
from buildpush.images.model import Platform, PushedBlob, PushedImage
from buildpush.images.references import Digest, Reference
from buildpush.pipeline.plan import SkippedStep
from buildpush.pipeline.results import PipelineResult, RunResult
from buildpush.pipeline.verification import Verification
from buildpush.settings.contents import ContentsEntry
from buildpush.settings.tree import Loaded, Step
from buildpush.settings.written import Origin, WrittenValue

SECRET = "planted-in-a-table"
TEXTS = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1, max_size=12)


class Reader(HTMLParser):
    """What a reader sees of HTML: the texts of its cells, row by row; and its tags."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.tags, self.styles = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
        if tag == "br":
            self.rows[-1][-1] += "\n"

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip("\n")


def words(rows):
    return [[cell.split() for cell in row] for row in rows]


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4), st.booleans())
def test_each_form_has_the_same_facts(rows, has_head):
    table = Table(rows, ("what", "value") if has_head else ())
    page = Reader(html_of([table])).rows
    shown = Reader(MarkdownIt("commonmark").enable("table").render(markdown_of([table]))).rows
    text = [line.split() for line in text_of([table]).splitlines()]
    assert words(page[has_head:]) == words(shown[1:])
    assert text[has_head:] == [[*map(str, row)] for row in rows]
    assert [value for row in page[has_head:] for value in row[1].split("\n")] == [value for _, value in rows]


def test_values_of_one_label_stand_in_one_cell_so_that_no_head_is_empty():
    rows = Reader(html_of([Table([("image", "a"), ("image", "b"), ("time", "1 s")])])).rows
    assert rows == [["image", "a\nb"], ["time", "1 s"]]


def test_each_cell_is_aligned_where_classes_and_styles_of_the_page_are_lost():
    shown = html_of([Table([("a", Cell("5", 0.5, 0.25))], ("name", "size"), "all", numbers=("size",))])
    cells = [attributes for tag, attributes in Reader(shown).tags if tag in {"td", "th"}]
    assert [cell["align"] for cell in cells] == ["left", "right"] * 2
    assert all(f"text-align:{cell['align']}" in cell["style"] for cell in cells)
    assert not re.search(r"class=|<style|<svg|var\(|[;\"]color:", shown)


def test_a_bar_is_as_long_as_its_share_and_stands_below_the_word():
    shown = html_of([Table([("a", Cell("sent", 0.5, 0.25, "#123456"))], ("name", "how"))])
    assert shown.index("sent") < shown.index("width:2.25em") < shown.index("width:4.50em;background:#123456")
    assert "background:#" not in html_of([Table([("a", Cell("sent"))], ("name", "how"))])


def test_an_address_is_a_link_and_a_name_is_monospace_and_a_sentence_is_neither():
    shown = html_of([Table([("a", "https://h.test/x?a=1&b"), ("b", "h.test/app:1"), ("c", "it is https://h.test")])])
    assert '<a href="https://h.test/x?a=1&amp;b">' in shown
    assert '<span style="font-family:monospace">h.test/app:1</span>' in shown
    assert shown.count("<a ") == shown.count("<span ") == 1


@pytest.mark.parametrize("value", ["javascript:alert(1)", "https://h.test/<script>", 'https://h.test/"onclick="x'])
def test_foreign_text_is_neither_a_tag_nor_an_attribute(value):
    for form in (html_of, markdown_of):
        page = form([Table([(value, value)], caption=value)])
        page = page if form is html_of else MarkdownIt("commonmark").enable("table").render(page)
        tags = Reader(page).tags
        assert not [tag for tag, attributes in tags if tag == "script" or "onclick" in attributes]
        assert not [one for _, one in tags if not one.get("href", "https:").startswith("https:")]


def digest(letter):
    return Digest(f"sha256:{letter * 64}")


IMAGE = PushedImage(
    references=(Reference.parse("h.test/app:1"),),
    digest=digest("a"),
    media_type="m",
    manifest=b"",
    config_document=b"",
    config=PushedBlob(digest("b"), 7, "c"),
    layers=(PushedBlob(digest("c"), 4_000_000, "l"), PushedBlob(digest("d"), 1_000_000, "l", fate="exists")),
    platform=Platform("linux", "amd64"),
)


def loaded(text):
    written = WrittenValue(text, Origin("file", "step.yml:3", text))
    return Loaded((Step("one", "One", "Plugin", {"tags": written}, "step.yml:1"),), (text,))


def info(text):
    files = (Artifact("manifest.json", "app/1/manifest.json", "docker-local", "f" * 64),)
    return BuildInfo(
        name="shop",
        number="7",
        started=datetime(2026, 1, 1, tzinfo=UTC),
        modules=(Module("app:1", artifacts=files),),
        url=text,
    )


RESULTS = {
    "RunResult": lambda text: RunResult(step="s", pushed=IMAGE, output=text),
    "PipelineResult": lambda text: PipelineResult((RunResult(step="s", failed=text, seconds={"build": 1.0}),)),
    "SkippedStep": lambda text: SkippedStep(Step("one", "One", "Run", {}, "step.yml:1"), text),
    "Loaded": loaded,
    "BuildInfo": info,
    "BuildDifference": lambda text: BuildDifference("shop 6", "shop 7", (Change("environment", "A", "", text),), 2),
    "Promoted": lambda text: Promoted("shop", "7", "prod", "ok", 3, (Message("info", text),)),
    "Verification": lambda text: Verification(Reference.parse("h.test/app:1"), digest("a"), problems=(text,)),
    "SettingsError": lambda text: SettingsError("not a tag", hint=text, setting="tags"),
    "builds": lambda text: Listing((NamedBuild("shop", text),)),
    "runs": lambda text: Listing((PublishedRun("7", text),)),
    "entries": lambda text: Listing((ContentsEntry("step", "one", text, "Run", "p.yml:1", False, 1),)),
    "plans": lambda text: Listing((SkippedStep(Step("one", "One", "Run", {}, "step.yml:1"), text),)),
}


def forms(shown):
    parts = []
    shown._repr_pretty_(SimpleNamespace(text=parts.append), False)
    return [shown._repr_html_(), shown._repr_markdown_(), *parts]


@pytest.mark.parametrize("make", RESULTS.values(), ids=RESULTS)
def test_each_result_shows_its_facts_in_each_form_and_no_secret(make):
    assert all("found-here" in form for form in forms(make("found-here")))
    Secret(SECRET)
    assert all(SECRET not in form and MASK in form.replace("\\", "") for form in forms(make(SECRET)))


def test_a_list_without_members_says_so():
    assert all("nothing" in form for form in forms(Listing(())))


def test_a_list_is_still_a_tuple():
    assert Listing((1, 2)) == (1, 2)


def test_the_password_in_an_address_is_not_shown_where_it_is_written():
    shown = "".join(forms(loaded("https://ann:swordfish@h.test/x")))
    assert "swordfish" not in shown
    assert "h.test/x" in shown


def test_a_push_shows_each_layer_with_its_size_and_what_happened_to_it():
    rows = Reader(forms(RunResult(step="s", pushed=IMAGE))[0]).rows
    assert ["layer of linux/amd64", "size", "what happened"] in rows
    assert ["sha256:cccccccccccc", "4.0 MB", "sent"] in rows
    assert ["sha256:dddddddddddd", "1.0 MB", "already there"] in rows
