"""JSON from elsewhere, parsed strictly: what could be read in two ways is refused.

Names that appear twice, invalid numbers, and text that is not UTF-8 are refused, and so are nesting so deep, and
numbers so large, that no program could use them.
Source: RFC 8259, sections 4, 6 and 8.1.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final, NoReturn

# A number of 64 bits has 19 digits.
_DIGITS: Final = 20


def parse(data: bytes | str) -> Any:
    """Return the value of the JSON *data*.

    Raises:
        ValueError: it is not JSON, or it is ambiguous, or beyond our limits; the message says why.
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
        return _DECODER.decode(text)
    except RecursionError as error:
        message = "it is nested too deeply"
        raise ValueError(message) from error


def is_count(value: object) -> bool:
    """Return whether *value* is a whole number of at least 0 that fits into 64 bits; ``True`` and ``1.0`` are not."""
    return type(value) is int and 0 <= value < 2**63


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        message = f"the name {twice[:80]!r} appears twice in one object"
        raise ValueError(message)
    return entries


def _whole(text: str) -> int:
    if len(text) > _DIGITS:
        message = f"the number {text[:_DIGITS]}… is too large"
        raise ValueError(message)
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        message = f"the number {text[:_DIGITS]} is too large"
        raise ValueError(message)
    return number


def _refuse(name: str) -> NoReturn:
    message = f"{name} is not a JSON number"
    raise ValueError(message)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_whole, parse_float=_finite, parse_constant=_refuse
)
