"""The destination of an image and the credentials of a build: from connectors, and from user and password."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from buildpush.credentials.connectors import Connector, repository_at
from buildpush.credentials.docker import Credential, credentials_in
from buildpush.credentials.jfrog import ArtifactoryTarget
from buildpush.credentials.pairing import (
    host_of,
    how_to_set,
    login_pair,
    registry_host,
    safe_schemes,
    written_schemes,
)
from buildpush.foundation.errors import SecretError, SettingsError
from buildpush.images.references import DOCKER_HUB, Repository, names_host
from buildpush.settings.declare import setting_named
from buildpush.settings.model import BuildAndPush
from buildpush.settings.resolved import ResolveContext


def connector_of(settings: BuildAndPush, ctx: ResolveContext) -> Connector | None:
    """Return the connector of the registry; without a push, a connectors file is not needed."""
    if not settings.connector_ref or (not settings.push and ctx.connectors.file is None):
        return None
    return ctx.connectors.find(settings.connector_ref)


def repository_of(settings: BuildAndPush, connector: Connector | None) -> Repository:
    """Return the repository of the image: without a host it is at the connector, or at ``registry``.

    Raises:
        SettingsError: it is at a host that the connector does not serve.
    """
    if connector:
        return connector.repository(settings.repo)
    if settings.registry and not names_host(settings.repo):
        return repository_at(settings.registry, settings.repo)
    return Repository.parse(settings.repo)


def cache_repository_of(settings: BuildAndPush, ctx: ResolveContext) -> Repository | None:
    """Return the repository for layers, if one is named; without a host, it is where a ``repo`` without one is."""
    text = settings.remote_cache_repo
    if text is None or names_host(text):
        return Repository.parse(text) if text else None
    return repository_of(settings.replace(repo=text), connector_of(settings, ctx))


def connectors_of(settings: BuildAndPush, ctx: ResolveContext) -> tuple[Connector, ...]:
    """Return the connectors that are used: that of the registry, then the first for each other host of base images."""
    connector = connector_of(settings, ctx)
    bases = tuple(one for one in _base_connectors(settings, ctx) if connector is None or one.host != connector.host)
    return (connector, *bases) if connector else bases


def schemes_of(settings: BuildAndPush, ctx: ResolveContext) -> dict[str, str]:
    """Return the schemes of hosts as their addresses are written; only a connector leaves out TLS elsewhere."""
    connectors = written_schemes(entry.url for entry in connectors_of(settings, ctx))
    return safe_schemes((settings.registry, settings.artifactory_url)) | connectors


def _base_connectors(settings: BuildAndPush, ctx: ResolveContext) -> tuple[Connector, ...]:
    """Return the connectors of base images: of several for one host, the first."""
    connectors: dict[str, Connector] = {}
    for name in settings.base_image_connector_refs:
        connector = ctx.connectors.find(name)
        connectors.setdefault(connector.host, connector)
    return tuple(connectors.values())


def unused_connectors(settings: BuildAndPush, ctx: ResolveContext) -> Iterator[str]:
    """Yield a note for each connector of base images without effect: another one comes first for its host."""
    first = {one.host: one.identifier for one in connectors_of(settings, ctx)}
    for at, name in enumerate(settings.base_image_connector_refs):
        connector = ctx.connectors.find(name)
        if connector.identifier != (other := first[connector.host]):
            where = ctx.where("base_image_connector_refs", at)
            yield f"{where}: the connector {name} has no effect: {other} comes first for {connector.host}"


def push_credential(
    settings: BuildAndPush, repository: Repository, connector: Connector | None, ctx: ResolveContext
) -> dict[str, Credential]:
    """Return the credential that the settings give, by its host: the connector's, or else user and password."""
    if connector:
        return {repository.host: connector.credential(ctx.vault)}
    pair = login_pair(settings.username, settings.password, ctx.where)
    if pair is None:
        return {}
    host = _login_host(settings, repository, ctx)
    return {host: Credential(pair[0], ctx.secret("password", pair[1]), ctx.source_of("password"))}


def _login_host(settings: BuildAndPush, repository: Repository, ctx: ResolveContext) -> str:
    """Return the host that user and password are for: that of ``registry``, else that of ``repo``.

    Raises:
        SettingsError: what names the host is farther than what gives the password.
    """
    name = "registry" if settings.registry else "repo"
    address = ctx.named_host(name, settings.registry or repository.host)
    by = ctx.nearness("password")
    if address.nearness > by:
        message = f"the password from {ctx.source_of('password')} is not sent to {address.host}, which only "
        message += f"{address.source} names"
        hint = how_to_set(setting_named(BuildAndPush, "registry"), by, repository.host)
        raise ctx.fail(message, "password", hint)
    is_here = settings.registry is None or address.host == host_of(repository.host)
    return repository.host if is_here else registry_host(settings.registry or "")


def overridden_logins(settings: BuildAndPush, used: Mapping[str, Credential], ctx: ResolveContext) -> Iterator[str]:
    """Yield a note for each login of a Docker configuration that is not among *used*."""
    for host, login in _of_docker_config(settings, ctx).items():
        if used[host].source != login.source:
            yield f"{login.source}: its login for {host} has no effect: {used[host].source} comes first"


