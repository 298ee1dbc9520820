"""Matches shell patterns in Dockerfile substitutions, ``*``, ``?`` and backslashes, in a bounded number of steps.

In a single regular expression, each star tries every end for every end of the one before it, which practically never
ends for ``${a//*a*a*a*b/x}``. As a star matches anything, the earliest place of each part between two stars is as good
as any other, and the latest place of the last part gives the longest match: there is no backtracking.

Source: BuildKit, ``frontend/dockerfile/shell/lex.go``: as in Go, no wildcard matches an end of line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from buildpush.foundation.errors import DockerfileError
from buildpush.foundation.records import dataclass

# Limit for the length of the text times that of a part with question marks: about a second.
MOST_STEPS: Final = 10**8


@dataclass(frozen=True, slots=True)
class _Segment:
    """The part between two stars: as text, or as characters with ``None`` for each question mark."""

    characters: tuple[str | None, ...]
    text: str | None
    expression: re.Pattern[str]

    @classmethod
    def of(cls, characters: list[str | None]) -> _Segment:
        text = None if None in characters else "".join(map(str, characters))
        source = "".join("." if one is None else re.escape(one) for one in characters)
        return cls(tuple(characters), text, re.compile(source))

    @property
    def width(self) -> int:
        return len(self.characters)

    def first(self, value: str, begin: int, end: int) -> int:
        """Return the first position from *begin* to *end*, inclusive, at which it matches, or -1."""
        if self.text is not None:
            return value.find(self.text, begin, end + self.width)
        match = self.expression.search(value, begin, end + self.width)
        return match.start() if match else -1

    def last(self, value: str, begin: int, end: int) -> int:
        """Return the last position from *begin* to *end*, inclusive, at which it matches, or -1."""
        if self.text is not None:
            return value.rfind(self.text, begin, end + self.width)
        places = range(min(end, len(value) - self.width), begin - 1, -1)
        return next((place for place in places if self.expression.match(value, place)), -1)


@dataclass(frozen=True, slots=True)
class Glob:
    """A shell pattern, split at its stars."""

    parts: tuple[_Segment, ...]

    @classmethod
    def parse(cls, pattern: str) -> Glob:
        """Parse *pattern*.

        Raises:
            DockerfileError: a backslash precedes a character that it cannot escape.
        """
        parts: list[list[str | None]] = [[]]
        chars = iter(pattern)
        for char in chars:
            if char == "*":
                parts.append([])
            else:
                parts[-1].append(None if char == "?" else _unescape(next(chars, "")) if char == "\\" else char)
        inner = [part for part in parts[1:-1] if part]  # several stars in a row mean one
        return cls(tuple(_Segment.of(part) for part in ([*parts[:1], *inner, *parts[1:][-1:]])))

    def check(self, value: str) -> None:
        """Refuse a match that would take too long.

        Raises:
            DockerfileError: a part with question marks is too large for *value*.
        """
        if any(part.text is None and part.width * len(value) > MOST_STEPS for part in self.parts):
            message = f"matching a pattern with question marks takes more than {MOST_STEPS} steps"
            raise DockerfileError(message, hint="make the pattern or the value shorter")

    def match(self, value: str, begin: int, *, longest: bool) -> int | None:
        """Return where the match at *begin* ends; ``None`` where there is none."""
        head, *middle = self.parts
        if head.first(value, begin, begin) < 0:
            return None
        at = begin + head.width
        if not middle:
            return at
        for part in middle[:-1]:
            position = part.first(value, at, _line_end(value, at))
            if position < 0:
                return None
            at = position + part.width
        end, tail = _line_end(value, at), middle[-1]
        position = tail.last(value, at, end) if longest else tail.first(value, at, end)
        return None if position < 0 else position + tail.width

    def search(self, value: str, begin: int) -> tuple[int, int] | None:
        """Return the first match from *begin* on, and there the longest; ``None`` if there is none."""
        head = self.parts[0]
        while (start := head.first(value, begin, len(value))) >= 0:
            end = self.match(value, start, longest=True)
            if end is not None:
                return start, end
            # A match that fails from one position fails from all later ones of the line: continue on the next line.
            line_end = _line_end(value, start + head.width)
            if line_end == len(value):
                return None
            begin = max(start + 1, line_end + 1 - head.width)
        return None

    def matches(self, value: str) -> Iterator[tuple[int, int]]:
        """Yield the matches in order; an empty one may touch the one before it."""
        begin = 0
        while begin <= len(value) and (found := self.search(value, begin)):
            yield found
            start, end = found
            begin = end + (start == end)


def _line_end(value: str, begin: int) -> int:
    end = value.find("\n", begin)
    return len(value) if end < 0 else end


def _unescape(char: str) -> str:
    """Return the character that a backslash in a pattern escapes, whatever the file's escape is."""
    if char in {"}", "/", "*", "?", "\\"} and char:
        return char
    message = f"in a pattern, a backslash escapes * ? / }} or itself, not {char!r}"
    raise DockerfileError(message)
