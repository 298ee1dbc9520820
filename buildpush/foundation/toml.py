"""The table ``[tool.buildpush]`` of a ``pyproject.toml``, as nodes with their lines."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from buildpush.foundation.documents import Node
from buildpush.foundation.errors import SourceError


def parse_project_toml(text: str, name: str) -> Node | None:
    """Return the table ``[tool.buildpush]``, or ``None`` if the file does not have it.

    Raises:
        SourceError: the text is not TOML.
    """
    import tomllib  # most projects have no such table

    try:
        # Numbers with a dot keep their text, since 1.10 is a tag and not 1.1.
        document = tomllib.loads(text, parse_float=str)
    except tomllib.TOMLDecodeError as error:
        message = f"this is not TOML: {error}"
        raise SourceError(message, where=name, hint="correct the syntax at that place") from None
    table = document.get("tool", {}).get("buildpush")
    if table is None:
        return None
    header = _line_of(text, r"\[tool\.buildpush\]", 1)
    lines = {key: _line_of(text, rf"(?:\[tool\.buildpush\.)?\"?{re.escape(key)}\"?\s*[=\]]", header) for key in table}
    entries = {key: _node(value, name, lines[key]) for key, value in table.items()}
    return Node(entries, name, header, 1, {key: f"{name}:{line}:1" for key, line in lines.items()})


def write_project_toml(settings: Mapping[str, Any]) -> str:
    """Return the table ``[tool.buildpush]`` with *settings*, of maps, lists and text."""
    return "".join(["[tool.buildpush]\n", *(f"{key} = {_toml(value)}\n" for key, value in settings.items())])


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{json.dumps(key)} = {_toml(part)}" for key, part in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value) if value in {"true", "false"} else json.dumps(value, ensure_ascii=False)


def _node(value: Any, name: str, line: int) -> Node:
    if isinstance(value, dict):
        keys = dict.fromkeys(value, f"{name}:{line}:1")
        return Node({key: _node(part, name, line) for key, part in value.items()}, name, line, 1, keys)
    if isinstance(value, list):
        return Node(tuple(_node(part, name, line) for part in value), name, line, 1)
    if isinstance(value, bool):
        return Node("true" if value else "false", name, line, 1)
    return Node(str(value), name, line, 1)


def _line_of(text: str, pattern: str, first: int) -> int:
    """Return the number of the first line from *first* on that begins with *pattern*, else *first*."""
    for number, line in enumerate(text.splitlines()[first - 1 :], first):
        if re.match(rf"\s*{pattern}", line):
            return number
    return first
