"""Every setting: a table, not logic.

One declaration per setting: type, default, sentence, explanation, group, example, who honours it.
YAML key, variable, flag, help, documentation and schema are derived from it (``declare.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from buildpush.engines import AUTO, ENGINES
from buildpush.images.model import Compression, MediaTypes
from buildpush.settings.attestation_settings import AttestationSettings
from buildpush.settings.declare import Variable, setting
from buildpush.settings.fields import Model
from buildpush.settings.kinds import (
    AddressText,
    AutoSwitch,
    ByteCount,
    Cores,
    Count,
    FileText,
    PinnedReference,
    RegistryText,
    SecretText,
    Structure,
    Switch,
    Text,
    Texts,
    WholeNumber,
)
from buildpush.settings.step_settings import compat_setting, issues_setting

# The contents of a table are known when the code runs, not when its types are checked.
if TYPE_CHECKING:
    EngineName = str
else:
    EngineName = Literal[AUTO, *ENGINES]


class ResourceLimits(Model):
    """Memory in bytes and processor cores of a container."""

    memory: ByteCount | None = None
    cpu: Cores | None = None


class Resources(Model):
    """The maximum and the minimum of what a container may use."""

    limits: ResourceLimits | None = None
    requests: ResourceLimits | None = None


class BuildAndPush(AttestationSettings):
    """Build an image and push it: the step ``BuildAndPushDockerRegistry``, with build-info."""

    # Registry

    connector_ref: Text | None = setting(
        "The connector that holds the registry's address, user and password.",
        "It is looked up in the file given by `--connectors`, by its identifier; `account.` or `org.` may "
        "precede it, as in Harness. Without it, credentials come from {setting}`username` and {setting}`password`, "
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
        alternative="name the registry of JFrog by connectorRef, or give username and password",
    )
    base_image_connector_refs: Texts = setting(
        "The connector with credentials for the images in FROM.",
        "Harness takes a list and uses its first entry; here, the first connector for each host is used.",
        default=(),
        group="Registry",
        example=("account.base_images",),
        honoured_by="engine",
    )
    username: Text | None = setting(
        "User to push as, if no connector gives one.",
        group="Registry",
        example="ci-bot",
        honoured_by="push",
        place="env",
    )
    password: SecretText | None = setting(
        "Reference to the password or token of {setting}`username`.",
        'In a file, it is `env:NAME`, `file:PATH`, `secret:ID` or `<+secrets.getValue("ID")>`. '
        "The variable may hold the password itself, as in Harness.",
        group="Registry",
        example="env:REGISTRY_PASSWORD",
        honoured_by="push",
        place="env",
    )

    docker_config: SecretText | None = setting(
        "Reference to the text of a `config.json` of Docker, whose logins are used for their hosts.",
        "A connector, or {setting}`username` and {setting}`password`, come first; Docker's own files come last. "
        "The variable may hold the text itself, as in Harness.",
        group="Registry",
        example="env:DOCKER_CONFIG_TEXT",
        honoured_by="run",
        place="env",
        aliases=("PLUGIN_CONFIG", "DOCKER_PLUGIN_CONFIG"),
    )
    registry: RegistryText | None = setting(
        "The registry that {setting}`username` and {setting}`password` are for, and no other host; a {setting}`repo` "
        "without a host is there.",
        "Without it, they are for the host of {setting}`repo`, if that is set in the same kind of place, or nearer: "
        "a password from the environment is not sent to a host that a file names.",
        group="Registry",
        example="acme.jfrog.io",
        honoured_by="push",
        place="env",
    )

    insecure: Switch = setting(
        "Whether the registry that is pushed to may have any certificate, or no TLS.",
        "TLS is tried first, and secrets are sent without it only if the host does not offer it. "
        "Any other host, such as that of a base image, is reached without TLS if its connector's "
        "`dockerRegistryUrl` begins with `http://`; for a private authority, set `SSL_CERT_FILE`.",
        default=False,
        group="Registry",
        example=True,
        honoured_by="push",
        place="env",
        aliases=("PLUGIN_SKIP_TLS_VERIFY",),
    )

    # Push

    push: Switch = setting(
        "Whether the built image is pushed.",
        "With `false`, nothing leaves this machine and no build-info is published. "
        "An image that the Docker daemon builds then stays there, as with {setting}`load`, unless that is `false`, "
        "the image goes to a file, or has several platforms; a note says so if it is stored nowhere. "
        "In the environment, `KANIKO_NO_PUSH` counts only where kaniko may build.",
        default=True,
        group="Push",
        example=False,
        honoured_by="run",
        place="env",
        aliases=(
            Variable("PLUGIN_DRY_RUN", inverted=True),
            Variable("PLUGIN_NO_PUSH", inverted=True),
            Variable("KANIKO_NO_PUSH", inverted=True),
        ),
    )
    push_only: Switch = setting(
        "Whether an existing image is pushed, and nothing is built.",
        "It is {setting}`source_image` or {setting}`source_tar_path`; without either, the image of the Docker daemon "
        "that has the name to push.",
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
        "A relative path starts at the working directory.",
        group="Push",
        example="build/image.tar",
        honoured_by="run",
        place="env",
    )
    tar_path: FileText | None = setting(
        "A file that the built image is also written to, in the format of {setting}`tar_format`.",
        "With {setting}`push` at `false` it goes only there.",
        group="Push",
        example="build/image.tar",
        honoured_by="run",
        place="env",
        aliases=(Variable("PLUGIN_DESTINATION_TAR_PATH"),),
    )
    tar_format: Literal["docker", "oci"] = setting(
        "Whether {setting}`tar_path` is a Docker archive or an OCI archive.",
        "An OCI archive can also hold an image for several platforms.",
        default="docker",
        group="Push",
        example="oci",
        honoured_by="run",
        place="env",
        aliases=("PLUGIN_BUILDX_OUTPUT_FORMAT",),
    )
    oci_layout_path: FileText | None = setting(
        "A directory that the built image is also written to, as an OCI layout.",
        "With {setting}`push` at `false` it goes only there. Images that the layout holds already stay.",
        group="Push",
        example="build/layout",
        honoured_by="run",
        place="env",
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
        "Old servers and clients may support only Docker's.",
        default="oci",
        group="Push",
        example="docker",
        honoured_by="push",
        place="env",
    )
    allow_nondistributable_artifacts: Switch = setting(
        "Whether layers are pushed whose media type says that they are fetched from their vendor.",
        "Older Windows images have such layers. They come from where the image is, else from the addresses in its "
        "manifest. Without it, an existing image is pushed without them, and a note is printed.",
        default=False,
        group="Push",
        example=True,
        honoured_by="push",
        place="env",
    )
    push_retry: Count | None = setting(
        "How often a request to the registry is tried again, with growing pauses.",
        "Without it, 5 times; a registry that restarts is tried for about a minute. "
        "It applies to every host that buildpush itself talks to for the step.",
        group="Push",
        example=3,
        honoured_by="push",
        place="env",
    )
    artifact_file: FileText | None = setting(
        "A file that gets the pushed references with their digest, as Harness' plugins write it.",
        "It is the JSON from which Harness shows the artifacts of a step. A file of an earlier run is removed first; "
        "steps of one run that name one file add to it.",
        group="Push",
        example="artifact.json",
        honoured_by="push",
        place="env",
    )
    registry_type: Literal["Docker", "ECR", "GCR", "ACR", "GAR"] = setting(
        "The kind of registry that {setting}`artifact_file` names; the push is the same for each.",
        default="Docker",
        group="Push",
        example="GAR",
        honoured_by="push",
        place="env",
    )
    artifact_registry: Text | None = setting(
        "The address of the registry that {setting}`artifact_file` names.",
        "Without it, the address of the host that was pushed to.",
        group="Push",
        example="https://acme.jfrog.io",
        honoured_by="push",
        place="env",
        ambient=("ARTIFACT_REGISTRY",),
    )
    metadata_file: FileText | None = setting(
        "A file that gets the digest and the names of what was pushed, as buildx writes it.",
        group="Push",
        example="metadata.json",
        honoured_by="push",
        place="env",
    )
    image_name_with_digest_file: FileText | None = setting(
        "A file that gets `HOST/NAME@DIGEST` of what was pushed, as kaniko writes it.",
        group="Push",
        example="image.txt",
        honoured_by="push",
        place="env",
    )
    image_name_tag_with_digest_file: FileText | None = setting(
        "A file that gets `HOST/NAME:TAG@DIGEST` of what was pushed, a line for each tag, as kaniko writes it.",
        group="Push",
        example="images.txt",
        honoured_by="push",
        place="env",
    )

    dotenv_file: FileText | None = setting(
        "A file that gets `BUILDPUSH_DIGEST`, `BUILDPUSH_IMAGE`, `BUILDPUSH_IMAGES` and `BUILDPUSH_BUILD_INFO_URL`.",
        "Each is a line `NAME=VALUE` without quotation marks, as GitLab reads it: name the file in "
        "`artifacts:reports:dotenv` of the job, and later jobs have the variables.",
        group="Push",
        example="buildpush.env",
        honoured_by="push",
        place="env",
    )
    annotations_file: FileText | None = setting(
        "A file that gets the links to the build-infos of what was pushed, for the page of a job of GitLab.",
        "Name it in `artifacts:reports:annotations` of the job; without a build-info, its list is empty.",
        group="Push",
        example="annotations.json",
        honoured_by="push",
        place="env",
    )

    # Build-info

    publish_build_info: AutoSwitch = setting(
        "Whether build-info is published to Artifactory after the push: yes, no or auto.",
        "With `auto`, it is published if {setting}`artifactory_url` is known, also if it comes from `JF_URL`.",
        group="Build-info",
        example=True,
        honoured_by="publish",
        place="env",
    )
    artifactory_url: AddressText | None = setting(
        "Address of Artifactory, for build-info.",
        "It ends in `/artifactory`; for an address of the whole JFrog platform that part is added.",
        group="Build-info",
        example="https://acme.jfrog.io/artifactory",
        honoured_by="publish",
        place="env",
        ambient=("JF_URL",),
    )
    artifactory_token: SecretText | None = setting(
        "Reference to the access token for Artifactory.",
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
        "Without it, the name of the pipeline, else what the CI system runs: repository, workflow and job on GitHub, "
        "project and job on GitLab, the job of Jenkins, and so on; else the name of the image. With "
        "{setting}`build_dir` it is without the job, since several may take part.",
        group="Build-info",
        example="api",
        honoured_by="publish",
        place="env",
        ambient=("JFROG_CLI_BUILD_NAME",),
    )
    build_number: Text | None = setting(
        "Number of the build in Artifactory.",
        "Without it, the number that the CI system or the counter on this machine gives; a later attempt of the same "
        "run of GitHub or Azure has its number behind that, as in `42.2`.",
        group="Build-info",
        example="42",
        honoured_by="publish",
        place="env",
        ambient=("JFROG_CLI_BUILD_NUMBER",),
    )
    build_exists: Literal["add", "refuse", "replace"] = setting(
        "What follows if the build has runs of the same number already: one more, an error, or one in their place.",
        "`refuse` is an error before anything is built. `replace` deletes the earlier ones right before the new one is "
        "sent, which needs the permissions Delete and Manage on builds.",
        default="add",
        group="Build-info",
        example="refuse",
        honoured_by="publish",
        place="env",
    )
    build_dir: FileText | None = setting(
        "Directory that collects the modules of a build, from several runs, jobs and machines.",
        "The run adds its modules there and publishes nothing; `buildpush build-info publish` publishes what one or "
        "several of these directories have. Without it, the run publishes its own.",
        group="Build-info",
        example="build-info",
        honoured_by="publish",
        place="env",
    )
    build_url: AddressText | None = setting(
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
    compat: Literal["jf"] | None = compat_setting("env")
    issues_tracker: Text | None = issues_setting("tracker", "env")
    issues_regexp: Text | None = issues_setting("regexp", "env")
    issues_url: AddressText | None = issues_setting("url", "env")
    env_include: Texts = setting(
        "Variables to record in the build-info, as names or patterns with `*`.",
        "Without it, none are. Names that look like secrets, and those that `jf` leaves out, are left out even if a "
        "pattern matches them, and so are values that look like secrets; a note names what is left out.",
        default=(),
        group="Build-info",
        example=("CI", "GIT_*"),
        honoured_by="publish",
        place="env",
    )

    # Run

    engine: EngineName = setting(
        "The engine that builds the image.",
        "With `auto`, buildpush chooses one that is installed and supports what the step sets, and prints the reason.",
        default="auto",
        group="Run",
        example="native",
        honoured_by="run",
        place="env",
    )
    fetch_limit: ByteCount = setting(
        "Maximum size of a file from the web, and of a context that is a tar.",
        "It applies to what the engine `native` fetches for `ADD`, and to all files of a {setting}`context` that is "
        "fetched or unpacked here, which may be one for each KiB of the limit. "
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
        "is your decision.",
        group="Run",
        example="acme.jfrog.io/docker-remote/kaniko@sha256:" + 4 * "0123456789abcdef",
        honoured_by="run",
        place="env",
    )
    run_as_user: WholeNumber | None = setting(
        "Numeric user that all processes of the step's container run as.",
        "It has an effect only if the engine runs in its own container, as kaniko does, which must be root: `0`; or in "
        "a Job, see {setting}`place`.",
        group="Run",
        example=0,
        honoured_by="engine",
    )
    resources: Resources | None = setting(
        "Memory and processor limits of the step's container.",
        "They have an effect only if the engine runs in its own container, as kaniko does, or in a Job, see "
        "{setting}`place`. A container that needs more memory is killed. "
        "`requests` choose the node of a Job, and have no effect elsewhere.",
        group="Run",
        example={"limits": {"memory": "2Gi", "cpu": "1"}},
        honoured_by="engine",
    )
    privileged: Switch = setting(
        "Whether the step's container may do everything.",
        "It has an effect only if the engine runs in its own container, as kaniko does, which does not need it; or in "
        "a Job.",
        default=False,
        group="Run",
        example=True,
        honoured_by="engine",
    )
    reports: Structure = setting(
        "Test reports to collect after the step; a build makes none, so this has no effect, as in Harness.",
        group="Run",
        example={"type": "JUnit", "spec": {"paths": ["*.xml"]}},
        honoured_by="",
        harmless=True,
    )
    env_variables: Structure = setting(
        "Settings written as variables in a step file.",
        "Harness hands them to its plugins, so a step file with buildpush's settings stays valid there. "
        "They set the settings whose variables they name, and override `spec`.",
        group="Run",
        example={"PLUGIN_ENGINE": "native"},
        honoured_by="run",
    )
