"""The steps in a document: one step, a list, or a whole pipeline of Harness; and the settings of each."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NoReturn

from buildpush.foundation.documents import Node
from buildpush.foundation.errors import SourceError, UnsupportedError
from buildpush.settings.declare import Setting, settings_of
from buildpush.settings.decode import shown_as
from buildpush.settings.layers import Layer
from buildpush.settings.model import BUILD_STEP, PUBLISH_STEP, STEP_KINDS, BuildAndPush, PublishBuildInfo
from buildpush.settings.variables import known_variables, said_by_variables
from buildpush.settings.written import Origin

PUBLISH_IMAGE = "artifactory-publish-docker-buildinfo"
_WRAPPERS = ("pipeline", "stages", "stage", "steps", "step", "parallel", "stepGroup", "template")
# Keys of a Plugin step that are about the plugin's own container, which does not exist here.
_CONTAINER = (
    "connectorRef",
    "image",
    "privileged",
    "runAsUser",
    "imagePullPolicy",
    "resources",
    "reports",
    "entrypoint",
)
# What is acted on around a step, and what only names and sorts it.
_ACTED_ON = ("identifier", "name", "description", "variables", "when", "strategy")
_INSIDE = {"pipeline": "stages", "stage": "spec", "stepGroup": "steps"}
_LABELS = ("type", "tags", "orgIdentifier", "projectIdentifier", "accountIdentifier")
_LISTED = ("template", "rollbackSteps")  # among the steps that are not run
_USUAL_WHEN = {"stageStatus": "Success", "pipelineStatus": "Success", "condition": "true"}


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around a step: facts for expressions, and conditions and loops that would rule over it."""

    facts: Mapping[str, str]
    rulers: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A step of a document; *model* is ``None`` where buildpush does not run its kind."""

    node: Node
    kind: str
    model: type[BuildAndPush | PublishBuildInfo] | None
    identifier: str
    name: str
    around: Around

    @property
    def about(self) -> str:
        """Kind, name and place, such as ``Run 'Unit tests' (step.yml:12:7)``."""
        return f"{self.kind} {self.name!r} ({self.node.where})" if self.name else f"{self.kind} ({self.node.where})"

    @property
    def facts(self) -> dict[str, str]:
        """What expressions may ask about the step and what is around it."""
        own = {"step.identifier": self.identifier, "step.name": self.name, "step.type": self.kind}
        return {**self.around.facts, **own}


def find_steps(document: Node) -> list[Found]:
    """Return every step of *document* in its order, those of other kinds included.

    Raises:
        SourceError: it holds something that is neither a step nor a known wrapper around steps.
    """
    return list(_steps(document, Around({})))


def refuse_rulers(found: Found) -> None:
    """Refuse a step that stands under a condition or loop, which nothing here acts on.

    Raises:
        UnsupportedError: it does.
    """
    for key, where in found.around.rulers:
        message = f"{key} around the step {found.identifier!r} is not supported yet"
        hint = f"choose the step by --step {found.identifier}, which runs it once, whatever stands around it"
        raise UnsupportedError(message, where=where, setting=key, hint=hint)


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the one of *words* that *word* was probably meant to be, letter case aside."""
    by_lower = {known.lower(): known for known in words}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def reject(what: str, word: str, words: Iterable[str], where: str) -> NoReturn:
    """Refuse a key or name that nothing knows, and say the nearest one that exists.

    Raises:
        SourceError: always.
    """
    words = list(words)
    near = nearest(word, words)
    hint = f"did you mean {near!r}?" if near else f"known are {', '.join(sorted(words))}"
    message = f"unknown {what} {word!r}"
    raise SourceError(message, where=where, hint=hint)


def step_layers(found: Found) -> tuple[Layer, Layer, list[str]]:
    """Return what ``envVariables`` say, what the rest of the step says, and notes about what has no effect.

    Raises:
        SourceError: an unknown key, or one setting said twice.
    """
    model = found.model or BuildAndPush
    variables, settings = Layer(), Layer()
    by_key = {setting.key: setting for setting in settings_of(model) if setting.place == "step"}
    for key, node in found.node.entries.items():
        if key in by_key:
            _add(settings, by_key[key], node, found.node.where_key(key))
        elif key not in {"type", "spec"}:
            reject("key", key, [*by_key, "type", "spec"], found.node.where_key(key))
    spec = found.node.at("spec")
    if spec is None or spec.value is None:
        return variables, settings, []
    _expect_map(spec, "spec")
    read = _plugin_spec if model is PublishBuildInfo else _build_spec
    return variables, settings, read(spec, model, variables, settings)


