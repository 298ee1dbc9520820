from __future__ import annotations

import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from buildpush.foundation.documents import parse_yaml, read_text, read_yaml
from buildpush.foundation.errors import BadNameError, SecretError, SettingsError, SourceError, UnsupportedError
from buildpush.foundation.secrets import MASK, Secret
from buildpush.settings.model import BuildAndPush
from buildpush.settings.sources import read
from buildpush.settings.validate import validate

STEP = """\
type: BuildAndPushDockerRegistry
name: Build API
identifier: build_api
spec:
  repo: acme.example/docker/api
"""
PIPELINE = """\
pipeline:
  name: Shop
  identifier: shop
  variables:
    - {name: version, type: String, value: 1.10}
  stages:
    - stage:
        name: Build
        identifier: build
        failureStrategies:
          - onFailure: {errors: [AllErrors], action: {type: StageRollback}}
        variables: [{name: region, value: eu}]
        spec:
          execution:
            steps:
              - step: {type: Run, name: Unit tests, identifier: unit, spec: {command: make}}
              - parallel:
                  - step:
                      type: BuildAndPushDockerRegistry
                      name: Build API
                      spec: {repo: acme.example/docker/api, tags: [<+pipeline.sequenceId>]}
                  - stepGroup:
                      name: Web
                      identifier: web
                      steps:
                        - step:
                            type: BuildAndPushDockerRegistry
                            identifier: build_web
                            spec: {repo: acme.example/docker/web}
              - step:
                  type: Plugin
                  name: Publish
                  identifier: publish
                  spec:
                    connectorRef: hub
                    image: plugins/artifactory-publish-docker-buildinfo:1.2
                    settings:
                      access_token: <+secrets.getValue("org.artifactory_token")>
                      url: https://artifactory.example/artifactory/
                      build_name: <+pipeline.name>
                      build_number: <+pipeline.executionId>
                      docker_image: acme.example/docker/api:1
              - step: {type: Plugin, name: Slack, identifier: slack, spec: {image: plugins/slack}}
              - step: {template: {templateRef: account.deploy}}
    - parallel:
        - stage: {name: Approve, type: Approval, spec: {execution: {steps: []}}}
"""


@pytest.fixture
def load(tmp_path):
    """Read a step file made of text, with everything else said by keywords of the test."""

    def load(text=None, *, env=None, flags=None, step=None, **keywords):
        file = None
        if text is not None:
            (tmp_path / "step.yml").write_bytes(text if isinstance(text, bytes) else text.encode())
            file = Path("step.yml")
        return read(file, env=env or {}, flags=flags or {}, keywords=keywords, cwd=tmp_path, step=step)

    return load


def settings_of(loaded, sink=None):
    (step,) = loaded.steps
    return validate(step, {name: one.value for name, one in step.settings.items()}, **({"sink": sink} if sink else {}))


def spec(*lines):
    return STEP + "".join(f"  {line}\n" for line in lines)


# Step files


def test_one_step_is_enough_for_a_file(load):
    (step,) = load(STEP).steps
    assert (step.identifier, step.name, step.where) == ("build_api", "Build API", "step.yml:1:1")
    assert step.settings["repo"].value == "acme.example/docker/api"


def test_a_step_may_be_wrapped_and_a_file_may_hold_a_list(load):
    inner = STEP.replace("\n", "\n    ").rstrip()
    loaded = load(f"- step:\n    {inner}\n- step:\n    {inner.replace('build_api', 'again')}\n")
    assert [step.identifier for step in loaded.steps] == ["build_api", "again"]


def test_the_known_steps_of_a_pipeline_are_found_in_order_and_the_others_listed(load):
    loaded = load(PIPELINE)
    assert [step.identifier for step in loaded.steps] == ["Build_API", "build_web", "publish"]
    assert [step.type for step in loaded.steps][2] == "Plugin"
    assert loaded.others == (
        "Run 'Unit tests' (step.yml:16:23)",
        "Plugin 'Slack' (step.yml:43:23)",
        "template 'account.deploy' (step.yml:44:23)",
    )


ELSEWHERE = """\
pipeline:
  stages:
    - stage: {name: Shared, identifier: shared, template: {templateRef: org.build, versionLabel: "1"}}
    - stage: {name: Other, type: Pipeline, spec: {pipeline: other}}
    - stage:
        name: Roll out
        type: Deployment
        spec:
          execution:
            steps:
              - step: {type: BuildAndPushDockerRegistry, identifier: api, spec: {repo: acme.example/docker/api}}
              - stepGroup:
                  name: Canary
                  steps: [step: {type: K8sCanaryDeploy, name: Canary}]
                  rollbackSteps: [step: {type: K8sCanaryDelete, name: Gone}]
            rollbackSteps:
              - step: {type: BuildAndPushDockerRegistry, name: Back, spec: {repo: acme.example/docker/api}}
"""


