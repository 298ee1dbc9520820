"""The variables that Harness' four build plugins read, and what happens to each here: a table, not logic.

Sources: drone-docker, drone-buildx, drone-kaniko and drone-buildah, the flags that they declare in ``main.go``.
"""

# ruff: noqa: S106 - names of variables and letters of plugins, no passwords
# Flags of other programs in this module's texts: --buildkitd-config --driver-opt --like

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Final

from buildpush.foundation.records import dataclass

PLUGINS: Final = {"d": "docker", "x": "buildx", "k": "kaniko", "b": "buildah"}


@dataclass(frozen=True, slots=True)
class PluginVariable:
    """A variable of the plugins, and what happens to it.

    Attributes:
        name: as the plugins spell it.
        letters: of the plugins that read it, as in :data:`PLUGINS`.
        setting: the setting that it sets.
        fact: the value that it gives, in MyST.
        note: why nothing can depend on it, so that it has no effect.
        refusal: why it is refused.
        alternative: what to write in its place.
        usual: the value that asks for the default behaviour, and is not refused; empty for none.
        in_file: why it has an effect in the environment only.
    """

    name: str
    letters: str
    setting: str = ""
    fact: str = ""
    note: str = ""
    refusal: str = ""
    alternative: str = ""
    usual: str = "false"
    in_file: str = ""

    @property
    def plugins(self) -> tuple[str, ...]:
        """Names of the plugins that read it."""
        return tuple(PLUGINS[letter] for letter in self.letters)

    @property
    def verdict(self) -> str:
        """What happens to it, in MyST."""
        if self.setting:
            return f"sets {{setting}}`{self.setting}`"
        if self.fact:
            return f"read {'in the environment, ' if self.in_file else ''}as {self.fact}"
        return f"no effect: {self.note}" if self.note else f"refused: {self.refusal}; {self.alternative}"


def _sets(setting: str, **letters: str) -> tuple[PluginVariable, ...]:
    """Return variables of one setting: names without ``PLUGIN_``, and their plugins."""
    return tuple(PluginVariable(f"PLUGIN_{name}", read_by, setting=setting) for name, read_by in letters.items())


def _noted(note: str, **letters: str) -> tuple[PluginVariable, ...]:
    return tuple(PluginVariable(f"PLUGIN_{name}", read_by, note=note) for name, read_by in letters.items())


def _refused(refusal: str, alternative: str, usual: str = "false", **letters: str) -> tuple[PluginVariable, ...]:
    return tuple(
        PluginVariable(f"PLUGIN_{name}", read_by, refusal=refusal, alternative=alternative, usual=usual)
        for name, read_by in letters.items()
    )


def _facts(letters: str, in_file: str = "", **facts: str) -> tuple[PluginVariable, ...]:
    return tuple(PluginVariable(name, letters, fact=fact, in_file=in_file) for name, fact in facts.items())


_SOURCE: Final = (
    *_facts("dxb", DRONE_COMMIT_SHA="`<+codebase.commitSha>`", DRONE_REPO_LINK="`<+codebase.repoUrl>`"),
    *_facts("dxb", DRONE_REMOTE_URL="the label `org.opencontainers.image.source`, for {setting}`auto_label`"),
    *_facts("dxkb", DRONE_COMMIT_REF="`<+codebase.commitRef>`"),
    *_facts("dxkb", DRONE_REPO_BRANCH="the default branch, for {setting}`auto_tag`"),
    *_sets("repo_link", REPO_LINK="dxb"),
    *_sets("env_file", ENV_FILE="dxkb"),
)

