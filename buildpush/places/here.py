"""This machine as a place; the only module that starts processes."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Unpack, cast

from buildpush.foundation.errors import EngineMissingError, SourceError, TimeOutError
from buildpush.foundation.interrupts import Lock, is_main, start, stoppable
from buildpush.foundation.locks import temporary
from buildpush.foundation.secrets import Secret
from buildpush.foundation.text import LONGEST_READ, decoded, lines_of, safe
from buildpush.places.environment import VariableFilter, for_engines
from buildpush.places.place import FILES, CommandOptions, CommandResult, FileContent, Show

# How much of each stream is kept; a build may print gigabytes, and the end explains a failure.
LARGEST_OUTPUT = 8 * 1024 * 1024
LARGEST_ERRORS = 1024 * 1024  # shown to people
LARGEST_BACKLOG = 32 * 1024 * 1024  # bytes of a stream that wait to be shown
_PIECE = 64 * 1024
GRACE_SECONDS = 2.0
# Outside the main thread, only a wait with a time limit notices an interrupt.
_FOREVER = 1e9
_SHELL = "/bin/sh"
_GUARD_SCRIPT = 'read -r group && { read -r rest; kill -s KILL -- "-$group"; }'


class Here:
    """This machine: every command has its own process group, so that nothing that it starts outlives it.

    Args:
        env: the environment of the commands.
        passes: called with the name and value of each variable; returns whether the commands get it.
        private: directory under which private files are put; the system's temporary directory if not given.
    """

    def __init__(
        self, env: Mapping[str, str], *, passes: VariableFilter = for_engines, private: Path | None = None
    ) -> None:
        self._env = dict(env)
        self._passes = passes
        self._private = private

    def run(self, argv: Sequence[str], **options: Unpack[CommandOptions]) -> CommandResult:
        """Run *argv* on this machine; see :meth:`Place.run`."""
        env, stdin = options.get("env") or {}, options.get("stdin")
        with _private_files(options.get("files") or {}, self._private) as directory:
            words = [word.replace(FILES, directory) for word in argv]
            variables = self._variables() | {name: value.replace(FILES, directory) for name, value in env.items()}
            with _process(words, options.get("cwd"), variables, reads=stdin is not None) as process:
                return _Exchange(process, stdin, options.get("stream")).finish(words[0], options.get("timeout"))

    def _variables(self) -> dict[str, str]:
        """Return the variables for the commands; computed each time, since secrets become known during a run."""
        return {name: value for name, value in self._env.items() if self._passes(name, value)}


@contextlib.contextmanager
def _private_files(files: Mapping[str, FileContent], root: Path | None) -> Iterator[str]:
    if not files:
        yield ""
        return
    with temporary(root) as directory:
        for name, content in files.items():
            _write_private(directory / name, content)
        yield str(directory)


def _write_private(path: Path, content: FileContent) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = content.reveal() if isinstance(content, Secret) else content
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - it is open already, with the right mode
        file.write(text.encode() if isinstance(text, str) else text)


@contextlib.contextmanager
def _process(
    argv: list[str], cwd: Path | None, env: dict[str, str], *, reads: bool
) -> Iterator[subprocess.Popen[bytes]]:
    program = _program(argv[0], env)
    if cwd is not None and not cwd.is_dir():
        message = f"cannot run {argv[0]} in {cwd}: it is not a directory"
        raise SourceError(message)
    with _watchdog() as watch:
        try:
            process = subprocess.Popen(  # noqa: S603 - a list of words, no shell
                [argv[0], *argv[1:]],
                executable=program,
                cwd=cwd,
                env=env,
                stdin=subprocess.PIPE if reads else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            message = f"{argv[0]} cannot be run: {error.strerror}"
            raise EngineMissingError(message) from error
        try:
            watch(process.pid)
            yield process
        finally:
            _end(process)


@contextlib.contextmanager
def _watchdog() -> Iterator[Callable[[int], object]]:
    """Yield a function that makes a process group end when our process ends, in any way, even by ``kill -9``.

    A shell waits for the end of a pipe that only we hold open, and then kills the group. ``PR_SET_PDEATHSIG`` is not
    enough: that signal is sent when a mere thread of ours ends, and not to what the program has started. The shell is
    started before the program, and gets the ID of the group as soon as there is one.
    """
    try:
        shell = subprocess.Popen(  # noqa: S603 - a fixed command line
            [_SHELL, "-c", _GUARD_SCRIPT],
            env={},
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:  # an image without a shell: then nothing watches the group
        yield lambda _group: None
        return
    pipe = cast("IO[bytes]", shell.stdin)

    def watch(group: int) -> None:
        with contextlib.suppress(OSError):  # the shell has ended
            os.write(pipe.fileno(), b"%d\n" % group)

    try:
        yield watch
    finally:
        shell.kill()
        pipe.close()
        shell.wait()


def _program(name: str, env: Mapping[str, str]) -> str:
    path = shutil.which(name, path=env.get("PATH", os.defpath))
    if path is None:
        message = f"the program {name!r} is not on this machine"
        raise EngineMissingError(message, hint=f"install {name}, or put its directory into PATH", setting="engine")
    return path


def _end(process: subprocess.Popen[bytes]) -> None:
    """End *process* and its whole group, by SIGTERM first, then by SIGKILL."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _join(threads: Sequence[threading.Thread]) -> bool:
    deadline = time.monotonic() + GRACE_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)