def test_steps_that_stand_elsewhere_or_roll_back_are_listed_as_not_run(load):
    loaded = load(ELSEWHERE)
    assert [step.identifier for step in loaded.steps] == ["api"]
    assert loaded.others == (
        "stage of the template org.build 'Shared' (step.yml:3:14)",
        "Pipeline stage 'Other' (step.yml:4:14)",
        "K8sCanaryDeploy 'Canary' (step.yml:14:33)",
        "rollback K8sCanaryDelete 'Gone' (step.yml:15:41)",
        "rollback BuildAndPushDockerRegistry 'Back' (step.yml:17:23)",
    )


def test_expressions_may_ask_what_stands_around_a_step(load):
    step = load(PIPELINE).step("build_web")
    assert step.facts["pipeline.name"] == "Shop"
    assert step.facts["pipeline.variables.version"] == "1.10"
    assert step.facts["stage.variables.region"] == "eu"
    assert step.facts["stepGroup.name"] == "Web"
    assert step.facts["step.identifier"] == "build_web"
    assert step.facts["pipeline.identifier"] == "shop"


def test_what_a_pipeline_says_without_effect_is_a_note(load):
    notes = load(PIPELINE).notes
    assert not any("failureStrategies" in note for note in notes)
    assert any("connectorRef is about the plugin's container" in note for note in notes)


def test_every_key_around_a_step_that_has_no_effect_is_a_note(load):
    text = PIPELINE.replace("        identifier: build\n", "        identifier: build\n        delegates: 1h\n", 1)
    text = text.replace(
        "  identifier: shop\n",
        "  identifier: shop\n  tags: {a: b}\n  notificationRules: []\n  flowControl: {barriers: [a]}\n  colour: red\n",
    )
    text = text.replace(
        "        spec:\n          execution", "        spec:\n          cloneCodebase: true\n          execution"
    )
    notes = load(text).notes
    for said in (
        "step.yml:6:3: flowControl has no effect here",
        "step.yml:7:3: colour has no effect here",
        "step.yml:14:9: delegates has no effect here",
        "step.yml:19:11: cloneCodebase has no effect here",
    ):
        assert said in notes
    assert not [note for note in notes if "tags" in note or "notificationRules" in note]


def test_a_mistyped_key_around_a_step_is_a_note_with_the_nearest(load):
    text = PIPELINE.replace(
        "        failureStrategies:", "        strateggy: {repeat: {times: 2}}\n        failureStrategies:"
    )
    assert "step.yml:10:9: strateggy has no effect here; did you mean 'strategy'?" in load(text).notes


def test_one_step_is_chosen_by_identifier_or_name(load):
    assert [step.identifier for step in load(PIPELINE, step="build_web").steps] == ["build_web"]
    assert [step.identifier for step in load(PIPELINE, step="Build API").steps] == ["Build_API"]
    assert len(load(PIPELINE, step="publish").others) == 5
    with pytest.raises(SourceError, match="no file is given"):
        load(step="publish", repo="a.example/b")
    with pytest.raises(SourceError, match="unknown step 'build_wep'") as caught:
        load(PIPELINE, step="build_wep")
    assert caught.value.hint == "did you mean 'build_web'?"


def test_a_name_that_two_steps_have_chooses_none(load):
    step = "{type: BuildAndPushDockerRegistry, name: a, spec: {repo: x.example/y}}"
    with pytest.raises(SourceError, match=r"two steps are called 'a', here and in step\.yml:2:3"):
        load(f"- {step}\n- {step}\n", step="a")


def test_a_loaded_step_is_asked_for_by_identifier(load):
    assert load(STEP).step("build_api").name == "Build API"
    with pytest.raises(SourceError, match="no step 'x'"):
        load(STEP).step("x")


def test_a_file_with_steps_of_other_kinds_only_says_which(load):
    with pytest.raises(SourceError, match=r"only Run 'Unit tests' \(step\.yml:1:1\)") as caught:
        load("{type: Run, name: Unit tests}")
    assert "BuildAndPushDockerRegistry" in caught.value.hint


