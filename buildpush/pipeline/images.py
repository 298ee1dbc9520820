"""Images that are there already: pushed, copied, merged, given more names. Nothing is built or changed unasked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace

from buildpush.foundation.errors import BadNameError, SettingsError, UnsupportedError
from buildpush.foundation.events import Note, Sink
from buildpush.foundation.limits import time_limit
from buildpush.images.manifests import compression_of, without_manifest
from buildpush.images.model import Image, Index, Platform, PushedImage, PushedIndex, is_nondistributable
from buildpush.images.references import Digest, Reference, Tag
from buildpush.images.referrers import Referrer
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.logins import find_logins
from buildpush.pipeline.options import CopyOptions
from buildpush.pipeline.results import RunResult
from buildpush.pipeline.runlog import RunLog
from buildpush.registry import push as registry
from buildpush.registry.client import Registry
from buildpush.registry.receipt import receipt
from buildpush.transfer import TRANSPORTS, Location
from buildpush.transfer.destinations import check_destination, check_packing, write
from buildpush.transfer.driver import Access, Packing, WriteOptions
from buildpush.transfer.parse import parse, reference_of
from buildpush.transfer.sources import find_referrers, open_source


def push(source: str, references: Sequence[str], options: CopyOptions, context: RunContext) -> RunResult:
    """Push what is at *source*, and let every one of *references* name it."""
    origin, names = parse(source), [reference_of(text) for text in references]
    if not names:
        message = "nobody says where the image goes"
        raise SettingsError(message, hint="name at least one HOST/REPOSITORY:TAG after the source")
    packing, platform = options.packing(), _platform(options)
    if options.referrers:
        _check_referrers(packing, origin)
    log = context.log
    log.begin()
    with _reached(options, _hosts(origin), names, context) as access:
        _check_rights(access.registry, names, log)
        with log.phase("push", ", ".join(map(str, names))), _opened(origin, access, options, platform) as found:
            target = repack(found, packing, log)
            referrers = find_referrers(target, origin, access) if options.referrers else None
            pushed = registry.push(
                target,
                names,
                access.registry,
                compression=packing.compression or "gzip",
                media_types=packing.media_types or "oci",
                checksums=False,
                referrers=referrers or (),
                sink=log,
            )
    return _result(f"push {origin}", log, pushed=pushed, referrers=referrers)


def copy(source: str, destination: str, options: CopyOptions, context: RunContext) -> RunResult:
    """Bring what is at *source* to *destination*."""
    origin, goal = parse(source), parse(destination)
    packing, platform = options.packing(), _platform(options)
    check_destination(goal)
    check_packing(packing, goal)
    if options.referrers:
        _check_referrers(packing, origin, goal)
    names = [goal.reference] if goal.repository and goal.reference else []
    log = context.log
    log.begin()
    with _reached(options, _hosts(origin), names, context) as access:
        _check_rights(access.registry, names, log)
        with log.phase("copy", f"{origin} to {goal}"), _opened(origin, access, options, platform) as found:
            target = repack(found, packing, log)
            referrers = find_referrers(target, origin, access) if options.referrers else None
            called = origin.names or ((origin.name,) if origin.name else ())  # as its source was named
            written = write(target, goal, access, WriteOptions(called, packing, referrers or (), log))
    if isinstance(written, PushedImage | PushedIndex):
        return _result(f"copy {origin}", log, pushed=written, referrers=referrers)
    return _result(f"copy {origin}", log, output=str(goal), digest=written, referrers=referrers)


def _opened(
    origin: Location, access: Access, options: CopyOptions, platform: Platform | None = None
) -> AbstractContextManager[Image | Index]:
    return open_source(origin, access, platform, nondistributable=options.allow_nondistributable_artifacts)


def merge(reference: str, sources: Sequence[str], options: CopyOptions, context: RunContext) -> RunResult:
    """Make one index of the images at *sources*, one for each platform, and let *reference* name it."""
    name, origins, packing = reference_of(reference), [parse(source) for source in sources], options.packing()
    if not origins:
        message = f"nobody says which images {name} is to have"
        raise SettingsError(message, hint="name one source for each platform after the reference")
    hosts = tuple(host for origin in origins for host in _hosts(origin))
    log = context.log
    log.begin()
    with _reached(options, hosts, [name], context) as access, ExitStack() as stack:
        _check_rights(access.registry, [name], log)
        with log.phase("merge", str(name)):
            found = {one: stack.enter_context(_opened(one, access, options)) for one in dict.fromkeys(origins)}
            pushed = registry.push(
                _merged(found, log),
                [name],
                access.registry,
                media_types=packing.media_types or "oci",
                checksums=False,
                sink=log,
            )
    return _result(f"merge {name}", log, pushed=pushed)


def _merged(found: Mapping[Location, Image | Index], sink: Sink) -> Index:
    """Return one index of all images, those of an index among them."""
    images: dict[Platform, tuple[Location, Image]] = {}
    for origin, target in found.items():
        parts = target.images if isinstance(target, Index) else (target,)
        if not all(part.platform.runs for part in parts):
            sink(Note(f"{origin}: attestations stay behind, because only their own index says what they are about"))
        for part in parts:
            if not part.platform.runs:
                continue
            if part.platform in images:
                message = f"{images[part.platform][0]} and {origin} both have an image for {part.platform}"
                raise SettingsError(message, hint="name one source for each platform", setting="platforms")
            images[part.platform] = (origin, part)
    if not images:
        message = f"there is no image in {', '.join(map(str, found))}"
        raise SettingsError(message, hint="name one source for each platform")
    return Index(tuple(image for _, image in images.values()))


def tag(reference: str, tags: Sequence[str], options: CopyOptions, context: RunContext) -> RunResult:
    """Give the image that *reference* names more *tags* in its repository; no blob moves."""
    old = reference_of(reference)
    names = [old.repository.tagged(_tag(text, old)) for text in tags]
    if not names:
        message = f"nobody says what else {old} is to be called"
        raise SettingsError(message, hint="name at least one tag after the reference")
    log = context.log
    log.begin()
    with _reached(options, (), [old], context) as access, log.phase("tag", ", ".join(map(str, names))):
        found = receipt(old, access.registry)
        registry.name(found.manifest, found.media_type, names, access.registry, log)
    return _result(f"tag {old}", log, pushed=replace(found, references=tuple(names)))


def _tag(text: str, old: Reference) -> Tag:
    alone = text.rpartition(":")[2]
    if "/" in text:
        message = f"{text!r} is not a tag"
        hint = f"write what {old.repository} is to have alone: {alone}; for another repository use push docker://{old}"
        raise BadNameError(message, hint=hint)
    return Tag(text)


def _platform(options: CopyOptions) -> Platform | None:
    return Platform.parse(options.platform) if options.platform else None


def _hosts(location: Location) -> tuple[str, ...]:
    return (location.repository.host,) if location.repository else ()


def _check_referrers(packing: Packing, *locations: Location) -> None:
    """Refuse to take referrers along where there can be none, or where they would be about another image."""
    keepers = ", ".join(f"{row.name}:" for row in TRANSPORTS.values() if row.keeps_referrers)
    for location in locations:
        if not location.transport.keeps_referrers:
            message = f"{location.kind}: keeps no referrers"
            raise UnsupportedError(message, hint=f"leave out --referrers, or take one of {keepers}")
    for setting in ("compression", "media_types"):
        if getattr(packing, setting) is not None:
            message = f"referrers name the image by its digest, which {setting} changes"
            raise UnsupportedError(message, hint="leave out one of the two", setting=setting)


def _check_rights(registry: Registry, names: Sequence[Reference], log: RunLog) -> None:
    """Ask for the right to push before anything is read: a wrong password then costs no export."""
    if names:
        with log.phase("preflight"):
            for repository in dict.fromkeys(name.repository for name in names):
                registry.check_push(repository)


def repack(found: Image | Index, packing: Packing, sink: Sink) -> Image | Index:
    """Return the image without its manifest where a wish changes it, and say what that means."""
    if packing.compression is None and packing.media_types is None:
        return found
    images = found.images if isinstance(found, Index) else (found,)
    if isinstance(found, Index) and not all(image.platform.runs for image in images):
        message = "the index holds attestations, which name its images by their digests: it cannot be changed"
        hint = "leave out compression and media types, or choose one image with --platform"
        raise UnsupportedError(message, hint=hint, setting="compression" if packing.compression else "media_types")
    if any(is_nondistributable(layer.media_type) for image in images for layer in image.layers):
        message = "only the manifest of this image says that some of its layers are not distributed"
        hint = "leave out compression and media types: the image then arrives with its manifest"
        raise UnsupportedError(message, hint=hint, setting="compression" if packing.compression else "media_types")
    if any(image.manifest for image in images):
        sink(Note("the manifest is written anew: the digest is not the source's, and annotations are left out"))
    packed = {layer.media_type for image in images for layer in image.layers if layer.compressed}
    if packing.compression and any(compression_of(kind) != packing.compression for kind in packed):
        sink(Note("layers that are compressed already are sent as they are"))
    return without_manifest(found)


@contextmanager
def _reached(
    options: CopyOptions, sources: Sequence[str], names: Sequence[Reference], context: RunContext
) -> Iterator[Access]:
    """Open what the locations need, and close it at the end; Ctrl-C and the time limit break the connections first."""
    limit, log = options.limit(), context.log
    context.state.sweep(log)
    destinations = tuple(dict.fromkeys(name.repository.host for name in names))
    logins, plain = find_logins(options, destinations, sources, context)
    with context:
        hosts = context.hosts(logins, plain, options.insecure_hosts())
        # The innermost, so that what was confirmed in time is no time-out because of what is tidied up afterwards.
        with time_limit(limit, log, what="the command", stop=hosts.http.cancel):
            try:
                yield hosts.access
            except KeyboardInterrupt:
                hosts.http.cancel()
                raise
            hosts.note_never_trusted(log)


def _result(
    step: str,
    log: RunLog,
    *,
    pushed: PushedImage | PushedIndex | None = None,
    output: str | None = None,
    digest: Digest | None = None,
    referrers: Sequence[Referrer] | None = None,
) -> RunResult:
    return RunResult(
        step=step,
        pushed=pushed,
        output=output,
        written=digest,
        referrers=None if referrers is None else len(referrers),
        **log.facts(),
    )
