"""The engine Docker: BuildKit through ``docker buildx`` where it is, else the daemon's classic builder."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from buildpush.engines import buildkit, daemon
from buildpush.engines.bases import Find, base_credentials, bases, nobody
from buildpush.engines.daemon import SOCKET, Daemon, connect, failures
from buildpush.errors import BuildError, EngineMissingError, UnsupportedError
from buildpush.events import Log, Note, Sink, ignore
from buildpush.images.archives import open_layout
from buildpush.images.manifests import without_manifest
from buildpush.images.model import BuildRequest, Image, Index
from buildpush.images.references import Reference
from buildpush.places import FILES, Content, Place, Ran
from buildpush.registry.auth import Credential
from buildpush.registry.memory import Memory
from buildpush.secrets import redact

if TYPE_CHECKING:
    from docker import DockerClient

REMEDIES = f"{daemon.REMEDIES}; or use engine: native, which needs none but does no RUN"
_PROGRAMS = (("docker", "buildx"), ("docker-buildx",), ("buildx",))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where Docker is, and who listens.

    Attributes:
        home: the user's Docker configuration folder.
        memory: of documents that the daemon tells only in an export.
    """

    env: Mapping[str, str]
    home: Path
    place: Place
    sink: Sink
    memory: Memory | None = None


class Docker:
    """Builds with the Docker daemon; the image comes back to us, and we push it.

    Args:
        env: variables; ``DOCKER_HOST``, ``DOCKER_CONTEXT`` and ``DOCKER_CONFIG`` mean what they mean to Docker.
        place: where ``docker buildx`` runs.
        find: gives the credential of a base image's host.
        sink: gets each line of the build's log.
        scratch: folder for temporary folders; the system's by default.
        memory: of what was pushed before.
    """

    name: ClassVar[str] = "docker"
    spells: ClassVar[Mapping[str, str]] = MappingProxyType(
        {**buildkit.SPELLS, "base_image_connector_refs": "config.json, private"}
    )

    def __init__(
        self,
        env: Mapping[str, str],
        place: Place,
        find: Find = nobody,
        sink: Sink = ignore,
        *,
        scratch: Path | None = None,
        memory: Memory | None = None,
    ) -> None:
        self._around = Surroundings(env, daemon.home_of(env), place, sink, memory)
        self._find = find
        self._scratch = scratch

    def missing(self) -> str | None:
        """Return why the daemon cannot be used, with the usual remedies, or ``None`` where it answers."""
        host = buildkit.current_host(self._around.env, self._around.home) or f"unix://{SOCKET}"
        path = host.removeprefix("unix://")
        if host.startswith("unix://") and not Path(path).exists():
            return f"no Docker daemon is here: {path} does not exist\n{REMEDIES}"
        if host.startswith("unix://") and not os.access(path, os.R_OK | os.W_OK):
            return f"this user may not talk to the Docker daemon: {path} is closed to it\n{REMEDIES}"
        try:
            with self._client():
                return None
        except EngineMissingError as error:
            return f"{error}\n{REMEDIES}"

    def refuses(self, _request: BuildRequest) -> str | None:
        """Return ``None``: whatever Docker does not know, it says itself."""
        return None

    @contextmanager
    def build(self, request: BuildRequest) -> Iterator[Image | Index]:
        """Build with BuildKit, or with the classic builder where there is no buildx.

        Raises:
            EngineMissingError: no daemon, or none that this user may talk to.
            UnsupportedError: the classic builder would have to do what only BuildKit does.
            BuildError: the build failed; with the last lines of its log.
        """
        buildkit.check_there(self.missing())
        credentials = base_credentials(request, self._find)
        prefix = f"buildpush-{os.getpid()}-"
        with self._client() as client, tempfile.TemporaryDirectory(prefix=prefix, dir=self._scratch) as name:
            folder = Path(name)
            program = self._buildx()
            with Build(self._around, client, request, credentials, folder).done(program) as image:
                yield image

    def _buildx(self) -> tuple[str, ...] | None:
        """Return how to call buildx here, or ``None``."""
        for program in _PROGRAMS:
            with suppress(EngineMissingError):
                if self._around.place.run([*program, "version"]).status == 0:
                    return program
        self._around.sink(Note("docker buildx is not here: the classic builder is used, which knows less"))
        return None

    @contextmanager
    def _client(self) -> Iterator[DockerClient]:
        """Give a connection to the daemon.

        Raises:
            EngineMissingError: it does not answer.
        """
        with closing(connect(self._around.env, self._around.home)) as client:
            yield client


