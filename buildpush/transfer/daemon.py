"""The Docker daemon as a place for images: one of them as a source, loading as a sink; the only door to ``docker``.

A daemon gives an image out as a tar that can only be read forward, and every asking costs it the whole image: with the
overlay2 store it first puts all layers together. So layers are taken as they come by, and documents are remembered;
and an overlay2 store that may be read here is read where it lies.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast
from urllib.parse import quote

from buildpush.foundation import strict_json
from buildpush.foundation.errors import EngineMissingError, PushError, SettingsError
from buildpush.foundation.events import Note, Retry, Sink, ignore
from buildpush.foundation.locks import temporary
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.foundation.text import quotation
from buildpush.images.blocks import BlockReader, blocks
from buildpush.images.compression import digest_of
from buildpush.images.manifests import Manifest, describe_layers, diff_ids, platform_of, read_manifest
from buildpush.images.model import INDEX_TYPES, OCI_INDEX, OCI_MANIFEST, Image, Index, Layer, Platform
from buildpush.images.references import Digest, Reference
from buildpush.images.referrers import Referrer
from buildpush.images.spans import LARGEST_DOCUMENT
from buildpush.images.tar_members import stream_members
from buildpush.registry.memory import Memory
from buildpush.transfer import Location, dockerhome, overlay
from buildpush.transfer.destinations import single_image
from buildpush.transfer.docker_archive import docker_archive, open_docker_archive
from buildpush.transfer.driver import Access, Driver, WriteOptions
from buildpush.transfer.parse import reference_of

if TYPE_CHECKING:
    from docker import DockerClient

SOCKET = "/var/run/docker.sock"
REMEDIES = (
    "start Docker (sudo systemctl start docker, or Docker Desktop); or let your user reach it "
    "(sudo usermod -aG docker $USER, then log in again, or set DOCKER_HOST)"
)
CONTAINERD = ["driver-type", "io.containerd.snapshotter.v1"]
# What the SDK calls a daemon behind a socket of this machine.
_HERE = "http+docker://localhost"
_PIECE = 1024 * 1024
_HEX = regex(r"[0-9a-f]{64}")
_NOT_FOUND, _REFUSED = 404, 400
# Docker 25: from then on the files in an export are called by their digests.
_NAMES_DIGESTS = (1, 44)


def failures() -> tuple[type[Exception], ...]:
    """Return what the SDK raises where the daemon refuses, is not there, or goes away."""
    from docker.errors import DockerException

    return (DockerException, OSError)


def home_of(env: Mapping[str, str]) -> Path:
    """Return the user's Docker configuration folder."""
    return Path(env.get("DOCKER_CONFIG") or Path(env.get("HOME") or "/") / ".docker")


def connect(env: Mapping[str, str], home: Path) -> DockerClient:
    """Return a connection to the daemon; whoever asked for it closes it.

    Args:
        env: variables; ``DOCKER_HOST``, ``DOCKER_CONTEXT`` and those of TLS mean what they mean to Docker.
        home: the user's Docker configuration folder.

    Raises:
        EngineMissingError: it does not answer.
    """
    import docker
    from docker.errors import DockerException

    host = dockerhome.current_host(env, home)
    path = (host or f"unix://{SOCKET}").removeprefix("unix://")
    if path.startswith("/") and not Path(path).exists():
        message = f"no Docker daemon is here: {path} does not exist"
        raise EngineMissingError(message, hint=REMEDIES)
    environment = {**env, **({"DOCKER_HOST": host} if host else {})}
    try:
        return docker.from_env(environment=environment, timeout=600)
    except (DockerException, OSError, ValueError) as error:
        message = f"the Docker daemon does not answer: {quotation(str(error))}"
        raise EngineMissingError(message, hint=REMEDIES) from error


@contextmanager
def open_daemon(env: Mapping[str, str], scratch: Path, memory: Memory | None, sink: Sink) -> Iterator[Daemon]:
    """Give the daemon that *env* names; errors are those of :func:`connect`."""
    with closing(connect(env, home_of(env))) as client:
        yield Daemon(client, scratch, memory, sink)


