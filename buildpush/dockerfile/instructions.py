"""What builders refuse in an instruction: found before anything is built, by the same rules that our own engine uses.

A value that only a base image can give is not judged.

Source: BuildKit, frontend/dockerfile/dockerfile2llb: ``dispatch``, ``dispatchCopy``, ``dispatchExpose``.
"""

# Flags of other programs in this module's texts: --from --mount --checksum --chmod --exclude

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

from buildpush.dockerfile.durations import read_integer
from buildpush.dockerfile.model import Dockerfile, Instruction, NewerSyntaxError, UnbuildableError
from buildpush.dockerfile.mounts import fields_of, problem_of
from buildpush.dockerfile.patterns import read_patterns
from buildpush.dockerfile.request import BuildRequest
from buildpush.dockerfile.urls import is_git, is_web
from buildpush.dockerfile.variables import expand
from buildpush.dockerfile.walk import ExpandedInstruction, walk
from buildpush.dockerfile.wildcards import matcher, split_at_wildcard
from buildpush.foundation.errors import ContextError, DockerfileError
from buildpush.foundation.regex import regex
from buildpush.foundation.text import quotation
from buildpush.images.model import Platform

# The signals that Linux has on every machine.
_SIGNALS: Final = (
    "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP"
    " TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ"
)
_SIGNAL: Final = regex(
    rf"(?:SIG)?(?:{_SIGNALS.replace(' ', '|')}|RTMIN(?:\+(?:[1-9]|1[0-5]))?|RTMAX(?:-(?:[1-9]|1[0-4]))?)\Z",
    re.IGNORECASE,
)
_HIGHEST_PORT: Final = 65535
HIGHEST_ID: Final = 2**32 - 2
_DIGITS: Final = regex(r"[0-9]+\Z")
OCTAL_MODE: Final = regex(r"0*[0-7]{1,4}\Z")
MODE_CLAUSE: Final = regex(r"([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)\Z")
_CHECKSUM: Final = regex(r"sha256:[0-9a-f]{64}\Z|sha384:[0-9a-f]{96}\Z|sha512:[0-9a-f]{128}\Z")
_OF_RUN: Final = {"network": ("default", "none", "host"), "security": ("sandbox", "insecure")}
_VARIABLE: Final = regex(r"\$.")
_FROM_HINT: Final = "write FROM NAME AS stage before it, where NAME may be one"


class InstructionError(DockerfileError):
    """BuildKit and our own engine refuse it, and another builder may not."""


class ModeError(InstructionError):
    """``--chmod`` has no mode: old versions of BuildKit ignore it."""


class MountTypeError(NewerSyntaxError):
    """There is no mount of that type."""


def errors_in(file: Dockerfile, request: BuildRequest, here: Platform | None = None) -> Iterator[DockerfileError]:
    """Yield what is wrong with the instructions of the stages that *request* needs, for each of its platforms.

    An ``UnbuildableError`` is one for every builder, a ``NewerSyntaxError`` perhaps none for a newer one, an
    ``InstructionError`` one for BuildKit and our own engine.

    Args:
        file: as parsed.
        request: what is built.
        here: platform of the builder; this machine's by default.
    """
    request = replace(request, build_args={**_given(request), **request.build_args})
    for platform in request.platforms or (None,):
        try:
            steps = walk(file, request, platform, here).steps
        except DockerfileError as error:
            kind = NewerSyntaxError if isinstance(error, NewerSyntaxError) else UnbuildableError
            yield kind(error.args[0], hint=error.hint, where=error.where)
            return
        for step in steps:
            for found in _errors_of(step):
                yield type(found)(found.args[0], hint=found.hint, where=file.where(step.instruction.line))


def _given(request: BuildRequest) -> dict[str, str]:
    """Return the build arguments that a builder gets without the user's asking."""
    epoch = {} if request.created is None else {"SOURCE_DATE_EPOCH": str(request.created)}
    return {**epoch, **request.proxies}


def errors_of_flags(file: Dockerfile) -> Iterator[DockerfileError]:
    """Yield what BuildKit refuses in the flags of all stages, those that nothing needs included."""
    for instruction in (one for stage in file.stages for one in stage.instructions):
        where = file.where(instruction.line)
        for message, hint in _wrong_flags(instruction):
            yield InstructionError(message, hint=hint, where=where)


