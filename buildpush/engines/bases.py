"""The base images and caches that a build pulls, and who we are at their hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from buildpush.errors import BadNameError, DockerfileError
from buildpush.images import dockerfile
from buildpush.images.caches import CacheSpec
from buildpush.images.model import BuildRequest
from buildpush.images.references import Reference, mirrored
from buildpush.images.stages import base_images
from buildpush.registry.auth import Credential

# The name of what buildx keeps in a repository for caches; kaniko names each layer by a digest there.
CACHE_TAG: Final = "buildcache"

_IMAGE: Final = "docker-image://"

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
        file = dockerfile.read(request.dockerfile)
        return base_images(file, request)
    except DockerfileError as error:
        if error.where is None:
            raise
        return ()  # the engine may know what we do not; if not, it says so


def pulled(request: BuildRequest) -> tuple[Reference, ...]:
    """Return the base images as they are pulled: those of Docker Hub from its mirror, if there is one."""
    return tuple(mirrored(base, request.mirror) for base in bases(request))


def caches(request: BuildRequest) -> tuple[CacheSpec, ...]:
    """Return every cache of *request*, whether it is read or written."""
    return (*request.cache_from, *request.cache_to, *repository_cache(request))


def repository_cache(request: BuildRequest) -> tuple[CacheSpec, ...]:
    """Return the cache in the repository that *request* names for it, if it names one; it is read and written."""
    if request.cache_repository is None:
        return ()
    return (CacheSpec("registry", (("ref", f"{request.cache_repository}:{CACHE_TAG}"),)),)


def _named(request: BuildRequest) -> Iterator[Reference]:
    """Yield the images that are named elsewhere than in FROM and COPY; the engine refuses what is no reference."""
    texts = [place.removeprefix(_IMAGE) for place in request.build_contexts.values() if place.startswith(_IMAGE)]
    with suppress(DockerfileError):
        texts.append(dockerfile.read(request.dockerfile).syntax or "")
    for text in filter(None, texts):
        with suppress(BadNameError):
            yield Reference.parse(text)


def base_credentials(request: BuildRequest, find: Find) -> dict[str, Credential]:
    """Return the credentials of the hosts that a build pulls from; errors as for :func:`bases`.

    These are the hosts of base images, of contexts that are images, of the Dockerfile's language, and of caches. The
    engine sees no others: neither our variables nor the logins of other hosts reach it.
    """
    images = (*pulled(request), *_named(request))
    hosts = {name.repository.host for name in images} | {cache.host for cache in caches(request)} - {""}
    found = {host: find(host) for host in sorted(hosts)}
    return {host: credential for host, credential in found.items() if credential}
