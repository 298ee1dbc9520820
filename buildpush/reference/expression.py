"""Explains an expression: each part of it with its value, and the source of the value of each name."""

from __future__ import annotations

import json
from typing import Any

from buildpush.expressions.evaluate import AbsentError, Names, Value, evaluate
from buildpush.expressions.facts import Facts
from buildpush.expressions.spelled import expression_text
from buildpush.expressions.tree import Constant, Expression
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import MASK, Secret
from buildpush.foundation.text import one_line


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an expression.

    Attributes:
        text: of the part.
        value: its value; a secret is hidden.
        source: where the value comes from; empty if it is computed from other parts.
    """

    text: str
    value: str
    source: str = ""

    def __str__(self) -> str:
        return f"{self.text} = {self.value}" + (f"    from {self.source}" if self.source else "")

    def as_json(self) -> dict[str, Any]:
        """Return the same facts for programs."""
        return {"part": self.text, "value": self.value, "source": self.source or None}


def explain(text: str, facts: Facts, parts: list[Part]) -> str:
    """Return the value of *text*; *parts* gets each part as soon as it is known, even if a later one fails.

    Raises:
        ExpressionError: it cannot be parsed or evaluated.
        SecretError: a secret in it leads nowhere.
    """
    value = evaluate(text, _TracedNames(facts, parts), observe=lambda node, value: _note(node, value, parts))
    return _value_text(value)


class _TracedNames(Names):
    """Facts that report each name that is looked up."""

    def __init__(self, facts: Facts, parts: list[Part]) -> None:
        self._facts, self._parts = facts, parts
        self._absent = ""

    def lookup(self, path: tuple[str, ...]) -> Value:
        try:
            value = self._facts.lookup(path)
        except AbsentError:
            self._absent = ".".join(path)
            raise
        self._add(".".join(path), value, self._facts.source(path))
        return value

    def secret(self, identifier: str) -> Secret:
        secret = self._facts.secret(identifier)
        self._add(f'secrets.getValue("{identifier}")', secret, secret.source)
        return secret

    def given(self, field: str) -> Value:
        value = self._facts.given(field)
        if value is not None:
            self._add("<+input>", value, f"--var {field}")
        return value

    def ask(self, field: str, limits: str) -> Value:
        return self._facts.ask(field, limits)

    def if_absent(self, error: AbsentError) -> Value:
        value = self._facts.if_absent(error)
        if self._absent and self._absent in str(error.args[0]):
            self._add(self._absent, value, f"nowhere: {error.args[0]}")
        return value

    def _add(self, text: str, value: Value, source: str) -> None:
        self._parts.append(Part(one_line(text), _value_text(value), one_line(source)))


def _note(node: Expression, value: Value, parts: list[Part]) -> None:
    """Record a part that is neither a literal nor a name; names are recorded where they are looked up."""
    part = Part(one_line(expression_text(node)), _value_text(value))
    if not isinstance(node, Constant) and all(part.text != known.text for known in parts):
        parts.append(part)


def _value_text(value: Value) -> str:
    if isinstance(value, Secret):
        return MASK
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return one_line(text) or '""'
