"""Untrusted JSON, read key by key; a value of the wrong type is an error that names its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from buildpush.foundation import strict_json
from buildpush.foundation.errors import SourceError
from buildpush.foundation.text import quotation

LARGEST = 64 * 1024 * 1024  # bytes; a build of thousands of images is far smaller

T = TypeVar("T")


def load_json(path: Path) -> Any:
    """Return the JSON value in *path*.

    Raises:
        SourceError: the file cannot be read, is larger than 64 MiB, or is not JSON.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        hint = "name a file in which a run has saved a build-info; the error of that run names it"
        raise SourceError(message, where=str(path), hint=hint) from error
    if len(content) > LARGEST:
        message = "is larger than 64 MiB: this is not a build-info"
        raise SourceError(message, where=str(path))
    try:
        return strict_json.parse(content)
    except json.JSONDecodeError as error:
        message = f"is not JSON: {error.msg}"
        raise SourceError(message, where=f"{path}:{error.lineno}:{error.colno}") from error
    except ValueError as error:
        message = f"is not the JSON of a build-info: {error}"
        raise SourceError(message, where=str(path)) from error


class Reading:
    """One JSON object; keys that were not read are in :meth:`others`.

    Args:
        value: the object; anything else is an error.
        place: its name in messages, such as ``modules[0]``.
    """

    def __init__(self, value: object, place: str = "") -> None:
        if not isinstance(value, Mapping):
            raise _wrong(place or "the document", "an object", value)
        self._value = value
        self._place = place
        self._read_keys: set[str] = set()

    def _take(self, key: str) -> object:
        self._read_keys.add(key)
        return self._value.get(key)

    def _at(self, key: str) -> str:
        return f"{self._place}.{key}" if self._place else key

    def text(self, key: str, *, needed: bool = False) -> str:
        """Return the string at *key*; if it is missing or null, ``""``, or an error if *needed*."""
        value = self._take(key)
        if value is None and not needed:
            return ""
        if not isinstance(value, str) or (needed and not value):
            raise _wrong(self._at(key), "a text", value)
        return value

    def number(self, key: str) -> int:
        """Return the whole number at *key*, or 0."""
        value = self._take(key)
        if value is None:
            return 0
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong(self._at(key), "a whole number", value)
        return value

    def flag(self, key: str) -> bool:
        """Return whether *key* is true; if it is missing or null, ``False``."""
        value = self._take(key)
        if value is not None and not isinstance(value, bool):
            raise _wrong(self._at(key), "true or false", value)
        return bool(value)

    def texts(self, key: str) -> dict[str, str]:
        """Return the object of strings at *key*, or an empty one."""
        value = self._take(key)
        if value is None:
            return {}
        inner = Reading(value, self._at(key))
        return {name: inner.text(name) for name in inner._value}

    def lists_of_texts(self, key: str) -> dict[str, tuple[str, ...]]:
        """Return the object of lists of strings at *key*, or an empty one."""
        value = self._take(key)
        if value is None:
            return {}
        inner = Reading(value, self._at(key))
        return {name: inner.list_of_texts(name) for name in inner._value}

    def list_of_texts(self, key: str) -> tuple[str, ...]:
        """Return the list of strings at *key*, or an empty one."""
        value = self._take(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise _wrong(self._at(key), "a list of texts", value)
        return tuple(value)

    def one(self, key: str, read: Callable[[Reading], T], default: T) -> T:
        """Return what *read* returns for the object at *key*, or *default*."""
        value = self._take(key)
        return default if value is None else read(Reading(value, self._at(key)))

    def each(self, key: str, read: Callable[[Reading], T]) -> tuple[T, ...]:
        """Return what *read* returns for every object in the list at *key*."""
        value = self._take(key)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise _wrong(self._at(key), "a list", value)
        return tuple(read(Reading(item, f"{self._at(key)}[{place}]")) for place, item in enumerate(value))

    def others(self) -> dict[str, Any]:
        """Return the keys that were not read, unchanged."""
        return {key: value for key, value in self._value.items() if key not in self._read_keys}

    def wrong(self, key: str, expected: str) -> SourceError:
        """Return the error that the value at *key* should be *expected*."""
        return _wrong(self._at(key), expected, self._value.get(key))


_WORDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}


def _wrong(place: str, expected: str, value: object) -> SourceError:
    words = "missing" if value is None else "empty" if value == "" else _WORDS.get(type(value), "something else")
    message = f"{place} should be {expected}, but is {words}"
    if isinstance(value, str) and value and expected != "a text":
        message = f"{place} should be {expected}, but is {quotation(value, 80)!r}"
    return SourceError(message, where=None)
