r"""Java's regular expressions, run by Python's ``re``; patterns that could take too long are refused.

What Python does not support (``\p{...}``, ``\Q...\E``) is an error.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from typing import Final, Literal

from buildpush.expressions.tree import fail
from buildpush.foundation.interrupts import Lock
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex

LONGEST_SUBJECT: Final = 64 * 1024
LONGEST_PATTERN: Final = 256
# The most steps that a pattern may take in the worst case: about two seconds.
MOST_STEPS: Final = 10**8

_ATOM = regex(
    r"""(?P<open>\((?:\?(?:[:=!>]|<[=!]|P?<\w+>|[aimsux-]+[:)])?)?)"""
    r"""|(?P<repeat>(?:[*+?]|\{(?P<least>\d*)(?P<comma>,)?(?P<most>\d*)\})[?+]?)"""
    r"""|(?P<close>\))|(?P<either>\|)|(?P<edge>[$^]|\\[bBAZz])"""
    r"""|(?P<atom>\[\^?\]?(?:\\.|[^\]\\])*\]|\\.|.)""",
    re.VERBOSE | re.DOTALL,
)
_NOT_JAVA = regex(r"\(\?[P(]|\{,")
_JAVA_GROUP = regex(r"\(\?<(?=[A-Za-z])")
_REPLACEMENT = regex(r"\\(?P<escaped>.)|\$(?P<number>\d+)|\$\{(?P<name>\w+)\}|(?P<bad>[\\$])|[^\\$]+", re.DOTALL)
_FEW = 16
_warnings_lock = Lock()  # Python's warning filters are shared by all threads


@dataclass(frozen=True, slots=True)
class JavaPattern:
    """A compiled pattern.

    Attributes:
        repeats: number of its repeats without a small upper limit.
        choices: number of ways through its options and alternatives.
    """

    text: str
    compiled: re.Pattern[str]
    repeats: int
    choices: int

    def check(self, subject: str, *, searching: bool) -> None:
        """Refuse *subject* if this pattern might need more than ``MOST_STEPS`` steps for it.

        Raises:
            ExpressionError: the subject is too long for this pattern.
        """
        factors = self.repeats + searching
        steps = self.choices * len(subject) ** factors // math.factorial(factors)
        if steps > MOST_STEPS or len(subject) > LONGEST_SUBJECT:
            hint = "use a pattern with fewer * and +, or cut the text with substring"
            fail(f"a text of {len(subject)} characters is too long for the pattern {self.text!r}", hint)

    def matches(self, subject: str) -> bool:
        """Return whether all of *subject* matches, as Java's ``matches``."""
        self.check(subject, searching=False)
        return self.compiled.fullmatch(subject) is not None

    def find_all(self, subject: str) -> Iterator[re.Match[str]]:
        """Yield the matches in *subject*, from left to right."""
        self.check(subject, searching=True)
        return self.compiled.finditer(subject)


def compile_pattern(text: str) -> JavaPattern:
    """Return the Java pattern *text*, compiled.

    Raises:
        ExpressionError: it is not a pattern, is longer than 256 characters, or repeats something ambiguous.
    """
    if len(text) > LONGEST_PATTERN:
        fail(f"a pattern has at most {LONGEST_PATTERN} characters, but this one has {len(text)}")
    if _NOT_JAVA.search(text):
        fail(f"{text!r} is not a Java pattern", "write a named group as (?<name>...)")
    python = _JAVA_GROUP.sub("(?P<", text)
    try:
        # In Java, \d and \w match only ASCII by default.
        with _warnings_lock, warnings.catch_warnings():
            # Python warns about Java's intersections and nested classes, to which it gives another meaning.
            warnings.simplefilter("error")
            compiled = re.compile(python, re.ASCII)
    except (re.error, OverflowError, RecursionError, ValueError, Warning) as error:
        fail(f"{text!r} is not a pattern: {error}")
    reader = _Ambiguity(text, python)
    reader.read()
    return JavaPattern(text, compiled, reader.repeats, reader.choices)


def expand(replacement: str, match: re.Match[str]) -> str:
    r"""Return *replacement*, in Java's notation, for *match*: ``$1``, ``${name}``, and a backslash before a literal.

    Raises:
        ExpressionError: the pattern does not have the group, or a ``$`` or backslash stands alone.
    """
    parts = []
    for piece in _REPLACEMENT.finditer(replacement):
        if piece["bad"]:
            message = f"{piece['bad']!r} in a replacement must be followed by a group or a character"
            fail(message, r"write \\$ for a literal dollar sign")
        if piece["escaped"]:
            parts.append(piece["escaped"])
        elif piece["number"] or piece["name"]:
            parts.append(_group(match, piece["number"] or piece["name"]))
        else:
            parts.append(piece[0])
    return "".join(parts)


def _group(match: re.Match[str], wanted: str) -> str:
    """Return a group; of its digits, those count that name one: ``$12`` with one group is ``$1`` and the text ``2``."""
    rest = ""
    while wanted.isdigit() and len(wanted) > 1 and (len(wanted) > _FEW or int(wanted) > len(match.groups())):
        wanted, rest = wanted[:-1], wanted[-1] + rest
    try:
        return (match[int(wanted) if wanted.isdigit() else wanted] or "") + rest
    except (IndexError, re.error):
        fail(f"the pattern has no group {wanted!r}")


Atom = tuple[str, bool]  # its text, and whether it matches exactly once


