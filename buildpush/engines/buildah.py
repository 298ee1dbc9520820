"""The engine buildah, which needs no daemon, and no root where user namespaces are allowed.

Each run has its own storage, which is removed afterwards: nothing is left, and other runs do not affect it. RUN works
in buildah's ``chroot`` isolation, which also works inside containers.

Source: buildah-build(1); each rule was tried with buildah 1.28.
"""

# Flags of other programs in this module's texts: any

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final

from buildpush.credentials.docker import Credential
from buildpush.dockerfile import parse as dockerfile
from buildpush.dockerfile.instructions import ModeError, MountTypeError, errors_in
from buildpush.dockerfile.model import NewerSyntaxError, UnreadableError
from buildpush.dockerfile.request import BuildRequest
from buildpush.dockerfile.rules import HEREDOCS, RUN_INTO_VOLUMES
from buildpush.dockerfile.stages import needed_for
from buildpush.engines import Tools, registries
from buildpush.engines.bases import base_credentials, bases, insecure_hosts, platforms_of, pulled_images
from buildpush.engines.docker import buildkit
from buildpush.engines.refusal import require_here
from buildpush.engines.seam import OUT
from buildpush.foundation import mounts, strict_json
from buildpush.foundation.errors import DockerfileError, EngineMissingError
from buildpush.foundation.locks import temporary
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.images.model import Image, Index, Platform
from buildpush.images.references import Reference
from buildpush.places import FILES, Command, FileContent
from buildpush.transfer.docker_archive import open_docker_archive

REMEDIES: Final = "install buildah from your distribution; or use engine: docker, or native, which does not support RUN"
_PROGRAM: Final = "buildah"
# The comment in the history that names the image of the previous instruction.
_PARENT_COMMENT: Final = regex(r"FROM [0-9a-f]{12}\Z")
_VERSION: Final = regex(r"version (\d+)\.(\d+)")
# The first version that supports each feature.  Source: buildah, CHANGELOG.md, v1.33.0 and v1.37.0; tried with 1.28.
_FIRST_VERSIONS: Final = MappingProxyType({HEREDOCS: (1, 33), RUN_INTO_VOLUMES: (1, 37)})
# The flags of the version that was tried; later ones have more.
_OLD: Final = (1, 28)
_OLD_FLAGS: Final = MappingProxyType(
    {
        "ADD": frozenset({"chmod", "chown"}),
        "COPY": frozenset({"chmod", "chown", "from"}),
        "RUN": frozenset({"mount"}),
        "HEALTHCHECK": frozenset({"interval", "timeout", "start-period", "retries"}),
    }
)
_NO_NAMESPACES: Final = "this user may not create user namespaces, which buildah needs without root"
_NAMESPACES: Final = "give the user ranges in /etc/subuid and /etc/subgid (usermod --add-subuids), or run as root"
_FULL: Final = (
    "the disk is full: buildah keeps all files of all stages in the temporary directory; free space, or set TMPDIR "
    "to a directory on another disk"
)
_LOGINS: Final = "auth.json"
# A name that cannot be pushed anywhere by accident.
_TAG: Final = "buildpush.invalid/build"


