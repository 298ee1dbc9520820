"""The steps that upload files to Artifactory: their settings, and how they become an order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Literal

from buildpush.credentials import jfrog as targets
from buildpush.credentials.jfrog import ArtifactoryTarget, BuildIdentity
from buildpush.credentials.pairing import BoundCredential, NamedHost, Nearness, host_of, written_schemes
from buildpush.expressions.ci import ci
from buildpush.settings.authorities import with_every_host
from buildpush.settings.build_info import sources_of
from buildpush.settings.declare import explicitly_set, setting
from buildpush.settings.fields import REQUIRED
from buildpush.settings.issues import OF_ISSUES, issue_search
from buildpush.settings.kinds import (
    AddressText,
    FileText,
    Properties,
    Structure,
    Switch,
    Text,
    ThreadCount,
    WholeNumber,
)
from buildpush.settings.resolved import FilesToUpload, ResolveContext, ResolvedStep
from buildpush.settings.server_settings import ServerSettings, login_ways, trust_at, unused_logins
from buildpush.settings.step_settings import CommonSettings, ca_path_setting, issues_setting

_upload = partial(setting, group="Upload", honoured_by="run")
_upload_plugin = partial(_upload, place="settings")
_of_build = partial(setting, group="Upload", honoured_by="publish")

# What both steps have, in another place each.
_target = partial(
    _upload,
    "Repository and path in Artifactory; one that ends in a slash is a directory.",
    "Several files that would get one name are refused.",
    default=REQUIRED,
    example="generic-local/app/1.0/{1}.whl",
)
_target_props = partial(
    _upload,
    "Properties of every file, as in `stage=test;team=web`.",
    "As in Harness' plugin, properties without a value, or with `null`, are left out.",
    default=(),
    example=["stage=test", "team=web"],
)
_threads = partial(_upload, "How many files are on their way at the same time.", default=4, example=8)
_build_name = partial(
    _of_build,
    "Name of the build that the files belong to; with it, they are a module of its build-info.",
    example="api",
    ambient=("JFROG_CLI_BUILD_NAME",),
)
_build_number = partial(
    _of_build,
    "Number of that build; without it, the number of the run.",
    example="42",
    ambient=("JFROG_CLI_BUILD_NUMBER",),
)
_build_exists = partial(
    _of_build,
    "What follows if that build has runs of the same number already: one more, an error, or one in their place.",
    "`refuse` is an error before anything is uploaded.",
    default="add",
    example="refuse",
)
_build_dir = partial(
    _of_build,
    "Directory that collects that build, from several runs, jobs and machines; then nothing is published.",
    example="build-info",
)


class ArtifactoryUpload(CommonSettings):
    """Upload files to Artifactory: the step ``ArtifactoryUpload``."""

    connector_ref: Text = _upload(
        "Connector of the Artifactory that gets the files; it has a user and a password.",
        "It may be one of the type `Artifactory`, or that of the registry at the same host.",
        default=REQUIRED,
        example="account.jfrog",
    )
    source_path: Text = _upload(
        "Pattern of the files, from the working directory.",
        "`*` is any text, also of several directories; a part in parentheses is a placeholder if {setting}`target` "
        "names its number. If nothing matches, the step fails.",
        default=REQUIRED,
        example="dist/(*).whl",
    )
    target: Text = _target()
    upload_as_flat: Switch = _upload(
        "Whether files lose their directories below a target that ends in a slash.",
        default=True,
        example=False,
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
    build_name: Text | None = _build_name("A stage variable `PLUGIN_BUILD_NAME` sets it, as in Harness.", place="env")
    build_number: Text | None = _build_number(place="env")
    build_exists: Literal["add", "refuse", "replace"] = _build_exists(place="env")
    build_dir: FileText | None = _build_dir(place="env")
    issues_tracker: Text | None = issues_setting("tracker", "env")
    issues_regexp: Text | None = issues_setting("regexp", "env")
    issues_url: AddressText | None = issues_setting("url", "env")
    target_props: Properties = _target_props(place="env")
    threads: ThreadCount = _threads(place="env")
    ca_path: FileText | None = ca_path_setting("Upload")


class UploadFiles(ServerSettings):
    """Upload files to Artifactory: the plugin step of Harness."""

    source: Text = _upload_plugin(
        "Pattern of the files, as `source_path` of the step `ArtifactoryUpload`.",
        default=REQUIRED,
        example="dist/*.whl",
    )
    target: Text = _target(place="settings")
    flat: Switch = _upload_plugin(
        "Whether files lose their directories below a target that ends in a slash.",
        default=False,
        example=True,
    )
    target_props: Properties = _target_props(place="settings")
    threads: ThreadCount = _threads(place="settings")
    retries: WholeNumber | None = _upload_plugin(
        "How often a request is tried again; without it, five times.",
        example=3,
    )
    build_name: Text | None = _build_name(place="settings")
    build_number: Text | None = _build_number(place="settings")
    build_exists: Literal["add", "refuse", "replace"] = _build_exists(place="settings")
    build_dir: FileText | None = _build_dir(place="settings")
    issues_tracker: Text | None = issues_setting("tracker", "settings")
    issues_regexp: Text | None = issues_setting("regexp", "settings")
    issues_url: AddressText | None = issues_setting("url", "settings")
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
    schemes = written_schemes([url])
    return replace(order, schemes=schemes, authorities=text, notes=(*connector.notes, *order.notes))


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
        schemes=trust.schemes,
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
        issues=issue_search(settings, ctx) if publish else None,
        push=False,
        upload=files,
        set_names=explicitly_set(settings),
        sources={name: one for name, one in sources_of(None, server, build).items() if name != "credentials"},
        notes=() if publish else tuple(_unused_build(settings, ctx)),
    )


def _unused_build(settings: ArtifactoryUpload | UploadFiles, ctx: ResolveContext) -> Iterator[str]:
    """Yield a note for each setting about a build that is not published; those of ``jf`` may be for others."""
    ambient = {"build_name": "JFROG_CLI_BUILD_NAME", "build_number": "JFROG_CLI_BUILD_NUMBER"}
    for name in ("build_name", "build_number", "build_exists", "build_dir", *OF_ISSUES):
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
