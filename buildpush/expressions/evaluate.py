r"""Evaluates ``<+...>``: computes the value of a template, with an object that knows the names in it.

The tree comes from :mod:`buildpush.expressions.grammar`.
Differences from Harness, all on purpose: an unknown name is an error and never the text "null"; a condition must be
true or false; a text that contains a secret is a :class:`~buildpush.foundation.secrets.Secret` as a whole;
``\<+`` is a literal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from buildpush.expressions import methods, operators, patterns
from buildpush.expressions.grammar import escape, parse
from buildpush.expressions.tree import (
    AbsentError,
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
    NoInputError,
    Postfix,
    Prefix,
    Template,
    Ternary,
    Value,
    fail,
)
from buildpush.foundation.errors import ExpressionError, SecretError
from buildpush.foundation.regex import regex
from buildpush.foundation.secrets import Secret

__all__ = ["AbsentError", "LaterError", "Names", "NoInputError", "Template", "Value", "escape", "evaluate", "parse"]

_HAS_COLUMN: Final = regex(r"\(column \d+\)\Z")
_FUNCTORS: Final = {
    "secrets": '<+secrets.getValue("id")>',
    "json": "json.select(path, text)",
    "regex": "regex.extract(pattern, text)",
    "xml": "another expression: XML cannot be read here",
}
_PAIRS: Final = {"'": "'", '"': '"', "(": ")", "[": "]", "{": "}", "<": ">"}


Observer = Callable[[Expression, Value], None]


class LaterError(ExpressionError):
    """The name gets its value only when a step has run; a plan continues without it."""


class Names(Protocol):
    """An object that knows the values of names in expressions."""

    def lookup(self, path: tuple[str, ...]) -> Value:
        """Return the value of a dotted *path*.

        Raises:
            AbsentError: the name exists, but has no value.
            ExpressionError: there is no such name.
        """

    def secret(self, identifier: str) -> Secret:
        """Return the secret *identifier*.

        Raises:
            SecretError: no source has it.
        """

    def given(self, field: str) -> Value:
        """Return the value that was given for the ``<+input>`` of *field*, or ``None``."""

    def ask(self, field: str, limits: str) -> Value:
        """Return what the user types for the ``<+input>`` of *field*; ``None`` if no one can be asked."""
        del field, limits
        return None

    def if_absent(self, error: AbsentError) -> Value:
        """Return the fallback for a name without a value, or raise *error*."""
        raise error


def evaluate(template: Template | str, names: Names, *, field: str = "", observe: Observer | None = None) -> Value:
    """Return the value of *template*: a text, unless it is just one expression, whose value may have any type.

    Args:
        template: text, or the result of :func:`parse`.
        names: the object that knows the names.
        field: name under which a value for ``<+input>`` in this template is given, such as ``tags``.
        observe: called with each part of it and its value, inner ones first.

    Raises:
        ExpressionError: it cannot be parsed or evaluated; the message ends with the column.
        SecretError: a secret in it leads nowhere.
    """
    tree = parse(template) if isinstance(template, str) else template
    try:
        return _Evaluation(names, field, observe).template(tree)
    except RecursionError:
        fail("the expression is nested too deeply", at=0)


class _Evaluation:
    """One evaluation of a tree."""

    def __init__(self, names: Names, field: str, observe: Observer | None) -> None:
        self.names = names
        self.observe = observe
        self.field = field
        self.allows_absent = False  # whether an operator handles a name without a value
        self.kinds: Mapping[type, Callable[..., Value]] = {
            Constant: lambda node: node.value,
            Identifier: lambda node: self.path((node.word,), safe=False),
            Input: self.input,
            Interpolation: lambda node: self.text(node.parts),
            Prefix: self.prefix,
            Chain: self.chain,
            Ternary: self.ternary,
            Postfix: self.postfix,
            ListLiteral: lambda node: [self.value(item) for item in node.items],
            MapLiteral: self.map,
        }

    def template(self, tree: Template) -> Value:
        if len(tree.parts) == 1 and not isinstance(tree.parts[0], str):
            value = methods.within_limit(self.value(tree.parts[0]))
            with _column(tree.parts[0].at):
                return methods.as_text(None) if value is None else value  # null has no meaning for a setting
        return self.text(tree.parts)

    def value(self, node: Expression) -> Value:
        with _column(node.at):
            value = self.kinds[type(node)](node)
        if self.observe:
            self.observe(node, value)
        return value

    def text(self, parts: Sequence[str | Expression]) -> str | Secret:
        return operators.join([part if isinstance(part, str) else self.piece(part) for part in parts])

    def piece(self, node: Expression) -> str | Secret:
        value = self.value(node)
        with _column(node.at):
            return value if isinstance(value, Secret) else methods.as_text(value)

    # ---- input

    def input(self, node: Input) -> Value:
        suffixes = dict(node.suffixes)
        value = self.names.given(self.field)
        if value is None and "executionInput" in suffixes:
            limits = "".join(f".{name}({raw})" for name, raw in node.suffixes if name != "executionInput")
            value = self.names.ask(self.field, limits)
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
            hint = f"give --var {self.field or 'NAME'}=VALUE, or write .default(VALUE)"
            if "executionInput" in suffixes:
                raise NoInputError(message, hint=f"{hint}; in a terminal, run asks for it")
            raise AbsentError(message, hint=hint)
        raw = suffixes["default"].strip()
        if raw.startswith("*"):
            message = "the default of <+input> cannot begin with an asterisk"
            raise ExpressionError(message)
        return evaluate(_unquote(raw), self.names, field=self.field)

    def allowed(self, value: Value, raw: str, *, several: bool) -> None:
        choices = [methods.as_text(evaluate(choice, self.names)) for choice in _split(raw)]
        if several and isinstance(value, str):
            value = [part.strip() for part in value.split(",")]
        self.each(value, choices.__contains__, f"is not one of {', '.join(choices)}")

    def each(self, value: Value, check: Callable[[str], bool], complaint: str) -> None:
        if isinstance(value, Secret):
            fail("the value of <+input> is a secret and cannot be checked")
        entries = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        for entry in entries:
            text = methods.as_text(entry)
            if not check(text):
                fail(f"the value {operators.quote(text)} for <+input> {complaint}")

    # ---- paths, indexes and calls

    def postfix(self, node: Postfix) -> Value:
        if isinstance(node.base, Identifier):
            value, rest = self.longest_path(node.base, node.steps)
        else:
            value, rest = self.value(node.base), node.steps
        for step in rest:
            if value is None and step.safe:
                return None
            with _column(step.at):
                value = self.step(value, step)
        return value

    def longest_path(
        self, base: Identifier, steps: Sequence[KeyAccess | MethodCall]
    ) -> tuple[Value, Sequence[KeyAccess | MethodCall]]:
        """Return the value of the longest path that begins with *base*, and the steps after that path."""
        if base.word in _FUNCTORS:
            return self.functor(base, steps)
        keys, rest = [base.word], list(steps)
        safe = False
        while rest and (node := _key(rest[0])) is not None:
            key = self.keyword(node)
            if not isinstance(key, str):
                rest[0] = KeyAccess(
                    Constant(key, node.at), safe=False, at=rest[0].at
                )  # so that it is not evaluated twice
                break
            keys.append(key)
            safe |= rest.pop(0).safe
        safe |= bool(rest) and rest[0].safe
        return self.path(tuple(keys), safe=safe), rest

    def keyword(self, node: Expression) -> str | int:
        """Return the key or the position that *node* gives."""
        value = self.value(node)
        if isinstance(value, Secret):
            fail("a secret cannot be part of a name", at=node.at)
        with _column(node.at):
            return value if isinstance(value, int) and not isinstance(value, bool) else methods.as_text(value)

    def path(self, keys: tuple[str, ...], *, safe: bool) -> Value:
        try:
            return self.names.lookup(keys)
        except AbsentError as error:
            return None if safe else self.if_absent(error)

    def if_absent(self, error: AbsentError) -> Value:
        """Return the fallback for a name without a value; raise *error* if there is none, or an operator handles it."""
        if error.fallback is None or self.allows_absent:
            raise error
        return self.names.if_absent(error)

    def functor(
        self, base: Identifier, steps: Sequence[KeyAccess | MethodCall]
    ) -> tuple[Value, Sequence[KeyAccess | MethodCall]]:
        call = steps[0]
        if not isinstance(call, MethodCall):
            fail(f"{base.word} has only functions", f"write {_FUNCTORS[base.word]}", at=base.at)
        arguments = [self.value(argument) for argument in call.arguments]
        if base.word != "secrets":
            try:
                return methods.functor(base.word, call.method, arguments), steps[1:]
            except AbsentError as error:
                return self.if_absent(error), steps[1:]
        if call.method != "getValue" or len(arguments) != 1 or not isinstance(arguments[0], str):
            fail("secrets has one function, getValue, with one text", 'write secrets.getValue("id")', at=call.at)
        return self.names.secret(arguments[0]), steps[1:]

    def step(self, value: Value, step: KeyAccess | MethodCall) -> Value:
        if isinstance(step, MethodCall):
            return methods.call(value, step.method, [self.value(argument) for argument in step.arguments])
        if value is None:
            fail("there is no value here (null), so nothing can be taken from it", "write ?. instead of the dot")
        return methods.item(value, self.value(step.key))

    def map(self, node: MapLiteral) -> Value:
        return {str(self.keyword(key)): self.value(value) for key, value in node.pairs}

    # ---- operators

    def ternary(self, node: Ternary) -> Value:
        return self.value(node.then if self.condition(node.condition) else node.other)

    def condition(self, node: Expression) -> bool:
        value = self.value(node)
        if not isinstance(value, bool) and value not in ("true", "false"):
            fail(f"a condition must be true or false, not {operators.describe(value)}", at=node.at)
        return value in (True, "true")  # a value from a variable is text

    def prefix(self, node: Prefix) -> Value:
        if node.operator == "!":
            return not self.condition(node.operand)
        if node.operator == "empty":
            return operators.is_empty(self.present(node.operand))
        value = self.value(node.operand)
        return operators.size(value) if node.operator == "size" else operators.negate(value)

    def present(self, node: Expression) -> Value:
        """Return the value of *node*; null if a known name in it has no value."""
        outer, self.allows_absent = self.allows_absent, True
        try:
            return self.value(node)
        except AbsentError:
            return None
        finally:
            self.allows_absent = outer

    def chain(self, node: Chain) -> Value:
        if node.rest[0][0] in ("||", "&&"):
            return self.logic(node)
        if node.rest[0][0] in ("??", "?:"):
            return self.fallback(node)
        left = self.value(node.first)
        for sign, operand, at in node.rest:
            right = self.value(operand)
            with _column(at):
                left = operators.OPERATORS[sign](left, right)
        return left

    def logic(self, node: Chain) -> bool:
        stop = node.rest[0][0] == "||"
        operands = [node.first, *(operand for _, operand, _ in node.rest)]
        return stop if any(self.condition(operand) == stop for operand in operands) else not stop

    def fallback(self, node: Chain) -> Value:
        operands = [node.first, *(operand for _, operand, _ in node.rest)]
        for operand, (sign, _, _) in zip(operands, node.rest, strict=False):
            value = self.present(operand)
            if value is not None and not (sign == "?:" and operators.is_falsy(value)):
                return value
        return self.value(operands[-1])


def _key(step: KeyAccess | MethodCall) -> Expression | None:
    """Return the expression for the next key of a path; ``None`` for a call other than ``get``."""
    if not isinstance(step, MethodCall):
        return step.key
    return step.arguments[0] if step.method == "get" and len(step.arguments) == 1 else None


# ---- the raw text of <+input>


def _split(raw: str) -> list[str]:
    """Split *raw* at the commas outside quotes and brackets."""
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
    return [_unquote(part.strip()) for part in [*parts, raw[begin:]]]


def _unquote(raw: str) -> str:
    is_quoted = len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "'\""
    return raw[1:-1] if is_quoted else raw


# ---- errors


@contextmanager
def _column(at: int) -> Iterator[None]:
    """Add the column of offset *at* to errors that do not name one."""
    try:
        yield
    except (ExpressionError, SecretError) as error:
        message = str(error.args[0])
        if _HAS_COLUMN.search(message):
            raise
        message = f"{message} (column {at + 1})"
        raise type(error)(message, hint=error.hint, setting=error.setting) from None
