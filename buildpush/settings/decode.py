"""Converts written values for the model: text becomes lists and maps, and inverted switches are turned round."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import PurePath
from typing import Any, Final

from buildpush.credentials.vault import REFERENCE_HINT, is_certificate, is_expression, is_reference
from buildpush.foundation.documents import Raw
from buildpush.foundation.errors import SecretError, SettingsError
from buildpush.foundation.limits import duration_text
from buildpush.foundation.secrets import MASK, Secret
from buildpush.settings.declare import Setting, Variable
from buildpush.settings.kinds import FALSE, TRUE, switch_of
from buildpush.settings.written import Origin, key_prefix, subject

_OF_SECRETS: Final = "env_docker_secrets"  # the map whose values go to private files
READABLE_HINT = "everyone can read an image's history, labels and name; give secrets to a build by envDockerSecrets"


def decode(setting: Setting, raw: Raw, origin: Origin) -> Any:
    """Return the value for the model from *raw*, evaluated or not; ``None`` if it is empty.

    Raises:
        SettingsError: it is a list where text is expected, or an entry of a map does not have an ``=``.
    """
    variable = _variable(setting, origin)
    if setting.kind == "list":
        return _list(setting, raw, variable, origin)
    if setting.kind == "map":
        return _map(setting, raw, variable, origin)
    if setting.kind == "structure":
        return raw or None
    return _scalar(setting, raw, variable, origin)


def equal(setting: Setting, one: tuple[Raw, Origin], other: tuple[Raw, Origin]) -> bool:
    """Return whether two places set the same value; expressions are compared as text."""
    if any(isinstance(raw, str) and "<+" in raw for raw in (one[0], other[0])):
        ways = {(way.separator, way.inverted) for way in (_variable(setting, one[1]), _variable(setting, other[1]))}
        return one[0] == other[0] and len(ways) == 1
    return bool(decode(setting, *one) == decode(setting, *other))


def raw_of(value: Any, setting: Setting, where: str) -> Raw:
    """Return a Python, TOML or command line value as text, lists and dicts of text.

    Raises:
        SettingsError: a float, which has lost its text (1.10 is 1.1), or a type that no setting has.
    """
    if isinstance(value, (str, Secret)):
        return value
    if isinstance(value, (bool, int, PurePath, timedelta)):
        return _spelled(value)
    if isinstance(value, Mapping):
        return {str(key): raw_of(part, setting, where) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [raw_of(part, setting, where) for part in value]
    message = f"{subject(setting.name, where)} takes text, and this is a {type(value).__name__}"
    hint = f'put it in quotes: "{value}"' if isinstance(value, float) else _such_as(setting)
    raise SettingsError(message, where=where, setting=setting.name, hint=hint)


def _spelled(value: bool | int | PurePath | timedelta) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return duration_text(value) if isinstance(value, timedelta) else str(value)


def format_value(raw: Raw) -> str:
    """Return *raw* on one line, in YAML's flow style, with stars for a secret."""
    if isinstance(raw, dict):
        return "{" + ", ".join(f"{key}: {format_value(part)}" for key, part in raw.items()) + "}"
    if isinstance(raw, list):
        return "[" + ", ".join(format_value(part) for part in raw) + "]"
    return str(raw)


def format_setting(setting: Setting, raw: Raw) -> str:
    """Return *raw* for people; for a secret, only its reference."""
    if setting.secret and isinstance(raw, str) and not is_reference(raw) and not is_expression(raw):
        return MASK
    return format_value(raw)


def check_secret(setting: Setting, raw: Raw, origin: Origin) -> None:
    """Refuse a secret that is in a file, a flag or Python code as plain text.

    Raises:
        SecretError: there is one; the message does not hold it.
    """
    if not setting.secret or not isinstance(raw, str) or not raw:
        return
    if is_reference(raw) or is_expression(raw) or is_certificate(raw):
        return
    message = f"{key_prefix(setting.key, origin.where)}the secret is given as plain text"
    raise SecretError(message, where=origin.where, setting=setting.name, hint=REFERENCE_HINT)


def _variable(setting: Setting, origin: Origin) -> Variable:
    for variable in setting.own_variables:
        if variable.name == origin.variable:
            return variable
    return Variable("", setting.separator)


