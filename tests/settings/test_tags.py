"""Tags made from the branch or the tag in git, and labels and build arguments from around the step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildpush.credentials.vault import Vault
from buildpush.expressions.facts import Counter, Facts, Git
from buildpush.foundation.errors import SecretError, SettingsError
from buildpush.places import CommandResult, Recorded
from buildpush.settings.evaluate import evaluate
from buildpush.settings.resolve import resolve
from buildpush.settings.sources import read

TAG = {"DRONE_COMMIT_REF": "refs/tags/v1.4.2", "DRONE": "true"}


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    return tmp_path


def order(directory, env, notes=None, answers=None, **keywords):
    """Resolve a step that is given by keywords and variables; *answers* are those of git, by its words."""

    def git(call):
        found = (answers or {}).get(call.argv[-1])
        return CommandResult(0, found) if found else CommandResult(128)

    loaded = read(None, env=env, flags={}, keywords={"repo": "h.test/a/b", **keywords}, cwd=directory, step=None)
    vault = Vault(env, directory, None, {})
    facts = Facts(env, Git(Recorded(git), directory), Counter(directory / "state", dry=True), 0.0, vault.secret)
    settings = evaluate(
        loaded.steps[0], facts, sink=lambda event: (notes if notes is not None else []).append(str(event))
    )
    return resolve(settings, cwd=directory, facts=facts, vault=vault, step=loaded.steps[0])


def tags(directory, env, **more):
    return [str(reference).rpartition(":")[2] for reference in order(directory, env, **more).references]


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("refs/tags/v1.4.2", ["1", "1.4", "1.4.2"]),
        ("refs/tags/1.4.2", ["1", "1.4", "1.4.2"]),
        ("refs/tags/18.06.0", ["18", "18.06", "18.06.0"]),
        ("refs/tags/v0.4.2", ["0.4", "0.4.2"]),
        ("refs/tags/v1.4.2-rc.1", ["1.4.2-rc.1"]),
        ("refs/heads/main", ["latest"]),
    ],
)
@pytest.mark.parametrize("variable", ["PLUGIN_AUTO_TAG", "PLUGIN_DEFAULT_TAGS"])
def test_tags_are_made_of_a_version_or_of_the_default_branch(directory, variable, reference, found):
    env = {"DRONE": "true", "DRONE_COMMIT_REF": reference, "DRONE_REPO_BRANCH": "main", variable: "true"}
    assert tags(directory, env) == found


@pytest.mark.parametrize(
    ("reference", "found"),
    [("refs/tags/v1.4.2", ["1-arm", "1.4-arm", "1.4.2-arm"]), ("refs/heads/main", ["arm"])],
)
def test_a_suffix_stands_behind_each_tag_and_in_place_of_latest(directory, reference, found):
    env = {"DRONE": "true", "DRONE_COMMIT_REF": reference, "DRONE_REPO_BRANCH": "main"}
    assert tags(directory, env, auto_tag=True, auto_tag_suffix="arm") == found


def test_git_alone_says_which_branch_this_is_and_which_is_the_default_one(directory):
    answers = {"HEAD": "trunk", "refs/remotes/origin/HEAD": "origin/trunk"}
    assert tags(directory, {}, answers=answers, auto_tag=True) == ["latest"]


@pytest.mark.parametrize(
    ("env", "more", "words"),
    [
        (TAG | {"DRONE_COMMIT_REF": "refs/tags/nightly"}, {}, "the Git tag 'nightly' is not a version"),
        (TAG | {"DRONE_COMMIT_REF": "refs/heads/x", "DRONE_REPO_BRANCH": "main"}, {}, "this is refs/heads/x"),
        (TAG | {"DRONE_COMMIT_REF": "refs/heads/x"}, {}, "the default branch, which is not known"),
        ({}, {}, "neither git nor a CI variable gives the branch or tag"),
        (TAG, {"tags": "mine"}, "tags names others: mine"),
        (TAG, {"expand_tag": True}, "both make tags"),
        (TAG, {"auto_tag_suffix": "a/b"}, "is not a tag"),
    ],
)
def test_what_makes_no_tags_is_refused(directory, env, more, words):
    with pytest.raises(SettingsError, match=words):
        tags(directory, env, auto_tag=True, **more)


def test_a_suffix_alone_is_named(directory):
    assert any("auto_tag_suffix has no effect" in note for note in order(directory, {}, auto_tag_suffix="arm").notes)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("v1.4.2", ["1", "1.4", "1.4.2"]),
        ("1.4", ["1", "1.4", "1.4.0"]),
        ("0.4.2", ["0", "0.4", "0.4.2"]),
        ("1.4.2_rc1", ["1.4.2-rc1"]),
        ("nightly", ["nightly"]),
        ("1.4.2,latest", ["1", "1.4", "1.4.2", "latest"]),
    ],
)
def test_each_tag_that_is_a_version_is_expanded(directory, given, found):
    assert tags(directory, {"PLUGIN_TAGS": given, "PLUGIN_EXPAND_TAG": "true"}) == found


def test_a_plugin_without_tags_reads_them_from_their_file(directory):
    (directory / ".tags").write_text("1.4, latest\n")
    step = {"type": "Plugin", "spec": {"image": "plugins/docker", "settings": {"repo": "h.test/a/b"}}}
    (directory / "step.yml").write_text(json.dumps(step))
    loaded = read(Path("step.yml"), env={}, flags={}, keywords={}, cwd=directory, step=None)
    assert loaded.steps[0].settings["tags"].value == "1.4, latest"
    loaded = read(Path("step.yml"), env={"PLUGIN_TAG": "x"}, flags={}, keywords={}, cwd=directory, step=None)
    assert loaded.steps[0].settings["tags"].value == "x"


# ---- labels


def test_labels_say_when_and_from_what_an_image_was_made(directory):
    env = {
        "DRONE": "true",
        "DRONE_COMMIT_SHA": "a" * 40,
        "DRONE_REPO_LINK": "https://git.test/a",
        "DRONE_REMOTE_URL": "https://me:secret@git.test/a.git",
        "PLUGIN_AUTO_LABEL": "true",
        "PLUGIN_LABEL_SCHEMA": "vendor=Acme,url=https://other.test",
        "PLUGIN_CUSTOM_LABELS": "org.opencontainers.image.vendor=Mine",
        "SOURCE_DATE_EPOCH": "86400",
    }
    assert order(directory, env).request.labels == {
        "org.opencontainers.image.created": "1970-01-02T00:00:00Z",
        "org.opencontainers.image.revision": "a" * 40,
        "org.opencontainers.image.source": "https://git.test/a.git",
        "org.opencontainers.image.url": "https://other.test",
        "org.opencontainers.image.vendor": "Mine",
    }


def test_no_label_is_made_that_nobody_asks_for(directory):
    found = order(directory, {"PLUGIN_REPO_LINK": "https://a.test", "PLUGIN_LABEL_SCHEMA": "a=b"})
    assert found.request.labels == {}
    assert [note.partition(": ")[2] for note in found.notes] == [
        "label_schema has no effect without auto_label",
        "repo_link has no effect without auto_label",
    ]


# ---- build arguments


def test_variables_become_build_arguments_in_both_spellings(directory):
    notes = []
    env = {"PLUGIN_BUILD_ARGS_FROM_ENV": "Version, EMPTY, GONE", "Version": "1,2", "EMPTY": ""}
    found = order(directory, env, notes, build_args={"VERSION": "3"})
    assert found.request.build_args == {"Version": "1,2", "VERSION": "3"}
    assert [name for name in ("EMPTY", "GONE") if any(f"{name} has no value" in note for note in notes)] == [
        "EMPTY",
        "GONE",
    ]


def of_file(directory, variables):
    step = {"type": "BuildAndPushDockerRegistry", "spec": {"repo": "h.test/a/b", "envVariables": variables}}
    (directory / "step.yml").write_text(json.dumps(step))
    loaded = read(Path("step.yml"), env={}, flags={}, keywords={}, cwd=directory, step=None)
    vault = Vault({"BUILDPUSH_SECRET_TOKEN": "hidden-value"}, directory, None, {})
    facts = Facts(
        {"A": "outside"},
        Git(Recorded(lambda _: CommandResult(1)), directory),
        Counter(directory, dry=True),
        0.0,
        vault.secret,
    )
    return evaluate(loaded.steps[0], facts)


def test_a_variable_of_the_file_comes_before_that_of_the_environment(directory):
    found = of_file(directory, {"PLUGIN_BUILD_ARGS_FROM_ENV": "A", "A": "inside"})
    assert found.build_args == {"A": "inside"}


def test_a_secret_never_becomes_a_build_argument(directory):
    with pytest.raises(SecretError, match="the secret in A would be readable here"):
        of_file(directory, {"PLUGIN_BUILD_ARGS_FROM_ENV": "A", "A": '<+secrets.getValue("token")>'})