_BUILD: Final = (
    *_sets("dockerfile", DOCKERFILE="dxkb"),
    *_sets("context", CONTEXT="dxkb"),
    *_sets("target", TARGET="dxkb"),
    *_sets("build_args", BUILD_ARGS="dxkb", BUILD_ARGS_NEW="dxk", MULTIPLE_BUILD_ARGS="dxk"),
    *_sets("build_args_from_env", BUILD_ARGS_FROM_ENV="dxb"),
    *_sets("add_host", ADD_HOST="dxb"),
    *_sets("pull_image", PULL_IMAGE="dxb"),
    *_sets("no_cache", NO_CACHE="dxb"),
    *_noted("it compresses the context on its way to the daemon, and the image is the same", COMPRESS="dxb"),
    *_sets("squash", SQUASH="dxb"),
    *_sets("quiet", QUIET="dxb"),
    *_sets("platforms", PLATFORM="dxk", CUSTOM_PLATFORM="k"),
    *_sets("buildx_options", SECRET="dx"),
    *_sets("env_docker_secrets", SECRETS_FROM_ENV="dx"),
    *_sets("file_docker_secrets", SECRETS_FROM_FILE="dx"),
    *_sets("ssh_agent_key", SSH_AGENT_KEY="dx"),
)

_TAGS: Final = (
    *_sets("tags", TAG="dxb", TAGS="dxkb"),
    *_sets("auto_tag", DEFAULT_TAGS="dxb", AUTO_TAG="dxkb"),
    *_sets("auto_tag_suffix", DEFAULT_SUFFIX="dxb", AUTO_TAG_SUFFIX="dxkb"),
    *_sets("expand_tag", EXPAND_TAG="k"),
    *_sets("expand_repo", EXPAND_REPO="k"),
    *_sets("labels", CUSTOM_LABELS="dxkb"),
    *_sets("label_schema", LABEL_SCHEMA="dxb"),
    *_sets("auto_label", AUTO_LABEL="dxb"),
)

_WHOSE: Final = "and only the image of a Plugin step, or --like of buildpush plugin, says which plugin is meant"
_TRAP: Final = (
    "it is the login of the push with the plugins docker, buildx and buildah, and that of base images with kaniko, "
    + _WHOSE
)
_TRAP_HINT: Final = "write PLUGIN_{name} for the push, PLUGIN_BASE_IMAGE_{name} for base images"

_OF_PUSHES: Final = {f"DOCKER_{name}": f"PLUGIN_{name}" for name in ("REGISTRY", "USERNAME", "PASSWORD")}
# Names that mean something else in one plugin: the image of the plugin, and our name for each.
OWN_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    **{f"plugins/{name}": {**_OF_PUSHES, "ACCESS_TOKEN": "PLUGIN_PASSWORD"} for name in ("docker", "buildx")},
    "plugins/buildah-docker": _OF_PUSHES,
    "plugins/kaniko": {name: ours.replace("PLUGIN_", "PLUGIN_BASE_IMAGE_") for name, ours in _OF_PUSHES.items()},
}

_TARGET: Final = (
    *_sets("repo", REPO="dxkb"),
    *_sets("registry", REGISTRY="dxkb"),
    *_sets("username", USERNAME="dxkb"),
    *_sets("password", PASSWORD="dxkb"),
    *(
        PluginVariable(f"DOCKER_{name}", "dxkb", refusal=_TRAP, alternative=_TRAP_HINT.format(name=name), usual="")
        for name in ("REGISTRY", "USERNAME", "PASSWORD")
    ),
    PluginVariable("ARTIFACT_REGISTRY", "x", setting="artifact_registry"),
    PluginVariable(
        "ACCESS_TOKEN",
        "dx",
        refusal=f"it is a token of Google's registry with the plugins docker and buildx, {_WHOSE}",
        alternative="write PLUGIN_USERNAME: oauth2accesstoken, and the token as PLUGIN_PASSWORD",
        usual="",
    ),
    PluginVariable("PLUGIN_EMAIL", "dxb", note="no registry asks for a mail address"),
    PluginVariable("DOCKER_EMAIL", "dxb", note="no registry asks for a mail address"),
    *_sets("docker_config", CONFIG="dxkb"),
    PluginVariable("DOCKER_PLUGIN_CONFIG", "dxb", setting="docker_config"),
    *_sets("base_image_registry", DOCKER_REGISTRY="dxk", BASE_IMAGE_REGISTRY="dxk"),
    *_sets("base_image_username", DOCKER_USERNAME="dxk", BASE_IMAGE_USERNAME="dxk"),
    *_sets("base_image_password", DOCKER_PASSWORD="dxk", BASE_IMAGE_PASSWORD="dxk"),
    *(
        PluginVariable(f"DOCKER_BASE_IMAGE_{name}", "d", setting=f"base_image_{name.lower()}")
        for name in ("REGISTRY", "USERNAME", "PASSWORD")
    ),
    PluginVariable("HARNESS_CA_PATH", "dx", setting="ca_path"),
)

