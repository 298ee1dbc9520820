"""The effect of each instruction on an image; RUN is not supported.

Source: Dockerfile reference; what BuildKit writes into configuration and history.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from buildpush.dockerfile.durations import format_duration, read_duration, read_integer
from buildpush.dockerfile.instructions import check_signal, check_volume, read_ports
from buildpush.dockerfile.model import Dockerfile, Instruction
from buildpush.dockerfile.stages import expand_at, located
from buildpush.dockerfile.variables import SPACE, expand_heredoc, expand_words
from buildpush.engines.native.draft import Draft
from buildpush.foundation.errors import DockerfileError
from buildpush.foundation.records import dataclass

DEFAULT_SHELL = ["/bin/sh", "-c"]
_TIMES = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start-period": "StartPeriod",
    "start-interval": "StartInterval",
}
_ESCAPES = dict(zip('\a\b\f\n\r\t\v\\"', (rf"\{char}" for char in 'abfnrtv\\"'), strict=True))


@dataclass
class StageState:
    """One stage while its instructions are run.

    Attributes:
        draft: the image so far.
        globals: values of the ARG instructions before the first FROM.
        build_args: those of the user.
        builder_args: platform arguments, for an ARG that declares them.
        used: names of build arguments that some ARG has declared.
        has_command: whether this stage has set CMD.
    """

    dockerfile: Dockerfile
    draft: Draft
    globals: Mapping[str, str | None]
    build_args: Mapping[str, str]
    builder_args: Mapping[str, str]
    used: set[str]
    has_command: bool = False

    def error(self, line: int, message: str, hint: str | None = None) -> DockerfileError:
        """Return an error at *line* of the Dockerfile."""
        return DockerfileError(message, hint=hint, where=self.dockerfile.where(line))

    @contextmanager
    def on_line(self, line: int) -> Iterator[None]:
        """Add the *line* to errors about the Dockerfile that do not have one."""
        try:
            yield
        except DockerfileError as error:
            raise located(error, self.dockerfile, line) from error

    def expand(self, text: str, line: int) -> str:
        """Return *text* with variables replaced."""
        return expand_at(self.dockerfile, line, text, self.draft.variables)

    def expand_heredoc(self, text: str, line: int) -> str:
        """Return the *text* of a heredoc with variables replaced."""
        with self.on_line(line):
            return expand_heredoc(text, self.draft.variables.get)

    def pairs(self, instruction: Instruction) -> list[tuple[str, str]]:
        """Return the names and values of an instruction; variables have the values that they had before it."""
        line = instruction.line
        return [(self.expand(name, line), self.expand(value or "", line)) for name, value in instruction.pairs]

    def add_keys(self, table: str, keys: list[str]) -> None:
        """Add *keys* to a table of the configuration that has only keys."""
        self.draft.config[table] = dict(self.draft.config.get(table) or {}) | {key: {} for key in keys}

    def path(self, text: str) -> str:
        """Return the absolute path in the image that *text* names; a relative one begins at the working directory."""
        joined = posixpath.normpath(posixpath.join(self.draft.directory, text))
        return "/" + joined.lstrip("/")


InstructionHandler = Callable[[StageState, Instruction], None]


def argument(state: StageState, instruction: Instruction) -> None:
    """Run ARG: the user's value counts, else the default, else the value before the first FROM or of the builder."""
    words = []
    for name, default in instruction.pairs:
        if name in state.build_args:
            value: str | None = state.build_args[name]
            state.used.add(name)
        elif default is not None:
            value = state.expand(default, instruction.line)
        else:
            value = state.globals.get(name, state.builder_args.get(name))
        # An ARG without a value keeps the value of an earlier ARG.
        if value is not None:
            state.draft.variables[name] = value
        words.append(name if value is None else f"{name}={value}")
    state.draft.note(f"ARG {' '.join(words)}")


def environment(state: StageState, instruction: Instruction) -> None:
    """Run ENV: all its values see the variables as they were before it."""
    for name, value in (pairs := state.pairs(instruction)):
        state.draft.set_environment(name, value)
    state.draft.note(f"ENV {_format_pairs(pairs)}")


def label(state: StageState, instruction: Instruction) -> None:
    """Run LABEL: add labels, or replace those with the same names."""
    pairs = state.pairs(instruction)
    state.draft.config["Labels"] = dict(state.draft.config.get("Labels") or {}) | dict(pairs)
    state.draft.note(f"LABEL {_format_pairs(pairs)}")


def _format_pairs(pairs: list[tuple[str, str]]) -> str:
    return " ".join(f"{name}={value}" for name, value in pairs)


def user(state: StageState, instruction: Instruction) -> None:
    """Run USER: set the user of containers, and of later instructions."""
    name = state.expand(instruction.rest, instruction.line)
    state.draft.config["User"] = name
    state.draft.note(f"USER {name}")


def command(state: StageState, instruction: Instruction) -> None:
    """Run CMD: set the command of containers."""
    words = _command_words(state, instruction)
    state.draft.config["Cmd"] = words
    state.draft.config["ArgsEscaped"] = True
    state.has_command = True
    state.draft.note(f"CMD {_quote_words(words)}")


