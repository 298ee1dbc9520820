"""Determines the variables at each instruction of a build, with their values; nothing is built or pulled.

The variables of a base image are not known here, so a variable that the file does not set may still be set.

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
from buildpush.dockerfile.stages import expand_at, find_base, global_arguments, needed
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex

# BuildKit uses these two itself; they are not variables of the build.
_NO_VARIABLES = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})
_COPY_FLAGS = ("chown", "chmod", "checksum")
_HEREDOC_VARIABLE = regex(r"\\.|\$\{?(\d+|[^\W\d]\w*|[@*#?\-$!])", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Word:
    """A word of an instruction.

    Attributes:
        raw: as written.
        text: with variables replaced; those of the base image by an empty text.
        unset: variables in it that nothing before it sets.
        certain: whether ``text`` is certainly what the build gets.
    """

    raw: str
    text: str
    unset: frozenset[str] = frozenset()
    certain: bool = True


@dataclass(frozen=True, slots=True)
class ExpandedInstruction:
    """An instruction of the build, with its variables replaced.

    Attributes:
        instruction: as parsed; a trigger of the base is on the line of FROM.
        stage: the one that it belongs to.
        words: those in which variables are replaced, in order; of ENV and LABEL, name and value in turn.
        heredoc_variables: those in its heredocs that nothing before it sets.
        known: whether all variables of the base are known.
        is_first_workdir: whether no WORKDIR came before it.
        volumes: the paths of the VOLUME instructions before it.
        directory: the working directory, as far as it is known.
    """

    instruction: Instruction
    stage: BuildStage
    words: tuple[Word, ...] = ()
    heredoc_variables: frozenset[str] = frozenset()
    known: bool = True
    is_first_workdir: bool = True
    volumes: tuple[str, ...] = ()
    directory: str = "/"

    @property
    def unset(self) -> frozenset[str]:
        """Variables in it that nothing before it sets."""
        return self.heredoc_variables.union(*(word.unset for word in self.words))

    @property
    def sources(self) -> tuple[Word, ...]:
        """The sources of COPY or ADD, heredocs left out."""
        return self.words[sum(flag in self.instruction.flags for flag in _COPY_FLAGS) : -1]


@dataclass(frozen=True, slots=True)
class BuildWalk:
    """The instructions of a build, with the variables at each.

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
        """Return a word of a FROM, and the global variables that it uses."""
        return _replace(self.dockerfile, text, line, self.globals)


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
    """Walks through stages in file order, and keeps the final state of each for stages that begin from it."""

    def __init__(self, dockerfile: Dockerfile, request: BuildRequest, values: Mapping[str, str | None]) -> None:
        self.dockerfile = dockerfile
        self.request = request
        self.globals = values
        self.states: dict[int, _WalkState] = {}

    def stage(self, stage: BuildStage) -> Iterator[ExpandedInstruction]:
        source = find_base(self.dockerfile, stage, self.globals, self.request.build_contexts)
        base = self.states[source.stage.number] if source.stage else _WalkState()
        known = base.known and not source.image and not source.context
        state = replace(base, values=dict(base.values), known=known, volumes=(), triggers=())
        self.states[stage.number] = state
        if stage.name in self.request.build_contexts:
            state.known = False  # the context replaces the whole stage
            return
        for text in base.triggers:
            trigger = parse_trigger(text, self.dockerfile.where(stage.line))
            yield self.step(replace(trigger, line=stage.line), stage, state)
        for instruction in stage.instructions:
            yield self.step(instruction, stage, state)

    def step(self, instruction: Instruction, stage: BuildStage, state: _WalkState) -> ExpandedInstruction:
        words = tuple(self.words(instruction, state))
        step = ExpandedInstruction(
            instruction,
            stage,
            words,
            _heredoc_variables(instruction, state) - _NO_VARIABLES,
            known=state.known,
            is_first_workdir=state.is_first_workdir,
            volumes=state.volumes,
            directory=state.directory,
        )
        self.after(step, state)
        return step

    def words(self, instruction: Instruction, state: _WalkState) -> Iterator[Word]:
        """Yield the words of *instruction* in which BuildKit replaces variables."""
        if instruction.name == "ARG":
            yield from self.argument(instruction, state)
            return
        texts = {heredoc.name for heredoc in instruction.heredocs}
        for raw in _raw_words(instruction):
            start = read_heredoc_start(raw)
            if not (start and start.name in texts):
                yield self.word(raw, instruction.line, state)

    def argument(self, instruction: Instruction, state: _WalkState) -> Iterator[Word]:
        """Yield the defaults of ARG that apply, and set each argument before the next."""
        for name, default in instruction.pairs:
            value = self.request.build_args.get(name)
            if value is None and default is not None:
                word = self.word(default, instruction.line, state)
                value = word.text
                yield word
            elif value is None:
                value = self.globals.get(name)
            state.arguments |= {name}
            if value is not None and name not in _NO_VARIABLES:
                state.values[name] = value

    def word(self, raw: str, line: int, state: _WalkState) -> Word:
        word, _ = _replace(self.dockerfile, raw, line, state.values)
        unset = word.unset - state.arguments - _NO_VARIABLES
        return replace(word, unset=unset, certain=state.known or not unset)

    @staticmethod
    def after(step: ExpandedInstruction, state: _WalkState) -> None:
        """Apply the instruction to *state*."""
        name, texts = step.instruction.name, [word.text for word in step.words]
        if name == "ENV":
            state.values |= dict(zip(texts[::2], texts[1::2], strict=True))
        elif name == "WORKDIR":
            state.is_first_workdir = False
            state.directory = _join(state.directory, texts[0])
        elif name == "VOLUME":
            state.volumes += tuple(texts)
        elif name == "ONBUILD" and step.instruction.trigger:
            state.triggers += (step.instruction.rest,)


def _heredoc_variables(instruction: Instruction, state: _WalkState) -> frozenset[str]:
    """Return the variables in heredocs of COPY and ADD that are not set; those of RUN belong to the shell."""
    if instruction.name == "RUN":
        return frozenset()
    texts = (heredoc.text for heredoc in instruction.heredocs if heredoc.expand)
    names = {match[1] for text in texts for match in _HEREDOC_VARIABLE.finditer(text) if match[1]}
    return frozenset(names - state.values.keys() - state.arguments)


def _raw_words(instruction: Instruction) -> Iterator[str]:
    name = instruction.name
    if name in {"ADD", "COPY"}:
        yield from (instruction.flags[flag] for flag in _COPY_FLAGS if flag in instruction.flags)
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


def _replace(
    dockerfile: Dockerfile, text: str, line: int, values: Mapping[str, str | None]
) -> tuple[Word, frozenset[str]]:
    """Return *text* with *values* substituted, and the names of those that it used."""
    tracked = _TrackedValues(values)
    whole = expand_at(dockerfile, line, text, tracked)
    unset = frozenset(name for name in tracked.names if values.get(name) is None)
    return Word(text, whole, unset), frozenset(tracked.names) - unset


class _TrackedValues(dict[str, "str | None"]):
    """Values, with a record of the names that were looked up."""

    def __init__(self, values: Mapping[str, str | None]) -> None:
        super().__init__(values)
        self.names: set[str] = set()

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.names.add(key)
        return super().get(key, default)


def _join(directory: str, path: str) -> str:
    return path if path.startswith("/") else f"{directory.rstrip('/')}/{path}"