def test_a_mistyped_kind_gets_the_nearest_one(load):
    with pytest.raises(SourceError) as caught:
        load(STEP.replace("DockerRegistry", "DockerRegistery"))
    assert caught.value.hint == "did you mean type: BuildAndPushDockerRegistry?"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("just text", "step.yml:1:1: a step is expected here"),
        ("[]", "step.yml: it does not have a step"),
        ("- step: {}", "step.yml:1:9: this step does not have a type"),
        ("tpye: Run", "step.yml:1:1: unknown key 'tpye'"),
        ("a: b", "step.yml:1:1: this step does not have a type"),
        (STEP + "  tag: 1\n", "step.yml:6:3: unknown key 'tag'"),
        (STEP + "timeOut: 10m\n", "step.yml:6:1: unknown key 'timeOut'"),
        ("step:\n  type: Run\nstepp: 1\n", "step.yml:3:1: unknown key 'stepp'"),
        ("{type: BuildAndPushDockerRegistry, spec: text}", "step.yml:1:42: spec is a map"),
        (spec("envVariables: [A]"), "step.yml:6:17: envVariables is a map"),
        (spec("envVariables: {PLUGIN_TAGZ: 1}"), "step.yml:6:18: unknown variable 'PLUGIN_TAGZ'"),
        (spec("envVariables: {PLUGIN_TAGS: [1]}"), "step.yml:6:31: PLUGIN_TAGS is a variable"),
        (spec("engine: native"), "step.yml:6:3: engine is a setting of buildpush"),
        (spec("buildargs: {}"), "step.yml:6:3: unknown key 'buildargs'"),
    ],
)
def test_what_is_no_step_file_is_refused_with_its_place(load, text, message):
    with pytest.raises(SourceError) as caught:
        load(text)
    assert str(caught.value).startswith(message)
    assert caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("key", "near"), [("tag", "tags"), ("buildargs", "buildArgs"), ("dockerFile", "dockerfile")])
def test_an_unknown_key_gets_the_nearest_one(load, key, near):
    with pytest.raises(SourceError) as caught:
        load(spec(f"{key}: x"))
    assert caught.value.hint == f"did you mean {near!r}?"


def test_an_unknown_setting_of_the_plugin_gets_the_nearest_one(load):
    with pytest.raises(SourceError, match="unknown key 'acces_token'") as caught:
        load(PIPELINE.replace("access_token", "acces_token"))
    assert caught.value.hint == "did you mean 'access_token'?"
    with pytest.raises(SourceError, match="unknown key 'foo'"):
        load(PIPELINE.replace("connectorRef: hub", "foo: hub"))


def test_the_usual_condition_of_a_stage_changes_nothing(load):
    text = PIPELINE.replace(
        "        identifier: build\n", "        identifier: build\n        when: {pipelineStatus: Success}\n"
    )
    assert len(load(text).steps) == 3


# The text of a file


def test_scalars_keep_their_source_text(load):
    settings = settings_of(load(spec("tags: [1.10, 012, 1e3, yes, NO, 1_000]", "buildArgs: {A: 0x1F, B: ~, C: 007}")))
    assert settings.tags == ("1.10", "012", "1e3", "yes", "NO", "1_000")
    assert settings.build_args == {"A": "0x1F", "B": "", "C": "007"}


def test_nothing_says_nothing(load):
    settings = settings_of(load(spec("dockerfile:", "target: ~", "context: null", "envVariables:", 'cacheTo: ""')))
    assert settings == BuildAndPush(repo="acme.example/docker/api", name="Build API", identifier="build_api")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "f.yml:2:1: the key 'a' appears here a second time"),
        ("a:\n\tb: 1\n", "f.yml:2:1: found character '\\t'"),
        ("a: !python/name:os b", "f.yml:1:4: a tag has no meaning here"),
        ("!x a: b", "f.yml:1:1: a tag has no meaning here"),
        ("a: &x {<<: *x}", "f.yml:1:12: &x contains itself"),
        ("a: &x [*x]", "f.yml:1:8: &x contains itself"),
        ("a: *x", "f.yml:1:4: there is no anchor &x"),
        ("a: {<<: [1]}", "f.yml:1:10: << takes a map"),
        ("? [a]\n: b", "f.yml:1:3: a key must be text"),
        ("a: 1\n---\nb: 2\n", "f.yml:2:1: a second document"),
        ("", "f.yml: it is empty"),
        ("# nothing\n", "f.yml: it is empty"),
        ("a: [", "f.yml:1:5: "),
        ("a: b: c", "f.yml:1:5: mapping values are not allowed"),
        ("a: `b`", "f.yml:1:4: "),
        ("a: \x07", "f.yml:1:4: the character '\\x07' is not allowed"),
        ('a: "\\UFFFFFFFF"', "f.yml: an escape sequence in it is not a valid character"),
        ("a: &x 1\nb: [" + ", ".join(["*x"] * 101) + "]", "f.yml:2:405: there are more than 100 aliases"),
        ("[" * 65 + "]" * 65, "f.yml:1:65: this is nested deeper than 64"),
        ("{a: " * 5000 + "}" * 5000, "f.yml:1:257: this is nested deeper than 64"),
    ],
)
def test_yaml_that_is_not_plain_is_refused_with_line_and_column(text, message):
    with pytest.raises(SourceError) as caught:
        parse_yaml(text, "f.yml")
    assert str(caught.value).startswith(message)
    assert caught.value.hint


