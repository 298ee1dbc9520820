"""The iterations of a step, group or stage under a loop: each is a copy with its own names and values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final

from buildpush.expressions.facts import AXES, Facts
from buildpush.expressions.tree import Value
from buildpush.foundation.errors import BuildPushError
from buildpush.foundation.records import dataclass
from buildpush.pipeline.step_values import place_of
from buildpush.settings.conditions import Condition
from buildpush.settings.evaluate import evaluate_raw, evaluate_structure
from buildpush.settings.loops import NEWER, Iteration, before_loop, node_name, read_loop
from buildpush.settings.tree import (
    Element,
    Parallel,
    Pipeline,
    Stage,
    Step,
    StepGroup,
    identifier_from,
    leaves,
    with_steps,
)
from buildpush.settings.written import Origin, WrittenValue, written_at

Loopable = Step | Stage | StepGroup
_TYPE_NAMES: Final = {Step: "step", Stage: "stage", StepGroup: "stepGroup"}
# Beside HARNESS_NODE_INDEX and HARNESS_NODE_TOTAL.
_COUNTED: Final = {Step: ("STEP",), Stage: ("STAGE",)}


@dataclass(frozen=True, slots=True)
class Iterations:
    """The iterations of an element.

    Attributes:
        elements: the copies, in their order.
        at_once: how many run at the same time; ``None`` if the loop does not set it.
        queued: how many of the copies are started even if others have failed.
        condition: of a ``while``: each iteration is run only if this is true before it.
    """

    elements: tuple[Loopable, ...]
    at_once: int | None
    queued: int
    condition: Condition | None = None


def loop_of(element: Step | Stage | StepGroup | Pipeline) -> WrittenValue | None:
    """Return the ``strategy`` of *element*; a pipeline has none."""
    if isinstance(element, Pipeline):
        return None
    if isinstance(element, Step):
        return element.settings.get("strategy")
    return written_at(element.header.node, "strategy") if element.header.strategy else None


def loop_identifier(element: Loopable) -> str:
    """Return the identifier of the loop of *element*; without one, it is made from its name, or is its type."""
    if isinstance(element, Step):
        return element.identifier
    return element.header.identifier or identifier_from(element.header.name) or _TYPE_NAMES[type(element)]


def whole_loop(written: WrittenValue, facts: Facts) -> WrittenValue:
    """Return a ``strategy`` as a map, also where an expression stands for all of it.

    Raises:
        SettingsError: the expression cannot be evaluated, or gives neither JSON nor YAML.
    """
    if not isinstance(written.value, dict) or NEWER not in written.value:
        return evaluate_structure("strategy", written, facts)
    if set(written.value) > {NEWER}:
        return written
    written = evaluate_structure("strategy", replace(written, value=written.value[NEWER]), facts)
    if not isinstance(written.value, dict):
        return written
    return replace(written, value={**written.value, NEWER: "true"})


def is_in_loop(tree: tuple[Element, ...]) -> bool:
    """Return whether a step of *tree* that is run, or something around it, has a ``strategy``."""
    around = (part for step, path in leaves(tree) if step.runs for part in (step, *path))
    return any(loop_of(part) for part in around if not isinstance(part, Parallel))


def first_iterations(tree: tuple[Element, ...], facts: Facts) -> tuple[Element, ...]:
    """Return *tree* with the first iteration of each loop in its place, and all steps with what is around them.

    A loop that is not known before a run stays as it is.
    """
    elements = tuple(_first_iteration(element, facts) for element in tree)
    return with_steps(elements, lambda step, path: replace(step, around=place_of(path)))


def _first_iteration(element: Element, facts: Facts) -> Element:
    step = next((step for step, _ in leaves((element,)) if step.runs), None)
    if step is None:
        return element
    if not isinstance(element, Pipeline | Parallel) and (loop := loop_of(element)):
        with suppress(BuildPushError):
            element = iterate(element, loop, facts.within(step.scope, step.facts)).elements[0]
    if isinstance(element, Step):
        return element
    return replace(element, children=tuple(_first_iteration(child, facts) for child in element.children))


def iterate(element: Loopable, written: WrittenValue, facts: Facts) -> Iterations:
    """Return the iterations of *element*, whose ``strategy`` is *written*.

    Args:
        element: a step, group or stage.
        written: the loop, with its expressions.
        facts: give values to them, outside the loop.

    Raises:
        SettingsError: it is not a loop, or holds an expression that cannot be evaluated.
    """
    written = whole_loop(written, facts)
    before = replace(written, value=before_loop(written.value))
    kept = ("condition",) if isinstance(before.value, dict) and "while" in before.value else ()
    loop = read_loop(evaluate_raw("strategy", before, facts, kept), written.origin)
    name = node_name(written.value)
    copies, axes = [], _axes(loop.iterations)
    for number, iteration in enumerate(loop.iterations):
        scope = _scope(element, iteration, {"iteration": number, "iterations": len(loop.iterations), AXES: axes})
        label = str(_label(name, written, facts.within(_inner(scope, facts.scope)))) if name else ""
        copies.append(_copy(element, scope, iteration.suffix, label))
    queued = (loop.at_once or len(copies)) if loop.skips_queued else len(copies)
    return Iterations(tuple(copies), loop.at_once, queued, loop.condition)


def _label(name: str, written: WrittenValue, facts: Facts) -> object:
    return evaluate_raw("nodeName", replace(written, value=name), facts)


def _axes(iterations: Iterable[Iteration]) -> list[Value]:
    """Return the axes of all *iterations* together: an entry of ``include`` need not have them all."""
    return list(dict.fromkeys(axis for one in iterations for axis in _mapping(one.values.get("matrix"))))


def _scope(element: Loopable, iteration: Iteration, strategy: Mapping[str, Value]) -> Mapping[str, Value]:
    suffix = {"identifierPostFix": iteration.suffix}
    values: dict[str, Value] = dict(iteration.values)
    own: Mapping[str, Value] = {**values, **suffix} if isinstance(element, Stage) else suffix
    around: dict[str, Value] = {
        "strategy": {**strategy, **suffix, **_mapping(values.get("repeat"))},  # the newer form has strategy.item
        _TYPE_NAMES[type(element)]: own,
    }
    words = ("NODE", *_COUNTED.get(type(element), ()))
    counted = (("INDEX", "iteration"), ("TOTAL", "iterations"))
    env = {f"HARNESS_{word}_{name}": str(strategy[of]) for word in words for name, of in counted}
    return {**values, **around, "env": env}


def _copy(element: Loopable, scope: Mapping[str, Value], suffix: str, label: str) -> Loopable:
    """Return *element* as one iteration of it; the steps inside get the names that Harness gives it."""
    if isinstance(element, Step):
        settings = {name: one for name, one in element.settings.items() if name != "strategy"}
        return replace(_inside(element, scope, suffix, ("step", element.identifier), label), settings=settings)
    header = element.header
    renamed = replace(
        header,
        identifier=f"{header.identifier}{suffix}",
        name=label or f"{header.name or header.identifier}{suffix}",
        strategy=None,
    )
    loop = (_TYPE_NAMES[type(element)], loop_identifier(element))
    children = with_steps(element.children, lambda step, _: _inside(step, scope, suffix, loop, label))
    return replace(element, header=renamed, children=children)


def _inside(step: Step, scope: Mapping[str, Value], suffix: str, loop: tuple[str, str], label: str) -> Step:
    """Return *step* as it is in an iteration of *loop*, which is given by its type and identifier."""
    kind, identifier = loop
    facts = {**step.facts, "strategy.currentStatus": f"<+strategy.node.{identifier}.currentStatus>"}
    for key, text in ((f"{kind}.identifier", ""), (f"{kind}.name", label)):
        if key in facts:
            facts[key] = text or f"{facts[key]}{suffix}"
    is_looped = kind == "step"
    own = label if is_looped else ""
    name = own or f"{step.name or step.identifier}{suffix}"
    return replace(
        step,
        identifier=f"{step.identifier}{suffix}" if is_looped else step.identifier,
        name=name,
        facts=facts,
        scope=_inner(scope, step.scope),
        environment={**step.environment, **_variables(step, _mapping(scope["env"]))},
    )


def _inner(scope: Mapping[str, Value], outer: Mapping[str, Value]) -> dict[str, Value]:
    """Return *outer* overridden by *scope*; axes of a matrix and variables of outer loops stay available."""
    joined = {key: {**_mapping(outer.get(key)), **_mapping(scope[key])} for key in ("matrix", "env") if key in scope}
    return {**outer, **scope, **joined}


def _mapping(value: Value) -> Mapping[str, Value]:
    return value if isinstance(value, Mapping) else {}


def _variables(step: Step, values: Mapping[str, Value]) -> Mapping[str, WrittenValue]:
    texts = {name: str(value) for name, value in values.items()}
    return {name: WrittenValue(text, Origin("file", step.where, text, name)) for name, text in texts.items()}