class _LastBytes:
    """The last bytes of a stream."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._cut = False

    def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        while self._size > self._most:
            self._size -= len(self._pieces.popleft())
            self._cut = True

    def text(self) -> str:
        """Return them from the beginning of a line on: an incomplete line may begin in the middle of a secret."""
        last = b"".join(self._pieces)
        return decoded(last.partition(b"\n")[2] if self._cut else last)


class _PipeReader(io.RawIOBase):
    """A stream that reads a pipe without delay, however slowly the stream itself is read.

    Some programs, such as buildah, end without printing their last lines if nothing has read the ones before.
    """

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._change = threading.Condition()

    def read_all(self) -> None:
        """Read until the pipe ends; only this thread closes it, since a process outside the group may keep it open."""
        try:
            with self._pipe:
                while piece := os.read(self._pipe.fileno(), _PIECE):
                    self._put(piece)
        finally:
            with self._change:
                self._ended = True
                self._change.notify()

    def _put(self, piece: bytes) -> None:
        with self._change:
            self._pieces.append(piece)
            self._size += len(piece)
            self._change.notify()
            self._change.wait_for(lambda: self._size < LARGEST_BACKLOG)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill *buffer* with bytes from the pipe; wait until there are some."""
        with self._change:
            self._change.wait_for(lambda: self._pieces or self._ended)
            if not self._pieces:
                return 0
            piece = self._pieces.popleft()
            count = min(len(piece), len(buffer))
            buffer[:count] = piece[:count]
            if count < len(piece):
                self._pieces.appendleft(piece[count:])
            self._size -= count
            self._change.notify()
        return count


class _Exchange:
    """Feeds a process and reads both its outputs until it has ended."""

    def __init__(self, process: subprocess.Popen[bytes], stdin: bytes | None, stream: Show | None) -> None:
        self._process = process
        self._stream = stream
        self._line_lock = Lock()
        self._failure: Exception | None = None
        self._out, self._err = _LastBytes(LARGEST_OUTPUT), _LastBytes(LARGEST_ERRORS)
        self._read_count = 0  # pieces of lines that were read
        readers = [_PipeReader(cast("IO[bytes]", pipe)) for pipe in (process.stdout, process.stderr)]
        self._readers = [threading.Thread(target=reader.read_all, daemon=True) for reader in readers]
        self._listeners = [
            threading.Thread(target=self._listen, args=(reader, last), daemon=True)
            for reader, last in zip(readers, (self._out, self._err), strict=True)
        ]
        if stdin is not None:
            self._readers.append(threading.Thread(target=self._feed, args=(stdin,), daemon=True))

    def finish(self, name: str, timeout: float | None) -> CommandResult:
        """Return the result of the process; raise if it took longer than *timeout* seconds."""
        for thread in (*self._readers, *self._listeners):
            start(thread)
        try:
            status = self._wait(timeout)
        except subprocess.TimeoutExpired as error:
            _end(self._process)
            message = f"{name} took longer than {timeout:g} seconds and was stopped"
            raise TimeOutError(message, setting="timeout") from error
        except BaseException:
            self._stream = None  # the rest of the output is not shown
            _end(self._process)
            raise
        finally:
            self._drain()
        if self._failure:
            raise self._failure
        return CommandResult(status, self._out.text(), safe(self._err.text()))

    def _wait(self, timeout: float | None) -> int:
        """Wait until the process has ended, and return its status; an interrupt of this thread ends it."""
        if timeout is not None or not is_main():
            return self._process.wait(_FOREVER if timeout is None else timeout)
        with stoppable(self._stop):
            return self._process.wait()

    def _stop(self) -> None:
        if self._process.returncode is None:
            _end(self._process)

    def _drain(self) -> None:
        # A process that the program left running may keep the pipes open for ever; it belongs to the group.
        if not _join(self._readers):
            _signal(self._process, signal.SIGKILL)
            _join(self._readers)
        # What was read is shown completely, as long as somebody reads it.
        for thread in self._listeners:
            before = -1
            while thread.is_alive() and before != self._read_count:
                before = self._read_count
                thread.join(GRACE_SECONDS)

    def _feed(self, content: bytes) -> None:
        pipe = self._process.stdin
        if pipe is None:
            return
        # A program may end without reading all of it: its status says whether that is an error.
        with contextlib.suppress(OSError), pipe:
            pipe.write(content)

    def _listen(self, reader: _PipeReader, last: _LastBytes) -> None:
        is_line_start = True
        lines = io.BufferedReader(reader, _PIECE)
        while piece := lines.readline(LONGEST_READ):
            last.add(piece)
            self._read_count += 1
            if is_line_start:
                self._show(piece)
            is_line_start = piece.endswith(b"\n")

    def _show(self, piece: bytes) -> None:
        if self._stream is None:
            return
        whole = piece.endswith(b"\n") or len(piece) < LONGEST_READ
        lines = list(lines_of(decoded(piece, whole=whole).removesuffix("\n"), whole=whole))
        with self._line_lock:
            if self._stream is None:
                return
            try:
                for line in lines:
                    self._stream(line)
            except Exception as error:  # noqa: BLE001 - if the listener fails, the program must not wait for it
                self._stream = None
                self._failure = error
