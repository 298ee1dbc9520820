r"""The grammar of ``<+...>``: parses text into a tree, which :mod:`buildpush.expressions.evaluate` evaluates.

::

    template  := ( TEXT | '\<+' | expression | input )*         \<+ is not in Harness: a literal <+
    expression:= '<+' ternary '>'
    input     := '<+input>' ( '.' SUFFIX '(' raw text ')' )*
    ternary   := binary ( '?' ternary ':' ternary )?
    binary    := unary ( OPERATOR unary )*                      by level, see LEVELS
    unary     := ( '!' | 'not' | '-' | 'empty' | 'size' )* postfix
    postfix   := atom ( '.' key | '?.' key | '.' key '(' list ')' | '[' ternary ']' )*
    key       := NAME | STRING | expression
    atom      := STRING | NUMBER | true | false | null | NAME | expression
               | '(' ternary ')' | '[' list ']' | '{' map '}'

A ``>`` outside parentheses ends the expression, as in Harness; "greater than" is written ``gt`` or in parentheses.
Strings are templates themselves, and so is text in backquotes with ``${...}``.
Source of the rules: Harness documentation, "Use Harness expressions", and the syntax page of Apache Commons JEXL.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TypeVar

from buildpush.expressions.tree import (
    LARGEST_INTEGER,
    LONGEST,
    Chain,
    Constant,
    Expression,
    Identifier,
    Input,
    Interpolation,
    KeyAccess,
    ListLiteral,
    MapLiteral,
    MethodCall,
    Postfix,
    Prefix,
    Template,
    Ternary,
    fail,
)
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex

T = TypeVar("T")

DEEPEST: Final = 64

# A higher level binds tighter.
LEVELS: Final = {
    **dict.fromkeys(("??", "?:"), 1),
    **dict.fromkeys(("||", "or"), 2),
    **dict.fromkeys(("&&", "and"), 3),
    **dict.fromkeys(("==", "eq", "!=", "ne", "=~", "!~", "=^", "!^", "=$", "!$", "in"), 4),
    **dict.fromkeys(("<", "lt", ">", "gt", "<=", "le", ">=", "ge"), 5),
    "..": 6,
    **dict.fromkeys(("+", "-"), 7),
    **dict.fromkeys(("*", "/", "div", "%", "mod"), 8),
}
WORD_OPERATORS: Final = {
    "or": "||",
    "and": "&&",
    "not": "!",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "gt": ">",
    "le": "<=",
    "ge": ">=",
    "div": "/",
    "mod": "%",
}
INPUT_SUFFIXES: Final = ("default", "allowedValues", "selectOneFrom", "selectManyFrom", "regex", "executionInput")

_CONSTANTS: Final[Mapping[str, bool | None]] = {"true": True, "false": False, "null": None}
_PLAIN = regex(r"""[^\\<$'"`]+""")
_BACKSLASHES = regex(r"\\+")
_BLANK = regex(r"\s*")
_KEY = regex(r"[A-Za-z0-9_$]+")
_TOKEN = regex(
    r"""(?P<string>['"`])|(?P<name>[A-Za-z_$][A-Za-z0-9_$]*)|(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?)"""
    r"|(?P<symbol><\+|\?\?|\?\.(?![0-9])|\?:|\|\||&&|==|!=|=~|!~|=\^|!\^|=\$|!\$|<=|>=|\.\.|[-+*/%<>!?:.,()\[\]{}])"
)
_INPUT = regex(r"<\+\s*input\s*>")
_SUFFIX = regex(rf"\.({'|'.join(INPUT_SUFFIXES)})\(")
_SUFFIX_LIKE = regex(r"\.([A-Za-z]+)\(")
_OPERAND_AND_CLOSE = regex(
    r"""=?\s*(?:-?[0-9.]+|"[^"<>]*"|'[^'<>]*'|[A-Za-z_$][\w$.]*)\s*(?:>|\?|&&|\|\||and\b|or\b)"""
)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_UNICODE = regex(r"u([0-9a-fA-F]{4})")


def parse(text: str) -> Template:
    """Return *text* as a tree.

    Raises:
        ExpressionError: the text cannot be parsed, nests deeper than 64, or is longer than 256 Ki characters.
    """
    if len(text) > LONGEST:
        fail(f"a text with expressions has at most {LONGEST} characters, but this one has {len(text)}")
    if "<+" not in text:
        return Template(text, (text,) if text else ())
    try:
        return Template(text, _TemplateParser(text).template())
    except RecursionError:
        fail(f"expressions nest deeper than {DEEPEST}", at=0)


def escape(text: str) -> str:
    r"""Return *text* escaped, so that :func:`parse` reads it as a literal: ``<+`` becomes ``\<+``."""
    return re.sub(r"(\\*)<\+", lambda match: match[1] * 2 + r"\<+", text)


@dataclass(frozen=True, slots=True)
class _Lexeme:
    """A name, number, symbol, the quote that begins a string, or the end."""

    kind: str
    text: str
    at: int

    def is_symbol(self, text: str) -> bool:
        return self.kind == "symbol" and self.text == text


class _TemplateParser:
    """Parses one template; tokens are read only when needed, since the meaning of ``>`` depends on parentheses."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.depth = 0
        self.parentheses = 0

    # ---- text between expressions

    def template(self) -> tuple[str | Expression, ...]:
        return tuple(_join(self._pieces("", "<+")))

    def _pieces(self, quote: str, opener: str) -> Iterator[str | Expression]:
        """Yield literal text and expressions up to *quote* (not consumed), or to the end for no quote."""
        begin = self.position
        while self.position < len(self.text):
            if quote and self.text.startswith(quote, self.position):
                return
            if self.text[self.position] == "\\":
                yield self._escape() if quote else self._backslashes()
            elif self.text.startswith("<+", self.position):
                yield self._expression(top=not quote)
            elif quote and self.text.startswith(opener, self.position):
                yield self._enclose(opener, "}")
            else:
                yield self._plain()
        if quote:
            fail(f"the text that begins with {quote} has no end", at=begin - 1)

    def _plain(self) -> str:
        begin = self.position
        self.position = max(_end(_PLAIN, self.text, begin), begin + 1)
        return self.text[begin : self.position]

    def _backslashes(self) -> str:
        """Read backslashes outside strings: they are special only right before ``<+``."""
        count = _end(_BACKSLASHES, self.text, self.position) - self.position
        self.position += count
        if not self.text.startswith("<+", self.position):
            return "\\" * count
        is_literal = count % 2
        self.position += is_literal * len("<+")
        return "\\" * (count // 2) + "<+" * is_literal

    def _escape(self) -> str:
        """Read an escape inside a string; an unknown one keeps its backslash, so that patterns need not double it."""
        self.position += 1
        if self.text.startswith("<+", self.position):
            self.position += len("<+")
            return "<+"
        if unicode := _UNICODE.match(self.text, self.position):
            self.position = unicode.end()
            if 0xD800 <= int(unicode[1], 16) < 0xE000:  # noqa: PLR2004 - half a surrogate pair cannot be written
                message = f"\\{unicode[0].lower()} is half a character; write the character itself"
                fail(message, at=unicode.start() - 1)
            return chr(int(unicode[1], 16))
        mark = self.text[self.position : self.position + 1]
        self.position += len(mark)
        if mark in _ESCAPES:
            return _ESCAPES[mark]
        return mark if mark in ("\\", "'", '"', "`", "$") else f"\\{mark}"

    # ---- expressions

    def _expression(self, *, top: bool = False) -> Expression:
        at = self.position
        if match := _INPUT.match(self.text, at):
            self.position = match.end()
            return self._input(at, top=top)
        node = self._enclose("<+", ">")
        self._refuse_lost_comparison(at)
        return node

    def _enclose(self, opener: str, closer: str) -> Expression:
        """Read *opener*, one expression, *closer*."""
        at = self.position
        self.position += len(opener)
        outer, self.parentheses = self.parentheses, int(closer != ">")
        if self._peek().text == closer:
            fail(f"there is nothing between {opener} and {closer}", at=at)
        node = self._ternary()
        self._expect(closer, f"the expression that begins with {opener} at column {at + 1}")
        self.parentheses = outer
        return node

    def _refuse_lost_comparison(self, at: int) -> None:
        """Refuse ``<+a > 0>``, which would silently be the value of ``a`` followed by the text ``0>``."""
        before = self.text[at : self.position - 1]
        if before.endswith(" ") and _OPERAND_AND_CLOSE.match(self.text, self.position):
            hint = 'for "greater than" write gt, or put the comparison into parentheses'
            fail("'>' ends the expression here, but more of it seems to follow", hint, at=self.position - 1)

    def _input(self, at: int, *, top: bool) -> Input:
        suffixes: list[tuple[str, str]] = []
        while match := _SUFFIX.match(self.text, self.position):
            self.position = match.end()
            suffixes.append((match[1], self._raw(match.start())))
        unknown = _SUFFIX_LIKE.match(self.text, self.position)
        if top and unknown:
            hint = f"use one of {', '.join(INPUT_SUFFIXES)}"
            fail(f"<+input> has no suffix {unknown[1]!r}", hint, at=unknown.start())
        return Input(tuple(suffixes), at)

    def _raw(self, at: int) -> str:
        """Read up to the parenthesis that closes a suffix; parentheses inside must match, or follow a backslash."""
        begin, depth = self.position, 1
        while depth:
            if self.position >= len(self.text):
                fail("the suffix of <+input> has no closing parenthesis", at=at)
            mark = self.text[self.position]
            self.position += 2 if mark == "\\" else 1
            depth += {"(": 1, ")": -1}.get(mark, 0)
        return self.text[begin : self.position - 1]

    def _ternary(self) -> Expression:
        at = self._peek().at
        with self._nest(at):
            condition = self._binary(1)
            if not self._take("?"):
                return condition
            then = self._ternary()
            self._expect(":", f"the condition at column {at + 1}")
            return Ternary(condition, then, self._ternary(), at)

    def _binary(self, least: int) -> Expression:
        at = self._peek().at
        left = self._unary()
        while (level := self._level()) >= least:
            rest: list[tuple[str, Expression, int]] = []
            while self._level() == level:
                token = self._next()
                rest.append((WORD_OPERATORS.get(token.text, token.text), self._binary(level + 1), token.at))
            left = Chain(left, tuple(rest), at)
        return left

    def _level(self) -> int:
        token = self._peek()
        is_end = token.text == ">" and not self.parentheses
        return LEVELS.get(token.text, 0) if token.kind in ("symbol", "name") and not is_end else 0

    def _unary(self) -> Expression:
        token = self._peek()
        if token.text not in ("!", "not", "-", "empty", "size") or token.kind not in ("symbol", "name"):
            return self._postfix()
        self._next()
        with self._nest(token.at):
            return Prefix(WORD_OPERATORS.get(token.text, token.text), self._unary(), token.at)

    def _postfix(self) -> Expression:
        base = self._atom()
        steps: list[KeyAccess | MethodCall] = []
        while step := self._step():
            steps.append(step)
        return Postfix(base, tuple(steps), base.at) if steps else base

    def _step(self) -> KeyAccess | MethodCall | None:
        token = self._peek()
        if token.is_symbol("["):
            with self._brackets("]", "bracket"):
                return KeyAccess(self._ternary(), False, token.at)
        safe = token.is_symbol("?.")
        if not safe and not token.is_symbol("."):
            return None
        self._next()
        key = self._key(token.at)
        if isinstance(key, Constant) and self._peek().is_symbol("("):
            return MethodCall(str(key.value), self._list("(", ")", self._ternary), safe, key.at)
        return KeyAccess(key, safe, key.at)

    def _key(self, dot: int) -> Expression:
        """Read the key after a dot: a word, reserved or not, a quoted text, or an expression."""
        self.position = _end(_BLANK, self.text, self.position)
        at = self.position
        if match := _KEY.match(self.text, at):
            self.position = match.end()
            return Constant(match[0], at)
        if self.text[at : at + 1] in ("'", '"'):
            return self._string()
        if not self.text.startswith("<+", at):
            fail("a name is missing after the dot", at=dot)
        return self._expression()

    def _atom(self) -> Expression:
        token = self._peek()
        if token.kind == "end":
            fail("a value is missing at the end of the expression", at=token.at)
        if token.kind != "symbol":
            return {"string": self._string, "number": self._number, "name": self._word}[token.kind]()
        if token.text == "<+":
            self.position = token.at
            return self._expression()
        if token.text == "[":
            return ListLiteral(self._list("[", "]", self._ternary), token.at)
        if token.text == "{":
            return MapLiteral(self._list("{", "}", self._pair), token.at)
        if token.text != "(":
            fail(f"a value is missing before {token.text!r}", at=token.at)
        with self._brackets(")", "parenthesis"):
            return self._ternary()

    def _list(self, opener: str, closer: str, read: Callable[[], T]) -> tuple[T, ...]:
        items: list[T] = []
        with self._brackets(closer, opener):
            while not self._peek().is_symbol(closer):
                items.append(read())
                if not self._take(","):
                    break
        return tuple(items)

    def _pair(self) -> tuple[Expression, Expression]:
        key = self._binary(2)
        self._expect(":", f"the key at column {key.at + 1}")
        # A bare word as the key of a map is that word, as in JEXL.
        return Constant(key.word, key.at) if isinstance(key, Identifier) else key, self._ternary()

    def _number(self) -> Constant:
        token = self._next()
        is_whole = token.text.isdigit()
        is_long = is_whole and len(token.text) > len(str(LARGEST_INTEGER))
        value = int(token.text) if is_whole and not is_long else float(token.text)
        if is_long or math.isinf(value) or (is_whole and value > LARGEST_INTEGER):
            fail("this number is too large", at=token.at)
        return Constant(value, token.at)

    def _word(self) -> Expression:
        token = self._next()
        if token.text in _CONSTANTS:
            return Constant(_CONSTANTS[token.text], token.at)
        if token.text in LEVELS or token.text in WORD_OPERATORS:
            fail(f"a value is missing before {token.text!r}", at=token.at)
        return Identifier(token.text, token.at)

    def _string(self) -> Expression:
        at = self.position = _end(_BLANK, self.text, self.position)
        quote = self.text[at]
        self.position += 1
        parts = tuple(_join(self._pieces(quote, "${" if quote == "`" else "<+")))
        self.position += 1
        if len(parts) == 1 and isinstance(parts[0], str):
            return Constant(parts[0], at)
        return Interpolation(parts, at) if parts else Constant("", at)

    # ---- tokens

    def _peek(self) -> _Lexeme:
        at = _end(_BLANK, self.text, self.position)
        if at >= len(self.text):
            return _Lexeme("end", "", at)
        match = _TOKEN.match(self.text, at)
        if not match:
            mark = self.text[at]
            hint = {"=": "write == to compare", "&": "write && or and", "|": "write || or or"}.get(mark)
            fail(f"{mark!r} is unexpected in an expression", hint, at=at)
        text = ">" if match[0] == ">=" and not self.parentheses else match[0]
        return _Lexeme(str(match.lastgroup), text, at)

    def _next(self) -> _Lexeme:
        token = self._peek()
        self.position = token.at + len(token.text)
        return token

    def _take(self, symbol: str) -> bool:
        is_there = self._peek().is_symbol(symbol)
        if is_there:
            self._next()
        return is_there

    def _expect(self, symbol: str, what: str) -> None:
        if self._take(symbol):
            return
        token = self._peek()
        is_end = token.kind == "end"
        hint = r"for a literal <+ write \<+" if is_end and symbol == ">" else None
        found = "the text ends here" if is_end else f"{token.text!r} is here"
        fail(f"{what} needs {symbol!r}, but {found}", hint, at=token.at)

    @contextmanager
    def _nest(self, at: int) -> Iterator[None]:
        self.depth += 1
        if self.depth > DEEPEST:
            fail(f"expressions nest deeper than {DEEPEST}", at=at)
        yield
        self.depth -= 1

    @contextmanager
    def _brackets(self, closer: str, what: str) -> Iterator[None]:
        """Read an opening bracket, and at the end of the block its *closer*; in between, ``>`` means greater than."""
        at = self._next().at
        self.parentheses += 1
        yield
        self.parentheses -= 1
        self._expect(closer, f"the {what} at column {at + 1}")


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _join(pieces: Iterator[str | Expression]) -> Iterator[str | Expression]:
    """Yield *pieces*, with adjacent texts joined."""
    run: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            run.append(piece)
            continue
        if run:
            yield "".join(run)
            run.clear()
        yield piece
    if "".join(run):
        yield "".join(run)
