"""Whoever is declared to honour a setting does: another value makes another order, build-info record or time limit."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from buildpush.credentials.connectors_file import read_connectors
from buildpush.credentials.vault import Vault
from buildpush.expressions.ci import ci
from buildpush.expressions.facts import Counter, Facts, Git
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.events import ignore
from buildpush.pipeline.publication import build_record
from buildpush.places import CommandResult, Recorded
from buildpush.settings.declare import settings_of
from buildpush.settings.evaluate import evaluate
from buildpush.settings.resolve import resolve
from buildpush.settings.resolved import ResolvedStep
from buildpush.settings.stepkinds import STEP_KINDS
from buildpush.settings.tree import Step
from buildpush.settings.written import Origin, WrittenValue
from tests.connectors import connector, connectors

USUAL = {
    "build": {
        "repo": "127.0.0.1:1/docker-local/a",
        "publish_build_info": "yes",
        "artifactory_url": "http://127.0.0.1:1/artifactory/",
    },
    "publish": {
        "docker_image": "127.0.0.1:1/docker-local/a:1",
        "url": "http://127.0.0.1:1/artifactory/",
        "build_name": "a",
        "build_number": "1",
    },
}
# What must stand beside a setting for it to mean anything.
BESIDE = {
    "username": {"username": "usual", "password": "env:TOKEN"},
    "password": {"username": "usual", "password": "env:TOKEN"},
    "api_key": {"username": "usual", "api_key": "env:TOKEN"},
    **{
        f"base_image_{name}": {"base_image_username": "usual", "base_image_password": "env:TOKEN"}
        for name in ("registry", "username", "password")
    },
    "issues_tracker": {"issues_tracker": "usual", "issues_regexp": "(a)(b)"},
    "issues_regexp": {"issues_tracker": "JIRA", "issues_regexp": "(a)(b)"},
    "issues_url": {"issues_tracker": "JIRA", "issues_regexp": "(a)(b)"},
    "push": {"publish_build_info": "auto", "artifactory_url": None},
    "source_image": {"push_only": "true"},
    "context_sub_path": {"dockerfile": "Dockerfile"},
    "expand_repo": {"repo": "docker-local/a", "registry": "127.0.0.1:1", "username": "usual", "password": "env:TOKEN"},
    "path_style": {"cache_to": "type=s3,bucket=layers,region=here"},
    **{
        name: {"remote_cache_repo": "127.0.0.1:1/docker-local/cache"}
        for name in ("cache_copy_layers", "cache_run_layers", "skip_push_permission_check")
    },
    "auto_tag_suffix": {"auto_tag": "true"},
    "expand_tag": {"tags": ["1.4.2"]},
    "label_schema": {"auto_label": "true"},
    "repo_link": {"auto_label": "true"},
    "insecure_registry": {"insecure": "false"},
    "tar_format": {"tar_path": "image.tar"},
    "source_tar_path": {"push_only": "true"},
    **{name: {"provenance": "true"} for name in ("builder_id", "sign_key")},
    "cosign_tag": {"provenance": "true", "sign_key": "file:sign.pem"},
    "sign_key_alias": {"provenance": "true", "sign_key": "file:sign.pem"},
    "evidence": {
        "provenance": "true",
        "sign_key": "file:sign.pem",
        "artifactory_url": "https://acme.jfrog.io/artifactory",
    },
}
# Other values than the examples, where a value must lead somewhere or differ from the usual one.
VALUES = {
    "connector_ref": "jfrog",
    "password": "env:OTHER",
    "base_image_password": "env:OTHER",
    "artifactory_token": "env:OTHER",
    "access_token": "env:OTHER",
    "api_key": "env:OTHER",
    "env_include": ["STAGE"],
    "publish_build_info": "no",
    "docker_config": "env:CONFIG",
    "pem_file_contents": "file:ca.pem",
    "pem_file_path": "ca.pem",
    "registry_certificate": {"127.0.0.1:1": "ca.pem"},
    "ca_path": "ca.pem",
    "sign_key": "file:sign.pem",
    "source_tar_path": "image.tar",
    "tar_path": "image.tar",
    "oci_layout_path": "layout",
}
# They are for people, for choosing the step, for saying other settings as files are read, or have a single value; or
# the walk over the steps acts on them (tests/test_control.py), or what is printed (tests/test_runlog.py), and what is
# done for the step is the same.
NO_DIFFERENCE = {"identifier", "name", "description", "env_variables", "env_file", "place"} | {
    *("when", "strategy", "failure_strategies", "quiet"),
    "sign_password",  # it opens a key, or none; tests/provenance/test_run.py
}
HONOURED = [
    pytest.param(kind, setting, id=f"{kind}-{setting.name}")
    for kind in USUAL
    for setting in settings_of(STEP_KINDS[kind].model)
    if setting.honoured_by in {"push", "publish", "run"} and setting.name not in NO_DIFFERENCE
]


# Of no use to anyone; a signer is equal to itself alone.
SIGN_KEY = """\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
-----END PRIVATE KEY-----
"""


def git(call):
    """Answer as a repository whose revision is named by its directory would."""
    return (
        CommandResult(0, call.cwd.name.encode().hex()[:40].ljust(40, "0"))
        if "--verify" in call.argv
        else CommandResult(128)
    )


def effects(directory, kind, values):
    """Return everything that a run would do, record and wait for."""
    env = {"TOKEN": "t0ken-value", "OTHER": "0ther-value", "STAGE": "test", "PYTHON_VERSION": "3.12"}
    env |= {"CONFIG": '{"auths": {"h.test": {"username": "a", "password": "w0rd"}}}'}
    env |= {"DRONE": "true", "DRONE_COMMIT_REF": "refs/tags/v1.4.2"}
    connectors = read_connectors(directory / "connectors.yml")
    vault = Vault(env, directory, None, connectors.references)
    facts = Facts(env, Git(Recorded(git), directory), Counter(directory / "state", dry=True), 0.0, vault.secret)
    written = {
        name: WrittenValue(value, Origin("keyword", "a test", ""))
        for name, value in values.items()
        if value is not None
    }
    step = Step("", "", "", written, "a test", STEP_KINDS[kind])
    order = resolve(evaluate(step, facts), cwd=directory, facts=facts, vault=vault, connectors=connectors, step=step)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    context = SimpleNamespace(env=env, facts=facts, ci=ci(env), log=ignore)
    # The wishes themselves, and who said them, differ of course.
    names = {field.name for field in fields(ResolvedStep)} - {"settings", "set_names", "sources"}
    done = {name: getattr(order, name) for name in names}
    return done, order.settings.timeout, build_record(order, context, now) if order.build.publish else None


@pytest.fixture
def directory(tmp_path, certificates):
    (tmp_path / "ca.pem").write_bytes((certificates / "ca.pem").read_bytes())
    (tmp_path / "sign.pem").write_text(SIGN_KEY)
    for name in (".", "service"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "connectors.yml").write_text(connectors(connector("http://127.0.0.1:1")))
    (tmp_path / "image.tar").write_text("what is in it does not matter here")
    return tmp_path


@pytest.mark.parametrize(("kind", "setting"), HONOURED)
def test_another_value_makes_a_difference(directory, kind, setting):
    usual = USUAL[kind] | BESIDE.get(setting.name, {})
    value = VALUES.get(setting.name, setting.example)
    if not isinstance(value, dict) or setting.kind == "structure":
        value = [str(entry) for entry in value] if isinstance(value, tuple | list) else str(value)
    assert effects(directory, kind, usual) != effects(directory, kind, usual | {setting.name: value})


def test_a_git_path_that_is_no_directory_is_an_error_of_that_setting(directory):
    with pytest.raises(SettingsError, match="'nowhere'") as caught:
        effects(directory, "publish", USUAL["publish"] | {"git_path": "nowhere"})
    assert caught.value.setting == "git_path"
