"""Settings that stand for others become them, the same in a file, in the environment and by a plugin's settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildpush.credentials.vault import Vault
from buildpush.expressions.facts import Counter, Facts, Git
from buildpush.foundation.errors import SecretError, SettingsError, UnsupportedError
from buildpush.places import CommandResult, Recorded
from buildpush.settings.evaluate import evaluate
from buildpush.settings.resolve import resolve
from buildpush.settings.sources import read
from buildpush.settings.stepkinds import STEP_KINDS

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


def in_stage(variables, directory):
    """Return a stage whose variables they are."""
    more = [
        {"name": name, "type": "String", "value": text} for name, text in variables.items() if name != "PLUGIN_REPO"
    ]
    spec = {"repo": variables["PLUGIN_REPO"], "tags": ["latest"]}
    steps = [{"step": {"type": "BuildAndPushDockerRegistry", "identifier": "one", "spec": spec}}]
    stage = {"identifier": "s", "type": "CI", "variables": more, "spec": {"execution": {"steps": steps}}}
    (directory / "step.yml").write_text(json.dumps({"stage": stage}))
    return {}, read(Path("step.yml"), env={}, flags={}, keywords={}, cwd=directory, step=None)


def in_env_file(variables, directory):
    (directory / "build.env").write_text("".join(f"{name}={text}\n" for name, text in variables.items()))
    return in_file({"PLUGIN_REPO": variables["PLUGIN_REPO"], "PLUGIN_ENV_FILE": "build.env"}, directory)


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
    git = Git(Recorded(lambda _: CommandResult(128)), directory)
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
    **{
        f"SNAPSHOT_MODE {mode}": (
            {"PLUGIN_SNAPSHOT_MODE": mode},
            lambda order, mode=mode: order.own_settings["snapshot_mode"] == mode,
        )
        for mode in ("redo", "time")
    },
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
    "CACHE_FROM with images": (
        {"PLUGIN_CACHE_FROM": "h.test/a:1, h.test/b:2"},
        lambda order: caches(order.request) == ["type=registry,ref=h.test/a:1", "type=registry,ref=h.test/b:2"],
    ),
    "CACHE_FROM with both": (
        {"PLUGIN_CACHE_FROM": "type=gha,scope=a;h.test/a:1,h.test/b:2"},
        lambda order: [spec.kind for spec in order.request.cache_from] == ["gha", "registry", "registry"],
    ),
    "CACHE_TO with several": (
        {"PLUGIN_CACHE_TO": "type=inline;type=registry,ref=h.test/c:1,mode=max"},
        lambda order: caches(order.request) == ["type=inline", "type=registry,ref=h.test/c:1,mode=max"],
    ),
    "several --cache-to": (
        {"PLUGIN_BUILDX_OPTIONS": "--cache-to=type=inline,--cache-to=type=gha", "PLUGIN_CACHE_TO": "h.test/c"},
        lambda order: [spec.kind for spec in order.request.cache_to] == ["registry", "inline", "gha"],
    ),
    "BUILDX_LOAD": ({"PLUGIN_BUILDX_LOAD": "true", "PLUGIN_NO_PUSH": "true"}, lambda order: order.load),
    "BUILDX_OPTIONS": (
        {"PLUGIN_BUILDX_OPTIONS": "--no-cache,--target=runtime"},
        lambda order: (order.request.no_cache, order.request.target) == (True, "runtime"),
    ),
    "BUILDX_OPTIONS_SEMICOLON": (
        {"PLUGIN_BUILDX_OPTIONS_SEMICOLON": "--platform=linux/amd64,linux/arm64;--pull"},
        lambda order: (len(order.request.platforms), order.request.pull_image) == (2, True),
    ),
    "both BUILDX_OPTIONS": (
        {"PLUGIN_BUILDX_OPTIONS": "--no-cache", "PLUGIN_BUILDX_OPTIONS_SEMICOLON": "--build-arg=A=1,2;--label=a=b"},
        lambda order: (
            (order.request.no_cache, order.request.build_args, order.request.labels) == (True, {"A": "1,2"}, {"a": "b"})
        ),
    ),
    "SECRET": (
        {"PLUGIN_SECRET": "id=npmrc,src=Dockerfile"},
        lambda order: list(order.request.build_secrets) == ["npmrc"],
    ),
    "SECRET and BUILDX_OPTIONS": (
        {"PLUGIN_SECRET": "id=npmrc,src=Dockerfile", "PLUGIN_BUILDX_OPTIONS": "--no-cache"},
        lambda order: order.request.no_cache and list(order.request.build_secrets) == ["npmrc"],
    ),
    "SSH_AGENT_KEY": (
        {"PLUGIN_SSH_AGENT_KEY": "file:Dockerfile"},
        lambda order: order.request.ssh_key.reveal() == "FROM scratch\n" and "ssh_agent_key" in order.for_engines,
    ),
    "CACHE_TTL": (
        {"PLUGIN_CACHE_TTL": "6", "PLUGIN_ENABLE_CACHE": "true"},
        lambda order: order.request.cache_hours == 6 and "cache_ttl" in order.for_engines,
    ),
    "CACHE_TTL without a cache": ({"PLUGIN_CACHE_TTL": "6"}, lambda order: "cache_ttl" not in order.for_engines),
    "IGNORE_PATH and IGNORE_PATHS": (
        {"PLUGIN_IGNORE_PATH": "/a", "PLUGIN_IGNORE_PATHS": "/b,/c"},
        lambda order: sorted(order.request.ignore_paths) == ["/a", "/b", "/c"],
    ),
    **{
        f"{name}={text}": (
            {f"PLUGIN_{name}": text, "PLUGIN_ENABLE_CACHE": "true"},
            lambda order, name=name, value=value: order.own_settings[name.lower()] == value,
        )
        for name, text, value in (
            ("CACHE_COPY_LAYERS", "true", True),
            ("CACHE_RUN_LAYERS", "false", False),
            ("COMPRESSED_CACHING", "false", False),
            ("IGNORE_VAR_RUN", "false", False),
            ("IMAGE_DOWNLOAD_RETRY", "3", 3),
            ("IMAGE_FS_EXTRACT_RETRY", "2", 2),
            ("SKIP_PUSH_PERMISSION_CHECK", "true", True),
            ("SKIP_UNUSED_STAGES", "true", True),
            ("USE_NEW_RUN", "true", True),
        )
    },
    "VERBOSITY": ({"PLUGIN_VERBOSITY": "debug"}, lambda order: order.own_settings["verbosity"] == "debug"),
}


@PLACES
@pytest.mark.parametrize("name", BECOMES)
def test_a_variable_becomes_what_it_stands_for(directory, place, name):
    variables, is_so = BECOMES[name]
    assert is_so(order_of(place, {**REPO, **variables}, directory))


@pytest.mark.parametrize(
    ("variables", "mirrors"),
    [
        ({}, ("m.test", "n.test/hub")),
        ({"PLUGIN_SKIP_DEFAULT_REGISTRY_FALLBACK": "true"}, ("m.test", "n.test/hub")),
        ({"PLUGIN_SKIP_DEFAULT_REGISTRY_FALLBACK": "false"}, ("m.test", "n.test/hub", "docker.io")),
    ],
)
@PLACES
def test_several_mirrors_are_asked_in_their_order(directory, place, variables, mirrors):
    order = order_of(place, {**REPO, "PLUGIN_REGISTRY_MIRRORS": "m.test, n.test/hub", **variables}, directory)
    assert order.request.mirrors == mirrors


def test_docker_hub_is_the_last_mirror(directory):
    with pytest.raises(SettingsError, match=r"docker\.io is not the last of the mirrors"):
        order_of(in_environment, {**REPO, "PLUGIN_REGISTRY_MIRRORS": "docker.io,m.test"}, directory)


OWN = {"KANIKO_NO_PUSH": "true", "KANIKO_REGISTRY_MIRROR": "m.test,n.test"}


def is_heeded(order):
    return (order.push, order.request.mirrors) == (False, ("m.test", "n.test"))


def test_variables_of_kaniko_itself_count_in_a_file(directory):
    assert is_heeded(order_of(in_file, {**REPO, **OWN}, directory))


def test_variables_of_kaniko_itself_count_in_the_environment_where_it_may_build(directory):
    assert is_heeded(order_of(in_environment, {**REPO, **OWN, "PLUGIN_ENGINE": "kaniko"}, directory))
    image = {"PLUGIN_KANIKO_IMAGE": f"h.test/kaniko@sha256:{64 * 'a'}"}
    assert is_heeded(order_of(in_environment, {**REPO, **OWN, **image}, directory))
    assert not is_heeded(order_of(in_environment, {**REPO, **OWN, **image, "PLUGIN_ENGINE": "native"}, directory))
    plugin = read(None, env={**REPO, **OWN}, flags={}, keywords={}, cwd=directory, step=None, kind=STEP_KINDS["kaniko"])
    assert not plugin.notes
    assert is_heeded(order_of(lambda *_: ({**REPO, **OWN}, plugin), {}, directory))


def test_what_is_set_for_the_step_comes_before_what_kaniko_itself_reads(directory):
    stronger = {"PLUGIN_ENGINE": "kaniko", "PLUGIN_NO_PUSH": "false", "PLUGIN_MIRROR": "s.test"}
    order = order_of(in_environment, {**REPO, **OWN, **stronger}, directory)
    assert (order.push, order.request.mirrors) == (True, ("s.test",))


def test_variables_of_kaniko_itself_are_noted_with_any_other_engine(directory):
    env, loaded = in_environment({**REPO, **OWN, "PLUGIN_ENGINE": "native"}, directory)
    order = order_of(lambda *_: (env, loaded), {}, directory)
    assert (order.push, order.request.mirrors) == (True, ())
    assert [note.partition(" has no effect")[0] for note in loaded.notes] == list(OWN)
    assert [note.rpartition("set ")[2] for note in loaded.notes] == ["PLUGIN_NO_PUSH", "PLUGIN_REGISTRY_MIRRORS"]


def test_another_mirror_of_docker_is_the_mirror(directory):
    variables = {**REPO, "DOCKER_PLUGIN_MIRROR": "m.test/hub"}
    for place in (in_environment, in_file):
        assert order_of(place, variables, directory).request.mirrors == ("m.test/hub",)


def test_the_time_of_the_environment_comes_before_the_beginning_of_1970(directory):
    variables = {**REPO, "PLUGIN_REPRODUCIBLE": "true"}
    order = order_of(in_file, variables, directory, {"SOURCE_DATE_EPOCH": "7"})
    assert order.request.created == 7
    assert any("reproducible has no effect: SOURCE_DATE_EPOCH" in note for note in order.notes)


@pytest.mark.parametrize(
    ("variables", "note"),
    [
        ({"PLUGIN_EXPAND_REPO": "true"}, "expand_repo has no effect: registry is not set"),
        ({"PLUGIN_EXPAND_REPO": "true", "PLUGIN_REGISTRY": "h.test"}, "expand_repo has no effect: repo names its host"),
        ({"PLUGIN_PATH_STYLE": "true"}, "path_style has no effect: neither cache_from nor cache_to"),
        ({"PLUGIN_SNAPSHOT_MODE": "full", "PLUGIN_OPTIMIZE": "true"}, "optimize has no effect: snapshot_mode"),
        ({"PLUGIN_SKIP_DEFAULT_REGISTRY_FALLBACK": "no"}, "skip_default_registry_fallback has no effect: no mirror"),
        ({"PLUGIN_CACHE_TTL": "6"}, "cache_ttl has no effect: no layers are kept in a repository"),
        (
            {"PLUGIN_CACHE_COPY_LAYERS": "true", "PLUGIN_ENABLE_CACHE": "false"},
            "cache_copy_layers has no effect",
        ),
        ({"PLUGIN_ENABLE_CACHE": "no", "PLUGIN_CACHE_REPO": "h.test/c"}, "remote_cache_repo has no effect: enable_cac"),
    ],
)
def test_what_becomes_nothing_is_noted(directory, variables, note):
    assert any(note in one for one in order_of(in_file, {**REPO, **variables}, directory).notes)


def test_notes_have_the_same_order_in_every_run(directory):
    """The names come from a set, whose order differs from process to process."""
    names = ["cache_copy_layers", "cache_run_layers", "cache_ttl", "skip_push_permission_check"]
    variables = {f"PLUGIN_{name.upper()}": "6" if name == "cache_ttl" else "true" for name in reversed(names)}
    notes = order_of(in_file, {**REPO, **variables}, directory).notes
    assert [one.split(": ")[1].split()[0] for one in notes if "no layers are kept" in one] == names


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("CACHE_TTL", "-1", "-1 is less than 0"),
        ("IMAGE_DOWNLOAD_RETRY", "often", "not a whole number"),
        ("IGNORE_PATHS", "var/cache", "is not an absolute path"),
        ("SNAPSHOT_MODE", "fast", "not one of full, redo, time"),
        ("USE_NEW_RUN", "perhaps", "neither true nor false"),
    ],
)
def test_a_value_that_kaniko_could_not_use_is_refused(directory, name, text, message):
    with pytest.raises(SettingsError, match=message):
        order_of(in_environment, {**REPO, f"PLUGIN_{name}": text}, directory)


@pytest.mark.parametrize("path", ["../other", "/etc", "a/../../b"])
def test_a_directory_in_the_context_lies_in_it(directory, path):
    with pytest.raises(SettingsError, match="leads out of the context"):
        order_of(in_file, {**REPO, "PLUGIN_CONTEXT_SUB_PATH": path}, directory)


def test_a_key_in_the_environment_is_the_key_itself(directory):
    order = order_of(in_environment, {**REPO, "PLUGIN_SSH_AGENT_KEY": "a-planted-key"}, directory)
    assert order.request.ssh_key.reveal() == "a-planted-key\n"
    assert "a-planted-key" not in repr(order)


def test_two_default_keys_are_refused(directory):
    variables = {**REPO, "PLUGIN_SSH_AGENT_KEY": "file:Dockerfile", "PLUGIN_SSH": "default"}
    with pytest.raises(SettingsError, match="both give the default key"):
        order_of(in_file, variables, directory)


@pytest.mark.parametrize(
    ("env", "proxies"),
    [
        ({"HTTP_PROXY": "http://p:1"}, {"http_proxy": "http://p:1", "HTTP_PROXY": "http://p:1"}),
        ({"HARNESS_NO_PROXY": "a.test"}, {"no_proxy": "a.test", "NO_PROXY": "a.test"}),
        (
            {"https_proxy": "http://p:1", "HTTPS_PROXY": "http://q:1"},
            dict.fromkeys(("https_proxy", "HTTPS_PROXY"), "http://p:1"),
        ),
        ({"http_proxy": ""}, {}),
    ],
)
def test_run_sees_the_proxies_of_the_environment(directory, env, proxies):
    assert order_of(in_file, REPO, directory, env).request.proxies == proxies


def test_a_build_argument_comes_before_a_proxy_of_its_name_and_of_no_other(directory):
    variables = {**REPO, "PLUGIN_BUILD_ARGS": "http_proxy=mine,https_proxy_x=1"}
    env = {"HTTP_PROXY": "http://p:1", "HTTPS_PROXY": "http://p:1"}
    order = order_of(in_file, variables, directory, env)
    assert order.request.proxies.keys() == {"HTTP_PROXY", "https_proxy", "HTTPS_PROXY"}


# ---- options of buildx


def with_options(directory, *options, **more):
    return order_of(in_file, {**REPO, "PLUGIN_BUILDX_OPTIONS_SEMICOLON": ";".join(options), **more}, directory)


OPTIONS = {
    "--add-host=db.test:10.0.0.7": lambda order: order.request.add_hosts == {"db.test": "10.0.0.7"},
    "--add-host=db.test=10.0.0.7": lambda order: order.request.add_hosts == {"db.test": "10.0.0.7"},
    "--build-arg A=1": lambda order: order.request.build_args == {"A": "1"},
    "--build-arg;A=a=b": lambda order: order.request.build_args == {"A": "a=b"},
    "--build-context=more=service": lambda order: order.request.build_contexts["more"].endswith("/service"),
    "--cache-from=h.test/c:1": lambda order: str(order.request.cache_from[0]) == "type=registry,ref=h.test/c:1",
    "--cache-to=type=inline": lambda order: str(order.request.cache_to[0]) == "type=inline",
    "--file=service/Dockerfile": lambda order: order.request.dockerfile.parent.name == "service",
    "-f;service/Dockerfile": lambda order: order.request.dockerfile.parent.name == "service",
    "--label=a=b,c": lambda order: order.request.labels == {"a": "b,c"},
    "--load": lambda order: order.load,
    "--metadata-file=m.json": lambda order: order.receipts["metadata_file"].name == "m.json",
    "--network=none": lambda order: order.request.network == "none" and "network" in order.for_engines,
    "--no-cache": lambda order: order.request.no_cache,
    "--no-cache=false": lambda order: not order.request.no_cache,
    "--output=type=docker": lambda order: order.load,
    "--output type=docker,dest=image.tar": lambda order: order.tar.name == "image.tar",
    "--output=type=oci,dest=image.tar": lambda order: order.output_location.startswith("oci-archive:/"),
    "--platform=linux/arm64": lambda order: [str(one) for one in order.request.platforms] == ["linux/arm64"],
    "--progress;plain": lambda order: order.request is not None,
    "--provenance=false": lambda order: order.request is not None,
    "--pull": lambda order: order.request.pull_image,
    "--push": lambda order: order.push,
    "--quiet": lambda order: order.settings.quiet,
    "--push=false": lambda order: not order.push,
    "--sbom=false": lambda order: order.request is not None,
    "--secret=id=a,src=Dockerfile": lambda order: list(order.request.build_secrets) == ["a"],
    "--ssh=default": lambda order: order.request.ssh == ("default",),
    "--ssh sshkey=Dockerfile": lambda order: order.request.ssh[0].startswith("sshkey=/"),
    "--target=runtime": lambda order: order.request.target == "runtime",
}


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_of_buildx_becomes_the_setting_of_its_meaning(directory, option):
    assert OPTIONS[option](with_options(directory, option))


def test_an_option_adds_to_what_is_set(directory):
    order = with_options(directory, "--build-arg=A=2", "--build-arg=C=3", PLUGIN_BUILD_ARGS="A=1,B=1")
    assert order.request.build_args == {"A": "2", "B": "1", "C": "3"}


def test_a_build_argument_without_a_value_has_that_of_its_variable(directory):
    variables = {**REPO, "PLUGIN_BUILDX_OPTIONS": "--build-arg=GRAIN"}
    assert order_of(in_file, variables, directory, {"GRAIN": "fine"}).request.build_args["GRAIN"] == "fine"


def test_a_secret_of_an_option_is_that_of_the_variable(directory):
    variables = {**REPO, "PLUGIN_BUILDX_OPTIONS_SEMICOLON": "--secret=id=tok,env=TOK"}
    order = order_of(in_file, variables, directory, {"TOK": "a-planted-secret"})
    assert order.request.build_secrets["tok"].reveal() == "a-planted-secret"


def test_platforms_of_an_option_come_before_that_of_the_machine(directory):
    step = {"type": "BuildAndPushDockerRegistry", "spec": {"repo": "h.test/a", "tags": ["1"]}}
    step["spec"]["envVariables"] = {"PLUGIN_BUILDX_OPTIONS": "--platform=linux/arm64"}
    stage = {"spec": {"platform": {"os": "Linux", "arch": "Amd64"}, "execution": {"steps": [{"step": step}]}}}
    (directory / "stage.yml").write_text(json.dumps({"stage": stage}))

    def place(_variables, cwd):
        return {}, read(Path("stage.yml"), env={}, flags={}, keywords={}, cwd=cwd, step=None)

    order = order_of(place, {}, directory)
    assert [str(one) for one in order.request.platforms] == ["linux/arm64"]


@pytest.mark.parametrize(
    ("option", "reason", "hint"),
    [
        ("--allow=network.host", "the builder's own configuration", "--network=host"),
        ("--annotation=a=b", "annotations", "--label=KEY=VALUE"),
        ("--attest=type=sbom", "writes attestations itself", "PLUGIN_PROVENANCE"),
        ("--builder=mine", "buildx's current builder", "BUILDX_BUILDER"),
        ("--output=type=registry", "set by settings", "PLUGIN_TAR_PATH"),
        ("-o;out", "set by settings", "PLUGIN_TAR_PATH"),
        ("--provenance=mode=max", "without options", "--provenance"),
        ("--sbom=generator=a.test/b", "without options", "--sbom"),
        ("--shm-size=1g", "containers of RUN", "builder's configuration"),
        ("-t;h.test/b", "names of the image", "repo and tags"),
        ("--no-cache-filter=a", "all stages", "--no-cache"),
    ],
)
def test_an_option_without_a_setting_is_refused_for_its_own_reason(directory, option, reason, hint):
    with pytest.raises(UnsupportedError, match=reason) as caught:
        with_options(directory, option)
    assert hint in caught.value.hint
    assert caught.value.where.startswith("step.yml:1:")


@pytest.mark.parametrize(
    ("option", "message", "hint"),
    [
        ("--platfrom=linux/amd64", "not an option of docker buildx build", "did you mean --platform?"),
        ("linux/arm64", "'linux/arm64' is not an option", "PLUGIN_BUILDX_OPTIONS_SEMICOLON"),
        ("--ssh", "--ssh does not have a value", "--ssh=VALUE"),
        ("--target;--pull", "--target does not have a value", "--target=VALUE"),
        ("--no-cache --pull", "'--pull' is not true or false", "one option in each entry"),
        ("--label=a", "does not have an =", "NAME=VALUE"),
        ("--secret=id=a,env=B,src=c", "is not a secret", "id=ID,src=FILE"),
        ("--secret=token", "is not a line of KEY=VALUE", "SEMICOLON"),
        ("--network=mine", "'mine' is not one of default, none, host", "one of them"),
        ("--platform=amd64/linux/x/y", "--platform: ", ""),
    ],
)
def test_an_option_that_cannot_be_used_is_an_error(directory, option, message, hint):
    with pytest.raises(SettingsError, match=message) as caught:
        with_options(directory, option)
    assert hint in (caught.value.hint or "")


def test_an_option_that_pushes_contradicts_a_build_alone(directory):
    with pytest.raises(SettingsError, match="--push: it asks for a push, and push is off"):
        with_options(directory, "--push", PLUGIN_NO_PUSH="true")


def test_an_image_without_a_name_or_of_several_platforms_is_not_put_into_the_daemon(directory):
    with pytest.raises(SettingsError, match="platforms names several"):
        with_options(directory, "--load", "--platform=linux/amd64,linux/arm64")


# ---- the login of base images


@PLACES
@pytest.mark.parametrize("word", ["PLUGIN_BASE_IMAGE", "PLUGIN_DOCKER"])
def test_the_login_of_base_images_is_for_their_host(directory, place, word):
    variables = {
        **REPO,
        f"{word}_REGISTRY": "bases.test",
        f"{word}_USERNAME": "ci",
        f"{word}_PASSWORD": "file:Dockerfile",
    }
    order = order_of(place, variables, directory)
    login = order.credentials["bases.test"]
    assert (login.username, login.password.reveal()) == ("ci", "FROM scratch")
    assert order.credentials.keys() == order.unshared == {"bases.test"}


def test_the_login_of_base_images_without_a_registry_is_for_docker_hub(directory):
    variables = {**REPO, "DOCKER_BASE_IMAGE_USERNAME": "ci", "DOCKER_BASE_IMAGE_PASSWORD": "file:Dockerfile"}
    for place in (in_environment, in_file):
        assert order_of(place, variables, directory).credentials.keys() == {"docker.io"}


def test_a_password_of_the_environment_is_not_sent_to_a_host_that_only_a_file_names(directory):
    variables = {**REPO, "PLUGIN_BASE_IMAGE_REGISTRY": "evil.test", "PLUGIN_BASE_IMAGE_USERNAME": "ci"}

    def place(_variables, cwd):
        in_file(variables, cwd)
        env = {"PLUGIN_BASE_IMAGE_PASSWORD": "a-planted-password"}
        return env, read(Path("step.yml"), env=env, flags={}, keywords={}, cwd=cwd, step=None)

    with pytest.raises(SettingsError, match=r"is not sent to evil\.test") as caught:
        order_of(place, {}, directory)
    assert "a-planted-password" not in f"{caught.value} {caught.value.hint}"


def test_a_user_of_base_images_without_a_password_is_an_error(directory):
    with pytest.raises(SettingsError, match="is not"):
        order_of(in_file, {**REPO, "PLUGIN_BASE_IMAGE_USERNAME": "ci"}, directory)


def in_plugin(image, spec, directory, stage=None):
    step = {"type": "Plugin", "spec": {"image": image, **spec}}
    around = [{"name": name, "value": text} for name, text in (stage or {}).items()]
    document = {"stage": {"variables": around, "spec": {"execution": {"steps": [{"step": step}]}}}}
    (directory / "stage.yml").write_text(json.dumps(document))
    return read(Path("stage.yml"), env={}, flags={}, keywords={}, cwd=directory, step=None)


LOGIN = {"DOCKER_REGISTRY": "h.test", "DOCKER_USERNAME": "ci", "DOCKER_PASSWORD": "file:Dockerfile"}


@pytest.mark.parametrize("around", ["step", "stage", "file"])
@pytest.mark.parametrize(
    ("image", "is_of_base_images"),
    [("plugins/docker", 0), ("harness/buildx:1", 0), ("plugins/buildah-docker", 0), ("plugins/kaniko:2", 1)],
)
def test_the_image_of_a_plugin_says_what_its_login_is_for(directory, image, is_of_base_images, around):
    spec = {"settings": {"repo": "h.test/a/b"}}
    if around == "file":
        (directory / "build.env").write_text("".join(f"{name}={text}\n" for name, text in LOGIN.items()))
        spec["settings"]["env_file"] = "build.env"
    elif around == "step":
        spec["envVariables"] = LOGIN
    loaded = in_plugin(image, spec, directory, LOGIN if around == "stage" else {})
    order = order_of(lambda *_: ({}, loaded), {}, directory)
    assert order.credentials["h.test"].username == "ci"
    assert bool(order.unshared) is bool(is_of_base_images)


def test_our_name_of_a_login_comes_before_that_of_the_plugin(directory):
    more = {"PLUGIN_USERNAME": "one", "PLUGIN_PASSWORD": "file:Dockerfile"}
    spec = {"settings": {"repo": "h.test/a/b"}, "envVariables": {**LOGIN, **more}}
    loaded = in_plugin("plugins/docker", spec, directory)
    assert order_of(lambda *_: ({}, loaded), {}, directory).credentials["h.test"].username == "one"
    assert "DOCKER_USERNAME has no effect: PLUGIN_USERNAME comes first" in loaded.notes


TOKEN = {"ACCESS_TOKEN": "file:Dockerfile"}


@pytest.mark.parametrize("around", ["step", "stage", "file"])
@pytest.mark.parametrize("image", ["plugins/docker", "plugins/buildx"])
def test_a_token_of_a_plugin_is_that_of_its_own_user(directory, image, around):
    spec = {"settings": {"repo": "h.test/a/b"}}
    if around == "file":
        (directory / "build.env").write_text("ACCESS_TOKEN=file:Dockerfile\n")
        spec["settings"]["env_file"] = "build.env"
    elif around == "step":
        spec["envVariables"] = TOKEN
    loaded = in_plugin(image, spec, directory, TOKEN if around == "stage" else {})
    login = order_of(lambda *_: ({}, loaded), {}, directory).credentials["h.test"]
    assert (login.username, login.password.reveal()) == ("oauth2accesstoken", "FROM scratch")


@pytest.mark.parametrize("around", ["step", "stage"])
def test_a_password_of_a_plugin_comes_before_its_token(directory, around):
    settings = {"repo": "h.test/a/b", "username": "ci", "password": "file:.dockerignore"}
    (directory / ".dockerignore").write_text("a-word")
    spec = {"settings": settings, **({"envVariables": TOKEN} if around == "step" else {})}
    loaded = in_plugin("plugins/docker", spec, directory, TOKEN if around == "stage" else {})
    login = order_of(lambda *_: ({}, loaded), {}, directory).credentials["h.test"]
    assert (login.username, login.password.reveal()) == ("ci", "a-word")


def test_a_user_beside_a_token_of_a_plugin_is_said_to_have_no_effect(directory):
    spec = {"settings": {"repo": "h.test/a/b", "username": "ci"}, "envVariables": TOKEN}
    loaded = in_plugin("plugins/docker", spec, directory)
    assert order_of(lambda *_: ({}, loaded), {}, directory).credentials["h.test"].username == "oauth2accesstoken"
    assert any("username has no effect: ACCESS_TOKEN is a token of oauth2accesstoken" in note for note in loaded.notes)


@pytest.mark.parametrize("image", ["plugins/kaniko", "plugins/buildah-docker"])
def test_a_token_that_the_plugin_does_not_read_is_refused(directory, image):
    with pytest.raises(UnsupportedError, match="ACCESS_TOKEN is not supported"):
        in_plugin(image, {"settings": {"repo": "h.test/a/b"}, "envVariables": TOKEN}, directory)


def test_a_password_of_a_plugin_is_no_plain_text_of_a_file(directory):
    spec = {"settings": {"repo": "h.test/a/b"}, "envVariables": {"DOCKER_PASSWORD": "a-planted-word"}}
    with pytest.raises(SecretError, match="given as plain text") as caught:
        in_plugin("plugins/docker", spec, directory)
    assert "a-planted-word" not in f"{caught.value} {caught.value.hint}"


@PLACES
def test_a_host_that_may_show_any_certificate_is_one_of_the_step(directory, place):
    order = order_of(place, {**REPO, "PLUGIN_INSECURE_REGISTRY": "bases.test"}, directory)
    assert order.insecure == {"bases.test"}
    order = order_of(place, {**REPO, "PLUGIN_INSECURE_REGISTRY": "h.test"}, directory)
    assert (order.insecure, order.settings.insecure) == ({"h.test"}, True)
    assert order.request.insecure == order.insecure


@PLACES
def test_a_certificate_of_a_host_is_read_before_anything_is_done(directory, place):
    with pytest.raises(SettingsError, match="registry_certificate holds no certificate that can be read"):
        order_of(place, {**REPO, "PLUGIN_REGISTRY_CERTIFICATE": "h.test=Dockerfile"}, directory)


@pytest.mark.parametrize("place", [in_file, in_stage, in_env_file])
def test_certificates_for_every_host_are_read_before_anything_is_done(directory, place):
    with pytest.raises(SettingsError, match="ca_path holds no certificate that can be read") as caught:
        order_of(place, {**REPO, "HARNESS_CA_PATH": "Dockerfile"}, directory)
    assert caught.value.where.startswith(("step.yml:", "build.env:"))


def test_certificates_that_the_environment_names_are_left_to_the_run(directory):
    """It trusts them at every host, of whichever step, and engines are not asked to."""
    order = order_of(in_environment, {**REPO, "HARNESS_CA_PATH": "Dockerfile"}, directory)
    assert order.authorities == order.request.authorities == {}
    assert order.settings.ca_path == "Dockerfile"


@pytest.mark.parametrize("place", [*map(str, (1, "true", "yes"))])
def test_a_plugin_that_is_asked_to_be_quiet_is(directory, place):
    for where in (in_environment, in_file, in_settings):
        _, loaded = where({**REPO, "PLUGIN_QUIET": place}, directory)
        assert not [note for note in loaded.notes if "QUIET" in note]
        assert order_of(where, {**REPO, "PLUGIN_QUIET": place}, directory).settings.quiet


def test_two_logins_for_one_host_are_an_error(directory):
    login = {"PLUGIN_REGISTRY": "h.test", "PLUGIN_USERNAME": "a", "PLUGIN_PASSWORD": "file:Dockerfile"}
    base = {"PLUGIN_BASE_IMAGE_REGISTRY": "h.test", "PLUGIN_BASE_IMAGE_USERNAME": "b"}
    with pytest.raises(SettingsError, match="two logins"):
        order_of(in_file, {**REPO, **login, **base, "PLUGIN_BASE_IMAGE_PASSWORD": "file:Dockerfile"}, directory)
