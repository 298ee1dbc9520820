"""JSON schemas for editors: completion, and a red line under a wrong key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from buildpush.settings.declare import Setting, camel_case, settings_of
from buildpush.settings.plugin_variables import PLUGIN_VARIABLES
from buildpush.settings.step_settings import CommonSettings
from buildpush.settings.stepkinds import STEP_KINDS, StepKind, models
from buildpush.settings.variables import known_variables

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Scalars keep their source text, so 1.10 without quotes is as good as with them.
_SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean"]}
# Variables of the plugins that set nothing: they give a note, or are refused unless they ask for the default.
_WITHOUT_EFFECT: dict[str, Any] = {
    name: {"description": f"without effect: {row.note or row.refusal}"}
    for name, row in PLUGIN_VARIABLES.items()
    if row.note or row.refusal
}
# Keys of what holds steps or has another form: the schema accepts any content there.
_WHOLE = ("pipeline", "stages", "stage", "steps", "stepGroup", "parallel", "execution", "template", "uses", "kind")
_EXPRESSION: dict[str, Any] = {"type": "string", "pattern": "<\\+"}


def schema(document: Literal["project", "step"] = "project") -> dict[str, Any]:
    """Return the JSON schema of ``buildpush.yaml``, or of a step file: one step, or a list, or what holds steps."""
    if document == "project":
        properties = {key: one for model in models() for key, one in _project(model).items()}
        return {"$schema": DIALECT, "title": "buildpush.yaml", **_object(properties)}
    step, others = {"anyOf": [_step(kind) for kind in STEP_KINDS.values()]}, list(_other_steps())
    wrapped = _object({"step": {"anyOf": [step, *others]}}) | {"required": ["step"]}
    one = {"anyOf": [step, wrapped, *others, *({"type": "object", "required": [key]} for key in _WHOLE)]}
    return {"$schema": DIALECT, "title": "step file", "anyOf": [one, {"type": "array", "items": one}]}


def _other_steps() -> Iterator[dict[str, Any]]:
    """Yield schemas that accept the steps that are not run here, and those of templates."""
    names = "|".join(kind.image.rpartition("/")[2] for kind in STEP_KINDS.values() if kind.image)
    other = {"properties": {"image": {"not": {"pattern": f"(^|/)({names})(:|@|$)"}}}}
    yield {"type": "object", "required": ["type"], "properties": {"type": {"not": {"enum": _types()}}}}
    yield {"type": "object", "required": ["type"], "properties": {"type": {"const": "Plugin"}, "spec": other}}
    yield {"type": "object", "required": ["template"]}


def _types() -> list[str]:
    return sorted({kind.type for kind in STEP_KINDS.values()})


def _project(model: type[CommonSettings]) -> dict[str, Any]:
    return {
        camel_case(setting.name): _property(setting)
        for setting in settings_of(model)
        if setting.name != "env_variables" and (setting.place != "step" or setting.name == "timeout")
    }


def _step(kind: StepKind) -> dict[str, Any]:
    placed = _plugin_settings(kind.model) if kind.image and kind.builds else _placed(kind.model, kind.place)
    variables = {"envVariables": _object(_env_variables(kind))}
    spec = _object(placed | variables)
    if kind.image:
        own = {"settings": _object(placed), "image": {"type": "string"}, **variables}
        spec = {"type": "object", "properties": own, "required": ["image", "settings"]}
    properties = {"type": {"const": kind.type}, **_placed(kind.model, "step"), "spec": spec}
    return _object(properties) | {"required": ["type", "spec"]}


def _plugin_settings(model: type[CommonSettings]) -> dict[str, Any]:
    known = {name: _property(setting) for name, setting in known_variables(model).items()}
    return {name.removeprefix("PLUGIN_").lower(): one for name, one in (_WITHOUT_EFFECT | known).items()}


def _placed(model: type[CommonSettings], place: str) -> dict[str, Any]:
    return {setting.key: _property(setting) for setting in settings_of(model) if setting.place == place}


def _env_variables(kind: StepKind) -> dict[str, Any]:
    known = {name: _SCALAR | {"description": one.sentence} for name, one in known_variables(kind.model).items()}
    return (_WITHOUT_EFFECT if kind.builds else {}) | known


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _property(setting: Setting) -> dict[str, Any]:
    described: dict[str, Any] = {"description": setting.sentence}
    if setting.default not in (None, "", (), {}):
        described["default"] = list(setting.default) if isinstance(setting.default, tuple) else setting.default
    return _shape(setting) | described


def _shape(setting: Setting) -> dict[str, Any]:
    if setting.kind == "structure":
        return {}
    if setting.kind == "list":
        return {"anyOf": [{"type": "array", "items": _SCALAR}, _SCALAR]}
    if setting.kind == "map":
        entries = {"type": "array", "items": {"type": "string"}}  # each KEY=VALUE
        return {"anyOf": [{"type": "object", "additionalProperties": _SCALAR}, entries, {"type": "string"}]}
    if setting.kind == "switch":
        return {"anyOf": [{"type": "boolean"}, {"enum": ["yes", "no", "auto"]}, _EXPRESSION]}
    if setting.choices:
        return {"anyOf": [{"enum": list(setting.choices)}, _EXPRESSION]}
    return dict(_SCALAR)
