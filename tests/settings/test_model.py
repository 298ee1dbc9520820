from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from typing import Literal

import pytest

from buildpush.credentials.vault import is_reference
from buildpush.foundation.limits import duration_text
from buildpush.foundation.secrets import Secret
from buildpush.reference.schema import schema
from buildpush.settings.declare import Settings, choices_of, explicitly_set, kind_of, setting_named, settings_of
from buildpush.settings.fields import ValidationError
from buildpush.settings.kinds import bytes_of, cores_of, duration_of, switch_of
from buildpush.settings.model import BuildAndPush
from buildpush.settings.publish_step import PublishBuildInfo

# Every key of the step BuildAndPushDockerRegistry.
HARNESS_STEP_KEYS = {"identifier", "name", "description", "timeout", "when", "failureStrategies", "strategy", "enforce"}
HARNESS_SPEC_KEYS = {
    "connectorRef",
    "registryRef",
    "repo",
    "tags",
    "baseImageConnectorRefs",
    "optimize",
    "dockerfile",
    "context",
    "labels",
    "buildArgs",
    "target",
    "caching",
    "cacheFrom",
    "cacheTo",
    "remoteCacheRepo",
    "envVariables",
    "envDockerSecrets",
    "fileDockerSecrets",
    "runAsUser",
    "resources",
    "privileged",
    "reports",
}
HARNESS_PLUGIN_KEYS = {
    "access_token",
    "url",
    "build_name",
    "build_number",
    "build_url",
    "docker_image",
    "username",
    "password",
    "api_key",
    "git_path",
    "insecure",
    "pem_file_contents",
    "pem_file_path",
    "log_level",
}
# Settings of a Plugin step are free in Harness.
OWN_PLUGIN_KEYS = {"compat", "issues_tracker", "issues_regexp", "issues_url"}
BOTH = [(model, setting) for model in (BuildAndPush, PublishBuildInfo) for setting in settings_of(model)]


def keys(model, place):
    return {setting.key for setting in settings_of(model) if setting.place == place}


def test_every_key_of_the_harness_step_is_declared():
    assert keys(BuildAndPush, "step") == HARNESS_STEP_KEYS
    assert keys(BuildAndPush, "spec") == HARNESS_SPEC_KEYS


def test_every_setting_of_the_build_info_plugin_is_declared():
    assert keys(PublishBuildInfo, "settings") == HARNESS_PLUGIN_KEYS | OWN_PLUGIN_KEYS


@pytest.mark.parametrize(("model", "setting"), BOTH, ids=lambda value: getattr(value, "name", ""))
def test_every_declaration_is_complete(model, setting):
    assert setting.sentence.endswith(".")
    assert setting.group
    assert setting.since == "0.1"
    assert setting.example not in (None, "", (), {})
    assert setting.honoured_by or setting.alternative or setting.harmless, "people must hear what to do instead"
    assert bool(setting.flags) == bool(setting.variables) == (not setting.file_only)


@pytest.mark.parametrize(("model", "setting"), BOTH, ids=lambda value: getattr(value, "name", ""))
def test_every_example_is_valid(model, setting):
    required = {other.name: other.example for other in settings_of(model) if other.required}
    settings = model(**required | {setting.name: setting.example})
    assert getattr(settings, setting.name) is not None


@pytest.mark.parametrize(
    ("name", "yaml", "variable", "flags"),
    [
        ("build_args", "spec.buildArgs", "PLUGIN_BUILD_ARGS", ("--build-arg", "--build-args")),
        ("tags", "spec.tags", "PLUGIN_TAGS", ("--tags", "--tag")),
        ("engine", "spec.envVariables.PLUGIN_ENGINE", "PLUGIN_ENGINE", ("--engine",)),
        ("timeout", "timeout", "PLUGIN_TIMEOUT", ("--timeout",)),
        ("cache_from", "spec.cacheFrom", "PLUGIN_CACHE_FROM", ("--cache-from",)),
    ],
)
def test_every_other_spelling_is_derived_from_the_python_name(name, yaml, variable, flags):
    setting = setting_named(BuildAndPush, name)
    assert (setting.yaml, setting.variables[0], setting.flags) == (yaml, variable, flags)


def test_a_switch_has_a_flag_that_turns_it_off():
    assert setting_named(BuildAndPush, "push").negative_flag == "--no-push"
    assert setting_named(BuildAndPush, "no_cache").negative_flag == "--cache"
    assert setting_named(BuildAndPush, "tags").negative_flag is None


def test_no_two_settings_share_a_variable_or_a_flag():
    for model in (BuildAndPush, PublishBuildInfo):
        variables = [name for setting in settings_of(model) for name in setting.variables]
        flags = [flag for setting in settings_of(model) for flag in (*setting.flags, setting.negative_flag) if flag]
        assert len(variables) == len(set(variables))
        assert len(flags) == len(set(flags))


def test_a_field_must_be_declared():
    class Careless(Settings):
        colour: str = "red"

    with pytest.raises(TypeError, match="colour is not declared"):
        settings_of(Careless)


def test_words_to_choose_from_are_found_inside_an_optional_type():
    assert choices_of(Literal["a", "b"] | None) == ("a", "b")
    assert kind_of(Literal["a", "b"] | None) == "choice"


def test_settings_cannot_be_changed():
    settings = BuildAndPush(repo="a.example/b")
    with pytest.raises(ValidationError):
        settings.repo = "c.example/d"


