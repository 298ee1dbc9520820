"""Variables and quotes in Dockerfile words: ``$NAME``, ``${NAME:-word}``, ``'…'``, ``"…"``, escapes.

Source: Dockerfile reference, "Environment replacement"; what BuildKit does where the page is silent.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from buildpush.errors import DockerfileError

Lookup = Callable[[str], str | None]

DEEPEST = 32
LONGEST = 1 << 20
_SPECIAL = frozenset("@*#?-$!")
_NAME = re.compile(r"[0-9]+|[^\W\d]\w*")
_BLANKS = frozenset(" \t\n\r\v\f")


def expand(text: str, lookup: Lookup, escape: str = "\\") -> str:
    """Return *text* with variables replaced and quotes removed, as one word.

    Args:
        text: as written in the Dockerfile.
        lookup: the value of a variable, or ``None`` where it is not set.
        escape: the file's escape character.

    Raises:
        DockerfileError: a substitution is malformed, or ``${NAME:?message}`` found nothing.
    """
    return _Scanner(text, lookup, escape).whole()


def expand_words(text: str, lookup: Lookup, escape: str = "\\") -> list[str]:
    """Return the words of *text* after variables are replaced; blanks in a value separate words too."""
    scanner = _Scanner(text, lookup, escape)
    scanner.whole()
    return scanner.split()


class _Scanner:
    """One pass over a text; ``pieces`` holds what came out and whether its blanks separate words."""

    def __init__(self, text: str, lookup: Lookup, escape: str, depth: int = 0) -> None:
        if depth > DEEPEST:
            message = f"substitutions are nested deeper than {DEEPEST}"
            raise DockerfileError(message)
        self.text = text
        self.lookup = lookup
        self.escape = escape
        self.depth = depth
        self.at = 0
        self.pieces: list[tuple[str, bool]] = []
        self.size = 0

    def whole(self) -> str:
        self.until("")
        return self.joined()

    def joined(self) -> str:
        return "".join(piece for piece, _ in self.pieces)

    def split(self) -> list[str]:
        words: list[str] = []
        open_word = False
        for piece, separates in self.pieces:
            parts = re.split(r"[ \t\n\r\v\f]+", piece) if separates else [piece]
            for position, part in enumerate(parts):
                open_word = open_word and position == 0
                if open_word:
                    words[-1] += part
                elif part or not separates:
                    words.append(part)
                    open_word = True
        return words

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self) -> str:
        char = self.peek()
        self.at += 1
        return char

    def add(self, text: str, *, separates: bool = False) -> None:
        self.size += len(text)
        _check_size(self.size)
        self.pieces.append((text, separates))

    def until(self, stop: str, *, keep_escapes: bool = False) -> None:
        """Go on up to *stop* (which is consumed), or to the end where *stop* is empty."""
        while self.at < len(self.text):
            char = self.take()
            if char == stop:
                return
            if char == "'":
                self.single_quoted()
            elif char == '"':
                self.double_quoted()
            elif char == "$":
                self.add(self.dollar(), separates=True)
            elif char == self.escape:
                self.add((char if keep_escapes else "") + self.take())
            else:
                self.add(char, separates=char in _BLANKS)
        if stop:
            message = "syntax error: missing '" + stop + "'"
            raise _error(message)

    def single_quoted(self) -> None:
        end = self.text.find("'", self.at)
        if end < 0:
            message = "unexpected end of statement while looking for a matching single quote"
            raise _error(message)
        self.add(self.text[self.at : end])
        self.at = end + 1

    def double_quoted(self) -> None:
        self.add("")  # an empty pair of quotes is a word
        while self.at < len(self.text):
            char = self.take()
            if char == '"':
                return
            if char == "$":
                self.add(self.dollar())
            elif char == self.escape and self.peek() in {'"', "$", self.escape}:
                self.add(self.take())
            else:
                self.add(char)
        message = "unexpected end of statement while looking for a matching double-quote"
        raise _error(message)

    def dollar(self) -> str:
        if self.peek() != "{":
            name = self.name()
            return (self.lookup(name) or "") if name else "$"
        self.at += 1
        if self.peek() in {"{", "}", ":"}:
            message = "syntax error: bad substitution"
            raise _error(message)
        return self.braced(self.name())

    def name(self) -> str:
        if self.peek() in _SPECIAL and self.peek():
            return self.take()
        match = _NAME.match(self.text, self.at)
        if not match:
            return ""
        self.at = match.end()
        return match[0]

    def braced(self, name: str) -> str:
        operator = self.take()
        if operator == "}":
            return self.lookup(name) or ""
        if operator in {"#", "%"}:
            return self.trimmed(name, operator)
        if operator == "/":
            return self.replaced(name)
        null_counts = operator == ":"
        operator = self.take() if null_counts else operator
        if operator not in {"-", "+", "?"} or not operator:
            raise _error(_malformed(operator))
        return self.chosen(name, operator, self.nested(), null_counts=null_counts)

    def nested(self, stop: str = "}", *, keep_escapes: bool = False) -> str:
        inner = _Scanner(self.text, self.lookup, self.escape, self.depth + 1)
        inner.at = self.at
        inner.until(stop, keep_escapes=keep_escapes)
        self.at = inner.at
        return inner.joined()

    def chosen(self, name: str, operator: str, word: str, *, null_counts: bool) -> str:
        value = self.lookup(name)
        present = value is not None and not (null_counts and not value)
        if operator == "+":
            return word if present else ""
        if present:
            return value or ""
        if operator == "-":
            return word
        message = f"{name}: {word or ('not allowed to be empty' if value is not None else 'not allowed to be unset')}"
        raise DockerfileError(message)

    def trimmed(self, name: str, operator: str) -> str:
        longest = self.peek() == operator
        self.at += longest
        pattern = self.nested(keep_escapes=True)
        value = self.lookup(name) or ""
        return trim(value, pattern, from_end=operator == "%", longest=longest)

    def replaced(self, name: str) -> str:
        everywhere = self.peek() == "/"
        self.at += everywhere
        pattern = re.compile(_shell_pattern(self.nested("/", keep_escapes=True)), re.DOTALL)
        replacement = self.nested()
        value = self.lookup(name) or ""
        _check_size(len(replacement) * (len(value) + 1 if everywhere else 1))
        return pattern.sub(lambda _match: replacement, value, count=0 if everywhere else 1)


def _check_size(size: int) -> None:
    """Refuse what doubles with every line, as in ``ENV A=$A$A``, before it fills the memory."""
    if size > LONGEST:
        message = f"a value is longer than {LONGEST} characters when its variables are replaced"
        raise DockerfileError(message, hint="look for a variable that is put into itself")


def trim(value: str, pattern: str, *, from_end: bool, longest: bool) -> str:
    """Return *value* without the shortest or longest part at one end that the shell *pattern* matches."""
    wanted = re.compile(_shell_pattern(pattern), re.DOTALL)
    cuts = range(len(value) + 1)
    # Trimming little means a cut near that end.
    for cut in reversed(cuts) if from_end != longest else cuts:
        if wanted.fullmatch(value[cut:] if from_end else value[:cut]):
            return value[:cut] if from_end else value[cut:]
    return value


def _shell_pattern(pattern: str) -> str:
    """Return the regular expression of a shell pattern that knows ``*``, ``?`` and backslashes."""
    out: list[str] = []
    chars = iter(pattern)
    for char in chars:
        if char == "*":
            # Several stars in a row mean one; as separate loops they would take exponential time.
            out += [] if out and out[-1] == ".*" else [".*"]
        elif char == "?":
            out.append(".")
        else:
            out.append(re.escape(next(chars, "\\") if char == "\\" else char))
    return "".join(out)


def _error(reason: str) -> DockerfileError:
    return DockerfileError(reason, hint="a dollar or quote that means itself is escaped")


def _malformed(operator: str) -> str:
    return f"unsupported modifier {operator!r} in substitution" if operator else "syntax error: missing '}'"
