"""Matches patterns of paths, as Docker does for ``.dockerignore``, ``--exclude`` and ``--parents``.

Docker's rules are its own: a pattern is compared as a whole, by its beginning, by its end, or as a regular expression,
depending on where its stars are; a pattern that matches a directory holds for what is in it as well; and a directory
that is left out is not even opened where no exception can name what is in it.

Source: moby/patternmatcher, ``MatchesUsingParentResults``; tonistiigi/fsutil, ``NewFilterFS``; Go, path/filepath.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field
from functools import cached_property
from typing import Final

from buildpush.dockerfile.regexp import GoRegexp
from buildpush.dockerfile.variables import SPACE
from buildpush.foundation.errors import ContextError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.foundation.text import quotation

_HINT: Final = "escape a bracket that is meant literally: \\["
_STAR, _DIRECTORIES, _ANYTHING = "[^/]*", "(?:.*/)?", ".*"
# A character class of these does not match a slash, and is the same for Go and Python.
_CLASS: Final = regex(r"\[(?:[a-z](?:-[a-z])?|[A-Z](?:-[A-Z])?|[0-9](?:-[0-9])?|[._~])+\]")
_UNUSUAL: Final = regex("[][^|{}\\\\\ufeff\ufffd\udc80-\udcff]")
_ODD_NAME: Final = r"[^\n\x80-\U0010ffff]*+[\n\x80-\U0010ffff]"
_NO_UTF8: Final = regex("[\udc80-\udcff]")

Matcher = Callable[[str], bool]


@dataclass(frozen=True)
class Pattern:
    """One pattern.

    Attributes:
        text: as written.
        where: file and line, if it is from a file.
        cleaned: the text that is matched, normalised and without the ``!``.
        is_exception: whether it begins with ``!``, and so is an exception from those before it.
    """

    text: str
    where: str | None
    cleaned: str
    is_exception: bool = False

    @cached_property
    def matches(self) -> Matcher:
        """A function that returns whether a path, with ``/`` between its parts, matches the pattern.

        Raises:
            ContextError: its regular expression is malformed, which is found out only when it is used, as in Docker.
        """
        try:
            return _compile(self.cleaned)
        except ValueError as error:
            raise malformed_error(self.text, self.where) from error

    @cached_property
    def prefix(self) -> str | None:
        """The beginning of all paths that it may match, up to a slash; ``None`` where there is none."""
        path = self.cleaned.removesuffix("/**").removesuffix("/*")
        return None if re.search(r"[*\[\]?^\\]", path) else f"{path}/"


def malformed_error(text: str, where: str | None) -> ContextError:
    """Return the error of a pattern that cannot be read."""
    return ContextError(f"malformed pattern {quotation(text, 60)!r}", hint=_HINT, where=where)


def read_pattern(text: str, where: str | None, written: str | None = None) -> Pattern | None:
    """Return the pattern *text*; ``None`` for a blank one.

    Args:
        text: not cleaned yet.
        where: file and line, for errors.
        written: the original text, if it differs from *text*.

    Raises:
        ContextError: it is malformed.
    """
    written = text if written is None else written
    text = text.strip(SPACE)
    if not text:
        return None
    text = clean(text)
    is_exception = text.startswith("!")
    bare = text[1:] if is_exception else text
    if not bare:
        message = "an exclamation mark alone is not a pattern"
        raise ContextError(message, hint="write what is kept after it: !path", where=where)
    if not _is_sound(bare):
        raise malformed_error(written, where)
    return Pattern(written, where, bare, is_exception)


def clean(path: str) -> str:
    """Return *path* as Go's ``filepath.Clean`` does."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


@dataclass(frozen=True, slots=True)
class DirectoryState:
    """What the patterns say of a directory.

    Attributes:
        matched: for each pattern, whether it holds for the directory and everything in it; empty for the root.
        selected: whether the patterns name it.
        closed: whether no exception can name anything in it, so that it is not opened.
    """

    matched: Sequence[bool] = ()
    selected: bool = False
    closed: bool = False