def _scalar(setting: Setting, raw: Raw, variable: Variable, origin: Origin) -> Any:
    if isinstance(raw, Secret):
        return raw if setting.secret else _open_secret(setting, raw, origin)
    if not isinstance(raw, str):
        what = "a list" if isinstance(raw, list) else "a map"
        message = f"{subject(setting.key, origin.where)} takes one value, and this is {what}"
        raise SettingsError(message, where=origin.where, setting=setting.name, hint=_such_as(setting))
    if not raw:
        return None
    if setting.kind == "switch" and raw.strip().lower() in TRUE | FALSE:
        return switch_of(raw) is not variable.inverted
    return raw


def _open_secret(setting: Setting, secret: Secret, origin: Origin) -> str:
    # A user name is often kept beside its password; it is shown nowhere, since redact() knows it.
    if setting.name == "username":
        return secret.reveal()
    message = f"{key_prefix(setting.key, origin.where)}the secret from {secret.source} would be readable here"
    raise SecretError(message, where=origin.where, setting=setting.name, hint=READABLE_HINT)


def _list(setting: Setting, raw: Raw, variable: Variable, origin: Origin) -> list[str] | None:
    if isinstance(raw, str):
        return split(raw, variable.separator) or None
    if not isinstance(raw, list):
        message = f"{subject(setting.key, origin.where)} takes a list"
        raise SettingsError(message, where=origin.where, setting=setting.name, hint=_such_as(setting))
    texts = [_text(setting, part, origin, position) for position, part in enumerate(raw)]
    if origin.kind == "flag" and setting.separator == ",":  # as in its variable, where no value can hold a comma either
        return [part for text in texts for part in split(text, ",") or [text]]
    return texts


def _map(setting: Setting, raw: Raw, variable: Variable, origin: Origin) -> Mapping[str, str | Secret] | None:
    if isinstance(raw, Secret):
        _open_secret(setting, raw, origin)
    if isinstance(raw, dict):
        secrets = {key: part for key, part in raw.items() if isinstance(part, Secret) and setting.name == _OF_SECRETS}
        return {key: _text(setting, part, origin, key) for key, part in raw.items() if key not in secrets} | secrets
    texts = split(raw, variable.separator) if isinstance(raw, str) else _texts(setting, raw, origin)
    entries: dict[str, str] = {}
    for position, text in enumerate(texts):
        key, value = _entry(setting, text, origin.at(position), variable)
        if entries.setdefault(key, value) != value:
            message = f"{key_prefix(setting.key, origin.where)}{key} is set twice, with different values"
            raise SettingsError(message, where=origin.at(position), setting=setting.name, hint="keep one of them")
    return entries or None


def _texts(setting: Setting, raw: Raw, origin: Origin) -> list[str]:
    parts = raw if isinstance(raw, list) else []
    return [_text(setting, part, origin, position) for position, part in enumerate(parts)]


def _entry(setting: Setting, text: str, where: str, variable: Variable) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if equals:
        return key, value
    message = f"{key_prefix(setting.key, where)}{text!r} does not have an ="
    hint = "write NAME=VALUE"
    if variable.name and variable.separator == ",":
        hint = f"{hint}; a comma always separates here, so {_commas(setting)}"
    raise SettingsError(message, where=where, setting=setting.name, hint=hint)


def _commas(setting: Setting) -> str:
    for other in setting.own_variables:
        if other.only_with:
            return f"for values with a comma set {other.only_with}=true and use {other.name}, separated by semicolons"
    return "values with a comma go into a file or a flag"


def split(text: str, separator: str) -> list[str]:
    """Return the entries that a variable's *text* has between its separators; blanks beside a comma do not count."""
    parts = text.split(separator)
    return [part for part in ((part.strip() for part in parts) if separator == "," else parts) if part]


def _text(setting: Setting, raw: Raw, origin: Origin, path: str | int) -> str:
    if isinstance(raw, str):
        return raw
    if isinstance(raw, Secret):
        return _open_secret(setting, raw, origin)
    what = "list" if isinstance(raw, list) else "map"
    message = f"{key_prefix(setting.key, origin.where)}an entry is text, and this is a {what}"
    raise SettingsError(message, where=origin.at(path), setting=setting.name, hint="look at the indentation")


def _such_as(setting: Setting) -> str:
    return f"such as {format_value(raw_of(setting.example, setting, 'example'))}"