_MODE: Final = (
    *_sets("push", DRY_RUN="dxb", NO_PUSH="dxk"),
    *_sets("push_only", PUSH_ONLY="dxk"),
    *_sets("source_image", SOURCE_IMAGE="dx"),
    *_sets("source_tar_path", SOURCE_TAR_PATH="xk"),
    *_sets("tar_path", TAR_PATH="xk", DESTINATION_TAR_PATH="xk"),
    *_noted("what a run makes for itself is removed either way, and an engine's store is left alone", PURGE="dxb"),
    *_refused(
        "buildpush does not sign images",
        "sign what was pushed by its digest: cosign sign HOST/NAME@$(buildpush run step.yml --digest-file -)",
        COSIGN_PRIVATE_KEY="d",
        COSIGN_PASSWORD="d",
        COSIGN_PARAMS="d",
    ),
)

_OF_THE_RUN: Final = "it gets the results of the whole run: set it in the environment of the run"

_OUTPUTS: Final = (
    *_facts("dx", _OF_THE_RUN, DRONE_CARD_PATH="the file that gets the card of what was pushed"),
    *_sets("artifact_file", ARTIFACT_FILE="dxk"),
    *_sets("registry_type", REGISTRY_TYPE="dx"),
    *_facts("k", _OF_THE_RUN, DRONE_OUTPUT="the file that gets outputs such as `digest` and `image`"),
    *_sets("metadata_file", METADATA_FILE="x"),
    *_refused(
        "buildpush does not count the layers that come from a cache",
        "read the engine's log, in the directory logs of the state directory",
        CACHE_METRICS_FILE="x",
    ),
    *_sets("image_name_with_digest_file", IMAGE_NAME_WITH_DIGEST_FILE="k"),
    *_sets("image_name_tag_with_digest_file", IMAGE_NAME_TAG_WITH_DIGEST_FILE="k"),
    *_sets("oci_layout_path", OCI_LAYOUT_PATH="k"),
)

_OWN_DAEMON: Final = "no Docker daemon is started here, and the one that runs keeps its own configuration"

_DAEMON: Final = (
    *_noted("no Docker daemon is started here anyway", DAEMON_OFF="dx"),
    *_noted("no Docker daemon is started here, so none is waited for", DAEMON_RETRY_COUNT="dx"),
    *_sets("mirror", MIRROR="dx", REGISTRY_MIRRORS="k"),
    PluginVariable("DOCKER_PLUGIN_MIRROR", "dx", setting="mirror"),
    *_sets("insecure", INSECURE="dxk", SKIP_TLS_VERIFY="k"),
    *_noted("the daemon that runs here has its own store", STORAGE_DRIVER="dx", STORAGE_PATH="dx"),
    *_refused(_OWN_DAEMON, "set bip in /etc/docker/daemon.json", BIP="dx"),
    *_refused(_OWN_DAEMON, "set mtu in /etc/docker/daemon.json", MTU="dx"),
    *_refused(
        _OWN_DAEMON, "set dns in /etc/docker/daemon.json, or name single hosts in PLUGIN_ADD_HOST", CUSTOM_DNS="dx"
    ),
    *_refused(_OWN_DAEMON, "set dns-search in /etc/docker/daemon.json", CUSTOM_DNS_SEARCH="dx"),
    *_refused(_OWN_DAEMON, "set ipv6 in /etc/docker/daemon.json", IPV6="dx"),
    *_noted("it only unlocks PLUGIN_SQUASH in a daemon that is not started here", EXPERIMENTAL="d"),
    *_noted("it shows the log of a Docker daemon that is not started here", DEBUG="dx"),
    PluginVariable("DOCKER_LAUNCH_DEBUG", "dx", note="it shows the log of a Docker daemon that is not started here"),
)

