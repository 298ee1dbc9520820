"""The inputs of a file: each ``<+input>``, by the name that a value is given under."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from buildpush.foundation.documents import Raw
from buildpush.settings.declare import settings_of
from buildpush.settings.surroundings import variable_text
from buildpush.settings.tree import Loaded, Parallel, leaves

_INPUT = "<+input>"


def inputs_of(loaded: Loaded) -> dict[str, str]:
    """Return the name of each input of the steps that are run and what is written there, each once, in order.

    A name is what ``--var`` takes: that of a variable, of a setting (``tags``), or of an entry (``buildArgs.A``).
    """
    return dict(_inputs(loaded))


def _inputs(loaded: Loaded) -> Iterator[tuple[str, str]]:
    for step, path in leaves(loaded.tree):
        if not step.runs:
            continue
        for branch in path:
            for variable in () if isinstance(branch, Parallel) else branch.header.variables:
                name, text = variable.at("name"), variable_text(variable) or ""
                if name and text.startswith(_INPUT):
                    yield name.text, text
        keys = {setting.name: setting.key for setting in settings_of(step.model)}
        for setting, written in step.settings.items():
            if setting in keys:
                yield from _inputs_in(keys[setting], written.value)


def _inputs_in(name: str, value: Raw) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and value.startswith(_INPUT):
        yield name, value
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from _inputs_in(f"{name}.{key}", entry)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for entry in value:
            yield from _inputs_in(name, entry)