def test_a_few_aliases_cannot_stand_for_a_billion_values():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    with pytest.raises(SourceError, match="expand to too many values"):
        parse_yaml("\n".join(lines), "f.yml")


def test_aliases_and_merge_keys_in_measure_are_welcome():
    node = parse_yaml("base: &b {x: 1, y: 2}\nall:\n  <<: [*b, {z: 3}]\n  y: 4\ncore: !!str 5\n", "f.yml")
    assert node.at("all").raw() == {"x": "1", "y": "4", "z": "3"}
    assert node.at("all").where_key("x") == "f.yml:1:11"
    assert node.at("core").text == "5"
    assert node.at("all", "nothing", "there") is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: \xff\xfe\n", "step.yml:1:4: it is not UTF-8 text"),
        (b"a: b\nc: \0\n", "step.yml:2:4: it contains a NUL character"),
        (b"a: " + b"x" * (1 << 20), "step.yml: it is larger than 1 MiB"),
    ],
)
def test_a_file_that_is_no_text_is_refused(load, data, message):
    with pytest.raises(SourceError) as caught:
        load(data)
    assert str(caught.value) == message


def test_a_byte_order_mark_is_not_part_of_the_text(load):
    assert load(b"\xef\xbb\xbf" + STEP.encode()).steps[0].identifier == "build_api"


def test_a_missing_file_and_a_directory_are_refused(tmp_path):
    with pytest.raises(SourceError, match="No such file") as caught:
        read_yaml(tmp_path / "none.yml")
    assert "check the path" in caught.value.hint
    with pytest.raises(SourceError, match="Is a directory") as caught:
        read_yaml(tmp_path)
    assert "name a file" in caught.value.hint


@given(some.text(some.sampled_from("ab:-?[]{}&*!|>'\"%@`#,~<+ \n\t\\0é\ufeff\u2028\x85"), max_size=40))
def test_no_text_makes_the_reader_stumble(text):
    try:
        node = parse_yaml(text, "f.yml")
    except SourceError as error:
        place = error.where
    else:
        place = node.where
    assert place.startswith("f.yml")


def test_a_step_without_a_spec_says_only_its_name(load):
    assert set(load("{type: BuildAndPushDockerRegistry, name: x}").steps[0].settings) == {"name"}


def test_the_plugin_step_takes_variables_too(load):
    text = PIPELINE.replace("connectorRef: hub", "envVariables: {PLUGIN_BUILD_URL: 'https://ci.example/1'}")
    assert load(text).step("publish").settings["build_url"].origin.variable == "PLUGIN_BUILD_URL"


def test_an_unclosed_expression_is_no_reference_to_a_secret(load):
    with pytest.raises(SecretError):
        load(spec("envVariables:", "  PLUGIN_PASSWORD: '<+a<+b>'"))


# Who said what


def test_flags_beat_keywords_beat_variables_beat_the_file_beats_the_project(load, tmp_path):
    (tmp_path / "buildpush.yaml").write_text("tags: [project]\ncontext: project\n")
    text = spec("tags: [spec]", "envVariables: {PLUGIN_TAGS: env}")
    loaded = load(text, env={"PLUGIN_TAG": "variable"}, flags={"tags": ("flag",)}, tags=["keyword"])
    tags = loaded.steps[0].settings["tags"]
    assert tags.value == ["flag"]
    assert tags.origin.where == "--tags"
    assert [origin.where for _, origin in tags.overridden] == [
        "tags=",
        "PLUGIN_TAG",
        "step.yml:7:18",
        "step.yml:6:3",
        "buildpush.yaml:1:1",
    ]
    assert [origin.kind for _, origin in tags.overridden] == ["keyword", "variable", "file", "file", "project"]
    assert loaded.project == tmp_path / "buildpush.yaml"
    assert settings_of(loaded).context == "project"


def test_variables_of_other_tools_are_asked_last(load):
    env = {"JFROG_CLI_BUILD_NAME": "theirs", "JF_PROJECT": "p", "JFROG_CLI_BUILD_PROJECT": "q", "JF_URL": "https://a.b"}
    settings = settings_of(load(spec("envVariables: {PLUGIN_BUILD_NAME: ours}"), env=env))
    assert (settings.build_name, settings.build_project, settings.artifactory_url) == ("ours", "q", "https://a.b")


