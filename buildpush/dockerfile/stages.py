"""Which stages of a Dockerfile a target needs, and what each begins from; only names are resolved here."""

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
from buildpush.images.model import Platform
from buildpush.images.references import Reference

_PLATFORM = (
    *("TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT"),
    *("BUILDPLATFORM", "BUILDOS", "BUILDARCH", "BUILDVARIANT"),
)
_IMAGE = "docker-image://"
_NONE: Final[Mapping[str, str]] = MappingProxyType({})
# As Go's strconv.Atoi takes it.
_NUMBER = regex(r"[+-]?[0-9]{1,18}\Z")
_MOUNTED = regex(r"(?:^|,)\"?from=([^,\n\"]+)", re.MULTILINE | re.IGNORECASE)
_ORDER_HINT: Final = "name an earlier stage, or an image; or move that stage up"


def global_arguments(
    dockerfile: Dockerfile, given: Mapping[str, str], automatic: Mapping[str, str] = _NONE
) -> dict[str, str | None]:
    """Return the arguments that FROM lines may use: *given* ones take precedence over their defaults.

    Args:
        dockerfile: its ``arguments`` are evaluated in order.
        given: build arguments of the user.
        automatic: those that the builder sets, such as ``TARGETARCH``; a default takes precedence.

    Raises:
        DockerfileError: a default holds a malformed substitution.
    """
    values: dict[str, str | None] = {**automatic, **{name: given[name] for name in _PLATFORM if name in given}}
    for instruction in dockerfile.arguments:
        for name, default in instruction.pairs:
            if name in given:
                values[name] = given[name]
            elif default is not None:
                values[name] = expanded(dockerfile, instruction.line, default, values)
            else:
                values.setdefault(name, None)
    return values


def expanded(dockerfile: Dockerfile, line: int, text: str, values: Mapping[str, str | None]) -> str:
    """Return *text* with *values* substituted; an error names the *line*."""
    try:
        return expand(text, values.get, dockerfile.escape)
    except DockerfileError as error:
        raise DockerfileError(str(error), where=dockerfile.where(line)) from error


@dataclass(frozen=True, slots=True)
class StageSource:
    """Where a stage begins: another *stage*, an *image* in a registry, a *context*, or none of them: ``scratch``.

    Attributes:
        context: directory or address of an additional context that is not an image.
    """

    stage: BuildStage | None = None
    image: str | None = None
    context: str | None = None
    platform: str | None = None


def origin(
    dockerfile: Dockerfile, stage: BuildStage, values: Mapping[str, str | None], contexts: Mapping[str, str] = _NONE
) -> StageSource:
    """Return what the FROM of *stage* means when global arguments have these *values*.

    Args:
        dockerfile: of the stage.
        stage: whose FROM it is.
        values: of the global arguments.
        contexts: additional ones, which take precedence over stages and images with their names.

    Raises:
        DockerfileError: the base's name is empty, or a substitution is malformed.
    """
    base = expanded(dockerfile, stage.line, stage.base, values)
    platform = expanded(dockerfile, stage.line, stage.platform, values) if stage.platform else None
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
    """A stage takes files from one that does not begin before it."""


def source(
    dockerfile: Dockerfile, stage: BuildStage, name: str, line: int, contexts: Mapping[str, str] = _NONE
) -> StageSource:
    """Return what ``COPY --from=NAME`` in *stage* means: a stage by number, one of *contexts*, a stage, else an image.

    As in BuildKit, a name means the last stage in the whole file that has it.

    Raises:
        StageOrderError: there is no stage with that number, or it does not begin before this one.
    """
    if _NUMBER.match(name):
        return _earlier(dockerfile, stage, _numbered(dockerfile, name, line), name, line)
    return _source_named(dockerfile, stage, name, line, contexts)


