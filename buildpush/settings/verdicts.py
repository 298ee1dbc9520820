"""What is said of a variable that sets nothing: the same in a file, the environment and a plugin's settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from buildpush.foundation.errors import UnsupportedError
from buildpush.settings.kinds import FALSE, TRUE
from buildpush.settings.plugin_variables import PLUGIN_VARIABLES, PluginVariable
from buildpush.settings.words import nearest, reject

_PREFIX: Final = "PLUGIN_"
_OF_CI: Final = "a CI system sets it in the environment, and it counts only there"
_USUAL: Final = "it asks for what happens anyway"


def note_of(what: str, variable: str, text: str, where: str, known: Iterable[str]) -> str:
    """Return the note about a variable of a file that sets nothing.

    Args:
        what: for people, such as ``variable``.
        variable: its name.
        text: its value.
        where: its place.
        known: the variables that set something.

    Raises:
        UnsupportedError: it is refused.
        SourceError: nothing knows it.
    """
    row = PLUGIN_VARIABLES.get(variable)
    if row is None:
        reject(what, variable, [*known, *PLUGIN_VARIABLES], where)
    return f"{where}: {variable} has no effect here: {_reason(row, text, where) or _OF_CI}"


def notes_of_environment(env: Mapping[str, str], known: Iterable[str]) -> Iterator[str]:
    """Yield the notes about variables of the environment that set nothing; those of other programs never stop a run.

    Raises:
        UnsupportedError: one of the plugins' own is refused.
    """
    known = frozenset(known)
    for name in sorted(env):
        row = PLUGIN_VARIABLES.get(name)
        if name in known or (row and row.fact) or not (row or name.startswith(_PREFIX)):
            continue
        reason = _reason_in_environment(row, env[name]) if row else _unknown(name, known)
        yield f"{name} has no effect: {reason}"


def _unknown(name: str, known: Iterable[str]) -> str:
    near = nearest(name, [*known, *PLUGIN_VARIABLES])
    return "buildpush does not know this variable" + (f" (did you mean {near}?)" if near else "")


def _reason_in_environment(row: PluginVariable, text: str) -> str:
    if row.name.startswith(_PREFIX):
        return _reason(row, text, row.name)
    return row.note or f"{row.refusal}; {row.instead}"


def _reason(row: PluginVariable, text: str, where: str) -> str:
    if not row.refusal:
        return row.note
    asked, usual = text.strip().lower(), {"false": FALSE, "true": TRUE}.get(row.usual, {row.usual})
    if not asked or asked in usual:
        return _USUAL
    message = f"{row.name} is not supported: {row.refusal}"
    raise UnsupportedError(message, where=where, hint=row.instead)
