"""Which paths a pattern matches, and where they go."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush.artifactory.patterns import FilePattern, FoundFile, excludes, target_of
from buildpush.foundation.errors import SettingsError

NAMES = st.text("ab.(){}[]+$ ", min_size=1, max_size=4).filter(lambda name: name not in {".", ".."})
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.bin", "a.bin", True),
        ("*.bin", "sub/a.bin", True),  # as in jf: a star crosses directories
        ("sub/*", "sub/x/y", True),
        ("sub/*", "subs/x", False),
        ("dist/**/*.whl", "dist/a.whl", True),
        ("dist/**/*.whl", "dist/x/y/a.whl", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a.c", "abc", False),
        (r"a\*c", "abc", False),
        (r"a\*c", "a*c", True),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        ("a(1).txt", "a(1).txt", True),
        ("a)(.txt", "a)(.txt", True),
    ],
)
def test_a_pattern_matches_as_jf_says(pattern, path, matches):
    assert (FilePattern.parse(pattern).match(path) is not None) == matches


@pytest.mark.parametrize(
    ("pattern", "target", "path", "goes_to"),
    [
        ("(*).bin", "r/{1}-x.bin", "sub/a.bin", "r/sub/a-x.bin"),
        ("(*)/(*).bin", "r/{2}/{1}.bin", "sub/a.bin", "r/a/sub.bin"),
        ("((a)*)-(*)", "r/{1}/{2}/{3}", "abc-d", "r/abc/a/d"),
        ("(a)/(*)", "r/{2}", "(a)/b", "r/b"),  # parentheses without a placeholder are literal
        (r"\(a\)(*)", "r/{1}", "(a)b", "r/b"),
        ("*", "r/{1}/", "x", None),
        ("(*)", "r/{2}", "x", None),
    ],
)
def test_placeholders_are_filled_by_the_number_of_their_parentheses(pattern, target, path, goes_to):
    if goes_to is None:
        with pytest.raises(SettingsError, match="placeholder"):
            FilePattern.parse(pattern, target)
        return
    found = FilePattern.parse(pattern, target).match(path)
    assert found is not None
    assert target_of(found, target, flat=False) == goes_to


@pytest.mark.parametrize(
    ("path", "target", "flat", "goes_to"),
    [
        ("sub/x", "t/", True, "t/x"),
        ("sub/x", "t/", False, "t/sub/x"),
        ("sub/x", "t/y", False, "t/y"),
        ("/abs/x", "t/", False, "t/abs/x"),  # jf writes t//abs/x
        ("../up/x", "t/", False, "t/up/x"),
        ("./x", "t//u/", False, "t/u/x"),
    ],
)
def test_below_a_directory_a_file_keeps_its_own_unless_flat(path, target, flat, goes_to):
    assert target_of(FoundFile(path, {}), target, flat=flat) == goes_to


@pytest.mark.parametrize(
    ("pattern", "directory"),
    [
        ("*.bin", ""),
        ("a/b*/c", "a"),
        ("a/b/c", "a/b"),
        ("/*", "/"),
        ("/a/*", "/a"),
        ("../x/*", "../x"),
        ("(a/b)/*", "a/b"),
    ],
)
def test_every_match_is_below_the_directory_that_is_searched(pattern, directory):
    assert FilePattern.parse(pattern, "{1}" if "(" in pattern else "").directory == directory


@given(PATHS)
def test_an_escaped_path_matches_itself_alone(path):
    pattern = FilePattern.parse(re.sub(r"([\\*?(){}])", r"\\\1", path))
    assert pattern.match(path) == FoundFile(path, {})
    assert not pattern.is_open
    assert pattern.start == path
    assert pattern.match(f"{path}x") is None


@given(PATHS, st.data())
def test_a_star_stands_for_any_part_of_a_path(path, data):
    begin = data.draw(st.integers(0, len(path)))
    end = data.draw(st.integers(begin, len(path)))
    escaped = [re.sub(r"([\\*?(){}])", r"\\\1", part) for part in (path[:begin], path[end:])]
    found = FilePattern.parse(f"{escaped[0]}(*){escaped[1]}", "{1}").match(path)
    assert found is not None
    assert f"{path[:begin]}{found.placeholders[1]}{path[end:]}" == path


@given(st.text("ab/*?()\\{}", max_size=12), PATHS)
def test_any_text_is_a_pattern_and_its_matches_begin_as_it_says(pattern, path):
    parsed = FilePattern.parse(pattern)
    if parsed.match(path):
        assert path.startswith(parsed.start)


@given(PATHS, st.booleans())
def test_no_target_has_empty_or_upward_parts(path, flat):
    target = target_of(FoundFile(f"../{path}/./x", {}), "r//t/", flat=flat)
    assert not {"", ".", ".."} & set(target.split("/"))


@pytest.mark.parametrize(
    ("patterns", "path", "excluded"),
    [
        (["*.log"], "a/b.log", True),
        (["node_modules/*"], "node_modules/a/b", True),
        (["node_modules"], "node_modules/a/b", False),  # as in jf
        (["node_modules/"], "node_modules/a", True),
        (["./sub/"], "sub/a", True),
        (["sub"], "a/sub/b", False),
        (["*/sub/"], "a/sub/b", True),
        ([], "a", False),
    ],
)
def test_an_exclusion_is_for_files_or_for_all_below_a_directory(patterns, path, excluded):
    assert excludes(patterns, path) == excluded
