"""Trees of pipelines that nobody wrote: every step is found once, where it stands, however its YAML is written."""

from __future__ import annotations

import random
import string
from contextlib import suppress
from copy import deepcopy
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import buildpush
from buildpush.foundation.documents import parse_yaml, write_yaml
from buildpush.foundation.errors import BuildPushError
from buildpush.settings.sources import read
from buildpush.settings.tree import Parallel, leaves, read_tree


class Leaf(dict):
    """The map of what becomes a leaf of the tree: a step, or what stands for steps that are elsewhere."""


# ---- a document: maps, lists and text

WORDS = st.sampled_from(["a", "x y", "yes", "1.0", "<+step.name>", "a: b", "# no", "- no", "é", "it's", '"', ""])
CONTROL = {
    "when": st.fixed_dictionaries(
        {"stageStatus": st.sampled_from(["Success", "All", "Failure"])}, optional={"condition": st.just("<+true>")}
    ),
    "strategy": st.sampled_from(
        [
            {"matrix": {"os": ["alpine", "debian"], "exclude": [{"os": "debian"}], "maxConcurrency": "1"}},
            {"repeat": {"times": "2"}},
            {"repeat": {"items": ["a", "b"]}},
            {"parallelism": "2"},
        ]
    ),
    "failureStrategies": st.just([{"onFailure": {"errors": ["AllErrors"], "action": {"type": "Ignore"}}}]),
    "timeout": st.sampled_from(["10m", "1h 5m"]),
    "description": WORDS,
}
HARNESS = "BuildAndPushDockerRegistry"
SPECS = {
    HARNESS: st.builds(lambda word: {"repo": "h.example/app", "tags": ["1"], "labels": {"w": word}}, WORDS),
    "Run": st.builds(lambda word: {"shell": "Sh", "command": word}, WORDS),
    "Plugin": st.just({"image": "plugins/docker:21", "settings": {"repo": "h.example/app", "tags": "1"}}),
    "ShellScript": st.just({}),
}


@st.composite
def maps(draw, fields, optional=(), kind=dict):
    """Draw a map with *fields* and some of what is *optional*, in any order."""
    known = [*fields.items(), *((key, draw(CONTROL[key])) for key in optional if draw(st.integers(0, 3)) == 0)]
    return kind(draw(st.permutations(known)))


@st.composite
def steps(draw, number):
    """Draw a step, with its wrapper or without."""
    kind = draw(st.sampled_from([*SPECS, "template"]))
    fields = {"identifier": f"s{number}", "name": f"Step {number}"}
    if kind == "template":
        return {"step": draw(maps({**fields, "template": {"templateRef": "org.ship"}}, kind=Leaf))}
    step = draw(maps({**fields, "type": kind, "spec": draw(SPECS[kind])}, CONTROL, Leaf))
    return draw(st.sampled_from([{"step": step}, step]))


@st.composite
def elements(draw, numbers, depth=2):
    """Draw steps, groups and what runs in parallel."""
    found = []
    for _ in range(draw(st.integers(0 if depth < 2 else 1, 3))):
        kind = draw(st.sampled_from(["step", "step", "group", "parallel", "closed"])) if depth else "step"
        number = next(numbers)
        if kind == "step":
            found.append(draw(steps(number)))
        elif kind == "parallel":
            found.append({"parallel": draw(elements(numbers, depth - 1))})
        elif kind == "closed":
            found.append({"stepGroup": Leaf(identifier=f"g{number}", template={"templateRef": "g"})})
        else:
            fields = {"identifier": f"g{number}", "steps": draw(elements(numbers, depth - 1))}
            if draw(st.booleans()):
                fields["rollbackSteps"] = draw(elements(numbers, 0))
            found.append({"stepGroup": draw(maps(fields, CONTROL))})
    return found


@st.composite
def stages(draw, numbers):
    number = next(numbers)
    execution = {"steps": draw(elements(numbers))}
    if draw(st.booleans()):
        execution["rollbackSteps"] = draw(elements(numbers, 0))
    spec = draw(maps({"execution": execution, "cloneCodebase": "false"}))
    variables = [{"name": "region", "type": "String", "value": draw(WORDS)}]
    fields = {"identifier": f"st{number}", "type": "CI", "spec": spec, "variables": variables}
    return {"stage": draw(maps(fields, CONTROL))}


