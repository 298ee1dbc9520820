"""The settings of a step as keywords, for type checkers and editors.

Generated from the declarations: ``python -m buildpush.reference.step_keywords`` writes it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from buildpush.foundation.secrets import Secret


class StepSettings(TypedDict, total=False):
    """Keywords of ``run``, ``build``, ``check`` and ``load``: the settings of every kind of step.

    ``None`` sets nothing.
    """

    identifier: str | None
    """Short name of the step, for `--step` and expressions.

    Without it, made from `name`.

    Example: `buildpush.run("step.yml", identifier='build_api')`.
    """

    name: str | None
    """Name of the step for people.

    Example: `buildpush.run("step.yml", name='Build API')`.
    """

    description: str | None
    """Description of the step.

    Example: `buildpush.run("step.yml", description='The API of the shop')`.
    """

    timeout: timedelta | str | None
    """Time after which the step is stopped and fails.

    Without it a step of a file has 10 hours, as Harness gives it on Kubernetes; one of variables, flags or keywords
    alone has no limit. Where a pipeline, stage or group has a `timeout`, a step has at most the time that is left
    of it, and no failure strategy handles its end. Fetching a `context` that is not a directory may take as long
    again.

    Example: `buildpush.run("step.yml", timeout='1h 30m')`.
    """

    when: Mapping[str, Any] | None
    """Condition under which the step runs.

    `stageStatus` is `Success` (nothing before it in the stage has failed), `Failure` or `All`. `condition` is an
    expression that must be true as well; one that cannot be evaluated is an error. A step that is skipped is listed
    with the reason.

    Example: `buildpush.run("step.yml", when={'stageStatus': 'Success', 'condition': '<+codebase.branch> ==
    "main"'})`.
    """

    failure_strategies: list[Any] | tuple[Any, ...] | None
    """What happens if the step fails.

    The first entry that names the type of the error is used, then those of the group and of the stage. Without one,
    the stage fails. The exit code of an error gives its type: 2 is `ConfigurationFailure`, 5 `Authentication`, 124
    `Timeout`; of 4 and 6, no answer and a busy server are `Connectivity` and `RetryableTransientFailure`, a refusal
    is `Authorization`; all others are `Unknown`. Rollbacks fail the stage: rollback steps are not run here.

    Example: `buildpush.run("step.yml", failure_strategies=[{'onFailure': {'errors': ['AllErrors'], 'action':
    {'type': 'Ignore'}}}])`.
    """

    strategy: Mapping[str, Any] | None
    """Loop that runs the step several times.

    `matrix`, `repeat` or `parallelism`, as in Harness; expressions may use `<+matrix.AXIS>`, `<+repeat.item>`,
    `<+repeat.partition>` and `<+strategy.iteration>`. At most `maxConcurrency` iterations run at the same time;
    without it, as many as there are cores, at least 2. Two that would push the same reference are refused.

    Example: `buildpush.run("step.yml", strategy={'matrix': {'os': ['alpine', 'debian'], 'maxConcurrency': '1'}})`.
    """

    enforce: Mapping[str, Any] | None
    """Policy sets that Harness checks the step against.

    Only Harness can evaluate them, and one may forbid the step, so a step that has any is refused here.

    Honoured by nothing yet: setting it is refused.

    Example: `buildpush.run("step.yml", enforce={'policySets': ['account.images']})`.
    """

    repo: str | None
    """Registry host, repository and image name to push to.

    For JFrog this is `HOST/REPOSITORY_KEY/IMAGE`, all lower case after the host, without a tag: tags go into
    `tags`.

    Example: `buildpush.run("step.yml", repo='acme.jfrog.io/docker-local/team/api')`.
    """

    tags: list[str] | tuple[str, ...] | None
    """Tags of the pushed image.

    Every tag names the same manifest: the image is uploaded once. See also `repo`.

    Default: `latest`.

    Example: `buildpush.run("step.yml", tags=['1.4.2', 'latest'])`.
    """

    auto_tag: bool | None
    """Whether the tags are made from the Git branch or tag.

    A Git tag that is a version, such as `v1.4.2`, gives `1`, `1.4` and `1.4.2` (`0.4` and `0.4.2` for one that
    begins with 0, and a pre-release only itself); the default branch gives `latest`. Anything else is an error, and
    so is `tags` beside it. The default branch comes from `DRONE_REPO_BRANCH` or `CI_DEFAULT_BRANCH`, else from the
    remote `origin`.

    Default: `False`.

    Example: `buildpush.run("step.yml", auto_tag=True)`.
    """

    auto_tag_suffix: str | None
    """What `auto_tag` adds to each tag, after a dash.

    A tag `latest` is replaced by the suffix alone.

    Example: `buildpush.run("step.yml", auto_tag_suffix='linux-arm64')`.
    """

    expand_tag: bool | None
    """Whether each of `tags` that is a version also gives its short forms.

    `v1.4.2` gives `1`, `1.4` and `1.4.2`; a pre-release gives only itself.

    Default: `False`.

    Example: `buildpush.run("step.yml", expand_tag=True)`.
    """

    labels: Mapping[str, str] | None
    """Labels written into the image.

    They are readable by everyone who can pull the image, so they hold no secrets.

    Engines: native, docker, buildx, buildah, kaniko.

    Example: `buildpush.run("step.yml", labels={'org.opencontainers.image.vendor': 'Acme'})`.
    """

    auto_label: bool | None
    """Whether the image gets labels that say when it was made, and from what.

    They are `created`, `revision`, `source` and `url` below `org.opencontainers.image`, as far as they are known;
    `labels` overrides them. `created` is the time of the run, so that no two images are the same, unless
    `SOURCE_DATE_EPOCH` gives another time.

    Default: `False`.

    Example: `buildpush.run("step.yml", auto_label=True)`.
    """

    label_schema: Mapping[str, str] | None
    """Labels that `auto_label` puts below `org.opencontainers.image`.

    Example: `buildpush.run("step.yml", label_schema={'vendor': 'Acme'})`.
    """

    repo_link: str | None
    """The address that `auto_label` gives as `url`.

    Without it, the address of the git repository, if CI or git knows it.

    Example: `buildpush.run("step.yml", repo_link='https://git.example.com/team/api')`.
    """

    platforms: list[str] | tuple[str, ...] | None
    """Platforms to build for.

    Without it, the engine builds for the machine it runs on. Several platforms become one index, with one image for
    each.

    Engines: native, docker, buildx, buildah, kaniko.

    Example: `buildpush.run("step.yml", platforms=['linux/amd64', 'linux/arm64'])`.
    """

    dockerfile: str | PurePath | None
    """The Dockerfile, relative to the working directory.

    The working directory is the one you start buildpush in; in the step, it is the root of the code. If none is
    named and there is none, the one in `context` is used, as by kaniko, with a note.

    Engines: native, docker, buildx, buildah, kaniko.

    Default: `Dockerfile`.

    Example: `buildpush.run("step.yml", dockerfile='docker/Dockerfile')`.
    """

    context: str | PurePath | None
    """The directory whose files COPY and ADD may use.

    A `.dockerignore` in it hides files from the build. It may also be a git repository, as
    `https://HOST/REPOSITORY.git#BRANCH:DIRECTORY`, a tar on this machine or the web, compressed or not, or `-` for
    a tar on standard input; the path of the Dockerfile then starts there. git logs in by its credential helpers; a
    token may be written before the host, `https://TOKEN@HOST/...`, and is shown nowhere.

    Engines: native, docker, buildx, buildah, kaniko.

    Default: `.`.

    Example: `buildpush.run("step.yml", context='service')`.
    """

    build_args: Mapping[str, str] | None
    """Values for the ARG instructions of the Dockerfile.

    They stay visible in the history of the image, so no secrets belong there: see `env_docker_secrets`. In the
    variable, a comma separates two arguments; for values with a comma set `PLUGIN_MULTIPLE_BUILD_ARGS` and separate
    by semicolons in `PLUGIN_BUILD_ARGS_NEW`.

    Engines: native, docker, buildx, buildah, kaniko.

    Example: `buildpush.run("step.yml", build_args={'PYTHON_VERSION': '3.12'})`.
    """

    build_args_from_env: list[str] | tuple[str, ...] | None
    """Names of variables that become `build_args`, each with the variable's value.

    A variable of the file takes precedence over one of the environment. Each argument is set under its name as
    written and in upper case; one without a value is left out, with a note.

    Example: `buildpush.run("step.yml", build_args_from_env=['PYTHON_VERSION'])`.
    """

    target: str | None
    """The stage of the Dockerfile to build; without it, the last one.

    In a step `ArtifactoryUpload` or `plugins/artifactory`: Repository and path in Artifactory; one that ends in a
    slash is a directory.

    Several files that would get one name are refused.

    Engines: native, docker, buildx, buildah, kaniko.

    Example: `buildpush.run("step.yml", target='runtime')`.
    """

    no_cache: bool | None
    """Whether to run every instruction again, without the engine's cache.

    Engines: native, docker, buildx, buildah, kaniko.

    Default: `False`.

    Example: `buildpush.run("step.yml", no_cache=True)`.
    """

    env_docker_secrets: Mapping[str, Secret | str] | None
    """Build secrets from variables: secret id to variable name.

    A `RUN --mount=type=secret,id=ID` of the Dockerfile reads them; they leave no trace in the image. A variable of
    the file takes precedence over one of the environment, and `<+secrets.getValue("ID")>` in place of a name gives
    the secret itself.

    Engines: docker, buildx, buildah.

    Example: `buildpush.run("step.yml", env_docker_secrets={'pip_token': 'PIP_TOKEN'})`.
    """

    file_docker_secrets: Mapping[str, str | PurePath] | None
    """Build secrets from files: secret id to file.

    A `RUN --mount=type=secret,id=ID` of the Dockerfile reads them; they leave no trace in the image.

    Engines: docker, buildx, buildah.

    Example: `buildpush.run("step.yml", file_docker_secrets={'npmrc': 'secrets/npmrc'})`.
    """

    pull_image: bool | None
    """Whether base images are pulled even where the engine has them already.

    The plugins of Harness do so by default; here an image that exists only on this machine may be a base.

    Engines: native, docker, buildx, buildah, kaniko.

    Default: `False`.

    Example: `buildpush.run("step.yml", pull_image=True)`.
    """

    add_host: list[str] | tuple[str, ...] | None
    """Host names that RUN can resolve in addition to those of DNS, as `HOST:IP`.

    Engines: docker, buildx, buildah.

    Example: `buildpush.run("step.yml", add_host=['db.test:10.0.0.7'])`.
    """

    network: Literal["default", "none", "host"] | None
    """The network that RUN sees: `default`, `none`, or `host` for the machine's own.

    A BuildKit outside the Docker daemon allows `host` only if started with the entitlement `network.host`.

    Engines: docker, buildx.

    Example: `buildpush.run("step.yml", network='none')`.
    """

    mirror: list[str] | tuple[str, ...] | None
    """Registries that base images of Docker Hub are pulled from instead: the first one that has the image.

    For Artifactory it is a remote or virtual repository, as `acme.jfrog.io/docker-hub`. Docker Hub is asked after
    them if `docker.io` is the last one. A Docker daemon or a BuildKit takes mirrors from its own configuration
    only. In the environment, `KANIKO_REGISTRY_MIRROR` counts only where kaniko may build.

    Engines: native, buildah, kaniko.

    Example: `buildpush.run("step.yml", mirror=['acme.jfrog.io/docker-hub'])`.
    """

    build_contexts: Mapping[str, str] | None
    """More contexts, by the name that `COPY --from=NAME` and `FROM NAME` give them.

    Each is a directory, relative to the working directory, or what BuildKit fetches: `docker-image://NAME:TAG`,
    `https://HOST/REPOSITORY.git#BRANCH`, `oci-layout://DIRECTORY@DIGEST`.

    Engines: native, docker, buildx, buildah.

    Example: `buildpush.run("step.yml", build_contexts={'assets': '../assets'})`.
    """

    ssh: list[str] | tuple[str, ...] | None
    """SSH agents or keys that `RUN --mount=type=ssh` may use: `default` for the agent, or `ID=FILE`.

    They leave no trace in the image.

    Engines: docker, buildx, buildah.

    Example: `buildpush.run("step.yml", ssh=['default'])`.
    """

    optimize: bool | None
    """Whether kaniko may take cheaper snapshots of the file system.

    It makes no difference to the image, and other engines print a note that they do not use it.

    Engines: kaniko.

    Default: `False`.

    Example: `buildpush.run("step.yml", optimize=True)`.
    """

    caching: bool | None
    """Whether layers are kept between builds on this machine.

    Harness keeps them in its own storage; here they are kept in buildpush's state directory, for each `repo`
    separately, at most 10 GiB in all. `remote_cache_repo` takes precedence.

    Engines: buildx.

    Default: `False`.

    Example: `buildpush.run("step.yml", caching=True)`.
    """

    cache_from: list[str] | tuple[str, ...] | None
    """Where to look for layers of earlier builds.

    Each entry is what `docker buildx build --cache-from` takes: `type=registry,ref=HOST/NAME:TAG`,
    `type=local,src=DIRECTORY`, or an image's name. A cache that does not exist is not an error. In the variable,
    semicolons separate entries, and commas separate names of images.

    Engines: buildx.

    Example: `buildpush.run("step.yml", cache_from=['type=registry,ref=acme.jfrog.io/docker-local/api:cache'])`.
    """

    cache_to: list[str] | tuple[str, ...] | None
    """Where to store layers for later builds.

    Each entry is what `docker buildx build --cache-to` takes; `mode=max` stores the layers of all stages.

    Engines: buildx.

    Example: `buildpush.run("step.yml",
    cache_to=['type=registry,ref=acme.jfrog.io/docker-local/api:cache,mode=max'])`.
    """

    remote_cache_repo: str | None
    """Repository in which layers are kept for later builds.

    It is read and written. With buildx the layers of all stages are there under the tag `buildcache`. Without a
    host, it is at the registry where a `repo` without a host is.

    Engines: buildx, kaniko.

    Example: `buildpush.run("step.yml", remote_cache_repo='acme.jfrog.io/docker-local/api-cache')`.
    """

    snapshot_mode: Literal["full", "redo", "time"] | None
    """How kaniko looks for changed files: `redo` is the same as `optimize`, `full` the opposite.

    With `time` kaniko overlooks files whose time does not change. Other engines find every change.

    Example: `buildpush.run("step.yml", snapshot_mode='redo')`.
    """

    use_new_run: bool | None
    """Whether kaniko uses its newer way to find what RUN changes, without a snapshot of the file system.

    kaniko calls it experimental.

    Example: `buildpush.run("step.yml", use_new_run=True)`.
    """

    skip_unused_stages: bool | None
    """Whether kaniko builds only the stages that `target` needs.

    Other engines always do; without it, the version of kaniko decides.

    Example: `buildpush.run("step.yml", skip_unused_stages=True)`.
    """

    ignore_paths: list[str] | tuple[str, ...] | None
    """Files and directories of kaniko's container that are left out of the image.

    Other engines leave out nothing that a Dockerfile makes.

    Engines: kaniko.

    Example: `buildpush.run("step.yml", ignore_paths=['/var/cache/apk'])`.
    """

    skip_default_registry_fallback: bool | None
    """Whether the build fails if none of `mirror` has a base image, and does not ask Docker Hub.

    kaniko's plugin asks Docker Hub unless this is set; here it is asked only with `false`.

    Default: `True`.

    Example: `buildpush.run("step.yml", skip_default_registry_fallback=False)`.
    """

    ignore_var_run: bool | None
    """Whether kaniko leaves `/var/run` out of the image, as it does by default.

    For other engines it is a directory like any other.

    Example: `buildpush.run("step.yml", ignore_var_run=False)`.
    """

    cache_ttl: int | None
    """Hours after which kaniko no longer uses a layer of `remote_cache_repo`.

    With 0, two weeks. Layers in the caches of other engines do not expire.

    Engines: kaniko.

    Example: `buildpush.run("step.yml", cache_ttl=6)`.
    """

    cache_copy_layers: bool | None
    """Whether kaniko also keeps what COPY makes in `remote_cache_repo`.

    Example: `buildpush.run("step.yml", cache_copy_layers=True)`.
    """

    cache_run_layers: bool | None
    """Whether kaniko keeps what RUN makes in `remote_cache_repo`, as it does by default.

    Example: `buildpush.run("step.yml", cache_run_layers=False)`.
    """

    compressed_caching: bool | None
    """Whether kaniko compresses layers before it keeps them, as it does by default.

    With `false` it needs less memory, and more time.

    Example: `buildpush.run("step.yml", compressed_caching=False)`.
    """

    image_download_retry: int | None
    """How often kaniko tries again to download a base image.

    Example: `buildpush.run("step.yml", image_download_retry=3)`.
    """

    image_fs_extract_retry: int | None
    """How often kaniko tries again to unpack a base image.

    Example: `buildpush.run("step.yml", image_fs_extract_retry=3)`.
    """

    skip_push_permission_check: bool | None
    """Whether kaniko skips its check, before it builds, that it may push to `remote_cache_repo`.

    buildpush checks the right to push the image anyway, without writing anything.

    Example: `buildpush.run("step.yml", skip_push_permission_check=True)`.
    """

    verbosity: Literal["panic", "fatal", "error", "warn", "info", "debug", "trace"] | None
    """How much kaniko prints.

    It makes no difference to the image. What an engine prints is in its log in the state directory.

    Example: `buildpush.run("step.yml", verbosity='debug')`.
    """

    env_file: str | PurePath | None
    """A file of variables for the step, in lines `NAME=VALUE`.

    Its settings are used if neither the environment nor the step file has the same. A password in it counts as
    given where the file is named. `env_docker_secrets` and `build_args_from_env` may name its other variables.

    Example: `buildpush.run("step.yml", env_file='build.env')`.
    """

    quiet: bool | None
    """Whether neither the lines of the engine nor the progress of layers are printed while the step runs.

    Notes, phases and the result are printed anyway, and a build that fails shows the last lines of the engine; all
    of them are in its log in the state directory.

    Default: `False`.

    Example: `buildpush.run("step.yml", quiet=True)`.
    """

    expand_repo: bool | None
    """Whether a `repo` without a host is at `registry`.

    With a connector, it is at the connector's registry anyway.

    Default: `False`.

    Example: `buildpush.run("step.yml", expand_repo=True)`.
    """

    context_sub_path: str | PurePath | None
    """A directory in `context` that is used instead of it.

    The path of the Dockerfile does not change.

    Example: `buildpush.run("step.yml", context_sub_path='service')`.
    """

    reproducible: bool | None
    """Whether every time in the image is the beginning of 1970, so that the same files give the same image.

    `SOURCE_DATE_EPOCH` in the environment gives another time.

    Default: `False`.

    Example: `buildpush.run("step.yml", reproducible=True)`.
    """

    squash: bool | None
    """Whether all that the Dockerfile adds becomes one layer on top of the base image.

    buildah (`--squash`) and kaniko (`--single-snapshot`) support it.

    Engines: buildah, kaniko.

    Default: `False`.

    Example: `buildpush.run("step.yml", squash=True)`.
    """

    insecure_registry: str | None
    """A host that may have any certificate, or no TLS, as `insecure` allows it for the registry.

    The engines `native`, `buildah` and `kaniko` pull base images from it. A Docker daemon or a BuildKit takes such
    hosts from its own configuration only.

    Example: `buildpush.run("step.yml", insecure_registry='bases.example.com')`.
    """

    registry_certificate: Mapping[str, str | PurePath] | None
    """Certificates of authorities that are trusted besides the system's: host to file, in PEM.

    They are for the push, and for base images with the engines `native` and `kaniko`; other engines read them from
    `/etc/docker/certs.d` or `/etc/containers/certs.d`. `SSL_CERT_FILE` names an authority for every host.

    Example: `buildpush.run("step.yml", registry_certificate={'bases.example.com': 'certificates/bases.pem'})`.
    """

    ca_path: str | PurePath | None
    """File of certificates, in PEM, of authorities that are trusted at every host that the step speaks to.

    They are trusted besides the system's. `registry_certificate` names them for one host. With the engines
    `docker`, `buildx` and `buildah` a note says where they have those for base images. `HARNESS_CA_PATH` and
    `SSL_CERT_FILE` in the environment count for the whole run, which includes fetching a `context`.

    Example: `buildpush.run("step.yml", ca_path='certificates/company.pem')`.
    """

    base_image_registry: str | None
    """The registry of base images that `base_image_username` is for, and no other host.

    Without it, Docker Hub.

    Example: `buildpush.run("step.yml", base_image_registry='bases.example.com')`.
    """

    base_image_username: str | None
    """User to pull base images as.

    A connector among `base_image_connector_refs` does the same.

    Example: `buildpush.run("step.yml", base_image_username='ci-bot')`.
    """

    base_image_password: Secret | str | None
    """Reference to the password or token of `base_image_username`.

    The variable may hold the password itself, as in Harness.

    It is a `buildpush.Secret`, or such a reference.

    Example: `buildpush.run("step.yml", base_image_password='env:BASE_PASSWORD')`.
    """

    ssh_agent_key: Secret | str | None
    """Reference to the private SSH key that `RUN --mount=type=ssh` uses by default.

    The key is in a private file while the image is built. The variable may hold the key itself, as in Harness. For
    an existing file or agent, use `ssh`.

    It is a `buildpush.Secret`, or such a reference.

    Engines: docker, buildx, buildah.

    Example: `buildpush.run("step.yml", ssh_agent_key='env:SSH_KEY')`.
    """

    enable_cache: bool | None
    """Whether layers are kept in a repository for later builds.

    The repository is `remote_cache_repo`, else `cache` below `repo`. If this is not set, `remote_cache_repo` alone
    decides.

    Example: `buildpush.run("step.yml", enable_cache=True)`.
    """

    path_style: bool | None
    """Whether a cache of the type `s3` has the name of its bucket in the path of its address.

    It adds `use_path_style=true` to those of `cache_from` and `cache_to` that do not set it.

    Default: `False`.

    Example: `buildpush.run("step.yml", path_style=True)`.
    """

    load: bool | None
    """Whether the built image is also put into the Docker daemon, under the names that it is pushed by.

    With `push` at `false` it goes only there, and does so by itself with an engine that builds in the daemon,
    unless this is `false`. The image must be for one platform.

    Default: `False`.

    Example: `buildpush.run("step.yml", load=True)`.
    """

    buildx_options: list[str] | tuple[str, ...] | None
    """Options of `docker buildx build`, each of which becomes the setting of the same meaning.

    They work with every engine that honours that setting; an option without a setting is an error. In
    `PLUGIN_BUILDX_OPTIONS` a comma separates two options, in `PLUGIN_BUILDX_OPTIONS_SEMICOLON` a semicolon.
    `PLUGIN_SECRET` is the value of one `--secret`.

    Example: `buildpush.run("step.yml", buildx_options=['--platform=linux/amd64', '--ssh=default'])`.
    """

    place: Literal["here", "container", "kubernetes"] | None
    """Where the engine runs: on this machine, in a container on it, or in a Job of a Kubernetes cluster.

    The engines `kaniko`, `buildah` and `native` can run in a Job, which pushes from the cluster. The context is
    sent into it; what `.dockerignore` leaves out stays here. The cluster is the one that `kubectl` would use.
    Inside a pod, without this setting and with `engine: auto`, a step is built in a Job of the pod's cluster where
    the pod's account may make Jobs and an image for kaniko or buildah is given; else in the pod. Only the engine
    `kaniko` runs in a container, and does so anyway: `container` chooses it.

    Default: `here`.

    Example: `buildpush.run("step.yml", place='kubernetes')`.
    """

    kube_context: str | None
    """The context of the kubeconfig that names the cluster; the current one by default.

    The files are those of `KUBECONFIG`, or `~/.kube/config`; in a pod without them, its own cluster is used.

    Example: `buildpush.run("step.yml", kube_context='builds')`.
    """

    namespace: str | None
    """The namespace that Jobs are made in; that of the context by default.

    Example: `buildpush.run("step.yml", namespace='ci')`.
    """

    service_account: str | None
    """The service account that the pods of Jobs run as; the namespace's own by default.

    It needs no rights: its token is not mounted. What this program itself needs is in
    `examples/kubernetes/role.yaml`.

    Example: `buildpush.run("step.yml", service_account='builder')`.
    """

    image_pull_secrets: list[str] | tuple[str, ...] | None
    """Secrets of the namespace with logins for the images that the pods are made of.

    Base images are pulled by the engine, with the credentials of the step.

    Example: `buildpush.run("step.yml", image_pull_secrets=['registry-login'])`.
    """

    executor_image: str | None
    """Image with the program of the `engine`, for its Job, pinned by its digest.

    It holds buildah, or buildpush for the engine `native`. kaniko's is `kaniko_image`.

    Example: `buildpush.run("step.yml", executor_image='acme.jfrog.io/docker-remote/buildah@sha256:0123456789abcdef0
    123456789abcdef0123456789abcdef0123456789abcdef')`.
    """

    receiver_image: str | None
    """Image that receives the context in the pod: it needs `sh`, `gzip` and `tar`.

    By default it is `pusher_image`, or else the image of the engine; kaniko's executor has no shell, and needs
    another one.

    Example: `buildpush.run("step.yml", receiver_image='acme.jfrog.io/docker-remote/busybox@sha256:0123456789abcdef0
    123456789abcdef0123456789abcdef0123456789abcdef')`.
    """

    pusher_image: str | None
    """Image of this program, as `examples/plugin` builds it, that pushes what `engine` has built in a Job.

    The engine then hands its image over inside the pod, and gets a login for the registry that is pushed to only if
    it pulls from there; a push that breaks is retried and goes on where it was. Without it, kaniko and buildah push
    by themselves. The engine `native` is this program.

    Example: `buildpush.run("step.yml", pusher_image='acme.jfrog.io/docker-remote/buildpush@sha256:0123456789abcdef0
    123456789abcdef0123456789abcdef0123456789abcdef')`.
    """

    job_template: str | PurePath | None
    """A YAML file that is merged into each Job: node selectors, tolerations, annotations, volumes.

    Maps are merged, lists whose items have names by these, and `null` removes an entry. The container that builds
    is named `build`, the one that receives the context `receive`, and the one of `pusher_image` `push`; each may be
    in either list of containers. The server refuses fields that it does not know.

    Example: `buildpush.run("step.yml", job_template='job.yaml')`.
    """

    job_patience: timedelta | str | None
    """How long a Job may wait for a node, or for room in a quota, before the step fails.

    A node that no longer answers is waited for as long as this.

    Default: `10m`.

    Example: `buildpush.run("step.yml", job_patience='30m')`.
    """

    job_time_to_live: timedelta | str | None
    """How long the cluster keeps a Job that a killed run left, after the Job's end.

    A run that ends by itself, or by Ctrl-C, deletes its Jobs.

    Default: `10m`.

    Example: `buildpush.run("step.yml", job_time_to_live='1h')`.
    """

    provenance: bool | None
    """Whether the registry gets a SLSA provenance of the image: from what, by whom and how it was built.

    It is a referrer of the image, and of each image of an index, whichever engine builds. It has the values of
    `build_args`, as the image's history does, and no secrets. Without `sign_key` it is not signed.

    Default: `False`.

    Example: `buildpush.run("step.yml", provenance=True)`.
    """

    sbom: Literal["spdx", "cyclonedx"] | None
    """The format in which the registry gets a list of the packages in the image: SPDX 2.3 or CycloneDX 1.6.

    It is a referrer of the image; of an index, of each image in it. The packages are those of dpkg, apk and
    Python's `pip`, read from the layers of the image, which are fetched for it if they are of a base image.

    Example: `buildpush.run("step.yml", sbom='spdx')`.
    """

    builder_id: str | None
    """The address that `provenance` names as the builder: whoever verifies it decides by this name.

    Without it, `/builders/buildpush` at the host of the run's page at the CI system.

    Example: `buildpush.run("step.yml", builder_id='https://ci.example.com/builders/main')`.
    """

    sign_key: Secret | str | None
    """Reference to the private key that signs what is stored beside the image.

    It is an ed25519 or P-256 key as PEM, or the file `cosign.key` of `cosign generate-key-pair`. Each document
    becomes a bundle of Sigstore, which `buildpush verify --key` and `cosign verify-attestation --key` accept. The
    variable may hold the key itself.

    It is a `buildpush.Secret`, or such a reference.

    Example: `buildpush.run("step.yml", sign_key='env:COSIGN_KEY')`.
    """

    sign_password: Secret | str | None
    """Reference to the password of `sign_key`, if it has one.

    The variable may hold the password itself.

    It is a `buildpush.Secret`, or such a reference.

    Example: `buildpush.run("step.yml", sign_password='env:COSIGN_PASSWORD')`.
    """

    cosign_tag: bool | None
    """Whether signed documents are also stored under the tag `sha256-….att`, where cosign 2 looks for them.

    What the tag has already stays. cosign 3 finds the referrers without it.

    Default: `False`.

    Example: `buildpush.run("step.yml", cosign_tag=True)`.
    """

    evidence: Literal["auto", "always", "never"] | None
    """Whether signed documents are also stored as JFrog Evidence, at the Artifactory that gets the build-info.

    `auto` stores them where the server has Evidence, and is a note where it has not, or refuses them; with `always`
    that is an error.

    Default: `auto`.

    Example: `buildpush.run("step.yml", evidence='always')`.
    """

    sign_key_alias: str | None
    """The alias of `sign_key` among JFrog's trusted keys, which evidence names.

    Without it, evidence names no key.

    Example: `buildpush.run("step.yml", sign_key_alias='release-2026')`.
    """

    connector_ref: str | None
    """The connector that holds the registry's address, user and password.

    It is looked up in the file given by `--connectors`, by its identifier; `account.` or `org.` may precede it, as
    in Harness. Without it, credentials come from `username` and `password`, then from `DOCKER_AUTH_CONFIG` and
    Docker's own files and helpers.

    In a step `ArtifactoryUpload`: Connector of the Artifactory that gets the files; it has a user and a password.

    It may be one of the type `Artifactory`, or that of the registry at the same host.

    Example: `buildpush.run("step.yml", connector_ref='account.jfrog')`.
    """

    registry_ref: str | None
    """A registry of Harness Artifact Registry, in place of a connector.

    It does not exist outside Harness; a JFrog registry is named by `connector_ref`.

    Honoured by nothing yet: setting it is refused.

    Example: `buildpush.run("step.yml", registry_ref='my_registry')`.
    """

    base_image_connector_refs: list[str] | tuple[str, ...] | None
    """The connector with credentials for the images in FROM.

    Harness takes a list and uses its first entry; here, the first connector for each host is used.

    Engines: native, docker, buildx, buildah, kaniko.

    Example: `buildpush.run("step.yml", base_image_connector_refs=['account.base_images'])`.
    """

    username: str | None
    """User to push as, if no connector gives one.

    In a step `plugins/artifactory-publish-docker-buildinfo` or `plugins/artifactory`: User for Artifactory, with
    `password`, `api_key` or `access_token`.

    Example: `buildpush.run("step.yml", username='ci-bot')`.
    """

    password: Secret | str | None
    """Reference to the password or token of `username`.

    In a file, it is `env:NAME`, `file:PATH`, `secret:ID` or `<+secrets.getValue("ID")>`. The variable may hold the
    password itself, as in Harness.

    In a step `plugins/artifactory-publish-docker-buildinfo` or `plugins/artifactory`: Reference to the password of
    `username`.

    It is a `buildpush.Secret`, or such a reference.

    Example: `buildpush.run("step.yml", password='env:REGISTRY_PASSWORD')`.
    """

    docker_config: Secret | str | None
    """Reference to the text of a `config.json` of Docker, whose logins are used for their hosts.

    A connector, or `username` and `password`, come first; Docker's own files come last. The variable may hold the
    text itself, as in Harness.

    It is a `buildpush.Secret`, or such a reference.

    Example: `buildpush.run("step.yml", docker_config='env:DOCKER_CONFIG_TEXT')`.
    """

    registry: str | None
    """The registry that `username` and `password` are for, and no other host; a `repo` without a host is there.

    Without it, they are for the host of `repo`, if that is set in the same kind of place, or nearer: a password
    from the environment is not sent to a host that a file names.

    Example: `buildpush.run("step.yml", registry='acme.jfrog.io')`.
    """

    insecure: bool | None
    """Whether the registry that is pushed to may have any certificate, or no TLS.

    TLS is tried first, and secrets are sent without it only if the host does not offer it. Any other host, such as
    that of a base image, is reached without TLS if its connector's `dockerRegistryUrl` begins with `http://`; for a
    private authority, set `SSL_CERT_FILE`.

    In a step `plugins/artifactory-publish-docker-buildinfo` or `plugins/artifactory`: Whether the host of `url` may
    have any certificate, or no TLS; it is tried with TLS first.

    Harness' plugin declares it and does not use it.

    Default: `False`.

    Example: `buildpush.run("step.yml", insecure=True)`.
    """

    push: bool | None
    """Whether the built image is pushed.

    With `false`, nothing leaves this machine and no build-info is published. An image that the Docker daemon builds
    then stays there, as with `load`, unless that is `false`, the image goes to a file, or has several platforms; a
    note says so if it is stored nowhere. In the environment, `KANIKO_NO_PUSH` counts only where kaniko may build.

    Default: `True`.

    Example: `buildpush.run("step.yml", push=False)`.
    """

    push_only: bool | None
    """Whether an existing image is pushed, and nothing is built.

    It is `source_image` or `source_tar_path`; without either, the image of the Docker daemon that has the name to
    push.

    Default: `False`.

    Example: `buildpush.run("step.yml", push_only=True)`.
    """

    source_image: str | None
    """The image of the Docker daemon that `push_only` pushes.

    Without a tag, `latest` is meant.

    Example: `buildpush.run("step.yml", source_image='app:tested')`.
    """

    source_tar_path: str | PurePath | None
    """The archive that `push_only` pushes: Docker's (`docker save`) or OCI's.

    A relative path starts at the working directory.

    Example: `buildpush.run("step.yml", source_tar_path='build/image.tar')`.
    """

    tar_path: str | PurePath | None
    """A file that the built image is also written to, in the format of `tar_format`.

    With `push` at `false` it goes only there.

    Example: `buildpush.run("step.yml", tar_path='build/image.tar')`.
    """

    tar_format: Literal["docker", "oci"] | None
    """Whether `tar_path` is a Docker archive or an OCI archive.

    An OCI archive can also hold an image for several platforms.

    Default: `docker`.

    Example: `buildpush.run("step.yml", tar_format='oci')`.
    """

    oci_layout_path: str | PurePath | None
    """A directory that the built image is also written to, as an OCI layout.

    With `push` at `false` it goes only there. Images that the layout holds already stay.

    Example: `buildpush.run("step.yml", oci_layout_path='build/layout')`.
    """

    compression: Literal["gzip", "none", "zstd"] | None
    """How layers are compressed for the registry.

    Layers that are compressed already, such as those of a base image, are sent as they are.

    Default: `gzip`.

    Example: `buildpush.run("step.yml", compression='zstd')`.
    """

    media_types: Literal["oci", "docker"] | None
    """Whether manifests are written in OCI's or in Docker's format.

    Old servers and clients may support only Docker's.

    Default: `oci`.

    Example: `buildpush.run("step.yml", media_types='docker')`.
    """

    allow_nondistributable_artifacts: bool | None
    """Whether layers are pushed whose media type says that they are fetched from their vendor.

    Older Windows images have such layers. They come from where the image is, else from the addresses in its
    manifest. Without it, an existing image is pushed without them, and a note is printed.

    Default: `False`.

    Example: `buildpush.run("step.yml", allow_nondistributable_artifacts=True)`.
    """

    push_retry: int | None
    """How often a request to the registry is tried again, with growing pauses.

    Without it, 5 times; a registry that restarts is tried for about a minute. It applies to every host that
    buildpush itself talks to for the step.

    Example: `buildpush.run("step.yml", push_retry=3)`.
    """

    artifact_file: str | PurePath | None
    """A file that gets the pushed references with their digest, as Harness' plugins write it.

    It is the JSON from which Harness shows the artifacts of a step. A file of an earlier run is removed first;
    steps of one run that name one file add to it.

    Example: `buildpush.run("step.yml", artifact_file='artifact.json')`.
    """

    registry_type: Literal["Docker", "ECR", "GCR", "ACR", "GAR"] | None
    """The kind of registry that `artifact_file` names; the push is the same for each.

    Default: `Docker`.

    Example: `buildpush.run("step.yml", registry_type='GAR')`.
    """

    artifact_registry: str | None
    """The address of the registry that `artifact_file` names.

    Without it, the address of the host that was pushed to.

    Example: `buildpush.run("step.yml", artifact_registry='https://acme.jfrog.io')`.
    """

    metadata_file: str | PurePath | None
    """A file that gets the digest and the names of what was pushed, as buildx writes it.

    Example: `buildpush.run("step.yml", metadata_file='metadata.json')`.
    """

    image_name_with_digest_file: str | PurePath | None
    """A file that gets `HOST/NAME@DIGEST` of what was pushed, as kaniko writes it.

    Example: `buildpush.run("step.yml", image_name_with_digest_file='image.txt')`.
    """

    image_name_tag_with_digest_file: str | PurePath | None
    """A file that gets `HOST/NAME:TAG@DIGEST` of what was pushed, a line for each tag, as kaniko writes it.

    Example: `buildpush.run("step.yml", image_name_tag_with_digest_file='images.txt')`.
    """

    dotenv_file: str | PurePath | None
    """A file that gets `BUILDPUSH_DIGEST`, `BUILDPUSH_IMAGE`, `BUILDPUSH_IMAGES` and `BUILDPUSH_BUILD_INFO_URL`.

    Each is a line `NAME=VALUE` without quotation marks, as GitLab reads it: name the file in
    `artifacts:reports:dotenv` of the job, and later jobs have the variables.

    Example: `buildpush.run("step.yml", dotenv_file='buildpush.env')`.
    """

    annotations_file: str | PurePath | None
    """A file that gets the links to the build-infos of what was pushed, for the page of a job of GitLab.

    Name it in `artifacts:reports:annotations` of the job; without a build-info, its list is empty.

    Example: `buildpush.run("step.yml", annotations_file='annotations.json')`.
    """

    publish_build_info: bool | Literal["auto"] | None
    """Whether build-info is published to Artifactory after the push: yes, no or auto.

    With `auto`, it is published if `artifactory_url` is known, also if it comes from `JF_URL`.

    In a step `plugins/artifactory`: Whether the files are published as a module of the build; by default if
    `build_name` is set.

    Example: `buildpush.run("step.yml", publish_build_info=True)`.
    """

    artifactory_url: str | None
    """Address of Artifactory, for build-info.

    It ends in `/artifactory`; for an address of the whole JFrog platform that part is added.

    Example: `buildpush.run("step.yml", artifactory_url='https://acme.jfrog.io/artifactory')`.
    """

    artifactory_token: Secret | str | None
    """Reference to the access token for Artifactory.

    Without it, the credential of the push is used if the registry is the same host.

    It is a `buildpush.Secret`, or such a reference.

    Example: `buildpush.run("step.yml", artifactory_token='env:ARTIFACTORY_TOKEN')`.
    """

    build_name: str | None
    """Name of the build in Artifactory.

    Without it, the name of the pipeline, else what the CI system runs: repository, workflow and job on GitHub,
    project and job on GitLab, the job of Jenkins, and so on; else the name of the image. With `build_dir` it is
    without the job, since several may take part.

    In a step `plugins/artifactory-publish-docker-buildinfo`: Name of the build in Artifactory.

    In a step `ArtifactoryUpload`: Name of the build that the files belong to; with it, they are a module of its
    build-info.

    A stage variable `PLUGIN_BUILD_NAME` sets it, as in Harness.

    In a step `plugins/artifactory`: Name of the build that the files belong to; with it, they are a module of its
    build-info.

    Example: `buildpush.run("step.yml", build_name='api')`.
    """

    build_number: str | None
    """Number of the build in Artifactory.

    Without it, the number that the CI system or the counter on this machine gives; a later attempt of the same run
    of GitHub or Azure has its number behind that, as in `42.2`.

    In a step `plugins/artifactory-publish-docker-buildinfo`: Number of the build in Artifactory.

    In a step `ArtifactoryUpload` or `plugins/artifactory`: Number of that build; without it, the number of the run.

    Example: `buildpush.run("step.yml", build_number='42')`.
    """

    build_exists: Literal["add", "refuse", "replace"] | None
    """What follows if the build has runs of the same number already: one more, an error, or one in their place.

    `refuse` is an error before anything is built. `replace` deletes the earlier ones right before the new one is
    sent, which needs the permissions Delete and Manage on builds.

    In a step `ArtifactoryUpload` or `plugins/artifactory`: What follows if that build has runs of the same number
    already: one more, an error, or one in their place.

    `refuse` is an error before anything is uploaded.

    Default: `add`.

    Example: `buildpush.run("step.yml", build_exists='refuse')`.
    """

    build_dir: str | PurePath | None
    """Directory that collects the modules of a build, from several runs, jobs and machines.

    The run adds its modules there and publishes nothing; `buildpush build-info publish` publishes what one or
    several of these directories have. Without it, the run publishes its own.

    In a step `ArtifactoryUpload` or `plugins/artifactory`: Directory that collects that build, from several runs,
    jobs and machines; then nothing is published.

    Example: `buildpush.run("step.yml", build_dir='build-info')`.
    """

    build_url: str | None
    """Link from the build in Artifactory back to the run that made it.

    Example: `buildpush.run("step.yml", build_url='https://ci.example.com/runs/42')`.
    """

    build_project: str | None
    """Key of the JFrog project that the build belongs to.

    Example: `buildpush.run("step.yml", build_project='team')`.
    """

    build_module: str | None
    """Name of the module in the build-info.

    Without it, image name and tag, as `jf` does.

    Example: `buildpush.run("step.yml", build_module='api:1.4.2')`.
    """

    compat: Literal["jf"] | None
    """The client whose documents the build-info is to equal: `jf`.

    Without it, the build-info has what `jf` leaves out: variants in the ids of platforms, a module for each
    attestation, the image's id for each platform, and only the layers of the known base image as dependencies. `jf`
    guesses those from the history.

    Example: `buildpush.run("step.yml", compat='jf')`.
    """

    issues_tracker: str | None
    """Name of the tracker that has the issues which `issues_regexp` finds.

    It is only written to the build-info: no tracker is asked.

    Example: `buildpush.run("step.yml", issues_tracker='JIRA')`.
    """

    issues_regexp: str | None
    """Pattern of an issue in the first line of a commit's message: group 1 is the key, group 2 the summary.

    The build-info lists the issues of the commits since the last published run of the build, at most 100.
    `issues_tracker` must be set as well. It is a Java regular expression, as in `<+...>`; one that could take too
    long is refused.

    Example: `buildpush.run("step.yml", issues_regexp='([A-Z]+-[0-9]+): (.+)')`.
    """

    issues_url: str | None
    """Address of the issues; with a slash and the key after it, it is the page of one.

    Example: `buildpush.run("step.yml", issues_url='https://acme.atlassian.net/browse/')`.
    """

    env_include: list[str] | tuple[str, ...] | None
    """Variables to record in the build-info, as names or patterns with `*`.

    Without it, none are. Names that look like secrets, and those that `jf` leaves out, are left out even if a
    pattern matches them, and so are values that look like secrets; a note names what is left out.

    Example: `buildpush.run("step.yml", env_include=['CI', 'GIT_*'])`.
    """

    engine: Literal["auto", "native", "docker", "buildx", "buildah", "kaniko"] | None
    """The engine that builds the image.

    With `auto`, buildpush chooses one that is installed and supports what the step sets, and prints the reason.

    Default: `auto`.

    Example: `buildpush.run("step.yml", engine='native')`.
    """

    fetch_limit: int | str | None
    """Maximum size of a file from the web, and of a context that is a tar.

    It applies to what the engine `native` fetches for `ADD`, and to all files of a `context` that is fetched or
    unpacked here, which may be one for each KiB of the limit. Without a limit, a hostile or broken server fills the
    disk.

    Default: `10737418240`.

    Example: `buildpush.run("step.yml", fetch_limit='53687091200')`.
    """

    kaniko_image: str | None
    """Image with kaniko's executor, pinned by its digest.

    The engine `kaniko` runs in a container of it, started by docker or podman. There is no default: releases are
    published as `ghcr.io/osscontainertools/kaniko`, and which one you trust is your decision.

    Example: `buildpush.run("step.yml", kaniko_image='acme.jfrog.io/docker-remote/kaniko@sha256:0123456789abcdef0123
    456789abcdef0123456789abcdef0123456789abcdef')`.
    """

    run_as_user: int | None
    """Numeric user that all processes of the step's container run as.

    It has an effect only if the engine runs in its own container, as kaniko does, which must be root: `0`; or in a
    Job, see `place`.

    In a step `ArtifactoryUpload`: Numeric user of the step's container, which does not exist here.

    Engines: kaniko.

    Example: `buildpush.run("step.yml", run_as_user=0)`.
    """

    resources: Mapping[str, Any] | None
    """Memory and processor limits of the step's container.

    They have an effect only if the engine runs in its own container, as kaniko does, or in a Job, see `place`. A
    container that needs more memory is killed. `requests` choose the node of a Job, and have no effect elsewhere.

    In a step `ArtifactoryUpload`: Memory and processor limits of the step's container, which does not exist here.

    Engines: kaniko.

    Example: `buildpush.run("step.yml", resources={'limits': {'memory': '2147483648', 'cpu': '1.0'}})`.
    """

    privileged: bool | None
    """Whether the step's container may do everything.

    It has an effect only if the engine runs in its own container, as kaniko does, which does not need it; or in a
    Job.

    Engines: kaniko.

    Default: `False`.

    Example: `buildpush.run("step.yml", privileged=True)`.
    """

    reports: Mapping[str, Any] | None
    """Test reports to collect after the step; a build makes none, so this has no effect, as in Harness.

    Honoured by nothing: it has no effect here, and a note is printed.

    Example: `buildpush.run("step.yml", reports={'type': 'JUnit', 'spec': {'paths': ['*.xml']}})`.
    """

    url: str | None
    """In a step `plugins/artifactory-publish-docker-buildinfo` or `plugins/artifactory`: Address of Artifactory;
    anything after `/artifactory` is left out.

    Example: `buildpush.run("step.yml", url='https://acme.jfrog.io/artifactory/')`.
    """

    access_token: Secret | str | None
    """In a step `plugins/artifactory-publish-docker-buildinfo` or `plugins/artifactory`: Reference to the access token
    for Artifactory.

    It is a `buildpush.Secret`, or such a reference.

    Example: `buildpush.run("step.yml", access_token='env:ARTIFACTORY_TOKEN')`.
    """

    api_key: Secret | str | None
    """In a step `plugins/artifactory-publish-docker-buildinfo` or `plugins/artifactory`: Reference to an API key; with
    `username` it is sent in place of a password, else in its own header.

    It is a `buildpush.Secret`, or such a reference.

    Example: `buildpush.run("step.yml", api_key='env:ARTIFACTORY_API_KEY')`.
    """

    pem_file_contents: Secret | str | None
    """In a step `plugins/artifactory-publish-docker-buildinfo` or `plugins/artifactory`: Certificates of an authority
    to trust at the host of `url`, or a reference to them.

    They are trusted besides those of the system and of `SSL_CERT_FILE`, and at no other host. Harness' plugin
    declares it and does not use it.

    It is a `buildpush.Secret`, or such a reference.

    Example: `buildpush.run("step.yml", pem_file_contents='env:ACME_CA')`.
    """

    pem_file_path: str | PurePath | None
    """In a step `plugins/artifactory-publish-docker-buildinfo` or `plugins/artifactory`: File of certificates, with
    the same meaning as `pem_file_contents`.

    Harness' plugin declares it and does not use it; the plugin that uploads files writes the contents to it.

    Example: `buildpush.run("step.yml", pem_file_path='certificates/acme.pem')`.
    """

    log_level: str | None
    """In a step `plugins/artifactory-publish-docker-buildinfo` or `plugins/artifactory`: How much the `jf` program
    inside Harness' plugin logs; nothing here runs it.

    Honoured by nothing: it has no effect here, and a note is printed.

    Example: `buildpush.run("step.yml", log_level='DEBUG')`.
    """

    docker_image: str | None
    """In a step `plugins/artifactory-publish-docker-buildinfo`: The pushed image, with its tag; without a host, it is
    at the host of `url`.

    Example: `buildpush.run("step.yml", docker_image='acme.jfrog.io/docker-local/team/api:1.4.2')`.
    """

    git_path: str | PurePath | None
    """In a step `plugins/artifactory-publish-docker-buildinfo`: Directory whose git history gives the revision;
    without it, the working directory.

    Example: `buildpush.run("step.yml", git_path='service')`.
    """

    source_path: str | None
    """In a step `ArtifactoryUpload`: Pattern of the files, from the working directory.

    `*` is any text, also of several directories; a part in parentheses is a placeholder if `target` names its
    number. If nothing matches, the step fails.

    Example: `buildpush.run("step.yml", source_path='dist/(*).whl')`.
    """

    upload_as_flat: bool | None
    """In a step `ArtifactoryUpload`: Whether files lose their directories below a target that ends in a slash.

    Default: `True`.

    Example: `buildpush.run("step.yml", upload_as_flat=False)`.
    """

    target_props: list[str] | tuple[str, ...] | None
    """In a step `ArtifactoryUpload` or `plugins/artifactory`: Properties of every file, as in `stage=test;team=web`.

    As in Harness' plugin, properties without a value, or with `null`, are left out.

    Example: `buildpush.run("step.yml", target_props=['stage=test', 'team=web'])`.
    """

    threads: int | None
    """In a step `ArtifactoryUpload` or `plugins/artifactory`: How many files are on their way at the same time.

    Default: `4`.

    Example: `buildpush.run("step.yml", threads=8)`.
    """

    source: str | None
    """In a step `plugins/artifactory`: Pattern of the files, as `source_path` of the step `ArtifactoryUpload`.

    Example: `buildpush.run("step.yml", source='dist/*.whl')`.
    """

    flat: bool | None
    """In a step `plugins/artifactory`: Whether files lose their directories below a target that ends in a slash.

    Default: `False`.

    Example: `buildpush.run("step.yml", flat=True)`.
    """

    retries: int | None
    """In a step `plugins/artifactory`: How often a request is tried again; without it, five times.

    Example: `buildpush.run("step.yml", retries=3)`.
    """

    enable_proxy: bool | None
    """In a step `plugins/artifactory`: Whether `HARNESS_HTTP_PROXY` and the like are used; here the proxies of the
    environment always are.

    Honoured by nothing: it has no effect here, and a note is printed.

    Default: `False`.

    Example: `buildpush.run("step.yml", enable_proxy=True)`.
    """

    spec: str | None
    """In a step `plugins/artifactory`: File of `jf` that lists several uploads.

    Honoured by nothing yet: setting it is refused.

    Example: `buildpush.run("step.yml", spec='uploads.json')`.
    """

    spec_vars: str | None
    """In a step `plugins/artifactory`: Values for the file of `jf`.

    Honoured by nothing yet: setting it is refused.

    Example: `buildpush.run("step.yml", spec_vars='version=1.0')`.
    """
