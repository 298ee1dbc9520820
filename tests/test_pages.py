"""Every page of the site in a browser: by ear, on a telephone, in the dark, without scripts, and what is copied."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.browser import BROWSER, TELEPHONE
from tests.documentation import NAMES, WITHOUT_TEXT

pytestmark = [pytest.mark.programs, pytest.mark.xdist_group("site")]

# Each page is opened once, for all its tests.
each_page = pytest.mark.parametrize("seen", NAMES, indirect=True)

# Words are read in the light and in the dark once for each look: that of their element and of all around it. What
# there are many of on a page is asked about three times, unless something in it looks new.
LOOKS = """looks => {
    const known = new Set(looks);
    const look = one => one === document.body ? "" : look(one.parentElement) + ">" + one.localName + "."
        + one.className + (one.getAttribute("style") ?? "");
    const fresh = new Map();
    for (const one of document.querySelectorAll("body *")) {
        const worded = [...one.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
        if (worded && one.checkVisibility() && !known.has(look(one)) && !fresh.has(look(one)))
            fresh.set(look(one), one);
    }
    window.fresh = [...fresh.values()];
    const alike = "tr:nth-of-type(n+4), dl.py:nth-of-type(n+4), section.setting:nth-of-type(n+4), .indextable li + li";
    for (const one of document.querySelectorAll(alike))
        if (!window.fresh.some(fresh => one.contains(fresh))) one.remove();
    return [...fresh.keys()]; }"""
FRESH_ALONE = """() => {
    for (const one of document.querySelectorAll("body *"))
        if (!window.fresh.some(fresh => fresh.contains(one) || one.contains(fresh))) one.remove(); }"""
VIOLATIONS = """options => axe.run(document, {resultTypes: ["violations"], ...options}).then(found =>
    found.violations.flatMap(rule => rule.nodes.map(node => `${rule.id}: ${node.html.slice(0, 120)}`)))"""
CONTRAST = {"runOnly": ["color-contrast"]}
ALL_ELSE = {"rules": {"color-contrast": {"enabled": False}}}
# What scrolls is to be reached by Tab, itself or something in it.
OUT_OF_REACH = """[...document.querySelectorAll("article *")].filter(one => one.scrollWidth > one.clientWidth + 1
    && /auto|scroll/.test(getComputedStyle(one).overflowX)
    && !one.matches("[tabindex]") && !one.querySelector("a[href], [tabindex], button, input")
    ).map(one => `cannot be reached by Tab: ${one.outerHTML.slice(0, 120)}`)"""
HEADINGS = "[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(one => +one.localName[1])"
PICTURES = """[...document.querySelectorAll("article img, article svg[role=img]")].map(one =>
    one.getAttribute("alt") ?? one.getAttribute("aria-label") ?? "")"""
COPY = """async block => {
    block.querySelector("button.copybtn").click();
    await new Promise(done => setTimeout(done, 0));
    return navigator.clipboard.readText(); }"""


@dataclass(frozen=True)
class Seen:
    """What a page is, and does, in a browser."""

    violations: list[str]
    width: int
    headings: list[int]
    pictures: list[str]
    copied: dict[str, str]


@pytest.fixture(scope="module")
def browser(need):
    need(BROWSER or "chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        yield started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])


@pytest.fixture(scope="module")
def looks():
    """Return the looks that words were read in, on all pages so far."""
    return set()


@pytest.fixture(scope="module")
def window(browser):
    return browser.new_context(permissions=["clipboard-read", "clipboard-write"]).new_page()


@pytest.fixture(scope="module")
def seen(request, window, site, looks):
    window.set_viewport_size({"width": 1280, "height": 900})
    window.emulate_media(color_scheme="light")
    window.goto((site / request.param).as_uri())
    copied = {one.inner_text(): one.evaluate(COPY) for one in window.query_selector_all("div.highlight-console")}
    headings, pictures = window.evaluate(HEADINGS), window.evaluate(PICTURES)
    violations = window.evaluate(OUT_OF_REACH)
    window.set_viewport_size({"width": TELEPHONE, "height": 800})
    width = window.evaluate("document.documentElement.scrollWidth")
    violations += window.evaluate(OUT_OF_REACH)
    window.set_viewport_size({"width": 1280, "height": 900})
    return Seen(violations + hindrances(window, looks), width, headings, pictures, copied)


def hindrances(window, looks):
    """Return what axe finds on the page, of which little is left afterwards."""
    window.add_style_tag(content="* { transition: none !important }")  # words change their colour at once
    window.evaluate(axe())
    fresh = window.evaluate(LOOKS, sorted(looks))
    looks.update(fresh)
    violations = window.evaluate(VIOLATIONS, ALL_ELSE)
    if fresh:
        window.evaluate(FRESH_ALONE)
        violations += window.evaluate(VIOLATIONS, CONTRAST)
        window.emulate_media(color_scheme="dark")
        violations += window.evaluate(VIOLATIONS, CONTRAST)
    return violations


def axe() -> str:
    """Return the script that finds what hinders people; it is part of a package for tests, which is not imported."""
    return (Path(importlib.util.find_spec("axe_playwright_python").origin).parent / "axe.min.js").read_text("utf-8")


@each_page
def test_no_page_hinders_those_who_use_it_by_ear_by_keyboard_or_with_weak_eyes(seen):
    assert seen.violations == []


@each_page
def test_no_page_is_wider_than_a_telephone(seen):
    assert seen.width <= TELEPHONE


@each_page
def test_a_page_has_one_title_and_no_level_of_headings_is_left_out(seen):
    assert seen.headings.count(1) == 1
    assert all(after <= before + 1 for before, after in zip([0, *seen.headings], seen.headings, strict=False))


@each_page
def test_a_picture_is_described_in_words(seen):
    assert [words for words in seen.pictures if " " not in words or "/" in words] == []


def commands(shown):
    """Return the lines of the commands of a console; one that ends with a backslash goes on in the next."""
    goes_on, lines = False, []
    for line in shown.splitlines():
        if goes_on or line.startswith("$ "):
            lines.append(line if goes_on else line[2:])
            goes_on = line.endswith("\\")
    return lines


@each_page
def test_what_is_copied_from_a_console_is_its_commands_which_do_not_run_at_once(seen):
    for shown, copied in seen.copied.items():
        assert copied.splitlines() == commands(shown)
        assert not copied.endswith("\n")


def test_every_page_was_looked_at(site):
    assert {path.relative_to(site).as_posix() for path in site.rglob("*.html")} == set(NAMES)


def test_words_that_can_hardly_be_read_are_found(window):
    window.emulate_media(color_scheme="light")
    window.set_content("<style>@media (prefers-color-scheme: dark) { p { color: #222; background: black } }</style>")
    window.evaluate("document.body.innerHTML = '<main><h1>Title</h1><p>hard to read</p><img src=a></main>'")
    kinds = {found.partition(":")[0] for found in hindrances(window, set())}
    assert {"color-contrast", "image-alt"} <= kinds


def test_a_theme_that_is_chosen_by_hand_is_that_of_pictures_and_fields_too(browser, site):
    page = browser.new_page(color_scheme="light")
    page.goto((site / "index.html").as_uri())
    scheme = "getComputedStyle(document.body).colorScheme"
    assert page.evaluate(scheme) != "dark"
    for _ in range(3):
        page.locator(".theme-toggle-content button").click()
        chosen = page.evaluate("document.body.dataset.theme")
        assert (page.evaluate(scheme) == "dark") == (chosen == "dark")


@pytest.fixture(scope="module")
def without_scripts(browser):
    return browser.new_context(java_script_enabled=False).new_page()


@pytest.mark.parametrize("name", NAMES)
def test_without_scripts_all_text_can_be_read_and_nothing_is_there_that_needs_them(name, without_scripts, site):
    without_scripts.goto((site / name).as_uri())
    assert name in WITHOUT_TEXT or without_scripts.locator("article p").first.is_visible()
    needing = without_scripts.locator("button:not([type=submit]), .settings-filter")
    assert [one.inner_text() for one in needing.all() if one.is_visible()] == []


def test_without_scripts_every_tab_can_be_read(without_scripts, site):
    without_scripts.goto((site / "settings" / "image.html").as_uri())
    card = without_scripts.locator("section.setting").first
    for label, content in zip(card.locator(".sd-tab-label").all(), card.locator(".sd-tab-content").all(), strict=True):
        label.click()
        assert content.is_visible()
