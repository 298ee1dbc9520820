"""Variables, secrets and connectors that were given but that nothing uses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from buildpush.foundation.documents import Raw
from buildpush.settings.asked import check_variables
from buildpush.settings.tree import Header, Loaded, Parallel, Parent, Step, leaves

_CONNECTORS: Final = ("connector_ref", "base_image_connector_refs")


def with_lookup_notes(
    loaded: Loaded, variables: Collection[str], secrets: Path | None, connectors: Path | None, *, more: str = ""
) -> Loaded:
    """Return *loaded* with a note for each given variable, secret or connector that no step uses.

    Args:
        loaded: the steps that are run.
        variables: names of values for expressions.
        secrets: directory with a file per secret.
        connectors: file of connectors, which may hold references to secrets, too.
        more: another text with expressions, which may use variables.

    Raises:
        SettingsError: nothing uses one of the variables.
    """
    check_variables(loaded, variables, more)
    return replace(loaded, notes=(*loaded.notes, *_unused(loaded, secrets, connectors)))


def _unused(loaded: Loaded, secrets: Path | None, connectors: Path | None) -> Iterator[str]:
    steps = loaded.steps
    names_one = any(name in step.settings for step in steps for name in _CONNECTORS)
    texts = [*(part for step in steps for part in _texts(step)), *_texts_around(loaded)]
    asks = any("secret" in text for text in texts)
    if connectors and not names_one and not asks:
        yield f"connectors has no effect: no step names a connector of {connectors} by connectorRef"
    if secrets and not asks and not (connectors and names_one):
        yield f"secrets has no effect: no step uses a secret of {secrets}"


def _texts(step: Step) -> Iterator[str]:
    yield from (text for text in step.facts.values() if "<+" in text)
    for written in (*step.settings.values(), *step.environment.values()):
        yield from _parts(written.value)


def _texts_around(loaded: Loaded) -> Iterator[str]:
    """Yield the texts of the conditions and loops of groups and stages."""
    headers = {id(header): header for _, path in leaves(loaded.tree) for header in _headers(path)}
    for header in headers.values():
        for node in (header.when, header.strategy, header.failure_strategies, header.timeout):
            yield from _parts(node.raw()) if node else ()


def _headers(path: Iterable[Parent]) -> Iterator[Header]:
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
