"""Parses Dockerfiles; nothing is run or resolved.

Source: Dockerfile reference; where it says nothing, the behaviour of BuildKit.
"""

# Flags of other programs in this module's texts: --retries

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from buildpush.dockerfile.durations import read_duration, read_integer
from buildpush.dockerfile.lexer import (
    NotStringsError,
    heredoc_starts,
    partition_blank,
    read_array,
    read_heredoc_start,
    split_blanks,
    split_flags,
    split_words,
)
from buildpush.dockerfile.model import (
    BuildStage,
    Dockerfile,
    Heredoc,
    Instruction,
    NewerSyntaxError,
    UnbuildableError,
    UnreadableError,
    nearest_hint,
)
from buildpush.dockerfile.variables import SPACE
from buildpush.foundation.errors import DockerfileError
from buildpush.foundation.regex import regex
from buildpush.foundation.text import quotation

_SHORTEST = 1_000_000  # nanoseconds
_MOST_RETRIES = 2**31
LARGEST, _USUAL = 1024 * 1024, 64 * 1024
OWN_SYNTAX = regex(r"(docker\.io/)?docker/dockerfile(-upstream)?([:@].*)?\Z")

_WITHOUT_FLAGS = "ARG CMD ENTRYPOINT ENV EXPOSE LABEL MAINTAINER ONBUILD SHELL STOPSIGNAL USER VOLUME WORKDIR"
FLAGS: Mapping[str, frozenset[str]] = {
    "ADD": frozenset({"chown", "chmod", "link", "keep-git-dir", "checksum", "exclude", "unpack"}),
    "COPY": frozenset({"from", "chown", "chmod", "link", "parents", "exclude"}),
    "FROM": frozenset({"platform"}),
    "HEALTHCHECK": frozenset({"interval", "timeout", "start-period", "start-interval", "retries"}),
    "RUN": frozenset({"mount", "network", "security", "device"}),
    **dict.fromkeys(_WITHOUT_FLAGS.split(), frozenset()),
}
_SWITCHES = frozenset({"link", "parents", "keep-git-dir", "unpack"})
_REPEATED = frozenset({"exclude", "mount", "device"})
_TAKES_ANY_FLAG = frozenset({"ARG", "STOPSIGNAL"})
_EXEC_FORM = frozenset({"CMD", "ENTRYPOINT", "RUN", "SHELL"})
_LISTS = frozenset({"ADD", "COPY", "VOLUME"})
_PAIRS = frozenset({"ENV", "LABEL", "ARG"})
_MAY_BE_EMPTY = frozenset({"CMD", "ENTRYPOINT", "RUN"})
HEREDOCS = frozenset({"ADD", "COPY", "RUN"})

_DIRECTIVE = regex(rf"#[{SPACE}]*([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+)\Z", re.DOTALL)
_DIRECTIVES = frozenset({"syntax", "escape", "check"})
_ONBUILD = regex(r"[\t\n\f\r ]*onbuild[\t\n\f\r ]*", re.IGNORECASE)
_STAGE_NAME = regex(r"[a-z][a-z0-9_.-]*\Z")


def read(path: Path) -> Dockerfile:
    """Parse the Dockerfile at *path*.

    Raises:
        DockerfileError: it is missing, unreadable or malformed.
    """
    return parse(content_of(path), path.name)


def content_of(path: Path) -> bytes:
    """Return the bytes of a Dockerfile, and of one that is too large only one byte too many.

    Raises:
        DockerfileError: it is missing or unreadable.
    """
    try:
        with path.open("rb") as file:
            first = file.read(_USUAL)  # memory is taken for as much as is asked for, and each iteration asks often
            return first + file.read(LARGEST + 1 - _USUAL) if len(first) == _USUAL else first
    except OSError as error:
        message = f"the Dockerfile {path} cannot be read: {error.strerror or error}"
        raise DockerfileError(message, hint=_hint_of_other_files(path), setting="dockerfile") from error


def _hint_of_other_files(path: Path) -> str:
    """Return a hint with files that may be the Dockerfile that was meant."""
    try:
        names = sorted(entry.name for entry in path.parent.iterdir() if "dockerfile" in entry.name.lower())
    except OSError:
        return f"the directory {path.parent} does not exist"
    return (
        f"set 'dockerfile' to its path; {path.parent} has {', '.join(names[:5])}"
        if names
        else "set 'dockerfile' to its path"
    )


