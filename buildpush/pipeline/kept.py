"""Images that a step builds without a push: kept as long as the run lasts, for later steps that push them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from buildpush.foundation.errors import BadNameError
from buildpush.foundation.locks import temporary
from buildpush.foundation.records import dataclass
from buildpush.images.references import Reference, Repository

if TYPE_CHECKING:
    from buildpush.settings.resolved import ResolvedStep
    from buildpush.settings.tree import Step


@dataclass(frozen=True, slots=True, eq=False)
class KeptImages:
    """Images of one run that were built and not pushed.

    Attributes:
        is_needed: whether a step of the run pushes an existing image by its name; otherwise none is kept.
        builders: the step that builds an image, by the name of the image.
        files: the file of an image, by its name.
        references: the full name of an image, by its name as a step writes it, without the host of a connector.
    """

    is_needed: bool = False
    builders: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    references: dict[str, Reference] = field(default_factory=dict)

    @classmethod
    def of(cls, steps: Iterable[Step]) -> KeptImages:
        """Return the table for *steps*, still empty."""
        return cls(any("push_only" in step.settings and "source_tar_path" not in step.settings for step in steps))

    def keeps(self, order: ResolvedStep) -> bool:
        """Return whether the image of *order* is kept for later steps, even if it is written elsewhere as well."""
        return self.is_needed and order.builds and not order.push

    def add_builder(self, order: ResolvedStep, step: Step) -> None:
        """Remember that *step* builds the image of *order*, if that is kept."""
        if self.keeps(order):
            self.builders.update(dict.fromkeys(map(str, order.references), step.name or step.identifier))
            self.references.update(_as_written(order))

    def new_file(self, order: ResolvedStep, step: Step, stack: ExitStack) -> Path:
        """Return the file for the image of *order*; *stack* removes it at the end."""
        self.add_builder(order, step)
        path = stack.enter_context(temporary(what="kept-")) / "image.tar"
        self.files.update(dict.fromkeys(map(str, order.references), path))
        return path

    def with_builder(self, order: ResolvedStep) -> ResolvedStep:
        """Return *order* with the step of this run that builds the image to push, if there is one."""
        source = order.source
        if source is None or source.image is None:
            return order
        image = source.image if str(source.image) in self.builders else self.references.get(str(source.image))
        if image is None:
            return order
        builder, file = self.builders[str(image)], self.files.get(str(image))
        return replace(order, source=replace(source, image=image, built_by=builder, tar=file))


def _as_written(order: ResolvedStep) -> Iterator[tuple[str, Reference]]:
    """Yield each name of the image of *order* as its ``repo`` writes it, with the full name."""
    with suppress(BadNameError):
        repository = Repository.parse(str(getattr(order.settings, "repo", "")))
        for reference in order.references:
            if reference.tag:
                yield str(repository.tagged(reference.tag)), reference
