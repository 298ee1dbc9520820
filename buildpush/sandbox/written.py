"""Faults and lines as on the command line: words and ``NAME=VALUE``, with the names of the Python arguments."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, get_type_hints

from buildpush.foundation.errors import SettingsError
from buildpush.sandbox.faults import Fault
from buildpush.sandbox.line import Line

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_SIZE = re.compile(rf"(?P<number>-?\d+(?:\.\d+)?)(?P<unit>{'|'.join(_UNITS)})B?\Z", re.IGNORECASE)
# Sets of faults: what each does, and its faults as on the command line.
NAMED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "xray": (
        "403 for images that were just pushed, as while Xray scans them",
        tuple(
            f"{method} /manifests/ status=403 times=all body="
            + shlex.quote('{"errors":[{"code":"DENIED","message":"","detail":"Xray has blocked the download"}]}')
            for method in ("GET", "HEAD")
        ),
    ),
    "deploy-only": (
        "an account that may push but not read: 403 to every request for blobs, manifests, referrers and tags",
        tuple(
            f"{method} '/(blobs/sha|manifests/|referrers/|tags/)' status=403 times=all" for method in ("GET", "HEAD")
        ),
    ),
    "cdn": (
        "blobs come from a store at another address, and every ninth answer is a 520",
        ("GET /blobs/sha store times=all", "* '/v2/.+/' status=520 every=9 times=all"),
    ),
}
_FAULT = "METHOD PATH NAME=VALUE ..., such as 'PATCH /blobs/uploads/ status=503 times=3 retry-after=2'"


def read_fault(text: str) -> Fault:
    """Return the fault in *text*: a method, a pattern for the path, and what goes wrong.

    Raises:
        SettingsError: it cannot be parsed; the message says which word.
    """
    words = _split(text)
    if len(words) < 3:  # noqa: PLR2004 - method, path, and at least one effect
        message = f"{text!r} is not a fault"
        raise SettingsError(message, hint=f"write {_FAULT}")
    method, path, *rest = words
    headers = dict(_header(word) for word in rest if word.lower().startswith("header."))
    plain = [word for word in rest if not word.lower().startswith("header.")]
    hints = get_type_hints(Fault)
    names = {one.name: hints[one.name] for one in fields(Fault) if one.init}
    settings = _settings(plain, {name: names[name] for name in names if name not in {"method", "path", "headers"}})
    return make_fault(method, path, headers=headers, **settings)


def named_faults(name: str) -> list[Fault]:
    """Return a new copy of a named set of faults.

    Raises:
        SettingsError: there is no such name.
    """
    if name not in NAMED:
        message = f"there is no set of faults {name!r}"
        raise SettingsError(message, hint=f"name one of: {', '.join(NAMED)}; or write {_FAULT}")
    return [read_fault(text) for text in NAMED[name][1]]


def read_faults(text: str) -> list[Fault]:
    """Return the faults in *text*: the name of a set, or one fault as for :func:`read_fault`.

    Raises:
        SettingsError: it cannot be parsed.
    """
    return named_faults(text.strip()) if len(text.split()) == 1 else [read_fault(text)]


def make_fault(method: str, path: str, **what: Any) -> Fault:
    """Return a fault, after checking its values.

    Raises:
        SettingsError: a value is invalid.
    """
    try:
        pattern = re.compile(path)
    except re.error as error:
        message = f"the path of a fault must be a regular expression, and {path!r} is not: {error}"
        raise SettingsError(message) from error
    fault = Fault(method.upper(), pattern, **what)
    if fault.expire not in {None, "token", "upload"}:
        message = f"'expire' of a fault must be 'token' or 'upload', not {fault.expire!r}"
        raise SettingsError(message)
    if fault.every < 1 or fault.times == 0:
        message = "'every' and 'times' of a fault must be at least 1"
        raise SettingsError(message)
    return fault


def read_line(text: str) -> dict[str, Any]:
    """Return the keywords for :class:`Line` in a text such as ``reset-after=50MB times=3``.

    Raises:
        SettingsError: it cannot be parsed; the message says which word.
    """
    hints = get_type_hints(Line.__init__)
    names = {name: hint for name, hint in hints.items() if name not in {"upstream", "return"}}
    return _settings(_split(text), names)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        message = f"{text!r} cannot be split into words: {error}"
        raise SettingsError(message) from error


def _settings(words: list[str], names: Mapping[str, object]) -> dict[str, Any]:
    settings = {}
    for word in words:
        word_name, separator, value = word.partition("=")
        name = word_name.replace("-", "_")
        if name not in names:
            message = f"unknown name {word_name!r}"
            raise SettingsError(message, hint=f"use one of: {', '.join(sorted(names)).replace('_', '-')}")
        settings[name] = _read(word_name, value if separator else None, names[name])
    return settings


def _read(name: str, value: str | None, kind: object) -> Any:
    if kind is bool and value is None:
        return True
    reader = next((reader for of, reader in _READERS if of == kind), None)
    try:
        if value is None or reader is None:
            raise ValueError  # noqa: TRY301 - reported below, like every invalid value
        return reader(value)
    except ValueError as error:
        message = f"{name!r} cannot be {value!r}" if value is not None else f"{name!r} needs a value"
        hint = f"write for example {name}=5; bytes may have a unit, as in 50MB, and times=all means every time"
        raise SettingsError(message, hint=f"write {name} without a value" if kind is bool else hint) from error


def _size(text: str) -> int:
    match = _SIZE.match(text)
    if not match:
        raise ValueError(text)
    units = {unit.lower(): size for unit, size in _UNITS.items()}
    return int(float(match["number"]) * units[match["unit"].lower()])


def _size_or_all(text: str) -> int | None:
    return None if text == "all" else _size(text)


def _number_or_size(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float(_size(text))


def _header(word: str) -> tuple[str, str]:
    name, separator, value = word.partition(".")[2].partition("=")
    if not name or not separator:
        message = f"{word!r} is not a header"
        raise SettingsError(message, hint="write header.NAME=VALUE")
    return name, value


_READERS: tuple[tuple[object, Callable[[str], Any]], ...] = (
    (int, _size),
    (int | None, _size_or_all),
    (float, _number_or_size),
    (float | None, _number_or_size),
    (str | None, str),
    (bytes, str.encode),
)