def _build_spec(
    spec: Node, model: type[BuildAndPush | PublishBuildInfo], variables: Layer, settings: Layer
) -> list[str]:
    by_key = {setting.key: setting for setting in settings_of(model) if setting.place == "spec"}
    ours = {setting.key: setting for setting in settings_of(model) if setting.place == "env"}
    notes: list[str] = []
    for key, node in spec.entries.items():
        where = spec.where_key(key)
        if key == "envVariables":
            notes += _env_variables(node, model, variables)
        elif key in by_key:
            _add(settings, by_key[key], node, where)
        elif key in ours:
            raise _misplaced(ours[key], where)
        else:
            reject("key", key, by_key, where)
    return notes


def _plugin_spec(
    spec: Node, model: type[BuildAndPush | PublishBuildInfo], variables: Layer, settings: Layer
) -> list[str]:
    by_key = {setting.key: setting for setting in settings_of(model) if setting.place == "settings"}
    notes = []
    for key, node in spec.entries.items():
        if key == "envVariables":
            notes += _env_variables(node, model, variables)
        elif key == "settings":
            _expect_map(node, key)
            for name, value in node.entries.items():
                if name not in by_key:
                    reject("key", name, by_key, node.where_key(name))
                _add(settings, by_key[name], value, node.where_key(name))
        elif key in _CONTAINER:
            notes += [f"{spec.where_key(key)}: {key} is about the plugin's container, and there is none here"]
        else:
            reject("key", key, [*_CONTAINER, "settings", "envVariables"], spec.where_key(key))
    # The image names the plugin: it has had its effect.
    return [note for note in notes if ": image is about" not in note]


def _env_variables(node: Node, model: type[BuildAndPush | PublishBuildInfo], layer: Layer) -> list[str]:
    if node.value is None:
        return []
    _expect_map(node, "envVariables")
    known = known_variables(model)
    for name, entry in node.entries.items():
        if name not in known:
            reject("variable", name, known, node.where_key(name))
        if not isinstance(entry.value, str | None):
            message = f"{name} is a variable, so its value is text"
            raise SourceError(message, where=entry.where, hint="separate several entries by commas")
    texts = {name: entry.text for name, entry in node.entries.items()}
    notes: list[str] = []
    for setting in settings_of(model):
        for variable, text in said_by_variables(setting, texts, notes, ambient=True):
            where = node.where_key(variable)
            layer.add(setting, text, Origin("file", where, shown_as(setting, text), variable))
    return notes


def _add(layer: Layer, setting: Setting, node: Node, where: str) -> None:
    if node.value is None:
        return
    raw = node.raw()
    layer.add(setting, raw, Origin("file", where, shown_as(setting, raw), parts=dict(node.places())))


def _misplaced(setting: Setting, where: str) -> SourceError:
    message = f"{setting.key} is a setting of buildpush, which Harness would not know here"
    hint = f"write {setting.variables[0]} under envVariables, or {setting.key} in buildpush.yaml"
    return SourceError(message, where=where, setting=setting.name, hint=hint)


def _expect_map(node: Node, key: str) -> None:
    if not isinstance(node.value, Mapping):
        message = f"{key} is a map of keys and values"
        raise SourceError(message, where=node.where, hint="look at the indentation")


def _steps(node: Node, around: Around) -> Iterator[Found]:
    if isinstance(node.value, tuple):
        for item in node.items:
            yield from _steps(item, around)
        return
    if not isinstance(node.value, Mapping):
        message = "here should be a step"
        raise SourceError(message, where=node.where, hint=f"a step is a map; begin it with type: {BUILD_STEP}")
    wrapper = next((key for key in _WRAPPERS if key in node.entries), None)
    if wrapper and (wrapper != "template" or "type" not in node.entries):
        yield from _unwrapped(wrapper, node, around)
    else:
        yield _found(node, around)


