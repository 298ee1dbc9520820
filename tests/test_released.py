"""The history of settings: what is new, changed or renamed since the last release says so."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from buildpush import __version__
from buildpush.cli import run_command
from buildpush.foundation.errors import SourceError
from buildpush.reference import cards, explain
from buildpush.reference.cards import card_named
from buildpush.settings.declare import setting_named
from buildpush.settings.model import BuildAndPush
from buildpush.settings.sources import read
from tests.released import SNAPSHOT, faults, minor, snapshot

TAGS = card_named("tags")
BEFORE = {"tags": {"default": "latest", "since": "0.1"}}


def test_every_setting_tells_its_history_since_the_last_release():
    released = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert list(faults(cards.cards(), released["settings"], minor(__version__))) == []


def test_what_a_release_notes_has_no_fault_in_the_next_version():
    assert list(faults(cards.cards(), snapshot(cards.cards()), "0.2")) == []


@pytest.mark.parametrize(
    ("card", "fault"),
    [
        (replace(TAGS, since="0.2"), "tags says since 0.2, and it is there since 0.1"),
        (replace(TAGS, default=""), "tags has another default, and does not say changed in 0.2"),
        (replace(TAGS, changed=(("0.3", "x"),)), "tags says changed before 0.1, after 0.2, or in no order"),
        (replace(TAGS, changed=(("0.0", "x"),)), "tags says changed before 0.1, after 0.2, or in no order"),
    ],
)
def test_a_history_that_is_wrong_is_a_fault(card, fault):
    assert list(faults([card], BEFORE, "0.2")) == [fault]


@pytest.mark.parametrize(
    "card",
    [
        replace(TAGS, default="", changed=(("0.2", "there is no default"),)),
        replace(TAGS, name="labels", renamed=("tags",)),
    ],
    ids=["changed", "renamed"],
)
def test_a_history_that_is_told_is_none(card):
    assert list(faults([card], BEFORE, "0.2")) == []


def test_a_new_setting_says_the_coming_version():
    new = replace(TAGS, name="new")
    assert list(faults([TAGS, new], BEFORE, "0.2")) == ["new says since 0.1, and it is there since 0.2"]
    assert list(faults([TAGS, replace(new, since="0.2")], BEFORE, "0.2")) == []


def test_a_setting_that_is_gone_is_a_fault():
    assert list(faults([], BEFORE, "0.2")) == ["tags is gone: its new setting says renamed"]


@pytest.fixture
def renamed():
    """Give the setting ``tags`` a name that it never had: so far none was renamed."""
    declared = setting_named(BuildAndPush, "tags")
    object.__setattr__(declared, "renamed", ("image_labels",))
    cards.cards.cache_clear()
    yield
    object.__setattr__(declared, "renamed", ())
    cards.cards.cache_clear()


def read_step(tmp_path, spec="", **given):
    step = f"step:\n  type: BuildAndPushDockerRegistry\n  spec:\n    repo: acme.jfrog.io/docker-local/site\n{spec}"
    (tmp_path / "step.yml").write_text(step, encoding="utf-8")
    given = {"env": {}, "flags": {}, "keywords": {}} | given
    return read(tmp_path / "step.yml", cwd=tmp_path, step=None, **given)


@pytest.mark.parametrize(
    ("spec", "keywords", "hint"),
    [
        ("    imageLabels: [1]\n", {}, "it is called tags now"),
        ("    envVariables:\n      PLUGIN_IMAGE_LABELS: 1\n", {}, "it is called PLUGIN_TAGS now"),
        ("", {"image_labels": "1"}, "it is called tags now"),
    ],
    ids=["key", "variable", "keyword"],
)
def test_a_former_name_is_refused_with_the_name_of_today(spec, keywords, hint, renamed, tmp_path):
    with pytest.raises(SourceError) as caught:
        read_step(tmp_path, spec, keywords=keywords)
    assert caught.value.hint == hint


def test_a_former_name_in_buildpush_yaml_is_refused_with_the_name_of_today(renamed, tmp_path):
    (tmp_path / "buildpush.yaml").write_text("imageLabels: [1]\n", encoding="utf-8")
    with pytest.raises(SourceError) as caught:
        read_step(tmp_path)
    assert caught.value.hint == "it is called tags now"


def test_a_former_variable_of_the_environment_is_noted_with_the_name_of_today(renamed, tmp_path):
    notes = read_step(tmp_path, env={"PLUGIN_IMAGE_LABELS": "1"}).notes
    assert (
        "PLUGIN_IMAGE_LABELS has no effect: it is not a variable of buildpush (it is called PLUGIN_TAGS now)" in notes
    )


def test_a_former_flag_is_refused_with_the_name_of_today(renamed, capsys):
    assert run_command(["run", "--image-labels=1"]) == 2
    assert "it is called --tags now" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["image_labels", "imageLabels", "PLUGIN_IMAGE_LABELS", "--image-labels"])
def test_explain_answers_to_a_former_name_with_the_name_of_today(name, renamed, tmp_path):
    first, *rest = explain.as_text(name, read_step(tmp_path)).splitlines()
    assert first == f"{name} is a name of an earlier version: it is called tags now"
    assert "formerly  image_labels" in rest
    assert list(explain.as_json(name, read_step(tmp_path))["card"]["renamed"]) == ["image_labels"]


def test_the_anchor_of_a_former_name_lives_on(renamed):
    assert card_named("tags").former_anchors == ("setting-image-labels",)


def test_a_card_tells_in_which_version_something_changed():
    told = dict(cards.facts(replace(TAGS, changed=(("0.2", "numbers are refused"),))))
    assert told["Since"] == ("0.1",)
    assert told["Changed"] == ("**in 0.2** numbers are refused",)
    assert "Changed" not in dict(cards.facts(TAGS))
