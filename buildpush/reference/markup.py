"""The markup of cards, which is written in MyST, as reStructuredText; cards use two constructs: code and settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from buildpush.foundation.regex import regex

_MARKED: Final = regex(r"(\{[\w:]+\}`[^`]+`|`[^`]+`)")
_SPECIAL: Final = regex(r"([\\*`|_])")
_LANGUAGES: Final = {
    "YAML": "yaml",
    "Variables": "sh",
    "Flags": "sh",
    "Python": "python",
    "buildpush.yaml": "yaml",
    "pyproject.toml": "toml",
}


def in_rst(text: str) -> str:
    """Return the text of a card in reStructuredText."""
    return "".join(map(_part_in_rst, _MARKED.split(text)))


def _part_in_rst(part: str) -> str:
    # A backslash before a blank is nothing on the page: markup may then touch letters, as it may in MyST.
    if part.startswith("{"):
        return rf"\ :{part[1:].replace('}', ':', 1)}\ "
    if part.startswith("`"):
        return rf"\ `{part}`\ "
    return _SPECIAL.sub(r"\\\1", part)


def tabs(examples: Mapping[str, str]) -> str:
    """Return examples in MyST: one tab per surface, in sync with all others of the page."""
    inner = [
        f"````{{tab-item}} {surface}\n:sync: {surface.lower()}\n\n```{_LANGUAGES[surface]}\n{text}\n```\n````"
        for surface, text in examples.items()
    ]
    return "\n".join(["`````{tab-set}", ":sync-group: surface", "", *inner, "`````"])


def tabs_in_rst(examples: Mapping[str, str]) -> str:
    """Return the same tabs in reStructuredText."""
    lines = [".. tab-set::", "   :sync-group: surface", ""]
    for surface, text in examples.items():
        lines += [f"   .. tab-item:: {surface}", f"      :sync: {surface.lower()}", ""]
        lines += [f"      .. code-block:: {_LANGUAGES[surface]}", ""]
        lines += [f"         {line}".rstrip() for line in text.splitlines()] + [""]
    return "\n".join(lines)
