"""JSON that someone else wrote: read in one way only, or refused.

Two readers of the same bytes must not find two meanings in them: names that appear twice, invalid numbers, and text
that is not UTF-8 are refused, and so are nesting so deep, and numbers so large, that no program could use them.
Source: RFC 8259, sections 4, 6 and 8.1.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final, NoReturn

# A number of 64 bits has 19 digits.
_DIGITS: Final = 20


def parse(data: bytes | str) -> Any:
    """Return what the JSON *data* says.

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
    """Return whether *value* is a whole number from 0 on that fits into 64 bits; not true, and not 1.0."""
    return type(value) is int and 0 <= value < 2**63


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        message = f"the name {twice[:80]!r} appears twice in one object"
        raise ValueError(message)
    return found


def _whole(text: str) -> int:
    if len(text) > _DIGITS:
        message = f"the number {text[:_DIGITS]}… is too large"
        raise ValueError(message)
    return int(text)


def _finite(text: str) -> float:
    found = float(text)
    if math.isinf(found):
        message = f"the number {text[:_DIGITS]} is too large"
        raise ValueError(message)
    return found


def _refuse(name: str) -> NoReturn:
    message = f"{name} is not a JSON number"
    raise ValueError(message)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_whole, parse_float=_finite, parse_constant=_refuse
)
