"""Runs kaniko's executor in a container of its own, since it empties the root file system and builds in it.

It does not touch its own directory or what is mounted, so all its inputs are mounted below that directory.

Source: osscontainertools/kaniko, pkg/util/fs_util.go, the list of ignored paths.
"""

# Flags of other programs in this module's texts: any

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from buildpush.dockerfile.request import BuildRequest
from buildpush.foundation.errors import EngineMissingError
from buildpush.foundation.records import dataclass
from buildpush.places import Container, Mount, Place
from buildpush.transfer import daemon, dockerhome

REMEDIES: Final = "set kanikoImage to an image of kaniko's executor, with its digest; or use engine: docker or buildah"
_PROGRAMS: Final = ("docker", "podman")
_HOME: Final = "/kaniko"
_SHARED: Final = f"{_HOME}/buildpush"


@dataclass(frozen=True, slots=True)
class Executor:
    """Where the executor runs, and the paths of its inputs in the container.

    Attributes:
        place: the container that it runs in.
        program: path of the executor.
        context: path of the context.
        dockerfile: path of the Dockerfile.
        out: directory for its output.
    """

    place: Container
    program: str
    context: str
    dockerfile: str
    out: str


def program_of(env: Mapping[str, str], place: Place) -> str | None:
    """Return a program that starts containers with local directories, or ``None``."""
    for program in _PROGRAMS:
        if program == "docker" and _is_remote(env):
            continue
        with suppress(EngineMissingError):
            if place.run([program, "version"]).status == 0:  # docker asks its daemon
                return program
    return None


def _is_remote(env: Mapping[str, str]) -> bool:
    host = dockerhome.current_host(env, daemon.home_of(env))
    return host is not None and not host.startswith(("unix:", "npipe:"))


def executor_in(
    program: str, image: str, place: Place, request: BuildRequest, out: Path, *, network: str | None = None
) -> Executor:
    """Return the executor in a container of *image*, which *program* starts in *network*."""
    container = Container(
        image,
        place,
        program=program,
        mounts=tuple(_mounts(request, out)),
        memory=request.container.memory,
        cores=request.container.cores,
        user=request.container.user,
        privileged=request.container.privileged,
        network=network,
        private=f"{_SHARED}/private",
    )
    inside = request.dockerfile.is_relative_to(request.context)
    dockerfile = (
        f"context/{request.dockerfile.relative_to(request.context)}" if inside else f"file/{request.dockerfile.name}"
    )
    return Executor(container, f"{_HOME}/executor", f"{_SHARED}/context", f"{_SHARED}/{dockerfile}", f"{_SHARED}/out")


def _mounts(request: BuildRequest, out: Path) -> Iterator[Mount]:
    yield Mount(request.context, f"{_SHARED}/context")
    yield Mount(out, f"{_SHARED}/out", writable=True)
    if request.dockerfile.is_relative_to(request.context):
        return
    for path in (request.dockerfile, request.dockerfile.with_name(f"{request.dockerfile.name}.dockerignore")):
        if path.exists():
            yield Mount(path, f"{_SHARED}/file/{path.name}")
