"""What each setting of a step becomes for each engine, as words of its command; and what is said where it cannot.

Harness maps the settings onto its plugins, and these onto flags of docker, buildx, kaniko and buildah; many are dropped
there without a word. Here one that would make another image is refused, and one that would not gets a note.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildpush.credentials.connectors_file import read_connectors
from buildpush.credentials.vault import Vault
from buildpush.engines import Tools
from buildpush.engines.bases import base_credentials
from buildpush.engines.buildah import Buildah
from buildpush.engines.choice import refuse_unsupported_settings
from buildpush.engines.docker.buildx import Buildx
from buildpush.engines.docker.classic import Docker
from buildpush.engines.docker.cli import BuildxProgram
from buildpush.engines.kaniko.kaniko import Kaniko
from buildpush.engines.native import Native
from buildpush.expressions.facts import Counter, Facts, Git
from buildpush.foundation.errors import UnsupportedError
from buildpush.places import FILES, CommandResult, Recorded
from buildpush.settings.evaluate import evaluate
from buildpush.settings.resolve import resolve
from buildpush.settings.sources import read
from tests.connectors import connector, connectors

IMAGE = "r.test/kaniko@sha256:" + 64 * "a"
CLASSES = {"docker": Docker, "buildx": Buildx, "kaniko": Kaniko, "buildah": Buildah, "native": Native}
CONNECTORS = connectors(connector("https://h.test", "pusher"), connector("https://base.test", "reader", name="base"))
DOCKERFILE = "FROM base.test/alpine AS first\nFROM first AS last\n"
BUILDER = "Name: mine\nDriver: docker-container\nNodes:\nName: mine0\nStatus: running\n"


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "service").mkdir()
    for name in ("Dockerfile", "service/Containerfile"):
        (tmp_path / name).write_text(DOCKERFILE)
    (tmp_path / "connectors.yml").write_text(CONNECTORS)
    (tmp_path / "key").write_text("s3cr3t-file")
    return tmp_path


def order_of(directory, spec, outside=None):
    """Return what is to be done for a step of that *spec*."""
    lines = {"repo": "h.test/team/app", "tags": ["1"], **spec}
    (directory / "step.yml").write_text(
        json.dumps({"step": {"type": "BuildAndPushDockerRegistry", "identifier": "push", "spec": lines}})
    )
    env = {"TOKEN": "s3cr3t-token", "NPM": "s3cr3t-npm", **(outside or {})}
    [step] = read(Path("step.yml"), env=env, flags={}, keywords={}, cwd=directory, step=None).steps
    vault = Vault(env, directory, None, {})
    git = Git(Recorded(lambda _: CommandResult(128)), directory)
    facts = Facts(env, git, Counter(directory / "state", dry=True), 0.0, vault.secret)
    connectors = read_connectors(directory / "connectors.yml")
    return resolve(evaluate(step, facts), cwd=directory, facts=facts, vault=vault, connectors=connectors, step=step)


def engine_of(name, order):
    place = Recorded(lambda call: CommandResult(0, BUILDER if "inspect" in call.argv else "buildah version 1.37.0"))
    settings = {**order.own_settings, "kaniko_image": IMAGE}
    return CLASSES[name](Tools({"HOME": "/h"}, place, order.credentials.get, settings=settings))


def commands_of(name, order):
    """Return the engine's commands; Docker's own builder is asked as buildx asks any other."""
    engine = engine_of(name, order)
    if name != "docker":
        return engine.commands(order.request)
    program = BuildxProgram(("docker", "buildx"), engine._tools)
    logins = base_credentials(order.request, order.credentials.get)
    return (program.command(order.request, logins, ("--builder", "default", "--load")),)


def words_of(name, order):
    """Return the words of the engine's commands, without quotes."""
    words = " ".join(word for command in commands_of(name, order) for word in command.argv)
    return words.replace(FILES, "private")


def verdict_of(name, order):
    """Return what is said of the settings that were set: a note, the hint of a refusal, or nothing."""
    notes = []
    try:
        refuse_unsupported_settings(engine_of(name, order), order.for_engines, notes.append)
    except UnsupportedError as error:
        return error.hint
    return "; ".join(note.text for note in notes)


# ---- 1.2: setting as it is written in a step, and the words for each engine

ALL = ("docker", "buildx", "kaniko", "buildah")
IN_BUILDKIT = ("docker", "buildx", "buildah")


def same(words, *engines):
    return dict.fromkeys(engines or ALL, words)


