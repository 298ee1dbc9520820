"""What each instruction does to an image; RUN is not among them.

Source: Dockerfile reference; what BuildKit writes into configuration and history.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any

from buildpush.dockerfile.durations import format_duration, read_duration, read_integer
from buildpush.dockerfile.model import Dockerfile, Instruction
from buildpush.dockerfile.variables import SPACE, expand, expand_words
from buildpush.engines.native.draft import Draft
from buildpush.foundation.errors import DockerfileError
from buildpush.foundation.records import dataclass
from buildpush.foundation.text import quotation

OWN_SHELL = ["/bin/sh", "-c"]
_TIMES = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start-period": "StartPeriod",
    "start-interval": "StartInterval",
}
# Of Linux, whatever machine this is: its containers know no others.
_SIGNALS = (
    "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP"
    " TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ"
)
_SIGNAL = re.compile(
    rf"(?:SIG)?(?:{_SIGNALS.replace(' ', '|')}|RTMIN(?:\+(?:[1-9]|1[0-5]))?|RTMAX(?:-(?:[1-9]|1[0-4]))?)\Z",
    re.IGNORECASE,
)
_HIGHEST_PORT = 65535
_ESCAPES = dict(zip('\a\b\f\n\r\t\v\\"', (rf"\{char}" for char in 'abfnrtv\\"'), strict=True))


@dataclass
class Scene:
    """One stage while its instructions are carried out.

    Attributes:
        draft: the image so far.
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
    commanded: bool = False

    def error(self, line: int, message: str, hint: str | None = None) -> DockerfileError:
        """Return an error that carries the *line*."""
        return DockerfileError(message, hint=hint, where=self.dockerfile.where(line))

    def variables(self) -> dict[str, str]:
        """Return what ``$NAME`` means now."""
        return dict(self.draft.variables)

    def expand(self, text: str, line: int, variables: Mapping[str, str] | None = None) -> str:
        """Return *text* with variables replaced."""
        values = self.draft.variables if variables is None else variables
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
    for name, default in instruction.pairs:
        if name in scene.given:
            value: str | None = scene.given[name]
            scene.used.add(name)
        elif default is not None:
            value = scene.expand(default, instruction.line)
        else:
            value = scene.globals.get(name, scene.automatic.get(name))
        # An ARG without value leaves alone what an earlier one said.
        if value is not None:
            scene.draft.variables[name] = value
        shown.append(name if value is None else f"{name}={value}")
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
    """Return *words* as Go prints them with ``%q``."""
    return "[" + " ".join('"' + "".join(map(_quoted_character, word)) + '"' for word in words) + "]"


def _quoted_character(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    width = 2 if char <= "\x7f" else 4 if char <= "\uffff" else 8
    return f"\\{ {2: 'x', 4: 'u', 8: 'U'}[width] }{ord(char):0{width}x}"


def shell(scene: Scene, instruction: Instruction) -> None:
    """SHELL."""
    scene.draft.config["Shell"] = list(instruction.words)
    scene.draft.note(f"SHELL [{' '.join(instruction.words)}]")


def expose(scene: Scene, instruction: Instruction) -> None:
    """EXPOSE: ``8080:80`` means 80, a range means each port of it, and tcp is meant where nothing is said."""
    ports: list[str] = []
    for word in _words(scene, instruction):
        found = _ports(word)
        if not found:
            hint = "write PORT, PORT-PORT or PORT/udp"
            raise scene.error(instruction.line, f"EXPOSE: {quotation(word, 40)!r} is not a port", hint)
        ports += found
    exposed: dict[str, dict[str, str]] = {port: {} for port in ports}
    scene.draft.config["ExposedPorts"] = dict(scene.draft.config.get("ExposedPorts") or {}) | exposed
    scene.draft.note(f"EXPOSE [{' '.join(ports)}]")


def _ports(word: str) -> list[str]:
    """Return the ports that ``[[IP:]HOST:]PORT[-PORT][/KIND]`` means; none where it is malformed."""
    *before, own = word.rsplit(":", 2)
    address, host = ["", *before][-2:] if before else ("", "")
    written, _, kind = own.partition("/")
    kind = kind.lower() or "tcp"
    inside, outside = _range(written), _range(host) if host else range(0)
    fits = not outside or len(inside) in {1, len(outside)}
    known = kind in {"tcp", "udp", "sctp"} and (not host or outside) and _is_address(address)
    return [f"{port}/{kind}" for port in inside] if fits and known else []


def _range(text: str) -> range:
    """Return the ports of ``80`` or ``80-90``; none where it is malformed."""
    first, dash, last = text.partition("-")
    begin, end = read_integer(first), read_integer(last if dash else first)
    if begin is None or end is None or not 0 <= begin <= end <= _HIGHEST_PORT:
        return range(0)
    return range(begin, end + 1)


def _is_address(text: str) -> bool:
    """Return whether *text* is nothing, or an IP address as Go reads it."""
    try:
        return not text or bool(ipaddress.ip_address(re.sub(r"\A\[(.*)\]\Z", r"\1", text)))
    except ValueError:
        return False


def _words(scene: Scene, instruction: Instruction) -> list[str]:
    """Return the words in the order of what was written, since BuildKit sorts that."""
    values, escape = scene.draft.variables, scene.dockerfile.escape
    try:
        return [found for word in sorted(instruction.words) for found in expand_words(word, values.get, escape)]
    except DockerfileError as error:
        raise scene.error(instruction.line, str(error), error.hint) from error


def volume(scene: Scene, instruction: Instruction) -> None:
    """VOLUME."""
    paths = [scene.expand(word.strip(SPACE), instruction.line) for word in instruction.words]
    if not all(paths):
        raise scene.error(instruction.line, "VOLUME names an empty path")
    volumes: dict[str, dict[str, str]] = {path: {} for path in paths}
    scene.draft.config["Volumes"] = dict(scene.draft.config.get("Volumes") or {}) | volumes
    scene.draft.note(f"VOLUME [{' '.join(paths)}]")


def stop_signal(scene: Scene, instruction: Instruction) -> None:
    """STOPSIGNAL, as written."""
    name = scene.expand(instruction.rest, instruction.line)
    if not read_integer(name) and not _SIGNAL.match(name):
        hint = "write its name, such as SIGTERM, or its number"
        raise scene.error(instruction.line, f"STOPSIGNAL: {quotation(name, 40)!r} is not a signal", hint)
    scene.draft.config["StopSignal"] = name
    scene.draft.note(f"STOPSIGNAL {name}")


def health_check(scene: Scene, instruction: Instruction) -> None:
    """HEALTHCHECK: durations become nanoseconds."""
    check: dict[str, Any] = {"Test": _health_test(instruction)}
    for flag, key in _TIMES.items():
        check[key] = read_duration(instruction.flags.get(flag, ""))
    check["Retries"] = read_integer(instruction.flags.get("retries", ""))
    check = {key: value for key, value in check.items() if value}
    scene.draft.config["Healthcheck"] = check
    scene.draft.note(f"HEALTHCHECK {_shown_check(check)}")


def _shown_check(check: Mapping[str, Any]) -> str:
    """Return it as Go prints such a record with ``%+v``."""
    times = [f"{key}:{format_duration(check.get(key, 0))}" for key in _TIMES.values()]
    return f"{{Test:[{' '.join(check['Test'])}] {' '.join(times)} Retries:{check.get('Retries', 0)}}}"


def _health_test(instruction: Instruction) -> list[str]:
    kind, *words = instruction.words
    if kind == "CMD" and not instruction.exec_form:
        kind = "CMD-SHELL"
    return [kind, *words]


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
