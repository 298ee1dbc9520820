"""What pipeline, stage and groups give to a step inside them: values for expressions, variables, and a platform."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from buildpush.foundation.documents import Node
from buildpush.foundation.errors import SourceError
from buildpush.foundation.regex import regex
from buildpush.settings.declare import settings_of
from buildpush.settings.decode import check_secret, format_setting, format_value
from buildpush.settings.layers import SettingsLayer
from buildpush.settings.own_names import with_own_names
from buildpush.settings.plugin_variables import PLUGIN_VARIABLES
from buildpush.settings.step_facts import OF_STEPS
from buildpush.settings.step_settings import CommonSettings
from buildpush.settings.stepkinds import StepKind, models
from buildpush.settings.tree import (
    ARCHITECTURE_LABELS,
    Element,
    Parallel,
    Parent,
    Pipeline,
    Stage,
    StepGroup,
    identifier_from,
)
from buildpush.settings.variables import known_variables, settings_by
from buildpush.settings.verdicts import note_of
from buildpush.settings.written import Origin, WrittenValue

_WORDS: Final = {Pipeline: "pipeline", Stage: "stage", StepGroup: "stepGroup"}
_WRAPPERS: Final = ("stage", "step", "stepGroup", "template")
_SCOPES: Final = {
    "orgIdentifier": "org.identifier",
    "projectIdentifier": "project.identifier",
    "accountIdentifier": "account.identifier",
}
_NAME: Final = regex(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SYSTEMS: Final = {"macos": "linux"}  # a builder on a Mac makes images of Linux


# ---- answers


def values_around(path: tuple[Parent, ...], known: dict[int, dict[str, str]]) -> dict[str, str]:
    """Return the values for expressions from everything around a step, the outermost first.

    Each value has the path of where it is written: ``stage.variables.x``, ``pipeline.stages.build.spec.platform.arch``.

    Args:
        path: what is around the step.
        known: the values of the parents in the same tree that were returned before.
    """
    values: dict[str, str] = {}
    for branch in path:
        if not isinstance(branch, Parallel):
            node = branch.header.node
            if id(node) not in known:
                known[id(node)] = _branch_values(_WORDS[type(branch)], node)
            values |= known[id(node)]
    return values


def _branch_values(word: str, node: Node) -> dict[str, str]:
    scopes = {name: node.entries[key].text for key, name in _SCOPES.items() if key in node.entries}
    return {**scopes, **_identifier(word, node), **dict(_written(word, node))}


def _identifier(word: str, node: Node) -> dict[str, str]:
    """Return the identifier that Harness makes from a name where none is written."""
    name = node.at("name")
    identifier = identifier_from(name.text) if name and "identifier" not in node.entries else ""
    return {f"{word}.identifier": identifier} if identifier else {}


def _written(path: str, node: Node) -> Iterator[tuple[str, str]]:
    """Yield every text below *node* by its path; items of a list by their identifier, variables by their name."""
    if isinstance(node.value, str):
        yield path, node.value
    for key, entry in node.entries.items():
        if key == "variables":
            yield from _variable_values(f"{path}.variables", entry)
        elif entry.items:
            yield from _listed(f"{path}.{key}", entry)
        else:
            yield from _written(f"{path}.{key}", entry)


def _listed(path: str, node: Node) -> Iterator[tuple[str, str]]:
    for item in node.items:
        if parallel := item.at("parallel"):
            yield from _listed(path, parallel)
        inner = next((item.entries[key] for key in _WRAPPERS if key in item.entries), item)
        if (identifier := inner.at("identifier")) and identifier.text:
            yield from _written(f"{path}.{identifier.text}", inner)


def _variable_values(path: str, node: Node) -> Iterator[tuple[str, str]]:
    for variable in node.items:
        name, text = variable.at("name"), variable_text(variable)
        if name and text is not None:
            yield f"{path}.{name.text}", text


def variable_text(variable: Node) -> str | None:
    """Return the value of a variable, as text with expressions; ``None`` where nothing is written.

    A ``default`` counts where the value is empty or an input; a variable of the type Secret names a secret.
    """
    value, default, kind = variable.at("value"), variable.at("default"), variable.at("type")
    if value is None and default is None:
        return None
    text, fallback = value.text if value else "", default.text if default else ""
    if not text:
        text = fallback
    elif fallback and text.startswith("<+input>") and ".default(" not in text:
        text += f".default({_quoted(fallback)})"
    if kind and kind.text.strip().lower() == "secret" and text and "secrets.getValue" not in text:
        return f"<+secrets.getValue({_quoted(text)})>"
    return text


def _quoted(text: str) -> str:
    return f"'{text}'" if '"' in text else f'"{text}"'


# ---- variables


def environment(path: tuple[Parent, ...]) -> dict[str, tuple[str, WrittenValue]]:
    """Return the variables that a step gets from pipeline, stage and groups: text, and the path of its value."""
    variables: dict[str, tuple[str, WrittenValue]] = {}
    for branch in path:
        if not isinstance(branch, Parallel):
            for variable in branch.header.variables:
                variables |= _environment(_WORDS[type(branch)], variable)
    return variables


def _environment(word: str, variable: Node) -> dict[str, tuple[str, WrittenValue]]:
    name, text = variable.at("name"), variable_text(variable)
    if not (name and text and _NAME.match(name.text)):
        return {}
    place = variable.at("value") or variable
    origin = Origin("file", place.where, format_value(text), name.text)
    return {name.text: (text, WrittenValue(f"<+{word}.variables.{name.text}>", origin))}


def variables_layer(kind: StepKind, around: Mapping[str, tuple[str, WrittenValue]], notes: list[str]) -> SettingsLayer:
    """Return the settings from the variables *around* a step.

    Raises:
        UnsupportedError: Harness' plugin would act on one of them, and nothing here does.
        SourceError: the name of an unknown one begins with ``PLUGIN_``.
        SecretError: one holds a secret as plain text.
    """
    known = known_variables(*models())
    around, written_names = with_own_names(kind.image, around, notes)
    for name, (text, written) in around.items() if kind.builds else ():
        if name not in {*known, *OF_STEPS} and (name in PLUGIN_VARIABLES or name.startswith("PLUGIN_")):
            notes.append(note_of("variable", name, text, written.origin.where, known))
    layer, texts = SettingsLayer(), {name: text for name, (text, _) in around.items()}
    for setting, name, raw in settings_by(kind.model, texts, notes, ambient=True):
        place = around[name][1].origin.where
        origin = Origin("file", place, format_setting(setting, raw), written_names[name])
        check_secret(setting, raw, origin)
        layer.add(setting, raw, origin)
    expressions = {written_names[name]: written.value for name, (_, written) in around.items()}
    for key, (value, origin) in layer.values.items():
        if isinstance(value, str):  # becomes an expression with its name, so that --var can give another value
            layer.values[key] = (expressions[origin.variable], origin)
    return layer


# ---- platform


def platform_layer(model: type[CommonSettings], path: tuple[Parent, ...]) -> SettingsLayer:
    """Return the platform of the stage's machine, where the stage names its architecture."""
    layer = SettingsLayer()
    setting = next((one for one in settings_of(model) if one.name == "platforms"), None)
    stage = next((branch for branch in reversed(path) if isinstance(branch, Stage)), None)
    if setting and stage and (machine := _machine(stage, path)):
        text, node = machine
        layer.add(setting, [text], Origin("file", node.where, text))
    return layer


