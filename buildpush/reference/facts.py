"""The names that are built into expressions, for the docs: by section, each with the sources of its value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from buildpush.expressions.builtin import BUILT_IN, BuiltIn
from buildpush.expressions.ci import all_variables_of

_TITLES: Final = {"pipeline": "Pipeline", "codebase": "Codebase", "trigger": "Trigger"}
_OTHER: Final = "Stage, step and account"


def _by_section() -> dict[str, dict[str, BuiltIn]]:
    sections: dict[str, dict[str, BuiltIn]] = {title: {} for title in (*_TITLES.values(), _OTHER)}
    for name, row in BUILT_IN.items():
        sections[_TITLES.get(name.partition(".")[0], _OTHER)][name] = row
    return sections


SECTIONS: Final[Mapping[str, Mapping[str, BuiltIn]]] = _by_section()


def sources(name: str) -> str:
    """Return the sources of the value of *name*, in MyST: CI systems with their variables, then others."""
    systems: dict[tuple[str, ...], list[str]] = {}
    for system, variables in all_variables_of(name).items():
        systems.setdefault(variables, []).append(system)
    given = [
        f"{' and '.join(names)} by {', '.join(f'`{variable}`' for variable in variables)}"
        for variables, names in systems.items()
    ]
    return "; ".join([*given, *filter(None, [_last(BUILT_IN[name], is_given=bool(given))])]) or "only `--var`"


def _last(row: BuiltIn, *, is_given: bool) -> str:
    """Return the source of a value if no CI system has it."""
    if row.origin in BUILT_IN:
        return f"as `{row.origin}`"
    if row.made_of and not is_given and row.origin in {"", "git"}:
        return f"made of {', '.join(f'`{name}`' for name in dict.fromkeys(row.made_of))}"
    return row.origin
