"""Settings given by environment variables, ours and those of other tools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from buildpush.credentials.vault import is_expression, is_reference
from buildpush.foundation.documents import Raw
from buildpush.foundation.errors import SourceError
from buildpush.foundation.secrets import MASK, Secret
from buildpush.settings.declare import Setting, Variable, settings_of
from buildpush.settings.decode import format_value, split
from buildpush.settings.kinds import TRUE
from buildpush.settings.layers import SettingsLayer, remember_passwords
from buildpush.settings.step_settings import StepSettings
from buildpush.settings.written import Origin

AnyRaw = TypeVar("AnyRaw", bound=Raw)


def known_variables(*models: type[StepSettings]) -> dict[str, Setting]:
    """Return every variable that sets a setting of *models*, and the setting."""
    known: dict[str, Setting] = {}
    for model in models:
        for setting in settings_of(model):
            known |= dict.fromkeys(setting.variables, setting)
            known |= {gate.only_with: setting for gate in setting.spelled_variables if gate.only_with}
    return known


def variables_for(
    setting: Setting, texts: Mapping[str, AnyRaw], notes: list[str], *, ambient: bool = False
) -> list[tuple[str, AnyRaw | list[Raw]]]:
    """Return the variables among *texts* that set *setting*, with their value; an empty one sets nothing.

    Raises:
        SourceError: a variable counts only together with another one that is not set.
    """
    found = [(variable, texts[variable.name]) for variable in setting.spelled_variables if texts.get(variable.name)]
    gated = [pair for pair in found if pair[0].only_with]
    notes += _idle_gates(setting, texts)
    for variable, _ in gated:
        _check_gate(variable, texts)
        if len(found) > len(gated):
            notes.append(
                f"{variable.name} counts, and {setting.variables[0]} does not, because of {variable.only_with}"
            )
    if setting.adds_up and found:
        return [_sum(found)]
    pairs: list[tuple[str, AnyRaw | list[Raw]]] = [(variable.name, text) for variable, text in gated or found]
    if ambient:
        pairs += [(name, texts[name]) for name in setting.ambient if texts.get(name)]
    return pairs


def _sum(found: list[tuple[Variable, AnyRaw]]) -> tuple[str, AnyRaw | list[Raw]]:
    """Return the entries of all variables of a list under the name of the first; of a single one as they are."""
    first, text = found[0]
    if len(found) == 1 and not first.option:
        return first.name, text
    entries: list[Raw] = []
    for variable, raw in found:
        parts = raw if isinstance(raw, list) else [raw] if variable.option else split(str(raw), variable.separator)
        entries += [f"{variable.option}={part}" if variable.option else part for part in parts]
    return first.name, entries


def variable_layer(model: type[StepSettings], env: Mapping[str, str], notes: list[str]) -> SettingsLayer:
    """Return what our variables in the environment set for a kind of step."""
    layer = SettingsLayer()
    for setting in settings_of(model):
        for name, text in variables_for(setting, env, notes):
            layer.add(setting, *_value(setting, name, text))
    return layer


def ambient_layer(model: type[StepSettings], env: Mapping[str, str]) -> SettingsLayer:
    """Return what other tools' variables set; the first of several counts."""
    layer = SettingsLayer()
    for setting in settings_of(model):
        for name in reversed(setting.ambient):
            if env.get(name):
                remember_passwords(setting, env[name])
                layer.values[setting.name] = _value(setting, name, env[name])
    return layer


def _value(setting: Setting, name: str, text: Raw) -> tuple[Raw, Origin]:
    """Return value and origin; the text of a secret is the secret itself unless it is a reference to one."""
    if setting.secret and isinstance(text, str) and not is_reference(text) and not is_expression(text):
        return Secret(text, source=name), Origin("variable", name, MASK, name)
    return text, Origin("variable", name, format_value(text), name)


def _idle_gates(setting: Setting, texts: Mapping[str, Raw]) -> Iterator[str]:
    for variable in setting.spelled_variables:
        if texts.get(variable.only_with) and not texts.get(variable.name):
            yield f"{variable.only_with} has no effect without {variable.name}"


def _check_gate(variable: Variable, texts: Mapping[str, Raw]) -> None:
    if str(texts.get(variable.only_with, "")).strip().lower() in TRUE:
        return
    message = f"{variable.name} has an effect only together with {variable.only_with}"
    raise SourceError(message, where=variable.name, hint=f"set {variable.only_with}=true")