class Build:
    """One build: what its steps share."""

    def __init__(
        self,
        around: Surroundings,
        client: DockerClient,
        request: BuildRequest,
        credentials: Mapping[str, Credential],
        folder: Path,
    ) -> None:
        self.around = around
        self.client = client
        self.request = request
        self.credentials = credentials
        self.folder = folder
        # A name that nothing else has, and that cannot be pushed anywhere by accident.
        self.tag = f"buildpush.invalid/build:{secrets.token_hex(8)}"

    @contextmanager
    def done(self, program: tuple[str, ...] | None) -> Iterator[Image | Index]:
        """Build, and give the image for as long as the context is open."""
        if program and self._writes_layouts(program):
            yield self._as_layout(program)
            return
        try:
            if program:
                self._loaded(program)
            else:
                self._classic()
            with self._daemon.image(self.tag) as image:
                yield without_manifest(image)
        finally:
            self._remove_tag()

    def _writes_layouts(self, program: tuple[str, ...]) -> bool:
        """Return whether the builder can write an OCI layout: Docker's own one only with containerd's image store."""
        said = self.around.place.run([*program, "inspect"], env=self._variables()).stdout
        if "Driver:" in said and "docker" not in said.partition("Driver:")[2].partition("\n")[0].split():
            return True
        return self._daemon.keeps_manifests

    def _as_layout(self, program: tuple[str, ...]) -> Image | Index:
        """Build into an OCI layout: no second copy in the daemon, layers not compressed twice."""
        layout = self.folder / "layout"
        output = f"type=oci,dest={layout},tar=false,compression=uncompressed"
        if self.request.created is not None:
            output += ",rewrite-timestamp=true"
        self._run([*program, "build", "--progress=plain", *buildkit.arguments(self.request), "--output", output])
        return open_layout(layout, keep_manifest=False)

    def _loaded(self, program: tuple[str, ...]) -> None:
        if len(self.request.platforms) > 1:
            message = "this Docker keeps images of one platform only"
            hint = "enable its containerd image store, or create a builder: docker buildx create --use"
            raise UnsupportedError(message, hint=hint, setting="platforms")
        self._run(
            [*program, "build", "--progress=plain", *buildkit.arguments(self.request), "--load", "--tag", self.tag]
        )

    def _run(self, argv: list[str]) -> None:
        files: dict[str, Content] = buildkit.secret_files(self.request)
        if self.credentials:
            files |= buildkit.login_files(self.credentials, self.around.home)
        ran: Ran = self.around.place.run(
            [*argv, str(self.request.context)],
            files=files,
            env=self._variables(logged_in=bool(self.credentials)),
            stream=self._show,
        )
        if ran.status:
            raise buildkit.failure(redact(ran.stdout + ran.stderr), self.request)

    def _show(self, line: str) -> None:
        if line.strip():
            self.around.sink(Log(line))

    def _variables(self, *, logged_in: bool = False) -> dict[str, str]:
        # Attestations would turn one image into an index, and one of them tells the build arguments.
        variables = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1", "DOCKER_CLI_HINTS": "false"}
        if self.request.created is not None:
            variables["SOURCE_DATE_EPOCH"] = str(self.request.created)
        if logged_in:
            variables["BUILDX_CONFIG"] = self.around.env.get("BUILDX_CONFIG") or str(self.around.home / "buildx")
            variables["DOCKER_CONFIG"] = f"{FILES}/{buildkit.CONFIG}"
        return variables

    def _classic(self) -> None:
        """Build with the daemon's classic builder, through the SDK."""
        self._refuse_what_needs_buildkit()
        for reference in self._guarded_bases():
            self._pull(reference)
        request = self.request
        lines: Iterator[dict[str, Any]] = self._ask(
            self.client.api.build,
            path=str(request.context),
            dockerfile=str(request.dockerfile),
            tag=self.tag,
            buildargs=dict(request.build_args),
            labels=dict(request.labels),
            target=request.target or "",
            platform=str(request.platforms[0]) if request.platforms else None,
            nocache=request.no_cache,
            rm=True,
            forcerm=True,
            decode=True,
        )
        self._follow(lines)

    def _refuse_what_needs_buildkit(self) -> None:
        for asked, setting in (
            (self.request.build_secrets, "env_docker_secrets"),
            (self.request.platforms[1:], "platforms"),
        ):
            if asked:
                message = "docker buildx is not here, and the classic builder cannot honour this"
                raise UnsupportedError(message, hint="install docker buildx", setting=setting)

    def _guarded_bases(self) -> list[Reference]:
        """Return the base images whose hosts want a login."""
        return [name for name in bases(self.request) if name.repository.host in self.credentials]

    def _pull(self, reference: Reference) -> None:
        credential = self.credentials[reference.repository.host]
        login = {"username": credential.username, "password": credential.password.reveal()}
        self.around.sink(Log(f"pull {reference}"))
        self._ask(self.client.images.pull, str(reference.repository), tag=reference.target, auth_config=login)

    def _follow(self, lines: Iterator[dict[str, Any]]) -> None:
        """Show the classic builder's log, and raise what it ends in."""
        log: list[str] = []
        for line in self._reading(lines):
            text = redact(str(line.get("stream") or line.get("error") or line.get("status") or "")).rstrip()
            for part in text.splitlines():
                self.around.sink(Log(part))
                log = [*log[-50:], part]
            if "error" in line:
                raise buildkit.failure("\n".join([*log[:-1], f"ERROR: {text}"]), self.request)

    def _reading(self, parts: Iterator[Any]) -> Iterator[Any]:
        """Give *parts*; a daemon that goes away in the middle is an error of the build."""
        try:
            yield from parts
        except failures() as error:
            message = f"the Docker daemon went away: {redact(str(error))}"
            raise BuildError(message, hint="see its log; then run again") from error

    def _ask(self, question: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Return the daemon's answer.

        Raises:
            BuildError: it refuses, or does not answer.
        """
        try:
            return question(*arguments, **named)
        except failures() as error:
            message = f"Docker refuses: {redact(str(error))}"
            raise BuildError(message) from error

    @property
    def _daemon(self) -> Daemon:
        return Daemon(self.client, self.folder, self.around.memory, self.around.sink)

    def _remove_tag(self) -> None:
        with suppress(*failures()):
            self.client.images.remove(self.tag)
