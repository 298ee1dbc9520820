"""Images that a step builds without a push: kept as long as the run lasts, for later steps that push them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from buildpush.foundation.locks import temporary
from buildpush.foundation.records import dataclass

if TYPE_CHECKING:
    from buildpush.settings.resolved import ResolvedStep
    from buildpush.settings.tree import Step


@dataclass(frozen=True, slots=True, eq=False)
class KeptImages:
    """Images of one run that were built and not pushed.

    Attributes:
        asked: whether a step of the run pushes what exists already; otherwise none is kept.
        builders: the step that builds an image, by the name of the image.
        files: where it is.
    """

    asked: bool = False
    builders: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, steps: Iterable[Step]) -> KeptImages:
        """Return what is to be kept of *steps*, nothing yet."""
        return cls(any("push_only" in step.settings for step in steps))

    def takes(self, order: ResolvedStep) -> bool:
        """Return whether the image of *order* is kept: nothing else holds it afterwards."""
        return self.asked and order.request is not None and not order.push and not order.tar

    def foresee(self, order: ResolvedStep, step: Step) -> None:
        """Remember that *step* makes the image of *order*, if that is kept."""
        if self.takes(order):
            self.builders.update(dict.fromkeys(map(str, order.references), step.name or step.identifier))

    def new_file(self, order: ResolvedStep, step: Step, stack: ExitStack) -> Path:
        """Return where the image of *order* is put; *stack* removes it in the end."""
        self.foresee(order, step)
        path = stack.enter_context(temporary(what="kept-")) / "image.tar"
        self.files.update(dict.fromkeys(map(str, order.references), path))
        return path

    def with_builder(self, order: ResolvedStep) -> ResolvedStep:
        """Return *order* with the step of this run that builds what it pushes, if one does."""
        source = order.source
        if source is None or str(source.image) not in self.builders:
            return order
        name = str(source.image)
        return replace(order, source=replace(source, built_by=self.builders[name], tar=self.files.get(name)))
