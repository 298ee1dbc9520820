"""What Python callers get wrong: Python does not look at types, so the calls do, and say what they take."""

from __future__ import annotations

import pytest

import buildpush
from buildpush.foundation.errors import BadNameError, BuildPushError, SecretError, SettingsError

ARTIFACTORY = "https://r.example/artifactory"
STEP = "type: BuildAndPushDockerRegistry\nspec:\n  repo: registry.example/app\n  tags: [1]\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "step.yml").write_text(STEP, encoding="utf-8")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY step.yml /\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("call", [buildpush.load, buildpush.check, buildpush.run, buildpush.build])
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"file": 5}, "file is of the type int, and takes a path"),
        ({"file": ["step.yml"]}, "file is of the type list, and takes a path"),
        ({"file": "step\0.yml"}, "file has a NUL character"),
        ({"file": "step.yml", "step": 3}, "step is of the type int, and takes text"),
        ({"file": "step.yml", "cwd": 3}, "cwd is of the type int, and takes a path"),
        ({"file": "step.yml", "env": {"A": 1}}, "env['A'] is of the type int, and takes text"),
        ({"file": "step.yml", "env": {1: "A"}}, "env[1] is of the type int, and takes text"),
    ],
)
def test_an_argument_of_another_type_is_refused_with_what_it_takes(place, call, arguments, says):
    with pytest.raises(SettingsError) as caught:
        call(**arguments)
    assert says in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"variables": {"A": 1}}, "variables['A'] is of the type int, and takes text"),
        ({"connectors": 5}, "connectors is of the type int, and takes a path"),
        ({"secrets": "a\0b"}, "secrets has a NUL character"),
    ],
)
def test_what_expressions_ask_for_is_checked_as_well(place, arguments, says):
    with pytest.raises(SettingsError) as caught:
        buildpush.check("step.yml", **arguments)
    assert says in str(caught.value)


@pytest.mark.parametrize("name", ["file", "secrets", "connectors", "dockerfile", "context"])
def test_a_name_too_long_for_any_file_is_an_error_with_a_hint(place, name):
    arguments = {"file": "step.yml"} | {name: "a" * 5000}
    with pytest.raises(BuildPushError) as caught:
        buildpush.check(**arguments)
    assert caught.value.hint


def test_a_keyword_that_does_not_exist_is_refused_with_the_nearest_one():
    with pytest.raises(TypeError, match=r"push\(\) got an unexpected keyword argument 'conectors': did you mean conn"):
        buildpush.push("oci:build", "registry.example/app:1", conectors="connectors.yml")


def test_a_keyword_like_no_other_is_refused_as_python_does():
    with pytest.raises(TypeError, match=r"copy\(\) got an unexpected keyword argument 'zzz'$"):
        buildpush.copy("oci:build", "oci:other", zzz=1)


@pytest.mark.parametrize(
    "call",
    [
        lambda name: buildpush.push("oci:build", name),
        lambda name: buildpush.copy("oci:build", f"docker://{name}"),
        lambda name: buildpush.merge(name, "oci:one", "oci:two"),
    ],
)
@pytest.mark.parametrize(("name", "tag"), [("r.example/a", "TAG"), ("r.example/a:1", "1")])
def test_a_digest_as_destination_is_refused_before_the_registry_is_asked(call, name, tag):
    """No fast test may open a socket."""
    with pytest.raises(BadNameError, match="cannot be written to") as caught:
        call(f"{name}@sha256:{'a' * 64}")
    assert caught.value.hint == f"write a tag, such as r.example/a:{tag}"


