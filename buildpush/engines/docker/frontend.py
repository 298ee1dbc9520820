"""Finds what BuildKit would refuse in a Dockerfile, before BuildKit is started, and in ``check``.

Source: the release notes of Docker 28.0 to 29.0, and of the Dockerfile frontend 1.14 to 1.20, which say in which
version a flag left the channel ``labs``.
"""

# Flags of other programs in this module's texts: any

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from buildpush.dockerfile import parse as dockerfile
from buildpush.dockerfile.instructions import ModeError, errors_in, errors_of_flags
from buildpush.dockerfile.model import Dockerfile, Instruction, NewerSyntaxError
from buildpush.dockerfile.outline import outline
from buildpush.dockerfile.request import BuildRequest
from buildpush.dockerfile.stages import check_bases
from buildpush.foundation.errors import DockerfileError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex

Version = tuple[int, int]

# The first BuildKit and the first Docker whose own frontend has each flag; where that is uncertain, a later one.
_FIRST: Final[Mapping[tuple[str, str], Mapping[str, Version]]] = MappingProxyType(
    {
        ("COPY", "parents"): {"BuildKit": (0, 26), "Docker": (29, 0)},
        ("COPY", "exclude"): {"BuildKit": (0, 25), "Docker": (28, 5)},
        ("ADD", "exclude"): {"BuildKit": (0, 25), "Docker": (28, 5)},
        ("ADD", "unpack"): {"BuildKit": (0, 23), "Docker": (28, 3)},
        ("RUN", "security"): {"BuildKit": (0, 26), "Docker": (29, 0)},
        ("RUN", "device"): {"BuildKit": (0, 20), "Docker": (28, 0)},
    }
)
# Before these, a --chmod that is no mode is ignored.
_FIRST_WITH_MODES: Final[Mapping[str, Version]] = MappingProxyType({"BuildKit": (0, 20), "Docker": (28, 0)})
# We know every flag of the versions up to these.
_TRIED: Final[Mapping[str, Version]] = MappingProxyType({"BuildKit": (0, 34), "Docker": (29, 0), "classic": (0, 0)})
# The flags of the daemon's classic builder; those of HEALTHCHECK do not differ.
_CLASSIC: Final = MappingProxyType(
    {"ADD": frozenset({"chown"}), "COPY": frozenset({"chown", "from"}), "RUN": frozenset[str]()}
)
_VERSION: Final = regex(r"v?(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Release:
    """The program that reads Dockerfiles: Docker's daemon, a separate BuildKit, or Docker's classic builder.

    Attributes:
        program: Docker, BuildKit or classic.
    """

    program: str
    version: Version = (0, 0)

    @classmethod
    def parse(cls, program: str, text: str) -> Release | None:
        """Return the release whose version is *text*; ``None`` where it names none, as in Debian's BuildKit."""
        match = _VERSION.match(text)
        version = (int(match[1]), int(match[2])) if match else (0, 0)
        return cls(program, version) if any(version) else None

    @classmethod
    def of_daemon(cls, answer: Mapping[str, Any]) -> Release | None:
        """Return the release of a daemon from its *answer* about its version; ``None`` for Podman's."""
        names = [str(part.get("Name")) for part in answer.get("Components") or ()]
        return cls.parse("Docker", str(answer.get("Version") or "")) if "Engine" in names else None

    def __str__(self) -> str:
        if self.program == "classic":
            return "Docker's classic builder"
        return f"{self.program} {self.version[0]}.{self.version[1]}"

    def refuses(self, error: DockerfileError) -> bool:
        """Return whether it refuses what is an *error* only for new builders, or only for those that we know."""
        if isinstance(error, ModeError):
            return self.version >= _FIRST_WITH_MODES.get(self.program, self.version)
        return self.version <= _TRIED[self.program]

    def lacks(self, instruction: Instruction, flag: str) -> bool:
        """Return whether its own frontend does not have *flag* of *instruction*."""
        if self.program == "classic":
            return flag not in _CLASSIC.get(instruction.name, {flag})
        first = _FIRST.get((instruction.name, flag))
        return first is not None and self.version < first[self.program]


def find_refusal(request: BuildRequest, release: Callable[[], Release | None]) -> str | None:
    """Return what the builder does not support, with its line, or ``None``.

    Args:
        request: the build.
        release: returns what reads the Dockerfile, or ``None`` where that is not known; called only where it matters.

    Raises:
        DockerfileError: BuildKit cannot read the Dockerfile, or refuses an instruction.
    """
    if "BUILDKIT_SYNTAX" in request.build_args:  # it names another frontend
        return None
    try:
        file = dockerfile.read(request.dockerfile)
    except NewerSyntaxError:
        if not _is_outdated(request, release):
            return None
        raise
    if not file.stages:  # another language
        return None
    check_bases(file, request)
    if lacking := _lacking(file, release):
        return lacking
    _refuse_wrong(file, request, release)
    return None


def _lacking(file: Dockerfile, release: Callable[[], Release | None]) -> str | None:
    """Return the first flag that the builder does not have."""
    if file.syntax:  # the frontend is fetched, and may be newer than the builder
        return None
    flags = [
        (instruction, flag)
        for stage in file.stages
        for instruction in stage.instructions
        for flag in instruction.flags
        if _differs(instruction, flag)
    ]
    builder = release() if flags else None
    return next(
        (
            _refusal(file, instruction, flag, builder)
            for instruction, flag in flags
            if builder and builder.lacks(instruction, flag)
        ),
        None,
    )


def _refuse_wrong(file: Dockerfile, request: BuildRequest, release: Callable[[], Release | None]) -> None:
    """Refuse the first instruction that this version of BuildKit refuses."""
    for error in (*errors_of_flags(file), *errors_in(file, request)):
        depends = isinstance(error, NewerSyntaxError | ModeError)
        builder = release() if depends and not file.syntax else None
        if not depends or (builder and builder.refuses(error)):
            raise error


def _differs(instruction: Instruction, flag: str) -> bool:
    """Return whether some builder does not have *flag* of *instruction*."""
    name = instruction.name
    return (name, flag) in _FIRST or flag not in _CLASSIC.get(name, {flag})


def _refusal(file: Dockerfile, instruction: Instruction, flag: str, builder: Release) -> str:
    """Return the refusal of *flag*, which *builder* does not have, with its line."""
    words = f"{instruction.name} --{flag}, which {builder} does not have"
    fetched = "" if builder.program == "classic" else "; with # syntax=docker/dockerfile:1 as the first line it may"
    return f"{file.where(instruction.line)}: {words}{fetched}"


def _is_outdated(request: BuildRequest, release: Callable[[], Release | None]) -> bool:
    """Return whether the builder has no flags but those that we know, so that it refuses others."""
    file = outline(request.dockerfile)
    if file.syntax or not file.stages:  # the frontend may be newer, or we cannot read the file at all
        return False
    builder = release()
    return builder is not None and builder.version <= _TRIED[builder.program]
