"""Files of a Drone server: pipelines as stages, plugins as steps, conditions and substitutions as expressions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

import buildpush
from buildpush.expressions.evaluate import evaluate
from buildpush.foundation.errors import SettingsError, SourceError
from buildpush.pipeline.plan import SkippedStep

STEP = """\
kind: pipeline
type: docker
name: default
{around}
steps:
- name: push
  image: {image}
  settings: {{repo: host.test/a, tags: "{tag}"}}
  {more}
"""
ENV = {
    "DRONE": "true",
    "DRONE_COMMIT_SHA": "0123456789abcdef",
    "DRONE_COMMIT_BRANCH": "feature/Oak",
    "DRONE_TAG": "v1.4",
    "DRONE_BUILD_EVENT": "push",
    "NAME": "a.b.c",
}


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n", encoding="utf-8")

    def put(tag="1", *, around="", more="pull: always", image="plugins/docker", text=""):
        content = text or STEP.format(around=around, more=more, image=image, tag=tag)
        (tmp_path / ".drone.yml").write_text(content, encoding="utf-8")
        return ".drone.yml"

    return put


def plans(file):
    return buildpush.check_pipeline(file, env=ENV)


@pytest.mark.parametrize(
    ("written", "tag"),
    [
        ("${DRONE_COMMIT_SHA:0:8}", "01234567"),
        ("${DRONE_COMMIT_SHA:12}", "cdef"),
        ("${DRONE_TAG##v}", "1.4"),
        ("${DRONE_TAG%4}", "v1."),
        ("${DRONE_TAG/./-}", "v1-4"),
        ("x-${DRONE_BRANCH/\\\\//-}", "x-feature-Oak"),
        ("${DRONE_SOURCE_BRANCH/feature\\\\//}", "Oak"),
        ("${NAME//./_}", "a_b_c"),
        ("${NAME/./_}", "a_b.c"),
        ("${NAME^^}-${NAME,,}", "A.B.C-a.b.c"),
        ("${NONE:-none}", "none"),
        ("${NONE=none}", "none"),
    ],
)
def test_a_substitution_is_what_drone_makes_of_it(file, written, tag):
    (plan,) = plans(file(written))
    assert str(plan.order.references[0]) == f"host.test/a:{tag}"


@pytest.mark.parametrize(
    ("condition", "runs"),
    [
        ("{branch: feature/Oak}", True),
        ("{branch: [main, feature/*]}", True),
        ("{branch: feature*}", False),
        ("{branch: '**'}", True),
        ("{branch: {exclude: [feature/*]}}", False),
        ('{branch: "feature/[A-Z]a?"}', True),
        ('{branch: "feature/[^A-Z]*"}', False),
        ("{branch: [], event: {}}", True),
        ("{branch: {include: [feature/*], exclude: [feature/Oak]}}", False),
        ("{event: push}", True),
        ("{event: [tag, cron]}", False),
        ("{event: push, branch: main}", False),
        ("{cron: nightly}", False),
        ("{status: [success, failure]}", True),
        ("{status: failure}", False),
    ],
)
def test_a_step_is_run_where_its_conditions_are_met(file, condition, runs):
    (plan,) = plans(file(more=f"when: {condition}"))
    assert isinstance(plan, SkippedStep) != runs


# What a branch, a secret or a part of a tag may be called in a file; * ? and [ make a pattern of it.
TEXTS = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="*?["), min_size=1, max_size=12)
TRICKY = st.lists(
    st.sampled_from(["'", '"', "\\", "<+", ">", "${", "n", "<+codebase.branch>", "`", "\\\\"]), min_size=1
)


class Branch:
    """The only name that a condition about a branch asks for."""

    def __init__(self, name):
        self.name = name

    def lookup(self, path):
        assert path == ("codebase", "branch")
        return self.name


@given(st.one_of(TEXTS, TRICKY.map("".join)), st.booleans())
def test_a_condition_is_met_by_its_own_text_alone_whatever_characters_it_has(tmp_path_factory, branch, as_pattern):
    word = f"{branch}*" if as_pattern else branch
    step = {"name": "push", "image": "plugins/docker", "settings": {"repo": "host.test/a", "tags": ["1"]}}
    document = {"kind": "pipeline", "name": "default", "steps": [{**step, "when": {"branch": [word]}}]}
    path = tmp_path_factory.getbasetemp() / "drone.yml"
    YAML(typ="safe", pure=True).dump(document, path)
    (loaded,) = buildpush.load(path, env={}).steps
    (condition,) = (text for name, text in loaded.settings["when"].value.items() if name == "condition")
    for name in (branch, f"{branch}x", f"x{branch}", f"{branch}'", f'{branch}"'):
        met = name.startswith(branch) and "/" not in name.removeprefix(branch) if as_pattern else name == branch
        assert evaluate(condition, Branch(name)) is met


@pytest.mark.parametrize(("branch", "runs"), [("feature/*", True), ("main", False)])
def test_a_trigger_decides_about_all_steps_of_a_pipeline(file, branch, runs):
    (plan,) = plans(file(around=f"trigger: {{branch: {branch}}}"))
    assert isinstance(plan, SkippedStep) != runs


def test_without_a_variable_of_drone_the_event_is_what_is_built(file):
    (plan,) = buildpush.check_pipeline(
        file(more="when: {event: push}"), env={"CI_COMMIT_BRANCH": "main", "GITLAB_CI": "1"}
    )
    assert not isinstance(plan, SkippedStep)


def test_variables_of_the_pipeline_and_the_step_are_settings(file):
    (step,) = buildpush.load(
        file(around="environment: {PLUGIN_DRY_RUN: 'true'}", more="environment: {PLUGIN_TARGET: one}"), env={}
    ).steps
    assert step.settings["target"].value == "one"
    assert step.settings["push"].origin.variable == "PLUGIN_DRY_RUN"


def test_a_secret_is_a_reference_to_it(file):
    text = STEP.format(around="", image="plugins/docker", tag="1", more="failure: ignore").replace(
        "tags:", "username: u, password: {from_secret: tok}, tags:"
    )
    (step,) = buildpush.load(file(text=text), env={}).steps
    assert step.settings["password"].value == '<+secrets.getValue("tok")>'
    assert step.settings["failure_strategies"].value[0]["onFailure"]["action"] == {"type": "Ignore"}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"more": "setings: {}"}, r":9:3: unknown key 'setings'\nhint: did you mean 'settings'"),
        ({"around": "step: []"}, "unknown key 'step'"),
        ({"more": "when: {brunch: main}"}, r":9:10: unknown condition 'brunch'\nhint: did you mean 'branch'"),
        ({"more": "failure: ignored"}, r":9:12: unknown word for failure 'ignored'\nhint: did you mean 'ignore'"),
        ({"more": "depends_on: [later]"}, "'later', which is not above this step"),
        ({"text": "kind: pipeline\ntype: docker\nname: a\n"}, "does not have steps"),
        ({"tag": "${NAME@Q}"}, r"\.yml:8:39: the substitution \$\{NAME@Q\} is not supported here"),
        ({"image": "plugins/slack"}, "only plugins/slack 'push'"),
        ({"more": "commands: [make]"}, "only plugins/docker 'push'"),
    ],
)
def test_what_drone_does_not_have_or_is_not_run_here_is_refused(file, more, words):
    with pytest.raises(SourceError, match=words):
        plans(file(**more))


def test_a_name_that_has_no_value_is_asked_for(file):
    with pytest.raises(SettingsError, match="DRONE_REPO") as caught:
        plans(file("${DRONE_REPO_NAME}"))
    assert caught.value.hint


def test_another_file_has_one_document(file):
    with pytest.raises(SourceError, match="a second document"):
        plans(file(text="stage: {}\n---\nstage: {}\n"))
