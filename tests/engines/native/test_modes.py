"""Modes in letters give what BuildKit gives: the table was read off images that it built."""

from __future__ import annotations

import pytest

from buildpush.engines.native import modes


@pytest.mark.parametrize(
    ("text", "kind", "before", "after"),
    [
        ("+x", "file", 0o0640, 0o751),
        ("go=u", "directory", 0o0700, 0o777),
        ("u=rwX,go=rX", "file", 0o0600, 0o644),
        ("u=rwX,go=rX", "directory", 0o0700, 0o755),
        ("a-w,u+s", "file", 0o0755, 0o4555),
        ("+t", "file", 0o0755, 0o1755),
        ("g+s", "file", 0o0755, 0o2755),
        ("u=g", "file", 0o0644, 0o444),
        ("755", "file", 0o0600, 0o755),
        ("-r-,+g=xtw", "directory", 0o0644, 0o1200),
        ("=sXt", "file", 0o0600, 0o1600),
        ("-Xt", "file", 0o0600, 0o600),
        ("+tsr", "file", 0o4755, 0o5755),
        ("=ts", "file", 0o1777, 0o1777),
        ("o-tX=", "file", 0o0644, 0o640),
        ("oa-t-u", "directory", 0o0644, 0o0),
        ("og=u,g+Xtx", "directory", 0o0755, 0o1777),
        ("=rXs,=", "file", 0o0644, 0o0),
        ("ga=rXw,o+w-", "directory", 0o0600, 0o777),
        ("g=X", "file", 0o1777, 0o1717),
        ("u=Xxw+rX", "directory", 0o2711, 0o2711),
        ("o-tX=", "file", 0o0755, 0o750),
        ("a+u", "file", 0o1777, 0o1777),
        ("ug=o", "file", 0o2711, 0o2111),
        ("o=x,o=o", "directory", 0o0600, 0o601),
        ("a=o", "directory", 0o0755, 0o555),
        ("gu+o", "directory", 0o0755, 0o755),
        ("u+o", "directory", 0o2711, 0o2711),
    ],
)
def test_letters_change_a_mode_as_buildkit_changes_it(text, kind, before, after):
    mode = modes.read_mode(text)
    assert mode is not None
    found = modes.apply_mode(before, mode, is_directory=kind == "directory")
    assert oct(found) == oct(after)


@pytest.mark.parametrize("text", ["", "8", "77777", "u", "u+y", "x", "+x,", ",+x", "u~x", "u+ug", "1755x"])
def test_what_is_no_mode_is_none(text):
    assert modes.read_mode(text) is None
