"""Values for the inputs of a template or a pipeline, put where its ``<+input>`` are.

Source: Harness, "Template inputs", "Input sets and overlays": the values have the shape of what asks for them.
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
        given: of the same shape, with those parts that are given.
        what: asks for them, for messages: ``the template build``.

    Raises:
        SourceError: it does not ask for something that is given, or does not allow it.
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
    message = f"{what} does not ask for this"
    raise SourceError(message, where=given.where, hint=f"leave it out: it is written in {node.where}")


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
    """Return the value *given* for a variable with the limits of its input, which a ``--var`` has to keep as well."""
    kind, text = node.entries.get("type"), node.entries[key].text
    is_variable = key == "value" and "name" in node.entries and not (kind and kind.text.strip().lower() == "secret")
    cannot_be_default = not given.text or "<+" in given.text or set(given.text) & set('()"')
    if not is_variable or cannot_be_default or "<+" in text.removeprefix(INPUT):
        return given
    suffixes = (suffix for part in parse(text).parts if isinstance(part, Input) for suffix in part.suffixes)
    limits = "".join(f".{name}({raw})" for name, raw in suffixes if name in _LIMITS)
    return replace(given, value=f'{INPUT}.default("{given.text}"){limits}') if limits else given


def _refuse(name: str, node: Node, where: str, what: str) -> None:
    asked = [key for key, entry in node.entries.items() if asks(entry)]
    if asked:
        reject("input", name, asked, where)
    message = f"{what} does not ask for {name}"
    raise SourceError(message, where=where, hint=f"leave it out; only {INPUT} asks")


def asks(node: Node) -> bool:
    """Return whether anything in *node* is an input."""
    return INPUT in node.text or any(map(asks, (*node.entries.values(), *node.items)))


def _filled_list(node: Node, given: Node, what: str) -> Node:
    items = list(node.items)
    for place, value in enumerate(given.items):
        found = _place(node, given, place, what)
        items[found] = fill(items[found], value, what)
    return replace(node, value=tuple(items))


def _place(node: Node, given: Node, place: int, what: str) -> int:
    """Return which item of *node* the item at *place* of *given* belongs to: by its name, or else by its position."""
    names = _names(given.items[place])
    if not names and place < len(node.items):
        return place
    for found, item in enumerate(node.items):
        if names & _names(item):
            return found
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
            raise SourceError(str(error.args[0]), where=given.where, hint=f"{node.where} asks: {node.text}") from None
    return given


def _holds_expression(raw: Raw) -> bool:
    if isinstance(raw, dict | list):
        return any(map(_holds_expression, raw.values() if isinstance(raw, dict) else raw))
    return isinstance(raw, str) and "<+" in raw


class _Given(Names):
    """Answers an input with the value given for it, and nothing else."""

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
