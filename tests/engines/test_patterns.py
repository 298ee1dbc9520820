"""Patterns choose what Docker's own code chooses: thousands of generated lists and trees, asked in one process.

The program that answers is in ``oracles/dockerignore``; it is built where there is a Go.
"""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildpush.dockerfile.dockerignore import Ignore, parse
from buildpush.dockerfile.patterns import ROOT_STATE, DirectoryState, read_patterns
from buildpush.foundation.errors import ContextError

ORACLE = Path(__file__).parent / "oracles" / "dockerignore"
CASES = 3000

pytestmark = pytest.mark.engines

NAMES = ("a", "b", "c", "ab", "abc", "a.md", "b.md", ".env", "x.pem", "docs", "d", "!x", "#c", "1", "a b")
COMMON = ("*.md", "**.env", "**.pem", "d/**", "*")
ODD_NAMES = (
    "é",
    "[a]",
    "a*",
    "a?",
    "a\\b",
    "a\nb",
    "\udcff",
    "\ufffd",
    "a|b",
    "{",
    "}",
    "-",
    "\\",
    "aa",
    "aaa",
    "^",
    "\r",
    "]",
    "ß",
)
PIECES = (
    "*",
    "**",
    "**/",
    "/",
    "?",
    "a",
    "b",
    "ab",
    "c",
    ".md",
    ".env",
    ".pem",
    "docs",
    "d",
    "[a-c]",
    "[^a]",
    ".",
    "..",
)
ODD_PIECES = (
    "!", "#", "\\", "[", "]", "^", "$", "|", "{", "}", "{2}", "{1,}", "{,2}", "(", ")", "+", "-", "\\a", "\\d", "\\w",
    "\\*",
    "\\.", "\\[", "\\x61", "\\141", "\\Q", "\\E", "\\b", "\\z", "\\A", "\\s", "\\D", "[[:alpha:]]", "[!a]", "[a*]",
    "[a?]",
    "[\\]]", "[a-]", "[]", "[.]", "[+-0]", "\r", " ", "\t", "\u00a0", "\ufeff", "é", "\udcff", "\ufffd", "\x1c", "***",
    "[z-a]",
    "\\x{61}", "a{3}", "[\\d]", "[^\\w]", "\\é", "\\8", "0", "1", "[^/]", "\0",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A tree, its paths in the order of a walk, directories with a slash; and what is asked about it."""

    paths: tuple[str, ...]
    text: str | None = None
    include: tuple[str, ...] = ()

    def question(self) -> str:
        said = {"Paths": list(map(_raw, self.paths)), "Include": list(map(_raw, self.include))}
        return json.dumps(said | ({} if self.text is None else {"Text": _raw(self.text)}))


def _raw(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()


def cases(number: int, seed: int) -> Iterator[Case]:
    chance = random.Random(seed)
    for _ in range(number):
        paths = tuple(_tree(chance, NAMES if chance.random() < 0.7 else NAMES + ODD_NAMES, 0))
        odd = chance.random() < 0.4
        if chance.random() < 0.2:
            yield Case(paths, None, tuple(_pattern(chance, odd=odd) for _ in range(chance.randint(1, 2))))
            continue
        lines = [_line(chance, odd=odd) for _ in range(chance.randint(1, 5))]
        head = "\ufeff" if chance.random() < 0.05 else ""
        yield Case(paths, head + chance.choice(["\n", "\n", "\n", "\r\n"]).join(lines) + chance.choice(["", "\n"]))


def _tree(chance: random.Random, names: tuple[str, ...], depth: int) -> Iterator[str]:
    drawn = {chance.choice(names) for _ in range(chance.randint(1, 4))}
    for name in sorted(drawn, key=lambda name: name.encode("utf-8", "surrogateescape")):
        if depth < 3 and chance.random() < 0.5:
            yield f"{name}/"
            yield from (f"{name}/{inner}" for inner in _tree(chance, names, depth + 1))
        else:
            yield name


def _pattern(chance: random.Random, *, odd: bool) -> str:
    if not odd and chance.random() < 0.5:
        return chance.choice(["", "*/", "**/", "docs/"]) + chance.choice(
            [*NAMES, "*.md", "**.env", "**.pem", "d/**", "*"]
        )
    pieces = PIECES + ODD_PIECES if odd else PIECES
    return "".join(chance.choice(pieces) for _ in range(chance.randint(1, 5)))


def _line(chance: random.Random, *, odd: bool) -> str:
    mark = chance.choice(["", "", "", "!", "! ", "/", "/!", "!/", "./", " ", "#"] if odd else ["", "", "!", "/"])
    return mark + _pattern(chance, odd=odd)


@pytest.fixture(scope="module")
def ask(need, tmp_path_factory):
    """Return what asks Docker's code: numbers of paths, or an error, for each of the cases."""
    need("go")
    program = tmp_path_factory.mktemp("oracle") / "dockerignore"
    built = subprocess.run(["go", "build", "-o", program, "."], cwd=ORACLE, capture_output=True, text=True, check=False)
    if built.returncode and os.environ.get("CI") != "true":
        pytest.skip(f"needs Docker's code, which cannot be fetched: {built.stderr.strip()[-200:]}")
    assert not built.returncode, built.stderr

    def asked(questions: list[Case]) -> list[list[int] | None]:
        lines = "".join(f"{case.question()}\n" for case in questions)
        done = subprocess.run([program], input=lines, capture_output=True, text=True, check=True, timeout=120)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        return [None if answer["Err"] else answer["Sent"] for answer in answers]

    return asked


def ours(case: Case) -> list[int] | None:
    """Return what we would send, or ``None`` where the patterns are refused."""
    try:
        if case.text is None:
            return _included(case)
        return _sent(case, parse(case.text.encode("utf-8", "surrogateescape")))
    except ContextError:
        return None


def _sent(case: Case, ignore: Ignore) -> list[int]:
    """Walk as the engine does: with what is known of the directories on the way."""
    sent: set[str] = set()
    known: dict[str, DirectoryState] = {"": ROOT_STATE}
    for path in case.paths:
        name = path.rstrip("/")
        above = known[name.rpartition("/")[0]]
        if path.endswith("/"):
            known[name] = ignore.patterns.below(above, name)
            left_out = known[name].selected
        else:
            left_out = ignore.patterns.select(above, name)
        assert left_out == ignore.hides(name)
        if not left_out:
            sent |= {name, *_above(name)}
    return _places(case, sent)


def _included(case: Case) -> list[int]:
    patterns = read_patterns(case.include)
    chosen = [path.rstrip("/") for path in case.paths if patterns.match(path.rstrip("/"))]
    return _places(case, {*chosen, *(directory for path in chosen for directory in _above(path))})


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _places(case: Case, names: set[str]) -> list[int]:
    return [place for place, path in enumerate(case.paths) if path.rstrip("/") in names]


def differences(ask, questions: list[Case]) -> Iterator[str]:
    for case, wanted in zip(questions, ask(questions), strict=True):
        found = ours(case)
        if found != wanted:
            yield f"{case}\n  Docker: {_named(case, wanted)}\n  ours:   {_named(case, found)}"


def _named(case: Case, places: list[int] | None) -> object:
    return places if places is None else [case.paths[place] for place in places]


def test_what_is_left_out_is_what_docker_leaves_out(ask):
    questions = list(cases(CASES, int(os.environ.get("PATTERN_SEED", "1"))))
    found = list(differences(ask, questions))
    assert not found, f"{len(found)} differ:\n" + "\n".join(found[:5])
