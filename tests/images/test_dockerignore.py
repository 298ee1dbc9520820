"""What a context leaves out follows Docker's patterns."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildpush.errors import ContextError
from buildpush.images import dockerignore
from buildpush.images.dockerignore import parse, regular_expression


@pytest.mark.parametrize(
    ("lines", "hidden", "kept"),
    [
        ("*.md", ["a.md"], ["b/a.md", "a.mdx"]),
        ("**/*.md", ["a.md", "b/a.md", "b/c/a.md"], ["a.mdx"]),
        ("*/temp*", ["a/temp", "a/temporary/x"], ["temp", "a/b/temp"]),
        ("temp?", ["tempa", "tempa/x"], ["temp", "tempab"]),
        ("/site/", ["site", "site/a"], ["b/site"]),
        ("./a/../b", ["b"], ["a"]),
        ("node_modules", ["node_modules/x/y"], ["x/node_modules"]),
        ("*\n!a\n", ["b", "c/a"], ["a", "a/b"]),
        ("a\n!a/b\na/b/c", ["a", "a/x", "a/b/c"], ["a/b", "a/b/d"]),
        ("!a\na", ["a"], []),
        ("# a\n\n  b  \n", ["b"], ["a", "# a"]),
        ("[a-c]x", ["ax", "cx"], ["dx"]),
        ("[^a]x", ["bx"], ["ax"]),
        (r"\*a", ["*a"], ["ba"]),
        ("a/**", ["a/b", "a/b/c"], ["a"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["a/b"]),
        ("a.b", ["a.b"], ["axb"]),
        (".", [], ["a"]),
        ("**", ["a", "a/b"], []),
    ],
)
def test_patterns_hide_what_docker_hides(lines, hidden, kept):
    ignore = parse(lines.encode())
    assert [path for path in hidden if not ignore.hides(path)] == []
    assert [path for path in kept if ignore.hides(path)] == []


def test_the_pattern_that_decided_is_known():
    assert parse(b"x\n*.md\n").by("b.md").line == 2


@pytest.mark.parametrize("line", ["[a", "a\\", "[]", "[-]", "[z-a]"])
def test_a_malformed_pattern_is_an_error_with_its_line(line):
    with pytest.raises(ContextError) as caught:
        parse(f"ok\n{line}\n".encode())
    assert caught.value.where == ".dockerignore:2"


def test_the_file_beside_the_dockerfile_comes_first(tmp_path):
    (tmp_path / ".dockerignore").write_text("a")
    assert dockerignore.read(tmp_path, tmp_path / "web").hides("a")
    (tmp_path / "web.dockerignore").write_text("b")
    found = dockerignore.read(tmp_path, tmp_path / "web")
    assert found.hides("b")
    assert not found.hides("a")
    assert found.path == "web.dockerignore"


def test_without_a_file_nothing_is_hidden(tmp_path):
    assert not dockerignore.read(tmp_path, tmp_path / "Dockerfile").hides("a")


def test_a_link_to_another_list_is_followed_within_the_context_or_beside_the_dockerfile(tmp_path):
    context, beside = tmp_path / "context", tmp_path / "docker"
    for folder in (context, beside):
        folder.mkdir()
        (folder / "shared").write_text("*.md\n")
    (context / ".dockerignore").symlink_to("shared")
    (beside / "App.dockerignore").symlink_to("shared")
    for dockerfile_ in (context / "Dockerfile", beside / "App"):
        assert dockerignore.read(context, dockerfile_).hides("a.md")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_plain_file_is_an_error(tmp_path, make):
    make(tmp_path / ".dockerignore")
    with pytest.raises(ContextError, match="is no file"):
        dockerignore.read(tmp_path, tmp_path / "Dockerfile")


@settings(deadline=None, max_examples=150)
@given(st.text(alphabet="ab*?[]^-\\/!.# \n", max_size=30), st.text(alphabet="ab/.", max_size=20))
def test_patterns_raise_nothing_but_their_own_error(lines, path):
    with suppress(ContextError):
        parse(lines.encode()).hides(path)


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("*a" * 8 + "b", "a" * 60),
        ("**/a*/" * 8 + "b", "a/" * 60 + "c"),
        ("**/" + "*a*" * 12 + "b", "a/" * 10 + "a" * 60),
        ("*[ab]" * 12 + "c", "ab" * 40),
    ],
)
def test_a_pattern_of_many_stars_does_not_take_for_ever(line, path):
    """It once took exponential time."""
    assert not parse(line.encode()).hides(path)


def fits(pattern: str, path: str) -> bool:
    """Return whether *path* fits, by trying every way."""
    if not pattern:
        return not path
    if pattern.startswith("**"):
        rest = pattern[3:] if pattern.startswith("**/") else pattern[2:]
        folders = [at + 1 for at, character in enumerate(path) if character == "/"]
        return not rest or any(fits(rest, path[at:]) for at in (0, *folders))
    if pattern[0] == "*":
        name = path.partition("/")[0]
        return any(fits(pattern[1:], path[at:]) for at in range(len(name) + 1))
    if pattern.startswith("[ab]"):
        return path[:1] in {"a", "b"} and fits(pattern[4:], path[1:])
    if pattern[0] == "?":
        return path[:1] not in {"", "/"} and fits(pattern[1:], path[1:])
    return path[:1] == pattern[0] and fits(pattern[1:], path[1:])


tokens = st.sampled_from(["a", "b", "/", "*", "**", "**/", "?", "[ab]"])


@settings(max_examples=400)
@given(st.lists(tokens, max_size=9).map("".join), st.text("abc/", max_size=9))
def test_patterns_fit_what_trying_every_way_finds(pattern, path):
    found = re.compile(regular_expression(pattern, deep=True), re.DOTALL).match(path)
    assert bool(found) == fits(pattern, path)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.text(alphabet="ab*?!/", min_size=1, max_size=6), max_size=5),
    st.lists(st.sampled_from("ab"), min_size=2, max_size=4),
)
def test_a_path_that_no_line_names_is_as_its_folder_is(lines, parts):
    """So that a walk through a large context need not look at every folder above every file."""
    ignore = parse("\n".join(lines).encode())
    folder, path = "/".join(parts[:-1]), "/".join(parts)
    named = ignore.names()
    if named is None or not named.match(path):
        assert ignore.hides(path) == ignore.hides(folder)
