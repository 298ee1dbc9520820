"""Written values, before expressions are evaluated: text with its place, and what set it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from buildpush.foundation.documents import Node, Raw, Trail
from buildpush.foundation.records import dataclass

OriginKind = Literal["file", "variable", "flag", "keyword", "project", "default"]


@dataclass(frozen=True, slots=True)
class Origin:
    """What set a value.

    Attributes:
        where: ``step.yml:7:3``, ``PLUGIN_TAGS``, ``--tags``, ``tags=``, for people.
        text: the value as it was written, stars for a secret.
        variable: the variable that set it, in the environment or among a file's ``envVariables``.
        parts: places of the values inside a list or map.
    """

    kind: OriginKind
    where: str
    text: str
    variable: str = ""
    parts: Mapping[Trail, str] = field(default_factory=dict, repr=False, compare=False)

    def at(self, *path: str | int) -> str:
        """Return the place of the value at *path* inside, or of the nearest one around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.parts:
                return self.parts[path[:length]]
        return self.where


@dataclass(frozen=True, slots=True)
class WrittenValue:
    """The value of one setting as text, what set it, and the values that it overrides, strongest first."""

    value: Raw
    origin: Origin
    overridden: tuple[tuple[Raw, Origin], ...] = ()


def written_at(node: Node, key: str) -> WrittenValue | None:
    """Return the value of *key* in the map *node*; ``None`` if there is none."""
    inner = node.at(key)
    if inner is None or not inner.value:
        return None
    return WrittenValue(inner.raw(), Origin("file", node.where_key(key), "", parts=dict(inner.places())))


def key_prefix(key: str, where: str) -> str:
    """Return *key* with a colon, to begin a message about the place *where*; nothing if that has the same name."""
    return "" if _is_called(where, key) else f"{key}: "


def subject(key: str, where: str) -> str:
    """Return the beginning of a sentence about the setting *key*, after the place *where*."""
    return "it" if _is_called(where, key) else key


def _is_called(where: str, key: str) -> bool:
    """Return whether the name of a flag, keyword or variable is that of a setting: ``--build-arg`` is one."""
    word = where.removeprefix("--").removeprefix("PLUGIN_").removesuffix("=")
    one, other = (text.replace("-", "").replace("_", "").lower().removesuffix("s") for text in (word, key))
    return one == other