@pytest.mark.parametrize(
    ("values", "says", "hint"),
    [
        ({"repo": "r.example/a", "push": 1}, "push: it is of the type int", "write true or false, in Python True or"),
        ({"repo": 3}, "repo: it is of the type int", "write text"),
        ({"repo": "r.example/a", "tags": "1"}, "tags: it is of the type str", "write a list"),
        ({"repo": "r.example/a", "engine": "zzz"}, "engine: 'zzz' is not one of auto, native", "write one of them"),
        ({}, "repo: it is missing", "give it a value"),
    ],
)
def test_settings_of_another_type_are_refused_with_what_to_write(values, says, hint):
    with pytest.raises(SettingsError) as caught:
        buildpush.BuildAndPush(**values)
    assert says in str(caught.value)
    assert (caught.value.hint or "").startswith(hint)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ({"tags": ["1"]}, "set it by spec.repo in a step file, repo= or PLUGIN_REPO"),
        ({"file": "step.yml", "tags": "<+input>"}, 'variables={"tags": "VALUE"}'),
        ({"file": "step.yml", "tags": "<+pipeline.variables.x>"}, 'give it with variables={"x": "VALUE"}'),
        ({"file": "step.yml", "connector_ref": "hub"}, "name a file with connectors="),
    ],
)
def test_a_hint_names_keywords_in_place_of_flags(place, arguments, hint):
    with pytest.raises(BuildPushError) as caught:
        buildpush.check(**arguments)
    assert hint in caught.value.hint
    assert "--" not in f"{caught.value} {caught.value.hint}"


def push_as(password):
    return buildpush.push("oci:build", "r.example/a:1", username="ci", password=password)


@pytest.mark.parametrize(
    ("call", "keyword"),
    [
        (lambda text: buildpush.run(repo="r.example/a", username="ci", password=text), "password"),
        (push_as, "password"),
        (lambda text: buildpush.upload("step.yml", "a/b", artifactory_url=ARTIFACTORY, password=text), "password"),
        (lambda text: buildpush.open_builds(ARTIFACTORY, artifactory_token=text).__enter__(), "artifactory_token"),
    ],
)
@pytest.mark.parametrize("secret", ["word in full", 5])
def test_a_password_in_full_leads_to_a_secret(place, call, keyword, secret):
    with pytest.raises(SecretError, match=f"{keyword}=: the secret is given as plain text") as caught:
        call(secret)
    assert caught.value.hint.startswith(f"give it as {keyword}=buildpush.Secret(...), or write where it is: env:NAME")


def test_a_password_in_full_in_a_file_leads_to_what_a_file_may_hold(place):
    (place / "step.yml").write_text(f"{STEP}  envVariables: {{PLUGIN_PASSWORD: word}}\n", encoding="utf-8")
    with pytest.raises(SecretError, match=r"step\.yml:5") as caught:
        buildpush.check("step.yml")
    assert caught.value.hint.startswith("write where it is: env:NAME")


def test_a_hint_names_keywords_in_place_of_keys_of_a_file(place):
    with pytest.raises(SecretError) as caught:
        buildpush.check("step.yml", build_args={"TOKEN": buildpush.Secret("word in full")})
    assert caught.value.hint.endswith("give secrets to a build by env_docker_secrets")


def test_the_flag_for_one_of_several_becomes_their_keyword(place):
    with pytest.raises(SettingsError, match=r"^keys=: the public key .*cosign\.pub cannot be read"):
        buildpush.verify("r.example/a:1", keys=["cosign.pub"])


def test_the_line_for_a_shell_in_a_hint_has_its_flags(place):
    with pytest.raises(BuildPushError) as caught:
        buildpush.copy("docker-archive:step.yml", "oci:there")
    assert caught.value.hint == "make one with: docker save IMAGE --output FILE"


def test_a_flag_in_a_quoted_text_of_the_caller_is_not_changed(place):
    with pytest.raises(BuildPushError) as caught:
        buildpush.check("step.yml", engine="--step")
    assert "'--step'" in str(caught.value)


def test_a_traceback_shows_the_hint(place):
    with pytest.raises(BuildPushError) as caught:
        buildpush.check(tags=["1"])
    assert caught.value.__notes__ == [f"hint: {caught.value.hint}"]


def test_a_plan_writes_values_as_a_step_file_does(place):
    plan = buildpush.check("step.yml", timeout="1h30m", optimize=True, labels={"a": "b"})
    values = {name: one["value"] for name, one in plan.as_json()["settings"].items()}
    assert values["timeout"] == "1h 30m"
    assert values["optimize"] == "true"
    assert values["labels"] == "a=b"
