"""The variables at each instruction of a build, with their values; nothing is built, nothing is pulled.

The variables of a base image in a registry are not known here, so one that the file does not set may still be set.

Source: BuildKit 0.34, frontend/dockerfile/dockerfile2llb: ``dispatch``, ``dispatchArg`` and ``initOnBuildTriggers``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import field, replace

from buildpush.dockerfile.lexer import read_heredoc_start
from buildpush.dockerfile.model import BuildStage, Dockerfile, Instruction
from buildpush.dockerfile.parse import parse_trigger
from buildpush.dockerfile.platforms import platform_arguments
from buildpush.dockerfile.request import BuildRequest
from buildpush.dockerfile.stages import expanded, global_arguments, needed, origin
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex

# BuildKit reads these two itself; they are not variables of the build.
_NO_VARIABLES = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})
_OF_COPY = ("chown", "chmod", "checksum")
_HEREDOC_VARIABLE = regex(r"\\.|\$\{?(\d+|[^\W\d]\w*|[@*#?\-$!])", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Word:
    """A word of an instruction.

    Attributes:
        raw: as written.
        text: with variables replaced; those of the base image by the empty text.
        unset: variables in it that nothing before it sets.
        sure: whether ``text`` is what the build will see.
    """

    raw: str
    text: str
    unset: frozenset[str] = frozenset()
    sure: bool = True


@dataclass(frozen=True, slots=True)
class ExpandedInstruction:
    """An instruction that is run.

    Attributes:
        instruction: on the line of FROM where it is a trigger of the base.
        stage: that it belongs to.
        words: those in which variables are replaced, in order; of ENV and LABEL, name and value in turn.
        in_heredocs: variables in its heredocs that nothing before it sets.
        known: whether all variables of the base are known.
        is_first_workdir: whether no WORKDIR came before it.
        volumes: the paths that were declared before it, absolute or as written.
        directory: of WORKDIR, as far as it is known.
    """

    instruction: Instruction
    stage: BuildStage
    words: tuple[Word, ...] = ()
    in_heredocs: frozenset[str] = frozenset()
    known: bool = True
    is_first_workdir: bool = True
    volumes: tuple[str, ...] = ()
    directory: str = "/"

    @property
    def unset(self) -> frozenset[str]:
        """Variables in it that nothing before it sets."""
        return self.in_heredocs.union(*(word.unset for word in self.words))

    @property
    def sources(self) -> tuple[Word, ...]:
        """The sources of COPY or ADD, heredocs left out."""
        return self.words[sum(flag in self.instruction.flags for flag in _OF_COPY) : -1]


@dataclass(frozen=True, slots=True)
class BuildWalk:
    """A build whose instructions were walked through once.

    Attributes:
        stages: those that the target needs.
        steps: their instructions, in order.
        globals: values of the arguments before the first FROM, and of the platform.
        declared: names of all these, with or without a value.
    """

    dockerfile: Dockerfile
    request: BuildRequest
    stages: tuple[BuildStage, ...]
    steps: tuple[ExpandedInstruction, ...]
    globals: Mapping[str, str | None]
    declared: frozenset[str]

    def word(self, text: str, line: int) -> tuple[Word, frozenset[str]]:
        """Return a word of a FROM, and the global variables that it used."""
        return _replaced(self.dockerfile, text, line, self.globals)


@dataclass(slots=True)
class _WalkState:
    """The state of a stage so far."""

    values: dict[str, str | None] = field(default_factory=lambda: {"PATH": ""})
    arguments: frozenset[str] = frozenset()
    known: bool = True
    is_first_workdir: bool = True
    volumes: tuple[str, ...] = ()
    directory: str = "/"
    triggers: tuple[str, ...] = ()


def walk(dockerfile: Dockerfile, request: BuildRequest) -> BuildWalk:
    """Walk through the instructions of the stages that *request* needs.

    Raises:
        DockerfileError: the target does not exist, or a substitution is malformed.
    """
    values = global_arguments(dockerfile, request.build_args, platform_arguments(dockerfile, request))
    declared = {name for instruction in dockerfile.arguments for name, _ in instruction.pairs}
    stages = needed(dockerfile, request.target, values, request.build_contexts)
    walker = _Walker(dockerfile, request, values)
    steps = tuple(step for stage in stages for step in walker.stage(stage))
    return BuildWalk(dockerfile, request, stages, steps, values, frozenset(declared | values.keys()))


class _Walker:
    """Walks through stages in file order and keeps the final state of each for those that begin from it."""

    def __init__(self, dockerfile: Dockerfile, request: BuildRequest, values: Mapping[str, str | None]) -> None:
        self.dockerfile = dockerfile
        self.request = request
        self.globals = values
        self.ends: dict[int, _WalkState] = {}

    def stage(self, stage: BuildStage) -> Iterator[ExpandedInstruction]:
        begins = origin(self.dockerfile, stage, self.globals, self.request.build_contexts)
        base = self.ends[begins.stage.number] if begins.stage else _WalkState()
        known = base.known and not begins.image and not begins.context
        scene = replace(base, values=dict(base.values), known=known, volumes=(), triggers=())
        self.ends[stage.number] = scene
        if stage.name in self.request.build_contexts:
            scene.known = False  # the context replaces the whole stage
            return
        for text in base.triggers:
            trigger = parse_trigger(text, self.dockerfile.where(stage.line))
            yield self.step(replace(trigger, line=stage.line), stage, scene)
        for instruction in stage.instructions:
            yield self.step(instruction, stage, scene)

    def step(self, instruction: Instruction, stage: BuildStage, scene: _WalkState) -> ExpandedInstruction:
        words = tuple(self.words(instruction, scene))
        found = ExpandedInstruction(
            instruction,
            stage,
            words,
            _in_heredocs(instruction, scene) - _NO_VARIABLES,
            known=scene.known,
            is_first_workdir=scene.is_first_workdir,
            volumes=scene.volumes,
            directory=scene.directory,
        )
        self.after(found, scene)
        return found

    def words(self, instruction: Instruction, scene: _WalkState) -> Iterator[Word]:
        """Yield the words of *instruction* in which BuildKit replaces variables."""
        if instruction.name == "ARG":
            yield from self.argument(instruction, scene)
            return
        texts = {heredoc.name for heredoc in instruction.heredocs}
        for raw in _raw_words(instruction):
            announced = read_heredoc_start(raw)
            if not (announced and announced.name in texts):
                yield self.word(raw, instruction.line, scene)

    def argument(self, instruction: Instruction, scene: _WalkState) -> Iterator[Word]:
        """Yield the defaults of ARG that apply, and make each name known to the next."""
        for name, default in instruction.pairs:
            value = self.request.build_args.get(name)
            if value is None and default is not None:
                word = self.word(default, instruction.line, scene)
                value = word.text
                yield word
            elif value is None:
                value = self.globals.get(name)
            scene.arguments |= {name}
            if value is not None and name not in _NO_VARIABLES:
                scene.values[name] = value

    def word(self, raw: str, line: int, scene: _WalkState) -> Word:
        found, _ = _replaced(self.dockerfile, raw, line, scene.values)
        unset = found.unset - scene.arguments - _NO_VARIABLES
        return replace(found, unset=unset, sure=scene.known or not unset)

    @staticmethod
    def after(step: ExpandedInstruction, scene: _WalkState) -> None:
        """Apply the instruction to *scene*."""
        name, texts = step.instruction.name, [word.text for word in step.words]
        if name == "ENV":
            scene.values |= dict(zip(texts[::2], texts[1::2], strict=True))
        elif name == "WORKDIR":
            scene.is_first_workdir = False
            scene.directory = _join(scene.directory, texts[0])
        elif name == "VOLUME":
            scene.volumes += tuple(texts)
        elif name == "ONBUILD" and step.instruction.trigger:
            scene.triggers += (step.instruction.rest,)


def _in_heredocs(instruction: Instruction, scene: _WalkState) -> frozenset[str]:
    """Return the variables in heredocs of COPY and ADD that are not set; those of RUN belong to the shell."""
    if instruction.name == "RUN":
        return frozenset()
    texts = (heredoc.text for heredoc in instruction.heredocs if heredoc.expand)
    names = {match[1] for text in texts for match in _HEREDOC_VARIABLE.finditer(text) if match[1]}
    return frozenset(names - scene.values.keys() - scene.arguments)


def _raw_words(instruction: Instruction) -> Iterator[str]:
    name = instruction.name
    if name in {"ADD", "COPY"}:
        yield from (instruction.flags[flag] for flag in _OF_COPY if flag in instruction.flags)
        yield from instruction.words
    elif name in {"ENV", "LABEL"}:
        for key, value in instruction.pairs:
            yield from (key, value or "")
    elif name == "RUN" and "mount" in instruction.flags:
        for mount in instruction.flags["mount"].split("\n"):
            yield from (part.partition("=")[2] for part in next(csv.reader([mount]), []))
    elif name in {"WORKDIR", "USER", "STOPSIGNAL"}:
        yield instruction.rest
    elif name in {"EXPOSE", "VOLUME"}:
        yield from instruction.words


def _replaced(
    dockerfile: Dockerfile, text: str, line: int, values: Mapping[str, str | None]
) -> tuple[Word, frozenset[str]]:
    """Return *text* with *values* substituted, and the names of those that it used."""
    tracked = _TrackedValues(values)
    whole = expanded(dockerfile, line, text, tracked)
    unset = frozenset(name for name in tracked.names if values.get(name) is None)
    return Word(text, whole, unset), frozenset(tracked.names) - unset


class _TrackedValues(dict[str, "str | None"]):
    """Values that remember which names were looked up."""

    def __init__(self, values: Mapping[str, str | None]) -> None:
        super().__init__(values)
        self.names: set[str] = set()

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.names.add(key)
        return super().get(key, default)


def _join(directory: str, path: str) -> str:
    return path if path.startswith("/") else f"{directory.rstrip('/')}/{path}"