SECRETS = same("--secret id=npm,src=private/secrets/0", *IN_BUILDKIT)
# Each: what is written under spec, and the words that it becomes; an engine that is not named refuses it, or notes it.
MAPPINGS = {
    "dockerfile": (
        {"dockerfile": "service/Containerfile"},
        {
            **same("--file {directory}/service/Containerfile", *IN_BUILDKIT),
            "kaniko": "--dockerfile /kaniko/buildpush/context/service/Containerfile",
        },
    ),
    "context": (
        {"context": "service", "dockerfile": "service/Containerfile"},
        {
            **same(" {directory}/service", *IN_BUILDKIT),
            "kaniko": "type=bind,source={directory}/service,target=/kaniko/buildpush/context,readonly",
        },
    ),
    "labels": ({"labels": {"a": "1,2", "b": "x y"}}, same("--label a=1,2 --label b=x y")),
    "buildArgs": ({"buildArgs": {"A": "1,2", "B": "x;y"}}, same("--build-arg A=1,2 --build-arg B=x;y")),
    "target": ({"target": "first"}, same("--target first")),
    "optimize": ({"optimize": True}, {"kaniko": "--snapshot-mode=redo"}),
    "cacheFrom": (
        {"cacheFrom": ["type=registry,ref=h.test/c:a", "h.test/c:b"]},
        {"buildx": "--cache-from type=registry,ref=h.test/c:a --cache-from type=registry,ref=h.test/c:b"},
    ),
    "cacheTo": (
        {"cacheTo": "type=registry,ref=h.test/c:a,mode=max"},
        {"buildx": "--cache-to type=registry,ref=h.test/c:a,mode=max"},
    ),
    "remoteCacheRepo": (
        {"remoteCacheRepo": "h.test/team/cache"},
        {
            "buildx": "--cache-from type=registry,ref=h.test/team/cache:buildcache --cache-to "
            "type=registry,ref=h.test/team/cache:buildcache,mode=max,image-manifest=true",
            "kaniko": "--cache=true --cache-repo h.test/team/cache",
        },
    ),
    "envVariables": (
        {"envVariables": {"PLUGIN_ADD_HOST": "db:10.0.0.1", "PLUGIN_NO_CACHE": "true"}},
        same("--no-cache --add-host db:10.0.0.1", *IN_BUILDKIT),
    ),
    "envDockerSecrets": ({"envDockerSecrets": {"npm": "NPM"}}, SECRETS),
    "fileDockerSecrets": ({"fileDockerSecrets": {"npm": "key"}}, SECRETS),
    "runAsUser": ({"runAsUser": 0}, {"kaniko": "--user 0"}),
    "resources": (
        {"resources": {"limits": {"memory": "500Mi", "cpu": "400m"}}},
        {"kaniko": "--memory 524288000 --cpus 0.4"},
    ),
}
CASES = [pytest.param(setting, engine, id=f"{setting}-{engine}") for setting in MAPPINGS for engine in ALL]


@pytest.mark.parametrize(("setting", "engine"), CASES)
def test_a_setting_becomes_words_of_the_engine_or_is_answered(directory, setting, engine):
    spec, words = MAPPINGS[setting]
    order = order_of(directory, spec)
    if engine in words:
        assert words[engine].format(directory=directory) in words_of(engine, order)
        assert not verdict_of(engine, order)
    else:
        assert verdict_of(engine, order)


@pytest.mark.parametrize("setting", MAPPINGS)
def test_the_words_of_a_setting_come_from_it_alone(directory, setting):
    usual = order_of(directory, {})
    spec, words = MAPPINGS[setting]
    for engine, expected in words.items():
        assert expected.format(directory=directory) not in words_of(engine, usual).removesuffix(str(directory)), spec


# What each engine says to a setting that it has no words for.
ANSWERS = {
    ("optimize", "docker"): "the engine docker does not use 'optimize'; the image is the same",
    ("optimize", "buildx"): "the engine buildx does not use 'optimize'; the image is the same",
    ("optimize", "buildah"): "the engine buildah does not use 'optimize'; the image is the same",
    ("optimize", "native"): "the engine native does not use 'optimize'; the image is the same",
    **{
        (setting, engine): "use engine: buildx"
        for setting in ("cacheFrom", "cacheTo", "caching")
        for engine in CLASSES.keys() - {"buildx"}
    },
    **{("remoteCacheRepo", engine): "use engine: buildx or kaniko" for engine in ("docker", "buildah", "native")},
    **{("envVariables", engine): "use engine: docker or buildx or buildah" for engine in ("kaniko", "native")},
    **{
        (setting, engine): "use engine: docker or buildx or buildah"
        for setting in ("envDockerSecrets", "fileDockerSecrets")
        for engine in ("kaniko", "native")
    },
    **{
        (setting, engine): f"the engine {engine} does not use '{name}'; it does not run in a container of its own"
        for setting, name in (("runAsUser", "run_as_user"), ("resources", "resources"))
        for engine in CLASSES.keys() - {"kaniko"}
    },
}
SPECS = {**{name: spec for name, (spec, _) in MAPPINGS.items()}, "caching": {"caching": True}}


