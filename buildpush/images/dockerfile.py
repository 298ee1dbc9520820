"""A Dockerfile as stages of instructions with line numbers; reading only, nothing is run or resolved.

Source: Dockerfile reference; where the page is silent, what BuildKit does.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from buildpush.errors import DockerfileError

LARGEST = 1024 * 1024
OWN_SYNTAX = re.compile(r"(docker\.io/)?docker/dockerfile(-upstream)?([:@].*)?\Z")

FLAGS: Mapping[str, frozenset[str]] = {
    "ADD": frozenset({"chown", "chmod", "link", "keep-git-dir", "checksum", "exclude", "unpack"}),
    "ARG": frozenset(),
    "CMD": frozenset(),
    "COPY": frozenset({"from", "chown", "chmod", "link", "parents", "exclude"}),
    "ENTRYPOINT": frozenset(),
    "ENV": frozenset(),
    "EXPOSE": frozenset(),
    "FROM": frozenset({"platform"}),
    "HEALTHCHECK": frozenset({"interval", "timeout", "start-period", "start-interval", "retries"}),
    "LABEL": frozenset(),
    "MAINTAINER": frozenset(),
    "ONBUILD": frozenset(),
    "RUN": frozenset({"mount", "network", "security", "device"}),
    "SHELL": frozenset(),
    "STOPSIGNAL": frozenset(),
    "USER": frozenset(),
    "VOLUME": frozenset(),
    "WORKDIR": frozenset(),
}
_SWITCHES = frozenset({"link", "parents", "keep-git-dir", "unpack"})
_EXEC_FORM = frozenset({"CMD", "ENTRYPOINT", "RUN", "SHELL"})
_LISTS = frozenset({"ADD", "COPY", "VOLUME"})
_PAIRS = frozenset({"ENV", "LABEL", "ARG"})
_MAY_BE_EMPTY = frozenset({"CMD", "ENTRYPOINT", "RUN"})
_HEREDOCS = frozenset({"ADD", "COPY", "RUN"})

_BLANKS = " \t\v\f\r\n"
_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*\Z")
_HEREDOC = re.compile(r"\d*<<(-?)([^<]+)\Z")
_STAGE_NAME = re.compile(r"[a-z][a-z0-9_.-]*\Z")


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
        line: where it begins, from 1.
        rest: everything after name and flags, continuation lines joined.
        flags: name to value, both as written; a switch without value has ``true``. The last of several counts.
        words: its arguments: the array in exec form, else what stands between blanks (ADD, COPY, VOLUME, EXPOSE,
            FROM), else ``rest`` as the only word.
        exec_form: whether it was written as a JSON array.
        pairs: names and values of ENV, LABEL and ARG; an ARG without default has ``None``.
        heredocs: in order of appearance.
        trigger: what ONBUILD leaves for later.
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


@dataclass(frozen=True, slots=True)
class Stage:
    """What one FROM begins.

    Attributes:
        base: image or stage as written, variables not replaced.
        name: lower case, or ``None``.
        platform: value of ``--platform`` as written, or ``None``.
    """

    number: int
    base: str
    name: str | None
    platform: str | None
    line: int
    instructions: tuple[Instruction, ...] = ()

    @property
    def title(self) -> str:
        """Its name, else its number with a word that says of what."""
        return self.name or f"stage {self.number}"


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A parsed Dockerfile.

    Attributes:
        path: as shown in messages.
        arguments: the ARG instructions before the first FROM.
        stages: in order; empty where ``syntax`` names a language that is not ours to read.
        escape: backslash or backtick.
        syntax: value of the ``# syntax=`` directive, or ``None``.
    """

    path: str
    arguments: tuple[Instruction, ...]
    stages: tuple[Stage, ...]
    escape: str = "\\"
    syntax: str | None = None

    def where(self, line: int) -> str:
        """Return ``Dockerfile:7`` for messages."""
        return f"{self.path}:{line}"

    def stage(self, name: str, *, before: int | None = None) -> Stage | None:
        """Return the last stage called *name* among the first *before*, or ``None``."""
        known = self.stages if before is None else self.stages[:before]
        return next((stage for stage in reversed(known) if stage.name == name.lower()), None)

    def target(self, wanted: str | None) -> Stage:
        """Return the stage to build: the one called *wanted*, else the last.

        Raises:
            DockerfileError: there is no stage of that name.
        """
        found = self.stage(wanted) if wanted else self.stages[-1]
        if found:
            return found
        names = [stage.name for stage in self.stages if stage.name]
        message = f"the target stage {wanted!r} is not in {self.path}"
        raise DockerfileError(message, hint=_nearest(wanted or "", names), setting="target")


