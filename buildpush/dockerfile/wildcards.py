"""Matches wildcards in the sources of COPY and ADD as Go does, within one part of the path.

Source: Go, path/filepath, "Match".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from buildpush.dockerfile.patterns import within_directory
from buildpush.dockerfile.regexp import GoRegexp
from buildpush.foundation.errors import ContextError
from buildpush.foundation.regex import regex


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return a function that returns whether a path matches *pattern*.

    Raises:
        ContextError: it is malformed.
    """
    try:
        return _matcher(pattern)
    except (ValueError, re.error) as error:
        message = f"malformed pattern {pattern!r} in a source"
        raise ContextError(message, hint="escape a bracket that is meant literally: [[]", setting="context") from error


def _matcher(pattern: str) -> Callable[[str], bool]:
    pieces = _pieces(pattern)
    if any(
        piece[0] == "[" and re.match(piece, "/") for piece in pieces
    ):  # a plain expression could take exponential time
        return GoRegexp(f"^{''.join(pieces)}$").search
    expression = re.compile(within_directory(pieces) + r"\Z")
    return lambda path: expression.match(path) is not None


def deepest(patterns: Sequence[str]) -> int:
    """Return how many parts a path that matches *patterns* may have: a class may match a slash, too."""
    return len(patterns) + sum(pattern.count("[") for pattern in patterns)


def _pieces(pattern: str) -> list[str]:
    """Return the regular expressions of the parts of a path.

    ``*`` and ``?`` stop at ``/``, ``[a-z]`` and ``[^a-z]`` are classes, a backslash escapes; ``**`` means ``*``.

    Raises:
        ValueError: a class is not closed or empty, or the pattern ends in a backslash.
    """
    pieces: list[str] = []
    at = 0
    while at < len(pattern):
        piece, at = _piece(pattern, at)
        pieces.append(piece)
    return pieces


def _piece(pattern: str, at: int) -> tuple[str, int]:
    """Return the expression of the piece at *at*, and where the next one begins."""
    char = pattern[at]
    if char == "[":
        return _class(pattern, at + 1)
    if char != "\\":
        return {"*": "[^/]*", "?": "[^/]"}.get(char) or re.escape(char), at + 1
    if at + 1 < len(pattern):
        return re.escape(pattern[at + 1]), at + 2
    message = "it ends in a backslash"
    raise ValueError(message)


def _class(pattern: str, at: int) -> tuple[str, int]:
    """Return the expression of a character class whose bracket was just read."""
    negated = pattern.startswith("^", at)
    at += negated
    ranges: list[str] = []
    while True:
        if pattern.startswith("]", at) and ranges:
            return f"[{'^' * negated}{''.join(ranges)}]", at + 1
        low, at = _class_char(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _class_char(pattern, at + 1)
        if high < low:
            message = "a range runs backwards"
            raise ValueError(message)
        ranges.append(f"{re.escape(low)}-{re.escape(high)}")


def _class_char(pattern: str, at: int) -> tuple[str, int]:
    if at < len(pattern) and pattern[at] == "\\":
        at += 1
    elif pattern[at : at + 1] in {"-", "]"}:
        message = "a class has a lone - or is empty"
        raise ValueError(message)
    if at >= len(pattern):
        message = "a class is not closed"
        raise ValueError(message)
    return pattern[at], at + 1


_MAGIC = regex(r"(?:[^*?\[\\]|\\.)*[*?\[]", re.DOTALL)


def has_wildcard(path: str) -> bool:
    """Return whether Go would match *path* as a pattern instead of taking it as a name."""
    return bool(_MAGIC.match(path))


def split_at_wildcard(parts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the first parts of a path, which are names, and the rest, which begins with a pattern."""
    for position, part in enumerate(parts):
        if has_wildcard(part):
            return list(parts[:position]), list(parts[position:])
    return list(parts), []
