"""A Dockerfile as data: stages, their instructions, and their lines; variables are not replaced."""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import field

from buildpush.foundation.errors import DockerfileError
from buildpush.foundation.records import dataclass
from buildpush.foundation.spelling import did_you_mean


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A text between ``<<NAME`` and ``NAME``; *expand* says whether its variables are replaced."""

    name: str
    text: str
    expand: bool


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction as written; variables are not replaced yet.

    Attributes:
        name: in upper case.
        line: line on which it begins, from 1.
        rest: everything after name and flags, continuation lines joined; of ONBUILD, the trigger.
        flags: name to value, both without quotes; a switch has ``true`` or ``false``; several values are separated by
            line feeds.
        words: its arguments: in exec form the array, else the words between blanks (ADD, COPY, VOLUME, EXPOSE,
            FROM), else ``rest`` as the only word.
        exec_form: whether it was written as a JSON array.
        pairs: names and values of ENV, LABEL and ARG; an ARG without default has ``None``.
        heredocs: in order of appearance.
        trigger: the instruction of an ONBUILD, parsed but not checked; ``None`` where its name is unknown.
        comments: the lines of comments above it, without their number signs.
    """

    name: str
    line: int
    rest: str = ""
    flags: Mapping[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    exec_form: bool = False
    pairs: tuple[tuple[str, str | None], ...] = ()
    heredocs: tuple[Heredoc, ...] = ()
    trigger: Instruction | None = None
    comments: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class BuildStage:
    """A stage: a FROM and the instructions after it.

    Attributes:
        base: image or stage as written, variables not replaced.
        name: lower case, or ``None``.
        platform: value of ``--platform`` as written, or ``None``.
        from_instruction: the FROM itself.
    """

    number: int
    base: str
    name: str | None
    platform: str | None
    line: int
    instructions: tuple[Instruction, ...] = ()
    from_instruction: Instruction = field(default=Instruction("FROM", 0), compare=False)

    @property
    def title(self) -> str:
        """Its name, else ``stage`` and its number."""
        return self.name or f"stage {self.number}"


class UnbuildableError(DockerfileError):
    """No builder accepts it: an unknown instruction, no FROM, an empty name in FROM, or stages that need each other."""


class NewerSyntaxError(DockerfileError):
    """We cannot read it, but a builder may be able to."""


class UnreadableError(NewerSyntaxError):
    """We do not read such a file at all: it is too large, or holds a NUL."""


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A parsed Dockerfile.

    Attributes:
        path: as shown in messages.
        arguments: the ARG instructions before the first FROM.
        stages: in order; empty where ``syntax`` names a language that we do not read.
        escape: the escape character, backslash or backtick.
        syntax: value of the ``# syntax=`` directive, or ``None``.
        check: value of the ``# check=`` directive, or ``None``.
    """

    path: str
    arguments: tuple[Instruction, ...]
    stages: tuple[BuildStage, ...]
    escape: str = "\\"
    syntax: str | None = None
    check: str | None = None
    _numbers: Mapping[str, list[int]] = field(init=False, repr=False, compare=False)  # numbers of stages, by name

    def __post_init__(self) -> None:
        numbers: dict[str, list[int]] = {}
        for stage in self.stages:
            if stage.name:
                numbers.setdefault(stage.name, []).append(stage.number)
        object.__setattr__(self, "_numbers", numbers)

    def where(self, line: int) -> str:
        """Return ``Dockerfile:7`` for messages."""
        return f"{self.path}:{line}"

    def stage(self, name: str, *, before: int | None = None) -> BuildStage | None:
        """Return the last stage called *name* among the first *before*, or ``None``."""
        numbers = self._numbers.get(name.lower(), [])
        at = len(numbers) if before is None else bisect.bisect_left(numbers, before)
        return self.stages[numbers[at - 1]] if at else None

    def target(self, wanted: str | None) -> BuildStage:
        """Return the stage to build: the one called *wanted*, else the last.

        Raises:
            DockerfileError: there is no stage with that name, or none at all, as in a file of another language.
        """
        found = self.stage(wanted) if wanted else next(reversed(self.stages), None)
        if found:
            return found
        if not self.stages:
            message = f"no stage can be read in {self.path}"
            raise DockerfileError(message, setting="dockerfile")
        names = [stage.name for stage in self.stages if stage.name]
        message = f"the target stage {wanted!r} is not in {self.path}"
        raise DockerfileError(message, hint=nearest_hint(wanted or "", names), setting="target")


def nearest_hint(word: str, known: list[str]) -> str | None:
    """Return a hint with the name that *word* was probably meant to be, or with all names if they are few."""
    near = did_you_mean(word[:60], known, most=1)
    return near or (f"choose one of: {', '.join(known)}" if 0 < len(known) <= 10 else None)  # noqa: PLR2004 - one line
