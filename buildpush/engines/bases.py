"""The base images and caches that a build pulls, and the credentials for their hosts."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Final

from buildpush.credentials.docker import Credential
from buildpush.dockerfile.caches import CacheSpec
from buildpush.dockerfile.outline import outline
from buildpush.dockerfile.request import BuildRequest
from buildpush.dockerfile.stages import StageSource, base_images
from buildpush.dockerfile.stages import final_base as final_base_in
from buildpush.engines import Find
from buildpush.foundation.errors import BadNameError, DockerfileError
from buildpush.http.urls import EVERY_HOST, names_of_host
from buildpush.images.model import Platform
from buildpush.images.references import Reference, references_in_mirrors

# The tag that buildx writes in a repository for caches; kaniko names each layer by a digest there.
CACHE_TAG: Final = "buildcache"

_IMAGE: Final = "docker-image://"


def bases(request: BuildRequest) -> tuple[Reference, ...]:
    """Return the base images that are pulled; none where only the engine can read the Dockerfile.

    Raises:
        DockerfileError: it is missing or unreadable.
    """
    return _bases_or_none(request) or ()


def _bases_or_none(request: BuildRequest) -> tuple[Reference, ...] | None:
    """Return the base images, or ``None`` where we cannot find them in the Dockerfile."""
    file = outline(request.dockerfile)
    try:
        return base_images(file, request) if file.stages else None
    except DockerfileError:
        return None  # the engine may understand it; if not, it reports it


def final_base(request: BuildRequest, platform: Platform) -> StageSource | None:
    """Return what the image for *platform* begins with; ``None`` where only the engine can read the Dockerfile."""
    try:
        file = outline(request.dockerfile)
        return final_base_in(file, request, platform) if file.stages else None
    except DockerfileError:
        return None


def unknown_bases_note(request: BuildRequest) -> str:
    """Return a note for a build whose base images are not known before the engine runs, or an empty text.

    Raises:
        DockerfileError: the Dockerfile is missing or unreadable.
    """
    if _bases_or_none(request) is not None:
        return ""
    name = request.dockerfile.name
    return (
        f"the base images of {name} cannot be determined: the engine gets logins, and "
        "permission to skip TLS, only for hosts that settings name, such as build_contexts: NAME=docker-image://IMAGE"
    )


def pulled_images(request: BuildRequest) -> tuple[Reference, ...]:
    """Return the base images as they are pulled: those of Docker Hub from its mirrors, if there are any."""
    return tuple(image for base in bases(request) for image in references_in_mirrors(base, request.mirrors))


def insecure_hosts(request: BuildRequest) -> tuple[str, ...]:
    """Return the hosts that the build pulls from and that, as *request* says, may have any certificate."""
    return tuple(host for host, name in _hosts_among(request, request.insecure))


def authorities(request: BuildRequest) -> dict[str, str]:
    """Return the hosts that the build pulls from, and the certificates that *request* has for them, as PEM text."""
    certificates = {name.lower(): text for name, text in request.authorities.items()}
    return {host: certificates[name] for host, name in _hosts_among(request, certificates)}


def _hosts_among(request: BuildRequest, names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the hosts that the build pulls from and that are among *names*, each with the name that matches it.

    A name may have no port. Where only the engine can read the Dockerfile, these are all of *names* that are hosts.
    """
    if not names:
        return
    if _bases_or_none(request) is None:
        yield from ((name, name) for name in sorted({*names} - {EVERY_HOST}))
        return
    hosts = {image.repository.host for image in pulled_images(request)} | {cache.host for cache in caches(request)}
    for host in sorted(hosts):
        if name := next((name for name in (*names_of_host(host), EVERY_HOST) if name in names), ""):
            yield host, name


def platforms_of(request: BuildRequest) -> tuple[tuple[int, Platform | None], ...]:
    """Return the platforms that *request* names, with their numbers; ``None`` for the platform of the builder."""
    return tuple(enumerate(request.platforms or (None,)))


def caches(request: BuildRequest) -> tuple[CacheSpec, ...]:
    """Return every cache of *request*, whether it is read or written."""
    return (*request.cache_from, *request.cache_to, *repository_cache(request))


def repository_cache(request: BuildRequest) -> tuple[CacheSpec, ...]:
    """Return the cache in the repository that *request* names for caches, if any; it is read and written."""
    if request.cache_repository is None:
        return ()
    return (CacheSpec("registry", (("ref", f"{request.cache_repository}:{CACHE_TAG}"),)),)


def frontend(request: BuildRequest) -> tuple[Reference, ...]:
    """Return the image of the frontend, if the Dockerfile names one: the first word of ``# syntax=``."""
    with suppress(DockerfileError, BadNameError, IndexError):
        return (Reference.parse((outline(request.dockerfile).syntax or "").split()[0]),)
    return ()


def _other_images(request: BuildRequest) -> Iterator[Reference]:
    """Yield the images that are named outside FROM and COPY; the engine refuses what is not a reference."""
    texts = [text.removeprefix(_IMAGE) for text in request.build_contexts.values() if text.startswith(_IMAGE)]
    for text in texts:
        with suppress(BadNameError):
            yield Reference.parse(text)
    yield from frontend(request)


def base_credentials(request: BuildRequest, find: Find) -> dict[str, Credential]:
    """Return the credentials of the hosts that a build pulls from; errors as for :func:`bases`.

    These are the hosts of base images, of contexts that are images, of the frontend, and of caches. The engine gets
    no others: neither our variables nor the logins of other hosts reach it.
    """
    images = (*pulled_images(request), *_other_images(request))
    hosts = {image.repository.host for image in images} | {cache.host for cache in caches(request)} - {""}
    credentials = {host: find(host) for host in sorted(hosts)}
    return {host: credential for host, credential in credentials.items() if credential}
