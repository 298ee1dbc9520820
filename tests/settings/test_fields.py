"""Objects whose fields are read by their annotations."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest

from buildpush.settings.fields import BadValueError, Field, Model, ValidationError, Validator, reader


def doubled(value: int) -> int:
    return 2 * value


def not_odd(value: int) -> int:
    if value % 2:
        message = "it is odd"
        raise BadValueError(message, "take an even one", "odd")
    return value


class Inner(Model):
    size: int | None = None


class Outer(Model):
    name: str
    even: Annotated[int, Validator(not_odd)] = 0
    words: tuple[Literal["a", "b"], ...] = ()
    by_name: Mapping[str, Annotated[int, Validator(not_odd)]] = Field({})
    inner: Inner | None = None
    anything: Any = None


def errors_of(**values):
    with pytest.raises(ValidationError) as caught:
        Outer(**values)
    return [(*error.path, str(error)) for error in caught.value.errors]


def test_values_are_read_and_the_rest_has_its_default():
    made = Outer(name="x", words=["a", "b"], by_name={"k": "4"}, inner={"size": "1_000"})
    assert (made.words, made.by_name, made.inner, made.even) == (("a", "b"), {"k": 4}, Inner(size=1000), 0)
    assert made.fields_set == {"name", "words", "by_name", "inner"}


def test_every_field_that_is_wrong_is_named_with_its_path():
    assert errors_of(even="3", words=["a", "c"], by_name={"k": 5}, inner={"sice": 1}, other=1) == [
        ("name", "it is missing"),
        ("even", "it is odd"),
        ("words", 1, "'c' is not one of a, b"),
        ("by_name", "k", "it is odd"),
        ("inner", "sice", "unknown key"),
        ("other", "unknown key"),
    ]


def test_an_error_keeps_its_hint_and_its_kind():
    with pytest.raises(ValidationError) as caught:
        Outer(name="x", even=3)
    assert [(error.hint, error.kind) for error in caught.value.errors] == [("take an even one", "odd")]


@pytest.mark.parametrize(
    ("value", "number"),
    [("1", 1), (" 1 ", 1), ("+1", 1), ("-1", -1), ("1.0", 1), ("1_000", 1000), ("0012", 12), (7, 7)],
)
def test_whole_numbers_are_read_from_text(value, number):
    assert reader(int)(value) == number


@pytest.mark.parametrize(
    "value", ["1.5", "0x1", "1e3", "", "\uff11", "1.", "_1", "1__0", None, True, 1.5, [1], "9" * 5000]
)
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(BadValueError, match="is not a whole number"):
        reader(int)(value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(str, 1), (bool, 1), (float, "1"), (tuple[str, ...], "ab"), (Mapping[str, str], ["a"]), (Inner, 1), (str, None)],
)
def test_a_value_of_another_type_is_refused(annotation, value):
    with pytest.raises(BadValueError):
        reader(annotation)(value)


def test_the_last_check_before_comes_first_and_one_instead_stands_alone():
    checked = Annotated[int, Validator(doubled), Validator(int, "before"), Validator(str.strip, "before")]
    assert reader(checked)(" 4 ") == 8
    assert reader(Annotated[int, Validator(len, "instead")])("four") == 4


def test_an_object_cannot_be_changed_but_a_changed_one_can_be_made():
    made = Outer(name="x")
    with pytest.raises(ValidationError):
        made.name = "y"
    with pytest.raises(ValidationError):
        del made.name
    other = made.replace(even=2)
    assert (other.name, other.even, other.fields_set) == ("x", 2, {"name", "even"})
    assert made != other == copy.deepcopy(other)


def test_no_name_is_taken_for_the_object_itself():
    assert errors_of(name="x", self=1) == [("self", "unknown key")]
    assert errors_of(name="x", inner={"self": 1}) == [("inner", "self", "unknown key")]


def test_values_that_were_read_already_are_trusted():
    made = Outer.construct({"even": 3})
    assert (made.even, made.words, made.fields_set) == (3, (), {"even"})
