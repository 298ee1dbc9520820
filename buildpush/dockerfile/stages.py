"""Finds the stages of a Dockerfile that a target needs, and what each begins from; only names are resolved here."""

# Flags of other programs in this module's texts: --from

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from buildpush.dockerfile.model import BuildStage, Dockerfile, UnbuildableError
from buildpush.dockerfile.platforms import platform_arguments
from buildpush.dockerfile.request import BuildRequest
from buildpush.dockerfile.variables import expand
from buildpush.foundation.errors import BadNameError, DockerfileError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.foundation.text import quotation
from buildpush.images.model import Platform
from buildpush.images.references import Reference

_PLATFORM = (
    *("TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT"),
    *("BUILDPLATFORM", "BUILDOS", "BUILDARCH", "BUILDVARIANT"),
)
# A word alone is one of these.  Source: containerd/platforms, ``Parse``, ``isKnownOS``, ``isKnownArch``.
_SYSTEMS: Final = (
    "aix|android|darwin|dragonfly|freebsd|hurd|illumos|ios|js|linux|macos|nacl|netbsd|openbsd|plan9|solaris|windows|zos"
)
_MACHINES: Final = (
    "386|i386|amd64|amd64p32|x86[_-]64|arm|armbe|armel|armhf|arm64|arm64be|aarch64|loong64|mips|mips64|mips64le"
    "|mips64p32|mips64p32le|mipsle|ppc|ppc64|ppc64le|riscv|riscv64|s390|s390x|sparc|sparc64|wasm"
)
_PLATFORM_NAME: Final = regex(rf"(?:{_SYSTEMS}|{_MACHINES}|[^/]+(?:/[\w.-]+){{1,2}})\Z", re.IGNORECASE)
_IMAGE = "docker-image://"
_NONE: Final[Mapping[str, str]] = MappingProxyType({})
# A number, as Go's strconv.Atoi reads it.
_NUMBER = regex(r"[+-]?[0-9]{1,18}\Z")
_MOUNT_SOURCE = regex(r"(?:^|,)\"?from=([^,\n\"]+)", re.MULTILINE | re.IGNORECASE)
_ORDER_HINT: Final = "name an earlier stage, or an image; or move that stage up"


def global_arguments(
    dockerfile: Dockerfile, build_args: Mapping[str, str], builder_args: Mapping[str, str] = _NONE
) -> dict[str, str | None]:
    """Return the arguments that FROM lines may use; *build_args* take precedence over their defaults.

    Args:
        dockerfile: its ``arguments`` are evaluated in order.
        build_args: those of the user.
        builder_args: those that the builder sets, such as ``TARGETARCH``; a default takes precedence.

    Raises:
        DockerfileError: a default has a malformed substitution.
    """
    values: dict[str, str | None] = {
        **builder_args,
        **{name: build_args[name] for name in _PLATFORM if name in build_args},
    }
    for instruction in dockerfile.arguments:
        for name, default in instruction.pairs:
            if name in build_args:
                values[name] = build_args[name]
            elif default is not None:
                values[name] = expand_at(dockerfile, instruction.line, default, values)
            else:
                values.setdefault(name, None)
    return values


def expand_at(dockerfile: Dockerfile, line: int, text: str, values: Mapping[str, str | None]) -> str:
    """Return *text* from *line* with *values* substituted; an error names that line."""
    try:
        return expand(text, values.get, dockerfile.escape)
    except DockerfileError as error:
        raise located(error, dockerfile, line) from error


def located(error: DockerfileError, dockerfile: Dockerfile, line: int) -> DockerfileError:
    """Return *error* about a word of that *line*."""
    return type(error)(str(error), hint=error.hint, where=dockerfile.where(line))


@dataclass(frozen=True, slots=True)
class StageSource:
    """What a stage begins from, or copies from: a *stage*, an *image*, a *context*, or none of these: ``scratch``.

    Attributes:
        context: directory or address of an additional context that is not an image.
    """

    stage: BuildStage | None = None
    image: str | None = None
    context: str | None = None
    platform: str | None = None


