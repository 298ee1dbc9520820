"""The tree of a template: :mod:`~buildpush.expressions.grammar` makes it from a text, and ``evaluate`` its value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from buildpush.foundation.errors import ExpressionError
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import Secret

Value = str | int | float | bool | Secret | Sequence["Value"] | Mapping[str, "Value"] | None

LONGEST: Final = 256 * 1024  # characters of a template or bytes of a value, as in Harness
LARGEST_INTEGER: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal; *at* is the offset in the template, here and below."""

    value: str | float | bool | None
    at: int


@dataclass(frozen=True, slots=True)
class Identifier:
    """The first word of a path, such as ``pipeline``."""

    word: str
    at: int


@dataclass(frozen=True, slots=True)
class Input:
    """``<+input>`` with its suffixes, which are not parsed yet."""

    suffixes: tuple[tuple[str, str], ...]
    at: int


@dataclass(frozen=True, slots=True)
class Interpolation:
    """A string with expressions in it."""

    parts: tuple[str | Expression, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Prefix:
    """``!x``, ``-x``, ``empty x`` or ``size x``."""

    operator: str
    operand: Expression
    at: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands and operators of one level, applied from the left: ``a + b - c``."""

    first: Expression
    rest: tuple[tuple[str, Expression, int], ...]
    at: int


@dataclass(frozen=True, slots=True)
class Ternary:
    """``condition ? then : other``."""

    condition: Expression
    then: Expression
    other: Expression
    at: int


@dataclass(frozen=True, slots=True)
class KeyAccess:
    """``.key``, ``?.key``, which is *safe*, or ``[key]``."""

    key: Expression
    safe: bool
    at: int


@dataclass(frozen=True, slots=True)
class MethodCall:
    """``.method(arguments)``, *safe* after ``?.``."""

    method: str
    arguments: tuple[Expression, ...]
    safe: bool
    at: int


@dataclass(frozen=True, slots=True)
class Postfix:
    """A base, and the keys and calls that follow it, in order."""

    base: Expression
    steps: tuple[KeyAccess | MethodCall, ...]
    at: int


@dataclass(frozen=True, slots=True)
class ListLiteral:
    """``[a, b]``."""

    items: tuple[Expression, ...]
    at: int


@dataclass(frozen=True, slots=True)
class MapLiteral:
    """``{key: value}``."""

    pairs: tuple[tuple[Expression, Expression], ...]
    at: int


Expression = (
    Constant | Identifier | Input | Interpolation | Prefix | Chain | Ternary | Postfix | ListLiteral | MapLiteral
)


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed text: literal parts and expressions, in order."""

    text: str
    parts: tuple[str | Expression, ...]


class AbsentError(ExpressionError):
    """The name is valid, but has no value in this run; ``??``, ``?:``, ``?.`` and ``empty`` handle this.

    Attributes:
        fallback: its value if no operator handles this; ``None`` if that is an error.
    """

    def __init__(self, message: str, *, fallback: str | None = None, **details: str | None) -> None:
        super().__init__(message, **details)
        self.fallback = fallback


class NoInputError(AbsentError):
    """An input that the user would be asked for during the run has no value."""


def fail(message: str, hint: str | None = None, *, at: int | None = None) -> NoReturn:
    """Raise an :class:`ExpressionError` with *message*, and with the column of offset *at* if that is known."""
    raise ExpressionError(message if at is None else f"{message} (column {at + 1})", hint=hint) from None
