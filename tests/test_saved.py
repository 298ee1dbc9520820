"""Build-info outside a run: whose credentials go to which host."""

from __future__ import annotations

import pytest

from buildpush.foundation.errors import SettingsError
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.saved import ServerFlags, open_server

ENV = {"JF_URL": "https://acme.jfrog.io", "JF_ACCESS_TOKEN": "token-of-acme", "MINE": "my-own-secret"}


@pytest.fixture
def login(monkeypatch):
    """Return a function that gives the login with which Artifactory would be asked."""

    def ask(env, **flags):
        found = []

        def opened(target, *_):
            found.append(target.credential)
            message = "far enough"
            raise SettingsError(message)

        monkeypatch.setattr("buildpush.pipeline.saved.open_artifactory", opened)
        with pytest.raises(SettingsError, match="far enough"):
            open_server(RunContext.default(env=env), ServerFlags(**flags))
        (credential,) = found
        return credential and (credential.kind, credential.username, credential.password.reveal())

    return ask


def test_the_variables_are_for_the_host_that_they_name(login):
    assert login(ENV) == ("access", "", "token-of-acme")


def test_a_token_of_the_variables_goes_to_no_other_host(login):
    assert login(ENV, artifactory_url="https://elsewhere.example.com") is None


def test_a_password_of_the_flags_beats_a_token_of_the_variables(login):
    said = {"artifactory_url": "https://acme.jfrog.io", "username": "ann", "password": "env:MINE"}
    assert login(ENV, **said) == ("password", "ann", "my-own-secret")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("flag", [{"username": "ann", "password": "env:MINE"}, {"artifactory_token": "env:MINE"}])
def test_a_credential_of_the_flags_goes_to_no_host_that_only_a_variable_names(flag, scheme):
    env = ENV | {"JF_URL": f"{scheme}://acme.jfrog.io"}
    with pytest.raises(SettingsError, match="which only JF_URL names") as caught:
        open_server(RunContext.default(env=env), ServerFlags(**flag))
    assert f"--artifactory-url {scheme}://acme.jfrog.io" in caught.value.hint


def test_a_token_of_the_flags_goes_where_the_flags_say(login):
    found = login(ENV, artifactory_url="https://elsewhere.example.com", artifactory_token="env:MINE")
    assert found == ("access", "", "my-own-secret")


def test_somebody_must_say_where_artifactory_is():
    with pytest.raises(SettingsError, match="no Artifactory given") as caught:
        open_server(RunContext.default(env={}), ServerFlags())
    assert "JF_URL" in caught.value.hint
