"""Logins that the text of a configuration of Docker gives, each for its own host."""

from __future__ import annotations

import base64
import json

import pytest

from buildpush.credentials.vault import Vault
from buildpush.expressions.facts import Counter, Facts, Git
from buildpush.foundation.errors import SecretError, SourceError
from buildpush.places import CommandResult, Recorded
from buildpush.settings.evaluate import evaluate
from buildpush.settings.resolve import resolve
from buildpush.settings.sources import read

AUTHS = {
    "https://index.docker.io/v1/": {"auth": base64.b64encode(b"hub:hub-word-1").decode()},
    "h.test": {"username": "me", "password": "own-word-22"},
}


def order(directory, env, **keywords):
    (directory / "Dockerfile").write_text("FROM scratch\n")
    loaded = read(None, env=env, flags={}, keywords={"repo": "h.test/a/b", **keywords}, cwd=directory, step=None)
    vault = Vault(env, directory, None, {})
    git = Git(Recorded(lambda _: CommandResult(128)), directory)
    facts = Facts(env, git, Counter(directory / "state", dry=True), 0.0, vault.secret)
    return resolve(evaluate(loaded.steps[0], facts), cwd=directory, facts=facts, vault=vault, step=loaded.steps[0])


@pytest.mark.parametrize("variable", ["PLUGIN_CONFIG", "DOCKER_PLUGIN_CONFIG"])
def test_each_login_is_for_its_own_host(tmp_path, variable):
    found = order(tmp_path, {variable: json.dumps({"auths": AUTHS})}).credentials
    logins = {host: (one.username, one.password.reveal(), one.source) for host, one in found.items()}
    assert logins == {"docker.io": ("hub", "hub-word-1", variable), "h.test": ("me", "own-word-22", variable)}


def test_the_text_may_be_in_a_file(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"auths": AUTHS}))
    assert order(tmp_path, {}, docker_config="file:config.json").credentials["h.test"].username == "me"


def test_user_and_password_come_first_and_a_note_says_so(tmp_path):
    env = {"PLUGIN_CONFIG": json.dumps({"auths": AUTHS}), "PLUGIN_USERNAME": "ci", "PLUGIN_PASSWORD": "other-word-3"}
    found = order(tmp_path, env | {"PLUGIN_REGISTRY": "h.test"})
    assert found.credentials["h.test"].username == "ci"
    assert "PLUGIN_CONFIG: its login for h.test has no effect: PLUGIN_PASSWORD comes first" in found.notes


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "has no login"),
        ({"auths": {"h.test": {}}}, "has no login"),
        ({"auths": AUTHS, "credsStore": "desktop"}, "names a credential helper"),
        ([], "not a JSON object"),
    ],
)
def test_a_configuration_that_gives_no_login_is_refused(tmp_path, document, words):
    with pytest.raises(SourceError, match=words) as caught:
        order(tmp_path, {"PLUGIN_CONFIG": json.dumps(document)})
    assert "own-word-22" not in str(caught.value)


def test_its_text_never_stands_in_a_file_of_steps(tmp_path):
    (tmp_path / "step.yml").write_text(
        json.dumps({"type": "BuildAndPushDockerRegistry", "spec": {"envVariables": {"PLUGIN_CONFIG": "plain"}}})
    )
    with pytest.raises(SecretError, match="plain text"):
        read(tmp_path / "step.yml", env={}, flags={}, keywords={}, cwd=tmp_path, step=None)