def test_a_part_of_a_list_or_map_knows_its_own_place(load):
    step = load(spec("tags:", "  - a", "  - b", "buildArgs:", "  A: 1")).steps[0]
    assert step.settings["tags"].origin.at(1) == "step.yml:8:7"
    assert step.settings["build_args"].origin.at("A") == "step.yml:10:5"
    assert step.settings["tags"].origin.at(7) == "step.yml:6:3"


@pytest.mark.parametrize(
    ("text", "env"),
    [
        (spec("envVariables: {PLUGIN_TAG: 1, PLUGIN_TAGS: 2}"), {}),
        (spec("envVariables: {PLUGIN_PUSH: true, PLUGIN_DRY_RUN: true}"), {}),
        (STEP, {"PLUGIN_TAG": "1", "PLUGIN_TAGS": "2"}),
        (STEP, {"PLUGIN_NO_PUSH": "true", "PLUGIN_DRY_RUN": "false"}),
    ],
)
def test_one_setting_said_twice_with_different_values_names_both_places(load, text, env):
    with pytest.raises(SourceError, match=r"is set here and in .*, with different values") as caught:
        load(text, env=env)
    assert "PLUGIN_" in str(caught.value) or str(caught.value).count("step.yml:6") == 2


def test_one_setting_said_twice_with_the_same_value_is_fine(load):
    env = {"PLUGIN_TAG": "1, 2", "PLUGIN_TAGS": "1,2", "PLUGIN_NO_PUSH": "yes", "PLUGIN_PUSH": "no"}
    settings = settings_of(load(STEP, env=env))
    assert settings.tags == ("1", "2")
    assert settings.push is False


def test_an_expression_is_the_same_only_as_the_same_text(load):
    same = {"PLUGIN_TAG": "<+x>", "PLUGIN_TAGS": "<+x>"}
    assert load(STEP, env=same).steps[0].settings["tags"].value == "<+x>"
    for opposite in ({"PLUGIN_PUSH": "<+x>", "PLUGIN_NO_PUSH": "<+x>"}, same | {"PLUGIN_TAG": "y"}):
        with pytest.raises(SourceError, match="different values"):
            load(STEP, env=opposite)


def test_without_a_file_everything_else_makes_one_step(load):
    loaded = load(
        env={"PLUGIN_TAGS": "1"}, flags={"repo": "a.example/b", "labels": (), "target": None}, context=Path("x")
    )
    assert loaded.file is None
    assert loaded.steps[0].identifier == "build_and_push"
    assert settings_of(loaded) == BuildAndPush(repo="a.example/b", tags=("1",), context="x")


def test_a_missing_setting_says_how_to_say_it(load):
    with pytest.raises(SettingsError, match="repo is missing") as caught:
        settings_of(load())
    assert caught.value.hint == "set it by spec.repo in a step file, --repo or PLUGIN_REPO"
    assert caught.value.setting == "repo"


# Variables, flags, Python


def test_lists_and_maps_in_variables_are_separated_by_commas(load):
    env = {"PLUGIN_TAGS": "1, 2,", "PLUGIN_BUILD_ARGS": "A=1,B=x=y", "PLUGIN_CUSTOM_LABELS": "a=b, c="}
    settings = settings_of(load(STEP, env=env))
    assert settings.tags == ("1", "2")
    assert settings.build_args == {"A": "1", "B": "x=y"}
    assert settings.labels == {"a": "b", "c": ""}


def test_an_entry_without_an_equals_sign_says_how_commas_are_written(load):
    with pytest.raises(SettingsError, match="'2' does not have an =") as caught:
        settings_of(load(STEP, env={"PLUGIN_BUILD_ARGS": "A=1,2"}))
    assert "PLUGIN_MULTIPLE_BUILD_ARGS=true" in caught.value.hint
    with pytest.raises(SettingsError, match="'2' does not have an =") as caught:
        settings_of(load(STEP, env={"PLUGIN_LABELS": "A=1,2"}))
    assert "go into a file or a flag" in caught.value.hint
    with pytest.raises(SettingsError, match="'A' does not have an =") as caught:
        settings_of(load(STEP, flags={"build_args": ("A",)}))
    assert caught.value.hint == "write NAME=VALUE"


