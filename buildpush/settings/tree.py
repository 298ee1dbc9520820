"""A file as a tree: pipeline, stages, groups and steps, each with what is written around it and where."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field, replace
from itertools import chain
from pathlib import Path
from typing import Final, TypeAlias

from buildpush.display.tables import Table, shows_itself
from buildpush.expressions.tree import Value
from buildpush.foundation.documents import Node
from buildpush.foundation.errors import SourceError
from buildpush.foundation.forms import clean_address
from buildpush.foundation.records import dataclass
from buildpush.settings.stepkinds import BUILD, STEP_KINDS, SettingsType, StepKind
from buildpush.settings.words import nearest, reject
from buildpush.settings.written import WrittenValue

_WRAPPERS = ("pipeline", "stages", "stage", "steps", "step", "parallel", "stepGroup", "template")
_CHILDREN: Final = {"pipeline": ("stages",), "stage": ("spec", "execution", "steps"), "stepGroup": ("steps",)}
_ROLLBACK: Final = {"stage": ("spec", "execution", "rollbackSteps"), "stepGroup": ("rollbackSteps",)}
# Keys that have an effect around a step, those that only name and sort it, and those listed as steps that are not run.
_ACTED_ON = ("identifier", "name", "description", "variables", "when", "strategy", "failureStrategies", "timeout")
_LABELS = ("type", "tags", "orgIdentifier", "projectIdentifier", "accountIdentifier", "contextType", "stageType")
ARCHITECTURE_LABELS: Final = ("kubernetes.io/arch", "beta.kubernetes.io/arch")  # of the nodes of a cluster
_LISTED = ("template", "rollbackSteps")
_SAME_WORD: Final = 0.8  # how near a name must be to be suggested for an unknown key, which may well be one of Harness


@dataclass(frozen=True, slots=True)
class Step:
    """One step with its settings by Python name, not typed yet.

    Attributes:
        type: ``BuildAndPushDockerRegistry``, ``Plugin``, ``Run`` and so on; for steps that are elsewhere, as in a
            template, what replaces them.
        settings: by Python name, if it is run.
        where: place of the step, such as ``step.yml:3:5``; ``flags and variables`` or ``keywords and variables``
            without a file.
        kind: its step kind; ``None`` for one that buildpush does not run.
        facts: what the file holds around it, by expression path: ``pipeline.name``, ``stage.variables.x``,
            ``step.identifier``.
        environment: the variables that pipeline, stage, groups and its own ``envVariables`` give it.
        scope: values of the loops around it: ``{"matrix": {"os": "alpine"}}``.
        around: identifiers of the stage, empty without one, and of the groups that it is in.
        runs: whether it is run here: buildpush knows its kind, and it was not left out.
        rollback: whether it undoes a stage or group.
        node: as written; ``None`` without a file.
    """

    identifier: str
    name: str
    type: str
    settings: Mapping[str, WrittenValue]
    where: str
    kind: StepKind | None = BUILD
    facts: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, WrittenValue] = field(default_factory=dict)
    scope: Mapping[str, Value] = field(default_factory=dict)
    around: tuple[str, ...] = ("",)
    runs: bool = True
    rollback: bool = False
    node: Node | None = field(default=None, repr=False)

    @property
    def model(self) -> SettingsType:
        """The model of its settings."""
        return (self.kind or BUILD).model

    @property
    def about(self) -> str:
        """Type, name and place, such as ``Run 'Unit tests' (step.yml:12:7)``."""
        words = f"rollback {self.type}" if self.rollback else self.type
        return f"{words} {self.name!r} ({self.where})" if self.name else f"{words} ({self.where})"


@dataclass(frozen=True, slots=True)
class Header:
    """The entries of a pipeline, stage or group that apply to all of it; each value has its place.

    Attributes:
        node: the whole of it, as written.
        variables: entries with ``name``, ``type``, ``value`` and so on.
        when: the condition under which it is run.
        strategy: its loop.
        failure_strategies: the actions that follow failures.
        notes: sentences about what has no effect.
    """

    node: Node = field(repr=False)
    identifier: str = ""
    name: str = ""
    variables: tuple[Node, ...] = ()
    when: Node | None = None
    strategy: Node | None = None
    failure_strategies: Node | None = None
    timeout: Node | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepGroup:
    """Steps under one condition, loop and failure strategy."""

    header: Header
    children: tuple[Element, ...]
    rollback: tuple[Element, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """The steps of one stage, and the machine that it asks for."""

    header: Header
    children: tuple[Element, ...]
    rollback: tuple[Element, ...] = ()
    type: str = ""
    platform: Node | None = None
    infrastructure: Node | None = None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The stages of a pipeline."""

    header: Header
    children: tuple[Element, ...]


