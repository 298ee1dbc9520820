"""The contents of a file as a list: every stage, group and step, and whether it is run here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal

from buildpush.foundation.records import dataclass
from buildpush.foundation.text import one_line
from buildpush.settings.tree import Element, Parallel, Pipeline, Stage, Step, StepGroup, children_of, leaves

ContentKind = Literal["pipeline", "stage", "group", "step"]
_KINDS: Final[dict[type, ContentKind]] = {Pipeline: "pipeline", Stage: "stage", StepGroup: "group", Step: "step"}


@dataclass(frozen=True, slots=True)
class ContentsEntry:
    """A pipeline, stage, group or step of a file.

    Attributes:
        type: of a stage or step, such as ``BuildAndPushDockerRegistry``.
        where: its place, such as ``pipeline.yml:12:7``.
        runs: whether it is run here, or anything in it.
        depth: how many others it is in.
    """

    kind: ContentKind
    identifier: str
    name: str
    type: str
    where: str
    runs: bool
    depth: int

    def __str__(self) -> str:
        words = (self.kind, self.identifier or self.name, self.type and f"({self.type})", self.where)
        mark = "run    " if self.runs else "not run"
        return f"{mark}  {'  ' * self.depth}{' '.join(one_line(word) for word in words if word)}"

    def cells(self) -> dict[str, str]:
        """Return what a list of entries shows."""
        words = {"kind": "· " * self.depth + self.kind, "identifier": self.identifier, "name": self.name}
        return {**words, "type": self.type, "is run here": "yes" if self.runs else "no", "place": self.where}

    def as_json(self) -> dict[str, Any]:
        """Return the entry as plain JSON types."""
        return {name: getattr(self, name) for name in ("kind", "identifier", "name", "type", "where", "runs", "depth")}


def entries(elements: tuple[Element, ...], depth: int = 0) -> Iterator[ContentsEntry]:
    """Yield every entry of *elements*, in the order of the file."""
    for element in elements:
        if isinstance(element, Parallel):
            yield from entries(element.children, depth)
            continue
        yield _entry(element, depth)
        if not isinstance(element, Step):
            yield from entries(children_of(element), depth + 1)


def _entry(element: Pipeline | Stage | StepGroup | Step, depth: int) -> ContentsEntry:
    runs = any(step.runs for step, _ in leaves((element,)))
    if isinstance(element, Step):
        words = f"rollback {element.type}" if element.rollback else element.type
        return ContentsEntry("step", element.identifier, element.name, words, element.where, runs, depth)
    about, own = element.header, element.type if isinstance(element, Stage) else ""
    return ContentsEntry(_KINDS[type(element)], about.identifier, about.name, own, about.node.where, runs, depth)
