"""Step files as people write them: each is planned as Harness would run it, or refused with the true reason."""

from __future__ import annotations

import pytest

from tests.steps.corpus import DIRECTORY, NAMES, Shown


@pytest.mark.parametrize("name", NAMES)
def test_a_step_file_is_planned_as_its_text_says(name, tmp_path):
    plan = DIRECTORY / f"{name}.txt"
    assert Shown(name, tmp_path).text() == (plan.read_text() if plan.exists() else "")


def test_each_plan_is_that_of_a_file():
    assert sorted(path.stem for path in DIRECTORY.glob("*.txt")) == NAMES


def test_no_plan_shows_a_secret():
    assert not [path.name for path in DIRECTORY.glob("*.txt") if "s3cret" in path.read_text()]
