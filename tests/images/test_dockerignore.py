"""What a context leaves out follows Docker's patterns."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildpush.dockerfile import dockerignore
from buildpush.dockerfile.dockerignore import parse
from buildpush.dockerfile.patterns import read_patterns
from buildpush.dockerfile.regexp import GoRegexp
from buildpush.dockerfile.wildcards import matcher
from buildpush.foundation.errors import ContextError


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
        ("b[^a]x", ["bbx", "b/x"], ["bax", "bx"]),
        ("**.pem", ["a.pem", "b/c.pem", ".pem"], ["a.pems"]),
        ("**.env", [".env", "b/.env", "b/x.env"], ["env"]),
        ("**/*.md\n!docs", ["a.md", "b/a.md", "docs/x.md", "docs/b/x.md"], ["docs"]),
        ("*\n!docs", ["a", "a/docs"], ["docs", "docs/x.md"]),
        ("a|b*", ["a", "ax", "b", "xb"], ["c"]),
        (r"\d*", ["1", "1a"], ["d", "da"]),
        ("/!a", [], ["a", "!a"]),
        ("a\n/!a", [], ["a"]),
        ("b\r\n# c\r\n", ["b"], ["c", "# c"]),
        ("\ufeffa\n", ["a"], []),
        ("a**", ["a", "ab", "a/b"], ["b"]),
        ("a\n!**/k", ["a", "a/b"], ["a/k", "a/b/k"]),
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
    assert parse(b"x\n*.md\n").find_pattern("b.md").where == ".dockerignore:2"


@pytest.mark.parametrize("line", ["[a", "a\\", "[]", "[-]", "!", "! ", "!/", "x" * 64 * 1024])
def test_a_malformed_pattern_is_an_error_with_its_line(line):
    with pytest.raises(ContextError) as caught:
        parse(f"ok\n{line}\n".encode())
    assert caught.value.where == ".dockerignore:2"


@pytest.mark.parametrize("line", ["[z-a]", r"\8*", r"*\pL", "a{2}{3}*", "|{2}*", "a{1001}*", r"\é*", "[[:no:]]"])
def test_what_only_its_regular_expression_does_not_read_is_an_error_when_it_is_needed(line):
    ignore = parse(f"ok\n{line}\n".encode())
    with pytest.raises(ContextError) as caught:
        ignore.hides("a")
    assert caught.value.where == ".dockerignore:2"


def test_the_file_beside_the_dockerfile_comes_first(tmp_path):
    (tmp_path / ".dockerignore").write_text("a")
    assert dockerignore.read(tmp_path, tmp_path / "web").hides("a")
    (tmp_path / "web.dockerignore").write_text("b")
    found = dockerignore.read(tmp_path, tmp_path / "web")
    assert found.hides("b")
    assert not found.hides("a")
    assert found.path == "web.dockerignore"


@pytest.mark.parametrize("path", ["a.tar", "a/[b]*?.tar", "é/x|{2}^.tar", "a\\b"])
def test_one_path_may_be_left_out_whatever_its_name_is(path):
    ignore = parse(b"*\n!*\n").without(path)
    assert ignore.hides(path)
    assert not ignore.hides(f"{path}x")
    assert ignore.find_pattern(path).where is None


def test_without_a_file_nothing_is_hidden(tmp_path):
    assert not dockerignore.read(tmp_path, tmp_path / "Dockerfile").hides("a")


def test_a_link_to_another_list_is_followed_within_the_context_or_beside_the_dockerfile(tmp_path):
    context, beside = tmp_path / "context", tmp_path / "docker"
    for directory in (context, beside):
        directory.mkdir()
        (directory / "shared").write_text("*.md\n")
    (context / ".dockerignore").symlink_to("shared")
    (beside / "App.dockerignore").symlink_to("shared")
    for dockerfile_ in (context / "Dockerfile", beside / "App"):
        assert dockerignore.read(context, dockerfile_).hides("a.md")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_plain_file_is_an_error(tmp_path, make):
    make(tmp_path / ".dockerignore")
    with pytest.raises(ContextError, match="is not a file"):
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
        ("*[^c]" * 12 + "c", "ab" * 40),
        ("*a|*" * 8 + "c", "ab" * 40),
        ("*a" * 12 + "b", "a" * 40 + "\n"),
        ("a{1000}*b", "a" * 1100),
    ],
)
def test_a_pattern_of_many_stars_does_not_take_for_ever(line, path):
    """It once took exponential time."""
    begun = time.process_time()
    parse(line.encode()).hides(path)
    assert time.process_time() - begun < 5


def fits(pattern: str, path: str) -> bool:
    """Return whether *path* fits, by trying every way."""
    if not pattern:
        return not path
    if pattern.startswith("**"):
        rest = pattern[3:] if pattern.startswith("**/") else pattern[2:]
        directories = [at + 1 for at, character in enumerate(path) if character == "/"]
        return not rest or any(fits(rest, path[at:]) for at in (0, *directories))
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
    """By the fast way, and by the one for odd patterns, which is the same regular expression as Go's."""
    if (
        pattern.startswith("**")
        or "/" in {pattern[:1], pattern[-1:]}
        or "//" in pattern + path
        or path[:1] in {"", "/"}
    ):
        return  # these are compared otherwise, or cleaned
    (found,) = read_patterns([pattern]).patterns or [None]
    if found:
        assert found.matches(path) == fits(pattern, path)


@settings(max_examples=400)
@given(st.text("ab.*|{}2,[]^-dw\\QE", max_size=9), st.text("ab1/.\n{}", max_size=9))
def test_expressions_fit_what_python_finds(expression, text):
    """Where both read it, and by the same rules."""
    if re.search(r"\\[^dw]|\\$|\{,|\[\]|\[\^\]|\[\[|--|\|\||&&|~~", expression):
        return
    try:
        ours, theirs = GoRegexp(expression), re.compile(expression, re.ASCII)
    except (ValueError, re.error):
        return
    assert ours.search(text) == bool(theirs.search(text))


@settings(max_examples=300)
@given(st.lists(tokens.filter(lambda token: token != "**/"), max_size=9).map("".join), st.text("abc/", max_size=9))
def test_wildcards_fit_what_trying_every_way_finds(pattern, path):
    assert matcher(pattern)(path) == fits(re.sub(r"\*+", "*", pattern), path)


def test_the_class_of_a_wildcard_may_be_a_slash_as_in_go():
    assert matcher("w[^x]*[^x]md")("w/x.md")
    assert not matcher("w[a-c]x")("w/x")
    assert not matcher("*[^c]" * 12 + "c")("ab" * 40)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.text(alphabet="ab*?!/|[^]", min_size=1, max_size=6), max_size=5),
    st.lists(st.sampled_from("ab"), min_size=2, max_size=4),
)
def test_what_a_walk_leaves_out_is_what_is_left_out_when_it_is_asked_alone(lines, parts):
    with suppress(ContextError):
        ignore = parse("\n".join(lines).encode())
        directory, path = "/".join(parts[:-1]), "/".join(parts)
        assert ignore.hides(path) == ignore.patterns.select(ignore.patterns.state(directory), path)
