"""A container as a place, started by ``docker run`` or ``podman run`` and removed afterwards.

Source: docker container run, command line reference; podman-run(1).
"""

# Flags of other programs in this module's texts: any

from __future__ import annotations

import csv
import io
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Unpack

from buildpush.foundation.errors import EngineMissingError, SourceError, UnsupportedError
from buildpush.foundation.records import dataclass
from buildpush.places.place import FILES, Command, CommandOptions, CommandResult, FileContent, Place

# The program could not start the container: its own failure, command not executable, command not found.
_NOT_STARTED: Final = frozenset({125, 126, 127})


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory or file of this machine that is mounted into a container.

    Attributes:
        outside: its path on this machine; absolute.
        inside: its path in the container; absolute.
        writable: whether the container may write to it.
    """

    outside: Path
    inside: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Container:
    """A new container for each command; it is removed however the command ends.

    Paths in arguments, variables and ``cwd`` are the container's own. Private files and variables reach it in files, so
    that they are on no command line. ``docker inspect`` shows variables: a secret belongs in a private file, which root
    in the container can read.

    Attributes:
        image: the image to start; pulled if it is not present.
        here: the place that runs the program.
        program: ``docker`` or ``podman``.
        mounts: directories and files of this machine that are mounted into it.
        memory: its limit of memory, in bytes.
        cores: its limit of processor cores, such as ``0.4``.
        user: ID of the user that the command runs as; the image's own user by default.
        privileged: whether it has all privileges (``--privileged``).
        network: a value of ``--network``, such as ``host``; the program's default if not given.
        private: path of the private files in it.
    """

    image: str
    here: Place
    program: str = "docker"
    mounts: tuple[Mount, ...] = ()
    memory: int | None = None
    cores: float | None = None
    user: int | None = None
    privileged: bool = False
    network: str | None = None
    private: str = "/run/buildpush"

    def run(self, argv: Sequence[str], **options: Unpack[CommandOptions]) -> CommandResult:
        """Run *argv* in a container; see :meth:`Place.run`.

        Raises:
            UnsupportedError: there are private files, and the user could not read them.
            SourceError: a variable has several lines, which cannot be passed on.
        """
        files, env = options.get("files") or {}, options.get("env") or {}
        if files and self.user:
            message = f"the user {self.user} of the container could not read the private files of the command"
            raise UnsupportedError(message, hint="set run_as_user to 0, root in the container", setting="run_as_user")
        name = f"buildpush-{os.getpid()}-{secrets.token_hex(4)}"
        ended = False
        try:
            ran = self.here.run(
                self._argv(name, argv, options),
                files=dict(self._files(files, env)),
                stdin=options.get("stdin"),
                timeout=options.get("timeout"),
                stream=options.get("stream"),
            )
            ended = ran.status >= 0  # a signal ends the program but not the container
        finally:
            if not ended:
                self._remove(name)
        self._check_started(ran)
        return ran

    def command(self, argv: Sequence[str], **options: Unpack[CommandOptions]) -> Command:
        """Return the command line of :meth:`run`; only the name of the container will be another one."""
        return Command(tuple(self._argv("buildpush", argv, options)))

    def _argv(self, name: str, argv: Sequence[str], options: CommandOptions) -> list[str]:
        program, *rest = (word.replace(FILES, self.private) for word in argv)
        words = ["run", "--rm", "--name", name, *self._container_flags(), *self._command_flags(options)]
        return [self.program, *words, "--entrypoint", program, self.image, *rest]

    def _container_flags(self) -> Iterator[str]:
        """Yield the flags that all commands have."""
        for mount in self.mounts:
            yield from _mount(str(mount.outside), mount)
        flags = {"--memory": self.memory, "--cpus": self.cores, "--user": self.user, "--network": self.network}
        for flag, value in flags.items():
            if value is not None:
                yield from (flag, f"{value:g}" if isinstance(value, float) else str(value))
        if self.privileged:
            yield "--privileged"

    def _command_flags(self, options: CommandOptions) -> Iterator[str]:
        """Yield the flags that depend on the command."""
        if options.get("files"):
            yield from _mount(f"{FILES}/files", Mount(Path(), self.private))
        if options.get("env"):
            yield from ("--env-file", f"{FILES}/env")
        if (cwd := options.get("cwd")) is not None:
            yield from ("--workdir", str(cwd))
        if options.get("stdin") is not None:
            yield "--interactive"

    def _files(self, files: Mapping[str, FileContent], env: Mapping[str, str]) -> Iterator[tuple[str, FileContent]]:
        for name, content in files.items():
            yield f"files/{name}", content
        if env:
            yield "env", "".join(f"{name}={self._one_line(name, value)}\n" for name, value in env.items())

    def _one_line(self, name: str, value: str) -> str:
        if value.splitlines() not in ([], [value]):
            message = f"the variable {name} has several lines, which cannot be passed to a container"
            raise SourceError(message, hint="put it into a file")
        return value.replace(FILES, self.private)

    def _remove(self, name: str) -> None:
        with suppress(EngineMissingError):  # then nothing was started
            self.here.run([self.program, "rm", "--force", name])

    def _check_started(self, ran: CommandResult) -> None:
        """Raise if the container did not start: then the result is not that of the command."""
        marks = (f"{self.program}: ", "Error: ")  # of docker, and of podman
        errors = [line for line in ran.stderr.splitlines() if line.startswith(marks)]
        if ran.status in _NOT_STARTED and errors:
            message = f"{self.program} cannot start a container of {self.image}: {errors[0].partition(': ')[2]}"
            raise EngineMissingError(message, hint=f"find out why with: {self.program} run --rm {self.image}")


def _mount(source: str, directory: Mount) -> tuple[str, str]:
    """Return the flag for a mount; its value is one line of CSV."""
    line = io.StringIO()
    fields = ["type=bind", f"source={source}", f"target={directory.inside}"]
    csv.writer(line, lineterminator="").writerow(fields if directory.writable else [*fields, "readonly"])
    return "--mount", line.getvalue()
