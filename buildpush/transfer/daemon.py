"""The Docker daemon as a source, and as a destination; the only user of the SDK ``docker``.

A daemon exports an image as a tar that can only be read forward, and every export costs it the whole image: with the
overlay2 store it first assembles all layers. So layers are taken in the order of the export, and documents are
remembered; and an overlay2 store that may be read here is read in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote

from buildpush.foundation import strict_json
from buildpush.foundation.errors import EngineMissingError, PushError, SettingsError
from buildpush.foundation.events import Note, Retry, Sink, ignore
from buildpush.foundation.locks import temporary
from buildpush.foundation.records import dataclass
from buildpush.foundation.text import quotation
from buildpush.images.model import Image, Index, Platform
from buildpush.images.references import Digest, Reference
from buildpush.images.referrers import Referrer
from buildpush.registry.memory import Memory
from buildpush.transfer import Location, dockerhome, overlay
from buildpush.transfer.destinations import single_image
from buildpush.transfer.docker_archive import docker_archive, open_docker_archive
from buildpush.transfer.driver import Clients, Driver, WriteOptions
from buildpush.transfer.export import ContainerdImage, Export, exported_image, layer_ids, overlay_image
from buildpush.transfer.parse import reference_of

if TYPE_CHECKING:
    from docker import DockerClient

SOCKET = "/var/run/docker.sock"
REMEDIES = (
    "start Docker (sudo systemctl start docker, or Docker Desktop); or let your user reach it "
    "(sudo usermod -aG docker $USER, then log in again, or set DOCKER_HOST)"
)
CONTAINERD = ["driver-type", "io.containerd.snapshotter.v1"]
# The SDK's address of a daemon behind a local socket.
_LOCAL_SOCKET = "http+docker://localhost"
_PIECE = 1024 * 1024
_NOT_FOUND, _REFUSED = 404, 400
# The API of Docker 25, the first whose exports name files by their digests.
_NAMES_DIGESTS = (1, 44)


def failures() -> tuple[type[Exception], ...]:
    """Return the errors of the SDK where the daemon refuses, is not running, or goes away."""
    from docker.errors import DockerException

    return (DockerException, OSError)


def home_of(env: Mapping[str, str]) -> Path:
    """Return the user's Docker configuration directory."""
    return Path(env.get("DOCKER_CONFIG") or Path(env.get("HOME") or "/") / ".docker")


def connect(env: Mapping[str, str], home: Path) -> DockerClient:
    """Return a connection to the daemon; the caller closes it.

    Args:
        env: variables; ``DOCKER_HOST``, ``DOCKER_CONTEXT`` and those of TLS mean what they mean to Docker.
        home: the user's Docker configuration directory.

    Raises:
        EngineMissingError: it does not answer.
    """
    import docker
    from docker.errors import DockerException

    host = dockerhome.current_host(env, home)
    path = (host or f"unix://{SOCKET}").removeprefix("unix://")
    if path.startswith("/") and not Path(path).exists():
        message = f"there is no Docker daemon: {path} does not exist"
        raise EngineMissingError(message, hint=REMEDIES)
    environment = {**env, **({"DOCKER_HOST": host} if host else {})}
    try:
        return docker.from_env(environment=environment, timeout=600)
    except (DockerException, OSError, ValueError) as error:
        message = f"the Docker daemon does not answer: {quotation(str(error))}"
        raise EngineMissingError(message, hint=REMEDIES) from error


@contextmanager
def open_daemon(env: Mapping[str, str], scratch: Path, memory: Memory | None, sink: Sink) -> Iterator[Daemon]:
    """Yield the daemon that *env* names; errors are those of :func:`connect`."""
    with closing(connect(env, home_of(env))) as client:
        yield Daemon(client, scratch, memory, sink)


