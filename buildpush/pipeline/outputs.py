"""Where a built image is written in addition to a push, or instead, and how it is packed there.

Source: drone-docker and drone-buildx, ``PLUGIN_DRY_RUN``: what they build stays in the daemon that has built it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from buildpush.dockerfile.request import BuildRequest
from buildpush.foundation.errors import EngineMissingError, SettingsError
from buildpush.foundation.events import Decision, Note, Sink
from buildpush.foundation.records import dataclass
from buildpush.images.model import Image, Index
from buildpush.images.references import Reference
from buildpush.settings.flows import TAGGING, archive_notes, unused_names
from buildpush.settings.resolved import ResolvedStep
from buildpush.settings.tree import Step
from buildpush.transfer import Location
from buildpush.transfer.destinations import check_destination, check_packing, single_image, unsupported_packing
from buildpush.transfer.driver import Clients, Packing
from buildpush.transfer.parse import parse

if TYPE_CHECKING:
    from buildpush.engines.seam import Engine
    from buildpush.pipeline.kept import KeptImages
    from buildpush.transfer.daemon import Daemon

# Settings of a push that apply to a kept image as well.
OF_KEPT: Final = TAGGING | {"allow_nondistributable_artifacts"}


@dataclass(frozen=True, slots=True)
class Output:
    """Where a built image is written to, and how it is packed there."""

    location: Location
    packing: Packing = Packing()


def parse_output(text: str) -> Location:
    """Return the output that *text* names; one that cannot be written is refused before anything is built."""
    location = parse(text)
    check_destination(location)
    return location


def check_room(location: Location, steps: int) -> None:
    """Refuse several *steps* for a *location* that holds one image."""
    if steps > 1 and not location.holds_several:
        message = f"{location} holds one image, and {steps} steps would write theirs to it"
        raise SettingsError(message, hint="choose one with --step, or write an oci: directory")


def output_of(order: ResolvedStep) -> Output | None:
    """Return the output that the settings of a step name."""
    return Output(Location(order.tar_kind, str(order.tar))) if order.tar else None


@contextmanager
def daemon_of(clients: Clients) -> Iterator[Daemon]:
    """Yield the Docker daemon that images are put into.

    Raises:
        EngineMissingError: it does not answer.
    """
    try:
        with clients.daemon() as daemon:
            yield daemon
    except EngineMissingError as error:
        message = f"'load' needs the Docker daemon: {error}"
        raise EngineMissingError(message, hint=error.hint, setting="load") from error


def load(image: Image | Index, references: Sequence[Reference], clients: Clients, sink: Sink) -> None:
    """Put *image* into the Docker daemon, under each of *references*."""
    single = single_image(image, Location("docker-daemon", str(references[0])), sink)
    with daemon_of(clients) as daemon:
        daemon.load(single, *references)


def keep_in_daemon(order: ResolvedStep, engine: Engine, kept: KeptImages, sink: Sink) -> ResolvedStep:
    """Return *order*, with its image loaded into the Docker daemon if nothing is pushed and *engine* builds there.

    If the image is then stored nowhere, *sink* gets a note that says how to keep it.
    """
    if order.push or order.tar or order.load or not order.builds:
        return order
    reason, ways = _why_not_in_daemon(order, engine)
    if not reason:
        sink(Decision("image", "loaded into the Docker daemon", "nothing is pushed, and the daemon builds it"))
        return replace(order, load=True)
    if not kept.keeps(order):
        unused = sorted(order.set_names & OF_KEPT)
        suffix = f"; these have no effect: {', '.join(unused)}" if unused else ""
        sink(Note(f"the image is stored nowhere: nothing is pushed, and {reason}; to keep it, set {ways}{suffix}"))
    return order


def _why_not_in_daemon(order: ResolvedStep, engine: Engine) -> tuple[str, str]:
    """Return why the image of *order* does not stay in the Docker daemon, or nothing, and the settings that keep it."""
    if len(order.platforms) > 1:
        ways = "oci_layout_path, or tar_path with tar_format: oci"
        return "the Docker daemon gets images of one platform only", ways
    ways = "tar_path, oci_layout_path or load"
    if not order.references:
        return "it has no name", "tar_path, oci_layout_path, or repo and load"
    if "load" in order.settings.fields_set:
        return "load is off", ways
    if not engine.builds_in_daemon():
        return f"the engine {engine.name} does not build in the Docker daemon", ways
    return "", ways


def output_of_build(step: Step, order: ResolvedStep, location: Location | None, sink: Sink) -> Output | None:
    """Return where the image of a build without a push is written, if anywhere; report settings without effect."""
    if order.tar and location:
        name = "oci_layout_path" if order.tar_kind == "oci" else "tar_path"
        message = f"{name} and {location} are both destinations of the image"
        raise SettingsError(message, hint="leave one of them out", setting=name)
    output = output_of(order)
    location = output.location if output else location
    is_named = bool(location and (location.name or location.reference))
    for note in unused_names(step.settings, str(location or order.load or ""), is_named=is_named):
        sink(Note(note))
    return Output(location, _packing(step, order, location, sink)) if location else None


def with_archive(request: BuildRequest, output: Output | None, sink: Sink) -> BuildRequest:
    """Return *request* with the archive that the image is written to, which may be in its context."""
    if request.archive or output is None or not output.location.transport.member:
        return request
    changed = replace(request, archive=Path(output.location.path).resolve())
    if changed.archive == request.dockerfile:
        message = f"the archive {output.location.path!r} is the Dockerfile"
        raise SettingsError(message, hint="write it elsewhere")
    for note in archive_notes(changed):
        sink(Note(note))
    return changed


def _packing(step: Step, order: ResolvedStep, location: Location, sink: Sink) -> Packing:
    """Return how to pack for *location*; defaults of settings do not count."""
    written = {name: step.settings.get(name) for name in ("compression", "media_types")}
    by_flag = {name for name, one in written.items() if one and one.origin.kind in {"flag", "keyword"}}
    packing = Packing(
        order.compression if written["compression"] else None, order.media_types if written["media_types"] else None
    )
    unsupported = unsupported_packing(packing, location)
    if by_flag & set(unsupported):
        check_packing(packing, location)
    for setting in unsupported:
        sink(Note(f"{location.kind}: does not support the setting {setting!r}, which has no effect"))
    return replace(packing, **dict.fromkeys(unsupported))