def unused_credentials(
    settings: BuildAndPush, repository: Repository, given: Mapping[str, Credential], ctx: ResolveContext
) -> Iterator[str]:
    """Yield a note for each credential without effect on the push."""
    if not settings.push:
        return
    if settings.connector_ref:
        for name in ("registry", "username", "password"):
            if getattr(settings, name) is not None:
                yield f"{ctx.source_of(name)}: {name} has no effect: the connector {settings.connector_ref} has its own"
        return
    if settings.registry is None:
        return
    if not given and repository == Repository.parse(settings.repo):
        yield f"{ctx.source_of('registry')}: registry has no effect: username and password are not set"
    for host in given.keys() - {repository.host}:
        yield (
            f"{given[host].source} is for {host}, which {ctx.source_of('registry')} names, and the image goes to "
            f"{repository.host}: the credential for that is looked up in Docker's own files"
        )


def _of_connector(
    settings: BuildAndPush, others: Mapping[str, Credential], ctx: ResolveContext
) -> dict[str, Credential]:
    """Return the credential of the registry's connector for its own host: base images may be there."""
    connector = connector_of(settings, ctx)
    if connector is None or connector.host in others or connector.password is None:
        return {}
    with suppress(SecretError):  # a build alone needs no login; a base image that needs one reports it
        return {connector.host: connector.credential(ctx.vault)}
    return {}


def _of_build(settings: BuildAndPush, repository: Repository, ctx: ResolveContext) -> dict[str, Credential]:
    """Return user and password as a credential: base images may be at its host, though a build needs no login."""
    if settings.push or settings.connector_ref:
        return {}
    with suppress(SettingsError, SecretError):
        return push_credential(settings, repository, None, ctx)
    return {}


def credentials_of(
    settings: BuildAndPush, repository: Repository, push: Mapping[str, Credential], ctx: ResolveContext
) -> dict[str, Credential]:
    """Return the credentials by host; two for one host are an error, since only one can be used."""
    credentials = dict(push)
    for name, host, one in _of_base_images(settings, ctx):
        other = credentials.setdefault(host, one)
        if (other.username, other.password) != (one.username, one.password):
            message = f"{host} would be used with two logins: {other.source} and {one.source}"
            hint = "give one of the users the rights of both, and use it for both"
            raise ctx.fail(message, name, hint)
    own = _of_connector(settings, credentials, ctx) | _of_build(settings, repository, ctx)
    return _of_docker_config(settings, ctx) | own | credentials


def with_token(
    credentials: Mapping[str, Credential],
    settings: BuildAndPush,
    artifactory: ArtifactoryTarget | None,
    repository: Repository,
    ctx: ResolveContext,
) -> dict[str, Credential]:
    """Return *credentials*, and the token for Artifactory at its own registry, unless that has a credential."""
    is_own = settings.artifactory_token is not None and not ctx.ambient("artifactory_token", "JF_ACCESS_TOKEN")
    if artifactory is None or not is_own:
        return dict(credentials)
    name = "repo" if names_host(settings.repo) else "registry"
    return artifactory.for_registry(repository.host, ctx.named_host(name, repository.host)) | {**credentials}


def _of_base_images(settings: BuildAndPush, ctx: ResolveContext) -> Iterator[tuple[str, str, Credential]]:
    """Yield the logins for base images: the setting that gives each, its host, and the credential.

    Raises:
        SettingsError: user or password is missing, or what names their host is farther than what gives the password.
    """
    for connector in _base_connectors(settings, ctx):
        if connector.password is not None:
            yield "base_image_connector_refs", connector.host, connector.credential(ctx.vault)
    key, password = "base_image_password", settings.base_image_password
    if bool(settings.base_image_username) is not (password is not None):
        present, missing = ("base_image_username", key) if password is None else (key, "base_image_username")
        message = f"{present} is set, but {missing} is not"
        raise ctx.fail(message, present, "set both, or neither")
    if not settings.base_image_username or password is None:
        return
    registry, by = settings.base_image_registry, ctx.nearness(key)
    if registry and (address := ctx.named_host("base_image_registry", registry)).nearness > by:
        message = (
            f"the password from {ctx.source_of(key)} is not sent to {address.host}, which only {address.source} names"
        )
        hint = how_to_set(setting_named(BuildAndPush, "base_image_registry"), by, address.host)
        raise ctx.fail(message, key, hint)
    one = Credential(settings.base_image_username, ctx.secret(key, password), ctx.source_of(key))
    yield key, base_image_host(settings), one


def base_image_hosts(settings: BuildAndPush, ctx: ResolveContext) -> frozenset[str]:
    """Return the hosts with a login for base images."""
    own = frozenset({base_image_host(settings)} if settings.base_image_username else ())
    return own | frozenset(ctx.connectors.find(name).host for name in settings.base_image_connector_refs)


def base_image_host(settings: BuildAndPush) -> str:
    """Return the host that the user of base images is for."""
    return registry_host(settings.base_image_registry) if settings.base_image_registry else DOCKER_HUB


def _of_docker_config(settings: BuildAndPush, ctx: ResolveContext) -> dict[str, Credential]:
    """Return the logins of a Docker configuration; any other login for a host takes precedence."""
    if settings.docker_config is None:
        return {}
    return credentials_in(ctx.secret("docker_config", settings.docker_config).reveal(), ctx.source_of("docker_config"))