def find_base(
    dockerfile: Dockerfile, stage: BuildStage, values: Mapping[str, str | None], contexts: Mapping[str, str] = _NONE
) -> StageSource:
    """Return the base that the FROM of *stage* names when global arguments have these *values*.

    Args:
        dockerfile: of the stage.
        stage: whose FROM it is.
        values: of the global arguments.
        contexts: additional ones, which take precedence over stages and images with their names.

    Raises:
        DockerfileError: the base's name is empty, or a substitution is malformed.
    """
    base = expand_at(dockerfile, stage.line, stage.base, values)
    platform = expand_at(dockerfile, stage.line, stage.platform, values) if stage.platform else None
    if not base:
        message = f"the base name {stage.base} is blank"
        hint = "give the argument a default before FROM, or set it in buildArgs"
        raise UnbuildableError(message, hint=hint, where=dockerfile.where(stage.line), setting="build_args")
    if base in contexts:
        return replace(_context_source(contexts[base]), platform=platform)
    # Names of stages are always lower case, and BuildKit compares this one unchanged.
    earlier = dockerfile.stage(base, before=stage.number) if base == base.lower() else None
    if earlier:
        return StageSource(stage=earlier, platform=platform)
    return StageSource(image=None if base == "scratch" else base, platform=platform)


class StageOrderError(UnbuildableError):
    """A stage copies from one that does not begin before it."""


def find_source(
    dockerfile: Dockerfile, stage: BuildStage, name: str, line: int, contexts: Mapping[str, str] = _NONE
) -> StageSource:
    """Return what ``COPY --from=NAME`` in *stage* names: a stage by number, one of *contexts*, a stage, or an image.

    As in BuildKit, a name is that of the last stage in the whole file that has it.

    Raises:
        StageOrderError: there is no stage with that number, or it does not begin before this one.
    """
    if _NUMBER.match(name):
        return _earlier(dockerfile, stage, _numbered(dockerfile, name, line), name, line)
    return _source_named(dockerfile, stage, name, line, contexts)


def find_mount_source(
    dockerfile: Dockerfile, stage: BuildStage, name: str, line: int, contexts: Mapping[str, str] = _NONE
) -> StageSource:
    """Return what ``from=NAME`` of a mount in *stage* names, like :func:`find_source`, except for numbers.

    Only buildah counts stages there; for BuildKit, a number is the name of an image.

    Raises:
        StageOrderError: the stage with that name does not begin before this one.
    """
    if name not in contexts and _NUMBER.match(name) and 0 <= int(name) < stage.number:
        return StageSource(stage=dockerfile.stages[int(name)])
    return _source_named(dockerfile, stage, name, line, contexts)


def _source_named(
    dockerfile: Dockerfile, stage: BuildStage, name: str, line: int, contexts: Mapping[str, str]
) -> StageSource:
    if name in contexts:
        return _context_source(contexts[name])
    if earlier := dockerfile.stage(name):
        return _earlier(dockerfile, stage, earlier, name, line)
    return StageSource(image=None if name == "scratch" else name)


def _numbered(dockerfile: Dockerfile, name: str, line: int) -> BuildStage:
    if 0 <= int(name) < len(dockerfile.stages):
        return dockerfile.stages[int(name)]
    message = f"--from={name}: there is no stage with that number; there are {len(dockerfile.stages)}, counted from 0"
    raise StageOrderError(message, hint=_ORDER_HINT, where=dockerfile.where(line))


def _earlier(dockerfile: Dockerfile, stage: BuildStage, other: BuildStage, name: str, line: int) -> StageSource:
    if other.number < stage.number:
        return StageSource(stage=other)
    if other.number == stage.number:
        message = f"the stage {stage.title} copies from itself"
    else:
        message = f"from={name} is the stage {other.title}, which begins only at line {other.line}"
    raise StageOrderError(message, hint=_ORDER_HINT, where=dockerfile.where(line))


