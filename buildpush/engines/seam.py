"""The seam that every engine fits."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar, Final, Protocol

from buildpush.dockerfile.request import BuildRequest
from buildpush.engines import Tools
from buildpush.images.model import Image, Index
from buildpush.images.references import Reference
from buildpush.places import Command

# Stands in commands that are only shown for the directory of what is built.
OUT: Final = Path("out")


class Engine(Protocol):
    """Something that builds images.

    Attributes:
        name: as in the setting ``engine``.
        flags: the settings it honours, by name, in its own words: ``--label``, ``itself``.
        uses_our_connections: whether buildpush itself pulls and fetches for it; otherwise it has its own connections.
    """

    name: ClassVar[str]
    flags: ClassVar[Mapping[str, str]]
    uses_our_connections: ClassVar[bool]

    def __init__(self, tools: Tools) -> None: ...

    def missing(self) -> str | None:
        """Return why it cannot be used on this machine, and on a second line what to do; ``None`` where it can."""
        ...

    def refuses(self, request: BuildRequest) -> str | None:
        """Return what in the Dockerfile it does not do, with its line, or ``None``.

        Raises:
            DockerfileError: the Dockerfile cannot be read.
            UnsupportedError: it honours a setting, but not with this value.
        """
        ...

    def images(self, request: BuildRequest) -> tuple[Reference, ...]:
        """Return the images of registries that it takes: bases, what is copied from, and what it needs to run."""
        ...

    def commands(self, request: BuildRequest) -> tuple[Command, ...]:
        """Return what :meth:`build` would run, to be read; nothing where it runs no program.

        ``private`` stands for the directory of logins and secrets, ``out`` for that of what is built.

        Raises:
            EngineMissingError: it is not here, or may not be used.
        """
        ...

    def unsupported_features(self) -> frozenset[str]:
        """Return what it cannot do that a Dockerfile may need, in the words of :mod:`buildpush.dockerfile.rules`."""
        ...

    def build(self, request: BuildRequest) -> AbstractContextManager[Image | Index]:
        """Build; the image can be read until the context ends, and its temporary files are gone afterwards.

        Raises:
            EngineMissingError: it is not here, or may not be used.
            BuildError: the image could not be built.
        """
        ...