@dataclass(frozen=True, slots=True)
class Daemon:
    """A Docker daemon, from which images are exported, and into which they are loaded.

    Attributes:
        client: connected.
        scratch: directory for an export that cannot be streamed.
        memory: keeps the documents that only an export of the daemon has.
        sink: gets an event when an export is repeated.
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
        """Yield the image that the daemon knows by *name*, a reference or an image ID.

        Raises:
            PushError: there is none, or it cannot be read.
        """
        facts = self._call(f"the image {name}", self.client.api.inspect_image, name)
        text = str(facts["Id"])
        identity = Digest(text if ":" in text else f"sha256:{text}")
        export = Export(name, identity, lambda: self._pieces(name, identity), self.memory, self.sink)
        info = self._info()
        if _keeps_manifests(info) and self._api_version >= _NAMES_DIGESTS:
            yield ContainerdImage(export).target()
        elif image := self._read_in_place(export, facts, info):
            yield image
        elif self._api_version < _NAMES_DIGESTS:
            with self._save(export) as image:
                yield image
        else:
            yield exported_image(export, facts)

    def load(self, image: Image, *references: Reference) -> None:
        """Load *image* into the daemon, under the tags *references*; its bytes are streamed.

        Raises:
            PushError: the daemon does not accept it.
            DigestError: the source's bytes do not match their digests; then the daemon loads nothing.
        """
        answer = self._call(
            "to load", self.client.api.load_image, docker_archive(image, list(references), self.scratch)
        )
        for line in self._read_parts(answer or ()):
            if "error" in line:
                message = f"the Docker daemon rejects the image: {quotation(str(line['error']))}"
                raise PushError(message)

    def _pieces(self, name: str, identity: Digest) -> Iterator[bytes]:
        """Yield the bytes of an export; where they break off, it is requested once more.

        All exports have files of the same sizes; the reader checks that their bytes are the same as well.
        """
        done = 0
        for last in (False, True):
            try:
                for piece in self._pieces_from(done, name, identity):
                    done += len(piece)
                    yield piece
            except _BrokenError as error:
                if last:
                    raise
                self.sink(Retry(f"the export of {name}", str(error), 0.0, 1))
            else:
                return

    def _pieces_from(self, skip: int, name: str, identity: Digest) -> Iterator[bytes]:
        api = self.client.api
        url = f"{api.base_url}/v{api.api_version}/images/{quote(str(identity))}/get"
        with closing(self._call("the image", api.get, url, stream=True, timeout=api.timeout)) as response:
            if response.status_code >= _REFUSED:
                message = f"the Docker daemon does not export {name}: {_reason(response.text)}"
                raise PushError(message)
            for piece in self._read_parts(response.iter_content(_PIECE)):
                if skip < len(piece):
                    yield piece[skip:]
                skip = max(0, skip - len(piece))

    def _info(self) -> Mapping[str, Any]:
        return cast("Mapping[str, Any]", self._call("to describe itself", self.client.info))

    def _read_in_place(self, export: Export, facts: Mapping[str, Any], info: Mapping[str, Any]) -> Image | None:
        """Return an image whose layers are read from the daemon's store; ``None`` if that cannot be read."""
        root = overlay.store_of(info) if self.client.api.base_url == _LOCAL_SOCKET else None
        if root is None:
            return None
        try:
            stored = overlay.find(root, export.identity, layer_ids(facts))
        except overlay.StoreError as error:
            self.sink(Note(f"the layers of {export.name} are read from the daemon's export: {error}"))
            return None
        self.sink(Note(f"the layers of {export.name} are read from the daemon's own store, {root}"))
        return overlay_image(export, stored, facts)

    @property
    def _api_version(self) -> tuple[int, ...]:
        return tuple(int(part) for part in str(self.client.api.api_version).split("."))

    @contextmanager
    def _save(self, export: Export) -> Iterator[Image]:
        """Yield an image of an older Docker, whose export says only at its end which layer is which."""
        with temporary(self.scratch) as directory:
            path = directory / "image.tar"
            try:
                with path.open("wb") as file:
                    for piece in export.pieces():
                        file.write(piece)
            except OSError as error:
                message = f"the image cannot be written to {directory}: {error.strerror}"
                raise PushError(message, hint="free some space there, or set TMPDIR to a larger disk") from error
            yield open_docker_archive(path)

    def _call(self, what: str, method: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        try:
            return method(*arguments, **keywords)
        except failures() as error:
            if getattr(error, "status_code", None) == _NOT_FOUND:
                message = f"the Docker daemon does not have {what}"
                raise PushError(message, hint="docker images lists what it has") from error
            message = f"the Docker daemon refuses {what}: {quotation(str(error))}"
            raise PushError(message) from error

    def _read_parts(self, parts: Any) -> Iterator[Any]:
        try:
            yield from parts
        except failures() as error:
            message = f"the Docker daemon went away: {quotation(str(error))}"
            raise _BrokenError(message, hint=dockerhome.CRASH_HINT) from error


class _BrokenError(PushError):
    """The daemon's answer broke off."""


def _keeps_manifests(info: Mapping[str, Any]) -> bool:
    return CONTAINERD in (info.get("DriverStatus") or [])


def _reason(text: str) -> str:
    try:
        reason = strict_json.parse(text)["message"]
    except (ValueError, LookupError, TypeError):
        reason = text
    return quotation(str(reason), 200)


class _DaemonDriver:
    def parse(self, text: str, /) -> Location | None:
        if not text or text.startswith("sha256:"):
            return Location("docker-daemon", str(Digest(text))) if text else None
        return Location("docker-daemon", text, reference=reference_of(text))

    @contextmanager
    def open(self, source: Location, clients: Clients, _platform: Platform | None) -> Iterator[Image | Index]:
        with clients.daemon() as daemon, daemon.image(source.path) as image:
            yield image

    def find_referrers(self, _target: Image | Index, _source: Location, _access: Clients) -> tuple[Referrer, ...]:
        return ()

    def check(self, destination: Location) -> None:
        if not destination.names:
            message = f"{destination} is not a name that an image can have"
            raise SettingsError(message, hint="write docker-daemon:NAME:TAG")

    def write(self, target: Image | Index, destination: Location, clients: Clients, options: WriteOptions) -> None:
        image = single_image(target, destination, options.sink)
        with clients.daemon() as daemon:
            daemon.load(image, destination.names[0])


DRIVER: Final[Driver] = _DaemonDriver()
