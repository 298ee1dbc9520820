"""What the rows share: the size, the material, and a Docker daemon that is started when the first row asks for it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.pushing import buildkit, commands, daemon, layouts, material
from benchmarks.pushing.material import Context

SMALL_LAYERS = 20
IMAGE = "bench/source:1"  # of the daemon


class Missing(Exception):  # noqa: N818 - no error: a row that cannot be measured here
    """What a row needs is not here."""


@dataclass
class Ground:
    """Where and how large a row is measured."""

    megabytes: int
    rounds: int
    cache: Path
    stack: ExitStack
    kind: str = ""  # of registry
    before: Path | None = None  # an earlier checkout to compare with

    @cached_property
    def context(self) -> Context:
        return material.two_layers(self.cache, self.megabytes)

    @cached_property
    def twenty(self) -> Context:
        """Twenty small layers, a tenth of the size in all."""
        return material.many_layers(self.cache, max(SMALL_LAYERS, self.megabytes // 10), SMALL_LAYERS)

    @cached_property
    def plain(self) -> Path:
        return layouts.plain(self.context)

    @cached_property
    def packed(self) -> Path:
        return layouts.packed(self.context)

    @cached_property
    def bare_docker(self) -> str:
        """``DOCKER_HOST`` of our own daemon."""
        need(daemon.missing())
        return self.stack.enter_context(daemon.running(self.cache / "docker"))

    @cached_property
    def buildkit(self) -> Mapping[str, str]:
        """Variables with which buildx builds in a BuildKit of our own."""
        need(buildkit.missing())
        return self.stack.enter_context(buildkit.running(self.cache / "buildkit"))

    @cached_property
    def docker(self) -> str:
        """``DOCKER_HOST`` of our own daemon, which has the image."""
        host = self.bare_docker
        commands.run(["docker", "build", "--quiet", "--tag", IMAGE, str(self.context.directory)], {"DOCKER_HOST": host})
        return host


def need(missing: str | None) -> None:
    """Leave a row out.

    Raises:
        Missing: something is.
    """
    if missing:
        raise Missing(missing)


def need_program(name: str) -> None:
    need(None if shutil.which(name) else name)
