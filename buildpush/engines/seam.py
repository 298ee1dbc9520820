"""The interface of engines."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar, Final, Protocol

from buildpush.dockerfile.request import BuildRequest
from buildpush.engines import Tools
from buildpush.images.model import Image, Index, PushedImage, PushedIndex
from buildpush.images.references import Reference

# A placeholder for the output directory in commands that are only shown.
OUT: Final = Path("out")


class Engine(Protocol):
    """Something that builds images.

    Attributes:
        name: as in the setting ``engine``.
        flags: the settings that it honours, by name, with its own flags: ``--label``, or ``itself``.
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
        """Return what in the Dockerfile it does not support, with its line, or ``None``.

        Raises:
            DockerfileError: the Dockerfile cannot be read.
            UnsupportedError: it honours a setting, but not with this value.
        """
        ...

    def images(self, request: BuildRequest) -> tuple[Reference, ...]:
        """Return the images that it pulls: bases, those that are copied from, and those that it needs to run."""
        ...

    def commands(self, request: BuildRequest) -> tuple[object, ...]:
        """Return the commands of :meth:`build`, or what it sends to a cluster, whose texts are shown; none for neither.

        ``private`` is a placeholder for the directory of logins and secrets, ``out`` for the output directory.

        Raises:
            EngineMissingError: it is not available, or may not be used.
        """
        ...

    def builds_in_daemon(self) -> bool:
        """Return whether it builds in the Docker daemon, where Harness' plugins leave an image that is not pushed."""
        ...

    def unsupported_features(self) -> frozenset[str]:
        """Return the features that it does not support, of those that :mod:`buildpush.dockerfile.rules` names."""
        ...

    def build(self, request: BuildRequest) -> AbstractContextManager[Image | Index | PushedImage | PushedIndex]:
        """Build; the image can be read until the context ends, and its temporary files are removed afterwards.

        An engine in a cluster pushes under the first reference, and returns what the registry has there.

        Raises:
            EngineMissingError: it is not available, or may not be used.
            BuildError: the image could not be built.
        """
        ...
