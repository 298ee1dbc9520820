"""``.dockerignore``: which paths of a context are left out, and path patterns as Go and Docker match them.

Source: Dockerfile reference, ".dockerignore file"; Go, path/filepath, "Match"; moby/patternmatcher.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from buildpush.errors import ContextError

LARGEST = 1024 * 1024
_STAR, _FOLDERS, _ANYTHING = "[^/]*", "(?:.*/)?", ".*"
_LOOPS = frozenset({_STAR, _FOLDERS, _ANYTHING})


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of the file.

    Attributes:
        text: as written.
        line: from 1.
        keeps: whether it begins with ``!``.
        matches: the regular expression of a whole path.
    """

    text: str
    line: int
    keeps: bool
    matches: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Ignore:
    """The patterns that hold for one build; the last one that matches decides."""

    patterns: tuple[Pattern, ...] = ()
    path: str = ".dockerignore"

    @property
    def keeps_some(self) -> bool:
        """Whether anything under an ignored folder may be kept."""
        return any(pattern.keeps for pattern in self.patterns)

    def by(self, path: str) -> Pattern | None:
        """Return the pattern that leaves *path* out, or ``None`` where it is kept.

        Args:
            path: relative to the context, with ``/`` between parts.
        """
        decided: Pattern | None = None
        ways = _ancestors(path)
        for pattern in self.patterns:
            # A line that would not change the answer need not be matched.
            if pattern.keeps == (decided is not None) and any(map(pattern.matches.match, ways)):
                decided = None if pattern.keeps else pattern
        return decided

    def without(self, path: str) -> Ignore:
        """Return what leaves *path* out as well, whatever the file says."""
        return replace(self, patterns=(*self.patterns, Pattern(path, 0, False, re.compile(re.escape(path) + r"\Z"))))

    def hides(self, path: str) -> bool:
        """Return whether *path* is left out."""
        return bool(self.patterns) and self.by(path) is not None

    def names(self) -> re.Pattern[str] | None:
        """Return what matches a path that one of the lines matches; a path that none matches is as its folder is."""
        if not self.patterns:
            return None
        return re.compile("|".join(f"(?:{pattern.matches.pattern})" for pattern in self.patterns), re.DOTALL)


def _ancestors(path: str) -> list[str]:
    """Return *path* and every folder above it: a pattern for a folder holds for all that is in it."""
    found = [path]
    while slash := path.rpartition("/")[0]:
        found.append(path := slash)
    return found


def read(context: Path, dockerfile: Path) -> Ignore:
    """Return the patterns for *dockerfile*: of ``NAME.dockerignore`` beside it, else of the context's own file.

    Raises:
        ContextError: the file cannot be read, leads out of the context, or holds a malformed pattern; ``where`` is
            file and line.
    """
    for path in (dockerfile.with_name(f"{dockerfile.name}.dockerignore"), context / ".dockerignore"):
        try:
            if not _is_ours(path, (context, dockerfile.parent)):
                message = f"{path.name} is no file of the context"
                raise ContextError(message, hint="put a plain file there", setting="context")
            with path.open("rb") as file:
                content = file.read(LARGEST + 1)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            message = f"{path.name} cannot be read: {error.strerror or error}"
            raise ContextError(message, setting="context") from error
        return parse(content, path.name)
    return Ignore()


def _is_ours(path: Path, folders: Iterable[Path]) -> bool:
    """Return whether *path* is a file that may be read: no pipe, and no link out of *folders*, whoever made it."""
    real = Path(os.path.realpath(path))
    inside = not path.is_symlink() or any(real.is_relative_to(os.path.realpath(folder)) for folder in folders)
    return stat.S_ISREG(path.stat().st_mode) and inside


def parse(content: bytes, path: str = ".dockerignore") -> Ignore:
    """Return the patterns that *content* holds, one per line; ``#`` in the first column begins a comment.

    Raises:
        ContextError: it is larger than 1 MiB, or a pattern is malformed.
    """
    if len(content) > LARGEST:
        message = f"it is larger than {LARGEST} bytes"
        raise ContextError(message, where=path)
    lines = content.decode("utf-8-sig", errors="surrogateescape").split("\n")
    return read_patterns(["" if line.startswith("#") else line for line in lines], path)


