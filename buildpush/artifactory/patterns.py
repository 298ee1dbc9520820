"""Which files an upload or a download is about, and where each goes: the patterns of ``jf rt upload`` and ``download``.

Source: JFrog CLI documentation, "Generic Files"; what ``jf`` 2 does with the same patterns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex

_PLACEHOLDER = regex(r"\{(\d{1,4})\}")
# An escaped character, directories, any characters, one character, a parenthesis; anything else is literal.
_WORD = regex(
    r"\\(?P<plain>[\\*?(){}])|(?P<directories>(?<![^/])\*\*/)|(?P<any>\*+)|(?P<one>\?)|(?P<mark>[()])|.", re.DOTALL
)
_WILDCARDS = {"directories": "(?:.*/)?", "any": ".*", "one": "."}


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A path that a pattern matches, and the text of each placeholder by its number."""

    path: str
    placeholders: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class FilePattern:
    """A pattern for paths, with ``/`` between directories; see :meth:`parse`.

    Attributes:
        text: as it was written.
        start: what every match begins with: all that is before the first wildcard.
        is_open: whether there is a wildcard; without one, *start* is the only path that matches.
        expression: the regular expression.
        numbers: of the placeholders.
    """

    text: str
    start: str
    is_open: bool
    expression: str
    numbers: tuple[int, ...]

    @classmethod
    def parse(cls, text: str, target: str = "") -> FilePattern:
        """Return the pattern *text*.

        ``*`` is any text, also of several directories; ``**/`` is any number of directories, also none; ``?`` is one
        character; a backslash before any of them, or before a parenthesis, takes it literally. A part in parentheses is
        a placeholder if *target* names its number, such as ``{1}``; otherwise the parentheses belong to the name.

        Raises:
            SettingsError: *target* names a placeholder that the pattern does not have.
        """
        words = list(_WORD.finditer(text))
        named = {int(number) for number in _PLACEHOLDER.findall(target)}
        marks = {at: number for at, number in _pairs(words).items() if number in named}
        if unknown := sorted(named - set(marks.values())):
            message = f"{target!r} has the placeholder {{{unknown[0]}}}, and {text!r} has no such part"
            raise SettingsError(message, hint="write the part in parentheses, as in 'dist/(*).whl'")
        first = next((at for at, word in enumerate(words) if word.lastgroup in _WILDCARDS), len(words))
        return cls(
            text,
            start="".join(word["plain"] or word[0] for at, word in enumerate(words[:first]) if at not in marks),
            is_open=first < len(words),
            expression="".join(_expression(word, marks.get(at)) for at, word in enumerate(words)),
            numbers=tuple(sorted(set(marks.values()))),
        )

    @property
    def directory(self) -> str:
        """The directory that every match is below; empty for the one that relative paths start from."""
        return self.start.rpartition("/")[0] or ("/" if self.start.startswith("/") else "")

    def match(self, path: str) -> FoundFile | None:
        """Return *path* with its placeholders, or ``None`` if the pattern does not match it."""
        match = _compiled(self.expression).fullmatch(path)
        return FoundFile(path, {number: match[f"n{number}"] for number in self.numbers}) if match else None


@lru_cache(maxsize=256)
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.DOTALL)


def _expression(word: re.Match[str], number: int | None) -> str:
    """Return the regular expression for one word; *number* is that of the placeholder that it begins or ends."""
    if number is not None:
        return f"(?P<n{number}>" if word[0] == "(" else ")"
    return _WILDCARDS.get(word.lastgroup or "") or re.escape(word["plain"] or word[0])


def _pairs(words: Sequence[re.Match[str]]) -> dict[int, int]:
    """Return the number of each parenthesis that has a partner, by its place among *words*."""
    numbers, opened = dict[int, int](), list[int]()
    pairs = 0
    for at, word in enumerate(words):
        if word["mark"] == "(":
            opened.append(at)
        elif word["mark"] == ")" and opened:
            pairs += 1
            numbers[opened.pop()] = numbers[at] = -pairs
    starts = sorted(at for at in numbers if words[at][0] == "(")  # they are numbered as they open
    order = {numbers[at]: number for number, at in enumerate(starts, start=1)}
    return {at: order[pair] for at, pair in numbers.items()}


def excludes(patterns: Iterable[str], path: str) -> bool:
    """Return whether one of *patterns* matches *path*; one that ends in a slash is for all files below a directory."""
    return any(FilePattern.parse(_whole(text)).match(path) for text in patterns)


def _whole(text: str) -> str:
    return f"{text}*".removeprefix("./") if text.endswith("/") else text.removeprefix("./")


def target_of(found: FoundFile, target: str, *, flat: bool) -> str:
    """Return where the file goes: *target* with its placeholders filled, and the file's name if it is a directory.

    Below a target that ends in a slash, the file keeps its directories unless *flat*. Empty parts, and those that lead
    upwards, are left out of them.
    """
    filled = _PLACEHOLDER.sub(lambda match: found.placeholders[int(match[1])], target)
    if filled.endswith("/"):
        filled += found.path.rpartition("/")[2] if flat else found.path
    return "/".join(part for part in filled.split("/") if part not in {"", ".", ".."})
