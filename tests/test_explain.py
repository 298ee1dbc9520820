"""A setting explained: by any of its names, with who said it, and with no secret."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.secrets import MASK
from buildpush.foundation.state import State
from buildpush.pipeline.context import RunContext
from buildpush.reference.explain import as_json, as_text, find, overview, overview_json
from buildpush.settings.sources import read

STEP = """\
step:
  type: BuildAndPushDockerRegistry
  identifier: push
  name: Push it
  spec:
    repo: acme.jfrog.io/docker-local/site
    tags: ["7", latest]
"""


@pytest.fixture
def loaded(tmp_path):
    """Return a function that reads the step with the variables *env*."""
    (tmp_path / "step.yml").write_text(STEP, encoding="utf-8")

    def load(**env):
        return read(tmp_path / "step.yml", env=env, flags={}, keywords={}, cwd=tmp_path, step=None)

    return load


@pytest.mark.parametrize("name", ["build_args", "buildArgs", "PLUGIN_BUILD_ARGS", "--build-arg", "build-arg"])
def test_a_setting_is_found_by_any_of_its_names(name):
    assert find(name).name == "build_args"


def test_an_unknown_setting_names_near_ones():
    with pytest.raises(SettingsError) as caught:
        find("tagz")
    assert "tags" in caught.value.hint


def test_the_overview_has_a_line_for_every_setting_and_no_markup():
    lines = overview().splitlines()
    assert any(line.startswith("tags ") for line in lines)
    assert "{setting}" not in overview()


def test_the_overview_of_a_file_says_what_the_file_says(loaded):
    both = loaded(PLUGIN_TAGS="9")
    assert "the variable PLUGIN_TAGS" in next(line for line in reversed(overview(both).splitlines()) if "tags" in line)
    document = overview_json(both)
    [step] = document["steps"]
    assert (step["step"], step["identifier"]) == ("Push it", "push")
    assert step["said"]["tags"]["by"] == "PLUGIN_TAGS"
    assert {"tags", "publish.url"} < {card["name"] for card in document["cards"]}


def test_a_list_reads_the_same_whoever_said_it(loaded):
    text = as_text("tags", loaded(PLUGIN_TAGS="8,9"))
    assert "value     8, 9\n" in text
    assert "overrode  7, latest, set by" in text


def test_it_says_who_won_and_what_was_overridden(loaded):
    text = as_text("tags", loaded(PLUGIN_TAGS="9"))
    assert "set by    the variable PLUGIN_TAGS" in text
    assert "step.yml:7" in next(line for line in text.splitlines() if line.startswith("overrode"))


def test_what_nobody_said_has_its_default(loaded):
    assert "value     gzip (the default)" in as_text("compression", loaded())


def test_the_same_facts_come_as_json(loaded):
    [step] = as_json("tags", loaded(PLUGIN_TAGS="9"))["steps"]
    assert step["said"]["by"] == "PLUGIN_TAGS"
    assert "step.yml:7" in step["said"]["overrode"][0]["by"]


def around(tmp_path, **env):
    context = RunContext.default(env=env, cwd=tmp_path)
    return replace(context, state=State(tmp_path / "state", tmp_path), dry=True).facts


def test_the_answer_to_an_expression_is_shown_beside_what_was_written(loaded, tmp_path):
    step, here = loaded(PLUGIN_TAGS="<+env.COLOUR>"), around(tmp_path, COLOUR="blue")
    assert "value     blue" in as_text("tags", step, here)
    assert "written   <+env.COLOUR>" in as_text("tags", step, here)
    said = as_json("tags", step, here)["steps"][0]["said"]
    assert (said["value"], said["written"], said["reason"]) == ("blue", "<+env.COLOUR>", None)


def test_an_answer_that_cannot_be_had_here_is_said_with_its_reason(loaded, tmp_path):
    """Explaining is for when things do not work."""
    step, here = loaded(PLUGIN_TAGS='<+secrets.getValue("not_here")>'), around(tmp_path)
    text = as_text("tags", step, here)
    assert "value     not known here:" in text
    assert "not_here" in text
    assert "set by    the variable PLUGIN_TAGS" in text
    said = as_json("tags", step, here)["steps"][0]["said"]
    assert said["value"] is None
    assert "not_here" in said["reason"]


def test_nobody_asks_for_a_secret_to_explain_it(loaded, tmp_path):
    step = loaded(PLUGIN_USERNAME="ann", PLUGIN_PASSWORD='<+secrets.getValue("not_here")>')
    text = as_text("password", step, around(tmp_path))
    assert 'value     <+secrets.getValue("not_here")>' in text
    assert "not known" not in text


def test_a_password_in_plain_text_is_not_shown(loaded):
    both = loaded(PLUGIN_USERNAME="ann", PLUGIN_PASSWORD="planted-password")
    for text in (as_text("password", both), json.dumps(as_json("password", both))):
        assert "planted-password" not in text
        assert MASK in text


def test_a_name_that_only_shares_letters_with_a_setting_is_not_offered():
    with pytest.raises(SettingsError, match="unknown setting 'nonsense'") as caught:
        find("nonsense")
    assert "did you mean" not in caught.value.hint
