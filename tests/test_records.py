"""A record is what the standard library's dataclass of the same text is."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import sys
import types
import typing
from dataclasses import field

import pytest

from buildpush.foundation import records
from buildpush.images.references import Reference

CLASSES = '''
from __future__ import annotations
from collections.abc import Mapping
from dataclasses import field
from typing import ClassVar

@dataclass(frozen=True, slots=True)
class Plain:
    """Two fields."""
    one: int
    two: str = "2"

@dataclass(frozen=True, slots=True)
class Made:
    one: Mapping[str, int] = field(default_factory=dict)
    hidden: str = field(default="secret", repr=False)
    aside: int = field(default=0, compare=False)

@dataclass(frozen=True, slots=True)
class Settled:
    one: int
    later: int = field(default=7, init=False, repr=False)
    never: int = field(init=False, repr=False, compare=False)
    listed: list[int] = field(default_factory=list, init=False)

@dataclass(frozen=True, slots=True, order=True)
class Ordered:
    one: int
    two: str = ""

@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    name: ClassVar[str] = "a name"
    one: int
    two: int = 2

@dataclass(frozen=True, slots=True, eq=False)
class Itself:
    one: int

@dataclass(slots=True)
class Loose:
    one: int
    two: int = 2

@dataclass(slots=True)
class Empty:
    pass

@dataclass(frozen=True)
class Open:
    one: int

@dataclass(frozen=True, slots=True)
class Checked:
    one: int

    def __post_init__(self):
        if self.one < 0:
            raise ValueError("negative")

    def __repr__(self):
        return f"<{self.one}>"

    @property
    def twice(self):
        return 2 * self.one
'''


def module_of(name: str, dataclass) -> types.ModuleType:
    made = types.ModuleType(name)
    made.dataclass = dataclass
    sys.modules[name] = made
    exec(CLASSES, vars(made))
    return made


OURS, THEIRS = module_of("records_ours", records.dataclass), module_of("records_theirs", dataclasses.dataclass)
NAMES = [name for name, one in vars(OURS).items() if isinstance(one, type) and one.__module__ == "records_ours"]
GIVEN = [{}, {"one": 1}, {"one": 2}, {"one": 1, "two": 3}, {"aside": 5}, {"hidden": "x"}, {"one": -1}, {"three": 3}]


def told(act) -> object:
    """Return what *act* gives, or of which kind its error is, in words that do not say whose class it was."""
    try:
        return str(act()).replace("records_ours", "records_theirs")
    except Exception as error:  # noqa: BLE001  whatever it is, both have it
        return f"{type(error).__name__}: {error}" if isinstance(error, TypeError) else type(error).__name__


@pytest.fixture(params=NAMES)
def pair(request):
    return getattr(OURS, request.param), getattr(THEIRS, request.param)


def same(pair, act) -> None:
    ours, theirs = pair
    assert told(lambda: act(ours)) == told(lambda: act(theirs))


@pytest.mark.parametrize("given", GIVEN, ids=str)
def test_it_is_made_and_shown_alike(pair, given):
    same(pair, lambda cls: repr(cls(**given)) if cls.__name__ != "Itself" else cls(**given).one)
    same(pair, lambda cls: repr(cls(*given.values())))
    same(pair, lambda cls: dataclasses.asdict(cls(**given)))
    same(pair, lambda cls: repr(dataclasses.replace(cls(**given), one=9)))
    same(pair, lambda cls: repr(copy.copy(cls(**given))))
    same(pair, lambda cls: repr(copy.deepcopy(cls(**given))))
    same(pair, lambda cls: repr(pickle.loads(pickle.dumps(cls(**given)))))


@pytest.mark.parametrize("other", GIVEN, ids=str)
@pytest.mark.parametrize("given", GIVEN, ids=str)
def test_it_is_compared_alike(pair, given, other):
    for act in ("__eq__", "__ne__", "__lt__", "__ge__"):
        same(pair, lambda cls, act=act: getattr(cls(**given), act)(cls(**other)))
        same(pair, lambda cls, act=act: getattr(cls(**given), act)(given))
    same(pair, lambda cls: hash(cls(**given)) == hash(cls(**given)))


def test_it_is_changed_alike(pair):
    def change(cls, name):
        one = cls(one=1)
        setattr(one, name, 5)
        delattr(one, name)
        return hasattr(one, name)

    same(pair, lambda cls: change(cls, "one"))


def test_it_is_described_alike(pair):
    same(pair, inspect.signature)
    same(pair, lambda cls: typing.get_type_hints(cls.__init__))
    same(pair, lambda cls: [(one.name, one.type, one.init) for one in dataclasses.fields(cls)])
    same(pair, lambda cls: (cls.__match_args__, cls.__slots__, cls.__qualname__, cls.__module__))
    same(pair, dataclasses.is_dataclass)
    same(pair, lambda cls: cls.__doc__ if cls.__name__ == "Plain" else None)


def test_a_match_takes_its_fields_by_place():
    match OURS.Plain(4):
        case OURS.Plain(one, two):
            assert (one, two) == (4, "2")


def test_a_dataclass_of_the_standard_library_inherits_from_it_alike(pair):
    def inherit(cls, **options):
        heir = dataclasses.make_dataclass("Heir", [("more", int, 3)], bases=(cls,), **options)
        made = heir(one=1)
        return made.one, made.more, made == heir(one=1), dataclasses.replace(made, more=4).more

    for is_frozen in (True, False):
        same(pair, lambda cls, is_frozen=is_frozen: inherit(cls, frozen=is_frozen))
        same(pair, lambda cls, is_frozen=is_frozen: inherit(cls, frozen=is_frozen, kw_only=True))
    same(pair, lambda cls: cls.__dataclass_params__)


def test_methods_and_names_of_the_class_stay():
    assert (OURS.Checked(2).twice, OURS.Named(one=1).name) == (4, "a name")


def test_no_slot_holds_what_the_class_does_not_name():
    with pytest.raises(AttributeError):
        OURS.Loose(1).three = 3


def test_a_record_inherits_nothing():
    with pytest.raises(TypeError, match="cannot have a base class"):

        @records.dataclass(frozen=True, slots=True)
        class _Heir(OURS.Plain):
            three: int = field(default=3)


def test_a_record_is_copied_with_changes_as_the_standard_library_does_it():
    one = Reference.parse("a.io/b/c:1")
    assert one.__replace__(tag=None) == dataclasses.replace(one, tag=None) != one