@dataclass(slots=True)
class _OpenGroup:
    """One group while its pattern is parsed."""

    branches: list[list[Atom]]
    varies: bool = False  # contains a repeat, an option or a choice

    @property
    def atoms(self) -> list[Atom]:
        return [atom for branch in self.branches for atom in branch]


class _Ambiguity:
    r"""Refuses repeats of something that can itself match in several ways: a failing match takes exponential time.

    A repeated group is allowed if each repetition must begin, or must end, with a character that nothing else in the
    group can match, such as ``(\.[0-9]+)*``: then there is only one way to cut a text into repetitions.
    """

    def __init__(self, text: str, python: str) -> None:
        self.text = text
        self.python = python
        self.repeats = 0
        self.choices = 1

    def read(self) -> None:
        """Count repeats and choices.

        Raises:
            ExpressionError: the pattern repeats something ambiguous.
        """
        stack = [_OpenGroup([[]])]
        closed: _OpenGroup | None = None
        for token in _ATOM.finditer(self.python):
            group, closed = closed, None
            if token["repeat"]:
                self._repeat(stack[-1], group, token)
            elif token["close"] and len(stack) > 1:
                closed = stack.pop()
                self._merge(stack[-1], closed)
            elif token["either"]:
                stack[-1].branches.append([])
                self.choices *= 2
            elif token["atom"]:
                stack[-1].branches[-1].append((token[0], True))
            elif token["open"] and (token[0] == "(" or not token[0].endswith(")")):
                stack.append(_OpenGroup([[]]))

    def _merge(self, outer: _OpenGroup, inner: _OpenGroup) -> None:
        outer.branches[-1].extend((text, False) for text, _ in inner.atoms)
        outer.varies |= inner.varies or len(inner.branches) > 1

    def _repeat(self, around: _OpenGroup, group: _OpenGroup | None, token: re.Match[str]) -> None:
        around.varies = True
        if around.branches[-1]:
            around.branches[-1][-1] = (around.branches[-1][-1][0], False)
        varies = group is not None and (group.varies or len(group.branches) > 1)
        counts = _counts(token)
        if counts and (counts[-1] == 1 or not varies):
            self.choices *= len(counts)
            return
        self.repeats += 1
        if group and self._ambiguous(group):
            hint = "begin or end the repeated group with a character that nothing else in it matches"
            fail(f"the pattern {self.text!r} repeats something that repeats, which may take for ever", hint)

    def _ambiguous(self, group: _OpenGroup) -> bool:
        if len(group.branches) > 1:
            return group.varies or self._overlap([branch[:1] for branch in group.branches])
        atoms = group.branches[0]
        if not group.varies:
            return False
        return not (_is_unmistakable(atoms[:1], atoms[1:]) or _is_unmistakable(atoms[-1:], atoms[:-1]))

    def _overlap(self, firsts: list[list[Atom]]) -> bool:
        """Return whether two alternatives may begin with the same character."""
        return any(
            not _is_unmistakable(first, [atom for other in firsts[:at] + firsts[at + 1 :] for atom in other])
            for at, first in enumerate(firsts)
        )


def _counts(token: re.Match[str]) -> range | None:
    """Return the possible numbers of repetitions for a quantifier; ``None`` for more than a few."""
    if token["repeat"].startswith("?"):
        return range(2)
    most = (token["most"] if token["comma"] else token["least"]) or ""
    if not most or len(most) > len(str(_FEW)) or int(most) > _FEW:
        return None
    return range(min(int(token["least"] or 0), int(most)), int(most) + 1)


def _is_unmistakable(single: list[Atom], others: list[Atom]) -> bool:
    """Return whether *single* is one literal character that matches once, and that none of *others* matches."""
    if not single or not single[0][1]:
        return False
    text = single[0][0]
    literal = text.removeprefix("\\") or text
    if len(literal) != 1 or text == "." or (text != literal and literal.isalnum()):
        return False
    return not any(_matches(other, literal) for other, _ in others)


def _matches(atom: str, character: str) -> bool:
    try:
        return re.fullmatch(atom, character, re.ASCII | re.IGNORECASE | re.DOTALL) is not None
    except re.error:  # a reference to a group, which may match anything
        return True


Match = Literal["first", "all"]


def replace(subject: str, pattern: JavaPattern, replacement: str, which: Match, longest: int) -> str:
    """Return *subject* with the first or all matches replaced, at most *longest* characters.

    Raises:
        ExpressionError: the result is longer, or the replacement names an unknown group.
    """
    parts: list[str] = []
    length, end = 0, 0
    for match in pattern.find_all(subject):
        parts += [subject[end : match.start()], expand(replacement, match)]
        end = match.end()
        length += len(parts[-1]) + len(parts[-2])
        if length > longest:
            fail(f"the replaced text is longer than {longest} characters")
        if which == "first":
            break
    return "".join([*parts, subject[end:]])


def split(subject: str, pattern: JavaPattern, limit: int) -> list[str]:
    """Return what Java's ``split`` returns: without empty strings at the end if *limit* is 0."""
    parts: list[str] = []
    end = 0
    for match in pattern.find_all(subject):
        if 0 < limit <= len(parts) + 1:
            break
        if match.end() == 0:  # an empty match at the very beginning gives no empty first part
            continue
        parts.append(subject[end : match.start()])
        end = match.end()
    if not parts:
        return [subject]
    parts.append(subject[end:])
    while limit == 0 and parts and not parts[-1]:
        parts.pop()
    return parts
