"""The engine kaniko: its executor in a container that docker or podman starts.

It pushes nothing: it returns the image in an archive. Its way to pass secrets to RUN is not used, since according to
its documentation other RUN instructions can read them.

Source: osscontainertools/kaniko, README.md, "Additional Flags", and cmd/executor/cmd/root.go, of August 2026.
"""

# Flags of other programs in this module's texts: any

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field, replace
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final

from buildpush.dockerfile import parse as dockerfile
from buildpush.dockerfile.request import BuildRequest
from buildpush.dockerfile.rules import COPY_INTO_VOLUMES, OLD_HEREDOCS, RUN_INTO_VOLUMES, SOME_MOUNTS
from buildpush.dockerfile.stages import needed_for
from buildpush.engines import Tools
from buildpush.engines.bases import platforms_of, pulled_images
from buildpush.engines.docker import buildkit
from buildpush.engines.kaniko import executor
from buildpush.engines.kaniko.arguments import KanikoArguments, log_text
from buildpush.engines.kaniko.executor import Executor, program_of
from buildpush.engines.refusal import refuse_unsupported, require_here
from buildpush.engines.seam import OUT
from buildpush.foundation import strict_json
from buildpush.foundation.errors import BuildError, DockerfileError, UnsupportedError
from buildpush.foundation.events import Note
from buildpush.foundation.locks import temporary
from buildpush.foundation.records import dataclass
from buildpush.foundation.text import lines_of
from buildpush.http.urls import is_loopback
from buildpush.images.model import Image, Index, Platform
from buildpush.images.references import Reference
from buildpush.places import Command, FileContent
from buildpush.transfer.docker_archive import open_docker_archive

_NO_PROGRAM: Final = "neither docker nor podman can start a container here"
_NO_IMAGE: Final = "no image of kaniko's executor is given"
_ROOT: Final = "set runAsUser: 0; where root is not allowed, leave runAsUser out and use engine: buildah"
_FULL: Final = (
    "the disk is full: kaniko unpacks the base images and all stages in the file system of its container; free space "
    "where docker or podman keeps containers"
)
_KILLED: Final = 137
_LOG_LINES: Final = 200  # earlier lines do not explain a failure
# A name that cannot be pushed anywhere by accident.
NO_PLACE: Final = "buildpush.invalid/build"
_DEFAULTS: Final = frozenset({("network", "default"), ("parents", "false"), ("keep-git-dir", "false")})
_IGNORED_FLAGS: Final = MappingProxyType(
    {
        "ADD": frozenset({"checksum", "exclude", "keep-git-dir", "unpack"}),
        "COPY": frozenset({"exclude", "parents"}),
        "RUN": frozenset({"network"}),
    }
)


class Kaniko:
    """Builds with kaniko, which returns the image in an archive; we push it.

    The setting ``kaniko_image`` names the image that contains the executor, with a digest.
    Variables: those of docker and of proxies, ``SSL_CERT_FILE`` or ``HARNESS_CA_PATH``, and ``FF_KANIKO_*``.
    """

    name: ClassVar[str] = "kaniko"
    flags: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "dockerfile": "--dockerfile",
            "context": "--context",
            "labels": "--label",
            "build_args": "--build-arg",
            "target": "--target",
            "platforms": "--custom-platform",
            "no_cache": "itself",
            "pull_image": "itself",
            "optimize": "--snapshot-mode=redo",
            "squash": "--single-snapshot",
            "ignore_paths": "--ignore-path",
            "remote_cache_repo": "--cache-repo",
            "cache_ttl": "--cache-ttl",
            "mirror": "--registry-mirror, --skip-default-registry-fallback",
            "insecure_registry": "--insecure-registry, --skip-tls-verify-registry",
            "registry_certificate": "--registry-certificate, private",
            "base_image_connector_refs": "config.json, private",
            "run_as_user": "--user",
            "resources": "--memory, --cpus",
            "privileged": "--privileged",
        }
    )

    uses_our_connections: ClassVar[bool] = False

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def missing(self) -> str | None:
        """Return why kaniko cannot be used, with the usual remedies, or ``None`` where it can."""
        if not _executor_image(self._tools):
            return f"{_NO_IMAGE}\n{executor.REMEDIES}"
        if program_of(self._tools.env, self._tools.place) is None:
            return f"{_NO_PROGRAM}\nstart Docker, or install podman; or use engine: buildah"
        return None

    def refuses(self, request: BuildRequest) -> str | None:
        """Return the first flag that kaniko would silently ignore; kaniko itself reports all else.

        Raises:
            UnsupportedError: the setting ``run_as_user`` names another user than root.
        """
        if request.container.user:
            message = f"kaniko must run as root, but runAsUser is {request.container.user}"
            raise UnsupportedError(message, hint=_ROOT, setting="run_as_user")
        return next(_ignored_flags(request), None)

    def images(self, request: BuildRequest) -> tuple[Reference, ...]:
        """Return the executor's image and the base images: kaniko pulls no frontend."""
        image = _executor_image(self._tools)
        return (*((Reference.parse(image),) if image else ()), *pulled_images(request))

    def commands(self, request: BuildRequest) -> tuple[Command, ...]:
        """Return the command line of the executor in its container, for each platform."""
        refuse_unsupported(self, request)
        require_here(self)
        build = _KanikoBuild(self._tools, request, OUT.absolute())
        return tuple(build.command(*each) for each in platforms_of(request))

    def builds_in_daemon(self) -> bool:
        """Return ``False``: it builds in a container of its own."""
        return False

    def unsupported_features(self) -> frozenset[str]:
        """Return what kaniko ignores: some mounts, files below a VOLUME, and heredocs in old versions.

        Tried with 1.24.0 and 1.28.3: the later one loses directories that are copied below a VOLUME, and keeps files.
        """
        return frozenset({OLD_HEREDOCS, SOME_MOUNTS, RUN_INTO_VOLUMES, COPY_INTO_VOLUMES})

    @contextmanager
    def build(self, request: BuildRequest) -> Iterator[Image | Index]:
        """Build, and yield the image, which can be read while the context is open.

        Raises:
            EngineMissingError: there is no executor, or no program to start its container.
            UnsupportedError: as for :meth:`refuses`.
            DockerfileError: it has a flag that kaniko would ignore.
            BuildError: the build failed; with the last lines of its log.
        """
        refuse_unsupported(self, request)
        require_here(self)
        if request.created is not None:
            self._tools.sink(Note("kaniko removes the times of files, instead of setting them to SOURCE_DATE_EPOCH"))
        with temporary(self._tools.scratch) as directory:
            build = _KanikoBuild(self._tools, request, directory)
            yield Index.of(build.single(*each) for each in platforms_of(request))


