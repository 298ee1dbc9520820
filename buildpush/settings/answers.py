"""Evaluates expressions in a value, at any depth; an error names the place of the expression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from buildpush.expressions import methods
from buildpush.expressions.evaluate import Value
from buildpush.expressions.evaluate import evaluate as answer
from buildpush.expressions.facts import Facts
from buildpush.foundation.documents import Raw, Trail
from buildpush.foundation.errors import ExpressionError, SecretError, SettingsError
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import Secret
from buildpush.settings.written import Origin, key_prefix


@dataclass(frozen=True, slots=True)
class SettingEvaluator:
    """Evaluates the expressions in the value of one setting, and names the place of an error.

    Attributes:
        raw_keys: keys of maps whose values stay as they are written.
    """

    name: str
    key: str
    origin: Origin
    facts: Facts
    raw_keys: frozenset[str] = frozenset()

    def evaluate(self, raw: Raw, path: Trail = ()) -> Raw:
        """Return *raw* with its expressions evaluated.

        Raises:
            SettingsError: an expression has no value; the error has its place.
        """
        if isinstance(raw, dict):
            return {
                self._key(key, path): value if key in self.raw_keys else self.evaluate(value, (*path, key))
                for key, value in raw.items()
            }
        if isinstance(raw, list):
            return [self.evaluate(value, (*path, position)) for position, value in enumerate(raw)]
        return raw if isinstance(raw, Secret) else self._text(raw, path)

    def _key(self, key: str, path: Trail) -> str:
        name = self._text(key, (*path, key))
        if isinstance(name, str):
            return name
        message = (
            f"{key_prefix(self.key, self.origin.where)}a name must be text, but this expression gives another type"
        )
        raise SettingsError(message, where=self.origin.at(*path, key), setting=self.name)

    def _text(self, text: str, path: Trail) -> Raw:
        if "<+" not in text:
            return text
        try:
            return _raw(answer(text, self.facts, field=self._input_name(path)))
        except (ExpressionError, SecretError) as error:
            where = self.origin.at(*path)
            message = f"{key_prefix(self.key, where)}{error.args[0]}"
            raise type(error)(message, hint=error.hint, setting=self.name, where=where) from None

    def _input_name(self, path: Trail) -> str:
        """Return the name of the input at *path*: an entry of a map has its own."""
        keys = [part for part in path if isinstance(part, str)]
        return self.key if "<+" in "".join(keys) else ".".join([self.key, *keys])


def _raw(value: Value) -> Raw:
    """Return *value* as text, lists and dicts of text."""
    if isinstance(value, str | Secret):
        return value
    if isinstance(value, Mapping):
        return {key: _raw(entry) for key, entry in value.items()}
    if isinstance(value, Sequence):
        return [_raw(entry) for entry in value]
    return methods.as_text(value)