@st.composite
def documents(draw):
    """Draw a whole file, which may begin at any level."""
    numbers = iter(range(10_000))
    kind = draw(st.sampled_from(["pipeline", "pipeline", "stages", "stage", "steps", "list"]))
    if kind in {"steps", "list"}:
        found = draw(elements(numbers))
        return {"steps": found} if kind == "steps" else found
    if kind == "stage":
        return draw(stages(numbers))
    found = [draw(stages(numbers)) for _ in range(draw(st.integers(1, 2)))]
    if draw(st.booleans()):
        found.append({"parallel": [draw(stages(numbers)) for _ in range(2)]})
    fields = {"identifier": "p", "name": "P", "stages": found}
    return {"stages": found} if kind == "stages" else {"pipeline": draw(maps(fields))}


def leaves_of(value):
    """Yield the leaves in *value* in the order in which they are run; what undoes them comes last."""
    if isinstance(value, Leaf):
        yield value
    elif isinstance(value, dict):
        for key in sorted(value, key=lambda key: key == "rollbackSteps"):
            yield from leaves_of(value[key])
    elif isinstance(value, list):
        for item in value:
            yield from leaves_of(item)


# ---- odd but legal ways to write it


class Writer:
    """Writes a document as people and programs do, and keeps the place of every leaf."""

    def __init__(self, seed):
        self.luck, self.text, self.places = random.Random(seed), "", {}

    def write(self, document):
        self.put(self.luck.choice(["", "# a pipeline\n", "---\n", "\n\n"]))
        self.value(document, 0)
        self.put(self.luck.choice(["", "\n", "\n# end\n", "\n...\n"]))
        return self.text

    def put(self, text):
        self.text += text

    def mark(self, value):
        if isinstance(value, Leaf):
            line, column = self.text.count("\n") + 1, len(self.text) - self.text.rfind("\n")
            self.places[id(value)] = f"p.yml:{line}:{column}"

    def end_of_line(self):
        self.put(self.luck.choice(["\n", "\n", "\n", "  # why\n", "\n\n", "\n   # why\n"]))

    def value(self, value, indent):
        if self.is_long(value):
            self.block(value, indent)
        else:
            self.flow(value)

    def is_long(self, value):
        return isinstance(value, dict | list) and value and self.luck.random() > 0.1

    def block(self, value, indent):
        self.mark(value)
        for number, entry in enumerate(value.items() if isinstance(value, dict) else value):
            if number:
                self.end_of_line()
                self.put(" " * indent)
            if isinstance(value, dict):
                self.entry(*entry, indent)
            else:
                self.item(entry, indent)

    def entry(self, key, value, indent):
        self.put(f"{self.scalar(key)}:")
        if self.is_long(value):
            self.end_of_line()
            deeper = indent + self.luck.randint(0 if isinstance(value, list) else 1, 5)
            self.put(" " * deeper)
            self.block(value, deeper)
        else:
            self.put(" ")
            self.flow(value)

    def item(self, value, indent):
        room = self.luck.randint(1, 3)
        self.put("-" + " " * room)
        self.value(value, indent + 1 + room)

    def flow(self, value):
        if not isinstance(value, dict | list):
            self.put(self.scalar(value))
            return
        self.mark(value)
        left, right = "{}" if isinstance(value, dict) else "[]"
        self.put(left)
        for number, entry in enumerate(value.items() if isinstance(value, dict) else value):
            self.put(", " if number else self.luck.choice(["", " "]))
            if isinstance(value, dict):
                self.put(f"{self.scalar(entry[0])}: ")
                self.flow(entry[1])
            else:
                self.flow(entry)
        self.put(right)

    def scalar(self, text):
        quoted = ['"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"', "'" + text.replace("'", "''") + "'"]
        is_plain = text and text[0] in string.ascii_letters and set(text) <= {*string.ascii_letters, *string.digits}
        return self.luck.choice([text, text, *quoted] if is_plain else quoted)


@st.composite
def files(draw):
    """Draw a document, and its text with the place of each leaf in it."""
    document, writer = draw(documents()), Writer(draw(st.integers(0, 1 << 32)))
    text = writer.write(document)
    return document, text, [writer.places[id(leaf)] for leaf in leaves_of(document)]


def plain(value):
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def shape(elements):
    """Return a tree without its places."""
    return [
        (step.identifier, step.name, step.type, step.runs, step.rollback, step.node.raw(), [*map(about, path)])
        for step, path in leaves(elements)
    ]


