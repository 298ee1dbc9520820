"""A part of an expression written out for people: as in the file, except for blanks and brackets."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from buildpush.expressions.tree import (
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
    Ternary,
)


def expression_text(node: Expression) -> str:
    """Return the text of *node*; operands that contain operators are in brackets."""
    return _KINDS[type(node)](node)


def _prefix(node: Prefix) -> str:
    return f"{node.operator}{' ' * node.operator.isalpha()}{_operand(node.operand)}"


def _chain(node: Chain) -> str:
    return " ".join([_operand(node.first), *(f"{sign} {_operand(part)}" for sign, part, _ in node.rest)])


def _ternary(node: Ternary) -> str:
    return f"{_operand(node.condition)} ? {_operand(node.then)} : {_operand(node.other)}"


def _interpolation(node: Interpolation) -> str:
    parts = (part if isinstance(part, str) else f"<+{expression_text(part)}>" for part in node.parts)
    return f'"{"".join(parts)}"'


def _map(node: MapLiteral) -> str:
    return f"{{{', '.join(f'{expression_text(key)}: {expression_text(value)}' for key, value in node.pairs)}}}"


def _operand(node: Expression) -> str:
    return f"({expression_text(node)})" if isinstance(node, Chain | Ternary | Prefix) else expression_text(node)


def _step(step: KeyAccess | MethodCall) -> str:
    dot = "?." if step.safe else "."
    if isinstance(step, MethodCall):
        return f"{dot}{step.method}({', '.join(map(expression_text, step.arguments))})"
    if isinstance(step.key, Constant) and isinstance(step.key.value, str) and step.key.value.isidentifier():
        return f"{dot}{step.key.value}"
    return f"[{expression_text(step.key)}]"


_KINDS: Final[Mapping[type, Callable[..., str]]] = {
    Constant: lambda node: json.dumps(node.value, ensure_ascii=False),
    Identifier: lambda node: node.word,
    Input: lambda _: "<+input>",
    Interpolation: _interpolation,
    Prefix: _prefix,
    Chain: _chain,
    Ternary: _ternary,
    Postfix: lambda node: _operand(node.base) + "".join(map(_step, node.steps)),
    ListLiteral: lambda node: f"[{', '.join(map(expression_text, node.items))}]",
    MapLiteral: _map,
}
