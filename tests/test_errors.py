"""What Python and IPython show of an error."""

from __future__ import annotations

import traceback

import pytest

from buildpush.foundation.errors import BuildPushError, SettingsError, own_notes
from buildpush.foundation.secrets import Secret


def error(hint="write another one"):
    return SettingsError("not a tag", hint=hint, where="step.yml:3")


def test_a_traceback_shows_the_hint_below_the_message():
    lines = "".join(traceback.format_exception_only(error())).splitlines()
    assert lines == ["buildpush.foundation.errors.SettingsError: step.yml:3: not a tag", "hint: write another one"]


def test_a_notebook_shows_message_and_hint_and_no_frame():
    assert error()._render_traceback_() == [
        "\x1b[31mSettingsError\x1b[39m: step.yml:3: not a tag",
        "hint: write another one",
    ]
    assert len(error(hint=None)._render_traceback_()) == 1


def test_a_hint_that_changes_is_shown_once_and_before_the_notes_of_others():
    changed = error()
    changed.add_note("1 is pushed")
    changed.hint = "read the log"
    assert changed.__notes__ == ["hint: read the log", "1 is pushed"]
    changed.hint = None
    assert changed.__notes__ == own_notes(changed) == ["1 is pushed"]


def test_the_own_notes_of_an_error_are_those_beside_its_hint():
    stopped = KeyboardInterrupt()
    stopped.add_note("1 is pushed")
    assert own_notes(stopped) == ["1 is pushed"]
    assert own_notes(error()) == []


class Unprintable:
    def __str__(self):
        raise ValueError


@pytest.mark.parametrize(
    "broken",
    [{"args": (Unprintable(),)}, {"__notes__": None}, {"__notes__": [Unprintable()]}, {"where": Unprintable()}],
)
def test_what_a_notebook_shows_of_an_error_is_never_an_error(broken):
    damaged = error()
    for name, value in broken.items():
        setattr(damaged, name, value)
    assert damaged._render_traceback_() == ["SettingsError"]


def test_no_form_of_an_error_has_a_secret():
    Secret("planted-in-an-error")
    shown = BuildPushError("planted-in-an-error", hint="planted-in-an-error")
    shown.hint = f"{shown.hint} planted-in-an-error"
    assert "planted" not in "".join([*traceback.format_exception_only(shown), *shown._render_traceback_()])
