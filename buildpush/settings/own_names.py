"""Variables that mean something else in one plugin, under the names for that meaning here."""

# ruff: noqa: S105 - a name of a variable and one of a user, no passwords

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, TypeVar

from buildpush.settings.plugin_variables import OWN_NAMES
from buildpush.settings.written import WrittenValue

T = TypeVar("T")
_TOKEN: Final = "ACCESS_TOKEN"
_USER_OF_TOKEN: Final = "oauth2accesstoken"


def with_own_names(image: str, given: Mapping[str, T], notes: list[str]) -> tuple[dict[str, T], dict[str, str]]:
    """Return the variables *given* to the plugin *image* under buildpush's names, and the written name of each."""
    variables, written_names = dict(given), {name: name for name in given}
    for name, ours in OWN_NAMES.get(image, {}).items():
        if not variables.get(name):
            continue
        if variables.get(ours):
            notes.append(f"{name} has no effect: {written_names[ours]} comes first")
            del variables[name]
        else:
            variables[ours], written_names[ours] = variables.pop(name), name
    return variables, written_names


def with_user_of_token(written: Mapping[str, WrittenValue], notes: list[str]) -> Mapping[str, WrittenValue]:
    """Return *written* with the user that the token of a plugin is for; a password takes precedence over the token."""
    password = written.get("password")
    if password is None or password.origin.variable != _TOKEN:
        return written
    where = password.origin.where
    for value, origin in password.overridden:
        if origin.variable != _TOKEN:
            notes.append(f"{where}: {_TOKEN} is not the login: {origin.where} gives a password")
            return {**written, "password": WrittenValue(value, origin)}
    if user := written.get("username"):
        notes.append(f"{user.origin.where}: username has no effect: {_TOKEN} is a token of {_USER_OF_TOKEN}")
    user_of_token = WrittenValue(_USER_OF_TOKEN, replace(password.origin, text=_USER_OF_TOKEN))
    return {**written, "username": user_of_token}
