"""The sections of a file: the parts that run one after the other in a run by steps, as in the cells of a notebook.

A section is a step, all iterations of a loop, or all branches that run at the same time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from buildpush.foundation.records import dataclass
from buildpush.pipeline.loops import loop_of
from buildpush.settings.tree import Element, Parallel, Pipeline, Step, children_of, leaves


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a file that is run at one go.

    Attributes:
        name: its identifier, after those of its stage and groups if another section has the same; it is unique.
        element: the step, the loop, or the parallel branches.
        steps: the steps in it that are run, in their order.
    """

    name: str
    element: Element
    steps: tuple[Step, ...]


def sections_of(tree: Iterable[Element]) -> tuple[Section, ...]:
    """Return the sections of *tree*, in its order."""
    parts = tuple(_sections(tree, ()))
    short, whole = Counter(path[-1] for path, _ in parts), Counter(path for path, _ in parts)
    return tuple(_section(path, element, short, whole, number) for number, (path, element) in enumerate(parts, 1))


def _section(
    path: tuple[str, ...], element: Element, short: Counter[str], whole: Counter[tuple[str, ...]], number: int
) -> Section:
    name = path[-1] if short[path[-1]] == 1 else ".".join(path)
    name = name if whole[path] == 1 else f"{name} #{number}"
    return Section(name, element, tuple(step for step, _ in leaves((element,)) if step.runs))


def _sections(elements: Iterable[Element], around: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Element]]:
    for element in elements:
        if not any(step.runs for step, _ in leaves((element,))):
            continue
        path = (*around, _identifier(element))
        if isinstance(element, Step | Parallel) or loop_of(element) is not None:
            yield path, element
        else:
            yield from _sections(children_of(element), () if isinstance(element, Pipeline) else path)


def _identifier(element: Element) -> str:
    if isinstance(element, Step):
        return element.identifier
    if isinstance(element, Parallel):
        return ", ".join(_identifier(one) for one in element.children if any(step.runs for step, _ in leaves((one,))))
    return element.header.identifier or element.header.name or "steps"
