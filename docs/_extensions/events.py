"""The table of events, made from their classes."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from pathlib import Path
from types import ModuleType

from docutils import nodes
from sphinx.application import Sphinx

from buildpush.foundation import events
from buildpush.reference.rendering import Rendering, literals


def kinds(module: ModuleType = events) -> tuple[type, ...]:
    """Return the classes of events, in the order of their union."""
    return typing.get_args(module.Event)


class EventsDirective(Rendering):
    """``{events}``: each event, what it says, and its fields."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        self.env.note_dependency(str(Path(str(events.__file__))))
        rows = [
            [literals([kind.__name__]), self.prose(inspect.getdoc(kind).partition("\n\n")[0]), literals(_fields(kind))]
            for kind in kinds()
        ]
        return [self.table(["Event", "What it says", "Fields"], rows, "events")]


def _fields(kind: type) -> list[str]:
    return [f"{field.name}: {field.type}" for field in dataclasses.fields(kind)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("events", EventsDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