@dataclass(frozen=True, slots=True)
class Daemon:
    """What the daemon has, and what it can be given.

    Attributes:
        client: connected.
        scratch: folder for what cannot be streamed.
        memory: keeps the documents that the daemon tells only in an export.
        sink: hears when an export is asked for again.
    """

    client: DockerClient
    scratch: Path
    memory: Memory | None = None
    sink: Sink = ignore

    @property
    def keeps_manifests(self) -> bool:
        """Whether its image store is containerd's, which keeps images as they are in a registry."""
        return _keeps_manifests(self._info())

    @contextmanager
    def image(self, name: str) -> Iterator[Image | Index]:
        """Give the image that the daemon knows by *name*, a reference or an image ID.

        Raises:
            PushError: there is none, or it cannot be had.
        """
        said = self._ask(f"the image {name}", self.client.api.inspect_image, name)
        identity = str(said["Id"])
        export = _Export(self, name, Digest(identity if ":" in identity else f"sha256:{identity}"))
        info = self._info()
        if _keeps_manifests(info) and self._api_version >= _NAMES_DIGESTS:
            yield _ContainerdImage(export).target()
        elif image := self._in_place(export, said, info):
            yield image
        elif self._api_version < _NAMES_DIGESTS:
            with self._saved(export) as image:
                yield image
        else:
            yield _exported_image(export, said)

    def load(self, image: Image, reference: Reference) -> None:
        """Give *image* to the daemon, under the tag *reference*; its bytes are streamed.

        Raises:
            PushError: the daemon does not take it.
            DigestError: the source's bytes are not those that it promised; the daemon takes nothing then.
        """
        answer = self._ask("to load", self.client.api.load_image, docker_archive(image, [reference], self.scratch))
        for line in self._reading(answer or ()):
            if "error" in line:
                message = f"the Docker daemon does not take the image: {quotation(str(line['error']))}"
                raise PushError(message)

    def pieces(self, export: _Export) -> Iterator[bytes]:
        """Give the bytes of an export; where they break off, it is asked for once more.

        Its files have the same sizes each time; that they are the same ones is checked by whoever takes them.
        """
        done = 0
        for last in (False, True):
            try:
                for piece in self._pieces(export, done):
                    done += len(piece)
                    yield piece
            except _BrokenError as error:
                if last:
                    raise
                self.sink(Retry(f"the export of {export.name}", str(error), 0.0, 1))
            else:
                return

    def _pieces(self, export: _Export, skip: int) -> Iterator[bytes]:
        api = self.client.api
        url = f"{api.base_url}/v{api.api_version}/images/{quote(str(export.identity))}/get"
        with closing(self._ask("the image", api.get, url, stream=True, timeout=api.timeout)) as response:
            if response.status_code >= _REFUSED:
                message = f"the Docker daemon does not give out {export.name}: {_reason(response.text)}"
                raise PushError(message)
            for piece in self._reading(response.iter_content(_PIECE)):
                if skip < len(piece):
                    yield piece[skip:]
                skip = max(0, skip - len(piece))

    def _info(self) -> Mapping[str, Any]:
        said: Mapping[str, Any] = self._ask("what it is", self.client.info)
        return said

    def _in_place(self, export: _Export, said: Mapping[str, Any], info: Mapping[str, Any]) -> Image | None:
        """Return an image whose layers are read from the daemon's store, if that lies here and may be read."""
        root = overlay.store_of(info) if self.client.api.base_url == _HERE else None
        if root is None:
            return None
        try:
            found = overlay.find(root, export.identity, _layer_ids(said))
        except overlay.StoreError as error:
            self.sink(Note(f"the layers of {export.name} are read from the daemon's export: {error}"))
            return None
        self.sink(Note(f"the layers of {export.name} are read from the daemon's own store, {root}"))
        return _overlay_image(export, found, said)

    @property
    def _api_version(self) -> tuple[int, ...]:
        return tuple(int(part) for part in str(self.client.api.api_version).split("."))

    @contextmanager
    def _saved(self, export: _Export) -> Iterator[Image]:
        """Give an image of a Docker whose export does not say which layer is which before its end."""
        with temporary(self.scratch) as folder:
            path = folder / "image.tar"
            try:
                with path.open("wb") as file:
                    for piece in self.pieces(export):
                        file.write(piece)
            except OSError as error:
                message = f"the image cannot be written to {folder}: {error.strerror}"
                raise PushError(message, hint="free some space there, or set TMPDIR to a larger disk") from error
            yield open_docker_archive(path)

    def _ask(self, what: str, question: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        try:
            return question(*arguments, **named)
        except failures() as error:
            if getattr(error, "status_code", None) == _NOT_FOUND:
                message = f"the Docker daemon has not {what}"
                raise PushError(message, hint="docker images lists what it has") from error
            message = f"the Docker daemon refuses {what}: {quotation(str(error))}"
            raise PushError(message) from error

    def _reading(self, parts: Any) -> Iterator[Any]:
        try:
            yield from parts
        except failures() as error:
            message = f"the Docker daemon went away: {quotation(str(error))}"
            raise _BrokenError(message, hint=dockerhome.WENT_AWAY) from error


class _BrokenError(PushError):
    """The daemon's answer broke off."""


def _keeps_manifests(info: Mapping[str, Any]) -> bool:
    return CONTAINERD in (info.get("DriverStatus") or [])


def _layer_ids(said: Mapping[str, Any]) -> tuple[Digest, ...]:
    """Return the diff IDs of an image's layers, as the daemon says."""
    return tuple(Digest(str(one)) for one in (said.get("RootFS") or {}).get("Layers") or ())


def _platform(said: Mapping[str, Any]) -> Platform:
    words = [str(said.get(key) or "") for key in ("Os", "Architecture", "Variant")]
    return Platform(words[0] or "linux", words[1] or "amd64", words[2])


def _reason(text: str) -> str:
    try:
        said = strict_json.parse(text)["message"]
    except (ValueError, LookupError, TypeError):
        said = text
    return quotation(str(said), 200)


@dataclass(frozen=True, slots=True)
class _Export:
    """The export of one image: layers as they come by, and documents on the way.

    Attributes:
        identity: image ID.
        documents: what was found so far.
        awaited: documents that are to be picked up.
    """

    daemon: Daemon
    name: str
    identity: Digest
    documents: dict[Digest, bytes] = field(default_factory=dict)
    awaited: set[Digest] = field(default_factory=set)

    def files(self) -> Generator[tuple[Digest, int, BinaryIO], None, None]:
        """Give digest, size and reader of each file; the digest is what the file's name says."""
        for member, reader in stream_members(self.daemon.pieces(self), f"the export of {self.name}"):
            if match := _HEX.search(member.name):
                yield Digest(f"sha256:{match[0]}"), member.size, reader

    def layers(self, wanted: Mapping[Digest, int]) -> Generator[tuple[int, BinaryIO], None, None]:
        """Give the wanted layers in the export's own order; then read on until every awaited document is there."""
        left = dict(wanted)
        with closing(self.files()) as files:
            while left or self.awaited:
                found = next(files, None)
                if found is None:
                    raise self._incomplete(left)
                digest, size, reader = found
                if digest in left:
                    yield left.pop(digest), reader
                elif digest in self.awaited and size <= LARGEST_DOCUMENT:
                    self.take(digest, reader.read())

    def take(self, digest: Digest, data: bytes) -> None:
        """Take a document in, if it is what its name promises."""
        if digest_of(data) != digest:
            return
        self.documents[digest] = data
        self.awaited.discard(digest)

    def remembered(self, digest: Digest) -> bool:
        """Return whether a document is known, now or from an earlier export."""
        if digest not in self.documents and self.daemon.memory:
            found = self.daemon.memory.find_document(digest)
            if found is not None:
                self.documents[digest] = found
        return digest in self.documents

    def keep(self, digest: Digest) -> None:
        """Remember a document for the next time."""
        if self.daemon.memory:
            self.daemon.memory.keep_document(self.documents[digest])

    def _incomplete(self, left: Mapping[Digest, int]) -> PushError:
        lost = [*left, *self.awaited]
        message = f"the export of {self.name} has no {lost[0]}"
        hint = "this Docker writes it in a way of its own: docker save, and push docker-archive:FILE"
        return PushError(message, hint=hint)


def _exported_image(export: _Export, said: Mapping[str, Any]) -> Image:
    """Return an image of the overlay2 store, whose ID is the digest of its configuration."""
    known = _layer_ids(said)
    config = export.documents[export.identity] if export.remembered(export.identity) else None
    if config is None:
        export.awaited.add(export.identity)

    def blobs(wanted: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
        yield from _layers_in_turn(export, {at: known[at] for at in wanted})

    def late_config() -> bytes:
        if export.awaited:  # no layer had to be read, or not all of the export
            _exhaust(export.layers({}))
        export.keep(export.identity)
        return export.documents[export.identity]

    layers = tuple(Layer(diff_id=digest) for digest in known)
    platform = _platform(said)
    if config is not None and diff_ids(config) == known:
        return Image(config, layers, blobs, platform, random_access=False)
    return Image(b"{}", layers, blobs, platform, random_access=False, late_config=late_config)


def _overlay_image(export: _Export, found: overlay.StoredImage, said: Mapping[str, Any]) -> Image:
    """Return an image of the overlay2 store whose layers are read in that store."""
    layers = tuple(Layer(diff_id=digest) for digest in _layer_ids(said))

    def blobs(wanted: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
        for at in sorted(wanted):
            with closing(BlockReader(_layer_blocks(export, found.layers[at], _layer_ids(said)[at]))) as reader:
                yield at, cast("BinaryIO", reader)

    return Image(found.config, layers, blobs, _platform(said))


def _layer_blocks(export: _Export, layer: overlay.StoredLayer, digest: Digest) -> Iterator[bytes]:
    """Give a layer from the store; should a file not be there, or not be ours to read, go on with the export."""
    done = 0
    try:
        for block in layer.blocks():
            yield block
            done += len(block)
    except overlay.StoreError as error:
        export.daemon.sink(Note(f"the rest of a layer of {export.name} is read from the daemon's export: {error}"))
        yield from _rest_of_layer(done, export, digest)


def _rest_of_layer(done: int, export: _Export, digest: Digest) -> Iterator[bytes]:
    """Give what the export has of a layer behind its first *done* bytes."""
    with closing(export.layers({digest: 0})) as found:
        for _, reader in found:
            for block in blocks(reader):
                if done < len(block):
                    yield block[done:]
                done = max(0, done - len(block))


def _layers_in_turn(export: _Export, wanted: Mapping[int, Digest]) -> Iterator[tuple[int, BinaryIO]]:
    """Give the wanted layers; equal ones by an export each, since a stream passes by once."""
    left = dict(wanted)
    while left:
        first = {digest: at for at, digest in reversed(left.items())}
        yield from export.layers(first)
        left = {at: digest for at, digest in left.items() if first[digest] != at}


def _exhaust(layers: Iterator[Any]) -> None:
    for _ in layers:
        pass


class _ContainerdImage:
    """An image of containerd's store, whose ID is the digest of its manifest or index.

    Which blob is which stands in the manifest, which may come by behind them: where it is not remembered, a first
    export is read for the documents alone.
    """

    def __init__(self, export: _Export) -> None:
        self._export = export

    def target(self) -> Image | Index:
        if self._missing():
            self._look_through()
        for digest in self._needed():
            if digest in self._export.documents:
                self._export.keep(digest)
        data, manifest = self._manifest(self._export.identity)
        if manifest.media_type not in INDEX_TYPES:
            return self._image(data, manifest, None)
        images = [
            self._image(*self._manifest(one.digest), one.platform)
            for one in manifest.manifests
            if one.digest in self._export.documents
        ]
        if len(images) == len(manifest.manifests):
            return Index(tuple(images), data, manifest.media_type)
        return self._part(images)

    def _part(self, images: Sequence[Image]) -> Image | Index:
        """Return what the daemon has of an index, which is another one then."""
        there = tuple(image for image in images if image.platform.runs)
        if not there:
            message = f"the Docker daemon has no image of the index {self._export.name}"
            raise PushError(message, hint=f"docker pull {self._export.name}")
        words = ", ".join(str(image.platform) for image in there)
        self._export.daemon.sink(Note(f"the daemon has only {words} of {self._export.name}: the rest is left out"))
        return Index.of(there)

    def _needed(self) -> list[Digest]:
        """Return the documents that belong to the image, as far as the known ones tell."""
        found, queue = [], [self._export.identity]
        while queue:
            digest = queue.pop()
            found.append(digest)
            if self._export.remembered(digest):
                queue += self._named_by(self._export.documents[digest])
        return found

    def _named_by(self, data: bytes) -> list[Digest]:
        try:
            manifest = _read(data)
        except PushError:
            return []  # a configuration, which names no documents
        return [one.digest for one in (*manifest.manifests, *((manifest.config,) if manifest.config else ()))]

    def _missing(self) -> list[Digest]:
        return [digest for digest in self._needed() if digest not in self._export.documents]

    def _look_through(self) -> None:
        """Take in every small document of an export, until none is missing."""
        with closing(self._export.files()) as files:
            for digest, size, reader in files:
                if size <= LARGEST_DOCUMENT and (head := reader.read(1)) == b"{":
                    self._export.take(digest, head + reader.read())
                    if not self._missing():
                        break

    def _manifest(self, digest: Digest) -> tuple[bytes, Manifest]:
        if digest not in self._export.documents:
            message = f"the export of {self._export.name} has no manifest {digest}"
            raise PushError(message, hint="the Docker daemon's store is damaged: pull or build the image again")
        data = self._export.documents[digest]
        return data, _read(data)

    def _image(self, data: bytes, manifest: Manifest, platform: Platform | None) -> Image:
        if manifest.config is None or manifest.config.digest not in self._export.documents:
            message = f"the export of {self._export.name} has no configuration"
            raise PushError(message, hint="the Docker daemon's store is damaged: pull or build the image again")
        config = self._export.documents[manifest.config.digest]

        def blobs(wanted: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
            digests = {at: manifest.layers[at].digest for at in wanted}
            small = {at: digest for at, digest in digests.items() if digest in self._export.documents}
            for at, digest in small.items():  # attestations are documents
                yield at, io.BytesIO(self._export.documents[digest])
            yield from _layers_in_turn(self._export, {at: digests[at] for at in digests.keys() - small.keys()})

        layers = describe_layers(config, manifest)
        shown = platform or platform_of(config)
        return Image(config, layers, blobs, shown, False, data, manifest.media_type)


def _read(data: bytes) -> Manifest:
    """Return what a manifest says, also one that leaves out its own type, as OCI allows."""
    return read_manifest(data, OCI_INDEX if b'"manifests"' in data else OCI_MANIFEST)


class _DaemonDriver:
    def parse(self, text: str, /) -> Location | None:
        if not text or text.startswith("sha256:"):
            return Location("docker-daemon", str(Digest(text))) if text else None
        return Location("docker-daemon", text, reference=reference_of(text))

    @contextmanager
    def open(self, source: Location, access: Access, _platform: Platform | None) -> Iterator[Image | Index]:
        with access.daemon() as daemon, daemon.image(source.path) as found:
            yield found

    def find_referrers(self, _target: Image | Index, _source: Location, _access: Access) -> tuple[Referrer, ...]:
        return ()

    def check(self, destination: Location) -> None:
        if not destination.names:
            message = f"{destination} is no name that an image can be given"
            raise SettingsError(message, hint="write docker-daemon:NAME:TAG")

    def write(self, target: Image | Index, destination: Location, access: Access, options: WriteOptions) -> None:
        image = single_image(target, destination, options.sink)
        with access.daemon() as daemon:
            daemon.load(image, destination.names[0])


DRIVER: Final[Driver] = _DaemonDriver()
