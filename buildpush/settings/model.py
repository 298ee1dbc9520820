"""Every setting there is: a table, not logic.

One declaration per setting: type, default, sentence, explanation, group, example, who honours it.
YAML key, variable, flag, help, documentation and schema are derived from it (``declare.py``).
"""

# Flags of other programs in this module's texts: --from --mount

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from buildpush.engines import AUTO, ENGINES
from buildpush.images.model import Compression, MediaTypes
from buildpush.settings.declare import (
    Setting,
    Settings,
    Variable,
    camel_case,
    flag_names,
    said,
    setting,
    setting_named,
    settings_of,
    variable_name,
)
from buildpush.settings.fields import REQUIRED, Model
from buildpush.settings.kinds import (
    Address,
    AnyText,
    AutoSwitch,
    BuildArgs,
    BuildContexts,
    Caches,
    CacheText,
    ContextText,
    Cores,
    Duration,
    EnvSecrets,
    FileSecrets,
    FileText,
    HostAddresses,
    Identifier,
    Labels,
    Line,
    Memory,
    Mirror,
    Number,
    PinnedReference,
    Platforms,
    ReferenceText,
    RegistryText,
    RepositoryText,
    SecretReference,
    SshKeys,
    Stage,
    StepName,
    Structure,
    Switch,
    Tags,
    Text,
    Texts,
    When,
)

__all__ = [
    "BuildAndPush",
    "Limits",
    "PublishBuildInfo",
    "Resources",
    "Setting",
    "Settings",
    "StepSettings",
    "Variable",
    "camel_case",
    "flag_names",
    "said",
    "setting_named",
    "settings_of",
    "variable_name",
]

Network = Literal["default", "none", "host"]
# What stands in a table is known as the code runs, not as it is checked.
if TYPE_CHECKING:
    EngineName = str
else:
    EngineName = Literal[AUTO, *ENGINES]


class Limits(Model):
    """Memory in bytes and processor cores of a container."""

    memory: Memory | None = None
    cpu: Cores | None = None


class Resources(Model):
    """What a container may use at most, and what it wants at least."""

    limits: Limits | None = None
    requests: Limits | None = None


class StepSettings(Settings):
    """What every kind of step has."""

    identifier: Identifier = setting(
        "Short name of the step, by which `--step` and expressions know it.",
        "Without it, made from {setting}`name`.",
        default="",
        group="Step",
        example="build_api",
        honoured_by="run",
        place="step",
    )
    name: StepName = setting(
        "Name of the step for people.",
        default="",
        group="Step",
        example="Build API",
        honoured_by="run",
        place="step",
    )
    description: AnyText = setting(
        "What the step is for.",
        default="",
        group="Step",
        example="The API of the shop",
        honoured_by="run",
        place="step",
    )
    timeout: Duration | None = setting(
        "Time after which the step is stopped and fails.",
        "Harness stops a step after 10 minutes if nothing is said; here it may take its time. "
        "Fetching a {setting}`context` that is no folder may take as long once more.",
        group="Step",
        example="1h 30m",
        honoured_by="run",
        place="step",
    )
    when: When = setting(
        "Condition under which the step runs.",
        group="Step",
        example={"stageStatus": "Success", "condition": '<+codebase.branch> == "main"'},
        honoured_by="",
        instead="run the step by hand where it should run, or leave the condition out",
        place="step",
    )
    failure_strategies: Structure = setting(
        "What happens if the step fails.",
        group="Step",
        example=[{"onFailure": {"errors": ["AllErrors"], "action": {"type": "Ignore"}}}],
        honoured_by="",
        instead="leave it out: a step that fails ends the run",
        place="step",
    )
    strategy: Structure = setting(
        "Loop that runs the step several times.",
        group="Step",
        example={"repeat": {"times": "2"}},
        honoured_by="",
        instead="call buildpush once for each value, with flags",
        place="step",
    )
    enforce: Structure = setting(
        "Policy sets that Harness checks the step against.",
        group="Step",
        example={"policySets": ["account.images"]},
        honoured_by="",
        instead="leave it out: policies are checked by Harness only",
        place="step",
    )