def _unwrapped(wrapper: str, node: Node, around: Around) -> Iterator[Found]:
    inner = node.entries[wrapper]
    if wrapper == "parallel":
        note = f"{node.where_key(wrapper)}: parallel has no effect here: steps run one after the other"
        around = replace(around, notes=(*around.notes, note))
    if wrapper == "pipeline":
        yield from _around("pipeline", inner, around, inner.at("stages"))
    elif wrapper == "stage":
        yield from _around("stage", inner, around, inner.at("spec", "execution", "steps"))
        yield from _rollback(inner.at("spec", "execution", "rollbackSteps"), around)
    elif wrapper == "stepGroup":
        yield from _around("stepGroup", inner, around, inner.at("steps"))
        yield from _rollback(inner.at("rollbackSteps"), around)
    elif wrapper == "template":
        reference = inner.at("templateRef")
        yield Found(node, "template", None, "", reference.text if reference else "", around)
    else:
        for key in node.entries:
            if key != wrapper:
                reject("key", key, [wrapper], node.where_key(key))
        yield from _steps(inner, around)


def _around(kind: str, node: Node, around: Around, steps: Node | None) -> Iterator[Found]:
    """Yield the steps inside a pipeline, stage or group, which adds its facts and rulers."""
    facts, rulers, notes = dict(around.facts), list(around.rulers), list(around.notes)
    for key in ("identifier", "name", "description"):
        if entry := node.at(key):
            facts[f"{kind}.{key}"] = entry.text
    for variable in (node.at("variables") or node).items:
        name, value = variable.at("name"), variable.at("value")
        if name and value:
            facts[f"{kind}.variables.{name.text}"] = value.text
    when = node.at("when")
    if when and not (isinstance(raw := when.raw(), dict) and all(_USUAL_WHEN.get(k) == v for k, v in raw.items())):
        rulers.append(("when", node.where_key("when")))
    if node.at("strategy"):
        rulers.append(("strategy", node.where_key("strategy")))
    notes += _without_effect(node, {*_ACTED_ON, *_LABELS, *_LISTED, _INSIDE[kind]})
    if kind == "stage" and (spec := node.at("spec")):
        notes += _without_effect(spec, {"execution"})
    if steps is not None and steps.value is not None:
        yield from _steps(steps, Around(facts, tuple(rulers), tuple(notes)))
    else:
        yield _closed(kind, node, around)


def _closed(kind: str, node: Node, around: Around) -> Found:
    """Return a pipeline, stage or group whose steps stand elsewhere, as in a template; none of them is run."""
    reference, own = node.at("template", "templateRef"), node.at("type")
    words = f"{own.text} {kind}" if own and own.text else kind
    if reference:
        words = f"{kind} of the template {reference.text}"
    name = node.at("name") or node.at("identifier")
    return Found(node, words, None, "", name.text if name else "", around)


def _rollback(steps: Node | None, around: Around) -> Iterator[Found]:
    """Yield steps that undo a stage: nothing here ever runs them, also where buildpush knows their kind."""
    if steps is not None and steps.value:
        for found in _steps(steps, around):
            yield replace(found, kind=f"rollback {found.kind}", model=None)


def _without_effect(node: Node, known: Collection[str]) -> Iterator[str]:
    for key, entry in node.entries.items():
        if key not in known and entry.value:
            near = nearest(key, known)
            yield f"{node.where_key(key)}: {key} has no effect here{f'; did you mean {near!r}?' if near else ''}"


def _found(node: Node, around: Around) -> Found:
    kind = node.at("type")
    if kind is None or not kind.text:
        near = next((key for key in node.entries if nearest(key, ["type", *_WRAPPERS])), None)
        if near:
            reject("key", near, ["type", *_WRAPPERS], node.where_key(near))
        message = "this step has no type"
        raise SourceError(message, where=node.where, hint=f"write type: {BUILD_STEP}")
    name, identifier = (entry.text if (entry := node.at(key)) else "" for key in ("name", "identifier"))
    model = STEP_KINDS.get(kind.text)
    if kind.text == PUBLISH_STEP and not _is_publisher(node):
        model = None
    usual = "publish_build_info" if model is PublishBuildInfo else "build_and_push"
    identifier = identifier or re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or usual
    return Found(node, kind.text, model, identifier, name or (identifier if model else ""), around)


def _is_publisher(node: Node) -> bool:
    image = node.at("spec", "image")
    return image is not None and image.text.rpartition("/")[2].partition("@")[0].partition(":")[0] == PUBLISH_IMAGE
