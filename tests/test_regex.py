"""A pattern that is compiled when it is first used."""

from __future__ import annotations

import copy
import re

import pytest

from buildpush.foundation import regex as module
from buildpush.foundation.regex import regex


def test_it_does_what_the_compiled_pattern_does():
    pattern = regex(r"(?P<name>[a-z]+)=(\d+)", re.IGNORECASE)
    assert pattern.match("A=1")["name"] == "A"
    assert pattern.sub("x", "a=1 b=2") == "x x"
    assert (pattern.pattern, pattern.groups) == (r"(?P<name>[a-z]+)=(\d+)", 2)
    assert copy.copy(pattern).match("A=1")


def test_it_is_compiled_at_first_use_and_asked_once(monkeypatch):
    compiled = []
    monkeypatch.setattr(module.re, "compile", lambda *given: compiled.append(given) or re._compiler.compile(*given))
    pattern = regex("a+")
    assert not compiled
    assert [pattern.match("aa")[0], pattern.match("a")[0]] == ["aa", "a"]
    assert compiled == [("a+", 0)]


def test_a_mistake_in_the_pattern_is_told_at_first_use():
    with pytest.raises(re.error):
        regex("(").match("")
