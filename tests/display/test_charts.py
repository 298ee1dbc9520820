"""Pictures for notebooks: what they show, and to whom."""

from __future__ import annotations

import base64
import re
from xml.etree import ElementTree as ET

import pytest

from buildpush.display.charts import HUE, bar_chart, line_chart, precedence_chart
from buildpush.foundation.secrets import Secret

ENGINES = {"native": [(1.5, HUE)], "docker": [(3.0, HUE)]}
POINTS = [(0.0, 0.0), (1.0, 8.0), (2.0, 20.0)]


def lines():
    return line_chart("A push", POINTS, ("seconds", "MB"), marks=[1.0], mark="reset", level=16.0, level_name="size")


def texts(picture):
    return [node.text for node in ET.fromstring(picture.svg).iter("{http://www.w3.org/2000/svg}text")]


def test_a_picture_says_in_words_what_it_shows():
    assert bar_chart("Time to build", ENGINES, "s").alt == "Time to build: native 1.5 s, docker 3 s"
    assert str(lines()) == "A push: 20 MB after 2 seconds, reset: 1, size 16 MB"


def test_a_notebook_gets_an_image_that_it_keeps_when_it_is_only_opened():
    shown = lines()._repr_html_()
    assert shown.startswith('<img alt="A push: 20 MB after')
    assert base64.b64decode(re.search('base64,([^"]+)"', shown)[1]).decode() == lines().svg
    assert "<svg" not in shown


def test_colours_of_text_follow_the_theme():
    assert "prefers-color-scheme:dark" in lines().svg
    assert {"currentColor", "#555", "#ccc"} <= set(re.findall(r"currentColor|#[0-9a-f]{3}(?![0-9a-f])", lines().svg))


def test_bars_are_as_long_as_their_values():
    widths = re.findall(r'<rect x="[^"]+" y="\d+" width="([0-9.]+)"', bar_chart("t", ENGINES, "s").svg)
    assert [float(width) + 1 for width in widths][1] == pytest.approx(2 * (float(widths[0]) + 1), abs=0.2)


def test_the_longest_words_beside_a_bar_are_inside_of_the_picture():
    picture = bar_chart("t", {"a run": [(11_000_000.0, HUE)]}, "bytes")
    begin = float(re.search(r'<text x="([0-9.]+)"[^>]*>11,000,000 bytes', picture.svg)[1])
    assert begin + 7.5 * len("11,000,000 bytes") < 640


def test_parts_of_a_bar_stand_beside_each_other_and_the_legend_names_their_colours():
    picture = bar_chart(
        "t", {"run 1": [(1.0, "#123456"), (3.0, "#654321")]}, "MB", {"#123456": "same", "#654321": "new"}
    )
    (first, one), (second, _) = re.findall(r'<rect x="([0-9.]+)" y="34" width="([0-9.]+)"', picture.svg)
    assert float(second) == pytest.approx(float(first) + float(one) + 1, abs=0.2)
    assert texts(picture) == ["t", "run 1", "4 MB", "same", "new"]


def test_the_line_goes_from_the_left_to_the_last_point_and_marks_stand_where_they_are():
    path = re.search(r'd="M70 196((?:H[0-9.]+V[0-9.]+ ?)+)"', lines().svg)[1]
    assert re.findall("H([0-9.]+)V([0-9.]+)", path) == [("70.0", "196.0"), ("345.0", "131.2"), ("620.0", "34.0")]
    assert 'x1="345.0"' in lines().svg


@pytest.mark.parametrize(
    ("most", "ticks"),
    [(20.0, ["0", "5", "10", "15", "20"]), (3.1, ["0", "1", "2", "3"]), (0.4, ["0", "0.1", "0.2", "0.3", "0.4"])],
)
def test_axes_have_a_few_round_values(most, ticks):
    found = texts(line_chart("t", [(0.0, 0.0), (1000.0, most)], ("x", "y")))
    assert found[1 : 1 + len(ticks)] == ticks


CLAIMS = {"tags": {"file": "1", "keyword": "3", "variable": "2"}, "repo": {"file": "a long name for a repository"}}
SOURCES = {"file": "step.yml", "variable": "variables", "keyword": "Python"}


def test_a_picture_of_who_said_what_tells_the_winner_and_what_it_overrides():
    picture = precedence_chart("Who", CLAIMS, SOURCES)
    assert picture.alt == "Who: tags is 3 by Python, over 2, 1; repo is a long name for a repository by step.yml"
    assert texts(picture)[:4] == ["Who", "step.yml", "variables", "Python"]


def test_what_is_overridden_is_struck_through_and_what_counts_has_a_colour():
    svg = precedence_chart("Who", CLAIMS, SOURCES).svg
    assert re.findall(r'line-through"><text[^>]*>([^<]*)<', svg) == ["1", "2"]
    assert re.findall(r'opacity=".28"/><text[^>]*font-weight="600">([^<]*)<', svg) == ["3", "a long name for a repo…"]


def test_a_shaded_part_stands_where_it_is_and_its_length_is_told():
    shaded = line_chart("t", POINTS, ("seconds", "MB"), spans=[(1.0, 2.0)], span="sent twice")
    assert 'x="345.0" y="34.0" width="275.0" height="162"' in shaded.svg
    assert shaded.alt == "t: 20 MB after 2 seconds, sent twice for 1 seconds"
    assert "sent twice" in texts(shaded)


def test_without_data_there_is_still_a_picture():
    assert line_chart("t", [], ("x", "y")).alt == "t: nothing"
    assert texts(bar_chart("t", {}, "s")) == ["t"]


def test_foreign_text_is_text_and_no_secret_is_shown():
    Secret("planted-in-a-picture")
    picture = bar_chart('<b>"planted-in-a-picture', {"<script>": [(1.0, HUE)]}, "s")
    assert "planted" not in picture.svg + picture.alt
    assert "<script>" not in picture.svg
    assert '"' not in re.search('alt="([^"]*)" style', picture._repr_html_())[1]
