"""Where kaniko's executor runs: in a container of its own, or on this machine, if that is a container.

The executor builds in the root of the file system that it runs in. It leaves alone what is mounted, and the folder
that it lies in itself; so that is where everything lies that it is to see.

Source: osscontainertools/kaniko 1.28.3, README.md, "--preserve-context", "--pre-cleanup"; pkg/util/fs_util.go,
the list of what is ignored.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from buildpush.engines import buildkit, daemon
from buildpush.errors import EngineMissingError
from buildpush.images.model import BuildRequest
from buildpush.places import Container, Folder, Limits, Place

EXECUTOR: Final = "KANIKO_EXECUTOR"
REMEDIES: Final = "set kanikoImage to an image of kaniko's executor, with its digest; or use engine: docker or buildah"
_PROGRAMS: Final = ("docker", "podman")
_HOME: Final = "/kaniko"
_SEEN: Final = f"{_HOME}/buildpush"
# What the makers of containers leave in them.
_MARKS: Final = tuple(map(Path, ("/.dockerenv", "/run/.containerenv", "/var/run/secrets/kubernetes.io/serviceaccount")))
_ALREADY: Final = ("--pre-cleanup", "--cleanup", "--preserve-context")


@dataclass(frozen=True, slots=True)
class Seat:
    """Where the executor runs, and where it sees what it is to see.

    Attributes:
        place: runs it.
        program: its path.
        context: path of the context.
        dockerfile: path of the Dockerfile.
        out: folder for what it makes.
        flags: that it needs there.
    """

    place: Place
    program: str
    context: str
    dockerfile: str
    out: str
    flags: tuple[str, ...] = ()


def executor_of(env: Mapping[str, str]) -> Path | None:
    """Return the executor on this machine that the variable ``KANIKO_EXECUTOR`` names, or ``None``."""
    named = env.get(EXECUTOR)
    return Path(named) if named else None


def why_not_here(executor: Path, env: Mapping[str, str]) -> str | None:
    """Return why *executor* must not run on this machine, and on a second line what to do; ``None`` where it may."""
    if not executor.is_absolute() or not os.access(executor, os.X_OK) or executor.is_dir():
        return f"{EXECUTOR} names {executor}, which is no program\n{REMEDIES}"
    if os.geteuid() != 0:
        return f"{EXECUTOR} is set, and kaniko must be root\nleave it out, and {REMEDIES}"
    if not env.get("container") and not any(mark.exists() for mark in _MARKS):
        why = f"{EXECUTOR} is set, and kaniko would empty the file system of this machine, which is no container"
        return f"{why}\nleave it out, and {REMEDIES}; if this is a container after all, set the variable container=oci"
    if str(executor.parent) in env.get("PATH", os.defpath).split(":"):
        return f"{executor} lies among other programs\nput it into a folder of its own, such as {_HOME}"
    return None


def survives(folder: Path) -> bool:
    """Return whether *folder* is still there while kaniko builds on this machine: it lies on a mount."""
    return any(os.path.ismount(above) for above in (folder, *folder.parents[:-1]))


def program_of(env: Mapping[str, str], place: Place) -> str | None:
    """Return the program that starts containers which see the folders of this machine, or ``None``."""
    for program in _PROGRAMS:
        if program == "docker" and _is_elsewhere(env):
            continue
        with suppress(EngineMissingError):
            if place.run([program, "version"]).status == 0:  # docker asks its daemon
                return program
    return None


def _is_elsewhere(env: Mapping[str, str]) -> bool:
    host = buildkit.current_host(env, daemon.home_of(env))
    return host is not None and not host.startswith(("unix:", "npipe:"))


def seat_here(executor: Path, place: Place, request: BuildRequest, out: Path) -> Seat:
    """Return the seat on this machine, whose file system is put back at the end."""
    return Seat(place, str(executor), str(request.context), str(request.dockerfile), str(out), _ALREADY)


def seat_in_container(
    program: str, image: str, place: Place, request: BuildRequest, out: Path, *, network: str | None = None
) -> Seat:
    """Return the seat in a container of *image*, which *program* starts in *network*."""
    container = Container(
        image,
        place,
        program=program,
        folders=tuple(_folders(request, out)),
        limits=Limits(request.container.memory, request.container.cores),
        user=request.container.user,
        privileged=request.container.privileged,
        network=network,
        private=f"{_SEEN}/private",
    )
    inside = request.dockerfile.is_relative_to(request.context)
    where = (
        f"context/{request.dockerfile.relative_to(request.context)}" if inside else f"file/{request.dockerfile.name}"
    )
    return Seat(container, f"{_HOME}/executor", f"{_SEEN}/context", f"{_SEEN}/{where}", f"{_SEEN}/out")


def _folders(request: BuildRequest, out: Path) -> Iterator[Folder]:
    yield Folder(request.context, f"{_SEEN}/context")
    yield Folder(out, f"{_SEEN}/out", writable=True)
    if request.dockerfile.is_relative_to(request.context):
        return
    for path in (request.dockerfile, request.dockerfile.with_name(f"{request.dockerfile.name}.dockerignore")):
        if path.exists():
            yield Folder(path, f"{_SEEN}/file/{path.name}")
