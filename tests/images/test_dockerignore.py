"""What a context leaves out follows Docker's patterns."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildpush.errors import ContextError
from buildpush.images import dockerignore
from buildpush.images.dockerignore import parse


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


def test_an_unreadable_file_is_an_error(tmp_path):
    (tmp_path / ".dockerignore").mkdir()
    with pytest.raises(ContextError, match="cannot be read"):
        dockerignore.read(tmp_path, tmp_path / "Dockerfile")


@settings(deadline=None, max_examples=150)
@given(st.text(alphabet="ab*?[]^-\\/!.# \n", max_size=30), st.text(alphabet="ab/.", max_size=20))
def test_patterns_raise_nothing_but_their_own_error(lines, path):
    with suppress(ContextError):
        parse(lines.encode()).hides(path)
