"""What a host is found to bear."""

from __future__ import annotations

import pytest

from buildpush.registry.profile import LARGEST_PART, SMALLEST_PART, UploadProfile


def test_the_first_cut_asks_for_connections_of_their_own():
    assert UploadProfile().after_cut(5_000_000, fresh=False) == UploadProfile(LARGEST_PART, fresh=True)


def test_a_cut_on_a_connection_of_its_own_makes_parts_much_smaller():
    assert UploadProfile(fresh=True).after_cut(8_000_000, fresh=True).part == 2_000_000


def test_a_host_that_is_down_says_nothing_about_parts():
    assert UploadProfile(fresh=True).after_cut(0, fresh=True) == UploadProfile(fresh=True)


def test_connections_that_broke_at_once_are_one_cut():
    """Four layers lose the line together; none of their connections was one of its own."""
    profile = UploadProfile()
    for sent in (3_000_000, 270_000, 5_000_000, 900_000):
        profile = profile.after_cut(sent, fresh=False)
    assert profile == UploadProfile(fresh=True)


def test_a_blob_in_one_go_that_was_cut_is_tried_in_parts_again():
    assert UploadProfile(way="patch").after_cut(5_000_000, fresh=False).way == "parts"


def test_a_late_refusal_of_a_large_part_makes_parts_no_larger():
    assert UploadProfile(250_000).after_limit(1_000_000).part == 250_000


def test_parts_never_become_tiny():
    profile = UploadProfile(fresh=True)
    for _ in range(20):
        profile = profile.after_cut(profile.part, fresh=True)
    assert profile.part == SMALLEST_PART


def test_a_limit_leads_to_the_usual_one_and_then_below_until_nothing_helps():
    first = UploadProfile().after_limit(LARGEST_PART)
    assert first.part == 1_000_000
    second = first.after_limit(1_000_000)
    assert second.part == 500_000
    assert UploadProfile(SMALLEST_PART).after_limit(SMALLEST_PART) is None


@pytest.mark.parametrize(("way", "then"), [("parts", "parts"), ("patch", "parts"), ("put", "put")])
def test_who_knows_no_patch_is_asked_for_none_after_a_cut_or_a_limit(way, then):
    assert UploadProfile(way=way).after_cut(5_000_000, fresh=False).way == then
    assert UploadProfile(way=way, fresh=True).after_cut(1000, fresh=True).way == then
    assert UploadProfile(way=way, fresh=True).after_cut(5_000_000, fresh=True).way == then
    assert UploadProfile(way=way).after_limit(5_000_000).way == then


def test_a_cut_at_once_makes_parts_no_smaller():
    profile = UploadProfile(fresh=True)
    assert profile.after_cut(SMALLEST_PART - 1, fresh=True).part == LARGEST_PART
    assert profile.after_cut(SMALLEST_PART, fresh=True).part == SMALLEST_PART
    assert UploadProfile().after_cut(1, fresh=True) == UploadProfile(fresh=True)


@pytest.mark.parametrize(
    ("profile", "size", "part"),
    [
        (UploadProfile(), 8_000_003, 2_000_000),
        (UploadProfile(), 3, 1),
        (UploadProfile(taken=4_000_000), 8_000_000, 4_000_000),
        (UploadProfile(taken=8_000_000), 8_000_000, None),
        (UploadProfile(taken=8_000_000), 8_000_001, 8_000_000),
    ],
)
def test_a_part_that_is_refused_falls_back_to_the_largest_that_was_taken(profile, size, part):
    found = profile.after_refusal(size)
    assert (found and found.part) == part


def test_what_was_taken_is_remembered():
    assert UploadProfile().after_part(5, second=False) == UploadProfile(taken=5)
    assert UploadProfile(taken=9).after_part(5, second=True) == UploadProfile(taken=9, takes_parts=True)
    assert UploadProfile(taken=9, takes_parts=True).after_part(10, second=False) == UploadProfile(
        taken=10, takes_parts=True
    )
    assert UploadProfile().with_way("put") == UploadProfile(way="put")


@pytest.mark.parametrize(
    ("profile", "most", "known", "size"),
    [
        (UploadProfile(), LARGEST_PART, 80_000_000, 10_000_000),  # an eighth of a blob, to an unknown host
        (UploadProfile(), 5_000_000, 80_000_000, 5_000_000),
        (UploadProfile(part=1_000_000), LARGEST_PART, 80_000_000, 1_000_000),
        (UploadProfile(), LARGEST_PART, 7, 1),
        (UploadProfile(taken=1_000_000), LARGEST_PART, 80_000_000, 1_000_000),
        (UploadProfile(taken=1_000_000, takes_parts=True), LARGEST_PART, 8_000_000, 3_000_000),
        (UploadProfile(taken=4_000_000, takes_parts=True), LARGEST_PART, 8_000_000, 4_000_000),
        (UploadProfile(taken=LARGEST_PART), LARGEST_PART, 8_000_000, LARGEST_PART),
        (UploadProfile(least=6_000_000), LARGEST_PART, 8_000_000, 6_000_000),
        (UploadProfile(least=6_000_000, part=1_000_000), 2_000_000, 8_000_000, 6_000_000),
        (UploadProfile(least=2 * LARGEST_PART), LARGEST_PART, 8_000_000, LARGEST_PART),
    ],
)
def test_the_next_part_is_as_bold_as_what_is_known_of_the_host(profile, most, known, size):
    assert profile.size(most, known) == size


def test_parts_are_whole_numbers_of_bytes_whatever_was_refused_or_cut():
    assert UploadProfile().size(LARGEST_PART, 80_000_001) == 10_000_000
    assert UploadProfile(takes_parts=True).size(LARGEST_PART, 8_000_001) == 3_000_000
    assert UploadProfile().after_limit(999_999).part == 499_999
    assert UploadProfile(fresh=True).after_cut(999_999, fresh=True).part == 249_999
