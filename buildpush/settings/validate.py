"""Turns evaluated text into typed settings; every error names the setting and the place that set it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from buildpush.foundation.documents import Raw
from buildpush.foundation.errors import BadNameError, SecretError, SettingsError, UnsupportedError
from buildpush.foundation.events import Note, Sink, ignore
from buildpush.settings.declare import Setting, explicitly_set, setting_named, settings_of
from buildpush.settings.decode import decode, raw_of
from buildpush.settings.fields import ValidationError
from buildpush.settings.step_settings import CommonSettings
from buildpush.settings.tree import Step
from buildpush.settings.written import Origin, key_prefix, subject

_CLASSES: dict[str, type[SettingsError]] = {"bad_name": BadNameError, "plain_secret": SecretError}


def validate(step: Step, values: Mapping[str, Raw | None], *, sink: Sink = ignore) -> CommonSettings:
    """Return the settings of *step* with types.

    Args:
        step: holds where each value came from.
        values: by Python name, as in ``step.settings`` but with expressions evaluated.
        sink: gets a note for each setting without effect.

    Raises:
        SettingsError: a value cannot be used, or one is missing; with the place that set it.
        UnsupportedError: a setting was set that nothing honours.
    """
    try:
        settings = step.model(**_decoded(step, values))
    except ValidationError as error:
        raise _error(error, step) from None
    _refuse_unhonoured(settings, step, sink)
    return settings


def validate_known(step: Step, values: Mapping[str, Raw | None], later: Collection[str]) -> None:
    """Check *values* as :func:`validate` does, although those of the names in *later* are not known yet."""
    try:
        step.model(**_decoded(step, values))
    except ValidationError as error:
        known = [one for one in error.errors if one.path[0] not in later]
        if known:
            raise _error(ValidationError(known), step) from None


def _decoded(step: Step, values: Mapping[str, Raw | None]) -> dict[str, Any]:
    decoded = {}
    for name, raw in values.items():
        setting, origin = setting_named(step.model, name), _origin(step, name)
        value = None if raw is None else decode(setting, raw_of(raw, setting, origin.where), origin)
        if value is not None:
            decoded[name] = value
    return decoded


def _origin(step: Step, name: str) -> Origin:
    written = step.settings.get(name)
    return written.origin if written else Origin("default", step.where, "")


def _error(error: ValidationError, step: Step) -> SettingsError:
    """Return the first error as a BuildPushError, and name the other settings that have one."""
    first, *others = error.errors
    name, *path = first.path
    setting = setting_named(step.model, str(name))
    more = sorted({str(other.path[0]) for other in others})
    tail = f" (also wrong: {', '.join(more)})" if more else ""
    if first.kind == "missing":
        message = f"{setting.key} is missing{tail}"
        return SettingsError(message, where=step.where, setting=setting.name, hint=_ways(setting, step))
    kind, where = _CLASSES.get(first.kind, SettingsError), _origin(step, setting.name).at(*path)
    return kind(
        f"{key_prefix(setting.key, where)}{first}{tail}", where=where, setting=setting.name, hint=first.hint or None
    )


def _ways(setting: Setting, step: Step) -> str:
    if step.node is None and step.kind is not None and step.kind.image:  # it is given by variables only
        return f"set {setting.variables[0]}"
    is_plugin = step.kind is not None and step.kind.image != "" and step.kind.builds
    place = f"spec.settings.{setting.name}" if is_plugin else setting.yaml
    flags = (
        setting.flags[:1] if step.kind is None or step.kind.builds else ()
    )  # the command line has only the flags of a build
    *ways, last = [f"{place} in a step file", *flags, *setting.variables[:1]]
    return f"set it by {', '.join(ways)}{' or ' * bool(ways)}{last}"


def _refuse_unhonoured(settings: CommonSettings, step: Step, sink: Sink) -> None:
    set_names = explicitly_set(settings)
    for setting in settings_of(type(settings)):
        if setting.name not in set_names or setting.honoured_by:
            continue
        where = _origin(step, setting.name).where
        if setting.harmless:
            sink(Note(f"{where}: {subject(setting.key, where)} has no effect here"))
            continue
        message = f"{subject(setting.key, where)} is not supported here"
        raise UnsupportedError(message, where=where, setting=setting.name, hint=setting.alternative)
