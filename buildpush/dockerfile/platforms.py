"""Determines the platform of this machine, and the arguments that a builder sets from platforms."""

from __future__ import annotations

import platform

from buildpush.dockerfile.model import Dockerfile
from buildpush.dockerfile.request import BuildRequest
from buildpush.images.model import Platform

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def machine() -> Platform:
    """Return the platform of images that run on this machine: always Linux, whatever its own system."""
    name = platform.machine().lower()
    return Platform("linux", _ARCHITECTURES.get(name, name), "v7" if name == "armv7l" else "")


def platform_arguments(
    dockerfile: Dockerfile, request: BuildRequest, target: Platform | None = None, builder: Platform | None = None
) -> dict[str, str]:
    """Return the arguments that the builder sets, such as ``TARGETARCH``.

    Args:
        dockerfile: contains the stage that is built.
        request: says which stage.
        target: platform to build for; by default the first of *request*, which may leave it to the builder.
        builder: its platform; that of this machine by default.

    Raises:
        DockerfileError: the stage does not exist.
    """
    builder = builder or machine()
    target = target or (request.platforms[0] if request.platforms else builder)
    arguments: dict[str, str] = {}
    for kind, one in (("TARGET", target), ("BUILD", builder)):
        arguments |= {f"{kind}PLATFORM": str(one), f"{kind}OS": one.os, f"{kind}ARCH": one.architecture}
        arguments |= {f"{kind}VARIANT": one.variant, f"{kind}OSVERSION": ""}
    return {**arguments, "TARGETSTAGE": dockerfile.target(request.target).name or "default"}
