"""The states of an upload, and what leads from one to the next."""

from __future__ import annotations

import pytest

from buildpush.registry.upload_state import Doubt, UploadPlan, UploadState

BEGUN = UploadState("https://r.io/up/1", "parts")


def test_a_session_that_is_begun_has_nothing_and_that_is_certain():
    assert (BEGUN.offset, BEGUN.known, BEGUN.resumed, BEGUN.doubt) == (0, True, False, Doubt.NONE)


def test_a_session_of_an_earlier_run_must_be_asked_for_its_offset_first():
    assert UploadState.resume("https://r.io/up/1", "parts") == UploadState("https://r.io/up/1", "parts", 0, False, True)


def test_a_session_moves_to_another_address_and_changes_in_nothing_else():
    session = UploadState("https://r.io/up/1", "patch", 7, known=False, resumed=True, doubt=Doubt.REPORTED)
    moved = UploadState("https://r.io/up/2", "patch", 7, known=False, resumed=True, doubt=Doubt.REPORTED)
    assert session.at_location("https://r.io/up/2") == moved


def test_after_a_failure_the_offset_is_unknown_unless_it_is_certain_that_nothing_was_taken():
    session = BEGUN.at_offset(7)
    assert not session.after_failure(certain=False).known
    assert session.after_failure(certain=False).offset == 7
    assert session.after_failure(certain=True) == session


def test_an_offset_that_was_found_out_is_known():
    resumed = UploadState.resume("https://r.io/up/1", "parts").at_offset(9, Doubt.REPORTED)
    assert (resumed.offset, resumed.known, resumed.resumed, resumed.doubt) == (9, True, True, Doubt.REPORTED)


@pytest.mark.parametrize("before", Doubt)
@pytest.mark.parametrize("now", Doubt)
def test_doubt_never_becomes_less(before, now):
    assert BEGUN.at_offset(1, before).at_offset(2, now).doubt is max(before, now)
    assert BEGUN.at_offset(1, before).after_failure(certain=False).at_offset(2).doubt is before


def test_what_was_confirmed_is_not_doubted():
    assert BEGUN.at_offset(1).at_offset(2).doubt is Doubt.NONE


def test_a_plan_begins_with_the_way_of_the_host():
    assert UploadPlan().way is None


def test_a_plan_turns_to_each_way_once():
    patch = UploadPlan().switch_to("patch", "parts")
    assert patch.way == "patch"
    assert patch.switch_to("patch", "parts") is None
    put = patch.switch_to("put", "patch")
    assert (put.way, put.ways) == ("put", ("patch", "put"))


@pytest.mark.parametrize("way", ["patch", "put"])
def test_nothing_asks_less_than_to_send_all_of_it_with_the_end(way):
    assert UploadPlan().switch_to(way, "put") is None


def test_a_plan_tries_smaller_parts_once_whatever_ways_it_turns_to():
    smaller = UploadPlan().with_smaller_parts()
    assert smaller.with_smaller_parts() is None
    assert smaller.switch_to("patch", "parts").with_smaller_parts() is None
    assert smaller.way is None
