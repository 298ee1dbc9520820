"""The settings that come from Harness' plugins, most of them shorthands for others; a table, not logic."""

# Flags of other programs in this module's texts: any

from __future__ import annotations

from buildpush.settings.declare import Variable, setting
from buildpush.settings.kaniko_settings import KanikoSettings
from buildpush.settings.kinds import FileText, HostFiles, RegistryText, SecretText, Switch, Text, Texts
from buildpush.settings.step_settings import ca_path_setting


class PluginSettings(KanikoSettings):
    """Settings that come from the plugins of Harness."""

    env_file: FileText | None = setting(
        "A file of variables for the step, in lines `NAME=VALUE`.",
        "Its settings are used if neither the environment nor the step file has the same. A password in it counts as "
        "given where the file is named. "
        "{setting}`env_docker_secrets` and {setting}`build_args_from_env` may name its other variables.",
        group="Run",
        example="build.env",
        honoured_by="run",
        place="env",
    )
    quiet: Switch = setting(
        "Whether neither the lines of the engine nor the progress of layers are printed while the step runs.",
        "Notes, phases and the result are printed anyway, and a build that fails shows the last lines of the engine; "
        "all of them are in its log in the state directory.",
        default=False,
        group="Run",
        example=True,
        honoured_by="run",
        place="env",
    )
    expand_repo: Switch = setting(
        "Whether a {setting}`repo` without a host is at {setting}`registry`.",
        "With a connector, it is at the connector's registry anyway.",
        default=False,
        group="Image",
        example=True,
        honoured_by="push",
        place="env",
    )
    context_sub_path: FileText | None = setting(
        "A directory in {setting}`context` that is used instead of it.",
        "The path of the Dockerfile does not change.",
        group="Build",
        example="service",
        honoured_by="run",
        place="env",
    )
    reproducible: Switch = setting(
        "Whether every time in the image is the beginning of 1970, so that the same files give the same image.",
        "`SOURCE_DATE_EPOCH` in the environment gives another time.",
        default=False,
        group="Build",
        example=True,
        honoured_by="run",
        place="env",
    )
    squash: Switch = setting(
        "Whether all that the Dockerfile adds becomes one layer on top of the base image.",
        "buildah (`--squash`) and kaniko (`--single-snapshot`) support it.",
        default=False,
        group="Build",
        example=True,
        honoured_by="engine",
        place="env",
        aliases=("PLUGIN_SINGLE_SNAPSHOT",),
    )
    insecure_registry: RegistryText | None = setting(
        "A host that may have any certificate, or no TLS, as {setting}`insecure` allows it for the registry.",
        "The engines `native`, `buildah` and `kaniko` pull base images from it. A Docker daemon or a BuildKit takes "
        "such hosts from its own configuration only.",
        group="Registry",
        example="bases.example.com",
        honoured_by="run",
        place="env",
    )
    registry_certificate: HostFiles = setting(
        "Certificates of authorities that are trusted besides the system's: host to file, in PEM.",
        "They are for the push, and for base images with the engines `native` and `kaniko`; other engines read them "
        "from `/etc/docker/certs.d` or `/etc/containers/certs.d`. `SSL_CERT_FILE` names an authority for every host.",
        default={},
        group="Registry",
        example={"bases.example.com": "certificates/bases.pem"},
        honoured_by="run",
        place="env",
    )
    ca_path: FileText | None = ca_path_setting("Registry")
    base_image_registry: RegistryText | None = setting(
        "The registry of base images that {setting}`base_image_username` is for, and no other host.",
        "Without it, Docker Hub.",
        group="Registry",
        example="bases.example.com",
        honoured_by="run",
        place="env",
        aliases=("PLUGIN_DOCKER_REGISTRY", "DOCKER_BASE_IMAGE_REGISTRY"),
    )
    base_image_username: Text | None = setting(
        "User to pull base images as.",
        "A connector among {setting}`base_image_connector_refs` does the same.",
        group="Registry",
        example="ci-bot",
        honoured_by="run",
        place="env",
        aliases=("PLUGIN_DOCKER_USERNAME", "DOCKER_BASE_IMAGE_USERNAME"),
    )
    base_image_password: SecretText | None = setting(
        "Reference to the password or token of {setting}`base_image_username`.",
        "The variable may hold the password itself, as in Harness.",
        group="Registry",
        example="env:BASE_PASSWORD",
        honoured_by="run",
        place="env",
        aliases=("PLUGIN_DOCKER_PASSWORD", "DOCKER_BASE_IMAGE_PASSWORD"),
    )
    ssh_agent_key: SecretText | None = setting(
        "Reference to the private SSH key that `RUN --mount=type=ssh` uses by default.",
        "The key is in a private file while the image is built. The variable may hold the key itself, as in Harness. "
        "For an existing file or agent, use {setting}`ssh`.",
        group="Build",
        example="env:SSH_KEY",
        honoured_by="engine",
        place="env",
    )
    enable_cache: Switch | None = setting(
        "Whether layers are kept in a repository for later builds.",
        "The repository is {setting}`remote_cache_repo`, else `cache` below {setting}`repo`. "
        "If this is not set, {setting}`remote_cache_repo` alone decides.",
        group="Cache",
        example=True,
        honoured_by="run",
        place="env",
    )
    path_style: Switch = setting(
        "Whether a cache of the type `s3` has the name of its bucket in the path of its address.",
        "It adds `use_path_style=true` to those of {setting}`cache_from` and {setting}`cache_to` that do not set it.",
        default=False,
        group="Cache",
        example=True,
        honoured_by="run",
        place="env",
        ambient=("AWS_PLUGIN_PATH_STYLE",),
    )
    load: Switch = setting(
        "Whether the built image is also put into the Docker daemon, under the names that it is pushed by.",
        "With {setting}`push` at `false` it goes only there, and does so by itself with an engine that builds in the "
        "daemon, unless this is `false`. The image must be for one platform.",
        default=False,
        group="Push",
        example=True,
        honoured_by="run",
        place="env",
        aliases=("PLUGIN_BUILDX_LOAD",),
    )
    buildx_options: Texts = setting(
        "Options of `docker buildx build`, each of which becomes the setting of the same meaning.",
        "They work with every engine that honours that setting; an option without a setting is an error. "
        "In `PLUGIN_BUILDX_OPTIONS` a comma separates two options, in `PLUGIN_BUILDX_OPTIONS_SEMICOLON` a semicolon. "
        "`PLUGIN_SECRET` is the value of one `--secret`.",
        default=(),
        group="Build",
        example=("--platform=linux/amd64", "--ssh=default"),
        honoured_by="run",
        place="env",
        adds_up=True,
        aliases=(Variable("PLUGIN_BUILDX_OPTIONS_SEMICOLON", ";"), Variable("PLUGIN_SECRET", option="--secret")),
    )
