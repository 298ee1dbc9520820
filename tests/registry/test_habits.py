"""What a host is found to bear."""

from __future__ import annotations

from buildpush.registry.habits import LARGEST_PART, SMALLEST_PART, Habit


def test_the_first_cut_asks_for_connections_of_their_own():
    assert Habit().after_cut(5_000_000) == Habit(LARGEST_PART, fresh=True)


def test_a_cut_on_a_connection_of_its_own_makes_parts_much_smaller():
    assert Habit(fresh=True).after_cut(8_000_000).part == 2_000_000


def test_a_host_that_is_down_says_nothing_about_parts():
    assert Habit(fresh=True).after_cut(0) == Habit(fresh=True)


def test_parts_never_become_tiny():
    habit = Habit(fresh=True)
    for _ in range(20):
        habit = habit.after_cut(habit.part)
    assert habit.part == SMALLEST_PART


def test_a_limit_leads_to_the_usual_one_and_then_below_until_nothing_helps():
    first = Habit().after_limit(LARGEST_PART)
    assert first.part == 1_000_000
    second = first.after_limit(1_000_000)
    assert second.part == 500_000
    assert Habit(SMALLEST_PART).after_limit(SMALLEST_PART) is None
