"""Faults and lines can be written in a shell; what means nothing is an error that helps."""

import re
from dataclasses import fields

import pytest

from buildpush.foundation.errors import SettingsError
from buildpush.sandbox import Fault, read_fault, read_line


def test_a_fault_is_method_path_and_words():
    fault = read_fault("patch /blobs/uploads/ status=503 times=3 retry-after=2.5 header.X-Reason=maintenance")
    assert fault == Fault(
        "PATCH",
        re.compile("/blobs/uploads/"),
        status=503,
        times=3,
        retry_after=2.5,
        headers={"X-Reason": "maintenance"},
    )


def test_words_may_be_quoted_and_stand_alone():
    assert read_fault("GET . lose-answer body='slow down' times=all") == Fault(
        "GET", re.compile("."), lose_answer=True, body=b"slow down", times=None
    )


@pytest.mark.parametrize(
    ("text", "size"),
    [("5", 5), ("50MB", 50_000_000), ("50m", 50_000_000), ("1.5kB", 1500), ("16MiB", 2**24), ("2Gi", 2**31)],
)
def test_bytes_may_have_a_unit(text, size):
    assert read_line(f"reset-after={text}") == {"reset_after": size}


def test_a_line_takes_several_words():
    assert read_line("stall-after=1k bytes-per-second=2MB times=all port=8182") == {
        "stall_after": 1000,
        "bytes_per_second": 2_000_000.0,
        "times": None,
        "port": 8182,
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("PATCH", "is not a fault"),
        ("PATCH /x", "is not a fault"),
        ("PATCH ( close", "must be a regular expression"),
        ("PATCH x colour=3", "unknown name 'colour'"),
        ("PATCH x path=y", "unknown name 'path'"),
        ("PATCH x after=ten", "'after' cannot be 'ten'"),
        ("PATCH x after", "'after' needs a value"),
        ("PATCH x close=5", "'close' cannot be '5'"),
        ("PATCH x expire=all", "'token' or 'upload'"),
        ("PATCH x status=1 times=0", "at least 1"),
        ("PATCH x status=1 every=0", "at least 1"),
        ("PATCH x header.=3", "a header"),
        ('PATCH "x', "cannot be split into words"),
    ],
)
def test_a_fault_that_means_nothing_is_an_error(text, said):
    with pytest.raises(SettingsError, match=re.escape(said)):
        read_fault(text)


def test_an_unknown_word_is_answered_with_those_that_are_known():
    with pytest.raises(SettingsError) as caught:
        read_line("reset=5")
    assert "reset-after" in caught.value.hint


def test_every_attribute_of_a_fault_is_explained():
    explained = set(re.findall(r"^    +(\w+): ", Fault.__doc__, re.MULTILINE))
    assert {one.name for one in fields(Fault) if one.init} <= explained
