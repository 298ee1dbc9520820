"""The operators of expressions: numbers behave as in Java, and secrets can only be joined."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from buildpush.expressions import methods, patterns
from buildpush.expressions.tree import LARGEST_INTEGER, Value, fail
from buildpush.foundation.secrets import Secret
from buildpush.foundation.text import quotation

LONGEST_RANGE: Final = 10_000
_LONGEST_QUOTE: Final = 40

# True and false from a variable are text.
_SAME_IN_TEXT: Final = ((True, "true"), ("true", True), (False, "false"), ("false", False))

Operator = Callable[[Value, Value], Value]


def _equals(left: Value, right: Value) -> bool:
    _refuse_secrets(left, right)
    if isinstance(left, bool) or isinstance(right, bool):
        return left == right or (left, right) in _SAME_IN_TEXT
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    numbers = methods.number(left), methods.number(right)
    return numbers[0] == numbers[1] if None not in numbers else left == right


def _contains(left: Value, right: Value) -> bool:
    _refuse_secrets(left, right)
    if isinstance(right, str) or not isinstance(right, Sequence | Mapping):
        fail(f"'in' needs a list or a map on its right, not {methods.kind(right)}")
    if isinstance(right, Mapping):
        return isinstance(left, str) and left in right
    return any(_equals(left, entry) for entry in right)


def _matches(left: Value, right: Value) -> bool:
    if not isinstance(right, str):
        return _contains(left, right)
    return _of_texts(lambda subject, pattern: patterns.compile_pattern(pattern).matches(subject))(left, right)


def _of_texts(verdict: Callable[[str, str], bool]) -> Callable[[Value, Value], bool]:
    def compare(left: Value, right: Value) -> bool:
        _refuse_secrets(left, right)
        return verdict(methods.as_text(left), methods.as_text(right))

    return compare


def _of_numbers(work: Callable[[float, float], int | float]) -> Operator:
    return lambda left, right: _within_range(work(_number(left), _number(right)))


def _not(verdict: Callable[[Value, Value], bool]) -> Operator:
    return lambda left, right: not verdict(left, right)


def _range(left: Value, right: Value) -> Value:
    first, last = _integer(left), _integer(right)
    if abs(last - first) >= LONGEST_RANGE:
        fail(f"a range has at most {LONGEST_RANGE} entries")
    return list(range(first, last + 1) if first <= last else range(first, last - 1, -1))


def _integer(value: Value) -> int:
    number = _number(value)
    if int(number) != number:
        fail("only a whole number is allowed here")
    return int(number)


def _add(left: Value, right: Value) -> Value:
    """Return the sum of two numbers, or anything else joined as text."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in (left, right)):
        return _within_range(_number(left) + _number(right))
    return join([value if isinstance(value, Secret) else methods.as_text(value) for value in (left, right)])


def _divide(above: float, below: float) -> int | float:
    """Return the quotient; that of whole numbers is rounded towards zero, as in Java."""
    if not below:
        fail("this is a division by zero")
    if isinstance(above, int) and isinstance(below, int):
        return abs(above) // abs(below) * (1 if (above < 0) == (below < 0) else -1)
    return above / below


def _remainder(above: float, below: float) -> int | float:
    """Return the remainder, which has the sign of the left side, as in Java."""
    if not below:
        fail("this is a division by zero")
    if isinstance(above, int) and isinstance(below, int):
        return abs(above) % abs(below) * (-1 if above < 0 else 1)
    return math.fmod(above, below)


_begins, _ends = _of_texts(str.startswith), _of_texts(str.endswith)
OPERATORS: Final[Mapping[str, Operator]] = {
    "==": _equals,
    "!=": _not(_equals),
    "=~": _matches,
    "!~": _not(_matches),
    "=^": _begins,
    "!^": _not(_begins),
    "=$": _ends,
    "!$": _not(_ends),
    "in": _contains,
    "<": _of_numbers(operator.lt),
    ">": _of_numbers(operator.gt),
    "<=": _of_numbers(operator.le),
    ">=": _of_numbers(operator.ge),
    "..": _range,
    "+": _add,
    "-": _of_numbers(operator.sub),
    "*": _of_numbers(operator.mul),
    "/": _of_numbers(_divide),
    "%": _of_numbers(_remainder),
}


def join(pieces: Sequence[str | Secret]) -> str | Secret:
    """Return *pieces* as one text.

    If one of them is a secret, the whole text is: later, no one could tell which part of it is the secret.
    """
    texts = [piece.reveal() if isinstance(piece, Secret) else piece for piece in pieces]
    methods.check_sum(*map(len, texts))
    text = "".join(texts)
    methods.within_limit(text)
    sources = [piece.source for piece in pieces if isinstance(piece, Secret)]
    return Secret(text, sources[0]) if sources else text


def _number(value: Value) -> int | float:
    """Return *value* as a number, or raise."""
    _refuse_secrets(value)
    number = methods.number(value)
    if number is None:
        fail(f"a number is needed here, not {describe(value)}", "texts can be compared only with == and !=")
    return number


def _within_range(value: float) -> int | float:
    """Return *value* if Java could represent it, as Harness does."""
    if isinstance(value, int) and abs(value) <= LARGEST_INTEGER:
        return value
    if not isinstance(value, float) or not math.isfinite(value):
        fail("the result is too large for a number")
    return value


def is_empty(value: Value) -> bool:
    """Return whether *value* is null, or an empty text, list or map."""
    _refuse_secrets(value)
    return value is None or (isinstance(value, Sequence | Mapping) and not value)


def negate(value: Value) -> int | float:
    """Return minus *value*."""
    return _within_range(-_number(value))


def is_falsy(value: Value) -> bool:
    """Return whether ``?:`` skips *value* for its right side: if it is empty, false or zero."""
    return not isinstance(value, Secret) and not value


def size(value: Value) -> int:
    """Return the number of characters or entries of *value*."""
    _refuse_secrets(value)
    if not isinstance(value, Sequence | Mapping):
        fail(f"{methods.kind(value)} has no size")
    return len(value)


def _refuse_secrets(*values: Value) -> None:
    """Refuse operations that would reveal something about a secret."""
    if any(isinstance(value, Secret) for value in values):
        fail("a secret cannot be compared, counted or calculated with")


def describe(value: Value) -> str:
    """Return the kind of *value* and, for a text, its beginning."""
    return methods.kind(value) + (f": {quote(value)}" if isinstance(value, str) else "")


def quote(text: str) -> str:
    """Return the beginning of *text* in quotes."""
    return repr(quotation(text, _LONGEST_QUOTE))