def _machine(stage: Stage, path: tuple[Parent, ...]) -> tuple[str, Node] | None:
    """Return the platform that *stage* sets, and the place of its architecture."""
    system, node = _platform(stage, "os"), _platform(stage, "arch")
    word = _lower(system, "stage.spec.platform.os") if system and system.text else "linux"
    for of, root in () if system else _infrastructures(stage, path):
        if (system := of.at("spec", "os")) and system.text:
            word = _lower(system, f"{root}.spec.infrastructure.spec.os")
    label = next(_labels(stage, path), None)
    if node and node.text:
        own = _lower(node, "stage.spec.platform.arch")
        if label and "<" not in f"{own}{label[0]}" and own != label[0]:
            message = f"arch of the platform is {own}, and the nodes that infrastructure asks for are {label[0]}"
            raise SourceError(message, where=node.where, hint="leave one of them out")
        return f"{_SYSTEMS.get(word, word)}/{own}", node
    if label is None and system and word == "windows":
        return "windows/amd64", system  # the architecture of such machines, where nothing names one
    return (f"{_SYSTEMS.get(word, word)}/{label[0]}", label[1]) if label else None


def _labels(stage: Stage, path: tuple[Parent, ...]) -> Iterator[tuple[str, Node]]:
    """Yield the architectures of the nodes that a group in *path*, or *stage*, asks for, and their places."""
    groups = (branch.header.node.at("stepGroupInfra") for branch in reversed(path) if isinstance(branch, StepGroup))
    infrastructures = [(of, "stepGroup.stepGroupInfra") for of in groups if of]
    infrastructures += [(of, f"{root}.spec.infrastructure") for of, root in _infrastructures(stage, path)]
    for of, root in infrastructures:
        labels = of.at("spec", "nodeSelector")
        for key in ARCHITECTURE_LABELS:
            if labels and (node := labels.at(key)) and node.text:
                yield _lower(node, f'{root}.spec.nodeSelector["{key}"]'), node


def _platform(stage: Stage, key: str) -> Node | None:
    """Return *key* of the platform of *stage*; one that cannot be read is an error."""
    entry = stage.platform.at(key) if stage.platform else None
    hint = "write platform: {os: Linux, arch: Amd64}"
    if stage.platform and stage.platform.value and not stage.platform.entries:
        message = "platform is not a map"
        raise SourceError(message, where=stage.platform.where, hint=hint)
    if entry and entry.value and not isinstance(entry.value, str):
        message = f"{key} of the platform is not a word"
        raise SourceError(message, where=entry.where, hint=hint)
    return entry


def _infrastructures(stage: Stage, path: tuple[Parent, ...]) -> Iterator[tuple[Node, str]]:
    """Yield the infrastructure of *stage*, or of the stage that it refers to, and that stage's path in expressions."""
    if stage.infrastructure is None:
        return
    used = stage.infrastructure.at("useFromStage")
    if used is None:
        yield stage.infrastructure, "stage"
        return
    others = [other for other in stages_of(path) if other is not stage and other.header.identifier == used.text]
    if not others and "<+" not in used.text and any(isinstance(one, Pipeline) for one in path):
        message = f"there is no other stage {used.text!r} whose infrastructure could be used"
        raise SourceError(message, where=used.where, hint="write the identifier of a stage of this pipeline")
    for other in others:
        if other.infrastructure:
            yield other.infrastructure, f"pipeline.stages.{used.text}"


def stages_of(elements: Iterable[Element]) -> Iterator[Stage]:
    """Yield the stages below *elements*, in the order of the file."""
    for element in elements:
        if isinstance(element, Stage):
            yield element
        elif isinstance(element, Pipeline | Parallel):
            yield from stages_of(element.children)


def _lower(node: Node, path: str) -> str:
    """Return the word in lower case; for an expression, one that does so with the value at *path*."""
    return f"<+{path}.toLowerCase()>" if "<+" in node.text else node.text.lower()