class Buildah:
    """Builds with buildah, which returns the image in an archive of uncompressed layers; we push it.

    Variables: ``HOME`` and ``CONTAINERS_REGISTRIES_CONF`` say where the user's own registry settings are.
    """

    name: ClassVar[str] = "buildah"
    flags: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            **buildkit.FLAGS,
            "no_cache": "itself",
            "squash": "--squash",
            "pull_image": "itself",
            "mirror": "registries.conf, private",
            "insecure_registry": "registries.conf, private",
            "base_image_connector_refs": "--authfile, private",
        }
    )

    uses_our_connections: ClassVar[bool] = False

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def missing(self) -> str | None:
        """Return why buildah cannot be used, with the usual remedies, or ``None`` where it can."""
        try:
            self._tools.place.run([_PROGRAM, "--version"])
        except EngineMissingError as error:
            return f"{error}\n{REMEDIES}"
        if _is_root() or self._tools.place.run([_PROGRAM, "unshare", "true"]).status == 0:
            return None
        return f"{_NO_NAMESPACES}\n{_NAMESPACES}; {REMEDIES}"

    def refuses(self, request: BuildRequest) -> str | None:
        """Return the first flag that an old buildah does not have; buildah itself reports all else.

        Raises:
            DockerfileError: the Dockerfile has a flag that nothing we know has, or an instruction is wrong.
        """
        try:
            found = next(_unusual(request), None)
        except UnreadableError:
            return None
        except NewerSyntaxError:
            if self._is_old:
                raise
            return None
        if found is None or not self._is_old:
            return None
        if isinstance(found, DockerfileError):
            raise found
        return found

    @property
    def _is_old(self) -> bool:
        """Whether the installed version is one whose flags we know."""
        try:
            version = self._version
        except EngineMissingError:
            return False
        return version is not None and version <= _OLD

    @property
    def _version(self) -> tuple[int, int] | None:
        match = _VERSION.search(self._tools.place.run([_PROGRAM, "--version"]).stdout)
        return (int(match[1]), int(match[2])) if match else None

    def images(self, request: BuildRequest) -> tuple[Reference, ...]:
        """Return only base images: buildah ignores ``# syntax=``, and pulls no frontend."""
        return pulled_images(request)

    def commands(self, request: BuildRequest) -> tuple[Command, ...]:
        """Return the command lines for each platform: to build, and to export the image."""
        build = _BuildahBuild(self._tools, request, OUT)
        return tuple(command for each in platforms_of(request) for command in build.commands(*each))

    def builds_in_daemon(self) -> bool:
        """Return ``False``: it builds without a daemon."""
        return False

    def unsupported_features(self) -> frozenset[str]:
        """Return what the installed version does not support."""
        version = self._version
        return frozenset(feature for feature, first in _FIRST_VERSIONS.items() if version and version < first)

    @contextmanager
    def build(self, request: BuildRequest) -> Iterator[Image | Index]:
        """Build, and yield the image, which can be read while the context is open.

        Raises:
            EngineMissingError: buildah is not installed, or this user may not use it.
            BuildError: the build failed; with the last lines of its log.
        """
        require_here(self)
        with temporary(self._tools.scratch, tidy=False) as directory:
            build = _BuildahBuild(self._tools, request, directory)
            try:
                yield Index.of(build.single(*each) for each in platforms_of(request))
            finally:
                build.remove_storage()


