"""Determines the variables at each instruction of a build, with their values; nothing is built or pulled.

The variables of a base image are not known here, so a variable that the file does not set may still be set.

Source: BuildKit 0.34, frontend/dockerfile/dockerfile2llb: ``dispatch``, ``dispatchArg`` and ``initOnBuildTriggers``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace

from buildpush.dockerfile.lexer import read_heredoc_start
from buildpush.dockerfile.model import BuildStage, Dockerfile, Instruction
from buildpush.dockerfile.mounts import fields_of
from buildpush.dockerfile.parse import parse_trigger
from buildpush.dockerfile.platforms import platform_arguments
from buildpush.dockerfile.request import BuildRequest
from buildpush.dockerfile.stages import expand_at, find_base, global_arguments, located, needed
from buildpush.dockerfile.variables import UnsetVariableError, VariableLookup, expand, expand_heredoc, expand_words
from buildpush.foundation.errors import DockerfileError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.images.model import Platform

# BuildKit uses these two itself; they are not variables of the build.
_NO_VARIABLES = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})
_COPY_FLAGS = ("chown", "chmod", "checksum")
_OWN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_Split = Callable[[str, VariableLookup, str], list[str]]
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
        words: those in which variables are replaced, in order; of ENV and LABEL, name and value in turn; of EXPOSE,
            each port.
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
    def values(self) -> Mapping[str, Word]:
        """The flags of COPY or ADD in which variables are replaced."""
        return dict(zip((flag for flag in _COPY_FLAGS if flag in self.instruction.flags), self.words, strict=False))

    @property
    def sources(self) -> tuple[Word, ...]:
        """The sources of COPY or ADD, heredocs left out."""
        return self.words[len(self.values) : -1]


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
        """Return a word of a FROM, and the global variables that it used."""
        tracked = _TrackedValues(self.globals)
        whole = expand_at(self.dockerfile, line, text, tracked)
        unset = frozenset(name for name in tracked.names if self.globals.get(name) is None)
        return Word(text, whole, unset), frozenset(tracked.names) - unset


@dataclass(slots=True)
class _WalkState:
    """The state of a stage so far."""

    values: dict[str, str | None] = field(default_factory=lambda: {"PATH": _OWN_PATH})
    doubtful: frozenset[str] = frozenset()  # variables whose values are not known
    arguments: frozenset[str] = frozenset()
    known: bool = True
    is_first_workdir: bool = True
    volumes: tuple[str, ...] = ()
    directory: str = "/"
    triggers: tuple[str, ...] = ()

    def set(self, name: str, value: str, *, certain: bool) -> None:
        """Set a variable; one that is not *certain* has a value that is not known."""
        self.values[name] = value
        self.doubtful = self.doubtful - {name} if certain else self.doubtful | {name}


def walk(
    dockerfile: Dockerfile, request: BuildRequest, target: Platform | None = None, here: Platform | None = None
) -> BuildWalk:
    """Walk through the instructions of the stages that *request* needs.

    Args:
        dockerfile: as parsed.
        request: what is built.
        target: platform to build for; by default the first of *request*, which may leave it to the builder.
        here: platform of the builder; this machine's by default.

    Raises:
        DockerfileError: the target does not exist, or a substitution is malformed.
    """
    values = global_arguments(dockerfile, request.build_args, platform_arguments(dockerfile, request, target, here))
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
        begins = find_base(self.dockerfile, stage, self.globals, self.request.build_contexts)
        base = self.states[begins.stage.number] if begins.stage else _WalkState()
        known = base.known and not begins.image and not begins.context
        doubtful = base.doubtful if begins.stage or known else frozenset({"PATH"})
        state = replace(base, values=dict(base.values), known=known, doubtful=doubtful, volumes=(), triggers=())
        self.states[stage.number] = state
        if stage.name in self.request.build_contexts:
            state.known = False  # the context replaces the whole stage
            return
        for text in base.triggers:
            yield self.step(parse_trigger(text, self.dockerfile.path, stage.line), stage, state)
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
            announced = read_heredoc_start(raw)
            if announced and announced.name in texts:
                continue
            if instruction.name == "EXPOSE":
                yield from self.replaced(raw, instruction.line, state, expand_words)
            else:
                yield self.word(raw, instruction.line, state)
        if instruction.name in {"ADD", "COPY"}:
            for heredoc in filter(lambda heredoc: heredoc.expand, instruction.heredocs):
                self.replaced(heredoc.text, instruction.line, state, _heredoc_words)

    def argument(self, instruction: Instruction, state: _WalkState) -> Iterator[Word]:
        """Yield the defaults of ARG that apply, and set each argument before the next."""
        for name, default in instruction.pairs:
            value, word = self.request.build_args.get(name), None
            if value is None and default is not None:
                word = self.word(default, instruction.line, state)
                value = word.text
                yield word
            elif value is None:
                value = self.globals.get(name)
            state.arguments |= {name}
            if value is not None and name not in _NO_VARIABLES:
                state.set(name, value, certain=word is None or word.certain)

    def word(self, raw: str, line: int, state: _WalkState) -> Word:
        (word,) = self.replaced(raw, line, state, lambda *given: [expand(*given)])
        return word

    def replaced(self, raw: str, line: int, state: _WalkState, split: _Split) -> list[Word]:
        """Return the words that *split* makes of *raw*."""
        tracked = _TrackedValues(state.values)
        try:
            texts = split(raw, tracked.get, self.dockerfile.escape)
        except UnsetVariableError as error:
            if state.known:
                raise located(error, self.dockerfile, line) from error
            return [Word(raw, "", certain=False)]  # the base image may set it
        except DockerfileError as error:
            raise located(error, self.dockerfile, line) from error
        missing = frozenset(name for name in tracked.names if state.values.get(name) is None)
        certain = state.known or not missing | (tracked.names & state.doubtful)
        return [Word(raw, text, missing - state.arguments - _NO_VARIABLES, certain) for text in texts]

    @staticmethod
    def after(step: ExpandedInstruction, state: _WalkState) -> None:
        """Apply the instruction to *state*."""
        name, texts = step.instruction.name, [word.text for word in step.words]
        if name == "ENV":
            for key, value in zip(step.words[::2], step.words[1::2], strict=True):
                state.set(key.text, value.text, certain=value.certain)
                state.doubtful |= frozenset() if key.certain else state.values.keys()
        elif name == "WORKDIR":
            state.is_first_workdir = False
            state.directory = _join(state.directory, texts[0])
        elif name == "VOLUME":
            state.volumes += tuple(texts)
        elif name == "ONBUILD":
            state.triggers += (step.instruction.rest,)


def _heredoc_words(text: str, lookup: VariableLookup, _escape: str) -> list[str]:
    return [expand_heredoc(text, lookup)]


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
            yield from (value or "" for _, value in fields_of(mount))
    elif name in {"WORKDIR", "USER", "STOPSIGNAL"}:
        yield instruction.rest
    elif name in {"EXPOSE", "VOLUME"}:
        yield from instruction.words


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