def check_order(dockerfile: Dockerfile, request: BuildRequest, builder: Platform | None = None) -> None:
    """Check that stages copy only from stages before them; otherwise, an engine might pull an image of that name.

    As in BuildKit, cycles and numbers are checked in the whole file, the order only in stages that the target needs.

    Raises:
        StageOrderError: it names the line and, for a cycle, all its stages.
        DockerfileError: as for :func:`needed`.
    """
    _check_cycles(dockerfile, request.build_contexts)
    for _ in needed_for(dockerfile, request, builder):
        pass


def _check_cycles(dockerfile: Dockerfile, contexts: Mapping[str, str]) -> None:
    """Raise an error if a stage copies from itself, directly or through others."""
    sources_of = {stage.number: _stages_used_by(dockerfile, stage, contexts) for stage in dockerfile.stages}
    finished: set[int] = set()
    for first, sources in sources_of.items():
        path = {first: iter(sources)}
        while path:
            current = next(reversed(path))
            next_stage = next((one for one in path[current] if one not in finished), None)
            if next_stage is None:
                finished.add(current)
                del path[current]
            elif next_stage in path:
                visited = list(path)
                raise _cycle_error(dockerfile, visited[visited.index(next_stage) :], sources_of)
            else:
                path[next_stage] = iter(sources_of[next_stage])


def _stages_used_by(dockerfile: Dockerfile, stage: BuildStage, contexts: Mapping[str, str]) -> dict[int, int]:
    """Return the numbers of the stages that *stage* copies from, with the line; FROM names only earlier ones."""
    lines: dict[int, int] = {}
    if stage.name in contexts:  # the context replaces the stage
        return lines
    if stage.base not in contexts and (base := dockerfile.stage(stage.base, before=stage.number)):
        lines[base.number] = stage.line
    for name, line, copied in _names(stage):
        numbered = copied and _NUMBER.match(name)
        named = dockerfile.stage(name) if name not in contexts else None
        other = _numbered(dockerfile, name, line) if numbered else named
        if other:
            lines.setdefault(other.number, line)
    return lines


def _cycle_error(
    dockerfile: Dockerfile, path: list[int], sources_of: Mapping[int, Mapping[int, int]]
) -> StageOrderError:
    lines = [sources_of[one][after] for one, after in zip(path, [*path[1:], path[0]], strict=True)]
    names = [dockerfile.stages[number].title for number in path]
    words = [f"{name} (line {line})" for name, line in zip(names, lines, strict=True)]
    message = f"the stages {', '.join(words)} take files from one another"
    if len(path) == 1:
        message = f"the stage {names[0]} copies from itself"
    return StageOrderError(message, hint=_ORDER_HINT, where=dockerfile.where(lines[0]))


def needed(
    dockerfile: Dockerfile, target: str | None, values: Mapping[str, str | None], contexts: Mapping[str, str] = _NONE
) -> tuple[BuildStage, ...]:
    """Return the stages that building *target* needs, in file order.

    Args:
        dockerfile: as parsed.
        target: stage to build.
        values: of the global arguments.
        contexts: additional ones, which take precedence over stages and images with their names.

    Raises:
        DockerfileError: the target does not exist, or a FROM cannot be resolved.
    """
    stages: dict[int, BuildStage] = {}
    queue = [dockerfile.target(target)]
    while queue:
        stage = queue.pop()
        if stage.number not in stages:
            stages[stage.number] = stage
            queue += [source.stage for source, _ in _origins(dockerfile, stage, values, contexts) if source.stage]
    return tuple(stages[number] for number in sorted(stages))


def needed_for(
    dockerfile: Dockerfile, request: BuildRequest, builder: Platform | None = None
) -> Iterator[tuple[BuildStage, Mapping[str, str | None]]]:
    """Yield the stages that *request* needs, for each of its platforms, with the global arguments.

    Args:
        dockerfile: as parsed.
        request: its platforms matter, since FROM may name a stage by one: ``FROM base-$TARGETARCH``.
        builder: its platform; that of this machine by default.

    Raises:
        DockerfileError: as for :func:`needed`.
    """
    for platform in request.platforms or (None,):
        builder_args = platform_arguments(dockerfile, request, platform, builder)
        values = global_arguments(dockerfile, request.build_args, builder_args)
        for stage in needed(dockerfile, request.target, values, request.build_contexts):
            yield stage, values


