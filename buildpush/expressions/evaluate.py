r"""Answers ``<+...>``: a template, and someone who knows the names in it, give a value.

The tree comes from :mod:`buildpush.expressions.grammar`.
Differences from Harness, all on purpose: what has no answer is an error and never the text "null"; a condition must be
true or false; a text that holds a secret is a :class:`~buildpush.foundation.secrets.Secret` as a whole;
``\<+`` is a literal.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NoReturn, Protocol

from buildpush.expressions import methods, patterns
from buildpush.expressions.grammar import (
    LARGEST_INTEGER,
    Call,
    Chain,
    Constant,
    Index,
    Input,
    ListOf,
    MapOf,
    Member,
    Name,
    Node,
    Postfix,
    Prefix,
    Template,
    Ternary,
    Text,
    Value,
    escape,
    fail,
    parse,
)
from buildpush.foundation.errors import ExpressionError, SecretError
from buildpush.foundation.secrets import Secret
from buildpush.foundation.text import quotation

__all__ = ["AbsentError", "Names", "Template", "Value", "escape", "evaluate", "parse"]

LONGEST_RANGE: Final = 10_000
_SHOWN: Final = 40
_PLACED: Final = re.compile(r"\(column \d+\)\Z")

Step = Member | Index | Call
Operator = Callable[[Value, Value], Value]


class AbsentError(ExpressionError):
    """The name is a good one, but has no value in this run; ``??``, ``?:``, ``?.`` and ``empty`` go on from here.

    Attributes:
        fallback: what it stands for where nobody goes on; ``None`` if that is an error.
    """

    def __init__(
        self,
        message: str,
        *,
        fallback: str | None = None,
        hint: str | None = None,
        setting: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, setting=setting, where=where)
        self.fallback = fallback


class Names(Protocol):
    """Who knows what the names in expressions stand for."""

    def lookup(self, path: tuple[str, ...]) -> Value:
        """Return the value of a dotted *path*.

        Raises:
            AbsentError: the name is known, but there is no value.
            ExpressionError: there is no such name.
        """

    def secret(self, identifier: str) -> Secret:
        """Return the secret *identifier*.

        Raises:
            SecretError: nobody has it.
        """

    def given(self, field: str) -> Value:
        """Return what was given for the ``<+input>`` of *field*, ``None`` for nothing."""


def evaluate(template: Template | str, names: Names, *, field: str = "") -> Value:
    """Return what *template* stands for: text, or the value itself where it is one expression and nothing else.

    Args:
        template: text, or what :func:`parse` made of it.
        names: who answers.
        field: what an ``<+input>`` in this template is asked under, such as ``tags``.

    Raises:
        ExpressionError: it cannot be parsed or answered; the message ends with the column.
        SecretError: a secret in it leads nowhere.
    """
    tree = parse(template) if isinstance(template, str) else template
    try:
        return _Evaluation(names, field).template(tree)
    except RecursionError:
        fail("the expression nests too deep", 0)


class _Evaluation:
    """One walk over a tree."""

    def __init__(self, names: Names, field: str) -> None:
        self.names = names
        self.field = field
        self.asking = False  # whether somebody goes on from a name without a value
        self.kinds: Mapping[type, Callable[..., Value]] = {
            Constant: lambda node: node.value,
            Name: lambda node: self.path((node.word,), safe=False),
            Input: self.input,
            Text: lambda node: self.text(node.parts),
            Prefix: self.prefix,
            Chain: self.chain,
            Ternary: self.ternary,
            Postfix: self.postfix,
            ListOf: lambda node: [self.value(item) for item in node.items],
            MapOf: self.map,
        }

    def template(self, tree: Template) -> Value:
        if len(tree.parts) == 1 and not isinstance(tree.parts[0], str):
            value = methods.fitting(self.value(tree.parts[0]))
            return self.written(value, tree.parts[0].at)
        return self.text(tree.parts)

    def written(self, value: Value, at: int) -> Value:
        """Return *value*; null has no meaning for a setting."""
        with _placed(at):
            return methods.as_text(None) if value is None else value

    def value(self, node: Node) -> Value:
        with _placed(node.at):
            return self.kinds[type(node)](node)

    def text(self, parts: Sequence[str | Node]) -> str | Secret:
        pieces = [part if isinstance(part, str) else self.piece(part) for part in parts]
        return _joined(pieces)

    def piece(self, node: Node) -> str | Secret:
        value = self.value(node)
        with _placed(node.at):
            return value if isinstance(value, Secret) else methods.as_text(value)

    # ---- input

    def input(self, node: Input) -> Value:
        suffixes = dict(node.suffixes)
        value = self.names.given(self.field)
        if value is None:
            value = self.default(suffixes)
        for name in ("allowedValues", "selectOneFrom", "selectManyFrom"):
            if name in suffixes:
                self.allowed(value, suffixes[name], several=name == "selectManyFrom")
        if "regex" in suffixes:
            pattern = patterns.compile_pattern(suffixes["regex"])
            self.each(value, pattern.matches, f"does not match {suffixes['regex']}")
        return value

    def default(self, suffixes: Mapping[str, str]) -> Value:
        if "default" not in suffixes:
            what = f" for {self.field!r}" if self.field else ""
            message = f"<+input>{what} needs a value"
            raise AbsentError(message, hint=f"give --var {self.field or 'NAME'}=VALUE, or write .default(VALUE)")
        raw = suffixes["default"].strip()
        if raw.startswith("*"):
            message = "the default of <+input> cannot begin with an asterisk"
            raise ExpressionError(message)
        return evaluate(_unquoted(raw), self.names, field=self.field)

    def allowed(self, value: Value, raw: str, *, several: bool) -> None:
        choices = [methods.as_text(evaluate(choice, self.names)) for choice in _separated(raw)]
        if several and isinstance(value, str):
            value = [part.strip() for part in value.split(",")]
        self.each(value, choices.__contains__, f"is not one of {', '.join(choices)}")

    def each(self, value: Value, check: Callable[[str], bool], complaint: str) -> None:
        if isinstance(value, Secret):
            _fail("the value of <+input> is a secret and cannot be checked")
        entries = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        for entry in entries:
            text = methods.as_text(entry)
            if not check(text):
                _fail(f"the value {_short(text)} for <+input> {complaint}")

    # ---- paths, indexes and calls

    def postfix(self, node: Postfix) -> Value:
        if isinstance(node.base, Name):
            value, rest = self.rooted(node.base, node.steps)
        else:
            value, rest = self.value(node.base), node.steps
        for step in rest:
            if value is None and step.safe:
                return None
            with _placed(step.at):
                value = self.step(value, step)
        return value

    def rooted(self, base: Name, steps: Sequence[Step]) -> tuple[Value, Sequence[Step]]:
        """Return the value that the longest path beginning with *base* has, and the steps after that path."""
        if base.word in ("secrets", "json", "xml"):
            return self.functor(base, steps)
        keys, rest = [base.word], list(steps)
        safe = False
        while rest and (node := _key(rest[0])) is not None:
            key = self.keyword(node)
            if not isinstance(key, str):
                rest[0] = Index(Constant(key, node.at), rest[0].at)  # so that it is not evaluated twice
                break
            keys.append(key)
            safe |= rest.pop(0).safe
        safe |= bool(rest) and rest[0].safe
        return self.path(tuple(keys), safe=safe), rest

    def keyword(self, node: Node) -> str | int:
        """Return the key or the position that *node* stands for."""
        value = self.value(node)
        if isinstance(value, Secret):
            fail("a secret cannot be part of a name", node.at)
        with _placed(node.at):
            return value if isinstance(value, int) and not isinstance(value, bool) else methods.as_text(value)

    def path(self, keys: tuple[str, ...], *, safe: bool) -> Value:
        try:
            return self.names.lookup(keys)
        except AbsentError as error:
            if safe:
                return None
            if error.fallback is None or self.asking:
                raise
            return error.fallback

    def functor(self, base: Name, steps: Sequence[Step]) -> tuple[Value, Sequence[Step]]:
        call = steps[0]
        if not isinstance(call, Call):
            hint = 'write <+secrets.getValue("id")>' if base.word == "secrets" else "write json.select(path, text)"
            fail(f"{base.word} has functions only", base.at, hint)
        arguments = [self.value(argument) for argument in call.arguments]
        if base.word != "secrets":
            return methods.functor(base.word, call.method, arguments), steps[1:]
        if call.method != "getValue" or len(arguments) != 1 or not isinstance(arguments[0], str):
            fail("secrets has one function, getValue, with one text", call.at, 'write secrets.getValue("id")')
        return self.names.secret(arguments[0]), steps[1:]

    def step(self, value: Value, step: Step) -> Value:
        if isinstance(step, Call):
            return methods.call(value, step.method, [self.value(argument) for argument in step.arguments])
        if value is None:
            _fail("there is no value here (null), so nothing can be taken from it", "write ?. instead of the dot")
        return methods.item(value, self.value(step.key))

    def map(self, node: MapOf) -> Value:
        return {str(self.keyword(key)): self.value(value) for key, value in node.pairs}

    # ---- operators

    def ternary(self, node: Ternary) -> Value:
        return self.value(node.then if self.condition(node.condition) else node.other)

    def condition(self, node: Node) -> bool:
        value = self.value(node)
        if not isinstance(value, bool) and value not in ("true", "false"):
            shown = f": {_short(value)}" if isinstance(value, str) else ""
            fail(f"a condition must be true or false, this is {methods.kind(value)}{shown}", node.at)
        return value in (True, "true")  # what comes from a variable is text

    def prefix(self, node: Prefix) -> Value:
        if node.operator == "!":
            return not self.condition(node.operand)
        if node.operator == "empty":
            return _empty(self.present(node.operand))
        value = self.value(node.operand)
        if node.operator == "size":
            return _size(value)
        return _whole(-_number(value))

    def present(self, node: Node) -> Value:
        """Return the value of *node*, null where a known name has none."""
        outer, self.asking = self.asking, True
        try:
            return self.value(node)
        except AbsentError:
            return None
        finally:
            self.asking = outer

    def chain(self, node: Chain) -> Value:
        if node.rest[0][0] in ("||", "&&"):
            return self.logic(node)
        if node.rest[0][0] in ("??", "?:"):
            return self.fallback(node)
        left = self.value(node.first)
        for sign, operand, at in node.rest:
            right = self.value(operand)
            with _placed(at):
                left = _OPERATORS[sign](left, right)
        return left

    def logic(self, node: Chain) -> bool:
        stop = node.rest[0][0] == "||"
        operands = [node.first, *(operand for _, operand, _ in node.rest)]
        return stop if any(self.condition(operand) == stop for operand in operands) else not stop

    def fallback(self, node: Chain) -> Value:
        operands = [node.first, *(operand for _, operand, _ in node.rest)]
        for operand, (sign, _, _) in zip(operands, node.rest, strict=False):
            value = self.present(operand)
            if value is not None and not (sign == "?:" and _nothing(value)):
                return value
        return self.value(operands[-1])


def _key(step: Step) -> Node | None:
    """Return what gives the next part of a path; ``None`` for a call that is no ``get``."""
    if not isinstance(step, Call):
        return step.key
    return step.arguments[0] if step.method == "get" and len(step.arguments) == 1 else None


# ---- operators


def _equal(left: Value, right: Value) -> bool:
    _refuse_secrets(left, right)
    if isinstance(left, bool) or isinstance(right, bool):
        return left == right or {left, right} in ({True, "true"}, {False, "false"})
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    numbers = methods.number(left), methods.number(right)
    return numbers[0] == numbers[1] if None not in numbers else left == right


def _compared(verdict: Callable[[float, float], bool]) -> Operator:
    return lambda left, right: verdict(_number(left), _number(right))


def _contained(left: Value, right: Value) -> bool:
    _refuse_secrets(left, right)
    if isinstance(right, str) or not isinstance(right, Sequence | Mapping):
        _fail(f"'in' needs a list or a map on its right, here is {methods.kind(right)}")
    return left in right if isinstance(right, Mapping) else any(_equal(left, entry) for entry in right)


def _matches(left: Value, right: Value) -> bool:
    _refuse_secrets(left, right)
    if not isinstance(right, str):
        return _contained(left, right)
    return patterns.compile_pattern(right).matches(methods.as_text(left))


def _begins(left: Value, right: Value) -> bool:
    _refuse_secrets(left, right)
    return methods.as_text(left).startswith(methods.as_text(right))


def _ends(left: Value, right: Value) -> bool:
    _refuse_secrets(left, right)
    return methods.as_text(left).endswith(methods.as_text(right))


def _not(verdict: Operator) -> Operator:
    return lambda left, right: not verdict(left, right)


def _range(left: Value, right: Value) -> Value:
    first, last = _integer(left), _integer(right)
    if abs(last - first) >= LONGEST_RANGE:
        _fail(f"a range has at most {LONGEST_RANGE} entries")
    return list(range(first, last + 1) if first <= last else range(first, last - 1, -1))


def _plus(left: Value, right: Value) -> Value:
    """Two numbers are added, anything else is joined as text."""
    if _plain_number(left) and _plain_number(right):
        return _whole(_number(left) + _number(right))
    return _joined([value if isinstance(value, Secret) else methods.as_text(value) for value in (left, right)])


def _divided(left: Value, right: Value) -> Value:
    """Whole numbers give a whole number, cut towards zero, as in Java."""
    above, below = _divisible(left, right)
    if isinstance(above, int) and isinstance(below, int):
        return _whole(abs(above) // abs(below) * (1 if (above < 0) == (below < 0) else -1))
    return _whole(above / below)


def _remainder(left: Value, right: Value) -> Value:
    """The remainder has the sign of the left side, as in Java."""
    above, below = _divisible(left, right)
    if isinstance(above, int) and isinstance(below, int):
        return abs(above) % abs(below) * (-1 if above < 0 else 1)
    return _whole(math.fmod(above, below))


def _divisible(left: Value, right: Value) -> tuple[int | float, int | float]:
    above, below = _number(left), _number(right)
    if not below:
        _fail("this divides by zero")
    return above, below


_OPERATORS: Final[Mapping[str, Operator]] = {
    "==": _equal,
    "!=": _not(_equal),
    "=~": _matches,
    "!~": _not(_matches),
    "=^": _begins,
    "!^": _not(_begins),
    "=$": _ends,
    "!$": _not(_ends),
    "in": _contained,
    "<": _compared(operator.lt),
    ">": _compared(operator.gt),
    "<=": _compared(operator.le),
    ">=": _compared(operator.ge),
    "..": _range,
    "+": _plus,
    "-": lambda left, right: _whole(_number(left) - _number(right)),
    "*": lambda left, right: _whole(_number(left) * _number(right)),
    "/": _divided,
    "%": _remainder,
}


# ---- values


def _joined(pieces: Sequence[str | Secret]) -> str | Secret:
    """Return *pieces* as one text.

    With a secret inside it is hidden as a whole: nobody could say later which part of it was the secret.
    """
    texts = [piece.reveal() if isinstance(piece, Secret) else piece for piece in pieces]
    methods.check_sum(*map(len, texts))
    text = "".join(texts)
    methods.fitting(text)
    sources = [piece.source for piece in pieces if isinstance(piece, Secret)]
    return Secret(text, sources[0]) if sources else text


def _plain_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Value) -> int | float:
    _refuse_secrets(value)
    found = methods.number(value)
    if found is None:
        shown = f": {_short(value)}" if isinstance(value, str) else ""
        _fail(f"a number is needed here, this is {methods.kind(value)}{shown}", "texts compare with == and != only")
    return found


def _integer(value: Value) -> int:
    found = _number(value)
    if int(found) != found:
        _fail("a whole number is needed here")
    return int(found)


def _whole(value: float) -> int | float:
    """Return *value* if a computer of Harness could hold it."""
    if isinstance(value, int) and abs(value) <= LARGEST_INTEGER:
        return value
    if not isinstance(value, float) or not math.isfinite(value):
        _fail("the result is too large for a number")
    return value


def _empty(value: Value) -> bool:
    _refuse_secrets(value)
    return value is None or (isinstance(value, Sequence | Mapping) and not value)


def _nothing(value: Value) -> bool:
    """Return whether ``?:`` passes *value* over: empty, false, or zero."""
    return not isinstance(value, Secret) and not value


def _size(value: Value) -> int:
    _refuse_secrets(value)
    if not isinstance(value, Sequence | Mapping):
        _fail(f"{methods.kind(value)} has no size")
    return len(value)


def _refuse_secrets(*values: Value) -> None:
    if any(isinstance(value, Secret) for value in values):
        _fail("a secret cannot be compared, counted or calculated with")


def _short(text: str) -> str:
    return repr(quotation(text, _SHOWN))


# ---- the raw text of <+input>


def _separated(raw: str) -> list[str]:
    """Return the parts of *raw* between commas that stand outside quotes and brackets."""
    parts, begin, closers = [], 0, [""]
    for at, mark in enumerate(raw):
        if mark == closers[-1]:
            closers.pop()
        elif closers[-1] in ("'", '"'):
            continue
        elif mark in _PAIRS:
            closers.append(_PAIRS[mark])
        elif mark == "," and len(closers) == 1:
            parts.append(raw[begin:at])
            begin = at + 1
    return [_unquoted(part.strip()) for part in [*parts, raw[begin:]]]


_PAIRS: Final = {"'": "'", '"': '"', "(": ")", "[": "]", "{": "}", "<": ">"}


def _unquoted(raw: str) -> str:
    quoted = len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "'\""
    return raw[1:-1] if quoted else raw


# ---- errors


@contextmanager
def _placed(at: int) -> Iterator[None]:
    """Add the column of *at* to errors that have none yet."""
    try:
        yield
    except (ExpressionError, SecretError) as error:
        message = str(error.args[0])
        if _PLACED.search(message):
            raise
        placed = f"{message} (column {at + 1})"
        raise type(error)(placed, hint=error.hint, setting=error.setting) from None


def _fail(message: str, hint: str | None = None) -> NoReturn:
    raise ExpressionError(message, hint=hint)
