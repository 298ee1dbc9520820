"""JSON bodies of requests, whose fields are read with their types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from buildpush.sandbox.answers import RequestRefusedError

FieldType = TypeVar("FieldType")


def read_json(body: bytes) -> Any:
    """Return the value of a JSON body, all of whose texts can be stored.

    Raises:
        RequestRefusedError: 400, it is not JSON, or has a lone surrogate.
    """
    try:
        value = json.loads(body)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise RequestRefusedError(400, "BAD_REQUEST", "The body is not JSON") from error
    return value


def read_object(body: bytes) -> dict[str, Any]:
    """Return a body that is a JSON object; an empty body is an empty object.

    Raises:
        RequestRefusedError: 400, it is not one.
    """
    value = read_json(body) if body.strip() else {}
    if not isinstance(value, dict):
        raise RequestRefusedError(400, "BAD_REQUEST", "The body is not a JSON object")
    return value


def field(document: Mapping[str, Any], key: str, kind: type[FieldType], default: FieldType) -> FieldType:
    """Return a field of an object; *default* if it is missing or null.

    Raises:
        RequestRefusedError: 400, it has another type.
    """
    value = document.get(key)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise RequestRefusedError(400, "BAD_REQUEST", f"{key!r} is not of the type {kind.__name__}")
    return value


def flag(document: Mapping[str, Any], key: str, *, default: bool = False) -> bool:
    """Return a field that is true or false.

    Raises:
        RequestRefusedError: 400, it is neither.
    """
    return field(document, key, bool, default)


def texts(document: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return a field that is a list; its items are written as text, numbers as well.

    Raises:
        RequestRefusedError: 400, it has another type.
    """
    return tuple(str(item) for item in field(document, key, list, []))
