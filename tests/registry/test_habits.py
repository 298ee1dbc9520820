"""What a host is found to bear."""

from __future__ import annotations

from buildpush.registry.habits import LARGEST_PART, SMALLEST_PART, Habit


def test_the_first_cut_asks_for_connections_of_their_own():
    assert Habit().after_cut(5_000_000, fresh=False) == Habit(LARGEST_PART, fresh=True)


def test_a_cut_on_a_connection_of_its_own_makes_parts_much_smaller():
    assert Habit(fresh=True).after_cut(8_000_000, fresh=True).part == 2_000_000


def test_a_host_that_is_down_says_nothing_about_parts():
    assert Habit(fresh=True).after_cut(0, fresh=True) == Habit(fresh=True)


def test_connections_that_broke_at_once_are_one_cut():
    """Four layers lose the line together; none of their connections was one of its own."""
    habit = Habit()
    for sent in (3_000_000, 270_000, 5_000_000, 900_000):
        habit = habit.after_cut(sent, fresh=False)
    assert habit == Habit(fresh=True)


def test_a_blob_in_one_go_that_was_cut_is_tried_in_parts_again():
    assert Habit(way="patch").after_cut(5_000_000, fresh=False).way == "parts"


def test_a_late_refusal_of_a_large_part_makes_parts_no_larger():
    assert Habit(250_000).after_limit(1_000_000).part == 250_000


def test_parts_never_become_tiny():
    habit = Habit(fresh=True)
    for _ in range(20):
        habit = habit.after_cut(habit.part, fresh=True)
    assert habit.part == SMALLEST_PART


def test_a_limit_leads_to_the_usual_one_and_then_below_until_nothing_helps():
    first = Habit().after_limit(LARGEST_PART)
    assert first.part == 1_000_000
    second = first.after_limit(1_000_000)
    assert second.part == 500_000
    assert Habit(SMALLEST_PART).after_limit(SMALLEST_PART) is None
