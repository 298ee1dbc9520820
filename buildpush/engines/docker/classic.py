"""The engine Docker: BuildKit through ``docker buildx`` where it is installed, else the daemon's classic builder."""

# Flags of other programs in this module's texts: --builder --load --pull --use

from __future__ import annotations

import os
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from buildpush.credentials.docker import Credential
from buildpush.dockerfile.request import BuildRequest
from buildpush.dockerfile.rules import HEREDOCS, MOUNTS, RUN_INTO_VOLUMES
from buildpush.engines import Tools
from buildpush.engines.bases import base_credentials, bases, frontend, pulled_images
from buildpush.engines.docker import buildkit
from buildpush.engines.docker.cli import BuildxProgram, layout_output
from buildpush.engines.docker.frontend import Release, find_refusal
from buildpush.engines.refusal import require_here
from buildpush.engines.seam import OUT
from buildpush.foundation.errors import BuildError, EngineMissingError, UnsupportedError
from buildpush.foundation.events import Log, Note
from buildpush.foundation.locks import temporary
from buildpush.foundation.records import dataclass
from buildpush.foundation.text import Lines, quotation
from buildpush.images.manifests import without_manifest
from buildpush.images.model import Image, Index
from buildpush.images.references import Reference
from buildpush.places import Command
from buildpush.transfer import daemon, dockerhome
from buildpush.transfer.daemon import SOCKET, Daemon, connect, failures

if TYPE_CHECKING:
    from docker import DockerClient

REMEDIES = f"{daemon.REMEDIES}; or use engine: native, which needs no daemon but does not support RUN"
_OTHER_STORE = "enable Docker's containerd image store; or use engine: buildx and docker buildx create --use"


class Docker:
    """Builds with the Docker daemon, which returns the image; we push it.

    Variables: ``DOCKER_HOST``, ``DOCKER_CONTEXT`` and ``DOCKER_CONFIG`` have their meaning in Docker.
    """

    name: ClassVar[str] = "docker"
    flags: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            **buildkit.FLAGS,
            "pull_image": "--pull",
            "network": "--network",
            "base_image_connector_refs": "config.json, private",
        }
    )

    uses_our_connections: ClassVar[bool] = False

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._home = daemon.home_of(tools.env)

    def missing(self) -> str | None:
        """Return why the daemon cannot be used, with the usual remedies, or ``None`` where it answers."""
        host = dockerhome.current_host(self._tools.env, self._home) or f"unix://{SOCKET}"
        path = host.removeprefix("unix://")
        if host.startswith("unix://") and not Path(path).exists():
            return f"there is no Docker daemon: {path} does not exist\n{REMEDIES}"
        if host.startswith("unix://") and not os.access(path, os.R_OK | os.W_OK):
            return f"this user may not talk to the Docker daemon: {path} is not accessible to it\n{REMEDIES}"
        try:
            with self._client():
                return None
        except EngineMissingError as error:
            return f"{error}\n{REMEDIES}"

    def refuses(self, request: BuildRequest) -> str | None:
        """Return the first flag that this Docker does not have; Docker itself reports all else."""
        return find_refusal(request, self.release)

    def release(self) -> Release | None:
        """Return the program and version that reads Dockerfiles here, or ``None`` where that is not known."""
        if BuildxProgram.find(self._tools) is None:
            return Release("classic")
        with suppress(EngineMissingError, *failures()), self._client() as client:
            return Release.of_daemon(client.version())
        return None

    def images(self, request: BuildRequest) -> tuple[Reference, ...]:
        """Return the image of the frontend, if the Dockerfile names one, and the base images."""
        return (*frontend(request), *pulled_images(request))

    def commands(self, request: BuildRequest) -> tuple[Command, ...]:
        """Return the command lines of buildx; none for the classic builder, for which no program is run."""
        require_here(self)
        program, credentials = BuildxProgram.find(self._tools), base_credentials(request, self._tools.find)
        if program is None:
            return ()
        with self._client() as client:
            words = DockerBuild(self._tools, client, request, credentials, OUT).output_flags()
        return (program.command(request, credentials, words),)

    def builds_in_daemon(self) -> bool:
        """Return ``True``: the daemon is its builder."""
        return True

    def unsupported_features(self) -> frozenset[str]:
        """Return what the classic builder does not support where there is no buildx; tried with Docker 26.1."""
        return frozenset() if BuildxProgram.find(self._tools) else frozenset({HEREDOCS, MOUNTS, RUN_INTO_VOLUMES})

    @contextmanager
    def build(self, request: BuildRequest) -> Iterator[Image | Index]:
        """Build with BuildKit, or with the classic builder where there is no buildx.

        Raises:
            EngineMissingError: there is no daemon, or none that this user may talk to.
            UnsupportedError: the request needs BuildKit, and there is only the classic builder.
            BuildError: the build failed; with the last lines of its log.
        """
        require_here(self)
        credentials = base_credentials(request, self._tools.find)
        with self._client() as client, temporary(self._tools.scratch) as directory:
            program = BuildxProgram.find(self._tools)
            if program is None:
                words = "docker buildx is not installed: the classic builder is used, which supports less"
                self._tools.sink(Note(words))
            with DockerBuild(self._tools, client, request, credentials, directory).image(program) as image:
                yield image

    @contextmanager
    def _client(self) -> Iterator[DockerClient]:
        """Yield a connection to the daemon.

        Raises:
            EngineMissingError: it does not answer.
        """
        with closing(connect(self._tools.env, self._home)) as client:
            yield client


