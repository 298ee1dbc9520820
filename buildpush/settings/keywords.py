"""Settings given by flags and by Python keywords: typed values, turned into text again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from buildpush.foundation.errors import SourceError
from buildpush.settings.declare import former_names, settings_of
from buildpush.settings.decode import format_setting, raw_of
from buildpush.settings.layers import SettingsLayer
from buildpush.settings.step_settings import CommonSettings
from buildpush.settings.stepkinds import models
from buildpush.settings.tree import Step
from buildpush.settings.words import reject
from buildpush.settings.written import Origin


def python_layer(
    model: type[CommonSettings], values: Mapping[str, Any], kind: Literal["flag", "keyword"]
) -> SettingsLayer:
    """Return what flags or keywords set for a kind of step; ``None`` and a flag that was not given set nothing."""
    layer = SettingsLayer()
    for setting in settings_of(model):
        value = values.get(setting.name)
        if value is None or (kind == "flag" and value == ()):
            continue
        where = setting.flags[0] if kind == "flag" and setting.flags else f"{setting.name}="
        raw = raw_of(value, setting, where)
        layer.add(setting, raw, Origin(kind, where, format_setting(setting, raw)))
    return layer


def check_names(values: Mapping[str, Any], what: str) -> None:
    """Refuse a name that no step kind has.

    Raises:
        SourceError: there is one.
    """
    settings = [setting for model in models() for setting in settings_of(model)]
    known = {setting.name for setting in settings} - {"env_variables"}
    for name in values:
        if name not in known:
            reject(what, name, known, f"{name}=", former=former_names(settings))


def check_used(flags: Mapping[str, Any], keywords: Mapping[str, Any], steps: Sequence[Step]) -> None:
    """Refuse a flag or keyword that none of the steps has.

    Raises:
        SourceError: there is one.
    """
    known = {setting.name for step in steps for setting in settings_of(step.model)}
    for name, value in {**keywords, **flags}.items():
        if name not in known and value is not None and value != ():
            message = f"none of the steps has the setting {name}"
            raise SourceError(
                message, setting=name, hint=f"the steps are of type {', '.join(step.type for step in steps)}"
            )