def test_semicolons_separate_build_arguments_when_asked_to(load):
    env = {"PLUGIN_MULTIPLE_BUILD_ARGS": "true", "PLUGIN_BUILD_ARGS_NEW": "A=1,2;B= 3", "PLUGIN_BUILD_ARGS": "C=4"}
    loaded = load(STEP, env=env)
    assert settings_of(loaded).build_args == {"A": "1,2", "B": " 3"}
    assert loaded.notes == (
        "PLUGIN_BUILD_ARGS_NEW is used, and PLUGIN_BUILD_ARGS is not, because PLUGIN_MULTIPLE_BUILD_ARGS is set",
    )
    with pytest.raises(SourceError, match="has an effect only together with PLUGIN_MULTIPLE_BUILD_ARGS"):
        load(STEP, env={"PLUGIN_BUILD_ARGS_NEW": "A=1"})


def test_a_map_with_one_key_twice_is_refused(load):
    with pytest.raises(SettingsError, match="A is set twice"):
        settings_of(load(STEP, flags={"build_args": ("A=1", "A=2")}))


def test_some_variables_say_the_opposite(load):
    assert settings_of(load(STEP, env={"PLUGIN_DRY_RUN": "true"})).push is False
    assert settings_of(load(spec("envVariables: {PLUGIN_NO_PUSH: false}"))).push is True


def test_an_unknown_plugin_variable_in_the_environment_is_a_note(load):
    assert load(STEP, env={"PLUGIN_TAGZ": "secret-value", "PATH": "/bin"}).notes == (
        "PLUGIN_TAGZ has no effect: it is not a variable of buildpush (did you mean 'PLUGIN_TAG'?)",
    )


def test_an_empty_variable_says_nothing(load):
    assert settings_of(load(STEP, env={"PLUGIN_TAGS": "", "PLUGIN_TARGET": ""})).target is None


def test_python_values_become_text(load):
    said = {"tags": [7, "1.10"], "timeout": timedelta(minutes=90), "push": False, "build_args": {"A": 1}}
    settings = settings_of(load(repo="a.example/b", **said))
    assert settings.tags == ("7", "1.10")
    assert settings.timeout == timedelta(minutes=90)
    assert settings.push is False
    assert settings.build_args == {"A": "1"}


def test_a_float_has_lost_its_text_and_is_refused(load):
    with pytest.raises(SettingsError, match="tags=: it takes text, and this is a float") as caught:
        load(repo="a.example/b", tags=[1.10])
    assert caught.value.hint == 'put it in quotes: "1.1"'


def test_an_unknown_keyword_or_flag_gets_the_nearest_one(load):
    with pytest.raises(SourceError, match="unknown setting 'buildArgs'") as caught:
        load(buildArgs={})
    assert caught.value.hint == "did you mean 'build_args'?"
    with pytest.raises(SourceError, match="unknown flag"):
        load(flags={"tagz": "1"})


def test_a_flag_that_no_step_has_is_refused(load):
    with pytest.raises(SourceError, match="none of the steps has the setting docker_image"):
        load(STEP, docker_image="a.example/b:1")


# The project file


def test_the_project_file_is_looked_for_up_to_the_root_of_the_repository(load, tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "buildpush.yaml").write_text("engine: native\ncompression: zstd\ntimeout: 20m\n")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    loaded = read(None, env={}, flags={"repo": "a.example/b"}, keywords={}, cwd=inner, step=None)
    assert settings_of(loaded).compression == "zstd"
    assert loaded.steps[0].settings["engine"].origin.where == "../../buildpush.yaml:1:1"


def test_outside_a_repository_no_directory_above_is_read(tmp_path):
    (tmp_path / "buildpush.yaml").write_text("engine: native\n")
    (tmp_path / "inner").mkdir()
    loaded = read(None, env={}, flags={"repo": "a.example/b"}, keywords={}, cwd=tmp_path / "inner", step=None)
    assert loaded.project is None


def test_pyproject_has_a_table_for_it(load, tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\n\n[tool.buildpush]\nengine = "native"\ntags = [1.10, 7]\npush = false\n'
        '\n[tool.buildpush.labels]\na = "b"\n'
    )
    loaded = load(STEP)
    settings = settings_of(loaded)
    assert (settings.tags, settings.push, settings.labels) == (("1.10", "7"), False, {"a": "b"})
    assert loaded.steps[0].settings["tags"].origin.where == "pyproject.toml:6:1"
    assert loaded.steps[0].settings["labels"].origin.where == "pyproject.toml:9:1"


def test_a_table_written_another_way_is_found_at_its_beginning(load, tmp_path):
    (tmp_path / "pyproject.toml").write_text("tool.buildpush.engine = 'native'\n")
    assert load(STEP).steps[0].settings["engine"].origin.where == "pyproject.toml:1:1"


