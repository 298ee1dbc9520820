"""Which variables a build-info may show."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush.artifactory import allowed_environment, excluded_variables
from buildpush.foundation.forms import names_secret
from buildpush.foundation.secrets import Secret


def test_only_what_is_on_the_list_is_shown():
    env = {"CI": "true", "BUILD_ID": "7", "HOME": "/root", "MY_SETTING": "x"}
    assert allowed_environment(env, ["CI", "BUILD_*"]) == {"BUILD_ID": "7", "CI": "true"}
    assert allowed_environment(env, []) == {}


def test_a_pattern_does_not_let_a_secret_in():
    env = {"CI_JOB_TOKEN": "a", "CI_JOB_ID": "7", "BUILD_DEPLOY_KEY": "b", "BUILD_PASSWORD": "c"}
    assert allowed_environment(env, ["CI_*", "BUILD_*"]) == {"CI_JOB_ID": "7"}


def test_a_name_written_out_is_taken_because_somebody_asked_for_it():
    assert allowed_environment({"PUBLIC_KEY": "ssh-ed25519 AAAA"}, ["PUBLIC_KEY"]) == {"PUBLIC_KEY": "ssh-ed25519 AAAA"}


@pytest.mark.parametrize("name", ["PATH", "COMPASS", "HOME", "CI_COMMIT_SHA", "BUILD_PATTERN", "PWD", "OLDPWD"])
def test_harmless_names_are_not_taken_for_secrets(name):
    assert not names_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *("API_KEY", "ACCESSTOKEN", "db_password", "AUTH", "CI_PASS", "MY_SECRET_2", "AUTHORIZATION", "APIKEYS"),
        *("SSHKEY", "SIGNKEY", "dbPassWord", "db.password", "MY-TOKEN", "dbPwd", "userPass", "X.PAT", "PASS_WORD"),
        *("DOCKER_AUTH_CONFIG", "PGPASSWORD", "Psw", "adminPw", "SENTRY_DSN", "HTTPCookie", "myJWT"),
    ],
)
def test_names_of_secrets_are_known(name):
    assert names_secret(name)


# Source: jfrog-cli, the default of --env-exclude.
JF = ("*password*", "*psw*", "*secret*", "*key*", "*token*", "*auth*")


@given(
    st.text(alphabet=st.characters(codec="ascii", exclude_characters="=\0"), max_size=9), st.sampled_from(JF), st.data()
)
def test_whatever_jf_leaves_out_is_left_out(around, pattern, data):
    word = "".join(data.draw(st.sampled_from([mark, mark.upper()])) for mark in pattern.strip("*"))
    name = f"{around[:4]}{word}{around[4:]}"
    assert fnmatchcase(name.lower(), pattern)
    assert allowed_environment({name: "plain"}, ["*"]) == {}
    assert excluded_variables({name: "plain"}, ["*"]) == (name,)


@pytest.mark.parametrize(
    "value", ["//npm.test/:_authToken=abc", "Bearer abcdefgh", "AccountKey=ab", "ghp_abcdefghijkl"]
)
@pytest.mark.parametrize("pattern", ["*", "HARMLESS"])
def test_a_value_with_the_form_of_a_secret_is_left_out(value, pattern):
    env = {"HARMLESS": value, "PLAIN": "plain"}
    assert "HARMLESS" not in allowed_environment(env, [pattern])
    assert excluded_variables(env, [pattern]) == ("HARMLESS",)


def test_only_what_was_asked_for_is_said_to_be_left_out():
    assert excluded_variables({"CI_TOKEN": "a", "MY_TOKEN": "b", "CI_ID": "7"}, ["CI_*"]) == ("CI_TOKEN",)


def test_of_an_address_the_login_is_stars():
    env = {"MIRROR": "https://user:word@host.test/x"}
    assert allowed_environment(env, ["*"]) == {"MIRROR": "https://********@host.test/x"}


def test_a_known_secret_in_a_harmless_variable_is_stars():
    Secret("planted-in-env")
    assert allowed_environment({"BUILD_NOTE": "a planted-in-env b"}, ["*"]) == {"BUILD_NOTE": "a ******** b"}


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=30)))
def test_values_keep_their_equals_signs_and_names_are_sorted(env):
    shown = allowed_environment({**env, "BUILD_OPTS": "a=b=c"}, ["BUILD_*"])
    assert shown["BUILD_OPTS"] == "a=b=c"
    assert list(shown) == sorted(shown)