class BuildAndPush(StepSettings):
    """Build an image and push it: the step ``BuildAndPushDockerRegistry``, with build-info."""

    # Image

    repo: RepositoryText = setting(
        "Registry host, repository and image name to push to.",
        "For JFrog this is `HOST/REPOSITORY_KEY/IMAGE`, all lower case after the host, without a tag: "
        "those go into {setting}`tags`.",
        default=REQUIRED,
        group="Image",
        example="acme.jfrog.io/docker-local/team/api",
        honoured_by="push",
    )
    tags: Tags = setting(
        "Tags the pushed image answers to.",
        "Every tag names the same manifest: the image is uploaded once. See also {setting}`repo`.",
        default=("latest",),
        group="Image",
        example=("1.4.2", "latest"),
        honoured_by="push",
        aliases=("PLUGIN_TAG",),
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
        "The Dockerfile, relative to the working folder.",
        "The working folder is the one you start buildpush in, as in the step it is the root of the code.",
        default="Dockerfile",
        group="Build",
        example="docker/Dockerfile",
        honoured_by="engine",
    )
    context: ContextText = setting(
        "The folder whose files COPY and ADD may use.",
        "A `.dockerignore` in it hides files from the build. "
        "It may also be a repository of git, as `https://HOST/REPOSITORY.git#BRANCH:FOLDER`, a tar of this machine or "
        "of the web, compressed or not, or `-` for a tar on standard input; then the Dockerfile counts from there. "
        "git logs in by its own helpers; a token may stand before the host, `https://TOKEN@HOST/...`, and is shown "
        "nowhere.",
        default=".",
        group="Build",
        example="service",
        honoured_by="engine",
    )
    build_args: BuildArgs = setting(
        "Values for the ARG instructions of the Dockerfile.",
        "They stay visible in the history of the image, so they hold no secrets: see {setting}`env_docker_secrets`. "
        "In the variable, a comma separates two arguments; for values with a comma set "
        "`PLUGIN_MULTIPLE_BUILD_ARGS` and separate by semicolons in `PLUGIN_BUILD_ARGS_NEW`.",
        default={},
        group="Build",
        example={"PYTHON_VERSION": "3.12"},
        honoured_by="engine",
        aliases=(Variable("PLUGIN_BUILD_ARGS_NEW", ";", only_with="PLUGIN_MULTIPLE_BUILD_ARGS"),),
    )
    target: Stage | None = setting(
        "The stage of the Dockerfile to build; without it, the last one.",
        group="Build",
        example="runtime",
        honoured_by="engine",
    )
    no_cache: Switch = setting(
        "Whether to run every instruction anew, without the engine's cache.",
        default=False,
        group="Build",
        example=True,
        honoured_by="engine",
        place="env",
    )
    env_docker_secrets: EnvSecrets = setting(
        "Build secrets from variables: secret id to variable name.",
        "A `RUN --mount=type=secret,id=ID` of the Dockerfile reads them; they leave no trace in the image.",
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
        "Whether base images are asked for anew even where the engine has them already.",
        "The plugins of Harness do so unless told otherwise; here an image that only this machine has may be a base.",
        default=False,
        group="Build",
        example=True,
        honoured_by="engine",
        place="env",
    )
    add_host: HostAddresses = setting(
        "Names of hosts that RUN knows beside those of DNS, as `HOST:IP`.",
        default=(),
        group="Build",
        example=("db.test:10.0.0.7",),
        honoured_by="engine",
        place="env",
    )
    network: Network | None = setting(
        "The network that RUN sees: `default`, `none`, or `host` for the machine's own.",
        "A BuildKit of its own allows `host` only if it was started with the entitlement `network.host`.",
        group="Build",
        example="none",
        honoured_by="engine",
        place="env",
    )
    mirror: Mirror | None = setting(
        "The registry that base images of Docker Hub are pulled from, in its place.",
        "For Artifactory it is a remote or virtual repository, as `acme.jfrog.io/docker-hub`. "
        "A Docker daemon and a BuildKit have mirrors in their own configuration only.",
        group="Build",
        example="acme.jfrog.io/docker-hub",
        honoured_by="engine",
        place="env",
    )
    build_contexts: BuildContexts = setting(
        "More contexts, by the name that `COPY --from=NAME` and `FROM NAME` give them.",
        "Each is a folder, relative to the working folder, or what BuildKit fetches: `docker-image://NAME:TAG`, "
        "`https://HOST/REPOSITORY.git#BRANCH`, `oci-layout://FOLDER@DIGEST`.",
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
        "It makes no difference to the image, and other engines say that they leave it alone.",
        default=False,
        group="Build",
        example=True,
        honoured_by="engine",
        hint=True,
    )

    # Cache

    caching: Switch = setting(
        "Whether layers are kept between builds on this machine.",
        "Harness keeps them in its own storage; here they lie in buildpush's state folder, those of each "
        "{setting}`repo` apart, at most 10 GiB in all. {setting}`remote_cache_repo` comes first.",
        default=False,
        group="Cache",
        example=True,
        honoured_by="engine",
    )
    cache_from: Caches = setting(
        "Where layers of earlier builds are looked for.",
        "Each entry is what `docker buildx build --cache-from` takes: `type=registry,ref=HOST/NAME:TAG`, "
        "`type=local,src=FOLDER`, or an image's name. A cache that is not there is no error.",
        default=(),
        group="Cache",
        example=("type=registry,ref=acme.jfrog.io/docker-local/api:cache",),
        honoured_by="engine",
        separator=";",
    )
    cache_to: CacheText | None = setting(
        "Where layers are left for later builds.",
        "It is what `docker buildx build --cache-to` takes; `mode=max` leaves the layers of all stages.",
        group="Cache",
        example="type=registry,ref=acme.jfrog.io/docker-local/api:cache,mode=max",
        honoured_by="engine",
    )
    remote_cache_repo: RepositoryText | None = setting(
        "Repository in which layers are kept for later builds.",
        "It is read and written. With buildx the layers of all stages lie there under the tag `buildcache`.",
        group="Cache",
        example="acme.jfrog.io/docker-local/api-cache",
        honoured_by="engine",
        aliases=("PLUGIN_CACHE_REPO",),
    )

    # Registry

    connector_ref: Text | None = setting(
        "The connector that knows the registry's address, user and password.",
        "It is looked up in the file given by `--connectors`, by its identifier; `account.` and `org.` may stand "
        "in front as in Harness. Without it, credentials come from {setting}`username` and {setting}`password`, "
        "then from `DOCKER_AUTH_CONFIG` and Docker's own files and helpers.",
        group="Registry",
        example="account.jfrog",
        honoured_by="push",
    )
    registry_ref: Text | None = setting(
        "A registry of Harness Artifact Registry, in place of a connector.",
        "It does not exist outside Harness; a JFrog registry is named by {setting}`connector_ref`.",
        group="Registry",
        example="my_registry",
        honoured_by="",
        instead="name the registry of JFrog by connectorRef, or give username and password",
    )
    base_image_connector_refs: Texts = setting(
        "The connector with credentials for the images in FROM.",
        "Harness takes a list and uses its first entry; here every connector counts for its own host.",
        default=(),
        group="Registry",
        example=("account.base_images",),
        honoured_by="engine",
    )
    username: Text | None = setting(
        "User to push as, where no connector says it.",
        group="Registry",
        example="ci-bot",
        honoured_by="push",
        place="env",
    )
    password: SecretReference | None = setting(
        "Where the password or token of {setting}`username` is.",
        'In a file it is a reference: `env:NAME`, `file:PATH`, `secret:ID` or `<+secrets.getValue("ID")>`. '
        "The variable may hold the password itself, as in Harness.",
        group="Registry",
        example="env:REGISTRY_PASSWORD",
        honoured_by="push",
        place="env",
    )

    registry: RegistryText | None = setting(
        "The registry that {setting}`username` and {setting}`password` are for, and no other host.",
        "Without it they are for the host of {setting}`repo`, if that is named where they are given, or nearer: "
        "a password of the environment does not follow a host that a file names.",
        group="Registry",
        example="acme.jfrog.io",
        honoured_by="push",
        place="env",
    )

    insecure: Switch = setting(
        "Whether the registry that is pushed to may show any certificate, or speak no TLS.",
        "TLS is tried first, and what is secret goes out in plain only where the host speaks none. "
        "Any other host, such as that of a base image, is spoken to without TLS where its connector's "
        "`dockerRegistryUrl` begins with `http://`; a private authority is named by `SSL_CERT_FILE`.",
        default=False,
        group="Registry",
        example=True,
        honoured_by="push",
        place="env",
    )

    # Push

    push: Switch = setting(
        "Whether the built image is pushed.",
        "With `false`, nothing leaves this machine and no build-info is published.",
        default=True,
        group="Push",
        example=False,
        honoured_by="run",
        place="env",
        aliases=(Variable("PLUGIN_DRY_RUN", inverted=True), Variable("PLUGIN_NO_PUSH", inverted=True)),
    )
    push_only: Switch = setting(
        "Whether an image that is there already is pushed, and nothing is built.",
        "It is {setting}`source_image` or {setting}`source_tar_path`; without both, the Docker daemon's own image of "
        "the name that is pushed.",
        default=False,
        group="Push",
        example=True,
        honoured_by="run",
        place="env",
    )
    source_image: Text | None = setting(
        "The image of the Docker daemon that {setting}`push_only` pushes.",
        "Without a tag, `latest` is meant.",
        group="Push",
        example="app:tested",
        honoured_by="run",
        place="env",
    )
    source_tar_path: FileText | None = setting(
        "The archive that {setting}`push_only` pushes: Docker's (`docker save`) or OCI's.",
        "It counts from the working folder.",
        group="Push",
        example="build/image.tar",
        honoured_by="run",
        place="env",
    )
    tar_path: FileText | None = setting(
        "A file that the built image is also written to, as a Docker archive.",
        "With {setting}`push` at `false` it goes only there.",
        group="Push",
        example="build/image.tar",
        honoured_by="run",
        place="env",
        aliases=(Variable("PLUGIN_DESTINATION_TAR_PATH"),),
    )
    compression: Compression = setting(
        "How layers are compressed for the registry.",
        "Layers that are compressed already, such as those of a base image, are sent as they are.",
        default="gzip",
        group="Push",
        example="zstd",
        honoured_by="push",
        place="env",
    )
    media_types: MediaTypes = setting(
        "Whether manifests are written in OCI's or in Docker's format.",
        "Old servers and clients may know only Docker's.",
        default="oci",
        group="Push",
        example="docker",
        honoured_by="push",
        place="env",
    )
    allow_nondistributable_artifacts: Switch = setting(
        "Whether layers go along whose media type says that they are fetched from their maker.",
        "Those of older Windows images are such. They come from where the image is, else from the addresses in its "
        "manifest. Without it, an image that is there already is pushed without them, and a note says so.",
        default=False,
        group="Push",
        example=True,
        honoured_by="push",
        place="env",
    )

    # Build-info

    publish_build_info: AutoSwitch = setting(
        "Whether build-info is published to Artifactory after the push: yes, no or auto.",
        "With `auto`, it is published if {setting}`artifactory_url` is known, be it from `JF_URL`.",
        group="Build-info",
        example=True,
        honoured_by="publish",
        place="env",
    )
    artifactory_url: Address | None = setting(
        "Address of Artifactory, for build-info.",
        "It ends in `/artifactory`; for an address of the whole JFrog platform that part is added.",
        group="Build-info",
        example="https://acme.jfrog.io/artifactory",
        honoured_by="publish",
        place="env",
        ambient=("JF_URL",),
    )
    artifactory_token: SecretReference | None = setting(
        "Where the access token for Artifactory is.",
        "Without it, the credential of the push is used if the registry is the same host.",
        group="Build-info",
        example="env:ARTIFACTORY_TOKEN",
        honoured_by="publish",
        place="env",
        aliases=("PLUGIN_ACCESS_TOKEN",),
        ambient=("JF_ACCESS_TOKEN",),
    )
    build_name: Text | None = setting(
        "Name of the build in Artifactory.",
        "Without it, the name of the pipeline, else the name of the image.",
        group="Build-info",
        example="api",
        honoured_by="publish",
        place="env",
        ambient=("JFROG_CLI_BUILD_NAME",),
    )
    build_number: Text | None = setting(
        "Number of the build in Artifactory.",
        "Without it, the number that the CI system or the counter on this machine gives.",
        group="Build-info",
        example="42",
        honoured_by="publish",
        place="env",
        ambient=("JFROG_CLI_BUILD_NUMBER",),
    )
    build_url: Address | None = setting(
        "Link from the build in Artifactory back to the run that made it.",
        group="Build-info",
        example="https://ci.example.com/runs/42",
        honoured_by="publish",
        place="env",
        ambient=("JFROG_CLI_BUILD_URL",),
    )
    build_project: Text | None = setting(
        "Key of the JFrog project that the build belongs to.",
        group="Build-info",
        example="team",
        honoured_by="publish",
        place="env",
        ambient=("JFROG_CLI_BUILD_PROJECT", "JF_PROJECT"),
    )
    build_module: Text | None = setting(
        "Name of the module in the build-info.",
        "Without it, image name and tag, as `jf` does.",
        group="Build-info",
        example="api:1.4.2",
        honoured_by="publish",
        place="env",
    )
    env_include: Texts = setting(
        "Variables to record in the build-info, as names or patterns with `*`.",
        "None without it. Names that look like secrets, and all that `jf` leaves out, are left out even if a pattern "
        "covers them, and values that look like secrets always; a note tells which.",
        default=(),
        group="Build-info",
        example=("CI", "GIT_*"),
        honoured_by="publish",
        place="env",
    )

    # Run

    engine: EngineName = setting(
        "Who builds the image.",
        "With `auto`, buildpush chooses one that is here and can do what the step asks for, and says why.",
        default="auto",
        group="Run",
        example="native",
        honoured_by="run",
        place="env",
    )
    place: Literal["here"] = setting(
        "Where the engine runs.",
        "`here` is this machine, and the only place for now.",
        default="here",
        group="Run",
        example="here",
        honoured_by="run",
        place="env",
    )
    fetch_limit: Memory = setting(
        "Bytes that a file of the web, or a context that is a tar, may have.",
        "It holds for what the engine `native` fetches for `ADD`, and for a {setting}`context` that is fetched or "
        "unpacked here, with all its files; of those there may be one for each KiB of it. "
        "Without a limit, a hostile or broken server fills the disk.",
        default=10 * 1024**3,
        group="Run",
        example="50Gi",
        honoured_by="run",
        place="env",
    )
    kaniko_image: PinnedReference | None = setting(
        "Image with kaniko's executor, pinned by its digest.",
        "The engine `kaniko` runs in a container of it, started by docker or podman. "
        "There is no default: releases are published as `ghcr.io/osscontainertools/kaniko`, and which one you trust "
        "is yours to say.",
        group="Run",
        example="acme.jfrog.io/docker-remote/kaniko@sha256:" + 4 * "0123456789abcdef",
        honoured_by="run",
        place="env",
    )
    run_as_user: Number | None = setting(
        "Numeric user that all processes of the step's container run as.",
        "It means something only where the engine runs in a container of its own. "
        "Today that is kaniko alone, which must be root: `0`.",
        group="Run",
        example=0,
        honoured_by="engine",
    )
    resources: Resources | None = setting(
        "Memory and processor limits of the step's container.",
        "They mean something only where the engine runs in a container of its own, as kaniko does. "
        "A container that needs more memory is killed. "
        "`requests` choose a machine in a cluster, and have no effect here.",
        group="Run",
        example={"limits": {"memory": "2Gi", "cpu": "1"}},
        honoured_by="engine",
    )
    privileged: Switch = setting(
        "Whether the step's container may do everything.",
        "It means something only where the engine runs in a container of its own, as kaniko does, and that one does "
        "not need it.",
        default=False,
        group="Run",
        example=True,
        honoured_by="engine",
    )
    reports: Structure = setting(
        "Test reports to collect after the step.",
        group="Run",
        example={"type": "JUnit", "spec": {"paths": ["*.xml"]}},
        honoured_by="",
        instead="leave it out: the step makes no reports",
    )
    env_variables: Structure = setting(
        "Settings written as variables in a step file.",
        "Harness hands them to its plugins, so a step file with settings of ours stays valid there. "
        "They say the settings whose variables they name, and win over `spec`.",
        group="Run",
        example={"PLUGIN_ENGINE": "native"},
        honoured_by="run",
    )