_BUILDERS: Final = "no builder is created here: buildx's current builder is used"
_BUILDER_HINT: Final = "create one with docker buildx create, and set BUILDX_BUILDER to its name in the environment"
_BAKE: Final = "one step builds one image, and a bake file names several"
_CACHE_CREDENTIALS: Final = (
    "set what buildx itself reads, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; name the cache in cacheTo"
)
_OTHER_NAMES: Final = "only Harness' own builder reads these names"
_REGISTRY_CACHE: Final = "set remoteCacheRepo to a repository of the registry, which buildx and kaniko use"
_HARNESS_BUILDKIT: Final = "it is about the BuildKit in Harness' image; here, buildx's current builder is used"

_BUILDX: Final = (
    *_sets("cache_from", CACHE_FROM="dx"),
    *_sets("cache_to", CACHE_TO="x"),
    *_sets("path_style", PATH_STYLE="x"),
    PluginVariable("AWS_PLUGIN_PATH_STYLE", "x", setting="path_style"),
    *_refused(
        "only Harness' own BuildKit accepts any certificate of a cache",
        "name the cache's authority in the configuration of the builder: docker buildx create --buildkitd-config",
        CACHE_TLS_INSECURE="x",
    ),
    *_refused(
        _BUILDERS,
        _BUILDER_HINT,
        BUILDER_NAME="x",
        BUILDER_CONFIG="x",
        BUILDER_DRIVER_OPTS="x",
        BUILDER_DRIVER_OPTS_NEW="x",
        BUILDER_REMOTE_CONN="x",
    ),
    *_refused(_BUILDERS, _BUILDER_HINT, "docker", BUILDER_DRIVER="x"),
    *_sets("load", BUILDX_LOAD="x"),
    *_sets("buildx_options", BUILDX_OPTIONS="x", BUILDX_OPTIONS_SEMICOLON="x"),
    *_refused(_BAKE, "write one step for each target", BAKE_FILE="x", BAKE_OPTIONS="x"),
    *_sets("tar_format", BUILDX_OUTPUT_FORMAT="x"),
    *_noted(
        _HARNESS_BUILDKIT,
        USE_LOADED_BUILDKIT="x",
        BUILDKIT_ASSETS_DIR="x",
        BUILDKIT_VERSION="x",
        BUILDKIT_TLS_HANDSHAKE_TIMEOUT="x",
        BUILDKIT_RESPONSE_HEADER_TIMEOUT="x",
    ),
    *_refused(
        "variables of this machine are not passed to a builder that runs elsewhere",
        _CACHE_CREDENTIALS,
        BUILDKIT_INHERIT_AUTH="x",
    ),
    *_refused(
        _OTHER_NAMES,
        _CACHE_CREDENTIALS,
        HARNESS_SELF_HOSTED_S3_ACCESS_KEY="x",
        HARNESS_SELF_HOSTED_S3_SECRET_KEY="x",
    ),
    *_refused(
        "only Harness' own BuildKit keeps a cache in Google Cloud Storage",
        _REGISTRY_CACHE,
        HARNESS_SELF_HOSTED_GCP_JSON_KEY="x",
    ),
    *_refused(
        _OTHER_NAMES,
        "give them to the builder, which reads them itself: docker buildx create --driver-opt env.AZURE_CLIENT_ID=ID; "
        f"or {_REGISTRY_CACHE}",
        HARNESS_SELF_HOSTED_AZURE_ACCOUNT_KEY="x",
        HARNESS_SELF_HOSTED_AZURE_TENANT_ID="x",
        HARNESS_SELF_HOSTED_AZURE_CLIENT_ID="x",
        HARNESS_SELF_HOSTED_AZURE_CLIENT_SECRET="x",
        HARNESS_SELF_HOSTED_AZURE_OIDC_TOKEN="x",
    ),
)

_LAYERS: Final = "which layers are kept in a cache is the engine's own choice, and the image is the same"