def parse(content: bytes, path: str = "Dockerfile") -> Dockerfile:
    """Return the stages and instructions of *content*.

    Args:
        content: up to 1 MiB; UTF-8 with or without byte order mark, any line ends; other bytes are read as U+FFFD.
        path: the file's name in messages.

    Raises:
        DockerfileError: it is too large, contains a NUL, or breaks the grammar; ``where`` is file and line.
    """
    return _parse(content, path)


@lru_cache(maxsize=8)  # code that needs a name in it parses it again, several times for each step
def _parse(content: bytes, path: str) -> Dockerfile:
    if len(content) > LARGEST:
        message = f"the Dockerfile is larger than {LARGEST} bytes"
        raise UnreadableError(message, where=path)
    if (nul := content.find(b"\0")) >= 0:
        message = "the Dockerfile contains a NUL character"
        raise UnreadableError(message, where=f"{path}:{content.count(bytes([10]), 0, nul) + 1}")
    lines = content.decode("utf-8-sig", errors="replace").split("\n")
    directives = read_directives(lines, path)
    escape = directives.get("escape", "\\")
    syntax = directives.get("syntax")
    if syntax and not OWN_SYNTAX.match(syntax):
        return Dockerfile(path, (), (), escape, syntax)
    reader = InstructionReader(lines, escape, path)
    arguments, stages = split_stages(reader, list(reader.instructions()))
    return Dockerfile(path, arguments, stages, escape, syntax, directives.get("check"))


def parse_trigger(text: str, path: str, line: int) -> Instruction:
    """Parse *text*, an entry of an image's ONBUILD list, as an instruction on *line* of *path*, which is FROM's.

    Raises:
        DockerfileError: it cannot be read.
    """
    where = f"{path}:{line}"
    try:
        instructions = list(InstructionReader(text.split("\n"), "\\", "").instructions())
    except DockerfileError as error:
        message = f"the ONBUILD trigger {quotation(text, 60)!r} cannot be read: {error.args[0]}"
        raise type(error)(message, hint=error.hint, where=where) from error
    if len(instructions) == 1:
        return replace(instructions[0], line=line)
    message = f"the ONBUILD trigger {quotation(text, 60)!r} is not one instruction"
    raise DockerfileError(message, where=where)


def read_directives(lines: list[str], path: str) -> dict[str, str]:
    """Return the parser directives at the start of the file; any other line ends them."""
    directives: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match = _DIRECTIVE.match(line.rstrip("\r").lstrip(SPACE))
        name = match[1].lower() if match else ""
        if not match or name not in _DIRECTIVES:
            break
        if name in directives:
            message = f"only one {name} parser directive can be used"
            raise DockerfileError(message, where=f"{path}:{number}")
        value = directives[name] = match[2].rstrip("\t\n\f\r ") or match[2]
        if name == "escape" and value not in {"\\", "`"}:
            message = f"invalid escape token {value!r}: it is a backslash or a backtick"
            raise DockerfileError(message, where=f"{path}:{number}")
    return directives


