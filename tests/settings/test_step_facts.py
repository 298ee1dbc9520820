"""Variables of a file that set nothing, and count for a step as those of the environment do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildpush.credentials.vault import Vault
from buildpush.expressions.facts import Counter, Facts, Git
from buildpush.foundation.errors import SecretError
from buildpush.places import CommandResult, Recorded
from buildpush.settings.evaluate import evaluate
from buildpush.settings.resolve import resolve
from buildpush.settings.sources import read

SHA = "4" * 40
PREFIX = "org.opencontainers.image."


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    return tmp_path


def of_step(variables, more):
    return {"step": _step({**variables, **more})}


def of_stage(variables, more):
    named = [{"name": name, "type": "String", "value": text} for name, text in variables.items()]
    stage = {
        "identifier": "ship",
        "type": "CI",
        "variables": named,
        "spec": {"execution": {"steps": [of_step({}, more)]}},
    }
    return {"pipeline": {"identifier": "p", "stages": [{"stage": stage}]}}


def _step(variables):
    spec = {"repo": "h.test/a/b", "envVariables": {"PLUGIN_NO_PUSH": "true", **variables}}
    return {"identifier": "b", "type": "BuildAndPushDockerRegistry", "spec": spec}


def loaded(directory, document, env):
    (directory / "step.yml").write_text(json.dumps(document))
    return read(Path("step.yml"), env=env, flags={}, keywords={}, cwd=directory, step=None)


def order(directory, document, env=None, inputs=None):
    env = env or {}
    vault = Vault(env, directory, None, {})
    git = Git(Recorded(lambda _: CommandResult(128)), directory)
    counter = Counter(directory / "state", dry=True)
    facts = Facts(env, git, counter, 0.0, vault.secret, inputs=inputs or {})
    step = loaded(directory, document, env).steps[0]
    return resolve(evaluate(step, facts), cwd=directory, facts=facts, vault=vault, step=step)


def tags(found):
    return [str(reference).rpartition(":")[2] for reference in found.references]


WRITTEN = pytest.mark.parametrize("written", [of_step, of_stage])
AUTO = {"PLUGIN_AUTO_TAG": "true", "PLUGIN_AUTO_LABEL": "true"}


@WRITTEN
def test_a_tag_that_a_variable_of_the_file_names_makes_the_tags(directory, written):
    assert tags(order(directory, written({"DRONE_COMMIT_REF": "refs/tags/v1.4.2"}, AUTO))) == ["1", "1.4", "1.4.2"]


@WRITTEN
def test_the_default_branch_that_a_variable_of_the_file_names_makes_the_tag(directory, written):
    branches = {"DRONE_COMMIT_REF": "refs/heads/trunk", "DRONE_REPO_BRANCH": "trunk"}
    assert tags(order(directory, written(branches, AUTO))) == ["latest"]


@WRITTEN
def test_labels_and_the_revision_are_those_of_the_variables_of_the_file(directory, written):
    variables = {
        "DRONE_COMMIT_REF": "refs/tags/v1.4.2",
        "DRONE_COMMIT_SHA": SHA,
        "DRONE_REMOTE_URL": "https://git.test/a.git",
        "DRONE_REPO_LINK": "https://git.test/a",
    }
    found = order(directory, written(variables, AUTO))
    labels = {name.removeprefix(PREFIX): text for name, text in found.request.labels.items()}
    expected = {"revision": SHA, "source": "https://git.test/a.git", "url": "https://git.test/a"}
    assert {name: labels[name] for name in expected} == expected
    assert (found.revision["revision"], found.revision["url"]) == (SHA, "https://git.test/a")


@WRITTEN
def test_expressions_know_the_variables_of_the_file_before_those_of_the_environment(directory, written):
    asked = {"PLUGIN_TAGS": "<+codebase.shortCommitSha>-<+env.DRONE_TAG>"}
    document = written({"DRONE_COMMIT_SHA": SHA, "DRONE_TAG": "v1"}, asked)
    assert tags(order(directory, document, {"DRONE_COMMIT_SHA": "5" * 40})) == ["4444444-v1"]


def test_such_a_variable_may_add_to_what_it_stands_for(directory):
    document = of_step({"DRONE_TAG": "<+codebase.tag>-x", "PLUGIN_TAGS": "<+codebase.tag>"}, {})
    assert tags(order(directory, document, {"DRONE_TAG": "v1"})) == ["v1-x"]


def test_two_steps_have_variables_of_their_own(directory):
    first, second = (
        of_step({"DRONE_COMMIT_SHA": digit * 40, "PLUGIN_TAGS": "<+codebase.shortCommitSha>"}, {}) for digit in "12"
    )
    second["step"]["identifier"] = "c"
    document = {"stage": {"identifier": "s", "type": "CI", "spec": {"execution": {"steps": [first, second]}}}}
    env = {"DRONE_COMMIT_SHA": SHA}
    vault = Vault(env, directory, None, {})
    git = Git(Recorded(lambda _: CommandResult(128)), directory)
    facts = Facts(env, git, Counter(directory / "state", dry=True), 0.0, vault.secret)
    settings = [evaluate(step, facts) for step in loaded(directory, document, env).steps]
    assert [one.tags for one in settings] == [("1111111",), ("2222222",)]
    assert facts.lookup(("codebase", "commitSha")) == SHA


def test_such_a_variable_may_be_asked_for(directory):
    document = of_stage({"DRONE_COMMIT_REF": "<+input>"}, AUTO)
    found = order(directory, document, inputs={"DRONE_COMMIT_REF": "refs/tags/v2.0.1"})
    assert tags(found) == ["2", "2.0", "2.0.1"]


def test_a_file_of_variables_says_what_the_environment_does_not(directory):
    (directory / "build.env").write_text("DRONE_COMMIT_REF=refs/tags/v1.4.2\nHTTP_PROXY=http://file.test:1\n")
    document = of_step({**AUTO, "PLUGIN_ENV_FILE": "build.env"}, {})
    found = order(directory, document, {"HTTP_PROXY": "http://env.test:1"})
    assert (tags(found), found.request.proxies["http_proxy"]) == (["1", "1.4", "1.4.2"], "http://env.test:1")


@WRITTEN
@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "HARNESS_HTTP_PROXY"])
def test_a_proxy_of_the_file_is_seen_by_run(directory, written, name):
    found = order(directory, written({name: "http://file.test:1"}, {}), {"http_proxy": "http://env.test:1"})
    assert found.request.proxies == {"http_proxy": "http://file.test:1", "HTTP_PROXY": "http://file.test:1"}


def test_a_proxy_of_the_file_may_be_a_secret(directory):
    document = of_step({"https_proxy": '<+secrets.getValue("proxy")>'}, {})
    found = order(directory, document, {"BUILDPUSH_SECRET_PROXY": "http://me:s3cret@file.test:1"})
    assert found.request.proxies["HTTPS_PROXY"] == "http://me:s3cret@file.test:1"


def test_what_is_said_of_the_codebase_is_no_secret(directory):
    document = of_step({"DRONE_COMMIT_REF": '<+secrets.getValue("ref")>'}, {})
    with pytest.raises(SecretError, match="DRONE_COMMIT_REF is a secret, which would be readable"):
        order(directory, document, {"BUILDPUSH_SECRET_REF": "refs/tags/v1.4.2"})


@WRITTEN
def test_what_counts_is_not_said_to_have_no_effect(directory, written):
    document = written({"DRONE_COMMIT_REF": "refs/tags/v1", "https_proxy": "http://file.test:1"}, {})
    assert loaded(directory, document, {}).notes == ()
