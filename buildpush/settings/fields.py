"""Immutable typed objects: the annotation of a field says how its value is read, and is evaluated on first use."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    Self,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.foundation.spelling import nearest

REQUIRED: Final[Any] = ...
_NUMBER: Final = regex(r"\s*([+-]?\d+(?:_\d+)*)(?:\.0+)?\s*\Z", re.ASCII)
_NAMES: Final = {str: "text", bool: "true or false, in Python True or False", float: "a number"}

ValueReader = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Validator:
    """A function that checks or converts values of a type: after they are read as that type, before, or instead."""

    act: ValueReader
    when: Literal["after", "before", "instead"] = "after"


class BadValueError(ValueError):
    """A value that cannot be used.

    Args:
        hint: what to write instead.
        kind: which class of error it becomes.
        path: where it is, from the field on.
    """

    def __init__(self, message: str, hint: str = "", kind: str = "refused", path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.hint, self.kind, self.path = hint, kind, path

    def below(self, part: str | int) -> BadValueError:
        """Return the same error for the value that contains this one as *part*."""
        return BadValueError(str(self), self.hint, self.kind, (part, *self.path))


class ValidationError(SettingsError, ValueError):
    """Values of an object that cannot be used, with one error for each field."""

    def __init__(self, errors: Iterable[BadValueError]) -> None:
        self.errors = tuple(errors)
        text = "; ".join(f"{'.'.join(map(str, one.path))}: {one}" for one in self.errors)
        super().__init__(text, hint=next(filter(None, (one.hint for one in self.errors)), None))


class Field:
    """The default of a field, and what was declared about it."""

    def __init__(self, default: Any = REQUIRED, declared: Any = None) -> None:
        self.default, self.declared = default, declared
        self.annotation: Any = Any

    def of_type(self, annotation: Any) -> Field:
        """Return the same field with the type *annotation*."""
        field = Field(self.default, self.declared)
        field.annotation = annotation
        return field

    @cached_property
    def read(self) -> ValueReader:
        """The function that reads a value."""
        return reader(self.annotation)


@dataclass_transform(kw_only_default=True, frozen_default=True, eq_default=False)
class Model:
    """An object whose values are read by the annotations of its class."""

    fields_set: frozenset[str]

    def __init__(self, /, **values: Any) -> None:
        vars(self).update(_read_all(type(self), values))
        vars(self)["fields_set"] = frozenset(values)

    @classmethod
    def fields(cls) -> Mapping[str, Field]:
        """Return the fields by name, those of the base first."""
        if cls not in _FIELDS:
            _FIELDS[cls] = _fields(cls)
        return _FIELDS[cls]

    @classmethod
    def construct(cls, values: Mapping[str, Any]) -> Self:
        """Return an object with *values*, which must be valid: they are not read again."""
        instance = cls.__new__(cls)
        vars(instance).update({name: field.default for name, field in cls.fields().items()}, **values)
        vars(instance)["fields_set"] = frozenset(values)
        return instance

    def replace(self, **values: Any) -> Self:
        """Return a copy with other values, which must be valid: they are not read again."""
        return type(self).construct({name: getattr(self, name) for name in self.fields_set} | values)

    def __setattr__(self, name: str, value: Any) -> None:
        raise ValidationError([BadValueError("it cannot be changed", path=(name,))])

    def __delattr__(self, name: str) -> None:
        raise ValidationError([BadValueError("it cannot be removed", path=(name,))])

    __hash__ = None  # type: ignore[assignment]  # maps are among the values

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and all(getattr(self, name) == getattr(other, name) for name in self.fields())

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.fields())
        return f"{type(self).__name__}({values})"


_FIELDS: Final[dict[type[Model], Mapping[str, Field]]] = {}


def _fields(cls: type[Model]) -> Mapping[str, Field]:
    hints = get_type_hints(cls, include_extras=True)
    given = {name: getattr(cls, name, REQUIRED) for name in hints if name != "fields_set"}
    fields = {name: one if isinstance(one, Field) else Field(one) for name, one in given.items()}
    return {name: field.of_type(hints[name]) for name, field in fields.items()}


def _read_all(cls: type[Model], values: Mapping[str, Any]) -> dict[str, Any]:
    results, errors, fields = {}, [], cls.fields()
    for name, field in fields.items():
        try:
            results[name] = field.read(values[name]) if name in values else _default(field)
        except BadValueError as error:
            errors.append(error.below(name))
    errors += [
        BadValueError("unknown key", f"write one of {', '.join(fields)}", path=(name,))
        for name in values
        if name not in fields
    ]
    if errors:
        raise ValidationError(errors)
    return results


def _default(field: Field) -> Any:
    if field.default is REQUIRED:
        message = "it is missing"
        raise BadValueError(message, "give it a value", kind="missing")
    return field.default


def reader(annotation: Any) -> ValueReader:
    """Return the function that reads a value as the type *annotation*, or raises a :class:`BadValueError`."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _checked(reader(parts[0]), [one for one in parts[1:] if isinstance(one, Validator)])
    if origin in {Union, types.UnionType}:
        return _optional(next(part for part in parts if part is not types.NoneType))
    if origin is Literal:
        return lambda value: _word(value, parts)
    if origin is not None:
        return _each(reader(parts[0])) if origin is tuple else _pairs(*map(reader, parts))
    return _plain(annotation)