class InstructionReader:
    """Reads the instructions in the lines of a Dockerfile, once."""

    def __init__(self, lines: list[str], escape: str, path: str) -> None:
        self.lines = lines
        self.escape = escape
        self.path = path
        self.at = 0
        mark = re.escape(escape)
        self.continuation = re.compile(rf"(?<!{mark}){mark}[ \t]*\Z")

    def error(
        self, line: int, message: str, hint: str | None = None, kind: type[DockerfileError] = DockerfileError
    ) -> DockerfileError:
        """Return an error about that *line*."""
        return kind(message, hint=hint, where=f"{self.path}:{line}")

    def instructions(self) -> Iterator[Instruction]:
        """Yield the instructions in the order of the file."""
        comments: list[str] = []
        while self.at < len(self.lines):
            first = self.at + 1
            text = self.logical_line()
            if text is not None:
                yield replace(self.instruction(text, first), comments=tuple(comments))
                comments = []
            elif (line := self.lines[first - 1]).lstrip(SPACE).startswith("#"):
                comment = line[1:].strip(SPACE)
                if comment:
                    comments.append(comment)
                else:  # an empty comment ends them, an empty line does not
                    comments.clear()

    def logical_line(self) -> str | None:
        """Return the next line with its continuation lines, without comments and empty lines; ``None`` at the end."""
        text, more = self.cut(self.next_line().lstrip(SPACE))
        if not more and (not text or text.startswith("#")):
            return None
        parts = [text]
        while more and self.at < len(self.lines):
            line = self.next_line()
            stripped = line.lstrip(SPACE)
            if stripped and not stripped.startswith("#"):
                text, more = self.cut(line)
                parts.append(text)
        return "".join(parts)

    def next_line(self) -> str:
        """Return the next line, without its end."""
        self.at += 1
        return self.lines[self.at - 1].rstrip("\r")

    def cut(self, line: str) -> tuple[str, bool]:
        """Return *line* without its continuation mark, and whether it had one, which a comment never has."""
        match = None if line.startswith("#") else self.continuation.search(line)
        return (line[: match.start()], True) if match else (line, False)

    def instruction(self, text: str, line: int) -> Instruction:
        """Return the instruction *text*, which begins at *line*, with its heredocs."""
        instruction, flags = self.split(text, line)
        return self.check(self.with_heredocs(instruction, text), flags)

    def split(self, text: str, line: int) -> tuple[Instruction, list[str]]:
        """Return an instruction with its arguments, and its flags as written; they are not checked yet."""
        name, _, rest = partition_blank(text.strip(SPACE))
        flags, rest = split_flags(rest, self.escape)
        rest = rest.strip(SPACE)
        instruction = Instruction(name.upper(), line, rest, words=(rest,))
        if instruction.name == "ONBUILD" and rest:
            instruction = replace(instruction, rest=_ONBUILD.sub("", text, count=1), trigger=self.trigger(rest, line))
        return self.with_arguments(instruction), flags

    def trigger(self, text: str, line: int) -> Instruction | None:
        """Return the trigger of ONBUILD, or ``None`` where that instruction is not known."""
        name = partition_blank(text)[0].upper()
        if name in {"ONBUILD", "FROM", "MAINTAINER"}:
            raise self.error(line, f"{name} is not allowed as an ONBUILD trigger")
        # An unknown one is accepted unchanged; the build that runs the trigger will report it.
        return self.split(text, line)[0] if name in FLAGS else None

    def flags(self, name: str, words: list[str], line: int) -> dict[str, str]:
        """Return the values of flags, by name, after checking them."""
        values: dict[str, str] = {}
        for word in words:
            flag, equals, value = word[2:].partition("=")
            if flag not in FLAGS[name]:
                hint = nearest_hint(flag, sorted(FLAGS[name])) or f"{name} takes no flags" * (not FLAGS[name])
                raise self.error(line, f"unknown flag --{flag} of {name}", hint or None, NewerSyntaxError)
            if flag in values and flag not in _REPEATED:
                raise self.error(line, f"the flag --{flag} of {name} is given twice")
            if flag in _SWITCHES:
                value = self.switch(word, line)
            elif not equals:
                raise self.error(line, f"flag --{flag} of {name} needs a value")
            values[flag] = f"{values[flag]}\n{value}" if flag in values else value
        if values.get("from") == "":  # as in BuildKit: an empty source is the context
            del values["from"]
        return values

    def switch(self, word: str, line: int) -> str:
        """Return the value of a boolean flag."""
        _, equals, value = word.lower().partition("=")
        if not equals or value in {"true", "false"}:
            return value or "true"
        raise self.error(line, f"{quotation(word, 60)} is neither true nor false")

    def with_heredocs(self, instruction: Instruction, text: str) -> Instruction:
        """Read the heredocs that begin in the line *text* from the following lines."""
        inner = instruction.trigger if instruction.name == "ONBUILD" else instruction
        if not inner or inner.name not in HEREDOCS or inner.exec_form:
            return instruction
        heredocs: list[Heredoc] = []
        raw = [instruction.rest]
        for start in heredoc_starts(text):
            lines = self.heredoc(start.name, strip=start.strip, line=instruction.line)
            stripped = (line.lstrip("\t") for line in lines) if start.strip else lines
            heredocs.append(Heredoc(start.name, "".join(stripped), start.expand))
            raw.append("".join(lines) + start.name)
        if instruction.name == "ONBUILD":
            return replace(instruction, rest="\n".join(raw))
        return replace(instruction, heredocs=tuple(heredocs))

    def heredoc(self, name: str, *, strip: bool, line: int) -> list[str]:
        """Return the lines before the one that consists of *name*, with their line ends."""
        for at in range(self.at, len(self.lines)):
            text = self.lines[at].rstrip("\r")
            if (text.lstrip("\t") if strip else text) == name:
                lines = [f"{inner}\n" for inner in self.lines[self.at : at]]
                self.at = at + 1
                return lines
        raise self.error(line, f"unterminated heredoc: a line with only {name} is missing")

    def with_arguments(self, instruction: Instruction) -> Instruction:
        """Return *instruction* with its arguments parsed, as far as BuildKit parses those of triggers as well."""
        name, rest = instruction.name, instruction.rest
        if name in _PAIRS:
            return replace(instruction, pairs=self.pairs(instruction))
        if name == "HEALTHCHECK":
            kind, command = [*re.split(r"[ \t\n\v\f\r]+", rest, maxsplit=1), ""][:2]
            array = self.array(command, instruction.line)
            words = array if array is not None else (command,) * bool(command)
            return replace(instruction, words=(kind.upper(), *words), exec_form=array is not None)
        if name in _EXEC_FORM | _LISTS and (array := self.array(rest, instruction.line)) is not None:
            return replace(instruction, words=array, exec_form=True)
        if name in _LISTS or name in {"FROM", "EXPOSE"}:
            return replace(instruction, words=split_blanks(rest))
        return instruction

    def array(self, text: str, line: int) -> tuple[str, ...] | None:
        """Return the strings of the exec form, or ``None`` for the shell form."""
        try:
            return read_array(text)
        except NotStringsError:
            raise self.error(line, "in JSON array form, every element is a string in double quotes") from None

    def pairs(self, instruction: Instruction) -> tuple[tuple[str, str | None], ...]:
        """Return names and values, still quoted, of ENV, LABEL or ARG."""
        name, rest, line = instruction.name, instruction.rest, instruction.line
        words = split_words(rest, self.escape)
        if name == "ARG":
            parts = (word.partition("=") for word in words)
            return tuple((key, value if equals else None) for key, equals, value in parts)
        if words and "=" not in words[0]:
            key, blanks, value = partition_blank(rest)
            if not blanks:
                raise self.error(line, f"{name} must have two arguments: a name and a value")
            return ((key, value),)
        return tuple(self.pair(word, name, line) for word in words)

    def pair(self, word: str, name: str, line: int) -> tuple[str, str | None]:
        """Return key and value of an ARG, ENV or LABEL."""
        key, equals, value = word.partition("=")
        if not equals:
            raise self.error(
                line, f"cannot find = in {quotation(word, 40)!r}: {name} is written NAME=VALUE", "quote blanks"
            )
        return key, value

    def check(self, instruction: Instruction, flags: list[str]) -> Instruction:
        """Return *instruction* with its flags, after checking all of it."""
        name, line = instruction.name, instruction.line
        if name not in FLAGS:
            message = f"unknown instruction {quotation(name, 40)}"
            raise self.error(line, message, nearest_hint(name, list(FLAGS)), UnbuildableError)
        is_empty = not instruction.pairs if name in _PAIRS else not instruction.rest
        if is_empty and name not in _MAY_BE_EMPTY:
            raise self.error(line, f"{name} requires at least one argument")
        self.check_arguments(instruction)
        # BuildKit ignores the flags of these.
        if name in _TAKES_ANY_FLAG or (name == "HEALTHCHECK" and instruction.words[0] == "NONE"):
            return instruction
        with_flags = replace(instruction, flags=self.flags(name, flags, line))
        if name == "HEALTHCHECK":
            self.check_health_flags(with_flags.flags, line)
        return with_flags

    def check_arguments(self, instruction: Instruction) -> None:
        """Refuse an instruction without the arguments that it needs."""
        name, line, words = instruction.name, instruction.line, instruction.words
        if name == "HEALTHCHECK":
            self.check_health(words, line)
        elif name in {"ADD", "COPY"}:
            self.check_copy(name, words, line)
        elif name == "SHELL" and not (instruction.exec_form and words):
            raise self.error(line, 'SHELL requires a JSON array, such as ["/bin/sh", "-c"]')
        elif name == "VOLUME" and not (words and all(word.strip(SPACE) for word in words)):
            raise self.error(line, "VOLUME names an empty path")
        elif not all(key for key, _ in instruction.pairs):
            raise self.error(line, f"{name} names can not be blank")

    def check_copy(self, name: str, words: tuple[str, ...], line: int) -> None:
        """Refuse a COPY or ADD without a source and a destination."""
        if len(words) < 2:  # noqa: PLR2004 - a source and a destination
            message = f"{name} requires at least two arguments: a source and a destination"
            raise self.error(line, message)
        if read_heredoc_start(words[-1]):
            raise self.error(line, f"the destination of {name} cannot be a heredoc")

    def check_health(self, words: tuple[str, ...], line: int) -> None:
        """Refuse a HEALTHCHECK that is neither NONE nor a command."""
        kind, *command = words
        if kind == "NONE" and command:
            raise self.error(line, "HEALTHCHECK NONE takes no arguments")
        if kind not in {"CMD", "NONE"}:
            raise self.error(line, f"HEALTHCHECK takes CMD or NONE, not {quotation(kind, 40)}")
        if kind == "CMD" and not command:
            raise self.error(line, "HEALTHCHECK CMD needs a command")

    def check_health_flags(self, flags: Mapping[str, str], line: int) -> None:
        """Refuse invalid numbers, as BuildKit does, even in stages that nothing needs."""
        for flag, text in flags.items():
            number = read_integer(text or "0") if flag == "retries" else read_duration(text or "0")
            if flag == "retries" and (number is None or not 0 <= number < _MOST_RETRIES):
                raise self.error(line, f"--retries={quotation(text, 40)} is not a number from 0 on")
            if number is None:
                raise self.error(line, f"--{flag}={quotation(text, 40)} is not a duration", "write it as 30s or 1m30s")
            if flag != "retries" and number and number < _SHORTEST:
                raise self.error(line, f"--{flag} is shorter than a millisecond")


