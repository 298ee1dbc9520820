"""The situations on cards: every tab of each is read back, with its expressions evaluated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from buildpush.foundation.state import State
from buildpush.pipeline.context import RunContext
from buildpush.reference import cards
from buildpush.reference.cards import card_named
from buildpush.reference.situations import SITUATIONS
from buildpush.settings.declare import setting_named
from buildpush.settings.decode import decode
from buildpush.settings.evaluate import evaluate_setting
from buildpush.settings.step_facts import facts_of
from buildpush.settings.stepkinds import STEP_KINDS
from buildpush.settings.written import Origin, WrittenValue
from tests.test_cards import read_back

TABS = [(card.name, title, surface) for card in cards.cards() for title, texts in card.situations for surface in texts]
ON_GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_REF_NAME": "main",
    "GITHUB_REF_TYPE": "branch",
    "GITHUB_EVENT_NAME": "push",
    "GITHUB_SHA": "0123456789abcdef0123456789abcdef01234567",
    "GITHUB_RUN_NUMBER": "7",
    "REGISTRY_CONNECTOR": "jfrog",
}


@pytest.fixture
def facts(tmp_path):
    context = RunContext.default(env=ON_GITHUB, cwd=tmp_path)
    return replace(context, state=State(tmp_path / "state", tmp_path), dry=True).facts


def value_of(step, name, written, facts):
    """Return what a run would use for a setting of the step that is *written* so."""
    step = replace(step, scope={"matrix": {"python": "3.12"}})
    raw = evaluate_setting(step, name, written, facts_of(step, facts))
    return decode(setting_named(step.model, name), raw, written.origin)


@pytest.mark.parametrize(("name", "title", "surface"), TABS)
def test_every_tab_of_a_situation_reads_back_to_its_values(name, title, surface, tmp_path, facts):
    card = card_named(name)
    (values,) = [one.values for one in SITUATIONS[name] if one.title == title]
    step = read_back(card, surface, tmp_path, dict(card.situations)[title][surface], values)
    for one, raw in values.items():
        if one == "env_variables":
            assert {variable: step.environment[variable].value for variable in raw} == raw
        else:
            expected = value_of(step, one, WrittenValue(raw, Origin("file", "here", "")), facts)
            assert value_of(step, one, step.settings[one], facts) == expected


def test_every_situation_belongs_to_a_card_and_sets_its_setting():
    for name, situations in SITUATIONS.items():
        assert all(name.rpartition(".")[2] in situation.values for situation in situations)
        assert len({situation.title for situation in situations}) == len(situations)
        assert card_named(name).situations


def test_every_situation_has_a_tab_for_step_files():
    assert {(name, title) for name, title, surface in TABS if surface == "YAML"} == {
        (name, situation.title) for name, situations in SITUATIONS.items() for situation in situations
    }


def test_settings_of_a_situation_are_of_the_kind_of_step_of_its_card():
    for name, situations in SITUATIONS.items():
        model = STEP_KINDS[card_named(name).step].model
        assert all(setting_named(model, one) for situation in situations for one in situation.values)
