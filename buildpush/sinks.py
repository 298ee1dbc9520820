"""Where an image goes if not to a registry: ``oci:FOLDER`` or ``docker-archive:FILE``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from buildpush.errors import SettingsError
from buildpush.images import archives
from buildpush.images.model import Image, Index
from buildpush.images.references import Reference

SINKS = ("oci", "docker-archive")


def parse(sink: str) -> tuple[str, str]:
    """Return kind and path of *sink*.

    Raises:
        SettingsError: there is no such kind of sink, or no path.
    """
    kind, _, place = sink.partition(":")
    if not place or kind not in SINKS:
        message = f"{sink!r} is nowhere to write an image to"
        raise SettingsError(message, hint=f"write one of {', '.join(f'{name}:PATH' for name in SINKS)}")
    return kind, place


def write(image: Image | Index, sink: str, references: Sequence[Reference], cwd: Path) -> None:
    """Write *image* to *sink*, named by *references*.

    Raises:
        SettingsError: there is no such kind of sink.
        BuildError: it cannot be written.
    """
    kind, place = parse(sink)
    path = cwd / place
    if kind == "oci":
        archives.write_layout(image, path, references)
        return
    if isinstance(image, Index):
        message = "a Docker archive holds one image, and this one has several platforms"
        raise SettingsError(message, hint=f"write oci:{place}", setting="platforms")
    archives.write_docker_archive(image, path, references)
