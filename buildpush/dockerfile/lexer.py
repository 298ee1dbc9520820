"""Splits a line of a Dockerfile into words and flags, and finds the heredocs that begin there.

Source: BuildKit, ``frontend/dockerfile/parser``: ``parseWords``, ``extractBuilderFlags``, ``heredocsFromLine``.
"""

from __future__ import annotations

import json
import re
from functools import cache, partial

from buildpush.dockerfile.variables import SPACE, expand, expand_words
from buildpush.foundation.errors import DockerfileError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex

# Blanks between arguments; at the ends of a line, all of SPACE is stripped.
_BLANKS = regex(r"[\t\v\f\r ]+")
_ASCII_SPACE = " \t\n\v\f\r"  # in flags, BuildKit compares bytes, not characters
_HEREDOC = regex(r"\d*<<(-?)[\t\n\f\r ]*+([^<]+)\Z")
_DOLLAR = "\ue000"  # a placeholder for a dollar that begins no variable


def partition_blank(text: str) -> tuple[str, str, str]:
    """Return the first word, the blanks after it, and the rest."""
    match = _BLANKS.search(text)
    return (text[: match.start()], match[0], text[match.end() :]) if match else (text, "", "")


def split_blanks(text: str) -> tuple[str, ...]:
    """Split at blanks; quotes have no meaning."""
    return tuple(_BLANKS.split(text))


def split_words(text: str, escape: str) -> list[str]:
    """Return the words of *text*; blanks inside quotes do not separate, quotes and escapes stay.

    A quote that is never closed reaches to the end; an escape as the last character is dropped.
    """
    mark = re.escape(escape)
    double = rf'"(?:{mark}.|[^"{mark}])*(?:"|(?={mark}\Z)|\Z)'
    token = re.compile(
        rf"(?P<blanks>[{SPACE}]+)|(?P<text>{mark}.|'[^']*(?:'|\Z)|{double}|[^{SPACE}'\"{mark}]+)|{mark}", re.DOTALL
    )
    words: list[list[str]] = [[]]
    for match in token.finditer(text):
        if match["blanks"]:
            words.append([])
        elif match["text"]:
            words[-1].append(match["text"])
    return ["".join(word) for word in words if word]


def split_flags(text: str, escape: str) -> tuple[list[str], str]:
    """Return the words that begin with two dashes at the start of *text*, without quotes, and the rest."""
    token = _flag_token(re.escape(escape))
    word = re.compile(f"[{_ASCII_SPACE}]*(?P<flag>--(?:{token.pattern})*)", re.DOTALL)
    flags: list[str] = []
    at = 0
    while match := word.match(text, at):
        flag, at = token.sub(partial(_unquote, escape), match["flag"]), match.end()
        if flag == "--":
            break
        flags.append(flag)
    return flags, text[at:].lstrip(_ASCII_SPACE)


@cache
def _flag_token(mark: str) -> re.Pattern[str]:
    single, double = (rf"{quote}(?:{mark}(?:.|\Z)|[^{quote}{mark}])*(?:{quote}|\Z)" for quote in "'\"")
    return re.compile(rf"{mark}(?:.|\Z)|{single}|{double}|[^{_ASCII_SPACE}'\"{mark}]+", re.DOTALL)


def _unquote(escape: str, match: re.Match[str]) -> str:
    """Return a part of a flag without its quotes and escapes."""
    text = match[0]
    quote = text[0] if text[0] in {"'", '"'} else ""
    return re.sub(rf"{re.escape(escape)}(.?)|{quote or '(?!)'}", lambda part: part[1] or "", text, flags=re.DOTALL)


class NotStringsError(Exception):
    """A JSON array contains something other than strings."""


def read_array(text: str) -> tuple[str, ...] | None:
    """Return the strings of a JSON array, or ``None`` where *text* is not one.

    Raises:
        NotStringsError: it is one, but not of strings.
    """
    if not text.lstrip(SPACE).startswith("["):
        return None
    try:
        words = json.loads(text.lstrip(SPACE), parse_constant=_no_json)  # not strict: as BuildKit reads a Dockerfile
    except (ValueError, RecursionError):
        return None  # as in BuildKit, it is the shell form
    if not all(isinstance(word, str) for word in words):
        raise NotStringsError
    return tuple(word.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for word in words)


def _no_json(name: str) -> None:
    """Refuse NaN and the like, which Python would accept."""
    raise ValueError(name)


@dataclass(frozen=True, slots=True)
class HeredocStart:
    """The beginning of a heredoc: a word such as ``<<-'END'``.

    Attributes:
        name: the line that ends it.
        expand: whether its variables are replaced, which is so if no part of the name is quoted.
        strip: whether tabs at the start of its lines are removed.
    """

    name: str
    expand: bool
    strip: bool


def read_heredoc_start(word: str) -> HeredocStart | None:
    """Return the beginning of a heredoc, if *word* is one, or ``None``."""
    match = _HEREDOC.match(word)
    if not match:
        return None
    try:
        names = expand_words(match[2].replace("$", _DOLLAR), lambda _name: None)
    except DockerfileError:
        return None
    if len(names) != 1:
        return None
    quoted = re.search(r"""['"]""", re.sub(r"\\.", "", match[2], flags=re.DOTALL))
    return HeredocStart(names[0].replace(_DOLLAR, "$"), not quoted, bool(match[1]))


def heredoc_starts(line: str) -> list[HeredocStart]:
    """Return the heredocs that begin in *line*; none where its quotes or variables are malformed."""
    try:
        expand(line, lambda _name: "x")
    except DockerfileError:
        return []
    # Each character can be read in one way only: with two, an unclosed quote takes exponential time.
    plain = rf"<<[\t\r ]*|\\(?:.|\Z)|[^{SPACE}'\"\\]"
    words = re.findall(rf"(?:{plain}|'[^']*'|\"(?:\\.|[^\"\\])*\")+", line, re.DOTALL)
    return [start for start in map(read_heredoc_start, words) if start]