def mounted(
    dockerfile: Dockerfile, stage: BuildStage, name: str, line: int, contexts: Mapping[str, str] = _NONE
) -> StageSource:
    """Return what ``from=NAME`` of a mount in *stage* means; as :func:`source` does, except for numbers.

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
    if found := dockerfile.stage(name):
        return _earlier(dockerfile, stage, found, name, line)
    return StageSource(image=None if name == "scratch" else name)


def _numbered(dockerfile: Dockerfile, name: str, line: int) -> BuildStage:
    if 0 <= int(name) < len(dockerfile.stages):
        return dockerfile.stages[int(name)]
    message = f"--from={name}: there is no stage with that number; there are {len(dockerfile.stages)}, counted from 0"
    raise StageOrderError(message, hint=_ORDER_HINT, where=dockerfile.where(line))


def _earlier(dockerfile: Dockerfile, stage: BuildStage, found: BuildStage, name: str, line: int) -> StageSource:
    if found.number < stage.number:
        return StageSource(stage=found)
    if found.number == stage.number:
        message = f"the stage {stage.title} copies from itself"
    else:
        message = f"from={name} is the stage {found.title}, which begins only at line {found.line}"
    raise StageOrderError(message, hint=_ORDER_HINT, where=dockerfile.where(line))


def check_order(dockerfile: Dockerfile, request: BuildRequest, here: Platform | None = None) -> None:
    """Check that stages take files only from stages before them: no other name may be taken for an image.

    As in BuildKit: cycles and numbers in the whole file, the order in the stages that the target needs.

    Raises:
        StageOrderError: with the line; for a cycle, with all its stages.
        DockerfileError: as for :func:`needed`.
    """
    _check_circles(dockerfile, request.build_contexts)
    for _ in needed_for(dockerfile, request, here):
        pass


def _check_circles(dockerfile: Dockerfile, contexts: Mapping[str, str]) -> None:
    """Raise where a stage takes files from itself, directly or through others."""
    takes = {stage.number: _takes(dockerfile, stage, contexts) for stage in dockerfile.stages}
    closed: set[int] = set()
    for first, sources in takes.items():
        path = {first: iter(sources)}
        while path:
            last = next(reversed(path))
            following = next((one for one in path[last] if one not in closed), None)
            if following is None:
                closed.add(last)
                del path[last]
            elif following in path:
                around = list(path)
                raise _circle(dockerfile, around[around.index(following) :], takes)
            else:
                path[following] = iter(takes[following])


def _takes(dockerfile: Dockerfile, stage: BuildStage, contexts: Mapping[str, str]) -> dict[int, int]:
    """Return the numbers of the stages that *stage* takes from, and in which line; FROM only leads backwards."""
    found: dict[int, int] = {}
    if stage.name in contexts:  # which replace it
        return found
    if stage.base not in contexts and (base := dockerfile.stage(stage.base, before=stage.number)):
        found[base.number] = stage.line
    for name, line, copied in _names(stage):
        numbered = copied and _NUMBER.match(name)
        named = dockerfile.stage(name) if name not in contexts else None
        other = _numbered(dockerfile, name, line) if numbered else named
        if other:
            found.setdefault(other.number, line)
    return found


def _circle(dockerfile: Dockerfile, path: list[int], takes: Mapping[int, Mapping[int, int]]) -> StageOrderError:
    lines = [takes[one][after] for one, after in zip(path, [*path[1:], path[0]], strict=True)]
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
    wanted: dict[int, BuildStage] = {}
    open_ends = [dockerfile.target(target)]
    while open_ends:
        stage = open_ends.pop()
        if stage.number not in wanted:
            wanted[stage.number] = stage
            open_ends += [found.stage for found, _ in _origins(dockerfile, stage, values, contexts) if found.stage]
    return tuple(wanted[number] for number in sorted(wanted))


def needed_for(
    dockerfile: Dockerfile, request: BuildRequest, here: Platform | None = None
) -> Iterator[tuple[BuildStage, Mapping[str, str | None]]]:
    """Yield the stages that *request* needs, for each of its platforms, with the global arguments.

    Args:
        dockerfile: as parsed.
        request: its platforms matter, since FROM may name a stage by one: ``FROM base-$TARGETARCH``.
        here: platform of the builder; this machine's by default.

    Raises:
        DockerfileError: as for :func:`needed`.
    """
    for platform in request.platforms or (None,):
        automatic = platform_arguments(dockerfile, request, platform, here)
        values = global_arguments(dockerfile, request.build_args, automatic)
        for stage in needed(dockerfile, request.target, values, request.build_contexts):
            yield stage, values


def check_bases(dockerfile: Dockerfile, request: BuildRequest) -> None:
    """Check every FROM as BuildKit does: what it names, in stages that nothing needs as well, and the images it pulls.

    Raises:
        DockerfileError: one names nothing or no possible image, a substitution is malformed.
    """
    for platform in request.platforms or (None,):
        values = global_arguments(
            dockerfile, request.build_args, platform_arguments(dockerfile, request, platform, None)
        )
        for stage in dockerfile.stages:
            origin(dockerfile, stage, values, request.build_contexts)
    base_images(dockerfile, request)


def _origins(
    dockerfile: Dockerfile, stage: BuildStage, values: Mapping[str, str | None], contexts: Mapping[str, str]
) -> Iterator[tuple[StageSource, int]]:
    """Yield what *stage* begins from and what it copies from, each with its line."""
    yield origin(dockerfile, stage, values, contexts), stage.line
    for name, line, copied in _names(stage):
        yield (source if copied else mounted)(dockerfile, stage, name, line, contexts), line


def _names(stage: BuildStage) -> Iterator[tuple[str, int, bool]]:
    """Yield what *stage* names as sources of files, with the line, and whether by COPY or by a mount."""
    for instruction in stage.instructions:
        copied = instruction.name == "COPY"
        names = [instruction.flags["from"]] if copied and "from" in instruction.flags else []
        if instruction.name == "RUN":
            names = _MOUNTED.findall(instruction.flags.get("mount", ""))
        for name in names:
            if "$" not in name:  # BuildKit does not replace variables there either
                yield name, instruction.line, copied


def base_images(dockerfile: Dockerfile, request: BuildRequest) -> tuple[Reference, ...]:
    """Return the images of registries that *request* needs, each once, in file order.

    Raises:
        DockerfileError: the target does not exist, or a FROM cannot be resolved.
    """
    if not dockerfile.stages:
        return ()
    found: dict[Reference, None] = {}
    for stage, values in needed_for(dockerfile, request):
        for begins, line in _origins(dockerfile, stage, values, request.build_contexts):
            if begins.image:
                found[_reference(dockerfile, line, begins.image)] = None
    return tuple(found)


def _context_source(place: str) -> StageSource:
    """Return the base that an additional context at *place* is."""
    return StageSource(image=place.removeprefix(_IMAGE)) if place.startswith(_IMAGE) else StageSource(context=place)


def _reference(dockerfile: Dockerfile, line: int, image: str) -> Reference:
    try:
        return Reference.parse(image)
    except BadNameError as error:
        raise DockerfileError(str(error), hint=error.hint, where=dockerfile.where(line)) from error
