"""The steps that upload files to Artifactory: their settings, and how they become an order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

from buildpush.credentials import jfrog as targets
from buildpush.credentials.jfrog import ArtifactoryTarget, BuildIdentity
from buildpush.credentials.pairing import BoundCredential, NamedHost, Nearness, host_of
from buildpush.expressions.ci import ci
from buildpush.settings.authorities import with_every_host
from buildpush.settings.build_info import sources_of
from buildpush.settings.declare import StepSection, explicitly_set, setting
from buildpush.settings.fields import REQUIRED
from buildpush.settings.kinds import FileText, Properties, Structure, Switch, Text, ThreadCount, WholeNumber
from buildpush.settings.resolved import FilesToUpload, ResolveContext, ResolvedStep
from buildpush.settings.server_settings import ServerSettings, login_ways, trust_at, unused_logins
from buildpush.settings.step_settings import CommonSettings, ca_path_setting


def _target(place: StepSection) -> Any:
    return setting(
        "Repository and path in Artifactory; one that ends in a slash is a directory.",
        "Several files that would get one name are refused.",
        default=REQUIRED,
        group="Upload",
        example="generic-local/app/1.0/{1}.whl",
        honoured_by="run",
        place=place,
    )


def _target_props(place: StepSection) -> Any:
    return setting(
        "Properties of every file, as in `stage=test;team=web`.",
        "As in Harness' plugin, properties without a value, or with `null`, are left out.",
        default=(),
        group="Upload",
        example=["stage=test", "team=web"],
        honoured_by="run",
        place=place,
    )


def _threads(place: StepSection) -> Any:
    return setting(
        "How many files are on their way at the same time.",
        default=4,
        group="Upload",
        example=8,
        honoured_by="run",
        place=place,
    )


def _build_name(place: StepSection, more: str = "") -> Any:
    return setting(
        "Name of the build that the files belong to; with it, they are a module of its build-info.",
        more,
        group="Upload",
        example="api",
        honoured_by="publish",
        place=place,
        ambient=("JFROG_CLI_BUILD_NAME",),
    )


def _build_number(place: StepSection) -> Any:
    return setting(
        "Number of that build; without it, the number of the run.",
        group="Upload",
        example="42",
        honoured_by="publish",
        place=place,
        ambient=("JFROG_CLI_BUILD_NUMBER",),
    )


def _build_exists(place: StepSection) -> Any:
    return setting(
        "What follows if that build has runs of the same number already: one more, an error, or one in their place.",
        "`refuse` is an error before anything is uploaded.",
        default="add",
        group="Upload",
        example="refuse",
        honoured_by="publish",
        place=place,
    )


def _build_dir(place: StepSection) -> Any:
    return setting(
        "Directory that collects that build, from several runs, jobs and machines; then nothing is published.",
        group="Upload",
        example="build-info",
        honoured_by="publish",
        place=place,
    )


class ArtifactoryUpload(CommonSettings):
    """Upload files to Artifactory: the step ``ArtifactoryUpload``."""

    connector_ref: Text = setting(
        "Connector of the Artifactory that gets the files; it has a user and a password.",
        "It may be one of the type `Artifactory`, or that of the registry at the same host.",
        default=REQUIRED,
        group="Upload",
        example="account.jfrog",
        honoured_by="run",
    )
    source_path: Text = setting(
        "Pattern of the files, from the working directory.",
        "`*` is any text, also of several directories; a part in parentheses is a placeholder if {setting}`target` "
        "names its number. If nothing matches, the step fails.",
        default=REQUIRED,
        group="Upload",
        example="dist/(*).whl",
        honoured_by="run",
    )
    target: Text = _target("spec")
    upload_as_flat: Switch = setting(
        "Whether files lose their directories below a target that ends in a slash.",
        default=True,
        group="Upload",
        example=False,
        honoured_by="run",
    )
    run_as_user: WholeNumber | None = setting(
        "Numeric user of the step's container, which does not exist here.",
        group="Upload",
        example=1000,
        honoured_by="",
        harmless=True,
    )
    resources: Structure = setting(
        "Memory and processor limits of the step's container, which does not exist here.",
        group="Upload",
        example={"limits": {"memory": "500Mi", "cpu": "400m"}},
        honoured_by="",
        harmless=True,
    )
    build_name: Text | None = _build_name("env", "A stage variable `PLUGIN_BUILD_NAME` sets it, as in Harness.")
    build_number: Text | None = _build_number("env")
    build_exists: Literal["add", "refuse", "replace"] = _build_exists("env")
    build_dir: FileText | None = _build_dir("env")
    target_props: Properties = _target_props("env")
    threads: ThreadCount = _threads("env")
    ca_path: FileText | None = ca_path_setting("Upload")


class UploadFiles(ServerSettings):
    """Upload files to Artifactory: the plugin step of Harness."""

    source: Text = setting(
        "Pattern of the files, as `source_path` of the step `ArtifactoryUpload`.",
        default=REQUIRED,
        group="Upload",
        example="dist/*.whl",
        honoured_by="run",
        place="settings",
    )
    target: Text = _target("settings")
    flat: Switch = setting(
        "Whether files lose their directories below a target that ends in a slash.",
        default=False,
        group="Upload",
        example=True,
        honoured_by="run",
        place="settings",
    )
    target_props: Properties = _target_props("settings")
    threads: ThreadCount = _threads("settings")
    retries: WholeNumber | None = setting(
        "How often a request is tried again; without it, five times.",
        group="Upload",
        example=3,
        honoured_by="run",
        place="settings",
    )
    build_name: Text | None = _build_name("settings")
    build_number: Text | None = _build_number("settings")
    build_exists: Literal["add", "refuse", "replace"] = _build_exists("settings")
    build_dir: FileText | None = _build_dir("settings")
    publish_build_info: Switch | None = setting(
        "Whether the files are published as a module of the build; by default if {setting}`build_name` is set.",
        group="Upload",
        example=True,
        honoured_by="publish",
        place="settings",
    )
    enable_proxy: Switch = setting(
        "Whether `HARNESS_HTTP_PROXY` and the like are used; here the proxies of the environment always are.",
        default=False,
        group="Upload",
        example=True,
        honoured_by="",
        place="settings",
        harmless=True,
    )
    spec: Structure = setting(
        "File of `jf` that lists several uploads.",
        group="Upload",
        example="uploads.json",
        honoured_by="",
        alternative="write one step for each upload, with source and target",
        place="settings",
    )
    spec_vars: Structure = setting(
        "Values for the file of `jf`.",
        group="Upload",
        example="version=1.0",
        honoured_by="",
        alternative="write one step for each upload, with source and target",
        place="settings",
    )


def resolve_upload(settings: ArtifactoryUpload, ctx: ResolveContext) -> ResolvedStep:
    """Return the order to upload files that *settings* give.

    Raises:
        SettingsError: there is no such connector, or it is anonymous.
        SecretError: its secret leads nowhere.
    """
    connector = ctx.connectors.find(settings.connector_ref)
    url = targets.artifactory_address(connector.url)
    source = f"the connector {connector.identifier}"
    login = BoundCredential(
        source, lambda: connector.credential(ctx.vault), frozenset({host_of(connector.url)}), lambda host: host
    )
    server = targets.target_at(url, NamedHost(host_of(url), Nearness.FILE, source), [login])
    files = FilesToUpload(
        settings.source_path, settings.target, settings.upload_as_flat, settings.target_props, settings.threads
    )
    text = with_every_host({}, settings.ca_path, ctx)
    order = _order(settings, server, files, ctx, publish=settings.build_name is not None)
    plain = frozenset({host_of(url)}) if connector.plain_http else frozenset()
    return replace(order, plain_http=plain, authorities=text, notes=(*connector.notes, *order.notes))


def resolve_upload_plugin(settings: UploadFiles, ctx: ResolveContext) -> ResolvedStep:
    """Return the order to upload files that *settings* of the plugin give.

    Raises:
        SettingsError: a credential may not be sent to the server, or certificates cannot be read.
        SecretError: a secret reference leads nowhere.
    """
    url = targets.artifactory_address(settings.url)
    server = targets.target_at(url, ctx.named_host("url", url), login_ways(settings, ctx))
    files = FilesToUpload(settings.source, settings.target, settings.flat, settings.target_props, settings.threads)
    publish = settings.build_name is not None if settings.publish_build_info is None else settings.publish_build_info
    order, trust = _order(settings, server, files, ctx, publish=publish), trust_at(url, settings, ctx)
    return replace(
        order,
        plain_http=trust.plain_http,
        insecure=trust.insecure,
        authorities=trust.authorities,
        retries=settings.retries,
        notes=(
            *order.notes,
            *server.notes,
            *unused_logins(settings, server, ctx),
            *trust.notes,
            *_added(settings, url),
        ),
    )


def _added(settings: UploadFiles, url: str) -> Iterator[str]:
    if "/artifactory" not in settings.url:
        yield f"{settings.url} is the address of the platform, so {url} is used"


def _order(
    settings: ArtifactoryUpload | UploadFiles,
    server: ArtifactoryTarget,
    files: FilesToUpload,
    ctx: ResolveContext,
    *,
    publish: bool,
) -> ResolvedStep:
    """Return the order, without whom to trust."""
    build = _build(settings, ctx) if publish else BuildIdentity()
    return ResolvedStep(
        settings=settings,
        references=(),
        artifactory=server,
        build=build,
        push=False,
        upload=files,
        set_names=explicitly_set(settings),
        sources={name: one for name, one in sources_of(None, server, build).items() if name != "credentials"},
        notes=() if publish else tuple(_unused_build(settings, ctx)),
    )


def _unused_build(settings: ArtifactoryUpload | UploadFiles, ctx: ResolveContext) -> Iterator[str]:
    """Yield a note for each setting about a build that is not published; those of ``jf`` may be for others."""
    ambient = {"build_name": "JFROG_CLI_BUILD_NAME", "build_number": "JFROG_CLI_BUILD_NUMBER"}
    for name in ("build_name", "build_number", "build_exists", "build_dir"):
        if name in explicitly_set(settings) and not ctx.ambient(name, ambient.get(name, "")):
            missing = "build_name" if settings.build_name is None else "publish_build_info"
            yield f"{ctx.source_of(name)}: {name} has no effect without {missing}"


def _build(settings: ArtifactoryUpload | UploadFiles, ctx: ResolveContext) -> BuildIdentity:
    if settings.build_name is None:
        message = "publish_build_info is on, and build_name is not set"
        raise ctx.fail(message, "publish_build_info", "set build_name, or leave publish_build_info out")
    number, source = settings.build_number, ctx.source_of("build_number")
    if not number:
        number, source = targets.default_build_number(ctx.facts)
    return BuildIdentity(
        name=settings.build_name,
        number=number,
        url=ci(ctx.env).url,
        project=targets.project_in(ctx.env),
        publish=True,
        exists=settings.build_exists,
        directory=ctx.cwd / settings.build_dir if settings.build_dir else None,
        sources={"name": ctx.source_of("build_name"), "number": source},
    )