def read_patterns(lines: Iterable[str], path: str) -> Ignore:
    """Return the patterns of *lines*, which are said in *path*.

    Raises:
        ContextError: a pattern is malformed.
    """
    found = (_pattern(line, number, path) for number, line in enumerate(lines, 1))
    return Ignore(tuple(pattern for pattern in found if pattern), path)


def _pattern(line: str, number: int, path: str) -> Pattern | None:
    text = line.strip()
    keeps = text.startswith("!")
    bare = text[1:].strip() if keeps else text
    if not bare:
        return None
    cleaned = posixpath.normpath(bare)
    cleaned = cleaned.lstrip("/") or "/"
    if cleaned == ".":
        return None  # as Docker: the context itself cannot be left out
    try:
        expression = re.compile(regular_expression(cleaned, deep=True), re.DOTALL)
    except (ValueError, re.error, RecursionError, OverflowError) as error:
        message = f"malformed pattern {text[:60]!r}"
        raise ContextError(message, hint="escape a bracket that means itself: \\[", where=f"{path}:{number}") from error
    return Pattern(text, number, keeps, expression)


def regular_expression(pattern: str, *, deep: bool) -> str:
    """Return the regular expression, for ``match``, of a Go path pattern.

    Args:
        pattern: ``*`` and ``?`` stop at ``/``, ``[a-z]`` and ``[^a-z]`` are classes, a backslash escapes.
        deep: whether ``**`` goes through any number of folders (in ``.dockerignore``) or means ``*`` (in COPY).

    Raises:
        ValueError: a class is not closed or empty, or the pattern ends in a backslash.
    """
    out: list[str] = []
    at = 0
    while at < len(pattern):
        piece, at = _piece(pattern, at, deep=deep)
        if not (out and piece == out[-1] and piece in _LOOPS):
            out.append(piece)  # stars in a row mean one
    return _through_folders(out) + r"\Z"


# A plain backtracking expression takes exponential time for *a*a*a*b. As in Go, the first place where what follows a
# star fits is as good as any later one, as long as another star comes after it; an atomic group keeps that place.


def _through_folders(pieces: Sequence[str]) -> str:
    """Return the expression of *pieces*; ``**/`` takes the first folder in which the parts up to the next one fit."""
    first, *others = _split(pieces, _FOLDERS)
    found = _within_folder(first)
    for number, part in enumerate(others, 1):
        inner = _within_folder(part)
        whole = number < len(others) and part[-1:] == ["/"]
        found += f"(?>(?:.*?/)??{inner})" if whole else f"{_FOLDERS}{inner}"
    return found


def _within_folder(pieces: Sequence[str]) -> str:
    """Return the expression of *pieces* without ``**/``; the last star of a name must reach the name's end."""
    first, *others = _split(pieces, _STAR)
    found = "".join(first)
    for number, part in enumerate(others, 1):
        inner = "".join(part)
        found += f"(?>[^/]*?{inner})" if number < len(others) and "/" not in part else f"{_STAR}{inner}"
    return found


def _split(pieces: Sequence[str], at: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for piece in pieces:
        if piece == at:
            parts.append([])
        else:
            parts[-1].append(piece)
    return parts


def _piece(pattern: str, at: int, *, deep: bool) -> tuple[str, int]:
    """Return the expression of what stands at *at*, and where the next piece begins."""
    char = pattern[at]
    if deep and pattern.startswith("**", at):
        at += 3 if pattern.startswith("/", at + 2) else 2
        return _FOLDERS if at < len(pattern) else _ANYTHING, at
    if char == "[":
        return _class(pattern, at + 1)
    if char != "\\":
        return {"*": _STAR, "?": "[^/]"}.get(char) or re.escape(char), at + 1
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