ROOT_STATE: Final = DirectoryState()


def _no_pattern(_path: str) -> None:
    pass


@dataclass(frozen=True)
class Patterns:
    """Patterns in their order: the last one that matches decides."""

    patterns: tuple[Pattern, ...] = ()
    _directories: dict[str, DirectoryState] = field(default_factory=dict, compare=False, repr=False)

    def __bool__(self) -> bool:
        return bool(self.patterns)

    @cached_property
    def has_exceptions(self) -> bool:
        """Whether there are patterns with ``!``."""
        return any(pattern.is_exception for pattern in self.patterns)

    def below(self, above: DirectoryState, path: str) -> DirectoryState:
        """Return the state of *path*, given that of the directory *above* it."""
        if above.closed:
            return above
        if not self.may_match(path):
            matched: Sequence[bool] = above.matched or [False] * len(self.patterns)
            selected = above.selected
        else:
            matched, selected = self._match(above.matched, path)
        return DirectoryState(matched, selected, selected and self._can_skip(path))

    def select(self, above: DirectoryState, path: str) -> bool:
        """Return whether the patterns name *path*, given the state of the directory *above* it."""
        if above.closed or not self.may_match(path):
            return above.selected
        return self._match(above.matched, path)[1]

    def _match(self, above: Sequence[bool], path: str) -> tuple[list[bool], bool]:
        """Return, for each pattern, whether it holds, and whether they name *path*.

        As in Docker, a pattern that would not change the answer is not tried, and does not hold below *path* either.
        """
        selected, matched = False, []
        for position, pattern in enumerate(self.patterns):
            holds = bool(above) and above[position]
            if not holds and pattern.is_exception == selected:
                holds = pattern.matches(path)
            matched.append(holds)
            selected = not pattern.is_exception if holds else selected
        return matched, selected

    def _can_skip(self, directory: str) -> bool:
        """Return whether no exception can name what is in *directory*."""
        prefixes = [pattern.prefix for pattern in self.patterns if pattern.is_exception]
        return not any(prefix is None or prefix.startswith(f"{directory}/") for prefix in prefixes)

    @cached_property
    def may_match(self) -> Callable[[str], object]:
        """A quick test that excludes most paths that no pattern matches; they have the state of their directory."""
        expressions = [_plain_expression(pattern.cleaned) for pattern in self.patterns]
        if not self.patterns or None in expressions:
            return bool if self.patterns else _no_pattern
        return re.compile("|".join(f"(?:{expression})" for expression in [*expressions, _ODD_NAME])).match

    def state(self, path: str) -> DirectoryState:
        """Return the state of *path*, found by a walk from the root, which is the empty path."""
        above = ROOT_STATE
        if not path or not self.patterns:
            return above
        *directories, path = _with_parents(path)
        for directory in directories:
            state = self._directories.get(directory)
            if state is None:
                state = self._directories[directory] = self.below(above, directory)
            above = state
        return self.below(above, path)

    def with_path(self, path: str) -> Patterns:
        """Return these patterns and one more, which names *path* alone."""
        return Patterns((*self.patterns, Pattern(path, None, re.sub(r"([!-.:-@\[-`{-~])", r"\\\1", path))))

    def match(self, path: str) -> bool:
        """Return whether the patterns name *path*."""
        return self.state(path).selected

    def find(self, path: str) -> Pattern | None:
        """Return the pattern that names *path*; ``None`` where none does."""
        if not self.match(path):
            return None
        pairs = zip(self.patterns, self.state(path).matched, strict=False)
        return [pattern for pattern, holds in pairs if holds and not pattern.is_exception][-1]


NONE: Final = Patterns()


def _with_parents(path: str) -> Iterator[str]:
    """Yield every directory above *path*, the highest first, and then *path*."""
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)
    yield path


