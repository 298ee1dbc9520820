"""Patterns of paths, as Docker matches those of ``.dockerignore``, ``--exclude`` and ``--parents``.

Docker's rules are its own: a pattern is compared as a whole, by its beginning, by its end, or as a regular expression,
depending on where its stars are; what is in a directory inherits which patterns matched it; and a directory that is
left out is not even opened where no exception can name what is in it.

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
# A class of these contains no slash, and nothing that Go reads differently.
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
        cleaned: what is matched, without the ``!``.
        keeps: whether it begins with ``!``: an exception from those before it.
    """

    text: str
    where: str | None
    cleaned: str
    keeps: bool = False

    @cached_property
    def fits(self) -> Matcher:
        """Returns whether a path, with ``/`` between its parts, matches the pattern.

        Raises:
            ContextError: its regular expression is malformed; like Docker, we find that out only when it is used.
        """
        try:
            return _compiled(self.cleaned)
        except ValueError as error:
            raise malformed(self.text, self.where) from error

    @cached_property
    def prefix(self) -> str | None:
        """The beginning of all paths that it may match, up to a slash; ``None`` where there is none."""
        found = self.cleaned.removesuffix("/**").removesuffix("/*")
        return None if re.search(r"[*\[\]?^\\]", found) else f"{found}/"


def malformed(text: str, where: str | None) -> ContextError:
    """Return the error of a pattern that cannot be read."""
    return ContextError(f"malformed pattern {quotation(text, 60)!r}", hint=_HINT, where=where)


def read_pattern(text: str, where: str | None, written: str | None = None) -> Pattern | None:
    """Return the pattern *text*; ``None`` for a blank one.

    Args:
        text: not cleaned yet.
        where: for errors.
        written: the original text, if it differs.

    Raises:
        ContextError: it is malformed.
    """
    written = text if written is None else written
    text = text.strip(SPACE)
    if not text:
        return None
    text = clean(text)
    keeps = text.startswith("!")
    bare = text[1:] if keeps else text
    if not bare:
        message = "an exclamation mark alone is not a pattern"
        raise ContextError(message, hint="write what is kept after it: !path", where=where)
    if not _is_sound(bare):
        raise malformed(written, where)
    return Pattern(written, where, bare, keeps)


def clean(path: str) -> str:
    """Return *path* as Go's ``filepath.Clean`` does."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


@dataclass(frozen=True, slots=True)
class DirectoryState:
    """What is known of a directory that a walk has visited.

    Attributes:
        matched: for each pattern whether it holds for the directory and everything in it; empty above the first
            directory.
        chosen: whether the patterns name it.
        closed: whether nothing in it can be chosen by an exception, so that it is not opened.
    """

    matched: Sequence[bool] = ()
    chosen: bool = False
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
    def keep_some(self) -> bool:
        """Whether there are exceptions."""
        return any(pattern.keeps for pattern in self.patterns)

    def below(self, above: DirectoryState, path: str) -> DirectoryState:
        """Return the state of *path*, given that of the directory *above* it."""
        if above.closed:
            return above
        if not self.named(path):
            matched: Sequence[bool] = above.matched or [False] * len(self.patterns)
            chosen = above.chosen
        else:
            matched, chosen = self._match(above.matched, path)
        return DirectoryState(matched, chosen, chosen and self._closes(path))

    def takes(self, above: DirectoryState, path: str) -> bool:
        """Return whether the patterns name *path*, which is in a directory of which *above* is known."""
        if above.closed or not self.named(path):
            return above.chosen
        return self._match(above.matched, path)[1]

    def _match(self, above: Sequence[bool], path: str) -> tuple[list[bool], bool]:
        """Return for each pattern whether it holds, and whether they choose *path*.

        As in Docker, one that would not change the answer is not tried, and so does not hold further down either.
        """
        chosen, matched = False, []
        for position, pattern in enumerate(self.patterns):
            holds = bool(above) and above[position]
            if not holds and pattern.keeps == chosen:
                holds = pattern.fits(path)
            matched.append(holds)
            chosen = not pattern.keeps if holds else chosen
        return matched, chosen

    def _closes(self, directory: str) -> bool:
        """Return whether no exception can name what is in *directory*."""
        prefixes = [pattern.prefix for pattern in self.patterns if pattern.keeps]
        return not any(prefix is None or prefix.startswith(f"{directory}/") for prefix in prefixes)

    @cached_property
    def named(self) -> Callable[[str], object]:
        """A quick test that finds most paths that no pattern matches: they have their directory's state."""
        expressions = [_plain_expression(pattern.cleaned) for pattern in self.patterns]
        if not self.patterns or None in expressions:
            return bool if self.patterns else _no_pattern
        return re.compile("|".join(f"(?:{expression})" for expression in [*expressions, _ODD_NAME])).match

    def state(self, path: str) -> DirectoryState:
        """Return what is known of *path* after a walk from the top, which is the empty path."""
        above = ROOT_STATE
        if not path or not self.patterns:
            return above
        *directories, path = _from_the_top(path)
        for directory in directories:
            found = self._directories.get(directory)
            if found is None:
                found = self._directories[directory] = self.below(above, directory)
            above = found
        return self.below(above, path)

    def and_name(self, path: str) -> Patterns:
        """Return these, and one more that is in no file and names *path* alone."""
        return Patterns((*self.patterns, Pattern(path, None, re.sub(r"([!-.:-@\[-`{-~])", r"\\\1", path))))

    def chosen(self, path: str) -> bool:
        """Return whether the patterns name *path*."""
        return self.state(path).chosen

    def by(self, path: str) -> Pattern | None:
        """Return the pattern by which they name *path*; ``None`` where they do not."""
        if not self.chosen(path):
            return None
        held = zip(self.patterns, self.state(path).matched, strict=False)
        return [pattern for pattern, holds in held if holds and not pattern.keeps][-1]