def test_a_pyproject_without_the_table_is_passed_over(load, tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.other]\n")
    assert load(STEP).project is None


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("buildpush.yaml", "build_args: {}", "buildpush.yaml:1:1: unknown key 'build_args'"),
        ("buildpush.yaml", "identifier: x", "buildpush.yaml:1:1: unknown key 'identifier'"),
        ("buildpush.yaml", "[a]", "buildpush.yaml:1:1: a project file is a map"),
        ("pyproject.toml", "[tool.buildpush]\nx = 1\n", "pyproject.toml:2:1: unknown key 'x'"),
        ("pyproject.toml", "[tool\n", "pyproject.toml: this is not TOML"),
    ],
)
def test_a_wrong_project_file_is_refused_with_its_place(load, tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(SourceError) as caught:
        load(STEP)
    assert str(caught.value).startswith(message)


def test_two_project_files_in_one_directory_are_refused(load, tmp_path):
    (tmp_path / "buildpush.yaml").write_text("engine: native\n")
    (tmp_path / "pyproject.toml").write_text("[tool.buildpush]\nengine = 'docker'\n")
    with pytest.raises(SourceError, match=r"buildpush\.yaml and pyproject\.toml both"):
        load(STEP)


# Secrets


@pytest.mark.parametrize("text", ["hunter2-hunter2", "hunter2<+env.X>", "<+a>hunter2<+b>", "user:hunter2"])
def test_a_secret_as_plain_text_in_a_file_is_refused_with_its_line(load, text):
    with pytest.raises(SecretError) as caught:
        load(spec("envVariables:", f"  PLUGIN_PASSWORD: {text}"))
    assert str(caught.value) == "step.yml:7:5: password: the secret is given as plain text"
    assert caught.value.setting == "password"
    assert caught.value.hint.startswith("write where it is: env:NAME")


@pytest.mark.parametrize("said", [{"flags": {"password": "hunter2"}}, {"password": "hunter2"}])
def test_a_secret_as_plain_text_in_a_flag_or_keyword_is_refused(load, said):
    with pytest.raises(SecretError) as caught:
        load(STEP, **said)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("text", ["env:PW", "file:/run/pw", "secret:id", '<+secrets.getValue("org.<+env.X>")>'])
def test_a_reference_to_a_secret_may_stand_anywhere(load, text):
    quoted = text.replace('"', '\\"')
    loaded = load(spec("envVariables:", f'  PLUGIN_PASSWORD: "{quoted}"'), env={"PLUGIN_ACCESS_TOKEN": text})
    assert loaded.steps[0].settings["password"].origin.text == text
    assert loaded.steps[0].settings["artifactory_token"].value == text


def test_a_variable_may_hold_the_secret_itself_and_never_shows_it(load):
    password = load(STEP, env={"PLUGIN_PASSWORD": "hunter2-hunter2"}).steps[0].settings["password"]
    assert password.value == Secret("hunter2-hunter2")
    assert password.value.source == "PLUGIN_PASSWORD"
    assert password.origin.text == MASK
    assert "hunter2" not in repr(password)


def test_an_expression_that_yields_plain_text_is_no_secret(load):
    (step,) = load(spec("envVariables: {PLUGIN_PASSWORD: <+env.PW>}")).steps
    with pytest.raises(SecretError, match="plain text") as caught:
        validate(step, {"repo": "a.example/b", "password": "hunter2-hunter2"})
    assert caught.value.where == "step.yml:6:18"
    assert "hunter2" not in str(caught.value)


def test_a_secret_may_be_a_user_but_not_part_of_the_image(load):
    (step,) = load(spec("buildArgs: {A: <+x>}", "tags: [<+y>]")).steps
    assert validate(step, {"repo": "a.example/b", "username": Secret("robot-user")}).username == "robot-user"
    for name, value in (
        ("build_args", {"A": Secret("s3cret")}),
        ("build_args", Secret("A=s3cret")),
        ("target", Secret("x")),
    ):
        with pytest.raises(SecretError, match="would be readable here"):
            validate(step, {"repo": "a.example/b", name: value})


# Types


@pytest.mark.parametrize(
    ("line", "kind", "message", "hint"),
    [
        ("tags: [ok, a b]", BadNameError, "step.yml:6:14: tags: 'a b' is not a tag", "a tag has up to"),
        ("repo: a.example/B", BadNameError, "step.yml:6:3: repo: 'B' is not a repository path", "lower case"),
        ("envVariables: {PLUGIN_ENGINE: Native}", SettingsError, "step.yml:6:18: engine: 'Native' is not", "'native'"),
        ("envVariables: {PLUGIN_PUSH: perhaps}", SettingsError, "step.yml:6:18: push: 'perhaps' is neither", "true"),
        ("labels: {a: [1]}", SettingsError, "step.yml:6:12: labels: an entry is text, and this is a list", "indent"),
        ("tags: {a: b}", SettingsError, "step.yml:6:3: tags takes a list", "such as [1.4.2, latest]"),
        ("target: [a]", SettingsError, "step.yml:6:3: target takes one value, and this is a list", "such as runtime"),
        ("target: {a: b}", SettingsError, "step.yml:6:3: target takes one value, and this is a map", "such as"),
        ('labels: {a: "x\\ny"}', SettingsError, "step.yml:6:12: labels: 'x\\ny' holds '\\n'", "one line"),
        ('labels: {"a b": c}', SettingsError, "step.yml:6:12: labels: 'a b' is not the name", "leave out blanks"),
        ("runAsUser: root", SettingsError, "step.yml:6:3: runAsUser: 'root' is not a whole number", "digits"),
        ("resources: {limits: {memory: 5 MB}}", SettingsError, "step.yml:6:24: resources: '5 MB' is not a size", "Mi"),
        ("resources: {limit: {}}", SettingsError, "step.yml:6:15: resources: unknown key", "limits, requests"),
        ("target: a b", SettingsError, "step.yml:6:3: target: 'a b' is not a stage name", "AS"),
    ],
)
def test_a_wrong_value_is_refused_with_the_place_that_said_it(load, line, kind, message, hint):
    text = spec(line) if not line.startswith("repo") else STEP.replace("repo: acme.example/docker/api", "repo:")
    text = text if not line.startswith("repo") else text.replace("  repo:\n", "\n") + f"  {line}\n"
    with pytest.raises(kind) as caught:
        settings_of(load(text))
    assert str(caught.value).startswith(message)
    assert (caught.value.hint is None) is (hint is None)
    assert hint is None or hint in caught.value.hint


def test_other_wrong_settings_are_named_as_well(load):
    with pytest.raises(SettingsError, match=r"\(also wrong: tags, target\)"):
        settings_of(load(tags=["a b"], target="a b"))


@pytest.mark.parametrize(
    "line",
    [
        "registryRef: x",
    ],
)
def test_what_nothing_honours_yet_is_refused_when_set(load, line):
    with pytest.raises(UnsupportedError, match="is not supported here") as caught:
        settings_of(load(spec(line)))
    assert caught.value.where == "step.yml:6:3"
    assert caught.value.setting
    assert caught.value.hint


def test_policy_sets_are_refused_for_only_harness_can_evaluate_them(load):
    with pytest.raises(UnsupportedError) as caught:
        settings_of(load(f"{STEP}enforce: {{policySets: [account.images]}}\n"))
    assert "leave policySets empty" in caught.value.hint
    assert settings_of(load(f"{STEP}enforce: {{policySets: []}}\n")).enforce is None


def test_reports_of_a_build_are_a_note(load):
    heard = []
    (step,) = load(spec("reports: {type: JUnit}")).steps
    validate(step, {name: one.value for name, one in step.settings.items()}, sink=heard.append)
    assert [note.text for note in heard] == ["step.yml:6:3: reports has no effect here"]


def test_a_setting_that_says_what_holds_anyway_is_no_reason_to_refuse(load):
    text = spec("caching: false", "privileged: no", "cacheFrom: []", "resources: {}")
    text += "when: {stageStatus: Success}\nfailureStrategies: []\n"
    assert settings_of(load(text)).caching is False


def test_a_hint_that_nobody_honours_is_a_note(load):
    heard = []
    text = PIPELINE.replace("url: https", "log_level: DEBUG\n                      url: https")
    step = load(text, step="publish").steps[0]
    validate(
        step, {name: one.value for name, one in step.settings.items()} | {"access_token": "env:X"}, sink=heard.append
    )
    assert [note.text for note in heard] == ["step.yml:39:23: log_level has no effect here"]


def test_evaluated_values_may_have_types_and_nothing_is_not_set(load):
    (step,) = load(STEP).steps
    settings = validate(step, {"repo": "a.example/b", "tags": [7], "target": None, "push": False})
    assert (settings.tags, settings.target, settings.push) == (("7",), None, False)


def test_a_pipe_into_which_nobody_writes_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr("buildpush.foundation.documents.PIPE_SECONDS", 0.05)
    with pytest.raises(SourceError, match="it is a pipe, and nothing was written"):
        read_text(tmp_path / "pipe")


def test_a_pipe_is_read_to_its_end_as_from_a_command(tmp_path):
    """It is what a shell makes of ``<(command)``."""
    os.mkfifo(tmp_path / "pipe")

    def write():
        with (tmp_path / "pipe").open("w") as pipe:
            for part in ("step", ": {}"):
                pipe.write(part)
                pipe.flush()
                threading.Event().wait(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    assert read_text(tmp_path / "pipe") == "step: {}"
    writer.join()