def _wrong_flags(instruction: Instruction) -> Iterator[tuple[str, str]]:
    if instruction.name == "COPY" and (error := error_of_from(instruction.flags.get("from", ""))):
        yield error.args[0], _FROM_HINT
    if instruction.name != "RUN":
        return
    for flag, known in _OF_RUN.items():
        value = instruction.flags.get(flag, known[0])
        if value not in known:
            yield f"RUN --{flag}={quotation(value, 40)} does not exist", f"write --{flag}={' or '.join(known)}"
    for mount in _mounts(instruction):
        if not fields_of(mount):
            yield "RUN --mount= is empty", "write --mount=type=cache,target=DIRECTORY, or leave it out"
        for name, source in fields_of(mount):
            if name == "from" and source and _VARIABLE.search(source):
                yield _from_words("RUN --mount=from", source), _FROM_HINT


def _mounts(instruction: Instruction) -> list[str]:
    return instruction.flags["mount"].split("\n") if "mount" in instruction.flags else []


def _from_words(flag: str, value: str) -> str:
    return f"{flag}={quotation(value, 60)} contains a variable, which is not replaced there"


def _errors_of(step: ExpandedInstruction) -> Iterator[DockerfileError]:
    """Yield what is wrong with one instruction; its line is added later."""
    name, texts = step.instruction.name, [word.text for word in step.words if word.certain]
    if name in {"ADD", "COPY"}:
        yield from _errors_of_copy(step)
    elif name == "RUN":
        yield from _errors_of_mounts(step)
    elif name in _READERS:
        kind = InstructionError if name == "EXPOSE" else UnbuildableError  # buildah keeps any port
        for error in (error for text in texts for error in _raised(_READERS[name], text)):
            yield kind(error.args[0], hint=error.hint)


def _errors_of_mounts(step: ExpandedInstruction) -> Iterator[DockerfileError]:
    words = iter(step.words)
    for mount in _mounts(step.instruction):
        fields = [(name, value, next(words)) for name, value in fields_of(mount)]
        if not all(word.certain for _, _, word in fields):
            continue
        values = [(name, None if value is None else word.text) for name, value, word in fields]
        problem = problem_of(values, step.directory if step.known else None)
        if problem:
            kind = {"type": MountTypeError, "field": NewerSyntaxError}.get(problem.unknown, InstructionError)
            yield kind(f"RUN --mount={quotation(mount, 80)}: {problem.words}")


def _errors_of_copy(step: ExpandedInstruction) -> Iterator[DockerfileError]:
    name, flags, values = step.instruction.name, step.instruction.flags, step.values
    if from_error := error_of_from(flags.get("from", "")):
        yield from_error
    known = {flag: word.text for flag, word in values.items() if word.certain}
    yield from _raised(check_mode, known.get("chmod", ""))
    texts = [word.text for word in step.sources if word.certain]
    if len(texts) == len(step.sources):
        sources = [*texts, *(one.name for one in step.instruction.heredocs)]
        yield from _raised(check_checksum, known.get("checksum", ""), sources)
    if directory := next((one.name for one in step.instruction.heredocs if "/" in _rooted(one.name)), ""):
        message = f"the name of the heredoc {quotation(directory, 60)} must not contain a slash"
        yield InstructionError(message)
    yield from _errors_of_sources(name, [] if flags.get("parents") == "true" else texts, flags.get("exclude", ""))


def _errors_of_sources(name: str, texts: list[str], exclude: str) -> Iterator[DockerfileError]:
    addresses = [text for text in texts if is_web(text) or is_git(text)]
    if name == "COPY" and addresses:
        yield UnbuildableError(f"COPY of the address {quotation(addresses[0], 80)}", hint="use ADD, which fetches it")
    for error in _raised(read_patterns, [text for text in exclude.splitlines() if not text.startswith("/")]):
        yield InstructionError(f"{name} --exclude: {error.args[0]}", hint=error.hint)
    for text in (text for text in texts if text not in addresses):
        _, patterns = split_at_wildcard(_rooted(text).split("/"))
        for error in _raised(matcher, "/".join(patterns)):
            yield InstructionError(f"{name}: {error.args[0]}", hint=error.hint)


def _rooted(path: str) -> str:
    return posixpath.normpath(f"/{path}").lstrip("/")