NONE: Final = Patterns()


def _from_the_top(path: str) -> Iterator[str]:
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
    found = (read_pattern(text, None) for text in texts)
    return Patterns(tuple(pattern for pattern in found if pattern))


# How a pattern is matched.


def _compiled(pattern: str) -> Matcher:
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
    """Return how Docker compares *pattern*: exact, prefix, suffix or regexp; and the regular expression it makes."""
    kind, made, first = "exact", ["^"], True
    for piece in _pieces(pattern.removeprefix("\ufeff")):
        if piece in {"**", "**/"}:
            last = piece == "**"
            made.append(".*" if last else "(.*/)?")
            kind = "prefix" if last and kind == "exact" else "regexp"
            kind = "suffix" if first else kind
        elif piece in {"*", "?"} or piece[0] in "[]" or (piece[0] == "\\" and len(piece) > 1):
            made.append({"*": "[^/]*", "?": "[^/]"}.get(piece, piece))
            kind = "regexp"
        else:
            made.append(f"\\{piece}" if piece in ".+()$" else piece)
        first = False
    return kind, "".join([*made, "$"])


def _pieces(pattern: str) -> Iterator[str]:
    """Yield ``**`` at the end, ``**/`` before it, with the slash or not; escapes, usual classes, single characters."""
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
    """Return a regular expression of Python for *pattern*; ``None`` where it is too unusual."""
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
    found = within_directory(first)
    for number, part in enumerate(others, 1):
        inner = within_directory(part)
        whole = number < len(others) and part[-1:] == ["/"]
        found += f"(?>(?:.*?/)??{inner})" if whole else f"{_DIRECTORIES}{inner}"
    return found


def within_directory(pieces: Sequence[str]) -> str:
    """Return the expression of *pieces* without ``**/``; the last star of a name must reach the name's end."""
    first, *others = _split(pieces, _STAR)
    found = "".join(first)
    for number, part in enumerate(others, 1):
        inner = "".join(part)
        found += f"(?>[^/]*?{inner})" if number < len(others) and "/" not in part else f"{_STAR}{inner}"
    return found


def _split(pieces: Sequence[str], at: str) -> list[list[str]]:
    """Return the pieces between those *at*; several in a row mean one."""
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
    at, fits = 0, True
    while at < len(chunk):
        char, begin = chunk[at], name[:1]
        fits = fits and bool(name)
        if char == "[":
            holds, at = _class(chunk, at + 1, begin)
        else:
            at += 1 if char == "\\" else 0
            if at >= len(chunk):
                raise ValueError(chunk)
            holds, at = (char == "?" or chunk[at] == begin), at + 1
        fits, name = fits and holds, name[1:]
    return name if fits and not (last and name) else None


def _class(chunk: str, at: int, char: str) -> tuple[bool, int]:
    """Return whether a class holds *char*, and where it ends."""
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