def about(branch):
    return "parallel" if isinstance(branch, Parallel) else (type(branch).__name__, branch.header.node.raw())


@given(files())
def test_every_step_is_in_the_tree_once_in_its_order_and_with_its_place(file):
    _, text, places = file
    assert [step.where for step, _ in leaves(read_tree(parse_yaml(text, "p.yml")))] == places


@given(files(), st.sampled_from(["\n", "\r\n", "\r"]))
def test_a_tree_is_the_same_however_it_is_written(file, line_end):
    document, text, _ = file
    written = parse_yaml(text.replace("\n", line_end), "p.yml")
    assert shape(read_tree(written)) == shape(read_tree(parse_yaml(dumped(document), "p.yml")))


def dumped(document):
    return write_yaml(document) if isinstance(document := plain(document), dict) else write_yaml({"steps": document})


@given(documents())
def test_writing_a_tree_and_reading_it_back_keeps_it(document):
    first = parse_yaml(dumped(document), "p.yml")
    assert first.raw() in (plain(document), {"steps": plain(document)})
    assert shape(read_tree(parse_yaml(write_yaml(first.raw()), "p.yml"))) == shape(read_tree(first))


# ---- a whole file, and what is wrong in it


def entries_of(value):
    """Yield every map and list in *value*, with each key of it."""
    for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(entry, dict | list):
            yield from entries_of(entry)


WRONG = st.sampled_from(["", "x", "<+input>", "<+a", "-1", [], {}, [[]], [{}], ["x"], {"x": "y"}, {"steps": [{}]}])
KEYS = st.sampled_from(["", "x", "step", "steps", "stage", "parallel", "template", "type", "strategy", "when", "<+x>"])


@st.composite
def mutated(draw):
    """Draw a document with one to three mistakes."""
    document = {"top": plain(draw(documents()))}
    for _ in range(draw(st.integers(1, 3))):
        where, key = draw(st.sampled_from([*entries_of(document)]))
        way = draw(st.sampled_from(["replace", "remove", "rename", "repeat", "exchange"]))
        other, at = draw(st.sampled_from([*entries_of(document)]))
        if way == "replace" or key == "top":
            where[key] = deepcopy(draw(WRONG))
        elif way == "remove":
            del where[key]
        elif way == "rename" and isinstance(where, dict):
            where[draw(KEYS)] = where.pop(key)
        elif way == "repeat" and isinstance(where, list):
            where.append(deepcopy(where[key]))
        else:
            where[key] = deepcopy(other[at])
    return document["top"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("trees")
    (path / "Dockerfile").write_text("FROM scratch\n")
    return path


def checked(text, directory):
    """Check the file that *text* is, and list what is in it; only errors of ours are let through."""
    (directory / "p.yml").write_text(text, newline="")
    for ask in (buildpush.list_pipeline, buildpush.check_pipeline):
        with suppress(BuildPushError):
            ask("p.yml", cwd=directory)


@given(files())
def test_every_step_of_a_file_is_either_run_or_listed_as_not_run(directory, file):
    _, text, places = file
    steps_here = [step for step, _ in leaves(read_tree(parse_yaml(text, "p.yml"))) if step.runs]
    assume(steps_here)  # a file without any is refused
    (directory / "p.yml").write_text(text)
    loaded = read(Path("p.yml"), env={}, flags={}, keywords={}, cwd=directory, step=None)
    found = [step.where for step, _ in leaves(loaded.tree)]
    assert found == places
    assert [step.where for step in loaded.steps] == [step.where for step in steps_here]
    assert len(loaded.steps) + len(loaded.others) == len(places)


@given(mutated())
def test_a_mistake_in_a_tree_is_an_error_of_ours_and_nothing_else(directory, document):
    text = write_yaml(document) if isinstance(document, dict) else write_yaml({"steps": document})
    checked(text, directory)


TORN = ["", " ", "\n", "\n  ", "- ", ": ", "{", "]", "*a", "&a ", "<<: ", "\t", "!x ", "|\n", "\0", "\u2028"]


@given(files(), st.data())
def test_a_torn_text_is_an_error_of_ours_and_nothing_else(directory, file, data):
    _, text, _ = file
    at = data.draw(st.integers(0, len(text)))
    gone = data.draw(st.integers(0, 40))
    instead = data.draw(st.sampled_from(TORN))
    checked(text[:at] + instead + text[at + gone :], directory)
