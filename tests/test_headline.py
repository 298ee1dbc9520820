"""What is said about speed at the top of the pages is what the benchmarks have measured."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parent.parent
HEADLINE = runpy.run_path(str(ROOT / "docs" / "_extensions" / "headline.py"))


@pytest.fixture
def found():
    return HEADLINE["pairs"]()


def test_the_readme_says_what_was_measured(found):
    assert HEADLINE["sentence"](found) in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()


def test_the_pages_take_the_sentence_from_the_figures():
    for page in ("index", "performance"):
        assert "```{headline}" in (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")


def test_other_figures_give_another_sentence(found, tmp_path):
    text = (ROOT / "docs" / "performance.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        if str(line.get("name")).startswith("docker buildx"):
            line["ratio"] *= 2
    (tmp_path / "figures.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    slower = HEADLINE["pairs"](tmp_path / "figures.jsonl")
    assert slower[0].times == 2 * found[0].times
    assert slower[1:] == found[1:]
    assert HEADLINE["sentence"](slower) != HEADLINE["sentence"](found)


def test_the_words_as_fast_are_true_of_crane(found):
    assert 0.9 < found[-1].times < 1.1


def test_the_chart_has_its_figures_in_words_and_no_colour_of_text_of_its_own(found):
    chart = ET.fromstring(HEADLINE["chart"](found))
    assert chart.get("role") == "img"
    shown = [text.text for text in chart.iter("text")]
    for pair in found:
        assert f"{pair.task}: buildpush {pair.ours:.1f} s, {pair.other} {pair.theirs:.1f} s" in chart.get("aria-label")
        assert {pair.task, pair.other, f"{pair.ours:.1f} s", f"{pair.theirs:.1f} s"} <= set(shown)
    assert chart.get("fill") == "currentColor"
    assert not [text for text in chart.iter("text") if text.get("fill")]


def test_the_longest_bar_leaves_room_for_its_figure_and_the_others_are_in_proportion(found):
    bars = [float(bar.get("width").rstrip("%")) for bar in ET.fromstring(HEADLINE["chart"](found)).iter("rect")]
    seconds = [each for pair in found for each in (pair.ours, pair.theirs)]
    assert max(bars) == 80
    assert bars == pytest.approx([80 * each / max(seconds) for each in seconds], abs=0.06)


def test_every_task_names_how_many_times_as_fast(found):
    assert len(re.findall(r"[\d.]+ times as fast", HEADLINE["sentence"](found))) == 3