def test_an_unknown_setting_is_refused():
    with pytest.raises(ValidationError):
        BuildAndPush(repo="a.example/b", tag="1")


def test_said_is_what_differs_from_the_default():
    settings = BuildAndPush(repo="a.example/b", push=True, caching=False, tags=("7",))
    assert explicitly_set(settings) == {"repo", "tags"}


def test_equal_tags_count_once():
    assert BuildAndPush(repo="a.example/b", tags=("1", "2", "1")).tags == ("1", "2")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("repo", "acme.example/Docker/api"),
        ("repo", "https://acme.example/docker/api"),
        ("repo", "acme.example/docker/api:1"),
        ("repo", "--help"),
        ("tags", ("a b",)),
        ("tags", ("-x",)),
        ("tags", ("é",)),
        ("tags", ("a" * 129,)),
        ("tags", ()),
        ("tags", (1.1,)),
        ("labels", {"key": "two\nlines"}),
        ("labels", {"a b": "x"}),
        ("labels", {"--flag": "x"}),
        ("labels", {"key": "\u202egnp.exe"}),
        ("build_args", {"A=B": "x"}),
        ("build_args", {"A": "x\0y"}),
        ("build_args", {"A": "\ud800"}),
        ("target", "--privileged"),
        ("dockerfile", "--file"),
        ("context", " "),
        ("platforms", ("linux",)),
        ("artifactory_url", "acme.example/artifactory"),
        ("artifactory_url", "https://user:pw@acme.example/artifactory"),
        ("engine", "make"),
        ("timeout", "5s"),
        ("timeout", "1.5"),
        ("push", "perhaps"),
        ("identifier", "9lives"),
        ("name", "a/b"),
        ("env_docker_secrets", {"id": "NOT A NAME"}),
    ],
)
def test_a_value_that_breaks_its_grammar_is_refused(name, value):
    with pytest.raises(ValidationError):
        BuildAndPush(**{"repo": "acme.example/docker/api", name: value})


def test_a_secret_as_plain_text_is_refused_without_repeating_it():
    with pytest.raises(ValidationError) as caught:
        BuildAndPush(repo="a.example/b", password="hunter2-hunter2")
    assert "hunter2" not in str(caught.value)
    assert "env:NAME" in caught.value.errors[0].hint


def test_a_secret_shows_in_no_text_of_the_settings():
    settings = BuildAndPush(repo="a.example/b", password=Secret("hunter2-hunter2"))
    assert "hunter2" not in f"{settings!r} {settings}"


@pytest.mark.parametrize("text", ["env:NAME", "file:/run/secrets/token", "secret:org.token", "account.jfrog", "org.x"])
def test_a_reference_says_where_a_secret_is(text):
    assert is_reference(text)


@pytest.mark.parametrize("text", ["hunter2", "env:", "env:A B", "file:", "user:password", "jfrog_password", "secret:"])
def test_what_is_no_reference_is_taken_for_a_secret_itself(text):
    assert not is_reference(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10m", 600), ("1h 30m", 5400), ("1h30m", 5400), ("2d", 172800), ("1w", 604800), ("10s", 10), (" 1h  5m ", 3900)],
)
def test_a_duration_is_numbers_with_units(text, seconds):
    assert duration_of(text) == timedelta(seconds=seconds)
    assert duration_of(duration_text(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "10", "m", "10 minutes", "-5m", "5s", "0m", "1.5h", "10m!"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match=r"duration|shorter"):
        duration_of(text)


def test_sizes_and_cores_are_those_of_kubernetes():
    assert [bytes_of(text) for text in ("500Mi", "1.5Gi", "2G", "1048576")] == [
        524288000,
        1610612736,
        2 * 10**9,
        1 << 20,
    ]
    assert [cores_of(text) for text in ("400m", "0.5", "2")] == [0.4, 0.5, 2.0]
    for wrong, read in (
        ("5 MB", bytes_of),
        ("-1", bytes_of),
        ("9" * 400, bytes_of),
        ("half", cores_of),
        ("1.5m", cores_of),
    ):
        with pytest.raises(ValueError, match="is not a"):
            read(wrong)


def test_yes_and_no_are_words_in_any_case():
    assert all(switch_of(word) for word in ("true", "YES", "on", "1"))
    assert not any(switch_of(word) for word in ("false", "No", "OFF", "0"))


def test_publishing_has_a_third_word_for_let_buildpush_decide():
    assert BuildAndPush(repo="a.example/b", publish_build_info="auto").publish_build_info is None
    assert BuildAndPush(repo="a.example/b", publish_build_info="no").publish_build_info is False


def test_a_condition_that_holds_anyway_is_none():
    usual = {"stageStatus": "Success", "condition": "true"}
    assert BuildAndPush(repo="a.example/b", when=usual).when is None


def test_the_schemas_know_every_key():
    project = schema()["properties"]
    assert {"engine", "tags", "buildArgs", "timeout"} <= set(project)
    assert "identifier" not in project
    parts = schema("step")["$defs"]
    assert set(parts["build-spec"]["properties"]) == HARNESS_SPEC_KEYS
    assert set(parts["publish-settings"]["properties"]) == HARNESS_PLUGIN_KEYS | OWN_PLUGIN_KEYS


@pytest.mark.programs
def test_importing_the_package_loads_no_pydantic():
    code = "import sys, buildpush; print('pydantic' in sys.modules or 'ruamel' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert answer.stdout.strip() == "False"
