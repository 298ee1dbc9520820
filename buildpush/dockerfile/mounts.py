"""The mounts of RUN: ``--mount=type=cache,target=/x`` as fields, and what BuildKit refuses in them.

Source: BuildKit, frontend/dockerfile/instructions/commands_runmount.go and dockerfile2llb/convert_runmount.go.
"""

from __future__ import annotations

import csv
import posixpath
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.foundation.text import quotation

MountField = tuple[str, str | None]

_KINDS: Final = frozenset({"bind", "cache", "tmpfs", "secret", "ssh"})
_WITH_OWNER: Final = frozenset({"cache", "secret", "ssh"})
_SWITCHES: Final = frozenset({"readonly", "ro", "readwrite", "rw", "required"})
_ALIASES: Final = MappingProxyType({"src": "source", "dst": "target", "destination": "target"})
_ONLY_OF: Final = MappingProxyType({"required": frozenset({"secret", "ssh"}), "size": frozenset({"tmpfs"})})
# How the value of a field is written.
_VALUES: Final = MappingProxyType(
    {
        **dict.fromkeys(("from", "source", "target", "id", "env"), regex(r"")),
        **dict.fromkeys(_SWITCHES, regex(r"(?:1|t|T|TRUE|true|True|0|f|F|FALSE|false|False)\Z")),
        **dict.fromkeys(("uid", "gid"), regex(r"[0-9]{1,10}\Z")),
        "mode": regex(r"[0-7]{1,11}\Z"),
        "sharing": regex(r"(?:shared|private|locked)\Z", re.IGNORECASE),
        "size": regex(r"\s*[0-9.]"),
    }
)


@dataclass(frozen=True, slots=True)
class MountProblem:
    """What is wrong with a mount.

    Attributes:
        unknown: ``type`` or ``field`` for one that a newer builder may know; empty for everything else.
    """

    words: str
    unknown: str = ""


def fields_of(mount: str) -> list[MountField]:
    """Return names in lower case and values of a mount; a field without an equals sign has the value ``None``."""
    try:
        fields = next(csv.reader([mount]), [])
    except csv.Error:
        return []
    parts = (field.partition("=") for field in fields)
    return [(name.lower(), value if equals else None) for name, equals, value in parts]


def problem_of(fields: Iterable[MountField], directory: str | None) -> MountProblem | None:
    """Return what BuildKit refuses in a mount, or ``None``.

    Args:
        fields: of the mount, variables replaced.
        directory: that relative targets begin at; ``None`` where only the base image says it.
    """
    kind = "bind"
    found: dict[str, str] = {}
    for name, value in fields:
        if problem := _problem_of_field(kind, name, value):
            return problem
        if name == "type" and value:
            kind = value.lower()
        found[_ALIASES.get(name, name)] = value or ""
    words = _problem_of_whole(kind, {name: value for name, value in found.items() if value}, directory)
    return MountProblem(words) if words else None


def _problem_of_field(kind: str, name: str, value: str | None) -> MountProblem | None:
    known, written = _ALIASES.get(name, name), quotation(value or "", 40)
    if value is None and name not in _SWITCHES:
        return MountProblem(f"its field {quotation(name, 40)} needs a value")
    if name == "type":
        return None if (value or "").lower() in _KINDS else MountProblem(f"type={written} does not exist", "type")
    if known not in _VALUES:
        return MountProblem(f"its field {quotation(name, 40)} does not exist", "field")
    if kind not in _ONLY_OF.get(known, {kind}):
        return MountProblem(f"a mount of the type {kind} takes no {name}")
    return None if value is None or _VALUES[known].match(value) else MountProblem(f"{name}={written} cannot be used")


def _problem_of_whole(kind: str, found: Mapping[str, str], directory: str | None) -> str:
    """Return what does not fit together, or the empty text."""
    owner = next((name for name in ("mode", "uid", "gid") if name in found), "")
    if owner and kind not in _WITH_OWNER:
        return f"a mount of the type {kind} takes no {owner}"
    if "sharing" in found and kind != "cache":
        return f"a mount of the type {kind} takes no sharing"
    if kind == "secret":
        return _problem_of_secret(found)
    target = found.get("target", "")
    path = posixpath.join(directory or "unknown", target)
    is_root = kind != "ssh" and path.startswith("/") and not posixpath.normpath(path).strip("/")
    return f"target={target or path} cannot be used" if is_root else ""


def _problem_of_secret(found: Mapping[str, str]) -> str:
    if "from" in found:
        return "a mount of the type secret takes no from"
    if "source" in found and "id" in found:
        return "a mount of the type secret takes id or source, not both"
    return "" if found.keys() & {"source", "target", "id"} else "a mount of the type secret needs an id"