@dataclass(frozen=True)
class _KanikoBuild:
    """One build: a run of the executor for each platform."""

    tools: Tools
    request: BuildRequest
    directory: Path
    log: deque[str] = field(default_factory=partial(deque, maxlen=_LOG_LINES))

    @cached_property
    def _arguments(self) -> KanikoArguments:
        return KanikoArguments.of(self.tools, self.request)

    @cached_property
    def _executor(self) -> Executor:
        place = self.tools.place
        program, image = program_of(self.tools.env, place), _executor_image(self.tools)
        if program is None or image is None:
            raise BuildError(_NO_PROGRAM)  # it was available a moment ago
        # In a container, the loopback addresses are the container's own.
        network = "host" if any(map(is_loopback, self._arguments.hosts)) else None
        return executor.executor_in(program, image, place, self.request, self.directory, network=network)

    def single(self, number: int, platform: Platform | None) -> Image:
        """Build, and export the image as an archive.

        In a layout, kaniko makes directories of root, which an ordinary user of a Docker daemon could not remove.
        """
        argv, files, env = self._call(number, platform)
        result = self._executor.place.run(argv, files=files, env=env, stream=self._show)
        if result.status:
            raise self._failure(result.status)
        image = _with_labels(open_docker_archive(self.directory / _archive(number)), self.request.labels)
        return replace(image, platform=platform) if platform else image

    def command(self, number: int, platform: Platform | None) -> Command:
        """Return the command of :meth:`single`."""
        argv, files, env = self._call(number, platform)
        return self._executor.place.command(argv, files=files, env=env)

    def _call(self, number: int, platform: Platform | None) -> tuple[list[str], dict[str, FileContent], dict[str, str]]:
        """Return the arguments, private files and variables of the executor."""
        paths = self._executor
        argv = [paths.program, "--force", "--log-format=json", "--context", f"dir://{paths.context}"]
        argv += ["--dockerfile", paths.dockerfile, *self._arguments.flags(platform)]
        argv += ["--no-push", "--destination", f"{NO_PLACE}:{number}", "--tar-path", f"{paths.out}/{_archive(number)}"]
        return argv, dict(self._arguments.private()), dict(self._arguments.variables())

    def _show(self, line: str) -> None:
        for text in lines_of(log_text(line)):  # in its JSON, a secret may be escaped until it is parsed
            if text.strip():
                self.log.append(text)
            self.tools.log(text)

    def _failure(self, status: int) -> BuildError:
        """Return the error of a failed build; its reason is the last error in kaniko's log."""
        reasons = [line for line in self.log if line.startswith("error ")]
        log = "\n".join([*self.log, *(f"ERROR: {line}" for line in reasons[-1:])])
        error = buildkit.failure(log, self.request, full=_FULL)
        if status == _KILLED and error.hint is None:
            error.hint = (
                "it was killed, usually for lack of memory: raise resources.limits.memory, or leave the limit out"
            )
        return error


def _executor_image(tools: Tools) -> str | None:
    return tools.settings.get("kaniko_image")


def _with_labels(image: Image, labels: Mapping[str, str]) -> Image:
    """Return *image* with *labels* added: in kaniko itself, LABEL takes precedence over ``--label``."""
    document = strict_json.parse(image.config)
    config = document.get("config") or {}
    existing = config.get("Labels") or {}
    if labels.items() <= existing.items():
        return image
    document["config"] = {**config, "Labels": {**existing, **labels}}
    return replace(image, config=json.dumps(document, separators=(",", ":")).encode())


def _ignored_flags(request: BuildRequest) -> Iterator[str]:
    """Yield the flags that kaniko would ignore, with their lines, and that change the image.

    Source: tried with kaniko 1.28.3, which does not mention them in its log.  ``--link`` is left out: it changes no
        file.
    """
    try:
        file = dockerfile.read(request.dockerfile)
        stages = {stage.number: stage for stage, _ in needed_for(file, request)}.values()
    except DockerfileError:
        return  # kaniko reports it itself, or can read it
    for instruction in (instruction for stage in stages for instruction in stage.instructions):
        for flag in sorted(_IGNORED_FLAGS.get(instruction.name, frozenset()) & instruction.flags.keys()):
            if (flag, instruction.flags[flag]) not in _DEFAULTS:
                yield f"{file.where(instruction.line)}: {instruction.name} --{flag}"


def _archive(number: int) -> str:
    return f"image-{number}.tar"