@dataclass(frozen=True, slots=True)
class DockerBuild:
    """The state that the steps of one build share."""

    tools: Tools
    client: DockerClient
    request: BuildRequest
    credentials: Mapping[str, Credential]
    directory: Path
    # A unique name that cannot be pushed anywhere by accident.
    tag: str = field(default_factory=lambda: f"buildpush.invalid/build:{secrets.token_hex(8)}")

    @contextmanager
    def image(self, program: BuildxProgram | None) -> Iterator[Image | Index]:
        """Build, and yield the image, which can be read while the context is open."""
        if program and self._writes_layouts():
            yield program.into_layout(self.request, self.credentials, self.directory, self._builder)
            return
        try:
            if program:
                self._build_into_store(program)
            else:
                self._classic()
            with self._daemon.image(self.tag) as image:
                yield without_manifest(image)
        finally:
            with suppress(*failures()):
                self.client.images.remove(self.tag)

    def _writes_layouts(self) -> bool:
        """Return whether the daemon's builder can write layouts, which needs containerd's image store."""
        return self._daemon.keeps_manifests

    @property
    def _builder(self) -> tuple[str, str]:
        return "--builder", dockerhome.daemon_builder(self.tools.env, daemon.home_of(self.tools.env))

    def output_flags(self) -> tuple[str, ...]:
        """Return the arguments that tell buildx where to build, and where to write the image."""
        if self._writes_layouts():
            return (*self._builder, *layout_output(self.request, self.directory))
        return self._load_flags()

    def _load_flags(self) -> tuple[str, ...]:
        return (*self._builder, "--load", "--tag", self.tag)

    def _build_into_store(self, program: BuildxProgram) -> None:
        """Build into the daemon's own store, which cannot write layouts."""
        request = self.request
        _refuse("this Docker keeps images of one platform only", _OTHER_STORE, platforms=request.platforms[1:])
        _refuse(
            "this Docker's own builder keeps no layers for later builds",
            _OTHER_STORE,
            remote_cache_repo=request.cache_repository,
            caching=request.caching,
            cache_to=request.cache_to,
        )
        program.build(request, self.credentials, self._load_flags())

    def _classic(self) -> None:
        """Build with the daemon's classic builder, through the SDK."""
        request = self.request
        _refuse(
            "docker buildx is not installed, and the classic builder cannot honour this",
            "install docker buildx",
            env_docker_secrets=request.build_secrets,
            platforms=request.platforms[1:],
            build_contexts=request.build_contexts,
            ssh=request.ssh or request.ssh_key,
        )
        for reference in bases(request):
            if reference.repository.host in self.credentials:
                self._pull(reference)
        lines: Iterator[dict[str, Any]] = self._call(
            self.client.api.build,
            path=str(request.context),
            dockerfile=str(request.dockerfile),
            tag=self.tag,
            buildargs={**request.proxies, **request.build_args},
            labels=dict(request.labels),
            target=request.target or "",
            platform=str(request.platforms[0]) if request.platforms else None,
            nocache=request.no_cache,
            pull=request.pull_image,
            extra_hosts=dict(request.add_hosts),
            network_mode=request.network or None,
            rm=True,
            forcerm=True,
            decode=True,
        )
        self._follow(lines)

    def _pull(self, reference: Reference) -> None:
        credential = self.credentials[reference.repository.host]
        password = credential.password.reveal()
        login = {"username": credential.user, "password": password}
        if credential.kind == "identity":
            login = {"identitytoken": password}
        elif credential.kind == "access" and not credential.user:
            login = {"registrytoken": password}
        self.tools.sink(Log(f"pull {reference}"))
        self._call(self.client.images.pull, str(reference.repository), tag=reference.target, auth_config=login)

    def _follow(self, lines: Iterator[dict[str, Any]]) -> None:
        """Show the classic builder's log, and raise the error at its end."""
        log: deque[str] = deque(maxlen=50)
        output = Lines(partial(self._show, log))
        for line in self._read_parts(lines):
            if "error" in line:
                output.close()
                reason = quotation(str(line["error"]))
                self._show(log, reason)
                raise buildkit.failure("\n".join([*log, f"ERROR: {reason}"]), self.request)
            # The output of a RUN arrives in pieces that end anywhere; a status is a line.
            output.write(str(line["stream"]) if "stream" in line else f"\n{line.get('status') or ''}\n")
        output.close()

    def _show(self, log: deque[str], line: str) -> None:
        if line.strip():
            log.append(line)
        self.tools.log(line)

    def _read_parts(self, parts: Iterator[Any]) -> Iterator[Any]:
        """Yield *parts*; if the daemon refuses, or goes away in between, the build has failed."""
        try:
            yield from parts
        except failures() as error:
            if explanation := getattr(error, "explanation", None):
                log = f"ERROR: {quotation(str(explanation))}"
                raise buildkit.failure(log, self.request) from error
            raise _went_away(error) from error

    def _call(self, method: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Return the daemon's answer.

        Raises:
            BuildError: it refuses, or does not answer.
        """
        try:
            return method(*arguments, **keywords)
        except failures() as error:
            if getattr(error, "explanation", None):
                message = f"Docker refuses: {quotation(str(error))}"
                raise BuildError(message) from error
            raise _went_away(error) from error

    @property
    def _daemon(self) -> Daemon:
        return Daemon(self.client, self.directory, self.tools.memory, self.tools.sink)


def _went_away(error: BaseException) -> BuildError:
    message = f"the Docker daemon went away: {quotation(str(error) or type(error).__name__)}"
    return BuildError(message, hint=dockerhome.CRASH_HINT)


def _refuse(message: str, hint: str, **settings: object) -> None:
    """Refuse the first of *settings* that is set."""
    for setting, value in settings.items():
        if value:
            raise UnsupportedError(message, hint=hint, setting=setting)
