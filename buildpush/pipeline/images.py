"""Images that exist already: pushed, copied, merged, tagged. Nothing is built, and nothing is changed by default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from buildpush.credentials.pairing import safe_schemes
from buildpush.foundation.errors import BadNameError, SettingsError, UnsupportedError
from buildpush.foundation.events import Note, Sink
from buildpush.foundation.limits import time_limit
from buildpush.images.manifests import compression_of, without_manifest
from buildpush.images.model import Image, Index, Platform, PushedImage, PushedIndex, is_nondistributable
from buildpush.images.references import Reference, Tag
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.credentials import find_credentials
from buildpush.pipeline.options import CopyOptions
from buildpush.pipeline.results import RunResult
from buildpush.registry import push as registry
from buildpush.registry.receipt import receipt
from buildpush.transfer import TRANSPORTS, Location
from buildpush.transfer.destinations import check_destination, check_packing, write
from buildpush.transfer.driver import Clients, Packing, WriteOptions
from buildpush.transfer.parse import parse, reference_of
from buildpush.transfer.sources import find_referrers, open_source

if TYPE_CHECKING:
    from buildpush.pipeline.arguments import Paths
    from buildpush.pipeline.recorded import ComparedRecord
    from buildpush.pipeline.saved import ServerFlags
    from buildpush.pipeline.verification import Verification
    from buildpush.provenance.keys import Verifier

_LONGEST_KEY: Final = 1 << 16


def push(source: str, references: Sequence[str], options: CopyOptions, context: RunContext) -> RunResult:
    """Push what is at *source* under every one of *references*."""
    origin, names = parse(source), [_destination(text) for text in references]
    if not names:
        message = "no destination given"
        raise SettingsError(message, hint="name at least one HOST/REPOSITORY:TAG after the source")
    packing = options.packing()
    if options.referrers:
        _check_referrers(packing, origin)
    about = ", ".join(map(str, names))
    with (
        _step(("push", about), options, context, names, [origin]) as clients,
        _open(origin, clients, options) as original,
    ):
        image = repack(original, packing, context.log)
        referrers = find_referrers(image, origin, clients) if options.referrers else None
        pushed = registry.push(
            image,
            names,
            clients.registry,
            compression=packing.compression or "gzip",
            media_types=packing.media_types or "oci",
            checksums=False,
            referrers=referrers or (),
            sink=context.log,
        )
    count = None if referrers is None else len(referrers)
    return context.add(RunResult(step=f"push {origin}", pushed=pushed, referrers=count, **context.log.facts()))


def copy(source: str, destination: str, options: CopyOptions, context: RunContext) -> RunResult:
    """Copy what is at *source* to *destination*."""
    origin, goal = parse(source), parse(destination)
    packing = options.packing()
    check_destination(goal)
    check_packing(packing, goal)
    if options.referrers:
        _check_referrers(packing, origin, goal)
    about, names = f"{origin} to {goal}", [goal.reference] if goal.repository and goal.reference else []
    with (
        _step(("copy", about), options, context, names, [origin]) as clients,
        _open(origin, clients, options) as original,
    ):
        image = repack(original, packing, context.log)
        referrers = find_referrers(image, origin, clients) if options.referrers else None
        called = origin.names or ((origin.name,) if origin.name else ())  # the names that the source has
        written = write(image, goal, clients, WriteOptions(called, packing, referrers or (), context.log))
    is_pushed = isinstance(written, PushedImage | PushedIndex)
    facts = {"pushed": written} if is_pushed else {"written": written, "output": str(goal)}
    count = None if referrers is None else len(referrers)
    return context.add(RunResult(step=f"copy {origin}", referrers=count, **facts, **context.log.facts()))


def merge(reference: str, sources: Sequence[str], options: CopyOptions, context: RunContext) -> RunResult:
    """Make one index of the images at *sources*, one for each platform, under *reference*."""
    name, origins, packing = _destination(reference), [parse(source) for source in sources], options.packing()
    if not origins:
        message = f"no images given for {name}"
        raise SettingsError(message, hint="name one source for each platform after the reference")
    with _step(("merge", str(name)), options, context, [name], origins) as clients, ExitStack() as stack:
        originals = {one: stack.enter_context(_open(one, clients, options)) for one in dict.fromkeys(origins)}
        index, types = _merge_images(originals, context.log), packing.media_types or "oci"
        pushed = registry.push(index, [name], clients.registry, media_types=types, checksums=False, sink=context.log)
    return context.add(RunResult(step=f"merge {name}", pushed=pushed, **context.log.facts()))


def tag(reference: str, tags: Sequence[str], options: CopyOptions, context: RunContext) -> RunResult:
    """Give the image that *reference* names more *tags* in its repository; no blob is sent."""
    old = reference_of(reference)
    names = [old.repository.tagged(_tag(text, old)) for text in tags]
    if not names:
        message = f"no new tag given for {old}"
        raise SettingsError(message, hint="name at least one tag after the reference")
    with _step(("tag", ", ".join(map(str, names))), options, context, names) as clients:
        pushed = receipt(old, clients.registry)
        registry.name(pushed.manifest, pushed.media_type, names, clients.registry, context.log)
    pushed = replace(pushed, references=tuple(names))
    return context.add(RunResult(step=f"tag {old}", pushed=pushed, **context.log.facts()))


def verify(
    reference: str,
    options: CopyOptions,
    context: RunContext,
    *,
    keys: Paths = (),
    server: ServerFlags,
    build: tuple[str, str] | None = None,
) -> Verification:
    """Return what is known about the image that *reference* names.

    Args:
        reference: of an image or an index.
        options: how the registry is reached.
        context: of the call.
        keys: a file with public keys, or several.
        server: the Artifactory that has the build-info; ``JF_URL`` without one, and none without that.
        build: name and number of its build; without it, those that the provenance names.

    Raises:
        SettingsError: *build* or a token is given, and no Artifactory.
    """
    from buildpush.pipeline import verification

    name, artifactory = reference_of(reference), None
    files = [keys] if isinstance(keys, str | Path) else keys
    verifiers = [_public_key(context.cwd / key) for key in files]
    has_server = bool(server.artifactory_url or context.env.get("JF_URL"))
    asked = "--build" if build else "--artifactory-token" if server.artifactory_token else ""
    if asked and not has_server:  # a comparison that was asked for must not be left out
        message = f"{asked} is given, but no Artifactory that has the build-info"
        raise SettingsError(message, hint="add --artifactory-url, or set JF_URL")
    origin, url = Location("docker", reference=name), server.artifactory_url
    with _step(("verify", str(name)), options, context, (), [origin], server=url) as clients:
        if has_server:
            from buildpush.pipeline.saved import open_server

            credential = clients.registry.authorizer(name.repository.host).credential
            artifactory, _ = open_server(context, server, {name.repository.host: credential} if credential else {})
        return verification.verify(name, clients.registry, verifiers, artifactory, build)


def compare_record(path: Path, options: CopyOptions, context: RunContext) -> ComparedRecord:
    """Return the record in the notebook at *path*, compared with what the registries that it names have now.

    Credentials go only to the host that they are for: a stranger may have written the notebook.

    Raises:
        SourceError: it has no record, or none that buildpush has written.
    """
    from buildpush.pipeline import recorded

    version, runs = recorded.read_record(path)
    names = dict.fromkeys(reference for run in runs for reference in run.references)
    origins = [Location("docker", reference=name) for name in names]
    with _step(("compare", str(path)), options, _without_stray_login(context), (), origins) as clients:
        return recorded.compare(version, runs, clients.registry)


def _without_stray_login(context: RunContext) -> RunContext:
    """Return *context* without a login that is for no named host: it would go to whichever host a notebook names."""
    login = ("PLUGIN_USERNAME", "PLUGIN_PASSWORD")
    if context.env.get("PLUGIN_REGISTRY") or not all(map(context.env.get, login)):
        return context
    context.log(Note("PLUGIN_USERNAME and PLUGIN_PASSWORD are not used: PLUGIN_REGISTRY does not name their host"))
    return replace(context, env={name: text for name, text in context.env.items() if name not in login})


def _public_key(path: Path) -> Verifier:
    from buildpush.provenance.keys import Verifier

    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST_KEY).decode("utf-8", "replace")
    except OSError as error:
        message = f"the public key {path} cannot be read: {error.strerror or error}"
        raise SettingsError(message, hint="give the file that cosign names cosign.pub", where="--key") from error
    return Verifier.load(text)


def _destination(text: str) -> Reference:
    name = reference_of(text)
    check_destination(Location("docker", reference=name))
    return name


def _open(origin: Location, clients: Clients, options: CopyOptions) -> AbstractContextManager[Image | Index]:
    whole = options.allow_nondistributable_artifacts
    return open_source(origin, clients, options.image_platform(), nondistributable=whole)


def _merge_images(originals: Mapping[Location, Image | Index], sink: Sink) -> Index:
    """Return one index of all images, including those of an index."""
    images: dict[Platform, tuple[Location, Image]] = {}
    for origin, original in originals.items():
        parts = original.images if isinstance(original, Index) else (original,)
        if not all(part.platform.runs for part in parts):
            sink(
                Note(
                    f"{origin}: attestations are left out, because only their own index says which image they describe"
                )
            )
        for part in parts:
            if not part.platform.runs:
                continue
            if part.platform in images:
                message = f"{images[part.platform][0]} and {origin} both have an image for {part.platform}"
                raise SettingsError(message, hint="name one source for each platform", setting="platforms")
            images[part.platform] = (origin, part)
    if not images:
        message = f"there is no image in {', '.join(map(str, originals))}"
        raise SettingsError(message, hint="name one source for each platform")
    return Index(tuple(image for _, image in images.values()))


def _tag(text: str, old: Reference) -> Tag:
    alone = text.rpartition(":")[2]
    if "/" in text:
        message = f"{text!r} is not a tag"
        hint = f"write only the tag for {old.repository}: {alone}; for another repository use push docker://{old}"
        raise BadNameError(message, hint=hint)
    return Tag(text)


def _check_referrers(packing: Packing, *locations: Location) -> None:
    """Refuse referrers if a location cannot hold them, or if the copy would have another digest."""
    keepers = ", ".join(f"{row.name}:" for row in TRANSPORTS.values() if row.keeps_referrers)
    for location in locations:
        if not location.transport.keeps_referrers:
            message = f"referrers cannot be written to {location.kind}:"
            raise UnsupportedError(message, hint=f"leave out --referrers, or take one of {keepers}")
    for setting in ("compression", "media_types"):
        if getattr(packing, setting) is not None:
            message = f"referrers name the image by its digest, which {setting} changes"
            raise UnsupportedError(message, hint="leave out one of the two", setting=setting)


def repack(original: Image | Index, packing: Packing, sink: Sink) -> Image | Index:
    """Return the image, without its manifest if *packing* changes that, and report the consequences."""
    if packing.compression is None and packing.media_types is None:
        return original
    images = original.images if isinstance(original, Index) else (original,)
    setting = "compression" if packing.compression else "media_types"
    leave_out = "leave out compression and media types"
    if isinstance(original, Index) and not all(image.platform.runs for image in images):
        message = "the index holds attestations, which name its images by their digests: it cannot be changed"
        raise UnsupportedError(message, hint=f"{leave_out}, or choose one image with --platform", setting=setting)
    if any(is_nondistributable(layer.media_type) for image in images for layer in image.layers):
        message = "only the manifest of this image says that some of its layers are not distributed"
        raise UnsupportedError(message, hint=f"{leave_out}: the image then arrives with its manifest", setting=setting)
    if any(image.manifest for image in images):
        sink(Note("the manifest is rewritten: the digest is not the source's, and annotations are left out"))
    packed = {layer.media_type for image in images for layer in image.layers if layer.compressed}
    if packing.compression and any(compression_of(kind) != packing.compression for kind in packed):
        sink(Note("layers that are already compressed are sent as they are"))
    return without_manifest(original)


@contextmanager
def _step(
    phase: tuple[str, str],
    options: CopyOptions,
    context: RunContext,
    names: Sequence[Reference],
    origins: Sequence[Location] = (),
    *,
    server: str | None = None,
) -> Iterator[Clients]:
    """Open the clients that the locations need, and close them at the end; Ctrl-C or the time limit ends requests.

    If *server* is at the host of one of them, its scheme is obeyed.
    """
    limit, log = options.limit(), context.log
    context.state.sweep(log)
    repositories = tuple(dict.fromkeys(name.repository for name in names))
    sources = tuple(dict.fromkeys(origin.repository.host for origin in origins if origin.repository))
    destinations = tuple(dict.fromkeys(repository.host for repository in repositories))
    credentials, schemes = find_credentials(options, destinations, sources, context)
    own = destinations or sources
    if options.insecure and not own:
        log(Note("insecure has no effect: no registry is asked"))
    with context:
        hosts = context.hosts(credentials, safe_schemes([server]) | schemes, options.insecure_hosts(own))
        # The innermost, so that what was confirmed in time does not count as a time-out because of the clean-up.
        with time_limit(limit, what="the command"), hosts.interruptible():
            if names and origins:  # before anything is read: a wrong password then costs no export
                with log.phase("preflight"):
                    for repository in repositories:
                        hosts.registry.check_push(repository)
            with log.phase(*phase):
                yield hosts.clients
            hosts.note_never_trusted(log)
