"""Which variables a build-info may show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush.artifactory import allowed_environment
from buildpush.artifactory.environment import names_a_secret
from buildpush.secrets import Secret


def test_only_what_is_on_the_list_is_shown():
    env = {"CI": "true", "BUILD_ID": "7", "HOME": "/root", "MY_SETTING": "x"}
    assert allowed_environment(env, ["CI", "BUILD_*"]) == {"BUILD_ID": "7", "CI": "true"}
    assert allowed_environment(env, []) == {}


def test_a_pattern_does_not_let_a_secret_in():
    env = {"CI_JOB_TOKEN": "a", "CI_JOB_ID": "7", "BUILD_DEPLOY_KEY": "b", "BUILD_PASSWORD": "c"}
    assert allowed_environment(env, ["CI_*", "BUILD_*"]) == {"CI_JOB_ID": "7"}


def test_a_name_written_out_is_taken_because_somebody_asked_for_it():
    assert allowed_environment({"PUBLIC_KEY": "ssh-ed25519 AAAA"}, ["PUBLIC_KEY"]) == {"PUBLIC_KEY": "ssh-ed25519 AAAA"}


@pytest.mark.parametrize("name", ["MONKEY", "AUTHOR", "KEYBOARD", "CI_COMMIT_AUTHOR", "PATH", "COMPASS"])
def test_harmless_names_are_not_taken_for_secrets(name):
    assert not names_a_secret(name)


@pytest.mark.parametrize("name", ["API_KEY", "ACCESSTOKEN", "db_password", "AUTH", "CI_PASS", "MY_SECRET_2"])
def test_names_of_secrets_are_known(name):
    assert names_a_secret(name)


def test_a_known_secret_in_a_harmless_variable_is_stars():
    Secret("planted-in-env")
    assert allowed_environment({"BUILD_NOTE": "a planted-in-env b"}, ["*"]) == {"BUILD_NOTE": "a ******** b"}


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=30)))
def test_values_keep_their_equals_signs_and_names_are_sorted(env):
    shown = allowed_environment({**env, "BUILD_OPTS": "a=b=c"}, ["BUILD_*"])
    assert shown["BUILD_OPTS"] == "a=b=c"
    assert list(shown) == sorted(shown)