@dataclass(frozen=True)
class _BuildahBuild:
    """One build, with its own storage."""

    tools: Tools
    request: BuildRequest
    directory: Path

    @cached_property
    def credentials(self) -> Mapping[str, Credential]:
        """The credentials for the hosts that the build pulls from."""
        return base_credentials(self.request, self.tools.find)

    @cached_property
    def _settings(self) -> dict[str, FileContent]:
        names = tuple(base.repository for base in bases(self.request))
        insecure = insecure_hosts(self.request)
        return registries.registry_files(names, self.tools.env, self.request.mirrors, insecure, self.request.tls)

    @property
    def _storage(self) -> tuple[str, ...]:
        return (_PROGRAM, "--root", f"{self.directory}/storage", "--runroot", f"{self.directory}/run")

    def single(self, number: int, platform: Platform | None) -> Image:
        """Build, and export the image as an archive: the only form whose layers are not compressed."""
        build, push = self.commands(number, platform)
        buildkit.run(self.tools, build, self.request, {**self._settings, **self._private()}, _FULL)
        buildkit.run(self.tools, push, self.request, self._settings, _FULL)
        image = open_docker_archive(self._archive(number))
        image = replace(image, config=_without_container(image.config))
        return replace(image, platform=platform) if platform else image

    def commands(self, number: int, platform: Platform | None) -> tuple[Command, Command]:
        """Return the command lines that build and that export the image."""
        tag, request = f"{_TAG}:{number}", replace(self.request, platforms=(platform,) if platform else ())
        build = ["build", *self._flags(request), "--tag", tag, str(request.context)]
        return self._command(build), self._command(["push", tag, f"docker-archive:{self._archive(number)}"])

    def _command(self, words: list[str]) -> Command:
        flags = [word for name in self._settings for word in (registries.FLAGS[name], f"{FILES}/{name}")]
        return Command((*self._storage, *flags, *words), self._variables())

    def _archive(self, number: int) -> Path:
        return self.directory / f"image-{number}.tar"

    def remove_storage(self) -> None:
        """Unmount what a failed or interrupted build has left in the storage, and delete its files.

        For an ordinary user, mounts end with their namespace, but the files belong to users of that namespace.
        """
        if _is_root():
            self.tools.place.run([*self._storage, "rm", "--all"])
            mounts.unmount(self.directory)  # where the disk is full, buildah cannot record the removal
        else:
            self.tools.place.run([_PROGRAM, "unshare", "rm", "-rf", *self._storage[2::2]])

    def _flags(self, request: BuildRequest) -> list[str]:
        flags = build_flags(request)
        if self.credentials:
            flags += ["--authfile", f"{FILES}/{_LOGINS}"]
        return flags

    def _private(self) -> dict[str, FileContent]:
        """Return the files that only the build may read."""
        files = buildkit.secret_files(self.request)
        return files | ({_LOGINS: json.dumps({"auths": buildkit.auths(self.credentials)})} if self.credentials else {})

    def _variables(self) -> dict[str, str]:
        """Return buildah's variables: its temporary files go into our directory, even if it is killed.

        Where the Docker configuration is missing, ``DOCKER_CONFIG`` is emptied: buildah, unlike Docker, would fail.
        The proxies are for RUN.
        """
        directory = self.tools.env.get("DOCKER_CONFIG")
        missing = {"DOCKER_CONFIG": ""} if directory and not Path(directory, "config.json").exists() else {}
        return {"TMPDIR": str(self.directory), **missing, **self.request.proxies}


def build_flags(request: BuildRequest) -> list[str]:
    """Return the flags of ``buildah build`` for *request*, without logins, tag and context.

    A layer for each instruction, as other engines make them: an unchanged one is not sent again. Docker's format, since
    OCI's does not have HEALTHCHECK, SHELL and ONBUILD. The same image for every user.
    """
    layers = "--squash" if request.squash else "--layers"
    flags = [*buildkit.arguments(request), "--isolation", "chroot", "--format", "docker", layers]
    flags.append("--identity-label=false")
    return flags if request.created is None else [*flags, "--timestamp", str(request.created)]


def _unusual(request: BuildRequest) -> Iterator[str | DockerfileError]:
    """Yield the flags that an old buildah does not have, with their lines, then the errors that it reports as well.

    Raises:
        NewerSyntaxError: we cannot read the Dockerfile.
    """
    try:
        file = dockerfile.read(request.dockerfile)
        stages = [stage for stage, _ in needed_for(file, request)] if file.stages else []
    except NewerSyntaxError:
        raise
    except DockerfileError:
        return  # buildah may understand it
    for instruction in (instruction for stage in stages for instruction in stage.instructions):
        for flag in instruction.flags.keys() - _OLD_FLAGS.get(instruction.name, instruction.flags.keys()):
            yield f"{file.where(instruction.line)}: {instruction.name} --{flag}"
    if stages:
        yield from (error for error in errors_in(file, request) if isinstance(error, ModeError | MountTypeError))


def _without_container(config: bytes) -> bytes:
    """Return a configuration without the container and the intermediate images of its build, which differ each time."""
    document = strict_json.parse(config)
    document = {key: value for key, value in document.items() if not key.startswith("container") and key != "parent"}
    document["config"].pop("Hostname", None)
    for line in document.get("history") or ():
        if _PARENT_COMMENT.match(line.get("comment", "")):
            del line["comment"]
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
