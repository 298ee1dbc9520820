"""Variables, secrets and connectors that were given, and that no step uses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from buildpush.foundation.documents import Raw
from buildpush.settings.tree import Branch, Header, Loaded, Parallel, Step, leaves

_CONNECTORS: Final = ("connector_ref", "base_image_connector_refs")
_INPUT: Final = "<+input>"


def with_lookup_notes(
    loaded: Loaded, variables: Collection[str], secrets: Path | None, connectors: Path | None
) -> Loaded:
    """Return *loaded* with a note for each of them that no step uses.

    Expressions are not evaluated yet, so a name counts as used wherever it is.

    Args:
        loaded: the steps that are run.
        variables: names of values for expressions.
        secrets: directory with a file per secret.
        connectors: file of connectors, which may hold references to secrets, too.
    """
    found = _unused(loaded, variables, secrets, connectors)
    return replace(loaded, notes=(*loaded.notes, *found))


def _unused(loaded: Loaded, variables: Collection[str], secrets: Path | None, connectors: Path | None) -> Iterator[str]:
    steps = loaded.steps
    text = "\n".join([*(part for step in steps for part in _texts(step)), *_texts_around(loaded)])
    names_one = any(name in step.settings for step in steps for name in _CONNECTORS)
    asks = "secret" in text
    for name in variables:
        # The number of the run is asked for by the build-info, and an input by the setting that it is in.
        if name not in text and _INPUT not in text and not name.startswith("pipeline."):
            yield f"the variable {name} has no effect: no expression of the steps asks for it"
    if connectors and not names_one and not asks:
        yield f"connectors has no effect: no step names a connector of {connectors} by connectorRef"
    if secrets and not asks and not (connectors and names_one):
        yield f"secrets has no effect: nothing in the steps asks for one in {secrets}"


def _texts(step: Step) -> Iterator[str]:
    yield from (text for text in step.facts.values() if "<+" in text)
    for written in (*step.settings.values(), *step.environment.values()):
        yield from _parts(written.value)


def _texts_around(loaded: Loaded) -> Iterator[str]:
    """Yield what the conditions and loops of groups and stages hold."""
    headers = {id(header): header for _, path in leaves(loaded.tree) for header in _headers(path)}
    for header in headers.values():
        for node in (header.when, header.strategy, header.failure_strategies, header.timeout):
            yield from _parts(node.raw()) if node else ()


def _headers(path: Iterable[Branch]) -> Iterator[Header]:
    for branch in path:
        if not isinstance(branch, Parallel):
            yield branch.header


def _parts(value: Raw) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield key
            yield from _parts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _parts(part)
