"""Paths of files in requests: taken apart before they are decoded, since ``%2F`` and ``%3B`` are no separators."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NoReturn
from urllib.parse import unquote, unquote_plus

from aiohttp import web

from buildpush.foundation.records import dataclass
from buildpush.sandbox.answers import RequestRefusedError

LONGEST_NAME = 255
LONGEST_PATH = 1024
# Control characters, and what JFrog allows in no name: it would be a separator or a wildcard elsewhere.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f/\\|*?"<>]')
# Values of a property are separated by commas, properties by semicolons; a backslash escapes the next character.
_ESCAPED = r"(?:\\.|[^\\{}])"
_PROPERTIES = re.compile(_ESCAPED.format(";|") + "+", re.DOTALL)
_VALUES = re.compile(_ESCAPED.format(",") + "+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ItemPath:
    """What a request names in a repository.

    Attributes:
        repo: key of the repository, which need not exist.
        path: of the file or directory, without a slash at either end; ``""`` for the whole repository.
        is_directory: whether it was written with a slash at its end.
        properties: the matrix parameters: ``/app.zip;qa=passed``.
    """

    repo: str
    path: str
    is_directory: bool
    properties: dict[str, list[str]]

    def __str__(self) -> str:
        return f"{self.repo}/{self.path}"


def item_path(request: web.Request, prefix: str) -> ItemPath:
    """Return what the path of a request names behind *prefix*; errors as of :func:`read_path`."""
    return read_path(request.rel_url.raw_path.removeprefix(prefix))


def read_path(raw: str) -> ItemPath:
    """Parse ``KEY/PATH``, still percent-encoded.

    Raises:
        RequestRefusedError: 400, a part cannot be the name of a file.
    """
    segments = [segment.partition(";") for segment in raw.split("/")]
    # Artifactory takes two slashes for one.
    repo, *names = [_read_name(name) for name, _, _ in segments if name] or [""]
    if len("/".join(names)) > LONGEST_PATH:
        _refuse(f"a path has at most {LONGEST_PATH} characters")
    parameters = [text for _, _, texts in segments for text in texts.split(";") if text]
    return ItemPath(repo, "/".join(names), not (names and segments[-1][0]), _read_parameters(parameters))


def _read_name(raw: str) -> str:
    try:
        name = unquote(raw, errors="strict")
        length = len(name.encode())
    except UnicodeError:
        _refuse("it is not UTF-8")
    if name in {".", ".."} or _FORBIDDEN.search(name):
        _refuse(f"{name!r} cannot be the name of a file")
    if length > LONGEST_NAME:
        _refuse(f"a name has at most {LONGEST_NAME} bytes")
    return name


def _read_parameters(texts: Sequence[str]) -> dict[str, list[str]]:
    """Return the properties in matrix parameters, of which a comma separates values unless it is encoded."""
    properties: dict[str, list[str]] = {}
    for text in texts:
        key, _, values = text.partition("=")
        try:
            listed = [unquote_plus(value, errors="strict") for value in values.split(",")]
            name = unquote_plus(key, errors="strict")
            f"{name}{listed}".encode()
        except UnicodeError:
            _refuse("it is not UTF-8")
        if not name:
            _refuse(f"{text!r} is not key=value")
        properties.setdefault(name, []).extend(listed)
    return properties


def read_properties(text: str) -> dict[str, list[str]]:
    r"""Return the properties in ``key=value,value;key=value``; in values, a backslash escapes ``, \ | =``.

    Raises:
        RequestRefusedError: 400, a property has no ``=``.
    """
    properties: dict[str, list[str]] = {}
    for property_text in _PROPERTIES.findall(text):
        key, equals, values = property_text.partition("=")
        if not equals or not key:
            raise RequestRefusedError(400, "BAD_REQUEST", f"{property_text!r} is not key=value")
        properties.setdefault(key, []).extend(
            re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL) for value in _VALUES.findall(values) or [""]
        )
    return properties


def _refuse(reason: str) -> NoReturn:
    raise RequestRefusedError(400, "BAD_REQUEST", f"Invalid path: {reason}.")
