"""Settings that stand for others become them, the same in a file, in the environment and by a plugin's settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildpush.credentials.vault import Vault
from buildpush.expressions.facts import Counter, Facts, Git
from buildpush.foundation.errors import SettingsError
from buildpush.places import Ran, Recorded
from buildpush.settings.evaluate import evaluate
from buildpush.settings.resolve import resolve
from buildpush.settings.sources import read

REPO = {"PLUGIN_REPO": "h.test/a/b"}
S3 = "type=s3,bucket=b,region=r"


def in_environment(variables, directory):
    return variables, read(None, env=variables, flags={}, keywords={}, cwd=directory, step=None)


def in_file(variables, directory):
    spec = {"repo": variables["PLUGIN_REPO"], "tags": ["latest"], "envVariables": variables}
    return {}, of_step({"type": "BuildAndPushDockerRegistry", "spec": spec}, directory)


def in_settings(variables, directory):
    settings = {name.removeprefix("PLUGIN_").lower(): text for name, text in variables.items()}
    return {}, of_step({"type": "Plugin", "spec": {"image": "plugins/kaniko", "settings": settings}}, directory)


def of_step(step, directory):
    (directory / "step.yml").write_text(json.dumps({"step": step}))
    return read(Path("step.yml"), env={}, flags={}, keywords={}, cwd=directory, step=None)


PLACES = pytest.mark.parametrize(
    "place", [in_environment, in_file, in_settings], ids=["environment", "file", "settings"]
)


@pytest.fixture
def directory(tmp_path):
    for name in (".", "service"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "Dockerfile").write_text("FROM scratch\n")
    return tmp_path


def order_of(place, variables, directory, more=None):
    """Resolve what *variables* say in one of the places, with *more* in the environment."""
    env, loaded = place(variables, directory)
    env, step = {**env, **(more or {})}, loaded.steps[0]
    vault = Vault(env, directory, None, {})
    git = Git(Recorded(lambda _: Ran(128)), directory)
    facts = Facts(env, git, Counter(directory / "state", dry=True), 0.0, vault.secret)
    return resolve(evaluate(step, facts), cwd=directory, facts=facts, vault=vault, step=step)


def caches(request):
    return [str(spec) for spec in (*request.cache_from, *request.cache_to)]


BECOMES = {
    "EXPAND_REPO": (
        {"PLUGIN_REPO": "a/b", "PLUGIN_REGISTRY": "h.test", "PLUGIN_EXPAND_REPO": "true"},
        lambda order: str(order.references[0]) == "h.test/a/b:latest",
    ),
    "CONTEXT_SUB_PATH": (
        {"PLUGIN_CONTEXT_SUB_PATH": "service", "PLUGIN_DOCKERFILE": "service/Dockerfile"},
        lambda order: order.request.context.name == "service",
    ),
    "REPRODUCIBLE": ({"PLUGIN_REPRODUCIBLE": "true"}, lambda order: order.request.created == 0),
    "SQUASH": ({"PLUGIN_SQUASH": "true"}, lambda order: order.request.squash and "squash" in order.for_engines),
    "SINGLE_SNAPSHOT": ({"PLUGIN_SINGLE_SNAPSHOT": "true"}, lambda order: order.request.squash),
    "SNAPSHOT_MODE redo": ({"PLUGIN_SNAPSHOT_MODE": "redo"}, lambda order: order.request.optimize),
    "SNAPSHOT_MODE full": (
        {"PLUGIN_SNAPSHOT_MODE": "full", "PLUGIN_OPTIMIZE": "true"},
        lambda order: not order.request.optimize,
    ),
    "ENABLE_CACHE": (
        {"PLUGIN_ENABLE_CACHE": "true"},
        lambda order: str(order.request.cache_repository) == "h.test/a/b/cache",
    ),
    "ENABLE_CACHE and CACHE_REPO": (
        {"PLUGIN_ENABLE_CACHE": "true", "PLUGIN_CACHE_REPO": "h.test/c"},
        lambda order: str(order.request.cache_repository) == "h.test/c",
    ),
    "ENABLE_CACHE off": (
        {"PLUGIN_ENABLE_CACHE": "false", "PLUGIN_CACHE_REPO": "h.test/c"},
        lambda order: order.request.cache_repository is None and "remote_cache_repo" not in order.for_engines,
    ),
    "PATH_STYLE": (
        {"PLUGIN_PATH_STYLE": "true", "PLUGIN_CACHE_FROM": f"{S3};h.test/c", "PLUGIN_CACHE_TO": S3},
        lambda order: (
            [f"{S3},use_path_style=true", f"{S3},use_path_style=true"]
            == [text for text in caches(order.request) if "s3" in text]
        ),
    ),
    "PATH_STYLE of a cache that says it": (
        {"PLUGIN_PATH_STYLE": "true", "PLUGIN_CACHE_TO": f"{S3},use_path_style=false"},
        lambda order: caches(order.request) == [f"{S3},use_path_style=false"],
    ),
    "VERBOSITY": ({"PLUGIN_VERBOSITY": "debug"}, lambda order: order.own_settings["verbosity"] == "debug"),
}


@PLACES
@pytest.mark.parametrize("name", BECOMES)
def test_a_variable_becomes_what_it_stands_for(directory, place, name):
    variables, is_so = BECOMES[name]
    assert is_so(order_of(place, {**REPO, **variables}, directory))


def test_another_mirror_of_docker_is_the_mirror(directory):
    variables = {**REPO, "DOCKER_PLUGIN_MIRROR": "m.test/hub"}
    for place in (in_environment, in_file):
        assert order_of(place, variables, directory).request.mirror == "m.test/hub"


def test_the_time_of_the_environment_comes_before_the_beginning_of_1970(directory):
    variables = {**REPO, "PLUGIN_REPRODUCIBLE": "true"}
    order = order_of(in_file, variables, directory, {"SOURCE_DATE_EPOCH": "7"})
    assert order.request.created == 7
    assert any("reproducible has no effect: SOURCE_DATE_EPOCH" in note for note in order.notes)


@pytest.mark.parametrize(
    ("variables", "note"),
    [
        ({"PLUGIN_EXPAND_REPO": "true"}, "expand_repo has no effect: no registry is given"),
        ({"PLUGIN_EXPAND_REPO": "true", "PLUGIN_REGISTRY": "h.test"}, "expand_repo has no effect: repo names its host"),
        ({"PLUGIN_PATH_STYLE": "true"}, "path_style has no effect: neither cache_from nor cache_to"),
        ({"PLUGIN_SNAPSHOT_MODE": "full", "PLUGIN_OPTIMIZE": "true"}, "optimize has no effect: snapshot_mode"),
        ({"PLUGIN_ENABLE_CACHE": "no", "PLUGIN_CACHE_REPO": "h.test/c"}, "remote_cache_repo has no effect: enable_cac"),
    ],
)
def test_what_becomes_nothing_is_noted(directory, variables, note):
    assert any(note in one for one in order_of(in_file, {**REPO, **variables}, directory).notes)


@pytest.mark.parametrize("path", ["../other", "/etc", "a/../../b"])
def test_a_directory_in_the_context_lies_in_it(directory, path):
    with pytest.raises(SettingsError, match="leads out of the context"):
        order_of(in_file, {**REPO, "PLUGIN_CONTEXT_SUB_PATH": path}, directory)


def test_a_way_to_look_for_files_that_overlooks_some_is_refused(directory):
    with pytest.raises(SettingsError, match="'time' is not one of full, redo"):
        order_of(in_file, {**REPO, "PLUGIN_SNAPSHOT_MODE": "time"}, directory)
