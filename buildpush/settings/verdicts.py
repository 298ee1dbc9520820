"""The notes and refusals for a variable that sets nothing: the same in a file, the environment and a plugin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NoReturn

from buildpush.foundation.errors import SourceError, UnsupportedError
from buildpush.foundation.spelling import now_called
from buildpush.settings.declare import Setting, former_names, variable_name
from buildpush.settings.kinds import FALSE, TRUE
from buildpush.settings.plugin_variables import PLUGIN_VARIABLES, PluginVariable
from buildpush.settings.words import nearest

_PREFIX: Final = "PLUGIN_"
_PLAIN: Final = "the variables of a step begin with PLUGIN_ or DRONE_"
_FAR: Final = "buildpush explain lists the settings, and the page about flags lists every variable of the plugins"
_NEAR: Final = 0.6
# Without the prefix a name is less specific: only nearly the same word is a match.
_NEAR_WITHOUT_PREFIX: Final = 0.85
_EMPTY: Final = "it is empty"
_USUAL: Final = "it asks for the default behaviour"


def note_of(what: str, variable: str, text: str, where: str, known: Mapping[str, Setting]) -> str:
    """Return the note about a variable of a file that sets nothing.

    Args:
        what: what it is, for messages, such as ``variable``.
        variable: its name.
        text: its value.
        where: its place.
        known: the settings, by each variable that sets one.

    Raises:
        UnsupportedError: it is refused.
        SourceError: it is unknown.
    """
    row = PLUGIN_VARIABLES.get(variable)
    if row is None:
        reject_variable(what, variable, known, where, others=PLUGIN_VARIABLES)
    return f"{where}: {variable} has no effect here: {_reason(row, text, where) or row.in_file}"


def reject_variable(
    what: str, name: str, known: Mapping[str, Setting], where: str, *, others: Iterable[str] = (), key: str = ""
) -> NoReturn:
    """Refuse an unknown variable, and name the one that was probably meant.

    Args:
        what: what it is, for messages, such as ``variable``.
        name: of the variable.
        known: the settings, by each variable that sets one.
        where: its place.
        others: variables that have a meaning, too.
        key: as it is written among the settings of a plugin.

    Raises:
        SourceError: always.
    """
    hint = _meant(name, known, others, as_key=bool(key)) or (_FAR if name.startswith(_PREFIX) else _PLAIN)
    message = f"unknown {what} {(key or name)!r}"
    raise SourceError(message, where=where, hint=hint)


def _meant(name: str, known: Mapping[str, Setting], others: Iterable[str], *, as_key: bool = False) -> str:
    """Return a hint with the variable that *name* was in an earlier version, or is near to; else an empty text."""
    former = former_names(known.values(), variable_name).get(name)
    near = former or nearest_variable(name, [*known, *others])
    if near and as_key:
        near = near.removeprefix(_PREFIX).lower()
    return now_called(near) if near and former else f"did you mean {near!r}?" if near else ""


def nearest_variable(name: str, known: Iterable[str]) -> str | None:
    """Return the one of *known* that *name* was probably meant to be; each word must be near one of its words.

    The prefix that all names have in common does not count, so ``PLUGIN_FOO`` is near to none of them.
    """
    short = {one.removeprefix(_PREFIX): one for one in sorted(set(known), key=lambda one: one.startswith(_PREFIX))}
    word = name.removeprefix(_PREFIX)
    alike = [one for one in short if all(nearest(part, one.split("_")) for part in word.split("_") if part)]
    near = nearest(word, alike, cutoff=_NEAR if name.startswith(_PREFIX) else _NEAR_WITHOUT_PREFIX)
    return short[near] if near else None


def notes_of_environment(env: Mapping[str, str], known: Mapping[str, Setting]) -> Iterator[str]:
    """Yield the notes about variables of the environment that set nothing; those of other programs never stop a run.

    Raises:
        UnsupportedError: one of the plugins' own is refused.
    """
    for name in sorted(env):
        row = PLUGIN_VARIABLES.get(name)
        if name in known or (row and row.fact) or not (row or name.startswith(_PREFIX)):
            continue
        reason = _reason_in_environment(row, env[name]) if row else _unknown(name, known)
        yield f"{name} has no effect: {reason}"


def _unknown(name: str, known: Mapping[str, Setting]) -> str:
    hint = _meant(name, known, PLUGIN_VARIABLES)
    return "it is not a variable of buildpush" + (f" ({hint})" if hint else "")


def _reason_in_environment(row: PluginVariable, text: str) -> str:
    if not text or row.name.startswith(_PREFIX):
        return _reason(row, text, row.name)
    return row.note or f"{row.refusal}; {row.alternative}"


def _reason(row: PluginVariable, text: str, where: str) -> str:
    if not text.strip():
        return _EMPTY
    if not row.refusal:
        return row.note
    if text.strip().lower() in {"false": FALSE, "true": TRUE}.get(row.usual, {row.usual}):
        return _USUAL
    message = f"{row.name} is not supported: {row.refusal}"
    raise UnsupportedError(message, where=where, hint=row.alternative)
