"""The pictures of the pages: described in words, seen in the light and in the dark, small, and without the network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
FILES = sorted((DOCS / "_static" / "pictures").iterdir())
IMAGE = re.compile(r"^```\{image\} (\S+)\n:alt: (.+)\n:class: (.+)\n```$", re.MULTILINE)
SHOWN = [image for page in sorted(DOCS.rglob("*.md")) for image in IMAGE.findall(page.read_text(encoding="utf-8"))]


def test_every_picture_is_on_a_page():
    assert {Path(address).name for address, _, _ in SHOWN} == {path.name for path in FILES}


@pytest.mark.parametrize(("address", "words", "classes"), SHOWN, ids=[address for address, _, _ in SHOWN])
def test_a_picture_is_described_in_words_and_shown_in_its_colours(address, words, classes):
    assert len(words.split()) > 5
    assert "/" not in words
    (scheme,) = re.findall(r"-(light|dark)\.png$", address) or [""]
    assert classes.split() == ["picture", *([f"only-{scheme}"] if scheme else [])]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_picture_is_small(path):
    assert path.stat().st_size < 120_000


def test_the_picture_of_the_terminal_fetches_nothing():
    text = (DOCS / "_static" / "pictures" / "terminal.svg").read_text(encoding="utf-8")
    assert "url(http" not in text
    assert "buildpush run" in text.replace("&#160;", " ")
