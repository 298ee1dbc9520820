"""From evaluated text to the model; every complaint names the setting and the place that said it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from buildpush.foundation.documents import Raw
from buildpush.foundation.errors import BadNameError, SecretError, SettingsError, UnsupportedError
from buildpush.foundation.events import Note, Sink, ignore
from buildpush.settings.declare import Setting, said, setting_named, settings_of
from buildpush.settings.decode import decode, raw_of
from buildpush.settings.model import STEP_KINDS, BuildAndPush, PublishBuildInfo
from buildpush.settings.tree import Step
from buildpush.settings.written import Origin

_CLASSES: dict[str, type[SettingsError]] = {"bad_name": BadNameError, "plain_secret": SecretError}


def typed(step: Step, values: Mapping[str, Raw | None], *, sink: Sink = ignore) -> BuildAndPush | PublishBuildInfo:
    """Return the settings of *step* with types.

    Args:
        step: says where each value came from.
        values: by Python name, as in ``step.settings`` but with expressions evaluated.
        sink: hears about hints that nobody honours.

    Raises:
        SettingsError: a value cannot be used, or one is missing; with the place that said it.
        UnsupportedError: something was set that nothing honours yet.
    """
    model = STEP_KINDS[step.type]
    decoded = {}
    for name, raw in values.items():
        setting, origin = setting_named(model, name), _origin(step, name)
        value = None if raw is None else decode(setting, raw_of(raw, setting, origin.where), origin)
        if value is not None:
            decoded[name] = value
    try:
        settings = model.model_validate(decoded)
    except ValidationError as error:
        raise _complaint(error, step, decoded) from None
    _refuse_unhonoured(settings, step, sink)
    return settings


def _origin(step: Step, name: str) -> Origin:
    written = step.settings.get(name)
    return written.origin if written else Origin("default", step.where, "")


def _complaint(error: ValidationError, step: Step, decoded: Mapping[str, Any]) -> SettingsError:
    """Return the first complaint as one of our errors, and name the other settings that have one."""
    first, *others = error.errors(include_url=False, include_input=False)
    name = str(first["loc"][0])
    setting = setting_named(STEP_KINDS[step.type], name)
    more = sorted({str(other["loc"][0]) for other in others} - {name})
    tail = f" (wrong as well: {', '.join(more)})" if more else ""
    if first["type"] == "missing":
        message = f"{setting.key} is missing{tail}"
        return SettingsError(message, where=step.where, setting=name, hint=_ways(setting))
    message, hint = _message(setting, first, decoded.get(name))
    path = [part for part in first["loc"][1:] if part != "[key]"]
    where = _origin(step, name).at(*path)
    kind = _CLASSES.get(first["type"], SettingsError)
    return kind(f"{setting.key}: {message}{tail}", where=where, setting=name, hint=hint or None)


def _ways(setting: Setting) -> str:
    ways = [f"{setting.yaml} in a step file", *setting.flags[:1], *setting.variables[:1]]
    return f"say it by {', '.join(ways[:-1])} or {ways[-1]}"


def _message(setting: Setting, error: Any, value: Any) -> tuple[str, str]:
    context = error.get("ctx", {})
    if "message" in context:
        return str(context["message"]), str(context["hint"])
    if setting.choices:
        near = difflib.get_close_matches(str(value).lower(), setting.choices, n=1)
        hint = f"did you mean {near[0]!r}?" if near else ""
        return f"{value!r} is not one of {', '.join(setting.choices)}", hint
    if setting.kind == "number":
        return f"{value!r} is not a whole number", ""
    return str(error["msg"]), ""


def _refuse_unhonoured(settings: BuildAndPush | PublishBuildInfo, step: Step, sink: Sink) -> None:
    set_names = said(settings)
    for setting in settings_of(type(settings)):
        if setting.name not in set_names or setting.honoured_by:
            continue
        where = _origin(step, setting.name).where
        if setting.hint:
            sink(Note(f"{where}: {setting.key} has no effect here"))
            continue
        message = f"{setting.key} is not supported yet"
        raise UnsupportedError(message, where=where, setting=setting.name, hint=setting.instead)
