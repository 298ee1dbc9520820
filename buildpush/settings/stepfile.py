"""The settings of one step in a step file: of the step, its ``spec`` and its ``envVariables``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import cache
from typing import Final

from buildpush.foundation.documents import Node
from buildpush.foundation.errors import SourceError
from buildpush.foundation.records import dataclass
from buildpush.settings.declare import Setting, camel_case, former_names, settings_of, variable_name
from buildpush.settings.decode import format_setting
from buildpush.settings.layers import SettingsLayer
from buildpush.settings.own_names import with_own_names
from buildpush.settings.plugin_variables import PLUGIN_VARIABLES
from buildpush.settings.step_facts import OF_STEPS
from buildpush.settings.stepkinds import StepKind
from buildpush.settings.variables import known_variables, settings_by
from buildpush.settings.verdicts import note_of, reject_variable
from buildpush.settings.words import reject
from buildpush.settings.written import Origin, WrittenValue

# Keys of a Plugin step that are about the plugin's own container, which does not exist here.
_CONTAINER = (
    "connectorRef",
    "privileged",
    "runAsUser",
    "imagePullPolicy",
    "resources",
    "reports",
    "entrypoint",
)
# Keys that Harness adds to a step that it exports, and that mean nothing here.
_EXPORTED: Final = frozenset({"contextType"})


@dataclass(frozen=True, slots=True)
class StepLayers:
    """The settings of one step: from its ``envVariables``, and from the rest of it.

    Attributes:
        environment: those of the ``envVariables`` that are not settings, for ``envDockerSecrets`` and
            ``PLUGIN_BUILD_ARGS_FROM_ENV``.
        notes: sentences about what has no effect.
    """

    variables: SettingsLayer = field(default_factory=SettingsLayer)
    settings: SettingsLayer = field(default_factory=SettingsLayer)
    environment: dict[str, WrittenValue] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def step_layers(node: Node, kind: StepKind) -> StepLayers:
    """Return the settings of a step.

    Raises:
        SourceError: an unknown key, or one setting set twice.
    """
    layers = StepLayers()
    by_key = _settings_by_key(kind, "step")
    for key, entry in node.entries.items():
        if key in by_key:
            _add(layers.settings, by_key[key], entry, node.where_key(key))
        elif key not in {"type", "spec", *_EXPORTED}:
            reject("key", key, [*by_key, "type", "spec"], node.where_key(key), former=_former_keys(by_key))
    spec = node.at("spec")
    if spec is not None and spec.value is not None:
        _expect_map(spec, "spec")
        _spec(spec, kind, layers)
    return layers


def _spec(spec: Node, kind: StepKind, layers: StepLayers) -> None:
    """Read the spec; the settings of a plugin are one level deeper."""
    by_key, env = ({}, {}) if kind.image else (_settings_by_key(kind, "spec"), _settings_by_key(kind, "env"))
    container = _CONTAINER if kind.image else ()
    for key, node in spec.entries.items():
        where = spec.where_key(key)
        if key == "envVariables":
            _env_variables(node, kind, layers, _used_variables(spec))
        elif key in by_key:
            _add(layers.settings, by_key[key], node, where)
        elif key == "settings" and kind.image and kind.builds:
            _plugin_variables(node, kind, layers)
        elif key == "settings" and kind.image:
            _plugin_settings(node, _settings_by_key(kind, key), layers.settings)
        elif key in container:
            layers.notes.append(f"{where}: {key} is about the plugin's container, which does not exist here")
        elif key in env:
            raise _misplaced(env[key], where)
        elif not (key == "image" and kind.image):  # it names the plugin, which has chosen the kind
            known = [*container, "image", "settings", "envVariables"] if kind.image else by_key
            reject("key", key, known, where, former=_former_keys({**by_key, **env}))


def _used_variables(spec: Node) -> frozenset[str]:
    """Return the names of variables that hold build secrets or build arguments."""
    secrets, arguments = spec.at("envDockerSecrets"), spec.at("envVariables", variable_name("build_args_from_env"))
    names = [entry.text for entry in secrets.entries.values()] if secrets else []
    names += [name.strip() for name in (arguments.text.split(",") if arguments else ())]
    for key in ("build_args_from_env", "secrets_from_env"):  # as settings of a plugin
        if node := spec.at("settings", key):
            texts = [item.text for item in node.items] or node.text.split(",")
            names += [text.rpartition("=")[2].strip() for text in texts]
    return frozenset(names)


def _plugin_settings(node: Node, by_key: Mapping[str, Setting], settings: SettingsLayer) -> None:
    _expect_map(node, "settings")
    for name, value in node.entries.items():
        if name not in by_key:
            reject("key", name, by_key, node.where_key(name), former=former_names(by_key.values()))
        _add(settings, by_key[name], value, node.where_key(name))


def _former_keys(by_key: Mapping[str, Setting]) -> dict[str, str]:
    return former_names(by_key.values(), camel_case)


@cache
def _settings_by_key(kind: StepKind, place: str) -> Mapping[str, Setting]:
    return {setting.key: setting for setting in settings_of(kind.model) if setting.place == place}


def _without_effect(kind: StepKind, name: str, node: Node, where: str, known: Mapping[str, Setting]) -> str:
    """Return the note about a variable that sets nothing, or raise an error if it is refused."""
    if not kind.builds:
        reject_variable("variable", name, known, where)
    return note_of("variable", name, str(node.raw()), where, known)


def _plugin_variables(node: Node, kind: StepKind, layers: StepLayers) -> None:
    """Read settings that are variables in lower case, with lists and maps."""
    _expect_map(node, "settings")
    known = known_variables(kind.model)
    names: dict[str, str] = {}
    for key, entry in node.entries.items():
        name = variable_name(key)
        if name in names:
            message = f"{key} is set here and as {names[name]}"
            raise SourceError(message, where=node.where_key(key), hint="keep one of them")
        if name in known:
            names[name] = key
        elif name in PLUGIN_VARIABLES:
            layers.notes.append(note_of("setting", name, str(entry.raw()), node.where_key(key), known))
        else:
            reject_variable("key", name, known, node.where_key(key), others=PLUGIN_VARIABLES, key=key)
    values = {name: node.entries[key].raw() for name, key in names.items()}
    for setting, variable, raw in settings_by(kind.model, values, layers.notes):
        place, parts = node.where_key(names[variable]), dict(node.entries[names[variable]].places())
        layers.settings.add(setting, raw, Origin("file", place, format_setting(setting, raw), variable, parts))


def _env_variables(node: Node, kind: StepKind, layers: StepLayers, used: frozenset[str]) -> None:
    if not node.value:
        return
    _expect_map(node, "envVariables")
    known = known_variables(kind.model)
    entries, written_names = with_own_names(kind.image, node.entries, layers.notes)
    for name, entry in entries.items():
        if name not in known and name not in used | OF_STEPS:
            layers.notes.append(_without_effect(kind, name, entry, node.where_key(name), known))
        elif not isinstance(entry.value, str | None):
            message = f"{name} is a variable, so its value is text"
            raise SourceError(message, where=entry.where, hint="separate several entries by commas")
    texts = {name: entry.text for name, entry in entries.items() if name in known}
    for name in (used | OF_STEPS) & node.entries.keys():
        text = node.entries[name].text
        layers.environment[name] = WrittenValue(text, Origin("file", node.where_key(name), text, name))
    for setting, variable, raw in settings_by(kind.model, texts, layers.notes, ambient=True):
        name = written_names[variable]
        origin = Origin("file", node.where_key(name), format_setting(setting, raw), name)
        layers.variables.add(setting, raw, origin)


def _add(layer: SettingsLayer, setting: Setting, node: Node, where: str) -> None:
    if node.value is None:
        return
    raw = node.raw()
    layer.add(setting, raw, Origin("file", where, format_setting(setting, raw), parts=dict(node.places())))


def _misplaced(setting: Setting, where: str) -> SourceError:
    message = f"{setting.key} is a setting of buildpush, which Harness would not accept here"
    hint = f"write {setting.variables[0]} under envVariables, or {setting.key} in buildpush.yaml"
    return SourceError(message, where=where, setting=setting.name, hint=hint)


def _expect_map(node: Node, key: str) -> None:
    if not isinstance(node.value, Mapping):
        message = f"{key} is a map of keys and values"
        raise SourceError(message, where=node.where, hint="look at the indentation")
