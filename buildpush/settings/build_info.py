"""The build-info that a step publishes: to which Artifactory, and with which credential."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from buildpush.credentials import jfrog as targets
from buildpush.credentials.connectors import Connector
from buildpush.credentials.docker import Credential
from buildpush.credentials.jfrog import ArtifactoryTarget, BuildIdentity
from buildpush.credentials.pairing import NamedHost, Nearness, host_of
from buildpush.expressions.ci import ci
from buildpush.http.urls import is_loopback
from buildpush.images.references import Repository, names_host
from buildpush.settings.declare import setting_named
from buildpush.settings.model import BuildAndPush
from buildpush.settings.resolved import ResolveContext
from buildpush.settings.server_settings import token_credentials
from buildpush.settings.step_credentials import schemes_of

_DOCKERS: Final = "Docker's configuration, if it has one"


def build_info(
    settings: BuildAndPush,
    repository: Repository,
    connector: Connector | None,
    pusher: Credential | None,
    ctx: ResolveContext,
) -> tuple[ArtifactoryTarget | None, BuildIdentity]:
    """Return where build-info goes, ``None`` for nowhere, and the identity of its build.

    Raises:
        SettingsError: no address or credential for it is known, or it is asked for without a push.
    """
    if not _publishes(settings, ctx):
        return None, BuildIdentity(settings.build_name or "", settings.build_number or "")
    host = repository.host.lower()
    if settings.artifactory_url:
        url = targets.artifactory_address(settings.artifactory_url)
        address = ctx.named_host("artifactory_url", url)
    else:
        plain_http = settings.insecure or (is_loopback(host) and schemes_of(settings, ctx).get(host) != "https")
        url = targets.derived_address(repository, connector, plain_http=plain_http)
        address = _derived(url, settings, repository, connector, ctx)
    ways = token_credentials(
        settings.artifactory_token, "artifactory_token", setting_named(BuildAndPush, "artifactory_url"), ctx
    )
    if pusher:
        by = ctx.nearness("password")
        ways.append(targets.push_credential(repository.host, pusher, by, connector, address))
    target = targets.target_at(url, address, ways)
    if not settings.artifactory_url:
        target = replace(target, url_source="the registry's host")
    return target, _identity(settings, repository, ctx)


def _derived(
    url: str, settings: BuildAndPush, repository: Repository, connector: Connector | None, ctx: ResolveContext
) -> NamedHost:
    """Return the host of an address that was derived from the registry's, and the source of that."""
    in_repo = settings.repo.startswith(f"{repository.host}/")
    if connector and not in_repo:
        return NamedHost(host_of(url), Nearness.FILE, f"the connector {connector.identifier}")
    return ctx.named_host("repo" if names_host(settings.repo) else "registry", url)


def _publishes(settings: BuildAndPush, ctx: ResolveContext) -> bool:
    if settings.publish_build_info and not settings.push:
        message = "build-info describes a pushed image, and push is off"
        raise ctx.fail(message, "publish_build_info", "leave out publish_build_info, or turn push on")
    if not settings.push or settings.publish_build_info is False:
        return False
    return bool(settings.publish_build_info or settings.artifactory_url or settings.build_dir)


def _identity(settings: BuildAndPush, repository: Repository, ctx: ResolveContext) -> BuildIdentity:
    name, name_source = settings.build_name, ctx.source_of("build_name")
    if not name:
        name, name_source = targets.default_build_name(ctx.facts, repository, for_all_jobs=bool(settings.build_dir))
    number, number_source = settings.build_number, ctx.source_of("build_number")
    if not number:
        number, number_source = targets.default_build_number(ctx.facts)
    return BuildIdentity(
        name=name,
        number=number,
        url=settings.build_url or ci(ctx.env).url,
        project=settings.build_project or "",
        module=settings.build_module or "",
        compat=settings.compat or "",
        publish=True,
        exists=settings.build_exists,
        directory=ctx.cwd / settings.build_dir if settings.build_dir else None,
        sources={"name": name_source, "number": number_source},
    )


def sources_of(
    pusher: Credential | None, artifactory: ArtifactoryTarget | None, build: BuildIdentity
) -> dict[str, str]:
    """Return where the credential, Artifactory and the build's identity come from, for ``check``."""
    sources = {"credentials": pusher.source if pusher else _DOCKERS}
    if artifactory:
        sources["artifactory"] = artifactory.url_source
        sources["artifactory credentials"] = artifactory.credential.source if artifactory.credential else _DOCKERS
    return sources | {f"build {name}": source for name, source in build.sources.items()}
