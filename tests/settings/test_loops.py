"""The iterations that a loop stands for."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush.foundation.documents import parse_yaml
from buildpush.foundation.errors import SourceError
from buildpush.settings.loops import (
    NEWER,
    before_loop,
    bounds,
    combinations,
    loop_notes,
    node_name,
    partitions,
    read_loop,
)
from buildpush.settings.written import Origin


def loop(text, **mark):
    node = parse_yaml(text, "p.yml")
    raw = {**node.raw(), **mark} if mark else node.raw()
    return read_loop(raw, Origin("file", node.where, "", parts=dict(node.places())))


def newer(text):
    return loop(text, **{NEWER: "true"})


def values(text, read=loop):
    return {one.suffix: one.values for one in read(text).iterations}


def matrix(**axes):
    return {"matrix": axes}


def test_a_matrix_is_nested_loops_whose_last_axis_is_the_fastest():
    assert values("matrix: {os: [alpine, debian], arch: [amd64, arm64], exclude: [{os: debian, arch: arm64}]}") == {
        "_0_0": matrix(os="alpine", arch="amd64"),
        "_0_1": matrix(os="alpine", arch="arm64"),
        "_1_0": matrix(os="debian", arch="amd64"),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("repeat: {times: 2}", {"_0": {}, "_1": {}}),
        ("repeat: {times: '1'}", {"_0": {}}),
        ("parallelism: 2", {"_0": {}, "_1": {}}),
        ("repeat: {items: [a, b]}", {"_0": {"repeat": {"item": "a"}}, "_1": {"repeat": {"item": "b"}}}),
        ("repeat: {items: [a, b, c], start: 1, end: 2}", {"_0": {"repeat": {"item": "b"}}}),
        ("repeat: {items: [a, b, c], end: 1}", {"_0": {"repeat": {"item": "a"}}}),
        ("repeat: {items: [a, b], unit: Percentage, end: 0}", {"_0": {"repeat": {"item": "a"}}}),
        ("repeat: {items: '[\"a\"]'}", {"_0": {"repeat": {"item": "a"}}}),
        (
            "repeat: {items: [a, b, c], partitionSize: 2}",
            {"_0": {"repeat": {"partition": ["a", "b"]}}, "_1": {"repeat": {"partition": ["c"]}}},
        ),
        (
            "repeat: {items: [a, b, c], partitionSize: 50, unit: Percentage}",
            {"_0": {"repeat": {"partition": ["a", "b"]}}, "_1": {"repeat": {"partition": ["c"]}}},
        ),
        (
            "repeat: {items: [a, b], partitionSize: 1, unit: Percentage, start: 1, end: 1}",
            {"_0": {"repeat": {"partition": ["a"]}}, "_1": {"repeat": {"partition": ["b"]}}},
        ),
        (
            "repeat: {items: [a, b], partitionSize: 200, unit: Percentage}",
            {"_0": {"repeat": {"partition": ["a", "b"]}}},
        ),
        ("matrix: {svc: [{name: a, port: 1}]}", {"_0": matrix(svc={"name": "a", "port": "1"})}),
        ("matrix: {os: [a, b], exclude: [{os: a}]}", {"_1": matrix(os="b")}),
    ],
)
def test_the_iterations_of_a_loop(text, expected):
    assert values(text) == expected


@pytest.mark.parametrize(
    ("size", "start", "end", "percentage", "expected"),
    [
        (4, None, None, False, (0, 4)),
        (4, 1, None, False, (1, 3)),
        (4, None, 9, False, (0, 4)),
        (4, 0, 50, True, (0, 2)),
        (4, 50, 100, True, (2, 4)),
        (3, 0, 50, True, (0, 2)),
        (4, 0, 0, True, (0, 1)),
        (4, 0, 300, True, (0, 4)),
        (4, 50, None, True, (2, 3)),
        (4, None, None, True, (0, 3)),
        (1, None, None, True, (0, 1)),
    ],
)
def test_a_slice_of_items(size, start, end, percentage, expected):
    assert bounds(size, start, end, percentage=percentage) == expected


@pytest.mark.parametrize(
    ("text", "message", "where"),
    [
        ("[matrix]", "strategy is a map", "1:1"),
        ("{}", "has none of them", "1:1"),
        ("{matrix: {a: [b]}, repeat: {times: 2}}", "has matrix and repeat", "1:1"),
        ("matrx: {a: [b]}", "unknown key 'matrx'", "1:1"),
        ("matrix: [a]", "matrix takes a map", "1:1"),
        ("matrix: {a: b}", "a takes a list", "1:10"),
        ("matrix: {a: '[b'}", "a is not a list", "1:10"),
        ("matrix: {exclude: []}", "matrix has no iterations", "1:1"),
        ("matrix: {a: [b], exclude: [{a: b}]}", "matrix has no iterations", "1:1"),
        ("matrix: {a: [b], exclude: [{c: b}]}", "unknown axis 'c'", "1:29"),
        ("matrix: {a: [b], exclude: [{}]}", "an entry of exclude is empty", "1:28"),
        ("matrix: {a: [b], maxConcurrency: 0}", "maxConcurrency is at least 1", "1:18"),
        ("repeat: {}", "either times or items", "1:1"),
        ("repeat: {times: 1, items: [a]}", "either times or items", "1:1"),
        ("repeat: {times: -1}", "times is '-1'", "1:10"),
        ("repeat: {times: 0}", "has no iterations", "1:10"),
        ("repeat: {times: -1}", "times is '-1', which is not a whole number from 0 to 999999999", "1:10"),
        ("repeat: {times: 1000000000}", "which is not a whole number from 0 to 999999999", "1:10"),
        ("repeat: {times: 2, end: 1}", "end is for items", "1:20"),
        ("repeat: {items: [], end: 1}", "repeat has no iterations", "1:1"),
        ("repeat: {items: [a], start: -1}", "start is '-1'", "1:22"),
        ("repeat: {items: [a], unit: Percent}", "unit is 'Percent'", "1:22"),
        ("repeat: {items: [a], partitionSize: 0}", "partitionSize is at least 1", "1:22"),
        ("repeat: {items: [a], time: 2}", "unknown key 'time'", "1:22"),
        ("{matrix: {os: [a]}, include: [{os: b}]}", "unknown key 'include'", "1:21"),
        ("{parallelism: 2, fail-fast: true}", "unknown key 'fail-fast'", "1:18"),
        ("while: {times: 2, condition: 'true'}", "unknown key 'while'", "1:1"),
        ("for: {times: 2}", "unknown key 'for'", "1:1"),
        ("matrix: '[a]'", "matrix takes a map", "1:1"),
        ("parallelism: many", "parallelism is 'many'", "1:1"),
        ("parallelism: 10001", "the maximum is 10000", "1:1"),
        ("{parallelism: 2, onFailure: Stop}", "onFailure is 'Stop'", "1:18"),
    ],
)
def test_what_is_no_loop_is_refused_with_its_place(text, message, where):
    with pytest.raises(SourceError, match=message) as caught:
        loop(text)
    assert caught.value.where == f"p.yml:{where}"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "message", "where"),
    [
        ("matrix: {os: [a], include: {os: b}}", "include takes a list", "1:19"),
        ("matrix: {os: [a], include: [b]}", "matrix takes a map here", "1:29"),
        ("matrix: {os: [a], include: [{}]}", "an entry of include is empty", "1:29"),
        ("{matrix: {os: [a]}, include: [{os: b}]}", "unknown key 'include'", "1:21"),
        ("for: {iterations: 2, include: [{os: b}]}", "unknown key 'include'", "1:22"),
        ("for: {iterations: many}", "iterations is 'many'", "1:7"),
        ("for: {}", "for takes either iterations or items", "1:1"),
        ("for: {iterations: 2, times: 2}", "unknown key 'iterations'", "1:7"),
        ("{for: {iterations: 2}, max-parallel: 0}", "max-parallel is at least 1", "1:24"),
        ("{for: {iterations: 2}, repeat: {items: [a]}}", "has for and repeat", "1:1"),
        ("{for: {iterations: 2}, max-paralel: 1}", "unknown key 'max-paralel'", "1:24"),
        ("repeat: {items: [a], partition-size: 0}", "partition-size is at least 1", "1:22"),
        ("repeat: {items: [a], unit: many}", "unit is 'many'", "1:22"),
        ("{parallelism: 2, fail-fast: maybe}", "fail-fast is 'maybe'", "1:18"),
        ("{parallelism: 2, fail-fast: [a]}", r"fail-fast is \['a'\]", "1:18"),
        ("while: {condition: 'true'}", "while does not have a maximum number of iterations", "1:1"),
        ("while: {iterations: 3}", "while does not have a condition", "1:1"),
        ("while: {iterations: 0, condition: 'true'}", "has no iterations", "1:9"),
        ("while: {iterations: 2, condition: [a]}", "a condition is an expression", "1:24"),
        ("while: {iterations: 2, condition: 'true', delay: 5s}", "unknown key 'delay'", "1:43"),
    ],
)
def test_what_is_no_loop_of_the_newer_form_is_refused_with_its_place_and_in_its_words(text, message, where):
    with pytest.raises(SourceError, match=message) as caught:
        newer(text)
    assert caught.value.where == f"p.yml:{where}"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("for: {iterations: 2}", {"_0": {}, "_1": {}}),
        ("repeat: {iterations: 1}", {"_0": {}}),
        ("repeat: {times: 1}", {"_0": {}}),
        ("repeat: {items: [a, b], unit: percentage, end: 50}", {"_0": {"repeat": {"item": "a"}}}),
        ("repeat: {items: [a, b], partition-size: 2}", {"_0": {"repeat": {"partition": ["a", "b"]}}}),
        ("while: {iterations: 2, condition: 'true'}", {"_0": {}, "_1": {}}),
        ('matrix: \'{"os": ["a"], "include": [{"os": "b"}]}\'', {"_0": matrix(os="a"), "_1": matrix(os="b")}),
    ],
)
def test_the_iterations_of_a_loop_of_the_newer_form(text, expected):
    assert values(text, newer) == expected


def test_a_while_runs_one_iteration_after_the_other_as_long_as_its_condition_holds():
    found = newer("{while: {iterations: 2, condition: '<+env.A> == \"b\"'}, max-parallel: 4, fail-fast: true}")
    assert (found.at_once, found.skips_queued) == (1, True)
    assert (found.condition.text, found.condition.where) == ('<+env.A> == "b"', "p.yml:1:25")


def test_what_is_evaluated_before_a_loop_has_no_condition_and_no_name():
    older = {"matrix": {"a": ["b"], "nodeName": "x", "node-name": ["y"]}, "when": "z"}
    assert before_loop(older) == {"matrix": {"a": ["b"], "node-name": ["y"]}}
    assert before_loop({"for": {"node-name": "x"}, "if": "z", NEWER: "true"}) == {"for": {}, NEWER: "true"}


def test_include_is_an_axis_of_the_older_form_as_any_other_name():
    """Harness takes every list in the matrix of that form for an axis; one of maps is noted: it is meant otherwise."""
    text = "matrix: {os: [a], include: [{os: b}]}"
    assert values(text) == {"_0_0": matrix(os="a", include={"os": "b"})}
    node = parse_yaml(text, "p.yml")
    (note,) = loop_notes(node.raw(), Origin("file", node.where, "", parts=dict(node.places())))
    assert note == "p.yml:1:19: include is an axis here, as in Harness; only in the newer form it adds combinations"
    assert list(loop_notes({**node.raw(), NEWER: "true"}, Origin("file", node.where, ""))) == []


# From the page of GitHub on include, with what it says each entry does
FRUITS = "fruit: [apple, pear], animal: [cat, dog]"
FRUITS_INCLUDED = """\
[{color: green}, {color: pink, animal: cat}, {fruit: apple, shape: circle}, {fruit: banana},
{fruit: banana, animal: cat}]"""


@pytest.mark.parametrize(
    ("axes", "include", "expected"),
    [
        (
            FRUITS,
            FRUITS_INCLUDED,
            {
                "_0_0": matrix(fruit="apple", animal="cat", color="pink", shape="circle"),
                "_0_1": matrix(fruit="apple", animal="dog", color="green", shape="circle"),
                "_1_0": matrix(fruit="pear", animal="cat", color="pink"),
                "_1_1": matrix(fruit="pear", animal="dog", color="green"),
                "_4": matrix(fruit="banana"),
                "_5": matrix(fruit="banana", animal="cat"),
            },
        ),
        ("os: [a, b], exclude: [{os: a}]", "[{os: c}]", {"_1": matrix(os="b"), "_2": matrix(os="c")}),
        ("exclude: []", "[{os: a}, {os: b}]", {"_0": matrix(os="a"), "_1": matrix(os="b")}),
        ("os: [a]", '\'[{"os": "b"}]\'', {"_0": matrix(os="a"), "_1": matrix(os="b")}),
        ("os: [a]", "[]", {"_0": matrix(os="a")}),
    ],
)
def test_an_entry_of_include_adds_to_the_combinations_that_it_agrees_with_or_is_one_more(axes, include, expected):
    assert values(f"matrix: {{{axes}, include: {include}}}", newer) == expected


def test_how_many_begin_at_once():
    assert loop("parallelism: 3").at_once is None
    assert loop("{parallelism: 3, maxConcurrency: 2}").at_once == 2
    assert loop("matrix: {a: [b, c], maxConcurrency: 1}").at_once == 1
    assert loop("repeat: {times: 3, maxConcurrency: 2}").at_once == 2


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("parallelism: 2", []),
        ("{parallelism: 2, maxConcurrency: 1}", []),
        ("matrix: {a: [b], maxConcurrency: 1}", []),
        (
            "repeat: {items: [a, b], start: 1, maxConcurrency: 1}",
            ["p.yml:1:25: start without end leaves out the last item, as in Harness"],
        ),
        (
            "repeat: {items: [a, b], unit: Percentage}",
            ["p.yml:1:25: percentages without end leave out the last item, as in Harness"],
        ),
        ("repeat: {items: [a, b], unit: Percentage, end: 50}", []),
        (
            "repeat: {items: [a, b], partitionSize: 1, start: 0, end: 1}",
            [
                "p.yml:1:43: start has no effect beside partitionSize, as in Harness",
                "p.yml:1:53: end has no effect beside partitionSize, as in Harness",
            ],
        ),
        ("repeat: {items: [a, b], partitionSize: 50, unit: Percentage}", []),
        ("[]", []),
    ],
)
def test_what_is_different_or_may_not_be_meant_is_noted(text, notes):
    node = parse_yaml(text, "p.yml")
    assert list(loop_notes(node.raw(), Origin("file", node.where, "", parts=dict(node.places())))) == notes


def test_a_start_alone_leaves_out_the_last_item():
    found = loop("repeat: {items: [a, b, c], start: 1}")
    assert [one.values["repeat"]["item"] for one in found.iterations] == ["b"]


def test_the_name_of_iterations():
    assert node_name({"matrix": {"a": ["b"], "nodeName": "x-<+matrix.a>"}}) == "x-<+matrix.a>"
    assert node_name({"for": {"node-name": "x"}, NEWER: "true"}) == "x"
    assert node_name({"for": {}, "node-name": "x", NEWER: "true"}) == "x"
    assert node_name({"parallelism": "2"}) == node_name([]) == ""


AXES = st.dictionaries(st.sampled_from("abcd"), st.lists(st.sampled_from("xyz"), min_size=1, max_size=3, unique=True))


@given(AXES.filter(bool), st.data())
def test_a_matrix_has_every_combination_but_those_that_are_excluded(axes, data):
    whole = combinations(axes)
    assert len(whole) == math.prod(map(len, axes.values()))
    assert len({one.suffix for one in whole}) == len(whole)
    places = [tuple(map(int, one.suffix[1:].split("_"))) for one in whole]
    assert places == sorted(places)
    entry = data.draw(st.fixed_dictionaries({}, optional={axis: st.sampled_from(axes[axis]) for axis in axes}))
    exclude = [entry] if entry else []
    left = combinations(axes, exclude)
    dropped = [one for one in whole if entry and entry.items() <= one.values["matrix"].items()]
    assert [one for one in whole if one not in dropped] == list(left)


@given(st.lists(st.integers(), max_size=20), st.integers(1, 7))
def test_partitions_keep_every_item_in_its_order(items, size):
    parts = partitions(items, size)
    assert [item for part in parts for item in part] == items
    assert all(len(part) == size for part in parts[:-1])


@given(st.integers(0, 50), st.none() | st.integers(0, 200), st.none() | st.integers(0, 200), st.booleans())
def test_a_slice_lies_within_the_items(size, start, end, percentage):
    first, last = bounds(size, start, end, percentage=percentage)
    assert 0 <= first <= size
    assert last <= size
