"""Replaces variables and removes quotes in Dockerfile words: ``$NAME``, ``${NAME:-word}``, ``'…'``, ``"…"``, escapes.

Source: Dockerfile reference, "Environment replacement"; where it says nothing, the behaviour of BuildKit.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from buildpush.dockerfile.globs import Glob
from buildpush.foundation.errors import DockerfileError
from buildpush.foundation.records import dataclass

VariableLookup = Callable[[str], str | None]

DEEPEST = 32
LONGEST = 1 << 20
# What Go's unicode.IsSpace accepts; Python's own classes differ in U+001C to U+001F.
SPACE = " \t\n\v\f\r\x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
_BYTE_ORDER_MARK = "\ufeff"  # Go's scanner skips a byte order mark at the beginning
_SPECIAL = frozenset("@*#?-$!")
_OPERATORS = frozenset("+-?#%")


def expand(text: str, lookup: VariableLookup, escape: str = "\\") -> str:
    """Return *text* with variables replaced and quotes removed, as one word.

    Args:
        text: as written in the Dockerfile.
        lookup: returns the value of a variable, or ``None`` if it is not set.
        escape: the file's escape character.

    Raises:
        DockerfileError: a substitution is malformed, or ``${NAME:?message}`` finds no value.
    """
    return _Scanner(text, lookup, escape).whole()


def expand_words(text: str, lookup: VariableLookup, escape: str = "\\") -> list[str]:
    """Return the words of *text* after variables are replaced; blanks in a value separate words as well."""
    scanner = _Scanner(text, lookup, escape)
    scanner.whole()
    return scanner.words.finish()


class UnsetVariableError(DockerfileError):
    """``${NAME:?message}`` finds no value; every other error about a word does not depend on values."""


def expand_heredoc(text: str, lookup: VariableLookup) -> str:
    """Return the *text* of a heredoc with variables replaced: quotes are text in it, the escape is a backslash.

    Raises:
        DockerfileError: as for :func:`expand`.
    """
    protected = re.sub(r"""(\\.)|(['"])""", lambda match: match[1] or "\\" + match[2], text, flags=re.DOTALL)
    return expand(protected, lookup)


class _Words:
    """Collects the words of a text.

    BuildKit keeps the unfinished word in a buffer that every substitution in it empties, so that ``80${x:-81}`` is the
    word ``81``; that is done here as well.
    """

    def __init__(self, buffer: list[str] | None = None) -> None:
        self.done: list[str] = []
        self.open = False
        self.buffer: list[str] = [] if buffer is None else buffer

    def add(self, text: str, *, separates: bool) -> None:
        """Append *text*; if it *separates*, its blanks separate words."""
        if not separates:
            self.buffer.append(text)
            self.open = True
            return
        first, *others = re.split(f"[{SPACE}]", text)
        self.grow(first)
        for part in others:
            self.close()
            self.grow(part)

    def grow(self, part: str) -> None:
        if part:
            self.buffer.append(part)
            self.open = True

    def close(self) -> None:
        if self.open and any(self.buffer):
            self.done.append("".join(self.buffer))
            self.buffer.clear()
            self.open = False

    def finish(self) -> list[str]:
        """End the last word, and return all words."""
        if any(self.buffer):
            self.done.append("".join(self.buffer))
        self.buffer.clear()
        return self.done


@dataclass(frozen=True, slots=True)
class _WordMode:
    """How a part of a text is read.

    Attributes:
        raw: escapes stay, for a pattern that is parsed later.
        pattern: escapes in quotes are doubled, since they are literal there.
    """

    raw: bool = False
    pattern: bool = False


class _Scanner:
    """Reads a text once, as in BuildKit's ``frontend/dockerfile/shell/lex.go``."""

    def __init__(self, text: str, lookup: VariableLookup, escape: str) -> None:
        self.text = text
        self.lookup = lookup
        self.escape = escape
        self.depth = 0
        self.at = len(_BYTE_ORDER_MARK) if text.startswith(_BYTE_ORDER_MARK) else 0
        self.words = _Words()
        self.plain = re.compile(rf"[^$'\"<}}/{re.escape(escape)}]+")

    def whole(self) -> str:
        return self.until("", _WordMode(), self.words)

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self) -> str:
        char = self.peek()
        self.at += 1
        return char

    def until(self, stop: str, mode: _WordMode, words: _Words) -> str:
        """Read up to *stop* (which is consumed), or to the end where *stop* is empty."""
        words.buffer.clear()
        pieces: list[str] = []
        size = 0
        while self.at < len(self.text):
            if self.peek() == stop:
                self.at += 1
                words.finish()
                return "".join(pieces)
            piece, separates = self.piece(mode)
            words.add(piece, separates=separates)
            pieces.append(piece)
            size += len(piece)
            _check_size(size)
        if stop:
            message = f"syntax error: missing {stop!r}"
            raise _error(message)
        return "".join(pieces)

    def piece(self, mode: _WordMode) -> tuple[str, bool]:
        """Return the text that begins with the next character, and whether blanks in it separate words."""
        char = self.take()
        if char == "$":
            return self.dollar(), True
        if char == "'":
            return self.single_quoted(mode), False
        if char == '"':
            return self.double_quoted(mode), False
        if char == self.escape:
            return (char if mode.raw else "") + self.take(), False
        if char == "<" and self.peek() == "<":
            return self.heredoc_mark(), False
        run = self.plain.match(self.text, self.at)
        self.at = run.end() if run else self.at
        return char + (run[0] if run else ""), True

    def heredoc_mark(self) -> str:
        """Return ``<<`` with the blanks after it, which do not end the word."""
        blanks = re.compile(r"<[ \t\r]*").match(self.text, self.at)
        self.at = blanks.end() if blanks else self.at
        return "<" + (blanks[0] if blanks else "")

    def single_quoted(self, mode: _WordMode) -> str:
        end = self.text.find("'", self.at)
        if end < 0:
            message = "unexpected end of statement while looking for a matching single quote"
            raise _error(message)
        text = self.text[self.at : end]
        self.at = end + 1
        return text.replace(self.escape, self.escape * 2) if mode.pattern else text

    def double_quoted(self, mode: _WordMode) -> str:
        pieces: list[str] = []
        while self.at < len(self.text):
            char = self.take()
            if char == '"':
                return "".join(pieces)
            if char == "$":
                char = self.dollar()
            elif char == self.escape:
                char = self.escape_in_quotes(mode)
            pieces.append(char)
        message = "unexpected end of statement while looking for a matching double-quote"
        raise _error(message)

    def escape_in_quotes(self, mode: _WordMode) -> str:
        """Return what an escape means in double quotes: only quote, dollar and itself are escaped there."""
        if self.peek() in {'"', "$", self.escape}:
            return (self.escape if mode.raw else "") + self.take()
        return self.escape * (2 if mode.raw else 1)

    def dollar(self) -> str:
        if self.peek() != "{":
            name = self.name()
            return (self.lookup(name) or "") if name else "$"
        self.at += 1
        if self.peek() in {"{", "}", ":"}:
            message = "syntax error: bad substitution"
            raise _error(message)
        return self.braces(self.name())

    def name(self) -> str:
        if self.peek() in _SPECIAL and self.peek():
            return self.take()
        start = self.at
        within = str.isdecimal if self.peek().isdecimal() else _in_name
        while within(self.peek()):
            self.at += 1
        return self.text[start : self.at]

    def braces(self, name: str) -> str:
        operator = self.take()
        if operator == "}":
            return self.lookup(name) or ""
        if operator == "/":
            return self.replace(name)
        null_counts = operator == ":"
        operator = self.take() if null_counts else operator
        if operator not in _OPERATORS or (null_counts and operator in {"#", "%"}):
            raise _error(_bad_modifier(operator))
        if operator in {"#", "%"}:
            return self.trim(name, operator)
        return self.choose(name, operator, self.read_nested("}", _WordMode()), null_counts=null_counts)

    def read_nested(self, stop: str, mode: _WordMode) -> str:
        self.depth += 1
        if self.depth > DEEPEST:
            message = f"substitutions are nested deeper than {DEEPEST}"
            raise DockerfileError(message)
        text = self.until(stop, mode, _Words(self.words.buffer))
        self.depth -= 1
        return text

    def choose(self, name: str, operator: str, word: str, *, null_counts: bool) -> str:
        value = self.lookup(name)
        present = value is not None and not (null_counts and not value)
        if operator == "+":
            return word if present else ""
        if present:
            return value or ""
        if operator == "-":
            return word
        message = f"{name}: {word or ('not allowed to be empty' if value is not None else 'not allowed to be unset')}"
        raise UnsetVariableError(message)

    def trim(self, name: str, operator: str) -> str:
        pattern = self.read_nested("}", _WordMode(raw=True, pattern=True))
        longest = pattern.startswith(operator)
        pattern = pattern[1:] if longest else pattern
        return trim(self.lookup(name) or "", pattern, from_end=operator == "%", longest=longest)

    def replace(self, name: str) -> str:
        everywhere = self.peek() == "/"
        self.at += everywhere
        pattern = _glob(self.read_nested("/", _WordMode(raw=True, pattern=True)))
        replacement = self.read_nested("}", _WordMode(raw=True))
        value = self.lookup(name) or ""
        _check_size(len(replacement) * (len(value) + 1 if everywhere else 1))
        pattern.check(value)
        if everywhere:
            return _replace_all(pattern, replacement, value)
        match = pattern.search(value, 0)
        return value[: match[0]] + replacement + value[match[1] :] if match else value


def _in_name(char: str) -> bool:
    return char == "_" or char.isalpha() or char.isdecimal()


def _replace_all(pattern: Glob, replacement: str, value: str) -> str:
    """Return *value* with all matches replaced as in Go.

    In the replacement ``$0`` is the match, other names are empty and ``$$`` is a dollar;
    an empty match that touches the one before it does not count.

    Source: Go, package regexp, ``Regexp.ReplaceAllString`` and ``Regexp.Expand``.
    """
    pieces: list[str] = []
    done = 0
    for start, end in pattern.matches(value):
        if start == end == done and done:
            continue
        pieces += [value[done:start], _template(replacement, value[start:end])]
        done = end
    return "".join([*pieces, value[done:]])


def _template(text: str, matched: str) -> str:
    def replace(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if match[0] == "$$":
            return "$"
        return matched if name == "0" else ""

    return re.sub(r"\$\$|\$(\w+)|\$\{(\w+)\}", replace, text)


def _check_size(size: int) -> None:
    """Refuse a value that doubles with every line, as in ``ENV A=$A$A``, before it fills the memory."""
    if size > LONGEST:
        message = f"a value is longer than {LONGEST} characters when its variables are replaced"
        raise DockerfileError(message, hint="look for a variable that contains itself")


def trim(value: str, pattern: str, *, from_end: bool, longest: bool) -> str:
    """Return *value* without the shortest or longest part at one end that the shell *pattern* matches."""
    if from_end:
        # The shortest end is found in the reversed value; an escape stays before the character that it escapes.
        reversed_pattern = "".join(reversed(re.findall(r"\\?.", pattern, re.DOTALL)))
        return trim(value[::-1], reversed_pattern, from_end=False, longest=longest)[::-1]
    glob = _glob(pattern)
    glob.check(value)
    end = glob.match(value, 0, longest=longest)
    return value if end is None else value[end:]


def _glob(pattern: str) -> Glob:
    return Glob.parse(pattern.removeprefix(_BYTE_ORDER_MARK))


def _error(reason: str) -> DockerfileError:
    return DockerfileError(reason, hint="escape a dollar sign or quote that is meant literally")


def _bad_modifier(operator: str) -> str:
    return f"unsupported modifier {operator!r} in substitution" if operator else "syntax error: missing '}'"
