"""The settings of what is built, and how: image, build and cache; a table, not logic."""

# Flags of other programs in this module's texts: --from --mount

from __future__ import annotations

from typing import Literal

from buildpush.settings.declare import Variable, setting
from buildpush.settings.fields import REQUIRED
from buildpush.settings.kinds import (
    AddressText,
    ArgumentNames,
    BuildArgs,
    BuildContexts,
    Caches,
    ContextText,
    EnvSecrets,
    FileSecrets,
    FileText,
    HostAddresses,
    Labels,
    Mirrors,
    Platforms,
    RepositoryText,
    SshKeys,
    StageName,
    Switch,
    Tags,
    TagText,
)
from buildpush.settings.step_settings import CommonSettings

Network = Literal["default", "none", "host"]


class ImageSettings(CommonSettings):
    """What is built, and how."""

    # Image

    repo: RepositoryText = setting(
        "Registry host, repository and image name to push to.",
        "For JFrog this is `HOST/REPOSITORY_KEY/IMAGE`, all lower case after the host, without a tag: "
        "tags go into {setting}`tags`.",
        default=REQUIRED,
        group="Image",
        example="acme.jfrog.io/docker-local/team/api",
        honoured_by="push",
    )
    tags: Tags = setting(
        "Tags of the pushed image.",
        "Every tag names the same manifest: the image is uploaded once. See also {setting}`repo`.",
        default=("latest",),
        group="Image",
        example=("1.4.2", "latest"),
        honoured_by="push",
        aliases=("PLUGIN_TAG",),
    )
    auto_tag: Switch = setting(
        "Whether the tags are made from the Git branch or tag.",
        "A Git tag that is a version, such as `v1.4.2`, gives `1`, `1.4` and `1.4.2` (`0.4` and `0.4.2` for one "
        "that begins with 0, and a pre-release only itself); the default branch gives `latest`. "
        "Anything else is an error, and so is {setting}`tags` beside it. "
        "The default branch comes from `DRONE_REPO_BRANCH` or `CI_DEFAULT_BRANCH`, else from the remote `origin`.",
        default=False,
        group="Image",
        example=True,
        honoured_by="push",
        place="env",
        aliases=("PLUGIN_DEFAULT_TAGS",),
    )
    auto_tag_suffix: TagText | None = setting(
        "What {setting}`auto_tag` adds to each tag, after a dash.",
        "A tag `latest` is replaced by the suffix alone.",
        group="Image",
        example="linux-arm64",
        honoured_by="push",
        place="env",
        aliases=("PLUGIN_DEFAULT_SUFFIX",),
    )
    expand_tag: Switch = setting(
        "Whether each of {setting}`tags` that is a version also gives its short forms.",
        "`v1.4.2` gives `1`, `1.4` and `1.4.2`; a pre-release gives only itself.",
        default=False,
        group="Image",
        example=True,
        honoured_by="push",
        place="env",
    )
    labels: Labels = setting(
        "Labels written into the image.",
        "They are readable by everyone who can pull the image, so they hold no secrets.",
        default={},
        group="Image",
        example={"org.opencontainers.image.vendor": "Acme"},
        honoured_by="engine",
        aliases=("PLUGIN_CUSTOM_LABELS",),
    )
    auto_label: Switch = setting(
        "Whether the image gets labels that say when it was made, and from what.",
        "They are `created`, `revision`, `source` and `url` below `org.opencontainers.image`, as far as they are "
        "known; {setting}`labels` overrides them. `created` is the time of the run, so that no two images are "
        "the same, unless `SOURCE_DATE_EPOCH` gives another time.",
        default=False,
        group="Image",
        example=True,
        honoured_by="run",
        place="env",
    )
    label_schema: Labels = setting(
        "Labels that {setting}`auto_label` puts below `org.opencontainers.image`.",
        default={},
        group="Image",
        example={"vendor": "Acme"},
        honoured_by="run",
        place="env",
    )
    repo_link: AddressText | None = setting(
        "The address that {setting}`auto_label` gives as `url`.",
        "Without it, the address of the git repository, if CI or git knows it.",
        group="Image",
        example="https://git.example.com/team/api",
        honoured_by="run",
        place="env",
    )
    platforms: Platforms = setting(
        "Platforms to build for.",
        "Without it, the engine builds for the machine it runs on. "
        "Several platforms become one index, with one image for each.",
        default=(),
        group="Image",
        example=("linux/amd64", "linux/arm64"),
        honoured_by="engine",
        place="env",
        aliases=("PLUGIN_PLATFORM", "PLUGIN_CUSTOM_PLATFORM"),
    )

    # Build

    dockerfile: FileText = setting(
        "The Dockerfile, relative to the working directory.",
        "The working directory is the one you start buildpush in; in the step, it is the root of the code. "
        "If none is named and there is none, the one in {setting}`context` is used, as by kaniko, with a note.",
        default="Dockerfile",
        group="Build",
        example="docker/Dockerfile",
        honoured_by="engine",
    )
    context: ContextText = setting(
        "The directory whose files COPY and ADD may use.",
        "A `.dockerignore` in it hides files from the build. "
        "It may also be a git repository, as `https://HOST/REPOSITORY.git#BRANCH:DIRECTORY`, a tar on this "
        "machine or the web, compressed or not, or `-` for a tar on standard input; the path of the Dockerfile then "
        "starts there. git logs in by its credential helpers; a token may be written before the host, "
        "`https://TOKEN@HOST/...`, and is shown nowhere.",
        default=".",
        group="Build",
        example="service",
        honoured_by="engine",
    )
    build_args: BuildArgs = setting(
        "Values for the ARG instructions of the Dockerfile.",
        "They stay visible in the history of the image, so no secrets belong there: see {setting}`env_docker_secrets`. "
        "In the variable, a comma separates two arguments; for values with a comma set "
        "`PLUGIN_MULTIPLE_BUILD_ARGS` and separate by semicolons in `PLUGIN_BUILD_ARGS_NEW`.",
        default={},
        group="Build",
        example={"PYTHON_VERSION": "3.12"},
        honoured_by="engine",
        aliases=(Variable("PLUGIN_BUILD_ARGS_NEW", ";", only_with="PLUGIN_MULTIPLE_BUILD_ARGS"),),
    )
    build_args_from_env: ArgumentNames = setting(
        "Names of variables that become {setting}`build_args`, each with the variable's value.",
        "A variable of the file takes precedence over one of the environment. Each argument is set under its "
        "name as written and in upper case; one without a value is left out, with a note.",
        default=(),
        group="Build",
        example=("PYTHON_VERSION",),
        honoured_by="run",
        place="env",
    )
    target: StageName | None = setting(
        "The stage of the Dockerfile to build; without it, the last one.",
        group="Build",
        example="runtime",
        honoured_by="engine",
    )
    no_cache: Switch = setting(
        "Whether to run every instruction again, without the engine's cache.",
        default=False,
        group="Build",
        example=True,
        honoured_by="engine",
        place="env",
    )
    env_docker_secrets: EnvSecrets = setting(
        "Build secrets from variables: secret id to variable name.",
        "A `RUN --mount=type=secret,id=ID` of the Dockerfile reads them; they leave no trace in the image. "
        'A variable of the file takes precedence over one of the environment, and `<+secrets.getValue("ID")>` in place '
        "of a name gives the secret itself.",
        default={},
        group="Build",
        example={"pip_token": "PIP_TOKEN"},
        honoured_by="engine",
        aliases=("PLUGIN_SECRETS_FROM_ENV",),
    )
    file_docker_secrets: FileSecrets = setting(
        "Build secrets from files: secret id to file.",
        "A `RUN --mount=type=secret,id=ID` of the Dockerfile reads them; they leave no trace in the image.",
        default={},
        group="Build",
        example={"npmrc": "secrets/npmrc"},
        honoured_by="engine",
        aliases=("PLUGIN_SECRETS_FROM_FILE",),
    )
    pull_image: Switch = setting(
        "Whether base images are pulled even where the engine has them already.",
        "The plugins of Harness do so by default; here an image that exists only on this machine may be a base.",
        default=False,
        group="Build",
        example=True,
        honoured_by="engine",
        place="env",
    )
    add_host: HostAddresses = setting(
        "Host names that RUN can resolve in addition to those of DNS, as `HOST:IP`.",
        default=(),
        group="Build",
        example=("db.test:10.0.0.7",),
        honoured_by="engine",
        place="env",
    )
    network: Network | None = setting(
        "The network that RUN sees: `default`, `none`, or `host` for the machine's own.",
        "A BuildKit outside the Docker daemon allows `host` only if started with the entitlement `network.host`.",
        group="Build",
        example="none",
        honoured_by="engine",
        place="env",
    )
    mirror: Mirrors = setting(
        "Registries that base images of Docker Hub are pulled from instead: the first one that has the image.",
        "For Artifactory it is a remote or virtual repository, as `acme.jfrog.io/docker-hub`. "
        "Docker Hub is asked after them if `docker.io` is the last one. "
        "A Docker daemon or a BuildKit takes mirrors from its own configuration only. "
        "In the environment, `KANIKO_REGISTRY_MIRROR` counts only where kaniko may build.",
        default=(),
        group="Build",
        example=("acme.jfrog.io/docker-hub",),
        honoured_by="engine",
        place="env",
        aliases=("PLUGIN_REGISTRY_MIRRORS", "DOCKER_PLUGIN_MIRROR", "KANIKO_REGISTRY_MIRROR"),
    )
    build_contexts: BuildContexts = setting(
        "More contexts, by the name that `COPY --from=NAME` and `FROM NAME` give them.",
        "Each is a directory, relative to the working directory, or what BuildKit fetches: `docker-image://NAME:TAG`, "
        "`https://HOST/REPOSITORY.git#BRANCH`, `oci-layout://DIRECTORY@DIGEST`.",
        default={},
        group="Build",
        example={"assets": "../assets"},
        honoured_by="engine",
        place="env",
    )
    ssh: SshKeys = setting(
        "SSH agents or keys that `RUN --mount=type=ssh` may use: `default` for the agent, or `ID=FILE`.",
        "They leave no trace in the image.",
        default=(),
        group="Build",
        example=("default",),
        honoured_by="engine",
        place="env",
    )
    optimize: Switch = setting(
        "Whether kaniko may take cheaper snapshots of the file system.",
        "It makes no difference to the image, and other engines print a note that they do not use it.",
        default=False,
        group="Build",
        example=True,
        honoured_by="engine",
        harmless=True,
    )

    # Cache

    caching: Switch = setting(
        "Whether layers are kept between builds on this machine.",
        "Harness keeps them in its own storage; here they are kept in buildpush's state directory, for each "
        "{setting}`repo` separately, at most 10 GiB in all. {setting}`remote_cache_repo` takes precedence.",
        default=False,
        group="Cache",
        example=True,
        honoured_by="engine",
    )
    cache_from: Caches = setting(
        "Where to look for layers of earlier builds.",
        "Each entry is what `docker buildx build --cache-from` takes: `type=registry,ref=HOST/NAME:TAG`, "
        "`type=local,src=DIRECTORY`, or an image's name. A cache that does not exist is not an error. "
        "In the variable, semicolons separate entries, and commas separate names of images.",
        default=(),
        group="Cache",
        example=("type=registry,ref=acme.jfrog.io/docker-local/api:cache",),
        honoured_by="engine",
        separator=";",
    )
    cache_to: Caches = setting(
        "Where to store layers for later builds.",
        "Each entry is what `docker buildx build --cache-to` takes; `mode=max` stores the layers of all stages.",
        default=(),
        group="Cache",
        example=("type=registry,ref=acme.jfrog.io/docker-local/api:cache,mode=max",),
        honoured_by="engine",
        separator=";",
    )
    remote_cache_repo: RepositoryText | None = setting(
        "Repository in which layers are kept for later builds.",
        "It is read and written. With buildx the layers of all stages are there under the tag `buildcache`. "
        "Without a host, it is at the registry where a {setting}`repo` without a host is.",
        group="Cache",
        example="acme.jfrog.io/docker-local/api-cache",
        honoured_by="engine",
        aliases=("PLUGIN_CACHE_REPO",),
    )
