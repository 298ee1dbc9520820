"""Flags read back by the declarations alone, to compare with what was written as flags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from buildpush.foundation.errors import SettingsError
from buildpush.settings.declare import settings_of
from buildpush.settings.step_settings import CommonSettings


def read_flags(model: type[CommonSettings], arguments: Iterable[str]) -> dict[str, Any]:
    """Return by Python name what *arguments* of the form ``--flag=value`` and ``--switch`` set.

    Raises:
        SettingsError: one is not a flag of *model*.
    """
    by_flag = {flag: setting for setting in settings_of(model) for flag in setting.flags}
    off = {setting.negative_flag: setting for setting in settings_of(model) if setting.negative_flag}
    values: dict[str, Any] = {}
    for argument in arguments:
        flag, equals, text = argument.partition("=")
        if flag in off and not equals:
            values[off[flag].name] = False
        elif flag not in by_flag or (by_flag[flag].kind == "switch") is bool(equals):
            message = f"{argument!r} is not a flag"
            raise SettingsError(message, where=flag)
        elif by_flag[flag].kind in {"list", "map"}:
            values[by_flag[flag].name] = (*values.get(by_flag[flag].name, ()), text)
        else:
            values[by_flag[flag].name] = text if equals else True
    return values
