"""Precedence: each source is a layer, and a stronger layer overrides a weaker one, whose value is remembered."""

from __future__ import annotations

from collections.abc import Sequence

from buildpush.foundation.documents import Raw
from buildpush.foundation.errors import SourceError
from buildpush.foundation.secrets import remember_user_info
from buildpush.settings.declare import Setting
from buildpush.settings.decode import check_secret, equal
from buildpush.settings.written import Origin, WrittenValue, subject


class SettingsLayer:
    """The settings of one source, by Python name."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[Raw, Origin]] = {}

    def add(self, setting: Setting, raw: Raw, origin: Origin) -> None:
        """Add the value that *origin* sets.

        Raises:
            SecretError: a secret is given as plain text.
            SourceError: another place of this source sets another value.
        """
        check_secret(setting, raw, origin)
        remember_passwords(setting, raw)
        earlier = self.values.setdefault(setting.name, (raw, origin))
        if earlier[1] is origin or equal(setting, earlier, (raw, origin)):
            return
        message = f"{subject(setting.key, origin.where)} is set here and in {earlier[1].where}, with different values"
        raise SourceError(message, where=origin.where, setting=setting.name, hint="keep one of them")


def remember_passwords(setting: Setting, raw: Raw) -> None:
    """Mask, from now on, the password of an address in *raw* in every message, whole or in parts.

    A map is left out: its values go to the build or into the image as the user wrote them.
    """
    if setting.kind == "map":
        return
    for part in raw if isinstance(raw, list) else [raw]:
        if isinstance(part, str):
            remember_user_info(part)


def merge(layers: Sequence[SettingsLayer], names: frozenset[str]) -> dict[str, WrittenValue]:
    """Return the strongest value of each of *names*, with those it overrides; the strongest layer comes first."""
    merged: dict[str, WrittenValue] = {}
    for name in sorted({name for layer in layers for name in layer.values} & names):
        (value, origin), *overridden = [layer.values[name] for layer in layers if name in layer.values]
        merged[name] = WrittenValue(value, origin, tuple(overridden))
    return merged