def _raised(check: Callable[..., object], *given: object) -> Iterator[DockerfileError]:
    """Yield the error that *check* raises, if it does."""
    try:
        check(*given)
    except DockerfileError as error:
        yield error
    except ContextError as error:  # of a pattern
        yield InstructionError(error.args[0], hint=error.hint)


def error_of_from(name: str) -> DockerfileError | None:
    """Return what is wrong with ``COPY --from=NAME`` if it contains a variable."""
    if "$" not in name:
        return None
    with suppress(DockerfileError):
        if expand(name, lambda _name: None) == name:
            return None
    return InstructionError(_from_words("--from", name), hint=_FROM_HINT)


def check_mode(text: str) -> None:
    """Refuse a ``--chmod`` that is neither empty nor a mode.

    Raises:
        ModeError: octal digits or letters are missing.
    """
    if text and not OCTAL_MODE.match(text) and not all(map(MODE_CLAUSE.match, text.split(","))):
        hint = "write octal digits, such as 755, or letters, such as u=rwX,go=rX"
        message = f"--chmod={quotation(text, 40)} is not a mode"
        raise ModeError(message, hint=hint)


def check_owner(text: str) -> None:
    """Refuse a user or group whose number is too high.

    Raises:
        DockerfileError: with a hint.
    """
    for name in text.split(":"):
        if _DIGITS.match(name) and (len(name) > len(str(HIGHEST_ID)) or int(name) > HIGHEST_ID):
            message = f"{quotation(name, 60)} is higher than any user or group ID"
            raise DockerfileError(message, hint=f"use up to {HIGHEST_ID}")


def check_checksum(text: str, sources: list[str]) -> None:
    """Refuse a ``--checksum`` of something other than one address, or that is no digest.

    Raises:
        InstructionError: with a hint.
    """
    if text and (len(sources) != 1 or not (is_web(sources[0]) or is_git(sources[0]))):
        message = "--checksum needs a single source, which is a web address"
        raise InstructionError(message)
    if text and is_web(sources[0]) and not _CHECKSUM.match(text):
        message = f"--checksum={quotation(text, 80)} is not a digest"
        raise InstructionError(message, hint="write it as sha256: and 64 hexadecimal digits")


def check_signal(name: str) -> None:
    """Refuse a STOPSIGNAL that is neither a signal's name nor a number.

    Raises:
        DockerfileError: with a hint.
    """
    if not read_integer(name) and not _SIGNAL.match(name):
        hint = "write its name, such as SIGTERM, or its number"
        message = f"STOPSIGNAL: {quotation(name, 40)!r} is not a signal"
        raise DockerfileError(message, hint=hint)


def check_volume(path: str) -> None:
    """Refuse an empty path.

    Raises:
        DockerfileError: it is empty.
    """
    if not path:
        message = "VOLUME names an empty path"
        raise DockerfileError(message)


def read_ports(word: str) -> list[str]:
    """Return the ports of ``[[IP:]HOST:]PORT[-PORT][/KIND]``, such as ``80/tcp``.

    Raises:
        InstructionError: it is malformed.
    """
    *before, own = word.rsplit(":", 2)
    address, host = ["", *before][-2:] if before else ("", "")
    written, _, kind = own.partition("/")
    kind = kind.lower() or "tcp"
    inside, outside = _range(written), _range(host) if host else range(0)
    fits = not outside or len(inside) in {1, len(outside)}
    known = kind in {"tcp", "udp", "sctp"} and (not host or outside) and _is_address(address)
    if not inside or not fits or not known:
        message = f"EXPOSE: {quotation(word, 40)!r} is not a port"
        raise InstructionError(message, hint="write PORT, PORT-PORT or PORT/udp")
    return [f"{port}/{kind}" for port in inside]


def _range(text: str) -> range:
    """Return the ports of ``80`` or ``80-90``; none where it is malformed."""
    first, dash, last = text.partition("-")
    begin, end = read_integer(first), read_integer(last if dash else first)
    if begin is None or end is None or not 0 <= begin <= end <= _HIGHEST_PORT:
        return range(0)
    return range(begin, end + 1)


def _is_address(text: str) -> bool:
    """Return whether *text* is empty, or an IP address as Go parses it."""
    try:
        return not text or bool(ipaddress.ip_address(re.sub(r"\A\[(.*)\]\Z", r"\1", text)))
    except ValueError:
        return False


_READERS: Final = {"EXPOSE": read_ports, "STOPSIGNAL": check_signal, "VOLUME": check_volume}
