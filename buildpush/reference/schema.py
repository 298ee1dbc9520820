"""JSON schemas for editors: completion, and a red line under a wrong key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from buildpush.foundation.limits import duration_text
from buildpush.settings.declare import Setting, settings_of
from buildpush.settings.kinds import FALSE, TRUE
from buildpush.settings.plugin_variables import PLUGIN_VARIABLES
from buildpush.settings.step_settings import CommonSettings
from buildpush.settings.stepkinds import HOMES, STEP_KINDS, StepKind, models
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
_WORDS = sorted(TRUE | FALSE | {"auto"})
_SWITCH_WORDS = [0, 1, *dict.fromkeys(form for word in _WORDS for form in (word, word.title(), word.upper()))]
_EXPRESSION: dict[str, Any] = {"type": "string", "pattern": "<\\+"}


def schema(document: Literal["project", "step"] = "project") -> dict[str, Any]:
    """Return the JSON schema of ``buildpush.yaml``, or of a step file: one step, or a list, or what holds steps."""
    if document == "project":
        properties = {key: one for model in models() for key, one in _project(model).items()}
        return {"$schema": DIALECT, "$id": "urn:buildpush:project", "title": "buildpush.yaml", **_object(properties)}
    shared = _Shared()
    step = _step(shared)
    one = {"if": {"type": "array"}, "then": {"items": _ref("entry")}, "else": _ref("entry")}
    names = {"$schema": DIALECT, "$id": "urn:buildpush:step", "title": "step file"}
    return {**names, **one, "$defs": {"entry": _entry(), "step": step, **shared.parts}}


def _entry() -> dict[str, Any]:
    """Return the schema of a step with or without ``step:`` in front, and of what holds steps."""
    wrapped = _object({"step": _ref("step")})
    step = {"if": {"required": ["step"]}, "then": wrapped, "else": _ref("step")}
    return {"type": "object", "if": {"anyOf": [{"required": [key]} for key in _WHOLE]}, "else": step}


def _step(shared: _Shared) -> dict[str, Any]:
    """Return the schema of a step, which its type and image choose; steps that are not run here have any content."""
    chosen = [{"if": _recognized(kind), "then": _of_kind(kind, shared)} for kind in STEP_KINDS.values()]
    known = {"properties": {"type": {"type": "string"}}, "required": ["type"], "allOf": chosen}
    return {"type": "object", "if": {"required": ["template"]}, "else": known}


def _recognized(kind: StepKind) -> dict[str, Any]:
    """Return what :meth:`StepKind.recognizes` asks, as a schema."""
    properties: dict[str, Any] = {"type": {"const": kind.type}}
    if not kind.image:
        return {"properties": properties}
    home = "" if kind.is_unique else f"({'|'.join(sorted(HOMES))})/"
    image = {"type": "string", "pattern": f"(^|/){home}{kind.image.rpartition('/')[2]}([:@]|$)"}
    properties["spec"] = {"type": "object", "properties": {"image": image}, "required": ["image"]}
    return {"properties": properties, "required": ["spec"]}


class _Shared:
    """Parts that stand once in a schema, in ``$defs``, and are referred to wherever they hold."""

    def __init__(self) -> None:
        self.parts: dict[str, Any] = {}

    def put(self, name: str, part: dict[str, Any]) -> dict[str, Any]:
        """Return a reference to *part*; a part that is there already keeps its name."""
        known = next((other for other, one in self.parts.items() if one == part), None)
        if known is None:
            known = name if name not in self.parts else f"{name}-{len(self.parts)}"
            self.parts[known] = part
        return _ref(known)

    def settings(self, settings: Mapping[str, Setting]) -> dict[str, Any]:
        """Return a reference to each setting, by its key."""
        return {key: self.put(setting.name, self._setting(setting)) for key, setting in settings.items()}

    def _setting(self, setting: Setting) -> dict[str, Any]:
        shape = _shape(setting)
        if "anyOf" in shape and not setting.choices:
            shape = self.put(setting.kind, shape)
        return shape | _described(setting)

    def without_effect(self) -> dict[str, Any]:
        """Return the variables of the plugins that set nothing."""
        return {name: self.put(name, one) for name, one in _WITHOUT_EFFECT.items()}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


def _of_kind(kind: StepKind, shared: _Shared) -> dict[str, Any]:
    variables = {"envVariables": shared.put(f"{kind.name}-envVariables", _env_variables(kind, shared))}
    if kind.image:
        placed = _plugin_settings(kind, shared) if kind.builds else shared.settings(_placed(kind.model, kind.place))
        own = {"settings": shared.put(f"{kind.name}-settings", _object(placed)), **variables}
        spec = {"type": "object", "properties": own, "required": ["settings"]}
    else:
        spec = _object(shared.settings(_placed(kind.model, kind.place)) | variables)
    step = shared.settings(_placed(kind.model, "step"))
    properties = {"type": {"type": "string"}, **step, "spec": shared.put(f"{kind.name}-spec", spec)}
    return shared.put(f"{kind.name}-step", _object(properties) | {"required": ["spec"]})


def _plugin_settings(kind: StepKind, shared: _Shared) -> dict[str, Any]:
    known = shared.without_effect() | shared.settings(known_variables(kind.model))
    return {name.removeprefix("PLUGIN_").lower(): one for name, one in known.items()}


def _placed(model: type[CommonSettings], place: str) -> dict[str, Setting]:
    return {setting.key: setting for setting in settings_of(model) if setting.place == place}


def _env_variables(kind: StepKind, shared: _Shared) -> dict[str, Any]:
    """Return what a step may set as variables: each has the shape of its setting, written as one text."""
    known = (shared.without_effect() if kind.builds else {}) | shared.settings(known_variables(kind.model))
    return _object(known) | {"allOf": [{"additionalProperties": shared.put("text", _SCALAR)}]}


def _project(model: type[CommonSettings]) -> dict[str, Any]:
    return {setting.project_key: _property(setting) for setting in settings_of(model) if setting.project_key}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _property(setting: Setting) -> dict[str, Any]:
    return _shape(setting) | _described(setting)


def _described(setting: Setting) -> dict[str, Any]:
    described: dict[str, Any] = {"description": setting.sentence.replace("{setting}", "")}
    if isinstance(setting.default, timedelta):
        described["default"] = duration_text(setting.default)
    elif setting.default not in (None, "", (), {}):
        described["default"] = list(setting.default) if isinstance(setting.default, tuple) else setting.default
    return described


def _shape(setting: Setting) -> dict[str, Any]:
    if setting.kind == "structure":
        return {}
    if setting.kind == "list":
        return {"anyOf": [{"type": "array", "items": _SCALAR}, _SCALAR]}
    if setting.kind == "map":
        entries = {"type": "array", "items": {"type": "string"}}  # each KEY=VALUE
        return {"anyOf": [{"type": "object", "additionalProperties": _SCALAR}, entries, {"type": "string"}]}
    if setting.kind == "switch":
        return {"anyOf": [{"type": "boolean"}, {"enum": _SWITCH_WORDS}, _EXPRESSION]}
    if setting.choices:
        return {"anyOf": [{"enum": list(setting.choices)}, _EXPRESSION]}
    return dict(_SCALAR)
