"""Variables in Dockerfile words are replaced as BuildKit replaces them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildpush.dockerfile.variables import expand, expand_words
from buildpush.foundation.errors import DockerfileError

VALUES = {"a": "A", "e": "", "s": "two words", "p": "/usr/local/bin", "star": "*", "b": "a\\b", "l": "x\ny x"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$a-${a}x$ab", "A-Ax"),
        ("$", "$"),
        ("$.", "$."),
        (r"\$a", "$a"),
        ("'$a'", "$a"),
        ('"$a b"', "A b"),
        (r'"\$a \n \""', r'$a \n "'),
        (r"a\ b", "a b"),
        ("${n:-d}${e:-d}${a:-d}", "ddA"),
        ("${n-d}${e-d}${a-d}", "dA"),
        ("${n:+d}${e:+d}${a:+d}", "d"),
        ("${n+d}${e+d}${a+d}", "dd"),
        ("${n:-${m:-$a}}", "A"),
        ("${n:-'}'}", "}"),
        ("${a:?no}", "A"),
        ("${p#*/}", "usr/local/bin"),
        ("${p##*/}", "bin"),
        ("${p%/*}", "/usr/local"),
        ("${p%%/*}", ""),
        ("${p/l/L}", "/usr/Local/bin"),
        ("${p//l/L}", "/usr/LocaL/bin"),
        ("${p/usr\\/local/x}", "/x/bin"),
        ("$star", "*"),
        ("x$1y", "xy"),
        ("$$a", "a"),
        ("$a²", "A²"),
        ("${/a/b}${+x}${-}", ""),
    ],
)
def test_a_word_expands(text, value):
    assert expand(text, VALUES.get) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${p//l/$0}", "/usr/oca/bin"),
        ("${p//l/'[$0]'}", "/usr/[l]oca[l]/bin"),
        ("${p//l/'$x${0}$$'}", "/usr/l$ocal$/bin"),
        ("${p/l/'$0'}", "/usr/$0ocal/bin"),
        (r"${p/l/\\}", r"/usr/\\ocal/bin"),
        (r"${p/l/'\'}", r"/usr/\ocal/bin"),
        ("${a//*/-}", "-"),
        ("${a//x*/-}", "A"),
        ("${a///-}", "-A-"),
    ],
)
def test_a_replacement_reads_as_go_reads_it(text, value):
    """BuildKit hands it to regexp.ReplaceAllString, which knows $0, and keeps escapes in it."""
    assert expand(text, VALUES.get) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"${b#*\\}", "b"),
        ("${b#*'\\'}", "b"),
        (r'${b#*"\\"}', "b"),
        ("${l#*}", "x\ny x"),
        ("${l##*}", "\ny x"),
        ("${l%%x*}", "x\ny "),
        ("${p#'#'*/}", "bin"),
        ("${p%/???}", "/usr/local"),
        ("${p%%/*n}", ""),
        ("${star#\\*}", ""),
        ("${star%\\?}", "*"),
        ("${p/'/'/x}", "xusr/local/bin"),
    ],
)
def test_a_pattern_matches_what_it_matches_in_buildkit(text, value):
    """Quotes make a backslash mean itself, and no wildcard takes an end of line."""
    assert expand(text, VALUES.get) == value


@pytest.mark.parametrize("text", [r"${p#\a}", r"${p/\u/x}", r"${p%a\b}"])
def test_a_backslash_in_a_pattern_escapes_only_what_is_special_there(text):
    with pytest.raises(DockerfileError, match="in a pattern, a backslash"):
        expand(text, VALUES.get)


@pytest.mark.parametrize(
    "text",
    [
        "${a:#x}",
        "${a:%x}",
        "${a:/x/y}",
        "${",
        "${}",
        "${a",
        "${:a}",
        "${a:x}",
        "'a",
        '"a',
        "${a!b}",
        "${a/b",
        "${n:-" * 40,
    ],
)
def test_a_malformed_substitution_is_an_error(text):
    with pytest.raises(DockerfileError):
        expand(text, VALUES.get)


def test_a_required_variable_speaks_with_its_own_words():
    with pytest.raises(DockerfileError, match="n: set it please"):
        expand("${n:?set it please}", VALUES.get)
    with pytest.raises(DockerfileError, match="e: not allowed to be empty"):
        expand("${e:?}", VALUES.get)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("$s", ["two", "words"]),
        ('"$s"', ["two words"]),
        ("x$s'y z'", ["xtwo", "wordsy z"]),
        ("''", []),
        ("'' a", ["a"]),
        ("80${n:-81}", ["81"]),
        ("80 ${n:-81}x", ["80", "81x"]),
        ("${n:-1 2} 3", ["1", "2", "3"]),
        ("a\u2003b\x1cc", ["a", "b\x1cc"]),
        ("<< a b", ["<< a", "b"]),
        (" a  b ", ["a", "b"]),
        ("$n", []),
        ("", []),
    ],
)
def test_blanks_of_a_value_separate_words_outside_quotes(text, words):
    assert expand_words(text, VALUES.get) == words


def test_the_backtick_can_be_the_escape():
    assert expand(r"`$a\$a", VALUES.get, "`") == r"$a\A"


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet="ab$ {}:-+?#%/\\'\"*\n", max_size=30))
def test_expansion_raises_nothing_but_its_own_error(text):
    with suppress(DockerfileError):
        expand(text, VALUES.get)
        expand_words(text, VALUES.get)


@pytest.mark.parametrize("text", ["$A$A", "${A//a/bb}", "${B:-$A$A}"])
def test_a_value_does_not_grow_without_limit(text):
    """ENV A=$A$A, written thirty times, once filled the memory."""
    with pytest.raises(DockerfileError, match="longer than"):
        expand(text, {"A": "a" * 600_000}.get)
