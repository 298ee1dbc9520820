r"""Matches Go's regular expressions, as far as path patterns need them, in linear time.

Go turns a line of ``.dockerignore`` into such an expression without escaping all of it, so that ``a|b*`` is a choice,
``\d`` a digit and ``[^a]`` may match a slash. This module is only for such unusual lines.

Source: Go, regexp/syntax, "Syntax", with its flags for Perl's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NoReturn

from buildpush.foundation.records import dataclass

MOST_REPEATS: Final = 1000
_HIGHEST: Final = 0x10FFFF
_LONGEST_PROGRAM: Final = 100_000
_HEXADECIMAL: Final = frozenset("0123456789abcdefABCDEF")
_CONTROLS: Final = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

Range = tuple[int, int]
_DIGITS: Final[tuple[Range, ...]] = ((0x30, 0x39),)
_BLANKS: Final[tuple[Range, ...]] = ((0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20))
_LETTERS: Final[tuple[Range, ...]] = ((0x41, 0x5A), (0x61, 0x7A))
_WORD: Final[tuple[Range, ...]] = (*_DIGITS, *_LETTERS, (0x5F, 0x5F))
_PERL: Final = {"d": _DIGITS, "s": _BLANKS, "w": _WORD}
_POSIX: Final[dict[str, tuple[Range, ...]]] = {
    "alnum": (*_DIGITS, *_LETTERS),
    "alpha": _LETTERS,
    "ascii": ((0, 0x7F),),
    "blank": ((0x09, 0x09), (0x20, 0x20)),
    "cntrl": ((0, 0x1F), (0x7F, 0x7F)),
    "digit": _DIGITS,
    "graph": ((0x21, 0x7E),),
    "lower": ((0x61, 0x7A),),
    "print": ((0x20, 0x7E),),
    "punct": ((0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)),
    "space": ((0x09, 0x0D), (0x20, 0x20)),
    "upper": ((0x41, 0x5A),),
    "word": _WORD,
    "xdigit": (*_DIGITS, (0x41, 0x46), (0x61, 0x66)),
}


def _complement(ranges: Sequence[Range]) -> tuple[Range, ...]:
    gaps: list[Range] = []
    start = 0
    for low, high in sorted(ranges):
        if low > start:
            gaps.append((start, low - 1))
        start = max(start, high + 1)
    return (*gaps, (start, _HIGHEST)) if start <= _HIGHEST else tuple(gaps)


# The parts of an expression; each adds its instructions to a program, which continues with the next one.


@dataclass(frozen=True, slots=True)
class _CharacterClass:
    """One character of *ranges*."""

    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class _Anchor:
    """A place between two characters: ``begin``, ``end``, ``word`` (the edge of a word) or ``inside`` (not an edge)."""

    kind: str


@dataclass(frozen=True, slots=True)
class _Choice:
    ways: tuple[tuple[_RegexpNode, ...], ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    part: _RegexpNode
    least: int
    most: int | None


_RegexpNode = _CharacterClass | _Anchor | _Choice | _Repeat


class GoRegexp:
    """An expression of Go.

    Args:
        text: the expression; U+FFFD stands for each byte that is not UTF-8.

    Raises:
        ValueError: it is malformed for Go, or too large.
    """

    def __init__(self, text: str) -> None:
        self._program = _Compiler()
        self._program.add_all(_RegexParser(text).whole())
        self._steps = self._program.steps

    def search(self, text: str) -> bool:
        """Return whether it matches somewhere in *text*."""
        current: set[int] = set()
        for at in range(len(text) + 1):
            self._reach(0, at, text, current)
            if len(self._steps) in current:
                return True
            if at < len(text):
                current = self._after(ord(text[at]), at + 1, text, current)
        return False

    def _after(self, char: int, at: int, text: str, current: set[int]) -> set[int]:
        """Return the steps that are possible after *char*, which ends at *at*."""
        reached: set[int] = set()
        for step in current:
            ranges = self._steps[step]
            if isinstance(ranges, tuple) and any(low <= char <= high for low, high in ranges):
                self._reach(step + 1, at, text, reached)
        return reached

    def _reach(self, step: int, at: int, text: str, reached: set[int]) -> None:
        """Add *step* and all steps that can be reached from it without a character to *reached*."""
        rest = [step]
        while rest:
            step = rest.pop()
            if step in reached:
                continue
            reached.add(step)
            if step == len(self._steps):
                continue
            does = self._steps[step]
            if isinstance(does, list):
                rest += does
            elif isinstance(does, str) and _holds(does, at, text):
                rest.append(step + 1)


def _holds(place: str, at: int, text: str) -> bool:
    if place == "begin":
        return at == 0
    if place == "end":
        return at == len(text)
    edge = _in_word(text[at - 1 : at] if at else "") != _in_word(text[at : at + 1])
    return edge == (place == "word")


def _in_word(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char == "_")


class _Compiler:
    """Compiles an expression into steps: ranges of a character, an anchor, or a list of steps to continue with."""

    def __init__(self) -> None:
        self.steps: list[tuple[Range, ...] | str | list[int]] = []

    def add_all(self, parts: Sequence[_RegexpNode]) -> None:
        for part in parts:
            self._add(part)

    def _add(self, part: _RegexpNode) -> None:
        if len(self.steps) > _LONGEST_PROGRAM:
            message = "it repeats too much"
            raise ValueError(message)
        if isinstance(part, _CharacterClass):
            self.steps.append(part.ranges)
        elif isinstance(part, _Anchor):
            self.steps.append(part.kind)
        elif isinstance(part, _Choice):
            self._choose(part.ways)
        else:
            self._repeat(part)

    def _choose(self, ways: Sequence[Sequence[_RegexpNode]]) -> None:
        fork: list[int] = []
        ends: list[list[int]] = []
        self.steps.append(fork)
        for way in ways:
            fork.append(len(self.steps))
            self.add_all(way)
            end: list[int] = []
            ends.append(end)
            self.steps.append(end)
        for end in ends:
            end.append(len(self.steps))

    def _repeat(self, part: _Repeat) -> None:
        for _ in range(part.least):
            self._add(part.part)
        if part.most is None:
            fork = len(self.steps)
            self.steps.append([])
            self._add(part.part)
            self.steps.append([fork])
            self.steps[fork] = [fork + 1, len(self.steps)]
            return
        forks: list[list[int]] = []
        for _ in range(part.most - part.least):
            forks.append([len(self.steps) + 1])
            self.steps.append(forks[-1])
            self._add(part.part)
        for skipped in forks:
            skipped.append(len(self.steps))


def _malformed(message: str) -> NoReturn:
    raise ValueError(message)


class _RegexParser:
    """Parses an expression."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def whole(self) -> tuple[_RegexpNode, ...]:
        parts = self._choice()
        return parts if self.at == len(self.text) else _malformed("a bracket is closed that was not opened")

    def _skip(self, text: str) -> bool:
        """Skip *text* if it comes next, and return whether it does."""
        comes_next = self.text.startswith(text, self.at)
        self.at += len(text) if comes_next else 0
        return comes_next

    def _next(self, message: str = "it ends too early") -> str:
        if self.at >= len(self.text):
            _malformed(message)
        self.at += 1
        return self.text[self.at - 1]

    def _choice(self) -> tuple[_RegexpNode, ...]:
        ways = [self._sequence()]
        while self._skip("|"):
            ways.append(self._sequence())
        return ways[0] if len(ways) == 1 else (_Choice(tuple(ways)),)

    def _sequence(self) -> tuple[_RegexpNode, ...]:
        parts: list[_RegexpNode] = []
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            repeats = self._repeats()
            if repeats is None:
                parts += self._parts()
                continue
            if not parts or isinstance(parts[-1], _Repeat):
                _malformed("there is nothing to repeat")
            parts.append(_Repeat(parts.pop(), *repeats))
        return tuple(parts)

    def _repeats(self) -> tuple[int, int | None] | None:
        """Return how often the last part is repeated, if a quantifier comes next."""
        for sign, repeats in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._skip(sign):
                return repeats
        return self._counted() if self.text.startswith("{", self.at) else None

    def _counted(self) -> tuple[int, int | None] | None:
        inner, brace, _ = self.text[self.at + 1 :].partition("}")
        first, comma, last = inner.partition(",")
        least, most = _count(first), _count(last) if last else None
        if not brace or least is None or (last and most is None):
            return None  # the brace is an ordinary character
        self.at += len(inner) + 2
        most = most if comma else least
        if max(least, most or 0) > MOST_REPEATS or (most is not None and most < least):
            _malformed("it repeats too often")
        return least, most

    def _parts(self) -> Sequence[_RegexpNode]:
        char = self._next()
        if char == "(":
            ways = _Choice((self._choice(),))
            return [ways] if self._skip(")") else _malformed("a bracket is not closed")
        if char == "\\":
            return self._escape()
        if char == "[":
            return [self._class()]
        if char in "^$":
            return [_Anchor("begin" if char == "^" else "end")]
        return [_CharacterClass(_complement([(10, 10)])) if char == "." else _literal(char)]

    def _escape(self) -> Sequence[_RegexpNode]:
        places = {"A": "begin", "z": "end", "b": "word", "B": "inside"}
        for letter, kind in places.items():
            if self._skip(letter):
                return [_Anchor(kind)]
        if self._skip("Q"):
            quoted, _, _ = self.text[self.at :].partition("\\E")
            self.at = min(self.at + len(quoted) + 2, len(self.text))
            return [_literal(char) for char in quoted]
        ranges = self._kind()
        if ranges is not None:
            return [_CharacterClass(ranges)]
        return [_literal(self._character())]

    def _kind(self) -> tuple[Range, ...] | None:
        r"""Return the characters of a class such as ``\d``, whose backslash was read."""
        letter = self.text[self.at : self.at + 1]
        if letter and letter in "pP":
            _malformed("Unicode classes are not supported here")
        ranges = _PERL.get(letter.lower())
        if ranges is None:
            return None
        self.at += 1
        return _complement(ranges) if letter.isupper() else ranges

    def _character(self) -> str:
        """Return the character that is escaped here, whose backslash was read."""
        char = self._next("it ends in a backslash")
        if char in "01234567":
            return self._octal(char)
        if char == "x":
            return self._hexadecimal()
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char.isascii() and not char.isalnum():
            return char
        _malformed(f"\\{char} has no meaning")

    def _octal(self, first: str) -> str:
        following = self.text[self.at : self.at + 2]
        more = following[: next((at for at, char in enumerate(following) if char not in "01234567"), len(following))]
        if first != "0" and not more:
            _malformed("it refers back to a group")
        self.at += len(more)
        return chr(int(first + more, 8))

    def _hexadecimal(self) -> str:
        if self._skip("{"):
            digits, sound, _ = self.text[self.at :].partition("}")
            self.at += len(digits) + 1
        else:
            digits = sound = self.text[self.at : self.at + 2]
            self.at += 2
            sound = sound if len(digits) == 2 else ""  # noqa: PLR2004 - both digits
        if not sound or not digits or not _HEXADECIMAL.issuperset(digits) or int(digits, 16) > _HIGHEST:
            _malformed("a number is malformed")
        return chr(int(digits, 16))

    def _class(self) -> _CharacterClass:
        negated = self._skip("^")
        ranges: list[Range] = []
        first = True
        while first or not self._skip("]"):
            first = False
            ranges += self._posix() or self._ranges()
        return _CharacterClass(_complement(ranges) if negated else tuple(ranges))

    def _posix(self) -> tuple[Range, ...] | None:
        if not self.text.startswith("[:", self.at):
            return None
        name, closed, _ = self.text[self.at + 2 :].partition(":]")
        if not closed:
            return None
        ranges = _POSIX.get(name.removeprefix("^"))
        if ranges is None:
            _malformed("no class has this name")
        self.at += len(name) + 4
        return _complement(ranges) if name.startswith("^") else ranges

    def _ranges(self) -> Sequence[Range]:
        if self.text.startswith("\\", self.at):
            self.at += 1
            kind = self._kind()
            if kind is not None:
                return kind
            self.at -= 1
        low = high = self._in_class()
        if self.text.startswith("-", self.at) and self.text[self.at + 1 : self.at + 2] not in {"", "]"}:
            self.at += 1
            high = self._in_class()
        return [(ord(low), ord(high))] if low <= high else _malformed("a range runs backwards")

    def _in_class(self) -> str:
        char = self._next("a class is not closed")
        return self._character() if char == "\\" else char


def _literal(char: str) -> _CharacterClass:
    return _CharacterClass(((ord(char), ord(char)),))


def _count(text: str) -> int | None:
    """Return a number of repeats; ``None`` if it is not one for Go."""
    if not text.isascii() or not text.isdigit() or (len(text) > 1 and text.startswith("0")):
        return None
    return int(text[:9])
