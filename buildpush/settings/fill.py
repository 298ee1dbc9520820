"""Puts given values in place of the inputs (``<+input>``) of a template or a pipeline.

Source: Harness, "Template inputs", "Input sets and overlays": the values have the shape of what has the inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from buildpush.expressions.evaluate import Names, Value, evaluate
from buildpush.expressions.grammar import parse
from buildpush.expressions.tree import Input
from buildpush.foundation.documents import Node, Raw
from buildpush.foundation.errors import ExpressionError, SourceError
from buildpush.foundation.secrets import Secret
from buildpush.settings.words import reject

INPUT: Final = "<+input>"
_WRAPPERS: Final = ("step", "stage", "stepGroup")
_NAMES: Final = ("identifier", "name", "key")
_LIMITS: Final = ("allowedValues", "selectOneFrom", "selectManyFrom", "regex")


def fill(node: Node, given: Node, what: str) -> Node:
    """Return *node* with what is *given* in place of its inputs.

    Args:
        node: of a template or a pipeline.
        given: a node of the same shape, with only the given values.
        what: has the inputs, for messages: ``the template build``.

    Raises:
        SourceError: there is no input for a value, or the input does not allow it.
    """
    if not given.value:
        return given if _is_empty(given) and node.text == INPUT else node
    if node.text.startswith(INPUT):
        return _given(node, given)
    if node.items and given.items:
        return _filled_list(node, given, what)
    if node.entries and given.entries:
        return _filled_map(node, given, what)
    if given.raw() == node.raw():
        return node
    message = f"{what} does not have an input here"
    raise SourceError(message, where=given.where, hint=f"leave it out: {node.where} has a fixed value")


def _is_empty(given: Node) -> bool:
    """Return whether *given* is an empty list or map, which is a value; the empty text gives none."""
    return isinstance(given.value, tuple | Mapping)


def _filled_map(node: Node, given: Node, what: str) -> Node:
    entries, keys = dict(node.entries), dict(node.keys)
    for key, value in given.entries.items():
        if key not in entries:
            if value.value:
                _refuse(key, node, given.where_key(key), what)
            continue
        entries[key] = fill(entries[key], value, what)
        if node.entries[key].text.startswith(INPUT) and value.value:
            keys[key] = given.where_key(key)
            entries[key] = _limited(node, key, entries[key])
    return replace(node, value=entries, keys=keys)


def _limited(node: Node, key: str, given: Node) -> Node:
    """Return the value *given* for a variable with the limits of its input, which apply to a ``--var`` as well."""
    kind, text = node.entries.get("type"), node.entries[key].text
    is_variable = key == "value" and "name" in node.entries and not (kind and kind.text.strip().lower() == "secret")
    cannot_be_default = not given.text or "<+" in given.text or set(given.text) & set('()"')
    if not is_variable or cannot_be_default or "<+" in text.removeprefix(INPUT):
        return given
    suffixes = (suffix for part in parse(text).parts if isinstance(part, Input) for suffix in part.suffixes)
    limits = "".join(f".{name}({raw})" for name, raw in suffixes if name in _LIMITS)
    return replace(given, value=f'{INPUT}.default("{given.text}"){limits}') if limits else given


def _refuse(name: str, node: Node, where: str, what: str) -> None:
    inputs = [key for key, entry in node.entries.items() if has_input(entry)]
    if inputs:
        reject("input", name, inputs, where)
    message = f"{what} does not have the input {name}"
    raise SourceError(message, where=where, hint=f"leave it out, or write {INPUT} as its value there")


def has_input(node: Node) -> bool:
    """Return whether anything in *node* is an input."""
    return INPUT in node.text or any(map(has_input, (*node.entries.values(), *node.items)))


def _filled_list(node: Node, given: Node, what: str) -> Node:
    items = list(node.items)
    for place, value in enumerate(given.items):
        index = _place(node, given, place, what)
        items[index] = fill(items[index], value, what)
    return replace(node, value=tuple(items))


def _place(node: Node, given: Node, place: int, what: str) -> int:
    """Return which item of *node* the item at *place* of *given* belongs to: by its name, or else by its position."""
    names = _names(given.items[place])
    if not names and place < len(node.items):
        return place
    for index, item in enumerate(node.items):
        if names & _names(item):
            return index
    message = f"{what} does not have {' or '.join(sorted(names)) or 'so many entries'} here"
    known = ", ".join(sorted(name for item in node.items for name in _names(item)))
    raise SourceError(message, where=given.items[place].where, hint=known and f"it has {known}")


def _names(item: Node) -> frozenset[str]:
    """Return the name of an item of a list; for parallel steps, all their names."""
    if parallel := item.at("parallel"):
        return frozenset(name for inner in parallel.items for name in _names(inner))
    inner = next((item.entries[key] for key in _WRAPPERS if key in item.entries), item)
    return frozenset([inner.entries[key].text for key in _NAMES if inner.entries.get(key, inner).text][:1])


def _given(node: Node, given: Node) -> Node:
    """Return what is *given* for the input *node*, if the input allows it."""
    if given.text == INPUT:
        return replace(given, value=node.value)
    raw = given.raw()
    if node.text != INPUT and "<+" not in node.text.removeprefix(INPUT) and not _holds_expression(raw):
        try:
            evaluate(node.text, _Given(raw))
        except ExpressionError as error:
            raise SourceError(
                str(error.args[0]), where=given.where, hint=f"give a value that fits {node.text} at {node.where}"
            ) from None
    return given


def _holds_expression(raw: Raw) -> bool:
    if isinstance(raw, dict | list):
        return any(map(_holds_expression, raw.values() if isinstance(raw, dict) else raw))
    return isinstance(raw, str) and "<+" in raw


class _Given(Names):
    """Names in which only the input has a value: the given one, to check it."""

    def __init__(self, value: Raw) -> None:
        self.value = value

    def given(self, field: str) -> Value:
        del field
        return self.value

    def lookup(self, path: tuple[str, ...]) -> Value:
        message = f"{'.'.join(path)} is not known here"
        raise ExpressionError(message)

    def secret(self, identifier: str) -> Secret:
        return self.lookup((identifier,))  # type: ignore[return-value]  # it raises