def read_patterns(texts: Iterable[str]) -> Patterns:
    """Return the patterns *texts*, which are not from a file.

    Raises:
        ContextError: one is malformed.
    """
    patterns = (read_pattern(text, None) for text in texts)
    return Patterns(tuple(pattern for pattern in patterns if pattern))


# How a pattern is matched.


def _compile(pattern: str) -> Matcher:
    """Return a function that returns whether a path matches *pattern*.

    Raises:
        ValueError: its regular expression is malformed.
    """
    kind, expression = _kind(pattern)
    if kind == "exact":
        return pattern.__eq__
    if kind == "prefix":
        begin = pattern[:-2]
        return lambda path: path.startswith(begin)
    if kind == "suffix":
        end = pattern[2:]
        return lambda path: path.endswith(end) or (end.startswith("/") and path == end[1:])
    odd = GoRegexp(_NO_UTF8.sub("\ufffd", expression))
    plain = _plain_expression(pattern)
    if plain is None:
        return lambda path: odd.search(_NO_UTF8.sub("\ufffd", path))
    fast = re.compile(plain).match
    return lambda path: (fast(path) is not None) if "\n" not in path else odd.search(_NO_UTF8.sub("\ufffd", path))


def _kind(pattern: str) -> tuple[str, str]:
    """Return how Docker compares *pattern*, exact, prefix, suffix or regexp, and the regular expression for it."""
    kind, parts, first = "exact", ["^"], True
    for piece in _pieces(pattern.removeprefix("\ufeff")):
        if piece in {"**", "**/"}:
            last = piece == "**"
            parts.append(".*" if last else "(.*/)?")
            kind = "prefix" if last and kind == "exact" else "regexp"
            kind = "suffix" if first else kind
        elif piece in {"*", "?"} or piece[0] in "[]" or (piece[0] == "\\" and len(piece) > 1):
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(piece, piece))
            kind = "regexp"
        else:
            parts.append(f"\\{piece}" if piece in ".+()$" else piece)
        first = False
    return kind, "".join([*parts, "$"])


def _pieces(pattern: str) -> Iterator[str]:
    """Yield ``**`` at the end, ``**/`` elsewhere even without the slash, escapes, usual classes, and characters."""
    at = 0
    while at < len(pattern):
        if pattern.startswith("**", at):
            at += 3 if pattern.startswith("/", at + 2) else 2
            yield "**/" if at < len(pattern) else "**"
            continue
        usual = _CLASS.match(pattern, at)
        piece = usual[0] if usual else pattern[at : at + 2] if pattern[at] == "\\" else pattern[at]
        yield piece
        at += len(piece)


# A plain backtracking expression takes exponential time for *a*a*a*b. As in Go, the first place where the part after a
# star matches is as good as any later one, as long as another star follows; an atomic group keeps that place. That is
# so where nothing between the stars may be a slash, and no name holds a newline: otherwise an Expression is used.


def _plain_expression(pattern: str) -> str | None:
    """Return a regular expression of Python for *pattern*; ``None`` where Go's rules differ too much."""
    kind, _ = _kind(pattern)
    if kind == "exact":
        return re.escape(pattern) + r"\Z"
    if kind == "prefix":
        return re.escape(pattern[:-2])
    if kind == "suffix":
        end = pattern[2:]
        return rf"(?:.*{re.escape(end)}|{re.escape(end[1:])})\Z" if end.startswith("/") else rf".*{re.escape(end)}\Z"
    pieces = [_plain_piece(piece) for piece in _pieces(pattern)]
    return None if None in pieces else _through_directories([piece for piece in pieces if piece]) + r"\Z"


def _plain_piece(piece: str) -> str | None:
    stars = {"**": _ANYTHING, "**/": _DIRECTORIES, "*": _STAR, "?": "[^/]"}
    if piece in stars:
        return stars[piece]
    if _CLASS.fullmatch(piece):
        return piece if all(low <= high for low, high in re.findall("(.)-(.)", piece)) else None
    char = piece[-1]
    odd = not char.isascii() or char.isalnum() if len(piece) > 1 else _UNUSUAL.fullmatch(char)
    return None if odd else re.escape(char)


