"""The log of a run: passes every event on, and collects what the result of a step shows."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from buildpush.foundation.errors import BuildError
from buildpush.foundation.events import (
    Decision,
    Event,
    Finished,
    FromBranch,
    Log,
    Note,
    Progress,
    Retry,
    Sink,
    Started,
    Traffic,
    ignore,
)
from buildpush.foundation.interrupts import Lock
from buildpush.foundation.text import one_line, with_margin


class RunLog:
    """Phases with their times, and the retries, decisions and notes of the current step; itself a sink.

    Layers are sent in several threads; only one of them calls the sink at a time.

    Attributes:
        is_quiet: whether lines of the engine and progress are held back until the next step begins.
    """

    def __init__(self, sink: Sink = ignore) -> None:
        self._sink = sink
        # A signal's handler may report something in the middle of a call.
        self._lock = Lock()
        self._engine_log: TextIO | None = None  # gets every line that an engine prints
        self.begin()

    def begin(self, notes: Iterable[str] = ()) -> None:
        """Begin a step; its result shows *notes*, which were given before it, and what happens from now on."""
        self.is_quiet = False
        self.begun = time.monotonic()
        self.seconds: dict[str, float] = {}
        self.retries = 0
        self.traffic: Traffic | None = None
        self.decisions: list[Decision] = []
        self.notes = [with_margin(note) for note in notes]
        self._inner = [0.0]

    def branch(self, name: str) -> RunLog:
        """Return the log of steps that run at the same time as others; its events carry the *name* of the branch."""
        return RunLog(partial(self._pass_on, name))

    def _pass_on(self, name: str, event: Event) -> None:
        if isinstance(event, FromBranch):
            name, event = f"{name}/{event.branch}", event.event
        with self._lock:
            self._sink(FromBranch(name, event))

    def __call__(self, event: Event) -> None:
        """Keep what the result will show, and pass the event on."""
        with self._lock:
            match event:
                case Retry():
                    self.retries += 1
                case Decision():
                    self.decisions.append(
                        replace(event, choice=with_margin(event.choice), reason=with_margin(event.reason))
                    )
                case Note(text):
                    self.notes.append(with_margin(text))
                case Traffic():
                    self.traffic = event
                case Log(line) if self._engine_log:
                    self._write(line)
                case Finished(phase, seconds):  # of an engine, inside its build
                    self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds
                    self._inner[-1] += seconds
                case _:
                    pass
            if not (self.is_quiet and isinstance(event, Log | Progress)):
                self._sink(event)

    @contextmanager
    def phase(self, name: str, about: str = "") -> Iterator[None]:
        """Announce a phase and, when it went well, how long it took."""
        self(Started(name, about))
        self.seconds.setdefault(name, 0.0)
        self._inner.append(0.0)
        begun = time.monotonic()
        try:
            yield
        finally:
            # Phases are nested (layers are built while they are pushed); each counts only its own time.
            whole = time.monotonic() - begun
            self.seconds[name] += whole - self._inner.pop()
            self._inner[-1] += whole
        with self._lock:
            self._sink(Finished(name, self.seconds[name]))

    @contextmanager
    def engine_log(self, file: TextIO) -> Iterator[None]:
        """Write what the engine prints to *file* as well, and close it; the error of a failed build names it."""
        self._engine_log = file
        try:
            yield
        except BuildError as error:
            complete = self._close(file)
            with suppress(FileNotFoundError):  # only the newest logs are kept, and many builds may run
                # The other errors name a line of the Dockerfile, or a file.
                if type(error) is BuildError and complete and Path(file.name).stat().st_size > 0:
                    error.hint = "; ".join(filter(None, [error.hint, f"the whole log: {file.name}"]))
            raise
        finally:
            self._close(file)

    def facts(self) -> dict[str, Any]:
        """Return the attributes of the result that come from this log."""
        return {
            "begun": self.begun,
            "seconds": self.seconds,
            "retries": self.retries,
            "traffic": self.traffic,
            "decisions": tuple(self.decisions),
            "notes": tuple(self.notes),
        }

    def _write(self, line: str) -> None:
        """Write a line of the engine; if that is not possible, such as on a full disk, the build continues."""
        try:
            print(one_line(line), file=self._engine_log)
        except OSError as error:
            self._engine_log = None
            self._note_lost(error)

    def _close(self, file: TextIO) -> bool:
        """Close *file*, and return whether all of it was written; a full disk shows only now."""
        complete = self._engine_log is file  # a line that could not be written has closed it
        self._engine_log = None
        try:
            file.close()
        except OSError as error:
            self._note_lost(error)
            return False
        return complete

    def _note_lost(self, error: OSError) -> None:
        self(Note(f"the engine's log is not kept: {error.strerror or error}"))
