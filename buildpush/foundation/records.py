"""Dataclasses whose methods are not compiled class by class.

The standard library writes six or more methods of a class as text and compiles them, for half a millisecond each class;
a command loads up to two hundred such classes, and makes objects of about fifty.
Here classes share their methods; ``__init__``, and what ``fields`` and ``replace`` read, is made on first use.
"""

from __future__ import annotations

import dataclasses
import operator
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, FrozenInstanceError
from typing import TYPE_CHECKING, Any, Final

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls: type | None = None, /, *, slots: bool = False, **options: bool) -> Any:
        """Make a dataclass as the standard library does; those without slots are left to the standard library."""
        if cls is None:
            return lambda cls: dataclass(cls, slots=slots, **options)
        return _record(cls, **options) if slots else dataclasses.dataclass(cls, **options)


_STANDARD: Final = ("__dataclass_fields__", "__dataclass_params__", "__match_args__")


class _Unset:
    """In a signature, the default of a field that has a factory."""

    def __repr__(self) -> str:
        return "<factory>"


_UNSET: Final = _Unset()


class _Lazy:
    """A class attribute that is made on first use."""

    def __init__(self, name: str, make: Callable[[], object]) -> None:
        self._name, self._make = name, make

    def __get__(self, one: object, owner: type) -> Any:
        self._make()
        return getattr(owner if one is None else one, self._name)


def _record(cls: type, *, frozen: bool = False, eq: bool = True, order: bool = False, kw_only: bool = False) -> type:
    """Return *cls* as a class with a slot for each field and the methods of a dataclass."""
    if cls.__bases__ != (object,):
        message = f"{cls.__name__}: a record cannot have a base class"
        raise TypeError(message)
    annotations = {name: kind for name, kind in cls.__annotations__.items() if not kind.startswith("ClassVar")}
    defaults = {name: cls.__dict__[name] for name in annotations if name in cls.__dict__}
    fields = {name: _field(defaults.get(name, MISSING)) for name in annotations}

    def make_init() -> None:
        record.__init__ = _init(cls, fields, frozen=frozen, kw_only=kw_only)

    def make_fields() -> None:
        standard = _standard(cls, annotations, defaults, kw_only=kw_only)
        params = standard.__dataclass_params__  # which a subclass of a record reads
        for name, value in {"init": True, "repr": True, "eq": eq, "order": order, "frozen": frozen}.items():
            setattr(params, name, value)
        if hasattr(params, "slots"):  # from Python 3.12 on
            params.slots = True
        for name in _STANDARD:
            setattr(record, name, getattr(standard, name))

    namespace: dict[str, Any] = {"__init__": _Lazy("__init__", make_init), "__repr__": _repr}
    namespace |= {name: _Lazy(name, make_fields) for name in _STANDARD} | _methods(eq=eq, order=order, frozen=frozen)
    left_out = {*annotations, "__dict__", "__weakref__"}
    namespace |= {name: value for name, value in cls.__dict__.items() if name not in left_out} | _attributes(fields)
    record: Any = type(cls.__name__, (), namespace)
    record.__qualname__ = cls.__qualname__
    return record  # type: ignore[no-any-return]


def _standard(cls: type, annotations: Mapping[str, str], defaults: Mapping[str, Any], *, kw_only: bool) -> Any:
    """Return the standard library's dataclass for *cls*, without methods."""
    body = {**defaults, "__annotations__": annotations, "__module__": cls.__module__, "__doc__": cls.__doc__}
    make = dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only)
    return make(type(cls.__name__, (), body))


def _methods(*, eq: bool, order: bool, frozen: bool) -> dict[str, Any]:
    """Return the methods that these options ask for, by name."""
    methods = (_EQUAL if eq else {}) | (_ORDERED if order else {}) | (_FROZEN if frozen else {})
    return methods | ({"__hash__": _hash if frozen else None} if eq else {})


def _attributes(fields: Mapping[str, Field[Any]]) -> dict[str, Any]:
    """Return the attributes of the class that the shared methods read."""
    return {
        "__slots__": tuple(fields),
        "__repr_fields__": tuple(name for name, field in fields.items() if field.repr),
        "__replace__": dataclasses.replace,  # copy.replace asks for it, from Python 3.13 on
        "__values__": operator.attrgetter(*[name for name, field in fields.items() if field.compare] or ["__class__"]),
    }


def _field(given: Any) -> Field[Any]:
    return given if isinstance(given, Field) else dataclasses.field(default=given)


def _init(cls: type, fields: Mapping[str, Field[Any]], *, frozen: bool, kw_only: bool) -> Callable[..., None]:
    """Return the ``__init__`` that takes the fields and fills the slots."""
    variables: dict[str, Any] = {"_put": object.__setattr__, "_unset": _UNSET}
    parameters, body = ["self", "*"] if kw_only else ["self"], ["pass"]
    for name, field in fields.items():
        has_factory, value = field.default_factory is not MISSING, name
        variables[f"_{name}"] = field.default_factory if has_factory else field.default
        if not field.init:
            value = f"_{name}()" if has_factory else f"_{name}"
        elif has_factory:
            parameters.append(f"{name}=_unset")
            value = f"_{name}() if {name} is _unset else {name}"
        else:
            parameters.append(name if field.default is MISSING else f"{name}=_{name}")
        if field.init or variables[f"_{name}"] is not MISSING:
            body.append(f"_put(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    lines = "\n  ".join(body)
    result: dict[str, Any] = {}
    text = f"def make({', '.join(variables)}):\n def __init__({', '.join(parameters)}):\n  {lines}\n return __init__"
    exec(text, vars(sys.modules[cls.__module__]), result)  # noqa: S102  only names of fields, nothing from outside
    method: Callable[..., None] = result["make"](**variables)
    method.__qualname__ = f"{cls.__qualname__}.__init__"
    method.__annotations__ = {name: cls.__annotations__[name] for name, field in fields.items() if field.init}
    method.__annotations__["return"] = None
    return method


def _repr(self: Any) -> str:
    values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__repr_fields__)
    return f"{type(self).__qualname__}({values})"


def _comparison(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def compared(self: Any, other: Any) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return compare(self.__values__(self), self.__values__(other))

    return compared


def _hash(self: Any) -> int:
    return hash(self.__values__(self))


def _refuse_change(self: Any, name: str, *_: object) -> None:
    message = f"cannot change field {name!r} of {type(self).__qualname__}"
    raise FrozenInstanceError(message)


def _state(self: Any) -> list[Any]:
    return [getattr(self, name) for name in self.__slots__]


def _restore(self: Any, state: list[Any]) -> None:
    for name, value in zip(self.__slots__, state, strict=True):
        object.__setattr__(self, name, value)


_EQUAL: Final = {"__eq__": _comparison(operator.eq)}
_ORDERED: Final = {
    f"__{one.__name__}__": _comparison(one) for one in (operator.lt, operator.le, operator.gt, operator.ge)
}
_FROZEN: Final = {
    "__setattr__": _refuse_change,
    "__delattr__": _refuse_change,
    "__getstate__": _state,
    "__setstate__": _restore,
}