def check_bases(dockerfile: Dockerfile, request: BuildRequest) -> None:
    """Check every FROM as BuildKit does, also of stages that nothing needs, and the names of the images to pull.

    Raises:
        DockerfileError: a FROM names nothing, or no valid image; or a substitution is malformed.
    """
    for platform in request.platforms or (None,):
        values = global_arguments(
            dockerfile, request.build_args, platform_arguments(dockerfile, request, platform, None)
        )
        for stage in dockerfile.stages:
            check_platform(dockerfile, stage, find_base(dockerfile, stage, values, request.build_contexts).platform)
    base_images(dockerfile, request)


def check_platform(dockerfile: Dockerfile, stage: BuildStage, text: str | None) -> None:
    """Check *text*, the platform that the FROM of *stage* names, if it does.

    Raises:
        DockerfileError: it is blank, or no platform.
    """
    where = dockerfile.where(stage.line)
    if text == "":
        message = f"the platform {stage.platform} is blank"
        hint = "give the argument a default before FROM, or set it in buildArgs"
        raise DockerfileError(message, hint=hint, where=where, setting="build_args")
    if text is not None and not _PLATFORM_NAME.match(text):
        message = f"{quotation(text, 60)!r} is not a platform"
        raise DockerfileError(message, hint="write OS/ARCHITECTURE, such as linux/amd64", where=where)


def _origins(
    dockerfile: Dockerfile, stage: BuildStage, values: Mapping[str, str | None], contexts: Mapping[str, str]
) -> Iterator[tuple[StageSource, int]]:
    """Yield the base of *stage* and what it copies from, each with its line."""
    yield find_base(dockerfile, stage, values, contexts), stage.line
    for name, line, copied in _names(stage):
        yield (find_source if copied else find_mount_source)(dockerfile, stage, name, line, contexts), line


def _names(stage: BuildStage) -> Iterator[tuple[str, int, bool]]:
    """Yield the names that *stage* copies from, with the line, and whether in a COPY, or else in a mount."""
    for instruction in stage.instructions:
        copied = instruction.name == "COPY"
        names = [instruction.flags["from"]] if copied and "from" in instruction.flags else []
        if instruction.name == "RUN":
            names = _MOUNT_SOURCE.findall(instruction.flags.get("mount", ""))
        for name in names:
            if "$" not in name:  # BuildKit does not replace variables there
                yield name, instruction.line, copied


def final_base(dockerfile: Dockerfile, request: BuildRequest, platform: Platform) -> StageSource:
    """Return what the image for *platform* begins with, through all stages: an image, a context, or ``scratch``.

    Raises:
        DockerfileError: the target does not exist, or a FROM cannot be resolved.
    """
    values = global_arguments(dockerfile, request.build_args, platform_arguments(dockerfile, request, platform))
    source = StageSource(stage=dockerfile.target(request.target))
    while source.stage:
        base = find_base(dockerfile, source.stage, values, request.build_contexts)
        source = replace(base, platform=base.platform or source.platform)
    return source


def base_images(dockerfile: Dockerfile, request: BuildRequest) -> tuple[Reference, ...]:
    """Return the images of registries that *request* needs, each once, in file order.

    Raises:
        DockerfileError: the target does not exist, or a FROM cannot be resolved.
    """
    if not dockerfile.stages:
        return ()
    images: dict[Reference, None] = {}
    for stage, values in needed_for(dockerfile, request):
        for source, line in _origins(dockerfile, stage, values, request.build_contexts):
            if source.image:
                images[_reference(dockerfile, line, source.image)] = None
    return tuple(images)


def _context_source(location: str) -> StageSource:
    """Return an additional context at *location* as a source."""
    return (
        StageSource(image=location.removeprefix(_IMAGE))
        if location.startswith(_IMAGE)
        else StageSource(context=location)
    )


def _reference(dockerfile: Dockerfile, line: int, image: str) -> Reference:
    try:
        return Reference.parse(image)
    except BadNameError as error:
        raise DockerfileError(str(error), hint=error.hint, where=dockerfile.where(line)) from error