def read(path: Path) -> Dockerfile:
    """Return the Dockerfile at *path*.

    Raises:
        DockerfileError: it is missing, unreadable or malformed.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        message = f"the Dockerfile {path} cannot be read: {error.strerror or error}"
        raise DockerfileError(message, hint=_others(path), setting="dockerfile") from error
    return parse(content, path.name)


def _others(path: Path) -> str:
    """Return a hint that names files that look like the Dockerfile that was meant."""
    try:
        names = sorted(entry.name for entry in path.parent.iterdir() if "dockerfile" in entry.name.lower())
    except OSError:
        return f"the folder {path.parent} is not there"
    return f"in {path.parent} there is {', '.join(names[:5])}" if names else "set 'dockerfile' to its path"


def parse(content: bytes, path: str = "Dockerfile") -> Dockerfile:
    """Return the stages and instructions of *content*.

    Args:
        content: up to 1 MiB; UTF-8 with or without byte order mark, any line ends; other bytes are read as U+FFFD.
        path: how messages call the file.

    Raises:
        DockerfileError: it is too large, holds a NUL, or breaks the grammar; ``where`` is file and line.
    """
    if len(content) > LARGEST:
        message = f"the Dockerfile is larger than {LARGEST} bytes"
        raise DockerfileError(message, where=path)
    if (nul := content.find(b"\0")) >= 0:
        message = "the Dockerfile holds a NUL character"
        raise DockerfileError(message, where=f"{path}:{content.count(bytes([10]), 0, nul) + 1}")
    lines = content.decode("utf-8-sig", errors="replace").split("\n")
    directives = _directives(lines, path)
    escape = directives.get("escape", "\\")
    syntax = directives.get("syntax")
    if syntax and not OWN_SYNTAX.match(syntax):
        return Dockerfile(path, (), (), escape, syntax)
    reader = _Reader(lines, escape, path)
    arguments, stages = _stages(reader, list(reader.instructions()))
    return Dockerfile(path, arguments, stages, escape, syntax)


def parse_trigger(text: str, path: str) -> Instruction:
    """Return the instruction that an image's ONBUILD list holds as *text*.

    Raises:
        DockerfileError: it cannot be read.
    """
    found = list(_Reader([text], "\\", path).instructions())
    if len(found) == 1:
        return found[0]
    message = f"the ONBUILD trigger {text!r} is not one instruction"
    raise DockerfileError(message, where=path)


def _directives(lines: list[str], path: str) -> dict[str, str]:
    """Return the parser directives at the head of the file."""
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match = _DIRECTIVE.match(line.strip())
        if not match:
            break
        name = match[1].lower()
        if name in found and name in {"syntax", "escape", "check"}:
            message = f"only one {name} parser directive can be used"
            raise DockerfileError(message, where=f"{path}:{number}")
        found[name] = match[2]
        if name == "escape" and match[2] not in {"\\", "`"}:
            message = f"invalid escape token {match[2]!r}: it is a backslash or a backtick"
            raise DockerfileError(message, where=f"{path}:{number}")
    return found


class _Reader:
    """Goes over the lines once and gives instructions."""

    def __init__(self, lines: list[str], escape: str, path: str) -> None:
        self.lines = lines
        self.escape = escape
        self.path = path
        self.at = 0
        mark = re.escape(escape)
        self.continued = re.compile(rf"(?<!{mark}){mark}[ \t]*\Z")

    def error(self, line: int, message: str, hint: str | None = None) -> DockerfileError:
        return DockerfileError(message, hint=hint, where=f"{self.path}:{line}")

    def instructions(self) -> Iterator[Instruction]:
        while self.at < len(self.lines):
            first = self.at + 1
            text = self.logical_line()
            if text.strip(_BLANKS):
                yield self.instruction(text, first)

    def logical_line(self) -> str:
        """Return the next line with its continuation lines, comments and empty ones left out."""
        text, more = self.cut(self.next_line().lstrip(_BLANKS))
        parts = [text]
        while more and self.at < len(self.lines):
            line = self.next_line()
            stripped = line.strip(_BLANKS)
            if stripped and not stripped.startswith("#"):
                text, more = self.cut(line)
                parts.append(text)
        joined = "".join(parts)
        return "" if joined.startswith("#") else joined

    def next_line(self) -> str:
        self.at += 1
        return self.lines[self.at - 1].rstrip("\r")

    def cut(self, line: str) -> tuple[str, bool]:
        """Return *line* without its continuation mark, and whether it had one; a comment never has."""
        match = None if line.startswith("#") else self.continued.search(line)
        return (line[: match.start()], True) if match else (line, False)

    def instruction(self, text: str, line: int) -> Instruction:
        name, _, rest = _partition_blank(text.strip(_BLANKS))
        name = name.upper()
        if name not in FLAGS:
            message = f"unknown instruction {name[:40]}"
            raise self.error(line, message, _nearest(name, list(FLAGS)))
        flags, rest = self.flags(name, rest, line)
        if not rest and name not in _MAY_BE_EMPTY:
            raise self.error(line, f"{name} requires at least one argument")
        base = Instruction(name, line, rest, flags, (rest,))
        return self.detailed(replace(base, heredocs=self.heredocs(base)))

    def flags(self, name: str, rest: str, line: int) -> tuple[dict[str, str], str]:
        """Return the flags at the head of *rest*, and what comes after them."""
        found: dict[str, str] = {}
        while rest.startswith("--"):
            word, _, after = _partition_blank(rest)
            if word == "--":
                return found, after
            flag, equals, value = word[2:].partition("=")
            if flag not in FLAGS[name]:
                hint = _nearest(flag, sorted(FLAGS[name])) or f"{name} takes no flags" * (not FLAGS[name])
                raise self.error(line, f"unknown flag --{flag} of {name}", hint or None)
            if not equals and flag not in _SWITCHES:
                raise self.error(line, f"flag --{flag} of {name} needs a value")
            value = _unquoted_flag(value) if equals else "true"
            found[flag] = f"{found[flag]}\n{value}" if flag in {"exclude", "mount"} and flag in found else value
            rest = after
        return found, rest

    def heredocs(self, instruction: Instruction) -> tuple[Heredoc, ...]:
        """Read the heredocs that the instruction announces off the lines that follow it."""
        inner = instruction.rest
        if instruction.name == "ONBUILD":
            name, _, inner = _partition_blank(inner)
            if name.upper() not in _HEREDOCS:
                return ()
        elif instruction.name not in _HEREDOCS:
            return ()
        if "<<" not in inner:
            return ()
        announced = (_HEREDOC.match(word) for word in split_words(inner, self.escape))
        return tuple(self.heredoc(match, instruction.line) for match in announced if match)

    def heredoc(self, match: re.Match[str], line: int) -> Heredoc:
        strip, quoted = bool(match[1]), match[2]
        name = re.sub(r"""['"]""", "", quoted)
        lines: list[str] = []
        while self.at < len(self.lines):
            text = self.lines[self.at]
            self.at += 1
            text = text.lstrip("\t") if strip else text
            if text.rstrip("\r") == name:
                return Heredoc(name, "".join(lines), name == quoted)
            lines.append(text + "\n")
        raise self.error(line, f"unterminated heredoc: a line with only {name} is missing")

    def detailed(self, instruction: Instruction) -> Instruction:
        """Return *instruction* with its arguments taken apart."""
        name, rest = instruction.name, instruction.rest
        if name == "ONBUILD":
            return replace(instruction, trigger=self.trigger(instruction))
        if name == "HEALTHCHECK":
            return self.healthcheck(instruction)
        if name in _PAIRS:
            return replace(instruction, pairs=self.pairs(instruction))
        if name in _EXEC_FORM | _LISTS and (array := self.array(rest, instruction.line)) is not None:
            return self.checked(replace(instruction, words=array, exec_form=True))
        if name in _LISTS or name in {"FROM", "EXPOSE"}:
            return self.checked(replace(instruction, words=tuple(re.split(r"[ \t\v\f\r]+", rest.strip(_BLANKS)))))
        return self.checked(instruction)

    def checked(self, instruction: Instruction) -> Instruction:
        name, count = instruction.name, len(instruction.words)
        if name in {"ADD", "COPY"} and count < 2:  # noqa: PLR2004 - a source and a destination
            message = f"{name} requires at least two arguments: a source and a destination"
            raise self.error(instruction.line, message)
        if name == "SHELL" and not (instruction.exec_form and count):
            raise self.error(instruction.line, 'SHELL requires a JSON array, such as ["/bin/sh", "-c"]')
        return instruction

    def array(self, text: str, line: int) -> tuple[str, ...] | None:
        """Return the strings of a JSON array, or ``None`` where *text* is none."""
        if not text.lstrip(_BLANKS).startswith("["):
            return None
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return None  # as BuildKit: then it is the shell form
        if not all(isinstance(word, str) for word in found):
            raise self.error(line, "in JSON array form, every element is a string in double quotes")
        return tuple(word.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for word in found)

    def trigger(self, instruction: Instruction) -> Instruction | None:
        name = _partition_blank(instruction.rest)[0].upper()
        if name in {"ONBUILD", "FROM", "MAINTAINER"}:
            raise self.error(instruction.line, f"{name} is not allowed as an ONBUILD trigger")
        if name not in FLAGS:
            return None  # accepted as it is; the child build that runs it will complain
        nested = _Reader([], self.escape, self.path)
        return None if instruction.heredocs else nested.instruction(instruction.rest, instruction.line)

    def healthcheck(self, instruction: Instruction) -> Instruction:
        kind, _, command = _partition_blank(instruction.rest)
        kind = kind.upper()
        if kind == "NONE":
            if command or instruction.flags:
                raise self.error(instruction.line, "HEALTHCHECK NONE takes no arguments")
            return replace(instruction, words=("NONE",))
        if kind != "CMD":
            raise self.error(instruction.line, f"HEALTHCHECK takes CMD or NONE, not {kind[:40]}")
        array = self.array(command, instruction.line)
        words = array if array is not None else (command,) if command else ()
        if not words:
            raise self.error(instruction.line, "HEALTHCHECK CMD needs a command")
        return replace(instruction, words=("CMD", *words), exec_form=array is not None)

    def pairs(self, instruction: Instruction) -> tuple[tuple[str, str | None], ...]:
        """Return names and values, still quoted, of ENV, LABEL or ARG."""
        name, rest, line = instruction.name, instruction.rest, instruction.line
        words = split_words(rest, self.escape)
        if name == "ARG":
            return tuple(self.argument(word, line) for word in words)
        if "=" not in words[0]:
            key, _, value = _partition_blank(rest)
            if not value:
                raise self.error(line, f"{name} must have two arguments: a name and a value")
            return ((key, value),)
        return tuple(self.pair(word, name, line) for word in words)

    def pair(self, word: str, name: str, line: int) -> tuple[str, str | None]:
        key, equals, value = word.partition("=")
        if not equals:
            raise self.error(line, f"cannot find = in {word[:40]!r}: {name} is written NAME=VALUE", "quote blanks")
        if not key:
            raise self.error(line, f"{name} names can not be blank")
        return key, value

    def argument(self, word: str, line: int) -> tuple[str, str | None]:
        key, equals, value = word.partition("=")
        if not key:
            raise self.error(line, "ARG names can not be blank")
        return key, value if equals else None


def _partition_blank(text: str) -> tuple[str, str, str]:
    """Return the first word, the blanks after it, and the rest."""
    match = re.search(r"[ \t\v\f\r\n]+", text)
    return (text[: match.start()], match[0], text[match.end() :]) if match else (text, "", "")


def _unquoted_flag(value: str) -> str:
    """Return a flag's value without quotes and escapes."""
    return re.sub(r"""\\(.)|['"]""", lambda match: match[1] or "", value)


def split_words(text: str, escape: str) -> list[str]:
    """Return the words of *text*; blanks inside quotes do not separate, quotes and escapes stay."""
    mark = re.escape(escape)
    plain, single, double = rf"{mark}.|[^\s'\"]", r"'[^']*(?:'|\Z)", rf'"(?:{mark}.|[^"])*(?:"|\Z)'
    return [match[0] for match in re.finditer(rf"(?:{plain}|{single}|{double})+", text, re.DOTALL)]


def _nearest(word: str, known: list[str]) -> str | None:
    """Return a hint with the name that *word* may have meant."""
    near = difflib.get_close_matches(word[:60], known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    return f"there are: {', '.join(known)}" if 0 < len(known) <= 10 else None  # noqa: PLR2004 - what fits a line


def _stages(reader: _Reader, found: list[Instruction]) -> tuple[tuple[Instruction, ...], tuple[Stage, ...]]:
    """Sort instructions into the arguments before the first FROM and stages."""
    arguments: list[Instruction] = []
    stages: list[Stage] = []
    bodies: list[list[Instruction]] = []
    for instruction in found:
        if instruction.name == "FROM":
            stages.append(_stage(reader, instruction, len(stages)))
            bodies.append([])
        elif stages:
            bodies[-1].append(instruction)
        elif instruction.name == "ARG":
            arguments.append(instruction)
        else:
            raise reader.error(instruction.line, f"{instruction.name} stands before the first FROM", "begin with FROM")
    if not stages:
        raise reader.error(1, "the Dockerfile holds no FROM", "begin with FROM scratch or FROM IMAGE")
    whole = (replace(stage, instructions=tuple(body)) for stage, body in zip(stages, bodies, strict=True))
    return tuple(arguments), tuple(whole)


def _stage(reader: _Reader, instruction: Instruction, number: int) -> Stage:
    words = instruction.words
    name = None
    if len(words) == 3 and words[1].upper() == "AS":  # noqa: PLR2004 - FROM image AS name
        name = words[2].lower()
        if not _STAGE_NAME.match(name):
            hint = "a stage's name begins with a letter; letters, digits, - _ . follow"
            raise reader.error(instruction.line, f"invalid name for a build stage: {words[2][:40]!r}", hint)
    elif len(words) != 1:
        raise reader.error(instruction.line, "FROM takes one argument, or three: FROM IMAGE AS NAME")
    return Stage(number, words[0], name, instruction.flags.get("platform"), instruction.line)
