"""Where images are and where they go, in skopeo's words: a registry, the Docker daemon, archives, layouts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Literal, cast

from buildpush.foundation.errors import BadNameError, SettingsError, UnsupportedError
from buildpush.foundation.events import Note, Progress, Sink, ignore
from buildpush.foundation.records import dataclass
from buildpush.images.manifests import choose, left_out
from buildpush.images.model import Compression, Image, Index, MediaTypes, Platform, PushedImage, PushedIndex
from buildpush.images.references import Digest, Reference
from buildpush.images.referrers import Referrer
from buildpush.registry.client import Registry
from buildpush.registry.nondistributable import with_nondistributable
from buildpush.registry.pull import pull
from buildpush.registry.push import push
from buildpush.registry.referrers import find_referrers
from buildpush.transfer import archives, saving

if TYPE_CHECKING:
    from buildpush.transfer.daemon import Daemon

Kind = Literal["docker", "docker-daemon", "docker-archive", "oci", "oci-archive"]

FORMS: Final[dict[Kind, str]] = {
    "docker": "docker://HOST/REPOSITORY:TAG",
    "docker-daemon": "docker-daemon:IMAGE",
    "docker-archive": "docker-archive:FILE[:REFERENCE]",
    "oci": "oci:FOLDER[:TAG]",
    "oci-archive": "oci-archive:FILE[:TAG]",
}
_HINT = f"write one of {', '.join(FORMS.values())}"


@dataclass(frozen=True, slots=True)
class Location:
    """A source or a sink.

    Attributes:
        place: file or folder, as written; of the daemon, the image's name or ID; empty for a registry.
        name: tag or reference inside a file or folder; empty where none is given.
        reference: of a registry, or of the daemon where *place* is no ID.
    """

    kind: Kind
    place: str = ""
    name: str = ""
    reference: Reference | None = None

    def __str__(self) -> str:
        if self.kind == "docker":
            return f"docker://{self.reference}"
        return ":".join(filter(None, (self.kind, self.place, self.name)))

    @property
    def names(self) -> tuple[Reference, ...]:
        """What the image is called there, if it has a tag."""
        return (self.reference,) if self.reference and self.reference.tag else ()

    @property
    def holds_several(self) -> bool:
        """Whether images of different names have room there."""
        return self.kind == "oci" and not self.name


def parse(text: str) -> Location:
    """Return the source or sink that *text* names.

    Raises:
        SettingsError: it names none; the hint tells how they are written.
        BadNameError: a reference in it breaks the grammar.
    """
    word, colon, rest = text.partition(":")
    kind = next((one for one in FORMS if one == word), None)
    if kind is None or not colon:
        raise _no_location(text, word)
    if kind == "docker":
        if not rest.startswith("//"):
            raise _malformed(text, kind)
        return Location(kind, reference=reference_of(rest.removeprefix("//")))
    if not rest:
        raise _malformed(text, kind)
    if kind == "docker-daemon":
        identity = rest.startswith("sha256:")
        return Location(
            kind, str(Digest(rest)) if identity else rest, reference=None if identity else reference_of(rest)
        )
    place, colon, name = rest.partition(":")
    if not place or (colon and not name):
        raise _malformed(text, kind)
    if kind == "docker-archive" and name:
        return Location(kind, place, name, reference_of(name))
    return Location(kind, place, name)


def reference_of(text: str) -> Reference:
    """Return the reference *text*; ``docker://`` may stand in front.

    Raises:
        BadNameError: it breaks the grammar, or holds a user or password, which is not shown.
    """
    plain = text.removeprefix("docker://")
    _, at, rest = plain.partition("@")
    if at and "/" in rest:
        message = "a user or password stands in a reference"
        raise BadNameError(
            message, hint="write HOST/REPOSITORY:TAG, and give them by --username and --password env:NAME"
        )
    return Reference.parse(plain)


def _no_location(text: str, word: str) -> SettingsError:
    shown = f"the text before the @ of {text.rpartition('@')[2]!r}" if "@" in text and "//" in text else repr(text)
    near = get_close_matches(word.lower(), FORMS, n=1, cutoff=0.8)
    hint = f"did you mean {FORMS[cast('Kind', near[0])]}?" if near else _HINT
    if not near and text.endswith(".tar"):
        hint = f"write docker-archive:{text}, or oci-archive:{text}"
    elif not near and _is_reference(text):
        hint = f"write docker://{text} for a registry, docker-daemon:{text} for an image of Docker; or {_HINT}"
    message = f"{shown} does not say where an image is"
    return SettingsError(message, hint=hint)


def _is_reference(text: str) -> bool:
    try:
        return bool(reference_of(text))
    except BadNameError:
        return False


def _malformed(text: str, kind: Kind) -> SettingsError:
    message = f"{text!r} is not whole"
    return SettingsError(message, hint=f"write {FORMS[kind]}")


@dataclass(frozen=True, slots=True)
class Reach:
    """What locations are reached with.

    Attributes:
        registry: for all registries.
        daemon: connects to the Docker daemon, when it is first needed.
        cwd: folder that files and folders count from.
    """

    registry: Registry
    daemon: Callable[[], AbstractContextManager[Daemon]]
    cwd: Path


@contextmanager
def opened(
    source: Location, reach: Reach, platform: Platform | None = None, *, nondistributable: bool = False
) -> Iterator[Image | Index]:
    """Give the image or index at *source*; its layers are read when they are wanted, while the context is open.

    Args:
        source: where it is.
        reach: to get there.
        platform: which image of an index is wanted; ``None`` for the whole index.
        nondistributable: whether layers are wanted that are fetched from their maker otherwise.

    Raises:
        PushError: it is not there, or cannot be read.
        SettingsError: it is not for *platform*.
        EngineMissingError: there is no Docker daemon.
    """
    if source.kind == "docker-daemon":
        with reach.daemon() as daemon, daemon.image(source.place) as found:
            yield _wanted(found, source, reach, platform, whole=nondistributable)
        return
    yield _wanted(_read(source, reach, platform), source, reach, platform, whole=nondistributable)


def _wanted(
    found: Image | Index, source: Location, reach: Reach, platform: Platform | None, *, whole: bool
) -> Image | Index:
    target = _picked(found, source, platform)
    home = source.reference.repository if source.kind == "docker" and source.reference else None
    return with_nondistributable(target, reach.registry, home) if whole else target


def _read(source: Location, reach: Reach, platform: Platform | None) -> Image | Index:
    path, name = reach.cwd / source.place, source.name or None
    if source.kind == "docker" and source.reference:
        return pull(source.reference, reach.registry, platform)
    if source.kind == "docker-archive":
        return archives.open_docker_archive(path, name)
    if source.kind == "oci-archive":
        return archives.open_oci_archive(path, name, platform)
    return archives.open_layout(path, name, platform)


KEEP_REFERRERS: Final[frozenset[Kind]] = frozenset({"docker", "oci", "oci-archive"})


def referrers_of(target: Image | Index, source: Location, reach: Reach) -> tuple[Referrer, ...]:
    """Return what *source*, one of those that keep referrers, has about *target*, at any depth.

    Raises:
        PushError: a list cannot be read, or one of the listed is not there.
    """
    path = reach.cwd / source.place
    if source.kind == "docker" and source.reference:
        return find_referrers(target, source.reference.repository, reach.registry)
    if source.kind == "oci-archive":
        return archives.oci_archive_referrers(path, target)
    return archives.layout_referrers(path, target)


def _picked(found: Image | Index, source: Location, platform: Platform | None) -> Image | Index:
    if platform is None:
        return found
    images = found.images if isinstance(found, Index) else (found,)
    at = choose([image.platform for image in images], platform)
    if at is None:
        there = _platforms(images)
        message = f"{source} has no image for {platform}"
        raise SettingsError(message, hint=f"it has: {there}", setting="platforms")
    return images[at]


@dataclass(frozen=True, slots=True)
class Packing:
    """How what has no manifest yet is packed; what is compressed already stays as it is."""

    compression: Compression | None = None
    media_types: MediaTypes | None = None
    checksums: bool = False


Written = PushedImage | PushedIndex | Digest | None


def write(
    target: Image | Index,
    sink: Location,
    names: Sequence[Reference | str],
    reach: Reach,
    *,
    packing: Packing | None = None,
    referrers: Sequence[Referrer] = (),
    tell: Sink = ignore,
) -> Written:
    """Bring *target* to *sink*; return the receipt of a registry, or the digest of the manifest that was written.

    Args:
        target: an image that came with a manifest keeps it, where manifests are kept.
        sink: where it goes.
        names: what it is called there, where *sink* does not say it.
        reach: to get there.
        packing: of layers and manifests that are not packed yet.
        referrers: what goes with *target*, to a sink that keeps referrers.
        tell: told how far each layer is.

    Raises:
        SettingsError: this sink cannot hold it.
        BuildError: a file cannot be written.
        PushError: the source cannot be read, or the sink does not take it.
    """
    packing = packing or Packing()
    if sink.kind == "docker" and sink.reference:
        return _pushed(target, sink.reference, reach, packing=packing, referrers=referrers, tell=tell)
    target = _told(target, tell)
    if sink.kind in {"oci", "oci-archive"}:
        if left := left_out(target):
            tell(Note(left))
        told = _referrers_told(referrers, tell)
        return _laid_out(target, sink, names, reach, packing=packing, referrers=told)
    image = _whole(_single(target, sink, tell), sink)
    if sink.kind == "docker-archive":
        called = sink.names or [name for name in names if isinstance(name, Reference)]
        saving.write_docker_archive(image, reach.cwd / sink.place, called)
    elif sink.reference:
        with reach.daemon() as daemon:
            daemon.load(image, sink.reference)
    return None


def _pushed(
    target: Image | Index,
    reference: Reference,
    reach: Reach,
    *,
    packing: Packing,
    referrers: Sequence[Referrer],
    tell: Sink,
) -> PushedImage | PushedIndex:
    return push(
        target,
        [reference],
        reach.registry,
        compression=packing.compression or "gzip",
        media_types=packing.media_types or "oci",
        checksums=packing.checksums,
        referrers=referrers,
        sink=tell,
    )


def _laid_out(
    target: Image | Index,
    sink: Location,
    names: Sequence[Reference | str],
    reach: Reach,
    *,
    packing: Packing,
    referrers: Sequence[Referrer],
) -> Digest:
    write_there = saving.write_layout if sink.kind == "oci" else saving.write_oci_archive
    called = [sink.name] if sink.name else list(names)
    compression = packing.compression or "none"
    path = reach.cwd / sink.place
    return write_there(target, path, called, compression=compression, referrers=referrers).digest


def check_sink(sink: Location) -> None:
    """Refuse, before anything is done, what cannot be a sink.

    Raises:
        SettingsError: an image ID, or a digest, which is no name that can be given; or no archive can be written there.
    """
    if sink.kind.endswith("-archive") and (state := saving.unfit(Path(sink.place))):
        message = f"the archive {sink.place!r} {state}"
        raise SettingsError(message, hint="name a file in a folder that is there")
    if sink.kind == "docker-daemon" and not sink.names:
        message = f"{sink} is no name that an image can be given"
        raise SettingsError(message, hint="write docker-daemon:NAME:TAG")
    if sink.kind == "docker-archive" and sink.reference and not sink.names:
        message = f"{sink} names a digest, and an archive knows tags only"
        raise SettingsError(message, hint="write docker-archive:FILE:NAME:TAG")


def check_honoured(packing: Packing, sink: Location) -> None:
    """Refuse a wish that this sink has no room for.

    Raises:
        UnsupportedError: naming it.
    """
    for setting in unhonoured(packing, sink):
        message = f"{sink.kind}: has no room for the setting {setting!r}"
        raise UnsupportedError(message, hint="leave it out, or write to a registry", setting=setting)


def unhonoured(packing: Packing, sink: Location) -> tuple[str, ...]:
    """Return the settings that were wished and that this sink has no room for."""
    honoured = {"docker": {"compression", "media_types"}, "oci": {"compression"}, "oci-archive": {"compression"}}
    wished = {"compression": packing.compression, "media_types": packing.media_types}
    there = honoured.get(sink.kind, set())
    return tuple(setting for setting, value in wished.items() if value is not None and setting not in there)


def _platforms(images: Sequence[Image]) -> str:
    return ", ".join(sorted({str(image.platform) for image in images if image.platform.runs}))


def _single(target: Image | Index, sink: Location, tell: Sink) -> Image:
    """Return the one image that there is, besides what is said about it."""
    if isinstance(target, Image):
        return target
    running = [image for image in target.images if image.platform.runs]
    if len(running) == 1:
        if len(target.images) > 1:
            tell(Note(f"the attestations of {running[0].platform} stay behind: {sink.kind}: has no room for them"))
        return running[0]
    where = "a Docker archive" if sink.kind == "docker-archive" else "the Docker daemon, as we load it,"
    there = _platforms(target.images)
    message = f"{where} takes one image, and this is an index of several: {there}"
    raise SettingsError(message, hint="choose one with --platform, or write an oci-archive:FILE", setting="platforms")


def _whole(image: Image, sink: Location) -> Image:
    """Return *image*, which goes to a sink that keeps no manifest and so no word about where a layer is."""
    if left := left_out(image):
        message = f"{sink.kind}: takes whole images only, and {left}"
        raise UnsupportedError(message, hint="say --allow-nondistributable-artifacts, or write an oci-archive:FILE")
    return image


def _referrers_told(referrers: Sequence[Referrer], tell: Sink) -> list[Referrer]:
    of = len(referrers)
    return [replace(one, image=_told(one.image, tell, f"referrer {at}/{of} ")) for at, one in enumerate(referrers, 1)]


def _told(target: Image | Index, tell: Sink, prefix: str = "") -> Image | Index:
    """Return *target*, whose layers tell how far they are read."""
    if isinstance(target, Index):
        images = (_image_told(image, f"{prefix}{image.platform.shown} ", tell) for image in target.images)
        return replace(target, images=tuple(images))
    return _image_told(target, prefix, tell)


def _image_told(image: Image, prefix: str, tell: Sink) -> Image:
    def blobs(wanted: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
        for at, reader in image.blobs(wanted):
            item = f"{prefix}layer {at + 1}/{len(image.layers)}"
            told = _Told(reader, item, image.layers[at].size, tell)
            yield at, cast("BinaryIO", told)
            tell(Progress(item, told.done, told.done, "written"))

    return replace(image, blobs=blobs)


class _Told:
    """A reader that tells how far it is."""

    def __init__(self, reader: BinaryIO, item: str, total: int | None, tell: Sink) -> None:
        self._reader = reader
        self._item = item
        self._total = total
        self._tell = tell
        self.done = 0

    def read(self, size: int = -1, /) -> bytes:
        block = self._reader.read(size)
        self.done += len(block)
        self._tell(Progress(self._item, self.done, self._total, "writing"))
        return block
