"""JSON schemas for editors: completion, and a red line under a wrong key."""

from __future__ import annotations

from typing import Any, Literal

from buildpush.settings.declare import Setting, camel_case, settings_of
from buildpush.settings.model import BUILD_STEP, PUBLISH_STEP, STEP_KINDS, BuildAndPush, PublishBuildInfo
from buildpush.settings.variables import known_variables

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Scalars keep their source text, so 1.10 without quotes is as good as with them.
_SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean"]}
_EXPRESSION: dict[str, Any] = {"type": "string", "pattern": "<\\+"}


def schema(document: Literal["project", "step"] = "project") -> dict[str, Any]:
    """Return the JSON schema of ``buildpush.yaml``, or of a step file with one step or a list of them."""
    if document == "project":
        found = {key: one for model in STEP_KINDS.values() for key, one in _project(model).items()}
        return {"$schema": DIALECT, "title": "buildpush.yaml", **_object(found)}
    step = {"anyOf": [_build_step(), _publish_step()]}
    wrapped = {"type": "object", "required": ["step"], "properties": {"step": step}, "additionalProperties": False}
    one = {"anyOf": [step, wrapped]}
    return {"$schema": DIALECT, "title": "step file", "anyOf": [one, {"type": "array", "items": one}]}


def _project(model: type[BuildAndPush | PublishBuildInfo]) -> dict[str, Any]:
    return {
        camel_case(setting.name): _property(setting)
        for setting in settings_of(model)
        if setting.name != "env_variables" and (setting.place != "step" or setting.name == "timeout")
    }


def _build_step() -> dict[str, Any]:
    spec = _placed(BuildAndPush, "spec") | {"envVariables": _env_variables(BuildAndPush)}
    return _step(BuildAndPush, BUILD_STEP, _object(spec))


def _publish_step() -> dict[str, Any]:
    settings = _object(_placed(PublishBuildInfo, "settings"))
    own = {"settings": settings, "image": {"type": "string"}, "envVariables": _env_variables(PublishBuildInfo)}
    spec = {"type": "object", "properties": own, "required": ["image", "settings"]}
    return _step(PublishBuildInfo, PUBLISH_STEP, spec)


def _step(model: type[BuildAndPush | PublishBuildInfo], kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    properties = {"type": {"const": kind}, **_placed(model, "step"), "spec": spec}
    return _object(properties) | {"required": ["type", "spec"]}


def _placed(model: type[BuildAndPush | PublishBuildInfo], place: str) -> dict[str, Any]:
    return {setting.key: _property(setting) for setting in settings_of(model) if setting.place == place}


def _env_variables(model: type[BuildAndPush | PublishBuildInfo]) -> dict[str, Any]:
    return _object({name: _SCALAR | {"description": one.sentence} for name, one in known_variables(model).items()})


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
        return {"anyOf": [{"type": "object", "additionalProperties": _SCALAR}, {"type": "string"}]}
    if setting.kind == "switch":
        return {"anyOf": [{"type": "boolean"}, {"enum": ["yes", "no", "auto"]}, _EXPRESSION]}
    if setting.choices:
        return {"anyOf": [{"enum": list(setting.choices)}, _EXPRESSION]}
    return dict(_SCALAR)
