"""What is new, changed, the same and gone between two runs of a build."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from buildpush.sandbox.entries import BuildEntry

_LISTS = (("artifacts", "name"), ("dependencies", "id"))


def difference(newer: BuildEntry, older: BuildEntry) -> dict[str, Any]:
    """Return the artifacts, dependencies and properties of two runs by what became of them."""
    lists = {key: _compared(_files(newer, key, name), _files(older, key, name)) for key, name in _LISTS}
    return {**lists, "properties": _compared(_properties(newer), _properties(older))}


def _compared(newer: Mapping[Hashable, Any], older: Mapping[Hashable, Any]) -> dict[str, list[Any]]:
    both = [key for key in newer if key in older]
    return {
        "updated": [newer[key] for key in both if newer[key] != older[key]],
        "unchanged": [newer[key] for key in both if newer[key] == older[key]],
        "removed": [value for key, value in older.items() if key not in newer],
        "new": [value for key, value in newer.items() if key not in older],
    }


def _files(run: BuildEntry, kind: str, name: str) -> dict[Hashable, Any]:
    """Return what the modules list, by module and name, with the name of the module."""
    files: dict[Hashable, Any] = {}
    for module in run.document.get("modules") or ():
        listed = module.get(kind)
        for file in listed if isinstance(listed, list) else ():
            if isinstance(file, dict):
                key = (str(module["id"]), str(file.get("path") or file.get(name)))
                files[key] = {"module": module["id"], **file}
    return files


def _properties(run: BuildEntry) -> dict[Hashable, Any]:
    properties = run.document.get("properties")
    items = properties.items() if isinstance(properties, dict) else ()
    return {key: {"key": key, "value": value} for key, value in items}