@pytest.mark.parametrize("setting", SPECS)
def test_an_engine_without_words_for_a_setting_says_so(directory, setting):
    order = order_of(directory, SPECS[setting])
    said = {(setting, name): verdict_of(name, order) for name in CLASSES}
    assert {key: words for key, words in said.items() if words} == {
        key: words for key, words in ANSWERS.items() if key[0] == setting
    }


def test_a_user_other_than_root_is_refused_by_kaniko_before_anything_starts(directory):
    with pytest.raises(UnsupportedError, match="kaniko must run as root, but runAsUser is 1000"):
        words_of("kaniko", order_of(directory, {"runAsUser": 1000}))


def test_caching_asks_buildx_for_layers_on_this_machine(directory):
    order = order_of(directory, {"caching": True})
    assert order.request.caching
    assert not verdict_of("buildx", order)


@pytest.mark.parametrize("engine", ALL)
def test_repository_and_tags_stay_with_us(directory, engine):
    order = order_of(directory, {"tags": ["1", "latest"]})
    assert [str(one) for one in order.references] == ["h.test/team/app:1", "h.test/team/app:latest"]
    assert "team/app" not in words_of(engine, order)
    assert "--push " not in words_of(engine, order)


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("docker", "DOCKER_CONFIG=private/docker "),
        ("buildx", "DOCKER_CONFIG=private/docker "),
        ("kaniko", "target=/kaniko/buildpush/private"),
        ("buildah", "--authfile private/auth.json"),
    ],
)
def test_logins_of_connectors_are_given_in_private_files_by_host(directory, engine, words):
    order = order_of(directory, {"connectorRef": "account.jfrog", "baseImageConnectorRefs": ["base"]})
    assert {host: one.user for host, one in order.credentials.items()} == {"h.test": "pusher", "base.test": "reader"}
    assert base_credentials(order.request, order.credentials.get).keys() == {"base.test"}  # we push, and no engine
    shown = " ".join(map(str, commands_of(engine, order)))
    assert words in shown
    assert "s3cr3t" not in shown
    assert words not in " ".join(map(str, commands_of(engine, order_of(directory, {}))))


def test_what_harness_sets_by_itself_is_taken_from_the_environment(directory):
    order = order_of(directory, {}, {"PLUGIN_ARTIFACT_FILE": "artifact.json", "PLUGIN_DAEMON_OFF": "true"})
    assert order.receipts["artifact_file"] == directory / "artifact.json"
    loaded = read(Path("step.yml"), env={"PLUGIN_DAEMON_OFF": "true"}, flags={}, keywords={}, cwd=directory, step=None)
    assert loaded.notes == ("PLUGIN_DAEMON_OFF has no effect: no Docker daemon is started here anyway",)


def test_native_takes_what_needs_no_daemon(directory):
    spec = {name: value for name in ("dockerfile", "labels", "buildArgs") for name, value in SPECS[name].items()}
    order = order_of(directory, {**spec, "target": "first"})
    assert not verdict_of("native", order)
    assert words_of("native", order) == ""
    assert (order.request.target, order.request.labels["b"], order.request.build_args["B"]) == ("first", "x y", "x;y")


# ---- 1.3: platforms


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("docker", "--platform linux/arm64,linux/amd64"),
        ("buildx", "--platform linux/arm64,linux/amd64"),
        ("buildah", "--platform linux/arm64"),
        ("kaniko", "--custom-platform linux/arm64 --build-arg TARGETPLATFORM=linux/arm64"),
    ],
)
def test_several_platforms_become_one_build_or_one_build_each(directory, engine, words):
    order = order_of(directory, {"envVariables": {"PLUGIN_PLATFORM": "linux/arm64,linux/amd64"}})
    found = words_of(engine, order)
    assert words in found
    assert words.replace("arm64", "amd64") in found or "," in words
    assert not verdict_of(engine, order)
    assert not verdict_of("native", order)
