"""Wildcards in the sources of COPY and ADD, as Go matches them: a part of the path each.

Source: Go, path/filepath, "Match".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from buildpush.images.patterns import within_folder


def wildcard_expression(pattern: str) -> str:
    """Return the regular expression, for ``match``, of a path with wildcards.

    ``*`` and ``?`` stop at ``/``, ``[a-z]`` and ``[^a-z]`` are classes, a backslash escapes; ``**`` means ``*``.

    Raises:
        ValueError: a class is not closed or empty, or the pattern ends in a backslash.
    """
    out: list[str] = []
    at = 0
    while at < len(pattern):
        piece, at = _piece(pattern, at)
        out.append(piece)
    return within_folder(out) + r"\Z"


def _piece(pattern: str, at: int) -> tuple[str, int]:
    """Return the expression of what stands at *at*, and where the next piece begins."""
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
            # No class holds the slash, although a range such as [+-0] has it in the middle.
            return f"[^/{''.join(ranges)}]" if negated else f"(?!/)[{''.join(ranges)}]", at + 1
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
        message = "a class holds a lone - or is empty"
        raise ValueError(message)
    if at >= len(pattern):
        message = "a class is not closed"
        raise ValueError(message)
    return pattern[at], at + 1


_MAGIC = re.compile(r"[*?\[\\]")


def has_wildcard(path: str) -> bool:
    """Return whether Go would match *path* as a pattern instead of taking it as a name."""
    return bool(_MAGIC.search(path))


def split_at_wildcard(parts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the leading plain parts of a path, and the rest, which begins with a pattern."""
    for position, part in enumerate(parts):
        if has_wildcard(part):
            return list(parts[:position]), list(parts[position:])
    return list(parts), []
