"""Writes the settings that were set as a step file, variables, flags or Python that reads back the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NoReturn, TypeAlias

from buildpush.foundation.documents import write_yaml
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.limits import duration_text
from buildpush.foundation.secrets import Secret
from buildpush.settings.declare import Setting, explicitly_set, settings_of
from buildpush.settings.fields import Model
from buildpush.settings.step_settings import CommonSettings
from buildpush.settings.stepkinds import StepKind, kind_of

Values: TypeAlias = Sequence[tuple[Setting, Any]]  # each as text, or as a list or map of text


def to_yaml(settings: CommonSettings) -> str:
    """Return a step file that reads back as *settings*, and that Harness accepts.

    Raises:
        SettingsError: a value cannot be written, such as one that would be read as an expression.
    """
    return yaml_of(kind_of(settings), values_of(settings))


def yaml_of(kind: StepKind, values: Values) -> str:
    """Return a step file with a step of *kind* that has *values*."""
    step: dict[str, Any] = {"type": kind.type}
    spec: dict[str, Any] = {"image": kind.image} if kind.image else {}
    sections = {"step": step, "spec": spec, "env": {}, "settings": {}}
    for setting, value in values:
        key = setting.variables[0] if setting.place == "env" else setting.key
        sections[setting.place][key] = _variable(setting, value)[1] if setting.place == "env" else value
    if sections["settings"]:
        spec["settings"] = sections["settings"]
    if sections["env"]:
        spec["envVariables"] = sections["env"]
    return write_yaml({"step": {**step, "spec": spec}})


def to_variables(settings: CommonSettings) -> dict[str, str]:
    """Return variables that read back as *settings*; names and conditions of the step have none and are left out.

    Raises:
        SettingsError: a value cannot be written, such as a label with a comma.
    """
    return variables_of(values_of(settings))


def variables_of(values: Values) -> dict[str, str]:
    """Return the variables that have *values*."""
    variables: dict[str, str] = {}
    for setting, value in values:
        if setting.file_only:
            continue
        name, text = _variable(setting, value)
        variables[name] = text
        variables |= {gate.only_with: "true" for gate in setting.aliases if gate.name == name and gate.only_with}
    return variables


def to_flags(settings: CommonSettings) -> list[str]:
    """Return arguments that read back as *settings*; names and conditions of the step have none and are left out.

    Raises:
        SettingsError: a value cannot be written.
    """
    return flags_of(values_of(settings))


def flags_of(values: Values) -> list[str]:
    """Return the arguments that have *values*."""
    return [argument for setting, value in values if not setting.file_only for argument in _arguments(setting, value)]


def _arguments(setting: Setting, value: Any) -> Iterable[str]:
    if setting.kind == "switch":
        return [setting.flags[0] if value == "true" else str(setting.negative_flag)]
    if isinstance(value, dict):
        return [f"{setting.flags[0]}={_pair(setting, key, text)}" for key, text in value.items()]
    entries = [value] if isinstance(value, str) else value
    return [f"{setting.flags[0]}={_entry(setting, text)}" for text in entries]


def to_python(settings: CommonSettings) -> str:
    """Return keyword arguments, one a line, that read back as *settings*.

    Raises:
        SettingsError: a value cannot be written.
    """
    return "".join(f"{argument},\n" for argument in keywords_of(values_of(settings)))


def keywords_of(values: Values) -> list[str]:
    """Return the keyword arguments that have *values*."""
    return [f"{setting.name}={_python(setting, value)}" for setting, value in values]


def project_of(values: Values) -> dict[str, Any]:
    """Return what ``buildpush.yaml`` or ``[tool.buildpush]`` has for *values*; what only a step has is left out."""
    return {setting.project_key: value for setting, value in values if setting.project_key}


def values_of(settings: CommonSettings) -> Values:
    """Return every setting that was set, with its value.

    Raises:
        SettingsError: a value cannot be written.
    """
    names = explicitly_set(settings)
    return [
        (setting, _text(setting, getattr(settings, setting.name)))
        for setting in settings_of(type(settings))
        if setting.name in names
    ]


def _text(setting: Setting, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_text(setting, key): _text(setting, part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_text(setting, part) for part in value]
    if isinstance(value, Model):
        parts = {name: getattr(value, name) for name in value.fields()}
        return _text(setting, {name: part for name, part in parts.items() if part is not None})
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, Secret):
        _refuse(setting, "it holds a secret itself", "give a reference, such as env:NAME")
    text = "auto" if value is None else str(value)
    if "<+" in text and setting.kind != "structure":  # a condition or loop is read with its expressions
        _refuse(setting, f"{text!r} would be read as an expression", "remove <+ from it")
    return text


def _variable(setting: Setting, value: Any) -> tuple[str, str]:
    """Return the variable that can hold *value*, and its text."""
    if isinstance(value, str):
        return setting.variables[0], value
    entries = [_pair(setting, *pair) for pair in value.items()] if isinstance(value, dict) else value
    variable = next((one for one in setting.own_variables if _splits(one.separator, entries)), None)
    if variable is None:
        hint = "write it in a file or as flags, which take any text"
        _refuse(setting, "an entry holds what separates entries in a variable, or blanks at its ends", hint)
    return variable.name, variable.separator.join(entries)


def _splits(separator: str, entries: list[str]) -> bool:
    """Return whether *entries*, joined by *separator*, are split into the same again."""
    parts = separator.join(entries).split(separator)
    return [part.strip() if separator == "," else part for part in parts] == entries and all(entries)


def _entry(setting: Setting, text: str) -> str:
    if setting.kind == "list" and setting.separator == "," and text and not _splits(",", [text]):
        _refuse(setting, f"{text!r} would be split at its comma or lose its blanks", "write it in a file")
    return text


def _pair(setting: Setting, key: str, text: str) -> str:
    if "=" in key:
        _refuse(setting, f"{key!r} holds =", "write it in a file")
    return f"{key}={text}"


def _python(setting: Setting, value: Any) -> str:
    if setting.kind == "number":
        return str(value)
    return {"true": "True", "false": "False"}[value] if setting.kind == "switch" and value != "auto" else repr(value)


def _refuse(setting: Setting, why: str, hint: str) -> NoReturn:
    message = f"{setting.key} cannot be written: {why}"
    raise SettingsError(message, setting=setting.name, hint=hint)
