r"""The grammar of ``<+...>``: from text to a tree; :mod:`buildpush.expressions.evaluate` answers the tree.

::

    template  := ( TEXT | '\<+' | expression | input )*         \<+ is ours: a literal <+
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

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Literal, NoReturn

from buildpush.foundation.errors import ExpressionError
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import Secret

Value = str | int | float | bool | Secret | Sequence["Value"] | Mapping[str, "Value"] | None

LONGEST: Final = 256 * 1024  # characters of a template or bytes of a value, as in Harness
DEEPEST: Final = 64
LARGEST_INTEGER: Final = 2**63 - 1

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
SPOKEN: Final = {
    "or": "||",
    "and": "&&",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "gt": ">",
    "le": "<=",
    "ge": ">=",
    "div": "/",
    "mod": "%",
    "not": "!",
}
INPUT_SUFFIXES: Final = ("default", "allowedValues", "selectOneFrom", "selectManyFrom", "regex", "executionInput")

_CONSTANTS: Final[Mapping[str, bool | None]] = {"true": True, "false": False, "null": None}
_PLAIN = re.compile(r"""[^\\<$'"`]+""")
_BLANK = re.compile(r"\s*")
_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_KEY = re.compile(r"[A-Za-z0-9_$]+")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_SYMBOL = re.compile(
    r"<\+|\?\?|\?\.(?![0-9])|\?:|\|\||&&|==|!=|=~|!~|=\^|!\^|=\$|!\$|<=|>=|\.\.|[-+*/%<>!?:.,()\[\]{}]"
)
_INPUT = re.compile(r"<\+\s*input\s*>")
_SUFFIX = re.compile(rf"\.({'|'.join(INPUT_SUFFIXES)})\(")
_SUFFIX_LIKE = re.compile(r"\.([A-Za-z]+)\(")
_OPERAND_AND_CLOSE = re.compile(
    r"""=?\s*(?:-?[0-9.]+|"[^"<>]*"|'[^'<>]*'|[A-Za-z_$][\w$.]*)\s*(?:>|\?|&&|\|\||and\b|or\b)"""
)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_UNICODE = re.compile(r"u([0-9a-fA-F]{4})")


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal; *at* is the offset in the template, here and below."""

    value: str | float | bool | None
    at: int


@dataclass(frozen=True, slots=True)
class Name:
    """The first word of a path, such as ``pipeline``."""

    word: str
    at: int


@dataclass(frozen=True, slots=True)
class Input:
    """``<+input>`` with its suffixes, their text raw."""

    suffixes: tuple[tuple[str, str], ...]
    at: int


@dataclass(frozen=True, slots=True)
class Text:
    """A string with expressions in it."""

    parts: tuple[str | Node, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Prefix:
    """``!x``, ``-x``, ``empty x`` or ``size x``."""

    operator: str
    operand: Node
    at: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands of one level, applied from the left: ``a + b - c``."""

    first: Node
    rest: tuple[tuple[str, Node, int], ...]
    at: int


@dataclass(frozen=True, slots=True)
class Ternary:
    """``condition ? then : other``."""

    condition: Node
    then: Node
    other: Node
    at: int


@dataclass(frozen=True, slots=True)
class Member:
    """``.key``; *safe* after ``?.``."""

    key: Node
    safe: bool
    at: int


@dataclass(frozen=True, slots=True)
class Index:
    """``[key]``."""

    key: Node
    at: int
    safe: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """``.method(arguments)``."""

    method: str
    arguments: tuple[Node, ...]
    safe: bool
    at: int


@dataclass(frozen=True, slots=True)
class Postfix:
    """A base and what follows it, in order."""

    base: Node
    steps: tuple[Member | Index | Call, ...]
    at: int


@dataclass(frozen=True, slots=True)
class ListOf:
    """``[a, b]``."""

    items: tuple[Node, ...]
    at: int


@dataclass(frozen=True, slots=True)
class MapOf:
    """``{key: value}``."""

    pairs: tuple[tuple[Node, Node], ...]
    at: int


Node = Constant | Name | Input | Text | Prefix | Chain | Ternary | Postfix | ListOf | MapOf


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed text: literal parts and expressions, in order."""

    text: str
    parts: tuple[str | Node, ...]

    @property
    def literal(self) -> bool:
        """Whether there is no expression in it."""
        return all(isinstance(part, str) for part in self.parts)


def fail(message: str, at: int, hint: str | None = None) -> NoReturn:
    """Raise the error that says *message* and the column of offset *at*."""
    placed = f"{message} (column {at + 1})"
    raise ExpressionError(placed, hint=hint) from None


def parse(text: str) -> Template:
    """Return *text* as a tree.

    Raises:
        ExpressionError: the text breaks the grammar, nests deeper than 64, or is longer than 256 Ki characters.
    """
    if len(text) > LONGEST:
        message = f"a text with expressions has at most {LONGEST} characters, this one {len(text)}"
        raise ExpressionError(message)
    if "<+" not in text:
        return Template(text, (text,) if text else ())
    try:
        return Template(text, _Parser(text).template())
    except RecursionError:
        fail(f"expressions nest deeper than {DEEPEST}", 0)


def escape(text: str) -> str:
    r"""Return *text* so that :func:`parse` takes it literally: ``<+`` becomes ``\<+``."""
    return re.sub(r"(\\*)<\+", lambda match: match[1] * 2 + r"\<+", text)


@dataclass(slots=True)
class _Token:
    kind: Literal["name", "number", "string", "symbol", "end"]
    text: str
    at: int
    end: int


class _Parser:
    """Reads one template; the next token is looked at only when asked for, since ``>`` depends on parentheses."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.depth = 0
        self.parentheses = 0

    # ---- text between expressions

    def template(self) -> tuple[str | Node, ...]:
        return tuple(_joined(self._pieces("", "<+")))

    def _pieces(self, quote: str, opener: str) -> Iterator[str | Node]:
        """Yield literal text and expressions up to *quote* (not consumed), or to the end for no quote."""
        begin = self.position
        while self.position < len(self.text):
            if quote and self.text.startswith(quote, self.position):
                return
            if self.text[self.position] == "\\":
                yield self._after_backslash(quote)
            elif self.text.startswith("<+", self.position):
                yield self._expression(top=not quote)
            elif quote and self.text.startswith(opener, self.position):
                yield self._enclosed(opener, "}")
            else:
                yield self._plain()
        if quote:
            fail(f"the text that begins with {quote} has no end", begin - 1)

    def _plain(self) -> str:
        begin = self.position
        self.position = max(_end(_PLAIN, self.text, begin), begin + 1)
        return self.text[begin : self.position]

    def _after_backslash(self, quote: str) -> str:
        return self._escape() if quote else self._backslashes()

    def _backslashes(self) -> str:
        """Outside strings backslashes mean something only right before ``<+``."""
        run = re.compile(r"\\+").match(self.text, self.position)
        count = run.end() - run.start() if run else 0
        self.position += count
        if not self.text.startswith("<+", self.position):
            return "\\" * count
        if count % 2:
            self.position += len("<+")
            return "\\" * (count // 2) + "<+"
        return "\\" * (count // 2)

    def _escape(self) -> str:
        """Inside strings; an unknown escape keeps its backslash, so that one for a pattern gets there."""
        self.position += 1
        if self.text.startswith("<+", self.position):
            self.position += len("<+")
            return "<+"
        if unicode := _UNICODE.match(self.text, self.position):
            self.position = unicode.end()
            return _character(int(unicode[1], 16), unicode.start() - 1)
        mark = self.text[self.position : self.position + 1]
        self.position += len(mark)
        if mark in _ESCAPES:
            return _ESCAPES[mark]
        return mark if mark in ("\\", "'", '"', "`", "$") else f"\\{mark}"

    # ---- expressions

    def _expression(self, *, top: bool = False) -> Node:
        at = self.position
        if match := _INPUT.match(self.text, at):
            self.position = match.end()
            return self._input(at, top=top)
        node = self._enclosed("<+", ">")
        self._refuse_lost_comparison(at)
        return node

    def _enclosed(self, opener: str, closer: str) -> Node:
        """Read *opener*, one expression, *closer*."""
        at = self.position
        self.position += len(opener)
        outer, self.parentheses = self.parentheses, int(closer != ">")
        if self._peek().text == closer:
            fail(f"nothing stands between {opener} and {closer}", at)
        node = self._ternary()
        self._expect(closer, f"the expression that begins with {opener} at column {at + 1}")
        self.parentheses = outer
        return node

    def _refuse_lost_comparison(self, at: int) -> None:
        """``<+a > 0>`` would silently become the value of a and the text " 0>"."""
        before = self.text[at : self.position - 1]
        if before.endswith(" ") and _OPERAND_AND_CLOSE.match(self.text, self.position):
            hint = 'for "greater than" write gt, or put the comparison into parentheses'
            fail("'>' ends the expression here, although more of it seems to follow", self.position - 1, hint)

    def _input(self, at: int, *, top: bool) -> Input:
        suffixes: list[tuple[str, str]] = []
        while match := _SUFFIX.match(self.text, self.position):
            self.position = match.end()
            suffixes.append((match[1], self._raw(match.start())))
        unknown = _SUFFIX_LIKE.match(self.text, self.position)
        if top and unknown:
            hint = f"known are {', '.join(INPUT_SUFFIXES)}"
            fail(f"<+input> has no suffix {unknown[1]!r}", unknown.start(), hint)
        return Input(tuple(suffixes), at)

    def _raw(self, at: int) -> str:
        """Read up to the parenthesis that closes a suffix; parentheses inside pair up, a backslash hides one."""
        begin, depth = self.position, 1
        while self.position < len(self.text):
            mark = self.text[self.position]
            self.position += 2 if mark == "\\" else 1
            depth += {"(": 1, ")": -1}.get(mark, 0)
            if not depth:
                return self.text[begin : self.position - 1]
        fail("the suffix of <+input> has no closing parenthesis", at)

    def _ternary(self) -> Node:
        at = self._peek().at
        with self._deeper(at):
            condition = self._binary(1)
            if not self._take("?"):
                return condition
            then = self._ternary()
            self._expect(":", f"the condition at column {at + 1}")
            return Ternary(condition, then, self._ternary(), at)

    def _binary(self, least: int) -> Node:
        at = self._peek().at
        left = self._unary()
        while (level := self._level()) >= least:
            rest: list[tuple[str, Node, int]] = []
            while self._level() == level:
                token = self._next()
                rest.append((SPOKEN.get(token.text, token.text), self._binary(level + 1), token.at))
            left = Chain(left, tuple(rest), at)
        return left

    def _level(self) -> int:
        token = self._peek()
        if token.kind not in ("symbol", "name") or self._closes(token):
            return 0
        return LEVELS.get(token.text, 0)

    def _closes(self, token: _Token) -> bool:
        return token.text == ">" and not self.parentheses

    def _unary(self) -> Node:
        token = self._peek()
        if token.text not in ("!", "not", "-", "empty", "size") or token.kind not in ("symbol", "name"):
            return self._postfix()
        self._next()
        with self._deeper(token.at):
            return Prefix(SPOKEN.get(token.text, token.text), self._unary(), token.at)

    def _postfix(self) -> Node:
        base = self._atom()
        steps: list[Member | Index | Call] = []
        while step := self._step():
            steps.append(step)
        return Postfix(base, tuple(steps), base.at) if steps else base

    def _step(self) -> Member | Index | Call | None:
        token = self._peek()
        if token.kind != "symbol":
            return None
        if token.text == "[":
            return Index(self._bracketed(), token.at)
        if token.text not in (".", "?."):
            return None
        self._next()
        key = self._key(token.at)
        safe = token.text == "?."
        if isinstance(key, Constant) and self._peek().text == "(" and self._peek().kind == "symbol":
            return Call(str(key.value), self._list("(", ")"), safe, key.at)
        return Member(key, safe, key.at)

    def _bracketed(self) -> Node:
        at = self._next().at
        with self._inside():
            node = self._ternary()
        self._expect("]", f"the bracket at column {at + 1}")
        return node

    def _key(self, dot: int) -> Node:
        """Read what follows a dot: a word (reserved or not), a quoted key, or an expression that gives the key."""
        self.position = _end(_BLANK, self.text, self.position)
        at = self.position
        if match := _KEY.match(self.text, at):
            self.position = match.end()
            return Constant(match[0], at)
        if self.text.startswith("<+", at):
            return self._expression()
        if self.text[at : at + 1] in ("'", '"'):
            return self._string()
        fail("a name is missing after the dot", dot)

    def _atom(self) -> Node:
        token = self._peek()
        if token.kind == "end":
            fail("the expression ends where a value is missing", token.at)
        if token.kind == "string":
            return self._string()
        if token.text == "<+":
            self.position = token.at
            return self._expression()
        if token.kind == "number":
            return self._number()
        if token.kind == "name":
            return self._word()
        return self._grouped(token)

    def _grouped(self, token: _Token) -> Node:
        if token.text == "[":
            return ListOf(self._list("[", "]"), token.at)
        if token.text == "{":
            return self._map()
        if token.text != "(":
            fail(f"a value is missing before {token.text!r}", token.at)
        self._next()
        with self._inside():
            node = self._ternary()
        self._expect(")", f"the parenthesis at column {token.at + 1}")
        return node

    def _list(self, opener: str, closer: str) -> tuple[Node, ...]:
        at = self._next().at
        items: list[Node] = []
        with self._inside():
            while self._peek().text != closer or self._peek().kind != "symbol":
                items.append(self._ternary())
                if not self._take(","):
                    break
        self._expect(closer, f"the {opener} at column {at + 1}")
        return tuple(items)

    def _map(self) -> Node:
        at = self._next().at
        pairs: list[tuple[Node, Node]] = []
        with self._inside():
            while self._peek().text != "}":
                key = self._binary(2)
                self._expect(":", f"the key at column {key.at + 1}")
                pairs.append((_quoted(key), self._ternary()))
                if not self._take(","):
                    break
        self._expect("}", f"the {{ at column {at + 1}")
        return MapOf(tuple(pairs), at)

    def _number(self) -> Constant:
        token = self._next()
        value = float(token.text) if set(token.text) & set(".eE") else _integer(token)
        if isinstance(value, float) and value == float("inf"):
            fail("this number is too large", token.at)
        return Constant(value, token.at)

    def _word(self) -> Node:
        token = self._next()
        if token.text in _CONSTANTS:
            return Constant(_CONSTANTS[token.text], token.at)
        if token.text in LEVELS or token.text in SPOKEN:
            fail(f"a value is missing before {token.text!r}", token.at)
        return Name(token.text, token.at)

    def _string(self) -> Node:
        at = self.position = _end(_BLANK, self.text, self.position)
        quote = self.text[at]
        self.position += 1
        parts = tuple(_joined(self._pieces(quote, "${" if quote == "`" else "<+")))
        self.position += 1
        if len(parts) == 1 and isinstance(parts[0], str):
            return Constant(parts[0], at)
        return Text(parts, at) if parts else Constant("", at)

    # ---- tokens

    def _peek(self) -> _Token:
        at = _end(_BLANK, self.text, self.position)
        if at >= len(self.text):
            return _Token("end", "", at, at)
        if self.text[at] in "'\"`":
            return _Token("string", self.text[at], at, at + 1)
        if match := _NAME.match(self.text, at):
            return _Token("name", match[0], at, match.end())
        if match := _NUMBER.match(self.text, at):
            return _Token("number", match[0], at, match.end())
        return self._symbol(at)

    def _symbol(self, at: int) -> _Token:
        match = _SYMBOL.match(self.text, at)
        if not match:
            mark = self.text[at]
            hint = {"=": "write == to compare", "&": "write && or and", "|": "write || or or"}.get(mark)
            fail(f"{mark!r} means nothing in an expression", at, hint)
        if match[0] == ">=" and not self.parentheses:
            return _Token("symbol", ">", at, at + 1)
        return _Token("symbol", match[0], at, match.end())

    def _next(self) -> _Token:
        token = self._peek()
        self.position = token.end
        return token

    def _take(self, symbol: str) -> bool:
        token = self._peek()
        if token.kind != "symbol" or token.text != symbol:
            return False
        self.position = token.end
        return True

    def _expect(self, symbol: str, what: str) -> None:
        token = self._peek()
        if self._take(symbol):
            return
        found = "the end" if token.kind == "end" else repr(token.text)
        hint = None
        if symbol == ">" and token.kind == "end":
            hint = r"for a literal <+ write \<+"
        fail(f"{what} needs {symbol!r}, here is {found}", token.at, hint)

    @contextmanager
    def _deeper(self, at: int) -> Iterator[None]:
        self.depth += 1
        if self.depth > DEEPEST:
            fail(f"expressions nest deeper than {DEEPEST}", at)
        yield
        self.depth -= 1

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """Within parentheses of any kind ``>`` compares."""
        self.parentheses += 1
        yield
        self.parentheses -= 1


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _joined(pieces: Iterator[str | Node]) -> Iterator[str | Node]:
    """Yield *pieces* with neighbouring text in one."""
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


def _character(number: int, at: int) -> str:
    if 0xD800 <= number < 0xE000:  # noqa: PLR2004 - half a surrogate pair is no character and cannot be written
        fail(f"\\u{number:04x} is half a character; write the character itself", at)
    return chr(number)


def _integer(token: _Token) -> int:
    if len(token.text) > len(str(LARGEST_INTEGER)) or int(token.text) > LARGEST_INTEGER:
        fail("this number is too large", token.at)
    return int(token.text)


def _quoted(key: Node) -> Node:
    """A bare word as the key of a map is that word, as in JEXL."""
    return Constant(key.word, key.at) if isinstance(key, Name) else key
