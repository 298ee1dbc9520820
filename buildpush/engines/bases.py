"""The base images that a build pulls, and who we are at their hosts."""

from __future__ import annotations

from collections.abc import Callable

from buildpush.errors import DockerfileError
from buildpush.images import dockerfile
from buildpush.images.model import BuildRequest
from buildpush.images.references import Reference
from buildpush.images.stages import base_images
from buildpush.registry.auth import Credential

Find = Callable[[str], Credential | None]


def nobody(_host: str) -> Credential | None:
    """Return ``None``: there is no credential for any host."""
    return None


def bases(request: BuildRequest) -> tuple[Reference, ...]:
    """Return the base images that are pulled; none where the Dockerfile is one that only the engine knows.

    Raises:
        DockerfileError: it cannot be read at all.
    """
    try:
        file = dockerfile.read(request.dockerfile, request.context)
        return tuple(base_images(file, request.target, request.build_args))
    except DockerfileError as error:
        if error.where is None:
            raise
        return ()  # the engine may know what we do not; if not, it says so


def base_credentials(request: BuildRequest, find: Find) -> dict[str, Credential]:
    """Return the credentials of the hosts that base images come from; errors as for :func:`bases`."""
    hosts = {name.repository.host for name in bases(request)}
    found = {host: find(host) for host in sorted(hosts)}
    return {host: credential for host, credential in found.items() if credential}