def entrypoint(state: StageState, instruction: Instruction) -> None:
    """Run ENTRYPOINT, which also resets a CMD that comes from the base image."""
    words = _command_words(state, instruction)
    state.draft.config["Entrypoint"] = words
    if not state.has_command:
        state.draft.config["Cmd"] = None
    state.draft.note(f"ENTRYPOINT {_quote_words(words)}")


def _command_words(state: StageState, instruction: Instruction) -> list[str]:
    if instruction.exec_form:
        return list(instruction.words)
    return [*(state.draft.config.get("Shell") or DEFAULT_SHELL), instruction.rest]


def _quote_words(words: list[str]) -> str:
    """Return *words* as Go prints them with ``%q``."""
    return "[" + " ".join('"' + "".join(map(_quote_character, word)) + '"' for word in words) + "]"


def _quote_character(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    width = 2 if char <= "\x7f" else 4 if char <= "\uffff" else 8
    return f"\\{ {2: 'x', 4: 'u', 8: 'U'}[width] }{ord(char):0{width}x}"


def shell(state: StageState, instruction: Instruction) -> None:
    """Run SHELL: set the shell for commands that are not lists."""
    state.draft.config["Shell"] = list(instruction.words)
    state.draft.note(f"SHELL [{' '.join(instruction.words)}]")


def expose(state: StageState, instruction: Instruction) -> None:
    """Run EXPOSE: ``8080:80`` means 80, a range means each port of it, and tcp is the default."""
    ports: list[str] = []
    for word in _words(state, instruction):
        with state.on_line(instruction.line):
            ports += read_ports(word)
    state.add_keys("ExposedPorts", ports)
    state.draft.note(f"EXPOSE [{' '.join(ports)}]")


def _words(state: StageState, instruction: Instruction) -> list[str]:
    """Return the words with variables replaced, sorted as they were before that: BuildKit does so."""
    values, escape = state.draft.variables, state.dockerfile.escape
    with state.on_line(instruction.line):
        return [expanded for word in sorted(instruction.words) for expanded in expand_words(word, values.get, escape)]


def volume(state: StageState, instruction: Instruction) -> None:
    """Run VOLUME: add mount points."""
    paths = [state.expand(word.strip(SPACE), instruction.line) for word in instruction.words]
    for path in paths:
        with state.on_line(instruction.line):
            check_volume(path)
    state.add_keys("Volumes", paths)
    state.draft.note(f"VOLUME [{' '.join(paths)}]")


def stop_signal(state: StageState, instruction: Instruction) -> None:
    """Run STOPSIGNAL; the signal stays as written."""
    name = state.expand(instruction.rest, instruction.line)
    with state.on_line(instruction.line):
        check_signal(name)
    state.draft.config["StopSignal"] = name
    state.draft.note(f"STOPSIGNAL {name}")


def health_check(state: StageState, instruction: Instruction) -> None:
    """Run HEALTHCHECK; durations become nanoseconds."""
    check: dict[str, Any] = {"Test": _health_test(instruction)}
    for flag, key in _TIMES.items():
        check[key] = read_duration(instruction.flags.get(flag, ""))
    check["Retries"] = read_integer(instruction.flags.get("retries", ""))
    check = {key: value for key, value in check.items() if value}
    state.draft.config["Healthcheck"] = check
    state.draft.note(f"HEALTHCHECK {_format_check(check)}")


def _format_check(check: Mapping[str, Any]) -> str:
    """Return *check* as Go prints such a struct with ``%+v``."""
    times = [f"{key}:{format_duration(check.get(key, 0))}" for key in _TIMES.values()]
    return f"{{Test:[{' '.join(check['Test'])}] {' '.join(times)} Retries:{check.get('Retries', 0)}}}"


def _health_test(instruction: Instruction) -> list[str]:
    kind, *words = instruction.words
    if kind == "CMD" and not instruction.exec_form:
        kind = "CMD-SHELL"
    return [kind, *words]


def maintainer(state: StageState, instruction: Instruction) -> None:
    """Run MAINTAINER, which is deprecated: a label does the same."""
    state.draft.document["author"] = instruction.rest
    state.draft.note(f"MAINTAINER {instruction.rest}")


def on_build(state: StageState, instruction: Instruction) -> None:
    """Run ONBUILD: keep the instruction for builds FROM this image."""
    state.draft.config["OnBuild"] = [*(state.draft.config.get("OnBuild") or ()), instruction.rest]


HANDLERS: Mapping[str, InstructionHandler] = {
    "ARG": argument,
    "CMD": command,
    "ENTRYPOINT": entrypoint,
    "ENV": environment,
    "EXPOSE": expose,
    "HEALTHCHECK": health_check,
    "LABEL": label,
    "MAINTAINER": maintainer,
    "ONBUILD": on_build,
    "SHELL": shell,
    "STOPSIGNAL": stop_signal,
    "USER": user,
    "VOLUME": volume,
}