class PublishBuildInfo(StepSettings):
    """Publish build-info of an image that is pushed already: the plugin step of Harness."""

    docker_image: ReferenceText = setting(
        "The pushed image, with its tag.",
        default=REQUIRED,
        group="Build-info",
        example="acme.jfrog.io/docker-local/team/api:1.4.2",
        honoured_by="publish",
        place="settings",
    )
    url: Address = setting(
        "Address of Artifactory; what follows `/artifactory` in it is cut.",
        default=REQUIRED,
        group="Build-info",
        example="https://acme.jfrog.io/artifactory/",
        honoured_by="publish",
        place="settings",
        ambient=("JF_URL",),
    )
    access_token: SecretReference | None = setting(
        "Where the access token for Artifactory is.",
        group="Build-info",
        example="env:ARTIFACTORY_TOKEN",
        honoured_by="publish",
        place="settings",
        ambient=("JF_ACCESS_TOKEN",),
    )
    username: Text | None = setting(
        "User for Artifactory, where there is no token.",
        group="Build-info",
        example="ci-bot",
        honoured_by="publish",
        place="settings",
    )
    password: SecretReference | None = setting(
        "Where the password of {setting}`username` is.",
        group="Build-info",
        example="env:ARTIFACTORY_PASSWORD",
        honoured_by="publish",
        place="settings",
    )
    api_key: SecretReference | None = setting(
        "Where the API key of {setting}`username` is; Artifactory takes it in place of a password.",
        group="Build-info",
        example="env:ARTIFACTORY_API_KEY",
        honoured_by="publish",
        place="settings",
    )
    build_name: Text = setting(
        "Name of the build in Artifactory.",
        default=REQUIRED,
        group="Build-info",
        example="api",
        honoured_by="publish",
        place="settings",
        ambient=("JFROG_CLI_BUILD_NAME",),
    )
    build_number: Text = setting(
        "Number of the build in Artifactory.",
        default=REQUIRED,
        group="Build-info",
        example="42",
        honoured_by="publish",
        place="settings",
        ambient=("JFROG_CLI_BUILD_NUMBER",),
    )
    build_url: Address | None = setting(
        "Link from the build in Artifactory back to the run that made it.",
        group="Build-info",
        example="https://ci.example.com/runs/42",
        honoured_by="publish",
        place="settings",
        ambient=("JFROG_CLI_BUILD_URL",),
    )
    git_path: FileText | None = setting(
        "Folder whose git history names the revision; without it, the working folder.",
        group="Build-info",
        example="service",
        honoured_by="publish",
        place="settings",
    )
    insecure: Switch = setting(
        "Whether a server with an unknown certificate is trusted.",
        "Harness' plugin declares it and leaves it alone; here a private authority is named by `SSL_CERT_FILE`.",
        default=False,
        group="Build-info",
        example=True,
        honoured_by="",
        instead="leave it out, and name a private authority by SSL_CERT_FILE",
        place="settings",
    )
    pem_file_contents: Line | None = setting(
        "Text of a certificate to trust.",
        "Harness' plugin declares it and leaves it alone; here a private authority is named by `SSL_CERT_FILE`.",
        group="Build-info",
        example="-----BEGIN CERTIFICATE-----",
        honoured_by="",
        instead="leave it out, and name a private authority by SSL_CERT_FILE",
        place="settings",
    )
    pem_file_path: FileText | None = setting(
        "File of a certificate to trust.",
        "Harness' plugin declares it and leaves it alone; here a private authority is named by `SSL_CERT_FILE`.",
        group="Build-info",
        example="certificates/acme.pem",
        honoured_by="",
        instead="leave it out, and name a private authority by SSL_CERT_FILE",
        place="settings",
    )
    log_level: Text | None = setting(
        "How much the `jf` program inside Harness' plugin says; nothing here runs it.",
        group="Build-info",
        example="DEBUG",
        honoured_by="",
        place="settings",
        hint=True,
    )
