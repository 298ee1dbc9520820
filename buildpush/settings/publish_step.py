"""The step that publishes build-info of a pushed image: its settings, and how they become an order."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from buildpush.credentials import jfrog as targets
from buildpush.credentials.jfrog import BuildIdentity
from buildpush.expressions.ci import ci
from buildpush.foundation.files import is_there
from buildpush.images.references import reference_at
from buildpush.settings.build_info import sources_of
from buildpush.settings.declare import explicitly_set
from buildpush.settings.fields import REQUIRED
from buildpush.settings.issues import issue_search
from buildpush.settings.kinds import AddressText, FileText, ReferenceText, Text
from buildpush.settings.resolved import ResolveContext, ResolvedStep
from buildpush.settings.server_settings import ServerSettings, login_ways, plugin_setting, trust_at, unused_logins
from buildpush.settings.step_settings import compat_setting, issues_setting
from buildpush.settings.words import relative_hint


class PublishBuildInfo(ServerSettings):
    """Publish build-info of a pushed image: the plugin step of Harness."""

    docker_image: ReferenceText = plugin_setting(
        "The pushed image, with its tag; without a host, it is at the host of `url`.",
        default=REQUIRED,
        example="acme.jfrog.io/docker-local/team/api:1.4.2",
    )
    build_name: Text = plugin_setting(
        "Name of the build in Artifactory.",
        default=REQUIRED,
        example="api",
        ambient=("JFROG_CLI_BUILD_NAME",),
    )
    build_number: Text = plugin_setting(
        "Number of the build in Artifactory.",
        default=REQUIRED,
        example="42",
        ambient=("JFROG_CLI_BUILD_NUMBER",),
    )
    build_url: AddressText | None = plugin_setting(
        "Link from the build in Artifactory back to the run that made it.",
        example="https://ci.example.com/runs/42",
        ambient=("JFROG_CLI_BUILD_URL",),
    )
    git_path: FileText | None = plugin_setting(
        "Directory whose git history gives the revision; without it, the working directory.",
        example="service",
    )
    compat: Literal["jf"] | None = compat_setting("settings")
    issues_tracker: Text | None = issues_setting("tracker", "settings")
    issues_regexp: Text | None = issues_setting("regexp", "settings")
    issues_url: AddressText | None = issues_setting("url", "settings")


def resolve_publish(settings: PublishBuildInfo, ctx: ResolveContext) -> ResolvedStep:
    """Return the order to publish build-info that *settings* give.

    Raises:
        SettingsError: a name or directory cannot be used, or a user or password is missing.
        SecretError: a secret reference leads nowhere.
    """
    url = targets.artifactory_address(settings.url)
    reference = reference_at(urlsplit(url).netloc, settings.docker_image)
    artifactory = targets.target_at(url, ctx.named_host("url", url), login_ways(settings, ctx))
    host = reference.repository.host
    image_host = ctx.named_host("docker_image", host)
    credentials = artifactory.for_registry(host, image_host)
    trust = trust_at(url, settings, ctx)
    build = BuildIdentity(
        name=settings.build_name,
        number=settings.build_number,
        url=settings.build_url or ci(ctx.env).url,
        project=targets.project_in(ctx.env),
        compat=settings.compat or "",
        publish=True,
        sources={"name": ctx.source_of("build_name"), "number": ctx.source_of("build_number")},
    )
    return ResolvedStep(
        settings=settings,
        references=(reference,),
        artifactory=artifactory,
        build=build,
        issues=issue_search(settings, ctx),
        push=False,
        credentials=credentials,
        unshared=frozenset({host} if artifactory.binding and artifactory.binding.ambient else ()),
        schemes=trust.schemes,
        insecure=trust.insecure,
        authorities=trust.authorities,
        set_names=explicitly_set(settings),
        git_directory=_git_directory(settings, ctx),
        notes=(*artifactory.notes, *unused_logins(settings, artifactory, ctx), *trust.notes),
        sources=sources_of(credentials.get(host), artifactory, build),
    )


def _git_directory(settings: PublishBuildInfo, ctx: ResolveContext) -> Path | None:
    if settings.git_path is None:
        return None
    path = ctx.cwd / settings.git_path
    if not path.is_dir():
        state = "is not a directory" if is_there(path) else "does not exist"
        message = f"git_path {settings.git_path!r} {state}"
        raise ctx.fail(message, "git_path", relative_hint(ctx.cwd))
    return path.resolve()
