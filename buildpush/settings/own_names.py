"""Variables that mean something only to the plugin that reads them, under the names that they have here."""

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
    """Return the variables *given* to the plugin *image* under our names; and the name of each as it is written."""
    found, spelled = dict(given), {name: name for name in given}
    for name, ours in OWN_NAMES.get(image, {}).items():
        if not found.get(name):
            continue
        if found.get(ours):
            notes.append(f"{name} has no effect: {spelled[ours]} comes first")
            del found[name]
        else:
            found[ours], spelled[ours] = found.pop(name), name
    return found, spelled


def with_user_of_token(written: Mapping[str, WrittenValue], notes: list[str]) -> Mapping[str, WrittenValue]:
    """Return *written* with the user to whom the token of a plugin belongs; a password comes before the token."""
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