@dataclass(frozen=True, slots=True)
class Parallel:
    """Stages, groups or steps that run at the same time."""

    children: tuple[Element, ...]


Parent: TypeAlias = Pipeline | Stage | StepGroup | Parallel
Element: TypeAlias = Parent | Step


@shows_itself
@dataclass(frozen=True, slots=True)
class Loaded:
    """A file with the settings of the steps that are run, and notes about it.

    Attributes:
        tree: the file; without one, a single step.
        notes: sentences about what has no effect.
        project: the ``buildpush.yaml`` or ``pyproject.toml`` that was read.
    """

    tree: tuple[Element, ...]
    notes: tuple[str, ...] = ()
    file: Path | None = None
    project: Path | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that are run, in their order."""
        return tuple(step for step, _ in leaves(self.tree) if step.runs)

    @property
    def others(self) -> tuple[str, ...]:
        """The steps that are not run, such as ``Run 'Unit tests' (step.yml:12:7)``."""
        return tuple(step.about for step, _ in leaves(self.tree) if not step.runs)

    def tables(self) -> Iterator[Table]:
        """Yield what a notebook shows: the steps, then each setting, its value as written, and where."""
        yield Table(
            [
                *[("file", str(file)) for file in (self.file, self.project) if file],
                *[("step", step.about) for step in self.steps],
                *[("not run", other) for other in self.others],
                *[("note", note) for note in self.notes],
            ]
        )
        settings = [
            (step.name or step.identifier, name, clean_address(one.origin.text or str(one.value)), one.origin.where)
            for step in self.steps
            for name, one in sorted(step.settings.items())
        ]
        if settings:
            yield Table(settings, ("step", "setting", "value", "written"))

    def step(self, identifier: str) -> Step:
        """Return the step with that identifier.

        Raises:
            SourceError: it does not exist.
        """
        for step in self.steps:
            if step.identifier == identifier:
                return step
        message = f"there is no step {identifier!r}"
        raise SourceError(message, hint=f"the steps are {', '.join(step.identifier for step in self.steps)}")


def leaves(elements: tuple[Element, ...], path: tuple[Parent, ...] = ()) -> Iterator[tuple[Step, tuple[Parent, ...]]]:
    """Yield every step in its order, with the branches that it is in, the outermost first."""
    for element in elements:
        if isinstance(element, Step):
            yield element, path
        else:
            yield from leaves(children_of(element), (*path, element))


def with_steps(
    elements: tuple[Element, ...], change: Callable[[Step, tuple[Parent, ...]], Step], path: tuple[Parent, ...] = ()
) -> tuple[Element, ...]:
    """Return the same tree with each step replaced by what *change* returns for it."""
    return tuple(_with_steps(element, change, path) for element in elements)


def _with_steps(
    element: Element, change: Callable[[Step, tuple[Parent, ...]], Step], path: tuple[Parent, ...]
) -> Element:
    if isinstance(element, Step):
        return change(element, path)
    path = (*path, element)
    children = with_steps(element.children, change, path)
    if isinstance(element, Stage | StepGroup):
        return replace(element, children=children, rollback=with_steps(element.rollback, change, path))
    return replace(element, children=children)


def children_of(branch: Parent) -> tuple[Element, ...]:
    """Return the elements in *branch*, and those of its rollback."""
    return (*branch.children, *(branch.rollback if isinstance(branch, Stage | StepGroup) else ()))


def read_tree(document: Node) -> tuple[Element, ...]:
    """Return the content of *document*: a pipeline, stages, steps of any kind, or a single one of these.

    Raises:
        SourceError: it holds something that is neither a step nor a known wrapper around steps, or a step twice.
    """
    elements = _elements(document)
    _refuse_steps_twice(elements)
    _refuse_twice("stage", [(one.header.identifier, one.header.node.where) for one in _stages(elements)])
    return elements


def _elements(document: Node) -> tuple[Element, ...]:
    if isinstance(document.value, tuple):
        return tuple(chain.from_iterable(map(_elements, document.items)))
    if not isinstance(document.value, Mapping):
        message = "a step is expected here"
        raise SourceError(message, where=document.where, hint=f"a step is a map; begin it with type: {BUILD.type}")
    wrapper = next((key for key in _WRAPPERS if key in document.entries), None)
    if wrapper and (wrapper != "template" or "type" not in document.entries):
        return _unwrapped(wrapper, document)
    return (_step(document),)


def _unwrapped(wrapper: str, node: Node) -> tuple[Element, ...]:
    inner = node.entries[wrapper]
    if wrapper in _CHILDREN:
        return (_branch(wrapper, inner),)
    if wrapper == "template":
        return (_by_template(_text(inner, "templateRef"), node),)
    for key in node.entries:
        if key != wrapper:
            reject("key", key, [wrapper], node.where_key(key))
    children = _elements(inner)
    return (Parallel(children),) if wrapper == "parallel" else children


def _branch(kind: str, node: Node) -> Element:
    header, steps = _header(kind, node), node.at(*_CHILDREN[kind])
    children = _elements(steps) if steps is not None and steps.value is not None else (_closed(kind, node),)
    if kind == "pipeline":
        _refuse_twice("stage", [(one.header.identifier, one.header.node.where) for one in _stages(children)])
        return Pipeline(header, children)
    undo = node.at(*_ROLLBACK[kind])
    rollback = with_steps(_elements(undo) if undo is not None and undo.value else (), _undoing)
    if kind == "stepGroup":
        return StepGroup(header, children, rollback)
    _refuse_steps_twice(children)
    platform, infrastructure = node.at("spec", "platform"), node.at("spec", "infrastructure")
    return Stage(header, children, rollback, _text(node, "type"), platform, infrastructure)


def _refuse_steps_twice(elements: tuple[Element, ...]) -> None:
    """Refuse two steps with the same written identifier among *elements*, leaving out those in stages."""
    steps = [step for step, path in leaves(elements) if not any(isinstance(one, Stage) for one in path)]
    written = [step for step in steps if step.node and step.node.at("identifier") and not step.rollback]
    _refuse_twice("step", [(step.identifier, step.where) for step in written if step.identifier])


def _stages(elements: tuple[Element, ...]) -> Iterator[Stage]:
    """Yield the stages with an identifier among *elements*, including those in parallel."""
    for element in elements:
        if isinstance(element, Parallel):
            yield from _stages(element.children)
        elif isinstance(element, Stage) and element.header.identifier:
            yield element


def _header(kind: str, node: Node) -> Header:
    acted_on, condition = {*_ACTED_ON}, node.at("when")
    if kind == "pipeline":  # which has no loop, and a condition in the newer form alone, where it is a map by now
        condition = node.at("if")
        acted_on = (acted_on - {"when", "strategy"}) | ({"if"} if condition and condition.entries else set())
    if any(node.at("stepGroupInfra", "spec", "nodeSelector", key) for key in ARCHITECTURE_LABELS):
        acted_on.add("stepGroupInfra")
    notes = [*_without_effect(node, {*acted_on, *_LABELS, *_LISTED, _CHILDREN[kind][0]})]
    if kind == "stage" and (spec := node.at("spec")):
        is_asked = any(spec.at("infrastructure", "spec", "nodeSelector", key) for key in ARCHITECTURE_LABELS)
        of_machines = ["infrastructure", *(["runtime"] if spec.at("runtime", "kubernetes") else [])] if is_asked else []
        notes += _without_effect(spec, {"execution", "platform", *of_machines})
        notes += _without_effect(spec.at("platform") or spec, {"os", "arch"}) if spec.at("platform") else ()
    return Header(
        node,
        identifier=_text(node, "identifier"),
        name=_text(node, "name"),
        variables=_variables(node),
        when=condition if kind != "pipeline" or "if" in acted_on else None,
        strategy=node.at("strategy") if kind != "pipeline" else None,
        failure_strategies=node.at("failureStrategies"),
        timeout=node.at("timeout"),
        notes=tuple(notes),
    )


def _variables(node: Node) -> tuple[Node, ...]:
    """Return the variables that *node* declares; one that would have no effect is an error."""
    entry = node.at("variables")
    if entry is None or not entry.value:
        return ()
    hint = "write a list of variables, each with name, type and value"
    if not entry.items:
        message = "variables is not a list"
        raise SourceError(message, where=node.where_key("variables"), hint=hint)
    for variable in entry.items:
        name = variable.at("name")
        if name is None or not name.text.strip():
            message = "a variable does not have a name"
            raise SourceError(message, where=variable.where, hint=hint)
    _refuse_twice("variable", [(variable.entries["name"].text, variable.where) for variable in entry.items])
    return tuple(entry.items)


def _refuse_twice(what: str, names: Iterable[tuple[str, str]]) -> None:
    """Refuse equal *names*, each with its place: only one of them would count."""
    places: dict[str, str] = {}
    for name, where in names:
        if name in places:
            message = f"there is already a {what} {name!r}"
            raise SourceError(
                message, where=where, hint=f"give one of them another name; the first is in {places[name]}"
            )
        places[name] = where


def _without_effect(node: Node, known: set[str]) -> Iterator[str]:
    for key, entry in node.entries.items():
        if key not in known and entry.value:
            near = nearest(key, known, cutoff=_SAME_WORD)
            yield f"{node.where_key(key)}: {key} has no effect here{f'; did you mean {near!r}?' if near else ''}"


def _closed(kind: str, node: Node) -> Step:
    """Return the placeholder for steps of a pipeline, stage or group that are in another file, as in a template."""
    reference, own = node.at("template", "templateRef"), _text(node, "type")
    words = f"{own} {kind}" if own else kind
    if reference:
        words = f"{kind} of the template {reference.text}"
    return _elsewhere(words, _text(node, "name") if node.at("name") else _text(node, "identifier"), node)


def _by_template(reference: str, node: Node) -> Step:
    """Return the placeholder for a step that is in the file of a template, under the names that *node* gives it."""
    name, identifier = _text(node, "name"), _text(node, "identifier")
    if not (name or identifier):
        return _elsewhere("template", reference, node)
    step = _elsewhere(f"step of the template {reference}", name or identifier, node)
    return replace(step, identifier=identifier or identifier_from(name))


def _elsewhere(words: str, name: str, node: Node) -> Step:
    return Step("", name, words, {}, node.where, None, runs=False, node=node)


def _undoing(step: Step, _path: tuple[Parent, ...]) -> Step:
    """Return a step of a rollback: it is never run here, even if buildpush supports its kind."""
    return replace(step, runs=False, rollback=True)


def _step(node: Node) -> Step:
    words = _text(node, "type")
    if not words:
        near = next((key for key in node.entries if nearest(key, ["type", *_WRAPPERS])), None)
        if near:
            reject("key", near, ["type", *_WRAPPERS], node.where_key(near))
        if set(node.entries) & {"inputSet", "overlayInputSet"}:
            message = "this is an input set, not a step"
            raise SourceError(message, where=node.where, hint="give it with --inputs, beside the file of its pipeline")
        message = "this step does not have a type"
        raise SourceError(message, where=node.where, hint=f"write type: {BUILD.type}")
    name = _text(node, "name")
    kind = next((kind for kind in STEP_KINDS.values() if kind.recognizes(node)), None)
    identifier = _text(node, "identifier") or identifier_from(name)
    identifier = identifier or (kind or BUILD).identifier
    name = name or (identifier if kind else "")
    facts = {"step.identifier": identifier, "step.name": name, "step.type": words}
    return Step(identifier, name, words, {}, node.where, kind, facts, runs=kind is not None, node=node)


def identifier_from(name: str) -> str:
    """Return the identifier that Harness makes from the *name* of a step, stage or group."""
    return re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")


def _text(node: Node, key: str) -> str:
    entry = node.at(key)
    return entry.text if entry else ""
