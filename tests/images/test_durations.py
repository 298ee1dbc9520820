"""Durations are read and shown as Go does it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush.dockerfile.durations import format_duration, read_duration, read_integer

MILLISECOND = 10**6


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("-0", 0),
        ("+2s", 2 * 10**9),
        ("-1s", -(10**9)),
        ("1h1m1s1ms1us1ns", 3_661_001_001_001),
        ("1.5µs", 1500),
        ("1.5μs", 1500),
        (".5s", 5 * 10**8),
        ("5.s", 5 * 10**9),
        ("0.9ns", 0),
        ("1s1s", 2 * 10**9),
        ("2562047h47m16.854775807s", 2**63 - 1),
    ],
)
def test_a_duration_is_a_sum_of_parts(text, nanoseconds):
    assert read_duration(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "5", "s", ".s", "5 s", "5d", "--5s", "1s-1s", "5s ", "\u0665s", "2562047h47m16.854775808s"]
)
def test_what_go_does_not_read_is_no_duration(text):
    assert read_duration(text) is None


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (MILLISECOND, "1ms"),
        (1_500_000, "1.5ms"),
        (10**9, "1s"),
        (1_000_500_000, "1.0005s"),
        (60 * 10**9, "1m0s"),
        (3600 * 10**9, "1h0m0s"),
    ],
)
def test_a_duration_is_shown_as_go_shows_it(nanoseconds, text):
    assert format_duration(nanoseconds) == text


@given(st.integers(MILLISECOND, 2**63 - 1))
def test_a_duration_that_is_shown_reads_back(nanoseconds):
    assert read_duration(format_duration(nanoseconds)) == nanoseconds


def test_a_whole_number_has_a_sign_at_most():
    assert [read_integer(text) for text in ("+3", "-3", "007", "", "1_0", "0x1", "\u0663", "1" * 19)] == [
        3,
        -3,
        7,
        *[None] * 5,
    ]
