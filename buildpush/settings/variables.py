"""Settings given by environment variables: buildpush's, and those of other tools."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TypeVar

from buildpush.credentials.vault import is_expression, is_reference
from buildpush.foundation.documents import Raw
from buildpush.foundation.errors import SourceError
from buildpush.foundation.secrets import MASK, Secret
from buildpush.settings.declare import Setting, Variable, once_per_model, settings_of
from buildpush.settings.decode import format_value, split
from buildpush.settings.kinds import TRUE
from buildpush.settings.layers import SettingsLayer, remember_passwords
from buildpush.settings.step_settings import CommonSettings
from buildpush.settings.written import Origin

AnyRaw = TypeVar("AnyRaw", bound=Raw)


@once_per_model
def known_variables(*models: type[CommonSettings]) -> Mapping[str, Setting]:
    """Return every variable that sets a setting of *models*, and the setting."""
    known: dict[str, Setting] = {}
    for model in models:
        for setting in settings_of(model):
            known |= dict.fromkeys(setting.variables, setting)
            known |= {gate.only_with: setting for gate in setting.own_variables if gate.only_with}
    return MappingProxyType(known)


def settings_by(
    model: type[CommonSettings], texts: Mapping[str, AnyRaw], notes: list[str], *, ambient: bool = False
) -> Iterator[tuple[Setting, str, AnyRaw | list[Raw]]]:
    """Yield each setting of *model* that a variable among *texts* sets, with that variable and its value.

    Raises:
        SourceError: a variable has an effect only together with another one that is not set.
    """
    for setting in _settings_among(model, texts):
        for name, raw in _variables_for(setting, texts, notes, ambient=ambient):
            yield setting, name, raw


def _settings_among(model: type[CommonSettings], names: Iterable[str]) -> list[Setting]:
    """Return the settings of *model* that one of the variables *names* may set, in the order of their declaration."""
    places, settings = _places(model), settings_of(model)
    return [settings[place] for place in sorted({place for name in names for place in places.get(name, ())})]


@once_per_model
def _places(model: type[CommonSettings]) -> Mapping[str, tuple[int, ...]]:
    """Return, by variable, the numbers of the settings of *model* that it may set."""
    places: dict[str, tuple[int, ...]] = {}
    for place, setting in enumerate(settings_of(model)):
        gates = (variable.only_with for variable in setting.own_variables if variable.only_with)
        for name in dict.fromkeys((*setting.variables, *gates)):
            places[name] = (*places.get(name, ()), place)
    return places


def _variables_for(
    setting: Setting, texts: Mapping[str, AnyRaw], notes: list[str], *, ambient: bool
) -> list[tuple[str, AnyRaw | list[Raw]]]:
    """Return the variables among *texts* that set *setting*, with their value; an empty one sets nothing."""
    present = [(variable, texts[variable.name]) for variable in setting.own_variables if texts.get(variable.name)]
    gated = [pair for pair in present if pair[0].only_with]
    notes += _unused_gates(setting, texts)
    for variable, _ in gated:
        _check_gate(variable, texts)
        if len(present) > len(gated):
            notes.append(
                f"{variable.name} is used, and {setting.variables[0]} is not, because {variable.only_with} is set"
            )
    if setting.adds_up and present:
        return [_sum(present)]
    pairs: list[tuple[str, AnyRaw | list[Raw]]] = [(variable.name, text) for variable, text in gated or present]
    if ambient:
        pairs += [(name, texts[name]) for name in setting.ambient if texts.get(name)]
    return pairs


def _sum(pairs: list[tuple[Variable, AnyRaw]]) -> tuple[str, AnyRaw | list[Raw]]:
    """Return the entries of all variables of a list under the name of the first; a single variable unchanged."""
    first, text = pairs[0]
    if len(pairs) == 1 and not first.option:
        return first.name, text
    entries: list[Raw] = []
    for variable, raw in pairs:
        parts = raw if isinstance(raw, list) else [raw] if variable.option else split(str(raw), variable.separator)
        entries += [f"{variable.option}={part}" if variable.option else part for part in parts]
    return first.name, entries


def variable_layer(
    model: type[CommonSettings], env: Mapping[str, str], notes: list[str], written_names: Mapping[str, str]
) -> SettingsLayer:
    """Return the settings in buildpush's variables; *written_names* has those that a plugin gives another name."""
    layer = SettingsLayer()
    for setting, name, text in settings_by(model, env, notes):
        layer.add(setting, *_value(setting, written_names.get(name, name), text))
    return layer


def ambient_layer(model: type[CommonSettings], env: Mapping[str, str]) -> SettingsLayer:
    """Return the settings in other tools' variables; the first of several is used."""
    layer = SettingsLayer()
    for setting in _settings_among(model, env):
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


def _unused_gates(setting: Setting, texts: Mapping[str, Raw]) -> Iterator[str]:
    for variable in setting.own_variables:
        if texts.get(variable.only_with) and not texts.get(variable.name):
            yield f"{variable.only_with} has no effect without {variable.name}"


def _check_gate(variable: Variable, texts: Mapping[str, Raw]) -> None:
    if str(texts.get(variable.only_with, "")).strip().lower() in TRUE:
        return
    message = f"{variable.name} has an effect only together with {variable.only_with}"
    raise SourceError(message, where=variable.name, hint=f"set {variable.only_with}=true")
