"""What a step uses besides its registries: the engines, and the Artifactory of its build-info."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.events import Sink
from buildpush.http.client import Http
from buildpush.http.download import download
from buildpush.images.model import Image, Index, Platform
from buildpush.images.references import Reference
from buildpush.pipeline.clusters import cluster_tools
from buildpush.pipeline.context import Hosts, RunContext
from buildpush.places import Here

if TYPE_CHECKING:
    from buildpush.artifactory import Artifactory
    from buildpush.credentials.docker import Credential, Keychain
    from buildpush.credentials.jfrog import ArtifactoryTarget
    from buildpush.engines.by_name import Engines
    from buildpush.settings.resolved import ResolvedStep


def open_artifactory(target: ArtifactoryTarget, http: Http, keychain: Keychain, sink: Sink) -> Artifactory:
    """Return the client of *target*; if it has no credential, that of the push to its host is used."""
    from buildpush.artifactory import Artifactory

    return Artifactory(target.url, http, target.credential or keychain.find(target.host), sink=sink)


def _forget(_reference: Reference, _platform: Platform, _image: Image) -> None:
    """Do nothing about a base image."""


def _login(hosts: Hosts, host: str, *, dry: bool) -> Credential | None:
    """Return the login at *host*, with a token that is valid now; in a plan, none is requested."""
    found = hosts.keychain.find(host)
    return found.fresh(hosts.http) if found and not dry else found


def engines_for(
    order: ResolvedStep,
    context: RunContext,
    hosts: Hosts,
    pulled: Callable[[Reference, Platform, Image], None] = _forget,
) -> Engines:
    """Return the engines; each is created on first use.

    Args:
        order: of the step.
        context: of the run.
        hosts: that the step uses.
        pulled: called with each base image that an engine pulls through us.
    """
    from buildpush.engines import Tools
    from buildpush.engines.by_name import Engines

    def base(reference: Reference, platform: Platform) -> Image:
        from buildpush.registry.pull import pull  # a check pulls nothing

        image = pull(reference, hosts.registry, platform)
        if isinstance(image, Index):
            message = f"{reference} has no single image for {platform}"
            raise SettingsError(message, hint="choose another platform, or another base", setting="platforms")
        pulled(reference, platform, image)
        return image

    tools = Tools(
        context.env,
        Here(context.env),
        partial(_login, hosts, dry=context.dry),
        context.log,
        pull=base,
        fetch=partial(download, hosts.http, most=order.fetch_limit),
        memory=context.memory,
        scratch=context.state.scratch,
        layers=context.state.layers,
        settings=order.own_settings,
        cluster=cluster_tools(order, context, hosts) if order.cluster else None,
    )
    return Engines(tools)
