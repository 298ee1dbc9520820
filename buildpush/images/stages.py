"""Which stages of a Dockerfile a target takes, and what each begins from; only names are resolved here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from buildpush.errors import BadNameError, DockerfileError
from buildpush.images.dockerfile import Dockerfile, Stage
from buildpush.images.model import BuildRequest, Platform
from buildpush.images.platforms import platform_arguments
from buildpush.images.references import Reference
from buildpush.images.variables import expand

_PLATFORM = (
    *("TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT"),
    *("BUILDPLATFORM", "BUILDOS", "BUILDARCH", "BUILDVARIANT"),
)
_IMAGE = "docker-image://"
_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_NUMBER = re.compile(r"[0-9]{1,9}\Z")


def global_arguments(
    dockerfile: Dockerfile, given: Mapping[str, str], automatic: Mapping[str, str] = _NONE
) -> dict[str, str | None]:
    """Return the arguments that FROM lines may use: *given* ones win over their defaults.

    Args:
        dockerfile: its ``arguments`` are evaluated in order.
        given: build arguments of the user.
        automatic: what the builder knows by itself, such as ``TARGETARCH``; a default wins over it.

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
    """Return *text* with *values* put in; an error carries the *line*."""
    try:
        return expand(text, values.get, dockerfile.escape)
    except DockerfileError as error:
        raise DockerfileError(str(error), where=dockerfile.where(line)) from error


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a stage begins: another *stage*, an *image* in a registry, a *context*, or none of them: ``scratch``.

    Attributes:
        context: folder or address of a further context that is no image.
    """

    stage: Stage | None = None
    image: str | None = None
    context: str | None = None
    platform: str | None = None


def origin(
    dockerfile: Dockerfile, stage: Stage, values: Mapping[str, str | None], contexts: Mapping[str, str] = _NONE
) -> Origin:
    """Return what the FROM of *stage* means when global arguments have these *values*.

    Args:
        dockerfile: of the stage.
        stage: whose FROM it is.
        values: of the global arguments.
        contexts: further ones, which come before stages and images of their names.

    Raises:
        DockerfileError: the base's name is empty, or a substitution is malformed.
    """
    base = expanded(dockerfile, stage.line, stage.base, values)
    platform = expanded(dockerfile, stage.line, stage.platform, values) if stage.platform else None
    if not base:
        message = f"the base name {stage.base} is blank"
        hint = "give the argument a default before FROM, or set it in buildArgs"
        raise DockerfileError(message, hint=hint, where=dockerfile.where(stage.line), setting="build_args")
    if base in contexts:
        return replace(_behind(contexts[base]), platform=platform)
    # Names of stages are lower case whatever was written, and BuildKit compares this one as it is.
    earlier = dockerfile.stage(base, before=stage.number) if base == base.lower() else None
    if earlier:
        return Origin(stage=earlier, platform=platform)
    return Origin(image=None if base == "scratch" else base, platform=platform)


def source(dockerfile: Dockerfile, stage: Stage, name: str, line: int, contexts: Mapping[str, str] = _NONE) -> Origin:
    """Return what ``--from=NAME`` in *stage* means: one of *contexts*, a stage by name or number, else an image.

    Raises:
        DockerfileError: the number is not that of an earlier stage, or it is the stage itself.
    """
    if name in contexts:
        return _behind(contexts[name])
    if _NUMBER.match(name):
        if int(name) < stage.number:
            return Origin(stage=dockerfile.stages[int(name)])
        message = f"--from={name} is not the number of an earlier stage"
        raise DockerfileError(message, where=dockerfile.where(line))
    earlier = dockerfile.stage(name, before=stage.number)
    if not earlier and name.lower() == stage.name:
        message = f"the stage {stage.name} copies from itself"
        raise DockerfileError(message, hint="name an earlier stage, or an image", where=dockerfile.where(line))
    return Origin(stage=earlier) if earlier else Origin(image=None if name == "scratch" else name)


def needed(
    dockerfile: Dockerfile, target: str | None, values: Mapping[str, str | None], contexts: Mapping[str, str] = _NONE
) -> tuple[Stage, ...]:
    """Return the stages that building *target* takes, in file order.

    Args:
        dockerfile: as parsed.
        target: stage to build.
        values: of the global arguments.
        contexts: further ones, which come before stages and images of their names.

    Raises:
        DockerfileError: the target is not there, or a FROM cannot be resolved.
    """
    wanted: dict[int, Stage] = {}
    open_ends = [dockerfile.target(target)]
    while open_ends:
        stage = open_ends.pop()
        if stage.number not in wanted:
            wanted[stage.number] = stage
            open_ends += [found.stage for found in _origins(dockerfile, stage, values, contexts) if found.stage]
    return tuple(wanted[number] for number in sorted(wanted))


def needed_for(
    dockerfile: Dockerfile, request: BuildRequest, here: Platform | None = None
) -> Iterator[tuple[Stage, Mapping[str, str | None]]]:
    """Yield the stages that *request* takes for one of its platforms after the other, with the global arguments.

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


def _origins(
    dockerfile: Dockerfile, stage: Stage, values: Mapping[str, str | None], contexts: Mapping[str, str]
) -> Iterator[Origin]:
    """Give what *stage* begins from and what it copies from."""
    yield origin(dockerfile, stage, values, contexts)
    for instruction in stage.instructions:
        names = [instruction.flags["from"]] if instruction.name == "COPY" and "from" in instruction.flags else []
        if instruction.name == "RUN":
            names = re.findall(r"(?:^|,)from=([^,\n]+)", instruction.flags.get("mount", ""), re.MULTILINE)
        for name in names:
            if "$" not in name:  # BuildKit does not replace variables there either
                yield source(dockerfile, stage, name, instruction.line, contexts)


def base_images(dockerfile: Dockerfile, request: BuildRequest) -> tuple[Reference, ...]:
    """Return the images of registries that *request* takes, each once, in file order.

    Raises:
        DockerfileError: the target is not there, or a FROM cannot be resolved.
    """
    if not dockerfile.stages:
        return ()
    found: dict[Reference, None] = {}
    for stage, values in needed_for(dockerfile, request):
        for begins in _origins(dockerfile, stage, values, request.build_contexts):
            if begins.image:
                found[_reference(dockerfile, stage, begins.image)] = None
    return tuple(found)


def _behind(place: str) -> Origin:
    """Return what a further context at *place* is."""
    return Origin(image=place.removeprefix(_IMAGE)) if place.startswith(_IMAGE) else Origin(context=place)


def _reference(dockerfile: Dockerfile, stage: Stage, image: str) -> Reference:
    try:
        return Reference.parse(image)
    except BadNameError as error:
        raise DockerfileError(str(error), hint=error.hint, where=dockerfile.where(stage.line)) from error
