"""The interface of places: a command to run, and its result."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Protocol, TypedDict, Unpack

from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import Secret, redact

# A placeholder for the directory of the private files in arguments and variables: f"{FILES}/token".
# It is unambiguous, since no argument can hold a NUL.
FILES = "\0files\0"
_PLACEHOLDER = "private"

Show = Callable[[str], None]
FileContent = str | bytes | Secret


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The result of a command.

    Attributes:
        status: exit status; minus the signal's number where a signal ended it.
        stdout: as printed, with secrets, since some commands print nothing else; the last 8 MiB.
        stderr: without controls and known secrets; the last MiB.
    """

    status: int
    stdout: str = field(default="", repr=False)
    stderr: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """A command; its text is a line for people, which a shell accepts as well."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        variables = [f"{name}={_quoted(value)}" for name, value in self.env.items()]
        return redact(" ".join([*variables, *map(_quoted, self.argv)]))


def _quoted(word: str) -> str:
    return shlex.quote(word.replace(FILES, _PLACEHOLDER))


class CommandOptions(TypedDict, total=False):
    """How a place runs a command; see :meth:`Place.run`."""

    cwd: Path | None
    files: Mapping[str, FileContent] | None
    env: Mapping[str, str] | None
    stdin: bytes | None
    timeout: float | None
    stream: Show | None


class Place(Protocol):
    """Somewhere a command can run."""

    def run(self, argv: Sequence[str], **options: Unpack[CommandOptions]) -> CommandResult:
        """Run *argv* to its end and return its result, whatever its exit status.

        Args:
            argv: program and arguments; no shell reads them.
            cwd: directory to run in.
            files: private files, name to content; :data:`FILES` in *argv* and *env* is replaced by their directory,
                which is removed afterwards. Credentials are passed only in this way.
            env: variables in addition to those of the place.
            stdin: what the program reads; nothing if not given.
            timeout: seconds after which the program, and all that it started, is stopped.
            stream: called with each line of stdout and stderr as it arrives, with secrets hidden.

        Raises:
            EngineMissingError: the program is not installed or may not be run.
            TimeOutError: *timeout* was reached.
        """
        ...
