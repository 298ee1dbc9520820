"""Every variable of Harness' build plugins is honoured, refused or named, wherever it is written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from buildpush.foundation.errors import SettingsError, SourceError, UnsupportedError
from buildpush.reference.schema import schema
from buildpush.settings.buildx_options import _REFUSED
from buildpush.settings.declare import settings_of
from buildpush.settings.model import BuildAndPush
from buildpush.settings.plugin_variables import PLUGIN_VARIABLES, SECTIONS
from buildpush.settings.sources import read
from buildpush.settings.validate import validate

SETTINGS = {setting.name: setting for setting in settings_of(BuildAndPush)}
# A text that every kind of setting takes as long as it is only read.
TEXT = "env:VALUE"
GATES = {"PLUGIN_BUILD_ARGS_NEW": {"PLUGIN_MULTIPLE_BUILD_ARGS": "true"}}
ROWS = [pytest.param(row, id=row.name) for row in PLUGIN_VARIABLES.values()]


def in_environment(variables, directory):
    return read(None, env=variables, flags={}, keywords={}, cwd=directory, step=None)


def in_file(variables, directory):
    step = {"type": "BuildAndPushDockerRegistry", "spec": {"envVariables": variables}}
    (directory / "step.yml").write_text(json.dumps({"step": step}))
    return read(Path("step.yml"), env={}, flags={}, keywords={}, cwd=directory, step=None)


def in_settings(variables, directory):
    settings = {name.removeprefix("PLUGIN_").lower(): text for name, text in variables.items()}
    step = {"type": "Plugin", "spec": {"image": "plugins/buildx", "settings": settings}}
    (directory / "step.yml").write_text(json.dumps({"step": step}))
    return read(Path("step.yml"), env={}, flags={}, keywords={}, cwd=directory, step=None)


PLACES = pytest.mark.parametrize(
    "place", [in_environment, in_file, in_settings], ids=["environment", "file", "settings"]
)


def is_honoured(row, loaded):
    written = loaded.steps[0].settings.get(row.setting)
    counts = row.fact and row.name in loaded.steps[0].environment
    return counts or (written is not None and written.origin.variable == row.name)


def is_told(row, loaded):
    return any(row.name in note for note in loaded.notes)


# A plugin's setting is called PLUGIN_ and its key, so others are none.
CASES = [
    pytest.param(place, row, id=f"{name}-{row.name}")
    for name, place in (("environment", in_environment), ("file", in_file), ("settings", in_settings))
    for row in PLUGIN_VARIABLES.values()
    if place is not in_settings or row.name.startswith("PLUGIN_")
]


@pytest.mark.parametrize(("place", "row"), CASES)
def test_a_variable_of_the_plugins_is_honoured_or_refused_or_named(tmp_path, place, row):
    texts = {row.name: TEXT} | GATES.get(row.name, {})
    if row.refusal and (place is not in_environment or row.name.startswith("PLUGIN_")):
        with pytest.raises(UnsupportedError, match=row.name) as caught:
            place(texts, tmp_path)
        assert caught.value.hint == row.alternative
        return
    loaded = place(texts, tmp_path)
    assert is_honoured(row, loaded) or is_told(row, loaded) or (row.fact and place is in_environment)


@pytest.mark.parametrize("row", ROWS)
def test_a_variable_of_the_plugins_has_one_verdict(row):
    assert [bool(one) for one in (row.setting, row.fact, row.note, row.refusal)].count(True) == 1
    assert bool(row.alternative) is bool(row.refusal)
    assert row.plugins


@pytest.mark.parametrize("row", [row for row in PLUGIN_VARIABLES.values() if row.setting], ids=lambda row: row.name)
def test_the_setting_that_a_variable_sets_knows_it(row):
    setting = SETTINGS[row.setting]
    gates = [variable.only_with for variable in setting.own_variables]
    assert row.name in {*setting.variables, *gates}


def test_the_table_has_every_further_name_of_a_setting():
    ours = {"PLUGIN_ACCESS_TOKEN"}  # of the plugin that publishes build-info
    names = {alias.name for setting in SETTINGS.values() for alias in setting.aliases}
    assert names - ours <= PLUGIN_VARIABLES.keys()


def test_no_variable_stands_in_two_sections():
    assert sum(map(len, SECTIONS.values())) == len(PLUGIN_VARIABLES)


@pytest.fixture(autouse=True)
def env_file(tmp_path):
    (tmp_path / TEXT).touch()


@PLACES
@pytest.mark.parametrize("text", ["false", "0", "no"])
def test_a_refused_variable_that_asks_for_nothing_is_only_named(tmp_path, place, text):
    loaded = place({"PLUGIN_IPV6": text}, tmp_path)
    assert any("PLUGIN_IPV6 has no effect" in note and "default behaviour" in note for note in loaded.notes)


@PLACES
@pytest.mark.parametrize("name", ["DOCKER_USERNAME", "ACCESS_TOKEN", "PLUGIN_IPV6", "PLUGIN_PURGE"])
def test_an_empty_variable_is_said_to_be_empty(tmp_path, place, name):
    if place is in_settings and not name.startswith("PLUGIN_"):
        pytest.skip("a setting of a plugin is a variable that begins with PLUGIN_")
    [note] = [note for note in place({name: ""}, tmp_path).notes if name in note or name[7:].lower() in note]
    assert note.endswith(": it is empty")


@pytest.mark.parametrize("name", ["DOCKER_USERNAME", "ACCESS_TOKEN"])
def test_a_name_such_as_false_is_not_taken_for_a_switch(tmp_path, name):
    with pytest.raises(UnsupportedError, match=name):
        in_file({name: "false"}, tmp_path)


@PLACES
def test_a_choice_that_asks_for_what_happens_anyway_is_not_refused(tmp_path, place):
    place({"PLUGIN_BUILDER_DRIVER": "docker"}, tmp_path)
    with pytest.raises(UnsupportedError, match="PLUGIN_BUILDER_DRIVER"):
        place({"PLUGIN_BUILDER_DRIVER": "remote"}, tmp_path)


def test_a_refusal_names_its_place(tmp_path):
    with pytest.raises(UnsupportedError, match="no Docker daemon is started here") as caught:
        in_file({"PLUGIN_CUSTOM_DNS": "10.0.0.53"}, tmp_path)
    assert caught.value.where.startswith("step.yml:1:")
    assert "PLUGIN_ADD_HOST" in caught.value.hint


def test_a_misspelt_variable_is_compared_with_all_that_the_plugins_know(tmp_path):
    with pytest.raises(SourceError, match="unknown variable 'PLUGIN_CUSTOM_DSN'") as caught:
        in_file({"PLUGIN_CUSTOM_DSN": "10.0.0.53"}, tmp_path)
    assert caught.value.hint == "did you mean 'PLUGIN_CUSTOM_DNS'?"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PLUGIN_FOO", ""),
        ("PLUGIN_CACHE_FOO", ""),
        ("PLUGIN_BUILD_NUMBERS_OF_ALL", ""),
        ("PLUGIN_DRYRUN", "PLUGIN_DRY_RUN"),
        ("PLUGIN_BUILD_ARG", "PLUGIN_BUILD_ARGS"),
        ("PLUGIN_TGAS", "PLUGIN_TAGS"),
        ("TAGS", "PLUGIN_TAGS"),
        ("FOO", ""),
        ("VERSION", ""),
        ("REGION", ""),
    ],
)
def test_a_variable_is_near_only_to_one_of_the_same_meaning(tmp_path, name, meant):
    with pytest.raises(SourceError, match=f"unknown variable '{name}'") as caught:
        in_file({name: "x"}, tmp_path)
    assert meant in caught.value.hint
    assert caught.value.hint.startswith("did you mean") is bool(meant)


def test_a_variable_of_a_step_that_is_none_of_ours_gets_one_short_hint(tmp_path):
    with pytest.raises(SourceError) as caught:
        in_file({"FOO": "x"}, tmp_path)
    assert caught.value.hint == "the variables of a step begin with PLUGIN_ or DRONE_"


def refused_names():
    """Return every variable, key of a setting, and option of buildx that is refused."""
    rows = {row.name for row in PLUGIN_VARIABLES.values() if row.refusal}
    keys = {key for one in SETTINGS.values() if not one.honoured_by for key in (one.key, *one.variables)}
    return rows | keys | set(_REFUSED)


HINTS = {
    **{row.name: row.alternative for row in PLUGIN_VARIABLES.values() if row.refusal},
    **{name: alternative.format(option="OPTION") for name, (_, alternative) in _REFUSED.items()},
    **{one.key: one.alternative for one in SETTINGS.values() if not one.honoured_by},
}


@pytest.mark.parametrize("name", HINTS)
def test_no_hint_sends_to_what_is_refused_too(name):
    named = set(re.findall(r"\b(?:PLUGIN|DOCKER)_[A-Z_0-9]+\b|(?<=write )--[\w-]+|\b[a-z]+[A-Z]\w+", HINTS[name]))
    known = {*PLUGIN_VARIABLES, *(each for one in SETTINGS.values() for each in (one.key, *one.variables))}
    assert not named & refused_names()
    assert {one for one in named if one.startswith("PLUGIN_")} <= known


def test_a_variable_that_other_programs_have_too_never_stops_a_run(tmp_path):
    [note] = in_environment({"ACCESS_TOKEN": "x", "HOME": "/root"}, tmp_path).notes
    assert note.startswith("ACCESS_TOKEN has no effect: it is a token of Google's registry")


# ---- a step that runs one of the plugins


def step_of(settings, directory, image="plugins/docker"):
    text = f"step: {{type: Plugin, name: push it, spec: {{connectorRef: hub, image: {image}, settings: {settings}}}}}"
    (directory / "step.yml").write_text(text)
    loaded = read(Path("step.yml"), env={}, flags={}, keywords={}, cwd=directory, step=None)
    return loaded.steps[0], loaded.notes


def typed(step):
    return validate(step, {name: written.value for name, written in step.settings.items()})


def test_settings_of_a_plugin_may_be_lists_maps_and_text(tmp_path):
    text = "{repo: h.test/a/b, tags: [1.0, x], build_args: [A=b], custom_labels: {a: 'b,c'}, cache_from: h.test/a/b}"
    settings = typed(step_of(text, tmp_path)[0])
    assert (settings.repo, settings.tags, settings.cache_from) == ("h.test/a/b", ("1.0", "x"), ("h.test/a/b",))
    assert (settings.build_args, settings.labels) == ({"A": "b"}, {"a": "b,c"})


def test_a_setting_of_a_plugin_that_says_the_opposite_is_turned_round(tmp_path):
    assert typed(step_of("{repo: h.test/a/b, dry_run: true}", tmp_path)[0]).push is False


def test_build_arguments_with_commas_are_read_as_the_plugins_read_them(tmp_path):
    text = "{repo: h.test/a/b, multiple_build_args: true, build_args_new: 'A=1,2;B=3'}"
    assert typed(step_of(text, tmp_path)[0]).build_args == {"A": "1,2", "B": "3"}


def test_the_connector_of_a_plugins_own_image_is_no_login(tmp_path):
    step, notes = step_of("{repo: h.test/a/b}", tmp_path)
    assert "connector_ref" not in step.settings
    assert any("connectorRef is about the plugin's container" in note for note in notes)


def test_a_plugin_without_a_repository_is_told_where_to_write_it(tmp_path):
    with pytest.raises(SettingsError, match="repo is missing") as caught:
        typed(step_of("{tags: [x]}", tmp_path)[0])
    assert caught.value.hint.startswith("set it by spec.settings.repo in a step file")


def test_a_misspelt_setting_of_a_plugin_is_refused_by_its_own_name(tmp_path):
    with pytest.raises(SourceError, match="unknown key 'build_arg'") as caught:
        step_of("{repo: h.test/a/b, build_arg: x}", tmp_path)
    assert caught.value.hint == "did you mean 'build_args'?"


def test_one_setting_of_a_plugin_in_two_spellings_is_refused(tmp_path):
    with pytest.raises(SourceError, match="TAGS is set here and as tags"):
        step_of("{repo: h.test/a/b, tags: x, TAGS: y}", tmp_path)


def test_a_bake_file_is_refused_for_its_own_reason(tmp_path):
    with pytest.raises(UnsupportedError, match="one step builds one image"):
        step_of("{bake_file: docker-bake.hcl}", tmp_path, "plugins/buildx")


def test_the_schema_knows_the_settings_of_a_plugin():
    known = schema("step")["$defs"]["docker-settings"]["properties"]
    assert {"repo", "build_args", "custom_labels", "daemon_off", "ipv6"} <= known.keys()
