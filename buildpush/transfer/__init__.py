"""Sources and destinations of images, with skopeo's names: one row each, and one module that reads and writes there.

A new one is a row in :data:`TRANSPORTS` and a module with its :class:`~buildpush.transfer.driver.Driver`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from buildpush.foundation.records import dataclass
from buildpush.images.references import Reference, Repository

if TYPE_CHECKING:
    from buildpush.transfer.driver import Driver


@dataclass(frozen=True, slots=True)
class Location:
    """A source or a destination.

    Attributes:
        kind: name of its row in :data:`TRANSPORTS`.
        path: file or directory, as written; for the daemon, the image's name or ID; empty for a registry.
        name: tag or reference inside a file or directory; empty where none is given.
        reference: in a registry, or in the daemon where *path* is not an ID.
    """

    kind: str
    path: str = ""
    name: str = ""
    reference: Reference | None = None

    def __str__(self) -> str:
        return ":".join(filter(None, (self.kind, self.path or f"//{self.reference}", self.name)))

    @property
    def transport(self) -> Transport:
        """Its row."""
        return TRANSPORTS[self.kind]

    @property
    def names(self) -> tuple[Reference, ...]:
        """The image's name there, if it has a tag."""
        return (self.reference,) if self.reference and self.reference.tag else ()

    @property
    def repository(self) -> Repository | None:
        """Its repository in a registry; ``None`` for a location on this machine."""
        return self.reference.repository if self.reference and not self.path else None

    @property
    def holds_several(self) -> bool:
        """Whether it can contain images with different names."""
        return self.transport.holds_several and not self.name


@dataclass(frozen=True, slots=True)
class Transport:
    """A kind of source and destination.

    Attributes:
        name: the text before the colon.
        form: of the text after the colon.
        about: what it is, for help.
        code: its module in this package, and the name of the driver in that module.
        honours: fields of :class:`~buildpush.transfer.driver.Packing` that it supports.
        keeps_referrers: whether it can store signatures, SBOMs and attestations.
        holds_several: whether one location can contain images with several names.
        member: file by which an archive of this kind is recognised; empty where it is not an archive.
    """

    name: str
    form: str
    about: str
    code: str
    honours: tuple[str, ...] = ()
    keeps_referrers: bool = False
    holds_several: bool = False
    member: str = ""

    @property
    def pattern(self) -> str:
        """How a location of this kind is written."""
        return f"{self.name}:{self.form}"

    @property
    def driver(self) -> Driver:
        """The object that reads and writes there; its module is loaded on first use."""
        module, _, name = self.code.partition(":")
        return cast("Driver", getattr(import_module(f"{__name__}.{module}"), name))


_ROWS: Final = (
    Transport(
        "docker",
        "//HOST/REPOSITORY:TAG",
        "a registry; @DIGEST in a source",
        "registry:DRIVER",
        honours=("compression", "media_types"),
        keeps_referrers=True,
    ),
    Transport("docker-daemon", "IMAGE", "the Docker daemon", "daemon:DRIVER"),
    Transport(
        "docker-archive",
        "FILE[:REFERENCE]",
        "what docker save writes",
        "docker_archive:DRIVER",
        member="manifest.json",
    ),
    Transport(
        "oci",
        "DIRECTORY[:TAG]",
        "an OCI image layout",
        "oci:LAYOUT",
        honours=("compression",),
        keeps_referrers=True,
        holds_several=True,
    ),
    Transport(
        "oci-archive",
        "FILE[:TAG]",
        "an OCI image layout in a tar",
        "oci:ARCHIVE",
        honours=("compression",),
        keeps_referrers=True,
        member="index.json",
    ),
)
TRANSPORTS: Final = {row.name: row for row in _ROWS}
