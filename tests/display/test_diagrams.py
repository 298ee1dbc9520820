"""Pictures of what belongs together: what they show, and where."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from buildpush.display.diagrams import Period, graph, parts_of_text, time_chart

STEPS = [
    ("web", Period(10.0, 12.0)),
    ("auth", Period(11.0, 15.0, "#123456", "failed")),
    ("site", Period(words="skipped")),
]
TAG = "<+a.b.upper()>-<+c>"
PARTS = [("a.b", "x", "file:3"), ("a.b.upper()", "X", ""), ("c", "7", "--var c"), ("not there", "?", "")]


def texts(picture):
    return [node.text for node in ET.fromstring(picture.svg).iter("{http://www.w3.org/2000/svg}text")]


def lines(picture):
    """Return both ends of each line."""
    found = re.findall(r'<line x1="([0-9.-]+)" y1="([0-9.-]+)" x2="([0-9.-]+)" y2="([0-9.-]+)"', picture.svg)
    return [tuple(map(float, ends)) for ends in found]


def test_a_bar_begins_and_ends_on_the_scale_of_all_and_what_did_not_begin_has_none():
    picture = time_chart("Steps", STEPS, {"#123456": "failed"})
    (web, took), (auth, most) = re.findall(r'<rect x="([0-9.]+)" y="\d+" width="([0-9.]+)" height="18"', picture.svg)
    assert float(most) == pytest.approx(2 * float(took), abs=0.3)
    assert float(auth) - float(web) == pytest.approx(float(took) / 2, abs=0.3)
    assert picture.alt == "Steps: web: 2 s, from 0 s; auth: failed, from 1 s; site: skipped"
    assert texts(picture) == ["Steps", "web", "2 s", "auth", "failed", "site", "skipped", "failed"]


def test_a_bar_of_several_parts_has_them_one_after_the_other_and_says_how_long_each_is():
    hues = {"#111111": "wait", "#222222": "build"}
    first = (Period(10.0, 12.0, "#111111"), Period(12.0, 15.0, "#222222"))
    picture = time_chart("Jobs", [("a", first), ("b", [Period(12.0, 13.0, "#111111")])], hues)
    found = re.findall(r'<rect x="([0-9.]+)" y="(\d+)" width="([0-9.]+)" height="18" rx="2" fill="(.{7})"', picture.svg)
    (wait, *_, grey), (build, y, most, hue), (_, below, *_) = found
    assert (grey, hue) == ("#111111", "#222222")
    assert float(most) == pytest.approx(1.5 * (float(build) - float(wait)), abs=0.3)
    assert int(below) > int(y)
    assert picture.alt == "Jobs: a: 5 s, from 0 s (wait 2 s, build 3 s); b: 1 s, from 2 s"
    assert time_chart("Jobs", [("a", first)]).alt == "Jobs: a: 5 s, from 0 s"


def test_a_part_has_a_bracket_below_its_letters_and_a_part_of_it_is_above_it():
    picture = parts_of_text("Tag", TAG, "X-7", PARTS)
    across = {(begin, end): y for begin, y, end, other in lines(picture) if y == other}
    letter = 8.4

    def bracket(part):
        begin = TAG.find(part)
        return next(
            y
            for (left, right), y in across.items()
            if left == pytest.approx(begin * letter, abs=0.1)
            and right == pytest.approx((begin + len(part)) * letter, abs=0.1)
        )

    assert bracket("a.b") == bracket("c") < bracket("a.b.upper()") < bracket(TAG)
    assert texts(picture) == ["Tag", TAG, "7", "--var c", "x", "file:3", "X", "X-7"]
    assert picture.alt == f"Tag: c is 7, from --var c; a.b is x, from file:3; a.b.upper() is X; {TAG} is X-7"


def test_an_arrow_goes_from_one_box_to_the_other():
    columns = {"base": {"b": "base:1"}, "image": {"i": "shop:1", "j": "shop:2"}}
    picture = graph("Made from", columns, [("b", "i", "FROM"), ("b", "j", "")])
    boxes = [
        tuple(map(float, found))
        for found in re.findall(r'<rect x="([0-9.]+)" y="([0-9.]+)" width="([0-9.]+)" height="34"', picture.svg)
    ]
    ends = lines(picture)
    for (x, y, to_x, to_y), goal in zip(ends, boxes[1:], strict=True):
        assert x == pytest.approx(boxes[0][0] + boxes[0][2] + 3, abs=1)
        assert y == pytest.approx(boxes[0][1] + 17, abs=1)
        assert to_x == pytest.approx(goal[0] - 8, abs=1)
        assert to_y == pytest.approx(goal[1] + 17, abs=1)
    assert picture.alt == "Made from: base:1 → shop:1 (FROM); base:1 → shop:2"


@pytest.mark.parametrize(
    "picture",
    [
        time_chart("<b>", [("<i>\x1b[31m" * 30, Period(0, 1))]),
        parts_of_text("t", "<+a>" * 200, "<b>", [("a", "\x1b]0;x\x07<", "s")]),
        graph("t", {"<h>": {"a": "<b>" * 99}, "": {"b": ""}}, [("a", "b", "<x>")]),
    ],
)
def test_foreign_text_is_text_and_stays_inside(picture):
    ET.fromstring(picture.svg)
    assert "\x1b" not in picture.svg + picture.alt
    assert "<b>" not in picture.svg
    assert all(0 <= x <= 640 for ends in lines(picture) for x in ends[::2])


@pytest.mark.parametrize("picture", [time_chart("t", []), parts_of_text("t", "", "", []), graph("t", {}, [])])
def test_without_data_there_is_still_a_picture(picture):
    assert texts(picture)[0] == "t"
