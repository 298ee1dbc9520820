from __future__ import annotations

import ast
import string
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, reject
from hypothesis import strategies as some
from ruamel.yaml import YAML

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.secrets import Secret
from buildpush.settings.declare import settings_of
from buildpush.settings.encoders import to_flags, to_python, to_variables, to_yaml
from buildpush.settings.model import BuildAndPush
from buildpush.settings.publish_step import PublishBuildInfo
from buildpush.settings.sources import read
from buildpush.settings.validate import validate
from tests.settings.flags import read_flags

NOWHERE = Path("/nonexistent")


def from_yaml(text, directory):
    file = directory / "step.yml"
    file.write_text(text, encoding="utf-8")
    return back(read(file, env={}, flags={}, keywords={}, cwd=directory, step=None))


def from_variables(variables):
    return back(read(None, env=variables, flags={}, keywords={}, cwd=NOWHERE, step=None))


def from_flags(arguments):
    return back(read(None, env={}, flags=read_flags(BuildAndPush, arguments), keywords={}, cwd=NOWHERE, step=None))


def from_python(text):
    call = ast.parse(f"load({text})", mode="eval").body
    keywords = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    return back(read(None, env={}, flags={}, keywords=keywords, cwd=NOWHERE, step=None))


def back(loaded):
    (step,) = loaded.steps
    return validate(step, {name: written.value for name, written in step.settings.items()})


def without_names(settings):
    """Variables and flags have no words for what only a file says about a step."""
    return {name: getattr(settings, name) for name in settings.fields().keys() - {"identifier", "name", "description"}}


characters = some.characters(exclude_categories=["Cs", "Cc"])
values = some.text(some.one_of(characters, some.sampled_from("\n\t,;=:#'\"\\<+>{}[]&*!|%@ ")), max_size=12)
lines = some.text(
    some.one_of(some.characters(categories=["L", "N", "P", "S", "Zs"]), some.sampled_from(",;='\" ")), max_size=12
)
texts = lines.filter(str.strip)
words = some.text(string.ascii_letters + "_", min_size=1, max_size=6)
tags = some.one_of(words, some.sampled_from(["1.10", "012", "1e3", "yes", "NO", "null", "0x1F", "1_000", "12:30"[:2]]))
repositories = words.map(lambda word: f"acme.example/docker/{word.lower().strip('_') or 'x'}")
steps = some.fixed_dictionaries(
    {"repo": repositories},
    optional={
        "tags": some.lists(tags, min_size=1, max_size=3).map(tuple),
        "labels": some.dictionaries(words, lines, max_size=3),
        "build_args": some.dictionaries(words, values, max_size=3),
        "platforms": some.sampled_from([("linux/amd64",), ("linux/amd64", "linux/arm64/v8")]),
        "dockerfile": words,
        "target": some.text(string.ascii_letters, min_size=1, max_size=5),
        "push": some.booleans(),
        "no_cache": some.booleans(),
        "publish_build_info": some.sampled_from([True, False, None]),
        "compression": some.sampled_from(["gzip", "none", "zstd"]),
        "engine": some.sampled_from(["auto", "native", "kaniko"]),
        "build_name": texts,
        "username": texts,
        "password": some.sampled_from(["env:TOKEN", "file:/run/my token", "secret:id"]),
        "timeout": some.integers(10, 10**6).map(lambda seconds: timedelta(seconds=seconds)),
        "name": some.text(string.ascii_letters + " ", min_size=1, max_size=9).filter(str.strip),
        "description": values,
        "file_docker_secrets": some.dictionaries(words, words, max_size=2),
        "env_include": some.lists(texts, max_size=3).map(tuple),
    },
).map(lambda values: BuildAndPush(**values))


def reads_back(write, settings):
    """Return what *write* made; an encoder may also refuse, but only with a word about the setting."""
    try:
        return write(settings)
    except SettingsError as error:
        refused = bool(error.setting and error.hint)
    assert refused
    return reject()


@given(settings=steps)
def test_a_step_file_reads_back(settings, tmp_path_factory):
    directory = tmp_path_factory.getbasetemp()
    assert from_yaml(reads_back(to_yaml, settings), directory) == settings


@given(settings=steps)
def test_variables_read_back(settings):
    again = from_variables(reads_back(to_variables, settings))
    assert without_names(again) == without_names(settings)


@given(settings=steps)
def test_flags_read_back(settings):
    again = from_flags(reads_back(to_flags, settings))
    assert without_names(again) == without_names(settings)


