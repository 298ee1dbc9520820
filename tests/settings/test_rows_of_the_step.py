"""Every setting of Harness' step, and every variable of its four plugins: nothing is missing, or read in another way.

The names are those of Harness' documentation, its schema, and the sources of the plugins.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from buildpush.credentials.vault import Vault
from buildpush.expressions.facts import Counter, Facts, Git
from buildpush.foundation.errors import SettingsError, UnsupportedError
from buildpush.places import CommandResult, Recorded
from buildpush.settings.evaluate import evaluate
from buildpush.settings.model import ResourceLimits, Resources
from buildpush.settings.plugin_variables import PLUGIN_VARIABLES, PLUGINS
from buildpush.settings.sources import read

HARNESS = "BuildAndPushDockerRegistry"


def read_file(directory, step, env=None):
    (directory / "step.yml").write_text(json.dumps({"step": step}))
    return read(Path("step.yml"), env=env or {}, flags={}, keywords={}, cwd=directory, step=None)


def settings_of_step(directory, keys, spec, sink=lambda _note: None):
    """Return the typed settings of a step with more *keys*, and with more in its *spec*."""
    usual = {"connectorRef": "hub", "repo": "h.test/a/b", "tags": ["1"]}
    step = {"type": HARNESS, "identifier": "push", "name": "Push", **keys, "spec": {**usual, **spec}}
    env = {"TOKEN": "s3cr3t"}
    facts = Facts(
        env,
        Git(Recorded(lambda _: CommandResult(128)), directory),
        Counter(directory / "state", dry=True),
        0.0,
        Vault(env, directory, None, {}).secret,
    )
    loaded = read_file(directory, step, env)
    assert loaded.notes == ()
    return evaluate(loaded.steps[0], facts, sink=sink)


MANY = "x" * 129
HALF = ResourceLimits(memory=500 * 1024**2, cpu=0.4)
FAILURES = [{"onFailure": {"errors": ["AllErrors"], "action": {"type": "Ignore"}}}]
# Keys beside the spec: as they are written, and what they become.
OF_THE_STEP = [
    ("identifier", "_push_2", "_push_2"),
    ("name", "Push it-2. now", "Push it-2. now"),
    ("description", "for people", "for people"),
    ("timeout", "1h 30m", timedelta(minutes=90)),
    ("timeout", "2w", timedelta(weeks=2)),
    ("timeout", "<+input>.default(10m)", timedelta(minutes=10)),
    ("when", {"stageStatus": "All"}, {"stageStatus": "All"}),
    ("failure_strategies", FAILURES, FAILURES),
    ("strategy", {"repeat": {"times": "2"}}, {"repeat": {"times": "2"}}),
]
# Keys of the spec.
OF_THE_SPEC = [
    ("connector_ref", "account.hub", "account.hub"),
    ("repo", "h.test/team/app", "h.test/team/app"),
    ("tags", ["1", "<+step.identifier>", 7], ("1", "push", "7")),
    ("tags", "<+step.identifier>", ("push",)),
    ("base_image_connector_refs", ["a", "org.b"], ("a", "org.b")),
    ("base_image_connector_refs", "a", ("a",)),
    ("optimize", True, True),
    ("optimize", "<+true>", True),
    ("dockerfile", "docker/Dockerfile", "docker/Dockerfile"),
    ("context", "service", "service"),
    ("labels", {"a": "1,2"}, {"a": "1,2"}),
    ("labels", "<+<+step.identifier>+'=b'>", {"push": "b"}),
    ("build_args", {"a": "<+step.identifier>", "b": 1}, {"a": "push", "b": "1"}),
    ("build_args", "<+<+step.identifier>+'=b'>", {"push": "b"}),
    ("target", "last", "last"),
    ("caching", True, True),
    ("caching", "<+true>", True),
    ("cache_from", ["h.test/c", "type=registry,ref=h.test/c"], ("h.test/c", "type=registry,ref=h.test/c")),
    ("cache_from", "type=registry,ref=h.test/c", ("type=registry,ref=h.test/c",)),
    ("cache_to", "type=registry,ref=h.test/c,mode=max", ("type=registry,ref=h.test/c,mode=max",)),
    ("remote_cache_repo", "h.test/cache", "h.test/cache"),
    ("env_docker_secrets", {"npm": "TOKEN"}, {"npm": "TOKEN"}),
    ("file_docker_secrets", {"npm": "key"}, {"npm": "key"}),
    ("run_as_user", 0, 0),
    ("run_as_user", "<+<+step.identifier>.length()>", 4),
    ("resources", {"limits": {"memory": "500Mi", "cpu": "400m"}}, Resources(limits=HALF)),
    ("resources", {"limits": {"memory": 524288000, "cpu": 0.4}}, Resources(limits=HALF)),
    ("resources", {"requests": {"memory": "500Mi", "cpu": "0.4"}}, Resources(requests=HALF)),
    ("privileged", True, True),
]


def key_of(name):
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


@pytest.mark.parametrize(("name", "written", "value"), OF_THE_STEP)
def test_a_key_of_the_step_is_read_as_harness_reads_it(tmp_path, name, written, value):
    assert getattr(settings_of_step(tmp_path, {key_of(name): written}, {}), name) == value


@pytest.mark.parametrize(("name", "written", "value"), OF_THE_SPEC)
def test_a_key_of_the_spec_is_read_as_harness_reads_it(tmp_path, name, written, value):
    assert getattr(settings_of_step(tmp_path, {}, {key_of(name): written}), name) == value


def test_environment_variables_of_the_step_set_its_settings(tmp_path):
    found = settings_of_step(tmp_path, {}, {"envVariables": {"PLUGIN_TARGET": "last", "PLUGIN_NO_PUSH": "true"}})
    assert (found.target, found.push) == ("last", False)


@pytest.mark.parametrize(
    ("keys", "spec", "message"),
    [
        ({"identifier": "1st"}, {}, "identifier: '1st' is not an identifier"),
        ({"identifier": "a-b"}, {}, "identifier: 'a-b' is not an identifier"),
        ({"identifier": MANY}, {}, "is not an identifier"),
        ({"name": "push/it"}, {}, "name: 'push/it' is not a step name"),
        ({"name": MANY}, {}, "is not a step name"),
        ({"timeout": "9s"}, {}, "timeout: '9s' is shorter than 10 seconds"),
        ({"timeout": "10 minutes"}, {}, "timeout: '10 minutes' is not a duration"),
        ({"enforce": {"policySets": ["all"]}}, {}, "enforce"),
        ({}, {"registryRef": "mine"}, "registryRef"),
        ({}, {"repo": "h.test/a/b:1"}, "repo: 'a/b:1' is not a repository path"),
        ({}, {"repo": ""}, "repo"),
        ({}, {"labels": "a"}, "labels: 'a' does not have an ="),
        ({}, {"runAsUser": "root"}, "runAsUser: 'root' is not a whole number"),
        ({}, {"resources": {"limits": {"memory": "500 Mi B"}}}, "500 Mi B"),
        ({}, {"caching": "sometimes"}, "caching"),
        ({}, {"optimise": True}, "unknown key 'optimise'"),
    ],
)
def test_what_the_step_does_not_take_is_refused_by_name(tmp_path, keys, spec, message):
    with pytest.raises(SettingsError) as caught:
        settings_of_step(tmp_path, keys, spec).tags  # noqa: B018
    assert message in str(caught.value)
    assert caught.value.where.startswith("step.yml:1:")
    assert caught.value.hint


def test_reports_have_no_effect_and_a_note_says_so(tmp_path):
    notes = []
    settings_of_step(tmp_path, {}, {"reports": {"type": "JUnit", "spec": {"paths": ["a.xml"]}}}, notes.append)
    assert [note for note in notes if "reports" in str(note)]


# ---- the variables of the plugins: d docker, x buildx, k kaniko, b buildah

READ_BY = {
    "dxkb": """
        DOCKER_PASSWORD DOCKER_REGISTRY DOCKER_USERNAME DRONE_COMMIT_REF DRONE_REPO_BRANCH PLUGIN_AUTO_TAG
        PLUGIN_AUTO_TAG_SUFFIX PLUGIN_BUILD_ARGS PLUGIN_CONFIG PLUGIN_CONTEXT PLUGIN_CUSTOM_LABELS PLUGIN_DOCKERFILE
        PLUGIN_ENV_FILE PLUGIN_PASSWORD PLUGIN_REGISTRY PLUGIN_REPO PLUGIN_TAGS PLUGIN_TARGET PLUGIN_USERNAME
    """,
    "dxb": """
        DOCKER_EMAIL DOCKER_PLUGIN_CONFIG DRONE_COMMIT_SHA DRONE_REMOTE_URL DRONE_REPO_LINK PLUGIN_ADD_HOST
        PLUGIN_AUTO_LABEL PLUGIN_BUILD_ARGS_FROM_ENV PLUGIN_COMPRESS PLUGIN_DEFAULT_SUFFIX PLUGIN_DEFAULT_TAGS
        PLUGIN_DRY_RUN PLUGIN_EMAIL PLUGIN_LABEL_SCHEMA PLUGIN_NO_CACHE PLUGIN_PULL_IMAGE PLUGIN_PURGE PLUGIN_QUIET
        PLUGIN_REPO_LINK PLUGIN_SQUASH PLUGIN_TAG
    """,
    "dxk": """
        PLUGIN_ARTIFACT_FILE PLUGIN_BASE_IMAGE_PASSWORD PLUGIN_BASE_IMAGE_REGISTRY PLUGIN_BASE_IMAGE_USERNAME
        PLUGIN_BUILD_ARGS_NEW PLUGIN_DOCKER_PASSWORD PLUGIN_DOCKER_REGISTRY PLUGIN_DOCKER_USERNAME PLUGIN_INSECURE
        PLUGIN_MULTIPLE_BUILD_ARGS PLUGIN_NO_PUSH PLUGIN_PLATFORM PLUGIN_PUSH_ONLY
    """,
    "dx": """
        ACCESS_TOKEN DOCKER_LAUNCH_DEBUG DOCKER_PLUGIN_MIRROR DRONE_CARD_PATH HARNESS_CA_PATH PLUGIN_BIP
        PLUGIN_CACHE_FROM PLUGIN_CUSTOM_DNS PLUGIN_CUSTOM_DNS_SEARCH PLUGIN_DAEMON_OFF PLUGIN_DAEMON_RETRY_COUNT
        PLUGIN_DEBUG PLUGIN_IPV6 PLUGIN_MIRROR PLUGIN_MTU PLUGIN_REGISTRY_TYPE PLUGIN_SECRET PLUGIN_SECRETS_FROM_ENV
        PLUGIN_SECRETS_FROM_FILE PLUGIN_SOURCE_IMAGE PLUGIN_SSH_AGENT_KEY PLUGIN_STORAGE_DRIVER PLUGIN_STORAGE_PATH
    """,
    "xk": """
        PLUGIN_DESTINATION_TAR_PATH PLUGIN_SOURCE_TAR_PATH PLUGIN_TAR_PATH
    """,
    "d": """
        DOCKER_BASE_IMAGE_PASSWORD DOCKER_BASE_IMAGE_REGISTRY DOCKER_BASE_IMAGE_USERNAME PLUGIN_COSIGN_PARAMS
        PLUGIN_COSIGN_PASSWORD PLUGIN_COSIGN_PRIVATE_KEY PLUGIN_EXPERIMENTAL
    """,
    "x": """
        ARTIFACT_REGISTRY AWS_PLUGIN_PATH_STYLE PLUGIN_BAKE_FILE PLUGIN_BAKE_OPTIONS PLUGIN_BUILDER_CONFIG
        PLUGIN_BUILDER_DRIVER PLUGIN_BUILDER_DRIVER_OPTS PLUGIN_BUILDER_DRIVER_OPTS_NEW PLUGIN_BUILDER_NAME
        PLUGIN_BUILDER_REMOTE_CONN PLUGIN_BUILDKIT_ASSETS_DIR PLUGIN_BUILDKIT_INHERIT_AUTH
        PLUGIN_BUILDKIT_RESPONSE_HEADER_TIMEOUT PLUGIN_BUILDKIT_TLS_HANDSHAKE_TIMEOUT PLUGIN_BUILDKIT_VERSION
        PLUGIN_BUILDX_LOAD PLUGIN_BUILDX_OPTIONS PLUGIN_BUILDX_OPTIONS_SEMICOLON PLUGIN_BUILDX_OUTPUT_FORMAT
        PLUGIN_CACHE_METRICS_FILE PLUGIN_CACHE_TLS_INSECURE PLUGIN_CACHE_TO
        PLUGIN_HARNESS_SELF_HOSTED_AZURE_ACCOUNT_KEY PLUGIN_HARNESS_SELF_HOSTED_AZURE_CLIENT_ID
        PLUGIN_HARNESS_SELF_HOSTED_AZURE_CLIENT_SECRET PLUGIN_HARNESS_SELF_HOSTED_AZURE_OIDC_TOKEN
        PLUGIN_HARNESS_SELF_HOSTED_AZURE_TENANT_ID PLUGIN_HARNESS_SELF_HOSTED_GCP_JSON_KEY
        PLUGIN_HARNESS_SELF_HOSTED_S3_ACCESS_KEY PLUGIN_HARNESS_SELF_HOSTED_S3_SECRET_KEY PLUGIN_METADATA_FILE
        PLUGIN_PATH_STYLE PLUGIN_USE_LOADED_BUILDKIT
    """,
    "k": """
        DRONE_OUTPUT PLUGIN_CACHE_COPY_LAYERS PLUGIN_CACHE_DIR PLUGIN_CACHE_REPO PLUGIN_CACHE_RUN_LAYERS
        PLUGIN_CACHE_TTL PLUGIN_CLEANUP PLUGIN_COMPRESSED_CACHING PLUGIN_CONTEXT_SUB_PATH PLUGIN_CUSTOM_PLATFORM
        PLUGIN_ENABLE_CACHE PLUGIN_EXPAND_REPO PLUGIN_EXPAND_TAG PLUGIN_FORCE PLUGIN_IGNORE_PATH PLUGIN_IGNORE_PATHS
        PLUGIN_IGNORE_VAR_RUN PLUGIN_IMAGE_DOWNLOAD_RETRY PLUGIN_IMAGE_FS_EXTRACT_RETRY
        PLUGIN_IMAGE_NAME_TAG_WITH_DIGEST_FILE PLUGIN_IMAGE_NAME_WITH_DIGEST_FILE PLUGIN_INSECURE_PULL
        PLUGIN_INSECURE_REGISTRY PLUGIN_LOG_FORMAT PLUGIN_LOG_TIMESTAMP PLUGIN_OCI_LAYOUT_PATH PLUGIN_PUSH_RETRY
        PLUGIN_REGISTRY_CERTIFICATE PLUGIN_REGISTRY_CLIENT_CERT PLUGIN_REGISTRY_MIRRORS PLUGIN_REPRODUCIBLE
        PLUGIN_SINGLE_SNAPSHOT PLUGIN_SKIP_DEFAULT_REGISTRY_FALLBACK PLUGIN_SKIP_PUSH_PERMISSION_CHECK
        PLUGIN_SKIP_TLS_VERIFY PLUGIN_SKIP_TLS_VERIFY_PULL PLUGIN_SKIP_TLS_VERIFY_REGISTRY PLUGIN_SKIP_UNUSED_STAGES
        PLUGIN_SNAPSHOT_MODE PLUGIN_USE_NEW_RUN PLUGIN_VERBOSITY
    """,
    "b": """
        PLUGIN_LAYERS PLUGIN_S3_ACCESS_KEY PLUGIN_S3_BUCKET PLUGIN_S3_ENDPOINT PLUGIN_S3_LOCAL_CACHE_DIR
        PLUGIN_S3_REGION PLUGIN_S3_SECRET PLUGIN_S3_USE_SSL
    """,
}
LETTERS = {name: letters for letters, names in READ_BY.items() for name in names.split()}


def test_every_variable_of_the_plugins_has_a_row_and_no_other_is_said_to_be_theirs():
    assert sum(len(names.split()) for names in READ_BY.values()) == len(LETTERS) == 168
    assert LETTERS.keys() <= PLUGIN_VARIABLES.keys()
    assert not [name for name in PLUGIN_VARIABLES.keys() - LETTERS.keys() if name.startswith("PLUGIN_")]


@pytest.mark.parametrize("name", LETTERS)
def test_a_variable_is_read_by_the_plugins_that_its_row_names(name):
    assert PLUGIN_VARIABLES[name].plugins == tuple(PLUGINS[letter] for letter in LETTERS[name])


def verdict(ask):
    """Return what a variable does: the value that it sets, the reason why it has no effect, or the refusal."""
    try:
        loaded = ask()
    except UnsupportedError as error:
        return error.args[0], error.hint
    reasons = [reason for note in loaded.notes if (reason := note.partition("has no effect")[2])]
    values = {name: str(one.value) for name, one in loaded.steps[0].settings.items() if name not in {"type", "image"}}
    return values, [reason.removeprefix(" here") for reason in reasons]


@pytest.mark.parametrize("name", [name for name in LETTERS if name.startswith("PLUGIN_")])
def test_a_variable_has_the_same_verdict_in_a_file_in_the_environment_and_as_a_setting_of_a_plugin(tmp_path, name):
    gate = {"PLUGIN_MULTIPLE_BUILD_ARGS": "true"} if name == "PLUGIN_BUILD_ARGS_NEW" else {}
    texts = {**gate, name: "env:VALUE"}
    (tmp_path / "env:VALUE").touch()
    lower = {key.removeprefix("PLUGIN_").lower(): text for key, text in texts.items()}
    plugin = {"type": "Plugin", "spec": {"image": "plugins/buildx", "settings": lower}}
    ways = {
        "file": lambda: read_file(tmp_path, {"type": HARNESS, "spec": {"envVariables": texts}}),
        "environment": lambda: read(None, env=texts, flags={}, keywords={}, cwd=tmp_path, step=None),
        "plugin": lambda: read_file(tmp_path, plugin),
    }
    first, *others = [verdict(ask) for ask in ways.values()]
    assert others == [first, first]
