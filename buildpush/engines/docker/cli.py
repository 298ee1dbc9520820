"""Finds and runs the program buildx, which writes the image as an OCI layout.

Source: docker buildx build and docker buildx inspect, command line reference; each rule was tried with buildx 0.13.
"""

# Flags of other programs in this module's texts: any

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Final

from buildpush.credentials.docker import Credential
from buildpush.dockerfile.request import BuildRequest
from buildpush.engines import Tools
from buildpush.engines.docker import buildkit
from buildpush.foundation.errors import EngineMissingError
from buildpush.foundation.records import dataclass
from buildpush.images.model import Image, Index
from buildpush.places import FILES, Command, FileContent
from buildpush.transfer import daemon
from buildpush.transfer.oci_layout import open_layout

_LAYOUT: Final = "layout"
_PROGRAMS: Final = (("docker", "buildx"), ("docker-buildx",), ("buildx",))


@dataclass(frozen=True, slots=True)
class Builder:
    """A builder of buildx.

    Attributes:
        driver: docker, docker-container, kubernetes or remote.
        status: of its first node; empty if unknown.
        version: of the BuildKit of its first node; empty if unknown.
    """

    name: str
    driver: str
    status: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class BuildxProgram:
    """The program buildx on this machine."""

    argv: tuple[str, ...]
    tools: Tools

    @classmethod
    def find(cls, tools: Tools) -> BuildxProgram | None:
        """Return the installed buildx, or ``None``."""
        for argv in _PROGRAMS:
            with suppress(EngineMissingError):
                if tools.place.run([*argv, "version"]).status == 0:
                    return cls(argv, tools)
        return None

    def builder(self) -> Builder:
        """Return the selected builder: ``BUILDX_BUILDER``, or the choice of ``docker buildx use``.

        Raises:
            EngineMissingError: there is none.
        """
        result = self.tools.place.run([*self.argv, "inspect"])
        pairs = (line.partition(":") for line in reversed(result.stdout.splitlines()) if ":" in line)
        fields = {name.strip(): value.strip() for name, _, value in pairs}
        if result.status or "Driver" not in fields:
            message = result.stderr.strip().removeprefix("ERROR: ") or "docker buildx inspect names no builder"
            hint = "docker buildx ls lists all builders; docker buildx use chooses one"
            raise EngineMissingError(message, hint=hint, setting="engine")
        # Buildx 0.13 prints no driver for the daemon's own builder when the daemon does not answer.
        version = fields.get("BuildKit version") or fields.get("Buildkit") or ""
        return Builder(fields.get("Name", ""), fields["Driver"] or "docker", fields.get("Status", ""), version)

    def into_layout(
        self, request: BuildRequest, credentials: Mapping[str, Credential], directory: Path, words: tuple[str, ...] = ()
    ) -> Image | Index:
        """Build into an OCI layout in *directory*, without a copy in a daemon, or layers that are compressed twice.

        Args:
            request: what to build.
            credentials: by host.
            directory: for the layout, from which the image is read.
            words: further arguments, such as ``--builder``.

        Raises:
            BuildError: the build failed.
        """
        self.build(request, credentials, (*words, *layout_output(request, directory)))
        return open_layout(directory / _LAYOUT, keep_manifest=False)

    def build(self, request: BuildRequest, credentials: Mapping[str, Credential], words: tuple[str, ...]) -> None:
        """Build; *words* say where to write, and with which builder.

        Raises:
            BuildError: the build failed; with the last lines of its log.
        """
        files: dict[str, FileContent] = buildkit.secret_files(request)
        if credentials:
            files |= buildkit.login_files(credentials, daemon.home_of(self.tools.env))
        buildkit.run(self.tools, self.command(request, credentials, words), request, files)

    def command(self, request: BuildRequest, credentials: Mapping[str, Credential], words: tuple[str, ...]) -> Command:
        """Return the command of :meth:`build`."""
        # Buildah does not need them: it has only the machine's network, and pulls every image anyway.
        pull = ["--pull"] if request.pull_image else []
        network = ["--network", request.network] if request.network else []
        proxies = [word for name in request.proxies for word in ("--build-arg", name)]  # buildx knows the values
        usual = [*buildkit.arguments(request), *proxies, *pull, *network]
        argv = [*self.argv, "build", "--progress=plain", *usual, *words, str(request.context)]
        return Command(tuple(argv), {**request.proxies, **self._variables(request, logged_in=bool(credentials))})

    def _variables(self, request: BuildRequest, *, logged_in: bool) -> dict[str, str]:
        variables = dict(_VARIABLES)
        if request.created is not None:
            variables["SOURCE_DATE_EPOCH"] = str(request.created)
        if logged_in:
            variables["BUILDX_CONFIG"] = self.tools.env.get("BUILDX_CONFIG") or str(
                daemon.home_of(self.tools.env) / "buildx"
            )
            variables["DOCKER_CONFIG"] = f"{FILES}/{buildkit.CONFIG}"
        return variables


# Attestations would turn one image into an index, and one of them contains the build arguments.
_VARIABLES: Final = MappingProxyType({"BUILDX_NO_DEFAULT_ATTESTATIONS": "1", "DOCKER_CLI_HINTS": "false"})


def layout_output(request: BuildRequest, directory: Path) -> tuple[str, str]:
    """Return the arguments for a layout in *directory*."""
    output = f"type=oci,dest={directory / _LAYOUT},tar=false,compression=uncompressed"
    return "--output", output + (",rewrite-timestamp=true" if request.created is not None else "")