@given(settings=steps)
def test_python_reads_back(settings):
    assert from_python(reads_back(to_python, settings)) == settings


@given(settings=steps)
def test_other_readers_of_yaml_see_the_same_text(settings):
    document = YAML(typ="safe", pure=True).load(reads_back(to_yaml, settings))
    assert document["step"]["spec"]["repo"] == settings.repo
    assert tuple(document["step"]["spec"].get("tags", ["latest"])) == settings.tags


@pytest.mark.parametrize("model", [BuildAndPush, PublishBuildInfo])
def test_every_example_reads_back_from_yaml(model, tmp_path):
    (tmp_path / "build.env").touch()  # the example of env_file, which is read with the step
    required = {setting.name: setting.example for setting in settings_of(model) if setting.required}
    for setting in settings_of(model):
        if setting.honoured_by and setting.name != "env_variables":
            settings = model(**required | {setting.name: setting.example})
            assert from_yaml(to_yaml(settings), tmp_path) == settings


@pytest.mark.parametrize("write", [to_yaml, to_variables, to_flags, to_python])
def test_what_would_be_read_as_an_expression_is_refused(write):
    settings = BuildAndPush(repo="a.example/b", build_args={"A": "<+pipeline.name>"})
    with pytest.raises(SettingsError, match="expression"):
        write(settings)


@pytest.mark.parametrize("write", [to_yaml, to_variables, to_flags, to_python])
def test_a_secret_itself_is_never_written(write):
    settings = BuildAndPush(repo="a.example/b", password=Secret("hunter2-hunter2"))
    with pytest.raises(SettingsError, match="secret itself") as caught:
        write(settings)
    assert "hunter2" not in str(caught.value)


def test_commas_in_build_arguments_move_to_the_variable_with_semicolons():
    variables = to_variables(BuildAndPush(repo="a.example/b", build_args={"A": "1,2", "B": "3"}))
    assert variables["PLUGIN_BUILD_ARGS_NEW"] == "A=1,2;B=3"
    assert variables["PLUGIN_MULTIPLE_BUILD_ARGS"] == "true"
    assert "PLUGIN_BUILD_ARGS" not in variables


def test_a_label_with_a_comma_has_no_variable():
    with pytest.raises(SettingsError, match="labels cannot be written"):
        to_variables(BuildAndPush(repo="a.example/b", labels={"a": "1,2"}))


def test_a_step_file_shows_only_what_was_said():
    text = to_yaml(BuildAndPush(repo="acme.example/docker/api", tags=("1.10",), engine="native"))
    assert text == (
        "step:\n"
        "  type: BuildAndPushDockerRegistry\n"
        "  spec:\n"
        "    repo: acme.example/docker/api\n"
        "    tags:\n"
        '      - "1.10"\n'
        "    envVariables:\n"
        "      PLUGIN_ENGINE: native\n"
    )


def test_flags_are_words_of_their_own():
    settings = BuildAndPush(repo="a.example/b", tags=("1", "2"), push=False, build_args={"A": "-x y"})
    assert to_flags(settings) == ["--repo=a.example/b", "--tags=1", "--tags=2", "--build-arg=A=-x y", "--no-push"]


@pytest.mark.parametrize("argument", ["--nonsense=1", "--push=1", "tags=1", "--nonsense"])
def test_what_is_no_flag_is_refused(argument):
    with pytest.raises(SettingsError, match="is not a flag"):
        read_flags(BuildAndPush, [argument])


def test_structures_are_written_as_blocks(tmp_path):
    strategies = [{"onFailure": {"errors": ["AllErrors", "yes"], "action": {"type": "Ignore"}}}, {"x": []}, {"y": {}}]
    settings = BuildAndPush(repo="a.example/b", failure_strategies=strategies, strategy={"matrix": [["a"], ["b", "c"]]})
    document = YAML(typ="safe", pure=True).load(to_yaml(settings))
    assert document["step"]["failureStrategies"] == strategies
    assert document["step"]["strategy"] == {"matrix": [["a"], ["b", "c"]]}


def test_limits_are_written_in_bytes_and_cores():
    settings = BuildAndPush(repo="a.example/b", resources={"limits": {"memory": "1Ki", "cpu": "400m"}})
    assert '        memory: "1024"\n        cpu: "0.4"\n' in to_yaml(settings)


def test_a_key_with_an_equals_sign_has_no_flag():
    settings = BuildAndPush.construct({"repo": "a.example/b", "labels": {"a=b": "c"}})
    with pytest.raises(SettingsError, match="'a=b' holds ="):
        to_flags(settings)