def _plain(expected: Any) -> ValueReader:
    if expected in {Any, int}:
        return _as_it_is if expected is Any else _number
    if issubclass(expected, Model):
        return lambda value: _object(value, expected)
    return lambda value: _of_type(value, expected)


def _as_it_is(value: Any) -> Any:
    return value


def _checked(read: ValueReader, checks: Iterable[Validator]) -> ValueReader:
    for check in checks:
        read = {"after": _then(read, check.act), "before": _then(check.act, read), "instead": check.act}[check.when]
    return read


def _then(first: ValueReader, second: ValueReader) -> ValueReader:
    return lambda value: second(first(value))


def _optional(part: Any) -> ValueReader:
    read = reader(part)
    return lambda value: None if value is None else read(value)


def _word(value: Any, words: tuple[Any, ...]) -> Any:
    if value in words:
        return value
    near = nearest(str(value).lower(), words, most=1)
    message = f"{value!r} is not one of {', '.join(words)}"
    raise BadValueError(message, f"did you mean {near[0]!r}?" if near else "write one of them")


def _each(read: ValueReader) -> ValueReader:
    def read_each(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            message = f"it is of the type {type(value).__name__}"
            raise BadValueError(message, "write a list")
        return tuple(_part(read, part, position) for position, part in enumerate(value))

    return read_each


def _pairs(read_key: ValueReader, read_value: ValueReader) -> ValueReader:
    def read_pairs(value: Any) -> dict[Any, Any]:
        if not isinstance(value, Mapping):
            message = f"it is of the type {type(value).__name__}"
            raise BadValueError(message, "write a map of names and values")
        return {_part(read_key, key, key): _part(read_value, part, key) for key, part in value.items()}

    return read_pairs


def _part(read: ValueReader, value: Any, where: str | int) -> Any:
    try:
        return read(value)
    except BadValueError as error:
        raise error.below(where) from None


def _number(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _NUMBER.match(value) if isinstance(value, str) else None
    try:
        return int(match[1] if match else "")
    except ValueError:  # raised for too many digits as well
        message = f"{value!r} is not a whole number"
        raise BadValueError(message, "write it in digits, such as 3") from None


def _object(value: Any, model: type[Model]) -> Model:
    if isinstance(value, model):
        return value
    if not isinstance(value, Mapping):
        message = f"it is of the type {type(value).__name__}"
        raise BadValueError(message, "write a map of names and values")
    try:
        return model(**value)
    except ValidationError as error:
        raise error.errors[0] from None


def _of_type(value: Any, expected: type) -> Any:
    if isinstance(value, expected):
        return value
    if expected is float and isinstance(value, int):
        return float(value)
    message = f"it is of the type {type(value).__name__}"
    raise BadValueError(message, f"write {_NAMES.get(expected, f'a {expected.__name__}')}")