def split_stages(
    reader: InstructionReader, instructions: list[Instruction]
) -> tuple[tuple[Instruction, ...], tuple[BuildStage, ...]]:
    """Sort instructions into the arguments before the first FROM and stages."""
    arguments: list[Instruction] = []
    stages: list[BuildStage] = []
    bodies: list[list[Instruction]] = []
    for instruction in instructions:
        if instruction.name == "FROM":
            stages.append(_stage(reader, instruction, len(stages)))
            bodies.append([])
        elif stages:
            bodies[-1].append(instruction)
        elif instruction.name == "ARG":
            arguments.append(instruction)
        else:
            message = f"{instruction.name} comes before the first FROM"
            raise reader.error(instruction.line, message, "begin with FROM", UnbuildableError)
    if not stages:
        hint = "begin with FROM scratch or FROM IMAGE"
        raise reader.error(1, "the Dockerfile has no FROM", hint, UnbuildableError)
    whole = (replace(stage, instructions=tuple(body)) for stage, body in zip(stages, bodies, strict=True))
    return tuple(arguments), tuple(whole)


def _stage(reader: InstructionReader, instruction: Instruction, number: int) -> BuildStage:
    words = instruction.words
    name = None
    if len(words) == 3 and words[1].upper() == "AS":  # noqa: PLR2004 - FROM image AS name
        name = words[2].lower()
        if not _STAGE_NAME.match(name):
            hint = "a stage's name begins with a letter; letters, digits, - _ . follow"
            raise reader.error(instruction.line, f"invalid name for a build stage: {quotation(words[2], 40)!r}", hint)
    elif len(words) != 1:
        raise reader.error(instruction.line, "FROM takes one argument, or three: FROM IMAGE AS NAME")
    return BuildStage(
        number, words[0], name, instruction.flags.get("platform"), instruction.line, from_instruction=instruction
    )