def _through_directories(pieces: Sequence[str]) -> str:
    """Return the expression of *pieces*; ``**/`` takes the first directory where the parts up to the next one match."""
    first, *others = _split(pieces, _DIRECTORIES)
    expression = within_directory(first)
    for number, part in enumerate(others, 1):
        inner = within_directory(part)
        whole = number < len(others) and part[-1:] == ["/"]
        expression += f"(?>(?:.*?/)??{inner})" if whole else f"{_DIRECTORIES}{inner}"
    return expression


def within_directory(pieces: Sequence[str]) -> str:
    """Return the expression of *pieces* without ``**/``; the last star of a name must reach the name's end."""
    first, *others = _split(pieces, _STAR)
    expression = "".join(first)
    for number, part in enumerate(others, 1):
        inner = "".join(part)
        expression += f"(?>[^/]*?{inner})" if number < len(others) and "/" not in part else f"{_STAR}{inner}"
    return expression


def _split(pieces: Sequence[str], at: str) -> list[list[str]]:
    """Split *pieces* at each piece *at*; several of these in a row count as one."""
    parts: list[list[str]] = [[]]
    before = ""
    for piece in pieces:
        if piece != at:
            parts[-1].append(piece)
        elif before != at:
            parts.append([])
        before = piece
    return parts


# The errors that Go's filepath.Match finds in a pattern when it matches the name "."; it does not check the rest.


def _is_sound(pattern: str) -> bool:
    name = "."
    try:
        while pattern:
            star, chunk, pattern = _chunk(pattern)
            rest = None if star and not chunk else _rest(chunk, name, last=not pattern)
            if rest is None and star and chunk and name:
                rest = _rest(chunk, name[1:], last=not pattern)
            if rest is None:
                return True
            name = rest
    except ValueError:
        return False
    return True


def _chunk(pattern: str) -> tuple[bool, str, str]:
    """Return whether *pattern* begins with a star, the part between it and the next one, and the rest."""
    bare = pattern.lstrip("*")
    at, inside = 0, False
    while at < len(bare) and (inside or bare[at] != "*"):
        inside = bare[at] == "[" or (inside and bare[at] != "]")
        at += 2 if bare[at] == "\\" else 1
    return len(bare) < len(pattern), bare[:at], bare[at:]


def _rest(chunk: str, name: str, *, last: bool) -> str | None:
    """Return what *chunk*, which has no star, leaves of *name*; ``None`` where it does not match.

    Raises:
        ValueError: it is malformed, whether it matches or not.
    """
    at, matches = 0, True
    while at < len(chunk):
        char, begin = chunk[at], name[:1]
        matches = matches and bool(name)
        if char == "[":
            holds, at = _class(chunk, at + 1, begin)
        else:
            at += 1 if char == "\\" else 0
            if at >= len(chunk):
                raise ValueError(chunk)
            holds, at = (char == "?" or chunk[at] == begin), at + 1
        matches, name = matches and holds, name[1:]
    return name if matches and not (last and name) else None


def _class(chunk: str, at: int, char: str) -> tuple[bool, int]:
    """Return whether a class contains *char*, and where it ends."""
    negated = chunk.startswith("^", at)
    at += negated
    holds, begin = False, at
    while not (chunk.startswith("]", at) and at > begin):
        low, at = _member(chunk, at)
        high, at = _member(chunk, at + 1) if chunk[at] == "-" else (low, at)
        holds = holds or low <= (char or "\0") <= high
    return holds != negated, at + 1


def _member(chunk: str, at: int) -> tuple[str, int]:
    """Return a character of a class, and where the next one begins; it is never the last of the pattern."""
    sound = not chunk.startswith(("-", "]"), at)
    at += chunk.startswith("\\", at)
    if not sound or at + 1 >= len(chunk) or _NO_UTF8.match(chunk[at]):
        raise ValueError(chunk)
    return chunk[at], at + 1
