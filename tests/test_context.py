"""The context of a run: what is opened is opened once, and shared by its steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from buildpush.credentials.docker import Credential
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.secrets import Secret
from buildpush.foundation.state import State
from buildpush.pipeline.context import RunContext


@pytest.fixture
def context(tmp_path):
    made = RunContext.default(env={}, cwd=tmp_path, secrets=tmp_path / "secrets")
    return replace(made, state=State(tmp_path / "state", tmp_path))


def login(password="a-planted-password"):
    return {"acme.io": Credential("robot", Secret(password, "test"), "test")}


def test_steps_with_the_same_logins_share_what_speaks_to_hosts(context):
    with context:
        hosts = context.hosts(login())
        assert context.hosts(login()) is hosts
        assert context.http() is hosts.http


def test_another_password_is_never_sent_with_the_login_of_an_earlier_step(context):
    with context:
        first, second = context.hosts(login()), context.hosts(login("another-planted-password"))
        assert first.registry is not second.registry
        assert second.keychain.find("acme.io").password.reveal() == "another-planted-password"


@pytest.mark.parametrize("trust", [{"schemes": {"acme.io": "http"}}, {"insecure": frozenset({"acme.io"})}])
def test_a_host_that_one_step_trusts_is_not_trusted_by_the_next(context, trust):
    with context:
        trusting = context.hosts({}, **trust)
        other = context.hosts({})
    assert trusting.http.is_insecure("acme.io")
    assert not other.http.is_insecure("acme.io")


def test_a_host_that_an_engine_has_asked_was_not_declared_insecure_in_vain(context):
    events = []
    with context:
        hosts = context.hosts({}, insecure=frozenset({"asked.test", "elsewhere.test"}))
        hosts.note_never_trusted(events.append, ["asked.test:5000"])
    assert [event.text for event in events] == ["insecure has no effect on elsewhere.test: no request went there"]


def test_a_step_after_an_interrupted_one_may_speak_again(context):
    with context:
        context.hosts({}).http.cancel()
        context.hosts({}).http.stop_if_cancelled()


def test_a_dry_run_leaves_nothing_behind(context, tmp_path):
    with replace(context, dry=True) as dry:
        assert dry.hosts({}).registry.memory is None
    assert not (tmp_path / "state").exists()


def test_what_was_closed_is_opened_anew(context):
    with context:
        first = context.hosts({})
    with context:
        assert context.hosts({}) is not first


def test_a_directory_of_secrets_that_does_not_exist_is_an_error(context):
    with pytest.raises(SettingsError, match="does not exist"):
        context.vault.remember()


def test_files_of_connectors_and_secrets_are_looked_for_where_all_paths_start(tmp_path):
    made = RunContext.default(env={}, cwd=tmp_path, connectors="c.yml", secrets="secrets")
    assert (made.connectors_file, made.secrets_directory) == (tmp_path / "c.yml", tmp_path / "secrets")
    made = RunContext.default(env={}, connectors="c.yml", secrets="secrets")
    assert (str(made.connectors_file), str(made.secrets_directory)) == ("c.yml", "secrets")
