"""What each instruction does to an image; RUN is not among them.

Source: Dockerfile reference; what BuildKit writes into configuration and history.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from buildpush.engines.native.draft import Draft
from buildpush.errors import DockerfileError
from buildpush.images.dockerfile import Dockerfile, Instruction
from buildpush.images.variables import expand, expand_words

OWN_SHELL = ["/bin/sh", "-c"]
_PORT = re.compile(r"(?:.*:)?(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?\Z", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_NANOSECONDS = {"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9}
# Of Linux, whatever machine this is: its containers know no others.
_SIGNALS = (
    "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP"
    " TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ"
)
_SIGNAL = re.compile(
    rf"(?:(?:SIG)?(?:{_SIGNALS.replace(' ', '|')}|RTMIN(?:\+\d{{1,2}})?|RTMAX(?:-\d{{1,2}})?)|[1-9]|[1-5]\d|6[0-4])\Z",
    re.IGNORECASE,
)
_SHORTEST = 1_000_000
_HIGHEST_PORT = 65535


@dataclass
class Scene:
    """One stage while its instructions are carried out.

    Attributes:
        draft: the image so far.
        arguments: values of ARG, declared in this stage so far.
        globals: values of the ARG instructions before the first FROM.
        given: build arguments of the user.
        automatic: platform arguments, there for an ARG that asks for them.
        used: build arguments that some ARG asked for.
    """

    dockerfile: Dockerfile
    draft: Draft
    globals: Mapping[str, str | None]
    given: Mapping[str, str]
    automatic: Mapping[str, str]
    used: set[str]
    arguments: dict[str, str | None] = field(default_factory=dict)
    commanded: bool = False

    def error(self, line: int, message: str, hint: str | None = None) -> DockerfileError:
        """Return an error that carries the *line*."""
        return DockerfileError(message, hint=hint, where=self.dockerfile.where(line))

    def variables(self) -> dict[str, str | None]:
        """Return what ``$NAME`` means now: ENV wins over ARG."""
        return {**self.arguments, **self.draft.environment}

    def expand(self, text: str, line: int, variables: Mapping[str, str | None] | None = None) -> str:
        """Return *text* with variables replaced."""
        values = self.variables() if variables is None else variables
        try:
            return expand(text, values.get, self.dockerfile.escape)
        except DockerfileError as error:
            raise self.error(line, str(error), error.hint) from error

    def path(self, text: str) -> str:
        """Return an absolute path of the image, from the working folder on."""
        joined = posixpath.normpath(posixpath.join(self.draft.folder, text))
        return "/" + joined.lstrip("/")


Doer = Callable[[Scene, Instruction], None]


def argument(scene: Scene, instruction: Instruction) -> None:
    """ARG: what the user gave, else what stands before the first FROM, else the default."""
    shown = []
    for raw_name, raw_default in instruction.pairs:
        name = scene.expand(raw_name, instruction.line)
        default = None if raw_default is None else scene.expand(raw_default, instruction.line)
        if name in scene.given:
            default = scene.given[name]
            scene.used.add(name)
        elif default is None:
            default = scene.globals.get(name, scene.automatic.get(name))
        # An ARG without value leaves alone what an earlier one said.
        scene.arguments[name] = default if default is not None else scene.arguments.get(name)
        shown.append(name if default is None else f"{name}={default}")
    scene.draft.note(f"ARG {' '.join(shown)}")


def environment(scene: Scene, instruction: Instruction) -> None:
    """ENV: on one line, every value sees the variables as they were before it."""
    before = scene.variables()
    shown = []
    for raw_name, raw_value in instruction.pairs:
        name = scene.expand(raw_name, instruction.line, before)
        value = scene.expand(raw_value or "", instruction.line, before)
        scene.draft.set_environment(name, value)
        shown.append(f"{name}={value}")
    scene.draft.note(f"ENV {' '.join(shown)}")


def label(scene: Scene, instruction: Instruction) -> None:
    """LABEL."""
    shown = []
    labels = dict(scene.draft.config.get("Labels") or {})
    for raw_name, raw_value in instruction.pairs:
        name = scene.expand(raw_name, instruction.line)
        value = scene.expand(raw_value or "", instruction.line)
        labels[name] = value
        shown.append(f"{name}={value}")
    scene.draft.config["Labels"] = labels
    scene.draft.note(f"LABEL {' '.join(shown)}")


def user(scene: Scene, instruction: Instruction) -> None:
    """USER."""
    name = scene.expand(instruction.rest, instruction.line)
    if not name:
        raise scene.error(instruction.line, "USER is blank", "the variable in it has no value")
    scene.draft.config["User"] = name
    scene.draft.note(f"USER {name}")


def command(scene: Scene, instruction: Instruction) -> None:
    """CMD."""
    words = _command_words(scene, instruction)
    scene.draft.config["Cmd"] = words
    scene.draft.config["ArgsEscaped"] = True
    scene.commanded = True
    scene.draft.note(f"CMD {_quoted(words)}")


def entrypoint(scene: Scene, instruction: Instruction) -> None:
    """ENTRYPOINT: it also resets a CMD that this stage has not written itself."""
    words = _command_words(scene, instruction)
    scene.draft.config["Entrypoint"] = words
    if not scene.commanded:
        scene.draft.config["Cmd"] = None
    scene.draft.note(f"ENTRYPOINT {_quoted(words)}")


def _command_words(scene: Scene, instruction: Instruction) -> list[str]:
    if instruction.exec_form:
        return list(instruction.words)
    return [*(scene.draft.config.get("Shell") or OWN_SHELL), instruction.rest]


def _quoted(words: list[str]) -> str:
    return "[" + " ".join(json.dumps(word, ensure_ascii=False) for word in words) + "]"


def shell(scene: Scene, instruction: Instruction) -> None:
    """SHELL."""
    scene.draft.config["Shell"] = list(instruction.words)
    scene.draft.note(f"SHELL [{' '.join(instruction.words)}]")


def expose(scene: Scene, instruction: Instruction) -> None:
    """EXPOSE: ``8080:80`` means 80, a range means each port of it, and tcp is meant where nothing is said."""
    ports: dict[str, dict[str, str]] = {}
    for word in _words(scene, instruction):
        match = _PORT.match(word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not match or not first <= last <= _HIGHEST_PORT:
            hint = "write PORT, PORT-PORT or PORT/udp"
            raise scene.error(instruction.line, f"EXPOSE: {word[:40]!r} is not a port", hint)
        kind = (match[3] or "tcp").lower()
        ports |= {f"{port}/{kind}": {} for port in range(first, last + 1)}
    scene.draft.config["ExposedPorts"] = dict(scene.draft.config.get("ExposedPorts") or {}) | ports
    scene.draft.note(f"EXPOSE [{' '.join(sorted(ports))}]")


def _words(scene: Scene, instruction: Instruction) -> list[str]:
    values = scene.variables()
    try:
        return expand_words(instruction.rest, values.get, scene.dockerfile.escape)
    except DockerfileError as error:
        raise scene.error(instruction.line, str(error), error.hint) from error


def volume(scene: Scene, instruction: Instruction) -> None:
    """VOLUME."""
    paths = [scene.expand(word, instruction.line) for word in instruction.words]
    if not all(path.strip() for path in paths):
        raise scene.error(instruction.line, "VOLUME names an empty path")
    volumes: dict[str, dict[str, str]] = {path: {} for path in paths}
    scene.draft.config["Volumes"] = dict(scene.draft.config.get("Volumes") or {}) | volumes
    scene.draft.note(f"VOLUME [{' '.join(paths)}]")


def stop_signal(scene: Scene, instruction: Instruction) -> None:
    """STOPSIGNAL, as written."""
    name = scene.expand(instruction.rest, instruction.line)
    if not _SIGNAL.match(name):
        hint = "write its name, such as SIGTERM, or its number"
        raise scene.error(instruction.line, f"STOPSIGNAL: {name[:40]!r} is not a signal", hint)
    scene.draft.config["StopSignal"] = name
    scene.draft.note(f"STOPSIGNAL {name}")


def health_check(scene: Scene, instruction: Instruction) -> None:
    """HEALTHCHECK: durations become nanoseconds."""
    check: dict[str, Any] = {"Test": _health_test(instruction)}
    for flag, key in (
        ("interval", "Interval"),
        ("timeout", "Timeout"),
        ("start-period", "StartPeriod"),
        ("start-interval", "StartInterval"),
    ):
        if flag in instruction.flags:
            check[key] = _nanoseconds(scene, instruction, flag)
    if "retries" in instruction.flags:
        check["Retries"] = _retries(scene, instruction)
    scene.draft.config["Healthcheck"] = check
    scene.draft.note(f"HEALTHCHECK {_quoted(check['Test'])}")


def _health_test(instruction: Instruction) -> list[str]:
    kind, *words = instruction.words
    if kind == "CMD" and not instruction.exec_form:
        kind = "CMD-SHELL"
    return [kind, *words]


def _retries(scene: Scene, instruction: Instruction) -> int:
    text = instruction.flags["retries"]
    if re.fullmatch(r"\d{1,9}", text):
        return int(text)
    raise scene.error(instruction.line, f"--retries={text[:40]} is not a number")


def _nanoseconds(scene: Scene, instruction: Instruction, flag: str) -> int:
    text = instruction.flags[flag]
    if text == "0":
        return 0
    parts = _DURATION.findall(text)
    if not parts or _DURATION.sub("", text):
        raise scene.error(instruction.line, f"--{flag}={text[:40]} is not a duration", "write it as 30s or 1m30s")
    total = round(sum(float(number) * _NANOSECONDS[unit] for number, unit in parts))
    if 0 < total < _SHORTEST:
        raise scene.error(instruction.line, f"--{flag} is shorter than a millisecond")
    return total


def maintainer(scene: Scene, instruction: Instruction) -> None:
    """MAINTAINER, which is old; a label does the same."""
    scene.draft.document["author"] = instruction.rest
    scene.draft.note(f"MAINTAINER {instruction.rest}")


def on_build(scene: Scene, instruction: Instruction) -> None:
    """ONBUILD: kept for the build that begins from this image."""
    scene.draft.config["OnBuild"] = [*(scene.draft.config.get("OnBuild") or ()), instruction.rest]


PLAIN: Mapping[str, Doer] = {
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
