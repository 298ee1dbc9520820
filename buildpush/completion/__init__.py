"""What a shell completes: read from a table, before any library is loaded, since a Tab must be quick.

``python -m buildpush.cli.completion`` writes the table again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
TABLE: Final = HERE / "table.json"
SCRIPTS: Final = {"bash": "buildpush.bash", "fish": "buildpush.fish", "zsh": "_buildpush"}
# Answers that leave it to the shell to complete what is there.
PATH, DIRECTORY = "@path", "@directory"
_LARGEST: Final = 1 << 20  # bytes of a file in which identifiers are looked for
_IDENTIFIER: Final = "identifier:"


def answer(arguments: Sequence[str]) -> str:
    """Return the answer to a shell: a candidate in each line, with a sentence behind a tab; or ``@path``.

    Args:
        arguments: name of the shell, then the words of the command up to the one that is completed.
    """
    shell, *words = arguments
    words = _joined(words) if shell == "bash" else words
    found = candidates(words or [""], json.loads(TABLE.read_bytes()))  # not strict: ours
    *_, current = words or [""]
    # What stands before = and, in bash, before a colon stays in the line: the shell replaces only what follows.
    kept = current.rpartition("=")[0] if current.startswith("--") and "=" in current else ""
    kept = max((current.rpartition(mark)[0] for mark in "=:"), key=len) if shell == "bash" else kept
    cut = len(kept) + 1 if kept and shell != "fish" else 0
    return "".join(f"{value if value in {PATH, DIRECTORY} else value[cut:]}\t{about}\n" for value, about in found)


def _joined(words: Sequence[str]) -> list[str]:
    """Return the words as they were typed: bash takes ``--engine=b`` for three."""
    whole: list[str] = []
    is_open = False
    for word in words:
        is_mark = bool(word) and not word.strip("=:")
        if whole and (is_mark or is_open):
            whole[-1] += word
        else:
            whole.append(word)
        is_open = is_mark
    return whole


def candidates(words: Sequence[str], table: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the last of *words* may become, each with a sentence."""
    *before, current = words
    name, rest = _command(before, table)
    if name not in table["commands"]:
        return [(word, about) for word, about in table["names"].get(name, {}).items() if word.startswith(current)]
    command = table["commands"][name]
    options = {flag: one for one in (table["options"][at] for at in command["options"]) for flag in one["flags"]}
    place, wanted = _position(rest, options)
    if wanted is None and current.startswith("-"):
        flag, equals, value = current.partition("=")
        if not equals:
            return [(flag, one["about"]) for flag, one in options.items() if flag.startswith(current)]
        return [(_whole(flag, text), about) for text, about in _values(options.get(flag), value, rest, table)]
    if wanted is None:
        arguments = command["arguments"]
        wanted = arguments[min(place, len(arguments) - 1)] if arguments else None
    return _values(wanted, current, rest, table)


def _whole(flag: str, value: str) -> str:
    return value if value in {PATH, DIRECTORY} else f"{flag}={value}"


def _command(words: Sequence[str], table: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the name of the command that *words* begin with, one in a group included, and the other words."""
    name, rest = "", list(words)
    while rest and name not in table["commands"]:
        word = rest.pop(0)
        name = name if word.startswith("-") else f"{name} {word}".strip()
    return name, rest


def _position(words: Sequence[str], options: Mapping[str, Any]) -> tuple[int, Any]:
    """Return how many arguments *words* hold, and the option whose value comes next, if one does."""
    place, left, option = 0, 0, None
    for word in words:
        if left:
            left -= 1
        elif word.startswith("-") and word != "-":
            option = options.get(word)
            left = option["values"] if option else 0
        else:
            place += 1
    return place, option if left else None


def _values(wanted: Any, current: str, words: Sequence[str], table: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the values of an option or argument that begin with *current*."""
    kind = wanted["kind"] if wanted else ""
    if kind in {"path", "directory"}:
        return [(f"@{kind}", "")]
    if kind in table["words"]:
        known = table["words"][kind]
    elif kind in {"step", "stage", "connector"}:
        known = dict.fromkeys(_identifiers(_file_of(kind, words)), "")
    else:
        known = dict.fromkeys(wanted.get("choices", ()) if wanted else (), "")
    return [(value, about) for value, about in known.items() if value.startswith(current)]


def _file_of(kind: str, words: Sequence[str]) -> str:
    """Return the file whose identifiers are meant: that of ``--connectors``, or the first YAML file among *words*."""
    if kind == "connector":
        flags = [word.partition("=")[2] for word in words if word.startswith("--connectors=")]
        flags += [after for word, after in pairwise(words) if word == "--connectors"]
        return "".join(flags[:1])
    return next((word for word in words if word.endswith((".yml", ".yaml")) and not word.startswith("-")), "")


def _identifiers(path: str) -> list[str]:
    """Return the identifiers in a file, without reading it as YAML."""
    try:
        with Path(path).expanduser().open("rb") as file:
            lines = file.read(_LARGEST).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    bare = (line.strip().removeprefix("- ").strip() for line in lines)
    found = (line[len(_IDENTIFIER) :].strip().strip("'\"") for line in bare if line.startswith(_IDENTIFIER))
    return list(dict.fromkeys(filter(str.isprintable, filter(None, found))))