_KANIKO: Final = (
    *_sets("snapshot_mode", SNAPSHOT_MODE="k"),
    *_sets("enable_cache", ENABLE_CACHE="k"),
    *_sets("remote_cache_repo", CACHE_REPO="k"),
    *_sets("cache_ttl", CACHE_TTL="k"),
    *_noted("the plugin does not act on it either; base images come from their registry", CACHE_DIR="k"),
    *_sets("cache_copy_layers", CACHE_COPY_LAYERS="k"),
    *_sets("cache_run_layers", CACHE_RUN_LAYERS="k"),
    *_sets("compressed_caching", COMPRESSED_CACHING="k"),
    *_sets("use_new_run", USE_NEW_RUN="k"),
    *_sets("skip_unused_stages", SKIP_UNUSED_STAGES="k"),
    *_noted("the container that kaniko builds in is removed with all that is in it", CLEANUP="k"),
    *_noted("kaniko always builds in a container here", FORCE="k"),
    *_sets("skip_default_registry_fallback", SKIP_DEFAULT_REGISTRY_FALLBACK="k"),
    *_refused(
        "it is for every host at once; here, hosts that may have any certificate are named one by one",
        "write PLUGIN_INSECURE_REGISTRY: HOST",
        SKIP_TLS_VERIFY_PULL="k",
        SKIP_TLS_VERIFY_REGISTRY="k",
        INSECURE_PULL="k",
    ),
    *_sets("insecure_registry", INSECURE_REGISTRY="k"),
    *_sets("registry_certificate", REGISTRY_CERTIFICATE="k"),
    *_refused(
        "certificates of clients are not supported",
        "log in by user and password or token",
        REGISTRY_CLIENT_CERT="k",
    ),
    *_sets("push_retry", PUSH_RETRY="k"),
    *_sets("image_download_retry", IMAGE_DOWNLOAD_RETRY="k"),
    *_sets("image_fs_extract_retry", IMAGE_FS_EXTRACT_RETRY="k"),
    *_sets("skip_push_permission_check", SKIP_PUSH_PERMISSION_CHECK="k"),
    *_sets("squash", SINGLE_SNAPSHOT="k"),
    *_sets("reproducible", REPRODUCIBLE="k"),
    *_sets("ignore_var_run", IGNORE_VAR_RUN="k"),
    *_sets("ignore_paths", IGNORE_PATH="k", IGNORE_PATHS="k"),
    *_sets("context_sub_path", CONTEXT_SUB_PATH="k"),
    PluginVariable("KANIKO_NO_PUSH", "k", setting="push"),
    PluginVariable("KANIKO_REGISTRY_MIRROR", "k", setting="mirror"),
    PluginVariable(
        "KANIKO_REGISTRY_MAP",
        "k",
        refusal="only Docker Hub has mirrors here; other registries are used directly",
        alternative="set PLUGIN_REGISTRY_MIRRORS for Docker Hub, and write other mirrors in FROM",
    ),
    PluginVariable("KANIKO_DIR", "k", note="it is a directory of kaniko's container, and the image is the same"),
    *_sets("verbosity", VERBOSITY="k"),
    *_noted("the lines of kaniko are shown and kept in buildpush's own format", LOG_FORMAT="k", LOG_TIMESTAMP="k"),
)

_S3: Final = "only Harness' own buildah reads layers from a bucket"

_BUILDAH: Final = (
    *_noted(_LAYERS, LAYERS="b"),
    *_refused(
        _S3,
        _REGISTRY_CACHE,
        S3_LOCAL_CACHE_DIR="b",
        S3_BUCKET="b",
        S3_ENDPOINT="b",
        S3_REGION="b",
        S3_ACCESS_KEY="b",
        S3_SECRET="b",
        S3_USE_SSL="b",
    ),
)

# What kaniko itself reads, in the environment only where it may build, and the variable to set in its place.
OF_KANIKO: Final = {"KANIKO_NO_PUSH": "PLUGIN_NO_PUSH", "KANIKO_REGISTRY_MIRROR": "PLUGIN_REGISTRY_MIRRORS"}

SECTIONS: Final[Mapping[str, tuple[PluginVariable, ...]]] = {
    "Source": _SOURCE,
    "What is built": _BUILD,
    "Tags and labels": _TAGS,
    "Registry and login": _TARGET,
    "What the step does": _MODE,
    "Files that are written": _OUTPUTS,
    "Docker daemon": _DAEMON,
    "Only buildx": _BUILDX,
    "Only kaniko": _KANIKO,
    "Only buildah": _BUILDAH,
}
PLUGIN_VARIABLES: Final = {row.name: row for row in chain.from_iterable(SECTIONS.values())}
